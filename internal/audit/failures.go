package audit

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// repeatAfter is how long the same failure is left out after it was recorded.
const repeatAfter = time.Minute

// limit lets burst entries through at once, and then one every so often.
type limit struct {
	burst int
	every time.Duration
}

// Limits of failures. Whoever has signed in has limits of their own, so that
// strangers can't crowd out what users are refused.
const (
	alike = iota
	network
	everybody
)

func limitOf(kind int, signedIn bool) limit {
	switch {
	case kind == alike:
		return limit{1, repeatAfter}
	case kind == network && signedIn:
		return limit{60, 10 * time.Second}
	case kind == network:
		return limit{20, time.Minute}
	case signedIn:
		return limit{200, 5 * time.Second}
	}
	return limit{100, 10 * time.Second} // 8,640 a day
}

// about is what failures are counted by.
type about struct {
	kind     int
	signedIn bool
	network  string
	// With alike only:
	user, via, action, result, detail string
}

// tally is how many failures were let through, and how many weren't.
type tally struct {
	// full is when the whole burst may pass again.
	full    time.Time
	leftOut int
	address string
}

// failures are the tallies that still matter. An entry makes tallies only when
// it passes, so the last limit bounds their number as well.
type failures map[about]*tally

// admit says whether a failure is recorded, and, if so, what was left out before.
func (f failures) admit(e Entry, now time.Time) (pass bool, before string) {
	signedIn := e.Via != ""
	keys := []about{
		{kind: alike, signedIn: signedIn, network: e.Address, user: e.User, via: e.Via, action: e.Action, result: e.Result, detail: e.Detail},
		{kind: network, signedIn: signedIn, network: networkOf(e.Address)},
		{kind: everybody, signedIn: signedIn},
	}
	for _, k := range keys {
		l := limitOf(k.kind, signedIn)
		if t := f[k]; t != nil && t.full.Sub(now) > time.Duration(l.burst-1)*l.every {
			t.leftOut++
			return false, ""
		}
	}
	var said []string
	for _, k := range keys {
		t := f[k]
		if t == nil {
			t = &tally{address: e.Address}
			f[k] = t
		}
		if t.leftOut > 0 {
			said = append(said, k.words(t.leftOut))
			t.leftOut = 0
		}
		if t.full.Before(now) {
			t.full = now
		}
		t.full = t.full.Add(limitOf(k.kind, signedIn).every)
	}
	return true, leftOut(said)
}

// sweep forgets what matters no more, or all, and gives entries for what was
// left out of it.
func (f failures) sweep(now time.Time, all bool) (sums []Entry) {
	for k, t := range f {
		if t.full.After(now) && !all {
			continue
		}
		delete(f, k)
		if t.leftOut == 0 {
			continue
		}
		e := Entry{User: k.user, Via: k.via, Action: k.action, Result: k.result, Detail: join(k.detail, leftOut([]string{k.words(t.leftOut)}))}
		if k.kind != alike {
			e.Action, e.Result = "several", Refused
		}
		if k.kind != everybody {
			e.Address = t.address
		}
		sums = append(sums, e)
	}
	slices.SortFunc(sums, func(a, b Entry) int { return strings.Compare(a.Action+a.Address, b.Action+b.Address) })
	return sums
}

func (k about) words(n int) string {
	switch k.kind {
	case alike:
		return fmt.Sprintf("%d like it", n)
	case network:
		return fmt.Sprintf("%d from its network", n)
	}
	if k.signedIn {
		return fmt.Sprintf("%d of users", n)
	}
	return fmt.Sprintf("%d of strangers", n)
}

func leftOut(said []string) string {
	if len(said) == 0 {
		return ""
	}
	return "left out before: " + strings.Join(said, ", ")
}

// networkOf is an address, or its /64, which is what one household has of IPv6.
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
