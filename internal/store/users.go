package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// What the store doesn't have.
var (
	ErrNoUser    = errors.New("no such user")
	ErrNoSession = errors.New("no such session")
)

// User is somebody who may sign in.
type User struct {
	Name         string
	PasswordHash string // argon2id in PHC string form
	Role         string
	CreatedAt    time.Time
	ChangedAt    time.Time
}

// Session is one sign-in. Its token counts only while this row is there.
type Session struct {
	ID         string
	User       string
	Role       string // the user's, as it is now; not written with the session
	Device     string // what the client calls itself
	Address    string
	CreatedAt  time.Time
	LastUsedAt time.Time
	ExpiresAt  time.Time
}

// AddFirstUser adds the user if there is none at all yet, and says whether it did.
func (s *Store) AddFirstUser(ctx context.Context, u User) (added bool, err error) {
	res, err := s.db.ExecContext(ctx, `INSERT INTO users (name, password_hash, role, created_at, changed_at)
		SELECT ?, ?, ?, ?, ? WHERE NOT EXISTS (SELECT 1 FROM users)`,
		u.Name, u.PasswordHash, u.Role, stamp(u.CreatedAt), stamp(u.ChangedAt))
	if err != nil {
		return false, fmt.Errorf("add user %s: %w", u.Name, err)
	}
	n, err := res.RowsAffected()
	return n == 1, err
}

// HasUsers reports whether anybody may sign in.
func (s *Store) HasUsers(ctx context.Context) (has bool, err error) {
	err = s.db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM users)`).Scan(&has)
	if err != nil {
		return false, fmt.Errorf("read users: %w", err)
	}
	return has, nil
}

// User gives the user of exactly this name.
//
// Errors: ErrNoUser.
func (s *Store) User(ctx context.Context, name string) (User, error) {
	u := User{Name: name}
	var created, changed sql.NullString
	err := s.db.QueryRowContext(ctx, `SELECT password_hash, role, created_at, changed_at FROM users WHERE name = ?`, name).
		Scan(&u.PasswordHash, &u.Role, &created, &changed)
	if errors.Is(err, sql.ErrNoRows) {
		return User{}, fmt.Errorf("%w: %s", ErrNoUser, name)
	}
	if err != nil {
		return User{}, fmt.Errorf("read user %s: %w", name, err)
	}
	return u, readTimes("read user "+name, timeColumn{created, &u.CreatedAt}, timeColumn{changed, &u.ChangedAt})
}

// AddSession puts a session in.
func (s *Store) AddSession(ctx context.Context, x Session) error {
	return s.exec(ctx, "add a session of "+x.User, `INSERT INTO sessions
		(id, user, device, address, created_at, last_used_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?)`,
		x.ID, x.User, x.Device, x.Address, stamp(x.CreatedAt), stamp(x.LastUsedAt), stamp(x.ExpiresAt))
}

// Session gives a session with its user's role.
//
// Errors: ErrNoSession.
func (s *Store) Session(ctx context.Context, id string) (Session, error) {
	x := Session{ID: id}
	var created, used, expires sql.NullString
	err := s.db.QueryRowContext(ctx, `SELECT user, role, device, address, sessions.created_at, last_used_at, expires_at
		FROM sessions JOIN users ON users.name = user WHERE id = ?`, id).
		Scan(&x.User, &x.Role, &x.Device, &x.Address, &created, &used, &expires)
	if errors.Is(err, sql.ErrNoRows) {
		return Session{}, ErrNoSession // its id is half a secret
	}
	if err != nil {
		return Session{}, fmt.Errorf("read a session: %w", err)
	}
	return x, readTimes("read a session of "+x.User,
		timeColumn{created, &x.CreatedAt}, timeColumn{used, &x.LastUsedAt}, timeColumn{expires, &x.ExpiresAt})
}

// TouchSession notes that the session was used.
func (s *Store) TouchSession(ctx context.Context, id string, at time.Time) error {
	return s.exec(ctx, "note the use of a session", `UPDATE sessions SET last_used_at = ? WHERE id = ?`, stamp(at), id)
}

// RemoveSession ends a session; one that isn't there is no error.
func (s *Store) RemoveSession(ctx context.Context, id string) error {
	return s.exec(ctx, "remove a session", `DELETE FROM sessions WHERE id = ?`, id)
}

// PruneSessions removes the sessions that have expired at now.
func (s *Store) PruneSessions(ctx context.Context, now time.Time) error {
	return s.exec(ctx, "remove expired sessions", `DELETE FROM sessions WHERE expires_at <= ?`, stamp(now))
}

// timeColumn is a time as it stands in the database, and where it belongs.
type timeColumn struct {
	text sql.NullString
	into *time.Time
}

func readTimes(doing string, columns ...timeColumn) error {
	for _, c := range columns {
		at, err := parseStamp(c.text)
		if err != nil {
			return fmt.Errorf("%s: %w", doing, err)
		}
		if at != nil {
			*c.into = *at
		}
	}
	return nil
}
