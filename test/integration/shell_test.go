package integration_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/moby/moby/client"

	"github.com/watch-docker/watch-docker/internal/app"
	"github.com/watch-docker/watch-docker/test/testbed"
)

// shellWorld is a server beside an engine with one container.
type shellWorld struct {
	*world
	caller

	*testing.T
	server *app.Server
	log    *log
	box    testbed.Container
}

func newShellWorld(t *testing.T, env ...string) *shellWorld {
	t.Helper()
	w := &shellWorld{T: t, world: newWorld(t, testbed.AnyEngine, testbed.Plain)}
	reg := w.bed.Registry(testbed.Plain)
	w.push(reg, "app:latest", w.index("one", "one"))
	w.container("box", reg.Ref("app:latest"), nil)
	w.server, w.log = w.serve(append(env, "USER_NAME=ann", "USER_PASSWORD=correct horse")...)
	w.caller = w.login(w.server)
	var found struct{ ID string }
	if code := w.call("GET", "/api/containers/"+w.bed.Name("box"), "", &found); code != http.StatusOK {
		t.Fatal(code)
	}
	w.box = testbed.Container{ID: found.ID, Name: w.bed.Name("box")}
	return w
}

// inside are the processes of the box that don't belong to its own command.
func (w *shellWorld) inside() (list []string) {
	w.Helper()
	top, err := w.bed.Engine().Client().ContainerTop(w.Context(), w.box.ID, client.ContainerTopOptions{Arguments: []string{"-o", "pid,stat,args"}})
	if err != nil {
		w.Fatal(err)
	}
	for _, p := range top.Processes {
		if args := p[len(p)-1]; !strings.HasPrefix(p[1], "Z") && !strings.Contains(args, "sleep 100000") {
			list = append(list, args)
		}
	}
	return list
}

// console is a client of a shell's socket.
type console struct {
	*shellWorld
	conn *websocket.Conn

	mu     sync.Mutex
	shown  bytes.Buffer
	frames []map[string]any
	ended  chan struct{}
	err    error
}

func (w *shellWorld) dial(query string) (*websocket.Conn, *http.Response, error) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), time.Minute)
	defer cancel()
	return websocket.Dial(ctx, w.base+"/api/shell/ws?"+query, &websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer " + w.token}}})
}

func (w *shellWorld) open(query string) *console {
	w.Helper()
	conn, _, err := w.dial(query)
	if err != nil {
		w.Fatal(err)
	}
	conn.SetReadLimit(1 << 20)
	c := &console{shellWorld: w, conn: conn, ended: make(chan struct{})}
	go func() {
		defer close(c.ended)
		for {
			kind, message, err := conn.Read(context.Background())
			c.mu.Lock()
			var frame map[string]any
			switch {
			case err != nil:
				c.err = err
			case kind == websocket.MessageBinary:
				c.shown.Write(message)
			case json.Unmarshal(message, &frame) == nil:
				c.frames = append(c.frames, frame)
			}
			c.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	w.Cleanup(func() { _ = conn.CloseNow(); <-c.ended })
	return c
}

func (c *console) text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.shown.String()
}

// frame waits for a text frame of a type.
func (c *console) frame(kind string) (frame map[string]any) {
	c.Helper()
	testbed.Eventually(c, 20*time.Second, func() error {
		c.mu.Lock()
		defer c.mu.Unlock()
		i := slices.IndexFunc(c.frames, func(f map[string]any) bool { return f["type"] == kind })
		if i < 0 {
			return fmt.Errorf("no frame %q among %v; %q; %w", kind, c.frames, c.shown.String(), c.err)
		}
		frame = c.frames[i]
		return nil
	})
	return frame
}

func (c *console) shows(text string) {
	c.Helper()
	testbed.Eventually(c, 20*time.Second, func() error {
		if !strings.Contains(c.text(), text) {
			return fmt.Errorf("%q isn't in %q", text, c.text())
		}
		return nil
	})
}

func (c *console) send(kind websocket.MessageType, text string) {
	c.Helper()
	if err := c.conn.Write(c.Context(), kind, []byte(text)); err != nil {
		c.Fatal(err)
	}
}

func (c *console) types(text string) { c.Helper(); c.send(websocket.MessageBinary, text) }

// closes waits until the server has closed the socket, and gives its code.
func (c *console) closes() websocket.StatusCode {
	c.Helper()
	select {
	case <-c.ended:
	case <-time.After(time.Minute):
		c.Fatal("the socket stays open")
	}
	return websocket.CloseStatus(c.err)
}

func (w *shellWorld) audit() (lines []string) {
	w.Helper()
	var page struct {
		Entries []struct{ User, Action, Target, Result, Detail string }
	}
	if code := w.call("GET", "/api/audit?limit=100", "", &page); code != http.StatusOK {
		w.Fatal(code)
	}
	for _, e := range page.Entries {
		lines = append(lines, fmt.Sprintf("%s %s %s %s: %s", e.User, e.Action, e.Target, e.Result, e.Detail))
	}
	return lines
}

func (w *shellWorld) recordedAs(want string) {
	w.Helper()
	testbed.Eventually(w, time.Minute, func() error {
		if lines := w.audit(); !slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(l, want) }) {
			return fmt.Errorf("%q isn't recorded among %q", want, lines)
		}
		return nil
	})
}

func TestAShellInAContainerOverTheSocket(t *testing.T) {
	w := newShellWorld(t)
	name := w.box.Name
	c := w.open("cols=101&rows=37&container=" + name)
	if f := c.frame("shell"); f["resumed"] != false || len(f["id"].(string)) < 26 {
		t.Errorf("%v", f)
	}
	c.types("/bin/busybox stty size; echo '漢字 ü'; echo my-secret-word >/dev/null\n")
	c.shows("37 101\r\n漢字 ü\r\n")
	c.send(websocket.MessageText, `{"type":"resize","cols":60,"rows":20}`)
	for _, b := range []byte("echo ü; /bin/busybox stty size\n") {
		c.types(string([]byte{b})) // a character may come in pieces
	}
	c.shows("\r\nü\r\n20 60\r\n")
	c.send(websocket.MessageText, `{"type":"dance"}`)
	if f := c.frame("error"); f["code"] != "bad_message" {
		t.Errorf("%v", f)
	}
	c.types("exit 42\n")
	if f := c.frame("exit"); f["code"] != 42.0 {
		t.Errorf("%v", f)
	}
	if code := c.closes(); code != websocket.StatusNormalClosure {
		t.Errorf("closed with %v, %v", code, c.err)
	}
	w.recordedAs("ann openShell " + name + " ok: shell")
	w.recordedAs("ann closeShell " + name + " ok: shell; exit, after 0s, with code 42")
	if text := strings.Join(w.audit(), "\n") + w.log.String(); strings.Contains(text, "my-secret-word") {
		t.Error("what was typed is recorded")
	}

	c = w.open("user=nobody&cwd=/etc&command=" + url.QueryEscape(`sh -c "id -u; pwd; echo 'two  words'"`) + "&container=" + name)
	c.frame("exit")
	if c.text() != "65534\r\n/etc\r\ntwo  words\r\n" {
		t.Errorf("%q", c.text())
	}
	c = w.open("command=echo&command=a+%22b&command=$HOME&container=" + name)
	c.frame("exit")
	if c.text() != "a \"b $HOME\r\n" {
		t.Errorf("%q", c.text())
	}
	for query, code := range map[string]string{"user=somebody": "no_such_user", "cwd=/etc/passwd": "no_such_folder"} {
		c := w.open(query + "&container=" + name)
		if f := c.frame("error"); f["code"] != code {
			t.Errorf("%s: %v", query, f)
		}
		c.closes()
	}
	for query, want := range map[string]int{
		"container=" + name + "&cols=0": 422, "container=" + name + "&rows=x": 422, "container=" + name + "&user=a%20b": 422, "container=" + name + "&cwd=etc": 422,
		"container=" + name + "&command=%27": 422, "container=" + name + "&command=": 422, "container=" + name + "&shell=sh": 422, "container=nowhere": 404, "resume=nothing": 404, "": 403,
	} {
		if _, res, err := w.dial(query); err == nil || res == nil || res.StatusCode != want {
			t.Errorf("%q: %v, %v", query, res, err)
		}
	}
	if code, answer := ask(t, w.server, w.token, "GET", "/api/shell/ws", nil); code != http.StatusForbidden || answer["code"] != "host_shell_disabled" || !strings.Contains(fmt.Sprint(answer), "shell.hostEnabled") {
		t.Errorf("%d %v", code, answer)
	}
	if _, err := w.bed.Engine().Client().ContainerPause(t.Context(), w.box.ID, client.ContainerPauseOptions{}); err != nil {
		t.Fatal(err)
	}
	if f := w.open("container=" + name).frame("error"); f["code"] != "container_not_running" {
		t.Errorf("%v", f)
	}
}

func TestAShellSurvivesItsConnectionForHalfAMinute(t *testing.T) {
	w := newShellWorld(t)
	c := w.open("container=" + w.box.Name)
	id := c.frame("shell")["id"].(string)
	c.types("trap '' HUP; sleep 4001 & busybox setsid sh -c \"trap '' HUP; sleep 4002; true\" & echo begun\n")
	c.shows("begun\r\n")
	_ = c.conn.CloseNow()
	<-c.ended

	again := w.open("resume=" + id)
	if f := again.frame("shell"); f["resumed"] != true || f["id"] != id {
		t.Errorf("%v", f)
	}
	again.shows("begun\r\n")
	again.types("echo once more\n")
	again.shows("\r\nonce more\r\n")
	newer := w.open("resume=" + id)
	newer.shows("\r\nonce more\r\n")
	if code := again.closes(); code != 4001 {
		t.Errorf("the older one is closed with %v", code)
	}
	other := w.login(w.server) // another session of the same user
	if code := other.call("GET", "/api/shell/ws?resume="+id, "", nil); code != http.StatusNotFound {
		t.Errorf("another session gets %d", code)
	}
	if !slices.Contains(w.inside(), "sleep 4001") || !slices.Contains(w.inside(), "sleep 4002") {
		t.Fatalf("%q", w.inside())
	}
	_ = newer.conn.CloseNow()
	left := time.Now()
	testbed.Eventually(t, time.Minute, func() error {
		if list := w.inside(); len(list) > 0 {
			return fmt.Errorf("left are %q", list)
		}
		return nil
	})
	if took := time.Since(left); took < 29*time.Second || took > 45*time.Second {
		t.Errorf("ended after %s", took)
	}
	w.recordedAs("closeShell " + w.box.Name + " ok: shell; gone")
	if _, res, err := w.dial("resume=" + id); err == nil || res == nil || res.StatusCode != http.StatusNotFound {
		t.Errorf("it is still there: %v", err)
	}
}

func TestAShellEndsWithItsSession(t *testing.T) {
	w := newShellWorld(t)
	watcher := w.login(w.server)
	watched, away := w.open("container="+w.box.Name), w.open("container="+w.box.Name)
	for i, c := range []*console{watched, away} {
		c.types(fmt.Sprintf("trap '' HUP; sleep 410%d & echo begun\n", i))
		c.shows("begun\r\n")
	}
	_ = away.conn.CloseNow()
	if code := w.call("POST", "/api/v1/auth/logout", "", nil); code != http.StatusNoContent {
		t.Fatal(code)
	}
	began := time.Now()
	if code := watched.closes(); code != websocket.StatusPolicyViolation || time.Since(began) > time.Second {
		t.Errorf("closed with %v after %s", code, time.Since(began))
	}
	testbed.Eventually(t, time.Minute, func() error {
		if list := w.inside(); len(list) > 0 {
			return fmt.Errorf("left are %q", list)
		}
		return nil
	})
	w.caller = watcher
	w.recordedAs("closeShell " + w.box.Name + " ok: shell; session")

	c := w.open("container=" + w.box.Name)
	c.types("sleep 4200\n")
	c.send(websocket.MessageText, `{"type":"close"}`)
	c.closes()
	testbed.Eventually(t, time.Minute, func() error {
		if list := w.inside(); len(list) > 0 {
			return fmt.Errorf("left are %q", list)
		}
		return nil
	})
	lost := w.open("container=" + w.box.Name) // nothing in there can end this one
	lost.types("busybox rm /bin/sh; echo removed\n")
	lost.shows("removed\r\n")
	lost.send(websocket.MessageText, `{"type":"close"}`)
	lost.closes()
	w.recordedAs("closeShell " + w.box.Name + " failed: shell; closed")
	if c := w.open("container=" + w.box.Name); c.frame("error")["code"] != "no_shell" {
		t.Error(c.frames)
	}
}

func TestTheHostShell(t *testing.T) {
	w := newShellWorld(t, "IS_OPEN_DOCKER_SHELL=true", "PATH=/usr/bin:/bin", "HOME=/")
	c := w.open("cols=90&rows=30&command=sh&cwd=/")
	c.types("stty size; env; echo end-of-list\n")
	c.shows("\r\nend-of-list\r\n")
	for _, secret := range []string{"correct horse", "USER_", "WATCH_", "STATE_PATH", "CONFIG_PATH", "IS_OPEN"} {
		if strings.Contains(c.text(), secret) {
			t.Errorf("%s is in %q", secret, c.text())
		}
	}
	if !strings.Contains(c.text(), "30 90\r\n") || !strings.Contains(c.text(), "DOCKER_HOST=") {
		t.Errorf("%q", c.text())
	}
	c.types("exit 3\n")
	if f := c.frame("exit"); f["code"] != 3.0 {
		t.Errorf("%v", f)
	}
	w.recordedAs("ann openShell host ok: sh")
	if code := w.call("POST", "/api/users", `{"username":"bob","password":"another good one","role":"operator"}`, nil); code != http.StatusCreated {
		t.Fatal(code)
	}
	bob := caller{t: t, base: w.base}
	var in struct{ Token string }
	if bob.call("POST", "/api/v1/auth/login", `{"username":"bob","password":"another good one"}`, &in); in.Token == "" {
		t.Fatal("bob can't sign in")
	}
	if code, answer := ask(t, w.server, in.Token, "GET", "/api/shell/ws", nil); code != http.StatusForbidden || answer["code"] != "forbidden" {
		t.Errorf("%d %v", code, answer)
	}
}
