package attack_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// visible is all that a client sees of an answer, but for the time of day.
func visible(a answer) map[string]any {
	header := a.header.Clone()
	header.Del("Date")
	return map[string]any{"status": a.status, "body": a.body, "header": header}
}

func TestAWrongSignInDoesntTellWhetherTheUserExists(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.signIn()
	w.addUser(ann, "bob", "viewer")
	ann.enrolTOTP() // one with a second factor, and one without
	nobody := w.client().login("nobody", "a wrong password")
	refused(t, nobody, http.StatusUnauthorized, "bad_credentials")
	for _, name := range []string{owner, "bob", "ANN", "\u0430nn", "x'; DROP TABLE users; --"} {
		if diff := cmp.Diff(visible(nobody), visible(w.client().login(name, "a wrong password"))); diff != "" {
			t.Errorf("%q is told from nobody by %s", name, diff)
		}
	}
	// Not by how it is slowed either.
	slowedDown := func(name string) answer {
		guess := func() answer { return w.client().login(name, "a wrong password") }
		slowDown(t, 1, guess)
		return guess()
	}
	known, unknown := slowedDown(owner), slowedDown("nobody")
	slowed(t, known)
	slowed(t, unknown)
	known.header.Del("Retry-After") // what is left of it depends on when one asks
	unknown.header.Del("Retry-After")
	known.body, unknown.body = known.text("title")+known.code(), unknown.text("title")+unknown.code()
	if diff := cmp.Diff(visible(unknown), visible(known)); diff != "" {
		t.Errorf("slowed, a user is told from nobody by %s", diff)
	}
	// Signing in by a passkey asks for no name, so there is none to try.
	if a := w.client().must("POST", passkeyBegin, nil); a.get("options", "publicKey", "allowCredentials") != nil {
		t.Errorf("a stranger is told of credentials: %s", a)
	}
}

// Pairs of attempts, one after the other, so that whatever else the machine
// does falls on both. Without its hash an unknown user would be answered in a
// hundredth of the time.
func TestAWrongSignInDoesntTellByItsTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.signIn()
	known := []string{owner}
	for i := range 2 {
		name := fmt.Sprint("user", i)
		w.addUser(ann, name, "viewer")
		known = append(known, name)
	}
	const pairs = 12 // 4 for each of the users: their fifth would be slowed
	attempt := func(name string) time.Duration {
		c := w.client()
		c.do("GET", "/healthz", nil) // connects
		began := time.Now()
		refused(t, c.login(name, "a wrong password"), http.StatusUnauthorized, "bad_credentials")
		return time.Since(began)
	}
	var forKnown, forUnknown []time.Duration
	for i := range pairs {
		forKnown = append(forKnown, attempt(known[i%len(known)]))
		forUnknown = append(forUnknown, attempt(fmt.Sprint("nobody", i)))
	}
	slices.Sort(forKnown)
	slices.Sort(forUnknown)
	k, u := forKnown[pairs/2], forUnknown[pairs/2]
	t.Logf("median: %s for a user that exists, %s for one that doesn't", k, u)
	if u < k/2 || u > k*2 {
		t.Errorf("median: %s for a user that exists, %s for one that doesn't", k, u)
	}
}
