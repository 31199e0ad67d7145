package api

import (
	"context"
	"errors"
	"strings"

	"github.com/watch-docker/watch-docker/internal/scanner"
	"github.com/watch-docker/watch-docker/internal/store"
)

type killContainerIn struct {
	ContainerPath

	Body *struct {
		Signal string `json:"signal,omitempty" maxLength:"16" pattern:"^(SIG)?[A-Z][A-Z0-9+-]*$|^[0-9]{1,2}$" example:"SIGHUP" doc:"SIGKILL if there is none"`
	} `nameHint:"KillOptions"`
}

func (s *server) killContainer(ctx context.Context, in *killContainerIn) (*statusOut, error) {
	signal := ""
	if in.Body != nil {
		signal = in.Body.Signal
	}
	trailOf(ctx).note(signal != "", "signal "+signal)
	return s.change(ctx, in.ID, func(c scanner.ContainerStatus) error { return s.Engine.Kill(ctx, c.ID, signal) })
}

type renameContainerIn struct {
	ContainerPath

	Body struct {
		Name string `json:"name" maxLength:"128" pattern:"^[a-zA-Z0-9][a-zA-Z0-9_.-]+$"`
	} `nameHint:"ContainerRename"`
}

// temporaryName reports whether a name is one of those that containers have for
// the length of an update, or of a look at the host.
func temporaryName(name string) bool {
	return strings.HasSuffix(name, ".wd-new") || strings.HasSuffix(name, ".wd-old") || strings.HasSuffix(name, ".wd-hold") ||
		strings.Contains(name, ".wd-probe-")
}

func (s *server) renameContainer(ctx context.Context, in *renameContainerIn) (*statusOut, error) {
	if temporaryName(in.Body.Name) {
		return nil, &ConflictError{Reason: "Names that end in .wd-new, .wd-old or .wd-hold are for containers that are being updated, those with .wd-probe- for looks at the host."}
	}
	trailOf(ctx).note(true, "to "+in.Body.Name)
	return s.change(ctx, in.ID, func(c scanner.ContainerStatus) error { return s.Engine.Rename(ctx, c.ID, in.Body.Name) })
}

// change does something with a container and gives how it is then.
func (s *server) change(ctx context.Context, id string, do func(scanner.ContainerStatus) error) (*statusOut, error) {
	before, err := s.find(ctx, id)
	if err != nil {
		return nil, err
	}
	if err := do(before); err != nil {
		return nil, err
	}
	after, err := s.after(ctx, before)
	return &statusOut{Body: after}, err
}

type cancelOperationIn struct {
	WaitQuery

	ID string `path:"id" maxLength:"64"`
}

func (s *server) cancelOperation(ctx context.Context, in *cancelOperationIn) (*operationOut, error) {
	op, err := s.Operations.Operation(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	trailOf(ctx).note(op.Target != "", op.Kind+" of "+op.Target)
	if err := s.Operations.Cancel(ctx, op.ID, callerOf(ctx).Username); err != nil {
		return nil, err
	}
	now, err := s.Operations.Operation(ctx, op.ID)
	switch {
	case errors.Is(err, store.ErrNoOperation): // pruned meanwhile
	case err != nil:
		return nil, err
	default:
		op = now
	}
	op, err = s.ended(ctx, op, in.Wait.Duration)
	return &operationOut{Location: basePath(s.BaseURL) + "/api/operations/" + op.ID, Body: op}, err
}
