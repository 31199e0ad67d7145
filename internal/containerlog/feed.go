package containerlog

import (
	"context"
	"errors"
	"sort"
	"sync"
	"time"

	"github.com/watch-docker/watch-docker/internal/dockercli"
)

// A feed keeps the last lines for those who follow it, at most these many and
// this much text; who is further behind reads the engine's log by himself.
const (
	feedLines = 4096
	feedBytes = 1 << 20
)

// feedPause is how long one who has had all that there was lets more gather.
const feedPause = 10 * time.Millisecond

var (
	// errBehind: the lines that come next have been let go.
	errBehind = errors.New("too far behind the others")
	// errCaughtUp: what comes next can be had from the feed.
	errCaughtUp = errors.New("caught up with the others")
)

// feed is a container's log as it is written, read from the engine once for
// all who follow it: each stream costs the engine the same again.
type feed struct {
	stop    context.CancelFunc
	began   chan struct{} // closed when the stream has begun, or couldn't
	ended   chan struct{} // closed when it is read no more
	readers int           // under feeds.mu

	mu      sync.Mutex
	started time.Time // the stream's, with opened
	running bool      // …
	opened  bool      // there was a stream
	over    bool      // there is no more of it, because of err
	err     error
	lines   []feedLine
	first   int                   // the number of lines[0]
	base    dockercli.LogPosition // before lines[0]
	size    int                   // of the lines' text, in bytes
	room    []byte                // for text to come
	more    chan struct{}         // closed by what happens next; nil: nobody waits
}

type feedLine struct {
	dockercli.Line

	pos dockercli.LogPosition // after it
}

// feeds are the feeds of a service, by container.
type feeds struct {
	mu   sync.Mutex
	byID map[string]*feed
}

// join finds or begins a container's feed for one who has read up to pos, and
// says what number the next line has there. Nil: the feed is not at that place.
// Whoever joins leaves.
func (s *Service) join(ctx context.Context, id string, pos dockercli.LogPosition) (f *feed, next int) {
	s.feeds.mu.Lock()
	defer s.feeds.mu.Unlock()
	f = s.feeds.byID[id]
	if f == nil {
		ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
		f = &feed{stop: stop, began: make(chan struct{}), ended: make(chan struct{}), base: pos}
		s.feeds.byID[id] = f
		go s.feed(ctx, id, f)
	}
	next, there := f.after(pos)
	if !there {
		return nil, 0
	}
	f.readers++
	return f, next
}

// feeding reports whether a container's feed has what comes after pos.
func (s *Service) feeding(id string, pos dockercli.LogPosition) bool {
	s.feeds.mu.Lock()
	f := s.feeds.byID[id]
	s.feeds.mu.Unlock()
	if f == nil {
		return false
	}
	_, there := f.after(pos)
	return there
}

// leave ends a feed that nobody else reads.
func (s *Service) leave(id string, f *feed) {
	s.feeds.mu.Lock()
	f.readers--
	last := f.readers == 0
	if last {
		s.drop(id, f)
	}
	s.feeds.mu.Unlock()
	if last {
		<-f.ended
	}
}

// drop sees to it that nobody joins a feed any more, and ends it; under feeds.mu.
func (s *Service) drop(id string, f *feed) {
	f.stop()
	if s.feeds.byID[id] == f {
		delete(s.feeds.byID, id)
	}
}

// feed reads the engine's stream into a feed.
func (s *Service) feed(ctx context.Context, id string, f *feed) {
	defer close(f.ended)
	err := s.tail(ctx, id, f.base, true, f.open, f.add)
	s.feeds.mu.Lock()
	s.drop(id, f)
	s.feeds.mu.Unlock()
	f.close(err)
}

func (f *feed) open(stream *dockercli.LogStream) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.started, f.running = stream.Started, stream.Running
	if !f.opened {
		f.opened = true
		close(f.began)
	}
	return nil
}

func (f *feed) close(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.over, f.err = true, err
	if !f.opened {
		close(f.began)
	}
	f.wake()
}

// after finds the number of the line that comes after pos.
func (f *feed) after(pos dockercli.LogPosition) (next int, there bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	later := sort.Search(len(f.lines), func(i int) bool { return f.lines[i].pos.At.After(pos.At) })
	for i := later - 1; i >= 0 && f.lines[i].pos.At.Equal(pos.At); i-- {
		if same(f.lines[i].pos, pos) {
			return f.first + i + 1, true
		}
	}
	return f.first, same(f.base, pos)
}

func same(a, b dockercli.LogPosition) bool {
	return a.At.Equal(b.At) && a.Seen == b.Seen && a.Late == b.Late
}

// add takes a line, and lets the oldest go.
func (f *feed) add(l dockercli.Line, pos dockercli.LogPosition) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if cap(f.room)-len(f.room) < len(l.Text) {
		f.room = make([]byte, 0, max(16<<10, len(l.Text)))
	}
	at := len(f.room)
	f.room = append(f.room, l.Text...)
	l.Text = f.room[at:len(f.room):len(f.room)]
	f.lines = append(f.lines, feedLine{Line: l, pos: pos})
	f.size += len(l.Text)
	gone := 0
	for len(f.lines)-gone > feedLines || f.size > feedBytes {
		f.size -= len(f.lines[gone].Text)
		f.base = f.lines[gone].pos
		f.lines[gone] = feedLine{}
		gone++
	}
	f.first, f.lines = f.first+gone, f.lines[gone:]
	f.wake()
	return nil
}

// wake lets those look who wait, under mu.
func (f *feed) wake() {
	if f.more != nil {
		close(f.more)
		f.more = nil
	}
}

// take gives lines from a number on, as many as into has room for. If there
// are none yet, it gives what to wait for; if there won't be any, neither.
func (f *feed) take(from int, into []feedLine) (lines []feedLine, more <-chan struct{}, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch at := from - f.first; {
	case at < 0:
		return nil, nil, errBehind
	case at < len(f.lines):
		return append(into, f.lines[at:min(len(f.lines), at+cap(into))]...), nil, nil
	case f.over:
		return nil, nil, f.err
	}
	if f.more == nil {
		f.more = make(chan struct{})
	}
	return nil, f.more, nil
}

// read gives the lines from a number on, until the feed ends.
func (f *feed) read(ctx context.Context, next int, on func(dockercli.Line, dockercli.LogPosition) error) error {
	buffer := make([]feedLine, 0, 128)
	for {
		lines, more, err := f.take(next, buffer)
		switch {
		case err != nil || more == nil && len(lines) == 0:
			return err
		case more != nil:
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-more:
			}
			continue
		}
		for _, l := range lines {
			if err := on(l.Line, l.pos); err != nil {
				return err
			}
		}
		if next += len(lines); len(lines) < cap(buffer) {
			time.Sleep(feedPause)
		}
	}
}
