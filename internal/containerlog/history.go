package containerlog

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/watch-docker/watch-docker/internal/dockercli"
)

// summary says what the reading of a history came to.
type summary struct {
	scanned, lines int
	more           bool // there may be older lines that weren't given
}

func (s *summary) add(o summary) {
	s.scanned, s.lines, s.more = s.scanned+o.scanned, s.lines+o.lines, s.more || o.more
}

func (s summary) notice() Notice {
	return Notice{Type: History, Scanned: &s.scanned, Lines: &s.lines, More: &s.more}
}

// history gives what has been written until now, and where that ends.
func (s *Service) history(ctx context.Context, id string, r Request, on func(dockercli.Line) error) (dockercli.LogPosition, summary, error) {
	if r.kept() {
		return s.lastOf(ctx, id, r, on)
	}
	var sum summary
	o := dockercli.LogOptions{Tail: r.Tail, Since: r.Since, Until: until(r)}
	if r.Tail == 0 {
		o.Tail = 1 // to know where the log ends
	}
	pos, err := s.read(ctx, id, o, func(l dockercli.Line) error {
		if r.Tail == 0 || !inTime(r, l.T) {
			return nil
		}
		sum.scanned++
		sum.lines++
		return on(l)
	})
	sum.more = r.Tail >= 0 && sum.scanned >= r.Tail
	return startOf(pos, r), sum, err
}

// startOf keeps an empty history from leading to all that was before Since.
func startOf(pos dockercli.LogPosition, r Request) dockercli.LogPosition {
	if pos.At.IsZero() {
		pos.At = r.Since
	}
	return pos
}

func (s *Service) read(ctx context.Context, id string, o dockercli.LogOptions, on func(dockercli.Line) error) (dockercli.LogPosition, error) {
	stream, err := s.engine.LogStream(ctx, id, o)
	if err != nil {
		return dockercli.LogPosition{}, err
	}
	err = stream.Read(ctx, on)
	return stream.Position(), err
}

func until(r Request) time.Time {
	if r.Until.IsZero() || !r.Before.IsZero() && r.Before.Before(r.Until) {
		return r.Before
	}
	return r.Until
}

func inTime(r Request, t time.Time) bool {
	return !t.Before(r.Since) && (r.Until.IsZero() || !t.After(r.Until)) && (r.Before.IsZero() || t.Before(r.Before))
}

// errEnough ends the reading of a log before its end.
var errEnough = errors.New("enough")

// lastOf gives the last lines of those that match and are in time. What a
// page of old lines needs is mostly near the end of the log, so that the last
// part of it is tried first; a search goes through all of it.
func (s *Service) lastOf(ctx context.Context, id string, r Request, on func(dockercli.Line) error) (dockercli.LogPosition, summary, error) {
	want := min(uint(r.Tail), mostKept)
	tails := []int{4*int(want) + 1000, 64*int(want) + 16_000, MostScanned}
	if r.Match != nil {
		tails = tails[2:]
	}
	for i, tail := range tails {
		keep := keeper{want: int(want)}
		var sum summary
		read := 0
		pos, err := s.read(ctx, id, dockercli.LogOptions{Tail: tail, Since: r.Since}, func(l dockercli.Line) error {
			read++
			if r.Match == nil && !inTime(r, l.T) && keep.enough() {
				return errEnough
			}
			if !inTime(r, l.T) {
				return nil
			}
			sum.scanned++
			if r.Match == nil || r.Match(l.Text) {
				keep.add(l)
			}
			return nil
		})
		if err != nil && !errors.Is(err, errEnough) {
			return pos, sum, err
		}
		if whole := read < tail; !whole && !keep.enough() && i+1 < len(tails) {
			continue
		}
		sum.more = keep.dropped || read >= tail || err != nil
		for _, l := range keep.lines {
			sum.lines++
			if err := on(l); err != nil {
				return pos, sum, err
			}
		}
		return startOf(pos, r), sum, nil
	}
	panic("unreachable")
}

// keeper keeps the last lines, and all that have the time of the first of
// them: a page never begins within a moment.
type keeper struct {
	want    int
	lines   []dockercli.Line
	size    int
	dropped bool
}

func (k *keeper) enough() bool { return k.dropped || len(k.lines) >= k.want }

func (k *keeper) add(l dockercli.Line) {
	l.Text = bytes.Clone(l.Text)
	k.lines = append(k.lines, l)
	k.size += len(l.Text)
	gone := 0
	for rest := len(k.lines); rest > k.want || k.size > mostKeptBytes; rest = len(k.lines) - gone {
		same := 1
		for same < rest && k.lines[gone+same].T.Equal(k.lines[gone].T) {
			same++
		}
		over := k.size > mostKeptBytes || rest > 2*mostKept
		if !over && rest-same < k.want {
			break
		}
		if over {
			same = 1
		}
		for range same {
			k.size -= len(k.lines[gone].Text)
			k.lines[gone].Text = nil
			gone++
		}
	}
	if gone > 0 {
		k.dropped = true
		k.lines = k.lines[gone:]
	}
}
