package testbed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/gofrs/flock"
)

// sweep takes down what beds of this user left whose owner is gone. The
// caller holds beds.lock. After a success nothing of theirs is left.
func sweep(ctx context.Context, log io.Writer) error {
	dirs, err := ownFolders()
	if err != nil {
		return err
	}
	var errs []error
	for _, dir := range dirs {
		lock := flock.New(filepath.Join(dir, ownerFile))
		if free, err := lock.TryLock(); err != nil || !free {
			continue
		}
		_, _ = fmt.Fprintf(log, "testbed: sweeping up %s, whose owner is gone\n", dir)
		errs = append(errs, sweepOne(ctx, dir), lock.Unlock())
	}
	return errors.Join(errs...)
}

func sweepOne(ctx context.Context, dir string) error {
	s, err := readState(dir)
	if errors.Is(err, os.ErrNotExist) {
		return removeFolder(ctx, dir) // it had got no further
	}
	if err != nil {
		return err
	}
	var errs []error
	for _, p := range s.Processes {
		errs = append(errs, endProcess(ctx, p))
	}
	for _, name := range s.Cgroups {
		thawCgroups(name)
		errs = append(errs, removeCgroups(ctx, name))
	}
	if s.ExistingHost != "" {
		errs = append(errs, sweepExisting(ctx, s))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("sweep %s: %w", dir, err) // its state stays for the next try
	}
	return removeFolder(ctx, dir)
}

func endProcess(ctx context.Context, p identity) error {
	if !p.alive() {
		return nil
	}
	if err := syscall.Kill(p.PID, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("kill process %d: %w", p.PID, err)
	}
	return eventually(ctx, 10*time.Second, func() error {
		if p.alive() {
			return fmt.Errorf("process %d doesn't die", p.PID)
		}
		return nil
	})
}

func removeFolder(ctx context.Context, dir string) error {
	if err := unmountDisks(dir); err != nil {
		return err
	}
	return eventually(ctx, 10*time.Second, func() error { return os.RemoveAll(dir) })
}

// thawCgroups lets the processes of paused containers go on: a frozen one
// can't be killed, and whoever waits for its end waits for ever.
func thawCgroups(name string) {
	for pattern, thawed := range map[string]string{
		"/sys/fs/cgroup/freezer/" + name + "/*/freezer.state": "THAWED", // cgroup v1
		"/sys/fs/cgroup/" + name + "/*/cgroup.freeze":         "0",      // cgroup v2
	} {
		files, _ := filepath.Glob(pattern) // the patterns are right
		for _, file := range files {
			_ = os.WriteFile(file, []byte(thawed), 0) // one that goes meanwhile needs no thaw
		}
	}
}

// removeCgroups removes the cgroups of a private engine's containers, which
// outlive their processes, in cgroup v1 and v2.
func removeCgroups(ctx context.Context, name string) error {
	tops, err := filepath.Glob("/sys/fs/cgroup/*/" + name)
	if err != nil {
		return fmt.Errorf("look for cgroups: %w", err)
	}
	for _, top := range append(tops, "/sys/fs/cgroup/"+name) {
		err := eventually(ctx, 10*time.Second, func() error { return removeCgroup(top) })
		if err != nil {
			return fmt.Errorf("remove cgroup: %w", err)
		}
	}
	return nil
}

// removeCgroup removes a tree of cgroups from its leaves up. The files in
// them can't be removed, nor need to be.
func removeCgroup(top string) error {
	var dirs []string
	err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			dirs = append(dirs, path)
		}
		return nil // what has gone meanwhile is what is wanted
	})
	for _, dir := range slices.Backward(dirs) {
		if rmErr := syscall.Rmdir(dir); rmErr != nil && !errors.Is(rmErr, syscall.ENOENT) {
			err = errors.Join(err, &os.PathError{Op: "rmdir", Path: dir, Err: rmErr})
		}
	}
	return err
}
