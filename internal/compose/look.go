package compose

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"

	"github.com/watch-docker/watch-docker/internal/composefile"
	"github.com/watch-docker/watch-docker/internal/dockercli"
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
// that can't be seen from here. Values of variables are as they are, but for
// those that have what looks like a secret in them.
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
	v.conceal(report)
	return report, err
}

// conceal keeps secrets out of what variables lead to: a path that has one in it
// is shown as it is written.
func (v *View) conceal(report composefile.Report) {
	v.Variables = slices.Clone(v.Variables)
	for i, x := range v.Variables {
		v.Variables[i].Value, v.Variables[i].Default = report.Conceal(x.Value), report.Conceal(x.Default)
	}
	for i, b := range v.Binds {
		hide := report.Conceal
		if strings.Contains(b.Written, "$") || b.Written == b.Source {
			hide = report.ConcealParts
		}
		out := &v.Binds[i]
		if out.Source = hide(b.Source); out.Source != b.Source && b.Written != b.Source {
			out.Source = b.Written
		}
		out.Target = hide(b.Target)
		if b.Written == b.Source {
			out.Written = out.Source
		}
		f := &out.Finding
		for _, said := range []*string{&f.Host, &f.Ours, &f.Message, &f.Suggestion} {
			*said = hide(*said)
		}
	}
}

// judge asks the doctor about each path. A volume that holds our own state
// counts as one: the engine takes the one that there is of a name, external or
// not. So does a container that lends it.
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
		if doctor.HoldsVolume(v.Name, s.StateFolder) {
			b := Bind{Path: composefile.Path{Kind: composefile.KindVolume, Reader: composefile.ReaderEngine, Written: v.Key, Source: v.Name, Place: v.Place}}
			b.Finding.holdsState("the volume " + v.Name)
			binds = append(binds, b)
		}
	}
	lent, err := s.lent(ctx, report.Lenders, doctor)
	return append(binds, lent...), err
}

// lent are those of containers whose mounts a service would get that have our
// own state among them. One that isn't there lends nothing.
func (s *Service) lent(ctx context.Context, lenders []composefile.Lender, doctor hostpath.Doctor) (binds []Bind, err error) {
	if len(lenders) == 0 {
		return nil, nil
	}
	all, err := s.listed(ctx)
	if err != nil {
		return nil, err
	}
	for _, l := range lenders {
		// With a slash in it, it is the name that a legacy link gives.
		holds := strings.Contains(strings.TrimPrefix(l.Container, "/"), "/") || slices.ContainsFunc(all, func(c dockercli.Container) bool {
			return isCalled(c, l.Container) && s.hasState(c, doctor)
		})
		if holds {
			b := Bind{Path: composefile.Path{Kind: composefile.KindLender, Reader: composefile.ReaderEngine, Service: l.Service, Written: l.Written, Source: l.Container, Place: l.Place}}
			b.Finding.holdsState("the container " + l.Container)
			binds = append(binds, b)
		}
	}
	return binds, nil
}

// listed are the engine's containers.
//
// Errors: project.ErrUnreachable, and the engine's own.
func (s *Service) listed(ctx context.Context) ([]dockercli.Container, error) {
	all, err := s.Engine.Containers(ctx)
	if errors.Is(err, dockercli.ErrUnavailable) {
		return nil, &project.Error{Code: project.ErrUnreachable, Message: "The engine doesn't answer: " + err.Error() + ".", Err: err}
	}
	return all, err
}

// isCalled tells whether the engine may take a word for a container: its name,
// or the beginning of its id.
func isCalled(c dockercli.Container, word string) bool {
	return word != "" && (strings.TrimPrefix(word, "/") == c.Name || strings.HasPrefix(c.ID, strings.ToLower(word)))
}

// hasState tells whether a container is our own, or mounts our state folder.
func (s *Service) hasState(c dockercli.Container, doctor hostpath.Doctor) bool {
	return s.Own(c.ID) || slices.ContainsFunc(c.Mounts, func(m dockercli.Mount) bool {
		return m.Type == hostpath.Volume && doctor.HoldsVolume(m.Name, s.StateFolder) || m.Type == hostpath.Bind && doctor.Holds(m.Source, s.StateFolder)
	})
}

func (f *Finding) holdsState(what string) {
	f.Refuse, f.Code = true, hostpath.CodeState
	f.Message = what + " holds Watch Docker's own state, with its keys and passwords, or lies in it."
	f.Suggestion = "Mount a folder that is the service's alone, such as ./data."
}
