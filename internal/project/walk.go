package project

import (
	"cmp"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Bounds of a walk. Whoever has more is told.
const (
	deepest      = 3    // levels below a root
	mostFolders  = 4096 // of a root
	mostEntries  = 8192 // of a folder
	mostProjects = 1000 // of a root
)

// walker looks for folders below one root, the nearer ones first. It follows
// links to folders last, and only to those that it hasn't seen.
type walker struct {
	s     *Service
	root  int
	r     *os.Root
	visit func(rel string, entries []fs.DirEntry) error

	queue, links []string
	seen         []fs.FileInfo // what links may lead to again
	folders      []string
	full         bool   // no more is looked at
	cut          string // a folder that has too many entries
}

func (w *walker) run(ctx context.Context) error {
	w.queue = []string{"."}
	for len(w.queue) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		rel := w.queue[0]
		w.queue = w.queue[1:]
		if err := w.folder(rel); err != nil {
			return err
		}
		for len(w.queue) == 0 && len(w.links) > 0 {
			w.follow(w.links[0])
			w.links = w.links[1:]
		}
	}
	return nil
}

func (w *walker) folder(rel string) error {
	if w.full = w.full || len(w.folders) >= mostFolders; w.full || w.s.isState(w.root, rel) {
		return nil
	}
	entries, info, err := list(w.r, rel)
	if err != nil {
		if rel == "." {
			return because(ErrNoRoot, err, "The folder %s of compose.path can't be read: %s.", w.r.Name(), plain(err))
		}
		return nil // others' data, most likely; a project that can't be read can't be shown
	}
	w.folders, w.seen = append(w.folders, rel), append(w.seen, info)
	if len(entries) == mostEntries {
		w.cut = rel
	}
	if err := w.visit(rel, entries); err != nil {
		return err
	}
	if rel != "." && strings.Count(rel, "/")+1 == deepest {
		return nil
	}
	for _, e := range entries {
		switch at := path.Join(rel, e.Name()); {
		case skipped(e.Name()):
		case e.IsDir():
			w.queue = append(w.queue, at)
		case e.Type()&fs.ModeSymlink != 0:
			w.links = append(w.links, at)
		}
	}
	return nil
}

// follow takes a link up if it leads to a folder of this root that wasn't seen.
func (w *walker) follow(rel string) {
	info, err := w.r.Stat(rel) // fails where it leads out
	if err != nil || !info.IsDir() || slices.ContainsFunc(w.seen, func(o fs.FileInfo) bool { return os.SameFile(o, info) }) {
		return
	}
	w.queue = append(w.queue, rel)
}

// list gives a folder's entries in the order of their names.
func list(r *os.Root, rel string) ([]fs.DirEntry, fs.FileInfo, error) {
	f, err := r.Open(rel)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	entries, err := f.ReadDir(mostEntries)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, err
	}
	if len(entries) == mostEntries {
		entries = slices.Concat(missed(r, rel, entries), entries)
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return cmp.Compare(a.Name(), b.Name()) })
	return entries, info, nil
}

// missed are the files that decide what a folder is, if they are among those
// of its many entries that weren't read.
func missed(r *os.Root, rel string, entries []fs.DirEntry) (more []fs.DirEntry) {
	for _, name := range deciding() {
		if slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == name }) {
			continue
		}
		if info, err := r.Lstat(path.Join(rel, name)); err == nil {
			more = append(more, fs.FileInfoToDirEntry(info))
		}
	}
	return more
}

// isState says whether a place is our own state folder, or in it: it holds
// keys, and no project.
func (s *Service) isState(root int, rel string) bool {
	if s.state == "" {
		return false
	}
	real, err := filepath.EvalSymlinks(filepath.Join(s.roots[root], filepath.FromSlash(rel)))
	if err != nil {
		return false // it isn't there
	}
	inside, err := filepath.Rel(s.state, real)
	return err == nil && !leadsOut(filepath.ToSlash(inside))
}
