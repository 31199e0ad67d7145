package composecli

import (
	"bytes"
	"strings"
	"sync"
)

// Bounds of what is kept of a command's output.
const (
	maxLine    = 64 << 10 // what is longer is cut
	keptLines  = 40       // of FailedError
	keptWidth  = 1 << 10  // of each of them
	maxMessage = 4 << 10
)

// report hears what a command says, on both of its outputs, and tells it on.
type report struct {
	on   func(Event)
	line func(string)

	mu       sync.Mutex
	message  []string // what Compose says is wrong
	failures []Event
	last     []string
	aloud    bool   // it is standard error that is heard
	lament   string // the last line there
}

// heard takes a line of standard output.
func (r *report) heard(raw []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.aloud = false
	r.take(raw)
}

// lamented takes a line of standard error.
func (r *report) lamented(raw []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.aloud = true
	r.take(raw)
}

func (r *report) take(raw []byte) {
	text := clean(raw)
	record, ok := read(text)
	switch {
	case text == "":
	case !ok:
		r.say(text)
	case record.Error:
		if record.Message != "" {
			r.message = append(r.message, cleanLines(record.Message))
		}
	case record.ID != "":
		r.tell(record.event())
	default:
		for _, line := range record.lines() {
			r.say(clean([]byte(line)))
		}
	}
}

func (r *report) tell(e Event) {
	e.ID, e.Parent = clean([]byte(e.ID)), clean([]byte(e.Parent))
	e.Text, e.Details = cleanLines(e.Text), cleanLines(e.Details)
	if e.Status == Failed {
		r.failures = append(r.failures, e) // few: each is of one thing
		r.keep(e.ID + ": " + e.Details)
	}
	if r.on != nil {
		r.on(e)
	}
}

func (r *report) say(line string) {
	if line == "" {
		return
	}
	r.keep(line)
	if r.line != nil {
		r.line(line)
	}
}

func (r *report) keep(line string) {
	line = cut(line, keptWidth)
	if r.aloud {
		r.lament = line
	}
	r.last = append(r.last, line)
	if len(r.last) > keptLines {
		r.last = r.last[1:]
	}
}

// failed is the error of a command that ended by itself.
func (r *report) failed(code int) *FailedError {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := &FailedError{ExitCode: code, Message: strings.Join(r.message, "\n"), Output: r.last}
	for _, f := range r.failures { // "manifest unknown" doesn't say of what
		if _, name, _ := strings.Cut(f.ID, " "); strings.Contains(e.Message, f.Details) && !strings.Contains(e.Message, name) {
			e.Message = f.ID + ": " + e.Message
		}
	}
	if e.Message == "" { // docker itself, or a Compose that fell over
		e.Message = r.lament
	}
	e.Message = cut(e.Message, maxMessage)
	return e
}

func cleanLines(text string) string {
	var lines []string
	for line := range strings.SplitSeq(text, "\n") {
		lines = append(lines, clean([]byte(line)))
	}
	return strings.TrimSpace(strings.Join(lines, "\n"))
}

func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}

// splitter is a writer that hands lines on, each cut to maxLine bytes.
type splitter struct {
	heard func([]byte)
	line  []byte
}

// Write implements io.Writer. It never fails.
func (s *splitter) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		line, after, ended := bytes.Cut(rest, []byte{'\n'})
		if room := maxLine - len(s.line); room > 0 {
			s.line = append(s.line, line[:min(room, len(line))]...)
		}
		if ended {
			s.end()
		}
		rest = after
	}
	return len(p), nil
}

// end hands over a last line that has no end.
func (s *splitter) end() {
	if len(s.line) > 0 {
		s.heard(s.line)
	}
	s.line = s.line[:0]
}
