package app

import (
	"context"
	"errors"

	"github.com/watch-docker/watch-docker/internal/api"
	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/internal/shell"
)

// terminals is the api's side of what shells run in.
type terminals struct {
	*parts

	environ []string
	enabled func() bool // shell.hostEnabled
}

// InContainer implements api.Terminals.
func (t terminals) InContainer(ctx context.Context, id string, o api.ShellOptions) (shell.Terminal, error) {
	terminal, err := t.engine.Terminal(ctx, id, dockercli.TerminalOptions{Cmd: o.Command, User: o.User, Dir: o.Dir, Cols: o.Cols, Rows: o.Rows})
	if err != nil {
		return nil, unopened(err)
	}
	return terminal, nil
}

// unopened says what somebody can do who gets no shell.
func unopened(err error) error {
	for known, e := range map[error]shell.Error{
		dockercli.ErrNoShell: {Code: shell.CodeNoShell, Message: "The image has no shell (bash, ash, sh). " +
			"A program of the image can be run with command=; debug=true brings a small shell along for as long as it is used."},
		dockercli.ErrNoCommand: {Code: shell.CodeNoCommand, Message: "The container has no such command, or it can't be run."},
		dockercli.ErrNoUser:    {Code: shell.CodeNoUser, Message: "The container has no such user or group; a number always works."},
		dockercli.ErrNoFolder:  {Code: shell.CodeNoFolder, Message: "The container has no such folder."},
		dockercli.ErrConflict:  {Code: shell.CodeNotRunning, Message: "The container doesn't run, or is paused."},
	} {
		if errors.Is(err, known) {
			return &e
		}
	}
	return ported(err, api.ErrUnknownContainer)
}

// OnHost implements api.Terminals.
func (t terminals) OnHost(_ context.Context, o api.ShellOptions) (shell.Terminal, error) {
	return shell.Host(shell.HostOptions{Cmd: o.Command, Dir: o.Dir, Cols: o.Cols, Rows: o.Rows, Environ: t.environ})
}

// HostEnabled implements api.Terminals.
func (t terminals) HostEnabled() bool { return t.enabled() }

// Own implements api.Terminals.
func (t terminals) Own(id string) bool { return t.updater.Own(id) }
