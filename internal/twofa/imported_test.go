package twofa_test

import (
	"encoding/base32"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"
	"go.yaml.in/yaml/v3"

	"github.com/watch-docker/watch-docker/internal/store"
	"github.com/watch-docker/watch-docker/internal/twofa"
)

const oldSecret = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXPJBSW" // 32 bytes and some

// older is a credential as an older installation had it in memory.
type older struct {
	Credential webauthn.Credential
	RPID       string
}

// olderOf registers a passkey somewhere else and gives it as that other
// installation had it.
func olderOf(t *testing.T, at twofa.Site, d *device) older {
	t.Helper()
	rp, err := webauthn.New(&webauthn.Config{RPID: at.RPID, RPDisplayName: "x", RPOrigins: []string{at.Origin}})
	if err != nil {
		t.Fatal(err)
	}
	user := olderUser("ann")
	options, session, err := rp.BeginRegistration(user)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(options)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes(d.create(t, at, twofa.Ceremony{Options: text}))
	if err != nil {
		t.Fatal(err)
	}
	credential, err := rp.CreateCredential(user, *session, parsed)
	if err != nil {
		t.Fatal(err)
	}
	return older{*credential, at.RPID}
}

type olderUser string

func (u olderUser) WebAuthnID() []byte                         { return []byte("id of " + u) }
func (u olderUser) WebAuthnName() string                       { return string(u) }
func (u olderUser) WebAuthnDisplayName() string                { return string(u) }
func (u olderUser) WebAuthnCredentials() []webauthn.Credential { return nil }

func throughYAML(t *testing.T, x any) (entry map[string]any) {
	t.Helper()
	text, err := yaml.Marshal(x)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, &entry); err != nil {
		t.Fatal(err)
	}
	return entry
}

func throughJSON(t *testing.T, x any) (entry map[string]any) {
	t.Helper()
	text, err := json.Marshal(x)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &entry); err != nil {
		t.Fatal(err)
	}
	return entry
}

// with is the entry with one more field within its credential.
func with(entry map[string]any, change func(credential map[string]any)) map[string]any {
	entry = maps.Clone(entry)
	for name, value := range entry {
		if credential, ok := value.(map[string]any); ok && strings.EqualFold(name, "credential") {
			credential = maps.Clone(credential)
			change(credential)
			entry[name] = credential
		}
	}
	return entry
}

func TestPasskeysOfAnOlderInstallationGoOnHoweverTheyWereWritten(t *testing.T) {
	for name, write := range map[string]func(*testing.T, older) map[string]any{
		"YAML": func(t *testing.T, o older) map[string]any { t.Helper(); return throughYAML(t, o) },
		"JSON": func(t *testing.T, o older) map[string]any { t.Helper(); return throughJSON(t, o) },
		"base64 in the other alphabet": func(t *testing.T, o older) map[string]any {
			t.Helper()
			return with(throughJSON(t, o), func(c map[string]any) {
				c["id"] = base64.RawURLEncoding.EncodeToString(o.Credential.ID)
				c["publicKey"] = base64.RawStdEncoding.EncodeToString(o.Credential.PublicKey)
			})
		},
		"YAML's !!binary": func(t *testing.T, o older) map[string]any {
			t.Helper()
			return with(throughYAML(t, o), func(c map[string]any) {
				c["id"], c["publickey"] = string(o.Credential.ID), string(o.Credential.PublicKey)
			})
		},
		"snake case": func(t *testing.T, o older) map[string]any {
			t.Helper()
			return map[string]any{"rp_id": o.RPID, "credential": map[any]any{
				"id": o.Credential.ID, "public_key": o.Credential.PublicKey, "Transport": []any{"usb"},
				"flags": map[any]any{"backup_eligible": "true"}, "authenticator": map[any]any{"sign_count": "7"},
			}}
		},
		"flat, without flags": func(t *testing.T, o older) map[string]any {
			t.Helper()
			return map[string]any{"RPID": o.RPID, "credentialId": o.Credential.ID, "publicKey": o.Credential.PublicKey, "signCount": 7}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, d := newWorld(t), newDevice()
			d.Options.BackupEligible, d.key.Counter = true, 7
			entry := write(t, olderOf(t, here(), d))
			err := w.Import(t.Context(), map[string]twofa.Imported{
				"ann": {Method: "webauthn", IsSetup: true, WebAuthnCredentials: []map[string]any{entry}},
			})
			wants(t, err, nil)
			if s := w.status("ann", here()); !s.UsableHere || s.Method != "webauthn" || s.RecoveryCodesLeft != 0 || len(s.Credentials) != 1 {
				t.Fatalf("%+v %v", s, w.log.All())
			}
			c := w.begin(w.BeginVerification(t.Context(), "ann", "s", here()))
			wants(t, w.FinishVerification(t.Context(), "ann", "s", here(), c.ID, d.get(t, here(), c)), twofa.ErrCloned) // its count is known
			wants(t, w.verify(here(), d), nil)
			c = w.begin(w.BeginPasswordless(t.Context(), "192.0.2.1", here()))
			user, err := w.FinishPasswordless(t.Context(), here(), c.ID, d.counted(t, here(), c))
			if user != "ann" || err != nil {
				t.Errorf("%q, %v", user, err)
			}
			d.Options.BackupEligible = false
			wants(t, w.verify(here(), d), twofa.ErrPasskey)
		})
	}
}

func TestBothFactorsOfAnEntryAreImported(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	d := newDevice()
	wants(t, w.Import(ctx, map[string]twofa.Imported{"ann": {
		Method: "otp", IsSetup: true, OTPSecret: strings.ToLower(oldSecret[:26]) + " " + oldSecret[26:] + "====",
		WebAuthnCredentials: []map[string]any{throughYAML(t, olderOf(t, here(), d))},
	}}), nil)
	if s := w.status("ann", here()); s.Method != "otp" || len(s.Methods) != 2 {
		t.Errorf("%+v", s)
	}
	wants(t, w.VerifyOTP(ctx, "ann", w.code(oldSecret, 0)), nil)
	wants(t, w.VerifyOTP(ctx, "ann", w.code(oldSecret, 0)), twofa.ErrCode)
	wants(t, w.verify(here(), d), nil)
	codes, err := w.NewRecoveryCodes(ctx, "ann")
	if len(codes) != 10 || err != nil {
		t.Error(codes, err)
	}
}

func TestAnEntryIsImportedOnce(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	users := map[string]twofa.Imported{
		"ann":  {Method: "otp", IsSetup: true, OTPSecret: oldSecret},
		"bob":  {Method: "otp", IsSetup: true, OTPSecret: oldSecret},
		"carl": {Method: "otp", IsSetup: true, OTPSecret: oldSecret}, // older installations wrote names in lower case
		"dora": {Method: "otp", IsSetup: true, OTPSecret: oldSecret},
		"ANN":  {Method: "otp", IsSetup: true, OTPSecret: oldSecret},
	}
	w.otp("bob")
	wants(t, w.Import(ctx, users), nil)
	for user, set := range map[string]bool{"ann": true, "Carl": true} {
		if w.status(user, here()).IsSetup != set {
			t.Errorf("%s: %v", user, !set)
		}
	}
	wants(t, w.VerifyOTP(ctx, "bob", w.code(oldSecret, 0)), twofa.ErrCode) // theirs stays
	for _, user := range []string{"ann", "bob"} {
		wants(t, w.Reset(ctx, user), nil)
	}
	if err := w.store.AddUser(ctx, store.User{Name: "dora", PasswordHash: "h", Role: "viewer"}); err != nil {
		t.Fatal(err)
	}
	w.restart()
	wants(t, w.Import(ctx, users), nil)
	for user, set := range map[string]bool{"ann": false, "bob": false, "Carl": true, "dora": true} {
		if w.status(user, here()).IsSetup != set {
			t.Errorf("%s: %v", user, !set)
		}
	}
}

func TestWhatWasNotSetUpIsNotImported(t *testing.T) {
	w := newWorld(t)
	wants(t, w.Import(t.Context(), map[string]twofa.Imported{
		"ann": {Method: "otp", OTPSecret: oldSecret}, "bob": {IsSetup: true}, "Carl": {},
	}), nil)
	for _, user := range []string{"ann", "bob", "Carl"} {
		if w.status(user, here()).IsSetup {
			t.Errorf("%s has a factor", user)
		}
	}
	if w.log.Len() != 0 {
		t.Error(w.log.All())
	}
}

func TestABadEntryIsAWarningWithoutItsSecretsAndTheOthersGoOn(t *testing.T) {
	w, d, ctx := newWorld(t), newDevice(), t.Context()
	good := throughYAML(t, olderOf(t, here(), d))
	bad := func(change func(map[string]any)) map[string]any { return with(good, change) }
	rpid := maps.Clone(good)
	rpid["rpid"] = "https://hunter2.example/"
	wants(t, w.Import(ctx, map[string]twofa.Imported{
		"ann": {Method: "otp", IsSetup: true, OTPSecret: "hunter2 is no base32!", WebAuthnCredentials: []map[string]any{
			nil, {"credential": "hunter2"}, rpid,
			bad(func(c map[string]any) { delete(c, "id") }),
			bad(func(c map[string]any) { c["id"] = "hunter2!" }),
			bad(func(c map[string]any) { c["id"] = []any{1, 2, 256} }),
			bad(func(c map[string]any) { c["publickey"] = []any{104, 117, 110, 116, 101, 114, 50} }),
			bad(func(c map[string]any) { c["authenticator"] = map[string]any{"signcount": -1} }),
			good, good,
		}},
		"bob":  {Method: "otp", IsSetup: true, OTPSecret: "MFRA"},
		"Carl": {Method: "otp", IsSetup: true, OTPSecret: oldSecret},
	}), nil)
	s := w.status("ann", here())
	if s.Method != "webauthn" || len(s.Methods) != 1 || len(s.Credentials) != 1 || !w.status("Carl", here()).IsSetup || w.status("bob", here()).IsSetup {
		t.Errorf("%+v", s)
	}
	wants(t, w.verify(here(), d), nil)
	var got []string
	for _, line := range w.log.FilterMessageSnippet("can't be imported").All() {
		f := line.ContextMap()
		got = append(got, fmt.Sprint(f["user"], " ", f["field"]))
		if text := fmt.Sprint(f); strings.Contains(text, "hunter2") || strings.Contains(text, "MFRA") {
			t.Errorf("the log says %s", text)
		}
	}
	if want := []string{
		"ann otpSecret", "ann webauthnCredentials[0].rpid", "ann webauthnCredentials[1].rpid", "ann webauthnCredentials[2].rpid",
		"ann webauthnCredentials[3].credential.id", "ann webauthnCredentials[4].credential.id", "ann webauthnCredentials[5].credential.id",
		"ann webauthnCredentials[6].credential.publicKey", "ann webauthnCredentials[7].credential.authenticator.signCount",
		"ann webauthnCredentials", "bob otpSecret",
	}; strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("warnings:\n%s", strings.Join(got, "\n"))
	}
}

func TestAFileCannotBringTooManyPasskeys(t *testing.T) {
	w := newWorld(t)
	entries := make([]map[string]any, twofa.MostCredentials+5)
	one := olderOf(t, here(), newDevice())
	for i := range entries {
		one.Credential.ID = fmt.Append(nil, "credential ", i)
		entries[i] = throughYAML(t, one)
	}
	wants(t, w.Import(t.Context(), map[string]twofa.Imported{"ann": {IsSetup: true, WebAuthnCredentials: entries}}), nil)
	if n := len(w.status("ann", here()).Credentials); n != twofa.MostCredentials {
		t.Errorf("%d passkeys", n)
	}
	if n := w.log.FilterMessageSnippet("can't be imported").Len(); n != 1 {
		t.Errorf("%d warnings", n)
	}
}

func TestASecretsLengthIsChecked(t *testing.T) {
	for size, ok := range map[int]bool{9: false, 10: true, 32: true, 128: true, 129: false} {
		w := newWorld(t)
		secret := base32.StdEncoding.EncodeToString(make([]byte, size))
		wants(t, w.Import(t.Context(), map[string]twofa.Imported{"ann": {Method: "otp", IsSetup: true, OTPSecret: secret}}), nil)
		if w.status("ann", here()).IsSetup != ok {
			t.Errorf("%d bytes: %v", size, !ok)
		}
	}
}
