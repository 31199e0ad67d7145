package shell

import (
	"context"
	"sync"
	"time"
)

const (
	// openTimeout is for an engine under load; endTimeout for End, which knows its own.
	openTimeout   = 60 * time.Second
	endTimeout    = 30 * time.Second
	resizeTimeout = 10 * time.Second
)

// run looks after an open terminal until nothing is left of it.
func (s *Shell) run() {
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(s.read)
	work.Go(func() { s.write(ctx) })
	work.Go(func() { s.resize(ctx) })

	why := s.wait()
	o := Outcome{Why: why}
	if why != WhyExit {
		s.mu.Lock()
		s.ending = true
		s.wake()
		s.mu.Unlock()
	}
	bounded, done := context.WithTimeout(ctx, endTimeout)
	if why == WhyExit {
		o.Code, o.Err = s.terminal.Wait(bounded)
	} else {
		o.Err = s.terminal.End(bounded)
	}
	done()
	cancel()
	_ = s.terminal.Close()
	work.Wait()
	o.Took = time.Since(s.began)
	s.mu.Lock()
	s.outcome = &o
	s.wake()
	s.mu.Unlock()
	s.request.Closed(o)
	if why == WhyExit { // whoever comes back in time still learns how it ended
		s.wait()
	}
}

// wait waits for a reason to end the shell. Once its program has ended, it
// waits until nobody may come back for it.
func (s *Shell) wait() (why string) {
	var expired <-chan time.Time
	if !s.request.Until.IsZero() {
		t := time.NewTimer(time.Until(s.request.Until))
		defer t.Stop()
		expired = t.C
	}
	for {
		s.mu.Lock()
		output, moved, viewed, left := s.output, s.moved, s.viewer != nil, s.leftAt
		if s.outcome != nil {
			output = nil
		}
		s.mu.Unlock()
		why = s.next(output, moved, expired, viewed, left)
		if why != "" {
			return why
		}
	}
}

func (s *Shell) next(output, moved <-chan struct{}, expired <-chan time.Time, viewed bool, left time.Time) (why string) {
	var late <-chan time.Time
	if !viewed {
		t := time.NewTimer(time.Until(left.Add(s.linger)))
		defer t.Stop()
		late = t.C
	}
	select {
	case <-output:
		return WhyExit
	case <-s.request.Ended:
		return WhySession
	case <-expired:
		return WhySession
	case <-s.stopping:
		return WhyStopping
	case <-s.closing:
		return WhyClosed
	case <-late:
		return WhyGone
	case <-moved:
		return ""
	}
}

// read keeps the output; it waits for a viewer that is behind.
func (s *Shell) read() {
	defer func() {
		s.mu.Lock()
		s.over = true
		s.wake()
		s.mu.Unlock()
		close(s.output)
	}()
	buf := make([]byte, pieceSize)
	for {
		n, err := s.terminal.Read(buf)
		if n > 0 {
			s.keep(buf[:n])
		}
		if err != nil {
			return
		}
	}
}

func (s *Shell) keep(p []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.viewer != nil && !s.ending && s.ring.end+int64(len(p))-s.viewer.at > kept {
		changed := s.changed
		s.mu.Unlock()
		<-changed
		s.mu.Lock()
	}
	s.ring.add(p)
	s.wake()
}

// write passes the input on.
func (s *Shell) write(ctx context.Context) {
	for {
		s.mu.Lock()
		p, changed := s.input, s.changed
		s.input = nil
		s.mu.Unlock()
		if len(p) > 0 {
			if _, err := s.terminal.Write(p); err != nil {
				return // its output ends, too
			}
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
	}
}

// resize passes the latest size on.
func (s *Shell) resize(ctx context.Context) {
	for {
		s.mu.Lock()
		size, changed := s.size, s.changed
		s.size = nil
		s.mu.Unlock()
		if size != nil {
			limited, cancel := context.WithTimeout(ctx, resizeTimeout)
			_ = s.terminal.Resize(limited, size[0], size[1]) // of no matter to a program that has just ended
			cancel()
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
	}
}
