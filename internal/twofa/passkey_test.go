package twofa_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/descope/virtualwebauthn"
	"github.com/google/go-cmp/cmp"

	"github.com/watch-docker/watch-docker/internal/twofa"
)

func elsewhere() twofa.Site {
	return twofa.Site{RPID: "other.example", Origin: "https://other.example"}
}

type creation struct {
	PublicKey struct {
		RP                     struct{ ID, Name string }
		User                   struct{ ID, Name, DisplayName string }
		Challenge              string
		Timeout                int
		Attestation            string
		ExcludeCredentials     []struct{ ID string }
		AuthenticatorSelection struct {
			AuthenticatorAttachment, ResidentKey, UserVerification string
			RequireResidentKey                                     bool
		}
		Extensions map[string]any
	}
}

func optionsOf[T any](t *testing.T, c twofa.Ceremony) (options T) {
	t.Helper()
	if err := json.Unmarshal(c.Options, &options); err != nil {
		t.Fatal(err)
	}
	return options
}

func sizeOf(t *testing.T, text string) int {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		t.Error(err)
	}
	return len(raw)
}

func TestARegistrationAsksForWhatWasDecided(t *testing.T) {
	w, d := newWorld(t), newDevice()
	w.register("ann", here(), d)
	w.register("ann", elsewhere(), newDevice())
	c := w.begin(w.BeginRegistration(t.Context(), "ann", "s", here(), twofa.Registration{Attachment: "cross-platform"}))
	o := optionsOf[creation](t, c).PublicKey
	if sizeOf(t, o.Challenge) != 32 || sizeOf(t, o.User.ID) != 64 || o.Timeout != 60_000 || o.Attestation != "none" {
		t.Errorf("%+v", o)
	}
	if o.RP.ID != "dash.example.org" || o.RP.Name != "Watch Docker" || o.User.Name != "ann" || o.User.DisplayName != "ann" {
		t.Errorf("%+v", o)
	}
	s := o.AuthenticatorSelection
	if s.AuthenticatorAttachment != "cross-platform" || s.ResidentKey != "preferred" || s.RequireResidentKey || s.UserVerification != "preferred" {
		t.Errorf("%+v", s)
	}
	if len(o.ExcludeCredentials) != 1 || o.ExcludeCredentials[0].ID != base64.RawURLEncoding.EncodeToString(d.key.ID) {
		t.Errorf("excluded: %+v", o.ExcludeCredentials)
	}
	again := optionsOf[creation](t, w.begin(w.BeginRegistration(t.Context(), "ann", "s", elsewhere(), twofa.Registration{}))).PublicKey
	if again.User.ID != o.User.ID || again.Challenge == o.Challenge || again.AuthenticatorSelection.AuthenticatorAttachment != "" {
		t.Errorf("%+v", again)
	}
}

func TestPasskeysOfSeveralSitesEachWorkOnTheirs(t *testing.T) {
	w, one, two, third := newWorld(t), newDevice(), newDevice(), newDevice()
	third.key = virtualwebauthn.NewCredential(virtualwebauthn.KeyTypeRSA)
	if recovery := w.register("ann", here(), one); len(recovery) != 10 {
		t.Errorf("recovery codes: %v", recovery)
	}
	if s := w.status("ann", elsewhere()); !s.IsSetup || s.UsableHere {
		t.Errorf("elsewhere: %+v", s)
	}
	_, err := w.BeginVerification(t.Context(), "ann", "s", elsewhere())
	wants(t, err, twofa.ErrNoPasskeyHere)
	w.pass(time.Minute)
	w.register("ann", here(), two)
	w.pass(time.Minute)
	w.register("ann", elsewhere(), third)
	w.pass(time.Minute)
	for _, d := range []*device{one, two} {
		wants(t, w.verify(here(), d), nil)
		c := w.begin(w.BeginVerification(t.Context(), "ann", "s", elsewhere()))
		wants(t, w.FinishVerification(t.Context(), "ann", "s", elsewhere(), c.ID, d.counted(t, elsewhere(), c)), twofa.ErrPasskey)
	}
	wants(t, w.verify(elsewhere(), third), nil)
	at, s := w.now(), w.status("ann", here())
	for i := range s.Credentials {
		s.Credentials[i].ID = ""
	}
	want := twofa.Status{
		IsSetup: true, UsableHere: true, Method: "webauthn", Methods: []string{"webauthn"}, RecoveryCodesLeft: 10,
		Credentials: []twofa.Credential{
			{Name: "Passkey", RPID: "dash.example.org", CreatedAt: at.Add(-3 * time.Minute), LastUsedAt: &at},
			{Name: "Passkey 2", RPID: "dash.example.org", CreatedAt: at.Add(-2 * time.Minute), LastUsedAt: &at},
			{Name: "Passkey 3", RPID: "other.example", CreatedAt: at.Add(-time.Minute), LastUsedAt: &at},
		},
	}
	if diff := cmp.Diff(want, s); diff != "" {
		t.Error(diff)
	}
}

func TestTheMethodIsTheOneUsedLast(t *testing.T) {
	w, d := newWorld(t), newDevice()
	w.register("ann", here(), d)
	secret, _ := w.otp("ann")
	for _, use := range []struct {
		method string
		do     func() error
	}{
		{"webauthn", func() error { return w.verify(here(), d) }},
		{"otp", func() error { return w.VerifyOTP(t.Context(), "ann", w.code(secret, 0)) }},
	} {
		wants(t, use.do(), nil)
		if got := w.status("ann", here()).Method; got != use.method {
			t.Errorf("method %q after %q", got, use.method)
		}
	}
}

func TestARegistrationOfAnotherPlaceIsRefused(t *testing.T) {
	w := newWorld(t)
	for name, at := range map[string]twofa.Site{
		"origin":      {RPID: here().RPID, Origin: "https://evil.example"},
		"port":        {RPID: here().RPID, Origin: "https://dash.example.org"},
		"scheme":      {RPID: here().RPID, Origin: "http://dash.example.org:8443"},
		"subdomain":   {RPID: here().RPID, Origin: "https://evil.dash.example.org:8443"},
		"path":        {RPID: here().RPID, Origin: here().Origin + "/x"},
		"user's name": {RPID: here().RPID, Origin: "https://x@dash.example.org:8443"},
		"case":        {RPID: here().RPID, Origin: "HTTPS://dash.example.org:8443"},
		"RPID":        {RPID: "evil.example", Origin: here().Origin},
	} {
		t.Run(name, func(t *testing.T) {
			c := w.begin(w.BeginRegistration(t.Context(), "ann", "s", here(), twofa.Registration{}))
			_, err := w.FinishRegistration(t.Context(), "ann", "s", here(), c.ID, newDevice().create(t, at, c), false)
			wants(t, err, twofa.ErrPasskey)
		})
	}
	if w.status("ann", here()).IsSetup {
		t.Error("something was set up")
	}
}

func TestAPasskeyIsOfOneUser(t *testing.T) {
	w, d, ctx := newWorld(t), newDevice(), t.Context()
	w.register("ann", here(), d)
	for _, user := range []string{"ann", "bob"} {
		c := w.begin(w.BeginRegistration(ctx, user, "s", here(), twofa.Registration{}))
		_, err := w.FinishRegistration(ctx, user, "s", here(), c.ID, d.create(t, here(), c), false)
		wants(t, err, twofa.ErrCredentialTaken)
	}
	if s := w.status("bob", here()); s.IsSetup || s.RecoveryCodesLeft != 0 {
		t.Errorf("%+v", s)
	}
}

func TestAUserHasAtMostSoManyPasskeys(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	for range twofa.MostCredentials - 1 {
		w.register("ann", here(), newDevice())
	}
	one := w.begin(w.BeginRegistration(ctx, "ann", "s", here(), twofa.Registration{}))
	two := w.begin(w.BeginRegistration(ctx, "ann", "t", elsewhere(), twofa.Registration{}))
	_, err := w.FinishRegistration(ctx, "ann", "s", here(), one.ID, newDevice().create(t, here(), one), false)
	wants(t, err, nil)
	_, err = w.FinishRegistration(ctx, "ann", "t", elsewhere(), two.ID, newDevice().create(t, elsewhere(), two), false)
	wants(t, err, twofa.ErrTooManyCredentials)
	_, err = w.BeginRegistration(ctx, "ann", "s", here(), twofa.Registration{})
	wants(t, err, twofa.ErrTooManyCredentials)
}

func TestNamesOfPasskeys(t *testing.T) {
	w, d, ctx := newWorld(t), newDevice(), t.Context()
	for _, bad := range []string{strings.Repeat("é", 65), "a\x00b", "a\nb", "a\u202eb", "\xff", "a\u200bb"} {
		_, err := w.BeginRegistration(ctx, "ann", "s", here(), twofa.Registration{Name: bad})
		wants(t, err, twofa.ErrName)
	}
	c := w.begin(w.BeginRegistration(ctx, "ann", "s", here(), twofa.Registration{Name: " my key 🔑 "}))
	_, err := w.FinishRegistration(ctx, "ann", "s", here(), c.ID, d.create(t, here(), c), true)
	wants(t, err, nil)
	credential := w.status("ann", here()).Credentials[0]
	if credential.Name != "my key 🔑" {
		t.Error(credential.Name)
	}
	long := strings.Repeat("é", 64)
	wants(t, w.RenameCredential(ctx, "ann", credential.ID, long), nil)
	for _, bad := range []string{"", "  ", "a\x07"} {
		wants(t, w.RenameCredential(ctx, "ann", credential.ID, bad), twofa.ErrName)
	}
	wants(t, w.RenameCredential(ctx, "bob", credential.ID, "x"), twofa.ErrNoCredential)
	wants(t, w.RenameCredential(ctx, "ann", "x", "x"), twofa.ErrNoCredential)
	if got := w.status("ann", here()).Credentials[0].Name; got != long {
		t.Error(got)
	}
}

func TestAPasskeyGetsANameThatSaysWhatItIs(t *testing.T) {
	w := newWorld(t)
	for _, given := range []struct{ extra, name string }{
		{`"authenticatorAttachment":"platform"`, "Passkey"},
		{`"authenticatorAttachment":"cross-platform"`, "Security key"},
		{`"authenticatorAttachment":"cross-platform"`, "Security key 2"},
		{`"authenticatorAttachment":"cross-platform","transports":["hybrid","internal"]`, "Phone"},
	} {
		c := w.begin(w.BeginRegistration(t.Context(), "ann", "s", here(), twofa.Registration{}))
		answer := string(newDevice().create(t, here(), c))
		attachment, transports, several := strings.Cut(given.extra, ",")
		answer = strings.Replace(answer, "{", "{"+attachment+",", 1)
		if several {
			answer = strings.Replace(answer, `"response":{`, `"response":{`+transports+",", 1)
		}
		_, err := w.FinishRegistration(t.Context(), "ann", "s", here(), c.ID, json.RawMessage(answer), false)
		wants(t, err, nil)
		w.pass(time.Second)
		all := w.status("ann", here()).Credentials
		if got := all[len(all)-1].Name; got != given.name {
			t.Errorf("%s: %q", given.extra, got)
		}
	}
}

func TestARemovedPasskeyIsGone(t *testing.T) {
	w, one, two, ctx := newWorld(t), newDevice(), newDevice(), t.Context()
	w.register("ann", here(), one)
	w.pass(time.Second)
	w.register("ann", here(), two)
	all := w.status("ann", here()).Credentials
	c := w.begin(w.BeginVerification(ctx, "ann", "s", here()))
	wants(t, w.RemoveCredential(ctx, "bob", all[0].ID), twofa.ErrNoCredential)
	wants(t, w.RemoveCredential(ctx, "ann", all[0].ID), nil)
	wants(t, w.RemoveCredential(ctx, "ann", all[0].ID), twofa.ErrNoCredential)
	wants(t, w.FinishVerification(ctx, "ann", "s", here(), c.ID, one.counted(t, here(), c)), twofa.ErrPasskey)
	wants(t, w.verify(here(), two), nil)
	wants(t, w.RemoveCredential(ctx, "ann", all[1].ID), nil)
	if s := w.status("ann", here()); s.IsSetup || s.RecoveryCodesLeft != 0 || s.Method != "" {
		t.Errorf("%+v", s)
	}
}

func TestWherePasskeysCannotWorkThatIsSaid(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	w.register("ann", here(), newDevice())
	plain := here()
	plain.Unavailable = "Passkeys need HTTPS."
	for reason, at := range map[string]twofa.Site{
		"Passkeys need HTTPS.":                        plain,
		"The address in the request is no host name.": {},
		"Passkeys need a host name with a dot in it, or localhost, and this is 192.0.2.1.": {RPID: "192.0.2.1", Origin: "https://192.0.2.1"},
		"Passkeys need a host name with a dot in it, or localhost, and this is nas.":       {RPID: "nas", Origin: "https://nas"},
	} {
		s := w.status("ann", at)
		if s.UsableHere || s.Unavailable != reason {
			t.Errorf("%+v", s)
		}
		_, one := w.BeginRegistration(ctx, "ann", "s", at, twofa.Registration{})
		_, two := w.BeginVerification(ctx, "ann", "s", at)
		_, three := w.BeginPasswordless(ctx, "192.0.2.7", at)
		for _, err := range []error{one, two, three} {
			var unavailable *twofa.UnavailableError
			if !errors.As(err, &unavailable) || unavailable.Reason != reason {
				t.Errorf("%v", err)
			}
		}
	}
}

func TestAnswersThatAreNoneAreRefused(t *testing.T) {
	w, d, ctx := newWorld(t), newDevice(), t.Context()
	w.register("ann", here(), d)
	for _, answer := range []string{
		"", "null", "{}", "[]", `{"id":"","response":{}}`, "{", `{"id":"YQ","rawId":"YQ","type":"public-key","response":{}}`,
		fmt.Sprintf(`{"id":%q}`, strings.Repeat("A", 40_000)),
	} {
		c := w.begin(w.BeginRegistration(ctx, "ann", "s", here(), twofa.Registration{}))
		_, err := w.FinishRegistration(ctx, "ann", "s", here(), c.ID, json.RawMessage(answer), false)
		wants(t, err, twofa.ErrPasskey)
		c = w.begin(w.BeginVerification(ctx, "ann", "s", here()))
		wants(t, w.FinishVerification(ctx, "ann", "s", here(), c.ID, json.RawMessage(answer)), twofa.ErrPasskey)
		c = w.begin(w.BeginPasswordless(ctx, "192.0.2.7", here()))
		_, err = w.FinishPasswordless(ctx, here(), c.ID, json.RawMessage(answer))
		wants(t, err, twofa.ErrPasskey)
	}
	if !slices.Equal(w.status("ann", here()).Methods, []string{"webauthn"}) || len(w.status("ann", here()).Credentials) != 1 {
		t.Error("something was set up")
	}
}
