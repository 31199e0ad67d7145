package attack_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// flood makes sign-in attempts at a rate until ctx ends, and counts them and
// how they were answered. It keeps the rate while the program is slow.
type flood struct {
	sent  atomic.Int64
	heard atomic.Int64 // 401: the password was looked at
	other atomic.Int64 // neither that nor refused unheard
	wait  sync.WaitGroup
}

func (f *flood) run(ctx context.Context, every time.Duration, attempt func(n int64) (answer, error)) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	defer f.wait.Wait()
	for began := time.Now(); ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for due := int64(time.Since(began) / every); f.sent.Load() < due; { // also those whose tick was missed
			f.one(ctx, f.sent.Add(1), attempt)
		}
	}
}

func (f *flood) one(ctx context.Context, n int64, attempt func(n int64) (answer, error)) {
	f.wait.Go(func() {
		a, err := attempt(n)
		switch {
		case err != nil && ctx.Err() == nil:
			f.other.Add(1)
		case err != nil, a.status == http.StatusTooManyRequests, a.status == http.StatusServiceUnavailable:
		case a.status == http.StatusUnauthorized:
			f.heard.Add(1)
		default:
			f.other.Add(1)
		}
	})
}

// 10,000 attempts a minute, at the owner's name and at others, from a few
// networks through a trusted proxy. Meanwhile the owner signs in: with a
// device that is known at once; with a new one from another network as soon
// as the delay of the account allows, which is half a minute at most.
func TestTenThousandSignInAttemptsAMinuteKeepNobodyOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "WATCH_SERVER_TRUSTED_PROXIES=127.0.0.0/8", "WATCH_LOGGING_LEVEL=warn")
	from := func(address string) option { return header("X-Forwarded-For", address) }
	known := w.browser()
	known.login(owner, password, from("203.0.113.1"))
	w.addUser(w.signInAs(owner, password), "bob", "viewer")
	name := sha256.Sum256([]byte(owner)) // whose password has been guessed at for long already
	now := time.Now().UTC().Format("2006-01-02T15:04:05.000000000Z")
	w.whileStopped(`INSERT INTO guesses (kind, name, failures, last_at, until) VALUES ('account/password', ?, 40, ?, ?)`, hex.EncodeToString(name[:]), now, now)

	ctx, stop := context.WithTimeout(t.Context(), 15*time.Second)
	defer stop()
	proxy := w.client()
	f := &flood{}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		f.run(ctx, 6*time.Millisecond, func(n int64) (answer, error) {
			name := owner
			if n%2 == 0 {
				name = fmt.Sprint("user", n%50)
			}
			body := map[string]string{"username": name, "password": "a wrong password"}
			return proxy.try("POST", "/api/v1/auth/login", body, from(fmt.Sprintf("198.51.100.%d", n%8)))
		})
	}()
	var slowest time.Duration
	times := 0
	for pause := time.NewTicker(500 * time.Millisecond); ctx.Err() == nil; <-pause.C {
		began := time.Now()
		if a := known.login(owner, password, from("203.0.113.1")); a.status != http.StatusOK {
			t.Errorf("the owner's own device, in the flood: %s", a)
		}
		slowest = max(slowest, time.Since(began))
		times++
	}
	<-ended
	t.Logf("%d attempts, %d of them heard; a known device signed in %d times, in %s at most", f.sent.Load(), f.heard.Load(), times, slowest)
	if n := f.sent.Load(); n < 2400 {
		t.Errorf("only %d attempts were made: no flood", n)
	}
	if heard := f.heard.Load(); heard > 8*20+50 {
		t.Errorf("%d attempts from 8 networks were heard", heard)
	}
	if n := f.other.Load(); n > 0 {
		t.Errorf("%d attempts were answered in another way", n)
	}
	if slowest > 30*time.Second || times == 0 {
		t.Errorf("a known device signed in %d times, in %s at most", times, slowest)
	}
	// A new device, elsewhere: others at once, the attacked account soon.
	if a := w.client().login("bob", password, from("192.0.2.1")); a.status != http.StatusOK {
		t.Errorf("another user's new device: %s", a)
	}
	a := w.client().login(owner, password, from("192.0.2.2"))
	if a.status == http.StatusTooManyRequests {
		if a.retryAfter() > 30*time.Second {
			t.Fatalf("the owner's new device has to wait for %s", a.retryAfter())
		}
		<-time.After(a.retryAfter())
		a = w.client().login(owner, password, from("192.0.2.2"))
	}
	if a.status != http.StatusOK {
		t.Errorf("the owner's new device: %s", a)
	}
}

// What is remembered of guesses is bounded. Who has many networks must not
// push out with them what is known of an account. Most of the flood is put
// where the program reads it at its start: 10,000 of them take a while.
func TestGuessesFromManyNetworksDontMakeThoseAtAnAccountForgotten(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "WATCH_SERVER_TRUSTED_PROXIES=127.0.0.0/8")
	g, _ := w.signIn().enrolTOTP()
	thief := w.temporary(owner)
	guess := func() answer { return thief.do("POST", otpVerify, map[string]string{"code": g.wrong()}) }
	delay := slowDown(t, 5, guess)
	now := time.Now().UTC().Add(time.Second).Format("2006-01-02T15:04:05.000000000Z")
	w.whileStopped(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9990)
		INSERT INTO guesses (kind, name, failures, last_at, until) SELECT 'network', printf('2001:db8:%x::/64', i), 1, ?1, ?1 FROM n`, now)
	proxy := w.client()
	for n := range 50 {
		from := header("X-Forwarded-For", fmt.Sprintf("2001:db8:ffff:%x::1", n))
		a := proxy.do("POST", passkeyFinish, map[string]any{"sessionId": "x", "credential": map[string]any{}}, from)
		notTaken(t, "a made-up passkey", a)
	}
	for {
		a := guess()
		if a.status != http.StatusTooManyRequests {
			break // the delay has passed
		}
		<-time.After(slowed(t, a))
	}
	if again := slowed(t, guess()); again <= delay {
		t.Errorf("a flood from 10,000 networks made the guesses at the account forgotten: %s, and before %s", again, delay)
	}
}
