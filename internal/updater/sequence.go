package updater

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/internal/store"
)

// errLeft says that the program's end came first: recovery goes on from here.
var errLeft = errors.New("left to recovery")

// Names of steps.
const (
	stepPreflight  = "preflight"
	stepPull       = "pull"
	StepHandover   = "handover"
	stepFile       = "composeFile"
	stepCreate     = "create"
	stepPreUpdate  = "preUpdate"
	stepStop       = "stop"
	stepSwap       = "swap"
	stepStart      = "start"
	stepGate       = "gate"
	stepDependents = "dependents"
	stepPostUpdate = "postUpdate"
	stepFinish     = "finish"
	stepRollback   = "rollback"
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
	if j.plan.NewImage == j.plan.Old.ImageID {
		return store.Succeeded, nil // what the tag names now is what runs
	}
	if j.alone {
		if !j.commit() {
			return u.undo(hard, j, store.Cancelled, errCalledOff())
		}
		return u.replaceItself(soft, hard, j)
	}
	if err := u.changeFile(hard, j); err != nil {
		return u.undo(hard, j, store.Failed, err)
	}
	if err := j.step(hard, stepCreate, func(ctx context.Context) (string, error) { return u.create(ctx, j) }); err != nil {
		return u.undo(hard, j, store.Failed, err)
	}
	if !j.commit() {
		return u.undo(hard, j, store.Cancelled, errCalledOff())
	}
	if state, err := u.preUpdate(soft, j); err != nil {
		return u.undo(hard, j, state, err)
	}
	if soft.Err() != nil { // the last point at which nothing has stopped yet
		return u.undo(hard, j, store.Cancelled, problem(CodeInterrupted, "The program was stopped; nothing had been changed yet."))
	}
	state, err := store.RolledBack, error(nil)
	if j.plan.StartFirst {
		state, err = u.overlap(soft, hard, j)
	} else {
		err = u.replace(soft, hard, j)
	}
	if err != nil {
		return u.undo(hard, j, state, err)
	}
	if err := j.note(hard, func(p *plan) { p.Passed = true }); err != nil {
		return u.undo(hard, j, store.RolledBack, err)
	}
	err = u.finish(hard, j, false)
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

// replace puts the new container in the old one's place, takes along those
// that depend on it, and waits for the gate. Ended by soft, its last command has less time than ctx.
func (u *Updater) replace(soft, ctx context.Context, j *job) error {
	p := &j.plan
	if p.Running {
		if err := j.step(ctx, stepStop, func(ctx context.Context) (string, error) { return "", u.stopAll(ctx, j) }); err != nil {
			return err
		}
	}
	if err := j.step(ctx, stepSwap, func(ctx context.Context) (string, error) { return "", u.swap(ctx, &p.member) }); err != nil {
		return err
	}
	if p.Running {
		if err := j.step(ctx, stepStart, func(ctx context.Context) (string, error) { return "", u.start(ctx, &p.member) }); err != nil {
			return err
		}
		j.up()
	} else if err := u.settle(ctx, &p.member); err != nil {
		return err
	}
	if err := u.prove(ctx, j); err != nil {
		return err
	}
	last, cancel := withGrace(soft, grace/2) // ended by then, it leaves time for the way back
	defer cancel()
	return u.postUpdate(last, j)
}

// prove is gate and dependents. Those wait until a container with a health
// check is healthy; without one, they needn't wait until it has been up for long.
// Started first, it has proved itself already.
func (u *Updater) prove(ctx context.Context, j *job) error {
	p := &j.plan
	waiting := []*member{&p.member}
	if !p.Running || p.StartFirst {
		waiting = nil
	}
	gate := func() error {
		if len(waiting) == 0 {
			return nil
		}
		return j.step(ctx, stepGate, func(ctx context.Context) (string, error) { return u.gate(ctx, j, waiting) })
	}
	if len(p.Dependents) == 0 {
		return gate()
	}
	if len(waiting) > 0 {
		fresh, err := u.engine.Blueprint(ctx, p.NewID)
		if err != nil {
			return u.unlessNewGone(ctx, &p.member, err)
		}
		if fresh.Health != nil {
			if err := gate(); err != nil {
				return err
			}
			waiting = nil
		}
	}
	if err := j.step(ctx, stepDependents, func(ctx context.Context) (string, error) { return u.dependents(ctx, j) }); err != nil {
		if broken := u.broken(ctx, j); len(waiting) > 0 && broken != nil {
			return broken // they can't live with what is dead itself
		}
		return err
	}
	for i := range p.Dependents {
		if m := &p.Dependents[i]; m.Proven {
			waiting = append(waiting, m)
		}
	}
	return gate()
}

// create makes the new container beside the old one. Its restart policy is
// "no" until it is started, so that an engine that restarts now leaves it be.
// The volumes of --rm containers get a holder, since an engine that restarts
// removes them with their containers.
func (u *Updater) create(ctx context.Context, j *job) (string, error) {
	p := &j.plan
	if _, err := u.engine.Inspect(ctx, p.Old.ID); errors.Is(err, dockercli.ErrNotFound) {
		return "", problem(CodeGone, "%s was removed by somebody else meanwhile; it stays removed.", p.Old.Name)
	} else if err != nil {
		return "", u.wrap(ctx, CodeCreate, err)
	}
	if p.Previous != "" {
		if err := u.remove(ctx, p.Previous, dockercli.RemoveOptions{Force: true}); err != nil {
			return "", u.wrap(ctx, CodeCreate, err)
		}
	}
	for _, m := range p.all() {
		if err := u.hold(ctx, m); err != nil {
			return "", u.wrap(ctx, CodeCreate, err)
		}
	}
	return u.createMember(ctx, j, &p.member)
}

func (u *Updater) hold(ctx context.Context, m *member) error {
	if !m.holds() {
		return nil
	}
	return u.engine.CreateHolder(ctx, holdName(m.Old.Name), m.Old, true)
}

func (u *Updater) createMember(ctx context.Context, j *job, m *member) (string, error) {
	id, warnings, err := u.make(ctx, m, m.NewImage, dockercli.CreateOptions{
		Image: m.ref(), Name: newName(m.Old.Name), RestartPolicyNo: true, Replace: m.peers(j.plan.all(), (*member).now),
	})
	switch {
	case errors.Is(err, dockercli.ErrNoPlatform):
		return "", problem(CodeWrongPlatform, "The new image of %s is not for %s.", m.ref(), m.Old.Platform)
	case errors.Is(err, dockercli.ErrConflict):
		m.strange = true
		return "", problem(CodeNameTaken, "The new container of %s could not be made: %v.", m.Old.Name, err)
	}
	if err != nil { // and nothing remains of it
		return "", u.wrap(ctx, CodeCreate, err)
	}
	if err := j.mark(ctx, m, func(m *member) { m.NewID = id }); err != nil {
		return "", err
	}
	if len(warnings) > 0 {
		return fmt.Sprintf("the engine warns: %s", strings.Join(warnings, "; ")), nil
	}
	return "", nil
}

// stopAll stops the dependents, while what they depend on still runs, and
// then the container itself.
func (u *Updater) stopAll(ctx context.Context, j *job) error {
	for _, m := range j.plan.backwards() {
		if !m.Running {
			continue
		}
		if m == &j.plan.member && !j.plan.StartFirst {
			j.down = time.Now()
		}
		if err := u.stop(ctx, j, m); err != nil {
			return err
		}
	}
	return nil
}

func (u *Updater) stop(ctx context.Context, j *job, m *member) error {
	if err := j.mark(ctx, m, func(m *member) { m.Stopped = true }); err != nil {
		return err
	}
	old := m.Old
	if !old.AutoRemove && !m.Only {
		if err := u.engine.SetRestartPolicy(ctx, old.ID, dockercli.RestartNever()); err != nil {
			return u.wrap(ctx, CodeStop, unlessGone(err))
		}
	}
	var timeout *time.Duration
	if t := j.request.Labels.StopTimeout; t > 0 && m == &j.plan.member {
		timeout = &t
	}
	err := unlessGone(u.engine.Stop(ctx, old.ID, timeout))
	if err == nil && old.AutoRemove {
		err = u.untilGone(ctx, old.ID)
	}
	return u.wrap(ctx, CodeStop, err)
}

// unlessGone lets pass that an old container is gone already: stopping one
// with --rm removes it, and a `docker compose up` that sees the new one takes
// the old one away. The new one is there, and goes on to take its place.
func unlessGone(err error) error {
	if errors.Is(err, dockercli.ErrNotFound) {
		return nil
	}
	return err
}

// swap gives the new container the old one's name.
func (u *Updater) swap(ctx context.Context, m *member) error {
	if err := unlessGone(u.engine.Rename(ctx, m.Old.ID, oldName(m.Old.Name))); err != nil {
		return u.wrap(ctx, CodeSwap, err)
	}
	return u.wrap(ctx, CodeSwap, u.engine.Rename(ctx, m.NewID, m.Old.Name))
}

// settle gives a new container the restart policy of the old one.
func (u *Updater) settle(ctx context.Context, m *member) error {
	if m.Old.AutoRemove {
		return nil
	}
	err := u.engine.SetRestartPolicy(ctx, m.NewID, m.Old.RestartPolicy)
	if errors.Is(err, dockercli.ErrNotFound) {
		return newGone(m)
	}
	return u.wrap(ctx, CodeStart, err)
}

func (u *Updater) start(ctx context.Context, m *member) error {
	if err := u.settle(ctx, m); err != nil {
		return err
	}
	return u.launch(ctx, m)
}

// launch starts a new container with the restart policy that it has.
func (u *Updater) launch(ctx context.Context, m *member) error {
	err := again(func() error { return u.engine.Start(ctx, m.NewID) })
	switch { // what isn't the release's fault isn't held against it
	case errors.Is(err, dockercli.ErrConflict):
		return problem(CodePortTaken, "The new container of %s could not be started, since something is taken: %v.", m.Old.Name, err)
	case errors.Is(err, dockercli.ErrNotFound):
		if _, gone := u.engine.Inspect(ctx, m.NewID); errors.Is(gone, dockercli.ErrNotFound) {
			return newGone(m)
		}
		if missing, _ := u.missingNetwork(ctx, m); missing != "" {
			return problem(CodeNetworkGone, "The network %s of %s was removed in the middle of the update.", missing, m.Old.Name)
		}
	}
	return u.wrap(ctx, CodeStart, err)
}

func (u *Updater) missingNetwork(ctx context.Context, m *member) (string, error) {
	for _, name := range m.Old.Networks {
		if _, err := u.engine.NetworkPlans(ctx, []string{name}); errors.Is(err, dockercli.ErrNotFound) {
			return name, nil
		} else if err != nil {
			return "", err
		}
	}
	return "", nil
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
	case errors.Is(err, dockercli.ErrNoSpace):
		code = CodeNoSpace
	}
	return &Error{Code: code, Message: err.Error()}
}
