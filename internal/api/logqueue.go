package api

import (
	"context"
	"encoding/json"
	"strconv"
	"sync"
	"time"

	"github.com/watch-docker/watch-docker/internal/containerlog"
)

const (
	frameBytes = 64 << 10              // of a frame of lines, about
	frameDelay = 50 * time.Millisecond // how long a line waits for others
	// queueBytes is what waits for a slow client. The history waits for the
	// client; what is being written now is dropped.
	queueBytes = 1 << 20
	smallFrame = 4 << 10
	spareBytes = 2 * frameBytes // a larger buffer isn't kept for another frame
)

// logQueue makes frames of lines and notices, and keeps them until they are sent.
type logQueue struct {
	ctx        context.Context //nolint:containedctx // it ends those who wait in Line, which has none
	timestamps bool
	buffers    *sync.Pool // of *[]byte, for large frames; all sockets share it

	mu       sync.Mutex
	ready    [][]byte // frames, the oldest first
	open     []byte   // the frame that lines are put into
	begun    time.Time
	size     int // bytes of all
	live     bool
	dropping bool
	skipped  int
	ended    bool
	more     chan struct{} // something has come for the sender
	room     chan struct{} // something has been sent
}

func newLogQueue(ctx context.Context, timestamps bool, buffers *sync.Pool) *logQueue {
	return &logQueue{ctx: ctx, timestamps: timestamps, buffers: buffers, more: make(chan struct{}, 1), room: make(chan struct{}, 1)}
}

// Live implements containerlog.Sink.
func (q *logQueue) Live() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.live = true
}

// Line implements containerlog.Sink.
func (q *logQueue) Line(l containerlog.Line) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	for !q.live && q.size > queueBytes {
		q.mu.Unlock()
		select {
		case <-q.room:
		case <-q.ctx.Done():
		}
		q.mu.Lock()
		if q.ctx.Err() != nil {
			break
		}
	}
	if err := q.ctx.Err(); err != nil {
		return err
	}
	if q.dropping = q.dropping || q.live && q.size > queueBytes; q.dropping {
		q.skipped++
		return nil
	}
	before := len(q.open)
	if before == 0 {
		q.open, q.begun = append(make([]byte, 0, smallFrame), '['), time.Now()
		wake(q.more)
	} else {
		q.open = append(q.open, ',')
	}
	q.enlarge(len(l.Text))
	q.open = appendLine(q.open, l, q.timestamps)
	q.size += len(q.open) - before
	if len(q.open) >= frameBytes {
		q.shut()
		wake(q.more)
	}
	return nil
}

// Note implements containerlog.Sink. Notices are few, and none is dropped.
func (q *logQueue) Note(n containerlog.Notice) error {
	text, err := json.Marshal(n)
	if err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.shut()
	q.tell()
	q.push(text)
	wake(q.more)
	return q.ctx.Err()
}

// end says that nothing more will come.
func (q *logQueue) end() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ended = true
	wake(q.more)
}

// shut ends the open frame.
func (q *logQueue) shut() {
	if len(q.open) > 0 {
		q.ready, q.size, q.open = append(q.ready, append(q.open, ']')), q.size+1, nil
	}
}

func (q *logQueue) push(frame []byte) {
	q.ready, q.size = append(q.ready, frame), q.size+len(frame)
}

// tell puts the number of lines that have been dropped to where they were.
func (q *logQueue) tell() {
	if q.skipped == 0 {
		return
	}
	n := q.skipped
	text, _ := json.Marshal(containerlog.Notice{Type: containerlog.Skipped, Lines: &n}) // it always marshals
	q.skipped = 0
	q.push(text)
}

// next waits for a frame; nil means that all is sent.
func (q *logQueue) next(ctx context.Context) ([]byte, error) {
	for {
		frame, ended, in := q.take()
		if frame != nil || ended {
			return frame, nil
		}
		var due <-chan time.Time
		if in > 0 {
			due = time.After(in)
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-due:
		case <-q.more:
		}
	}
}

// take gives a frame that is due, or says when one will be; 0: unknown.
func (q *logQueue) take() (frame []byte, ended bool, in time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.ready) == 0 && len(q.open) > 0 {
		if in = frameDelay - time.Since(q.begun); in > 0 && !q.ended {
			return nil, false, in
		}
		q.shut()
	}
	if len(q.ready) == 0 {
		return nil, q.ended, 0
	}
	frame, q.ready[0] = q.ready[0], nil
	q.ready = q.ready[1:]
	q.size -= len(frame)
	if q.dropping && q.size <= queueBytes/2 {
		q.shut()
		q.tell()
		q.dropping = false
	}
	wake(q.room)
	return frame, false, 0
}

// enlarge moves a frame that outgrows a small one to a large buffer at once:
// to grow bit by bit would copy it several times.
func (q *logQueue) enlarge(by int) {
	if len(q.open)+by+smallFrame/8 <= cap(q.open) || cap(q.open) >= frameBytes {
		return
	}
	large, ok := q.buffers.Get().(*[]byte)
	if !ok {
		large = new(make([]byte, 0, frameBytes+smallFrame))
	}
	q.open = append((*large)[:0], q.open...)
}

// recycle takes a frame back that has been sent.
func (q *logQueue) recycle(frame []byte) {
	if cap(frame) >= frameBytes && cap(frame) <= spareBytes {
		q.buffers.Put(&frame)
	}
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// appendLine appends {"t":…,"stream":…,"service":…,"number":…,"line":…,"cut":true}.
func appendLine(to []byte, l containerlog.Line, timestamps bool) []byte {
	to = append(to, '{')
	if timestamps {
		to = append(appendTime(append(to, `"t":"`...), l.T), `",`...)
	}
	to = append(append(append(to, `"stream":"`...), l.Stream...), '"')
	if l.Service != "" {
		to = appendText(append(to, `,"service":`...), l.Service) // labels have come as JSON, so they are UTF-8
		to = appendText(append(to, `,"number":`...), l.Number)
	}
	to = appendText(append(to, `,"line":`...), l.Text)
	if l.Cut {
		to = append(to, `,"cut":true`...)
	}
	return append(to, '}')
}

// appendText appends a JSON string (RFC 8259, 7) of text that is UTF-8.
func appendText[T string | []byte](to []byte, text T) []byte {
	to = append(to, '"')
	from := 0
	for i := range len(text) {
		c := text[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		to = append(to, text[from:i]...)
		from = i + 1
		switch {
		case c == '\t':
			to = append(to, `\t`...)
		case c >= ' ':
			to = append(to, '\\', c)
		default:
			to = append(to, `\u00`...)
			if c < 0x10 {
				to = append(to, '0')
			}
			to = strconv.AppendUint(to, uint64(c), 16)
		}
	}
	return append(append(to, text[from:]...), '"')
}
