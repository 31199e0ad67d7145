package app

import (
	"context"

	"github.com/watch-docker/watch-docker/internal/api"
	"github.com/watch-docker/watch-docker/internal/containerlog"
)

// logs is api.Logs.
type logs struct{ *containerlog.Service }

func (l logs) Container(ctx context.Context, id, name string, r containerlog.Request, to containerlog.Sink) error {
	return ported(l.Service.Container(ctx, id, name, r, to), api.ErrUnknownContainer)
}

func (l logs) HasProject(ctx context.Context, p containerlog.Project) error {
	return ported(l.Service.HasProject(ctx, p), containerlog.ErrNoProject)
}

func (l logs) Project(ctx context.Context, p containerlog.Project, r containerlog.Request, to containerlog.Sink) error {
	return ported(l.Service.Project(ctx, p, r, to), containerlog.ErrNoProject)
}
