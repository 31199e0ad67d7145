package containerlog

import (
	"context"
	"errors"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/internal/logging"
)

const (
	// grace is how long a container that is gone is waited for: whoever
	// recreates one removes the old before the new gets its name.
	grace = 3 * time.Second
	// firstPause and lastPause are between questions to an engine that
	// doesn't answer, and between streams that end at once.
	firstPause = 250 * time.Millisecond
	lastPause  = 5 * time.Second
)

// tails are how many messages of a log are asked for when it is gone on with;
// the engine goes through all of a log to find a time in it.
const fewMessages, manyMessages = 1000, 30_000

// follower follows one container after the other.
type follower struct {
	s      *Service
	line   func(dockercli.Line) error
	note   func(Notice) error
	id     string
	name   string // empty: the container alone, not its successors
	at     map[string]dockercli.LogPosition
	since  time.Time // when the container was started that was last read
	seen   time.Time // … that was last asked about
	match  func([]byte) bool
	failed error // of the sink

	away    bool // the engine doesn't answer, and that has been said
	stopped bool // … that the container has ended
}

// Container reads a container's log and, if asked to, follows it and those
// that replace it under its name, until ctx ends or nothing is left to follow.
//
// Errors: ErrUnavailable, dockercli.ErrNotFound and dockercli.ErrUnavailable
// at the beginning, the sink's, ctx's.
func (s *Service) Container(ctx context.Context, id, name string, r Request, to Sink) error {
	f := follower{
		s: s, id: id, name: name, match: r.Match, at: map[string]dockercli.LogPosition{}, note: to.Note,
		line: func(l dockercli.Line) error { return to.Line(Line{Line: l}) },
	}
	pos, sum, err := s.history(ctx, id, r, f.line)
	if err != nil {
		return err
	}
	if err := to.Note(sum.notice()); err != nil || !r.Follow {
		return err
	}
	to.Live()
	f.at[id] = pos
	if err := f.run(ctx); err != nil {
		return err
	}
	return to.Note(Notice{Type: Ended})
}

// run follows until nothing is left (nil).
func (f *follower) run(ctx context.Context) error {
	pause := firstPause
	for {
		began := time.Now()
		err := f.stream(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case f.failed != nil:
			return f.failed
		case errors.Is(err, ErrUnavailable):
			return err
		case err != nil && !errors.Is(err, dockercli.ErrNotFound):
			if err := f.lost(err); err != nil {
				return err
			}
			if err := wait(ctx, f.s.next(), pause); err != nil {
				return err
			}
		}
		if time.Since(began) > lastPause {
			pause = firstPause
		}
		if again, err := f.successor(ctx, pause); err != nil || !again {
			return err
		}
		pause = min(2*pause, lastPause)
	}
}

// stream reads the log of f.id from where it was left, until the container
// ends: with all others who follow it, or alone until it is where they are.
func (f *follower) stream(ctx context.Context) error {
	for behind := false; ; {
		var err error
		if shared, next := f.join(behind); shared != nil { //nolint:contextcheck // the feed ends with the last of those who follow it
			err = f.shared(ctx, shared, next)
		} else {
			err = f.alone(ctx, true)
		}
		behind = errors.Is(err, errBehind)
		if !behind && !errors.Is(err, errCaughtUp) {
			return err
		}
	}
}

// join joins the feed, unless that has just proved to be too quick: it would
// be begun again in vain.
func (f *follower) join(behind bool) (shared *feed, next int) {
	if behind {
		return nil, 0
	}
	return f.s.join(f.id, f.at[f.id])
}

// shared reads a feed that was joined.
func (f *follower) shared(ctx context.Context, shared *feed, next int) error {
	defer f.s.leave(f.id, shared)
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-shared.began:
	}
	started, running, err := shared.state()
	if err != nil {
		return err
	}
	if started.Before(f.seen) { // the stream has been going on since before
		started, running = f.seen, true
	}
	if err := f.begun(started, running); err != nil {
		return err
	}
	return shared.read(ctx, next, f.at[f.id], f.give)
}

// alone reads by itself; with follow until the container ends, or others have
// what comes next.
func (f *follower) alone(ctx context.Context, follow bool) error {
	return f.s.tail(ctx, f.id, f.at[f.id], follow, func(stream *dockercli.LogStream) error {
		if !follow {
			return f.back()
		}
		return f.begun(stream.Started, stream.Running)
	}, func(l dockercli.Line, pos dockercli.LogPosition) error {
		if err := f.give(l, pos); err != nil || !follow || !f.s.within(f.id, pos) {
			return err
		}
		return errCaughtUp
	})
}

// tail reads a container's log on from a position, until it ends; with
// follow, until the container does. begun is told of each stream.
func (s *Service) tail(ctx context.Context, id string, pos dockercli.LogPosition, follow bool,
	begun func(*dockercli.LogStream) error, on func(dockercli.Line, dockercli.LogPosition) error,
) error {
	for _, tail := range []int{fewMessages, manyMessages, All} {
		o := dockercli.LogOptions{Tail: tail, Follow: follow, After: pos, Reach: tail != All}
		if pos.At.IsZero() {
			o.Tail, o.Reach = All, false
		} else if tail == All {
			o.Since = pos.At
		}
		stream, err := s.engine.LogStream(ctx, id, o)
		if err != nil {
			return err
		}
		if err := begun(stream); err != nil {
			stream.Close()
			return err
		}
		err = stream.Read(ctx, func(l dockercli.Line) error { return on(l, stream.Position()) })
		if !errors.Is(err, dockercli.ErrLogGap) {
			return err
		}
	}
	return nil // all of it has no gap
}

// give takes a line, after which the log has been read up to pos.
func (f *follower) give(l dockercli.Line, pos dockercli.LogPosition) error {
	f.at[f.id] = pos
	if f.match == nil || f.match(l.Text) {
		f.failed = f.line(l)
	}
	return f.failed
}

// begun says what has happened before a stream.
func (f *follower) begun(started time.Time, running bool) error {
	was := f.since
	if started.After(was) {
		f.since = started
	}
	if err := f.back(); err != nil || !running {
		return err
	}
	f.stopped = false
	if !was.IsZero() && started.After(was) {
		return f.say(Notice{Type: Restarted, ID: f.id})
	}
	return nil
}

func (f *follower) say(n Notice) error {
	if f.failed == nil {
		f.failed = f.note(n)
	}
	return f.failed
}

// lost says once that the engine doesn't answer.
func (f *follower) lost(err error) error {
	if f.away {
		return nil
	}
	f.away = true
	f.s.log.Debug("a log has broken off", logging.Container(f.id), zap.Error(err))
	return f.say(Notice{Type: Disconnected})
}

func (f *follower) back() error {
	if !f.away {
		return nil
	}
	f.away = false
	return f.say(Notice{Type: Connected})
}

// successor waits until there is something to read: the container again, or
// another in its place. False means that nothing is left.
func (f *follower) successor(ctx context.Context, pause time.Duration) (bool, error) {
	var gone time.Time
	for {
		event := f.s.next()
		list, err := f.s.containers(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return false, ctx.Err()
			}
			if err := f.lost(err); err != nil {
				return false, err
			}
			if err := wait(ctx, event, pause); err != nil {
				return false, err
			}
			pause, gone = min(2*pause, lastPause), time.Time{}
			continue
		}
		if err := f.back(); err != nil {
			return false, err
		}
		most := lookAgain
		switch next := f.pick(list); {
		case next.ID == "":
			if gone.IsZero() {
				gone = time.Now()
			}
			if most = grace - time.Since(gone); most <= 0 {
				return false, nil
			}
		case next.ID != f.id && runs(next):
			if !f.stopped {
				f.rest(ctx)
			}
			f.id, f.since, f.seen, f.stopped = next.ID, time.Time{}, time.Time{}, false
			return true, f.say(Notice{Type: Replaced, ID: next.ID})
		case next.ID == f.id:
			again, err := f.again(ctx, pause)
			if err != nil || again {
				return again, err
			}
			most = max(pause, most/10)
			gone = time.Time{}
		default:
			gone = time.Time{}
		}
		if err := wait(ctx, event, most); err != nil {
			return false, err
		}
	}
}

// again reports whether the container itself is to be read on. The engine's
// list is behind when one has ended: the container is asked for.
func (f *follower) again(ctx context.Context, pause time.Duration) (bool, error) {
	state, err := f.s.engine.Inspect(ctx, f.id)
	f.seen = state.StartedAt
	switch {
	case err != nil:
		return false, ctx.Err() // the list tells what has become of it
	case state.StartedAt.After(f.since): // also if it has ended again since
		return true, nil
	case !state.Running && !f.stopped:
		f.stopped = true
		f.rest(ctx)
		return false, f.say(Notice{Type: Stopped, ID: f.id})
	case !state.Running:
		return false, nil
	}
	return true, wait(ctx, nil, pause) // the stream alone has ended
}

// rest reads what is left of the log of a container that has ended: an engine
// under load may end a stream before it has given the last lines.
func (f *follower) rest(ctx context.Context) {
	if err := f.alone(ctx, false); err != nil {
		f.s.log.Debug("the end of a log could not be read again", logging.Container(f.id), zap.Error(err))
	}
}

// pick finds who is to be followed; none has no id.
func (f *follower) pick(list []dockercli.Container) dockercli.Container {
	var self, named dockercli.Container
	for _, c := range list {
		if c.ID == f.id {
			self = c
		}
		if f.name != "" && c.Name == f.name {
			named = c
		}
	}
	switch {
	case named.ID == "" && self.ID != "" && f.name != "" && runs(self) && !strings.HasPrefix(self.Name, f.name+"."):
		f.name = self.Name // somebody has renamed it
		return self
	case named.ID == "" || named.ID != f.id && !runs(named) && self.ID != "":
		return self
	}
	return named
}

// runs reports whether a container has been started and not ended.
func runs(c dockercli.Container) bool {
	return c.State == "running" || c.State == "paused" || c.State == "restarting"
}
