package twofa_test

import (
	"bytes"
	"encoding/base32"
	"encoding/base64"
	"errors"
	"image/png"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/watch-docker/watch-docker/internal/twofa"
)

func TestAnEnrolmentIsWhatAuthenticatorAppsUnderstand(t *testing.T) {
	w := newWorld(t)
	e, err := w.BeginOTP(t.Context(), "ann", "s")
	if err != nil {
		t.Fatal(err)
	}
	secret, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(e.Secret)
	if err != nil || len(secret) != 32 {
		t.Errorf("secret: %d bytes, %v", len(secret), err)
	}
	u, err := url.Parse(e.URL)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{"scheme": u.Scheme, "host": u.Host, "path": u.Path}
	for name := range u.Query() {
		got[name] = u.Query().Get(name)
	}
	if diff := cmp.Diff(map[string]string{
		"scheme": "otpauth", "host": "totp", "path": "/Watch Docker:ann", "issuer": "Watch Docker",
		"secret": e.Secret, "algorithm": "SHA1", "digits": "6", "period": "30",
	}, got); diff != "" {
		t.Error(diff)
	}
	picture, isPNG := strings.CutPrefix(e.QRCode, "data:image/png;base64,")
	raw, err := base64.StdEncoding.DecodeString(picture)
	if err != nil || !isPNG {
		t.Fatal(e.QRCode[:40], err)
	}
	if img, err := png.Decode(bytes.NewReader(raw)); err != nil || img.Bounds().Dx() != 256 {
		t.Error(img.Bounds(), err)
	}
}

func TestACodeSetsUpAndTheNextOneVerifies(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	if diff := cmp.Diff(twofa.Status{Methods: []string{}, Credentials: []twofa.Credential{}}, w.status("ann", here())); diff != "" {
		t.Error(diff)
	}
	e, err := w.BeginOTP(ctx, "ann", "s")
	if err != nil {
		t.Fatal(err)
	}
	if w.status("ann", here()).IsSetup {
		t.Error("set up before the first code")
	}
	_, err = w.FinishOTP(ctx, "ann", "s", "abcdef", true)
	wants(t, err, twofa.ErrCode)
	enrolled := w.code(e.Secret, 0)
	recovery, err := w.FinishOTP(ctx, "ann", "s", enrolled[:3]+" "+enrolled[3:], true)
	if err != nil || len(recovery) != 10 {
		t.Fatal(recovery, err)
	}
	want := twofa.Status{
		IsSetup: true, UsableHere: true, Method: "otp", Methods: []string{"otp"}, RecoveryCodesLeft: 10, Credentials: []twofa.Credential{},
	}
	if diff := cmp.Diff(want, w.status("ann", here())); diff != "" {
		t.Error(diff)
	}
	wants(t, w.VerifyOTP(ctx, "ann", enrolled), twofa.ErrCode) // it counts as used
	wants(t, w.VerifyOTP(ctx, "bob", w.code(e.Secret, 30*time.Second)), twofa.ErrNoFactor)
	wants(t, w.VerifyOTP(ctx, "ann", w.code(e.Secret, 30*time.Second)), nil)
	_, err = w.FinishOTP(ctx, "ann", "s", enrolled, false)
	wants(t, err, twofa.ErrCeremony) // finished, so that there is nothing to finish
}

func TestCodesOfOneStepBeforeAndAfterCountAndNoOthers(t *testing.T) {
	for later, ok := range map[time.Duration]bool{
		-60 * time.Second: false, -30 * time.Second: true, 0: true, 30 * time.Second: true, 60 * time.Second: false,
	} {
		w := newWorld(t)
		secret, _ := w.otp("ann")
		w.pass(time.Hour)
		if err := w.VerifyOTP(t.Context(), "ann", w.code(secret, later)); (err == nil) != ok {
			t.Errorf("%s: %v", later, err)
		}
	}
}

func TestAStepIsAcceptedOnceAndNoFormerOneAfterIt(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	secret, _ := w.otp("ann")
	w.pass(time.Hour)
	wants(t, w.VerifyOTP(ctx, "ann", w.code(secret, 30*time.Second)), nil)
	for _, later := range []time.Duration{30 * time.Second, 0, -30 * time.Second} {
		err := w.VerifyOTP(ctx, "ann", w.code(secret, later))
		wants(t, err, twofa.ErrCode)
		if wrong := w.VerifyOTP(ctx, "ann", "12345"); err.Error() != wrong.Error() {
			t.Errorf("a replayed code says %q, a wrong one %q", err, wrong)
		}
	}
	w.restart() // what was used is in the store
	wants(t, w.VerifyOTP(ctx, "ann", w.code(secret, 30*time.Second)), twofa.ErrCode)
	w.pass(60 * time.Second)
	wants(t, w.VerifyOTP(ctx, "ann", w.code(secret, 0)), nil)
}

func TestOfFiftyAtOnceWithTheSameCodeOneGetsIn(t *testing.T) {
	w := newWorld(t)
	secret, _ := w.otp("ann")
	w.meet(50)
	code := w.code(secret, 0)
	if in := atOnce(t, 50, twofa.ErrCode, func() error { return w.VerifyOTP(t.Context(), "ann", code) }); in != 1 {
		t.Errorf("%d got in", in)
	}
}

// atOnce runs do n times at once, says how often it went well, and fails for
// other errors than the expected.
func atOnce(t *testing.T, n int, expected error, do func() error) int {
	t.Helper()
	var wg sync.WaitGroup
	var ok atomic.Int32
	start := make(chan struct{})
	for range n {
		wg.Go(func() {
			<-start
			switch err := do(); {
			case err == nil:
				ok.Add(1)
			case !errors.Is(err, expected):
				t.Error(err)
			}
		})
	}
	close(start)
	wg.Wait()
	return int(ok.Load())
}

func TestAnEnrolmentIsOfItsSessionForFifteenMinutes(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	e, err := w.BeginOTP(ctx, "ann", "s")
	if err != nil {
		t.Fatal(err)
	}
	for _, other := range [][2]string{{"ann", "t"}, {"bob", "s"}} {
		_, err := w.FinishOTP(ctx, other[0], other[1], w.code(e.Secret, 0), false)
		wants(t, err, twofa.ErrCeremony)
	}
	again, err := w.BeginOTP(ctx, "ann", "s")
	if err != nil || again.Secret == e.Secret {
		t.Fatal(err)
	}
	_, err = w.FinishOTP(ctx, "ann", "s", w.code(e.Secret, 0), false)
	wants(t, err, twofa.ErrCode) // of the one that was replaced
	w.pass(15*time.Minute - time.Second)
	_, err = w.FinishOTP(ctx, "ann", "s", "abcdef", false)
	wants(t, err, twofa.ErrCode)
	w.pass(time.Second)
	_, err = w.FinishOTP(ctx, "ann", "s", w.code(again.Secret, 0), false)
	wants(t, err, twofa.ErrCeremony)
	if w.status("ann", here()).IsSetup {
		t.Error("something was set up")
	}
}

func TestAFirstFactorIsSetUpOnlyWhileThereIsNone(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	e, err := w.BeginOTP(ctx, "ann", "temporary")
	if err != nil {
		t.Fatal(err)
	}
	c := w.begin(w.BeginRegistration(ctx, "ann", "temporary", here(), twofa.Registration{}))
	w.register("ann", twofa.Site{RPID: "other.example", Origin: "https://other.example"}, newDevice()) // elsewhere counts, too
	_, err = w.FinishOTP(ctx, "ann", "temporary", w.code(e.Secret, 0), true)
	wants(t, err, twofa.ErrHasFactor)
	_, err = w.FinishRegistration(ctx, "ann", "temporary", here(), c.ID, newDevice().create(t, here(), c), true)
	wants(t, err, twofa.ErrHasFactor)
	if got := w.status("ann", here()).Methods; !slices.Equal(got, []string{"webauthn"}) {
		t.Error(got)
	}
}

func TestOfManyFirstFactorsAtOnceOneIsStored(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	var next atomic.Int32
	codes := make([]string, 20)
	for i := range codes {
		e, err := w.BeginOTP(ctx, "ann", strconv.Itoa(i))
		if err != nil {
			t.Fatal(err)
		}
		codes[i] = w.code(e.Secret, 0)
	}
	in := atOnce(t, len(codes), twofa.ErrHasFactor, func() error {
		i := int(next.Add(1)) - 1
		_, err := w.FinishOTP(ctx, "ann", strconv.Itoa(i), codes[i], true)
		return err
	})
	if in != 1 || w.status("ann", here()).RecoveryCodesLeft != 10 {
		t.Errorf("%d were stored", in)
	}
}

func TestOfOneEnrolmentsFinishesAtOnceOneGetsRecoveryCodes(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	e, err := w.BeginOTP(ctx, "ann", "s")
	if err != nil {
		t.Fatal(err)
	}
	code := w.code(e.Secret, 0)
	in := atOnce(t, 50, twofa.ErrCeremony, func() error {
		recovery, err := w.FinishOTP(ctx, "ann", "s", code, false)
		if err == nil && len(recovery) != 10 {
			t.Error(recovery)
		}
		return err
	})
	if in != 1 {
		t.Errorf("%d were stored", in)
	}
}

func TestANewSecretReplacesTheOldOne(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	old, _ := w.otp("ann")
	fresh, recovery := w.otp("ann")
	if recovery == nil || len(recovery) != 0 {
		t.Errorf("recovery codes with a further set-up: %v", recovery)
	}
	wants(t, w.VerifyOTP(ctx, "ann", w.code(old, 30*time.Second)), twofa.ErrCode)
	wants(t, w.VerifyOTP(ctx, "ann", w.code(fresh, 0)), nil)
}
