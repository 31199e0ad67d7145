package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
)

// An updater is a command that somebody else has written.
type updater struct {
	command string
	path    string // a folder that goes first on its PATH, or empty
	timeout time.Duration
	logs    string
	runs    atomic.Int32
}

var errTooLong = errors.New("the updater doesn't end")

// A process is the updater at work. The kernel ends it with the suite.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{}
	said  bytes.Buffer
	log   string
}

// home is a fresh folder for an updater: what it knows from run to run.
func (s *suite) home() (string, error) {
	return os.MkdirTemp(s.bed.Dir(), "home-")
}

// update runs the updater to its end.
func (s *suite) update(ctx context.Context, home, what string) error {
	p, err := s.launch(home, what)
	if err != nil {
		return err
	}
	return s.await(ctx, p)
}

// launch starts the updater.
func (s *suite) launch(home, what string) (*process, error) {
	path := os.Getenv("PATH")
	if s.updater.path != "" {
		path = s.updater.path + string(filepath.ListSeparator) + path
	}
	p := &process{cmd: exec.Command("/bin/sh", "-c", s.updater.command), ended: make(chan struct{})}
	if s.updater.logs != "" {
		p.log = filepath.Join(s.updater.logs, fmt.Sprintf("%03d-%s.log", s.updater.runs.Add(1), slug(what)))
	}
	p.cmd.Dir = home
	p.cmd.Env = []string{
		"PATH=" + path, "LANG=C.UTF-8", "DOCKER_HOST=" + s.engine.Host(), "CONFORMANCE_REGISTRY=" + s.reg.Host(),
		"HOME=" + home, "STATE_PATH=" + filepath.Join(home, "state"), "CONFIG_PATH=" + filepath.Join(home, "config"), "DOCKER_CONFIG=" + filepath.Join(home, "docker"),
	}
	p.cmd.Stdout, p.cmd.Stderr = &p.said, &p.said
	p.cmd.WaitDelay = 10 * time.Second
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // the signal is sent when the parent's thread ends
		defer runtime.UnlockOSThread()
		defer close(p.ended)
		err := p.cmd.Start()
		started <- err
		if err == nil {
			_ = p.cmd.Wait() // an exit code isn't judged
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start the updater: %w", err)
	}
	return p, nil
}

// kill is SIGKILL for the updater and all that it started.
func (p *process) kill() {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.ended
}

// await waits for the updater's own end. One that takes too long is killed.
func (s *suite) await(ctx context.Context, p *process) error {
	ctx, cancel := context.WithTimeout(ctx, s.updater.timeout)
	defer cancel()
	select {
	case <-p.ended:
		return s.keep(p)
	case <-ctx.Done():
		p.kill()
		return errors.Join(fmt.Errorf("%w within %s", errTooLong, s.updater.timeout), s.keep(p))
	}
}

// keep writes down what the updater has said, if that is wanted.
func (s *suite) keep(p *process) error {
	if p.log == "" {
		return nil
	}
	text := fmt.Sprintf("%s\n%s(%s)\n", s.updater.command, p.said.String(), p.cmd.ProcessState)
	return os.WriteFile(p.log, []byte(text), 0o644)
}
