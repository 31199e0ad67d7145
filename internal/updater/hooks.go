package updater

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/internal/policy"
	"github.com/watch-docker/watch-docker/internal/store"
)

const (
	// hookTimeout is how long a command of the user's may take, unless the label says it.
	hookTimeout = 5 * time.Minute
	// exitSkip is the exit code of preUpdate that says "not now": EX_TEMPFAIL.
	exitSkip = 75
)

// preUpdate runs the command that comes before anything is stopped, in the old
// container. If it says no, the update ends in the state that is given.
func (u *Updater) preUpdate(ctx context.Context, j *job) (store.OperationState, error) {
	p, labels := &j.plan, j.request.Labels
	if labels.PreUpdate == "" || p.Back {
		return store.Running, nil
	}
	var skip *Error
	err := j.step(ctx, stepPreUpdate, func(ctx context.Context) (string, error) {
		s, err := u.engine.Inspect(ctx, p.Old.ID)
		switch {
		case errors.Is(err, dockercli.ErrNotFound):
			return "not run: the old container is gone", nil
		case err != nil:
			return "", u.wrap(ctx, CodePreUpdate, err)
		case !s.Running:
			return "not run: the old container doesn't run", nil
		}
		res, err := u.hook(ctx, j, p.Old.ID, labels.PreUpdate)
		if err == nil && res.ExitCode == exitSkip {
			skip = problem(CodeSkipped, "The command of %spreUpdate asked for %s to be left alone this time (exit code %d).", policy.Prefix, p.Old.Name, exitSkip)
			skip.Logs = res.Output
			return fmt.Sprintf("exit code %d after %s: not now", exitSkip, seconds(res.Took)), nil
		}
		return u.heard(ctx, j, "preUpdate", CodePreUpdate, s, res, err)
	})
	var failed *Error
	switch {
	case err == nil && skip != nil:
		return store.Cancelled, skip
	case ctx.Err() != nil && !errors.As(err, &failed):
		return store.Cancelled, interruptedHook("preUpdate")
	}
	return store.Failed, err
}

// postUpdate runs the command that has the last word, in the new container.
func (u *Updater) postUpdate(ctx context.Context, j *job) error {
	p, labels := &j.plan, j.request.Labels
	if labels.PostUpdate == "" || p.Back {
		return nil
	}
	err := j.step(ctx, stepPostUpdate, func(ctx context.Context) (string, error) {
		switch {
		case !p.Running:
			return "not run: the container doesn't run", nil
		case p.Ended:
			return "not run: the new container has done its work and ended", nil
		}
		if err := again(func() error { return u.broken(ctx, j) }); err != nil {
			return "", err
		}
		s, err := u.engine.Inspect(ctx, p.NewID)
		if err != nil {
			return "", u.unlessNewGone(ctx, &p.member, err)
		}
		res, err := u.hook(ctx, j, p.NewID, labels.PostUpdate)
		return u.heard(ctx, j, "postUpdate", CodePostUpdate, s, res, err)
	})
	var failed *Error
	if err != nil && ctx.Err() != nil && !errors.As(err, &failed) {
		return interruptedHook("postUpdate")
	}
	return err
}

func interruptedHook(label string) error {
	return problem(CodeInterrupted, "The program was stopped while the command of %s%s ran, which was ended with it.", policy.Prefix, label)
}

// hook runs a command in a container and tells it what the update is about.
func (u *Updater) hook(ctx context.Context, j *job, id, line string) (dockercli.ExecResult, error) {
	words, err := policy.Command(line)
	if err != nil {
		return dockercli.ExecResult{}, fmt.Errorf("%q: %w", line, err)
	}
	o := j.snapshot()
	return u.engine.Exec(ctx, id, dockercli.ExecOptions{Cmd: words, Limit: j.hookTimeout(), Env: []string{
		"WATCHDOCKER_CONTAINER=" + o.Target, "WATCHDOCKER_IMAGE=" + j.plan.ref(),
		"WATCHDOCKER_FROM_DIGEST=" + o.FromDigest, "WATCHDOCKER_TO_DIGEST=" + o.ToDigest,
	}})
}

func (j *job) hookTimeout() time.Duration {
	if limit := j.request.Labels.HookTimeout; limit > 0 {
		return limit
	}
	return hookTimeout
}

// heard makes of what became of a command the step's detail, or an error with
// its output. before is how the container was when it began.
func (u *Updater) heard(ctx context.Context, j *job, label, code string, before dockercli.ContainerState, res dockercli.ExecResult, err error) (string, error) {
	if err == nil && res.ExitCode == 0 {
		return fmt.Sprintf("exit code 0 after %s", seconds(res.Took)), nil
	}
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	how := fmt.Sprintf("ended with exit code %d after %s", res.ExitCode, seconds(res.Took))
	switch {
	case errors.Is(err, dockercli.ErrTooLong) && res.Left:
		how = fmt.Sprintf("took longer than %s (%shookTimeout) and couldn't be ended: it may still run in the container", j.hookTimeout(), policy.Prefix)
	case errors.Is(err, dockercli.ErrTooLong):
		how = fmt.Sprintf("took longer than %s (%shookTimeout) and was ended", j.hookTimeout(), policy.Prefix)
	case errors.Is(err, dockercli.ErrNoCommand):
		how = fmt.Sprintf("can't be run: %v", err)
	case errors.Is(err, dockercli.ErrUnavailable):
		return "", u.wrap(ctx, code, err)
	case err != nil:
		how = fmt.Sprintf("could not be run to its end: %v", err)
	}
	if u.endedMeanwhile(ctx, before, res.ExitCode) {
		how += "; the container itself ended meanwhile"
	}
	e := problem(code, "The command of %s%s in %s %s.", policy.Prefix, label, j.plan.Old.Name, how)
	e.Logs = res.Output
	return "", e
}

// endedMeanwhile reports whether a container doesn't run any more as it did. A
// command that was killed may have died with it, before the engine says so.
func (u *Updater) endedMeanwhile(ctx context.Context, before dockercli.ContainerState, exitCode int) bool {
	const killed = 128 + 9
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	ended := false
	_ = u.until(ctx, func() (bool, error) {
		now, err := u.engine.Inspect(ctx, before.ID)
		ended = errors.Is(err, dockercli.ErrNotFound) || err == nil && (!now.Running || !now.StartedAt.Equal(before.StartedAt))
		return ended || exitCode != killed, err
	})
	return ended
}
