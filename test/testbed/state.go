package testbed

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"

	"github.com/gofrs/flock"
)

const (
	folderPrefix = "wd-bed-"
	ownerFile    = "owner.lock"
	stateName    = "state.json"
)

// unlocker gives up a lock.
type unlocker func() error

// state is what a sweep must know about a bed whose owner is gone.
type state struct {
	ID string
	// Owner is the process that brought the bed up.
	Owner identity
	// Detached says that `testbed down` may end the owner.
	Detached  bool
	Processes []identity
	Cgroups   []string
	// ExistingHost is the engine that was there before, in which things of
	// the bed's may be left.
	ExistingHost string
	// RegistryHosts are the bed's registries: an existing engine's images by
	// these names are the bed's.
	RegistryHosts []string
	// Pulled are images that weren't there before the bed pulled them.
	Pulled []pulledImage
}

// pulledImage is an image, and the repository that it was pulled from.
type pulledImage struct {
	ID         string
	Repository string
}

// identity names a process for good.
type identity struct {
	PID   int
	Start uint64
}

func identify(pid int) identity { return identity{PID: pid, Start: startTime(pid)} }

func (i identity) alive() bool { return i.Start != 0 && startTime(i.PID) == i.Start }

// stateFile keeps a bed's state on disk.
type stateFile struct {
	path string
	mu   sync.Mutex
	now  state
}

func createState(dir, id string, detached bool) (*stateFile, error) {
	f := &stateFile{path: filepath.Join(dir, stateName)}
	f.now = state{ID: id, Owner: identify(os.Getpid()), Detached: detached}
	return f, f.update(func(*state) {})
}

func (f *stateFile) update(change func(*state)) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(&f.now)
	data, err := json.Marshal(f.now)
	if err != nil {
		return fmt.Errorf("write testbed state: %w", err)
	}
	if err := os.WriteFile(f.path+".new", data, 0o600); err != nil {
		return fmt.Errorf("write testbed state: %w", err)
	}
	if err := os.Rename(f.path+".new", f.path); err != nil {
		return fmt.Errorf("write testbed state: %w", err)
	}
	return nil
}

func (f *stateFile) current() state {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now
	now.RegistryHosts = slices.Clone(now.RegistryHosts)
	now.Pulled = slices.Clone(now.Pulled)
	return now
}

func readState(dir string) (s state, err error) {
	data, err := os.ReadFile(filepath.Join(dir, stateName))
	if err != nil {
		return s, fmt.Errorf("read testbed state: %w", err)
	}
	if err := json.Unmarshal(data, &s); err != nil {
		return s, fmt.Errorf("read testbed state in %s: %w", dir, err)
	}
	return s, nil
}

// makeFolder makes a bed's folder and takes its owner's lock.
func makeFolder() (dir string, owner unlocker, err error) {
	dir, err = os.MkdirTemp("", folderPrefix) // mode 0700
	if err != nil {
		return "", nil, fmt.Errorf("make the testbed's folder: %w", err)
	}
	lock := flock.New(filepath.Join(dir, ownerFile))
	if _, err := lock.TryLock(); err != nil {
		return "", nil, errors.Join(fmt.Errorf("lock the testbed's folder: %w", err), os.RemoveAll(dir))
	}
	return dir, lock.Unlock, nil
}

// ownFolders are the folders of this user's beds.
func ownFolders() ([]string, error) {
	dirs, err := filepath.Glob(filepath.Join(os.TempDir(), folderPrefix+"*"))
	if err != nil {
		return nil, fmt.Errorf("look for testbeds: %w", err)
	}
	return slices.DeleteFunc(dirs, func(dir string) bool { return !ownFolder(dir) }), nil
}

// ownFolder says whether dir is a folder that this user made and nobody else
// could put things into.
func ownFolder(dir string) bool {
	info, err := os.Lstat(dir)
	if err != nil || !info.IsDir() || info.Mode().Perm() != 0o700 {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Geteuid()
}
