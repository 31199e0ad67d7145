package project

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// known is a project as both sides know it.
type known struct {
	folder *folder // nil: not on disk here
	group  *group  // nil: it has no containers
	taken  *folder // the folder that its name's containers are shown at instead
	away   error   // the engine doesn't answer
}

// name is what Compose knows it by.
func (k *known) name() string {
	if k.group != nil {
		return k.group.name
	}
	return k.folder.source.Name
}

func (k *known) id() string {
	if k.folder != nil {
		return k.folder.id
	}
	return k.group.id()
}

// merge joins the folders with the engine's groups: by name, as Compose knows
// a project, and of several folders with one name the one that the containers
// say they were made from, else the first.
func (s *Service) merge(snap *snapshot, all map[string]*group, away error) []*known {
	var list []*known
	at := map[*folder]*known{}
	for _, f := range snap.projects {
		at[f] = &known{folder: f, away: away}
		list = append(list, at[f])
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		g := all[name]
		folders := snap.byName[name]
		if len(folders) == 0 || !validName(name) {
			list = append(list, &known{group: g})
			continue
		}
		owner := folders[0]
		for _, f := range folders {
			if s.madeIn(g, f) {
				owner = f
				break
			}
		}
		for _, f := range folders {
			if f == owner {
				at[f].group = g
			} else {
				at[f].taken = owner
			}
		}
	}
	return list
}

// madeIn says whether a project's containers were made from this folder: by
// us, who know it by our name, or by somebody on the host.
func (s *Service) madeIn(g *group, f *folder) bool {
	if g.dir == "" {
		return false
	}
	here, ok := s.fromHost(g.dir)
	return samePath(g.dir, f.source.Dir) || ok && samePath(here, f.source.Dir)
}

// samePath compares two folders, links aside.
func samePath(a, b string) bool {
	if filepath.Clean(a) == filepath.Clean(b) {
		return true
	}
	a, errA := filepath.EvalSymlinks(a)
	b, errB := filepath.EvalSymlinks(b)
	return errA == nil && errB == nil && a == b
}

// Projects lists all projects, by name. Those on disk are there, too, while
// the engine doesn't answer.
func (s *Service) Projects(ctx context.Context) ([]Project, error) {
	snap, err := s.snapshot(ctx)
	if err != nil {
		return nil, err
	}
	all, away, err := s.groups(ctx)
	if err != nil {
		return nil, err
	}
	list := []Project{}
	for _, k := range s.merge(snap, all, away) {
		list = append(list, s.show(snap, k))
	}
	slices.SortStableFunc(list, func(a, b Project) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
	return list, nil
}

// groups also tells of an engine that is away, which is no error of the list.
func (s *Service) groups(ctx context.Context) (all map[string]*group, away, err error) {
	all, err = s.containers(ctx)
	if errors.Is(err, ErrUnreachable) {
		return nil, err, nil
	}
	return all, nil, err
}

// get finds one project.
func (s *Service) get(ctx context.Context, id string) (*snapshot, *known, error) {
	snap, _, err := s.find(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	all, away, err := s.groups(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, k := range s.merge(snap, all, away) {
		if k.id() == id {
			return snap, k, nil
		}
	}
	if away != nil {
		return nil, nil, because(ErrUnreachable, away, "There is no project %q on disk, and the engine, which may know it, doesn't answer.", id)
	}
	return nil, nil, refuse(ErrNotFound, "There is no project %q.", id)
}

// Project tells more of one.
//
// Errors: ErrNotFound, ErrUnreachable.
func (s *Service) Project(ctx context.Context, id string) (Detail, error) {
	snap, k, err := s.get(ctx, id)
	if err != nil {
		return Detail{}, err
	}
	d := Detail{Project: s.show(snap, k), Profiles: []string{}}
	if k.folder != nil {
		d.Profiles = append(d.Profiles, k.folder.source.Profiles...)
	}
	if err := k.usable(s); err != nil {
		d.Blocked = &Warning{Code: codeOf(err), Message: err.Error()}
	}
	return d, nil
}

func codeOf(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return string(e.Code)
	}
	return "internal"
}

// show makes of a project what the API gives.
func (s *Service) show(snap *snapshot, k *known) Project {
	p := Project{ID: k.id(), Files: []string{}, Services: []ProjectService{}, Warnings: []Warning{}}
	var facts []ServiceFact
	var profiles []string
	whole := false
	if f := k.folder; f != nil {
		p.Name, p.Origin, p.Path = f.source.Name, OnDisk, f.path
		for _, name := range f.files {
			p.Files = append(p.Files, relative(f.rel, name))
		}
		p.Warnings = append(p.Warnings, f.warnings...)
		if len(f.facts.Services) > 0 {
			facts, profiles, whole = f.facts.Services, f.source.Profiles, len(f.facts.Problems) == 0
		}
	}
	if g := k.group; g != nil {
		if p.Origin = Both; k.folder == nil {
			p.Name, p.Origin, p.Path, p.Files = g.name, Running, g.dir, append(p.Files, g.files...)
		}
	}
	parts := parts(k.group, facts, whole, profiles)
	for _, part := range parts {
		part.UpdateAvailable = slices.ContainsFunc(part.Containers, s.updates)
		p.Services = append(p.Services, part.ProjectService)
	}
	p.Status, p.Reason = judge(parts)
	if k.away != nil {
		p.Status, p.Reason = StatusUnknown, "The engine doesn't answer, so whether it runs isn't known."
		p.Warnings = append(p.Warnings, warning(string(ErrUnreachable), "%s", k.away))
	}
	p.Warnings = append(p.Warnings, s.doubts(snap, k, parts)...)
	return p
}

// doubts are where the two sides don't agree.
func (s *Service) doubts(snap *snapshot, k *known, parts []*part) (list []Warning) {
	f, g := k.folder, k.group
	if f != nil {
		for _, o := range snap.byName[f.source.Name] {
			if o != f {
				list = append(list, warning("same_name", "%s has the same project name, and Compose takes the two for one. "+
					"Give one of them a name of its own, by `name:` at the top of its file.", o.path))
			}
		}
		if k.taken != nil {
			list = append(list, warning(string(ErrNameTaken), "The containers of %s are shown at %s.", f.source.Name, k.taken.path))
		}
	}
	if f != nil && g != nil {
		list = append(list, s.moved(f, g)...)
		for _, part := range parts {
			if part.orphan {
				list = append(list, warning("orphan", "The service %s has containers, but stands in none of the files any more.", part.Name))
			}
		}
	}
	if f == nil && g != nil {
		list = append(list, warning(string(ErrOutside), "%s", notHere(s, g)))
	}
	return list
}

// moved tells of containers that were made from another folder or other files.
func (s *Service) moved(f *folder, g *group) (list []Warning) {
	if g.dir != "" && !s.madeIn(g, f) {
		list = append(list, warning("moved", "Its containers were made from %s, and its files are in %s. "+
			"Relative paths in the files mean other folders now: see that its data is where the next start looks for it.", g.dir, f.source.Dir))
	}
	if made := f.others(g); made != nil {
		text := fmt.Sprintf("Its containers were made from %s; what Compose takes here is %s.", strings.Join(made, ", "), strings.Join(f.source.Files, ", "))
		if !slices.ContainsFunc(made, func(name string) bool { return checkName(name) != nil }) { // an image may bring any label
			text += fmt.Sprintf(" If the former is meant, write COMPOSE_FILE=%s to %s.",
				strings.Join(made, string(filepath.ListSeparator)), filepath.Join(f.path, ".env"))
		}
		list = append(list, warning("other_files", "%s", text))
	}
	return list
}

// others are the files that a project's containers name, if they aren't those
// that Compose would take now.
func (f *folder) others(g *group) []string {
	made := slices.Clone(g.files)
	for i, file := range made {
		made[i] = filepath.ToSlash(filepath.Clean(file))
	}
	if len(made) == 0 || len(f.source.Files) == 0 || slices.Equal(made, f.source.Files) {
		return nil
	}
	return made
}

func notHere(s *Service, g *group) string {
	where := g.dir
	if where == "" {
		where = "a folder that isn't known"
	}
	if len(s.roots) == 0 {
		return "Its files are in " + where + ", and compose.path (APP_PATH) names no folder: its containers can be started and stopped, its files not seen."
	}
	return "Its files are in " + where + ", which is no project below " + strings.Join(s.roots, ", ") +
		" (compose.path): its containers can be started and stopped, its files not seen."
}
