package twofa_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/watch-docker/watch-docker/internal/twofa"
)

func TestRecoveryCodesComeWithTheFirstFactorAndGoWithTheLast(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	_, codes := w.otp("ann")
	shape := regexp.MustCompile(`^([0-9A-HJKMNP-TV-Z]{4}-){3}[0-9A-HJKMNP-TV-Z]{4}$`)
	seen := map[string]bool{}
	for _, code := range codes {
		seen[code] = shape.MatchString(code)
	}
	if len(seen) != 10 || slices.Contains(codes, "") {
		t.Errorf("codes: %v", codes)
	}
	for code, ok := range seen {
		if !ok {
			t.Errorf("code %q", code)
		}
	}
	if more := w.register("ann", here(), newDevice()); more == nil || len(more) != 0 {
		t.Errorf("with a further factor: %#v", more)
	}
	wants(t, w.Disable(ctx, "ann", "otp"), nil)
	if left := w.status("ann", here()).RecoveryCodesLeft; left != 10 {
		t.Errorf("%d left beside the other factor", left)
	}
	wants(t, w.Disable(ctx, "ann", "webauthn"), nil)
	if left := w.status("ann", here()).RecoveryCodesLeft; left != 0 {
		t.Errorf("%d left without a factor", left)
	}
	wants(t, w.VerifyRecovery(ctx, "ann", codes[0]), twofa.ErrRecoveryCode)
}

func TestARecoveryCodeCountsOnceHoweverItIsTyped(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	_, codes := w.otp("ann")
	typed := []string{
		codes[0], strings.ToLower(codes[1]), strings.ReplaceAll(codes[2], "-", ""), " " + strings.ReplaceAll(codes[3], "-", " ") + "\n",
		strings.ReplaceAll(strings.ReplaceAll(codes[4], "0", "o"), "1", "l"), strings.ReplaceAll(codes[5], "-", "–"),
	}
	for i, code := range typed {
		wants(t, w.VerifyRecovery(ctx, "bob", code), twofa.ErrRecoveryCode)
		wants(t, w.VerifyRecovery(ctx, "ann", code), nil)
		wants(t, w.VerifyRecovery(ctx, "ann", code), twofa.ErrRecoveryCode)
		if left := w.status("ann", here()).RecoveryCodesLeft; left != 9-i {
			t.Errorf("%d left after %d", left, i+1)
		}
	}
	for _, wrong := range []string{"", "0000-0000-0000-0000", strings.Repeat("A", 1<<20), "\xff"} {
		wants(t, w.VerifyRecovery(ctx, "ann", wrong), twofa.ErrRecoveryCode)
	}
}

func TestOfFiftyAtOnceWithTheSameRecoveryCodeOneGetsIn(t *testing.T) {
	w := newWorld(t)
	_, codes := w.otp("ann")
	if in := atOnce(t, 50, twofa.ErrRecoveryCode, func() error { return w.VerifyRecovery(t.Context(), "ann", codes[3]) }); in != 1 {
		t.Errorf("%d got in", in)
	}
}

func TestNewRecoveryCodesReplaceTheOldOnes(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	_, err := w.NewRecoveryCodes(ctx, "ann")
	wants(t, err, twofa.ErrNoFactor)
	_, old := w.otp("ann")
	fresh, err := w.NewRecoveryCodes(ctx, "ann")
	if err != nil || len(fresh) != 10 || w.status("ann", here()).RecoveryCodesLeft != 10 {
		t.Fatal(fresh, err)
	}
	wants(t, w.VerifyRecovery(ctx, "ann", old[0]), twofa.ErrRecoveryCode)
	wants(t, w.VerifyRecovery(ctx, "ann", fresh[0]), nil)
}

func TestDisableAndReset(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	for _, method := range []string{"", "otp", "webauthn", "sms"} {
		wants(t, w.Disable(ctx, "ann", method), twofa.ErrNoFactor)
	}
	wants(t, w.Reset(ctx, "ann"), nil)
	w.otp("ann")
	w.register("ann", here(), newDevice())
	w.otp("bob")
	if got := w.status("ann", here()); got.Method != "webauthn" || !slices.Equal(got.Methods, []string{"otp", "webauthn"}) {
		t.Errorf("%+v", got)
	}
	wants(t, w.Disable(ctx, "ann", "webauthn"), nil)
	if got := w.status("ann", here()); got.Method != "otp" || !slices.Equal(got.Methods, []string{"otp"}) {
		t.Errorf("%+v", got)
	}
	w.register("ann", here(), newDevice())
	wants(t, w.Reset(ctx, "ann"), nil)
	if got := w.status("ann", here()); got.IsSetup || got.Method != "" || got.RecoveryCodesLeft != 0 {
		t.Errorf("%+v", got)
	}
	if !w.status("bob", here()).IsSetup {
		t.Error("another user's factor is gone, too")
	}
}
