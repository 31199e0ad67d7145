package twofa

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/watch-docker/watch-docker/internal/logging"
	"github.com/watch-docker/watch-docker/internal/store"
)

// Imported is what an older installation kept about a user, in twofa.users of
// its configuration.
type Imported struct {
	Method              string
	OTPSecret           string // base32
	WebAuthnCredentials []map[string]any
	IsSetup             bool
}

// Import stores, once for each user, what an older installation knew of those
// who have no factor. Users who aren't there are left for the next start. What
// can't be read is a warning, and the rest goes on.
func (s *Service) Import(ctx context.Context, users map[string]Imported) error {
	for _, entry := range slices.Sorted(maps.Keys(users)) {
		if !users[entry].IsSetup {
			continue // it was begun and given up, or turned off
		}
		user, pending, err := s.store.ImportPending(ctx, entry)
		if err != nil {
			return err
		}
		if !pending {
			continue
		}
		if err := s.importUser(ctx, user, users[entry]); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) importUser(ctx context.Context, user string, from Imported) error {
	now := s.now()
	f := store.Factors{Method: from.Method, TOTP: s.importOTP(user, from, now), Passkeys: s.importPasskeys(user, from, now)}
	if f.TOTP == nil && len(f.Passkeys) == 0 {
		return nil // there is nothing, or nothing that could be read; then a warning has said so
	}
	imported, taken, err := s.store.ImportFactors(ctx, user, f, now)
	if err != nil {
		return err
	}
	for _, name := range taken {
		s.cannotImport(user, "webauthnCredentials", fmt.Errorf("%s: %w", name, ErrCredentialTaken))
	}
	if imported {
		s.log.Info("imported a user's second factors from the configuration, where twofa.users isn't needed any more",
			zap.String("user", user), zap.Bool(MethodOTP, f.TOTP != nil), zap.Int(MethodPasskey, len(f.Passkeys)-len(taken)))
	}
	return nil
}

func (s *Service) importOTP(user string, from Imported, now time.Time) *store.TOTP {
	if from.OTPSecret == "" {
		return nil
	}
	secret, err := importedSecret(from.OTPSecret)
	if err != nil {
		s.cannotImport(user, "otpSecret", err)
		return nil
	}
	return &store.TOTP{User: user, Secret: secret, CreatedAt: now}
}

func (s *Service) importPasskeys(user string, from Imported, now time.Time) []store.Passkey {
	var all []store.Passkey
	for i, entry := range from.WebAuthnCredentials {
		field := fmt.Sprintf("webauthnCredentials[%d]", i)
		if len(all) == MostCredentials {
			s.cannotImport(user, field, ErrTooManyCredentials)
			break
		}
		p, err := importedPasskey(entry)
		var wrong *fieldError
		if errors.As(err, &wrong) {
			field += "." + wrong.field
		}
		if err != nil {
			s.cannotImport(user, field, err)
			continue
		}
		p.User, p.CreatedAt = user, now
		if p.Name == "" {
			p.Name = fmt.Sprintf("Imported passkey %d", i+1)
		}
		all = append(all, p)
	}
	return all
}

func (s *Service) cannotImport(user, field string, err error) {
	s.log.Warn("a second factor in the configuration can't be imported; set it up anew",
		zap.String("user", user), zap.String("field", field), logging.Err(err))
}

// importedPasskey reads a credential with its RPID.
//
// Errors: *fieldError.
func importedPasskey(entry map[string]any) (store.Passkey, error) {
	r, rpid, name, err := importedRecord(entry)
	if err != nil {
		return store.Passkey{}, err
	}
	text, err := json.Marshal(r)
	if err != nil {
		return store.Passkey{}, &fieldError{"credential", "can't be written again"}
	}
	return store.Passkey{
		ID: rand.Text(), RPID: rpid, CredentialID: r.Credential.ID, Name: name, Credential: text,
		SignCount: r.Credential.Authenticator.SignCount,
	}, nil
}
