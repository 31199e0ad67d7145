package testbed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A process is a child that can't outlive this program: the kernel kills it
// when the program dies, in whatever way.
type process struct {
	cmd     *exec.Cmd
	logPath string
	done    chan struct{}
}

// startProcess starts cmd in a process group of its own, its output appended
// to logPath unless cmd says otherwise.
func startProcess(cmd *exec.Cmd, logPath string) (*process, error) {
	logFile, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	defer func() { _ = logFile.Close() }()
	if cmd.Stdout == nil {
		cmd.Stdout = logFile
	}
	cmd.Stderr = logFile
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	cmd.SysProcAttr.Setpgid = true
	p := &process{cmd: cmd, logPath: logPath, done: make(chan struct{})}
	started := make(chan error, 1)
	go p.run(started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	return p, nil
}

// run starts the child and waits for it on one thread: Linux sends the death
// signal when the parent thread ends, not the parent process.
func (p *process) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(p.done)
	err := p.cmd.Start()
	started <- err
	if err == nil {
		_ = p.cmd.Wait() // how it ended is in cmd.ProcessState
	}
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// stop asks the process to end, and after grace (or ctx) kills its group.
func (p *process) stop(ctx context.Context, grace time.Duration) error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	if p.wait(ctx) == nil {
		return nil
	}
	return p.kill()
}

func (p *process) kill() error {
	select {
	case <-p.done:
		return nil // its id may be another's by now
	default:
	}
	if err := syscall.Kill(-p.pid(), syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("kill %s: %w", p.cmd.Path, err)
	}
	<-p.done
	return nil
}

// wait returns nil when the process has ended, however.
func (p *process) wait(ctx context.Context) error {
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the end of %s: %w", p.cmd.Path, ctx.Err())
	}
}

// until asks condition again and again until it holds, the process ends or
// ctx is over. The error tells what the process has logged last.
func (p *process) until(ctx context.Context, condition func(context.Context) error) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := condition(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s ended (%s), its last words:\n%s", p.cmd.Path, p.cmd.ProcessState, tailOfFile(p.logPath))
		case <-ctx.Done():
			return fmt.Errorf("%s isn't ready: %w, its last words:\n%s", p.cmd.Path, err, tailOfFile(p.logPath))
		case <-tick.C:
		}
	}
}

func tailOfFile(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = f.Close() }()
	var tail tailBuffer
	if _, err := io.Copy(&tail, f); err != nil {
		return err.Error()
	}
	return tail.String()
}

// startTime tells a process from a later one with the same id: field 22 of
// its stat, in clock ticks since boot. 0 means there is no such process any more.
func startTime(pid int) uint64 {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0
	}
	// The second field, the name, may hold anything; the last ')' ends it.
	_, rest, _ := strings.Cut(string(stat[strings.LastIndexByte(string(stat), ')'):]), " ")
	fields := strings.Fields(rest)
	if len(fields) < 20 || fields[0] == "Z" {
		return 0 // gone, though its parent may not have noticed
	}
	ticks, err := strconv.ParseUint(fields[19], 10, 64)
	if err != nil {
		return 0
	}
	return ticks
}
