// Package auth knows who may sign in and who is asking: users, passwords,
// sessions and the tokens that stand for them.
//
// A token is a JWT signed by a key that never leaves the state folder, and
// counts only while the session that it names is in the store: removing the
// row ends it at once. The package knows that a user has a second factor, and
// not what factors are: whoever has checked one says so (Upgrade, Elevate,
// FactorChanged). What could be guessed is checked only with Guess's leave.
package auth

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/watch-docker/watch-docker/internal/logging"
	"github.com/watch-docker/watch-docker/internal/store"
)

// How long things count.
const (
	TokenLife     = 24 * time.Hour   // a session, from the sign-in on
	TempTokenLife = 15 * time.Minute // one that waits for its second factor
	FreshFor      = 5 * time.Minute  // a proof that its user is there
	DeviceLife    = 365 * 24 * time.Hour
)

// touchEvery is how coarse the time of a session's last use is: writing it
// with every request would cost a disk flush each.
const touchEvery = 5 * time.Minute

// pruneEvery is how often expired sessions are removed.
const pruneEvery = time.Hour

// Errors of a login.
var (
	// ErrCredentials: the user or the password is wrong; which one isn't said.
	ErrCredentials = errors.New("the user name or the password is wrong")
	// ErrBusy: too many logins at once. Each takes 19 MiB for a moment.
	ErrBusy = errors.New("too many logins at once; try again in a moment")
)

// Users is the part of the store that knows users.
type Users interface {
	HasUsers(ctx context.Context) (bool, error)
	AddFirstUser(ctx context.Context, u store.User) (added bool, err error)
	AddUser(ctx context.Context, u store.User) error
	User(ctx context.Context, name string) (store.User, error)
	Users(ctx context.Context) ([]store.User, error)
	SetPassword(ctx context.Context, name, hash string) error
	ReplacePassword(ctx context.Context, name, old, hash string) (replaced bool, err error)
	SetRole(ctx context.Context, name, role string) error
	RemoveUser(ctx context.Context, name string) error
}

// Sessions is the part of the store that knows sessions.
type Sessions interface {
	AddSession(ctx context.Context, s store.Session) error
	AddSessionFor(ctx context.Context, s store.Session, passwordHash string) (added bool, err error)
	Session(ctx context.Context, id string) (store.Session, error)
	Sessions(ctx context.Context, user string) ([]store.Session, error)
	TouchSession(ctx context.Context, id string, at time.Time) error
	ElevateSession(ctx context.Context, id string, until time.Time, verified bool) error
	ReplaceSession(ctx context.Context, old string, x store.Session) error
	ReplaceSessions(ctx context.Context, old string, x store.Session) (ended []string, err error)
	RemoveSession(ctx context.Context, id string) error
	RemoveSessionOf(ctx context.Context, user, id string) error
	RemoveSessions(ctx context.Context, user string) (ended []string, err error)
	PruneSessions(ctx context.Context, now time.Time) error
}

// APITokens is the part of the store that knows API tokens.
type APITokens interface {
	AddAPIToken(ctx context.Context, t store.APIToken, limit int) (added bool, err error)
	APIToken(ctx context.Context, hash []byte) (store.APIToken, error)
	APITokenByID(ctx context.Context, id string) (store.APIToken, error)
	APITokens(ctx context.Context, user string) ([]store.APIToken, error)
	TouchAPIToken(ctx context.Context, id string, at time.Time) error
	RemoveAPIToken(ctx context.Context, user, id string) error
}

// Guesses is the part of the store that knows who has been wrong, and which
// devices are known.
type Guesses interface {
	Guesses(ctx context.Context) ([]store.Guesses, error)
	SaveGuesses(ctx context.Context, changed []store.Guesses) error
	IsDevice(ctx context.Context, user string, hash []byte) (bool, error)
	KnowDevice(ctx context.Context, user string, hash []byte, keep int) error
	ForgetDevices(ctx context.Context, user string) error
}

// Store is what the service keeps; see store.Store.
type Store interface {
	Users
	Sessions
	APITokens
	Guesses
}

// Dependencies are what New needs.
type Dependencies struct {
	Store       Store
	StateFolder string           // where the signing key is, or is made
	Logger      *zap.Logger      // nil: silent
	Now         func() time.Time // nil: time.Now
	Required    func() bool      // every user must have a second factor; nil: no
}

// Service is safe for concurrent use.
type Service struct {
	store     Store
	folder    string
	key       atomic.Pointer[[]byte]
	log       *zap.Logger
	now       func() time.Time
	required  func() bool
	passwords *passwords
	guesses   *guessing
	endings   *endings
	setup     atomic.Pointer[string] // the set-up token, while nobody can sign in
}

// New reads the signing key, or makes it at the first start, and what is known
// of guesses.
//
// Errors: ErrKey, wrapped, for a key file that can't be used; the message
// says what to do.
func New(ctx context.Context, d Dependencies) (*Service, error) {
	key, err := signingKey(d.StateFolder)
	if err != nil {
		return nil, err
	}
	if d.Logger == nil {
		d.Logger = zap.NewNop()
	}
	if d.Now == nil {
		d.Now = func() time.Time { return time.Now().UTC() }
	}
	if d.Required == nil {
		d.Required = func() bool { return false }
	}
	guesses, err := d.Store.Guesses(ctx)
	if err != nil {
		return nil, err
	}
	s := &Service{
		store: d.Store, folder: d.StateFolder, now: d.Now, required: d.Required, log: d.Logger.With(logging.Component("auth")),
		passwords: newPasswords(), guesses: newGuessing(d.Now, guesses), endings: &endings{waiting: map[string]map[chan struct{}]bool{}},
	}
	s.key.Store(&key)
	return s, nil
}

// Run saves what is known of guesses, and removes what has expired, until ctx
// ends.
func (s *Service) Run(ctx context.Context) error {
	save, prune := time.NewTicker(saveEvery), time.NewTicker(pruneEvery)
	defer save.Stop()
	defer prune.Stop()
	for {
		select {
		case <-save.C:
			s.save(ctx)
		case <-prune.C:
			if err := s.store.PruneSessions(ctx, s.now()); err != nil {
				s.log.Warn("expired sessions could not be removed", logging.Err(err))
			}
		case <-ctx.Done():
			s.save(context.WithoutCancel(ctx))
			return ctx.Err()
		}
	}
}

func (s *Service) save(ctx context.Context) {
	changed := s.guesses.changes()
	if len(changed) == 0 {
		return
	}
	if err := s.store.SaveGuesses(ctx, changed); err != nil {
		s.guesses.again(changed)
		s.log.Warn("guesses could not be saved", logging.Err(err))
	}
}

// Required reports whether every user must have a second factor.
func (s *Service) Required() bool { return s.required() }

// Guess asks for leave to check something that could be guessed.
//
// Errors: *ThrottledError.
func (s *Service) Guess(ctx context.Context, kind GuessKind, account string, from Client) (Guess, error) {
	return s.guesses.begin(GuessRequest{Kind: kind, Account: account, Address: from.Address, Device: s.device(ctx, account, from.DeviceKey)})
}

// RotateKey makes a new signing key and ends all sessions.
func (s *Service) RotateKey(ctx context.Context) (sessions int, err error) {
	ctx = context.WithoutCancel(ctx)
	key, err := replaceKey(s.folder)
	if err != nil {
		return 0, err
	}
	s.key.Store(&key)
	return s.EndSessions(ctx, "")
}

func clip(s string, n int) string {
	if runes := []rune(s); len(runes) > n {
		return string(runes[:n])
	}
	return s
}
