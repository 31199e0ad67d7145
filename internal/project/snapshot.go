package project

import (
	"cmp"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/watch-docker/watch-docker/internal/logging"
)

// How long what was found counts.
const (
	// freshWatched bounds it where changes are told: on a network file system
	// those of others aren't.
	freshWatched   = 30 * time.Second
	freshUnwatched = 2 * time.Second
)

// snapshot is what a scan of all roots found. It is not changed any more.
type snapshot struct {
	projects []*folder          // by root and path; ids are given
	byID     map[string]*folder //
	byName   map[string][]*folder
	all      map[place]*folder // also those that are no project
	paths    map[string]bool   // of all
	watch    []string          // absolute paths of the folders that were looked at
	known    map[string]bool   // absolute paths whose change matters, beside new ones
	problems []Warning
	at       time.Time
}

type place struct {
	root int
	rel  string
}

// snapshot gives what was found last, or looks again if that may be outdated.
func (s *Service) snapshot(ctx context.Context) (*snapshot, error) {
	if snap := s.last.Load(); snap != nil && s.fresh(snap) {
		return snap, nil
	}
	return s.rescan(ctx, false)
}

func (s *Service) fresh(snap *snapshot) bool {
	limit := freshUnwatched
	if s.watching.Load() {
		limit = freshWatched
	}
	age := s.now().Sub(snap.at)
	return !s.dirty.Load() && age >= 0 && age < limit
}

// rescan looks at all roots; unless forced, what another one has found
// meanwhile will do.
func (s *Service) rescan(ctx context.Context, force bool) (*snapshot, error) {
	s.scanning.Lock()
	defer s.scanning.Unlock()
	old := s.last.Load()
	if old != nil && !force && s.fresh(old) {
		return old, nil
	}
	s.dirty.Store(false) // what changes from here on is for the next one
	snap := &snapshot{all: map[place]*folder{}, paths: map[string]bool{}, known: map[string]bool{}, at: s.now()}
	for i := range s.roots {
		err := s.within(i, func(r *os.Root) error { return s.scan(ctx, i, r, old, snap) })
		if ctx.Err() != nil {
			s.dirty.Store(true)
			return nil, ctx.Err()
		}
		if err != nil {
			snap.problems = append(snap.problems, warning(string(ErrNoRoot), "%s", err))
			s.log.Debug("a folder of compose.path can't be read", logging.Err(err), zap.String("path", s.roots[i]))
		}
	}
	snap.index(s.mayHave)
	s.last.Store(snap)
	return snap, nil
}

// scan looks at one root.
func (s *Service) scan(ctx context.Context, i int, r *os.Root, old, snap *snapshot) error {
	found := 0
	w := &walker{s: s, root: i, r: r}
	w.visit = func(rel string, entries []fs.DirEntry) error {
		names := candidates(entries)
		if len(names) == 0 {
			return nil
		}
		at, before := place{i, rel}, (*folder)(nil)
		if old != nil {
			before = old.all[at]
		}
		f := s.examine(ctx, r, i, rel, names, before)
		if snap.paths[f.path] {
			return nil // one root is in another
		}
		snap.all[at], snap.paths[f.path] = f, true
		if f.source.Dir != "" {
			found++
		}
		w.full = w.full || found >= mostProjects
		return ctx.Err()
	}
	err := w.run(ctx)
	for _, rel := range w.folders {
		snap.watch = append(snap.watch, filepath.Join(s.roots[i], filepath.FromSlash(rel)))
	}
	if w.full {
		snap.problems = append(snap.problems, warning("compose_path_too_big", "%s has more than %d folders or %d projects, and not all are looked at: "+
			"name the folders of the projects themselves in compose.path.", s.roots[i], mostFolders, mostProjects))
	}
	if w.cut != "" {
		snap.problems = append(snap.problems, warning("compose_path_too_big", "%s has more than %d entries, and not all are looked at.",
			filepath.Join(s.roots[i], filepath.FromSlash(w.cut)), mostEntries))
	}
	return err
}

// index gives each project its id, in the order of roots and paths: the first
// of a name has the name itself.
func (n *snapshot) index(mayHave func(id string, f *folder) bool) {
	n.byID, n.byName, n.projects = map[string]*folder{}, map[string][]*folder{}, nil
	above := map[place]string{} // project directories that a .env elsewhere leads to, and the project's name
	for _, f := range n.all {
		if f.source.Dir != "" && f.work != f.rel {
			above[place{f.root, f.work}] = f.source.Name
		}
	}
	for at, f := range n.all {
		for _, rel := range f.watched() {
			n.known[filepath.Join(f.base, filepath.FromSlash(rel))] = true
		}
		if f.source.Dir != "" && above[at] != f.source.Name {
			named := *f
			n.projects, n.all[at] = append(n.projects, &named), &named
		}
	}
	for _, dir := range n.watch {
		n.known[dir] = true
	}
	slices.SortFunc(n.projects, func(a, b *folder) int { return cmp.Or(cmp.Compare(a.root, b.root), cmp.Compare(a.rel, b.rel)) })
	for _, f := range n.projects {
		name := f.source.Name
		f.id = name
		if !validName(name) {
			f.id = "~" + f.hash()
		} else if len(n.byName[name]) > 0 || !mayHave(name, f) {
			f.id = name + "~" + f.hash()
		}
		n.byName[name] = append(n.byName[name], f)
		n.byID[f.id] = f
	}
}

// mayHave says whether a folder may have an id: not that of one that was removed.
func (s *Service) mayHave(id string, f *folder) bool {
	path, ok := s.retired.Load(id)
	return !ok || path == f.path
}

// namesake is another folder that has the name of this one, if there is any.
func (n *snapshot) namesake(f *folder) *folder {
	if f == nil {
		return nil
	}
	for _, other := range n.byName[f.source.Name] {
		if other.path != f.path {
			return other
		}
	}
	return nil
}

// find gives a project's folder as it is now; nil if it has none.
func (s *Service) find(ctx context.Context, id string) (*snapshot, *folder, error) {
	snap, err := s.snapshot(ctx)
	if err != nil {
		return nil, nil, err
	}
	f := snap.byID[id]
	if f != nil && s.unchanged(f) {
		return snap, f, nil
	}
	if f == nil && s.fresh(snap) && s.now().Sub(snap.at) < freshUnwatched {
		return snap, nil, nil
	}
	if snap, err = s.rescan(ctx, true); err != nil {
		return nil, nil, err
	}
	return snap, snap.byID[id], nil
}

// unchanged says whether a project's folder is as it was found.
func (s *Service) unchanged(f *folder) bool {
	same := false
	err := s.within(f.root, func(r *os.Root) error {
		entries, _, err := list(r, f.rel)
		same = err == nil && f.still(r, candidates(entries), s.now())
		return err
	})
	return err == nil && same
}

// Problems are what is wrong with compose.path as a whole.
func (s *Service) Problems(ctx context.Context) ([]Warning, error) {
	snap, err := s.snapshot(ctx)
	if err != nil {
		return nil, err
	}
	return slices.Clone(snap.problems), nil
}
