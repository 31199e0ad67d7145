package auth

import (
	"context"
	"errors"

	"github.com/watch-docker/watch-docker/internal/logging"
	"github.com/watch-docker/watch-docker/internal/store"
)

// Session is one sign-in.
type Session = store.Session

func identityOf(x store.Session) Identity {
	return Identity{
		Username: x.User, Role: Role(x.Role), SessionID: x.ID, ExpiresAt: x.ExpiresAt,
		TwoFAVerified: x.Verified, Temporary: x.Temporary, HasFactor: x.HasFactor, ElevatedUntil: x.ElevatedUntil,
	}
}

// Verify says who a token stands for.
//
// Errors: ErrToken, and which of its kinds; ErrSecondFactor for a full session
// without a second factor whose user has one by now, or must have one.
func (s *Service) Verify(ctx context.Context, token string) (Identity, error) {
	if isAPIToken(token) {
		return s.verifyAPIToken(ctx, token)
	}
	claims, err := s.parse(token)
	if err != nil {
		return Identity{}, err
	}
	x, err := s.store.Session(ctx, claims.ID)
	if err != nil {
		return Identity{}, ended(err)
	}
	now := s.now()
	switch {
	case x.User != claims.Username, x.Temporary != claims.IsTempToken:
		return Identity{}, ErrTokenForged
	case !now.Before(x.ExpiresAt):
		return Identity{}, ErrTokenExpired
	case !x.Temporary && !x.Verified && (x.HasFactor || s.required()):
		return Identity{}, ErrSecondFactor
	}
	if now.Sub(x.LastUsedAt) >= touchEvery {
		if err := s.store.TouchSession(ctx, x.ID, now); err != nil {
			s.log.Warn("a session's last use could not be noted", logging.Err(err))
		}
	}
	return identityOf(x), nil
}

// IsFresh reports whether a session's user has proved of late to be there.
func (s *Service) IsFresh(id Identity) bool {
	return id.APIToken == "" && !id.Temporary && s.now().Before(id.ElevatedUntil)
}

// Logout ends a session; its token counts no more.
func (s *Service) Logout(ctx context.Context, sessionID string) error {
	if err := s.store.RemoveSession(ctx, sessionID); err != nil {
		return err
	}
	s.endings.end(sessionID)
	return nil
}

// Sessions gives a user's, the one used last first.
func (s *Service) Sessions(ctx context.Context, user string) ([]Session, error) {
	all, err := s.store.Sessions(ctx, user)
	now := s.now()
	current := make([]Session, 0, len(all))
	for _, x := range all {
		if now.Before(x.ExpiresAt) {
			current = append(current, x)
		}
	}
	return current, err
}

// EndSession ends one of a user's sessions.
//
// Errors: store.ErrNoSession.
func (s *Service) EndSession(ctx context.Context, user, id string) error {
	if err := s.store.RemoveSessionOf(ctx, user, id); err != nil {
		return err
	}
	s.endings.end(id)
	return nil
}

// EndSessions ends all sessions of a user, or with "" everybody's, and tells
// how many.
func (s *Service) EndSessions(ctx context.Context, user string) (int, error) {
	gone, err := s.store.RemoveSessions(ctx, user)
	s.endings.end(gone...)
	return len(gone), err
}

// ErrUseFactor says that a user with a second factor has to give that, and not
// the password.
var ErrUseFactor = errors.New("give the second factor instead of the password")
