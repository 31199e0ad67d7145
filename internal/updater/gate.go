package updater

import (
	"context"
	"fmt"
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

// gate waits until the new container has proved itself: by its health check,
// or by staying up for a while without one.
func (u *Updater) gate(ctx context.Context, j *job) (string, error) {
	began := time.Now()
	fresh, err := u.engine.Blueprint(ctx, j.plan.NewID) // its health check may be the new image's
	if err != nil {
		return "", u.wrap(ctx, CodeGone, err)
	}
	limit := j.healthLimit(fresh.Health)
	var passed string
	err = u.until(ctx, func() (bool, error) {
		state, err := u.engine.Inspect(ctx, j.plan.NewID)
		if err != nil {
			return false, u.wrap(ctx, CodeGone, err)
		}
		v, why, err := judge(state, fresh.RestartPolicy, limit, j.settings.StableFor, time.Since(began))
		passed = why
		return v == good, err
	})
	return passed, err
}

// judge is the gate's rule: state in, verdict out.
// limit is how long a health check may take, stableFor how long one without a
// check must be up.
func judge(s dockercli.ContainerState, policy dockercli.RestartPolicy, limit, stableFor, waited time.Duration) (verdict, string, error) {
	switch {
	case s.RestartCount > 0 || s.State == "restarting":
		return wait, "", problem(CodeRestarted, "The new container ended with exit code %d and was restarted.", s.ExitCode)
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

// healthLimit is how long a health check may take: what was asked for, but
// never less than the check itself needs to fail.
func (j *job) healthLimit(check *dockercli.HealthCheck) time.Duration {
	limit := j.settings.HealthTimeout
	if own := j.request.Labels.HealthTimeout; own > 0 {
		limit = own
	}
	if check != nil {
		limit = max(limit, check.Longest())
	}
	return limit
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
