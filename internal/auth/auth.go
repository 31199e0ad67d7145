// Package auth knows who may sign in and who is asking: users, passwords,
// sessions and the tokens that stand for them.
//
// A token is a JWT signed by a key that never leaves the state folder, and
// counts only while the session that it names is in the store: removing the
// row ends it at once. What identity still lacks (second factors, API tokens,
// fresh proof) has its place in Claims and Identity.
package auth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/watch-docker/watch-docker/internal/logging"
	"github.com/watch-docker/watch-docker/internal/store"
)

// TokenLife is how long a token counts from the login on.
const TokenLife = 24 * time.Hour

// touchEvery is how coarse the time of a session's last use is: writing it
// with every request would cost a disk flush each.
const touchEvery = 5 * time.Minute

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
	User(ctx context.Context, name string) (store.User, error)
}

// Sessions is the part of the store that knows sessions.
type Sessions interface {
	AddSession(ctx context.Context, s store.Session) error
	Session(ctx context.Context, id string) (store.Session, error)
	TouchSession(ctx context.Context, id string, at time.Time) error
	RemoveSession(ctx context.Context, id string) error
	PruneSessions(ctx context.Context, now time.Time) error
}

// Store is what the service keeps; see store.Store.
type Store interface {
	Users
	Sessions
}

// Dependencies are what New needs.
type Dependencies struct {
	Store       Store
	StateFolder string           // where the signing key is, or is made
	Logger      *zap.Logger      // nil: silent
	Now         func() time.Time // nil: time.Now
}

// Service is safe for concurrent use.
type Service struct {
	store     Store
	key       []byte
	log       *zap.Logger
	now       func() time.Time
	passwords *passwords
	attempts  *attempts
}

// New reads the signing key, or makes it at the first start.
//
// Errors: ErrKey, wrapped, for a key file that can't be used; the message
// says what to do.
func New(d Dependencies) (*Service, error) {
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
	return &Service{
		store: d.Store, key: key, now: d.Now, log: d.Logger.With(logging.Component("auth")),
		passwords: newPasswords(), attempts: newAttempts(d.Now),
	}, nil
}

// FirstUser makes the first administrator from the configuration, once. If
// there are users already, it changes nothing, and warns if name and password
// are not those of one of them. Without a name, and nobody there, it says how
// to make one.
//
// Errors: ErrName and ErrPassword for a user that can't be made.
func (s *Service) FirstUser(ctx context.Context, name, password string) error {
	has, err := s.store.HasUsers(ctx)
	switch {
	case err != nil:
		return err
	case name == "" && !has:
		logging.Unsampled(s.log).Warn("nobody can sign in: set USER_NAME and USER_PASSWORD, and start again")
		return nil
	case name == "":
		return nil
	case has:
		return s.compareFirstUser(ctx, name, password)
	}
	if err := errors.Join(checkName(name), CheckPassword(password)); err != nil {
		return fmt.Errorf("make the first user: %w", err)
	}
	hash, err := s.passwords.hash(ctx, password)
	if err != nil {
		return fmt.Errorf("make the first user: %w", err)
	}
	now := s.now()
	added, err := s.store.AddFirstUser(ctx, store.User{
		Name: name, PasswordHash: hash, Role: string(Administrator), CreatedAt: now, ChangedAt: now,
	})
	if err == nil && added {
		s.log.Info("made the first user", zap.String("user", name))
	}
	return err
}

func (s *Service) compareFirstUser(ctx context.Context, name, password string) error {
	u, err := s.store.User(ctx, name)
	if errors.Is(err, store.ErrNoUser) {
		s.log.Warn("USER_NAME is ignored: there are users already, and it is none of them", zap.String("user", name))
		return nil
	}
	if err != nil {
		return err
	}
	same, err := s.passwords.matches(ctx, u.PasswordHash, password)
	if err == nil && !same {
		s.log.Warn("USER_PASSWORD is ignored: the user has been made already, with another password", zap.String("user", name))
	}
	return err
}

// LoginRequest is somebody who wants to sign in.
type LoginRequest struct {
	Username string
	Password string
	Address  string // the client's, as far as it can be trusted; "" if unknown
	Device   string // what the client calls itself
}

// Login is a sign-in that worked.
type Login struct {
	Identity

	Token string
}

// Login checks the password and begins a session.
//
// Errors: ErrCredentials; *ThrottledError if there were too many attempts for
// this account or from this address; ErrBusy.
func (s *Service) Login(ctx context.Context, r LoginRequest) (Login, error) {
	attempt, err := s.attempts.begin(r.Username, r.Address)
	if err != nil {
		return Login{}, err
	}
	u, known, err := s.lookUp(ctx, r.Username)
	if err != nil {
		attempt.forget()
		return Login{}, err
	}
	// An unknown name costs the same time as a known one, so that names can't be told by it.
	matches, err := s.passwords.matches(ctx, u.PasswordHash, r.Password)
	if err != nil {
		attempt.forget()
		return Login{}, err
	}
	if !matches || !known {
		s.log.Warn("a login failed", logging.Action("login"), zap.String("client", r.Address), zap.Bool("knownUser", known))
		return Login{}, ErrCredentials
	}
	attempt.succeeded()
	return s.begin(ctx, u, r)
}

// lookUp gives the user; for an unknown name, one whose password nobody knows.
func (s *Service) lookUp(ctx context.Context, name string) (u store.User, known bool, err error) {
	u, err = s.store.User(ctx, name)
	if errors.Is(err, store.ErrNoUser) {
		return store.User{PasswordHash: s.passwords.nobodys}, false, nil
	}
	return u, err == nil, err
}

func (s *Service) begin(ctx context.Context, u store.User, r LoginRequest) (Login, error) {
	now := s.now()
	session := store.Session{
		ID: newSessionID(), User: u.Name, Device: clip(r.Device, 200), Address: r.Address,
		CreatedAt: now, LastUsedAt: now, ExpiresAt: now.Add(TokenLife).Truncate(time.Second),
	}
	token, err := s.sign(session)
	if err != nil {
		return Login{}, err
	}
	if err := cmp.Or(s.store.PruneSessions(ctx, now), s.store.AddSession(ctx, session)); err != nil {
		return Login{}, err
	}
	s.log.Info("signed in", logging.Action("login"), zap.String("user", u.Name), zap.String("client", r.Address))
	return Login{Token: token, Identity: Identity{
		Username: u.Name, Role: Role(u.Role), SessionID: session.ID, ExpiresAt: session.ExpiresAt,
	}}, nil
}

// Verify says who a token stands for.
//
// Errors: ErrToken, and which of its kinds.
func (s *Service) Verify(ctx context.Context, token string) (Identity, error) {
	claims, err := s.parse(token)
	if err != nil {
		return Identity{}, err
	}
	session, err := s.store.Session(ctx, claims.ID)
	if errors.Is(err, store.ErrNoSession) {
		return Identity{}, ErrTokenEnded
	}
	if err != nil {
		return Identity{}, err
	}
	now := s.now()
	switch {
	case session.User != claims.Username:
		return Identity{}, ErrTokenForged
	case !now.Before(session.ExpiresAt):
		return Identity{}, ErrTokenExpired
	}
	if now.Sub(session.LastUsedAt) >= touchEvery {
		if err := s.store.TouchSession(ctx, session.ID, now); err != nil {
			s.log.Warn("a session's last use could not be noted", logging.Err(err))
		}
	}
	return Identity{
		Username: session.User, Role: Role(session.Role), SessionID: session.ID, ExpiresAt: session.ExpiresAt,
		TwoFAVerified: claims.TwoFAVerified,
	}, nil
}

// Logout ends a session; its token counts no more.
func (s *Service) Logout(ctx context.Context, sessionID string) error {
	return s.store.RemoveSession(ctx, sessionID)
}

func clip(s string, n int) string {
	if runes := []rune(s); len(runes) > n {
		return string(runes[:n])
	}
	return s
}
