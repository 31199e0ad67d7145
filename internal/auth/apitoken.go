package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/watch-docker/watch-docker/internal/logging"
	"github.com/watch-docker/watch-docker/internal/store"
)

const (
	// apiTokenPrefix tells an API token from a session's, and tells those who
	// look for leaked secrets whose it is.
	apiTokenPrefix = "wdt_"
	apiTokensKept  = 50 // by user
)

// ErrTooManyTokens says that a user has as many API tokens as there may be.
var ErrTooManyTokens = fmt.Errorf("a user has at most %d API tokens; remove one first", apiTokensKept)

// Scope is what an API token may do.
type Scope string

// The scopes; each covers what a role does.
const (
	Read    Scope = "read"
	Operate Scope = "operate"
	Admin   Scope = "admin"
)

// Role is the role that the scope covers; "" for one that there isn't.
func (s Scope) Role() Role {
	return map[Scope]Role{Read: Viewer, Operate: Operator, Admin: Administrator}[s]
}

// APIToken is a program's way in.
type APIToken = store.APIToken

// MakeToken makes an API token: at most what its user may, and shown once.
//
// Errors: ErrScope, ErrTooManyTokens.
func (s *Service) MakeToken(ctx context.Context, id Identity, name string, scope Scope, expires *time.Time) (made APIToken, token string, err error) {
	if !id.Role.Covers(scope.Role()) {
		return APIToken{}, "", ErrScope
	}
	token = apiTokenPrefix + newSecret()
	hash := sha256.Sum256([]byte(token))
	made = APIToken{
		ID: newSessionID(), User: id.Username, Role: string(id.Role), Name: name, Scope: string(scope), Hash: hash[:],
		CreatedAt: s.now(), ExpiresAt: expires,
	}
	added, err := s.store.AddAPIToken(ctx, made, apiTokensKept)
	if err == nil && !added {
		err = ErrTooManyTokens
	}
	if err != nil {
		return APIToken{}, "", err
	}
	return made, token, nil
}

// ErrScope says that a token would do more than its user may.
var ErrScope = errors.New("a token's scope is read, operate or admin, and at most what your role may do")

// Tokens gives a user's API tokens, newest first.
func (s *Service) Tokens(ctx context.Context, user string) ([]APIToken, error) {
	return s.store.APITokens(ctx, user)
}

// RemoveToken ends a user's API token.
//
// Errors: store.ErrNoToken.
func (s *Service) RemoveToken(ctx context.Context, user, id string) error {
	if err := s.store.RemoveAPIToken(ctx, user, id); err != nil {
		return err
	}
	s.endings.end(id)
	return nil
}

// verifyAPIToken says who an API token stands for: its user as it is now,
// within its scope.
func (s *Service) verifyAPIToken(ctx context.Context, token string) (Identity, error) {
	hash := sha256.Sum256([]byte(token))
	t, err := s.store.APIToken(ctx, hash[:])
	if errors.Is(err, store.ErrNoToken) {
		return Identity{}, ErrTokenEnded
	}
	if err != nil {
		return Identity{}, err
	}
	now := s.now()
	if t.ExpiresAt != nil && !now.Before(*t.ExpiresAt) {
		return Identity{}, ErrTokenExpired
	}
	if t.LastUsedAt == nil || now.Sub(*t.LastUsedAt) >= touchEvery {
		if err := s.store.TouchAPIToken(ctx, t.ID, now); err != nil {
			s.log.Warn("an API token's last use could not be noted", logging.Err(err))
		}
	}
	role := Scope(t.Scope).Role()
	if role.Covers(Role(t.Role)) {
		role = Role(t.Role)
	}
	id := Identity{Username: t.User, Role: role, SessionID: t.ID, APIToken: t.Name}
	if t.ExpiresAt != nil {
		id.ExpiresAt = *t.ExpiresAt
	}
	return id, nil
}

func isAPIToken(token string) bool { return strings.HasPrefix(token, apiTokenPrefix) }
