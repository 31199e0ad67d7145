package auth

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/watch-docker/watch-docker/internal/logging"
	"github.com/watch-docker/watch-docker/internal/store"
)

// Client is where somebody comes from.
type Client struct {
	Address   string // as far as it can be trusted; "" if unknown
	Device    string // what it calls itself
	DeviceKey string // what an earlier sign-in gave it to keep; "" for none
}

// LoginRequest is somebody who wants to sign in.
type LoginRequest struct {
	Client

	Username string
	Password string
}

// Login is a sign-in that worked. It is Temporary if a second factor is still
// missing.
type Login struct {
	Identity

	Token     string
	DeviceKey string // for the client to keep; "" with a temporary one
}

// CredentialsError is ErrCredentials that also says, to us alone, whether
// there is such a user.
type CredentialsError struct{ KnownUser bool }

func (e *CredentialsError) Error() string { return ErrCredentials.Error() }

// Is makes it an ErrCredentials.
func (e *CredentialsError) Is(target error) bool { return target == ErrCredentials }

// Login checks the password and begins a session: a temporary one if the user
// has a second factor, or must have one.
//
// Errors: ErrCredentials (a *CredentialsError); *ThrottledError if there were
// too many attempts for this account or from this network; ErrBusy.
func (s *Service) Login(ctx context.Context, r LoginRequest) (Login, error) {
	u, err := s.checkPassword(ctx, r)
	if err != nil {
		return Login{}, err
	}
	return s.begin(ctx, u, r.Client)
}

// checkPassword gives the user whose password it is.
func (s *Service) checkPassword(ctx context.Context, r LoginRequest) (store.User, error) {
	device := s.device(ctx, r.Username, r.DeviceKey)
	guess, err := s.guesses.begin(GuessRequest{Kind: GuessPassword, Account: r.Username, Address: r.Address, Device: device})
	if err != nil {
		return store.User{}, err
	}
	u, known, err := s.lookUp(ctx, r.Username)
	if err != nil {
		guess.Forget()
		return store.User{}, err
	}
	// An unknown name costs the same time as a known one, so that names can't be told by it.
	matches, err := s.passwords.matches(ctx, u.PasswordHash, r.Password, device != "")
	if err != nil {
		guess.Forget()
		return store.User{}, err
	}
	if !matches || !known {
		s.log.Warn("a password was wrong", logging.Action("login"), zap.String("client", r.Address), zap.Bool("knownUser", known))
		return store.User{}, &CredentialsError{KnownUser: known}
	}
	guess.Right()
	return u, nil
}

// lookUp gives the user; for an unknown name, one whose password nobody knows.
func (s *Service) lookUp(ctx context.Context, name string) (u store.User, known bool, err error) {
	u, err = s.store.User(ctx, name)
	if errors.Is(err, store.ErrNoUser) {
		return store.User{PasswordHash: s.passwords.nobodys}, false, nil
	}
	return u, err == nil, err
}

// LoginVerified begins a full session for a user who has given both factors at
// once, with a passkey that verified them.
//
// Errors: store.ErrNoUser.
func (s *Service) LoginVerified(ctx context.Context, user string, from Client) (Login, error) {
	u, err := s.store.User(ctx, user)
	if err != nil {
		return Login{}, err
	}
	x := s.newSession(u.Name, from, true)
	if err := s.store.AddSession(ctx, x); err != nil {
		return Login{}, err
	}
	return s.signedIn(ctx, u, x, from)
}

// begin begins a session after a password.
func (s *Service) begin(ctx context.Context, u store.User, from Client) (Login, error) {
	x := s.newSession(u.Name, from, false)
	if u.HasFactor || s.required() {
		x.Temporary, x.ElevatedUntil = true, time.Time{}
		x.ExpiresAt = x.CreatedAt.Add(TempTokenLife).Truncate(time.Second)
	}
	if err := s.store.PruneSessions(ctx, x.CreatedAt); err != nil {
		return Login{}, err
	}
	// Checking the password took its time: it may be another by now, and what
	// there was of sessions has been ended then.
	added, err := s.store.AddSessionFor(ctx, x, u.PasswordHash)
	if err == nil && !added {
		err = &CredentialsError{KnownUser: true}
	}
	if err != nil {
		return Login{}, err
	}
	return s.signedIn(ctx, u, x, from)
}

// newSession is a full one, which is a fresh proof itself.
func (s *Service) newSession(user string, from Client, verified bool) store.Session {
	now := s.now()
	return store.Session{
		ID: newSessionID(), User: user, Verified: verified, Device: clip(from.Device, 200), Address: from.Address,
		CreatedAt: now, LastUsedAt: now, ExpiresAt: now.Add(TokenLife).Truncate(time.Second), ElevatedUntil: now.Add(FreshFor),
	}
}

// signedIn gives the token of a session that has been stored.
func (s *Service) signedIn(ctx context.Context, u store.User, x store.Session, from Client) (Login, error) {
	token, err := s.sign(x)
	if err != nil {
		return Login{}, err
	}
	x.Role, x.HasFactor = u.Role, u.HasFactor
	login := Login{Identity: identityOf(x), Token: token}
	if !x.Temporary {
		login.DeviceKey = s.knowDevice(ctx, u.Name, from.DeviceKey)
		s.log.Info("signed in", logging.Action("login"), zap.String("user", u.Name), zap.String("client", from.Address), zap.Bool("secondFactor", x.Verified))
	}
	return login, nil
}

// Upgrade gives a full session for a second factor that was right: a temporary
// one is spent, once; a full one is elevated.
//
// Errors: ErrTokenEnded if the session is gone, or was spent by another.
func (s *Service) Upgrade(ctx context.Context, id Identity, from Client) (Login, error) {
	u, err := s.store.User(ctx, id.Username)
	if err != nil {
		return Login{}, ended(err)
	}
	if !id.Temporary {
		return s.elevated(ctx, u, id)
	}
	x := s.newSession(u.Name, from, true)
	if err := s.store.ReplaceSession(ctx, id.SessionID, x); err != nil {
		return Login{}, ended(err)
	}
	s.endings.end(id.SessionID)
	return s.signedIn(ctx, u, x, from)
}

func (s *Service) elevated(ctx context.Context, u store.User, id Identity) (Login, error) {
	if _, err := s.Elevate(ctx, id, u.HasFactor); err != nil {
		return Login{}, err
	}
	x, err := s.store.Session(ctx, id.SessionID)
	if err != nil {
		return Login{}, ended(err)
	}
	token, err := s.sign(x)
	return Login{Identity: identityOf(x), Token: token}, err
}

// Elevate notes that the user of a full session has proved to be there, with a
// second factor or, if verified is false, with the password.
//
// Errors: ErrTokenEnded.
func (s *Service) Elevate(ctx context.Context, id Identity, verified bool) (until time.Time, err error) {
	until = s.now().Add(FreshFor)
	return until, ended(s.store.ElevateSession(ctx, id.SessionID, until, verified))
}

// FactorChanged ends all sessions of a user whose second factors were changed,
// and begins a new one in place of the asking one. verified says whether a
// second factor was given in it.
//
// Errors: ErrTokenEnded if the user or the asking session is gone.
func (s *Service) FactorChanged(ctx context.Context, id Identity, verified bool, from Client) (Login, error) {
	u, err := s.store.User(ctx, id.Username)
	if err != nil {
		return Login{}, ended(err)
	}
	return s.renew(ctx, u, id, s.newSession(u.Name, from, verified), from)
}

// renew puts a session in the place of all of the user's.
func (s *Service) renew(ctx context.Context, u store.User, id Identity, x store.Session, from Client) (Login, error) {
	gone, err := s.store.ReplaceSessions(ctx, id.SessionID, x)
	if err != nil {
		return Login{}, ended(err)
	}
	s.endings.end(gone...)
	return s.signedIn(ctx, u, x, from)
}

func ended(err error) error {
	if errors.Is(err, store.ErrNoSession) || errors.Is(err, store.ErrNoUser) {
		return ErrTokenEnded
	}
	return err
}
