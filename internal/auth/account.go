package auth

import (
	"context"
	"time"

	"github.com/watch-docker/watch-docker/internal/store"
)

// User is somebody who may sign in.
type User = store.User

// ChangePassword gives the user a new password, ends all of their sessions and
// begins a new one. Their devices are strangers again.
//
// Errors: ErrCredentials for a wrong current one, *ThrottledError, ErrPassword,
// ErrBusy.
func (s *Service) ChangePassword(ctx context.Context, id Identity, current, password string, from Client) (Login, error) {
	u, err := s.checkPassword(ctx, LoginRequest{Client: from, Username: id.Username, Password: current})
	if err != nil {
		return Login{}, err
	}
	hash, err := s.newHash(ctx, u.Name, password)
	if err != nil {
		return Login{}, err
	}
	ctx = context.WithoutCancel(ctx) // from here on all of it is done
	replaced, err := s.store.ReplacePassword(ctx, u.Name, u.PasswordHash, hash)
	if err == nil && !replaced { // it has been changed while this one was hashed
		err = &CredentialsError{KnownUser: true}
	}
	if err != nil {
		return Login{}, err
	}
	if err := s.store.ForgetDevices(ctx, u.Name); err != nil {
		return Login{}, err
	}
	from.DeviceKey = ""
	x := s.newSession(u.Name, from, id.TwoFAVerified)
	if u.HasFactor { // a password is no proof then
		x.ElevatedUntil = id.ElevatedUntil
	}
	return s.renew(ctx, u, id, x, from)
}

// SetPassword gives a user a new password and ends all of their sessions. Their
// devices are strangers again.
//
// Errors: store.ErrNoUser, ErrPassword, ErrBusy.
func (s *Service) SetPassword(ctx context.Context, name, password string) (sessions int, err error) {
	if _, err := s.store.User(ctx, name); err != nil {
		return 0, err
	}
	hash, err := s.newHash(ctx, name, password)
	if err != nil {
		return 0, err
	}
	ctx = context.WithoutCancel(ctx) // from here on all of it is done
	if err := s.store.SetPassword(ctx, name, hash); err != nil {
		return 0, err
	}
	if err := s.store.ForgetDevices(ctx, name); err != nil {
		return 0, err
	}
	return s.EndSessions(ctx, name)
}

func (s *Service) newHash(ctx context.Context, name, password string) (string, error) {
	if err := CheckPassword(name, password); err != nil {
		return "", err
	}
	return s.passwords.hash(ctx, password)
}

// StepUpPassword elevates the session of a user without a second factor.
//
// Errors: ErrUseFactor, ErrCredentials, *ThrottledError, ErrBusy, ErrTokenEnded.
func (s *Service) StepUpPassword(ctx context.Context, id Identity, password string, from Client) (until time.Time, err error) {
	if id.HasFactor {
		return until, ErrUseFactor
	}
	u, err := s.checkPassword(ctx, LoginRequest{Client: from, Username: id.Username, Password: password})
	if err != nil {
		return until, err
	}
	if u.HasFactor {
		return until, ErrUseFactor
	}
	return s.Elevate(ctx, id, false)
}

// Users gives all of them, by name.
func (s *Service) Users(ctx context.Context) ([]User, error) { return s.store.Users(ctx) }

// AddUser adds one.
//
// Errors: ErrName, ErrPassword, ErrRole, store.ErrUserExists, ErrBusy.
func (s *Service) AddUser(ctx context.Context, name, password string, role Role) (User, error) {
	u, err := s.newUser(ctx, name, password, role)
	if err != nil {
		return User{}, err
	}
	return u, s.store.AddUser(ctx, u)
}

// SetRole changes what a user may do, from now on, and ends their sessions, so
// that nothing opened before goes on.
//
// Errors: ErrRole, store.ErrNoUser, store.ErrLastAdmin.
func (s *Service) SetRole(ctx context.Context, name string, role Role) error {
	if role.rank() == 0 {
		return ErrRole
	}
	ctx = context.WithoutCancel(ctx) // the sessions end also if whoever asked is gone
	if err := s.store.SetRole(ctx, name, string(role)); err != nil {
		return err
	}
	return s.endAll(ctx, name)
}

// RemoveUser removes a user with sessions, tokens and factors.
//
// Errors: store.ErrNoUser, store.ErrLastAdmin.
func (s *Service) RemoveUser(ctx context.Context, name string) error {
	tokens, err := s.store.APITokens(ctx, name)
	if err != nil {
		return err
	}
	sessions, err := s.store.Sessions(ctx, name)
	if err != nil {
		return err
	}
	if err := s.store.RemoveUser(ctx, name); err != nil {
		return err
	}
	for _, x := range sessions {
		s.endings.end(x.ID)
	}
	for _, t := range tokens {
		s.endings.end(t.ID)
	}
	return nil
}

// endAll ends sessions, and what API tokens have open.
func (s *Service) endAll(ctx context.Context, user string) error {
	if _, err := s.EndSessions(ctx, user); err != nil {
		return err
	}
	tokens, err := s.store.APITokens(ctx, user)
	for _, t := range tokens {
		s.endings.end(t.ID)
	}
	return err
}
