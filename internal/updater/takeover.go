package updater

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/watch-docker/watch-docker/internal/logging"
	"github.com/watch-docker/watch-docker/internal/store"
)

// goTimeout is how long a helper waits until the work is its own.
const goTimeout = time.Minute

// Guest is what a helper adds to an updater that works on another
// installation's container: it keeps no images and judges no releases.
type Guest struct {
	// Ready reports whether the program answers in its new container; nil is yes.
	Ready func(context.Context) error
	// Revert undoes what the new program has done to its state; it is called
	// once the new container is gone, and before the old one runs again.
	Revert func(context.Context) error
}

// TakeOver does, in a helper, what the program has handed over in a folder,
// and writes down how it went. It begins where an earlier process of the
// helper was. Whoever calls it owns the folder.
func (u *Updater) TakeOver(ctx context.Context, folder string, h Handover) error {
	if err := u.insist(ctx, true, func() error { return u.Recover(ctx) }); err != nil {
		return err
	}
	done, err := u.store.Operations(ctx, store.OperationFilter{Limit: 1})
	if err != nil {
		return err
	}
	if len(done) == 0 {
		if err := u.accept(ctx, folder, h); err != nil {
			return err
		}
		if done, err = u.carryOut(ctx, h.Request); err != nil {
			return err
		}
	}
	out := outcome{Operation: done[0]}
	if s, found, err := u.engine.FindByName(ctx, h.Request.Name); err == nil && found && s.ID != h.Request.ContainerID {
		out.NewID = s.ID
	}
	return u.insist(ctx, true, func() error { return writeFile(filepath.Join(folder, fileOutcome), out) })
}

// accept says that the work can be done, once that is sure, and waits for the word.
func (u *Updater) accept(ctx context.Context, folder string, h Handover) error {
	if exists(filepath.Join(folder, fileGo)) {
		return nil
	}
	if _, err := u.engine.Blueprint(ctx, h.Request.ContainerID); err != nil {
		return err
	}
	for _, k := range h.Kept {
		if err := u.store.Keep(ctx, k); err != nil {
			return err
		}
	}
	if err := writeFile(filepath.Join(folder, fileReady), os.Getpid()); err != nil {
		return err
	}
	u.log.Info("ready to take over", logging.Container(h.Request.Name))
	short, cancel := context.WithTimeoutCause(ctx, goTimeout, fmt.Errorf("nobody said go within %s", goTimeout))
	defer cancel()
	if err := u.until(short, func() (bool, error) { return exists(filepath.Join(folder, fileGo)), nil }); err != nil {
		return errors.Join(err, context.Cause(short))
	}
	return nil
}

// carryOut runs one update to its end.
func (u *Updater) carryOut(ctx context.Context, r Request) ([]store.Operation, error) {
	working, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() { defer close(ended); _ = u.Run(working) }() // ends with its context
	defer func() { stop(); <-ended }()
	o, err := u.Update(ctx, r)
	if err != nil {
		return nil, err
	}
	<-u.Done(o.ID)
	if o, err = u.Operation(ctx, o.ID); err != nil {
		return nil, err
	}
	if !o.State.Finished() {
		return nil, errLeft
	}
	return []store.Operation{o}, nil
}

// ready asks whether the program answers, where that is asked for; it is an
// error once there is no time left.
func (u *Updater) ready(ctx context.Context, j *job, m *member, left time.Duration) (bool, error) {
	if u.guest == nil || u.guest.Ready == nil || m != &j.plan.member {
		return true, nil
	}
	err := u.guest.Ready(ctx)
	if err != nil && left < 0 {
		return false, problem(CodeNotReady, "The new container runs, but Watch Docker in it didn't become ready: %v.", err)
	}
	return err == nil, nil
}

// revert undoes what the new program has done to its state, if it is one.
func (u *Updater) revert(ctx context.Context) error {
	if u.guest == nil || u.guest.Revert == nil {
		return nil
	}
	return u.guest.Revert(ctx)
}

// Revert puts the program's database back into its folder, if the new release
// has changed its schema and nobody runs on it.
func Revert(ctx context.Context, folder string) (reverted bool, err error) {
	owner, err := store.Own(folder)
	if errors.Is(err, store.ErrOwned) {
		return false, nil // the old one has not been stopped
	}
	if err != nil {
		return false, err
	}
	reverted, err = store.Revert(ctx, folder, filepath.Join(folder, HandoverFolder, fileDatabase))
	return reverted, errors.Join(err, owner.Close())
}
