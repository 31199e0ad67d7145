package integration_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/moby/moby/client"

	"github.com/watch-docker/watch-docker/internal/app"
	"github.com/watch-docker/watch-docker/internal/scanner"
	"github.com/watch-docker/watch-docker/internal/store"
	"github.com/watch-docker/watch-docker/test/testbed"
)

// frame is any frame of the events' socket.
type frame struct {
	Type       string
	Seq        uint64
	Containers []scanner.ContainerStatus
	Container  *scanner.ContainerStatus
	ID         string
	Operations []store.Operation
	Operation  *store.Operation
	Running    bool
	Reachable  bool
	Engine     struct{ Reachable bool }
	Stats      []struct {
		ID         string
		CPUPercent *float64
		PIDs       uint64 `json:"pids"`
	}
	at time.Time
}

// follower follows the events as a page would: it holds what they tell.
type follower struct {
	conn *websocket.Conn

	mu         sync.Mutex
	wrong      string
	seq        uint64
	frames     []frame
	containers map[string]scanner.ContainerStatus
	operations map[string]store.Operation
	reachable  bool
}

// follow opens the socket, and reads it until the test ends.
func (w *world) follow(s *app.Server, token string) *follower {
	w.Helper()
	conn, res, err := websocket.Dial(w.Context(), "http://"+s.Addr()+"/api/events/ws",
		&websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer " + token}}})
	if err != nil {
		w.Fatal(err)
	}
	if res.Body != nil {
		res.Body.Close()
	}
	conn.SetReadLimit(4 << 20)
	f := &follower{conn: conn}
	var reading sync.WaitGroup
	reading.Go(func() {
		for {
			_, text, err := conn.Read(context.Background())
			if err != nil {
				return
			}
			f.take(text)
		}
	})
	w.Cleanup(func() {
		_ = conn.CloseNow()
		reading.Wait()
		if f.wrong != "" {
			w.Error(f.wrong)
		}
		if w.Failed() {
			for _, frame := range f.frames {
				w.Logf("%d %s %+v %+v", frame.Seq, frame.Type, frame.Container, frame.Operation)
			}
		}
	})
	return f
}

func (f *follower) take(text []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var m frame
	if err := json.Unmarshal(text, &m); err != nil {
		f.wrong = fmt.Sprintf("%v: %s", err, text)
	}
	if m.Seq != f.seq+1 {
		f.wrong = fmt.Sprintf("frame %d comes after %d", m.Seq, f.seq)
	}
	f.seq, m.at = m.Seq, time.Now()
	f.frames = append(f.frames, m)
	switch m.Type {
	case "snapshot":
		f.containers, f.operations, f.reachable = map[string]scanner.ContainerStatus{}, map[string]store.Operation{}, m.Engine.Reachable
		for _, c := range m.Containers {
			f.containers[c.ID] = c
		}
		for _, o := range m.Operations {
			f.operations[o.ID] = o
		}
	case "container":
		f.containers[m.Container.ID] = *m.Container
	case "removed":
		delete(f.containers, m.ID)
	case "operation":
		f.operations[m.Operation.ID] = *m.Operation
	case "engine":
		f.reachable = m.Reachable
	}
}

// like gives the frames so far that are as wanted.
func (f *follower) like(want func(frame) bool) []frame {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(f.frames), func(m frame) bool { return !want(m) })
}

// until waits for a frame.
func (f *follower) until(t testing.TB, what string, want func(frame) bool) frame {
	t.Helper()
	testbed.Eventually(t, time.Minute, func() error { return ifNot(len(f.like(want)) > 0, "no frame: "+what) })
	return f.like(want)[0]
}

func (f *follower) untilContainer(t testing.TB, name, state string) {
	t.Helper()
	f.until(t, name+" "+state, func(m frame) bool {
		return m.Type == "container" && m.Container.Name == name && m.Container.State == state
	})
}

// same compares what the events have told with what the list gives.
func (f *follower) same(t *testing.T, s *app.Server, token string) {
	t.Helper()
	testbed.Eventually(t, time.Minute, func() error {
		_, answer := ask(t, s, token, "GET", "/api/containers", nil)
		list, err := json.Marshal(answer["containers"])
		if err != nil {
			t.Fatal(err)
		}
		var want []scanner.ContainerStatus
		if err := json.Unmarshal(list, &want); err != nil {
			t.Fatal(err)
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		var got []scanner.ContainerStatus
		for _, c := range f.containers {
			got = append(got, c)
		}
		slices.SortFunc(got, func(a, b scanner.ContainerStatus) int {
			return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
		})
		a, _ := json.Marshal(got)
		b, _ := json.Marshal(want)
		return ifNot(string(a) == string(b), fmt.Sprintf("the events tell %s, the list %s", a, b))
	})
}

// post asks and expects this status.
func post(t *testing.T, s *app.Server, token, path string, body any, status int) map[string]any {
	t.Helper()
	code, answer := ask(t, s, token, "POST", path, body)
	if code != status {
		t.Fatalf("POST %s: %d %v, want %d", path, code, answer, status)
	}
	return answer
}

func noise(bytes int) string {
	text := make([]byte, bytes) // that doesn't compress
	source := rand.NewChaCha8([32]byte{})
	_, _ = source.Read(text)
	return string(text)
}

func TestTheEventsTellOfAnUpdateAndOfWhatIsDoneByHand(t *testing.T) {
	w := newWorld(t, testbed.AnyEngine, testbed.TLSToken)
	reg := w.bed.Registry(testbed.TLSToken)
	w.env = append(w.env, "USER_NAME=ann", "USER_PASSWORD="+adminPassword, "WATCH_UPDATE_STABLE_FOR=1s")
	w.release("app:latest", testbed.ImageOptions{Payload: "one"})
	w.container("app", reg.Ref("app:latest"), nil)
	s, _ := w.serve("WATCH_SCAN_INTERVAL=1h")
	_, token := login(t, s, adminPassword)
	testbed.Eventually(t, time.Minute, func() error { return ifNot(!s.Latest().ScannedAt.IsZero(), "not scanned") })
	f, app := w.follow(s, token), w.bed.Name("app")
	f.until(t, "snapshot", func(m frame) bool { return m.Type == "snapshot" && m.Engine.Reachable && len(m.Containers) > 0 })

	post(t, s, token, "/api/containers/"+app+"/pause", nil, 200)
	f.untilContainer(t, app, "paused")
	post(t, s, token, "/api/containers/"+app+"/unpause", nil, 200)
	post(t, s, token, "/api/containers/"+app+"/kill", map[string]string{"signal": "SIGNONSENSE"}, 409)
	post(t, s, token, "/api/containers/"+app+"/kill", map[string]string{"signal": "no signal"}, 422)
	post(t, s, token, "/api/containers/"+app+"/kill", map[string]string{"signal": "KILL"}, 200)
	f.untilContainer(t, app, "exited")
	post(t, s, token, "/api/containers/"+app+"/kill", map[string]string{}, 409)
	post(t, s, token, "/api/containers/"+app+"/rename", map[string]string{"name": w.bed.Name("app.wd-old")}, 409)
	post(t, s, token, "/api/containers/"+app+"/rename", map[string]string{"name": "../x"}, 422)
	if a := post(t, s, token, "/api/containers/"+app+"/rename", map[string]string{"name": w.bed.Name("web")}, 200); a["name"] != w.bed.Name("web") {
		t.Errorf("renamed: %v", a)
	}
	web := w.bed.Name("web")
	f.untilContainer(t, web, "exited")
	post(t, s, token, "/api/containers/"+web+"/start", nil, 200)
	f.same(t, s, token)

	w.release("app:latest", testbed.ImageOptions{Payload: noise(24 << 20)})
	scan := post(t, s, token, "/api/scan?fresh=true&wait=30s", map[string]string{}, 202)
	f.until(t, "the scan's end", func(m frame) bool {
		return m.Type == "operation" && m.Operation.ID == scan["id"] && m.Operation.State == store.Succeeded
	})
	f.until(t, "a scan that runs", func(m frame) bool { return m.Type == "scan" && m.Running })
	f.until(t, "the update that there is", func(m frame) bool {
		return m.Type == "container" && m.Container.Name == web && m.Container.Status == scanner.UpdateAvailable
	})
	op := post(t, s, token, "/api/containers/"+web+"/update?wait=1m", map[string]string{}, 202)
	if op["state"] != "succeeded" {
		t.Fatalf("the update: %v", op)
	}
	last := f.until(t, "the update's end", func(m frame) bool {
		return m.Type == "operation" && m.Operation.ID == op["id"] && m.Operation.State.Finished()
	})
	frames := f.like(func(m frame) bool { return m.Type == "operation" && m.Operation.ID == op["id"] })
	if steps := last.Operation.Steps; len(steps) == 0 || steps[len(steps)-1].Name != "finish" || steps[len(steps)-1].FinishedAt == nil {
		t.Errorf("its steps: %+v", steps)
	}
	pulled := slices.DeleteFunc(slices.Clone(frames), func(m frame) bool {
		p := m.Operation.Progress
		return p == nil || p.Total < 24<<20 || len(p.Layers) == 0
	})
	if len(pulled) == 0 {
		t.Error("no progress of the pull")
	}
	if took := frames[len(frames)-1].at.Sub(frames[0].at); len(frames) > 3*len(last.Operation.Steps)+4*int(took/time.Second+1) {
		t.Errorf("%d frames in %v", len(frames), took)
	}
	f.same(t, s, token)
	post(t, s, token, "/api/operations/"+last.Operation.ID+"/cancel", nil, 409)
	post(t, s, token, "/api/operations/nothing/cancel", nil, 404)
}

func TestAnEngineThatComesBackLeadsToAFreshSnapshot(t *testing.T) {
	w := newWorld(t, testbed.PrivateEngine, testbed.Plain)
	w.env = append(w.env, "USER_NAME=ann", "USER_PASSWORD="+adminPassword)
	reg := w.bed.Registry(testbed.Plain)
	w.push(reg, "app:latest", w.index("one", "one"))
	w.container("app", reg.Ref("app:latest"), nil)
	s, _ := w.serve("WATCH_SCAN_INTERVAL=1h")
	_, token := login(t, s, adminPassword)
	f, app := w.follow(s, token), w.bed.Name("app")
	testbed.Eventually(t, time.Minute, func() error {
		return ifNot(len(f.like(func(m frame) bool { return m.Reachable || m.Engine.Reachable })) > 0, "no engine")
	})
	if err := f.conn.Write(t.Context(), websocket.MessageText, []byte(`{"type":"stats","containers":["*"]}`)); err != nil {
		t.Fatal(err)
	}
	measured := func(m frame) bool { return m.Type == "stats" && m.Stats[0].PIDs > 0 && m.Stats[0].CPUPercent != nil }
	f.until(t, "figures", measured)

	if err := w.bed.Engine().Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	gone := f.until(t, "the engine goes", func(m frame) bool { return m.Type == "engine" && !m.Reachable })
	if err := w.bed.Engine().Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	back := f.until(t, "the engine is back", func(m frame) bool { return m.Type == "engine" && m.Reachable && m.Seq > gone.Seq })
	f.until(t, "a fresh snapshot", func(m frame) bool { return m.Type == "snapshot" && m.Seq > back.Seq })
	f.same(t, s, token)

	if _, err := w.bed.Engine().Client().ContainerStart(t.Context(), app, client.ContainerStartOptions{}); err != nil {
		t.Fatal(err)
	}
	f.until(t, "figures again", func(m frame) bool { return m.Seq > back.Seq && measured(m) })
	if strings.Contains(f.wrong, "frame") {
		t.Error(f.wrong)
	}
}
