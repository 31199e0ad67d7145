package updater

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/watch-docker/watch-docker/internal/store"
)

// errCalledOff is why an operation goes back that was cancelled in time.
func errCalledOff() *Error {
	return problem(CodeCancelled, "It was cancelled; nothing had been changed yet.")
}

// ErrTooLate says that an operation can't be cancelled any more; the error
// that wraps it says why.
var ErrTooLate = errors.New("too late to cancel")

// calling is whether an operation is called off, and by whom.
type calling struct {
	off  string // who did
	late bool   // something has been, or is about to be changed
	end  context.CancelFunc
}

// callable lets Cancel end a job that runs.
func (j *job) callable(end context.CancelFunc) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.calling.end = end
	if j.calling.off != "" {
		end()
	}
}

// commit is the point of no return: from here on it can't be called off. False
// means that it has been.
func (j *job) commit() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.calling.late = true
	return j.calling.off == ""
}

// callOff has a running job go back. It comes too late once something is changed.
func (j *job) callOff(actor string) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case j.operation.State.Finished():
		return fmt.Errorf("%w: it has ended", ErrTooLate)
	case j.calling.late:
		return fmt.Errorf("%w: the containers are being changed; it can be rolled back afterwards", ErrTooLate)
	}
	j.calling.off = actor
	if j.calling.end != nil {
		j.calling.end()
	}
	return nil
}

// calledOff says who ended a job, if it was somebody.
func (j *job) calledOff(otherwise *store.OperationError) *store.OperationError {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.calling.off == "" || otherwise.Code == CodeSkipped {
		return otherwise
	}
	return &store.OperationError{Code: CodeCancelled, Message: "Cancelled by " + j.calling.off + "; nothing had been changed yet.", Logs: []string{}}
}

// Cancel ends an operation before it changes anything: at once if it waits,
// else soon, with Done. One that has been cancelled is no error.
//
// Errors: store.ErrNoOperation, ErrTooLate.
func (u *Updater) Cancel(ctx context.Context, id, actor string) error {
	u.mu.Lock()
	j := u.jobs[id]
	at := slices.Index(u.pending, j)
	if j != nil && at >= 0 {
		u.pending = slices.Delete(slices.Clone(u.pending), at, at+1)
	}
	u.mu.Unlock()
	if j == nil {
		if _, err := u.Operation(ctx, id); err != nil {
			return err
		}
		return fmt.Errorf("%w: it has ended", ErrTooLate)
	}
	if err := j.callOff(actor); err != nil || at < 0 {
		return err
	}
	u.end(context.WithoutCancel(ctx), j, store.Cancelled, j.calledOff(asFailure(errCalledOff())))
	u.finished(j)
	return nil
}
