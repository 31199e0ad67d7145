package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/watch-docker/watch-docker/internal/api"
	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/internal/scheduler"
	"github.com/watch-docker/watch-docker/internal/store"
	"github.com/watch-docker/watch-docker/internal/task"
	"github.com/watch-docker/watch-docker/internal/updater"
)

// ports is the api's side of the parts.
type ports struct {
	*parts

	interval  *scheduler.Interval
	updates   *scheduler.Cron
	startedAt time.Time
}

// Update implements api.Updates.
func (p ports) Update(ctx context.Context, r api.UpdateRequest) (store.Operation, error) {
	c, err := find(p.scanner.Latest(), r.ContainerID)
	if err != nil {
		return store.Operation{}, err
	}
	if id, under := p.updater.Of(c.ID); under {
		return p.updater.Operation(ctx, id)
	}
	if refused := mayByHand(c, r.Force); refused != nil {
		return store.Operation{}, refused
	}
	if p.updater.OwnRefused(c.ID) {
		return store.Operation{}, &api.RefusedError{Code: updater.CodeOwn, Reason: updater.OwnReason}
	}
	return p.updater.Update(ctx, request(c, r.Actor))
}

// Rollback implements api.Updates.
func (p ports) Rollback(ctx context.Context, r api.UpdateRequest) (store.Operation, error) {
	return p.operator.rollback(ctx, r.ContainerID, r.Actor)
}

// UpdateAll implements api.Updates.
func (p ports) UpdateAll(ctx context.Context, r api.RunRequest) (api.Run, error) {
	return p.operator.run(ctx, updateArgs{Names: r.ContainerIDs, DryRun: r.DryRun}, r.Actor, maySweep)
}

// Operation implements api.Operations.
func (p ports) Operation(ctx context.Context, id string) (store.Operation, error) {
	if op, ok := p.tasks.Operation(id); ok {
		return op, nil
	}
	return p.updater.Operation(ctx, id)
}

// Operations implements api.Operations; those under way have their progress.
func (p ports) Operations(ctx context.Context, f store.OperationFilter) ([]store.Operation, error) {
	all, err := p.store.Operations(ctx, f)
	for i, o := range all {
		if o.State.Finished() {
			continue
		}
		if all[i], err = p.Operation(ctx, o.ID); err != nil {
			return nil, err
		}
	}
	return all, err
}

// Done implements api.Operations.
func (p ports) Done(id string) <-chan struct{} {
	if done, ok := p.tasks.Done(id); ok {
		return done
	}
	return p.updater.Done(id)
}

// Container implements api.Engine.
func (p ports) Container(ctx context.Context, id string) (api.ContainerDetail, error) {
	raw, err := p.engine.Detail(ctx, id)
	if err != nil {
		return api.ContainerDetail{}, ported(err, api.ErrUnknownContainer)
	}
	return api.DetailFromInspect(raw)
}

// Act implements api.Engine.
func (p ports) Act(ctx context.Context, id string, action api.Action) error {
	release, err := p.hold(id)
	if err != nil {
		return err
	}
	defer release()
	switch action {
	case api.Start:
		err = p.engine.Start(ctx, id)
	case api.Stop:
		err = p.engine.Stop(ctx, id, nil)
	case api.Restart:
		err = p.engine.Restart(ctx, id, nil)
	case api.Pause:
		if p.updater.Own(id) {
			return &api.ConflictError{Reason: "This is Watch Docker itself, which could not let itself go on again."}
		}
		err = p.engine.Pause(ctx, id)
	case api.Unpause:
		err = p.engine.Unpause(ctx, id)
	default:
		err = fmt.Errorf("unknown action %q", action)
	}
	return ported(err, api.ErrUnknownContainer)
}

// Kill implements api.Engine.
func (p ports) Kill(ctx context.Context, id, signal string) error {
	release, err := p.hold(id)
	if err != nil {
		return err
	}
	defer release()
	return ported(p.engine.Kill(ctx, id, signal), api.ErrUnknownContainer)
}

// Rename implements api.Engine.
func (p ports) Rename(ctx context.Context, id, name string) error {
	release, err := p.hold(id)
	if err != nil {
		return err
	}
	defer release()
	return ported(p.engine.Rename(ctx, id, name), api.ErrUnknownContainer)
}

// Remove implements api.Engine.
func (p ports) Remove(ctx context.Context, id string, o api.RemoveOptions) error {
	release, err := p.hold(id)
	if err != nil {
		return err
	}
	defer release()
	return ported(p.engine.Remove(ctx, id, dockercli.RemoveOptions{Force: o.Force, Volumes: o.Volumes}), api.ErrUnknownContainer)
}

// hold keeps updates off a container, and is an error while it is in one.
func (p ports) hold(id string) (release func(), err error) {
	release, operation, ok := p.updater.Hold(id)
	if ok {
		return release, nil
	}
	name := id
	if c, err := find(p.scanner.Latest(), id); err == nil {
		name = c.Name
	}
	return nil, &api.BusyError{Container: name, OperationID: operation}
}

// System implements api.System.
func (p ports) System(ctx context.Context) (api.SystemStatus, error) {
	s := api.SystemStatus{
		Version: Version(), StartedAt: p.startedAt, Engine: api.EngineStatus{Host: p.engine.Host()},
		RateLimits: []api.RateLimit{}, Degraded: []api.Degradation{},
	}
	if v, err := p.engine.Version(ctx); err != nil {
		s.Degraded = append(s.Degraded, api.Degradation{Code: "engine_unavailable", Message: err.Error()})
	} else {
		s.Engine.Reachable, s.Engine.Version, s.Engine.APIVersion, s.Engine.OS, s.Engine.Architecture = true, v.Engine, v.API, v.OS, v.Arch
	}
	for _, h := range p.registry.Load().Hosts() {
		limit := api.RateLimit{Registry: h.Host}
		if h.PausedUntil.After(time.Now()) {
			limit.BlockedUntil = &h.PausedUntil
			s.Degraded = append(s.Degraded, api.Degradation{Code: "registry_rate_limited",
				Message: h.Host + " asked to be left alone until " + h.PausedUntil.Format(time.RFC3339) + "."})
		}
		if h.RateLimit != nil {
			limit.Limit, limit.Remaining = h.RateLimit.Limit, h.RateLimit.Remaining
		}
		if h.RateLimit != nil || limit.BlockedUntil != nil {
			s.RateLimits = append(s.RateLimits, limit)
		}
	}
	interval, cron := p.interval.Status(), p.updates.Status()
	s.Scan = api.Schedule{LastAt: timeOrNil(interval.Last), NextAt: timeOrNil(interval.Next)}
	s.Update = api.Schedule{LastAt: timeOrNil(cron.Last), NextAt: timeOrNil(cron.Next)}
	return s, nil
}

// ported makes an engine's error one of the api's.
func ported(err, unknown error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, dockercli.ErrNotFound):
		return fmt.Errorf("%w: %w", unknown, err)
	case errors.Is(err, dockercli.ErrUnavailable):
		return fmt.Errorf("%w: %w", api.ErrEngineUnavailable, err)
	case errors.Is(err, dockercli.ErrConflict), errors.Is(err, dockercli.ErrRefused):
		return &api.ConflictError{Reason: err.Error()}
	case errors.Is(err, task.ErrTooMany):
		return fmt.Errorf("%w: %w", api.ErrTooManyOperations, err)
	case errors.Is(err, task.ErrStopping), errors.Is(err, updater.ErrStopping):
		return fmt.Errorf("%w: %w", api.ErrStopping, err)
	}
	var busy *task.BusyError
	if errors.As(err, &busy) {
		return &api.BusyError{Container: "The " + busy.Kind + " of " + busy.Target, OperationID: busy.OperationID, Code: api.CodeUnderWay}
	}
	return err
}

func timeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
