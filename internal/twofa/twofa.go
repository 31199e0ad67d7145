// Package twofa has the second factors of users: one-time codes (TOTP),
// passkeys (WebAuthn) and recovery codes. It says whether a factor is right;
// who may try, how often, and what follows are its caller's.
package twofa

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/watch-docker/watch-docker/internal/logging"
	"github.com/watch-docker/watch-docker/internal/store"
)

// The methods.
const (
	MethodOTP     = store.FactorOTP
	MethodPasskey = store.FactorPasskey
)

// Factors is the part of the store that knows what a user has.
type Factors interface {
	Factors(ctx context.Context, user string) (store.Factors, error)
	RemoveTOTP(ctx context.Context, user string) (ok bool, err error)
	RemovePasskeys(ctx context.Context, user string) (ok bool, err error)
	RemoveFactors(ctx context.Context, user string) (ok bool, err error)
}

// Codes is the part of the store that keeps one-time and recovery codes.
type Codes interface {
	AddTOTP(ctx context.Context, t store.TOTP, e store.Enrolment) (first bool, err error)
	UseTOTP(ctx context.Context, user string, secret []byte, step int64, at time.Time) (ok bool, err error)
	SetRecoveryCodes(ctx context.Context, user string, hashes [][]byte) (ok bool, err error)
	UseRecoveryCode(ctx context.Context, user string, hash []byte) (ok bool, err error)
}

// Passkeys is the part of the store that keeps passkeys.
type Passkeys interface {
	Handle(ctx context.Context, user string, fresh []byte) (handle []byte, err error)
	AddPasskey(ctx context.Context, p store.Passkey, most int, e store.Enrolment) (first bool, err error)
	Passkey(ctx context.Context, rpid string, credentialID []byte) (p store.Passkey, ok bool, err error)
	UsePasskey(ctx context.Context, p store.Passkey, checked uint32) (ok bool, err error)
}

// Credentials is the part of the store that manages them.
type Credentials interface {
	RenamePasskey(ctx context.Context, user, id, name string) (ok bool, err error)
	RemovePasskey(ctx context.Context, user, id string) (ok bool, err error)
}

// Imports is the part of the store that remembers what was imported.
type Imports interface {
	ImportPending(ctx context.Context, entry string) (user string, pending bool, err error)
	ImportFactors(ctx context.Context, user string, f store.Factors, at time.Time) (imported bool, taken []string, err error)
}

// Store is what the service keeps; see store.Store.
type Store interface {
	Factors
	Codes
	Passkeys
	Credentials
	Imports
}

// Dependencies are what New needs.
type Dependencies struct {
	Store  Store
	Logger *zap.Logger      // nil: silent
	Now    func() time.Time // nil: time.Now
}

// Service is safe for concurrent use.
type Service struct {
	store      Store
	log        *zap.Logger
	now        func() time.Time
	enrolments *pending[enrolment] // secrets that wait for their first code
	ceremonies *pending[ceremony]  // of users
	anonymous  *pending[ceremony]  // of nobody known yet: they can't push out the others
}

// New gives the service. Nothing runs in the background.
func New(d Dependencies) *Service {
	if d.Logger == nil {
		d.Logger = zap.NewNop()
	}
	if d.Now == nil {
		d.Now = func() time.Time { return time.Now().UTC() }
	}
	return &Service{
		store: d.Store, now: d.Now, log: d.Logger.With(logging.Component("twofa")),
		enrolments: newPending[enrolment](d.Now, enrolmentLife),
		ceremonies: newPending[ceremony](d.Now, ceremonyLife),
		anonymous:  newPending[ceremony](d.Now, ceremonyLife),
	}
}

// Site is where the browser is, as far as passkeys go by it.
type Site struct {
	RPID        string // the host's name
	Origin      string // scheme, host and port, as browsers write it
	Unavailable string // why passkeys can't work here; "" if they can
}

// Status is what a user has set up.
type Status struct {
	IsSetup           bool     // any factor, on whatever site
	UsableHere        bool     // one of them works on this site
	Method            string   // used last; "" for none
	Methods           []string // set up
	RecoveryCodesLeft int
	Credentials       []Credential // of all sites, oldest first
	Unavailable       string       // why passkeys can't work on this site; "" if they can
}

// Credential is a passkey, as its user knows it.
type Credential struct {
	ID         string
	Name       string
	RPID       string
	CreatedAt  time.Time
	LastUsedAt *time.Time
}

// Status gives what the user has set up, and whether it works on the site.
//
// Errors: store.ErrNoUser.
func (s *Service) Status(ctx context.Context, user string, at Site) (Status, error) {
	f, err := s.store.Factors(ctx, user)
	if err != nil {
		return Status{}, err
	}
	status := Status{
		IsSetup: f.TOTP != nil || len(f.Passkeys) > 0, UsableHere: f.TOTP != nil, Method: f.Method,
		Methods: []string{}, RecoveryCodesLeft: f.RecoveryCodes, Credentials: []Credential{}, Unavailable: unavailable(at),
	}
	if f.TOTP != nil {
		status.Methods = append(status.Methods, MethodOTP)
	}
	if len(f.Passkeys) > 0 {
		status.Methods = append(status.Methods, MethodPasskey)
	}
	for _, p := range f.Passkeys {
		status.Credentials = append(status.Credentials, Credential{
			ID: p.ID, Name: p.Name, RPID: p.RPID, CreatedAt: p.CreatedAt, LastUsedAt: p.LastUsedAt,
		})
		if p.RPID == at.RPID && status.Unavailable == "" {
			status.UsableHere = true
		}
	}
	return status, nil
}

// Disable removes a method, or with "" all of them. Recovery codes go with the
// last factor.
//
// Errors: ErrNoFactor.
func (s *Service) Disable(ctx context.Context, user, method string) error {
	remove, known := map[string]func(context.Context, string) (bool, error){
		MethodOTP: s.store.RemoveTOTP, MethodPasskey: s.store.RemovePasskeys, "": s.store.RemoveFactors,
	}[method]
	if !known {
		return ErrNoFactor
	}
	ok, err := remove(ctx, user)
	if err == nil && !ok {
		return ErrNoFactor
	}
	return err
}

// Reset removes all factors and recovery codes of a user, whether there are any or not.
func (s *Service) Reset(ctx context.Context, user string) error {
	err := s.Disable(ctx, user, "")
	if errors.Is(err, ErrNoFactor) {
		return nil
	}
	return err
}

// enrolError turns the store's reasons into ours.
func enrolError(err error) error {
	for theirs, ours := range map[error]error{
		store.ErrHasFactor: ErrHasFactor, store.ErrCredentialTaken: ErrCredentialTaken, store.ErrTooManyPasskeys: ErrTooManyCredentials,
	} {
		if errors.Is(err, theirs) {
			return ours
		}
	}
	return err
}
