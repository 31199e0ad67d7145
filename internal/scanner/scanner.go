// Package scanner finds out which containers run an outdated image: it joins
// what the engine shows with what registries answer and what policy says, and
// holds the latest result.
//
// A scan asks the engine for one list and one inspect of each image, and each
// registry once for each distinct reference (DESIGN section 5). Between scans
// the result follows the engine's events, without a question to any registry.
package scanner

import (
	"cmp"
	"context"
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

// Engine is what a scan needs of the Docker engine; see dockercli.Client.
type Engine interface {
	Containers(ctx context.Context, ids ...string) ([]dockercli.Container, error)
	ConfiguredImage(ctx context.Context, containerID string) (string, error)
	Image(ctx context.Context, id string) (dockercli.Image, error)
	ImageTags(ctx context.Context) (map[string]dockercli.Local, error)
}

// Settings are what the configuration says; they can change between scans.
type Settings struct {
	Rules          policy.Rules
	IncludeStopped bool
	Registry       *registry.Client
}

// Dependencies are what New needs.
type Dependencies struct {
	Engine   Engine
	Store    *store.Store
	Settings Settings
	Logger   *zap.Logger      // nil: silent
	Now      func() time.Time // nil: time.Now
}

// Scanner is safe for concurrent use.
type Scanner struct {
	engine  Engine
	store   *store.Store
	log     *zap.Logger
	now     func() time.Time
	cache   cache
	digests *digestSet

	dirty    chan struct{} // somebody wants a Refresh from Follow
	scanning sync.Mutex    // one scan at a time
	listing  sync.Mutex    // one discovery is judged and published at a time
	subjects []*subject    // of the latest result; listing guards it

	mu        sync.Mutex // guards what follows
	settings  Settings
	answers   map[string]*answer             // by reference, of the latest scan that asked
	startedAt map[string]time.Time           // by container id, told by events
	endedAt   map[string]time.Time           // … of late, and not started since
	touched   map[string]bool                // … whose events Follow hasn't looked into yet
	unsure    bool                           // … and it isn't known which others have changed
	bad       map[[2]string]store.BadRelease // by container's name and digest
	kept      map[string][]store.Kept        // by container's name, newest first
	firstSeen map[[2]string]time.Time        // of releases, by reference and digest
	scannedAt time.Time
	following bool // events keep the cache honest
	listed    bool // … and the engine has been listed since they do
	returns   int  // how often that has become true
	listings  int  // how many discoveries have been published
	latest    Result
	scan      Scanning
	changed   chan struct{} // closed, and made anew, when what Live gives changes
}

// New reads what earlier scans have learned from the store.
func New(ctx context.Context, d Dependencies) (*Scanner, error) {
	known, err := d.Store.ImageDigests(ctx)
	if err != nil {
		return nil, err
	}
	if d.Logger == nil {
		d.Logger = zap.NewNop()
	}
	if d.Now == nil {
		d.Now = func() time.Time { return time.Now().UTC() }
	}
	return &Scanner{
		engine: d.Engine, store: d.Store, now: d.Now, settings: d.Settings,
		log:     d.Logger.With(logging.Component("scanner")),
		digests: newDigestSet(known), dirty: make(chan struct{}, 1),
		answers: map[string]*answer{}, startedAt: map[string]time.Time{}, endedAt: map[string]time.Time{}, touched: map[string]bool{},
		bad: map[[2]string]store.BadRelease{}, firstSeen: map[[2]string]time.Time{},
		latest: Result{Containers: []ContainerStatus{}}, changed: make(chan struct{}),
	}, nil
}

// Apply takes new settings. Follow judges the latest result by them at once;
// what they let through for the first time is asked at the next scan.
func (s *Scanner) Apply(settings Settings) {
	s.mu.Lock()
	s.settings = settings
	s.mu.Unlock()
	s.stir()
}

// stir has Follow refresh the result, once for any number of calls before it does.
func (s *Scanner) stir() {
	s.mu.Lock()
	s.unsure = true
	s.mu.Unlock()
	s.wake()
}

// wake has Follow look into what has changed.
func (s *Scanner) wake() {
	select {
	case s.dirty <- struct{}{}:
	default:
	}
}

// Latest is the newest result. Its slice must not be changed.
func (s *Scanner) Latest() Result {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.latest
}

// Options narrow a scan.
type Options struct {
	ContainerIDs []string // ask about these alone; none: all
	Fresh        bool     // past the registry client's cache
	Progress     Progress // nil: nobody listens
}

// Scan asks the engine and the registries, and publishes what it found.
//
// It fails if the engine doesn't answer (dockercli.ErrUnavailable) or ctx
// ends. A registry that fails shows in the status of its own containers.
func (s *Scanner) Scan(ctx context.Context, o Options) (Result, error) {
	s.scanning.Lock()
	defer s.scanning.Unlock()
	began := s.now()
	s.scanningIs(Scanning{Running: true})
	defer s.scanningIs(Scanning{})
	settings, listings := s.begin()
	s.readQuarantine(ctx)
	s.readKept(ctx)
	subjects, err := s.discover(ctx, settings.IncludeStopped)
	if err != nil {
		return Result{}, err
	}
	asked := s.chosen(subjects, settings.Rules, o.ContainerIDs)
	if o.Fresh {
		settings.Registry.Forget(references(asked)...)
	}
	answers, err := s.ask(ctx, settings.Registry, asked, func(done, total int) {
		s.scanningIs(Scanning{Running: true, Done: done, Total: total})
		if o.Progress != nil {
			o.Progress(done, total)
		}
	})
	if err != nil {
		return Result{}, err
	}
	if err := s.learn(ctx, subjects, answers); err != nil {
		s.log.Warn("what the scan learned could not be kept", logging.Err(err))
	}
	s.keepAnswers(answers, len(o.ContainerIDs) > 0)
	result, err := s.conclude(ctx, subjects, listings)
	s.log.Info("scanned", logging.Action("scan"), logging.DurationMs(s.now().Sub(began)),
		zap.Int("containers", len(result.Containers)), zap.Int("references", len(answers)))
	return result, err
}

// chosen are the subjects that a scan asks about: the wanted ones, or those of
// them that share a reference with one of ids, since an answer is for all of them.
func (s *Scanner) chosen(subjects []*subject, rules policy.Rules, ids []string) []*subject {
	named := map[string]bool{}
	for _, sub := range subjects {
		if slices.Contains(ids, sub.ID) {
			named[sub.tag()] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(subjects), func(sub *subject) bool {
		return !s.wanted(sub, rules) || len(ids) > 0 && !named[sub.tag()]
	})
}

// Refresh lists the engine anew and judges by the answers of earlier scans.
func (s *Scanner) Refresh(ctx context.Context) error {
	s.listing.Lock()
	defer s.listing.Unlock()
	s.mu.Lock()
	includeStopped := s.settings.IncludeStopped
	s.mu.Unlock()
	subjects, err := s.discover(ctx, includeStopped)
	if err != nil {
		return err
	}
	s.publish(ctx, subjects)
	return nil
}

func (s *Scanner) begin() (Settings, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.following {
		s.cache.dropImages()
	}
	return s.settings, s.listings
}

// keepAnswers makes the answers those that count, beside earlier ones if the
// scan was of some containers alone.
func (s *Scanner) keepAnswers(answers map[string]*answer, partial bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if partial {
		all := maps.Clone(s.answers) // publish may be reading the old one
		maps.Copy(all, answers)
		s.answers = all
		return
	}
	s.answers, s.scannedAt = answers, s.now()
}

// conclude publishes the scan's own discovery, unless an event has led to a
// newer one meanwhile: then the engine is listed again.
func (s *Scanner) conclude(ctx context.Context, subjects []*subject, listings int) (Result, error) {
	s.listing.Lock()
	s.mu.Lock()
	stale := s.listings != listings
	s.mu.Unlock()
	if !stale {
		defer s.listing.Unlock()
		return s.publish(ctx, subjects), nil
	}
	s.listing.Unlock()
	err := s.Refresh(ctx)
	return s.Latest(), err
}

// publish judges the subjects and makes the outcome the latest result.
func (s *Scanner) publish(ctx context.Context, subjects []*subject) Result {
	s.readQuarantine(ctx)
	s.subjects = subjects
	s.mu.Lock()
	answers, rules, at := s.answers, s.settings.Rules, s.scannedAt
	s.mu.Unlock()
	result := Result{Containers: make([]ContainerStatus, 0, len(subjects)), ScannedAt: at}
	for _, sub := range subjects {
		result.Containers = append(result.Containers, s.judge(sub, answers[sub.tag()], rules))
	}
	slices.SortFunc(result.Containers, func(a, b ContainerStatus) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.latest, s.listings = result, s.listings+1
	if s.following && !s.listed {
		s.listed, s.returns = true, s.returns+1
	}
	s.tell()
	return result
}

// readQuarantine takes over which releases have failed. If that can't be read,
// what was known stays.
func (s *Scanner) readQuarantine(ctx context.Context) {
	list, err := s.store.BadReleases(ctx)
	if err != nil {
		s.log.Warn("quarantined releases could not be read", logging.Err(err))
		return
	}
	bad := map[[2]string]store.BadRelease{}
	for _, b := range list {
		bad[[2]string{b.Container, b.Digest}] = b
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bad = bad
}

// readKept takes over which images containers can be rolled back to.
func (s *Scanner) readKept(ctx context.Context) {
	list, err := s.store.Kept(ctx, "")
	if err != nil {
		s.log.Warn("kept images could not be read", logging.Err(err))
		return
	}
	kept := map[string][]store.Kept{}
	for _, k := range list {
		kept[k.Container] = append(kept[k.Container], k)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept = kept
}

// previous gives the image that a container would be rolled back to, or nil.
func (s *Scanner) previous(sub *subject) *Previous {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.kept[sub.Name] {
		if k.ImageID != sub.ImageID {
			return &Previous{ImageID: k.ImageID, Digest: k.Digest, ReplacedAt: k.At, OperationID: k.Operation}
		}
	}
	return nil
}

// releaseAge is how long a release has been known; one that isn't known yet
// has just been seen.
func (s *Scanner) releaseAge(reference, digest string) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen, ok := s.firstSeen[[2]string{reference, digest}]
	if !ok {
		return 0
	}
	return s.now().Sub(seen)
}

// quarantined gives the record of a release that failed for a container, or nil.
func (s *Scanner) quarantined(name, digest string) *Quarantine {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, ok := s.bad[[2]string{name, digest}]
	if !ok {
		return nil
	}
	return &Quarantine{Digest: b.Digest, Since: b.Since, OperationID: b.Operation}
}

func (s *Scanner) started(id string) *time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at, ok := s.startedAt[id]; ok {
		return &at
	}
	return nil
}

// forgetGone drops what is remembered of containers that are no more.
func (s *Scanner) forgetGone(list []dockercli.Container) {
	containers, images := map[string]bool{}, map[string]bool{}
	for _, c := range list {
		containers[c.ID], images[c.ImageID] = true, true
	}
	s.cache.keep(containers, images)
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.startedAt, func(id string, _ time.Time) bool { return !containers[id] })
}
