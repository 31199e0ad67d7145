package updater

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/internal/logging"
	"github.com/watch-docker/watch-docker/internal/store"
)

// logLines is how much of a failing container's log is kept.
const logLines = 200

// goneReason is why an operation ends without the old container.
const goneReason = "Somebody removed the old container in the middle, or put another in its place; that is left as it is."

// undo brings the old containers back after cause, and gives the outcome: as
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
	p := &j.plan
	switch began := p.NewID != "" || p.Stopped; {
	case !began && e.Code == CodeGone:
		return store.Failed, u.gone(ctx, p, e) // somebody wants it gone
	case p.NewImage == "" && e.Code != CodeEngine:
		return wanted, e // nothing had come, and the engine, which may have stopped or removed it, was there
	}
	if wanted != store.Cancelled && p.NewID != "" && (p.Stopped || p.StartFirst && j.reached(stepStart)) {
		if lines, err := u.engine.Logs(ctx, j.plan.NewID, logLines); err == nil {
			e.Logs = append(e.Logs, lines...)
		}
		u.quarantine(ctx, j, e)
	}
	if p.StartFirst && p.Stopped {
		j.down = time.Now() // until now the new one did its work, or should have
	}
	err := j.lastStep(ctx, stepRollback, func(ctx context.Context) (string, error) {
		err := u.insist(ctx, true, func() error { return u.restore(ctx, j) })
		return j.plan.left, err
	})
	switch {
	case err != nil && ctx.Err() != nil:
		return store.Running, errLeft
	case err != nil:
		return store.Failed, &Error{Code: CodeRollback, Message: fmt.Sprintf("%s Bringing the old container back failed, too: %v.", e.Message, err), Logs: e.Logs}
	}
	if e.Code != CodeSkipped { // it will be wanted soon
		u.discard(ctx, j)
	}
	if j.plan.back == "" {
		if e.Code != CodeGone {
			e = &Error{Code: CodeGone, Message: e.Message + " " + goneReason, Logs: e.Logs}
		}
		return store.Failed, e
	}
	j.up()
	return wanted, e
}

// gone gives the tag back; there is nothing else to undo.
func (u *Updater) gone(ctx context.Context, p *plan, e *Error) error {
	if err := errors.Join(u.retag(ctx, &p.member), u.takeBack(ctx, p)); err != nil {
		u.log.Warn("a tag or a file could not be given back", logging.Image(p.ref()), logging.Err(err))
	}
	return e
}

// quarantine remembers a release that failed its start or its gate. What says
// nothing about the release itself doesn't count.
func (u *Updater) quarantine(ctx context.Context, j *job, e *Error) {
	switch e.Code {
	case CodeStart, CodeExited, CodeRestarted, CodeUnhealthy, CodeHealthTimeout, CodePostUpdate, CodeNotReady, CodeTakeover:
	default:
		return
	}
	if o := j.snapshot(); o.Kind == KindUpdate {
		u.avoid(ctx, o, o.ToDigest)
	}
}

func (u *Updater) avoid(ctx context.Context, o store.Operation, digest string) {
	if digest == "" {
		return
	}
	if err := u.store.Quarantine(ctx, o.Target, digest, o.ID); err != nil {
		u.log.Warn("the release could not be quarantined", logging.Container(o.Target), logging.Digest(digest), logging.Err(err))
	}
}

// How often something that has to come to an end is tried when it fails for
// another reason than that the engine is away: half a minute in all, with
// longer and longer pauses; two seconds where a name or a port is taken.
const (
	tries         = 8
	triesConflict = 4
	pause         = 500 * time.Millisecond
	longestPause  = 8 * time.Second
	pauseAway     = time.Second
)

// insist does something until it is done: the engine fails a call now and
// then, and may be away for a while. Without patience, an engine that is away
// is an error at once.
func (u *Updater) insist(ctx context.Context, patient bool, do func() error) error {
	for failed, away := 0, false; ; {
		wait := min(pause<<max(0, failed-triesConflict+2), longestPause)
		err := do()
		switch {
		case err == nil || ctx.Err() != nil:
			return err
		case errors.Is(err, dockercli.ErrUnavailable):
			if !patient {
				return err
			}
			if !away {
				u.log.Warn("waiting for the engine, to bring an update to its end", logging.Err(err))
			}
			away, wait = true, pauseAway
		default:
			if failed++; failed == tries || failed == triesConflict && errors.Is(err, dockercli.ErrConflict) {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

// restore makes the state from before the update out of whatever is there. It
// may be interrupted and run again.
func (u *Updater) restore(ctx context.Context, j *job) error {
	p := &j.plan
	if p.Old.ID == "" {
		return nil // preflight had not ended
	}
	if err := u.settled(ctx, j); err != nil {
		return err
	}
	for _, m := range p.backwards() {
		if err := u.removeNew(ctx, m); err != nil {
			return err
		}
	}
	if err := u.revert(ctx); err != nil {
		return err
	}
	var failed []error
	for _, m := range p.all() {
		failed = append(failed, u.retag(ctx, m), u.bringBack(ctx, j, m))
	}
	if err := errors.Join(failed...); err != nil {
		return err
	}
	for _, m := range p.all() {
		failed = append(failed, u.release(ctx, m))
	}
	return errors.Join(append(failed, u.takeBack(ctx, p))...)
}

// settled waits until no create of ours is under way any more: an engine goes
// on with one although whoever asked for it is gone.
func (u *Updater) settled(ctx context.Context, j *job) error {
	p := &j.plan
	creating := j.reached(stepCreate) && p.NewID == ""
	for _, m := range p.all() {
		follows := m != &p.member && !m.Only && m.NewID == "" && j.reached(stepDependents)
		if m.strange || m.Rebuilt || !creating && !follows {
			continue
		}
		names := []string{newName(m.Old.Name)}
		if creating && m.holds() {
			names = append(names, holdName(m.Old.Name))
		}
		for _, name := range names {
			if err := u.free(ctx, name, m.Old); err != nil {
				return err
			}
		}
	}
	return nil
}

// free waits until a name is either free or that of a container that is there:
// while the engine makes one, the name is taken, but nothing has it.
func (u *Updater) free(ctx context.Context, name string, b dockercli.Blueprint) error {
	return u.until(ctx, func() (bool, error) {
		if _, found, err := u.engine.FindByName(ctx, name); found || err != nil {
			return found, err
		}
		err := u.engine.CreateHolder(ctx, name, b, false)
		switch {
		case errors.Is(err, dockercli.ErrConflict):
			return false, nil
		case errors.Is(err, dockercli.ErrNotFound): // no image to try it with
			return true, nil
		case errors.Is(err, dockercli.ErrUnavailable):
			return false, err
		}
		// Whether it could be made or not (a full disk): nobody else was at it.
		tried, found, err := u.engine.FindByName(ctx, name)
		if err != nil || !found || tried.ImageID != b.ImageID || !tried.StartedAt.IsZero() {
			return true, err
		}
		return true, u.remove(ctx, tried.ID, dockercli.RemoveOptions{})
	})
}

// removeNew removes a new container, by its id or, if it was made but not
// written down yet, by its temporary name. The volumes that go with it are
// those that it alone has.
func (u *Updater) removeNew(ctx context.Context, m *member) error {
	id := m.NewID
	if m.Only {
		return nil
	}
	if id == "" && m.NewImage != "" && !m.Rebuilt && !m.strange {
		found, ok, err := u.engine.FindByName(ctx, newName(m.Old.Name))
		if err != nil || !ok {
			return err
		}
		if found.ImageID != m.NewImage {
			return nil // somebody else's: preflight found the name free, this isn't ours
		}
		id = found.ID
	}
	if id == "" {
		return nil
	}
	return u.remove(ctx, id, dockercli.RemoveOptions{Force: true, Volumes: true})
}

// bringBack gives one old container its name, its restart policy and its
// state back.
func (u *Updater) bringBack(ctx context.Context, j *job, m *member) error {
	old, err := u.engine.Inspect(ctx, m.Old.ID)
	if err == nil && m.Stopped && old.Running && m.back == "" && !j.did(stepStop) {
		// It was being told to stop, and may do so any moment.
		if err = u.engine.Stop(ctx, m.Old.ID, nil); err == nil {
			old, err = u.engine.Inspect(ctx, m.Old.ID)
		}
	}
	if err == nil && m.Old.AutoRemove && m.Stopped && !old.Running {
		err = u.vanishing(ctx, m.Old.ID)
	}
	switch {
	case errors.Is(err, dockercli.ErrNotFound) && (m.Old.AutoRemove || m.Stopped || m.NewID != "" || m.Rebuilt):
		return u.remake(ctx, j, m)
	case errors.Is(err, dockercli.ErrNotFound):
		return nil // somebody removed it before anything of ours had begun: that is to stay so
	case err != nil:
		return err
	}
	m.back = m.Old.ID
	var unnamed error
	if old.Name != m.Old.Name && !m.Only {
		unnamed = u.engine.Rename(ctx, m.Old.ID, m.Old.Name)
		if unnamed != nil && !errors.Is(unnamed, dockercli.ErrConflict) {
			return unnamed
		}
		if unnamed != nil { // running under another name is better than not running
			unnamed = fmt.Errorf("another container has taken the name %s, so the old one runs as %s: %w", m.Old.Name, old.Name, unnamed)
		}
	}
	if m.Stopped && !m.Old.AutoRemove && !m.Only {
		if err := u.engine.SetRestartPolicy(ctx, m.Old.ID, m.Old.RestartPolicy); err != nil {
			return errors.Join(unnamed, err)
		}
	}
	if m.Running && !old.Running {
		err = u.engine.Start(ctx, m.Old.ID)
		if errors.Is(err, dockercli.ErrNotFound) {
			err = u.rebuild(ctx, j, m)
		}
	}
	return errors.Join(unnamed, err)
}

// vanishing waits for an --rm container that has stopped to be removed, which
// takes a moment; one that stays isn't an error.
func (u *Updater) vanishing(ctx context.Context, id string) error {
	short, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := u.untilGone(short, id); err != nil {
		return ctx.Err()
	}
	return dockercli.ErrNotFound
}

// rebuild makes an old container anew that can't start any more as it is: a
// network, or a container that it lives with, is gone and has a successor.
func (u *Updater) rebuild(ctx context.Context, j *job, m *member) error {
	for _, n := range j.plan.Networks {
		made, err := u.engine.RestoreNetwork(ctx, n)
		if err != nil {
			return err
		}
		if made {
			u.log.Warn("a network that was removed in the middle of an update is there again", logging.Container(m.Old.Name))
		}
	}
	if err := j.mark(ctx, m, func(m *member) { m.Rebuilt, m.NewID = true, "" }); err != nil {
		u.log.Warn("not written down", logging.Err(err)) // going on is still the best that can be done
	}
	if err := u.remove(ctx, m.Old.ID, dockercli.RemoveOptions{Force: true}); err != nil {
		return err
	}
	return u.remake(ctx, j, m)
}

// remake makes an old container that is gone anew, from its blueprint.
func (u *Updater) remake(ctx context.Context, j *job, m *member) error {
	name := m.Old.Name
	found, taken, err := u.engine.FindByName(ctx, name)
	var unnamed error
	if err == nil && taken && found.ImageID != m.Old.ImageID {
		if !m.Old.AutoRemove {
			return nil // somebody removed it and put another in its place
		}
		name = oldName(name) // it was our stop that removed it
		unnamed = fmt.Errorf("another container has taken the name %s, so the old one runs as %s", m.Old.Name, name)
		found, taken, err = u.engine.FindByName(ctx, name)
	}
	if err != nil {
		return err
	}
	id := found.ID
	if !taken {
		o := dockercli.CreateOptions{Name: name, Replace: m.peers(j.plan.all(), func(m *member) string { return m.back })}
		if id, _, err = u.make(ctx, m, m.Old.ImageID, o); err != nil {
			return err
		}
	}
	m.back = id
	if m.Running && !found.Running {
		err = u.engine.Start(ctx, id)
	}
	return errors.Join(unnamed, err)
}
