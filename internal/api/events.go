package api

import (
	"context"
	"errors"
	"strconv"

	"github.com/coder/websocket"
	"github.com/gin-gonic/gin"

	"github.com/watch-docker/watch-docker/internal/wsstream"
)

// eventsQueue is how many frames may wait for one socket. Beyond them it gets
// a fresh snapshot.
const eventsQueue = 1024

// maxKept is how many bytes of a frame's buffer are kept for the next.
const maxKept = 16 << 10

// numbered is a socket whose frames have numbers, and are shared with others.
type numbered struct {
	*socket
	text []byte // of the last frame
}

// frame sends a JSON object with this socket's next number.
func (n *numbered) frame(ctx context.Context, object []byte) error {
	text := strconv.AppendUint(append(n.text[:0], `{"seq":`...), n.next(), 10)
	text = append(append(text, ','), object[1:]...)
	if n.text = text; cap(text) > maxKept {
		n.text = nil
	}
	return n.write(ctx, websocket.MessageText, text)
}

// eventsSocket is GET /api/events/ws. Of what the peer says the newest counts.
func (s *server) eventsSocket(c *gin.Context) {
	said := make(chan []byte, 1)
	hear := func(_ context.Context, kind websocket.MessageType, text []byte) error {
		if kind == websocket.MessageText {
			select {
			case <-said:
			default:
			}
			said <- text // has room: nobody else fills it
		}
		return nil
	}
	s.upgradeBoth(func(ctx context.Context, out *socket) error { return s.events(ctx, &numbered{socket: out}, said) }, hear, maxIncoming)(c)
}

func (s *server) events(ctx context.Context, out *numbered, said <-chan []byte) error {
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
		case text := <-said:
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
func tellEvents(ctx context.Context, out *numbered, messages []wsstream.Message) (changed bool, err error) {
	for _, m := range messages {
		switch {
		case errors.Is(m.Err, wsstream.ErrClosed):
			return false, errStopping
		case m.Err != nil:
			return false, m.Err
		}
		f, _ := m.Body.(boardFrame) // there is nothing else
		if err := out.frame(ctx, f.json); err != nil {
			return false, err
		}
		changed = changed || f.counts
		if ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
	}
	return changed, nil
}
