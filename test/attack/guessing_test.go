package attack_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/watch-docker/watch-docker/test/testbed"
)

const otpVerify = "/api/v1/2fa/verify/otp"

// guessUntilSlowed makes wrong guesses until one is refused unheard, and fails
// if more than most were heard.
func guessUntilSlowed(t testing.TB, most int, guess func() answer) time.Duration {
	t.Helper()
	for range most + 1 {
		a := guess()
		if a.status == http.StatusTooManyRequests {
			return slowed(t, a)
		}
		if a.status != http.StatusUnauthorized && a.status != http.StatusForbidden {
			t.Fatalf("a wrong guess: %s", a)
		}
	}
	t.Fatalf("%d guesses were heard", most+1)
	return 0
}

// afterDelay makes a guess as soon as it is heard again.
func afterDelay(t testing.TB, delay time.Duration, guess func() answer) {
	t.Helper()
	testbed.Eventually(t, delay+5*time.Second, func() error {
		if a := guess(); a.status == http.StatusTooManyRequests {
			return errText(a.String())
		}
		return nil
	})
}

type errText string

func (e errText) Error() string { return string(e) }

func TestGuessingCodesIsSlowedWhateverTheTokenAndTheAddress(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	g, _ := w.signIn().enrolTOTP()
	wrong := map[string]string{"code": g.wrong()}
	fresh := []*client{w.temporary(owner), w.temporary(owner), w.temporary(owner)} // each from an address of its own
	n := 0
	guess := func() answer {
		n++
		return fresh[n%len(fresh)].do("POST", otpVerify, wrong)
	}
	delay := guessUntilSlowed(t, 5, guess)

	// Neither a fresh token nor the right password in between clears the count.
	late := w.temporary(owner)
	again := slowed(t, late.do("POST", otpVerify, wrong))
	if again > delay {
		t.Errorf("a refused guess made the delay longer: %s, then %s", delay, again)
	}

	// The right code is refused as well while it lasts: no guess is heard.
	afterDelay(t, delay, guess)
	second := slowed(t, guess())
	if second <= delay {
		t.Errorf("the delay doesn't grow: %s, then %s", delay, second)
	}
	slowed(t, late.do("POST", otpVerify, map[string]string{"code": g.code()}))

	// Nor does a restart forget it.
	afterDelay(t, second, guess)
	third := slowed(t, guess())
	w.restart()
	if left := slowed(t, w.temporary(owner).do("POST", otpVerify, wrong)); left > third {
		t.Errorf("after a restart the delay is %s, longer than %s", left, third)
	}
	afterDelay(t, third, func() answer { return w.temporary(owner).do("POST", otpVerify, wrong) })
	if fourth := slowed(t, w.temporary(owner).do("POST", otpVerify, wrong)); fourth <= third {
		t.Errorf("a restart began the counting anew: %s after %s", fourth, third)
	}
}

// Whatever the guess is about, it is one account's second factor.
func TestGuessesAtRecoveryCodesAndPasskeysCountAsGuessesAtCodes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.signIn()
	g, _ := ann.enrolTOTP()
	k, _ := ann.enrolKey()
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
	guessUntilSlowed(t, 5, func() answer {
		n++
		return tries[n%len(tries)](thief)
	})
	other := w.temporary(owner)
	slowed(t, tries[0](other))
	slowed(t, tries[1](other))
}

func TestGuessingAPasswordIsSlowedByAccountWhereverItComesFrom(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	guess := func() answer { return w.client().login(owner, "a wrong password") } // a new address each time
	delay := guessUntilSlowed(t, 5, guess)
	slowed(t, w.client().login(owner, password)) // the right one isn't heard either
	afterDelay(t, delay, guess)
	if second := slowed(t, guess()); second <= delay {
		t.Errorf("the delay doesn't grow: %s, then %s", delay, second)
	}
	w.restart()
	slowed(t, guess())
}

func TestGuessingPasswordsIsSlowedByAddressWhateverTheAccount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.client()
	n := 0
	guessUntilSlowed(t, 10, func() answer {
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
	guessUntilSlowed(t, 10, func() answer { return b.login(owner, "a wrong password") })
	other := w.browser()
	other.cookies = b.cookies
	guessUntilSlowed(t, 10, func() answer { return other.login("bob", "a wrong password") })
}

// Who has a session still mustn't find the password or the code by it.
func TestGuessingAtStepUpAndAtTheOldPasswordIsSlowed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.signIn()
	guessUntilSlowed(t, 10, func() answer {
		return ann.do("POST", "/api/v1/auth/password", map[string]string{"current": "a wrong password", "new": "another password"})
	})
	slowed(t, ann.do("POST", "/api/v1/auth/step-up", map[string]string{"password": "a wrong password"}))

	w = newWorld(t)
	ann = w.signIn()
	g, _ := ann.enrolTOTP()
	guessUntilSlowed(t, 10, func() answer { return ann.do("POST", "/api/v1/auth/step-up", map[string]string{"code": g.wrong()}) })
	slowed(t, w.temporary(owner).do("POST", otpVerify, map[string]string{"code": g.wrong()}))
}
