package shell

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// endGrace is how long processes have after the hang-up.
const endGrace = 2 * time.Second

// host is a program with a pty where this program runs.
type host struct {
	*os.File

	cmd   *exec.Cmd
	mark  string
	ended chan struct{}
	err   error // of Wait, once ended
}

// Host starts a shell, or a command, where this program runs, with an
// environment in which nothing of ours is.
//
// Errors: *Error.
func Host(o HostOptions) (Terminal, error) {
	h := &host{mark: "WATCHDOCKER_SHELL=" + rand.Text(), ended: make(chan struct{})}
	env := hostEnviron(o.Environ, h.mark)
	args := o.Cmd
	if len(args) == 0 {
		shell, err := hostShell(o.Environ)
		if err != nil {
			return nil, err
		}
		args, env = []string{shell}, append(env, "SHELL="+shell)
	}
	dir := o.Dir
	if dir == "" {
		dir = "/"
		for _, e := range env {
			if home, ok := strings.CutPrefix(e, "HOME="); ok && isFolder(home) {
				dir = home
			}
		}
	}
	if !isFolder(dir) {
		return nil, &Error{Code: CodeNoFolder, Message: "There is no folder " + dir + " where Watch Docker runs."}
	}
	h.cmd = exec.Command(args[0], args[1:]...) //nolint:gosec,noctx // that is what a shell is for; End ends it
	h.cmd.Env, h.cmd.Dir = env, dir
	master, err := pty.StartWithSize(h.cmd, &pty.Winsize{Cols: uint16(o.Cols), Rows: uint16(o.Rows)}) //nolint:gosec // checked by who asks
	switch {
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission):
		return nil, &Error{Code: CodeNoCommand, Message: "There is no such command where Watch Docker runs: " + err.Error()}
	case err != nil:
		return nil, fmt.Errorf("start a host shell: %w", err)
	}
	go func() {
		h.err = h.cmd.Wait()
		close(h.ended)
	}()
	if h.File, err = pollable(master); err != nil {
		err = errors.Join(err, h.End(context.Background()))
		return nil, fmt.Errorf("start a host shell: %w", err)
	}
	return h, nil
}

// pollable makes a file whose Close ends a Read or Write under way, which a
// pty's is not by itself. It takes the file over.
func pollable(f *os.File) (*os.File, error) {
	defer f.Close()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// Resize implements Terminal.
func (h *host) Resize(_ context.Context, cols, rows int) error {
	return pty.Setsize(h.File, &pty.Winsize{Cols: uint16(cols), Rows: uint16(rows)}) //nolint:gosec // checked by who asks
}

// Wait implements Terminal.
func (h *host) Wait(ctx context.Context) (int, error) {
	select {
	case <-h.ended:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	var exit *exec.ExitError
	if h.err != nil && !errors.As(h.err, &exit) {
		return 0, h.err
	}
	if status, ok := h.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal()), nil // as shells have it
	}
	return h.cmd.ProcessState.ExitCode(), nil
}

// End implements Terminal.
func (h *host) End(ctx context.Context) error {
	signals, known := []syscall.Signal{syscall.SIGHUP, syscall.SIGCONT}, map[int]bool{h.cmd.Process.Pid: true}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for began := time.Now(); ; {
		alive := h.processes(known)
		if len(alive) == 0 {
			return nil
		}
		for _, pid := range alive {
			for _, s := range signals {
				_ = syscall.Kill(pid, s) // gone, or not ours: it is looked at again
			}
		}
		signals = nil
		if time.Since(began) >= endGrace {
			signals = []syscall.Signal{syscall.SIGKILL}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("processes %v of a host shell could not be ended", alive)
		}
	}
}

// processes are those of the shell that live: of its session, with its mark,
// known from before, or started by one of them, which are known from then on.
func (h *host) processes(known map[int]bool) (alive []int) {
	table := processTable(h.mark)
	for grown := true; grown; {
		grown = false
		for pid, p := range table {
			if !known[pid] && pid != os.Getpid() && (p.marked || known[p.session] || known[p.parent]) {
				known[pid], grown = true, true
			}
		}
	}
	for pid := range known {
		if pid == h.cmd.Process.Pid && h.isOver() { // its number may be another's by now
			continue
		}
		if p, ok := table[pid]; ok && p.state != "Z" && p.state != "X" {
			alive = append(alive, pid)
		}
	}
	return alive
}

func (h *host) isOver() bool {
	select {
	case <-h.ended:
		return true
	default:
		return false
	}
}

type processInfo struct {
	state           string
	parent, session int
	marked          bool
}

// processTable is what /proc tells of all processes.
func processTable(mark string) map[int]processInfo {
	table := map[int]processInfo{}
	folders, _ := filepath.Glob("/proc/[0-9]*") // the pattern is right
	for _, folder := range folders {
		pid, err := strconv.Atoi(filepath.Base(folder))
		if err != nil {
			continue
		}
		stat, err := os.ReadFile(filepath.Join(folder, "stat")) //nolint:gosec // of /proc
		if err != nil {
			continue
		}
		words := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:])) // the name before may hold anything
		if len(words) < 4 {
			continue
		}
		p := processInfo{state: words[0]}
		p.parent, _ = strconv.Atoi(words[1])
		p.session, _ = strconv.Atoi(words[3])
		environ, _ := os.ReadFile(filepath.Join(folder, "environ")) //nolint:gosec // somebody else's can't be read
		p.marked = bytes.Contains(environ, []byte(mark))
		table[pid] = p
	}
	return table
}
