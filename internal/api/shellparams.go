package api

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

func wrongQuery(wrong map[string]string) Problem {
	p := problem(http.StatusUnprocessableEntity, CodeValidation, "Something in the request isn't as it should be.")
	p.Errors = wrong
	return p
}

func cells(query url.Values, name string, otherwise int, wrong map[string]string) int {
	text := query.Get(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxCells {
		wrong["query."+name] = fmt.Sprintf("is a number from 1 to %d", maxCells)
	}
	return n
}

// userName is a user or a group, by name or number.
var userName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}\$?(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}\$?)?$`)

func (o *ShellOptions) read(query url.Values, wrong map[string]string) {
	o.User, o.Dir = query.Get("user"), query.Get("cwd")
	if o.User != "" && !userName.MatchString(o.User) {
		wrong["query.user"] = "is a user or user:group, by name or number"
	}
	if o.Dir != "" {
		if !isPath(o.Dir) {
			wrong["query.cwd"] = "is an absolute path"
		}
		o.Dir = path.Clean(o.Dir)
	}
	var err error
	if o.Debug, err = strconv.ParseBool(query.Get("debug")); err != nil && query.Get("debug") != "" {
		wrong["query.debug"] = "is true or false"
	}
	o.Command = query["command"]
	if len(o.Command) == 1 {
		if o.Command, err = words(o.Command[0]); err != nil {
			wrong["query.command"] = err.Error()
		}
	}
	if len(o.Command) > maxShellWords || strings.ContainsRune(strings.Join(o.Command, ""), 0) || query.Has("command") && slices.Equal(o.Command, []string{""}) {
		wrong["query.command"] = fmt.Sprintf("is one to %d words without NUL", maxShellWords)
	}
}

// isPath reports whether a path is absolute and could be one.
func isPath(p string) bool {
	return strings.HasPrefix(p, "/") && len(p) <= maxPath && !strings.ContainsRune(p, 0)
}

// words splits a command as a POSIX shell does, by blanks, quotes and
// backslashes; nothing in it is expanded.
func words(text string) ([]string, error) {
	var all []string
	var word strings.Builder
	quote, inWord, escaped := rune(0), false, false
	for _, r := range text {
		switch {
		case escaped:
			if quote == '"' && !strings.ContainsRune("\"\\$`", r) {
				word.WriteByte('\\')
			}
			word.WriteRune(r)
			escaped = false
		case r == '\\' && quote != '\'':
			escaped, inWord = true, true
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == '\'' || r == '"'):
			quote, inWord = r, true
		case quote == 0 && strings.ContainsRune(" \t\r\n", r):
			if inWord {
				all = append(all, word.String())
				word.Reset()
			}
			inWord = false
		default:
			word.WriteRune(r)
			inWord = true
		}
	}
	if quote != 0 || escaped {
		return nil, errors.New("has a quote without its end")
	}
	if inWord {
		all = append(all, word.String())
	}
	return all, nil
}
