package twofa_test

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/watch-docker/watch-docker/internal/store"
	"github.com/watch-docker/watch-docker/internal/twofa"
)

// longestInput keeps the fuzzer from what no request and no file's entry is.
const longestInput = 64 << 10

func FuzzImport(f *testing.F) {
	f.Add(oldSecret, []byte(`{"credential":{"id":"AQID","publicKey":[1,2,3],"flags":{"backupEligible":true},"authenticator":{"signCount":4294967296}},"rpid":"a.b"}`))
	f.Add("", []byte(`{"rpid":"a.b","id":[1e300,"x",null,-1,true],"credential":[],"signcount":"0x1p3"}`))
	f.Add("\xff=", []byte("credential: {id: !!binary AQID, publickey: {}}\nrpid: localhost\n"))
	w := newWorld(f)
	f.Fuzz(func(t *testing.T, secret string, text []byte) {
		w.t = t
		if len(secret)+len(text) > longestInput {
			return
		}
		var entry map[string]any
		if json.Unmarshal(text, &entry) != nil && yaml.Unmarshal(text, &entry) != nil {
			entry = map[string]any{"rpid": "a.b", "id": string(text), "publicKey": text}
		}
		user := rand.Text() // each has one import in all
		if err := w.store.AddUser(t.Context(), store.User{Name: user, PasswordHash: "h", Role: "viewer"}); err != nil {
			t.Fatal(err)
		}
		err := w.Import(t.Context(), map[string]twofa.Imported{user: {
			Method: secret, IsSetup: true, OTPSecret: secret, WebAuthnCredentials: []map[string]any{entry},
		}})
		if err != nil {
			t.Error(err)
		}
		if s := w.status(user, here()); s.IsSetup != isMethod(s.Method) {
			t.Errorf("%+v", s)
		}
		wants(t, w.store.RemoveUser(t.Context(), user), nil)
	})
}

func isMethod(name string) bool { return name == "otp" || name == "webauthn" }

func FuzzAnswers(f *testing.F) {
	w, d := newWorld(f), newDevice()
	w.register("ann", here(), d)
	f.Add("", []byte(`null`))
	f.Add("response", []byte(`{"clientDataJSON":"","attestationObject":"","authenticatorData":"","signature":""}`))
	f.Add("id", []byte(`"YQ"`))
	f.Add("clientExtensionResults", []byte(`{"credProps":{"rk":true},"x":[[[[]]]]}`))
	f.Add("whole", []byte(`{"id":"YQ","rawId":"YQ","type":"public-key","response":{}}`))
	f.Fuzz(func(t *testing.T, field string, value []byte) {
		w.t = t
		if len(field)+len(value) > longestInput {
			return
		}
		change := func(answer json.RawMessage) json.RawMessage {
			var fields map[string]json.RawMessage
			if field == "whole" || !json.Valid(value) || json.Unmarshal(answer, &fields) != nil {
				return value
			}
			fields[field] = value
			changed, err := json.Marshal(fields)
			if err != nil {
				t.Fatal(err)
			}
			return changed
		}
		// A field that doesn't matter leaves the answer right; all else is ErrPasskey.
		one := w.begin(w.BeginRegistration(t.Context(), "bob", "s", here(), twofa.Registration{}))
		if _, err := w.FinishRegistration(t.Context(), "bob", "s", here(), one.ID, change(newDevice().create(t, here(), one)), false); err == nil {
			wants(t, w.Reset(t.Context(), "bob"), nil)
		} else if !errors.Is(err, twofa.ErrPasskey) {
			t.Error(err)
		}
		two := w.begin(w.BeginVerification(t.Context(), "ann", "s", here()))
		if err := w.FinishVerification(t.Context(), "ann", "s", here(), two.ID, change(d.counted(t, here(), two))); err != nil && !errors.Is(err, twofa.ErrPasskey) {
			t.Error(err)
		}
		three := w.begin(w.BeginPasswordless(t.Context(), "192.0.2.1", here()))
		if _, err := w.FinishPasswordless(t.Context(), here(), three.ID, change(d.counted(t, here(), three))); err != nil && !errors.Is(err, twofa.ErrPasskey) {
			t.Error(err)
		}
	})
}

func TestALongAnswerIsRefusedBeforeItIsParsed(t *testing.T) {
	w, d := newWorld(t), newDevice()
	w.register("ann", here(), d)
	c := w.begin(w.BeginVerification(t.Context(), "ann", "s", here()))
	answer := strings.Replace(string(d.counted(t, here(), c)), "{", "{"+strings.Repeat(" ", 32<<10), 1)
	wants(t, w.FinishVerification(t.Context(), "ann", "s", here(), c.ID, json.RawMessage(answer)), twofa.ErrPasskey)
	wants(t, w.verify(here(), d), nil)
}
