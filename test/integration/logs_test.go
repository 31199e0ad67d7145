package integration_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/watch-docker/watch-docker/internal/app"
	"github.com/watch-docker/watch-docker/test/testbed"
)

// tail is a client of a log's socket: its lines, and the notices between them
// as "<type>".
type tail struct {
	conn *websocket.Conn

	mu    sync.Mutex
	all   []string
	ended chan struct{}
	err   error
}

func (w *world) tail(s *app.Server, token, path string) *tail {
	w.Helper()
	conn, _, err := websocket.Dial(w.Context(), "http://"+s.Addr()+path,
		&websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer " + token}}})
	if err != nil {
		w.Fatal(err)
	}
	conn.SetReadLimit(1 << 20)
	k := &tail{conn: conn, ended: make(chan struct{})}
	go k.read()
	w.Cleanup(func() { _ = conn.CloseNow(); <-k.ended })
	return k
}

func (k *tail) read() {
	defer close(k.ended)
	for {
		_, text, err := k.conn.Read(context.Background())
		var lines []struct{ Service, Line string }
		var notice struct{ Type string }
		if err == nil && text[0] == '[' {
			err = json.Unmarshal(text, &lines)
		} else if err == nil {
			err = json.Unmarshal(text, &notice)
		}
		k.mu.Lock()
		for _, l := range lines {
			k.all = append(k.all, strings.TrimLeft(l.Service+" "+l.Line, " "))
		}
		if notice.Type != "" {
			k.all = append(k.all, "<"+notice.Type+">")
		}
		k.err = err
		k.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// until waits until all of these have come, in this order.
func (k *tail) until(t *testing.T, want ...string) {
	t.Helper()
	testbed.Eventually(t, time.Minute, func() error {
		k.mu.Lock()
		defer k.mu.Unlock()
		at := 0
		for _, said := range k.all {
			if at < len(want) && said == want[at] {
				at++
			}
		}
		if at < len(want) {
			return fmt.Errorf("%q hasn't come after %q: %q, %w", want[at], want[:at], k.all[max(0, len(k.all)-20):], k.err)
		}
		return nil
	})
}

// loud writes a number after the other, the first of them in its environment.
func loud(first string) testbed.ImageOptions {
	return testbed.ImageOptions{Payload: first, Env: []string{"START=" + first}, Cmd: []string{
		"sh", "-c", `trap 'exit 0' TERM; i=$START; while :; do i=$((i+1)); echo "line $i"; busybox usleep 20000; done`,
	}}
}

func TestALogIsFollowedThroughAnUpdateOverHTTP(t *testing.T) {
	w := newWorld(t, testbed.AnyEngine, testbed.TLSToken)
	w.env = append(w.env, "USER_NAME=ann", "USER_PASSWORD="+adminPassword, "WATCH_UPDATE_STABLE_FOR=1s")
	ref := w.bed.Registry(testbed.TLSToken).Ref("app:latest")
	w.release("app:latest", loud("0"))
	w.container("app", ref, nil)
	s, _ := w.serve("WATCH_SCAN_INTERVAL=1h")
	_, token := login(t, s, adminPassword)
	path := "/api/containers/" + w.bed.Name("app") + "/logs"
	k := w.tail(s, token, path+"/ws?tail=all")
	k.until(t, "line 1", "line 20")
	k.until(t, "<history>")

	w.release("app:latest", loud("100000"))
	post(t, s, token, "/api/scan?fresh=true&wait=30s", map[string]string{}, 202)
	if op := post(t, s, token, "/api/containers/"+w.bed.Name("app")+"/update?wait=1m", map[string]string{}, 202); op["state"] != "succeeded" {
		t.Fatalf("the update: %v", op)
	}
	k.until(t, "line 20", "<stopped>", "<replaced>", "line 100001", "line 100020")

	// What is followed and what is downloaded are the same.
	first := w.downloaded(s, token, path+"?tail=all")
	if !strings.HasPrefix(first, "line 100001\nline 100002\n") {
		t.Errorf("the file begins with %.60q", first)
	}
	if found := w.downloaded(s, token, path+"?q=LINE+10000%5B12%5D%24&regex=true"); found != "line 100001\nline 100002\n" {
		t.Errorf("the search gives %q", found)
	}

	began := time.Now()
	if code, _ := ask(t, s, token, "POST", "/api/v1/auth/logout", nil); code != http.StatusNoContent {
		t.Fatal(code)
	}
	select {
	case <-k.ended:
	case <-time.After(time.Minute):
		t.Fatal("it outlives its session")
	}
	if websocket.CloseStatus(k.err) != websocket.StatusPolicyViolation {
		t.Errorf("it ends with %v", k.err)
	}
	t.Logf("it ended %s after the session", time.Since(began))
}

// downloaded is the file of a log.
func (w *world) downloaded(s *app.Server, token, path string) string {
	w.Helper()
	req, err := http.NewRequestWithContext(w.Context(), http.MethodGet, "http://"+s.Addr()+path, nil)
	if err != nil {
		w.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		w.Fatal(err)
	}
	defer res.Body.Close()
	var text bytes.Buffer
	if _, err := io.Copy(&text, res.Body); err != nil || res.StatusCode != http.StatusOK {
		w.Fatalf("%s: %v: %.200s", res.Status, err, text.String())
	}
	return text.String()
}

func TestAProjectsLogIsFollowedOverHTTP(t *testing.T) {
	w := newWorld(t, testbed.AnyEngine, testbed.TLSToken)
	w.env = append(w.env, "USER_NAME=ann", "USER_PASSWORD="+adminPassword)
	ref := w.bed.Registry(testbed.TLSToken).Ref("app:latest")
	w.release("app:latest", loud("0"))
	w.pull(ref)
	project := w.bed.Name("shop")
	service := func(name, number string) {
		w.start(testbed.ContainerSpec{
			Name: "shop-" + name + "-" + number, Image: ref,
			Labels: map[string]string{
				"com.docker.compose.project": project, "com.docker.compose.service": name, "com.docker.compose.container-number": number,
			},
		})
	}
	service("web", "1")
	service("db", "1")
	s, _ := w.serve("WATCH_SCAN_INTERVAL=1h")
	_, token := login(t, s, adminPassword)
	k := w.tail(s, token, "/api/compose/logs/ws?tail=all&project="+project)
	k.until(t, "web line 50")
	k.until(t, "db line 50")
	k.until(t, "<history>")
	service("cache", "1")
	k.until(t, "<added>", "cache line 1", "cache line 5")
	if code, answer := ask(t, s, token, "GET", "/api/compose/logs/ws?project="+project+"&services=queue", nil); code != http.StatusNotFound {
		t.Errorf("a service that there isn't: %d %v", code, answer)
	}
}
