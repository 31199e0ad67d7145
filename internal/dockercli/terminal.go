package dockercli

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/moby/moby/client"
)

// What Terminal says besides the errors of every call and ErrNoCommand.
var (
	// ErrNoShell: the image has neither bash, ash nor sh.
	ErrNoShell = errors.New("the container has no shell")
	// ErrNoUser: the container knows no such user or group.
	ErrNoUser = errors.New("the container has no such user")
	// ErrNoFolder: the working folder isn't there, or isn't one.
	ErrNoFolder = errors.New("the container has no such folder")
	// ErrLeft: some of the processes may still run in the container.
	ErrLeft = errors.New("something may be left of it")
)

// TerminalOptions say what is run with a terminal in a container.
type TerminalOptions struct {
	Cmd        []string // none: a shell, which is bash, ash or sh
	User       string   // empty: the container's
	Dir        string   // empty: the container's
	Cols, Rows int
	// Shell is one to use in place of the container's own, with the arguments
	// that make it one.
	Shell []string
}

// Terminal is a command with a terminal in a container. Its size is set before
// it starts. Read gives its output and ends when it does.
type Terminal struct {
	*process

	client    *Client
	container string
	out       io.Reader
	over      bool
	end       ending
}

// opener runs in front of the command: it says its own process id, which the
// command takes over, waits for a line, and says that it goes on. Without
// arguments it looks for a shell.
const opener = `echo "$0 $$"; read -r _ || exit; echo "$0 go"
[ $# -eq 0 ] || exec "$@"
for shell in bash ash sh; do shell=$(command -v "$shell") && exec "$shell"; done
exit 127`

// launcherShells are where a shell for the opener may be: distroless images for
// debugging have theirs in /busybox.
func launcherShells() [][]string {
	return [][]string{{"/bin/sh"}, {"sh"}, {"/busybox/sh"}, {"bash"}}
}

// Terminal starts a command or a shell with a terminal in a running container.
//
// Errors: ErrNoShell, ErrNoCommand, ErrNoUser, ErrNoFolder; ErrConflict (the
// container doesn't run, or is paused), ErrNotFound, ErrUnavailable.
func (c *Client) Terminal(ctx context.Context, id string, o TerminalOptions) (*Terminal, error) {
	doing := "open a terminal in container " + short(id)
	shells := launcherShells()
	if o.Shell != nil {
		shells = [][]string{o.Shell}
	}
	for _, shell := range shells {
		t, err := c.openBy(ctx, id, o, shell)
		if !errors.Is(err, ErrNoCommand) {
			return t, c.wrap(doing, err)
		}
	}
	if len(o.Cmd) == 0 {
		return nil, fmt.Errorf("%s: %w", doing, ErrNoShell)
	}
	t, err := c.openBare(ctx, id, o)
	return t, c.wrap(doing, err)
}

func newMark() string { return "WATCHDOCKER_EXEC=" + rand.Text() }

// openBy starts the command behind the opener, which a shell runs.
func (c *Client) openBy(ctx context.Context, id string, o TerminalOptions, shell []string) (_ *Terminal, err error) {
	mark := newMark()
	t, err := c.attach(ctx, id, o, slices.Concat(shell, []string{"-c", opener, mark}, o.Cmd), mark)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = t.Close()
		}
	}()
	t.end = ending{shell: shell, user: o.User, mark: mark, signal: "HUP CONT"}
	said, err := t.until(ctx, mark+" ")
	if err == nil {
		said, err = t.until(ctx, "\n")
	}
	if err != nil {
		return nil, c.whyNot(ctx, t, said, err)
	}
	t.end.known = strings.TrimSpace(said)
	if _, err := strconv.Atoi(t.end.known); err != nil {
		return nil, fmt.Errorf("its shell says %q", said)
	}
	if err := t.Resize(ctx, o.Cols, o.Rows); err != nil {
		return nil, errors.Join(err, t.End(ctx))
	}
	if _, err := t.Write([]byte("\n")); err != nil {
		return nil, errors.Join(err, t.End(ctx))
	}
	if said, err = t.until(ctx, mark+" go\r\n"); err != nil {
		return nil, c.whyNot(ctx, t, said, err)
	}
	return t, nil
}

// openBare starts the command by itself, in an image without a shell.
func (c *Client) openBare(ctx context.Context, id string, o TerminalOptions) (*Terminal, error) {
	t, err := c.attach(ctx, id, o, o.Cmd, newMark())
	if err != nil {
		return nil, err
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		s, err := c.inspectExec(ctx, t.id)
		switch {
		case err != nil:
			_ = t.Close()
			return nil, err
		case s.Pid != 0:
			_ = t.Resize(ctx, o.Cols, o.Rows) // it may have ended by now
			return t, nil
		case !s.Running && s.ExitCode != nil:
			said, err := io.ReadAll(io.LimitReader(t.out, outputBytes))
			_ = t.Close()
			return nil, c.whyNot(ctx, t, string(said), err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			_ = t.Close()
			return nil, ctx.Err()
		}
	}
}

// attach starts a command and gives its terminal.
func (c *Client) attach(ctx context.Context, id string, o TerminalOptions, cmd []string, mark string) (*Terminal, error) {
	size := client.ConsoleSize{Height: uint(o.Rows), Width: uint(o.Cols)} //nolint:gosec // the caller's are small
	version, err := c.version(ctx)
	if err != nil {
		return nil, err
	}
	if !atLeast(version, "1.42") {
		size = client.ConsoleSize{}
	}
	made, err := c.sdk().ExecCreate(ctx, id, client.ExecCreateOptions{
		Cmd: cmd, Env: []string{mark, "TERM=xterm-256color"}, User: o.User, WorkingDir: o.Dir,
		TTY: true, ConsoleSize: size, AttachStdin: true, AttachStdout: true, AttachStderr: true,
	})
	if err != nil {
		return nil, judgeStart(err.Error(), err)
	}
	attached, err := c.sdk().ExecAttach(ctx, made.ID, client.ExecAttachOptions{TTY: true, ConsoleSize: size})
	t := &Terminal{client: c, container: id, process: &process{
		id: made.ID, lines: &tailLines{most: outputLines, room: outputBytes}, ended: make(chan struct{}),
	}}
	if err != nil {
		// The SDK knows an answer by its status alone; the engine says more
		// when it is asked how it went.
		if strings.Contains(err.Error(), "unable to upgrade") {
			return nil, c.whyNot(ctx, t, "", err)
		}
		return nil, judgeStart(err.Error(), err)
	}
	t.conn, t.out = attached.HijackedResponse, attached.Reader
	return t, nil
}

// until reads on to the end of a text, and gives what came before it.
func (t *Terminal) until(ctx context.Context, text string) (before string, err error) {
	stop := context.AfterFunc(ctx, func() { _ = t.conn.Conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	var got []byte
	one := make([]byte, 1)
	for len(got) < outputBytes {
		if _, err := io.ReadFull(t.out, one); err != nil {
			return string(got), errors.Join(err, ctx.Err())
		}
		got = append(got, one[0])
		if before, ok := bytes.CutSuffix(got, []byte(text)); ok {
			return string(before), nil
		}
	}
	return string(got), errors.New("its output has no end")
}

// whyNot finds out why a command didn't start, from what came in its place.
func (c *Client) whyNot(ctx context.Context, t *Terminal, said string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	said = strings.TrimSpace(safeLine(said))
	if err := judgeStart(said, nil); err != nil {
		return err
	}
	s, failed := c.inspectExec(ctx, t.id)
	switch {
	case failed != nil:
		return failed
	case s.ExitCode != nil:
		if err := s.judge([]string{said}); err != nil {
			return err
		}
	}
	if said == "" {
		return err
	}
	return errors.New(said)
}

// judgeStart tells by the engine's words what is wrong with a user or a folder;
// other errors stay as they are.
func judgeStart(said string, err error) error {
	switch {
	case strings.Contains(said, "unable to find user"), strings.Contains(said, "unable to find group"), strings.Contains(said, "no matching entries in"):
		return fmt.Errorf("%w: %s", ErrNoUser, said)
	case strings.Contains(said, "chdir to cwd"), strings.Contains(said, "Cwd must be an absolute path"), strings.Contains(said, "mkdir") && strings.Contains(said, "not a directory"):
		return fmt.Errorf("%w: %s", ErrNoFolder, said)
	}
	return err
}

// Read gives the output.
func (t *Terminal) Read(p []byte) (int, error) {
	n, err := t.out.Read(p)
	if err != nil && !t.over {
		t.over = true
		close(t.ended)
	}
	return n, err
}

// Write gives the command input.
func (t *Terminal) Write(p []byte) (int, error) { return t.conn.Conn.Write(p) }

// Resize changes the size.
func (t *Terminal) Resize(ctx context.Context, cols, rows int) error {
	_, err := t.client.sdk().ExecResize(ctx, t.id, client.ExecResizeOptions{Height: uint(rows), Width: uint(cols)}) //nolint:gosec // the caller's are small
	return t.client.wrap("resize a terminal", err)
}

// Wait gives the exit code, once Read has ended.
func (t *Terminal) Wait(ctx context.Context) (int, error) {
	code, err := t.client.outcome(ctx, t.process)
	if errors.Is(err, ErrNoCommand) { // that is what a shell ends with when its last command wasn't there
		err = nil
	}
	return code, t.client.wrap("ask how a command in container "+short(t.container)+" ended", err)
}

// End ends the command with all that it has started: by SIGHUP, and by SIGKILL
// two seconds later. Somebody must read on meanwhile. An image without a shell
// has nothing to do that with: then the terminal's keys are tried.
//
// Errors: ErrLeft.
func (t *Terminal) End(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	left := false
	if t.end.mark != "" {
		left = t.client.end(ctx, t.container, t.process, t.end)
	} else {
		left = t.interrupt(ctx)
	}
	if left {
		return fmt.Errorf("end a command in container %s: %w", short(t.container), ErrLeft)
	}
	return nil
}

// interrupt types what makes most programs end: Ctrl-C, Ctrl-D, Ctrl-\.
func (t *Terminal) interrupt(ctx context.Context) (left bool) {
	for _, key := range []byte{3, 4, 0x1c} {
		if _, err := t.Write([]byte{key}); err != nil {
			break
		}
		if !t.client.runsOn(ctx, t.process) {
			return false
		}
	}
	return t.client.runsOn(ctx, t.process)
}

// Close lets go of the terminal; the command runs on.
func (t *Terminal) Close() error {
	if t.conn.Conn != nil {
		t.conn.Close()
	}
	return nil
}
