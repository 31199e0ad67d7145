package project

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/watch-docker/watch-docker/internal/logging"
	"github.com/watch-docker/watch-docker/internal/store"
)

// longestName is the most that Compose's networks and containers leave room for.
const longestName = 63

// Create makes a folder of this name in the first one of compose.path, with
// compose.yaml and, if env isn't nil, .env. What can't be made whole is
// undone.
//
// Errors: ErrNoRoot, ErrName, ErrNameTaken, ErrUnreachable (whether the name
// is free isn't known), ErrTooBig, ErrReadOnly, ErrNoSpace.
func (s *Service) Create(ctx context.Context, name string, compose, env []byte, actor string) (Project, error) {
	if err := s.mayCreate(ctx, name, compose, env); err != nil {
		return Project{}, err
	}
	defer s.lock()()
	files := []newFile{{"compose.yaml", compose, modeFile}}
	if env != nil {
		files = append(files, newFile{".env", env, modeEnv})
	}
	ctx = context.WithoutCancel(ctx) // what is begun is ended, or undone
	var f *folder
	if err := s.within(0, func(r *os.Root) error {
		err := s.make(r, name, files)
		if err == nil {
			f, err = s.made(ctx, r, name)
		}
		if err != nil {
			undo(r, name, files, err)
		}
		return err
	}); err != nil {
		return Project{}, err
	}
	for _, file := range files {
		if err := s.keep(ctx, f, file.name, file.content, store.ComposeVersion{At: s.now(), Actor: actor}); err != nil {
			s.log.Warn("a version is not kept", logging.Err(err))
		}
	}
	snap, err := s.rescan(ctx, true)
	if err != nil {
		return Project{}, err
	}
	all, away, err := s.groups(ctx)
	if err != nil {
		return Project{}, err
	}
	for _, k := range s.merge(snap, all, away) {
		if k.folder != nil && k.folder.path == f.path {
			return s.show(snap, k), nil
		}
	}
	return Project{}, refuse(ErrNotFound, "The project %s has been made, and removed by somebody.", name)
}

func (s *Service) mayCreate(ctx context.Context, name string, compose, env []byte) error {
	switch {
	case len(s.roots) == 0:
		return refuse(ErrNoRoot, "Name a folder for Compose projects in compose.path (APP_PATH) first.")
	case !validName(name) || len(name) > longestName:
		return refuse(ErrName, "%q is no name for a project: at most %d lower-case letters, digits, - and _ are, beginning with a letter or digit.", name, longestName)
	case skipped(name):
		return refuse(ErrName, "Folders that are called %q are not searched for projects; give it another name.", name)
	case max(len(compose), len(env)) > MaxFile:
		return refuse(ErrTooBig, "A file may have at most %d bytes.", MaxFile)
	}
	snap, err := s.rescan(ctx, true)
	if err != nil {
		return err
	}
	if there := snap.byName[name]; len(there) > 0 {
		return refuse(ErrNameTaken, "There is a project %s already, in %s.", name, there[0].path)
	}
	all, err := s.containers(ctx)
	if err != nil {
		return err
	}
	if all[name] != nil {
		return refuse(ErrNameTaken, "There is a project %s already, which has containers.", name)
	}
	return nil
}

type newFile struct {
	name    string
	content []byte
	mode    fs.FileMode
}

// make makes the folder, which must be new, and the files.
func (s *Service) make(r *os.Root, name string, files []newFile) error {
	if err := r.Mkdir(name, modeFolder); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return because(ErrNameTaken, err, "There is a folder %s already.", filepath.Join(r.Name(), name))
		}
		return unwritten(name, err)
	}
	if d, err := r.Open(name); err == nil {
		if info, err := r.Stat("."); err == nil {
			_ = chownLike(d, info) // it stays ours
		}
		_ = d.Close()
	}
	for _, file := range files {
		if err := replace(r, path.Join(name, file.name), file.content, file.mode, nil, func() error { return nil }); err != nil {
			return err
		}
	}
	syncFolder(r, ".")
	return nil
}

// made checks that the new files make a project of just this name.
func (s *Service) made(ctx context.Context, r *os.Root, name string) (*folder, error) {
	entries, _, err := list(r, name)
	if err != nil {
		return nil, unread(name, err)
	}
	f := s.examine(ctx, r, 0, name, candidates(entries), nil)
	if f.blocked != nil {
		return nil, f.blocked
	}
	if f.source.Name != name {
		return nil, refuse(ErrName, "The files call the project %q, but it was to be %q: leave `name:` and COMPOSE_PROJECT_NAME out, or give it that name.", f.source.Name, name)
	}
	return f, nil
}

// undo removes what was made, unless it was there before.
func undo(r *os.Root, name string, files []newFile, why error) {
	if errors.Is(why, fs.ErrExist) {
		return
	}
	for _, file := range files {
		_ = r.Remove(path.Join(name, file.name)) // the first error says more
	}
	_ = r.Remove(name) // only if it is empty
}
