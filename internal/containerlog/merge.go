package containerlog

import (
	"bytes"
	"context"
	"errors"
	"sync"

	"github.com/watch-docker/watch-docker/internal/dockercli"
)

// histories gives what several containers have written until now, in the
// order of its times, and where each log ends.
func (g *group) histories(ctx context.Context, members []member) (map[string]dockercli.LogPosition, summary, error) {
	ctx, cancel := context.WithCancel(ctx)
	type source struct {
		lines chan dockercli.Line
		head  dockercli.Line
		open  bool
		pos   dockercli.LogPosition
		sum   summary
		err   error
	}
	sources := make([]*source, len(members))
	var reading sync.WaitGroup
	defer reading.Wait()
	defer cancel()
	for i, m := range members {
		q := &source{lines: make(chan dockercli.Line, 16)}
		sources[i] = q
		reading.Go(func() {
			defer close(q.lines)
			q.pos, q.sum, q.err = g.s.history(ctx, m.id, g.r, func(l dockercli.Line) error {
				l.Text = bytes.Clone(l.Text)
				select {
				case q.lines <- l:
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			})
		})
	}
	for _, q := range sources {
		q.head, q.open = <-q.lines
	}
	for {
		first := -1
		for i, q := range sources {
			if q.open && (first < 0 || q.head.T.Before(sources[first].head.T)) {
				first = i
			}
		}
		if first < 0 {
			break
		}
		q := sources[first]
		if err := g.line(members[first])(q.head); err != nil {
			return nil, summary{}, err
		}
		q.head, q.open = <-q.lines
	}
	at, sum := map[string]dockercli.LogPosition{}, summary{}
	var unreadable error
	readable := 0
	for i, q := range sources {
		switch {
		case errors.Is(q.err, dockercli.ErrNotFound): // gone since the list
		case errors.Is(q.err, ErrUnavailable):
			unreadable = q.err
		case q.err != nil:
			return nil, sum, q.err
		default:
			readable++
		}
		at[members[i].id] = q.pos
		sum.add(q.sum)
	}
	if readable == 0 && unreadable != nil {
		return nil, sum, unreadable
	}
	return at, sum, nil
}
