package auth

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/watch-docker/watch-docker/internal/store"
)

// GuessKind is what a guess is at.
type GuessKind string

// The kinds of guesses.
const (
	GuessPassword GuessKind = "password"
	GuessFactor   GuessKind = "factor"
	GuessSetup    GuessKind = "setup"   // the set-up token
	GuessPasskey  GuessKind = "passkey" // a sign-in without a name
)

// slowing is how fast somebody gets slow: so many failures are free, then the
// delay doubles from firstDelay up to the longest.
type slowing struct {
	free    int
	longest time.Duration
}

// An account's delay stays short for passwords, so that a stranger who knows
// the name can't keep its owner out; whoever guesses at the second factor has
// the password already. A network's grows long. A device that has signed in
// before is counted by itself alone.
func byNetwork() slowing        { return slowing{10, 15 * time.Minute} }
func byAccount() slowing        { return slowing{5, 30 * time.Second} }
func byAccountsFactor() slowing { return slowing{5, time.Hour} }
func byDevice() slowing         { return slowing{10, 15 * time.Minute} }

const (
	firstDelay = time.Second
	// forgetAfter the last failure, counting begins anew.
	forgetAfter = 24 * time.Hour
	// mostRemembered bounds the memory, for each kind: beyond it, the oldest
	// are forgotten. Each kind has room of its own, so that the kind that is
	// easily made (networks, of which an IPv6 /48 has 65,536) doesn't push out
	// what is known of accounts.
	mostRemembered = 10_000
	// saveEvery is how much of the counting a power cut may cost.
	saveEvery = time.Second
)

// ThrottledError says that there were too many attempts of late.
type ThrottledError struct{ RetryAfter time.Duration }

func (e *ThrottledError) Error() string {
	return fmt.Sprintf("too many attempts; try again in %s", e.RetryAfter.Round(time.Second))
}

// guessing counts failed guesses.
type guessing struct {
	now func() time.Time

	mu    sync.Mutex
	tries map[tryKey]*try
	many  map[string]int  // tries, by kind
	dirty map[tryKey]bool // not in the store yet
}

type tryKey struct {
	kind string // "network", "account/password", "device/factor", …
	name string
}

// try is what is known of one account, network or device.
type try struct {
	failures int
	last     time.Time
	until    time.Time // no guess before
}

func newGuessing(now func() time.Time, known []store.Guesses) *guessing {
	g := &guessing{now: now, tries: map[tryKey]*try{}, many: map[string]int{}, dirty: map[tryKey]bool{}}
	for _, k := range known {
		g.many[k.Kind]++
		g.tries[tryKey{k.Kind, k.Name}] = &try{failures: k.Failures, last: k.LastAt, until: k.Until}
	}
	return g
}

// GuessRequest is somebody who is about to guess.
type GuessRequest struct {
	Kind    GuessKind
	Account string // "" if the guess is at none
	Address string // the client's, as far as it can be trusted; "" if unknown
	Device  string // a device of the account that is known; "" for none
}

// counters are what a guess counts for, with how each is slowed; the first is
// what a right guess clears.
func (r GuessRequest) counters() (keys []tryKey, slow []slowing) {
	if r.Device != "" {
		return []tryKey{{"device/" + string(r.Kind), r.Device}}, []slowing{byDevice()}
	}
	if r.Account != "" {
		account := byAccount()
		if r.Kind == GuessFactor {
			account = byAccountsFactor()
		}
		keys, slow = append(keys, tryKey{"account/" + string(r.Kind), hashed(r.Account)}), append(slow, account)
	}
	if network := NetworkOf(r.Address); network != "" {
		keys, slow = append(keys, tryKey{"network", network}), append(slow, byNetwork())
	}
	return keys, slow
}

// hashed keeps what was typed as a name out of the store: now and then it is a
// password.
func hashed(account string) string {
	sum := sha256.Sum256([]byte(account))
	return hex.EncodeToString(sum[:])
}

// Guess is one that was let through. It counts as a failure until it says
// otherwise: many at once must not all be the first.
type Guess struct {
	of     *guessing
	keys   []tryKey
	counts []counted // by key
	clears bool      // the first key is the account's or the device's
}

// counted is what a guess has changed until it is taken back.
type counted struct {
	at, until time.Time // the delay that it brought about
	before    time.Time // the failure before it
}

// begin lets a guess through, or says how long to wait. One that has to wait
// isn't counted.
//
// Errors: *ThrottledError.
func (g *guessing) begin(r GuessRequest) (Guess, error) {
	keys, slow := r.counters()
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	var wait time.Duration
	for i, k := range keys {
		// A longer wait than there is comes from a clock that was set back.
		if t := g.tries[k]; t != nil && now.Sub(t.last) < forgetAfter && t.until.Sub(now) <= slow[i].longest {
			wait = max(wait, t.until.Sub(now))
		}
	}
	if wait > 0 {
		return Guess{}, &ThrottledError{RetryAfter: wait}
	}
	passed := Guess{of: g, keys: keys, clears: r.Account != "" || r.Device != ""}
	for i, k := range keys {
		passed.counts = append(passed.counts, g.count(k, slow[i], now))
	}
	return passed, nil
}

func (g *guessing) count(k tryKey, slow slowing, now time.Time) counted {
	t := g.tries[k]
	if t == nil || now.Sub(t.last) >= forgetAfter {
		g.drop(k)
		g.makeRoom(k.kind, now)
		t = &try{}
		g.tries[k] = t
		g.many[k.kind]++
	}
	before := t.last
	t.failures, t.last = t.failures+1, now
	if over := t.failures - slow.free; over >= 0 {
		t.until = now.Add(min(slow.longest, firstDelay<<min(over, 20)))
	}
	g.dirty[k] = true
	return counted{at: now, until: t.until, before: before}
}

// makeRoom forgets what is old of a kind, and if that isn't enough, the oldest.
func (g *guessing) makeRoom(kind string, now time.Time) {
	if g.many[kind] < mostRemembered {
		return
	}
	var oldest tryKey
	for k, t := range g.tries {
		if k.kind != kind {
			continue
		}
		if now.Sub(t.last) >= forgetAfter {
			g.drop(k)
		} else if o := g.tries[oldest]; o == nil || t.last.Before(o.last) {
			oldest = k
		}
	}
	if g.many[kind] >= mostRemembered {
		g.drop(oldest)
	}
}

func (g *guessing) drop(k tryKey) {
	if g.tries[k] == nil {
		return
	}
	delete(g.tries, k)
	g.many[k.kind]--
	g.dirty[k] = true
}

// Right clears the account or the device. The network only gets its own guess
// back: somebody with one account must not buy guesses at the others with it.
func (p Guess) Right() {
	p.Forget()
	if !p.clears {
		return
	}
	p.of.mu.Lock()
	defer p.of.mu.Unlock()
	p.of.drop(p.keys[0])
}

// Forget takes the guess back: nothing was guessed.
func (p Guess) Forget() {
	if p.of == nil {
		return
	}
	p.of.mu.Lock()
	defer p.of.mu.Unlock()
	for i, k := range p.keys {
		known := p.of.tries[k]
		if known == nil {
			continue
		}
		known.failures--
		if known.until.Equal(p.counts[i].until) {
			known.until = time.Time{}
		}
		if known.last.Equal(p.counts[i].at) { // else what was guessed rightly would keep the failures from being forgotten
			known.last = p.counts[i].before
		}
		p.of.dirty[k] = true
	}
}

// changes gives what has changed since it was asked last.
func (g *guessing) changes() []store.Guesses {
	g.mu.Lock()
	defer g.mu.Unlock()
	changed := make([]store.Guesses, 0, len(g.dirty))
	for k := range g.dirty {
		row := store.Guesses{Kind: k.kind, Name: k.name}
		if t := g.tries[k]; t != nil {
			row.Failures, row.LastAt, row.Until = t.failures, t.last, t.until
		}
		changed = append(changed, row)
	}
	clear(g.dirty)
	return changed
}

// again has the changes saved with the next ones.
func (g *guessing) again(changed []store.Guesses) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range changed {
		g.dirty[tryKey{c.Kind, c.Name}] = true
	}
}

// NetworkOf is who an address belongs to: itself, or its /64, which is what
// one household has of IPv6.
func NetworkOf(address string) string {
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
