package scheduler

import (
	"context"
	"sync"
	"time"
)

// Schedule says when something is due next after a moment; a zero time is
// never. Parsed cron expressions are schedules.
type Schedule interface {
	Next(after time.Time) time.Time
}

// Cron runs a job at the times of a schedule, one run at a time. What fell
// due during a run is left out.
type Cron struct {
	job     func(context.Context)
	changed chan struct{}

	mu       sync.Mutex
	schedule Schedule // nil: never
	zone     *time.Location
	busy     bool
	last     time.Time
	next     time.Time
}

// NewCron prepares runs of job, which must return soon after its context ends.
// Without a schedule nothing runs.
func NewCron(schedule Schedule, zone *time.Location, job func(context.Context)) *Cron {
	return &Cron{job: job, changed: make(chan struct{}, 1), schedule: schedule, zone: zone}
}

// Set changes the schedule; nil ends the runs.
func (c *Cron) Set(schedule Schedule, zone *time.Location) {
	c.mu.Lock()
	c.schedule, c.zone = schedule, zone
	c.mu.Unlock()
	signal(c.changed)
}

// Status tells of the runs; times are UTC.
func (c *Cron) Status() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	return Status{Running: c.busy, Last: c.last.UTC(), Next: c.next.UTC()}
}

// Run starts the job whenever it is due, until ctx ends.
func (c *Cron) Run(ctx context.Context) error {
	for {
		var due <-chan time.Time
		var timer *time.Timer
		if next := c.plan(time.Now()); !next.IsZero() {
			timer = time.NewTimer(time.Until(next))
			due = timer.C
		}
		select {
		case <-ctx.Done():
		case <-c.changed:
		case <-due:
			c.run(ctx)
		}
		if timer != nil {
			timer.Stop()
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

func (c *Cron) plan(now time.Time) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.next = time.Time{}
	if c.schedule != nil {
		c.next = c.schedule.Next(now.In(c.zone))
	}
	return c.next
}

func (c *Cron) run(ctx context.Context) {
	c.mu.Lock()
	c.busy, c.last = true, time.Now()
	c.mu.Unlock()
	c.job(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy = false
}
