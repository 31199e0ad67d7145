package api

import (
	"context"
	"errors"
	"time"

	"github.com/watch-docker/watch-docker/internal/store"
)

const longestWait = time.Minute

// WaitQuery is ?wait=30s: the answer comes at the end of the operation, or then.
type WaitQuery struct {
	Wait patience `query:"wait" example:"30s" doc:"Answer at the end of the operation, or after this time: 0s to 1m"`
}

// patience is a duration as a query has it: "30s".
type patience struct{ time.Duration }

// UnmarshalText is called by huma.
func (p *patience) UnmarshalText(text []byte) error {
	d, err := time.ParseDuration(string(text))
	if err != nil || d < 0 || d > longestWait {
		return errors.New("expected a duration from 0s to 1m, such as 30s")
	}
	p.Duration = d
	return nil
}

type operationOut struct {
	Location string `header:"Location"`
	Body     store.Operation
}

type updateIn struct {
	ContainerPath
	WaitQuery

	Body *struct {
		Force bool `json:"force,omitempty" doc:"Update although policy would hold it back"`
	} `nameHint:"UpdateOptions"`
}

func (s *server) updateContainer(ctx context.Context, in *updateIn) (*operationOut, error) {
	status, err := s.find(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	request := UpdateRequest{ContainerID: status.ID, Actor: callerOf(ctx).Username}
	if in.Body != nil {
		request.Force = in.Body.Force
	}
	trailOf(ctx).note(request.Force, "forced")
	op, err := s.Updates.Update(ctx, request)
	if err != nil {
		return nil, err
	}
	return s.operationOut(ctx, op, in.Wait.Duration)
}

type rollbackIn struct {
	ContainerPath
	WaitQuery
}

func (s *server) rollbackContainer(ctx context.Context, in *rollbackIn) (*operationOut, error) {
	status, err := s.find(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	op, err := s.Updates.Rollback(ctx, UpdateRequest{ContainerID: status.ID, Actor: callerOf(ctx).Username})
	if err != nil {
		return nil, err
	}
	return s.operationOut(ctx, op, in.Wait.Duration)
}

type runIn struct {
	WaitQuery

	Body *struct {
		IDs    []string `json:"ids,omitempty" maxItems:"1000" doc:"Ids or names; none: all that policy allows"`
		DryRun bool     `json:"dryRun,omitempty" doc:"Start nothing; the operations that come back have no id"`
	} `nameHint:"RunOptions"`
}

type runOut struct{ Body Run }

func (s *server) runUpdates(ctx context.Context, in *runIn) (*runOut, error) {
	request := RunRequest{Actor: callerOf(ctx).Username}
	if in.Body != nil {
		ids, err := s.findAll(ctx, in.Body.IDs)
		if err != nil {
			return nil, err
		}
		request.ContainerIDs, request.DryRun = ids, in.Body.DryRun
	}
	trailOf(ctx).note(request.DryRun, "dry run")
	run, err := s.Updates.UpdateAll(ctx, request)
	if err != nil {
		return nil, err
	}
	if !request.DryRun {
		return s.runOut(ctx, run, in.Wait.Duration)
	}
	run.Operations, run.Skipped = orEmpty(run.Operations), orEmpty(run.Skipped)
	for i, op := range run.Operations {
		run.Operations[i] = whole(op)
	}
	return &runOut{Body: run}, nil
}

type scanIn struct {
	WaitQuery

	Fresh bool `query:"fresh" doc:"Past the cache"`
	Body  *struct {
		IDs []string `json:"ids,omitempty" maxItems:"1000" doc:"Ids or names; none: all"`
	} `nameHint:"ScanOptions"`
}

func (s *server) startScan(ctx context.Context, in *scanIn) (*operationOut, error) {
	request := ScanRequest{Fresh: in.Fresh, Actor: callerOf(ctx).Username}
	if in.Body != nil {
		ids, err := s.findAll(ctx, in.Body.IDs)
		if err != nil {
			return nil, err
		}
		request.ContainerIDs = ids
	}
	op, err := s.Scans.StartScan(ctx, request)
	if err != nil {
		return nil, err
	}
	return s.operationOut(ctx, op, in.Wait.Duration)
}

type listOperationsIn struct {
	Container string `query:"container" maxLength:"256" doc:"Only of this container: id or name, also of one that is gone"`
	Kind      string `query:"kind" maxLength:"64" doc:"Only of this kind: update, scan, …"`
	Before    string `query:"before" maxLength:"64" doc:"Only those before the one with this id"`
	Limit     int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
}

type listOperationsOut struct {
	Body struct {
		Operations []store.Operation `json:"operations"`
	} `nameHint:"OperationList"`
}

func (s *server) listOperations(ctx context.Context, in *listOperationsIn) (*listOperationsOut, error) {
	filter := store.OperationFilter{Target: in.Container, Kind: in.Kind, Before: in.Before, Limit: in.Limit}
	if in.Container != "" {
		// A record has the container's name, and outlives it.
		c, ok, err := pick(s.Scans.Latest(), in.Container)
		if err != nil {
			return nil, err
		}
		if ok {
			filter.Target = c.Name
		}
	}
	all, err := s.Operations.Operations(ctx, filter)
	if err != nil {
		return nil, err
	}
	out := &listOperationsOut{}
	out.Body.Operations = make([]store.Operation, 0, len(all))
	for _, op := range all {
		out.Body.Operations = append(out.Body.Operations, brief(op))
	}
	return out, nil
}

type getOperationIn struct {
	WaitQuery

	ID string `path:"id" maxLength:"64"`
}

type getOperationOut struct{ Body store.Operation }

func (s *server) getOperation(ctx context.Context, in *getOperationIn) (*getOperationOut, error) {
	op, err := s.Operations.Operation(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	op, err = s.ended(ctx, op, in.Wait.Duration)
	return &getOperationOut{Body: op}, err
}

func (s *server) operationOut(ctx context.Context, op store.Operation, limit time.Duration) (*operationOut, error) {
	trailOf(ctx).note(true, "operation "+op.ID)
	op, err := s.ended(ctx, op, limit)
	return &operationOut{Location: basePath(s.BaseURL) + "/api/operations/" + op.ID, Body: op}, err
}

// ended gives the operation at its end, or as it is when the limit is over or
// the program stops.
func (s *server) ended(ctx context.Context, op store.Operation, limit time.Duration) (store.Operation, error) {
	if limit <= 0 || op.State.Finished() {
		return whole(op), nil
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-s.Operations.Done(op.ID):
	case <-timer.C:
	case <-s.Closing:
	case <-ctx.Done():
		return op, ctx.Err()
	}
	now, err := s.Operations.Operation(ctx, op.ID)
	if errors.Is(err, store.ErrNoOperation) { // pruned meanwhile
		return whole(op), nil
	}
	return whole(now), err
}

// lastLines is how much of an operation's output is told with others, and as
// it comes; GET /api/operations/{id} has all that is kept.
const lastLines = 20

// brief is whole, with the end of its output alone.
func brief(op store.Operation) store.Operation {
	op.Output = op.Output[max(0, len(op.Output)-lastLines):]
	return whole(op)
}

// whole has lists where there would be null.
func whole(op store.Operation) store.Operation {
	op.Steps = orEmpty(op.Steps)
	if op.Error != nil {
		failure := *op.Error
		failure.Logs = orEmpty(failure.Logs)
		op.Error = &failure
	}
	return op
}
