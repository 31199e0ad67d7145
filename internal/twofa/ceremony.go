package twofa

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/watch-docker/watch-docker/internal/store"
)

const (
	ceremonyLife  = time.Minute
	handleSize    = 64       // bytes; the most that there may be (WebAuthn, 5.4.3)
	longestAnswer = 32 << 10 // bytes of an authenticator's answer
	longestDetail = 300      // characters of the library's reason
)

// Ceremony is what a browser is asked: Options are the argument of
// navigator.credentials.create or get, and its answer comes back with ID.
type Ceremony struct {
	ID      string
	Options json.RawMessage // {"publicKey":{…}}
}

type purpose int

const (
	register purpose = iota + 1
	verify
	passwordless
)

// ceremony is what was asked, and of whom.
type ceremony struct {
	purpose       purpose
	user, session string
	rpid, origin  string
	data          webauthn.SessionData
	name          string // of the passkey to be registered
}

// relyingParty is the library's view of a site.
//
// Errors: *UnavailableError.
func relyingParty(at Site) (*webauthn.WebAuthn, error) {
	if at.Unavailable != "" {
		return nil, &UnavailableError{at.Unavailable}
	}
	if at.RPID == "" || at.Origin == "" {
		return nil, &UnavailableError{"The address in the request is no host name."}
	}
	timeout := webauthn.TimeoutConfig{Timeout: ceremonyLife, TimeoutUVD: ceremonyLife} // pending enforces it
	rp, err := webauthn.New(&webauthn.Config{
		RPID: at.RPID, RPDisplayName: issuer, RPOrigins: []string{at.Origin},
		AttestationPreference: protocol.PreferNoAttestation,
		Timeouts:              webauthn.TimeoutsConfig{Login: timeout, Registration: timeout},
		// Some password managers answer what they weren't asked; we use none of it (WebAuthn, 9).
		ExtensionsUnsolicitedOutputPolicy: protocol.UnsolicitedOutputPolicyIgnore,
	})
	if err != nil {
		return nil, &UnavailableError{"Passkeys need a host name with a dot in it, or localhost, and this is " + at.RPID + "."}
	}
	return rp, nil
}

func unavailable(at Site) string {
	_, err := relyingParty(at)
	var reason *UnavailableError
	if errors.As(err, &reason) {
		return reason.Reason
	}
	return ""
}

// begin keeps what the options ask for and gives both.
func begin(in *pending[ceremony], owner string, c ceremony, options any) (Ceremony, error) {
	text, err := json.Marshal(options)
	if err != nil {
		return Ceremony{}, fmt.Errorf("write the options: %w", err)
	}
	return Ceremony{ID: in.add(owner, c.session, c), Options: text}, nil
}

// end takes out what was begun, before anything else is looked at.
//
// Errors: ErrCeremony; *UnavailableError.
func end(in *pending[ceremony], id string, want ceremony, at Site) (ceremony, *webauthn.WebAuthn, error) {
	c, ok := in.take(id)
	if !ok || c.purpose != want.purpose || c.user != want.user || c.session != want.session ||
		c.rpid != at.RPID || c.origin != at.Origin {
		return ceremony{}, nil, ErrCeremony
	}
	rp, err := relyingParty(at)
	return c, rp, err
}

// account is a user as the library knows one.
type account struct {
	name        string
	handle      []byte
	credentials []webauthn.Credential
}

func (a account) WebAuthnID() []byte                         { return a.handle }
func (a account) WebAuthnName() string                       { return a.name }
func (a account) WebAuthnDisplayName() string                { return a.name }
func (a account) WebAuthnCredentials() []webauthn.Credential { return a.credentials }

// record is how a credential is stored.
type record struct {
	Credential webauthn.Credential `json:"credential"`
	// Imported ones were made with a user handle that isn't known.
	Imported bool `json:"imported,omitempty"`
	// FlagsUnknown: an imported one without flags; its first use tells them.
	FlagsUnknown bool `json:"flagsUnknown,omitempty"`
}

func readRecord(p store.Passkey) (record, error) {
	var r record
	if err := json.Unmarshal(p.Credential, &r); err != nil {
		return record{}, fmt.Errorf("read passkey %s of %s: %w", p.ID, p.User, err)
	}
	r.Credential.ID, r.Credential.Authenticator.SignCount = p.CredentialID, p.SignCount
	return r, nil
}

// accountOf is the user with the passkeys of one site.
func (s *Service) accountOf(ctx context.Context, user string, passkeys []store.Passkey) (account, error) {
	fresh := make([]byte, handleSize)
	rand.Read(fresh)
	handle, err := s.store.Handle(ctx, user, fresh)
	if err != nil {
		return account{}, err
	}
	a := account{name: user, handle: handle}
	for _, p := range passkeys {
		r, err := readRecord(p)
		if err != nil {
			return account{}, err
		}
		a.credentials = append(a.credentials, r.Credential)
	}
	return a, nil
}

func of(rpid string, all []store.Passkey) []store.Passkey {
	here := []store.Passkey{}
	for _, p := range all {
		if p.RPID == rpid {
			here = append(here, p)
		}
	}
	return here
}

// checkAnswer bounds what is parsed.
func checkAnswer(answer json.RawMessage) error {
	if len(answer) > longestAnswer {
		return fmt.Errorf("%w: it is longer than %d bytes", ErrPasskey, longestAnswer)
	}
	return nil
}

// checkOrigin is exact: the library takes an origin with a path or a user's
// name for the same, too.
func checkOrigin(got, want string) error {
	if got != want {
		return fmt.Errorf("%w: its origin is %q, ours is %q", ErrPasskey, clip(got), want)
	}
	return nil
}

// refused is ErrPasskey with the library's reason, for the log.
func refused(err error) error {
	var reason *protocol.Error
	if errors.As(err, &reason) && reason.DevInfo != "" {
		return fmt.Errorf("%w: %s: %s", ErrPasskey, clip(reason.Details), clip(reason.DevInfo))
	}
	return fmt.Errorf("%w: %s", ErrPasskey, clip(err.Error()))
}

func clip(text string) string {
	if runes := []rune(text); len(runes) > longestDetail {
		return string(runes[:longestDetail]) + "…"
	}
	return text
}
