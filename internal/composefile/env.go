package composefile

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/consts"
	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/compose-spec/compose-go/v2/template"

	"github.com/watch-docker/watch-docker/internal/composeenv"
)

// Variable is one that a file uses, or that an env file sets and none uses.
type Variable struct {
	Name     string  `json:"name"`
	Value    string  `json:"value"` // as it is filled in; for the caller to mask
	From     string  `json:"from"`  // the env file, "default" or "unset"; "project" of COMPOSE_PROJECT_NAME, "command" of what Compose's own environment has
	Required bool    `json:"required,omitempty"`
	Default  string  `json:"default,omitempty"`
	Uses     []Place `json:"uses"`
}

// Where a variable's value may come from besides an env file.
const (
	FromDefault = "default"
	FromUnset   = "unset"
	FromProject = "project"
	FromCommand = "command"
)

// env is what variables are filled in from.
type env struct {
	values map[string]string
	from   map[string]string
	files  []string // relative to the project's folder
}

// with adds variables that aren't there yet, as an include's do.
func (e env) with(values map[string]string, file string) env {
	out := env{values: maps.Clone(e.values), from: maps.Clone(e.from), files: e.files}
	for name, value := range values {
		if _, ok := out.values[name]; !ok {
			out.values[name], out.from[name] = value, file
		}
	}
	return out
}

var errGrown = errors.New("its variables grow beyond measure")

// ourVariableError is a use of a variable that would be our own.
type ourVariableError struct{ name string }

func (e *ourVariableError) Error() string { return e.name + " would be Watch Docker's own" }

// given is what the command's environment has before all files, which none of
// them changes.
func (c *checker) given() env {
	e := env{values: composeenv.Fixed(c.src.Dir), from: map[string]string{}}
	for name := range e.values {
		e.from[name] = FromCommand
	}
	return e
}

// parseEnv reads an env file as Compose does, with what is outer before its own
// variables. What a value takes from earlier ones is bounded: forty lines that
// each double the line above are enough to fill any memory.
func parseEnv(content []byte, vars map[string]string, outer func(string) (string, bool)) error {
	left, grown, ours := maxValue/8, false, ""
	resolve := func(name string) (string, bool) {
		if composeenv.IsOurs(name) {
			ours = name
		}
		value, ok := outer(name)
		if !ok {
			value, ok = vars[name]
		}
		if left -= len(value); left < 0 {
			grown = true
			return "", true
		}
		return value, ok
	}
	err := dotenv.ParseWithFormat(bytes.NewReader(content), "", vars, resolve, "")
	switch {
	case grown:
		return errGrown
	case ours != "" && err == nil:
		return &ourVariableError{ours}
	}
	return err
}

// lineOf is where an env file takes a variable from outside: in a value, or by a
// line of the name alone.
func lineOf(content []byte, name string) int {
	name = regexp.QuoteMeta(name)
	at := regexp.MustCompile(`\$\{?` + name + `\b|(?m:^[ \t]*(?:export[ \t]+)?` + name + `[ \t\r]*$)`).FindIndex(content)
	if at == nil {
		return 0
	}
	return 1 + bytes.Count(content[:at[0]], []byte("\n"))
}

var envLine = regexp.MustCompile(`line (\d+): (.*)`)

// envFile reads one for its variables; what is how a sentence about it starts.
func (c *checker) envFile(path, what string, at Place, vars map[string]string, outer func(string) (string, bool)) bool {
	content, err := c.reader.read(path)
	if err != nil {
		c.refuse(err, what, path, at)
		return false
	}
	err = parseEnv(content, vars, outer)
	if err == nil {
		return true
	}
	c.badEnv(path, content, err)
	return false
}

func (c *checker) badEnv(path string, content []byte, err error) {
	place := Place{File: c.relative(path)}
	var broken *template.InvalidTemplateError
	if m := envLine.FindStringSubmatch(err.Error()); m != nil && !errors.As(err, &broken) {
		place.Line, _ = strconv.Atoi(m[1])
		reason, _, _ := strings.Cut(m[2], " in variable name")
		reason, _, _ = strings.Cut(reason, "quoted value")
		// The rest is the line itself, which may hold a secret.
		c.problem("bad_env_file", place, "The line isn't NAME=value: %s. Put a value with blanks or quotes in single quotes.", strings.TrimSpace(strings.TrimSuffix(reason, " ")+quotedTail(m[2])))
		return
	}
	var missing *template.MissingRequiredError
	var ours *ourVariableError
	switch {
	case errors.As(err, &ours):
		place.Line = lineOf(content, ours.name)
		c.ourVariable(ours, place)
	case errors.Is(err, errGrown):
		c.problem("too_big", place, "The file's variables grow beyond %d MiB by naming one another.", maxValue/8>>20)
	case errors.As(err, &missing):
		c.problem("missing_variable", place, "The variable %s must have a value%s.", missing.Variable, colon(literal(missing.Reason, string(content))))
	default:
		c.problem("bad_env_file", place, "The file can't be read as lines of NAME=value: a ${…} in it isn't closed or isn't a variable.")
	}
}

func quotedTail(reason string) string {
	if strings.Contains(reason, "unterminated quoted value") {
		return " quote"
	}
	return ""
}

// ourVariable makes a problem of one that Compose takes from its environment,
// whatever the project's files say of it.
func (c *checker) ourVariable(err *ourVariableError, at Place) {
	c.problem("own_variable", at, "%s would be Watch Docker's own here, also if .env sets it. Write the value, or use a variable of another name.", err.name)
}

// environment reads the project's env files.
func (c *checker) environment() bool {
	c.env = c.given()
	names := c.src.EnvFiles
	if len(names) == 0 && c.reader.isFile(filepath.Join(c.src.Dir, ".env")) {
		names = []string{".env"}
	}
	given := maps.Clone(c.env.values)
	ok, vars, from := true, map[string]string{}, map[string]string{}
	for _, name := range names {
		path := filepath.Join(c.src.Dir, name)
		before := maps.Clone(vars)
		if !c.envFile(path, "The env file", Place{File: c.relative(path)}, vars, func(name string) (string, bool) { v, ok := given[name]; return v, ok }) {
			ok = false
			continue
		}
		c.env.files = append(c.env.files, c.relative(path))
		for key, value := range vars {
			if old, had := before[key]; !had || old != value {
				from[key] = c.relative(path)
			}
		}
	}
	for name, value := range vars {
		if _, has := given[name]; !has {
			c.env.values[name], c.env.from[name] = value, from[name]
		}
	}
	return ok
}

// substitute fills in variables without compose-go's warnings on the process's
// error output, and within bounds.
func (c *checker) substitute(text string, e env) (string, error) {
	grown, ours := false, ""
	out, err := template.SubstituteWithOptions(text, func(name string) (string, bool) {
		if composeenv.IsOurs(name) {
			ours = name
		}
		value, ok := e.values[name]
		c.looked[value] = true
		if c.grown += len(value); c.grown > maxValue {
			grown = true
			return "", true
		}
		return value, ok
	}, template.WithoutLogging)
	switch {
	case grown:
		return "", errGrown
	case ours != "":
		return "", &ourVariableError{ours}
	}
	return out, err
}

// use takes down which variables a text has.
func (c *checker) use(text string, at Place, e env) {
	found := template.ExtractVariables(map[string]any{"": text}, nil)
	for _, name := range slices.Sorted(maps.Keys(found)) {
		v := found[name]
		i, ok := c.known[name]
		if !ok {
			value, ok := e.values[name]
			from := e.from[name]
			switch {
			case composeenv.IsOurs(name):
				value, from = "", FromCommand
			case ok && from == "":
				from = FromProject
			case !ok && v.DefaultValue != "":
				value, from = v.DefaultValue, FromDefault
			case !ok:
				from = FromUnset
			}
			i = len(c.variables)
			c.known[name] = i
			c.variables = append(c.variables, Variable{Name: name, Value: value, From: from})
		}
		have := &c.variables[i]
		have.Required = have.Required || v.Required
		if have.Default == "" {
			have.Default = v.DefaultValue
		}
		if !slices.Contains(have.Uses, at) && len(have.Uses) < maxFaults {
			have.Uses = append(have.Uses, at)
		}
	}
}

// unused adds what the env files set and no file uses: somebody who edits
// them wants to see it.
func (c *checker) unused() {
	for _, name := range slices.Sorted(maps.Keys(c.env.values)) {
		if _, used := c.known[name]; !used && name != consts.ComposeProjectName && c.env.from[name] != FromCommand {
			c.variables = append(c.variables, Variable{Name: name, Value: c.env.values[name], From: c.env.from[name], Uses: []Place{}})
		}
	}
}

// wrongVariable makes a problem of what substitute refuses.
func (c *checker) wrongVariable(err error, text string, at Place) {
	var missing *template.MissingRequiredError
	var ours *ourVariableError
	switch {
	case errors.As(err, &ours):
		c.ourVariable(ours, at)
	case errors.As(err, &missing) && literal(missing.Reason, text) != "":
		c.problem("missing_variable", at, "The variable %s has no value: %s. Set it in .env.", missing.Variable, missing.Reason)
	case errors.As(err, &missing):
		c.problem("missing_variable", at, "The variable %s has no value, and must have one. Set it in .env.", missing.Variable)
	case errors.Is(err, errGrown):
		c.problem("too_big", at, "The values of variables come to more than %d MiB in all.", maxValue>>20)
	default:
		c.problem("bad_interpolation", at, "There is a $ that starts no variable. Write $$ where you mean the sign itself.")
	}
}

func (v Variable) String() string { return fmt.Sprintf("%s from %s", v.Name, v.From) }
