package wsstream_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/watch-docker/watch-docker/internal/wsstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// counter is a source that says what it is told to, and counts its runs.
type counter struct {
	say           chan wsstream.Message
	fail          chan error
	began, ended  atomic.Int32
	mu            sync.Mutex
	state         int
	withoutState  bool
	snapshotsMade int
}

func newCounter() *counter {
	return &counter{say: make(chan wsstream.Message), fail: make(chan error)}
}

func (c *counter) Run(ctx context.Context, publish func(wsstream.Message)) error {
	c.began.Add(1)
	defer c.ended.Add(1)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-c.fail:
			return err
		case m := <-c.say:
			c.mu.Lock()
			if n, ok := m.Body.(int); ok {
				c.state = n
			}
			c.mu.Unlock()
			publish(m)
		}
	}
}

// stateful has a snapshot: the last number that it said.
type stateful struct{ *counter }

func (s stateful) Snapshot() (wsstream.Message, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.snapshotsMade++
	return wsstream.Message{Body: fmt.Sprint("snapshot ", s.state)}, !s.withoutState
}

func say(c *counter, from, to int) {
	for n := from; n <= to; n++ {
		c.say <- wsstream.Message{Body: n}
	}
	synctest.Wait()
}

// read gives what waits, in short.
func read(q *wsstream.Queue) string {
	var all []string
	for _, m := range q.Take() {
		switch {
		case m.Err != nil:
			all = append(all, m.Err.Error())
		case m.Skipped > 0:
			all = append(all, fmt.Sprint("skipped ", m.Skipped))
		default:
			all = append(all, fmt.Sprint(m.Body))
		}
	}
	return strings.Join(all, ", ")
}

func want(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestASourceRunsFromItsFirstSubscriberUntilSoonAfterItsLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub, source := wsstream.New(wsstream.Linger), newCounter()
		defer hub.Close()
		first := hub.Subscribe(t.Context(), "k", source, wsstream.Options{})
		second := hub.Subscribe(t.Context(), "k", newCounter(), wsstream.Options{}) // the one that runs counts
		say(source, 1, 2)
		want(t, read(first.Queue), "1, 2")
		want(t, read(second.Queue), "1, 2")
		first.Close()
		second.Close()
		second.Close()
		time.Sleep(wsstream.Linger - time.Millisecond)
		if sources, subscriptions := hub.Sources(); sources != 1 || subscriptions != 0 || source.ended.Load() != 0 {
			t.Errorf("before the end of its time: %d, %d", sources, subscriptions)
		}
		again := hub.Subscribe(t.Context(), "k", newCounter(), wsstream.Options{})
		time.Sleep(2 * wsstream.Linger)
		say(source, 3, 3)
		want(t, read(again.Queue), "3")
		again.Close()
		time.Sleep(wsstream.Linger)
		synctest.Wait()
		if sources, _ := hub.Sources(); sources != 0 || source.began.Load() != 1 || source.ended.Load() != 1 {
			t.Errorf("after it: %d sources, begun %d, ended %d", sources, source.began.Load(), source.ended.Load())
		}
		ctx, cancel := context.WithCancel(t.Context())
		hub.Subscribe(ctx, "k", source, wsstream.Options{})
		cancel()
		synctest.Wait()
		if _, subscriptions := hub.Sources(); subscriptions != 0 || source.began.Load() != 2 {
			t.Errorf("with its context: %d, begun %d", subscriptions, source.began.Load())
		}
	})
}

func TestWhoComesLateOrFallsBehindGetsASnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub, source := wsstream.New(wsstream.Linger), newCounter()
		defer hub.Close()
		source.withoutState = true
		quick := hub.Subscribe(t.Context(), "k", stateful{source}, wsstream.Options{})
		slow := hub.Subscribe(t.Context(), "k", stateful{source}, wsstream.Options{Size: 3})
		want(t, read(quick.Queue), "")
		want(t, read(slow.Queue), "")
		source.withoutState = false
		say(source, 1, 3)
		late := hub.Subscribe(t.Context(), "k", stateful{source}, wsstream.Options{})
		say(source, 4, 8)
		want(t, read(quick.Queue), "snapshot 8")
		want(t, read(slow.Queue), "snapshot 8")
		want(t, read(late.Queue), "snapshot 8")
		say(source, 9, 9)
		source.say <- wsstream.Message{Begun: true}
		synctest.Wait()
		want(t, read(slow.Queue), "9")
		want(t, read(late.Queue), "9")
		say(source, 10, 15)
		want(t, read(quick.Queue), "9, 10, 11, 12, 13, 14, 15")
		want(t, read(slow.Queue), "snapshot 15")
		waits := hub.Subscribe(t.Context(), "k", stateful{source}, wsstream.Options{})
		source.say <- wsstream.Message{Begun: true}
		synctest.Wait()
		want(t, read(waits.Queue), "snapshot 15")
		if source.snapshotsMade != 7 {
			t.Errorf("%d snapshots", source.snapshotsMade)
		}
	})
}

func TestAFullQueueWithoutSnapshotsKeepsTheNewest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub, source := wsstream.New(wsstream.Linger), newCounter()
		defer hub.Close()
		s := hub.Subscribe(t.Context(), "k", source, wsstream.Options{Size: 3})
		say(source, 1, 5)
		want(t, read(s.Queue), "4, 5")
	})
}

func TestAQueueThatDropsSaysWhereAndHowMuch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub, source := wsstream.New(wsstream.Linger), newCounter()
		defer hub.Close()
		s := hub.Subscribe(t.Context(), "k", source, wsstream.Options{Policy: wsstream.Drop, Size: 2})
		say(source, 1, 3)
		source.say <- wsstream.Message{Body: 4, Lines: 10}
		synctest.Wait()
		want(t, read(s.Queue), "1, 2, skipped 11")
		say(source, 5, 5)
		want(t, read(s.Queue), "5")
	})
}

func TestSeveralSourcesShareAQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub, a, b := wsstream.New(wsstream.Linger), newCounter(), newCounter()
		defer hub.Close()
		queue := wsstream.NewQueue(wsstream.Options{Size: 2})
		hub.Subscribe(t.Context(), "a", stateful{a}, wsstream.Options{Into: queue})
		ofB := hub.Subscribe(t.Context(), "b", stateful{b}, wsstream.Options{Into: queue})
		want(t, read(queue), "snapshot 0, snapshot 0")
		say(a, 1, 1)
		say(b, 11, 12)
		a.fail <- errors.New("a has failed")
		synctest.Wait()
		want(t, read(queue), "snapshot 1, snapshot 12, a has failed")
		say(b, 13, 13)
		ofB.Close()
		want(t, read(queue), "")

		drops := wsstream.NewQueue(wsstream.Options{Policy: wsstream.Drop, Size: 1})
		c, d := newCounter(), newCounter()
		hub.Subscribe(t.Context(), "c", c, wsstream.Options{Into: drops})
		hub.Subscribe(t.Context(), "d", d, wsstream.Options{Into: drops})
		for n := range 3 {
			say(c, n, n)
			say(d, n, n)
		}
		want(t, read(drops), "0, skipped 3, skipped 2")
	})
}

func TestASourceThatFailsEndsItsSubscribersAndIsStartedAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub, source := wsstream.New(wsstream.Linger), newCounter()
		defer hub.Close()
		s := hub.Subscribe(t.Context(), "k", source, wsstream.Options{})
		say(source, 1, 1)
		broken := errors.New("the engine went away")
		source.fail <- broken
		if m, err := s.Next(t.Context()); err != nil || m.Body != 1 || m.Key != "k" {
			t.Errorf("what came before: %v, %v", m, err)
		}
		if _, err := s.Next(t.Context()); !errors.Is(err, broken) {
			t.Errorf("got %v", err)
		}
		s.Close()
		again := hub.Subscribe(t.Context(), "k", source, wsstream.Options{})
		source.fail <- nil
		if _, err := again.Next(t.Context()); !errors.Is(err, wsstream.ErrEnded) {
			t.Errorf("one that ends by itself: %v", err)
		}
		if source.began.Load() != 2 {
			t.Errorf("begun %d times", source.began.Load())
		}
		panics := hub.Subscribe(t.Context(), "panic", sourceFunc(func(context.Context, func(wsstream.Message)) error { panic("oh") }), wsstream.Options{})
		if _, err := panics.Next(t.Context()); err == nil || !strings.Contains(err.Error(), "oh") {
			t.Errorf("one that panics: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		quiet := hub.Subscribe(t.Context(), "quiet", source, wsstream.Options{})
		if _, err := quiet.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("nothing to read: %v", err)
		}
	})
}

type sourceFunc func(context.Context, func(wsstream.Message)) error

func (f sourceFunc) Run(ctx context.Context, publish func(wsstream.Message)) error {
	return f(ctx, publish)
}

func TestCloseWaitsForTheSources(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub, ended := wsstream.New(wsstream.Linger), false
		s := hub.Subscribe(t.Context(), "k", sourceFunc(func(ctx context.Context, _ func(wsstream.Message)) error {
			<-ctx.Done()
			time.Sleep(time.Second)
			ended = true
			return ctx.Err()
		}), wsstream.Options{})
		idle := newCounter()
		hub.Subscribe(t.Context(), "idle", idle, wsstream.Options{}).Close()
		hub.Close()
		if !ended || idle.ended.Load() != 1 {
			t.Error("a source goes on")
		}
		if _, err := s.Next(t.Context()); !errors.Is(err, wsstream.ErrClosed) {
			t.Errorf("its subscriber: %v", err)
		}
		late := hub.Subscribe(t.Context(), "k", newCounter(), wsstream.Options{})
		if _, err := late.Next(t.Context()); !errors.Is(err, wsstream.ErrClosed) {
			t.Errorf("one that comes after it: %v", err)
		}
		late.Close()
	})
}

func TestAThousandSubscribersLeaveNothing(t *testing.T) {
	hub := wsstream.New(time.Millisecond)
	defer hub.Close()
	before := runtime.NumGoroutine()
	var beside sync.WaitGroup
	for i := range 1000 {
		beside.Go(func() {
			source := sourceFunc(func(ctx context.Context, publish func(wsstream.Message)) error {
				for ctx.Err() == nil {
					publish(wsstream.Message{Body: i})
					runtime.Gosched()
				}
				return ctx.Err()
			})
			s := hub.Subscribe(t.Context(), fmt.Sprint(i%7), source, wsstream.Options{Policy: wsstream.Policy(i % 2), Size: 1 + i%5})
			defer s.Close()
			if _, err := s.Next(t.Context()); err != nil {
				t.Error(err)
			}
		})
		if i%50 == 0 {
			beside.Wait()
		}
	}
	beside.Wait()
	for deadline := time.Now().Add(10 * time.Second); ; runtime.Gosched() {
		sources, subscriptions := hub.Sources()
		if sources == 0 && runtime.NumGoroutine() <= before {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d sources, %d subscriptions, %d goroutines of %d are left", sources, subscriptions, runtime.NumGoroutine(), before)
		}
	}
}
