package composecli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os/exec"
	"slices"
	"syscall"
	"time"

	"github.com/watch-docker/watch-docker/internal/composeenv"
)

// pipeGrace is how long a command's outputs are waited for when it has ended.
const pipeGrace = time.Second

// command is one run of a tool.
type command struct {
	what   string // for errors: "docker compose up of shop"
	dir    string // to be in; empty is an empty folder
	args   []string
	limit  time.Duration
	stdout io.Writer // nil: the report hears it
	probe  bool      // of a tool that may be anything
}

// run runs a command and reports what it says.
//
// Errors: ErrNoCompose, ErrCancelled, ErrTimeout, *FailedError.
func (c *CLI) run(ctx context.Context, t *tool, k command, r *report) (err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, k.limit, fmt.Errorf("the limit is %s", k.limit))
	defer cancel()
	folder, warning, err := c.makeFolder()
	if err != nil {
		return err
	}
	defer func() {
		if removed := folder.remove(); removed != nil && err == nil {
			err = fmt.Errorf("clean up after docker compose: %w", removed)
		}
	}()
	if warning != nil {
		r.heard([]byte("warning: " + warning.Error()))
	}
	if ctx.Err() != nil {
		return stopped(ctx, k)
	}
	outs := []*splitter{{heard: r.heard}, {heard: r.lamented}}
	cmd := c.build(t, k, folder)
	cmd.Stdout, cmd.Stderr = outs[0], outs[1]
	if k.stdout != nil {
		cmd.Stdout = k.stdout
	}
	err = runGroup(ctx, cmd, c.grace)
	outs[0].end()
	outs[1].end()
	return c.outcome(ctx, t, k, r, err)
}

// build makes the command. A docker-compose of its own is run as docker runs
// its plugin, because by itself it doesn't know --config.
func (c *CLI) build(t *tool, k command, folder workFolder) *exec.Cmd {
	args := slices.Concat([]string{"--config", folder.config}, c.engine, []string{"compose"}, k.args)
	if k.probe {
		args = slices.Concat([]string{"--config", folder.config, "compose"}, k.args)
	}
	dir := k.dir
	if dir == "" {
		dir = folder.empty
	}
	env := composeenv.Of(c.environ, dir)
	switch {
	case t.standalone && k.probe: // version 1 is asked as well
		args = k.args
	case t.standalone:
		env = append(env, "DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND="+t.Path)
	}
	cmd := exec.Command(t.Path, args...) //nolint:noctx // runGroup ends it, and all that it has started
	cmd.Dir, cmd.Env = dir, env
	cmd.WaitDelay = pipeGrace
	return cmd
}

func stopped(ctx context.Context, k command) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("%s: %w: %w", k.what, ErrTimeout, context.Cause(ctx))
	}
	return fmt.Errorf("%s: %w: %w", k.what, ErrCancelled, context.Cause(ctx))
}

// outcome is the error of a command that is over.
func (c *CLI) outcome(ctx context.Context, t *tool, k command, r *report, err error) error {
	var exit *exec.ExitError
	switch {
	case err == nil, errors.Is(err, exec.ErrWaitDelay): // somebody who isn't of its group has its outputs
		return nil
	case ctx.Err() != nil:
		return stopped(ctx, k)
	case errors.As(err, &exit):
		return fmt.Errorf("%s: %w", k.what, r.failed(exit.ExitCode()))
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.ENOEXEC):
		c.forget(t)
		return fmt.Errorf("%w: %w", ErrNoCompose, err)
	}
	return fmt.Errorf("%s: %w", k.what, err)
}

// forget has the command looked for anew.
func (c *CLI) forget(t *tool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.found == t {
		c.found = nil
	}
}
