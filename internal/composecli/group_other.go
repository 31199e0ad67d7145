//go:build !linux

package composecli

import (
	"context"
	"os"
	"os/exec"
	"time"
)

// runGroup runs a command. When the context ends it is interrupted, after grace
// killed. Process groups are for Linux alone.
func runGroup(ctx context.Context, cmd *exec.Cmd, grace time.Duration) error {
	if err := cmd.Start(); err != nil {
		return err
	}
	over := make(chan error, 1)
	go func() { over <- cmd.Wait() }()
	select {
	case err := <-over:
		return err
	case <-ctx.Done():
	}
	if cmd.Process.Signal(os.Interrupt) == nil {
		timer := time.NewTimer(grace)
		defer timer.Stop()
		select {
		case err := <-over:
			return err
		case <-timer.C:
		}
	}
	_ = cmd.Process.Kill() // it may be over
	return <-over
}
