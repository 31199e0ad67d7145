package attack_test

import (
	"net/http"
	"testing"
	"time"
)

const otpVerify = "/api/v1/2fa/verify/otp"

// slowDown makes wrong guesses, each as soon as it is heard, until one has to
// wait for so long that a busy machine can look at it. It fails if far more
// were heard than are free.
func slowDown(t testing.TB, free int, guess func() answer) (delay time.Duration) {
	t.Helper()
	const most = 12 // on a machine that is so busy that the first delays pass by themselves
	var delays []time.Duration
	for heard := 0; heard <= free+most; {
		a := guess()
		switch a.status {
		case http.StatusTooManyRequests:
			delay = slowed(t, a)
			if delays = append(delays, delay); delay >= 4*time.Second {
				if heard < free-1 {
					t.Errorf("slowed after %d guesses, and %d are free", heard, free)
				}
				return delay
			}
			<-time.After(delay) // what Retry-After asks for
		case http.StatusServiceUnavailable: // too many passwords at once
			<-time.After(a.retryAfter())
		case http.StatusUnauthorized, http.StatusForbidden:
			heard++
		default:
			t.Fatalf("a wrong guess: %s", a)
		}
	}
	t.Fatalf("%d guesses were heard; the delays were %v", free+most, delays)
	return 0
}

type errText string

func (e errText) Error() string { return string(e) }

func TestGuessingCodesIsSlowedWhateverTheTokenAndTheAddress(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	g, _ := w.signIn().enrolTOTP()
	wrong := map[string]string{"code": g.wrong()}
	late := w.temporary(owner)
	// Each guess with a fresh token, from another address, and with the right
	// password in between.
	delay := slowDown(t, 5, func() answer { return w.temporary(owner).do("POST", otpVerify, wrong) })
	if again := slowed(t, late.do("POST", otpVerify, wrong)); again > delay {
		t.Errorf("a refused guess made the delay longer: %s, then %s", delay, again)
	}
	slowed(t, late.do("POST", otpVerify, map[string]string{"code": g.code()})) // the right one isn't heard either
}

func TestARestartForgetsNoGuess(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	g, _ := w.signIn().enrolTOTP()
	wrong := map[string]string{"code": g.wrong()}
	c := w.temporary(owner)
	guess := func() answer { return c.do("POST", otpVerify, wrong) }
	delay := slowDown(t, 5, guess)
	w.restart()
	for {
		a := guess()
		if a.status != http.StatusTooManyRequests {
			break // the delay has passed, in the restart or since
		}
		left := slowed(t, a)
		if left > delay {
			t.Fatalf("after a restart the delay is %s, longer than %s", left, delay)
		}
		<-time.After(left)
	}
	if next := slowed(t, guess()); next <= delay {
		t.Errorf("a restart began the counting anew: %s after %s", next, delay)
	}
}

// Whatever the guess is about, it is one account's second factor.
func TestGuessesAtRecoveryCodesAndPasskeysCountAsGuessesAtCodes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.signIn()
	g, _ := ann.enrolTOTP()
	k := ann.enrolKey()
	tries := []func(c *client) answer{
		func(c *client) answer { return c.do("POST", otpVerify, map[string]string{"code": g.wrong()}) },
		func(c *client) answer {
			return c.do("POST", "/api/v1/2fa/verify/recovery", map[string]string{"code": "aaaaa-bbbbb"})
		},
		func(c *client) answer {
			begun := c.do("POST", "/api/v1/2fa/verify/webauthn/begin", nil)
			if begun.status != http.StatusOK {
				return begun
			}
			stranger := w.newKey()
			stranger.ID, stranger.Options = k.ID, k.Options // another key under the same name
			return c.do("POST", "/api/v1/2fa/verify/webauthn/finish", stranger.assert(t, ceremonyOf(t, begun)))
		},
	}
	thief := w.temporary(owner)
	n := 0
	other := w.temporary(owner)
	slowDown(t, 5, func() answer {
		n++
		return tries[n%len(tries)](thief)
	})
	slowed(t, tries[0](other))
	slowed(t, tries[1](other))
}

func TestGuessingAPasswordIsSlowedByAccountWhereverItComesFrom(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	slowDown(t, 5, func() answer { return w.client().login(owner, "a wrong password") }) // from a new address each time
	slowed(t, w.client().login(owner, password))                                         // the right one isn't heard either
}

func TestGuessingPasswordsIsSlowedByAddressWhateverTheAccount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.client()
	n := 0
	slowDown(t, 10, func() answer {
		n++
		return c.login("user"+string(rune('a'+n)), "a wrong password")
	})
	slowed(t, c.login(owner, password))
	w.signIn() // from elsewhere it works
}

// A known device has guesses of its own, but not without end, nor for anybody else.
func TestADeviceThatHasSignedInBeforeCantGuessForever(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser()
	b.login(owner, password)
	slowDown(t, 10, func() answer { return b.login(owner, "a wrong password") })
	other := w.browser()
	other.cookies = b.cookies
	slowDown(t, 5, func() answer { return other.login("bob", "a wrong password") })
}

// Who has a session still mustn't find the password or the code by it.
func TestGuessingAtStepUpAndAtTheOldPasswordIsSlowed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.signIn()
	slowDown(t, 5, func() answer {
		return ann.do("POST", "/api/v1/auth/password", map[string]string{"current": "a wrong password", "new": "another password"})
	})
	slowed(t, ann.do("POST", "/api/v1/auth/step-up", map[string]string{"password": "a wrong password"}))

	w = newWorld(t)
	ann = w.signIn()
	g, _ := ann.enrolTOTP()
	thief := w.temporary(owner)
	slowDown(t, 5, func() answer { return ann.do("POST", "/api/v1/auth/step-up", map[string]string{"code": g.wrong()}) })
	slowed(t, thief.do("POST", otpVerify, map[string]string{"code": g.wrong()}))
}
