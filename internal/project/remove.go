package project

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"

	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/internal/logging"
)

// Deletion is what goes with a project, and what stays.
type Deletion struct {
	Containers  []Doomed  `json:"containers"`
	Networks    []Network `json:"networks"`
	Volumes     []Volume  `json:"volumes"`     // that go
	VolumesKept []Volume  `json:"volumesKept"` // that stay
	Files       []string  `json:"files"`       // that go, relative to the folder
	FilesKept   []string  `json:"filesKept"`   // that stay, folders with a slash at the end
	Folder      bool      `json:"folder"`      // the folder goes, too

	Project string `json:"-"` // its name: what Compose knows it by
	Path    string `json:"-"` // its folder; empty: none here
}

// Doomed is a container that goes.
type Doomed struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Service string `json:"service"`
	Orphan  bool   `json:"orphan"` // no file has its service any more
	State   string `json:"state"`
}

// Network is one that Compose made for the project.
type Network struct {
	Name string `json:"name"`
}

// Takes tells what deleting a project takes, before anything is done.
//
// Errors: ErrNotFound, ErrUnreachable; ErrOutside if the files of a project
// are to go that aren't here; ErrNameTaken if its volumes are to go, and
// another folder has its name.
func (s *Service) Takes(ctx context.Context, id string, withVolumes, withFiles bool) (Deletion, error) {
	snap, k, err := s.get(ctx, id)
	if err != nil {
		return Deletion{}, err
	}
	d := Deletion{Containers: []Doomed{}, Networks: []Network{}, Volumes: []Volume{}, VolumesKept: []Volume{}, Files: []string{}, FilesKept: []string{}}
	switch {
	case k.away != nil:
		return Deletion{}, k.away
	case withFiles && k.folder == nil:
		return Deletion{}, refuse(ErrOutside, "%s", notHere(s, k.group))
	}
	if d.Project = k.name(); k.folder != nil {
		d.Path = k.folder.path
	}
	if other := snap.namesake(k.folder); withVolumes && other != nil {
		return Deletion{}, refuse(ErrNameTaken, "%s and %s have the same project name, %s, and so the same volumes. "+
			"Give one of them a name of its own, by `name:` at the top of its file, before volumes go.", k.folder.path, other.path, d.Project)
	}
	if k.taken == nil { // else all of it is the other folder's
		if err := s.engineSide(ctx, k, withVolumes, &d); err != nil {
			return Deletion{}, err
		}
	}
	if k.folder == nil {
		return d, nil
	}
	err = s.within(k.folder.root, func(r *os.Root) error {
		var gone []string
		if withFiles {
			gone = s.removable(r, snap, k.folder)
		}
		d.Files = append(d.Files, gone...)
		kept, err := k.folder.left(r, gone)
		d.FilesKept = append(d.FilesKept, kept...)
		d.Folder = withFiles && err == nil && len(kept) == 0 && k.folder.rel != "."
		return err
	})
	return d, err
}

func (s *Service) engineSide(ctx context.Context, k *known, withVolumes bool, d *Deletion) error {
	if k.group != nil {
		d.Containers = append(d.Containers, k.doomed()...)
	}
	if s.resources == nil || d.Project == "" {
		return nil
	}
	written := k.written()
	networks, volumes, err := s.resources.ProjectResources(ctx, ResourceQuery{Project: d.Project, Volumes: slices.Collect(maps.Keys(written)), Measure: true})
	if err != nil {
		return because(ErrUnreachable, err, "What networks and volumes %s has can't be read: %s.", d.Project, err)
	}
	d.Networks = append(d.Networks, networks...)
	for _, v := range volumes {
		external, ok := written[v.Name]
		v.Reason = d.keeps(v, ok && external)
		switch {
		case withVolumes && v.Reason == "":
			d.Volumes = append(d.Volumes, v)
		case !external || v.Owner == d.Project:
			d.VolumesKept = append(d.VolumesKept, v)
		}
	}
	return nil
}

func (k *known) doomed() (list []Doomed) {
	services := map[string]bool{}
	if k.folder != nil {
		for _, f := range k.folder.facts.Services {
			services[f.Name] = true
		}
	}
	for _, c := range slices.Concat(k.group.containers, k.group.others) {
		list = append(list, doomed(c, services))
	}
	return list
}

func doomed(c dockercli.Container, services map[string]bool) Doomed {
	service := c.Labels[labelService]
	return Doomed{ID: c.ID, Name: c.Name, Service: service, State: c.State, Orphan: len(services) > 0 && !services[service]}
}

// removable are the files that belong to the project alone: its Compose files,
// .env and the env files that it names, in its folder. What another project
// reads, too, stays.
func (s *Service) removable(r *os.Root, snap *snapshot, f *folder) (names []string) {
	for name, kind := range f.named() {
		rel := path.Join(f.rel, name)
		info, err := r.Lstat(rel)
		if err != nil || kind == KindOther || !info.Mode().IsRegular() && info.Mode()&fs.ModeSymlink == 0 {
			continue
		}
		if s.isState(f.root, path.Dir(rel)) || !inFolder(r, f.rel, rel) || slices.ContainsFunc(snap.projects, func(o *folder) bool { return o.path != f.path && o.reads(f.root, rel) }) {
			continue
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// inFolder says whether a file is in a folder, and not in one that a link
// leads to.
func inFolder(r *os.Root, folder, file string) bool {
	base, err := resolve(r, folder)
	dir, dirErr := resolve(r, path.Dir(file))
	return err == nil && dirErr == nil && !leadsOut(relative(base, dir))
}

// left is what stays in the folder.
func (f *folder) left(r *os.Root, gone []string) (names []string, err error) {
	entries, _, err := list(r, f.rel)
	if err != nil {
		return nil, because(ErrNoRoot, err, "The folder %s can't be read: %s.", f.path, plain(err))
	}
	for _, e := range entries {
		switch {
		case slices.Contains(gone, e.Name()):
		case e.IsDir():
			names = append(names, e.Name()+"/")
		default:
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// RemoveFiles removes the files that Takes told of, and the folder if nothing
// else is in it, together with their versions. The project must have no
// containers any more, and still be in the folder that Takes gave.
//
// Errors: as Takes, and ErrInUse, ErrReadOnly; ErrNotFound if another folder
// has the id by now. What has gone until then is in the Deletion.
func (s *Service) RemoveFiles(ctx context.Context, id, folder string) (Deletion, error) {
	snap, k, err := s.get(ctx, id)
	switch {
	case err != nil:
		return Deletion{}, err
	case k.folder == nil:
		return Deletion{}, refuse(ErrOutside, "%s", notHere(s, k.group))
	case k.folder.path != folder:
		return Deletion{}, refuse(ErrNotFound, "The project %q is in %s now, and was in %s: nothing there is removed.", id, k.folder.path, folder)
	case k.away != nil:
		return Deletion{}, k.away
	case k.group != nil:
		return Deletion{}, refuse(ErrInUse, "%s has containers; take it down before its files are removed.", k.group.name)
	}
	f := k.folder
	defer s.lock()()
	defer s.dirty.Store(true)
	d := Deletion{Files: []string{}, FilesKept: []string{}}
	if snap.namesake(f) != nil {
		s.retired.Store(f.id, f.path)
	}
	err = s.within(f.root, func(r *os.Root) error {
		for _, name := range s.removable(r, snap, f) {
			if err := r.Remove(path.Join(f.rel, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return unwritten(name, err)
			}
			d.Files = append(d.Files, name)
		}
		_ = r.Remove(path.Join(f.rel, temporary)) // if a saving was killed
		kept, err := f.left(r, nil)
		d.FilesKept = append(d.FilesKept, kept...)
		if err == nil && len(kept) == 0 && f.rel != "." {
			d.Folder = r.Remove(f.rel) == nil // it may have got a file meanwhile
		}
		return err
	})
	if err == nil {
		s.forget(context.WithoutCancel(ctx), f, d)
	}
	return d, err
}

// forget removes the versions of what has gone; what stays keeps its own.
func (s *Service) forget(ctx context.Context, f *folder, gone Deletion) {
	names := gone.Files
	if gone.Folder {
		names = slices.Sorted(maps.Keys(f.named()))
	}
	if err := s.store.ForgetComposeVersions(ctx, f.path, names); err != nil {
		s.log.Warn("the versions of removed files are not forgotten", logging.Err(err))
	}
}
