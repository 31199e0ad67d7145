package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/gofrs/flock"
)

// ErrOwned says that another process owns the state folder.
var ErrOwned = errors.New("another Watch Docker is running on it")

// Ownership is the right to change things through a state folder. One process
// at a time has it; the operating system gives it back when the process ends,
// however it ends.
type Ownership struct {
	lock *flock.Flock
	note string
}

// Own takes the state folder, which it makes if it is missing.
//
// Errors: ErrOwned if another process has it, naming that one; ErrFolder if
// the folder can't be used.
func Own(folder string) (*Ownership, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, folderError(folder, err)
	}
	path := filepath.Join(folder, "watch-docker.lock")
	note := filepath.Join(folder, "watch-docker.pid")
	lock := flock.New(path, flock.SetPermissions(0o600))
	got, err := lock.TryLock()
	if err != nil {
		return nil, folderError(folder, err)
	}
	if !got {
		return nil, fmt.Errorf("state folder %s: %w%s; stop that one first, or name another folder with STATE_PATH", folder, ErrOwned, owner(note))
	}
	// The process id is for people; the lock alone decides.
	if err := os.WriteFile(note, []byte(strconv.Itoa(os.Getpid())), 0o600); err != nil {
		return nil, errors.Join(folderError(folder, err), lock.Unlock())
	}
	return &Ownership{lock: lock, note: note}, nil
}

// Close gives the folder back. The lock's file stays: removing it would let
// two processes lock two different files of the same name.
func (o *Ownership) Close() error {
	return errors.Join(os.Remove(o.note), o.lock.Close())
}

func owner(note string) string {
	pid, err := os.ReadFile(note)
	if err != nil {
		return ""
	}
	return " (process " + strings.TrimSpace(string(pid)) + ")"
}
