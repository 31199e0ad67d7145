// Package audit records who did what: each entry is a row of the store and one
// line of the log.
//
// What succeeded is always recorded. Failures are bounded: a stranger who
// guesses day and night must neither fill the disk nor bury what matters. What
// is left out is counted, and said with the next entry of its kind.
package audit

import (
	"context"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"go.uber.org/zap"

	"github.com/watch-docker/watch-docker/internal/logging"
	"github.com/watch-docker/watch-docker/internal/store"
)

// Results of what was done.
const (
	OK      = "ok"
	Refused = "refused" // the caller's fault: not allowed, not there, wrong
	Failed  = "failed"  // ours, or the engine's
)

// Ways in which something is asked for. A token is named after ViaToken.
const (
	ViaSession  = "session"
	ViaTemp     = "temporary session" // whose second factor is missing
	ViaToken    = "token"
	ViaCommand  = "command line"
	ViaSchedule = "schedule"
	ViaServer   = "server" // by itself
)

const (
	pruneEvery = time.Hour
	// storeTimeout is how long a request may wait for its entry to be stored.
	storeTimeout = 5 * time.Second
)

// Entry says who did what, and how it went. Values that are too long are cut,
// and control characters left out.
type Entry struct {
	User    string // "" for nobody known
	Address string // the client's
	Via     string
	Action  string
	Target  string
	Result  string
	Detail  string // a problem's code, or what else there is to say; never a secret
}

// Store is the part of the store that keeps entries.
type Store interface {
	AddAudit(ctx context.Context, e store.AuditEntry) (id int64, err error)
	Audit(ctx context.Context, f store.AuditFilter) ([]store.AuditEntry, error)
	PruneAudit(ctx context.Context, before time.Time) (removed int64, err error)
}

// Dependencies are what New needs.
type Dependencies struct {
	Store     Store
	Logger    *zap.Logger          // nil: silent
	Now       func() time.Time     // nil: time.Now
	Retention func() time.Duration // how long entries are kept; nil or none: for ever
}

// Log is safe for concurrent use.
type Log struct {
	store     Store
	log       *zap.Logger
	lines     *zap.Logger // never sampled, whatever the level
	now       func() time.Time
	retention func() time.Duration

	mu       sync.Mutex
	failures failures
}

// New makes a log. Without Run it records as well, but prunes nothing, and
// says what was left out only with the next entry.
func New(d Dependencies) *Log {
	if d.Logger == nil {
		d.Logger = zap.NewNop()
	}
	if d.Now == nil {
		d.Now = func() time.Time { return time.Now().UTC() }
	}
	if d.Retention == nil {
		d.Retention = func() time.Duration { return 0 }
	}
	log := d.Logger.With(logging.Component("audit"))
	return &Log{
		store: d.Store, log: log, lines: logging.Unsampled(log).WithOptions(zap.WithCaller(false)),
		now: d.Now, retention: d.Retention, failures: failures{},
	}
}

// Record writes an entry, or counts it if it is one failure too many. It never
// fails: a store that does is logged. It goes on if ctx has ended.
func (l *Log) Record(ctx context.Context, e Entry) {
	e = e.cleaned()
	now := l.now()
	if e.Result != OK {
		l.mu.Lock()
		pass, before := l.failures.admit(e, now)
		l.mu.Unlock()
		if !pass {
			return
		}
		e.Detail = clean(join(e.Detail, before), longDetail)
	}
	l.write(ctx, e, now)
}

func (l *Log) write(ctx context.Context, e Entry, at time.Time) {
	l.lines.Info("audit", zap.String("user", e.User), zap.String("address", e.Address), zap.String("via", e.Via), logging.Action(e.Action),
		zap.String("target", e.Target), zap.String("result", e.Result), zap.String("detail", e.Detail))
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	_, err := l.store.AddAudit(ctx, store.AuditEntry{
		At: at, User: e.User, Address: e.Address, Via: e.Via, Action: e.Action, Target: e.Target, Result: e.Result, Detail: e.Detail,
	})
	if err != nil {
		l.log.Error("an entry of the audit log stands in this log alone", logging.Err(err))
	}
}

// Entries gives what was recorded, newest first.
func (l *Log) Entries(ctx context.Context, f store.AuditFilter) ([]store.AuditEntry, error) {
	return l.store.Audit(ctx, f)
}

// Run prunes at the start and every hour, and says what was left out of late,
// until ctx ends.
func (l *Log) Run(ctx context.Context) error {
	l.Prune(ctx)
	prune, sum := time.NewTicker(pruneEvery), time.NewTicker(repeatAfter)
	defer prune.Stop()
	defer sum.Stop()
	for {
		select {
		case <-ctx.Done():
			l.sum(ctx, true)
			return ctx.Err()
		case <-prune.C:
			l.Prune(ctx)
		case <-sum.C:
			l.sum(ctx, false)
		}
	}
}

// sum writes what was left out and has no next entry that would say so.
func (l *Log) sum(ctx context.Context, all bool) {
	now := l.now()
	l.mu.Lock()
	sums := l.failures.sweep(now, all)
	l.mu.Unlock()
	for _, e := range sums {
		l.write(ctx, e, now)
	}
}

// Prune removes entries that are older than the retention.
func (l *Log) Prune(ctx context.Context) {
	keep := l.retention()
	if keep <= 0 {
		return
	}
	n, err := l.store.PruneAudit(ctx, l.now().Add(-keep))
	switch {
	case err != nil && ctx.Err() == nil:
		l.log.Warn("old entries of the audit log could not be removed", logging.Err(err))
	case n > 0:
		l.log.Info("removed old entries of the audit log", zap.Int64("entries", n))
	}
}

// How long a value may be, in characters.
const (
	longName   = 64
	longVia    = 128
	longTarget = 256
	longDetail = 512
)

func (e Entry) cleaned() Entry {
	return Entry{
		User: clean(e.User, longName), Address: clean(e.Address, longName), Via: clean(e.Via, longVia), Action: clean(e.Action, longName),
		Target: clean(e.Target, longTarget), Result: clean(e.Result, longName), Detail: clean(e.Detail, longDetail),
	}
}

// clean leaves out what can't be printed, line ends and marks that turn the
// direction of writing among them, and cuts the rest to n characters.
func clean(s string, n int) string {
	if len(s) > n*utf8.UTFMax {
		s = s[:n*utf8.UTFMax] // so that the rest isn't walked
	}
	s = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s)
	if runes := []rune(s); len(runes) > n {
		return string(runes[:n-1]) + "…"
	}
	return s
}

func join(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "; " + b
}
