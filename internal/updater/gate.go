package updater

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/watch-docker/watch-docker/internal/dockercli"
)

// look is how often a container is looked at while something is waited for.
const look = 200 * time.Millisecond

// verdict is what one look at the new container says.
type verdict int

const (
	wait verdict = iota
	good
)

// gate waits until new containers have proved themselves: by their health
// checks, or by staying up for a while without one.
func (u *Updater) gate(ctx context.Context, j *job, waiting []*member) (string, error) {
	began := time.Now()
	var passed []string
	for _, m := range waiting {
		how, err := u.pass(ctx, j, m, began)
		if err != nil {
			return "", dependent(j, m, err)
		}
		if len(waiting) > 1 {
			how = m.Old.Name + ": " + how
		}
		passed = append(passed, how)
	}
	return strings.Join(passed, "; "), nil
}

func (u *Updater) pass(ctx context.Context, j *job, m *member, began time.Time) (how string, err error) {
	var fresh dockercli.Blueprint // its health check may be the new image's
	if err := again(func() (err error) { fresh, err = u.engine.Blueprint(ctx, m.now()); return err }); err != nil {
		return "", u.unlessNewGone(ctx, m, err)
	}
	limit := j.settings.HealthTimeout
	if own := j.request.Labels.HealthTimeout; own > 0 && m == &j.plan.member {
		limit = own
	}
	if fresh.Health != nil { // never less than the check itself needs to fail
		limit = max(limit, fresh.Health.Longest())
	}
	var ended bool
	err = u.until(ctx, func() (bool, error) {
		var state dockercli.ContainerState
		if err := again(func() (err error) { state, err = u.engine.Inspect(ctx, m.now()); return err }); err != nil {
			return false, u.unlessNewGone(ctx, m, err)
		}
		v, why, err := judge(state, m.Old.RestartPolicy, limit, j.settings.StableFor, time.Since(began))
		how, ended = why, v == good && !state.Running
		if v == good {
			return u.ready(ctx, j, m, limit-time.Since(began))
		}
		return false, err
	})
	if err == nil && ended {
		err = j.mark(ctx, m, func(m *member) { m.Ended = true })
	}
	return how, err
}

// broken says what is wrong with the new container already, if anything is.
func (u *Updater) broken(ctx context.Context, j *job) error {
	state, err := u.engine.Inspect(ctx, j.plan.NewID)
	if err == nil {
		_, _, err = judge(state, j.plan.Old.RestartPolicy, j.settings.HealthTimeout, j.settings.StableFor, 0)
	}
	return u.unlessNewGone(ctx, &j.plan.member, err)
}

// again does something once more that the engine failed at for no reason that
// would stay.
func again(do func() error) error {
	err := do()
	for _, lasting := range []error{dockercli.ErrNotFound, dockercli.ErrConflict, dockercli.ErrUnavailable, dockercli.ErrNoSpace} {
		if err == nil || errors.Is(err, lasting) {
			return err
		}
	}
	if second := do(); !errors.Is(second, dockercli.ErrNotFound) {
		return second
	}
	return err // an --rm container that can't start is removed
}

func newGone(m *member) error {
	if m.Old.AutoRemove {
		return problem(CodeExited, "The new container of %s ended, and was removed, as it is made with --rm.", m.Old.Name)
	}
	return problem(CodeNewGone, "Somebody removed the new container of %s in the middle of the update.", m.Old.Name)
}

// unlessNewGone is wrap for a question about a new container.
func (u *Updater) unlessNewGone(ctx context.Context, m *member, err error) error {
	if errors.Is(err, dockercli.ErrNotFound) {
		return newGone(m)
	}
	return u.wrap(ctx, CodeEngine, err)
}

// judge is the gate's rule: state in, verdict out.
// limit is how long a health check may take, stableFor how long one without a
// check must be up.
func judge(s dockercli.ContainerState, policy dockercli.RestartPolicy, limit, stableFor, waited time.Duration) (verdict, string, error) {
	switch {
	case s.State == "restarting":
		return wait, "", problem(CodeRestarted, "The new container ended with exit code %d and is to be restarted.", s.ExitCode)
	case s.RestartCount > 0: // it runs again, and its exit code is gone
		return wait, "", problem(CodeRestarted, "The new container ended, and was restarted %d times.", s.RestartCount)
	case s.State == "exited" && s.ExitCode == 0 && !policy.Restarts(0):
		return good, "it ended with exit code 0, as it may", nil
	case !s.Running:
		return wait, "", problem(CodeExited, "The new container ended with exit code %d%s.", s.ExitCode, because(s.Error))
	case s.Health == "healthy":
		return good, "healthy after " + seconds(waited), nil
	case s.Health == "unhealthy":
		return wait, "", problem(CodeUnhealthy, "The new container's health check fails: %s", s.HealthOutput)
	case s.Health == "starting":
		if waited > limit {
			return wait, "", problem(CodeHealthTimeout, "The new container was not healthy within %s. Its last check said: %s", seconds(limit), s.HealthOutput)
		}
		return wait, "", nil
	case waited >= stableFor:
		return good, "up for " + seconds(waited) + " without a restart", nil
	}
	return wait, "", nil
}

// until looks again and again until done says so, fails, or ctx ends.
func (u *Updater) until(ctx context.Context, done func() (bool, error)) error {
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

func because(text string) string {
	if text == "" {
		return ""
	}
	return ": " + text
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }
