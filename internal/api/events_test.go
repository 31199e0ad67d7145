package api_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"

	"github.com/watch-docker/watch-docker/internal/api"
	"github.com/watch-docker/watch-docker/internal/scanner"
	"github.com/watch-docker/watch-docker/internal/store"
)

// frames reads the events in short, and checks their numbers.
type frames struct {
	w    *world
	conn *websocket.Conn
	seq  float64
}

func (w *world) frames(options ...option) *frames {
	w.t.Helper()
	conn, a := w.dial(options...)
	if conn == nil {
		w.t.Fatal(a)
	}
	conn.SetReadLimit(1 << 20)
	return &frames{w: w, conn: conn}
}

func (f *frames) next() answer {
	f.w.t.Helper()
	a := f.w.read(f.conn)
	if f.seq++; a.get("seq") != f.seq {
		f.w.t.Fatalf("frame %v: %s", f.seq, a.text)
	}
	return a
}

// want reads a frame and tells it in words.
func (f *frames) want(want string) answer {
	f.w.t.Helper()
	a := f.next()
	got := fmt.Sprint(a.get("type"))
	switch got {
	case "container":
		got += fmt.Sprint(" ", a.get("container", "name"), " ", a.get("container", "state"))
	case "removed":
		got += fmt.Sprint(" ", a.get("name"), " ", a.get("id"))
	case "operation":
		got += fmt.Sprint(" ", a.get("operation", "target"), " ", a.get("operation", "state"))
	case "engine":
		got += fmt.Sprint(" ", a.get("reachable"))
	case "scan":
		got += fmt.Sprint(" ", a.get("running"), " ", a.get("done"), " of ", a.get("total"))
	}
	if got != want {
		f.w.t.Fatalf("got %q (%.300s), want %q", got, a.text, want)
	}
	return a
}

func (f *frames) say(text string) {
	f.w.t.Helper()
	if err := f.conn.Write(f.w.t.Context(), websocket.MessageText, []byte(text)); err != nil {
		f.w.t.Fatal(err)
	}
}

func TestTheEventsTellWhatChanges(t *testing.T) {
	w := newWorld(t, func(d *api.Dependencies) { d.Auth = roles{} })
	f := w.frames(bearer("viewer"))
	f.want("snapshot")
	w.become(func(all []scanner.ContainerStatus, _ *scanner.Live) []scanner.ContainerStatus {
		all[2].State, all[2].Running = "exited", false
		return all
	})
	f.want("container web exited")
	w.become(func(all []scanner.ContainerStatus, _ *scanner.Live) []scanner.ContainerStatus {
		another := all[0]
		another.ID, another.Name = strings.Replace(dbID, "2", "9", 1), "db"
		return append(all[1:], another)
	})
	f.want("removed db " + dbID)
	f.want("container db exited")
	w.become(func(all []scanner.ContainerStatus, now *scanner.Live) []scanner.ContainerStatus {
		now.Scan = scanner.Scanning{Running: true, Total: 3}
		return all
	})
	f.want("scan true 0 of 3")
	w.become(func(all []scanner.ContainerStatus, now *scanner.Live) []scanner.ContainerStatus {
		now.Scan.Done = 2
		return all
	})
	f.want("scan true 2 of 3")
	w.become(func(all []scanner.ContainerStatus, now *scanner.Live) []scanner.ContainerStatus {
		now.Scan = scanner.Scanning{}
		return all
	})
	f.want("scan false 0 of 0")

	late := w.frames(bearer("ben/viewer"))
	if all, _ := late.want("snapshot").get("containers").([]any); len(all) != 3 {
		t.Errorf("who comes late gets %v", all)
	}
	if sources, subscriptions := w.hub.Sources(); sources != 1 || subscriptions != 2 {
		t.Errorf("%d sources for %d sockets", sources, subscriptions)
	}
}

func TestAnEngineThatComesBackLeadsToASnapshot(t *testing.T) {
	w := newWorld(t, func(d *api.Dependencies) { d.Auth = roles{} })
	f := w.frames(bearer("viewer"))
	f.want("snapshot")
	w.become(func(all []scanner.ContainerStatus, now *scanner.Live) []scanner.ContainerStatus {
		now.Reachable = false
		return all
	})
	f.want("engine false")
	w.become(func(all []scanner.ContainerStatus, now *scanner.Live) []scanner.ContainerStatus {
		now.Reachable = true
		now.Returns++
		return all[:1]
	})
	f.want("engine true")
	a := f.want("snapshot")
	if all, _ := a.get("containers").([]any); len(all) != 1 || a.get("engine", "reachable") != true {
		t.Errorf("got %s", a)
	}
	w.become(func(all []scanner.ContainerStatus, now *scanner.Live) []scanner.ContainerStatus { // too quick to be seen
		now.Returns++
		return all
	})
	f.want("snapshot")
}

func TestTheEventsTellOperationsAndTheirProgressFourTimesASecond(t *testing.T) {
	w := newWorld(t, func(d *api.Dependencies) { d.Auth = roles{} })
	early, err := w.operation(t.Context(), "update", "web", "ann")
	if err != nil {
		t.Fatal(err)
	}
	f := w.frames(bearer("viewer"))
	if a := f.want("snapshot"); a.get("operations", 0, "id") != early.ID || a.get("operations", 1) != nil {
		t.Errorf("unfinished: %v", a.get("operations"))
	}
	op, err := w.operation(t.Context(), "update", "one", "ann")
	if err != nil {
		t.Fatal(err)
	}
	w.tell(op.ID)
	f.want("operation one running")
	began := time.Now()
	for range 100 { // nothing but its progress, which the store doesn't have
		w.tell(op.ID)
	}
	f.want("operation one running")
	if took := time.Since(began); took < 150*time.Millisecond {
		t.Errorf("progress after %v", took)
	}
	step := store.Step{Name: "pull", State: store.StepRunning, StartedAt: time.Now().UTC()}
	if err := w.store.SaveStep(t.Context(), op.ID, 0, step); err != nil {
		t.Fatal(err)
	}
	w.tell(op.ID)
	if a := f.want("operation one running"); a.get("operation", "steps", 0, "name") != "pull" {
		t.Errorf("got %s", a)
	}
	if err := w.finish(t.Context(), op.ID); err != nil {
		t.Fatal(err)
	}
	w.tell("nobody")
	w.tell(op.ID)
	if a := f.want("operation one rolledBack"); a.get("operation", "error", "code") != "unhealthy" {
		t.Errorf("got %s", a)
	}
	if a := w.frames(bearer("ben/viewer")).want("snapshot"); a.get("operations", 1) != nil {
		t.Errorf("one that has ended is still there: %s", a)
	}
}

// stats reads a frame of figures, and gives whose they are.
func (f *frames) stats() string {
	f.w.t.Helper()
	a := f.next()
	all, _ := a.get("stats").([]any)
	if a.get("type") != "stats" || len(all) == 0 {
		f.w.t.Fatalf("no figures: %s", a.text)
	}
	var names []string
	for _, s := range all {
		names = append(names, nameOf(s.(map[string]any)["id"].(string)))
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

func TestFiguresAreMeasuredOnceForAllWhoLookAndForNobodyElse(t *testing.T) {
	w := newWorld(t, func(d *api.Dependencies) { d.Auth = roles{} })
	first, second := w.frames(bearer("ann/viewer")), w.frames(bearer("ben/viewer"))
	first.want("snapshot")
	second.want("snapshot")
	if _, begun := w.measured(); begun != 0 {
		t.Errorf("%d streams for nobody", begun)
	}
	for _, nonsense := range []string{"", "x", `[]`, `{"type":"stats","containers":"*"}`, `{"type":"stats","containers":["nobody"]}`, `{"type":"other"}`} {
		first.say(nonsense)
	}
	first.say(`{"type":"stats","containers":["*"]}`)
	second.say(`{"type":"stats","containers":["web"]}`)
	if got := first.stats(); got != "one web" {
		t.Errorf("all that run: %s", got)
	}
	if got := second.stats(); got != "web" {
		t.Errorf("by name: %s", got)
	}
	if ids, begun := w.measured(); begun != 2 || len(ids) != 2 {
		t.Errorf("%d streams for %v", begun, ids)
	}
	// One that starts is added, one that ends is taken off.
	w.become(func(all []scanner.ContainerStatus, _ *scanner.Live) []scanner.ContainerStatus {
		all[0].Running, all[0].State = true, "running"
		all[2].Running, all[2].State = false, "exited"
		return all
	})
	for _, f := range []*frames{first, second} {
		for range 2 {
			for a := f.next(); a.get("type") != "container"; a = f.next() {
			}
		}
	}
	for got := first.stats(); got != "db one"; got = first.stats() {
	}
	first.say(`{"type":"stats","containers":[]}`)
	eventually(t, func() string {
		ids, begun := w.measured()
		if len(ids) == 0 && begun == 3 {
			return ""
		}
		return fmt.Sprintf("%d streams begun, for nobody: %v", begun, ids)
	})
}

func TestNoMoreThanTwoHundredAreMeasured(t *testing.T) {
	w := newWorld(t, func(d *api.Dependencies) { d.Auth = roles{} })
	w.become(func(all []scanner.ContainerStatus, _ *scanner.Live) []scanner.ContainerStatus {
		for i := range 250 {
			c := all[1]
			c.ID, c.Name = fmt.Sprintf("cccccccccccc%052d", i), fmt.Sprint("c", i)
			all = append(all, c)
		}
		return all
	})
	f := w.frames(bearer("viewer"))
	f.want("snapshot")
	f.say(`{"type":"stats","containers":["*"]}`)
	for {
		a := f.next()
		if a.get("type") == "error" {
			if a.get("code") != "too_many_stats" {
				t.Errorf("got %s", a)
			}
			break
		}
	}
	if all, _ := f.next().get("stats").([]any); len(all) > 200 {
		t.Errorf("%d of them", len(all))
	}
	if err := f.conn.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Error(err)
	}
}

func TestAThousandSocketsLeaveNothing(t *testing.T) {
	w := newWorld(t, func(d *api.Dependencies) { d.Auth = roles{} })
	round := func(n int) {
		for range n {
			f := w.frames(bearer("viewer"))
			f.want("snapshot")
			f.say(`{"type":"stats","containers":["*"]}`)
			_ = f.conn.CloseNow()
		}
		w.client.CloseIdleConnections()
	}
	settled := func(most int) {
		eventually(t, func() string {
			sources, subscriptions := w.hub.Sources()
			if sources+subscriptions == 0 && runtime.NumGoroutine() <= most {
				return ""
			}
			return fmt.Sprintf("%d sources, %d subscriptions, %d goroutines", sources, subscriptions, runtime.NumGoroutine())
		})
	}
	round(10)
	before := runtime.NumGoroutine() // some of them end yet
	round(1000)
	settled(before)
	if diff := cmp.Diff(map[string]bool{}, first(w.measured())); diff != "" {
		t.Error(diff)
	}
}

func first[A, B any](a A, _ B) A { return a }

// eventually waits until what says nothing any more.
func eventually(t *testing.T, what func() string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for said := what(); said != ""; said = what() {
		select {
		case <-ctx.Done():
			t.Fatal(said)
		case <-tick.C:
		}
	}
}

func TestWhatIsTooLateToCancelIsAConflict(t *testing.T) {
	w := newWorld(t).signIn()
	op, err := w.operation(t.Context(), "update", "web", "ann")
	if err != nil {
		t.Fatal(err)
	}
	w.live.mu.Lock()
	w.live.late = true
	w.live.mu.Unlock()
	w.as("POST", "/api/operations/"+op.ID+"/cancel").is(409, "too_late")
	w.as("POST", "/api/operations/nothing/cancel").is(404, "operation_not_found")
	w.as("POST", "/api/containers/web/rename", raw(`{"name":"web.wd-new"}`)).is(409, "conflict")
}
