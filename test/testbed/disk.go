package testbed

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A Disk is a folder on a small file system of its own, which can be filled
// up. It needs root.
type Disk struct {
	Dir string
}

// Disk makes one of so many bytes; it goes with the bed.
func (b *Bed) Disk(size int64) (*Disk, error) {
	dir, err := b.subfolder("disk")
	if err != nil {
		return nil, err
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=0700", size)); err != nil {
		return nil, fmt.Errorf("mount a disk at %s: %w", dir, err)
	}
	return &Disk{Dir: dir}, nil
}

func (d *Disk) filler() string { return filepath.Join(d.Dir, "filler") }

// Fill takes all space that is left.
func (d *Disk) Fill() error {
	f, err := os.OpenFile(d.filler(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("fill the disk: %w", err)
	}
	block := make([]byte, 4096)
	for err == nil {
		_, err = f.Write(block)
	}
	if closeErr := f.Close(); !errors.Is(err, unix.ENOSPC) || closeErr != nil {
		return fmt.Errorf("fill the disk: %w", errors.Join(err, closeErr))
	}
	return nil
}

// Free gives the space back that Fill took.
func (d *Disk) Free() error {
	if err := os.Remove(d.filler()); err != nil {
		return fmt.Errorf("free the disk: %w", err)
	}
	return nil
}

// LimitDisk puts a private engine, which must be stopped, on a disk of so many
// bytes that goes with it. What it held before is hidden.
func (e *Engine) LimitDisk(size int64) error {
	if e.daemon == nil {
		return fmt.Errorf("limit disk: %w", errPrivateOnly)
	}
	return e.daemon.inShell(`mount -t tmpfs -o size=`+strconv.FormatInt(size, 10)+` tmpfs "$1"`, e.daemon.file("root"))
}

// DiskSpace is how many bytes are free on the disk of LimitDisk.
func (e *Engine) DiskSpace() (int64, error) {
	var s unix.Statfs_t
	inside := filepath.Join("/proc", strconv.Itoa(e.daemon.sandbox.init.pid()), "root", e.daemon.file("root"))
	if err := unix.Statfs(inside, &s); err != nil {
		return 0, fmt.Errorf("look at the engine's disk: %w", err)
	}
	return int64(s.Bavail) * s.Bsize, nil
}

// FillDisk takes all space that is left on the disk of LimitDisk.
func (e *Engine) FillDisk() error {
	return e.daemon.inShell(`! cat /dev/zero 2>/dev/null >"$1/filler"`, e.daemon.file("root"))
}

// FreeDisk gives the space back that FillDisk took.
func (e *Engine) FreeDisk() error {
	return e.daemon.inShell(`rm "$1/filler"`, e.daemon.file("root"))
}

// unmountDisks takes a bed's disks off, also those of a bed whose owner died.
func unmountDisks(dir string) error {
	table, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return fmt.Errorf("look for disks: %w", err)
	}
	var errs []error
	for line := range strings.Lines(string(table)) {
		fields := strings.Fields(line)
		if len(fields) > 1 && strings.HasPrefix(fields[1], filepath.Join(dir, "disk-")) {
			errs = append(errs, unix.Unmount(fields[1], unix.MNT_DETACH))
		}
	}
	return errors.Join(errs...)
}
