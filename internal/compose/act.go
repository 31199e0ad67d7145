package compose

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/watch-docker/watch-docker/internal/composecli"
	"github.com/watch-docker/watch-docker/internal/composefile"
	"github.com/watch-docker/watch-docker/internal/hostpath"
	"github.com/watch-docker/watch-docker/internal/project"
	"github.com/watch-docker/watch-docker/internal/store"
	"github.com/watch-docker/watch-docker/internal/task"
)

// Request is what is to be done with a project.
type Request struct {
	Project string // its id
	Action  composecli.Action
	Actor   string
}

// runsFiles tells whether an action makes of a project what its files say.
func runsFiles(kind composecli.Kind) bool {
	return slices.Contains([]composecli.Kind{composecli.Up, composecli.Create, composecli.Recreate, composecli.Scale, composecli.Pull}, kind)
}

// Act begins an action. Those that start what the files say are refused, before
// anything is changed, where the files don't hold.
//
// Errors: ErrNoCommand, *InvalidError, *PathsError, *OwnError, *task.BusyError
// (the project is in another action), what Hold gives, composecli.ErrInvalid,
// those of project.Service.
func (s *Service) Act(ctx context.Context, r Request) (store.Operation, error) {
	t, err := s.actable(ctx, r)
	if err != nil {
		return store.Operation{}, err
	}
	if err := s.mayTouch(ctx, r); err != nil {
		return store.Operation{}, err
	}
	if runsFiles(r.Action.Kind) {
		if err := s.Ready(ctx, t, nil); err != nil {
			return store.Operation{}, err
		}
	}
	if r.Action.Kind == composecli.Down && r.Action.RemoveVolumes {
		return s.downWithVolumes(ctx, r, t)
	}
	return s.begin(ctx, r.Project, t.Name, "compose."+string(r.Action.Kind), r.Actor, func(ctx context.Context, report *task.Report) (any, error) {
		return nil, s.command(ctx, report, commandProject(t), r.Action)
	})
}

// actable is the target, if there is a command line to act on it with.
func (s *Service) actable(ctx context.Context, r Request) (project.Target, error) {
	t, err := s.target(ctx, r.Project, r.Action.Kind)
	if err != nil && t.Name == "" { // there is none
		return t, err
	}
	if _, missing := s.version(ctx); missing != nil {
		return t, missing
	}
	return t, err
}

// target is what a command acts on. What there is can be stopped and started
// whatever the files say, and be taken down also where they are of no use:
// files that weren't found to be good are never given to the command line.
func (s *Service) target(ctx context.Context, id string, kind composecli.Kind) (project.Target, error) {
	t, err := s.Projects.Target(ctx, id)
	switch {
	case t.Name == "" || runsFiles(kind) || errors.Is(err, project.ErrNameTaken): // then its containers are another's
		return t, err
	case kind == composecli.Down && err == nil && s.Ready(ctx, t, nil) == nil:
		return t, nil
	case kind != composecli.Down && !t.Running && err == nil:
		return t, &project.Error{Code: project.ErrNotMade, Message: id + " has no containers: bring it up first."}
	case !t.Running && err != nil:
		return t, err
	}
	return project.Target{Source: project.Source{Name: t.Name}, ID: t.ID, Running: true}, nil
}

// mayTouch is an error if the action would end this program, or meet an update.
func (s *Service) mayTouch(ctx context.Context, r Request) error {
	services := slices.Concat(r.Action.Services, slices.Sorted(maps.Keys(r.Action.Replicas)))
	_, ours, err := s.containers(ctx, r.Project, services, touches(r.Action))
	if err != nil {
		return err
	}
	if ours != "" && r.Action.Kind != composecli.Pull && r.Action.Kind != composecli.Start {
		return &OwnError{Project: r.Project, Service: ours}
	}
	return nil
}

// reach gives the services that an action takes along with those it names.
type reach func(all []project.ProjectService, named []string) []string

// touches is how far an action reaches. Those it names need others, which are
// made as well, and others that have restart: true are restarted with them.
func touches(a composecli.Action) reach {
	return func(all []project.ProjectService, named []string) []string {
		if a.RemoveOrphans || len(named) == 0 {
			return nil
		}
		makes := slices.Contains([]composecli.Kind{composecli.Up, composecli.Create, composecli.Recreate, composecli.Scale}, a.Kind)
		found := slices.Clone(named)
		for i := 0; i < len(found) && !a.NoDeps; i++ {
			for _, next := range along(all, found[i], makes) {
				if !slices.Contains(found, next) {
					found = append(found, next)
				}
			}
		}
		return found
	}
}

// along are the services that come along with one: those that are restarted
// with it and, if it is made, those that it needs.
func along(all []project.ProjectService, name string, made bool) (services []string) {
	for _, s := range all {
		for _, d := range s.DependsOn {
			if made && s.Name == name {
				services = append(services, d.Service)
			}
			if d.Restart && d.Service == name {
				services = append(services, s.Name)
			}
		}
	}
	return services
}

// containers are a project's, or those of some services and of what is in
// reach of them; ours is the service that this program is, if it is one of them.
func (s *Service) containers(ctx context.Context, id string, services []string, reach reach) (ids []string, ours string, err error) {
	p, err := s.Projects.Project(ctx, id)
	if err != nil {
		return nil, "", err
	}
	for _, name := range services {
		if !slices.ContainsFunc(p.Services, func(s project.ProjectService) bool { return s.Name == name }) {
			return nil, "", &ServiceError{Project: id, Service: name}
		}
	}
	if reach != nil {
		services = reach(p.Services, services)
	}
	for _, service := range p.Services {
		if len(services) > 0 && !slices.Contains(services, service.Name) {
			continue
		}
		for _, c := range service.Containers {
			ids = append(ids, c)
			if s.Own(c) {
				ours = service.Name
			}
		}
	}
	return ids, ours, nil
}

// Ready is an error unless a project's files can be run: with other content in
// place of some of them, if there is any.
//
// Errors: *InvalidError, *PathsError.
func (s *Service) Ready(ctx context.Context, t project.Target, replace map[string][]byte) error {
	source := s.source(t)
	source.Replace = replace
	report, err := composefile.Check(ctx, source)
	if err != nil {
		return err
	}
	if problems := report.Problems; len(problems) > 0 {
		return &InvalidError{Project: t.ID, Problems: problems}
	}
	binds, err := s.judge(ctx, report, true)
	if err != nil {
		return err
	}
	refused := slices.DeleteFunc(binds, func(b Bind) bool { return !b.Finding.Refuse })
	if len(refused) > 0 {
		return &PathsError{Project: t.ID, Binds: refused}
	}
	return s.confirm(ctx, t, binds)
}

// confirm is an error if the engine's host has another folder than we see
// where the project is, and is to mount something of it. That it can't be told
// is none: each path has been judged.
func (s *Service) confirm(ctx context.Context, t project.Target, binds []Bind) error {
	for _, b := range binds {
		if b.Reader == composefile.ReaderCLI || b.Finding.State != hostpath.Same || !hostpath.Within(b.Source, t.Dir) {
			continue
		}
		doctor, err := s.Doctor(ctx, true)
		if err != nil {
			return err
		}
		if same, err := doctor.Confirm(ctx, t.Dir); err == nil && !same {
			b.Finding.Refuse, b.Finding.Code = true, hostpath.CodeElsewhere
			b.Finding.Message = "The engine's host has another folder at " + t.Dir + " than Watch Docker sees there, or none."
			b.Finding.Suggestion = "Run Watch Docker where the engine's files are."
			return &PathsError{Project: t.ID, Binds: []Bind{b}}
		}
		return nil
	}
	return nil
}

// begin makes an operation of work on a project: one at a time, by the name
// that Compose knows it by. Two folders of one name are one project to it.
func (s *Service) begin(ctx context.Context, id, name, kind, actor string, work task.Work) (store.Operation, error) {
	ids, _, err := s.containers(ctx, id, nil, nil)
	if err != nil && !errors.Is(err, project.ErrNotFound) {
		return store.Operation{}, err
	}
	release, err := s.Hold(name, ids)
	if err != nil {
		return store.Operation{}, err
	}
	op, err := s.Tasks.Start(ctx, task.Request{Kind: kind, Target: id, Actor: actor, Key: "compose " + name}, func(ctx context.Context, r *task.Report) (any, error) {
		defer release()
		return work(ctx, r)
	})
	if err != nil {
		release()
	}
	return op, err
}

// command runs one and tells how far it is.
func (s *Service) command(ctx context.Context, r *task.Report, p composecli.Project, a composecli.Action) error {
	r.Step(string(a.Kind))
	watch := newMeter(r)
	return explained(s.Commands.Do(ctx, p, a, watch.event, r.Line))
}

// commandProject is a project for the command line.
func commandProject(t project.Target) composecli.Project {
	return composecli.Project{Name: t.Name, Dir: t.Dir, Files: t.Absolute(t.Files), EnvFiles: t.Absolute(t.EnvFiles), Profiles: t.Profiles}
}

// Codes of operations that fail.
const (
	CodeFailed  = "compose_failed"
	CodeTimeout = "compose_timeout"
)

// explained gives a command's error its code.
func explained(err error) error {
	var failed *composecli.FailedError
	switch {
	case errors.As(err, &failed):
		return &task.Error{Code: CodeFailed, Message: failed.Error(), Logs: failed.Output}
	case errors.Is(err, composecli.ErrTimeout):
		return &task.Error{Code: CodeTimeout, Message: "It took too long and was ended; what it had done by then stays. Do the same again, and it goes on from there."}
	case errors.Is(err, composecli.ErrCancelled):
		return &task.Error{Code: task.CodeCancelled, Message: "What it had done by then stays; the same again goes on from there."}
	case err != nil:
		return fmt.Errorf("docker compose: %w", err)
	}
	return nil
}
