// Package task runs operations that aren't updates: pulls, prunes, Compose
// actions, scans. An operation is a row of the store, with its steps, how far
// it is, what its command wrote and what came of it; one runs at a time for a
// key. Nothing of it is done again after a restart: what a process leaves in
// the middle, the next one records as interrupted.
package task

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/watch-docker/watch-docker/internal/logging"
	"github.com/watch-docker/watch-docker/internal/store"
)

// Codes of errors that every kind of operation can end with.
const (
	CodeFailed      = "failed"      // what else went wrong; the message says it
	CodeCancelled   = "cancelled"   // by somebody
	CodeInterrupted = "interrupted" // by the program's end
)

var (
	// ErrStopping says that no new work is taken, since the program ends.
	ErrStopping = errors.New("the program is stopping")
	// ErrTooMany says that as many operations run as may.
	ErrTooMany = errors.New("too many operations are under way; wait for the end of one")
	// ErrTooLate says that an operation can't be cancelled any more; the error
	// that wraps it says why.
	ErrTooLate = errors.New("too late to cancel")
)

// most is how many operations may be under way: beyond them somebody asks
// faster than the engine can answer.
const most = 64

// BusyError says that a key has an operation already.
type BusyError struct {
	Kind        string // of that operation
	Target      string
	OperationID string
}

func (e *BusyError) Error() string { return e.Target + " is in operation " + e.OperationID }

// Error is why an operation didn't succeed, with a stable code.
type Error struct {
	Code    string
	Message string   // a sentence, which says what to do
	Logs    []string // the last lines of what failed
}

func (e *Error) Error() string { return e.Message }

// Request is what an operation is begun as.
type Request struct {
	Kind   string // pull, prune, compose.up, …
	Target string // what it is about
	Actor  string // a user, "schedule", "command line"
	// Key is what only one operation at a time may have; empty: Kind and Target.
	Key     string
	ToImage string // the image it is to bring, if it is to
}

func (r Request) key() string { return cmp.Or(r.Key, r.Kind+" "+r.Target) }

// Work is what an operation does. Its ctx ends when somebody cancels the
// operation and when the program ends; the work then comes back soon, with an
// error if it wasn't done. The result, also that of work which failed half-way,
// is kept as JSON; nil is none. An error that is no *Error has CodeFailed, or
// what Dependencies.Explain makes of it.
type Work func(ctx context.Context, r *Report) (result any, err error)

// Dependencies are what New needs.
type Dependencies struct {
	Store  *store.Store
	Logger *zap.Logger // nil: none
	Keep   int         // operations that are remembered; 0: all
	// Changed is told the id of an operation that has changed. It must not call
	// the runner; nil: nobody wants to know.
	Changed func(operationID string)
	// Explain gives the code and the sentence of an error that is no *Error, or
	// nil if it doesn't know it.
	Explain func(err error) *Error
}

// Runner runs operations. Safe for concurrent use.
type Runner struct {
	Dependencies

	ctx  context.Context // of all work; ends with Run's
	end  context.CancelFunc
	work sync.WaitGroup

	mu       sync.Mutex // guards what follows
	stopping bool
	byID     map[string]*job
	byKey    map[string]*job
	unsaved  map[string]store.Operation // outcomes that the store couldn't take yet
}

// New prepares a runner. Operations can be started at once; they end with Run.
func New(d Dependencies) *Runner {
	if d.Logger == nil {
		d.Logger = zap.NewNop()
	}
	d.Logger = d.Logger.With(logging.Component("task"))
	r := &Runner{Dependencies: d, byID: map[string]*job{}, byKey: map[string]*job{}, unsaved: map[string]store.Operation{}}
	r.ctx, r.end = context.WithCancel(context.Background())
	return r
}

// saveAgain is how often what the store couldn't take is offered to it again.
const saveAgain = 10 * time.Second

// Run waits for ctx to end; then it takes nothing new, ends what runs and
// waits for it.
func (r *Runner) Run(ctx context.Context) error {
	again := time.NewTicker(saveAgain)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			r.mu.Lock()
			r.stopping = true
			r.mu.Unlock()
			r.end()
			r.work.Wait()
			r.saveOutcomes(context.WithoutCancel(ctx))
			return ctx.Err()
		case <-again.C:
			r.saveOutcomes(ctx)
		}
	}
}

// Start begins an operation; ctx is that of the question alone.
//
// Errors: *BusyError, ErrTooMany, ErrStopping, and the store's.
func (r *Runner) Start(ctx context.Context, q Request, w Work) (store.Operation, error) {
	now := time.Now().UTC()
	j := &job{
		key: q.key(), done: make(chan struct{}), runner: r,
		op: store.Operation{ID: store.NewID(now), Kind: q.Kind, Target: q.Target, State: store.Running, CreatedAt: now, StartedAt: &now,
			Actor: q.Actor, ToImage: q.ToImage, Steps: []store.Step{}},
	}
	work, end := context.WithCancel(r.ctx)
	j.end = end
	if err := r.take(j); err != nil {
		end()
		return store.Operation{}, err
	}
	if err := r.Store.SaveOperation(ctx, j.op); err != nil {
		end()
		r.drop(j)
		r.work.Done()
		return store.Operation{}, err
	}
	begun := j.snapshot()
	r.tell(begun.ID)
	go r.run(work, j, w) //nolint:contextcheck // the work outlives who asked for it, and ends with the runner
	return begun, nil
}

// Join is Start, but gives the operation that has the key already if one does:
// for work that whoever asks second wants as well.
//
// Errors: ErrTooMany, ErrStopping, and the store's.
func (r *Runner) Join(ctx context.Context, q Request, w Work) (store.Operation, error) {
	op, err := r.Start(ctx, q, w)
	var busy *BusyError
	if !errors.As(err, &busy) {
		return op, err
	}
	if op, ok := r.Operation(busy.OperationID); ok {
		return op, nil
	}
	return r.Store.Operation(ctx, busy.OperationID) // it has just ended
}

// take gives the job its key, and a place among those that Run waits for.
func (r *Runner) take(j *job) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	other := r.byKey[j.key]
	switch {
	case r.stopping:
		return ErrStopping
	case other != nil:
		return &BusyError{Kind: other.op.Kind, Target: other.op.Target, OperationID: other.op.ID}
	case len(r.byID) >= most:
		return ErrTooMany
	}
	r.byKey[j.key], r.byID[j.op.ID] = j, j
	r.work.Add(1)
	return nil
}

// drop takes the key away.
func (r *Runner) drop(j *job) {
	r.mu.Lock()
	delete(r.byKey, j.key)
	delete(r.byID, j.op.ID)
	r.mu.Unlock()
	close(j.done)
}

// run does the work and writes down how it ended.
func (r *Runner) run(ctx context.Context, j *job, w Work) {
	defer r.work.Done()
	defer j.end()
	r.Logger.Info("begins", logging.Action(j.op.Kind), zap.String("target", j.op.Target))
	result, err := r.safely(ctx, j, w)
	keep := context.WithoutCancel(ctx)
	o := j.finish(r.outcome(ctx, j, result, err))
	if n := len(o.Steps); n > 0 {
		r.saveStep(keep, o.ID, n-1, o.Steps[n-1])
	}
	r.save(keep, o)
	r.drop(j)
	r.tell(o.ID)
}

// errPanic is what work comes to that panicked; the log has the rest.
var errPanic = errors.New("something went wrong here; the log has the details")

func (r *Runner) safely(ctx context.Context, j *job, w Work) (result any, err error) {
	defer func() {
		if p := recover(); p != nil {
			r.Logger.Error("panic", logging.Action(j.op.Kind), zap.String("err", fmt.Sprint(p)), zap.Stack("stack"))
			err = errPanic
		}
	}()
	return w(ctx, &Report{job: j, keep: context.WithoutCancel(ctx)})
}

// save keeps a finished operation, later if it can't be now.
func (r *Runner) save(ctx context.Context, o store.Operation) {
	if err := r.Store.SaveOperation(ctx, o); err != nil {
		r.Logger.Error("the outcome can't be recorded yet", logging.Action(o.Kind), zap.String("target", o.Target), logging.Err(err))
		r.mu.Lock()
		r.unsaved[o.ID] = o
		r.mu.Unlock()
	}
	fields := []zap.Field{logging.Action(o.Kind), zap.String("target", o.Target), zap.String("state", string(o.State)),
		logging.DurationMs(o.FinishedAt.Sub(*o.StartedAt))}
	if o.Error == nil {
		r.Logger.Info("done", fields...)
	} else {
		r.Logger.Warn("did not succeed", append(fields, zap.String("code", o.Error.Code), zap.String(logging.KeyErr, o.Error.Message))...)
	}
	if r.Keep > 0 {
		if err := r.Store.PruneOperations(ctx, r.Keep); err != nil {
			r.Logger.Warn("old operations could not be removed", logging.Err(err))
		}
	}
}

// saveOutcomes offers the store what it couldn't take before.
func (r *Runner) saveOutcomes(ctx context.Context) {
	r.mu.Lock()
	unsaved := make([]store.Operation, 0, len(r.unsaved))
	for _, o := range r.unsaved {
		unsaved = append(unsaved, o)
	}
	r.mu.Unlock()
	for _, o := range unsaved {
		if r.Store.SaveOperation(ctx, o) != nil {
			return // it was said when it first failed
		}
		r.mu.Lock()
		delete(r.unsaved, o.ID)
		r.mu.Unlock()
	}
}

// saveStep writes one step of the record. What is lost of it hinders nobody.
func (r *Runner) saveStep(ctx context.Context, id string, n int, step store.Step) {
	if err := r.Store.SaveStep(ctx, id, n, step); err != nil {
		r.Logger.Warn("a step could not be recorded", logging.Action(step.Name), logging.Err(err))
	}
}

// Operation gives an operation under way as it is now; false if this runner
// has none with this id, or no more: the store has it then.
func (r *Runner) Operation(id string) (store.Operation, bool) {
	r.mu.Lock()
	j, unsaved := r.byID[id], store.Operation{}
	o, ok := r.unsaved[id]
	if j == nil && ok {
		unsaved = o
	}
	r.mu.Unlock()
	if j == nil {
		return unsaved, ok
	}
	return j.snapshot(), true
}

// Of gives the id of the operation that has a key, if any.
func (r *Runner) Of(key string) (operationID string, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	j := r.byKey[key]
	if j == nil {
		return "", false
	}
	return j.op.ID, true
}

// Done is closed once an operation under way has ended and its record says so;
// false if this runner has none with this id.
func (r *Runner) Done(id string) (<-chan struct{}, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	j := r.byID[id]
	if j == nil {
		return nil, false
	}
	return j.done, true
}

// Cancel asks an operation to end; it does so soon, with Done. One that has
// been cancelled is no error. It isn't known if it isn't under way here.
//
// Errors: ErrTooLate.
func (r *Runner) Cancel(id, actor string) (known bool, err error) {
	r.mu.Lock()
	j := r.byID[id]
	r.mu.Unlock()
	if j == nil {
		return false, nil
	}
	return true, j.callOff(actor)
}

func (r *Runner) tell(id string) {
	if r.Changed != nil {
		r.Changed(id)
	}
}
