package app

import (
	"context"
	"errors"
	"time"

	"github.com/watch-docker/watch-docker/internal/api"
	"github.com/watch-docker/watch-docker/internal/scanner"
	"github.com/watch-docker/watch-docker/internal/store"
	"github.com/watch-docker/watch-docker/internal/updater"
)

// actorCommand is who acts when the command line does, and actorSchedule when
// nobody does.
const (
	actorCommand  = "command line"
	actorSchedule = "schedule"
)

// follow is how often a running operation is looked at for whoever watches it.
const follow = 150 * time.Millisecond

// operator updates containers: it joins what the scanner knows with what the
// updater does. The server, its socket and the command line all use it.
type operator struct {
	scanner *scanner.Scanner
	updater *updater.Updater
}

// updateArgs is what an update run is asked for.
type updateArgs struct {
	Names  []string `json:"names"` // ids, prefixes or names; none: all
	Force  bool     `json:"force"`
	DryRun bool     `json:"dryRun"`
	Back   bool     `json:"back"` // to the images that they ran before
}

// plan says which containers would be updated and why the others wouldn't.
// A name that isn't there is an error, and nothing is planned.
func (o operator) plan(args updateArgs, allowed func(scanner.ContainerStatus) *api.RefusedError) (do []scanner.ContainerStatus, left []api.LeftOut, err error) {
	latest := o.scanner.Latest()
	chosen := latest.Containers
	if len(args.Names) > 0 {
		chosen = nil
		for _, name := range args.Names {
			c, err := find(latest, name)
			if err != nil {
				return nil, nil, err
			}
			chosen = append(chosen, c)
		}
		allowed = func(c scanner.ContainerStatus) *api.RefusedError { return mayByHand(c, args.Force) }
	}
	left = []api.LeftOut{}
	for _, c := range chosen {
		refused := allowed(c)
		if refused == nil && o.updater.OwnRefused(c.ID) {
			refused = &api.RefusedError{Code: updater.CodeOwn, Reason: updater.OwnReason}
		}
		switch {
		case refused == nil:
			do = append(do, c)
		case len(args.Names) > 0 || c.Status != scanner.UpToDate:
			left = append(left, api.LeftOut{ID: c.ID, Name: c.Name, Reason: refused.Reason})
		}
	}
	return do, left, nil
}

// run plans and queues what is planned; with DryRun the operations only say
// what would be done.
func (o operator) run(ctx context.Context, args updateArgs, actor string, allowed func(scanner.ContainerStatus) *api.RefusedError) (api.Run, error) {
	do, left, err := o.plan(args, allowed)
	if err != nil {
		return api.Run{}, err
	}
	run := api.Run{Operations: []store.Operation{}, Skipped: left}
	requests := make([]updater.Request, len(do))
	for i, c := range do {
		requests[i] = request(c, actor)
	}
	if requests, err = o.updater.Order(ctx, requests); err != nil {
		return api.Run{}, err
	}
	if !args.DryRun {
		run.Operations, err = o.updater.UpdateAll(ctx, requests)
		return run, err
	}
	for _, r := range requests {
		run.Operations = append(run.Operations, r.Operation())
	}
	return run, nil
}

// rollback queues one container's way back.
func (o operator) rollback(ctx context.Context, name, actor string) (store.Operation, error) {
	c, err := find(o.scanner.Latest(), name)
	if err != nil {
		return store.Operation{}, err
	}
	if id, under := o.updater.Of(c.ID); under {
		op, err := o.updater.Operation(ctx, id)
		if err == nil && op.Kind != updater.KindRollback {
			err = &api.BusyError{Container: c.Name, OperationID: id}
		}
		return op, err
	}
	op, err := o.updater.Rollback(ctx, request(c, actor))
	if errors.Is(err, updater.ErrNothingKept) {
		err = &api.RefusedError{Code: updater.CodeNothingKept, Reason: err.Error()}
	}
	return op, ported(err, api.ErrUnknownContainer)
}

// begin scans and queues what a command asks for. Somebody waits for the
// answer, so the scan is past the cache: what was pushed a moment ago counts.
// The way back needs no registry.
func (o operator) begin(ctx context.Context, args updateArgs, progress scanner.Progress) (api.Run, error) {
	if args.Back {
		if err := o.scanner.Refresh(ctx); err != nil {
			return api.Run{}, err
		}
		run := api.Run{Skipped: []api.LeftOut{}}
		for _, name := range args.Names {
			op, err := o.rollback(ctx, name, actorCommand)
			if err != nil {
				return run, err
			}
			run.Operations = append(run.Operations, op)
		}
		return run, nil
	}
	if _, err := o.scanner.Scan(ctx, scanner.Options{Fresh: true, Progress: progress}); err != nil {
		return api.Run{}, err
	}
	return o.run(ctx, args, actorCommand, maySweep)
}

// errLeft says that the program ends, and another one goes on.
var errLeft = errors.New("the program ends in the middle; the next one goes on")

func closed(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}

// command scans, runs and waits for the end of everything, telling watch of
// each change of an operation.
func (o operator) command(ctx context.Context, args updateArgs, progress scanner.Progress, watch func(store.Operation)) (api.Run, error) {
	run, err := o.begin(ctx, args, progress)
	if err == nil && args.DryRun {
		run.Previews, err = o.previews(ctx, run, args.Force)
	}
	if err != nil || args.DryRun {
		return run, err
	}
	for unfinished := true; unfinished; {
		unfinished = false
		for i, op := range run.Operations {
			if op.State.Finished() {
				continue
			}
			let := closed(o.updater.Done(op.ID)) // before it is looked at
			if run.Operations[i], err = o.updater.Operation(ctx, op.ID); err != nil {
				return run, err
			}
			watch(run.Operations[i])
			if let && !run.Operations[i].State.Finished() {
				return run, errLeft
			}
			unfinished = unfinished || !run.Operations[i].State.Finished()
		}
		if unfinished {
			select {
			case <-ctx.Done():
				return run, ctx.Err()
			case <-time.After(follow):
			}
		}
	}
	return run, nil
}
