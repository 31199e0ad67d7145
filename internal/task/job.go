package task

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/watch-docker/watch-docker/internal/store"
)

// job is an operation under way.
type job struct {
	key    string
	runner *Runner
	done   chan struct{}
	end    context.CancelFunc

	mu        sync.Mutex // guards what follows
	op        store.Operation
	bytes     int    // of op.Output
	by        string // who called it off
	committed bool
}

// snapshot is the operation as it is now. Only its steps change in place.
func (j *job) snapshot() store.Operation {
	j.mu.Lock()
	defer j.mu.Unlock()
	o := j.op
	o.Steps = slices.Clone(o.Steps)
	return o
}

// callOff ends the work, unless it is past that.
func (j *job) callOff(actor string) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case j.op.State.Finished():
		return fmt.Errorf("%w: it has ended", ErrTooLate)
	case j.by != "":
		return nil
	case j.committed:
		return fmt.Errorf("%w: what it does now has to be done to its end", ErrTooLate)
	}
	j.by = actor
	j.end()
	return nil
}

func (j *job) calledOff() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.by
}

// ending is how an operation has come to its end.
type ending struct {
	state   store.OperationState
	failure *store.OperationError
	result  json.RawMessage
}

// outcome makes an ending of what the work gave back. Work that was done in
// spite of being called off is done.
func (r *Runner) outcome(ctx context.Context, j *job, result any, err error) ending {
	e := ending{state: store.Succeeded}
	if result != nil {
		raw, wrong := json.Marshal(result)
		if e.result = raw; wrong != nil {
			e.result, err = nil, errors.Join(err, fmt.Errorf("keep the result: %w", wrong))
		}
	}
	if err == nil {
		return e
	}
	failed, said := r.explain(err)
	e.state = store.Failed
	switch by := j.calledOff(); {
	case ctx.Err() == nil || errors.Is(err, errPanic):
	case by != "":
		e.state, failed = store.Cancelled, cut(CodeCancelled, "Cancelled by "+by+".", failed, said)
	default:
		e.state, failed = store.Cancelled, cut(CodeInterrupted, "The program was stopped before it was done.", failed, said)
	}
	e.failure = &store.OperationError{Code: failed.Code, Message: failed.Message, Logs: failed.Logs}
	if e.failure.Logs == nil {
		e.failure.Logs = []string{}
	}
	return e
}

// explain is false if nobody has words for the error but itself.
func (r *Runner) explain(err error) (*Error, bool) {
	var known *Error
	if errors.As(err, &known) {
		return known, true
	}
	if r.Explain != nil {
		if known := r.Explain(err); known != nil {
			return known, false
		}
	}
	return &Error{Code: CodeFailed, Message: err.Error()}, false
}

// cut is why work was ended, and where it was then if it says so itself.
func cut(code, message string, failed *Error, said bool) *Error {
	if !said {
		return &Error{Code: code, Message: message}
	}
	return &Error{Code: code, Message: message + " " + failed.Message, Logs: failed.Logs}
}

// finish closes the record.
func (j *job) finish(e ending) store.Operation {
	now := time.Now().UTC()
	j.mu.Lock()
	defer j.mu.Unlock()
	j.op.State, j.op.FinishedAt, j.op.Progress, j.op.Error, j.op.Result = e.state, &now, nil, e.failure, e.result
	if n := len(j.op.Steps); n > 0 && e.failure != nil {
		j.op.Steps[n-1].Detail = e.failure.Message
	}
	j.closeStep(now, e.failure == nil)
	o := j.op
	o.Steps = slices.Clone(o.Steps)
	return o
}

// closeStep ends the step that runs, if one does. j.mu is held.
func (j *job) closeStep(now time.Time, well bool) {
	n := len(j.op.Steps)
	if n == 0 || j.op.Steps[n-1].State != store.StepRunning {
		return
	}
	step := &j.op.Steps[n-1]
	step.State, step.FinishedAt = store.StepDone, &now
	if !well {
		step.State = store.StepFailed
	}
}
