package composefile

import (
	"regexp"
	"strings"

	"github.com/watch-docker/watch-docker/internal/secrets"
)

// assignment is where a name gets a value, in YAML, in an env file, in a
// command's options. A word with nothing behind it is none.
var assignment = regexp.MustCompile(`([\w.-]+)["']?[ \t]*[:=][ \t]*`)

// elsewhere is a value that is somewhere else: ${NAME}, without a default.
var elsewhere = regexp.MustCompile(`^["']?\$(?:\w+|\{\w+(?::?\?[^}]*)?\})["']?$`)

// Mask replaces what looks like a secret in a file of a project, to the end of
// its line, and says whether it did. It goes by lines, so that it also does in
// what is no YAML; it rather hides too much. What comes back is for people to
// read: saving it would lose the secrets.
func Mask(content []byte, mask string) (shown []byte, masked bool) {
	lines := strings.SplitAfter(string(content), "\n")
	for i := 0; i < len(lines); i++ {
		text, end := cutEnd(lines[i])
		at := secretAt(text)
		if at < 0 {
			continue
		}
		masked = true
		last := valueEnd(lines, i, at)
		lines[i] = text[:at] + mask + end
		for ; i < last; i++ {
			lines[i+1] = "" // the rest of a value of several lines
		}
	}
	return []byte(strings.Join(lines, "")), masked
}

// openQuote is a name with a quote before it and none behind.
var openQuote = regexp.MustCompile(`(["'])[\w.-]+[ \t]*[:=][ \t]*$`)

// valueEnd is the last line of a value that begins in a line: where its quote is
// closed, a private key ends, or what is indented deeper does.
func valueEnd(lines []string, i, at int) int {
	last, depth := i, indent(lines[i])
	for j := i + 1; j < len(lines) && (blank(lines[j]) || indent(lines[j]) > depth); j++ {
		if !blank(lines[j]) {
			last = j
		}
	}
	rest, quote := lines[i][at:], byte(0)
	if m := openQuote.FindStringSubmatch(lines[i][:at]); m != nil {
		quote = m[1][0]
	} else if rest != "" && (rest[0] == '"' || rest[0] == '\'') {
		quote, rest = rest[0], rest[1:]
	}
	if quote != 0 && !closes(rest, quote) {
		last = max(last, next(lines, i, func(line string) bool { return closes(line, quote) }))
	}
	if begin := strings.LastIndex(lines[i], "-----BEGIN "); begin >= 0 && !strings.Contains(lines[i][begin:], "-----END ") {
		last = max(last, next(lines, i, func(line string) bool { return strings.Contains(line, "-----END ") }))
	}
	return last
}

// next is the next line of a kind; without any, all may belong to the value.
func next(lines []string, i int, is func(string) bool) int {
	for j := i + 1; j < len(lines); j++ {
		if is(lines[j]) {
			return j
		}
	}
	return len(lines) - 1
}

// closes says whether a quoted text comes to its end in a line.
func closes(line string, quote byte) bool {
	for i := 0; i < len(line); i++ {
		doubled := quote == '\'' && strings.HasPrefix(line[i:], "''")
		switch {
		case line[i] == '\\', doubled:
			i++
		case line[i] == quote:
			return true
		}
	}
	return false
}

// cutEnd splits a line from its end.
func cutEnd(line string) (text, end string) {
	text = strings.TrimRight(line, "\r\n")
	return text, line[len(text):]
}

// secretAt is where a line's secret begins, or -1.
func secretAt(line string) int {
	at := -1
	if m := secrets.Find(line); m >= 0 {
		at = m
	}
	for _, m := range assignment.FindAllStringSubmatchIndex(line, -1) {
		value := strings.TrimSpace(line[m[1]:])
		if strings.HasSuffix(line[:m[2]], "${") && strings.HasPrefix(value, "?") {
			continue // what is said without it
		}
		if value != "" && secrets.Name(line[m[2]:m[3]]) && !elsewhere.MatchString(value) && (at < 0 || m[1] < at) {
			at = m[1]
		}
	}
	return at
}

func indent(line string) int { return len(line) - len(strings.TrimLeft(line, " \t-")) }

func blank(line string) bool { return strings.TrimSpace(line) == "" }
