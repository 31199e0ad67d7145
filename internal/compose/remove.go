package compose

import (
	"context"
	"fmt"

	"github.com/watch-docker/watch-docker/internal/composecli"
	"github.com/watch-docker/watch-docker/internal/project"
	"github.com/watch-docker/watch-docker/internal/store"
	"github.com/watch-docker/watch-docker/internal/task"
)

// Removal is what is to go with a project besides its containers and networks.
type Removal struct {
	Project string
	Volumes bool
	Files   bool
}

// Takes tells what a removal takes, and what it leaves.
func (s *Service) Takes(ctx context.Context, r Removal) (project.Deletion, error) {
	return s.Projects.Takes(ctx, r.Project, r.Volumes, r.Files)
}

// Remove takes a project down, and removes its files if they are to go. What it
// takes is the operation's result, and given at once.
//
// Errors: as Act and Takes.
func (s *Service) Remove(ctx context.Context, r Removal, actor string) (takes project.Deletion, op store.Operation, err error) {
	if takes, err = s.Takes(ctx, r); err != nil {
		return takes, op, err
	}
	var t project.Target
	made := len(takes.Containers)+len(takes.Networks)+len(takes.Volumes) > 0
	if made {
		if _, err := s.version(ctx); err != nil {
			return takes, op, err
		}
		if t, err = s.target(ctx, r.Project, composecli.Down); err != nil {
			return takes, op, err
		}
	}
	down := composecli.Action{Kind: composecli.Down, RemoveOrphans: true}
	if err := s.mayTouch(ctx, Request{Project: r.Project, Action: down}); err != nil {
		return takes, op, err
	}
	result := takes // the caller has its own: the work goes on beside it
	op, err = s.begin(ctx, r.Project, takes.Project, "compose.delete", actor, func(ctx context.Context, report *task.Report) (any, error) {
		if made {
			if err := s.takeDown(ctx, report, t, down, &result); err != nil {
				return result, err
			}
		}
		if r.Files {
			report.Step("files")
			gone, err := s.Projects.RemoveFiles(ctx, r.Project, takes.Path)
			result.Files, result.FilesKept, result.Folder = gone.Files, gone.FilesKept, gone.Folder
			return result, err
		}
		return result, nil
	})
	return takes, op, err
}

// takeDown runs a down, removes the volumes that go, and has the result say
// what has really gone. Compose would remove each volume that the files name,
// also another project's: so it isn't asked to.
func (s *Service) takeDown(ctx context.Context, report *task.Report, t project.Target, down composecli.Action, result *project.Deletion) error {
	takes := *result
	*result = project.Nothing(takes)
	down.RemoveVolumes = false
	if err := s.command(ctx, report, commandProject(t), down); err != nil {
		return err
	}
	if len(takes.Volumes) > 0 {
		report.Step("volumes")
	}
	done, err := s.Projects.Settle(ctx, takes)
	if *result = done; err != nil {
		result.Files, result.Folder = []string{}, false
	}
	for _, v := range done.VolumesKept {
		if v.Reason != "" {
			report.Line("The volume " + v.Name + " stays. " + v.Reason)
		}
	}
	return err
}

// downWithVolumes is Act for a down that takes the project's volumes along:
// those that a deletion would. Its result says which.
func (s *Service) downWithVolumes(ctx context.Context, r Request, t project.Target) (store.Operation, error) {
	if len(r.Action.Services) > 0 {
		return store.Operation{}, fmt.Errorf("%w: volumes go with the whole project, not with some of its services", composecli.ErrInvalid)
	}
	result, err := s.Takes(ctx, Removal{Project: r.Project, Volumes: true})
	if err != nil {
		return store.Operation{}, err
	}
	return s.begin(ctx, r.Project, t.Name, "compose.down", r.Actor, func(ctx context.Context, report *task.Report) (any, error) {
		err := s.takeDown(ctx, report, t, r.Action, &result)
		return result, err
	})
}
