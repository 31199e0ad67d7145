// Package shell keeps shells alive beyond the connections that show them. A
// shell is a terminal, in a container or here; at most one connection has it at
// a time. Its last output is kept, so that a connection that breaks can be
// followed by another; when none follows, or the session ends, its processes
// are ended.
package shell

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"
)

// Terminal is a program with a terminal of its own. Read ends when the
// program does.
type Terminal interface {
	io.Reader
	io.Writer

	Resize(ctx context.Context, cols, rows int) error
	// Wait gives the exit code, once Read has ended.
	Wait(ctx context.Context) (code int, err error)
	// End ends all processes of the terminal: it hangs up, and two seconds later
	// kills what is left. It is an error that some may be left.
	End(ctx context.Context) error
	// Close lets go of the terminal; Read and Write fail then.
	Close() error
}

// Error says why there is no shell, by a stable code.
type Error struct{ Code, Message string }

func (e *Error) Error() string { return e.Message }

// Codes of errors.
const (
	CodeNoShell      = "no_shell"
	CodeNoCommand    = "no_command"
	CodeNoUser       = "no_such_user"
	CodeNoFolder     = "no_such_folder"
	CodeNotRunning   = "container_not_running"
	CodeTooMany      = "too_many_shells"
	CodeHostDisabled = "host_shell_disabled"
	CodeInputFull    = "input_full"
)

// What ends a Show, besides its context and its connection.
var (
	ErrTakenOver = errors.New("another connection has taken the shell over")
	// ErrEnded: the shell was ended before its program did so by itself.
	ErrEnded = errors.New("the shell was ended")
	// ErrInputFull: the program doesn't read what is typed.
	ErrInputFull = &Error{Code: CodeInputFull, Message: "The program doesn't read its input, and no more is kept for it."}
)

// Why a shell was ended.
const (
	WhyExit     = "exit"     // its program ended by itself
	WhyGone     = "gone"     // no connection came back in time
	WhyClosed   = "closed"   // its user asked for it
	WhySession  = "session"  // the session or its token ended
	WhyStopping = "stopping" // the program stops
)

// Outcome is how a shell ended.
type Outcome struct {
	Why  string
	Code int // the exit code, with WhyExit
	Err  error
	Took time.Duration
}

// Request asks for a shell.
type Request struct {
	User, Session string
	// Label is kept for who asks for the shell again.
	Label string
	Ended <-chan struct{} // the session has; nil: never
	Until time.Time       // the token's end; zero: never
	Open  func(ctx context.Context) (Terminal, error)
	// Closed is called once, when a shell that was opened has ended.
	Closed func(Outcome)
}

const (
	kept      = 256 << 10 // bytes of output, for a connection that comes back
	pieceSize = 32 << 10
	inputSize = 1 << 20 // bytes that wait for the program to read them
)

// Shell is one that runs, or has ended and still has something to say.
type Shell struct {
	id       string
	request  Request
	terminal Terminal
	linger   time.Duration
	began    time.Time
	stopping <-chan struct{}
	closing  chan struct{} // closed by Close
	output   chan struct{} // closed when the output has ended

	mu       sync.Mutex
	changed  chan struct{} // closed and made anew with each change
	moved    chan struct{} // the same, when a connection comes or goes
	ring     ring
	viewer   *viewer
	leftAt   time.Time // when the last viewer left
	input    []byte
	size     *[2]int
	over     bool // no more output comes
	ending   bool // it is being ended: nothing waits for a viewer any more
	outcome  *Outcome
	isClosed bool
}

// viewer is a connection that shows a shell.
type viewer struct{ at int64 } // the output up to there has been sent

// ID names the shell for those who may come back to it.
func (s *Shell) ID() string { return s.id }

// Label is the request's.
func (s *Shell) Label() string { return s.request.Label }

func (s *Shell) wake() { // with mu
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *Shell) move() { // with mu
	close(s.moved)
	s.moved = make(chan struct{})
	s.wake()
}

// Show sends the output from the oldest that is kept on until the program ends
// (nil, with its exit code), ctx ends, send fails, or another takes over. It
// waits for send: output isn't dropped while a connection has the shell.
func (s *Shell) Show(ctx context.Context, send func([]byte) error) (code int, err error) {
	mine := s.attach()
	defer s.detach(mine)
	buf := make([]byte, pieceSize)
	for {
		s.mu.Lock()
		if mine.at < s.ring.end-kept { // only of one that is being ended
			mine.at = s.ring.begin()
		}
		n := copy(buf, s.ring.from(mine.at))
		taken, over, outcome, changed := s.viewer != mine, s.over, s.outcome, s.changed
		s.mu.Unlock()
		switch {
		case taken:
			return 0, ErrTakenOver
		case n > 0:
			if err := send(buf[:n]); err != nil {
				return 0, err
			}
			s.mu.Lock()
			mine.at += int64(n)
			s.wake()
			s.mu.Unlock()
			continue
		case over && outcome != nil:
			return s.said(*outcome)
		}
		select {
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		case <-changed:
		}
	}
}

// said tells a viewer that has got everything how the shell ended.
func (s *Shell) said(o Outcome) (code int, err error) {
	s.Close() // nobody needs to come back
	if o.Why != WhyExit {
		return 0, ErrEnded
	}
	return o.Code, o.Err
}

func (s *Shell) attach() *viewer {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.viewer = &viewer{at: s.ring.begin()}
	s.move()
	return s.viewer
}

func (s *Shell) detach(mine *viewer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.viewer == mine {
		s.viewer, s.leftAt = nil, time.Now()
		s.move()
	}
}

// Type gives the program input. It doesn't wait: what the program doesn't read
// is kept up to a limit, beyond which it is ErrInputFull.
func (s *Shell) Type(p []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.input)+len(p) > inputSize {
		return ErrInputFull
	}
	s.input = append(s.input, p...)
	s.wake()
	return nil
}

// Resize changes the terminal's size, as soon as it can be.
func (s *Shell) Resize(cols, rows int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.size = &[2]int{cols, rows}
	s.wake()
}

// Close ends the shell without waiting for a connection to come back.
func (s *Shell) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.isClosed {
		s.isClosed = true
		close(s.closing)
	}
}
