package composefile

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// ErrVariable: the name, the value or the file isn't one that SetVariable can
// do with, for errors.Is.
var ErrVariable = errors.New("the variable can't be set")

var (
	variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	bareValue    = regexp.MustCompile(`^[\w./:@+,=-]*$`)
	statement    = regexp.MustCompile(`^(?:export[ \t]+)?([\w.\-\[\]]+)[ \t]*[=:][ \t]*`)
)

// SetVariable sets a variable in an env file: its value changes where it is
// set last, or it is added at the end. All else stays.
//
// Errors: ErrVariable.
func SetVariable(content []byte, name, value string) ([]byte, error) {
	switch {
	case !variableName.MatchString(name):
		return nil, fmt.Errorf("%w: %q is no name: letters, digits and _ are allowed", ErrVariable, short(name))
	case !utf8.ValidString(value) || strings.ContainsRune(value, 0):
		return nil, fmt.Errorf("%w: the value of %s isn't text", ErrVariable, name)
	case len(content)+len(value) > maxFile:
		return nil, fmt.Errorf("%w: the file would be bigger than 2 MiB", ErrVariable)
	}
	before, err := variablesOf(content)
	if err != nil {
		return nil, fmt.Errorf("%w: the file has a line that isn't NAME=value: mend that first", ErrVariable)
	}
	out := appended(content, name, value)
	if start, end, ok := lastValue(content, name); ok {
		out = slices.Concat(content[:start], []byte(written(value, content[start:end])), content[end:])
	}
	after, err := variablesOf(out)
	if err != nil || after[name] != value {
		return nil, fmt.Errorf("%w: %s can't be set to this in the file: set it by hand", ErrVariable, name)
	}
	for other := range after {
		if _, had := before[other]; !had && other != name {
			return nil, fmt.Errorf("%w: setting %s would set %s, too: set it by hand", ErrVariable, name, other)
		}
	}
	return out, nil
}

func variablesOf(content []byte) (map[string]string, error) {
	vars := map[string]string{}
	err := parseEnv(content, vars, func(string) (string, bool) { return "", false })
	return vars, err
}

// lastValue is where the value of a variable's last statement is, with its
// quotes and without a comment behind it.
func lastValue(content []byte, name string) (start, end int, ok bool) {
	i := 0
	if bytes.HasPrefix(content, []byte("\xef\xbb\xbf")) {
		i = 3
	}
	for i < len(content) {
		i += len(content[i:]) - len(bytes.TrimLeft(content[i:], " \t\r\n\v\f"))
		m := statement.FindSubmatchIndex(content[i:])
		if m == nil { // a comment, a name alone, or nothing
			i += len(line(content[i:])) + 1
			continue
		}
		from := i + m[1]
		to := from + valueLength(content[from:])
		if string(content[i+m[2]:i+m[3]]) == name {
			start, end, ok = from, to, true
		}
		i = to
	}
	return start, end, ok
}

func line(rest []byte) []byte {
	if n := bytes.IndexByte(rest, '\n'); n >= 0 {
		return rest[:n]
	}
	return rest
}

func valueLength(rest []byte) int {
	if len(rest) > 0 && (rest[0] == '"' || rest[0] == '\'') {
		for i := 1; i < len(rest); i++ {
			switch rest[i] {
			case '\\':
				i++
			case rest[0]:
				return i + 1
			}
		}
		return len(rest)
	}
	value := line(rest)
	if comment := bytes.Index(value, []byte(" #")); comment >= 0 {
		value = value[:comment]
	}
	return len(bytes.TrimRight(value, " \t\r\v\f"))
}

// written is a value in the form that the old one has, if it can have that.
func written(value string, old []byte) string {
	double := `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `\$`, "\n", `\n`, "\r", `\r`).Replace(value) + `"`
	switch {
	case bytes.HasPrefix(old, []byte(`"`)):
		return double
	case bytes.HasPrefix(old, []byte(`'`)) && !strings.ContainsAny(value, "'\\\n\r"):
		return "'" + value + "'"
	case bareValue.MatchString(value):
		return value
	case !strings.ContainsAny(value, "'\\\n\r"):
		return "'" + value + "'"
	}
	return double
}

func appended(content []byte, name, value string) []byte {
	end := "\n"
	if bytes.Contains(content, []byte("\r\n")) {
		end = "\r\n"
	}
	out := slices.Clone(content)
	if len(out) > 0 && out[len(out)-1] != '\n' {
		out = append(out, end...)
	}
	return append(out, name+"="+written(value, nil)+end...)
}
