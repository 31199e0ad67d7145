package containerlog_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/watch-docker/watch-docker/internal/containerlog"
	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/test/testbed"
)

// counted is an engine whose streams that follow are counted.
type counted struct {
	*dockercli.Client

	mu       sync.Mutex
	followed int
	latest   context.Context
}

func (c *counted) LogStream(ctx context.Context, id string, o dockercli.LogOptions) (*dockercli.LogStream, error) {
	if o.Follow {
		c.mu.Lock()
		c.followed++
		c.latest = ctx
		c.mu.Unlock()
	}
	return c.Client.LogStream(ctx, id, o)
}

func (c *counted) begun() (int, context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.followed, c.latest
}

func TestAllWhoFollowAContainerShareOneStream(t *testing.T) {
	w := newWorld(t, testbed.AnyEngine)
	engine := &counted{Client: w.engine}
	logs := containerlog.New(engine, nil)
	c := w.start("app", counting)
	follow := func(r containerlog.Request) *talk {
		return w.listen(func(ctx context.Context, to containerlog.Sink) error { return logs.Container(ctx, c.ID, c.Name, r, to) })
	}
	first := follow(containerlog.Request{Tail: containerlog.All, Follow: true})
	w.grows(first, 20)
	others := []*talk{}
	for range 6 { // these come while lines do
		others = append(others, follow(containerlog.Request{Tail: containerlog.All, Follow: true}))
	}
	some := follow(containerlog.Request{Tail: 0, Follow: true, Match: func(text []byte) bool { return strings.HasSuffix(string(text), "0") }})
	for _, k := range others {
		w.grows(k, 30)
	}
	w.grows(some, 5)

	// The one who came first goes; the stream is the others' as well.
	before, _ := engine.begun()
	first.stop()
	<-first.ends
	for _, k := range others {
		w.grows(k, len(k.lines())+30)
	}
	if now, _ := engine.begun(); now != before {
		t.Errorf("%d streams were begun by those who have all that there is", now-before)
	}
	w.must(w.engine.Restart(t.Context(), c.ID, new(time.Duration)))
	for _, k := range others {
		w.hears(k, "<restarted>")
		w.grows(k, len(k.lines())+50)
	}
	now, stream := engine.begun()
	if now > before+3 { // one, but for an engine that ends one too early
		t.Errorf("%d streams for one start that 7 follow", now-before)
	}
	w.must(w.engine.Stop(t.Context(), c.ID, nil))
	written := w.written(c.ID)
	for _, k := range others {
		w.hears(k, "<stopped>")
		w.same(k.lines(), written)
		k.stop()
		<-k.ends
	}
	for _, line := range some.lines() {
		if !strings.HasSuffix(line, "0") {
			t.Errorf("it doesn't match: %s", line)
		}
	}
	w.hears(some, "<stopped>")
	if n, want := len(some.lines()), len(slices.DeleteFunc(slices.Clone(written), func(l string) bool { return !strings.HasSuffix(l, "0") })); n < want-10 {
		t.Errorf("%d lines that match, of %d", n, want)
	}
	some.stop()
	<-some.ends
	if stream.Err() == nil {
		t.Error("the stream goes on, with nobody left")
	}
}

// slow is a sink that takes no line as long as it holds.
type slow struct {
	containerlog.Sink

	hold atomic.Bool
}

func (s *slow) Line(l containerlog.Line) error {
	for s.hold.Load() {
		time.Sleep(time.Millisecond)
	}
	return s.Sink.Line(l)
}

func TestWhoIsSlowLosesNothingAndHoldsNobodyUp(t *testing.T) {
	w := newWorld(t, testbed.AnyEngine)
	engine := &counted{Client: w.engine}
	logs := containerlog.New(engine, nil)
	c := w.start("app", `echo begun
for i in 1 2; do
	until [ -e /go$i ]; do busybox usleep 20000; done
	busybox awk "BEGIN { for (n = 0; n < 20000; n++) print \"$i\", n }"; echo "done $i"
done; sleep 1000 & wait`)
	var slow slow
	follow := func(on func(containerlog.Sink) containerlog.Sink) *talk {
		return w.listen(func(ctx context.Context, to containerlog.Sink) error {
			return logs.Container(ctx, c.ID, c.Name, containerlog.Request{Tail: containerlog.All, Follow: true}, on(to))
		})
	}
	late := follow(func(to containerlog.Sink) containerlog.Sink { slow.Sink = to; return &slow })
	t.Cleanup(func() { slow.hold.Store(false) })
	quick := follow(func(to containerlog.Sink) containerlog.Sink { return to })
	both := func(want string) {
		w.hears(quick, want)
		w.hears(late, want)
	}
	both("<history")
	both("begun")
	floods := func(file string) {
		_ = testbed.Must(w.engine.Exec(t.Context(), c.ID, dockercli.ExecOptions{Cmd: []string{"touch", file}}))(t)
	}
	slow.hold.Store(true)
	floods("/go1")
	w.hears(quick, "done 1")
	if n := len(late.lines()); n > 1 {
		t.Fatalf("it isn't slow: %d", n)
	}
	slow.hold.Store(false)
	both("done 1")
	if n, _ := engine.begun(); n < 2 {
		t.Error("what was let go for all has to be read again")
	}
	floods("/go2")
	both("done 2")
	w.must(w.engine.Stop(t.Context(), c.ID, nil))
	both("<stopped>")
	written := w.written(c.ID)
	w.same(late.lines(), written)
	w.same(quick.lines(), written)
}

// Nobody else follows, so that what is let go comes from no other's stream.
func TestWhoIsSlowAndAloneReadsOneStream(t *testing.T) {
	w := newWorld(t, testbed.AnyEngine)
	engine := &counted{Client: w.engine}
	logs := containerlog.New(engine, nil)
	c := w.start("app", `until [ -e /go ]; do busybox usleep 20000; done; busybox seq 30000; sleep 1000 & wait`)
	var slow slow
	k := w.listen(func(ctx context.Context, to containerlog.Sink) error {
		slow.Sink = to
		return logs.Container(ctx, c.ID, c.Name, containerlog.Request{Tail: containerlog.All, Follow: true}, &slow)
	})
	t.Cleanup(func() { slow.hold.Store(false) })
	w.hears(k, "<history")
	slow.hold.Store(true)
	_ = testbed.Must(w.engine.Exec(t.Context(), c.ID, dockercli.ExecOptions{Cmd: []string{"touch", "/go"}}))(t)
	testbed.Eventually(t, time.Minute, func() error {
		if n := len(w.written(c.ID)); n < 30_000 {
			return fmt.Errorf("%d lines are written", n)
		}
		return nil
	})
	now := testbed.Must(w.engine.Inspect(t.Context(), c.ID))(t).StartedAt
	w.must(w.engine.Restart(t.Context(), c.ID, new(time.Duration)))
	if again := testbed.Must(w.engine.Inspect(t.Context(), c.ID))(t).StartedAt; !again.After(now) {
		t.Fatal("it hasn't been restarted")
	}
	slow.hold.Store(false)
	w.hears(k, "<restarted>")
	w.grows(k, 60_000)
	w.must(w.engine.Stop(t.Context(), c.ID, nil))
	w.hears(k, "<stopped>")
	w.same(k.lines(), w.written(c.ID))
	// One of all, those of what was let go with its tails, one of the second start.
	if n, _ := engine.begun(); n > 8 {
		t.Errorf("%d streams were begun", n)
	}
}

// What doesn't match never reaches the sink, which could end the reading.
func TestAFollowerEndsInTheMiddleOfAFlood(t *testing.T) {
	w := newWorld(t, testbed.AnyEngine)
	c := w.start("app", `busybox yes "this is never wanted"`)
	var seen atomic.Int64
	k := w.follow(c, containerlog.Request{Tail: 0, Follow: true, Match: func([]byte) bool { seen.Add(1); return false }})
	w.hears(k, "<history")
	testbed.Eventually(t, time.Minute, func() error {
		if n := seen.Load(); n < 10_000 {
			return fmt.Errorf("%d lines have come", n)
		}
		return nil
	})
	k.stop()
	if err := w.ended(k); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
