package twofa_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/watch-docker/watch-docker/internal/twofa"
)

type request struct {
	PublicKey struct {
		Challenge, RPID, UserVerification string
		Timeout                           int
		AllowCredentials                  []struct{ ID string }
	}
}

func TestAVerificationAsksForTheUsersPasskeysOfTheSite(t *testing.T) {
	w, d := newWorld(t), newDevice()
	w.register("ann", here(), d)
	w.register("ann", elsewhere(), newDevice())
	w.register("bob", here(), newDevice())
	o := optionsOf[request](t, w.begin(w.BeginVerification(t.Context(), "ann", "s", here()))).PublicKey
	if sizeOf(t, o.Challenge) != 32 || o.RPID != here().RPID || o.UserVerification != "preferred" || o.Timeout != 60_000 {
		t.Errorf("%+v", o)
	}
	if len(o.AllowCredentials) != 1 || o.AllowCredentials[0].ID != base64.RawURLEncoding.EncodeToString(d.key.ID) {
		t.Errorf("%+v", o.AllowCredentials)
	}
}

// A verification that must fail, as an attacker has it: what was begun, and by
// what and whom it is finished.
type finish struct {
	user, session string
	at            twofa.Site
	answer        func(*device, twofa.Ceremony) json.RawMessage
}

func TestAVerificationOfAnotherIsRefused(t *testing.T) {
	honest := func(d *device, c twofa.Ceremony) json.RawMessage { return d.counted(t, here(), c) }
	port := twofa.Site{RPID: here().RPID, Origin: "https://dash.example.org"}
	for name, given := range map[string]struct {
		finish
		want error
	}{
		"user":    {finish{"bob", "s", here(), honest}, twofa.ErrCeremony},
		"session": {finish{"ann", "t", here(), honest}, twofa.ErrCeremony},
		"site":    {finish{"ann", "s", elsewhere(), honest}, twofa.ErrCeremony},
		"port":    {finish{"ann", "s", port, honest}, twofa.ErrCeremony},
		"RPID":    {finish{"ann", "s", twofa.Site{RPID: "example.org", Origin: here().Origin}, honest}, twofa.ErrCeremony},
		"origin in the answer": {finish{"ann", "s", here(), func(d *device, c twofa.Ceremony) json.RawMessage {
			return d.counted(t, twofa.Site{RPID: here().RPID, Origin: "https://evil.example"}, c)
		}}, twofa.ErrPasskey},
		"port in the answer": {finish{"ann", "s", here(), func(d *device, c twofa.Ceremony) json.RawMessage {
			return d.counted(t, port, c)
		}}, twofa.ErrPasskey},
		"RPID in the answer": {finish{"ann", "s", here(), func(d *device, c twofa.Ceremony) json.RawMessage {
			return d.counted(t, twofa.Site{RPID: "evil.example", Origin: here().Origin}, c)
		}}, twofa.ErrPasskey},
		"key": {finish{"ann", "s", here(), func(d *device, c twofa.Ceremony) json.RawMessage {
			other := newDevice()
			other.Options, other.key.ID = d.Options, d.key.ID
			return other.counted(t, here(), c)
		}}, twofa.ErrPasskey},
		"nobody present": {finish{"ann", "s", here(), func(d *device, c twofa.Ceremony) json.RawMessage {
			d.Options.UserNotPresent = true
			return d.counted(t, here(), c)
		}}, twofa.ErrPasskey},
	} {
		t.Run(name, func(t *testing.T) {
			w, d := newWorld(t), newDevice()
			w.register("ann", here(), d)
			w.register("ann", elsewhere(), newDevice())
			w.register("bob", here(), newDevice())
			c := w.begin(w.BeginVerification(t.Context(), "ann", "s", here()))
			wants(t, w.FinishVerification(t.Context(), given.user, given.session, given.at, c.ID, given.answer(d, c)), given.want)
			// It was taken out, so that the right one is too late.
			wants(t, w.FinishVerification(t.Context(), "ann", "s", here(), c.ID, honest(d, c)), twofa.ErrCeremony)
		})
	}
}

func TestACeremonyIsForItsPurpose(t *testing.T) {
	w, d, ctx := newWorld(t), newDevice(), t.Context()
	w.register("ann", here(), d)
	register := w.begin(w.BeginRegistration(ctx, "ann", "s", here(), twofa.Registration{}))
	wants(t, w.FinishVerification(ctx, "ann", "s", here(), register.ID, d.counted(t, here(), register)), twofa.ErrCeremony)
	verify := w.begin(w.BeginVerification(ctx, "ann", "s", here()))
	_, err := w.FinishRegistration(ctx, "ann", "s", here(), verify.ID, json.RawMessage(`{}`), false)
	wants(t, err, twofa.ErrCeremony)
	verify = w.begin(w.BeginVerification(ctx, "ann", "s", here()))
	_, err = w.FinishPasswordless(ctx, here(), verify.ID, d.counted(t, here(), verify))
	wants(t, err, twofa.ErrCeremony)
	passwordless := w.begin(w.BeginPasswordless(ctx, "192.0.2.1", here()))
	wants(t, w.FinishVerification(ctx, "ann", "s", here(), passwordless.ID, d.counted(t, here(), passwordless)), twofa.ErrCeremony)
	// An answer to the one is no answer to the other, either.
	verify = w.begin(w.BeginVerification(ctx, "ann", "s", here()))
	passwordless = w.begin(w.BeginPasswordless(ctx, "192.0.2.1", here()))
	_, err = w.FinishPasswordless(ctx, here(), passwordless.ID, d.counted(t, here(), verify))
	wants(t, err, twofa.ErrPasskey)
}

func TestACapturedAnswerCountsOnce(t *testing.T) {
	w, d, ctx := newWorld(t), newDevice(), t.Context()
	w.register("ann", here(), d)
	c := w.begin(w.BeginVerification(ctx, "ann", "s", here()))
	answer := d.counted(t, here(), c)
	in := atOnce(t, 50, twofa.ErrCeremony, func() error { return w.FinishVerification(ctx, "ann", "s", here(), c.ID, answer) })
	if in != 1 {
		t.Errorf("%d got in", in)
	}
	c = w.begin(w.BeginVerification(ctx, "ann", "s", here()))
	wants(t, w.FinishVerification(ctx, "ann", "s", here(), c.ID, answer), twofa.ErrPasskey) // its challenge is another
}

func TestACeremonyExpiresAfterAMinute(t *testing.T) {
	w, d, ctx := newWorld(t), newDevice(), t.Context()
	w.register("ann", here(), d)
	c := w.begin(w.BeginVerification(ctx, "ann", "s", here()))
	w.pass(time.Minute - time.Nanosecond)
	wants(t, w.FinishVerification(ctx, "ann", "s", here(), c.ID, d.counted(t, here(), c)), nil)
	c = w.begin(w.BeginVerification(ctx, "ann", "s", here()))
	w.pass(time.Minute)
	wants(t, w.FinishVerification(ctx, "ann", "s", here(), c.ID, d.counted(t, here(), c)), twofa.ErrCeremony)
}

func TestACopyIsRefusedAndNothingIsStored(t *testing.T) {
	w, d, ctx := newWorld(t), newDevice(), t.Context()
	d.key.Counter = 5
	w.register("ann", here(), d)
	wants(t, w.verify(here(), d), nil) // 6
	before := w.status("ann", here())
	w.pass(time.Second)
	for _, counter := range []uint32{6, 5, 1, 0} {
		d.key.Counter = counter
		c := w.begin(w.BeginVerification(ctx, "ann", "s", here()))
		err := w.FinishVerification(ctx, "ann", "s", here(), c.ID, d.get(t, here(), c))
		wants(t, err, twofa.ErrCloned)
		if errors.Is(err, twofa.ErrPasskey) {
			t.Error("a copy can't be told from a wrong answer")
		}
		c = w.begin(w.BeginPasswordless(ctx, "192.0.2.1", here()))
		user, err := w.FinishPasswordless(ctx, here(), c.ID, d.get(t, here(), c))
		wants(t, err, twofa.ErrCloned)
		if user != "ann" {
			t.Errorf("a copy of a passkey of %q", user)
		}
	}
	if after := w.status("ann", here()); !after.Credentials[0].LastUsedAt.Equal(*before.Credentials[0].LastUsedAt) {
		t.Error("the use of a copy was stored")
	}
	d.key.Counter = 6
	wants(t, w.verify(here(), d), nil) // 7: the right one goes on
	w.restart()
	c := w.begin(w.BeginVerification(ctx, "ann", "s", here()))
	wants(t, w.FinishVerification(ctx, "ann", "s", here(), c.ID, d.get(t, here(), c)), twofa.ErrCloned)
}

func TestPasskeysThatDoNotCountGoOn(t *testing.T) {
	w, d, ctx := newWorld(t), newDevice(), t.Context()
	d.Options.BackupEligible = true
	w.register("ann", here(), d)
	for _, backedUp := range []bool{false, true, false} { // BS may change, BE may not
		d.Options.BackupState = backedUp
		c := w.begin(w.BeginVerification(ctx, "ann", "s", here()))
		wants(t, w.FinishVerification(ctx, "ann", "s", here(), c.ID, d.get(t, here(), c)), nil)
	}
}

func TestOfTwoUsesWithTheSameCountOneGetsIn(t *testing.T) {
	const n = 12
	w, d, ctx := newWorld(t), newDevice(), t.Context()
	w.register("ann", here(), d)
	w.meet(n)
	d.key.Counter = 1
	work := make(chan func() error, n)
	for i := range n {
		session := strconv.Itoa(i)
		c := w.begin(w.BeginVerification(ctx, "ann", session, here()))
		answer := d.get(t, here(), c)
		work <- func() error { return w.FinishVerification(ctx, "ann", session, here(), c.ID, answer) }
	}
	if in := atOnce(t, n, twofa.ErrCloned, func() error { return (<-work)() }); in != 1 {
		t.Errorf("%d got in", in)
	}
}

func TestAFlippedBackupFlagIsRefused(t *testing.T) {
	for _, eligible := range []bool{false, true} {
		w, d := newWorld(t), newDevice()
		d.Options.BackupEligible = eligible
		w.register("ann", here(), d)
		d.Options.BackupEligible = !eligible
		wants(t, w.verify(here(), d), twofa.ErrPasskey)
		d.Options.BackupEligible = eligible
		wants(t, w.verify(here(), d), nil)
	}
}

func TestUserVerificationIsPreferredAndNotRequiredBesideAPassword(t *testing.T) {
	w, d := newWorld(t), newDevice()
	d.Options.UserNotVerified = true
	w.register("ann", here(), d)
	wants(t, w.verify(here(), d), nil)
}

func TestAPasswordlessSignInSaysWhoItIs(t *testing.T) {
	w, ann, bob, ctx := newWorld(t), newDevice(), newDevice(), t.Context()
	w.register("ann", here(), ann)
	w.register("bob", here(), bob)
	for user, d := range map[string]*device{"ann": ann, "bob": bob} {
		c := w.begin(w.BeginPasswordless(ctx, "192.0.2.1", here()))
		o := optionsOf[request](t, c).PublicKey
		if o.UserVerification != "required" || len(o.AllowCredentials) != 0 || o.RPID != here().RPID || sizeOf(t, o.Challenge) != 32 {
			t.Errorf("%+v", o)
		}
		answer := d.counted(t, here(), c)
		got, err := w.FinishPasswordless(ctx, here(), c.ID, answer)
		if got != user || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		_, err = w.FinishPasswordless(ctx, here(), c.ID, answer)
		wants(t, err, twofa.ErrCeremony)
	}
	if at := w.status("ann", here()).Credentials[0].LastUsedAt; at == nil || !at.Equal(w.now()) {
		t.Error(at)
	}
}

func TestAPasswordlessSignInIsRefused(t *testing.T) {
	for name, change := range map[string]func(d *device, handles map[string][]byte){
		"without user verification": func(d *device, _ map[string][]byte) { d.Options.UserNotVerified = true },
		"without a handle":          func(d *device, _ map[string][]byte) { d.Options.UserHandle = nil },
		"with another's handle":     func(d *device, handles map[string][]byte) { d.Options.UserHandle = handles["bob"] },
		"with an unknown passkey":   func(d *device, _ map[string][]byte) { d.key.ID = []byte("unknown") },
		"with another key":          func(d *device, _ map[string][]byte) { d.key.Key = newDevice().key.Key },
	} {
		t.Run(name, func(t *testing.T) {
			w, ann, bob, ctx := newWorld(t), newDevice(), newDevice(), t.Context()
			w.register("ann", here(), ann)
			w.register("bob", here(), bob)
			change(ann, map[string][]byte{"bob": bob.Options.UserHandle})
			c := w.begin(w.BeginPasswordless(ctx, "192.0.2.1", here()))
			user, err := w.FinishPasswordless(ctx, here(), c.ID, ann.counted(t, here(), c))
			wants(t, err, twofa.ErrPasskey)
			if user != "" {
				t.Errorf("it says %q", user)
			}
		})
	}
	w, d, ctx := newWorld(t), newDevice(), t.Context()
	w.register("ann", here(), d)
	c := w.begin(w.BeginPasswordless(ctx, "192.0.2.1", here()))
	_, err := w.FinishPasswordless(ctx, elsewhere(), c.ID, d.counted(t, here(), c))
	wants(t, err, twofa.ErrCeremony)
	c = w.begin(w.BeginPasswordless(ctx, "192.0.2.1", elsewhere()))
	_, err = w.FinishPasswordless(ctx, elsewhere(), c.ID, d.counted(t, elsewhere(), c))
	wants(t, err, twofa.ErrPasskey) // it is of another RPID
	c = w.begin(w.BeginPasswordless(ctx, "192.0.2.1", here()))
	w.pass(time.Minute)
	_, err = w.FinishPasswordless(ctx, here(), c.ID, d.counted(t, here(), c))
	wants(t, err, twofa.ErrCeremony)
}

func TestStrangersCannotPushOutWhatOthersHaveBegun(t *testing.T) {
	w, d, ctx := newWorld(t), newDevice(), t.Context()
	w.register("ann", here(), d)
	users := w.begin(w.BeginVerification(ctx, "ann", "s", here()))
	neighbours := w.begin(w.BeginPasswordless(ctx, "192.0.2.1", here()))
	for i := range 4_600 { // a hundred networks, more than fit
		w.begin(w.BeginPasswordless(ctx, "198.51.100."+strconv.Itoa(i%100), here()))
	}
	wants(t, w.FinishVerification(ctx, "ann", "s", here(), users.ID, d.counted(t, here(), users)), nil)
	_, err := w.FinishPasswordless(ctx, here(), neighbours.ID, d.counted(t, here(), neighbours))
	wants(t, err, nil)

	// Nor can another session of the same user, as somebody has who knows the password.
	owners := w.begin(w.BeginVerification(ctx, "ann", "s", here()))
	for range 100 {
		w.begin(w.BeginVerification(ctx, "ann", "t", here()))
	}
	wants(t, w.FinishVerification(ctx, "ann", "s", here(), owners.ID, d.counted(t, here(), owners)), nil)
}

func TestASessionsOwnCeremoniesAreBounded(t *testing.T) {
	w, d, ctx := newWorld(t), newDevice(), t.Context()
	w.register("ann", here(), d)
	all := make([]twofa.Ceremony, 5)
	for i := range all {
		all[i] = w.begin(w.BeginVerification(ctx, "ann", "s", here()))
	}
	wants(t, w.FinishVerification(ctx, "ann", "s", here(), all[0].ID, d.counted(t, here(), all[0])), twofa.ErrCeremony)
	for _, c := range all[1:] {
		wants(t, w.FinishVerification(ctx, "ann", "s", here(), c.ID, d.counted(t, here(), c)), nil)
	}
}
