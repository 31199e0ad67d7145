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
		lines[i] = text[:at] + mask + end
		for depth := indent(text); i+1 < len(lines) && !blank(lines[i+1]) && indent(lines[i+1]) > depth; i++ {
			lines[i+1] = "" // the rest of a value of several lines
		}
	}
	return []byte(strings.Join(lines, "")), masked
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
