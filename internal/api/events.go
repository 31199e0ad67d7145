package api

import (
	"context"
	"errors"

	"github.com/watch-docker/watch-docker/internal/wsstream"
)

// eventsQueue is how many frames may wait for one socket. Beyond them it gets
// a fresh snapshot.
const eventsQueue = 1024

// events is GET /api/events/ws.
func (s *server) events(ctx context.Context, out *socket) error {
	board := s.Hub.Subscribe(ctx, eventsKey, newBoard(s.Live, s.Operations), wsstream.Options{Policy: wsstream.Latest, Size: eventsQueue})
	defer board.Close()
	stats := s.watchStats(ctx)
	defer stats.close()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-board.Ready():
			changed, err := tellEvents(ctx, out, board.Take())
			if err != nil {
				return err
			}
			if changed {
				stats.choose()
			}
		case text := <-out.said:
			stats.ask(text)
		case <-stats.queue.Ready():
			stats.gather()
		case <-stats.due:
			if err := stats.send(out); err != nil {
				return err
			}
		case <-stats.again:
			stats.choose()
		}
	}
}

// tellEvents sends what the board says, and reports whether other containers
// may run now.
func tellEvents(ctx context.Context, out *socket, messages []wsstream.Message) (changed bool, err error) {
	for _, m := range messages {
		switch {
		case errors.Is(m.Err, wsstream.ErrClosed):
			return false, errStopping
		case m.Err != nil:
			return false, m.Err
		}
		f, _ := m.Body.(boardFrame) // there is nothing else
		if err := out.number(ctx, f.json); err != nil {
			return false, err
		}
		changed = changed || f.counts
		if ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
	}
	return changed, nil
}
