package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/watch-docker/watch-docker/internal/store"
)

func addAnn(t *testing.T, s *store.Store) time.Time {
	t.Helper()
	at := time.Date(2026, 1, 2, 3, 4, 5, 600, time.UTC)
	if err := s.AddUser(t.Context(), store.User{Name: "ann", PasswordHash: "h", Role: "viewer", CreatedAt: at, ChangedAt: at}); err != nil {
		t.Fatal(err)
	}
	return at
}

func TestFactorsComeBackAsTheyWerePutIn(t *testing.T) {
	s, ctx := open(t, t.TempDir()), t.Context()
	at := addAnn(t, s)
	totp := store.TOTP{User: "ann", Secret: []byte{0, 1, 255}, LastStep: 7, CreatedAt: at, LastUsedAt: &at}
	if first, err := s.AddTOTP(ctx, totp, store.Enrolment{First: true, Recovery: [][]byte{{1}, {2}}}); !first || err != nil {
		t.Fatal(first, err)
	}
	key := store.Passkey{ID: "1", User: "ann", RPID: "a.b", CredentialID: []byte{0, 9}, Name: "n", Credential: []byte(`{"a":1}`), SignCount: 1<<32 - 1, CreatedAt: at}
	if first, err := s.AddPasskey(ctx, key, 1, store.Enrolment{Recovery: [][]byte{{3}}}); first || err != nil {
		t.Fatal(first, err)
	}
	got, err := s.Factors(ctx, "ann")
	want := store.Factors{Method: "webauthn", TOTP: &totp, Passkeys: []store.Passkey{key}, RecoveryCodes: 2}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
	handle, err := s.Handle(ctx, "ann", []byte("one"))
	if again, err := s.Handle(ctx, "ann", []byte("two")); string(handle)+string(again) != "oneone" || err != nil {
		t.Errorf("handles %q, %q, %v", handle, again, err)
	}
	if err != nil {
		t.Error(err)
	}
	if p, ok, err := s.Passkey(ctx, "a.b", []byte{0, 9}); !ok || err != nil || !cmp.Equal(p, key) {
		t.Error(p, ok, err)
	}
	if _, ok, err := s.Passkey(ctx, "x.b", []byte{0, 9}); ok || err != nil {
		t.Error("a passkey of another RPID")
	}
}

func TestFactorsOfNobodyAreRefused(t *testing.T) {
	s, ctx := open(t, t.TempDir()), t.Context()
	_, one := s.Factors(ctx, "x")
	_, two := s.AddTOTP(ctx, store.TOTP{User: "x", Secret: []byte{1}}, store.Enrolment{})
	_, three := s.AddPasskey(ctx, store.Passkey{User: "x", CredentialID: []byte{1}}, 1, store.Enrolment{})
	_, four := s.Handle(ctx, "x", []byte{1})
	for i, err := range []error{one, two, three, four} {
		if !errors.Is(err, store.ErrNoUser) {
			t.Errorf("%d: %v", i, err)
		}
	}
	if imported, _, err := s.ImportFactors(ctx, "x", store.Factors{}, time.Now()); imported || err != nil {
		t.Error(imported, err)
	}
}

func TestFactorsGoWithTheirUser(t *testing.T) {
	s, ctx := open(t, t.TempDir()), t.Context()
	at := addAnn(t, s)
	add := func() {
		t.Helper()
		if _, err := s.AddTOTP(ctx, store.TOTP{User: "ann", Secret: []byte{1}, CreatedAt: at}, store.Enrolment{Recovery: [][]byte{{1}}}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.AddPasskey(ctx, store.Passkey{ID: "1", User: "ann", CredentialID: []byte{1}, Credential: []byte("{}"), CreatedAt: at}, 1, store.Enrolment{}); err != nil {
			t.Fatal(err)
		}
	}
	add()
	if err := s.RemoveUser(ctx, "ann"); err != nil {
		t.Fatal(err)
	}
	addAnn(t, s)
	if f, err := s.Factors(ctx, "ann"); f.TOTP != nil || len(f.Passkeys) != 0 || f.RecoveryCodes != 0 || f.Method != "" || f.Handle != nil || err != nil {
		t.Errorf("%+v, %v", f, err)
	}
	add() // nothing is left that would be in the way
}
