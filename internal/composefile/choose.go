package composefile

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/consts"
	"github.com/compose-spec/compose-go/v2/loader"
)

// Defaults are what `docker compose` takes in a folder when it is told nothing.
type Defaults struct {
	Name     string   // the project's
	Files    []string // relative to the folder; none: there is no project here
	Profiles []string
}

// DefaultFiles tells what a folder's project consists of: COMPOSE_FILE,
// COMPOSE_PROJECT_NAME and COMPOSE_PROFILES of its .env, else Compose's own
// rules. Compose looks into the folders above, too; this doesn't. The content
// of the files is read for the name only: Check tells what is wrong with them.
//
// Errors: ErrSource.
func DefaultFiles(root, dir string) (Defaults, error) {
	s := Source{Root: root, Dir: dir}
	r, err := openReader(s)
	if err != nil {
		return Defaults{}, err
	}
	defer r.close()
	c := &checker{src: s, reader: r, looked: map[string]bool{}, named: map[string]string{}}
	c.environment()
	d := Defaults{Files: c.defaultFiles(), Profiles: c.profiles()}
	if len(d.Files) > 0 {
		d.Name = c.projectName(d.Files)
	}
	return d, nil
}

// choose settles files, variables and name; false if nothing can be said
// without them.
func (c *checker) choose() bool {
	ok := c.environment()
	names := c.src.Files
	if len(names) == 0 {
		names = c.defaultFiles()
	}
	if len(names) == 0 {
		c.problem("not_found", Place{}, "There is no Compose file in the folder. Compose looks for %s.", strings.Join(cli.DefaultFileNames, ", "))
		return false
	}
	if len(names) > maxFiles {
		c.problem("too_many_files", Place{}, "The project has more than %d files.", maxFiles)
		return false
	}
	for _, name := range names {
		// "-" is standard input, and what starts like an option might be taken for one.
		if name == "" || strings.HasPrefix(filepath.Base(name), "-") || strings.ContainsRune(name, 0) {
			c.problem("bad_file_name", Place{File: name}, "%q is no name for a Compose file. Give it one that starts with a letter.", name)
			return false
		}
		if filepath.IsAbs(name) {
			name = c.relative(filepath.Clean(name))
		}
		c.report.Files = append(c.report.Files, filepath.Clean(name))
	}
	c.report.Name = c.src.Name
	if c.report.Name == "" {
		c.report.Name = c.projectName(c.report.Files)
	}
	if !IsName(c.report.Name) {
		c.problem("bad_name", Place{}, "%q can't be a project's name: small letters, digits, - and _ are allowed, and a letter or digit comes first.", short(c.report.Name))
		return false
	}
	if c.env.values != nil {
		c.env.values[consts.ComposeProjectName] = c.report.Name
	}
	return ok
}

// defaultFiles are Compose's own choice.
func (c *checker) defaultFiles() []string {
	if list, ok := c.env.values[consts.ComposeFilePath]; ok && list != "" {
		separator := c.env.values[consts.ComposePathSeparator]
		if separator == "" {
			separator = string(filepath.ListSeparator)
		}
		return strings.Split(list, separator)
	}
	first := func(names []string) []string {
		i := slices.IndexFunc(names, func(name string) bool { return c.reader.isFile(filepath.Join(c.src.Dir, name)) })
		if i < 0 {
			return nil
		}
		return names[i : i+1]
	}
	files := slices.Clone(first(cli.DefaultFileNames))
	if len(files) == 0 {
		return nil
	}
	return append(files, first(cli.DefaultOverrideFileNames)...)
}

func (c *checker) profiles() []string {
	if len(c.src.Profiles) > 0 {
		return c.src.Profiles
	}
	var profiles []string
	for p := range strings.SplitSeq(c.env.values[consts.ComposeProfiles], ",") {
		if p = strings.TrimSpace(p); p != "" {
			profiles = append(profiles, p)
		}
	}
	return profiles
}

// projectName is the .env's, else that of the last file that has one, else the
// folder's.
func (c *checker) projectName(files []string) string {
	if name := c.env.values[consts.ComposeProjectName]; name != "" {
		return name
	}
	name := ""
	quiet := func(string, Place, string, ...any) {}
	for _, file := range files {
		path := filepath.Join(c.src.Dir, file)
		content, err := c.reader.read(path)
		if errors.Is(err, errTooBig) || errors.Is(err, errMany) {
			break
		}
		if err != nil {
			continue
		}
		docs, _ := parse(file, content, quiet)
		for _, doc := range docs {
			if own, err := c.substitute(doc.get("name").str(), c.env); err == nil && own != "" {
				name = own
			}
		}
	}
	if name = loader.NormalizeProjectName(name); name != "" {
		return name
	}
	return loader.NormalizeProjectName(filepath.Base(c.src.Dir))
}
