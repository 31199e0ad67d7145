package containerlog_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"

	"github.com/watch-docker/watch-docker/internal/containerlog"
	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/internal/registry"
	"github.com/watch-docker/watch-docker/internal/store"
	"github.com/watch-docker/watch-docker/internal/updater"
	"github.com/watch-docker/watch-docker/test/testbed"
)

func TestAFollowedContainerThatRestartsLosesAndRepeatsNoLine(t *testing.T) {
	w := newWorld(t, testbed.AnyEngine)
	c := w.start("restarting", counting)
	k := w.follow(c, containerlog.Request{Tail: containerlog.All, Follow: true})
	for range 3 {
		w.grows(k, len(k.lines())+50)
		now := time.Duration(0)
		w.must(w.engine.Restart(t.Context(), c.ID, &now))
	}
	w.grows(k, len(k.lines())+50)
	w.must(w.engine.Stop(t.Context(), c.ID, nil))
	w.hears(k, "<stopped>")
	w.same(k.lines(), w.written(c.ID))
	if n := strings.Count(k.notices(), "<restarted>"); n != 3 {
		t.Errorf("%d restarts: %s", n, k.notices())
	}
	// One that is started again after a while is gone on with.
	w.must(w.engine.Start(t.Context(), c.ID))
	w.grows(k, len(k.lines())+50)
	w.must(w.engine.Stop(t.Context(), c.ID, nil))
	w.must(w.engine.Remove(t.Context(), c.ID, dockercli.RemoveOptions{}))
	if err := w.ended(k); err != nil || !strings.HasSuffix(k.notices(), "<ended>") {
		t.Errorf("%v, %s", err, k.notices())
	}
}

// hasty is an engine that ends what is followed too early: it gives only what
// was written until then.
type hasty struct {
	*dockercli.Client

	then time.Time
}

func (h hasty) LogStream(ctx context.Context, id string, o dockercli.LogOptions) (*dockercli.LogStream, error) {
	if o.Follow {
		o.Until = h.then
	}
	return h.Client.LogStream(ctx, id, o)
}

func TestTheLastLinesComeAlsoIfTheEngineEndsTheStreamBefore(t *testing.T) {
	w := newWorld(t, testbed.AnyEngine)
	logs := containerlog.New(hasty{w.engine, time.Now()}, nil)
	c := w.start("app", `until [ -e /go ]; do busybox usleep 20000; done; i=0; while [ $i -lt 50 ]; do i=$((i+1)); echo "line $i"; done`)
	k := w.listen(func(ctx context.Context, to containerlog.Sink) error {
		return logs.Container(ctx, c.ID, c.Name, containerlog.Request{Tail: 0, Follow: true}, to)
	})
	w.hears(k, "<history")
	_ = testbed.Must(w.engine.Exec(t.Context(), c.ID, dockercli.ExecOptions{Cmd: []string{"touch", "/go"}}))(t)
	w.hears(k, "<stopped>")
	w.same(k.lines(), w.written(c.ID))
	if notices := k.notices(); notices != "<history 0/0 true> <stopped>" {
		t.Error(notices)
	}
}

func TestAContainerThatKeepsEndingIsFollowedThroughItsPolicy(t *testing.T) {
	w := newWorld(t, testbed.AnyEngine)
	c := w.start("crashing", `busybox seq 200; echo end >&2; exit 1`, always)
	k := w.follow(c, containerlog.Request{Tail: containerlog.All, Follow: true})
	w.grows(k, 4*201)
	w.must(w.engine.Stop(t.Context(), c.ID, nil))
	testbed.Eventually(t, time.Minute, func() error {
		if heard, written := len(k.lines()), len(w.written(c.ID)); heard != written {
			return fmt.Errorf("heard %d of %d", heard, written)
		}
		return nil
	})
	w.same(k.lines(), w.written(c.ID))
}

// updates is a running updater.
func (w *world) updates() *updater.Updater {
	w.Helper()
	st := testbed.Must(store.Open(w.Context(), w.TempDir()))(w)
	up := updater.New(updater.Dependencies{
		Engine: w.engine, Store: st,
		Credentials: registry.Configured([]registry.HostCredential{{Host: w.reg.Host(), Username: w.reg.Username(), Password: w.reg.Password()}}),
		Settings:    updater.Settings{Concurrency: 4, RemoveOld: true, HealthTimeout: 5 * time.Second, StableFor: time.Second, Keep: 100},
	})
	ctx, stop := context.WithCancel(context.WithoutCancel(w.Context()))
	ended := make(chan struct{})
	go func() { defer close(ended); _ = up.Run(ctx) }()
	w.Cleanup(func() {
		stop()
		<-ended
		if err := st.Close(); err != nil {
			w.Error(err)
		}
	})
	return up
}

// update brings a container to what its tag names now, and gives the state it ended in.
func (w *world) update(up *updater.Updater, c testbed.Container, digest string) store.OperationState {
	w.Helper()
	op := testbed.Must(up.Update(w.Context(), updater.Request{ContainerID: c.ID, Name: c.Name, Image: w.image, Pull: true, Digest: digest, Actor: "test"}))(w)
	select {
	case <-up.Done(op.ID):
	case <-time.After(time.Minute):
		w.Fatal("the update doesn't end")
	}
	return testbed.Must(up.Operation(w.Context(), op.ID))(w).State
}

func (w *world) push(tag string, o testbed.ImageOptions) (digest string) {
	w.Helper()
	return testbed.Must(w.reg.Push(w.Context(), tag, testbed.Must(testbed.Image(o))(w)))(w)
}

func TestAnUpdateWhileFollowedGoesOnWithTheNewContainer(t *testing.T) {
	w := newWorld(t, testbed.AnyEngine)
	up := w.updates()
	loud := func(first string) testbed.ImageOptions {
		return testbed.ImageOptions{Payload: first, Env: []string{"START=" + first}, Cmd: []string{"sh", "-c", "trap 'exit 0' TERM; " + counting}}
	}
	w.release(loud("0"))
	c := w.start("app", "", func(s *testbed.ContainerSpec) { s.Cmd = nil; always(s) })
	k := w.follow(c, containerlog.Request{Tail: containerlog.All, Follow: true})
	w.grows(k, 50)
	if state := w.update(up, c, w.push("app:1", loud("100000"))); state != store.Succeeded {
		t.Fatal(state)
	}
	now := testbed.Must(w.engine.Inspect(t.Context(), c.Name))(t)
	w.grows(k, len(k.lines())+50)
	w.must(w.engine.Stop(t.Context(), now.ID, nil))
	testbed.Eventually(t, time.Minute, func() error {
		if strings.HasSuffix(k.notices(), "<stopped> <replaced> <stopped>") {
			return nil
		}
		return errors.New(k.notices())
	})
	lines := k.lines()
	at := 0
	for lines[at] != "line 100001" {
		at++
	}
	for i := range at { // the old one's log is gone with it: its numbers must do
		if lines[i] != fmt.Sprint("line ", i+1) {
			t.Fatalf("line %d is %q", i, lines[i])
		}
	}
	w.same(lines[at:], w.written(now.ID))
}

func TestAnUpdateThatIsRolledBackGoesOnWithTheOldContainer(t *testing.T) {
	w := newWorld(t, testbed.AnyEngine)
	up := w.updates()
	w.release(testbed.ImageOptions{Payload: "one", Cmd: []string{"sh", "-c", "trap 'exit 0' TERM; " + counting}})
	c := w.start("app", "", func(s *testbed.ContainerSpec) { s.Cmd = nil; always(s) })
	k := w.follow(c, containerlog.Request{Tail: containerlog.All, Follow: true})
	w.grows(k, 50)
	bad := testbed.ImageOptions{Payload: "two", Cmd: []string{"sh", "-c", "echo nothing works here; exit 1"}}
	if state := w.update(up, c, w.push("app:1", bad)); state != store.RolledBack {
		t.Fatal(state)
	}
	w.grows(k, len(k.lines())+50)
	w.must(w.engine.Stop(t.Context(), c.ID, nil))
	written := w.written(c.ID)
	testbed.Eventually(t, time.Minute, func() error {
		if lines := k.lines(); lines[len(lines)-1] != written[len(written)-1] {
			return errors.New("the last line is missing")
		}
		return nil
	})
	var own []string
	for _, l := range k.lines() {
		if l != "nothing works here" {
			own = append(own, l)
		}
	}
	w.same(own, written)
}

func TestWhoeverTakesTheNameIsFollowed(t *testing.T) {
	w := newWorld(t, testbed.AnyEngine)
	c := w.start("web", "echo first; sleep 1000 & wait")
	k := w.follow(c, containerlog.Request{Tail: 10, Follow: true})
	w.hears(k, "first")
	w.must(w.engine.Remove(t.Context(), c.ID, dockercli.RemoveOptions{Force: true}))
	w.start("web", "echo second; sleep 1000 & wait")
	w.hears(k, "second")
	if n := k.notices(); !strings.Contains(n, "<replaced>") || strings.Contains(n, "ended") {
		t.Error(n)
	}
	// One that only gets another name is followed on.
	now := testbed.Must(w.engine.Inspect(t.Context(), c.Name))(t)
	w.must(w.engine.Rename(t.Context(), now.ID, w.bed.Name("web2")))
	soon := time.Duration(0)
	w.must(w.engine.Restart(t.Context(), now.ID, &soon))
	w.hears(k, "<restarted>")
	w.must(w.engine.Remove(t.Context(), now.ID, dockercli.RemoveOptions{Force: true}))
	if err := w.ended(k); err != nil || !strings.HasSuffix(k.notices(), "<ended>") {
		t.Errorf("%v, %s", err, k.notices())
	}
}

func TestAnEngineThatGoesAwayIsWaitedFor(t *testing.T) {
	w := newWorld(t, testbed.PrivateEngine)
	c := w.start("app", counting, always)
	k := w.follow(c, containerlog.Request{Tail: containerlog.All, Follow: true})
	for range 2 {
		w.grows(k, len(k.lines())+50)
		before := strings.Count(k.notices(), "<connected>")
		w.must(w.bed.Engine().Restart(t.Context()))
		testbed.Eventually(t, time.Minute, func() error {
			if strings.Count(k.notices(), "<connected>") == before {
				return errors.New(k.notices())
			}
			return nil
		})
		w.grows(k, len(k.lines())+50)
	}
	w.must(w.engine.Stop(t.Context(), c.ID, nil))
	testbed.Eventually(t, time.Minute, func() error {
		if strings.HasSuffix(k.notices(), "<stopped>") {
			return nil
		}
		return errors.New(k.notices())
	})
	w.same(k.lines(), w.written(c.ID))
	if n := k.notices(); strings.Count(n, "<disconnected>") != strings.Count(n, "<connected>") {
		t.Error(n)
	}
}

func TestOneThatCannotBeReadIsAnError(t *testing.T) {
	w := newWorld(t, testbed.AnyEngine)
	c := w.start("mute", "sleep 1000", func(s *testbed.ContainerSpec) {
		s.HostConfig = &container.HostConfig{LogConfig: container.LogConfig{Type: "none"}}
	})
	if err := w.ended(w.follow(c, containerlog.Request{Tail: 10, Follow: true})); !errors.Is(err, containerlog.ErrUnavailable) {
		t.Error(err)
	}
	if err := w.ended(w.follow(testbed.Container{ID: "none", Name: "none"}, containerlog.Request{})); !errors.Is(err, dockercli.ErrNotFound) {
		t.Error(err)
	}
}

// sockets counts this process's.
func sockets(t *testing.T) (n int) {
	t.Helper()
	fds := testbed.Must(os.ReadDir("/proc/self/fd"))(t)
	for _, fd := range fds {
		if to, err := os.Readlink(filepath.Join("/proc/self/fd", fd.Name())); err == nil && strings.HasPrefix(to, "socket:") {
			n++
		}
	}
	return n
}

func TestManyFollowersLeaveNothingBehind(t *testing.T) {
	w := newWorld(t, testbed.AnyEngine)
	c, silent := w.start("app", counting), w.start("silent", "sleep 1000 & wait")
	w.must(w.engine.Ping(t.Context()))
	before := sockets(t)
	for i := range 500 {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		k, of := &talk{}, c
		if i%2 == 1 {
			of = silent
		}
		go func() { ended <- w.logs.Container(ctx, of.ID, of.Name, containerlog.Request{Tail: 1, Follow: true}, k) }()
		for !strings.Contains(k.notices(), "<history") {
			select {
			case err := <-ended:
				t.Fatal(err)
			case <-time.After(time.Millisecond):
			}
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	testbed.Eventually(t, time.Minute, func() error { // the engine's end closes, too
		if now := sockets(t); now > before+2 { // idle ones are kept
			return fmt.Errorf("%d sockets, %d before", now, before)
		}
		return nil
	})
}
