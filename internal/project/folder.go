package project

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// folder is one below compose.path, with what its files say. It is not
// changed once it is made.
type folder struct {
	root int
	base string // the root's path
	rel  string // to the root, with slashes; "." is the root itself
	path string // absolute
	id   string

	candidates []string // the names in it that decide which files count
	source     Source   // no Files: it is no project
	work       string   // the project directory, relative to the root
	files      []string // the Compose files, relative to the root
	env        []string // the .env of the folder, and of the project directory; relative to the root
	facts      Facts
	warnings   []Warning
	blocked    error // why nothing can be done with it

	stamps map[string]stamp     // of all files that were read, by their names from the root
	since  map[string]time.Time // when each of those was first seen
	readAt time.Time
}

// stamp tells a file from what it was before; all zero: there is none.
type stamp struct {
	there    bool
	modified time.Time
	size     int64
	mode     fs.FileMode
}

// racy is how new a file may be for its stamp to tell its next change: file
// systems count time in steps of up to two seconds.
const racy = 2 * time.Second

// mostNamed bounds the files that a project's files name and that are looked at.
const mostNamed = 100

func stampOf(r *os.Root, name string) stamp {
	info, err := r.Stat(name)
	if err != nil {
		return stamp{}
	}
	return stamp{true, info.ModTime(), info.Size(), info.Mode()}
}

// still says whether a folder is as it was read.
func (f *folder) still(r *os.Root, candidates []string, now time.Time) bool {
	if f == nil || !slices.Equal(f.candidates, candidates) || now.Before(f.readAt) {
		return false
	}
	for name, was := range f.stamps {
		if stampOf(r, name) != was || f.isRacy(name) {
			return false
		}
	}
	return true
}

// isRacy says whether a file's next change may leave its stamp as it is. One
// that claims to be of the future is believed once it has been so for a while.
func (f *folder) isRacy(name string) bool {
	return f.stamps[name].modified.After(f.readAt.Add(-racy)) && f.readAt.Sub(f.since[name]) < racy
}

// candidates are the names that Compose looks at, of those in a folder.
func candidates(entries []fs.DirEntry) []string {
	var names []string
	all := deciding()
	for _, e := range entries {
		if !e.IsDir() && slices.Contains(all, e.Name()) {
			names = append(names, e.Name())
		}
	}
	return names
}

// examine reads a folder, unless it is as it was.
func (s *Service) examine(ctx context.Context, r *os.Root, root int, rel string, names []string, old *folder) *folder {
	now := s.now()
	if old.still(r, names, now) {
		return old
	}
	f := &folder{
		root: root, base: s.roots[root], rel: rel, path: filepath.Join(s.roots[root], filepath.FromSlash(rel)), candidates: names,
		stamps: map[string]stamp{}, since: map[string]time.Time{}, readAt: now,
	}
	defer f.remember(old)
	env := f.settings(r, rel)
	f.choose(r, env)
	if len(f.files) == 0 && f.blocked == nil {
		return f
	}
	if f.work = rel; len(f.files) > 0 {
		f.work = path.Dir(f.files[0])
	}
	if f.work != rel { // Compose reads this one after the other, which wins
		second := f.settings(r, f.work)
		env.Name = cmp.Or(env.Name, second.Name)
		if env.Profiles == nil {
			env.Profiles = second.Profiles
		}
	}
	f.understand(ctx, s.reader, r, env)
	return f
}

// remember takes down since when each stamp is what it is.
func (f *folder) remember(old *folder) {
	for name, is := range f.stamps {
		f.since[name] = f.readAt
		if old == nil {
			continue
		}
		if was, ok := old.stamps[name]; ok && was == is && !f.readAt.Before(old.since[name]) {
			f.since[name] = old.since[name]
		}
	}
}

// look takes a file's stamp before it is read.
func (f *folder) look(r *os.Root, name string) { f.stamps[name] = stampOf(r, name) }

func (f *folder) warn(code, format string, args ...any) {
	f.warnings = append(f.warnings, warning(code, format, args...))
}

// settings reads the .env of a folder, named from the root. Compose reads it
// in any case: one that mustn't be read blocks the project.
func (f *folder) settings(r *os.Root, dir string) settings {
	name := path.Join(dir, ".env")
	f.look(r, name)
	if _, err := r.Lstat(name); err != nil || f.stamps[name].mode.IsDir() {
		return settings{} // as Compose does
	}
	content, _, err := load(r, name)
	if errors.Is(err, fs.ErrNotExist) {
		return settings{}
	}
	if err != nil {
		f.block(err)
		return settings{}
	}
	f.env = append(f.env, name)
	env, wrong := readSettings(content)
	if wrong != nil {
		wrong.File = relative(f.rel, name)
		f.warnings = append(f.warnings, *wrong)
		f.blocked = cmp.Or(f.blocked, refuse(ErrEnv, "%s", wrong.Message))
	}
	return env
}

// choose finds the Compose files as Compose does.
func (f *folder) choose(r *os.Root, env settings) {
	named := env.Files
	if len(named) == 0 {
		named = f.defaults()
	}
	for _, name := range named {
		rel, ok := under(r.Name(), f.rel, name)
		if !ok || name == "" || name == "-" || strings.Contains(name, "://") {
			f.block(refuse(ErrOutside, "COMPOSE_FILE in %s/.env names %q, which is no file below %s.", f.path, name, r.Name()))
			continue
		}
		f.look(r, rel)
		if _, err := resolve(r, rel); err != nil {
			f.block(err)
			continue
		}
		if info, err := r.Stat(rel); err != nil || !info.Mode().IsRegular() {
			f.block(refuse(ErrNoFile, "%s, which is a Compose file of %s, is missing or no file.", name, f.path))
			continue
		}
		f.files = append(f.files, rel)
	}
}

func (f *folder) block(err error) {
	code := ErrNoFile
	if e, ok := err.(*Error); ok { //nolint:errorlint // it was made here
		code = e.Code
	}
	f.warn(string(code), "%s", err)
	if f.blocked == nil {
		f.blocked = err
	}
}

// defaults are the files that count if .env names none. Several of one kind
// are a warning, as in Compose.
func (f *folder) defaults() (names []string) {
	for i, kind := range [][]string{defaultFiles(), defaultOverrides()} {
		var there []string
		for _, name := range kind {
			if slices.Contains(f.candidates, name) {
				there = append(there, name)
			}
		}
		if len(there) == 0 {
			if i == 0 {
				return nil
			}
			continue
		}
		if len(there) > 1 {
			f.warn("several_files", "Compose takes %s and ignores %s.", there[0], strings.Join(there[1:], ", "))
		}
		names = append(names, there[0])
	}
	return names
}

// understand has the files read, and gives the project its name.
func (f *folder) understand(ctx context.Context, reader Reader, r *os.Root, env settings) {
	f.source = Source{
		Root: r.Name(), Dir: filepath.Join(r.Name(), filepath.FromSlash(f.work)), Name: env.Name, Profiles: env.Profiles,
		EnvFiles: f.envFiles(),
	}
	for _, name := range f.files {
		f.source.Files = append(f.source.Files, relative(f.work, name))
	}
	if f.blocked == nil {
		facts, err := reader.Read(ctx, f.source)
		if err != nil {
			f.warn("compose_file_unreadable", "%s", err)
		}
		f.facts = facts
		f.warnings = append(f.warnings, facts.Problems...)
		for _, name := range slices.Concat(facts.EnvFiles, facts.Others)[:min(mostNamed, len(facts.EnvFiles)+len(facts.Others))] {
			if rel := path.Join(f.work, name); !leadsOut(rel) {
				f.look(r, rel)
			}
		}
	}
	f.source.Name = f.name(env)
	if !validName(f.source.Name) {
		f.block(refuse(ErrName, "%q is no name for a project: lower-case letters, digits, - and _ are, beginning with a letter or digit. "+
			"Give it one by `name:` at the top of its file.", f.source.Name))
	}
}

func (f *folder) name(env settings) string {
	switch {
	case env.Name != "":
		return env.Name
	case f.facts.Name != "":
		return f.facts.Name
	case normalise(filepath.Base(f.source.Dir)) != "":
		return normalise(filepath.Base(f.source.Dir))
	}
	return filepath.Base(f.source.Dir)
}

// envFiles are those that Compose interpolates from, the one that wins last.
func (f *folder) envFiles() (names []string) {
	for _, name := range slices.Backward(f.env) {
		names = append(names, relative(f.work, name))
	}
	return names
}

// hash tells folders of one name apart.
func (f *folder) hash() string {
	sum := sha256.Sum256([]byte(f.path))
	return hex.EncodeToString(sum[:3])
}

// named are the files that belong to the project and are in its folder, by
// their names from there, with what they are.
func (f *folder) named() map[string]Kind {
	all := map[string]Kind{}
	add := func(kind Kind, dir string, names ...string) {
		for _, name := range names {
			if rel := relative(f.rel, path.Join(dir, name)); checkName(rel) == nil {
				all[rel] = kind
			}
		}
	}
	add(KindOther, f.work, f.facts.Others...)
	add(KindEnv, f.work, f.facts.EnvFiles...)
	add(KindEnv, f.work, f.source.EnvFiles...)
	add(KindCompose, ".", f.files...)
	return all
}

// reads says whether a file, named from the root, is read by this project.
func (f *folder) reads(root int, rel string) bool {
	_, ok := f.stamps[rel]
	return ok && root == f.root
}

func (f *folder) watched() []string { return slices.Collect(maps.Keys(f.stamps)) }
