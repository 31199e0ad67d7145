// Package wsstream fans sources out to subscribers. A source is started by its
// first subscriber and stopped soon after its last; each subscriber has a
// bounded queue, so that one that reads slowly holds up nobody.
package wsstream

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"
)

// Linger is how long a source goes on after its last subscriber has gone.
const Linger = 2 * time.Second

// Why a subscription ends that nobody has closed.
var (
	ErrEnded  = errors.New("the source has ended")
	ErrClosed = errors.New("the hub is closed")
)

// Message is one thing that a source says.
type Message struct {
	Body  any
	Lines int // what is skipped with it, by a queue that drops; at least 1
	// Begun is said by a Snapshotter: there is a snapshot from now on. It goes
	// to those alone who wait for one.
	Begun bool

	// What follows is set by the hub.

	Key     string // of the source
	Skipped int    // so many lines were dropped here; there is no Body
	Err     error  // the source has ended; there is no Body
}

// Source is where messages come from. If it is a Snapshotter too, those who
// come late or fall behind get a snapshot in place of what they missed.
type Source interface {
	// Run publishes until ctx ends or there is nothing more. What it has said
	// before it returns still reaches the subscribers, then its error.
	Run(ctx context.Context, publish func(Message)) error
}

// Snapshotter is a source whose state can be told in one message.
//
// Run first changes what Snapshot tells, then publishes the change, and holds
// no lock of Snapshot's while it does: a subscriber may see a change again that
// its snapshot has already, but none from before it.
type Snapshotter interface {
	// Snapshot isn't ok before there is a state; then Run publishes something,
	// if only that it has begun.
	Snapshot() (m Message, ok bool)
}

// Hub runs the sources. Its zero value isn't usable.
type Hub struct {
	linger time.Duration
	ctx    context.Context //nolint:containedctx // of all sources; Close ends it
	cancel context.CancelFunc
	runs   sync.WaitGroup

	mu     sync.Mutex // guards what follows; taken before a topic's
	topics map[string]*topic
	closed bool
}

// topic is a source at work.
type topic struct {
	key    string
	source Source
	cancel context.CancelFunc
	idle   *time.Timer // nil but while nobody listens

	mu   sync.Mutex // guards what follows; taken before a queue's
	subs map[*Subscription]struct{}
}

// New makes a hub whose sources go on for linger after their last subscriber.
// It must be closed.
func New(linger time.Duration) *Hub {
	ctx, cancel := context.WithCancel(context.Background())
	return &Hub{linger: linger, ctx: ctx, cancel: cancel, topics: map[string]*topic{}}
}

// Subscription is somebody's place at a source. Its queue is its own, unless
// Options say otherwise.
type Subscription struct {
	*Queue

	hub     *Hub
	topic   *topic
	release func() bool
	once    sync.Once
}

// Subscribe joins the source of a key until ctx ends or Close is called. The
// source that is handed in is started if the key has none.
func (h *Hub) Subscribe(ctx context.Context, key string, source Source, o Options) *Subscription {
	s := &Subscription{Queue: o.Into, hub: h}
	if s.Queue == nil {
		s.Queue = NewQueue(o)
	}
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		s.put(entry{of: s, m: Message{Key: key, Err: ErrClosed}})
		return s
	}
	t := h.topics[key]
	if t == nil {
		t = h.start(key, source) //nolint:contextcheck // a source outlives whoever came first
	}
	if t.idle != nil {
		t.idle.Stop()
		t.idle = nil
	}
	s.topic = t
	t.join(s)
	h.mu.Unlock()
	s.release = context.AfterFunc(ctx, s.leave)
	return s
}

// Close gives the place up; what is queued for it is forgotten.
func (s *Subscription) Close() {
	if s.release != nil {
		s.release()
	}
	s.leave()
}

func (s *Subscription) leave() {
	s.once.Do(func() {
		if s.topic != nil {
			s.hub.leave(s)
		}
		s.forget(s, true)
	})
}

// Close ends all sources and waits for them.
func (h *Hub) Close() {
	h.mu.Lock()
	h.closed = true
	for _, t := range h.topics {
		if t.idle != nil {
			t.idle.Stop()
		}
	}
	h.mu.Unlock()
	h.cancel()
	h.runs.Wait()
}

// Sources is how many sources run, and Subscriptions how many listen to them.
func (h *Hub) Sources() (sources, subscriptions int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, t := range h.topics {
		subscriptions += t.size()
	}
	return len(h.topics), subscriptions
}

// start begins a source. h.mu is held.
func (h *Hub) start(key string, source Source) *topic {
	ctx, cancel := context.WithCancel(h.ctx)
	t := &topic{key: key, source: source, cancel: cancel, subs: map[*Subscription]struct{}{}}
	h.topics[key] = t
	h.runs.Go(func() {
		defer cancel()
		err := t.run(ctx)
		switch {
		case h.ctx.Err() != nil:
			err = ErrClosed
		case err == nil:
			err = ErrEnded
		}
		h.drop(t)
		t.end(err)
	})
	return t
}

// run is the source's Run, whose panic is its error.
func (t *topic) run(ctx context.Context) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("the source %s panicked: %v\n%s", t.key, v, debug.Stack())
		}
	}()
	return t.source.Run(ctx, t.publish)
}

// drop makes room for another source of the key.
func (h *Hub) drop(t *topic) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.topics[t.key] == t {
		delete(h.topics, t.key)
	}
}

func (h *Hub) leave(s *Subscription) {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := s.topic
	t.mu.Lock()
	delete(t.subs, s)
	left := len(t.subs)
	t.mu.Unlock()
	if left > 0 || h.topics[t.key] != t || h.closed || t.idle != nil {
		return
	}
	t.idle = time.AfterFunc(h.linger, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.topics[t.key] == t && t.size() == 0 {
			delete(h.topics, t.key)
			t.cancel()
		}
	})
}

func (t *topic) size() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.subs)
}

func (t *topic) join(s *Subscription) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.subs[s] = struct{}{}
	if _, ok := t.source.(Snapshotter); ok {
		s.fallBehind(s)
	}
}

func (t *topic) publish(m Message) {
	m.Key = t.key
	t.mu.Lock()
	defer t.mu.Unlock()
	for s := range t.subs {
		s.put(entry{of: s, m: m})
	}
}

// end tells the subscribers why there is nothing more.
func (t *topic) end(err error) {
	t.publish(Message{Err: err})
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.subs)
}

// snapshot is the source's, in place of what is queued for s; open reports
// whether there may be one yet.
func (s *Subscription) snapshot() (m Message, ok, open bool) {
	s.topic.mu.Lock() // nothing is published meanwhile
	defer s.topic.mu.Unlock()
	s.forget(s, false)
	source, has := snapshotter(s)
	if !has {
		return Message{}, false, false
	}
	_, open = s.topic.subs[s]
	m, ok = source.Snapshot()
	m.Key = s.topic.key
	return m, ok, open
}
