package compose

import (
	"context"
	"errors"
	"maps"
	"path/filepath"
	"slices"

	"github.com/watch-docker/watch-docker/internal/composecli"
	"github.com/watch-docker/watch-docker/internal/composefile"
	"github.com/watch-docker/watch-docker/internal/hostpath"
	"github.com/watch-docker/watch-docker/internal/project"
	"github.com/watch-docker/watch-docker/internal/store"
)

// Saved is what a save came to. A file may be saved with problems, as a person
// may stop in the middle; it can't be started then.
type Saved struct {
	ETag     string                `json:"etag"`
	Problems []composefile.Problem `json:"problems"`
	Notes    []composefile.Note    `json:"notes"`
}

// Save replaces a file of a project, or with project.Absent adds one.
//
// Errors: those of project.Service.Save; *PathsError if the project would mount
// our own state folder.
func (s *Service) Save(ctx context.Context, id, name string, content []byte, ifMatch, actor string) (Saved, error) {
	t, err := s.Projects.Target(ctx, id)
	if err != nil && t.Dir == "" {
		return Saved{}, err
	}
	source := s.source(t)
	replace := map[string][]byte{name: content}
	source.Replace = fromDir(t, replace)
	report, err := s.acceptable(ctx, source)
	if err != nil {
		return Saved{}, err
	}
	etag, err := s.Projects.Save(ctx, id, name, content, ifMatch, actor)
	return Saved{ETag: etag, Problems: report.Problems, Notes: slices.Concat(report.Notes, unread(t, report, replace))}, err
}

// fromDir has files by their names from the project directory. Those who send
// them name them from the folder, which is another one where COMPOSE_FILE leads
// elsewhere.
func fromDir(t project.Target, replace map[string][]byte) map[string][]byte {
	all := map[string][]byte{}
	for name, content := range replace {
		if rel, err := filepath.Rel(t.Dir, filepath.Join(t.Folder, filepath.FromSlash(name))); err == nil {
			name = rel
		}
		all[name] = content
	}
	return all
}

// unread tells of Compose files that were sent and that the project doesn't
// read: nothing of them has been checked.
func unread(t project.Target, report composefile.Report, replace map[string][]byte) (notes []composefile.Note) {
	for _, name := range slices.Sorted(maps.Keys(replace)) {
		path := filepath.Join(t.Folder, filepath.FromSlash(name))
		read := slices.ContainsFunc(report.Files, func(file string) bool { return filepath.Join(t.Dir, filepath.FromSlash(file)) == path })
		if ext := filepath.Ext(name); !read && (ext == ".yaml" || ext == ".yml") {
			notes = append(notes, composefile.Note{Code: "not_read", Message: name + " is none of the files that the project is run from, so what it says is neither checked nor used."})
		}
	}
	return notes
}

// Restore gives a file the content of one of its versions.
//
// Errors: as Save, and project.ErrNoVersion.
func (s *Service) Restore(ctx context.Context, id string, n int64, ifMatch, actor string) (Saved, error) {
	v, content, err := s.Projects.Version(ctx, id, n)
	if err != nil {
		return Saved{}, err
	}
	return s.Save(ctx, id, v.Name, content, ifMatch, actor)
}

// acceptable is an error if what the files say may not even be kept.
func (s *Service) acceptable(ctx context.Context, source composefile.Source) (composefile.Report, error) {
	report, err := composefile.Check(ctx, source)
	if err != nil {
		return report, err
	}
	binds, err := s.judge(ctx, report, false)
	if err != nil {
		return report, err
	}
	for _, b := range binds {
		if b.Finding.Code == hostpath.CodeState {
			return report, &PathsError{Project: source.Name, Binds: []Bind{b}}
		}
	}
	return report, nil
}

// Draft is a project that is to be made.
type Draft struct {
	Name    string
	Compose []byte
	Env     []byte // nil: no .env
	Start   bool
}

// Create makes a project's folder and files; with Start it is brought up, and
// op is that operation. Files with problems are refused: nothing is made.
//
// Errors: those of project.Service.Create and Act.
func (s *Service) Create(ctx context.Context, d Draft, actor string) (made project.Project, op *store.Operation, err error) {
	if d.Start {
		if _, err := s.version(ctx); err != nil {
			return made, nil, err
		}
	}
	made, err = s.Projects.Create(ctx, d.Name, d.Compose, d.Env, actor)
	if err != nil {
		return made, nil, err
	}
	t, err := s.Projects.Target(ctx, made.ID)
	if err == nil {
		err = s.keepable(ctx, t, d.Start)
	}
	if err == nil && d.Start {
		var started store.Operation
		if started, err = s.Act(ctx, Request{Project: made.ID, Action: composecli.Action{Kind: composecli.Up}, Actor: actor}); err == nil {
			return made, &started, nil
		}
	}
	if err != nil {
		_, undo := s.Projects.RemoveFiles(context.WithoutCancel(ctx), made.ID, made.Path)
		return project.Project{}, nil, errors.Join(err, undo)
	}
	return made, nil, nil
}

// keepable is an error if a new project isn't worth keeping: files that can't be
// read, or, if it is to be started, that can't be run.
func (s *Service) keepable(ctx context.Context, t project.Target, start bool) error {
	if start {
		return s.Ready(ctx, t, nil)
	}
	report, err := s.acceptable(ctx, s.source(t))
	if err == nil && len(report.Problems) > 0 {
		err = &InvalidError{Project: t.ID, Problems: report.Problems}
	}
	return err
}

// Files lists a project's files; see project.Service, as for those below.
func (s *Service) Files(ctx context.Context, id string) ([]project.File, error) {
	return s.Projects.Files(ctx, id)
}

// Read gives the content of one.
func (s *Service) Read(ctx context.Context, id, name string) (content []byte, etag string, err error) {
	return s.Projects.Read(ctx, id, name)
}

// Versions lists what is kept of them.
func (s *Service) Versions(ctx context.Context, id, name string) ([]project.Version, error) {
	return s.Projects.Versions(ctx, id, name)
}

// Version gives one of those with its content.
func (s *Service) Version(ctx context.Context, id string, n int64) (project.Version, []byte, error) {
	return s.Projects.Version(ctx, id, n)
}
