package dockercli

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/client"
)

// What LogStream says besides the errors of every call.
var (
	// ErrLogsUnavailable: the container's log driver keeps nothing that could be read.
	ErrLogsUnavailable = errors.New("the container's log can't be read")
	// ErrLogGap: the log as it was asked for begins after LogOptions.After, so lines may be missing between.
	ErrLogGap = errors.New("the log begins later")
)

// LongestLogLine is where LogStream cuts a line, in bytes.
const LongestLogLine = 64 << 10

// longestRaw is what is kept of a line before the times of its parts are taken
// out: the engine makes a part of 16 KiB.
const longestRaw = LongestLogLine + 6*stampLength

// flushPartial is how long the beginning of a line waits for its rest.
const flushPartial = 500 * time.Millisecond

// LogOptions say what of a log is wanted.
type LogOptions struct {
	Tail   int       // the last messages; negative: all
	Since  time.Time // this moment and later; zero: from the start
	Until  time.Time // this moment and earlier; zero: to the end
	Follow bool      // go on until the container ends

	After LogPosition // what was read before is left out
	// Reach makes it ErrLogGap, before any line, if what the engine sends
	// doesn't begin before After: more of it has to be asked for.
	Reach bool
}

// LogPosition is a place in a log: so many messages of it have been read, from
// the first one that is of At on. What comes later in it may have an earlier
// time, but At is the latest of those that were read. The zero value is the start.
type LogPosition struct {
	At   time.Time
	Seen int
	Open bool // a line has begun that hasn't been given: its beginning can't be had from here
}

// Compare orders the places in one log.
func (p LogPosition) Compare(o LogPosition) int {
	return cmp.Or(p.At.Compare(o.At), cmp.Compare(p.Seen, o.Seen))
}

// Line is one line of a log. Text is made safe to be shown: see safeText. It
// belongs to the stream, and holds until the next line.
type Line struct {
	T      time.Time // when the engine got it
	Stream string    // "stdout", "stderr"
	Text   []byte
	Cut    bool // it was longer than LongestLogLine
}

// LogStream is a container's log being read.
type LogStream struct {
	Started time.Time // when the container was last started, as of the beginning
	Running bool      // … and whether it ran

	c     *Client
	doing string
	body  io.ReadCloser
	tty   bool
	o     LogOptions

	mu     sync.Mutex // over all below, which the timer of partial lines looks at, too
	on     func(Line) error
	pos    LogPosition
	first  bool // no message has come yet
	there  bool // those before After.At are through
	skip   int  // messages from there on that are left out
	within bool // there is more of the message
	failed error
	leave  bool // the rest of a terminal's message, too
	over   bool
	timer  *time.Timer
	out    [2]partialLine
	safe   []byte
	times  stampReader
}

// partialLine is a line of one stream that has begun.
type partialLine struct {
	stream string
	text   []byte
	t      time.Time
	begun  bool // also with no text yet
	cut    bool
	stamp  []byte    // of a terminal's log: how t stands before each of its parts
	quiet  time.Time // when the last of it came
}

// LogStream begins to read a container's log: two requests. Whoever gets it
// calls Read. A log whose driver can't be read is ErrLogsUnavailable.
func (c *Client) LogStream(ctx context.Context, id string, o LogOptions) (*LogStream, error) {
	s := &LogStream{c: c, doing: "read the log of container " + short(id), o: o, first: true, pos: o.After, skip: o.After.Seen}
	asked, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	res, err := c.sdk().ContainerInspect(asked, id, client.ContainerInspectOptions{})
	if err != nil {
		return nil, c.wrap(s.doing, err)
	}
	if res.Container.Config != nil {
		s.tty = res.Container.Config.Tty
	}
	state := stateOf(res.Container)
	s.Started, s.Running = state.StartedAt, state.Running
	options := client.ContainerLogsOptions{
		ShowStdout: true, ShowStderr: true, Timestamps: true, Follow: o.Follow, Since: engineStamp(o.Since), Until: engineStamp(o.Until),
	}
	if o.Tail >= 0 {
		options.Tail = strconv.Itoa(o.Tail)
	}
	s.body, err = c.sdk().ContainerLogs(ctx, id, options)
	if errdefs.IsNotImplemented(err) || err != nil && isUnreadable(res.Container.HostConfig.LogConfig.Type) {
		return nil, fmt.Errorf("%s: %w: its log driver is %q; recreate it with json-file, local or journald, or look where the driver sends it",
			s.doing, ErrLogsUnavailable, res.Container.HostConfig.LogConfig.Type)
	}
	if err != nil {
		return nil, c.wrap(s.doing, err)
	}
	s.out[0].stream, s.out[1].stream = "stdout", "stderr"
	return s, nil
}

func isUnreadable(driver string) bool { return driver == "none" }

// engineStamp is a time as the engine's filters take it.
func engineStamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return fmt.Sprintf("%d.%09d", t.Unix(), t.Nanosecond())
}

// Close ends a stream that isn't read; Read does it by itself.
func (s *LogStream) Close() { _ = s.body.Close() }

// Read calls on for one line after the other, until the log ends (nil), on
// fails or the stream breaks. A line that stays without its end is given after
// a moment as it is; the rest is a line of its own.
func (s *LogStream) Read(ctx context.Context, on func(Line) error) error {
	defer s.body.Close()
	s.mu.Lock()
	s.on = on
	s.timer = time.AfterFunc(flushPartial, s.flushQuiet)
	s.mu.Unlock()
	body := io.Reader(s.body)
	if s.o.Follow {
		body = &unhurried{Reader: body}
	}
	r := bufio.NewReaderSize(body, 64<<10)
	var err error
	if s.tty {
		err = s.readRaw(r)
	} else {
		err = s.readFrames(r)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timer.Stop()
	s.over = true
	if s.failed != nil {
		return s.failed
	}
	if err == nil {
		s.within = false
		s.flush(&s.out[0])
		s.flush(&s.out[1])
		return s.failed
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return s.c.wrap(s.doing, err)
}

// followPause is how long one who has read all that there is waits for more:
// the engine sends each message by itself, and to wake up for each costs more
// than to read it. A Unix socket has room for some 200 of them meanwhile.
const followPause = 2 * time.Millisecond

// shortRead is how much is taken for all that there was.
const shortRead = 2 << 10

// unhurried is a reader that pauses after it has read all that there was.
type unhurried struct {
	io.Reader

	short bool
}

func (u *unhurried) Read(p []byte) (int, error) {
	if u.short {
		time.Sleep(followPause)
	}
	n, err := u.Reader.Read(p)
	u.short = n < shortRead
	return n, err
}

// Position is after the last line that was given, if it isn't open. It is for
// the time after Read, and for its callback.
func (s *LogStream) Position() LogPosition {
	pos := s.pos
	pos.Open = s.within || s.out[0].begun || s.out[1].begun
	return pos
}

// flushQuiet gives what has waited long enough for its rest.
func (s *LogStream) flushQuiet() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over || s.failed != nil {
		return
	}
	for i := range s.out {
		if p := &s.out[i]; p.begun && time.Since(p.quiet) >= flushPartial {
			s.flush(p)
		}
	}
	if s.failed != nil {
		_ = s.body.Close()
		return
	}
	s.timer.Reset(flushPartial)
}

// readFrames reads a log with both streams: each frame is one message of the
// log driver, which is a line or, of a long one, a part.
func (s *LogStream) readFrames(r *bufio.Reader) error {
	var head [8]byte
	for {
		if _, err := io.ReadFull(r, head[:]); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		size := int(binary.BigEndian.Uint32(head[4:]))
		switch stdcopy.StdType(head[0]) {
		case stdcopy.Systemerr:
			text, _ := io.ReadAll(io.LimitReader(r, int64(min(size, 4<<10))))
			return errors.New("the engine says: " + string(text))
		case stdcopy.Stdin, stdcopy.Stdout, stdcopy.Stderr:
		default:
			return fmt.Errorf("a frame of an unknown stream, %d", head[0])
		}
		p := &s.out[0]
		if stdcopy.StdType(head[0]) == stdcopy.Stderr {
			p = &s.out[1]
		}
		if err := s.frame(r, p, size); err != nil {
			return err
		}
	}
}

// frame reads one message.
func (s *LogStream) frame(r *bufio.Reader, p *partialLine, size int) error {
	for begun, wanted := false, false; size > 0; begun = true {
		piece, err := r.Peek(min(size, r.Size()))
		if err != nil {
			return unexpected(err)
		}
		size -= len(piece)
		n := len(piece)
		s.mu.Lock()
		if !begun {
			var t time.Time
			t, piece = s.times.cut(piece)
			wanted = s.begin(p, t)
		}
		s.within = size > 0
		if wanted {
			s.add(p, piece)
		}
		err = s.failed
		s.mu.Unlock()
		if err != nil {
			return err
		}
		_, _ = r.Discard(n)
	}
	return nil
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// readRaw reads a terminal's log: text without frames, in which a time stands
// before each message.
func (s *LogStream) readRaw(r *bufio.Reader) error {
	for fresh := true; ; {
		if fresh {
			_, _ = r.Peek(stampLength) // all of the time, if there is one
		}
		if _, err := r.Peek(1); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		piece, _ := r.Peek(r.Buffered())
		if end := bytes.IndexByte(piece, '\n'); end >= 0 {
			piece = piece[:end+1]
		}
		n := len(piece)
		s.mu.Lock()
		fresh = s.raw(piece, fresh)
		err := s.failed
		s.mu.Unlock()
		if err != nil {
			return err
		}
		_, _ = r.Discard(n)
	}
}

// raw takes a piece of a terminal's log with at most one end of a line, and
// reports whether the next begins a line.
func (s *LogStream) raw(piece []byte, fresh bool) bool {
	p, n := &s.out[0], len(piece)
	ended := piece[n-1] == '\n'
	if fresh {
		t, text := s.times.cut(piece)
		if len(text) == n { // no time: the rest of a line whose beginning has been given
			t = p.t
		} else {
			p.stamp = append(p.stamp[:0], piece[:n-len(text)]...)
		}
		piece = text
		s.leave = !s.begin(p, t)
	}
	s.within = !ended
	if !s.leave {
		s.add(p, piece)
	}
	return ended
}

// begin begins a message, and reports whether it is wanted.
func (s *LogStream) begin(p *partialLine, t time.Time) bool {
	if p.begun && !t.Equal(p.t) { // the rest of the line before never came
		s.flush(p)
	}
	p.t = t
	return s.unread(t)
}

// unread counts a message, and reports whether it hasn't been read before. The
// engine stamps the two streams one beside the other, and may write the later
// first.
func (s *LogStream) unread(t time.Time) bool {
	after := s.o.After.At
	if s.first {
		s.first = false
		if s.o.Reach && !t.Before(after) {
			s.failed = ErrLogGap
			return false
		}
	}
	if s.there = s.there || !t.Before(after); !s.there {
		return false
	}
	if t.After(after) {
		s.skip = 0
	}
	if s.skip > 0 {
		s.skip--
		return false
	}
	if t.After(s.pos.At) {
		s.pos.At, s.pos.Seen = t, 0
	}
	s.pos.Seen++
	return true
}

// add appends text to a line, and gives it if it ends.
func (s *LogStream) add(p *partialLine, text []byte) {
	more := s.within
	for len(text) > 0 && s.failed == nil {
		line, rest, ended := bytes.Cut(text, []byte{'\n'})
		text = rest
		room := max(longestRaw-len(p.text), 0)
		p.cut = p.cut || len(line) > room
		line = line[:min(len(line), room)]
		if !ended || len(p.text) > 0 {
			p.text = append(p.text, line...)
			line = p.text
		}
		if !ended {
			p.begun, p.quiet = true, time.Now()
			return
		}
		s.within = more || len(text) > 0
		s.give(p, line)
	}
}

// flush gives a line that may not have ended.
func (s *LogStream) flush(p *partialLine) {
	if p.begun && s.failed == nil {
		s.give(p, p.text)
	}
}

func (s *LogStream) give(p *partialLine, line []byte) {
	if len(p.stamp) > 0 && len(line) > len(p.stamp) { // a long line's parts have the time each
		line = bytes.ReplaceAll(line, p.stamp, nil)
	}
	if line = bytes.TrimRight(line, "\r"); len(line) > LongestLogLine {
		line, p.cut = line[:LongestLogLine], true
	}
	if p.cut { // not within a character
		for range utf8.UTFMax - 1 {
			if r, size := utf8.DecodeLastRune(line); r == utf8.RuneError && size == 1 {
				line = line[:len(line)-1]
			}
		}
	}
	s.safe = safeText(s.safe[:0], line)
	l := Line{T: p.t, Stream: p.stream, Text: s.safe, Cut: p.cut}
	p.text, p.begun, p.cut = p.text[:0], false, false
	s.failed = s.on(l)
}
