package auth

import (
	"fmt"
	"maps"
	"net/netip"
	"sync"
	"time"
)

// How guessing is slowed. An account's delay stays short, so that a stranger
// who knows the name can't keep its owner out; an address's grows long.
const (
	accountFree, accountLongest = 5, 30 * time.Second
	addressFree, addressLongest = 10, 15 * time.Minute
	firstDelay                  = time.Second
	// forgetAfter the last failure, counting begins anew.
	forgetAfter = time.Hour
	// mostRemembered bounds the memory: beyond it, the oldest are forgotten.
	mostRemembered = 10_000
)

// ThrottledError says that there were too many attempts of late.
type ThrottledError struct{ RetryAfter time.Duration }

func (e *ThrottledError) Error() string {
	return fmt.Sprintf("too many attempts; try again in %s", e.RetryAfter.Round(time.Second))
}

// attempts counts failed logins by account and by address.
type attempts struct {
	now func() time.Time

	mu    sync.Mutex
	tries map[tryKey]*try
}

type tryKey struct {
	kind string // "account", "address"
	name string
}

// try is what is known of one account or address.
type try struct {
	failures int
	last     time.Time
	until    time.Time // no attempt before
}

func newAttempts(now func() time.Time) *attempts {
	return &attempts{now: now, tries: map[tryKey]*try{}}
}

// attempt is one that was let through. It counts as a failure until it says
// otherwise: many at once must not all be the first.
type attempt struct {
	of     *attempts
	keys   []tryKey
	delays []time.Time // by key: the delay that it brought about
}

// begin lets an attempt through, or says how long to wait.
//
// Errors: *ThrottledError.
func (a *attempts) begin(account, address string) (attempt, error) {
	keys := []tryKey{{"account", clip(account, LongestName)}}
	if network := networkOf(address); network != "" {
		keys = append(keys, tryKey{"address", network})
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	var wait time.Duration
	for _, k := range keys {
		if t := a.tries[k]; t != nil && now.Sub(t.last) < forgetAfter {
			wait = max(wait, t.until.Sub(now))
		}
	}
	if wait > 0 {
		return attempt{}, &ThrottledError{RetryAfter: wait}
	}
	passed := attempt{of: a, keys: keys}
	for _, k := range keys {
		passed.delays = append(passed.delays, a.count(k, now))
	}
	return passed, nil
}

func (a *attempts) count(k tryKey, now time.Time) (until time.Time) {
	t := a.tries[k]
	if t == nil || now.Sub(t.last) >= forgetAfter {
		a.makeRoom(now)
		t = &try{}
		a.tries[k] = t
	}
	t.failures, t.last = t.failures+1, now
	free, longest := accountFree, accountLongest
	if k.kind == "address" {
		free, longest = addressFree, addressLongest
	}
	if over := t.failures - free; over >= 0 {
		t.until = now.Add(min(longest, firstDelay<<min(over, 20)))
	}
	return t.until
}

// makeRoom forgets what is old, and if that isn't enough, the oldest.
func (a *attempts) makeRoom(now time.Time) {
	if len(a.tries) < mostRemembered {
		return
	}
	maps.DeleteFunc(a.tries, func(_ tryKey, t *try) bool { return now.Sub(t.last) >= forgetAfter })
	for len(a.tries) >= mostRemembered {
		var oldest tryKey
		for k, t := range a.tries {
			if o := a.tries[oldest]; o == nil || t.last.Before(o.last) {
				oldest = k
			}
		}
		delete(a.tries, oldest)
	}
}

// succeeded clears the account. The address only gets its own attempt back:
// somebody with one account must not buy guesses at the others with it.
func (t attempt) succeeded() {
	t.forget()
	t.of.mu.Lock()
	defer t.of.mu.Unlock()
	delete(t.of.tries, t.keys[0])
}

// forget takes the attempt back: nothing was guessed.
func (t attempt) forget() {
	t.of.mu.Lock()
	defer t.of.mu.Unlock()
	for i, k := range t.keys {
		known := t.of.tries[k]
		if known == nil {
			continue
		}
		known.failures--
		if known.until.Equal(t.delays[i]) {
			known.until = time.Time{}
		}
	}
}

// networkOf is who an address belongs to: itself, or its /64, which is what
// one household has of IPv6.
func networkOf(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return ""
	}
	ip = ip.Unmap().WithZone("")
	if ip.Is4() {
		return ip.String()
	}
	prefix, err := ip.Prefix(64)
	if err != nil {
		return ip.String()
	}
	return prefix.String()
}
