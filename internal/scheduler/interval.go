// Package scheduler says when things run by themselves: at an interval, and
// never two runs at once.
package scheduler

import (
	"context"
	"sync"
	"time"
)

// Interval runs a job again and again.
//
// The runs keep to a grid that begins with Run: a job that takes longer than
// the interval leaves out the runs it overlaps; they are not made up for.
type Interval struct {
	job     func(context.Context)
	changed chan struct{}
	asked   chan struct{}
	now     func() time.Time

	mu    sync.Mutex
	every time.Duration
	busy  bool
	last  time.Time
	next  time.Time
}

// NewInterval prepares runs of job, which must return soon after its context
// ends. every must be positive.
func NewInterval(every time.Duration, job func(context.Context)) *Interval {
	return &Interval{every: every, job: job, changed: make(chan struct{}, 1), asked: make(chan struct{}, 1), now: time.Now}
}

// Status is when a job ran and will run.
type Status struct {
	Running bool
	Last    time.Time // the start of the latest run; zero before the first
	Next    time.Time // the start of the coming one; zero unless Run is at work
}

// Status tells of the runs; times are UTC.
func (i *Interval) Status() Status {
	i.mu.Lock()
	defer i.mu.Unlock()
	return Status{Running: i.busy, Last: i.last.UTC(), Next: i.next.UTC()}
}

// Set changes the interval: the next run is one new interval from now.
func (i *Interval) Set(every time.Duration) {
	i.mu.Lock()
	same := i.every == every
	i.every = every
	i.mu.Unlock()
	if !same {
		signal(i.changed)
	}
}

// Trigger asks for a run as soon as none is under way. Asked for twice before
// it starts, it is still one.
func (i *Interval) Trigger() { signal(i.asked) }

func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default: // somebody has said so already
	}
}

// Run starts the job at every interval until ctx ends, the first time at once
// if now is set. It returns when the last run has.
func (i *Interval) Run(ctx context.Context, now bool) error {
	defer i.plan(time.Time{})
	grid := i.now()
	if now {
		i.run(ctx)
	}
	for {
		every := i.interval()
		// The next point of the grid that lies ahead; those that passed during a run are gone.
		if late := i.now().Sub(grid); late >= 0 {
			grid = grid.Add((late/every + 1) * every)
		}
		i.plan(grid)
		timer := time.NewTimer(grid.Sub(i.now()))
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-i.changed:
			timer.Stop()
			grid = i.now()
		case <-i.asked:
			timer.Stop()
			i.run(ctx)
		case <-timer.C:
			i.run(ctx)
		}
	}
}

func (i *Interval) run(ctx context.Context) {
	i.mu.Lock()
	i.busy, i.last = true, i.now()
	i.mu.Unlock()
	defer func() {
		i.mu.Lock()
		defer i.mu.Unlock()
		i.busy = false
	}()
	i.job(ctx)
}

func (i *Interval) interval() time.Duration {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.every
}

func (i *Interval) plan(next time.Time) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.next = next
}
