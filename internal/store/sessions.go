package store

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"
)

// ErrNoSession says that a session isn't there, or no more.
var ErrNoSession = errors.New("no such session")

// Session is one sign-in. Its token counts only while this row is there.
type Session struct {
	ID            string
	User          string
	Role          string // the user's, as it is now; not written with the session
	HasFactor     bool   // of the user; not written with the session
	Temporary     bool   // waits for a second factor
	Verified      bool   // a second factor was given
	ElevatedUntil time.Time
	Device        string // what the client calls itself
	Address       string
	CreatedAt     time.Time
	LastUsedAt    time.Time
	ExpiresAt     time.Time
}

// AddSession puts a session in.
func (s *Store) AddSession(ctx context.Context, x Session) error {
	return s.tx(ctx, "add a session of "+x.User, func(tx *sql.Tx) error { return addSession(ctx, tx, x) })
}

// AddSessionFor puts a session in if the hash is still the one of its user's
// password, and says whether it did.
func (s *Store) AddSessionFor(ctx context.Context, x Session, passwordHash string) (added bool, err error) {
	err = s.tx(ctx, "add a session of "+x.User, func(tx *sql.Tx) error {
		err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM users WHERE name = ? AND password_hash = ?)`, x.User, passwordHash).Scan(&added)
		if err != nil || !added {
			return err
		}
		return addSession(ctx, tx, x)
	})
	return added, err
}

func addSession(ctx context.Context, tx *sql.Tx, x Session) error {
	var elevated any
	if !x.ElevatedUntil.IsZero() {
		elevated = stamp(x.ElevatedUntil)
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO sessions
		(id, user, temporary, verified, elevated_until, device, address, created_at, last_used_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		x.ID, x.User, x.Temporary, x.Verified, elevated, x.Device, x.Address, stamp(x.CreatedAt), stamp(x.LastUsedAt), stamp(x.ExpiresAt))
	return err
}

// Session gives a session with its user's role.
//
// Errors: ErrNoSession.
func (s *Store) Session(ctx context.Context, id string) (Session, error) {
	all, err := s.sessions(ctx, `id = ?`, id)
	if err != nil {
		return Session{}, err
	}
	if len(all) == 0 {
		return Session{}, ErrNoSession // its id is half a secret
	}
	return all[0], nil
}

// Sessions gives a user's, the one used last first. Temporary ones are left out.
func (s *Store) Sessions(ctx context.Context, user string) ([]Session, error) {
	return s.sessions(ctx, `user = ? AND NOT temporary ORDER BY last_used_at DESC, id`, user)
}

func (s *Store) sessions(ctx context.Context, where string, args ...any) (all []Session, err error) {
	err = s.each(ctx, "read sessions", func(rows *sql.Rows) error {
		var x Session
		var elevated, created, used, expires sql.NullString
		err := rows.Scan(&x.ID, &x.User, &x.Role, &x.HasFactor, &x.Temporary, &x.Verified, &elevated, &x.Device, &x.Address, &created, &used, &expires)
		if err != nil {
			return err
		}
		err = readTimes("a session of "+x.User, timeColumn{elevated, &x.ElevatedUntil},
			timeColumn{created, &x.CreatedAt}, timeColumn{used, &x.LastUsedAt}, timeColumn{expires, &x.ExpiresAt})
		all = append(all, x)
		return err
	}, `SELECT id, user, role, EXISTS (SELECT 1 FROM totp WHERE totp.user = sessions.user) OR EXISTS (SELECT 1 FROM passkeys WHERE passkeys.user = sessions.user),
		temporary, verified, elevated_until, device, address, sessions.created_at, last_used_at, expires_at
		FROM sessions JOIN users ON users.name = user WHERE `+where, args...)
	return all, err
}

// TouchSession notes that the session was used.
func (s *Store) TouchSession(ctx context.Context, id string, at time.Time) error {
	return s.exec(ctx, "note the use of a session", `UPDATE sessions SET last_used_at = ? WHERE id = ?`, stamp(at), id)
}

// ElevateSession notes that its user has just proved to be there.
//
// Errors: ErrNoSession.
func (s *Store) ElevateSession(ctx context.Context, id string, until time.Time, verified bool) error {
	n, err := s.changed(ctx, "elevate a session", `UPDATE sessions SET elevated_until = ?, verified = verified OR ? WHERE id = ? AND NOT temporary`,
		stamp(until), verified, id)
	if err == nil && n == 0 {
		err = ErrNoSession
	}
	return err
}

// ReplaceSession puts a session in the place of another: one of several that
// try at once.
//
// Errors: ErrNoSession if the old one is gone.
func (s *Store) ReplaceSession(ctx context.Context, old string, x Session) error {
	return s.tx(ctx, "replace a session of "+x.User, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `DELETE FROM sessions WHERE id = ? AND user = ?`, old, x.User)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return errors.Join(ErrNoSession, err)
		}
		return addSession(ctx, tx, x)
	})
}

// ReplaceSessions puts a session in the place of all that the user has, and
// gives the ids of those; old is the one that asks.
//
// Errors: ErrNoSession if that is gone.
func (s *Store) ReplaceSessions(ctx context.Context, old string, x Session) (ended []string, err error) {
	err = s.tx(ctx, "replace the sessions of "+x.User, func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, `DELETE FROM sessions WHERE user = ? RETURNING id`, x.User)
		if err != nil {
			return err
		}
		if ended, err = identifiers(rows); err != nil {
			return err
		}
		if !slices.Contains(ended, old) {
			return ErrNoSession
		}
		return addSession(ctx, tx, x)
	})
	return ended, err
}

// RemoveSession ends a session; one that isn't there is no error.
func (s *Store) RemoveSession(ctx context.Context, id string) error {
	return s.exec(ctx, "remove a session", `DELETE FROM sessions WHERE id = ?`, id)
}

// RemoveSessionOf ends a user's session.
//
// Errors: ErrNoSession.
func (s *Store) RemoveSessionOf(ctx context.Context, user, id string) error {
	n, err := s.changed(ctx, "remove a session of "+user, `DELETE FROM sessions WHERE id = ? AND user = ?`, id, user)
	if err == nil && n == 0 {
		err = ErrNoSession
	}
	return err
}

// RemoveSessions ends all sessions of a user, and gives their ids; "" is everybody.
func (s *Store) RemoveSessions(ctx context.Context, user string) (ended []string, err error) {
	err = s.each(ctx, "remove sessions", func(rows *sql.Rows) error {
		var id string
		err := rows.Scan(&id)
		ended = append(ended, id)
		return err
	}, `DELETE FROM sessions WHERE ? IN ('', user) RETURNING id`, user)
	return ended, err
}

// PruneSessions removes the sessions that have expired at now.
func (s *Store) PruneSessions(ctx context.Context, now time.Time) error {
	return s.exec(ctx, "remove expired sessions", `DELETE FROM sessions WHERE expires_at <= ?`, stamp(now))
}

func identifiers(rows *sql.Rows) (ids []string, err error) {
	defer rows.Close() //nolint:errcheck // rows.Err tells
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}
