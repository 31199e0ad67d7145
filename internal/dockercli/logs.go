package dockercli

import (
	"bytes"
	"context"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/client"
)

// longestLine is where Logs cuts a line, in bytes.
const longestLine = 4 << 10

// Logs gives the last lines of what a container wrote, both streams in the
// engine's order, at most tail of them: two requests. Lines are cut at 4 KiB;
// terminal sequences are taken out, other control characters and what isn't
// UTF-8 become U+FFFD, so that they can be shown anywhere. A log driver that can't be read
// ("none") is an error.
func (c *Client) Logs(ctx context.Context, id string, tail int) ([]string, error) {
	if tail <= 0 {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	doing := "read the log of container " + short(id)
	res, err := c.sdk().ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	if err != nil {
		return nil, c.wrap(doing, err)
	}
	logs, err := c.sdk().ContainerLogs(ctx, id, client.ContainerLogsOptions{
		ShowStdout: true, ShowStderr: true, Tail: strconv.Itoa(tail),
	})
	if err != nil {
		return nil, c.wrap(doing, err)
	}
	defer logs.Close()
	lines := &tailLines{most: tail}
	stdout, stderr := &lineWriter{to: lines}, &lineWriter{to: lines}
	if res.Container.Config != nil && res.Container.Config.Tty {
		_, err = io.Copy(stdout, logs) // a terminal has one stream, without frames
	} else {
		_, err = stdcopy.StdCopy(stdout, stderr, logs)
	}
	stdout.flush()
	stderr.flush()
	return lines.list, c.wrap(doing, err)
}

// tailLines keeps the last lines.
type tailLines struct {
	most int
	room int // in bytes; 0: as much as they need
	list []string
	size int
	cut  bool // there were more
}

func (t *tailLines) add(line string) {
	t.list = append(t.list, line)
	t.size += len(line)
	gone := 0
	for len(t.list)-gone > t.most || t.room > 0 && t.size > t.room {
		t.size -= len(t.list[gone])
		gone++
	}
	if gone > 0 {
		t.cut = true
		t.list = append(t.list[:0], t.list[gone:]...)
	}
}

// lineWriter cuts one stream into lines; of a line that is too long it keeps
// the beginning alone.
type lineWriter struct {
	to   *tailLines
	line []byte
}

func (w *lineWriter) Write(p []byte) (int, error) {
	n := len(p)
	p = w.skip(p)
	for {
		before, after, ended := bytes.Cut(p, []byte{'\n'})
		w.line = append(w.line, before[:min(len(before), longestLine+utf8.UTFMax-min(len(w.line), longestLine+utf8.UTFMax))]...)
		if !ended {
			return n, nil
		}
		w.to.add(safeLine(string(w.line)))
		w.line, p = w.line[:0], after
	}
}

// skip leaves out what of a piece is too old to be kept, so that a flood costs little.
func (w *lineWriter) skip(p []byte) []byte {
	at := len(p)
	for range w.to.most + 1 {
		if at = bytes.LastIndexByte(p[:at], '\n'); at < 0 {
			return p
		}
	}
	w.to.cut, w.line = true, w.line[:0]
	return p[at+1:]
}

func (w *lineWriter) flush() {
	if len(w.line) > 0 {
		w.to.add(safeLine(string(w.line)))
		w.line = nil
	}
}

// safeLine makes text of a program fit to be shown: see Logs.
func safeLine(s string) string {
	s = strings.TrimRight(s, "\r\n")
	if len(s) > longestLine {
		cut := longestLine
		for cut > longestLine-utf8.UTFMax && !utf8.RuneStart(s[cut]) {
			cut--
		}
		s = s[:cut]
	}
	return strings.Map(safeRune, strings.ToValidUTF8(withoutEscapes(s), string(unicode.ReplacementChar)))
}

func safeRune(r rune) rune {
	switch {
	case r == '\t', r == '\n':
		return r
	case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r): // the latter turn text around on the screen
		return unicode.ReplacementChar
	}
	return r
}

// withoutEscapes takes out what steers terminals (ECMA-48): ESC [ … up to a
// final byte from @ to ~, which is how programs colour their lines.
func withoutEscapes(s string) string {
	if !strings.Contains(s, "\x1b[") {
		return s
	}
	var out strings.Builder
	for {
		before, after, found := strings.Cut(s, "\x1b[")
		out.WriteString(before)
		if !found {
			return out.String()
		}
		end := strings.IndexFunc(after, func(r rune) bool { return r >= '@' && r <= '~' })
		if end < 0 {
			return out.String()
		}
		s = after[end+1:]
	}
}
