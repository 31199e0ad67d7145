package campaign_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// buildProgram links the program as a release is, and returns its path.
func buildProgram(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "watch-docker")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-tags", "nomsgpack",
		"-ldflags", "-s -w -X github.com/watch-docker/watch-docker/internal/app.version=0.0.0-campaign",
		"-o", path, "../../cmd/watch-docker/main.go")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the program: %v\n%s", err, out)
	}
	return path
}

// process is the program at work. The kernel ends it with the campaign.
type process struct {
	cmd    *exec.Cmd
	args   string
	ended  chan struct{}
	output *output
}

func startProcess(path string, env []string, args ...string) (*process, error) {
	cmd := exec.Command(path, args...)
	p := &process{cmd: cmd, args: strings.Join(args, " "), ended: make(chan struct{}), output: &output{}}
	cmd.Env, cmd.Stdout, cmd.Stderr = env, p.output, p.output
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // the signal is sent when the parent's thread ends
		defer runtime.UnlockOSThread()
		defer close(p.ended)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended is in cmd.ProcessState
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start the program: %w", err)
	}
	return p, nil
}

// kill is SIGKILL. It returns once nothing of the process is left.
func (p *process) kill() {
	_ = p.cmd.Process.Signal(syscall.SIGKILL)
	<-p.ended
}

// terminate is SIGTERM, and what must follow.
func (p *process) terminate(ctx context.Context) error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	return p.wait(ctx, 15*time.Second)
}

// wait is an error if the process doesn't end in time; it is killed then.
func (p *process) wait(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	select {
	case <-p.ended:
		return nil
	case <-ctx.Done():
		p.kill()
		return fmt.Errorf("%q doesn't end within %s", p.args, limit)
	}
}

func (p *process) String() string {
	return fmt.Sprintf("%q (%v) wrote:\n%s", p.args, p.cmd.ProcessState, p.output)
}

// output is what a process writes.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}
