package app

import (
	"context"
	"sync"
	"time"

	"github.com/watch-docker/watch-docker/internal/api"
	"github.com/watch-docker/watch-docker/internal/logging"
	"github.com/watch-docker/watch-docker/internal/scanner"
	"github.com/watch-docker/watch-docker/internal/store"
	"github.com/watch-docker/watch-docker/internal/updater"
)

const kindScan = "scan"

// scans makes scans that somebody asks for into operations, one at a time.
type scans struct {
	*parts

	asked chan *scanJob

	mu      sync.Mutex
	current *scanJob
}

type scanJob struct {
	options scanner.Options
	done    chan struct{}

	changed func(operationID string)

	mu  sync.Mutex
	op  store.Operation
	by  string             // who called it off
	end context.CancelFunc // of the scan that runs
}

func newScans(p *parts) *scans { return &scans{parts: p, asked: make(chan *scanJob, 1)} }

// Latest and Refresh complete api.Scans.
func (s *scans) Latest() scanner.Result { return s.scanner.Latest() }

func (s *scans) Refresh(ctx context.Context) error {
	return ported(s.scanner.Refresh(ctx), api.ErrUnknownContainer)
}

// StartScan gives the scan under way, or begins one.
func (s *scans) StartScan(ctx context.Context, r api.ScanRequest) (store.Operation, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current != nil {
		return s.current.snapshot(), nil
	}
	now := time.Now().UTC()
	j := &scanJob{
		options: scanner.Options{ContainerIDs: r.ContainerIDs, Fresh: r.Fresh}, done: make(chan struct{}), changed: s.changes.tell,
		op: store.Operation{ID: store.NewID(now), Kind: kindScan, State: store.Running, CreatedAt: now, StartedAt: &now,
			Actor: r.Actor, Steps: []store.Step{}},
	}
	if err := s.store.SaveOperation(ctx, j.op); err != nil {
		return store.Operation{}, err
	}
	s.current = j
	s.changes.tell(j.op.ID)
	s.asked <- j // has room: there is no other
	return j.snapshot(), nil
}

// Run makes the scans until ctx ends.
func (s *scans) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case j := <-s.asked:
			s.make(ctx, j)
		}
	}
}

func (s *scans) make(ctx context.Context, j *scanJob) {
	j.options.Progress = j.progress
	scan, end := context.WithCancel(ctx)
	defer end()
	j.callable(end)
	_, err := s.scanner.Scan(scan, j.options)
	op := j.finish(err)
	if err := s.store.SaveOperation(context.WithoutCancel(ctx), op); err != nil {
		s.log.Warn("a scan could not be recorded", logging.Action(kindScan), logging.Err(err))
	}
	s.mu.Lock()
	s.current = nil
	s.mu.Unlock()
	close(j.done)
	s.changes.tell(op.ID)
}

// find gives the scan under way if it has this id.
func (s *scans) find(id string) *scanJob {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current != nil && s.current.op.ID == id {
		return s.current
	}
	return nil
}

func (j *scanJob) snapshot() store.Operation {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.op
}

// callable lets callOff end the scan that runs.
func (j *scanJob) callable(end context.CancelFunc) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.end = end
	if j.by != "" {
		end()
	}
}

// callOff ends the scan; what it has found so far counts for nothing.
func (j *scanJob) callOff(actor string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.by = actor
	if j.end != nil {
		j.end()
	}
}

func (j *scanJob) progress(done, total int) {
	defer j.changed(j.op.ID)
	j.mu.Lock()
	defer j.mu.Unlock()
	j.op.Progress = &store.Progress{Current: int64(done), Total: int64(total), Unit: "references"}
}

func (j *scanJob) finish(err error) store.Operation {
	now := time.Now().UTC()
	j.mu.Lock()
	defer j.mu.Unlock()
	j.op.State, j.op.FinishedAt, j.op.Progress = store.Succeeded, &now, nil
	if err != nil {
		j.op.State = store.Failed
		j.op.Error = &store.OperationError{Code: scanner.CodeEngine, Message: err.Error(), Logs: []string{}}
	}
	if err != nil && j.by != "" {
		j.op.State = store.Cancelled
		j.op.Error = &store.OperationError{Code: updater.CodeCancelled, Message: "Cancelled by " + j.by + ".", Logs: []string{}}
	}
	return j.op
}
