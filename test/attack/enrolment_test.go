package attack_test

import (
	"net/http"
	"slices"
	"sync"
	"testing"
)

// has checks the methods that a user is known to have.
func (c *client) has(methods ...string) {
	c.Helper()
	var got []string
	list, _ := c.must("GET", "/api/v1/2fa/status", nil).get("methods").([]any)
	for _, m := range list {
		got = append(got, m.(string))
	}
	slices.Sort(got)
	if !slices.Equal(got, methods) {
		c.Errorf("the user's factors are %v, want %v", got, methods)
	}
}

// refusedToEnrol has a temporary token try every way to a factor of its own.
func (c *client) refusedToEnrol() {
	c.Helper()
	for path, body := range map[string]any{
		"/api/v1/2fa/setup/otp/init":        nil,
		"/api/v1/2fa/setup/otp/verify":      map[string]string{"code": "123456"},
		"/api/v1/2fa/setup/webauthn/begin":  map[string]string{"name": "mine"},
		"/api/v1/2fa/setup/webauthn/finish": c.newKey().attest(c, madeUp()),
	} {
		if a := c.do("POST", path, body); a.status != http.StatusUnauthorized && a.status != http.StatusForbidden {
			c.Errorf("%s with a password's temporary token: %s", path, a)
		}
	}
}

// madeUp is a ceremony that no server began.
func madeUp() ceremony {
	return ceremony{id: "AAAAAAAAAAAAAAAAAAAAAA", options: `{"publicKey":{"challenge":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
		"rp":{"id":"localhost","name":"x"},"rpId":"localhost","user":{"id":"AAAA","name":"x","displayName":"x"}}}`}
}

func TestAPasswordAloneCantEnrolACodeGeneratorOfItsOwn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.signIn()
	_, codes := ann.enrolTOTP()
	thief := w.temporary(owner)
	thief.refusedToEnrol()
	ann.has("otp")
	if thief.alive() {
		t.Error("the temporary token has become a full one")
	}
	thief.must("POST", "/api/v1/2fa/verify/recovery", map[string]string{"code": codes[0]}) // the right way is open
}

func TestAPasswordAloneCantEnrolAPasskeyOfItsOwn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.signIn()
	k := ann.enrolKey()
	thief := w.temporary(owner)
	thief.refusedToEnrol()
	ann.has("webauthn")
	begun := thief.begin("/api/v1/2fa/verify/webauthn/begin", nil)
	thief.must("POST", "/api/v1/2fa/verify/webauthn/finish", k.assert(t, begun)) // the right way is open
}

// What belongs to another domain counts as a factor as well: on a host where
// it can't be used, a password must not be enough for a new one.
func TestAPasskeyOfAnotherDomainStillKeepsThePasswordFromEnrolling(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "WATCH_SERVER_TRUSTED_PROXIES=127.0.0.0/8")
	ann := w.signIn()
	ann.enrolKey() // for localhost
	elsewhere := []option{header("X-Forwarded-Host", "watch.example.org"), header("X-Forwarded-Proto", "https"), header("X-Forwarded-For", "203.0.113.7")}
	thief := w.client()
	a := thief.login(owner, password, elsewhere...)
	if a.text("tempToken") == "" || a.get("isSetup") != true {
		t.Fatalf("signing in on another domain: %s", a)
	}
	for _, path := range []string{"/api/v1/2fa/setup/otp/init", "/api/v1/2fa/setup/webauthn/begin"} {
		if a := thief.do("POST", path, map[string]string{}, elsewhere...); a.status != http.StatusUnauthorized && a.status != http.StatusForbidden {
			t.Errorf("%s on another domain: %s", path, a)
		}
	}
	ann.has("webauthn")
}

func TestAnEnrolmentBegunWithAPasswordCantBeFinishedOnceTheOwnerHasAFactor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "IS_SECONDARY_VERIFICATION=true")
	first := func() *client {
		c := w.client()
		if a := c.login(owner, password); a.text("tempToken") == "" || a.get("isSetup") != false {
			t.Fatalf("the first sign-in where a second factor is required: %s", a)
		}
		return c
	}
	byCode, byKey, ann := first(), first(), first()
	thief := &generator{TB: t, secret: byCode.must("POST", "/api/v1/2fa/setup/otp/init", nil).text("secret")}
	begun := byKey.begin("/api/v1/2fa/setup/webauthn/begin", map[string]string{"name": "mine"})
	ann.enrolTOTP()
	late := byCode.do("POST", "/api/v1/2fa/setup/otp/verify", map[string]string{"code": thief.code()})
	if late.status != http.StatusUnauthorized && late.status != http.StatusForbidden && late.status != http.StatusConflict {
		t.Errorf("an enrolment of a code generator finished late: %s", late)
	}
	late = byKey.do("POST", "/api/v1/2fa/setup/webauthn/finish", w.newKey().attest(t, begun))
	if late.status != http.StatusUnauthorized && late.status != http.StatusForbidden && late.status != http.StatusConflict {
		t.Errorf("an enrolment of a passkey finished late: %s", late)
	}
	ann.has("otp")
	if byCode.alive() || byKey.alive() {
		t.Error("a late enrolment has signed somebody in")
	}
}

func TestOfManyWhoEnrolAFirstFactorAtOnceOneGetsIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "IS_SECONDARY_VERIFICATION=true")
	var all []func() answer
	for i := range 6 {
		c := w.client()
		c.login(owner, password)
		if i%2 == 0 {
			g := &generator{TB: t, secret: c.must("POST", "/api/v1/2fa/setup/otp/init", nil).text("secret")}
			all = append(all, c.hold("/api/v1/2fa/setup/otp/verify", map[string]string{"code": g.code()}))
			continue
		}
		begun := c.begin("/api/v1/2fa/setup/webauthn/begin", map[string]string{"name": "key"})
		all = append(all, c.hold("/api/v1/2fa/setup/webauthn/finish", w.newKey().attest(t, begun)))
	}
	in := count(atOnce(len(all), func(i int) answer { return all[i]() })) // all of them are past the first look at their token
	if in != 1 {
		t.Errorf("%d of %d racing first enrolments succeeded, want 1", in, len(all))
	}
}

func TestATemporaryTokenIsSpentWithTheFactor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, codes := w.signIn().enrolTOTP()
	c := w.temporary(owner)
	c.must("POST", "/api/v1/2fa/verify/recovery", map[string]string{"code": codes[0]})
	again := c.do("POST", "/api/v1/2fa/verify/recovery", map[string]string{"code": codes[1]})
	if again.status != http.StatusUnauthorized {
		t.Errorf("a temporary token that was spent: %s", again)
	}
	refused(t, c.do("GET", "/api/v1/2fa/status", nil), http.StatusUnauthorized, "unauthorized")
}

// atOnce asks n times at the same moment.
func atOnce(n int, ask func(i int) answer) []answer {
	answers := make([]answer, n)
	var ready, done sync.WaitGroup
	ready.Add(n)
	for i := range n {
		done.Go(func() {
			ready.Done()
			ready.Wait()
			answers[i] = ask(i)
		})
	}
	done.Wait()
	return answers
}

// count gives how many worked.
func count(answers []answer) (n int) {
	for _, a := range answers {
		if a.status == http.StatusOK {
			n++
		}
	}
	return n
}
