package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// ImportPending gives the user that an entry of the configuration is about, if
// there is one and nothing was imported for them yet. An entry in lower case
// may be about a user in any: older installations wrote all names so.
func (s *Store) ImportPending(ctx context.Context, entry string) (user string, pending bool, err error) {
	err = s.db.QueryRowContext(ctx, `SELECT name, NOT EXISTS (SELECT 1 FROM factor_imports WHERE user = name) FROM users
		WHERE name = ?1 OR ?1 = lower(?1) AND name = ?1 COLLATE NOCASE ORDER BY name = ?1 DESC LIMIT 1`, entry).Scan(&user, &pending)
	if errors.Is(err, sql.ErrNoRows) {
		return "", false, nil
	}
	if err != nil {
		return "", false, fmt.Errorf("read the imports: %w", err)
	}
	return user, pending, nil
}

// ImportFactors stores what another installation knew of a user who has no
// factor, and remembers that for good, also of a user who has one: there
// nothing is imported. Passkeys that somebody has registered already are left
// out; taken has their names.
func (s *Store) ImportFactors(ctx context.Context, user string, f Factors, at time.Time) (imported bool, taken []string, err error) {
	err = s.tx(ctx, "import the factors of "+user, func(tx *sql.Tx) error {
		first, err := changed(tx.ExecContext(ctx, `INSERT INTO factor_imports (user, at) SELECT name, ? FROM users WHERE name = ?
			ON CONFLICT DO NOTHING`, stamp(at), user))
		if err != nil || !first {
			return err
		}
		has, err := hasFactor(ctx, tx, user)
		if err != nil || has {
			return err
		}
		imported = true
		if f.TOTP != nil {
			if err := addTOTP(ctx, tx, *f.TOTP); err != nil {
				return err
			}
		}
		for _, p := range f.Passkeys {
			err := addPasskey(ctx, tx, p)
			if errors.Is(err, ErrCredentialTaken) {
				taken = append(taken, p.Name)
				continue
			}
			if err != nil {
				return err
			}
		}
		if err := setMethod(ctx, tx, user, f.Method); err != nil {
			return err
		}
		return afterRemoval(ctx, tx, user)
	})
	return imported, taken, err
}
