// Package updater gives containers a new image as one journalled sequence of
// steps, each of which can be undone or done again: whatever is killed when,
// the old or the new container runs under its name afterwards. doc/updating.md
// tells how.
package updater

import (
	"cmp"
	"context"
	"errors"
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
	projects map[string]int             // … and Compose projects
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
		wake: make(chan struct{}, 1), jobs: map[string]*job{}, held: map[string]int{}, projects: map[string]int{},
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
