package config

import (
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// Problem is one thing that is wrong with the configuration.
type Problem struct {
	// Key is the full dotted key ("scan.interval", "registry.auth[1].host"),
	// or the environment variable's name if it is that which isn't known.
	Key string
	// Value is what was given, secrets masked; empty if there is none to show.
	Value string
	// Source is file:line or the environment variable's name.
	Source string
	// Message says what is wrong, and after "; allowed: " what would be right.
	Message string
}

// String is "key = value: what is wrong; allowed: what (source)", on one line.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(printable(p.Key))
	if p.Value != "" {
		b.WriteString(" = " + printable(p.Value))
	}
	b.WriteString(": " + escape(p.Message))
	if p.Source != "" && p.Source != p.Key {
		b.WriteString(" (" + printable(p.Source) + ")")
	}
	return b.String()
}

// Error is everything that is wrong, in the order of the file, then of the table of keys.
type Error struct {
	Problems []Problem
}

// Error has one line for each problem.
func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// asError is nil without problems.
func asError(problems []Problem) error {
	if len(problems) == 0 {
		return nil
	}
	return &Error{Problems: problems}
}

// maxShown is how much of a bad value is repeated in a message, in bytes.
const maxShown = 120

// printable is what a message repeats of a key or value.
func printable(s string) string {
	if len(s) > maxShown {
		s = strings.ToValidUTF8(s[:maxShown], "") + "…"
	}
	return escape(s)
}

// escape keeps a problem on its line, whatever somebody put into the file.
func escape(s string) string {
	var b strings.Builder
	for _, r := range s {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
			continue
		}
		b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
	}
	return b.String()
}

var userInfo = regexp.MustCompile(`//[^/@\s]*@`)

// withoutUserInfo masks the account in a URL: a value that is refused is
// logged, and people do put passwords there.
func withoutUserInfo(s string) string { return userInfo.ReplaceAllString(s, "//"+masked+"@") }
