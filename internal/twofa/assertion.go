package twofa

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/watch-docker/watch-docker/internal/store"
)

// BeginVerification asks for one of the user's passkeys for the site.
//
// Errors: *UnavailableError; ErrNoPasskeyHere.
func (s *Service) BeginVerification(ctx context.Context, user, session string, at Site) (Ceremony, error) {
	rp, err := relyingParty(at)
	if err != nil {
		return Ceremony{}, err
	}
	f, err := s.store.Factors(ctx, user)
	if err != nil {
		return Ceremony{}, err
	}
	here := of(at.RPID, f.Passkeys)
	if len(here) == 0 {
		return Ceremony{}, ErrNoPasskeyHere
	}
	who, err := s.accountOf(ctx, user, here)
	if err != nil {
		return Ceremony{}, err
	}
	options, data, err := rp.BeginLogin(who, webauthn.WithUserVerification(protocol.VerificationPreferred))
	if err != nil {
		return Ceremony{}, fmt.Errorf("begin a passkey's verification: %w", err)
	}
	c := ceremony{purpose: verify, user: user, session: session, rpid: at.RPID, origin: at.Origin, data: *data}
	return begin(s.ceremonies, user, c, options)
}

// FinishVerification accepts the answer of one of the user's passkeys.
//
// Errors: ErrCeremony; ErrPasskey; ErrCloned; *UnavailableError.
func (s *Service) FinishVerification(ctx context.Context, user, session string, at Site, id string, answer json.RawMessage) error {
	c, rp, err := end(s.ceremonies, id, ceremony{purpose: verify, user: user, session: session}, at)
	if err != nil {
		return err
	}
	parsed, err := parseAssertion(c, answer)
	if err != nil {
		return err
	}
	f, err := s.store.Factors(ctx, user)
	if err != nil {
		return err
	}
	here := of(at.RPID, f.Passkeys)
	i := slices.IndexFunc(here, func(p store.Passkey) bool { return bytes.Equal(p.CredentialID, parsed.RawID) })
	if i < 0 {
		return fmt.Errorf("%w: the user has no such passkey here", ErrPasskey)
	}
	return s.use(ctx, here[i], here, parsed, func(who account) (*webauthn.Credential, error) {
		return rp.ValidateLogin(who, c.data, parsed)
	})
}

// BeginPasswordless asks for any discoverable passkey for the site. Network is
// who asks, as far as that is known before they have signed in: what one of
// them begins doesn't push out what the others have begun.
//
// Errors: *UnavailableError.
func (s *Service) BeginPasswordless(_ context.Context, network string, at Site) (Ceremony, error) {
	rp, err := relyingParty(at)
	if err != nil {
		return Ceremony{}, err
	}
	options, data, err := rp.BeginDiscoverableLogin(webauthn.WithUserVerification(protocol.VerificationRequired))
	if err != nil {
		return Ceremony{}, fmt.Errorf("begin a sign-in by passkey: %w", err)
	}
	c := ceremony{purpose: passwordless, rpid: at.RPID, origin: at.Origin, data: *data}
	return begin(s.anonymous, network, c, options)
}

// FinishPasswordless accepts the answer of a discoverable passkey whose
// authenticator has verified its user, and says whose it is; that also with
// ErrCloned.
//
// Errors: ErrCeremony; ErrPasskey; ErrCloned; *UnavailableError.
func (s *Service) FinishPasswordless(ctx context.Context, at Site, id string, answer json.RawMessage) (user string, err error) {
	c, rp, err := end(s.anonymous, id, ceremony{purpose: passwordless}, at)
	if err != nil {
		return "", err
	}
	parsed, err := parseAssertion(c, answer)
	if err != nil {
		return "", err
	}
	p, ok, err := s.store.Passkey(ctx, at.RPID, parsed.RawID)
	if err != nil {
		return "", err
	}
	if !ok {
		return "", fmt.Errorf("%w: nobody has such a passkey here", ErrPasskey)
	}
	err = s.use(ctx, p, []store.Passkey{p}, parsed, func(who account) (*webauthn.Credential, error) {
		whose := func(_, _ []byte) (webauthn.User, error) { return who, nil } // the library compares the handle
		_, credential, err := rp.ValidatePasskeyLogin(whose, c.data, parsed)
		return credential, err
	})
	if err != nil && !errors.Is(err, ErrCloned) {
		return "", err
	}
	return p.User, err
}

func parseAssertion(c ceremony, answer json.RawMessage) (*protocol.ParsedCredentialAssertionData, error) {
	if err := checkAnswer(answer); err != nil {
		return nil, err
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes(answer)
	if err != nil {
		return nil, refused(err)
	}
	return parsed, checkOrigin(parsed.Response.CollectedClientData.Origin, c.origin)
}

// use has the answer of p validated and stores p as it is after that. The
// user's other passkeys of the site are in here, too.
//
// Errors: ErrPasskey; ErrCloned.
func (s *Service) use(ctx context.Context, p store.Passkey, here []store.Passkey, parsed *protocol.ParsedCredentialAssertionData,
	validate func(account) (*webauthn.Credential, error),
) error {
	r, err := readRecord(p)
	if err != nil {
		return err
	}
	who, err := s.accountOf(ctx, p.User, here)
	if err != nil {
		return err
	}
	if r.Imported && len(parsed.Response.UserHandle) > 0 {
		// It isn't signed, and the signature tells whose it is.
		parsed.Response.UserHandle = who.handle
	}
	if r.FlagsUnknown {
		i := slices.IndexFunc(who.credentials, func(c webauthn.Credential) bool { return bytes.Equal(c.ID, p.CredentialID) })
		who.credentials[i].Flags.BackupEligible = parsed.Response.AuthenticatorData.Flags.HasBackupEligible()
	}
	credential, err := validate(who)
	if err != nil {
		return refused(err)
	}
	if credential.Authenticator.CloneWarning {
		return fmt.Errorf("%w: %s of %s counts %d after %d", ErrCloned, p.ID, p.User,
			parsed.Response.AuthenticatorData.Counter, p.SignCount)
	}
	return s.keep(ctx, p, record{Credential: *credential, Imported: r.Imported})
}

// keep stores a passkey after its use, unless it was used otherwise meanwhile.
func (s *Service) keep(ctx context.Context, p store.Passkey, r record) error {
	text, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("write the passkey: %w", err)
	}
	now, checked := s.now(), p.SignCount
	p.Credential, p.SignCount, p.LastUsedAt = text, r.Credential.Authenticator.SignCount, &now
	ok, err := s.store.UsePasskey(ctx, p, checked)
	if err != nil || ok {
		return err
	}
	later, there, err := s.store.Passkey(ctx, p.RPID, p.CredentialID)
	if err != nil {
		return err
	}
	if there && later.SignCount >= p.SignCount {
		return fmt.Errorf("%w: %s of %s counts %d after %d", ErrCloned, p.ID, p.User, p.SignCount, later.SignCount)
	}
	return fmt.Errorf("%w: it was used or removed at the same time", ErrPasskey)
}
