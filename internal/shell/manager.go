package shell

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/watch-docker/watch-docker/internal/logging"
)

// Options are what New needs.
type Options struct {
	Logger *zap.Logger   // nil: silent
	Linger time.Duration // how long a shell waits for a connection; 0: 30 s
	Each   int           // shells of one user; 0: 8
	All    int           // shells in all; 0: 32
}

// Manager has the shells. Safe for concurrent use.
type Manager struct {
	Options

	log      *zap.Logger
	stopping chan struct{}
	running  sync.WaitGroup

	mu      sync.Mutex
	shells  map[string]*Shell
	each    map[string]int // by user, also those that are being opened
	all     int
	stopped bool
}

// New makes a manager; Close ends it.
func New(o Options) *Manager {
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	if o.Linger == 0 {
		o.Linger = 30 * time.Second
	}
	if o.Each == 0 {
		o.Each = 8
	}
	if o.All == 0 {
		o.All = 32
	}
	return &Manager{
		Options: o, log: o.Logger.With(logging.Component("shell")),
		stopping: make(chan struct{}), shells: map[string]*Shell{}, each: map[string]int{},
	}
}

// Start opens a shell. It is ended unless somebody shows it soon.
//
// Errors: *Error, and those of the request's Open.
func (m *Manager) Start(ctx context.Context, r Request) (*Shell, error) {
	if err := m.take(r.User); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), openTimeout)
	defer cancel()
	defer m.cancelWhenStopping(cancel)()
	terminal, err := r.Open(ctx)
	if err != nil {
		m.release(r.User)
		return nil, err
	}
	s := &Shell{
		id: rand.Text(), request: r, terminal: terminal, linger: m.Linger, began: time.Now(), leftAt: time.Now(), stopping: m.stopping,
		closing: make(chan struct{}), output: make(chan struct{}), changed: make(chan struct{}), moved: make(chan struct{}),
	}
	m.mu.Lock()
	m.shells[s.id] = s
	m.mu.Unlock()
	go func() { //nolint:contextcheck // it outlives the request
		s.run()
		if o := s.outcome; o.Why != WhyExit && o.Err != nil {
			m.log.Warn("a shell could not be ended", zap.String("user", r.User), zap.String("shell", r.Label), logging.Err(o.Err))
		}
		m.mu.Lock()
		delete(m.shells, s.id)
		m.mu.Unlock()
		m.release(r.User)
	}()
	return s, nil
}

// cancelWhenStopping calls cancel if the manager is closed before done is.
func (m *Manager) cancelWhenStopping(cancel func()) (done func()) {
	opened := make(chan struct{})
	var waiting sync.WaitGroup
	waiting.Go(func() {
		select {
		case <-m.stopping:
			cancel()
		case <-opened:
		}
	})
	return func() {
		close(opened)
		waiting.Wait()
	}
}

// take reserves a place.
func (m *Manager) take(user string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.stopped:
		return &Error{Code: CodeTooMany, Message: "The program is stopping."}
	case m.all >= m.All || m.each[user] >= m.Each:
		return &Error{Code: CodeTooMany, Message: fmt.Sprintf("There are too many shells: %d for each user, %d in all. Close some.", m.Each, m.All)}
	}
	m.all++
	m.each[user]++
	m.running.Add(1)
	return nil
}

func (m *Manager) release(user string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.all--
	if m.each[user]--; m.each[user] == 0 {
		delete(m.each, user)
	}
	m.running.Done()
}

// Find gives the shell with that id if it is of this user and session.
func (m *Manager) Find(id, user, session string) (*Shell, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, ok := m.shells[id]
	if !ok || session == "" || s.request.User != user || s.request.Session != session {
		return nil, false
	}
	return s, true
}

// Close ends all shells and waits for them.
func (m *Manager) Close() {
	m.mu.Lock()
	if !m.stopped {
		m.stopped = true
		close(m.stopping)
	}
	m.mu.Unlock()
	m.running.Wait()
}
