package twofa

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/watch-docker/watch-docker/internal/store"
)

const (
	// MostCredentials is how many passkeys a user may have.
	MostCredentials = 32
	// LongestName is how many characters a passkey's name may have.
	LongestName = 64
)

// Registration says what kind of passkey is wanted.
type Registration struct {
	Name       string // "": it gets one
	Attachment string // platform, cross-platform; "": either
}

// BeginRegistration asks for a new passkey for the site.
//
// Errors: *UnavailableError; ErrName; ErrTooManyCredentials.
func (s *Service) BeginRegistration(ctx context.Context, user, session string, at Site, r Registration) (Ceremony, error) {
	rp, err := relyingParty(at)
	if err != nil {
		return Ceremony{}, err
	}
	if r.Name = strings.TrimSpace(r.Name); r.Name != "" && !isName(r.Name) {
		return Ceremony{}, ErrName
	}
	f, err := s.store.Factors(ctx, user)
	if err != nil {
		return Ceremony{}, err
	}
	if len(f.Passkeys) >= MostCredentials {
		return Ceremony{}, ErrTooManyCredentials
	}
	who, err := s.accountOf(ctx, user, of(at.RPID, f.Passkeys))
	if err != nil {
		return Ceremony{}, err
	}
	options, data, err := rp.BeginRegistration(who,
		webauthn.WithExclusions(webauthn.Credentials(who.credentials).CredentialDescriptors()),
		webauthn.WithAuthenticatorSelection(protocol.AuthenticatorSelection{
			AuthenticatorAttachment: protocol.AuthenticatorAttachment(r.Attachment),
			ResidentKey:             protocol.ResidentKeyRequirementPreferred,
			RequireResidentKey:      protocol.ResidentKeyNotRequired(),
			UserVerification:        protocol.VerificationPreferred,
		}))
	if err != nil {
		return Ceremony{}, fmt.Errorf("begin a passkey's registration: %w", err)
	}
	c := ceremony{purpose: register, user: user, session: session, rpid: at.RPID, origin: at.Origin, data: *data, name: r.Name}
	return begin(s.ceremonies, user, c, options)
}

// FinishRegistration stores the passkey. With the user's first factor come
// recovery codes; else the list is empty. First: only while the user has no
// factor at all.
//
// Errors: ErrCeremony; ErrPasskey; ErrHasFactor; ErrCredentialTaken;
// ErrTooManyCredentials; *UnavailableError.
func (s *Service) FinishRegistration(ctx context.Context, user, session string, at Site, id string, answer json.RawMessage, first bool) (recovery []string, err error) {
	c, rp, err := end(s.ceremonies, id, ceremony{purpose: register, user: user, session: session}, at)
	if err != nil {
		return nil, err
	}
	credential, err := registered(rp, c, answer)
	if err != nil {
		return nil, err
	}
	f, err := s.store.Factors(ctx, user)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(record{Credential: *credential})
	if err != nil {
		return nil, fmt.Errorf("write the passkey: %w", err)
	}
	if c.name == "" {
		c.name = nameFor(*credential, f.Passkeys)
	}
	now := s.now()
	codes := newRecoveryCodes()
	wasFirst, err := s.store.AddPasskey(ctx, store.Passkey{
		ID: rand.Text(), User: user, RPID: at.RPID, CredentialID: credential.ID, Name: c.name, Credential: text,
		SignCount: credential.Authenticator.SignCount, CreatedAt: now, LastUsedAt: &now,
	}, MostCredentials, store.Enrolment{First: first, Recovery: hashesOf(codes)})
	return codesOf(codes, wasFirst), enrolError(err)
}

func registered(rp *webauthn.WebAuthn, c ceremony, answer json.RawMessage) (*webauthn.Credential, error) {
	if err := checkAnswer(answer); err != nil {
		return nil, err
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes(answer)
	if err != nil {
		return nil, refused(err)
	}
	if err := checkOrigin(parsed.Response.CollectedClientData.Origin, c.origin); err != nil {
		return nil, err
	}
	credential, err := rp.CreateCredential(account{name: c.user, handle: c.data.UserID}, c.data, parsed)
	if err != nil {
		return nil, refused(err)
	}
	return credential, nil
}

// RenameCredential names a passkey.
//
// Errors: ErrName; ErrNoCredential.
func (s *Service) RenameCredential(ctx context.Context, user, id, name string) error {
	name = strings.TrimSpace(name)
	if !isName(name) {
		return ErrName
	}
	ok, err := s.store.RenamePasskey(ctx, user, id, name)
	if err == nil && !ok {
		return ErrNoCredential
	}
	return err
}

// RemoveCredential removes a passkey, and with the last factor the recovery codes.
//
// Errors: ErrNoCredential.
func (s *Service) RemoveCredential(ctx context.Context, user, id string) error {
	ok, err := s.store.RemovePasskey(ctx, user, id)
	if err == nil && !ok {
		return ErrNoCredential
	}
	return err
}

func isName(name string) bool {
	return name != "" && utf8.ValidString(name) && utf8.RuneCountInString(name) <= LongestName &&
		!strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) })
}

// nameFor says what kind of thing the passkey is on, with a number if there is
// such a one already.
func nameFor(c webauthn.Credential, others []store.Passkey) string {
	kind := "Passkey"
	if c.Authenticator.Attachment == protocol.CrossPlatform {
		kind = "Security key"
		if slices.Contains(c.Transport, protocol.Hybrid) {
			kind = "Phone"
		}
	}
	name := kind
	for n := 2; slices.ContainsFunc(others, func(p store.Passkey) bool { return p.Name == name }); n++ {
		name = fmt.Sprintf("%s %d", kind, n)
	}
	return name
}
