package attack_test

import (
	"net/http"
	"testing"
)

func TestACodeWorksOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	g, _ := w.signIn().enrolTOTP()
	enrolled := g.at(g.last) // shown to the set-up, overheard
	if a := w.temporary(owner).do("POST", otpVerify, map[string]string{"code": enrolled}); a.status != http.StatusUnauthorized {
		t.Errorf("the code of the enrolment again: %s", a)
	}
	code := map[string]string{"code": g.code()}
	first := w.temporary(owner)
	overheard := w.temporary(owner)
	full := first.must("POST", otpVerify, code)
	if a := overheard.do("POST", otpVerify, code); a.status != http.StatusUnauthorized {
		t.Errorf("a code that was used: %s", a)
	}
	if a := first.with(full.text("token")).do("POST", "/api/v1/auth/step-up", code); a.status < 400 {
		t.Errorf("a code that was used, as a fresh proof: %s", a)
	}
	// One of an earlier step doesn't come after a later one either.
	w.temporary(owner).must("POST", otpVerify, map[string]string{"code": g.code()})
	if a := overheard.do("POST", otpVerify, map[string]string{"code": g.at(g.last - 1)}); a.status != http.StatusUnauthorized {
		t.Errorf("the code of an earlier step: %s", a)
	}
}

func TestOneCodeFiftyTimesAtOnceWorksOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.signIn()
	g, _ := ann.enrolTOTP()
	waiting := make([]*client, 10)
	for i := range waiting {
		waiting[i] = w.temporary(owner)
	}
	code := map[string]string{"code": g.code()}
	answers := atOnce(50, func(i int) answer {
		if i%2 == 0 { // full sessions aren't spent by a proof, so only the code can be
			return ann.do("POST", "/api/v1/auth/step-up", code)
		}
		return waiting[i%len(waiting)].do("POST", otpVerify, code)
	})
	if in := count(answers); in != 1 {
		t.Errorf("one code was taken %d times: %v", in, answers)
	}
}

func TestARecoveryCodeWorksOnceAlsoTwiceAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, codes := w.signIn().enrolTOTP()
	if len(codes) != 10 {
		t.Fatalf("%d recovery codes, want 10", len(codes))
	}
	const path = "/api/v1/2fa/verify/recovery"
	for _, code := range codes[:3] {
		two := []*client{w.temporary(owner), w.temporary(owner)}
		answers := atOnce(2, func(i int) answer { return two[i].do("POST", path, map[string]string{"code": code}) })
		if in := count(answers); in != 1 {
			t.Errorf("a recovery code was taken %d times: %v", in, answers)
		}
	}
	if a := w.temporary(owner).do("POST", path, map[string]string{"code": codes[0]}); a.status != http.StatusUnauthorized {
		t.Errorf("a recovery code that was used: %s", a)
	}
	// A new set ends the old one.
	c := w.temporary(owner)
	full := c.with(c.must("POST", path, map[string]string{"code": codes[3]}).text("token"))
	full.must("POST", "/api/v1/2fa/recovery-codes", nil)
	if a := w.temporary(owner).do("POST", path, map[string]string{"code": codes[4]}); a.status != http.StatusUnauthorized {
		t.Errorf("a recovery code of the old set: %s", a)
	}
}

func TestACapturedPasskeyAnswerWorksOnceAlsoTwiceAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	k := w.signIn().enrolKey()
	c := w.temporary(owner)
	captured := k.assert(t, c.begin("/api/v1/2fa/verify/webauthn/begin", nil))
	const path = "/api/v1/2fa/verify/webauthn/finish"
	answers := atOnce(2, func(int) answer { return c.do("POST", path, captured) })
	if in := count(answers); in != 1 {
		t.Errorf("an answer was taken %d times: %v", in, answers)
	}
	// In a later session of the same user, also under a ceremony of its own.
	thief := w.temporary(owner)
	if a := thief.do("POST", path, captured); a.status < 400 || a.status >= 500 {
		t.Errorf("a captured answer: %s", a)
	}
	captured["sessionId"] = thief.begin("/api/v1/2fa/verify/webauthn/begin", nil).id
	if a := thief.do("POST", path, captured); a.status < 400 || a.status >= 500 {
		t.Errorf("a captured answer to another challenge: %s", a)
	}
	if thief.alive() {
		t.Error("a captured answer has signed somebody in")
	}
}

// With full sessions nothing but the ceremony itself is spent.
func TestOnePasskeyAnswerTwentyTimesAtOnceProvesOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.signIn()
	k := ann.enrolKey()
	captured := k.assert(t, ann.begin("/api/v1/2fa/verify/webauthn/begin", nil))
	answers := atOnce(20, func(int) answer { return ann.do("POST", "/api/v1/auth/step-up", captured) })
	if in := count(answers); in != 1 {
		t.Errorf("an answer was taken %d times: %v", in, answers)
	}
}
