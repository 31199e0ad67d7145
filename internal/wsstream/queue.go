package wsstream

import (
	"context"
	"slices"
	"sync"
)

// Policy is what a full queue does.
type Policy int

// The policies.
const (
	// Latest empties the queue; the reader gets a snapshot next, of a source
	// that has one.
	Latest Policy = iota
	// Drop leaves out what comes, and says how many lines at the place where
	// they are missing.
	Drop
)

// queueSize is how many messages a queue holds if nobody says otherwise.
const queueSize = 256

// Options say how a subscriber is served.
type Options struct {
	Policy Policy
	Size   int    // messages; 0: 256
	Into   *Queue // shared with other subscriptions of the same reader; its own policy and size count
}

// Queue is what waits for one reader.
type Queue struct {
	policy Policy
	size   int
	ready  chan struct{}

	mu      sync.Mutex // guards what follows
	entries []entry
	behind  []*Subscription // those that get a snapshot next

	taken []Message // by Next, for its reader alone
}

type entry struct {
	of *Subscription
	m  Message
}

// NewQueue makes a queue for Options.Into.
func NewQueue(o Options) *Queue {
	if o.Size <= 0 {
		o.Size = queueSize
	}
	return &Queue{policy: o.Policy, size: o.Size, ready: make(chan struct{}, 1)}
}

// Ready has a value when there may be something to take.
func (q *Queue) Ready() <-chan struct{} { return q.ready }

// Take gives what waits, without waiting itself.
func (q *Queue) Take() []Message {
	q.mu.Lock()
	behind := q.behind
	q.behind = nil
	q.mu.Unlock()
	var out []Message
	for _, s := range behind {
		m, ok, open := s.snapshot()
		switch {
		case ok:
			out = append(out, m)
		case open: // what its source says next wakes the reader again
			q.mu.Lock()
			q.behind = append(q.behind, s)
			q.mu.Unlock()
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, e := range q.entries {
		out = append(out, e.m)
	}
	clear(q.entries)
	q.entries = q.entries[:0]
	return out
}

// Next waits for a message. An error is ctx's, or the source's that has ended.
func (q *Queue) Next(ctx context.Context) (Message, error) {
	for {
		if len(q.taken) > 0 {
			m := q.taken[0]
			q.taken = q.taken[1:]
			return m, m.Err
		}
		if q.taken = q.Take(); len(q.taken) > 0 {
			continue
		}
		select {
		case <-ctx.Done():
			return Message{}, ctx.Err()
		case <-q.ready:
		}
	}
}

func (q *Queue) put(e entry) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case e.m.Err != nil: // there is one for each subscription at most
	case slices.Contains(q.behind, e.of):
		q.wake() // its snapshot will have it
		return
	case e.m.Begun:
		return
	case len(q.entries) >= q.size:
		if e = q.overflow(e); e.of == nil {
			return
		}
	}
	q.entries = append(q.entries, e)
	q.wake()
}

// overflow is what to queue in place of what has no room; the zero entry is nothing.
func (q *Queue) overflow(e entry) entry {
	if q.policy == Drop {
		lines := max(e.m.Lines, 1)
		for i := len(q.entries) - 1; i >= 0 && q.entries[i].m.Skipped > 0; i-- {
			if q.entries[i].of == e.of {
				q.entries[i].m.Skipped += lines
				return entry{}
			}
		}
		return entry{of: e.of, m: Message{Key: e.m.Key, Skipped: lines}}
	}
	kept := q.entries[:0]
	for _, old := range q.entries {
		_, has := snapshotter(old.of)
		switch {
		case old.m.Err != nil:
			kept = append(kept, old)
		case has && !slices.Contains(q.behind, old.of):
			q.behind = append(q.behind, old.of)
		}
	}
	clear(q.entries[len(kept):])
	q.entries = kept
	q.wake()
	if _, has := snapshotter(e.of); !has {
		return e
	}
	if !slices.Contains(q.behind, e.of) {
		q.behind = append(q.behind, e.of)
	}
	return entry{}
}

func snapshotter(s *Subscription) (Snapshotter, bool) {
	if s.topic == nil { // the hub was closed
		return nil, false
	}
	source, ok := s.topic.source.(Snapshotter)
	return source, ok
}

// fallBehind has a subscription get a snapshot next.
func (q *Queue) fallBehind(s *Subscription) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.behind = append(q.behind, s)
	q.wake()
}

// forget drops what is queued for one subscription; also that it has fallen
// behind and has ended, if it is gone.
func (q *Queue) forget(s *Subscription, gone bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.entries = slices.DeleteFunc(q.entries, func(e entry) bool { return e.of == s && (gone || e.m.Err == nil) })
	if gone {
		q.behind = slices.DeleteFunc(q.behind, func(b *Subscription) bool { return b == s })
	}
}

func (q *Queue) wake() {
	select {
	case q.ready <- struct{}{}:
	default:
	}
}
