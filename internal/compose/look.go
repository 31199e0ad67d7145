package compose

import (
	"context"
	"path/filepath"
	"slices"
	"strings"

	"github.com/watch-docker/watch-docker/internal/composefile"
	"github.com/watch-docker/watch-docker/internal/hostpath"
	"github.com/watch-docker/watch-docker/internal/project"
)

// View is a project with what its files say.
type View struct {
	project.Detail

	Problems  []composefile.Problem  `json:"problems"` // because of which it can't be started
	Notes     []composefile.Note     `json:"notes"`    // risks
	Binds     []Bind                 `json:"binds"`
	Variables []composefile.Variable `json:"variables"`
}

// Bind is a path that a project's files name, and what the engine makes of it.
type Bind struct {
	composefile.Path

	Finding Finding `json:"finding"`
}

// Finding is what the path doctor says.
type Finding struct {
	State      hostpath.State `json:"state"` // same, elsewhere, unseen, missing, read
	Host       string         `json:"host"`  // the path that the engine's host has it by
	Ours       string         `json:"ours"`  // where Watch Docker sees it
	Refuse     bool           `json:"refuse"`
	Code       string         `json:"code"`
	Message    string         `json:"message"`
	Suggestion string         `json:"suggestion"`
}

// List gives all projects there are.
func (s *Service) List(ctx context.Context) ([]project.Project, error) {
	return s.Projects.Projects(ctx)
}

// Look tells all of one project. With asks, the engine is asked about paths
// that can't be seen from here. Values of variables are as they are.
//
// Errors: those of project.Service.Project.
func (s *Service) Look(ctx context.Context, id string, asks bool) (View, error) {
	detail, err := s.Projects.Project(ctx, id)
	if err != nil {
		return View{}, err
	}
	v := View{Detail: detail}
	target, err := s.Projects.Target(ctx, id)
	if err != nil {
		return v, nil //nolint:nilerr // Detail.Blocked says it
	}
	_, err = s.read(ctx, &v, s.source(target), asks)
	return v, err
}

// Validate tells what would be with other content in place of some files', by
// path relative to the project's folder.
func (s *Service) Validate(ctx context.Context, id string, replace map[string][]byte) (View, error) {
	detail, err := s.Projects.Project(ctx, id)
	if err != nil {
		return View{}, err
	}
	target, err := s.Projects.Target(ctx, id)
	if err != nil {
		return View{}, err
	}
	v := View{Detail: detail}
	source := s.source(target)
	source.Replace = fromDir(target, replace)
	report, err := s.read(ctx, &v, source, true)
	v.Notes = slices.Concat(v.Notes, unread(target, report, replace))
	return v, err
}

func (s *Service) source(t project.Target) composefile.Source {
	return composefile.Source{Root: t.Root, Dir: t.Dir, Name: t.Name, Files: t.Files, EnvFiles: t.EnvFiles, Profiles: t.Profiles, Temp: s.Temp}
}

// read fills in what the files say.
func (s *Service) read(ctx context.Context, v *View, source composefile.Source, asks bool) (composefile.Report, error) {
	report, err := composefile.Check(ctx, source)
	if err != nil {
		return report, err
	}
	v.Problems, v.Notes, v.Variables = report.Problems, report.Notes, report.Variables
	v.Binds, err = s.judge(ctx, report, asks)
	return report, err
}

// judge asks the doctor about each path. A volume from elsewhere that holds our
// own state counts as one.
func (s *Service) judge(ctx context.Context, report composefile.Report, asks bool) ([]Bind, error) {
	doctor, err := s.Doctor(ctx, asks)
	if err != nil {
		return nil, err
	}
	binds := make([]Bind, len(report.Binds))
	for i, p := range report.Binds {
		source := p.Source
		if p.Home { // as the command line, which has our home folder, reads it
			source = filepath.Join(s.Home, strings.TrimPrefix(source, "~"))
		}
		byCLI := p.Reader == composefile.ReaderCLI // one that is missing is a problem of the files
		f := doctor.Judge(ctx, hostpath.Source{Path: source, Kind: p.Kind, ReadByCLI: byCLI, CreateHostPath: p.CreateHostPath, Home: p.Home})
		binds[i] = Bind{Path: p, Finding: Finding{
			State: f.State, Host: f.Host, Ours: f.Ours, Refuse: f.Refuse, Code: f.Code, Message: f.Message, Suggestion: f.Suggestion,
		}}
		if !byCLI && doctor.Holds(source, s.StateFolder) {
			binds[i].Finding.holdsState(p.Written)
		}
	}
	for _, v := range report.Volumes {
		if v.External && doctor.HoldsVolume(v.Name, s.StateFolder) {
			b := Bind{Path: composefile.Path{Kind: composefile.KindVolume, Reader: composefile.ReaderEngine, Written: v.Key, Source: v.Name, Place: v.Place}}
			b.Finding.holdsState("the volume " + v.Name)
			binds = append(binds, b)
		}
	}
	return binds, nil
}

func (f *Finding) holdsState(what string) {
	f.Refuse, f.Code = true, hostpath.CodeState
	f.Message = what + " holds Watch Docker's own state, with its keys and passwords, or lies in it."
	f.Suggestion = "Mount a folder that is the service's alone, such as ./data."
}
