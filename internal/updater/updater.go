// Package updater gives containers a new image as one journalled sequence of
// steps, each of which can be undone or done again: whatever is killed when,
// the old or the new container runs under its name afterwards. doc/updating.md
// tells how.
package updater

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/internal/logging"
	"github.com/watch-docker/watch-docker/internal/policy"
	"github.com/watch-docker/watch-docker/internal/registry"
	"github.com/watch-docker/watch-docker/internal/store"
)

// The kinds of operations.
const (
	KindUpdate   = "update"
	KindRollback = "rollback"
)

// grace is how long an update may go on after the program was asked to stop.
const grace = 8 * time.Second

// ErrStopping says that no new work is taken, since the program ends.
var ErrStopping = errors.New("the program is stopping")

// Settings are what the configuration says; they can change between updates.
type Settings struct {
	Concurrency   int           // updates at once
	RemoveOld     bool          // remove the old container after a good update
	HealthTimeout time.Duration // for a health check to pass, at least
	StableFor     time.Duration // without a health check: up without a restart
	Keep          int           // operations that are remembered
	KeepImages    int           // earlier images that each container can be rolled back to
}

// Dependencies are what New needs.
type Dependencies struct {
	Engine      *dockercli.Client
	Store       *store.Store
	Credentials registry.CredentialSource
	Settings    Settings
	Own         []string // ids of the container that the program itself runs in
	Self        Self     // zero: that container can't be replaced
	Guest       *Guest   // nil but in a helper
	Compose     Compose  // nil: there is none
	// Elsewhere reports whether an operation of another kind is under way in
	// this process, so that Recover leaves it alone; nil: there are none.
	Elsewhere func(operationID string) bool
	Files     Files // nil: there are none that could be changed
	// Changed is told the id of an operation that has changed. It must not
	// call the updater; nil: nobody wants to know.
	Changed func(operationID string)
	Logger  *zap.Logger
}

// Compose is the `docker compose` command line.
type Compose interface {
	// Model is what Compose makes of a project's files, as JSON; the labels are
	// those of one of its containers.
	Model(ctx context.Context, labels map[string]string) ([]byte, error)
}

// Request asks for one update.
type Request struct {
	ContainerID string
	Name        string // the container's
	Image       string // the reference it was made from
	NewImage    string // the reference to go on with; empty: the same
	Pull        bool   // false: the image is on this host already
	Digest      string // what its tag names at the registry, if known
	FromDigest  string // what the running image is known by, for the record
	Labels      policy.Labels
	Actor       string
	Project     string      // of Compose; empty: none
	Service     string      // … and which of its services
	To          *store.Kept // a rollback, to this image

	after []string // names of containers whose operations come first: see Order
	needs []string // … and have to succeed, or this one isn't begun: see OrderStrictly
}

// target is the reference that the new container is to be made from.
func (r Request) target() string {
	if r.To != nil {
		return cmp.Or(r.To.Reference, r.Image)
	}
	return cmp.Or(r.NewImage, r.Image)
}

// sameFiles reports whether both may change the files of one Compose project,
// which is undone only as long as nobody else has changed them.
func (r Request) sameFiles(other Request) bool {
	return r.Project != "" && r.Project == other.Project && r.target() != r.Image && other.target() != other.Image
}

// Operation is what the request would begin as: queued, and without an id.
func (r Request) Operation() store.Operation {
	kind := KindUpdate
	if r.To != nil {
		kind, r.Digest = KindRollback, r.To.Digest
	}
	return store.Operation{
		Kind: kind, Target: r.Name, State: store.Queued, CreatedAt: time.Now().UTC(), Actor: r.Actor, Steps: []store.Step{},
		FromImage: r.Image, ToImage: r.target(), FromDigest: r.FromDigest, ToDigest: r.Digest,
	}
}

// Updater runs updates: at most Settings.Concurrency at once, and one at a
// time for an image.
type Updater struct {
	engine      *dockercli.Client
	store       *store.Store
	credentials registry.CredentialSource
	own         []string
	self        Self
	guest       *Guest
	compose     Compose
	files       Files
	log         *zap.Logger
	wake        chan struct{}

	changedOperation func(operationID string)      // nil: see Dependencies.Changed
	others           func(operationID string) bool // nil: see Dependencies.Elsewhere

	mu       sync.Mutex // guards what follows
	settings Settings
	pending  []*job
	running  []*job
	resumed  []*job                     // running handovers of an earlier process
	jobs     map[string]*job            // by operation id, pending or running
	held     map[string]int             // container ids that somebody else is acting on
	unsaved  map[string]store.Operation // outcomes that the store couldn't take yet
	changed  chan struct{}              // closed, and made anew, when a container is let go
	stopping bool
}

// New prepares an updater; nothing happens before Run.
func New(d Dependencies) *Updater {
	if d.Logger == nil {
		d.Logger = zap.NewNop()
	}
	return &Updater{
		engine: d.Engine, store: d.Store, credentials: d.Credentials, settings: d.Settings, own: d.Own, self: d.Self, guest: d.Guest, compose: d.Compose, files: d.Files,
		log:  d.Logger.With(logging.Component("updater")),
		wake: make(chan struct{}, 1), jobs: map[string]*job{}, held: map[string]int{},
		unsaved: map[string]store.Operation{}, changed: make(chan struct{}), changedOperation: d.Changed, others: d.Elsewhere,
	}
}

// Apply takes new settings for the updates that begin from now on.
func (u *Updater) Apply(s Settings, c registry.CredentialSource) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.settings, u.credentials = s, c
}

// Update queues an update or a rollback and gives its operation. A container
// that has one already gives that one.
func (u *Updater) Update(ctx context.Context, r Request) (store.Operation, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.queue(ctx, r)
}

// UpdateAll is Update for several, none of which begins before all are queued.
// With an error, the operations are those that were queued before it.
func (u *Updater) UpdateAll(ctx context.Context, requests []Request) ([]store.Operation, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	all := make([]store.Operation, 0, len(requests))
	for _, r := range requests {
		o, err := u.queue(ctx, r)
		if err != nil {
			return all, err
		}
		all = append(all, o)
	}
	return all, nil
}

// queue is Update; u.mu is held.
func (u *Updater) queue(ctx context.Context, r Request) (store.Operation, error) {
	if u.stopping {
		return store.Operation{}, ErrStopping
	}
	if j := u.of(r.ContainerID); j != nil {
		return j.snapshot(), nil
	}
	j := &job{request: r, done: make(chan struct{}), store: u.store, operation: r.Operation(), alone: u.Own(r.ContainerID), changed: u.changedOperation}
	j.operation.ID = store.NewID(j.operation.CreatedAt)
	if err := u.store.SaveOperation(ctx, j.operation); err != nil {
		return store.Operation{}, err
	}
	u.jobs[j.operation.ID] = j
	u.pending = append(u.pending, j)
	j.tell()
	u.stir()
	return j.snapshot(), nil
}

// Own reports whether this is the container that the program itself runs in:
// stopping it would end the update in the middle.
func (u *Updater) Own(containerID string) bool { return slices.Contains(u.own, containerID) }

// OwnRefused reports whether this is the program's own container, and can't be
// replaced by this process: see OwnReason.
func (u *Updater) OwnRefused(containerID string) bool {
	return u.self.State == "" && u.Own(containerID)
}

// Of gives the id of the operation that is a container's own, if any.
func (u *Updater) Of(containerID string) (operationID string, ok bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if j := u.of(containerID); j != nil {
		return j.operation.ID, true
	}
	return "", false
}

// of finds the job whose own container this is, by the old one's or the new one's id.
func (u *Updater) of(containerID string) *job {
	for _, j := range u.jobs {
		if j.owns(containerID) {
			return j
		}
	}
	return nil
}

// Busy gives the id of the operation that a container is in, if any: its own,
// or that of one that it depends on.
func (u *Updater) Busy(containerID string) (operationID string, ok bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if j := u.busy(containerID); j != nil {
		return j.operation.ID, true
	}
	return "", false
}

// Hold keeps updates of a container waiting until release is called, for those
// who act on it themselves. If it is in an operation, ok is false, and that one's id is given.
func (u *Updater) Hold(containerID string) (release func(), operationID string, ok bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if j := u.busy(containerID); j != nil {
		return nil, j.operation.ID, false
	}
	u.held[containerID]++
	return func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		if u.held[containerID]--; u.held[containerID] == 0 {
			delete(u.held, containerID)
		}
		u.letGo()
	}, "", true
}

// Reserved gives the images that operations under way are about to need, by id
// or as they are pulled: the container's name for each.
func (u *Updater) Reserved() map[string]string {
	u.mu.Lock()
	defer u.mu.Unlock()
	images := map[string]string{}
	for _, j := range u.jobs {
		j.reserve(images)
	}
	return images
}

// busy finds the job that has a container.
func (u *Updater) busy(containerID string) *job {
	if j := u.of(containerID); j != nil {
		return j
	}
	for _, j := range u.running {
		if j.claimed && j.has(containerID) {
			return j
		}
	}
	return nil
}

// Operation gives an operation, with its progress if it runs.
//
// Errors: store.ErrNoOperation.
func (u *Updater) Operation(ctx context.Context, id string) (store.Operation, error) {
	u.mu.Lock()
	j := u.jobs[id]
	unsaved, ok := u.unsaved[id]
	u.mu.Unlock()
	switch {
	case j != nil:
		return j.snapshot(), nil
	case ok:
		return unsaved, nil
	}
	return u.store.Operation(ctx, id)
}

// Done is closed once the operation has ended and its record says so; for one
// that isn't under way it is closed from the start.
func (u *Updater) Done(id string) <-chan struct{} {
	u.mu.Lock()
	defer u.mu.Unlock()
	if j := u.jobs[id]; j != nil {
		return j.done
	}
	done := make(chan struct{})
	close(done)
	return done
}

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
	if u.held[j.request.ContainerID] > 0 || alone || j.alone && len(u.running)+len(earlier) > 0 {
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
