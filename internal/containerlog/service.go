// Package containerlog reads what containers write, and follows it: also
// across restarts, across a container being replaced by another of its name,
// and across an engine that goes away and comes back.
//
// What was read last is known to the nanosecond that the engine keeps with
// each line, and to the line within it; from there a new stream goes on. A
// reader's lines and what happens between them go to its Sink in order.
package containerlog

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/internal/logging"
)

// Errors beside the engine's own.
var (
	// ErrUnavailable: nothing keeps the container's log where the engine could read it.
	ErrUnavailable = dockercli.ErrLogsUnavailable
	// ErrNoProject: no container belongs to such a Compose project.
	ErrNoProject = errors.New("there is no such Compose project")
)

// Engine is the part of dockercli.Client that is needed.
type Engine interface {
	Containers(ctx context.Context, ids ...string) ([]dockercli.Container, error)
	Inspect(ctx context.Context, id string) (dockercli.ContainerState, error)
	LogStream(ctx context.Context, id string, o dockercli.LogOptions) (*dockercli.LogStream, error)
}

// Line is one line of a log. Its text holds until the next.
type Line struct {
	dockercli.Line

	Service string // with a Compose project's
	Number  string // which of the service's containers
}

// Notice is something that happened between lines. Its JSON is part of the
// HTTP contract: see doc/streams.md.
type Notice struct {
	Type    string `json:"type"`
	ID      string `json:"id,omitempty"`
	Service string `json:"service,omitempty"`
	Number  string `json:"number,omitempty"`
	// With history.
	Scanned *int  `json:"scanned,omitempty"`
	Lines   *int  `json:"lines,omitempty"` // also with skipped
	More    *bool `json:"more,omitempty"`
	// With error.
	Code    string `json:"code,omitempty"`
	Message string `json:"message,omitempty"`
}

// The types of notices.
const (
	History      = "history"      // what had been written by now is through
	Stopped      = "stopped"      // the container has ended; it is waited for
	Restarted    = "restarted"    // it runs again
	Replaced     = "replaced"     // another has its name, and is followed now
	Added        = "added"        // the project has one more container
	Removed      = "removed"      // … one less
	Disconnected = "disconnected" // the engine doesn't answer; it is waited for
	Connected    = "connected"    // it does again
	Ended        = "ended"        // nothing is left to follow
	Skipped      = "skipped"      // lines that the client was too slow for
	Failed       = "error"        // the last one; the log can't be read
)

// Sink takes lines and notices, from several goroutines. An error ends the reading.
type Sink interface {
	Line(l Line) error
	Note(n Notice) error
	// Live says that what comes from now on is being written now.
	Live()
}

// All is for Request.Tail.
const All = -1

// Bounds of what one request may cost.
const (
	// MostScanned is how many lines a search looks at, the newest.
	MostScanned = 1_000_000
	// mostKept bounds the lines that have to be kept until it is known which
	// are the last, and mostKeptBytes their text.
	mostKept      = 10_000
	mostKeptBytes = 8 << 20
)

// Request says what of a log is wanted.
type Request struct {
	Tail   int       // the last lines (that match); All
	Since  time.Time // this moment and later; zero: from the start
	Until  time.Time // this moment and earlier; zero: to the end
	Before time.Time // earlier than this moment; zero: to the end
	Follow bool      // and go on with what comes
	Match  func(text []byte) bool
}

// kept reports whether the last lines are known only once all have been seen:
// the engine's own tail counts before it filters.
func (r Request) kept() bool {
	return r.Match != nil || r.Tail >= 0 && (!r.Until.IsZero() || !r.Before.IsZero())
}

// Service reads logs.
type Service struct {
	engine Engine
	log    *zap.Logger

	mu      sync.Mutex
	changed chan struct{} // closed by the next event
	listing sync.Mutex
	list    []dockercli.Container
	listed  <-chan struct{} // changed, as it was when list was made
	at      time.Time

	feeds feeds
}

// New makes a service, which must be told of the engine's events: see Note.
func New(engine Engine, log *zap.Logger) *Service {
	if log == nil {
		log = zap.NewNop()
	}
	return &Service{engine: engine, log: log.With(logging.Component("containerlog")), changed: make(chan struct{}), feeds: feeds{byID: map[string]*feed{}}}
}

// Note takes an event of the engine: those who wait look again.
func (s *Service) Note(e dockercli.Event) {
	switch e.Kind {
	case dockercli.Connected, dockercli.Disconnected:
	case dockercli.ContainerChanged:
		if !slices.Contains([]string{"start", "rename", "destroy", "unpause"}, e.Action) {
			return
		}
	default:
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.changed)
	s.changed = make(chan struct{})
}

// next is closed by the next event.
func (s *Service) next() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

// lookAgain is how long those who wait do so without an event.
const lookAgain = 5 * time.Second

// containers lists the engine's, once for all who ask between two events.
func (s *Service) containers(ctx context.Context) ([]dockercli.Container, error) {
	s.listing.Lock()
	defer s.listing.Unlock()
	now := s.next()
	if s.listed == now && time.Since(s.at) < lookAgain/10 {
		return s.list, nil
	}
	list, err := s.engine.Containers(ctx)
	if err != nil {
		return nil, err
	}
	s.list, s.listed, s.at = list, now, time.Now()
	return list, nil
}

// wait waits for an event, or for a time.
func wait(ctx context.Context, event <-chan struct{}, most time.Duration) error {
	t := time.NewTimer(most)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-event:
	case <-t.C:
	}
	return nil
}
