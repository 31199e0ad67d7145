package updater

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/watch-docker/watch-docker/internal/logging"
	"github.com/watch-docker/watch-docker/internal/store"
)

// grace is how long an update may go on after the program was asked to stop.
const grace = 8 * time.Second

// Run works off the queue until ctx ends; then it takes nothing new and waits
// for what runs: at most grace.
func (u *Updater) Run(ctx context.Context) error {
	var workers sync.WaitGroup
	defer workers.Wait()
	again := time.NewTicker(saveAgain)
	defer again.Stop()
	for _, j := range u.handed() {
		workers.Go(func() {
			state, err := u.await(ctx, j)
			u.conclude(context.WithoutCancel(ctx), j, state, err)
			u.finished(j)
		})
	}
	for {
		for _, j := range u.startable() {
			workers.Go(func() {
				u.work(ctx, j)
				u.finished(j)
			})
		}
		select {
		case <-ctx.Done():
			u.mu.Lock()
			u.stopping = true
			u.mu.Unlock()
			u.cancelPending(context.WithoutCancel(ctx))
			return ctx.Err()
		case <-u.wake:
		case <-again.C:
			_ = u.saveOutcomes(ctx) // it is said when it first fails
		}
	}
}

// saveAgain is how often what the store couldn't take is offered to it again.
const saveAgain = 10 * time.Second

// saveOutcomes writes down the outcomes that couldn't be before.
func (u *Updater) saveOutcomes(ctx context.Context) error {
	u.mu.Lock()
	unsaved := maps.Clone(u.unsaved)
	u.mu.Unlock()
	for id, o := range unsaved {
		if err := u.store.SaveOperation(ctx, o); err != nil {
			return err
		}
		for n, step := range o.Steps {
			if err := u.store.SaveStep(ctx, id, n, step); err != nil {
				return err
			}
		}
		u.mu.Lock()
		delete(u.unsaved, id)
		u.mu.Unlock()
	}
	return nil
}

// startable takes from the queue what may run now.
func (u *Updater) startable() []*job {
	u.mu.Lock()
	defer u.mu.Unlock()
	var start, wait []*job
	for _, j := range u.lastAlone() {
		if len(u.running) < max(1, u.settings.Concurrency) && u.may(j, wait) {
			j.settings, j.credentials = u.settings, u.credentials
			u.running = append(u.running, j)
			start = append(start, j)
		} else {
			wait = append(wait, j)
		}
	}
	u.pending = wait
	return start
}

// lastAlone is the queue, with those last that run alone.
func (u *Updater) lastAlone() []*job {
	queue := slices.Clone(u.pending)
	slices.SortStableFunc(queue, func(a, b *job) int {
		switch {
		case a.alone == b.alone:
			return 0
		case a.alone:
			return 1
		}
		return -1
	})
	return queue
}

// may reports whether a job can begin: nobody else has its container or its
// image, and what it needs is done; earlier are those that wait before it.
func (u *Updater) may(j *job, earlier []*job) bool {
	alone := slices.ContainsFunc(u.running, func(r *job) bool { return r.alone })
	held := u.held[j.request.ContainerID] > 0 || j.request.Project != "" && u.projects[j.request.Project] > 0
	if held || alone || j.alone && len(u.running)+len(earlier) > 0 {
		return false
	}
	first := func(other *job) bool { return slices.Contains(j.request.after, other.request.Name) }
	if slices.ContainsFunc(earlier, first) {
		return false
	}
	return !slices.ContainsFunc(u.running, func(r *job) bool {
		return r.request.Image == j.request.Image || r.request.target() == j.request.target() || r.request.sameFiles(j.request) || first(r) || r.claimed && r.has(j.request.ContainerID)
	})
}

func (u *Updater) finished(j *job) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for i, r := range u.running {
		if r == j {
			u.running = append(u.running[:i], u.running[i+1:]...)
			break
		}
	}
	for _, p := range u.pending {
		if slices.Contains(p.request.needs, j.request.Name) && j.failed() {
			p.barred = j.request.Name
		}
		if id, ok := j.successor(p.request.ContainerID); ok {
			p.follow(id)
		}
	}
	delete(u.jobs, j.operation.ID)
	close(j.done)
	u.letGo()
}

// letGo tells those who wait for a container that one is free. u.mu is held.
func (u *Updater) letGo() {
	close(u.changed)
	u.changed = make(chan struct{})
	u.stir()
}

// cancelPending gives the queue back: nothing of it has begun.
func (u *Updater) cancelPending(ctx context.Context) {
	u.mu.Lock()
	pending := u.pending
	u.pending = nil
	u.mu.Unlock()
	for _, j := range pending {
		u.end(ctx, j, store.Cancelled, &store.OperationError{Code: CodeInterrupted, Message: "The program was stopped before it began.", Logs: []string{}})
		u.finished(j)
	}
}

func (u *Updater) stir() {
	select {
	case u.wake <- struct{}{}:
	default:
	}
}

// work runs one job to its end, or as far as the program's end lets it.
func (u *Updater) work(ctx context.Context, j *job) {
	hard, cancel := withGrace(ctx, grace)
	defer cancel()
	soft, callOff := context.WithCancel(ctx)
	defer callOff()
	j.callable(callOff)
	keep := context.WithoutCancel(ctx)
	if why := u.barred(j); why != nil {
		u.end(keep, j, store.Cancelled, why)
		return
	}
	if err := errors.Join(u.saveOutcomes(keep), j.begin(keep)); err != nil {
		u.end(keep, j, store.Failed, failure(CodeStore, err))
		return
	}
	u.log.Info("begins", logging.Action(j.operation.Kind), logging.Container(j.request.Name), logging.Image(j.request.Image), logging.Digest(j.request.Digest))
	state, err := u.sequence(soft, hard, j)
	u.conclude(keep, j, state, err)
}

// conclude writes down how a job has ended, if it has.
func (u *Updater) conclude(ctx context.Context, j *job, state store.OperationState, err error) {
	switch {
	case errors.Is(err, errLeft):
		u.log.Warn("left to recovery", logging.Action(KindUpdate), logging.Container(j.request.Name))
		return
	case err != nil && state == store.Cancelled:
		u.end(ctx, j, state, j.calledOff(asFailure(err)))
	case err != nil:
		u.end(ctx, j, state, asFailure(err))
	default:
		u.end(ctx, j, state, nil)
	}
	u.tidy(ctx, j)
}

// end writes the outcome down.
func (u *Updater) end(ctx context.Context, j *job, state store.OperationState, failure *store.OperationError) {
	j.interrupt(ctx) // a step that the program's end kept from being done
	o := j.finish(state, failure)
	if err := u.store.SaveOperation(ctx, o); err != nil {
		u.log.Error("the outcome can't be recorded yet", logging.Container(o.Target), logging.Err(err))
		u.mu.Lock()
		u.unsaved[o.ID] = o
		u.mu.Unlock()
	}
	fields := []zap.Field{logging.Action(o.Kind), logging.Container(o.Target), logging.Image(o.ToImage), logging.Digest(o.ToDigest),
		zap.String("state", string(state)), zap.Int64("downtimeMs", o.DowntimeMs)}
	u.tell(failure, fields)
	if keep := j.settings.Keep; keep > 0 {
		if err := u.store.PruneOperations(ctx, keep); err != nil {
			u.log.Warn("old operations could not be removed", logging.Err(err))
		}
	}
}

// withGrace gives a context that outlives ctx by d.
func withGrace(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	out, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var timer *time.Timer
	var mu sync.Mutex
	stop := context.AfterFunc(ctx, func() {
		mu.Lock()
		defer mu.Unlock()
		timer = time.AfterFunc(d, cancel)
	})
	return out, func() {
		stop()
		mu.Lock()
		defer mu.Unlock()
		if timer != nil {
			timer.Stop()
		}
		cancel()
	}
}
