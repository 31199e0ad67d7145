package store

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// ErrNoToken says that an API token isn't there, or no more.
var ErrNoToken = errors.New("no such API token")

// APIToken is a program's way in, in its user's name.
type APIToken struct {
	ID         string
	User       string
	Role       string // the user's, as it is now; not written with the token
	Name       string
	Scope      string
	Hash       []byte // SHA-256 of the token
	CreatedAt  time.Time
	LastUsedAt *time.Time
	ExpiresAt  *time.Time // nil: never
}

// AddAPIToken puts one in, unless the user has limit of them already.
func (s *Store) AddAPIToken(ctx context.Context, t APIToken, limit int) (added bool, err error) {
	n, err := s.changed(ctx, "add an API token of "+t.User, `INSERT INTO api_tokens (id, user, name, scope, hash, created_at, expires_at)
		SELECT ?, ?, ?, ?, ?, ?, ? WHERE (SELECT COUNT(*) FROM api_tokens WHERE user = ?) < ?`,
		t.ID, t.User, t.Name, t.Scope, t.Hash, stamp(t.CreatedAt), stampOrNull(t.ExpiresAt), t.User, limit)
	return n == 1, err
}

// APIToken gives the token of this hash.
//
// Errors: ErrNoToken.
func (s *Store) APIToken(ctx context.Context, hash []byte) (APIToken, error) {
	return s.apiToken(ctx, `hash = ?`, hash)
}

// APITokenByID gives the token of this id.
//
// Errors: ErrNoToken.
func (s *Store) APITokenByID(ctx context.Context, id string) (APIToken, error) {
	return s.apiToken(ctx, `id = ?`, id)
}

func (s *Store) apiToken(ctx context.Context, where string, arg any) (APIToken, error) {
	all, err := s.apiTokens(ctx, where, arg)
	if err == nil && len(all) == 0 {
		err = ErrNoToken
	}
	if err != nil {
		return APIToken{}, err
	}
	return all[0], nil
}

// APITokens gives a user's, newest first.
func (s *Store) APITokens(ctx context.Context, user string) ([]APIToken, error) {
	return s.apiTokens(ctx, `user = ? ORDER BY api_tokens.created_at DESC, id`, user)
}

func (s *Store) apiTokens(ctx context.Context, where string, args ...any) (all []APIToken, err error) {
	err = s.each(ctx, "read API tokens", func(rows *sql.Rows) error {
		var t APIToken
		var created, used, expires sql.NullString
		if err := rows.Scan(&t.ID, &t.User, &t.Role, &t.Name, &t.Scope, &t.Hash, &created, &used, &expires); err != nil {
			return err
		}
		var errs [2]error
		t.LastUsedAt, errs[0] = parseStamp(used)
		t.ExpiresAt, errs[1] = parseStamp(expires)
		err := errors.Join(errs[0], errs[1], readTimes("an API token of "+t.User, timeColumn{created, &t.CreatedAt}))
		all = append(all, t)
		return err
	}, `SELECT id, user, role, api_tokens.name, scope, hash, api_tokens.created_at, last_used_at, expires_at
		FROM api_tokens JOIN users ON users.name = user WHERE `+where, args...)
	return all, err
}

// TouchAPIToken notes that the token was used.
func (s *Store) TouchAPIToken(ctx context.Context, id string, at time.Time) error {
	return s.exec(ctx, "note the use of an API token", `UPDATE api_tokens SET last_used_at = ? WHERE id = ?`, stamp(at), id)
}

// RemoveAPIToken ends a user's token.
//
// Errors: ErrNoToken.
func (s *Store) RemoveAPIToken(ctx context.Context, user, id string) error {
	n, err := s.changed(ctx, "remove an API token of "+user, `DELETE FROM api_tokens WHERE id = ? AND user = ?`, id, user)
	if err == nil && n == 0 {
		err = ErrNoToken
	}
	return err
}
