package auth

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"

	"go.uber.org/zap"

	"github.com/watch-docker/watch-docker/internal/logging"
	"github.com/watch-docker/watch-docker/internal/store"
)

// Errors of the first set-up.
var (
	ErrSetUp      = errors.New("somebody has been set up already: sign in")
	ErrSetupToken = errors.New("the set-up token is wrong; the newest one is in the program's log, and changes with every start")
)

// FirstUser makes the first administrator from the configuration, once. If
// there are users already, it changes nothing, and warns if name and password
// are not those of one of them. Without a name, and nobody there, it logs a
// one-time token for Setup.
//
// Errors: ErrName and ErrPassword for a user that can't be made.
func (s *Service) FirstUser(ctx context.Context, name, password string) error {
	has, err := s.store.HasUsers(ctx)
	switch {
	case err != nil:
		return err
	case name == "" && !has:
		s.offerSetup()
		return nil
	case name == "":
		return nil
	case has:
		return s.compareFirstUser(ctx, name, password)
	}
	added, err := s.addFirstUser(ctx, name, password)
	if err != nil {
		return fmt.Errorf("make the first user (USER_NAME, USER_PASSWORD): %w", err)
	}
	if added {
		s.log.Info("made the first user", zap.String("user", name))
	}
	return nil
}

func (s *Service) addFirstUser(ctx context.Context, name, password string) (added bool, err error) {
	u, err := s.newUser(ctx, name, password, Administrator)
	if err != nil {
		return false, err
	}
	return s.store.AddFirstUser(ctx, u)
}

// newUser checks and hashes.
//
// Errors: ErrName, ErrPassword, ErrRole, ErrBusy.
func (s *Service) newUser(ctx context.Context, name, password string, role Role) (store.User, error) {
	if err := errors.Join(checkName(name), CheckPassword(name, password)); err != nil {
		return store.User{}, err
	}
	if role.rank() == 0 {
		return store.User{}, ErrRole
	}
	hash, err := s.passwords.hash(ctx, password)
	now := s.now()
	return store.User{Name: name, PasswordHash: hash, Role: string(role), CreatedAt: now, ChangedAt: now}, err
}

// offerSetup logs the one-time token. It is kept in memory alone: whoever can
// read the log of this start may set up.
func (s *Service) offerSetup() {
	token := newSecret()
	s.setup.Store(&token)
	logging.Unsampled(s.log).Warn("nobody can sign in yet: open the page and give this one-time token, or set USER_NAME and USER_PASSWORD and start again",
		zap.String("setupToken", token))
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
	same, err := s.passwords.matches(ctx, u.PasswordHash, password, true)
	if err == nil && !same {
		s.log.Warn("USER_PASSWORD is ignored: the user has been made already, with another password", zap.String("user", name))
	}
	return err
}

// NeedsSetup reports whether nobody can sign in yet.
func (s *Service) NeedsSetup(ctx context.Context) (bool, error) {
	has, err := s.store.HasUsers(ctx)
	return !has, err
}

// Setup makes the first administrator with the token from the log, and signs
// in.
//
// Errors: ErrSetUp if there is somebody, also if several try at once and
// another was first; ErrSetupToken; ErrName, ErrPassword; *ThrottledError.
func (s *Service) Setup(ctx context.Context, token string, r LoginRequest) (Login, error) {
	guess, err := s.Guess(ctx, GuessSetup, "", r.Client)
	if err != nil {
		return Login{}, err
	}
	needed, err := s.NeedsSetup(ctx)
	if err != nil || !needed {
		guess.Forget()
		return Login{}, errors.Join(err, orNil(!needed, ErrSetUp))
	}
	if !s.isSetupToken(token) {
		return Login{}, ErrSetupToken
	}
	guess.Forget()
	added, err := s.addFirstUser(ctx, r.Username, r.Password)
	if err == nil && !added {
		err = ErrSetUp
	}
	if err != nil {
		return Login{}, err
	}
	s.setup.Store(nil)
	logging.Unsampled(s.log).Info("made the first user", zap.String("user", r.Username), zap.String("client", r.Address))
	u, err := s.store.User(ctx, r.Username)
	if err != nil {
		return Login{}, err
	}
	return s.begin(ctx, u, r.Client)
}

func (s *Service) isSetupToken(token string) bool {
	want := s.setup.Load()
	if want == nil {
		return false
	}
	got, right := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(*want))
	return subtle.ConstantTimeCompare(got[:], right[:]) == 1
}

func orNil(is bool, err error) error {
	if is {
		return err
	}
	return nil
}
