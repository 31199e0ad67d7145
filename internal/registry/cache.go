package registry

import (
	"context"
	"sync"
	"time"
)

// maxKept bounds each cache, in answers.
const maxKept = 10_000

// answers joins everybody who asks the same thing at the same time, and keeps
// what was answered for a while.
//
// x/sync/singleflight would hand the first asker's cancellation to all the
// others; here one of them asks anew.
type answers[V any] struct {
	now func() time.Time
	// keep says how long an answer holds; 0 is not at all.
	keep func(err error) time.Duration
	// max bounds the answers that are kept.
	max int

	mu    sync.Mutex
	calls map[string]*call[V]
}

// call is a question under way, or its answer once done is closed.
type call[V any] struct {
	done  chan struct{}
	value V
	err   error
	until time.Time
}

func newAnswers[V any](now func() time.Time, keep func(err error) time.Duration) *answers[V] {
	return &answers[V]{now: now, keep: keep, max: maxKept, calls: map[string]*call[V]{}}
}

// get returns the answer that is kept, or the one that somebody else is
// waiting for already, or that of ask.
func (a *answers[V]) get(ctx context.Context, key string, ask func(context.Context) (V, error)) (V, error) {
	for {
		c, mine := a.join(key)
		if mine {
			a.run(ctx, key, c, ask)
			return c.value, c.err
		}
		select {
		case <-c.done:
			if !ended(c.err) {
				return c.value, c.err
			}
		case <-ctx.Done():
			var none V
			return none, ctx.Err()
		}
	}
}

// join returns the call to wait for, or a new one that is the caller's to run.
func (a *answers[V]) join(key string) (c *call[V], mine bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if c := a.calls[key]; c != nil && (!c.over() || a.now().Before(c.until)) {
		return c, false
	}
	if len(a.calls) >= a.max {
		a.makeRoom()
	}
	c = &call[V]{done: make(chan struct{}), err: context.Canceled} // what others see if ask panics
	a.calls[key] = c
	return c, true
}

func (a *answers[V]) run(ctx context.Context, key string, c *call[V], ask func(context.Context) (V, error)) {
	defer func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		if !ended(c.err) {
			c.until = a.now().Add(a.keep(c.err))
		}
		if !a.now().Before(c.until) && a.calls[key] == c {
			delete(a.calls, key)
		}
		close(c.done)
	}()
	c.value, c.err = ask(ctx)
}

// forget drops the kept answers whose key is one of those chosen. A question
// under way is cut loose: who asks now starts another.
func (a *answers[V]) forget(chosen func(key string) bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for key := range a.calls {
		if chosen(key) {
			delete(a.calls, key)
		}
	}
}

// sweep drops what has run out.
func (a *answers[V]) sweep() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for key, c := range a.calls {
		if c.over() && !a.now().Before(c.until) {
			delete(a.calls, key)
		}
	}
}

// makeRoom drops a tenth of the answers, whichever come first.
func (a *answers[V]) makeRoom() {
	drop := max(a.max/10, 1)
	for key, c := range a.calls {
		if drop == 0 {
			return
		}
		if c.over() {
			delete(a.calls, key)
			drop--
		}
	}
}

func (c *call[V]) over() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}
