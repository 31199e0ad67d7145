package compose

import (
	"context"

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
	down := composecli.Action{Kind: composecli.Down, RemoveVolumes: r.Volumes, RemoveOrphans: true}
	if err := s.mayTouch(ctx, Request{Project: r.Project, Action: down}); err != nil {
		return takes, op, err
	}
	result := takes // the caller has its own: the work goes on beside it
	op, err = s.begin(ctx, r.Project, "compose.delete", actor, func(ctx context.Context, report *task.Report) (any, error) {
		if made {
			if err := s.command(ctx, report, commandProject(t), down); err != nil {
				return nil, err
			}
		}
		if r.Files {
			report.Step("files")
			gone, err := s.Projects.RemoveFiles(ctx, r.Project)
			result.Files, result.FilesKept, result.Folder = gone.Files, gone.FilesKept, gone.Folder
			return result, err
		}
		return result, nil
	})
	return takes, op, err
}
