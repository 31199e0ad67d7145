package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// Why a factor isn't stored.
var (
	ErrHasFactor       = errors.New("the user has a second factor already")
	ErrCredentialTaken = errors.New("the passkey is registered already")
	ErrTooManyPasskeys = errors.New("the user has too many passkeys")
)

// The names of the methods, as they stand in users.factor.
const (
	FactorOTP     = "otp"
	FactorPasskey = "webauthn"
)

// Factors are a user's second factors.
type Factors struct {
	Handle        []byte // WebAuthn's user handle; nil until it is needed
	Method        string // the method used last, or ""
	TOTP          *TOTP
	Passkeys      []Passkey // oldest first
	RecoveryCodes int       // how many are left
}

// TOTP is a user's secret for one-time codes.
type TOTP struct {
	User       string
	Secret     []byte
	LastStep   int64 // the time step accepted last
	CreatedAt  time.Time
	LastUsedAt *time.Time
}

// Passkey is a user's WebAuthn credential for one RPID.
type Passkey struct {
	ID           string
	User         string
	RPID         string
	CredentialID []byte
	Name         string
	Credential   []byte // JSON
	SignCount    uint32
	CreatedAt    time.Time
	LastUsedAt   *time.Time
}

// Enrolment says under which conditions a factor is added.
type Enrolment struct {
	First    bool     // only while the user has no factor at all
	Recovery [][]byte // hashes of the recovery codes, if it is the first one
}

// Factors gives a user's factors.
//
// Errors: ErrNoUser.
func (s *Store) Factors(ctx context.Context, user string) (Factors, error) {
	var f Factors
	err := s.db.QueryRowContext(ctx, `SELECT handle, factor, (SELECT COUNT(*) FROM recovery_codes WHERE user = name)
		FROM users WHERE name = ?`, user).Scan(&f.Handle, &f.Method, &f.RecoveryCodes)
	if errors.Is(err, sql.ErrNoRows) {
		return Factors{}, fmt.Errorf("%w: %s", ErrNoUser, user)
	}
	if err != nil {
		return Factors{}, fmt.Errorf("read the factors of %s: %w", user, err)
	}
	if f.TOTP, err = s.totp(ctx, user); err != nil {
		return Factors{}, err
	}
	f.Passkeys, err = s.passkeys(ctx, `user = ? ORDER BY created_at, id`, user)
	return f, err
}

func (s *Store) totp(ctx context.Context, user string) (*TOTP, error) {
	t := TOTP{User: user}
	var created, used sql.NullString
	err := s.db.QueryRowContext(ctx, `SELECT secret, last_step, created_at, last_used_at FROM totp WHERE user = ?`, user).
		Scan(&t.Secret, &t.LastStep, &created, &used)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil //nolint:nilnil // there is none
	}
	if err == nil {
		err = readTimes("the time", timeColumn{created, &t.CreatedAt})
	}
	if err == nil {
		t.LastUsedAt, err = parseStamp(used)
	}
	if err != nil {
		return nil, fmt.Errorf("read the one-time code's secret of %s: %w", user, err)
	}
	return &t, nil
}

func (s *Store) passkeys(ctx context.Context, where string, args ...any) ([]Passkey, error) {
	all := []Passkey{}
	err := s.each(ctx, "read passkeys", func(rows *sql.Rows) error {
		var p Passkey
		var created, used sql.NullString
		if err := rows.Scan(&p.ID, &p.User, &p.RPID, &p.CredentialID, &p.Name, &p.Credential, &p.SignCount, &created, &used); err != nil {
			return err
		}
		if err := readTimes(p.ID, timeColumn{created, &p.CreatedAt}); err != nil {
			return err
		}
		var err error
		p.LastUsedAt, err = parseStamp(used)
		all = append(all, p)
		return err
	}, `SELECT id, user, rpid, credential_id, name, credential, sign_count, created_at, last_used_at FROM passkeys WHERE `+where, args...)
	return all, err
}

// Passkey gives the passkey that an authenticator knows by this id; ok is
// false if there is none for the RPID.
func (s *Store) Passkey(ctx context.Context, rpid string, credentialID []byte) (p Passkey, ok bool, err error) {
	found, err := s.passkeys(ctx, `credential_id = ? AND rpid = ?`, credentialID, rpid)
	if err != nil || len(found) == 0 {
		return Passkey{}, false, err
	}
	return found[0], true, nil
}

// Handle gives the user's handle; if there is none yet, fresh becomes it.
//
// Errors: ErrNoUser.
func (s *Store) Handle(ctx context.Context, user string, fresh []byte) (handle []byte, err error) {
	err = s.tx(ctx, "make the handle of "+user, func(tx *sql.Tx) error {
		err := tx.QueryRowContext(ctx, `SELECT handle FROM users WHERE name = ?`, user).Scan(&handle)
		if errors.Is(err, sql.ErrNoRows) {
			return ErrNoUser
		}
		if err != nil || handle != nil {
			return err
		}
		handle = fresh
		_, err = tx.ExecContext(ctx, `UPDATE users SET handle = ? WHERE name = ?`, fresh, user)
		return err
	})
	return handle, err
}

// AddTOTP stores the user's secret, in place of one that was there, as used
// just now. It says whether it is the first factor, so that the recovery codes
// were stored with it.
//
// Errors: ErrNoUser; ErrHasFactor.
func (s *Store) AddTOTP(ctx context.Context, t TOTP, e Enrolment) (first bool, err error) {
	err = s.tx(ctx, "store the one-time code's secret of "+t.User, func(tx *sql.Tx) error {
		if first, err = enrol(ctx, tx, t.User, e); err != nil {
			return err
		}
		if err := addTOTP(ctx, tx, t); err != nil {
			return err
		}
		return setMethod(ctx, tx, t.User, FactorOTP)
	})
	return first, err
}

func addTOTP(ctx context.Context, tx *sql.Tx, t TOTP) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO totp (user, secret, last_step, created_at, last_used_at) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET secret = excluded.secret, last_step = excluded.last_step,
		created_at = excluded.created_at, last_used_at = excluded.last_used_at`,
		t.User, t.Secret, t.LastStep, stamp(t.CreatedAt), stampOrNull(t.LastUsedAt))
	return err
}

// UseTOTP notes that the code of a step was accepted. It is refused (ok is
// false) if that step or a later one was used before, or the secret is another
// by now.
func (s *Store) UseTOTP(ctx context.Context, user string, secret []byte, step int64, at time.Time) (ok bool, err error) {
	err = s.tx(ctx, "use a one-time code of "+user, func(tx *sql.Tx) error {
		ok, err = changed(tx.ExecContext(ctx, `UPDATE totp SET last_step = ?, last_used_at = ?
			WHERE user = ? AND secret = ? AND last_step < ?`, step, stamp(at), user, secret, step))
		if err != nil || !ok {
			return err
		}
		return setMethod(ctx, tx, user, FactorOTP)
	})
	return ok, err
}

// AddPasskey stores a passkey; a user has at most so many. It says whether it
// is the first factor, so that the recovery codes were stored with it.
//
// Errors: ErrNoUser; ErrHasFactor; ErrCredentialTaken; ErrTooManyPasskeys.
func (s *Store) AddPasskey(ctx context.Context, p Passkey, most int, e Enrolment) (first bool, err error) {
	err = s.tx(ctx, "store a passkey of "+p.User, func(tx *sql.Tx) error {
		if first, err = enrol(ctx, tx, p.User, e); err != nil {
			return err
		}
		var n int
		if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM passkeys WHERE user = ?`, p.User).Scan(&n); err != nil {
			return err
		}
		if n >= most {
			return ErrTooManyPasskeys
		}
		if err := addPasskey(ctx, tx, p); err != nil {
			return err
		}
		return setMethod(ctx, tx, p.User, FactorPasskey)
	})
	return first, err
}

func addPasskey(ctx context.Context, tx *sql.Tx, p Passkey) error {
	added, err := changed(tx.ExecContext(ctx, `INSERT INTO passkeys
		(id, user, rpid, credential_id, name, credential, sign_count, created_at, last_used_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (credential_id) DO NOTHING`,
		p.ID, p.User, p.RPID, p.CredentialID, p.Name, string(p.Credential), p.SignCount, stamp(p.CreatedAt), stampOrNull(p.LastUsedAt)))
	if err == nil && !added {
		return ErrCredentialTaken
	}
	return err
}

// UsePasskey stores the passkey as it is after a use. It is refused (ok is
// false) unless the stored counter is still the one that the use was checked
// against.
func (s *Store) UsePasskey(ctx context.Context, p Passkey, checked uint32) (ok bool, err error) {
	err = s.tx(ctx, "use a passkey of "+p.User, func(tx *sql.Tx) error {
		ok, err = changed(tx.ExecContext(ctx, `UPDATE passkeys SET credential = ?, sign_count = ?, last_used_at = ?
			WHERE id = ? AND user = ? AND sign_count = ?`,
			string(p.Credential), p.SignCount, stampOrNull(p.LastUsedAt), p.ID, p.User, checked))
		if err != nil || !ok {
			return err
		}
		return setMethod(ctx, tx, p.User, FactorPasskey)
	})
	return ok, err
}

// RenamePasskey names a user's passkey; ok is false if there is none of this id.
func (s *Store) RenamePasskey(ctx context.Context, user, id, name string) (ok bool, err error) {
	ok, err = changed(s.db.ExecContext(ctx, `UPDATE passkeys SET name = ? WHERE id = ? AND user = ?`, name, id, user))
	if err != nil {
		return false, fmt.Errorf("rename a passkey of %s: %w", user, err)
	}
	return ok, nil
}

// RemovePasskey removes a user's passkey; ok is false if there is none of this id.
func (s *Store) RemovePasskey(ctx context.Context, user, id string) (ok bool, err error) {
	return s.removeFactor(ctx, user, `DELETE FROM passkeys WHERE user = ? AND id = ?`, user, id)
}

// RemoveTOTP removes a user's secret; ok is false if there is none.
func (s *Store) RemoveTOTP(ctx context.Context, user string) (ok bool, err error) {
	return s.removeFactor(ctx, user, `DELETE FROM totp WHERE user = ?`, user)
}

// RemovePasskeys removes all of a user's passkeys; ok is false if there is none.
func (s *Store) RemovePasskeys(ctx context.Context, user string) (ok bool, err error) {
	return s.removeFactor(ctx, user, `DELETE FROM passkeys WHERE user = ?`, user)
}

// removeFactor also removes what goes with the last factor.
func (s *Store) removeFactor(ctx context.Context, user, statement string, args ...any) (ok bool, err error) {
	err = s.tx(ctx, "remove a factor of "+user, func(tx *sql.Tx) error {
		if ok, err = changed(tx.ExecContext(ctx, statement, args...)); err != nil {
			return err
		}
		return afterRemoval(ctx, tx, user)
	})
	return ok, err
}

// RemoveFactors removes all factors and recovery codes; ok is false if there
// was no factor.
func (s *Store) RemoveFactors(ctx context.Context, user string) (ok bool, err error) {
	err = s.tx(ctx, "remove the factors of "+user, func(tx *sql.Tx) error {
		for _, table := range []string{"totp", "passkeys"} {
			removed, err := changed(tx.ExecContext(ctx, `DELETE FROM `+table+` WHERE user = ?`, user))
			if err != nil {
				return err
			}
			ok = ok || removed
		}
		return afterRemoval(ctx, tx, user)
	})
	return ok, err
}

// afterRemoval keeps what hangs on factors true: recovery codes go with the
// last one, and the method used last is one that is left.
func afterRemoval(ctx context.Context, tx *sql.Tx, user string) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM recovery_codes WHERE user = ?1
		AND NOT EXISTS (SELECT 1 FROM totp WHERE user = ?1) AND NOT EXISTS (SELECT 1 FROM passkeys WHERE user = ?1)`, user)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `UPDATE users SET factor = CASE
		WHEN factor = 'otp' AND EXISTS (SELECT 1 FROM totp WHERE user = ?1) THEN 'otp'
		WHEN EXISTS (SELECT 1 FROM passkeys WHERE user = ?1) THEN 'webauthn'
		WHEN EXISTS (SELECT 1 FROM totp WHERE user = ?1) THEN 'otp'
		ELSE '' END WHERE name = ?1`, user)
	return err
}

// SetRecoveryCodes replaces the user's recovery codes; ok is false, and nothing
// is changed, if the user has no factor.
func (s *Store) SetRecoveryCodes(ctx context.Context, user string, hashes [][]byte) (ok bool, err error) {
	err = s.tx(ctx, "store recovery codes of "+user, func(tx *sql.Tx) error {
		if ok, err = hasFactor(ctx, tx, user); err != nil || !ok {
			return err
		}
		return setRecoveryCodes(ctx, tx, user, hashes)
	})
	return ok, err
}

// UseRecoveryCode removes a recovery code; ok is false if it isn't there (any more).
func (s *Store) UseRecoveryCode(ctx context.Context, user string, hash []byte) (ok bool, err error) {
	ok, err = changed(s.db.ExecContext(ctx, `DELETE FROM recovery_codes WHERE user = ? AND hash = ?`, user, hash))
	if err != nil {
		return false, fmt.Errorf("use a recovery code of %s: %w", user, err)
	}
	return ok, nil
}

// enrol checks whether a factor may be added and stores the recovery codes
// that come with the first.
func enrol(ctx context.Context, tx *sql.Tx, user string, e Enrolment) (first bool, err error) {
	var there bool
	if err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM users WHERE name = ?)`, user).Scan(&there); err != nil {
		return false, err
	}
	if !there {
		return false, ErrNoUser
	}
	has, err := hasFactor(ctx, tx, user)
	switch {
	case err != nil:
		return false, err
	case has && e.First:
		return false, ErrHasFactor
	case has:
		return false, nil
	}
	return true, setRecoveryCodes(ctx, tx, user, e.Recovery)
}

func hasFactor(ctx context.Context, tx *sql.Tx, user string) (has bool, err error) {
	err = tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM totp WHERE user = ?1)
		OR EXISTS (SELECT 1 FROM passkeys WHERE user = ?1)`, user).Scan(&has)
	return has, err
}

func setRecoveryCodes(ctx context.Context, tx *sql.Tx, user string, hashes [][]byte) error {
	if _, err := tx.ExecContext(ctx, `DELETE FROM recovery_codes WHERE user = ?`, user); err != nil {
		return err
	}
	for _, hash := range hashes {
		if _, err := tx.ExecContext(ctx, `INSERT INTO recovery_codes (user, hash) VALUES (?, ?)`, user, hash); err != nil {
			return err
		}
	}
	return nil
}

func setMethod(ctx context.Context, tx *sql.Tx, user, method string) error {
	_, err := tx.ExecContext(ctx, `UPDATE users SET factor = ? WHERE name = ?`, method, user)
	return err
}

func changed(res sql.Result, err error) (bool, error) {
	if err != nil {
		return false, err
	}
	n, err := res.RowsAffected()
	return n > 0, err
}
