package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// What the store says about users.
var (
	ErrNoUser     = errors.New("no such user")
	ErrUserExists = errors.New("there is a user of this name already")
	// ErrLastAdmin: without one, nobody could manage anything.
	ErrLastAdmin = errors.New("the last administrator stays one")
)

// roleAdmin is the role that somebody must have; see auth.Administrator.
const roleAdmin = "admin"

// User is somebody who may sign in.
type User struct {
	Name         string
	PasswordHash string // argon2id in PHC string form
	Role         string
	HasFactor    bool // a second factor of any kind; not written with the user
	CreatedAt    time.Time
	ChangedAt    time.Time
}

const userColumns = `name, password_hash, role, created_at, changed_at,
	EXISTS (SELECT 1 FROM totp WHERE totp.user = users.name) OR EXISTS (SELECT 1 FROM passkeys WHERE passkeys.user = users.name)`

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
	all, err := s.users(ctx, `WHERE name = ?`, name)
	if err == nil && len(all) == 0 {
		err = fmt.Errorf("%w: %s", ErrNoUser, name)
	}
	if err != nil {
		return User{}, err
	}
	return all[0], nil
}

// Users gives all of them, by name.
func (s *Store) Users(ctx context.Context) ([]User, error) {
	return s.users(ctx, `ORDER BY name`)
}

func (s *Store) users(ctx context.Context, where string, args ...any) (all []User, err error) {
	err = s.each(ctx, "read users", func(rows *sql.Rows) error {
		var u User
		var created, changed sql.NullString
		if err := rows.Scan(&u.Name, &u.PasswordHash, &u.Role, &created, &changed, &u.HasFactor); err != nil {
			return err
		}
		all = append(all, u)
		last := &all[len(all)-1]
		return readTimes("user "+u.Name, timeColumn{created, &last.CreatedAt}, timeColumn{changed, &last.ChangedAt})
	}, `SELECT `+userColumns+` FROM users `+where, args...)
	return all, err
}

// AddUser adds one.
//
// Errors: ErrUserExists.
func (s *Store) AddUser(ctx context.Context, u User) error {
	n, err := s.changed(ctx, "add user "+u.Name, `INSERT INTO users (name, password_hash, role, created_at, changed_at)
		VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`, u.Name, u.PasswordHash, u.Role, stamp(u.CreatedAt), stamp(u.ChangedAt))
	if err == nil && n == 0 {
		err = fmt.Errorf("%w: %s", ErrUserExists, u.Name)
	}
	return err
}

// SetPassword changes the hash of a user's password.
//
// Errors: ErrNoUser.
func (s *Store) SetPassword(ctx context.Context, name, hash string) error {
	n, err := s.changed(ctx, "change the password of "+name, `UPDATE users SET password_hash = ?, changed_at = ? WHERE name = ?`, hash, stamp(s.now()), name)
	if err == nil && n == 0 {
		err = fmt.Errorf("%w: %s", ErrNoUser, name)
	}
	return err
}

// ReplacePassword changes the hash of a user's password if it is still the old
// one, and says whether it did.
func (s *Store) ReplacePassword(ctx context.Context, name, old, hash string) (replaced bool, err error) {
	n, err := s.changed(ctx, "change the password of "+name, `UPDATE users SET password_hash = ?, changed_at = ?
		WHERE name = ? AND password_hash = ?`, hash, stamp(s.now()), name, old)
	return n == 1, err
}

// isLastAdmin is true of the only administrator there is.
const isLastAdmin = `(role = '` + roleAdmin + `' AND (SELECT COUNT(*) FROM users WHERE role = '` + roleAdmin + `') = 1)`

// SetRole changes a user's role.
//
// Errors: ErrNoUser, ErrLastAdmin.
func (s *Store) SetRole(ctx context.Context, name, role string) error {
	n, err := s.changed(ctx, "change the role of "+name, `UPDATE users SET role = ?, changed_at = ?
		WHERE name = ? AND (? = '`+roleAdmin+`' OR NOT `+isLastAdmin+`)`, role, stamp(s.now()), name, role)
	return s.orLastAdmin(ctx, name, n, err)
}

// RemoveUser removes a user with all that belongs to it.
//
// Errors: ErrNoUser, ErrLastAdmin.
func (s *Store) RemoveUser(ctx context.Context, name string) error {
	n, err := s.changed(ctx, "remove user "+name, `DELETE FROM users WHERE name = ? AND NOT `+isLastAdmin, name)
	return s.orLastAdmin(ctx, name, n, err)
}

func (s *Store) orLastAdmin(ctx context.Context, name string, changed int64, err error) error {
	if err != nil || changed > 0 {
		return err
	}
	if _, err := s.User(ctx, name); err != nil {
		return err
	}
	return fmt.Errorf("%w: %s", ErrLastAdmin, name)
}

// changed is exec that tells how many rows it was about.
func (s *Store) changed(ctx context.Context, doing, statement string, args ...any) (int64, error) {
	res, err := s.db.ExecContext(ctx, statement, args...)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", doing, err)
	}
	return res.RowsAffected()
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
