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
	feedLines = 2048
	feedBytes = 256 << 10
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
// says which line comes next. Nil: that line has been let go. Whoever joins leaves.
func (s *Service) join(id string, pos dockercli.LogPosition) (f *feed, next int) {
	s.feeds.mu.Lock()
	defer s.feeds.mu.Unlock()
	if f = s.feeds.byID[id]; f == nil {
		ctx, stop := context.WithCancel(context.Background())
		f = &feed{stop: stop, began: make(chan struct{}), ended: make(chan struct{}), base: pos, readers: 1}
		s.feeds.byID[id] = f
		go s.fill(ctx, id, f)
		return f, 0
	}
	next, _, there := f.after(pos)
	if !there {
		return nil, 0
	}
	f.readers++
	return f, next
}

// within reports whether who has read up to pos had better go on with a
// container's feed: not if what comes next is about to be let go.
func (s *Service) within(id string, pos dockercli.LogPosition) bool {
	s.feeds.mu.Lock()
	f := s.feeds.byID[id]
	s.feeds.mu.Unlock()
	if f == nil {
		return false
	}
	_, spare, there := f.after(pos)
	return there && spare
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

// fill reads the engine's stream into a feed.
func (s *Service) fill(ctx context.Context, id string, f *feed) {
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

// state gives the stream's beginning, or why there was none.
func (f *feed) state() (started time.Time, running bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.opened {
		return time.Time{}, false, f.err
	}
	return f.started, f.running, nil
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

// after finds the number of the first line that comes after pos, which may
// not have come yet. spare: it is among the newer half.
func (f *feed) after(pos dockercli.LogPosition) (next int, spare, there bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := sort.Search(len(f.lines), func(i int) bool { return f.lines[i].pos.Compare(pos) > 0 })
	return f.first + i, i >= len(f.lines)/2, !pos.Open && f.base.Compare(pos) <= 0
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

// read gives the lines from a number on that come after pos, until the feed ends.
func (f *feed) read(ctx context.Context, next int, pos dockercli.LogPosition, on func(dockercli.Line, dockercli.LogPosition) error) error {
	buffer := make([]feedLine, 0, 128)
	for ctx.Err() == nil {
		lines, more, err := f.take(next, buffer)
		switch {
		case err != nil || more == nil && len(lines) == 0:
			return err
		case more != nil:
			if err := wait(ctx, more, time.Hour); err != nil {
				return err
			}
			continue
		}
		for _, l := range lines {
			if l.pos.Compare(pos) <= 0 {
				continue // the feed was behind its reader
			}
			if err := on(l.Line, l.pos); err != nil {
				return err
			}
		}
		if next += len(lines); len(lines) < cap(buffer) {
			_ = wait(ctx, nil, feedPause)
		}
	}
	return ctx.Err()
}
