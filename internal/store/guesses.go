package store

import (
	"context"
	"database/sql"
	"time"
)

// Guesses are how often somebody, or somebody's account, was wrong of late.
type Guesses struct {
	Kind     string
	Name     string
	Failures int
	LastAt   time.Time
	Until    time.Time // no guess before
}

// Guesses gives all of them.
func (s *Store) Guesses(ctx context.Context) (all []Guesses, err error) {
	err = s.each(ctx, "read guesses", func(rows *sql.Rows) error {
		var g Guesses
		var last, until sql.NullString
		if err := rows.Scan(&g.Kind, &g.Name, &g.Failures, &last, &until); err != nil {
			return err
		}
		err := readTimes("guesses", timeColumn{last, &g.LastAt}, timeColumn{until, &g.Until})
		all = append(all, g)
		return err
	}, `SELECT kind, name, failures, last_at, until FROM guesses`)
	return all, err
}

// SaveGuesses writes them; those without a failure are removed.
func (s *Store) SaveGuesses(ctx context.Context, changed []Guesses) error {
	return s.tx(ctx, "save guesses", func(tx *sql.Tx) error {
		for _, g := range changed {
			if g.Failures <= 0 {
				if _, err := tx.ExecContext(ctx, `DELETE FROM guesses WHERE kind = ? AND name = ?`, g.Kind, g.Name); err != nil {
					return err
				}
				continue
			}
			_, err := tx.ExecContext(ctx, `INSERT INTO guesses VALUES (?, ?, ?, ?, ?)
				ON CONFLICT DO UPDATE SET failures = excluded.failures, last_at = excluded.last_at, until = excluded.until`,
				g.Kind, g.Name, g.Failures, stamp(g.LastAt), stamp(g.Until))
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// KnowDevice notes that the user has signed in with a device: the newest keep
// of a user's are kept.
func (s *Store) KnowDevice(ctx context.Context, user string, hash []byte, keep int) error {
	now := stamp(s.now())
	return s.tx(ctx, "note a device of "+user, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO devices VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET last_used_at = excluded.last_used_at`, hash, user, now, now)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `DELETE FROM devices WHERE user = ? AND hash NOT IN
			(SELECT hash FROM devices WHERE user = ? ORDER BY last_used_at DESC LIMIT ?)`, user, user, keep)
		return err
	})
}

// IsDevice reports whether the user has signed in with the device before.
func (s *Store) IsDevice(ctx context.Context, user string, hash []byte) (known bool, err error) {
	err = s.db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM devices WHERE hash = ? AND user = ?)`, hash, user).Scan(&known)
	return known, err
}

// ForgetDevices forgets a user's devices.
func (s *Store) ForgetDevices(ctx context.Context, user string) error {
	return s.exec(ctx, "forget the devices of "+user, `DELETE FROM devices WHERE user = ?`, user)
}
