package updater

import (
	"context"
	"slices"

	"github.com/watch-docker/watch-docker/internal/store"
)

// Own reports whether this is the container that the program itself runs in:
// stopping it would end the update in the middle.
func (u *Updater) Own(containerID string) bool { return slices.Contains(u.own, containerID) }

// OwnRefused reports whether this is the program's own container, and can't be
// replaced by this process: see OwnReason.
func (u *Updater) OwnRefused(containerID string) bool {
	return u.self.State == "" && u.Own(containerID)
}

// Of gives the id of the operation that is a container's own, if any.
func (u *Updater) Of(containerID string) (operationID string, ok bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if j := u.of(containerID); j != nil {
		return j.operation.ID, true
	}
	return "", false
}

// of finds the job whose own container this is, by the old one's or the new one's id.
func (u *Updater) of(containerID string) *job {
	for _, j := range u.jobs {
		if j.owns(containerID) {
			return j
		}
	}
	return nil
}

// Busy gives the id of the operation that a container is in, if any: its own,
// or that of one that it depends on.
func (u *Updater) Busy(containerID string) (operationID string, ok bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if j := u.busy(containerID); j != nil {
		return j.operation.ID, true
	}
	return "", false
}

// Hold keeps updates of a container waiting until release is called, for those
// who act on it themselves. If it is in an operation, ok is false, and that one's id is given.
func (u *Updater) Hold(containerID string) (release func(), operationID string, ok bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if j := u.busy(containerID); j != nil {
		return nil, j.operation.ID, false
	}
	return u.keepOff(u.held, containerID), "", true
}

// HoldProject keeps updates of a Compose project's containers waiting until
// release is called, also of those that are made meanwhile. Those that are
// under way go on: see Hold.
func (u *Updater) HoldProject(name string) (release func()) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.keepOff(u.projects, name)
}

// keepOff counts one who holds something; u.mu is held.
func (u *Updater) keepOff(from map[string]int, what string) (release func()) {
	from[what]++
	return func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		if from[what]--; from[what] == 0 {
			delete(from, what)
		}
		u.letGo()
	}
}

// Reserved gives the images that operations under way are about to need, by id
// or as they are pulled: the container's name for each.
func (u *Updater) Reserved() map[string]string {
	u.mu.Lock()
	defer u.mu.Unlock()
	images := map[string]string{}
	for _, j := range u.jobs {
		j.reserve(images)
	}
	return images
}

// busy finds the job that has a container.
func (u *Updater) busy(containerID string) *job {
	if j := u.of(containerID); j != nil {
		return j
	}
	for _, j := range u.running {
		if j.claimed && j.has(containerID) {
			return j
		}
	}
	return nil
}

// Operation gives an operation, with its progress if it runs.
//
// Errors: store.ErrNoOperation.
func (u *Updater) Operation(ctx context.Context, id string) (store.Operation, error) {
	u.mu.Lock()
	j := u.jobs[id]
	unsaved, ok := u.unsaved[id]
	u.mu.Unlock()
	switch {
	case j != nil:
		return j.snapshot(), nil
	case ok:
		return unsaved, nil
	}
	return u.store.Operation(ctx, id)
}

// Done is closed once the operation has ended and its record says so; for one
// that isn't under way it is closed from the start.
func (u *Updater) Done(id string) <-chan struct{} {
	u.mu.Lock()
	defer u.mu.Unlock()
	if j := u.jobs[id]; j != nil {
		return j.done
	}
	done := make(chan struct{})
	close(done)
	return done
}
