package app

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/watch-docker/watch-docker/internal/preview"
)

// sheetWidth is for how many columns a preview is laid out, and labelWidth
// how many of them the words at the left have.
const (
	sheetWidth = 80
	labelWidth = 14
)

// sheet lays out one preview for people: a word at the left, what there is
// to say about it at the right.
type sheet struct{ b strings.Builder }

func renderPreview(p preview.Preview) string {
	s := &sheet{}
	fmt.Fprintln(&s.b, clip(safe(p.Name+": "+shorten(p.Image)), sheetWidth))
	if p.ToImage != "" && p.ToImage != p.Image {
		s.line("goes on with", shorten(p.ToImage))
	}
	s.releases(p)
	if p.Error != nil {
		s.say("not known", p.Error.Message)
	}
	s.changes(p)
	s.company(p)
	s.say("interruption", p.Interruption.Text)
	if p.Refused != nil {
		s.say("refused", p.Refused.Message)
	}
	for _, w := range p.Warnings {
		s.say("warning", w.Message)
	}
	return s.b.String()
}

// say writes a text beside its label, wrapped.
func (s *sheet) say(label, text string) {
	for _, line := range wrap(safe(text), sheetWidth-labelWidth-2) {
		fmt.Fprintf(&s.b, "  %-*s%s\n", labelWidth, label, line)
		label = ""
	}
}

// line writes one line, cut where it is too long.
func (s *sheet) line(label, text string) {
	fmt.Fprintf(&s.b, "  %-*s%s\n", labelWidth, label, clip(safe(text), sheetWidth-labelWidth-2))
}

func (s *sheet) releases(p preview.Preview) {
	s.line("from", told(p.From, "its image was removed from this host"))
	if p.To != nil {
		s.line("to", told(p.To, ""))
	}
	if p.Download != nil {
		s.line("download", size(p.Download.Bytes))
	}
	if p.Link != nil { // never cut: it would lead nowhere
		fmt.Fprintf(&s.b, "  %-*s%s\n", labelWidth, "read", safe(p.Link.URL))
	}
}

// told is a release on one line: what people compare first.
func told(r *preview.Release, without string) string {
	if r == nil {
		return without
	}
	parts := []string{cmp.Or(shortDigest(r.Digest), shortDigest(r.ImageID))}
	if r.CreatedAt != nil {
		parts = append(parts, r.CreatedAt.Format(time.DateOnly))
	}
	return strings.Join(append(parts, r.Version), "  ")
}

func size(bytes int64) string {
	switch {
	case bytes == 0:
		return "nothing"
	case bytes < 1e6:
		return fmt.Sprintf("%.1f kB", float64(bytes)/1e3)
	}
	return fmt.Sprintf("%.1f MB", float64(bytes)/1e6)
}

func (s *sheet) changes(p preview.Preview) {
	if p.To == nil {
		return
	}
	c := p.Changes
	if c.None() {
		s.line("changes", "no settings")
		return
	}
	s.list("env", c.Env)
	s.list("labels", c.Labels)
	s.list("ports", c.Ports)
	s.list("volumes", c.Volumes)
	s.command("entrypoint", c.Entrypoint)
	s.command("command", c.Cmd)
	s.text("user", c.User)
	s.text("directory", c.WorkingDir)
	s.text("stop signal", c.StopSignal)
	if h := c.Healthcheck; h != nil {
		s.change("health check", healthText(h.From), healthText(h.To), h.Overridden)
	}
}

// mostParts is how many variables or labels are shown; -json has them all.
const mostParts = 30

func (s *sheet) list(label string, all []preview.Change) {
	for i, c := range all {
		if i == mostParts {
			s.line(label, fmt.Sprintf("and %d more", len(all)-i))
			break
		}
		text := ""
		switch {
		case c.Kind == preview.Added && c.To == "":
			text = "+ " + c.Name
		case c.Kind == preview.Added:
			text = "+ " + c.Name + "=" + c.To
		case c.Kind == preview.Removed:
			text = "- " + c.Name
		default:
			text = "~ " + c.Name + ": " + quoted(c.From) + " -> " + quoted(c.To)
		}
		s.line(label, marked(text, c.Overridden))
		label = ""
	}
}

func (s *sheet) text(label string, c *preview.TextChange) {
	if c != nil {
		s.change(label, c.From, c.To, c.Overridden)
	}
}

func (s *sheet) command(label string, c *preview.ListChange) {
	if c != nil {
		s.change(label, commandText(c.From), commandText(c.To), c.Overridden)
	}
}

// change writes both values, beside each other or, if they are long, below.
func (s *sheet) change(label, from, to string, overridden bool) {
	from, to = quoted(from), quoted(to)
	if text := marked(from+" -> "+to, overridden); utf8.RuneCountInString(safe(text)) <= sheetWidth-labelWidth-2 {
		s.line(label, text)
		return
	}
	s.line(label, marked(from, overridden))
	s.line("", "-> "+to)
}

// marked says at the beginning, where nothing is cut, that a change has no effect.
func marked(text string, overridden bool) string {
	if overridden {
		return "(yours stays) " + text
	}
	return text
}

func quoted(s string) string {
	if s == "" {
		return `""`
	}
	return s
}

func commandText(words []string) string {
	out := make([]string, len(words))
	for i, w := range words {
		if w == "" || strings.ContainsAny(w, " \t\n\"'") {
			w = strconv.Quote(w)
		}
		out[i] = w
	}
	return strings.Join(out, " ")
}

func healthText(h *preview.HealthCheck) string {
	switch {
	case h == nil:
		return "none"
	case slices.Equal(h.Test, []string{"NONE"}):
		return "off"
	}
	return strings.TrimSpace(commandText(h.Test) + " " + strings.Join(slices.DeleteFunc(
		[]string{every("every ", h.Interval), every("timeout ", h.Timeout), every("start ", h.StartPeriod)},
		func(s string) bool { return s == "" }), ", "))
}

func every(word, duration string) string {
	if duration == "" {
		return ""
	}
	return word + duration
}

// company says who comes along, and in what order.
func (s *sheet) company(p preview.Preview) {
	if len(p.Dependents) > 0 {
		var along []string
		for _, d := range p.Dependents {
			along = append(along, d.Name+" ("+d.Action+")")
		}
		s.say("comes along", strings.Join(along, ", "))
		s.say("order", "stop "+strings.Join(p.Order.Stop, ", ")+"; start "+strings.Join(p.Order.Start, ", "))
	}
	for _, h := range []struct{ label, command string }{{"before", p.Hooks.PreUpdate}, {"after", p.Hooks.PostUpdate}} {
		if h.command != "" {
			s.line(h.label, h.command)
		}
	}
}

// safe writes out what a terminal could take for a command, and what would
// break a line: a stranger's image has chosen the text.
func safe(s string) string {
	var b strings.Builder
	for _, r := range s {
		if unicode.IsPrint(r) && r != utf8.RuneError {
			b.WriteRune(r)
		} else {
			quoted := strconv.QuoteRuneToASCII(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		}
	}
	return b.String()
}

// wrap breaks a text into lines of at most so many columns: between words, or
// within one that is longer than a line.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		for utf8.RuneCountInString(word) > width {
			runes := []rune(word)
			if line != "" {
				lines, line = append(lines, line), ""
			}
			lines, word = append(lines, string(runes[:width])), string(runes[width:])
		}
		switch {
		case line == "":
			line = word
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width:
			lines, line = append(lines, line), word
		default:
			line += " " + word
		}
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}
