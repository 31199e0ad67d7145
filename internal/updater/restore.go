package updater

import (
	"context"
	"errors"
	"fmt"

	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/internal/logging"
	"github.com/watch-docker/watch-docker/internal/store"
)

// logLines is how much of a failing container's log is kept.
const logLines = 200

// undo brings the old container back after cause, and gives the outcome: as
// wanted if that went well.
func (u *Updater) undo(ctx context.Context, j *job, wanted store.OperationState, cause error) (store.OperationState, error) {
	if ctx.Err() != nil {
		return store.Running, errLeft
	}
	var e *Error
	if !errors.As(cause, &e) {
		e = &Error{Code: CodeEngine, Message: cause.Error()}
		if wanted == store.Cancelled {
			e = problem(CodeInterrupted, "The program was stopped; nothing had been changed yet.")
		}
	}
	if j.plan.Stopped && j.plan.NewID != "" {
		if lines, err := u.engine.Logs(ctx, j.plan.NewID, logLines); err == nil {
			e.Logs = lines
		}
		u.quarantine(ctx, j, e)
	}
	err := j.step(ctx, stepRollback, func(ctx context.Context) (string, error) { return "", u.restore(ctx, j.plan) })
	switch {
	case err != nil && ctx.Err() != nil:
		return store.Running, errLeft
	case err != nil:
		e.Code, e.Message = CodeRollback, fmt.Sprintf("%s Bringing the old container back failed, too: %v.", e.Message, err)
		return store.Failed, e
	}
	j.up()
	if e.Code == CodeGone {
		wanted = store.Failed // there is nothing left to roll back to
	}
	return wanted, e
}

// quarantine remembers a release that failed its start or its gate. What says
// nothing about the release itself doesn't count.
func (u *Updater) quarantine(ctx context.Context, j *job, e *Error) {
	switch e.Code {
	case CodeStart, CodeExited, CodeRestarted, CodeUnhealthy, CodeHealthTimeout:
	default:
		return
	}
	o := j.snapshot()
	if o.ToDigest == "" {
		return
	}
	if err := u.store.Quarantine(ctx, o.Target, o.ToDigest, o.ID); err != nil {
		u.log.Warn("the release could not be quarantined", logging.Container(o.Target), logging.Digest(o.ToDigest), logging.Err(err))
	}
}

// restore makes the state from before the update out of whatever is there. It
// may be interrupted and run again.
func (u *Updater) restore(ctx context.Context, p plan) error {
	if p.Old.ID == "" {
		return nil // preflight had not ended
	}
	if err := u.removeNew(ctx, p); err != nil {
		return err
	}
	if p.Retag && p.NewImage != "" && p.NewImage != p.OldImage {
		if err := u.engine.TagImage(ctx, p.OldImage, p.Old.ImageRef); err != nil && !errors.Is(err, dockercli.ErrNotFound) {
			return err
		}
	}
	old, err := u.engine.Inspect(ctx, p.Old.ID)
	switch {
	case errors.Is(err, dockercli.ErrNotFound) && p.Old.AutoRemove:
		return u.remake(ctx, p)
	case errors.Is(err, dockercli.ErrNotFound):
		return nil // somebody else has removed it: that is to stay so
	case err != nil:
		return err
	}
	if old.Name != p.Old.Name {
		if err := u.engine.Rename(ctx, p.Old.ID, p.Old.Name); err != nil {
			return err
		}
	}
	if p.Stopped && !p.Old.AutoRemove {
		if err := u.engine.SetRestartPolicy(ctx, p.Old.ID, p.Old.RestartPolicy); err != nil {
			return err
		}
	}
	if p.WasRunning && !old.Running {
		return u.engine.Start(ctx, p.Old.ID)
	}
	return nil
}

// removeNew removes the new container, by its id or, if it was made but not
// written down yet, by its temporary name.
func (u *Updater) removeNew(ctx context.Context, p plan) error {
	id := p.NewID
	if id == "" && p.NewImage != "" {
		found, ok, err := u.engine.FindByName(ctx, newName(p.Old.Name))
		if err != nil || !ok {
			return err
		}
		if found.ImageID != p.NewImage {
			return nil // somebody else's: preflight found the name free, this isn't ours
		}
		id = found.ID
	}
	if id == "" {
		return nil
	}
	err := u.engine.Remove(ctx, id, dockercli.RemoveOptions{Force: true})
	if errors.Is(err, dockercli.ErrNotFound) {
		return nil
	}
	return err
}

// remake makes an old container that is gone (--rm) anew, from its blueprint.
func (u *Updater) remake(ctx context.Context, p plan) error {
	if _, taken, err := u.engine.FindByName(ctx, p.Old.Name); err != nil || taken {
		return err // remade already, or somebody else has taken its place
	}
	id, _, err := u.engine.Create(ctx, p.Old, dockercli.CreateOptions{ImageID: p.OldImage})
	if errors.Is(err, dockercli.ErrImageMoved) || errors.Is(err, dockercli.ErrNotFound) {
		id, _, err = u.engine.Create(ctx, p.Old, dockercli.CreateOptions{Image: p.OldImage})
	}
	if err != nil {
		return err
	}
	if p.WasRunning {
		return u.engine.Start(ctx, id)
	}
	return nil
}

// complete does what is left once the gate has passed. It may be interrupted
// and run again.
func (u *Updater) complete(ctx context.Context, p plan) (string, error) {
	if !p.Removed {
		return "the old container stays as " + oldName(p.Old.Name), nil
	}
	// Not its anonymous volumes: the new one has them now.
	err := u.engine.Remove(ctx, p.Old.ID, dockercli.RemoveOptions{Force: true})
	if errors.Is(err, dockercli.ErrNotFound) {
		return "", nil
	}
	return "", err
}
