package auth_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/watch-docker/watch-docker/internal/auth"
)

// wait is how long the next attempt has to wait; 0 if it was let through.
func wait(t *testing.T, err error) time.Duration {
	t.Helper()
	var throttled *auth.ThrottledError
	if err != nil && !errors.As(err, &throttled) {
		t.Fatal(err)
	}
	if throttled == nil {
		return 0
	}
	return throttled.RetryAfter
}

func TestGuessesAtAnAccountWaitLongerAndLongerUpToALimit(t *testing.T) {
	w := newWorld(t)
	var delays []time.Duration
	for i := range 14 {
		address := fmt.Sprintf("192.0.2.%d", i) // each from elsewhere
		d := wait(t, w.Attempt("ann", address))
		if d > 0 {
			delays = append(delays, d)
			w.pass(d)
			if again := wait(t, w.Attempt("ann", address)); again > 0 {
				t.Fatalf("after %s: another %s", d, again)
			}
		}
	}
	want := "[1s 2s 4s 8s 16s 30s 30s 30s 30s]"
	if got := fmt.Sprint(delays); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if d := wait(t, w.Attempt("bob", "192.0.2.99")); d > 0 {
		t.Errorf("another account: %s", d)
	}
}

func TestGuessesFromAnAddressWaitWhateverTheAccount(t *testing.T) {
	w := newWorld(t)
	for i := range 10 {
		if d := wait(t, w.Attempt(fmt.Sprint("user", i), fmt.Sprintf("2001:db8::%d", i))); d > 0 {
			t.Fatalf("attempt %d: %s", i, d)
		}
	}
	if d := wait(t, w.Attempt("another", "2001:db8::ffff")); d != time.Second {
		t.Errorf("from the same /64: %s", d)
	}
	if d := wait(t, w.Attempt("another", "2001:db8:0:1::1")); d > 0 {
		t.Errorf("from another: %s", d)
	}
	var longest time.Duration
	for i := range 14 {
		longest = max(longest, wait(t, w.Attempt(fmt.Sprint("next", i), "2001:db8::1")))
		w.pass(longest)
		_ = w.Attempt(fmt.Sprint("then", i), "2001:db8::1")
	}
	if longest != 15*time.Minute {
		t.Errorf("the longest delay is %s", longest)
	}
	w.pass(24 * time.Hour)
	if d := wait(t, w.Attempt("x", "2001:db8::1")); d > 0 {
		t.Errorf("a day later: %s", d)
	}
}

func TestASuccessClearsTheAccountAndNotTheAddress(t *testing.T) {
	w := newWorld(t).ann()
	for range 4 {
		if err := w.Attempt("ann", "192.0.2.1"); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 6 { // own logins between guesses at somebody else buy nothing
		if _, err := w.login("ann", password); err != nil {
			t.Fatal(err)
		}
		_ = w.Attempt(fmt.Sprint("bob", i), "192.0.2.1")
	}
	if d := wait(t, w.Attempt("carol", "192.0.2.1")); d == 0 {
		t.Error("the address isn't slowed")
	}
	if d := wait(t, w.Attempt("ann", "192.0.2.2")); d > 0 {
		t.Errorf("the account still is: %s", d)
	}
}

func TestWhatIsRememberedOfGuessersIsBounded(t *testing.T) {
	w := newWorld(t)
	for i := range auth.MostRemembered + 50 {
		w.pass(time.Millisecond)
		_ = w.Attempt(fmt.Sprint("user", i), "")
	}
	if n := w.Remembered(); n != auth.MostRemembered {
		t.Errorf("%d are remembered", n)
	}
}

func TestFailuresAreForgottenADayAfterTheLastAlsoWhereOthersSignIn(t *testing.T) {
	w := newWorld(t).ann()
	for i := range 20 {
		_ = w.Attempt(fmt.Sprint("user", i), "192.0.2.1")
		w.pass(15 * time.Minute)
	}
	for range 3 {
		w.pass(10 * time.Hour)
		if _, err := w.login("ann", password); err != nil {
			t.Fatal(err)
		}
	}
	for range 10 {
		if d := wait(t, w.Attempt("a typing error", "192.0.2.1")); d > 0 && d > time.Second {
			t.Fatalf("30 hours after the last failure: %s", d)
		}
		w.pass(30 * time.Second) // the account's own delay
	}
}

func TestAClockThatIsSetBackKeepsNobodyOut(t *testing.T) {
	w := newWorld(t).ann()
	w.pass(1000 * time.Hour)
	for range 6 {
		_ = w.Attempt("ann", "192.0.2.1")
	}
	w.pass(-1000 * time.Hour)
	if _, err := w.login("ann", password); err != nil {
		t.Error(err)
	}
}
