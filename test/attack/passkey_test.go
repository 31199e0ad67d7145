package attack_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/watch-docker/watch-docker/test/testbed"
)

const (
	keyBegin      = "/api/v1/2fa/verify/webauthn/begin"
	keyFinish     = "/api/v1/2fa/verify/webauthn/finish"
	setupBegin    = "/api/v1/2fa/setup/webauthn/begin"
	setupFinish   = "/api/v1/2fa/setup/webauthn/finish"
	passkeyBegin  = "/api/v1/auth/passkey/begin"
	passkeyFinish = "/api/v1/auth/passkey/finish"
)

// notTaken checks that an answer to a challenge was refused for what it is,
// and has signed nobody in.
func notTaken(t testing.TB, what string, a answer) {
	t.Helper()
	if a.status < 400 || a.status >= 500 || a.status == http.StatusTooManyRequests || strings.Contains(a.header.Get("Set-Cookie"), "watch-docker=ey") {
		t.Errorf("%s: %s", what, a)
	}
}

func TestAPasskeyCeremonyBelongsToItsUser(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.signIn()
	w.addUser(ann, "bob", "viewer")
	anns := ann.enrolKey()
	bobs := w.signInAs("bob", password).enrolKey()
	a, b := w.temporary(owner), w.temporary("bob")
	begunByAnn, begunByBob := a.begin(keyBegin, nil), b.begin(keyBegin, nil)
	notTaken(t, "bob's key in ann's ceremony with bob's token", b.do("POST", keyFinish, bobs.assert(t, begunByAnn)))
	notTaken(t, "bob's key in ann's ceremony with ann's token", a.do("POST", keyFinish, bobs.assert(t, a.begin(keyBegin, nil))))
	notTaken(t, "ann's key in bob's ceremony with ann's token", a.do("POST", keyFinish, anns.assert(t, begunByBob)))
	// Without a name at first, the key says whose it is; it mustn't say another's.
	anonymous := w.client()
	liar := *bobs
	liar.Options.UserHandle = anns.Options.UserHandle
	notTaken(t, "bob's key with ann's user handle", anonymous.do("POST", passkeyFinish, liar.assert(t, anonymous.begin(passkeyBegin, nil))))
	a.must("POST", keyFinish, anns.assert(t, a.begin(keyBegin, nil))) // the right way is open
}

func TestAPasskeyCeremonyBelongsToItsPurpose(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.signIn()
	k := ann.enrolKey()
	c := w.temporary(owner)
	notTaken(t, "a passwordless ceremony as a second factor", c.do("POST", keyFinish, k.assert(t, c.begin(passkeyBegin, nil))))
	notTaken(t, "a second factor's ceremony without a password", w.client().do("POST", passkeyFinish, k.assert(t, c.begin(keyBegin, nil))))
	another := w.newKey()
	asSetup := c.begin(keyBegin, nil)
	notTaken(t, "a verification as a registration", ann.do("POST", setupFinish, another.attest(t, ceremony{asSetup.id, withUser(asSetup.options)})))
	asVerify := ann.begin(setupBegin, map[string]string{"name": "second"})
	notTaken(t, "a registration as a verification", ann.do("POST", "/api/v1/auth/step-up", k.assert(t, asVerify)))
	ann.has("webauthn")
	if c.alive() {
		t.Error("a ceremony of another purpose has signed somebody in")
	}
}

// withUser makes options of a verification look like those of a registration.
func withUser(options string) string {
	return strings.Replace(options, `"publicKey":{`, `"publicKey":{"rp":{"id":"localhost","name":"x"},"user":{"id":"AAAA","name":"x","displayName":"x"},`, 1)
}

func TestAPasskeyCeremonyBelongsToItsSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.signIn()
	k := ann.enrolKey()
	first, second := w.temporary(owner), w.temporary(owner)
	notTaken(t, "another sign-in's ceremony", second.do("POST", keyFinish, k.assert(t, first.begin(keyBegin, nil))))
	begun := ann.begin(setupBegin, map[string]string{"name": "second"})
	other := w.temporary(owner)
	other.keep(other.must("POST", keyFinish, k.assert(t, other.begin(keyBegin, nil))))
	notTaken(t, "another session's registration", other.do("POST", setupFinish, w.newKey().attest(t, begun)))
}

func TestAPasskeyAnswerCountsOnlyForOurSite(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.signIn()
	k := ann.enrolKey()
	stepUp := func(with *key) answer {
		c := w.client().with(ann.token) // from anywhere
		return c.do("POST", "/api/v1/auth/step-up", with.assert(t, c.begin(keyBegin, nil)))
	}
	wrong := func(what string, liar key) {
		t.Helper()
		notTaken(t, what, stepUp(&liar))
		k.Counter += 2
		if a := stepUp(k); a.status != http.StatusOK { // which clears the count of wrong ones
			t.Fatalf("the right answer: %s", a)
		}
	}
	_, port, _ := strings.Cut(w.host, ":")
	for _, origin := range []string{
		"http://evil.example", "http://localhost", "http://localhost:1", "https://" + w.host, "http://sub." + w.host,
		"http://localhost.evil.example:" + port, "null", "",
	} {
		liar := *k
		liar.site.Origin = origin
		wrong("an answer made on "+origin, liar)
	}
	for _, rpid := range []string{"evil.example", "host", ""} {
		liar := *k
		liar.site.ID = rpid
		wrong("an answer for the domain "+rpid, liar)
	}
}

func TestSigningInByPasskeyAloneNeedsTheUserVerified(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	k := w.signIn().enrolKey()
	c := w.client()
	careless := *k
	careless.Options.UserNotVerified = true
	notTaken(t, "without the user verified", c.do("POST", passkeyFinish, careless.assert(t, c.begin(passkeyBegin, nil))))
	absent := *k
	absent.Options.UserNotPresent = true
	notTaken(t, "without the user there", c.do("POST", passkeyFinish, absent.assert(t, c.begin(passkeyBegin, nil))))
	k.Counter = 10
	c.keep(c.must("POST", passkeyFinish, k.assert(t, c.begin(passkeyBegin, nil))))
	if !c.alive() {
		t.Error("the right way isn't open")
	}
}

func TestAClonedPasskeyIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	k := w.signIn().enrolKey()
	clone := *k
	k.Counter = 7
	c := w.temporary(owner)
	c.keep(c.must("POST", keyFinish, k.assert(t, c.begin(keyBegin, nil))))
	thief := w.temporary(owner)
	for _, counter := range []uint32{0, 1, 7, 8} { // the last known is 8
		clone.Counter = counter
		notTaken(t, "a counter that hasn't grown", thief.do("POST", keyFinish, clone.again(t, thief.begin(keyBegin, nil))))
	}
	if thief.alive() {
		t.Error("a clone has signed somebody in")
	}
	anonymous := w.client()
	clone.Counter = 3
	notTaken(t, "a clone without a password", anonymous.do("POST", passkeyFinish, clone.assert(t, anonymous.begin(passkeyBegin, nil))))
	testbed.Eventually(t, time.Minute, func() error {
		if a := c.must("GET", "/api/audit", nil); !strings.Contains(a.body, "clone") {
			return errText("the audit log says nothing of it: " + a.body)
		}
		return nil
	})
}

func TestAPasskeyWhoseBackupEligibilityFlipsIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.signIn()
	k := ann.enrolKey() // bound to its device
	c := w.temporary(owner)
	flipped := *k
	flipped.Options.BackupEligible = true
	notTaken(t, "a device's key that has become one that is copied", c.do("POST", keyFinish, flipped.assert(t, c.begin(keyBegin, nil))))
	impossible := *k
	impossible.Options.BackupState = true
	notTaken(t, "a key that is backed up and can't be", c.do("POST", keyFinish, impossible.assert(t, c.begin(keyBegin, nil))))
	if c.alive() {
		t.Error("a flipped flag has signed somebody in")
	}
}

// A registration mustn't take over another user's credential by its id.
func TestAPasskeyCantBeRegisteredForASecondUser(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.signIn()
	w.addUser(ann, "bob", "viewer")
	k := ann.enrolKey()
	bob := w.signInAs("bob", password)
	thief := w.newKey()
	thief.ID = k.ID
	notTaken(t, "another user's credential id", bob.do("POST", setupFinish, thief.attest(t, bob.begin(setupBegin, map[string]string{"name": "x"}))))
	bob.has()
	c := w.temporary(owner)
	c.must("POST", keyFinish, k.assert(t, c.begin(keyBegin, nil)))
}
