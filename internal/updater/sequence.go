package updater

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/internal/image"
	"github.com/watch-docker/watch-docker/internal/store"
)

// errLeft says that the program's end came first: recovery goes on from here.
var errLeft = errors.New("left to recovery")

// Names of steps.
const (
	stepPreflight = "preflight"
	stepPull      = "pull"
	stepCreate    = "create"
	stepStop      = "stop"
	stepSwap      = "swap"
	stepStart     = "start"
	stepGate      = "gate"
	stepFinish    = "finish"
	stepRollback  = "rollback"
)

// sequence does one update. What changes nothing yet ends with soft; the rest
// has until hard.
func (u *Updater) sequence(soft, hard context.Context, j *job) (store.OperationState, error) {
	if err := j.step(soft, stepPreflight, func(ctx context.Context) (string, error) { return u.preflight(ctx, j) }); err != nil {
		return failedOrCancelled(soft), err
	}
	if err := j.step(soft, stepPull, func(ctx context.Context) (string, error) { return u.pull(ctx, j) }); err != nil {
		return u.undo(hard, j, failedOrCancelled(soft), err)
	}
	if j.plan.NewImage == j.plan.OldImage {
		return store.Succeeded, nil // what the tag names now is what runs
	}
	if err := j.step(hard, stepCreate, func(ctx context.Context) (string, error) { return u.create(ctx, j) }); err != nil {
		return u.undo(hard, j, store.Failed, err)
	}
	if soft.Err() != nil { // the last point at which nothing has stopped yet
		return u.undo(hard, j, store.Cancelled, problem(CodeInterrupted, "The program was stopped; nothing had been changed yet."))
	}
	if err := u.replace(hard, j); err != nil {
		return u.undo(hard, j, store.RolledBack, err)
	}
	if err := j.note(hard, func(p *plan) { p.Passed = true }); err != nil {
		return u.undo(hard, j, store.RolledBack, &Error{Code: CodeStore, Message: err.Error()})
	}
	err := j.step(hard, stepFinish, func(ctx context.Context) (string, error) { return u.complete(ctx, j.plan) })
	if hard.Err() != nil && err != nil {
		return store.Running, errLeft
	}
	return store.Succeeded, nil // what finish couldn't do stands in its step
}

func failedOrCancelled(soft context.Context) store.OperationState {
	if soft.Err() != nil {
		return store.Cancelled
	}
	return store.Failed
}

// replace puts the new container in the old one's place and waits for the gate.
func (u *Updater) replace(ctx context.Context, j *job) error {
	if j.plan.WasRunning {
		j.down = time.Now()
		if err := j.step(ctx, stepStop, func(ctx context.Context) (string, error) { return "", u.stop(ctx, j) }); err != nil {
			return err
		}
	}
	if err := j.step(ctx, stepSwap, func(ctx context.Context) (string, error) { return "", u.swap(ctx, j) }); err != nil {
		return err
	}
	if !j.plan.WasRunning {
		return u.wrap(ctx, CodeStart, u.engine.SetRestartPolicy(ctx, j.plan.NewID, j.plan.Old.RestartPolicy))
	}
	if err := j.step(ctx, stepStart, func(ctx context.Context) (string, error) { return "", u.start(ctx, j) }); err != nil {
		return err
	}
	j.up()
	return j.step(ctx, stepGate, func(ctx context.Context) (string, error) { return u.gate(ctx, j) })
}

// preflight takes the blueprint and refuses what can't be updated.
func (u *Updater) preflight(ctx context.Context, j *job) (string, error) {
	old, err := u.engine.Blueprint(ctx, j.request.ContainerID)
	switch {
	case errors.Is(err, dockercli.ErrNotFound):
		return "", problem(CodeGone, "The container %s is not there any more.", j.request.Name)
	case errors.Is(err, dockercli.ErrSwarmTask):
		return "", problem(CodeSwarm, "%s is a task of a Swarm service; update the service instead.", j.request.Name)
	case err != nil:
		return "", err
	case old.State == "paused":
		return "", problem(CodePaused, "%s is paused; unpause it first.", j.request.Name)
	case old.State == "removing" || old.State == "dead":
		return "", problem(CodeGone, "%s is being removed.", j.request.Name)
	}
	ref, err := image.ParseReference(old.ImageRef)
	if err != nil || ref.Digest != "" {
		return "", problem(CodeRefused, "%s was made from %s, which has no tag that could move.", old.Name, old.ImageRef)
	}
	if err := u.unhindered(ctx, old); err != nil {
		return "", err
	}
	named, err := u.engine.ImageID(ctx, old.ImageRef)
	if err != nil && !errors.Is(err, dockercli.ErrNotFound) {
		return "", err
	}
	return "", j.note(ctx, func(p *plan) {
		p.Old, p.OldImage, p.WasRunning = old, old.ImageID, old.State == "running" || old.State == "restarting"
		p.Retag = named == old.ImageID
		p.Removed = j.settings.RemoveOld
	})
}

// unhindered refuses what other containers stand against: one that has a name
// which the update needs, or one that lives in the container's network
// namespace. Its own would be a dead one afterwards, and recreating both in
// order isn't built yet.
func (u *Updater) unhindered(ctx context.Context, old dockercli.Blueprint) error {
	all, err := u.engine.Containers(ctx)
	if err != nil {
		return err
	}
	for _, c := range all {
		if c.Name == newName(old.Name) || c.Name == oldName(old.Name) {
			return problem(CodeNameTaken, "There is a container %s: either another Watch Docker is updating %s, or it was left behind; remove it if nothing is.", c.Name, old.Name)
		}
		if c.NetworkFrom == old.ID || c.NetworkFrom == old.Name {
			return problem(CodeDependents, "%s lives in the network namespace of %s and would lose it; this release can't recreate both yet, so update them by hand.", c.Name, old.Name)
		}
	}
	return nil
}

// pull brings the image that the tag names now, and makes sure of what came.
func (u *Updater) pull(ctx context.Context, j *job) (detail string, err error) {
	if j.request.Pull {
		if detail, err = u.fetch(ctx, j); err != nil {
			return "", err
		}
	}
	img, err := u.engine.Image(ctx, j.plan.Old.ImageRef)
	if err != nil {
		return "", u.wrap(ctx, CodePull, err)
	}
	if err := j.note(ctx, func(p *plan) { p.NewImage = img.ID }); err != nil {
		return "", err
	}
	// With the containerd store an image is for many platforms, and Create finds out.
	if was, is := j.plan.Old.Platform, img.Platform; j.plan.Old.Manifest == "" && (was.OS != is.OS || was.Architecture != is.Architecture) {
		return "", problem(CodeWrongPlatform, "The new image of %s is for %s, the container's is for %s.", j.plan.Old.ImageRef, is, was)
	}
	return detail, nil
}

func (u *Updater) fetch(ctx context.Context, j *job) (string, error) {
	auth, err := u.account(ctx, j)
	if err != nil {
		return "", problem(CodeUnauthorized, "The credentials for %s could not be read: %v.", j.plan.Old.ImageRef, err)
	}
	platform, err := u.platform(ctx, j.plan.Old.Platform)
	if err != nil {
		return "", err
	}
	res, err := u.engine.Pull(ctx, j.plan.Old.ImageRef, dockercli.PullOptions{
		Auth: auth, Platform: platform,
		Progress: func(p dockercli.PullProgress) {
			j.progress(store.Progress{Current: p.Current, Total: p.Total, Unit: "bytes", Text: p.Phase})
		},
	})
	switch {
	case errors.Is(err, dockercli.ErrUnauthorized):
		return "", problem(CodeUnauthorized, "The registry refused the pull of %s: %v.", j.plan.Old.ImageRef, err)
	case errors.Is(err, dockercli.ErrNoPlatform):
		return "", problem(CodeWrongPlatform, "%s is not there for %s any more.", j.plan.Old.ImageRef, j.plan.Old.Platform)
	case errors.Is(err, dockercli.ErrNoSpace):
		return "", problem(CodeNoSpace, "There is not enough disk space to pull %s: %v.", j.plan.Old.ImageRef, err)
	case err != nil:
		return "", u.wrap(ctx, CodePull, err)
	}
	j.arrived(res.Digest)
	if res.Digest == "" || res.Digest == j.request.Digest {
		return "", nil
	}
	// The tag has moved again since it was decided on. What came is newer
	// still; unless it is known to be broken, it is what was wanted.
	bad, err := u.store.Quarantined(ctx, j.request.Name, res.Digest)
	if err != nil {
		return "", &Error{Code: CodeStore, Message: err.Error()}
	}
	if bad {
		return "", problem(CodeQuarantined, "The tag has moved to %s meanwhile, which has failed here before.", res.Digest)
	}
	if j.request.Digest == "" {
		return res.Digest, nil
	}
	return "the tag has moved again, to " + res.Digest, nil
}

// platform is what to ask a pull for: nothing where the engine would choose
// the same by itself.
func (u *Updater) platform(ctx context.Context, of image.Platform) (image.Platform, error) {
	v, err := u.engine.Version(ctx)
	if err != nil || (v.OS == of.OS && v.Arch == of.Architecture) {
		return image.Platform{}, err
	}
	return of, nil
}

func (u *Updater) account(ctx context.Context, j *job) (dockercli.Auth, error) {
	ref, err := image.ParseReference(j.plan.Old.ImageRef)
	if err != nil || j.credentials == nil {
		return dockercli.Auth{}, err
	}
	c, err := j.credentials.Credential(ctx, ref.Domain)
	return dockercli.Auth{Username: c.Username, Password: c.Password, IdentityToken: c.IdentityToken}, err
}

// create makes the new container beside the old one. Its restart policy is
// "no" until it is started, so that an engine that restarts now leaves it be.
func (u *Updater) create(ctx context.Context, j *job) (string, error) {
	id, warnings, err := u.engine.Create(ctx, j.plan.Old, dockercli.CreateOptions{
		Name: newName(j.plan.Old.Name), ImageID: j.plan.NewImage, RestartPolicyNo: true,
	})
	switch {
	case errors.Is(err, dockercli.ErrNoPlatform):
		return "", problem(CodeWrongPlatform, "The new image of %s is not for %s.", j.plan.Old.ImageRef, j.plan.Old.Platform)
	case errors.Is(err, dockercli.ErrConflict):
		return "", problem(CodeNameTaken, "The new container of %s could not be made: %v.", j.plan.Old.Name, err)
	}
	if err != nil { // and nothing remains of it
		return "", u.wrap(ctx, CodeCreate, err)
	}
	if err := j.note(ctx, func(p *plan) { p.NewID = id }); err != nil {
		return "", &Error{Code: CodeStore, Message: err.Error()}
	}
	if len(warnings) > 0 {
		return fmt.Sprintf("the engine warns: %v", warnings), nil
	}
	return "", nil
}

func (u *Updater) stop(ctx context.Context, j *job) error {
	if err := j.note(ctx, func(p *plan) { p.Stopped = true }); err != nil {
		return &Error{Code: CodeStore, Message: err.Error()}
	}
	old := j.plan.Old
	if !old.AutoRemove {
		err := u.engine.SetRestartPolicy(ctx, old.ID, dockercli.RestartNever())
		if errors.Is(err, dockercli.ErrNotFound) {
			return problem(CodeGone, "%s was removed by somebody else meanwhile; it stays removed.", old.Name)
		}
		if err != nil {
			return u.wrap(ctx, CodeStop, err)
		}
	}
	var timeout *time.Duration
	if t := j.request.Labels.StopTimeout; t > 0 {
		timeout = &t
	}
	err := u.engine.Stop(ctx, old.ID, timeout)
	if old.AutoRemove {
		if errors.Is(err, dockercli.ErrNotFound) {
			err = nil // stopping it has removed it
		}
		if err == nil {
			err = u.untilGone(ctx, old.ID)
		}
	}
	return u.wrap(ctx, CodeStop, err)
}

// swap gives the new container the old one's name.
func (u *Updater) swap(ctx context.Context, j *job) error {
	old := j.plan.Old
	err := u.engine.Rename(ctx, old.ID, oldName(old.Name))
	removed := old.AutoRemove && errors.Is(err, dockercli.ErrNotFound) // stopping it has
	if err != nil && !removed {
		return u.wrap(ctx, CodeSwap, err)
	}
	return u.wrap(ctx, CodeSwap, u.engine.Rename(ctx, j.plan.NewID, old.Name))
}

func (u *Updater) start(ctx context.Context, j *job) error {
	if !j.plan.Old.AutoRemove {
		if err := u.engine.SetRestartPolicy(ctx, j.plan.NewID, j.plan.Old.RestartPolicy); err != nil {
			return u.wrap(ctx, CodeStart, err)
		}
	}
	return u.wrap(ctx, CodeStart, u.engine.Start(ctx, j.plan.NewID))
}

// untilGone waits for an --rm container to be removed: its name is free only then.
func (u *Updater) untilGone(ctx context.Context, id string) error {
	return u.until(ctx, func() (bool, error) {
		_, err := u.engine.Inspect(ctx, id)
		if errors.Is(err, dockercli.ErrNotFound) {
			return true, nil
		}
		return false, err
	})
}

// wrap gives an engine's error a code, unless it has one or is none.
func (u *Updater) wrap(ctx context.Context, code string, err error) error {
	var e *Error
	switch {
	case err == nil || errors.As(err, &e):
		return err
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, dockercli.ErrUnavailable):
		code = CodeEngine
	}
	return &Error{Code: code, Message: err.Error()}
}
