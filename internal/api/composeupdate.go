package api

import (
	"context"
	"time"
)

// ProjectUpdates updates Compose projects.
type ProjectUpdates interface {
	// UpdateProject starts the updates of a project's containers, each after
	// those that it needs, and says why it left the others out. One whose need
	// isn't updated well isn't begun.
	//
	// Errors: containerlog.ErrNoProject (no such project, or no such service in
	// it), ErrEngineUnavailable.
	UpdateProject(ctx context.Context, r ProjectUpdate) (Run, error)
}

// ProjectUpdate asks for the update of a project.
type ProjectUpdate struct {
	Project  string
	Services []string // none: all
	Force    bool     // what policy holds back for "force" may go on
	Actor    string
}

type projectUpdateIn struct {
	WaitQuery

	Project string `path:"project" maxLength:"128" doc:"The project's name"`
	Body    *struct {
		Services []string `json:"services,omitempty" maxItems:"1000" doc:"Names; none: all"`
		Force    bool     `json:"force,omitempty" doc:"Update although policy would hold it back"`
	} `nameHint:"ProjectUpdateOptions"`
}

func (s *server) updateProject(ctx context.Context, in *projectUpdateIn) (*runOut, error) {
	request := ProjectUpdate{Project: in.Project, Actor: callerOf(ctx).Username}
	if in.Body != nil {
		request.Services, request.Force = in.Body.Services, in.Body.Force
	}
	trailOf(ctx).note(request.Force, "forced")
	run, err := s.ProjectUpdates.UpdateProject(ctx, request)
	if err != nil {
		return nil, err
	}
	return s.runOut(ctx, run, in.Wait.Duration)
}

// runOut is the answer to a run that has begun, once all of it has ended or
// the wait is over.
func (s *server) runOut(ctx context.Context, run Run, wait time.Duration) (*runOut, error) {
	run.Operations, run.Skipped = orEmpty(run.Operations), orEmpty(run.Skipped)
	deadline := time.Now().Add(wait)
	for i, op := range run.Operations {
		var err error
		if run.Operations[i], err = s.ended(ctx, op, time.Until(deadline)); err != nil {
			return nil, err
		}
	}
	return &runOut{Body: run}, nil
}
