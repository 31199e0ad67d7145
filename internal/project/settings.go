package project

import (
	"bytes"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/dotenv"
)

// settings are what a folder's .env says to Compose itself. Our own
// environment has no say: the command line is run without it.
type settings struct {
	Files    []string // COMPOSE_FILE
	Name     string   // COMPOSE_PROJECT_NAME
	Profiles []string // COMPOSE_PROFILES
}

const (
	mostSettings = 64 << 10 // bytes of a .env that is searched for settings
	longestValue = 1 << 10
	nested       = 3 // variables in variables
)

// readSettings also takes what is wrong with the file: the line, never its
// text, which may be a secret.
func readSettings(content []byte) (s settings, wrong *Warning) {
	defer func() {
		if recover() != nil { // the parser, on what nobody foresaw
			s, wrong = settings{}, &Warning{Code: string(ErrEnv), Message: ".env can't be understood."}
		}
	}()
	if !bytes.Contains(content, []byte("COMPOSE_")) {
		return settings{}, nil
	}
	if len(content) > mostSettings {
		return settings{}, &Warning{Code: string(ErrEnv), Message: ".env has COMPOSE_ settings, but is too long to be searched for them: move the rest to another file."}
	}
	vars := map[string]string{}
	for range nested {
		next, err := dotenv.ParseWithLookup(bytes.NewReader(content), lookup(vars))
		if err != nil {
			return settings{}, &Warning{Code: string(ErrEnv), Line: lineOf(err), Message: ".env can't be read; Compose refuses it too."}
		}
		vars = next
	}
	s = settings{Name: vars["COMPOSE_PROJECT_NAME"]}
	separator := vars["COMPOSE_PATH_SEPARATOR"]
	if separator == "" {
		separator = string(filepath.ListSeparator)
	}
	if files := vars["COMPOSE_FILE"]; files != "" {
		s.Files = strings.Split(files, separator)
	}
	for profile := range strings.SplitSeq(vars["COMPOSE_PROFILES"], ",") {
		if profile = strings.TrimSpace(profile); profile != "" {
			s.Profiles = append(s.Profiles, profile)
		}
	}
	return s, nil
}

// lookup answers for each variable, so that the parser doesn't expand by
// itself: twenty lines of A=$B$B would fill the memory.
func lookup(vars map[string]string) dotenv.LookupFn {
	return func(name string) (string, bool) {
		value := vars[name]
		return value[:min(len(value), longestValue)], true
	}
}

func lineOf(err error) int {
	m := regexp.MustCompile(`line (\d{1,6}):`).FindStringSubmatch(err.Error())
	if m == nil {
		return 0
	}
	line, _ := strconv.Atoi(m[1]) // digits alone
	return line
}

// under makes a path of COMPOSE_FILE relative to the root, by its text.
func under(root, folder, file string) (string, bool) {
	if filepath.IsAbs(file) {
		rel, err := filepath.Rel(root, file)
		rel = filepath.ToSlash(rel)
		return rel, err == nil && !leadsOut(rel)
	}
	rel := path.Join(folder, filepath.ToSlash(file))
	return rel, !leadsOut(rel)
}

func leadsOut(rel string) bool { return rel == ".." || strings.HasPrefix(rel, "../") }
