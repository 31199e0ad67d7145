package imagefile

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/watch-docker/watch-docker/internal/composefile"
)

// one variable in an image: $NAME, ${NAME}, ${NAME:-default}, ${NAME:?error}.
var variablePattern = regexp.MustCompile(`^([^$]*)\$(?:\{([A-Za-z_][A-Za-z0-9_]*)(?::?[-?+][^{}$]*)?\}|([A-Za-z_][A-Za-z0-9_]*))([^$]*)$`)

// planVariable is Plan for an image with a variable in it, whose value has to
// come from the project's .env file, and be used nowhere else.
func (f *Files) planVariable(c Change, files []file, where, says string) (Edit, error) {
	m := variablePattern.FindStringSubmatch(says)
	if m == nil {
		return Edit{}, fmt.Errorf("%s says %s, of which only one plain variable could be changed", where, says)
	}
	name := m[2] + m[3]
	from, ok := cut(c.From, m[1], m[4])
	to, fits := cut(c.To, m[1], m[4])
	if !ok || !fits {
		return Edit{}, fmt.Errorf("%s says %s, which can't become %s by another value of %s", where, says, c.To, name)
	}
	envs, err := f.environment(c.Labels)
	if err != nil {
		return Edit{}, err
	}
	at, value, err := whoSets(envs, name)
	if err != nil {
		return Edit{}, fmt.Errorf("%s says %s, and %w", where, says, err)
	}
	if uses := countUses(append(files, envs...), name); uses != 1 {
		return Edit{}, fmt.Errorf("%s says %s, and %s is used in %d places: changing it would change all of them", where, says, name, uses)
	}
	switch value {
	case to:
		return Edit{}, nil
	case from:
	default:
		return Edit{}, fmt.Errorf("%s sets %s to %q, with which the container wasn't made", at.path, name, value)
	}
	changed, err := composefile.SetVariable(at.content, name, to)
	if err != nil {
		return Edit{}, fmt.Errorf("%s: %w", at.path, err)
	}
	return editOf(at, changed)
}

// cut takes what stands around a variable off a reference.
func cut(reference, prefix, suffix string) (string, bool) {
	rest, ok := strings.CutPrefix(reference, prefix)
	if !ok {
		return "", false
	}
	rest, ok = strings.CutSuffix(rest, suffix)
	return rest, ok && rest != ""
}

// environment reads the files that a project's variables come from: those
// that were named, else the folder's .env, if there is one.
func (f *Files) environment(labels map[string]string) ([]file, error) {
	if named := labels[labelEnv]; named != "" {
		return f.readAll(named)
	}
	if labels[labelDir] == "" {
		return nil, errors.New("its labels don't name the project's folder")
	}
	path := filepath.Join(labels[labelDir], ".env")
	content, err := f.read(path)
	if errors.Is(err, errMissing) {
		return nil, nil // there is none
	}
	return []file{{path, content}}, err
}

// assignment is a line that sets a variable: what stands before the value, and
// the value with what follows it.
func assignment(name string) *regexp.Regexp {
	return regexp.MustCompile(`(?m)^([ \t]*(?:export[ \t]+)?` + name + `[ \t]*=[ \t]*)([^\r\n]*)`)
}

// whoSets finds the one line that sets a variable, plainly.
func whoSets(envs []file, name string) (at file, value string, err error) {
	found := 0
	for _, env := range envs {
		for _, m := range assignment(name).FindAllSubmatch(env.content, -1) {
			at, found = env, found+1
			if value, _, err = plainValue(string(m[2])); err != nil {
				return at, "", fmt.Errorf("%s sets %s to something that %w", env.path, name, err)
			}
		}
	}
	switch found {
	case 0:
		return at, "", fmt.Errorf("%s isn't set in the project's .env", name)
	case 1:
		return at, value, nil
	}
	return at, "", fmt.Errorf("%s is set %d times in the project's .env", name, found)
}

// plainValue gives the value of an assignment, and its quotation mark if it has one.
func plainValue(text string) (value, quote string, err error) {
	value, after := text, ""
	if text != "" && strings.Contains(`"'`, text[:1]) {
		quote = text[:1]
		end := strings.Index(text[1:], quote)
		if end < 0 {
			return "", "", errors.New("goes on over several lines")
		}
		value, after = text[1:1+end], text[2+end:]
	} else if at := regexp.MustCompile(`\s+(#.*)?$|^#.*$`).FindStringIndex(text); at != nil {
		value, after = text[:at[0]], text[at[0]:]
	}
	if value == "" {
		return "", "", errors.New("is nothing")
	}
	if quote != "'" && strings.Contains(value, "$") || strings.Contains(value, `\`) {
		return "", "", errors.New("isn't plain text")
	}
	if rest := strings.TrimSpace(after); rest != "" && !strings.HasPrefix(rest, "#") {
		return "", "", errors.New("isn't plain text")
	}
	return value, quote, nil
}

// countUses counts where a variable's value is put in.
func countUses(files []file, name string) int {
	use := regexp.MustCompile(`\$\{?` + name + `(?:[^A-Za-z0-9_]|$)`)
	uses := 0
	for _, one := range files {
		uses += len(use.FindAll(one.content, -1))
	}
	return uses
}
