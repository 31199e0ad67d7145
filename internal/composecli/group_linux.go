package composecli

import (
	"context"
	"errors"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// runGroup runs a command in a process group of its own, and returns when none
// of it is left. When the context ends the group gets SIGINT, as from a
// terminal: docker and its plugin both listen to it; after grace SIGKILL.
func runGroup(ctx context.Context, cmd *exec.Cmd, grace time.Duration) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	pid := cmd.Process.Pid
	over := make(chan struct{})
	go func() {
		defer close(over)
		awaitEnd(pid)
	}()
	select {
	case <-over:
	case <-ctx.Done():
		_ = unix.Kill(-pid, unix.SIGINT) // it may be over
		timer := time.NewTimer(grace)
		defer timer.Stop()
		select {
		case <-over:
		case <-timer.C:
		}
	}
	_ = unix.Kill(-pid, unix.SIGKILL) // whom the command has left behind
	<-over
	return cmd.Wait()
}

// awaitEnd returns when a child has ended, and leaves it to be waited for: until
// then nobody else can have its number, nor its group's.
func awaitEnd(pid int) {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}
