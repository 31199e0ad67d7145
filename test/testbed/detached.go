package testbed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"
	"time"
)

// Info is about a bed that runs in another process, brought up with
// Options.Detached.
type Info struct {
	ID    string
	Dir   string
	owner identity
}

// Detached are this user's detached beds.
func Detached() ([]Info, error) {
	dirs, err := ownFolders()
	if err != nil {
		return nil, err
	}
	var list []Info
	for _, dir := range dirs {
		s, err := readState(dir)
		if err != nil || !s.Detached || !s.Owner.alive() {
			continue // another's, or one for the sweep
		}
		list = append(list, Info{ID: s.ID, Dir: dir, owner: s.Owner})
	}
	return list, nil
}

// Down lets the bed's owner take it down, and waits for that.
func (i Info) Down(ctx context.Context) error {
	if err := syscall.Kill(i.owner.PID, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("end testbed %s: %w", i.ID, err)
	}
	return eventually(ctx, closeTimeout+10*time.Second, func() error {
		if i.owner.alive() {
			return fmt.Errorf("end testbed %s: its process %d is still there", i.ID, i.owner.PID)
		}
		return nil
	})
}

// Sweep takes down what beds of this user left whose owner died before it
// could; [Up] does so too.
func Sweep(ctx context.Context, log io.Writer) error {
	unlock, err := lockCache(ctx, "beds.lock")
	if err != nil {
		return err
	}
	defer unlock()
	return sweep(ctx, log)
}
