package updater

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/internal/logging"
	"github.com/watch-docker/watch-docker/internal/store"
)

// Recover resolves what an earlier process left unfinished: forward if the
// gate had passed, back otherwise. It must be called by the owner of the state
// folder, before Run.
//
// An engine that doesn't answer leaves everything as it is, for a later call:
// dockercli.ErrUnavailable. What can't be resolved for another reason is
// recorded as failed and doesn't keep the others.
func (u *Updater) Recover(ctx context.Context) error {
	unfinished, err := u.left(ctx)
	if err != nil || len(unfinished) == 0 {
		return err
	}
	unfinished = slices.DeleteFunc(unfinished, func(o store.Operation) bool { return u.gaveUp(ctx, o) })
	if len(unfinished) == 0 {
		return nil
	}
	if err := u.engine.Ping(ctx); err != nil {
		return err
	}
	for _, o := range unfinished {
		if err := u.recover(ctx, o); err != nil {
			return err
		}
	}
	return nil
}

// left gives the unfinished operations that aren't this process's own: it
// takes them from the moment on at which it listens.
func (u *Updater) left(ctx context.Context) ([]store.Operation, error) {
	unfinished, err := u.store.Unfinished(ctx)
	if err != nil {
		return nil, err
	}
	var left []store.Operation
	for _, o := range unfinished {
		if u.underWay(o.ID) {
			continue
		}
		now, err := u.store.Operation(ctx, o.ID) // it may have been, and have ended
		if errors.Is(err, store.ErrNoOperation) || err == nil && now.State.Finished() {
			continue
		}
		if err != nil {
			return nil, err
		}
		left = append(left, now)
	}
	return left, nil
}

func (u *Updater) underWay(id string) bool {
	u.mu.Lock()
	j := u.jobs[id]
	u.mu.Unlock()
	return j != nil || u.others != nil && u.others(id)
}

// gaveUp records an operation of another kind as interrupted, which nobody
// goes on with, and reports whether it was one: a pull, a prune, a scan.
func (u *Updater) gaveUp(ctx context.Context, o store.Operation) bool {
	if o.Kind == KindUpdate || o.Kind == KindRollback {
		return false
	}
	j := &job{store: u.store, operation: o, done: make(chan struct{}), changed: u.changedOperation}
	u.end(ctx, j, store.Failed, failure(CodeInterrupted, errors.New("the program ended in the middle; what had been done by then stays, and the rest has to be asked for again")))
	return true
}

func (u *Updater) recover(ctx context.Context, o store.Operation) error {
	j := &job{store: u.store, operation: o, done: make(chan struct{}), changed: u.changedOperation, calling: calling{late: true}}
	if len(o.Plan) > 0 {
		if err := json.Unmarshal(o.Plan, &j.plan); err != nil {
			u.end(ctx, j, store.Failed, failure(CodeStore, fmt.Errorf("read its plan: %w", err)))
			return nil
		}
	}
	u.log.Warn("resolving an update that was interrupted", logging.Container(o.Target))
	if handed, err := u.resume(ctx, j); err != nil || handed {
		return err
	}
	j.interrupt(ctx)
	state, err := u.resolve(ctx, j)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, dockercli.ErrUnavailable):
		return err
	case err != nil:
		u.end(ctx, j, store.Failed, failure(CodeRollback, fmt.Errorf("the update was interrupted, and could not be resolved: %w", err)))
	case state == store.Succeeded:
		u.end(ctx, j, state, nil)
	case j.plan.Old.ID == "":
		u.end(ctx, j, state, failure(CodeInterrupted, errors.New("the program ended in the middle; nothing had been changed yet")))
	case j.plan.back == "":
		u.end(ctx, j, store.Failed, asFailure(problem(CodeGone, goneReason)))
	case !j.plan.touched():
		u.end(ctx, j, state, failure(CodeInterrupted, errors.New("the program or the engine ended in the middle; nothing had been stopped yet")))
	default:
		u.end(ctx, j, state, failure(CodeInterrupted, errors.New("the program or the engine ended in the middle; the old container is back")))
	}
	return nil
}

func (u *Updater) resolve(ctx context.Context, j *job) (store.OperationState, error) {
	if j.plan.Passed {
		err := u.finish(ctx, j, true)
		if errors.Is(err, dockercli.ErrUnavailable) || ctx.Err() != nil {
			return store.Running, err
		}
		return store.Succeeded, nil // what finish couldn't do stands in its step
	}
	if j.plan.Old.ID == "" {
		return store.Failed, nil // nothing had been begun
	}
	err := j.lastStep(ctx, stepRollback, func(ctx context.Context) (string, error) {
		err := u.insist(ctx, false, func() error { return u.restore(ctx, j) })
		return j.plan.left, err
	})
	if !j.plan.touched() {
		return store.Failed, err
	}
	return store.RolledBack, err
}
