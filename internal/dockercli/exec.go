package dockercli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/client"
)

// What Exec says besides the errors of every call.
var (
	// ErrNoCommand: there is no such program in the container, or it can't be run.
	ErrNoCommand = errors.New("the container has no such command")
	// ErrTooLong: the time for it was over.
	ErrTooLong = errors.New("it took too long")
)

// What is kept of a command's output, however much comes: lines, and bytes.
const (
	outputLines = 200
	outputBytes = 64 << 10
)

// ExecOptions say what is run in a container.
type ExecOptions struct {
	Cmd   []string
	Env   []string      // "NAME=value", besides the container's own
	User  string        // empty: the container's
	Limit time.Duration // how long it may take; 0: as long as it likes
}

// ExecResult is what became of it.
type ExecResult struct {
	ExitCode int
	Output   []string // the last lines of both streams, made safe as those of Logs
	Cut      bool     // there was more
	Took     time.Duration
	Left     bool // it was to be ended and couldn't be: it may still run in the container
}

// Exec runs a command in a running container and waits for its end. When
// Limit or ctx is over, the command is ended together with all that it has
// started: by SIGTERM, and by SIGKILL two seconds later. That takes a /bin/sh
// in the container, since the engine itself can't end what it has begun there;
// its processes are known by a variable in their environment.
//
// Errors: ErrNoCommand, also when a shell says so with exit code 126 or 127;
// ErrTooLong; ErrConflict (the container doesn't run, or is paused),
// ErrNotFound, ErrUnavailable. With ErrNoCommand, ErrTooLong and ctx's own
// error the result holds what there is.
func (c *Client) Exec(ctx context.Context, id string, o ExecOptions) (ExecResult, error) {
	doing := "run a command in container " + short(id)
	limited := ctx
	if o.Limit > 0 {
		var cancel context.CancelFunc
		limited, cancel = context.WithTimeoutCause(ctx, o.Limit, ErrTooLong)
		defer cancel()
	}
	began, mark := time.Now(), "WATCHDOCKER_EXEC="+rand.Text()
	p, err := c.launch(limited, id, client.ExecCreateOptions{
		Cmd: o.Cmd, Env: append([]string{mark}, o.Env...), User: o.User, AttachStdout: true, AttachStderr: true,
	})
	code := 0
	if err == nil {
		code, err = c.outcome(limited, p)
	}
	res := ExecResult{ExitCode: code}
	if limited.Err() != nil {
		err = context.Cause(limited)
		res.Left = c.end(context.WithoutCancel(ctx), id, p, ending{user: o.User, mark: mark, signal: "TERM"})
	}
	res.Output, res.Cut = p.close()
	res.Took = time.Since(began)
	switch {
	case errors.Is(err, ErrTooLong), err != nil && ctx.Err() != nil, errors.Is(err, ErrNoCommand):
		return res, fmt.Errorf("%s: %w", doing, err)
	}
	return res, c.wrap(doing, err)
}

// process is a command under way in a container.
type process struct {
	id    string // the engine's, for the exec
	conn  client.HijackedResponse
	lines *tailLines
	ended chan struct{} // closed when its output has ended
}

// launch starts a command and begins to read its output. A process comes back
// with an error, too, once it may have been started.
func (c *Client) launch(ctx context.Context, id string, o client.ExecCreateOptions) (*process, error) {
	ctx, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	made, err := c.sdk().ExecCreate(ctx, id, o)
	if err != nil {
		return nil, err
	}
	p := &process{id: made.ID, lines: &tailLines{most: outputLines, room: outputBytes}, ended: make(chan struct{})}
	attached, err := c.sdk().ExecAttach(ctx, made.ID, client.ExecAttachOptions{})
	if err != nil {
		close(p.ended)
		if text := err.Error(); strings.Contains(text, "unable to upgrade") { // its answer is known by its status alone
			if strings.HasSuffix(text, fmt.Sprint(http.StatusConflict)) {
				return p, fmt.Errorf("%w: it doesn't run any more", ErrConflict)
			}
			return p, nil // the engine says more when it is asked how it went
		}
		return p, err
	}
	p.conn = attached.HijackedResponse
	go func() {
		defer close(p.ended)
		stdout, stderr := &lineWriter{to: p.lines}, &lineWriter{to: p.lines}
		_, _ = stdcopy.StdCopy(stdout, stderr, p.conn.Reader) // how it ended is asked for
		stdout.flush()
		stderr.flush()
	}()
	return p, nil
}

// close gives the output up to now, and reads no more.
func (p *process) close() (output []string, cut bool) {
	if p == nil {
		return nil, false
	}
	if p.conn.Conn != nil {
		p.conn.Close()
	}
	<-p.ended
	return p.lines.list, p.lines.cut
}

// outcome waits until a command has ended and gives its exit code. Its output
// may end before it does.
func (c *Client) outcome(ctx context.Context, p *process) (int, error) {
	select {
	case <-p.ended:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		s, err := c.inspectExec(ctx, p.id)
		switch {
		case err != nil:
			return 0, err
		case !s.Running && s.ExitCode != nil:
			return *s.ExitCode, s.judge(p.lines.list)
		case !s.Running:
			return 0, fmt.Errorf("the engine doesn't say how it ended: %s", strings.Join(p.lines.list, " "))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// execState is what the engine says of a command. The SDK shows a missing
// exit code as 0.
type execState struct {
	Running  bool
	ExitCode *int
	Pid      int // 0 if it couldn't be started
}

func (c *Client) inspectExec(ctx context.Context, execID string) (s execState, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	version, err := c.version(ctx)
	if err != nil {
		return s, err
	}
	return s, c.call(ctx, http.MethodGet, version, "/exec/"+execID+"/json", nil, nil, &s)
}

// judge finds out from the codes that shells and engines have for it whether
// there was nothing to run. Engines say it as the command's output.
func (s execState) judge(output []string) error {
	if *s.ExitCode != 126 && *s.ExitCode != 127 {
		return nil
	}
	said := strings.Join(output[max(0, len(output)-1):], "")
	if s.Pid == 0 && (strings.Contains(said, "stopped state") || strings.Contains(said, "not running") || strings.Contains(said, "paused")) {
		return fmt.Errorf("%w: %s", ErrConflict, said)
	}
	return fmt.Errorf("%w: %s", ErrNoCommand, said)
}

// How long a command that was told to end has for it, and how long that may
// take altogether.
const (
	endGrace   = 2 * time.Second
	endTimeout = 6 * time.Second
)

// ending says how to end a command.
type ending struct {
	shell  []string // that runs the script; nil: /bin/sh
	user   string   // whose processes they are
	mark   string   // what they have in their environment
	known  string   // those that are known
	signal string   // the first, or several
}

// end ends a command with all that it has started, and reports whether
// something may be left of it.
func (c *Client) end(ctx context.Context, id string, p *process, e ending) (left bool) {
	if p == nil {
		return false // it never began
	}
	ctx, cancel := context.WithTimeout(ctx, endTimeout)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	met := false
	for began := time.Now(); ; {
		some, alive, err := c.signal(ctx, id, e)
		met = met || some
		switch {
		case errors.Is(err, ErrConflict), errors.Is(err, ErrNotFound):
			s, err := c.Inspect(ctx, id) // a paused one takes no command, and ends none
			return err == nil && s.Running || err != nil && !errors.Is(err, ErrNotFound)
		case err != nil:
			return true
		case alive == "":
			return !met && c.runsOn(ctx, p)
		}
		e.known = alive
		switch { // until the grace is over, it is only looked at
		case e.signal == "KILL":
			e.user = "0" // somebody else's by now; root may end them, but may not see what marks they have
		case time.Since(began) >= endGrace:
			e.signal = "KILL"
		default:
			e.signal = "0"
		}
		select {
		case <-ctx.Done():
			return true
		case <-tick.C:
		}
	}
}

// runsOn reports whether the engine takes a command for running, as it does
// for a moment after its end: one that has cleared its own environment isn't found.
func (c *Client) runsOn(ctx context.Context, p *process) bool {
	if p.conn.Conn == nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, endGrace)
	defer cancel()
	_, err := c.outcome(ctx, p)
	return ctx.Err() != nil && err != nil
}

// signaller is a script for any /bin/sh, without other programs: it sends
// signals ($0) to all processes that have the mark ($1) in their environment, to
// those known from before ($2), to their sessions and to their children. It looks
// again for a moment, and prints those that were met, and those that are left.
const signaller = `
about() { read -r line 2>/dev/null <"/proc/$1/stat" && set -- ${line##*") "} && state=$1 && parent=$2 && session=$4; }
signal=$0 all=" $2 " seen=" 1 $$ " looks=0
while [ "$looks" -lt 20 ]; do
	for dir in /proc/[0-9]*; do
		pid=${dir#/proc/} text=
		case $seen in *" $pid "*) continue ;; esac
		seen="$seen$pid "
		while IFS= read -r part || [ -n "$part" ]; do text=$text$part; done 2>/dev/null <"$dir/environ"
		case $text in *"$1"*) all="$all$pid " ;; esac
	done
	before=
	while [ "$before" != "$all" ]; do
		before=$all
		for pid in $all; do
			about "$pid" || continue
			case "$all 0 1 $$ " in *" $session "*) ;; *) all="$all$session " ;; esac
		done
		for dir in /proc/[0-9]*; do
			pid=${dir#/proc/}
			case "$all 1 $$ " in *" $pid "*) continue ;; esac
			about "$pid" || continue
			case $all in *" $parent "*|*" $session "*) all="$all$pid " ;; esac
		done
	done
	alive=
	for pid in $all; do
		case "$alive " in *" $pid "*) continue ;; esac
		about "$pid" || continue
		case $state in Z|X) continue ;; esac
		for one in $signal; do kill "-$one" "$pid" 2>/dev/null; done
		alive="$alive $pid"
	done
	[ -n "$alive" ] || break
	[ "$signal" = KILL ] || signal=0
	looks=$((looks+1))
done
echo "met:$all"
echo "alive:$alive"
`

// signal runs the signaller as the user whose processes are meant, and gives
// the processes that are left, and whether there were any.
func (c *Client) signal(ctx context.Context, id string, e ending) (met bool, alive string, err error) {
	shell := e.shell
	if shell == nil {
		shell = []string{"/bin/sh"}
	}
	p, err := c.launch(ctx, id, client.ExecCreateOptions{
		Cmd: append(slices.Clone(shell), "-c", signaller, e.signal, e.mark, e.known), User: e.user, AttachStdout: true, AttachStderr: true,
	})
	if err != nil {
		p.close()
		return false, "", c.wrap("end a command in container "+short(id), err)
	}
	select {
	case <-p.ended:
	case <-ctx.Done():
	}
	output, _ := p.close()
	for _, line := range output { // what it says comes before the engine takes it for ended
		if pids, ok := strings.CutPrefix(line, "met:"); ok {
			met = strings.TrimSpace(pids) != ""
		}
		if pids, ok := strings.CutPrefix(line, "alive:"); ok {
			return met, strings.TrimSpace(pids), nil
		}
	}
	if _, err = c.outcome(ctx, p); err == nil {
		err = fmt.Errorf("its shell says %q", output)
	}
	return met, "", c.wrap("end a command in container "+short(id), err)
}
