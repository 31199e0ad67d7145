package attack_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

// ageProofs makes every session's last proof older than it may be.
const ageProofs = `UPDATE sessions SET elevated_until = created_at`

// needsProof checks each + route with a session whose proof is old.
func (c *client) needsProof(ids *strings.Replacer) {
	c.Helper()
	for route, need := range who() {
		if strings.HasSuffix(need, "+") {
			refused(c, c.ask(route, ids), http.StatusForbidden, "step_up_required")
		}
	}
}

func TestAStolenSessionNeedsAFreshProofForWhatMattersMost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.signIn()
	w.addUser(ann, "bob", "admin")
	bob := w.signInAs("bob", password) // without a factor
	g, _ := ann.enrolTOTP()
	stolen := []*client{ann, bob}
	w.whileStopped(ageProofs)
	ids := strings.NewReplacer("{id}", "x", "{name}", "bob", "{project}", "x", "{n}", "1")
	for _, c := range stolen {
		c.needsProof(ids)
		if !c.alive() {
			t.Error("an old proof ended the session")
		}
	}
	// Removing volumes asks for it by the query.
	refused(t, ann.do("DELETE", "/api/containers/x?volumes=true", nil), http.StatusForbidden, "step_up_required")
	// With a factor, the password is no proof, however right.
	for _, body := range []map[string]string{{"password": password}, {"password": password, "code": "000000"}, {}, {"code": ""}} {
		if a := ann.do("POST", "/api/v1/auth/step-up", body); a.status < 400 || a.status >= 500 {
			t.Errorf("a proof with %v: %s", body, a)
		}
	}
	ann.needsProof(ids)
	// Somebody else's proof isn't ours.
	bob.must("POST", "/api/v1/auth/step-up", map[string]string{"password": password})
	bob.must("GET", "/api/users", nil)
	refused(t, ann.do("GET", "/api/users", nil), http.StatusForbidden, "step_up_required")
	ann.must("POST", "/api/v1/auth/step-up", map[string]string{"code": g.code()})
	ann.must("GET", "/api/users", nil)
}

// Who steals a session of somebody without a factor mustn't add one.
func TestAStolenSessionCantLockItsOwnerOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stolen := w.signIn()
	w.whileStopped(ageProofs)
	begun := w.signIn() // the owner's own, which is fresh
	for _, path := range []string{"/api/v1/2fa/setup/otp/init", setupBegin} {
		refused(t, stolen.do("POST", path, nil), http.StatusForbidden, "step_up_required")
	}
	// Nor finish what the owner's session began.
	g := &generator{TB: t, secret: begun.must("POST", "/api/v1/2fa/setup/otp/init", nil).text("secret")}
	refused(t, stolen.do("POST", "/api/v1/2fa/setup/otp/verify", map[string]string{"code": g.code()}), http.StatusForbidden, "step_up_required")
	if a := stolen.do("POST", "/api/v1/auth/password", map[string]string{"current": "a wrong password", "new": "the thief's own"}); a.status < 400 {
		t.Errorf("a new password without the old one: %s", a)
	}
	begun.has()
}

func TestAnAPITokenCantGiveAProof(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token := w.signIn().newToken("admin")
	for _, body := range []map[string]string{{"password": password}, {"code": "123456"}} {
		refused(t, token.do("POST", "/api/v1/auth/step-up", body), http.StatusForbidden, "session_required")
	}
	ids := strings.NewReplacer("{id}", "x", "{name}", "bob", "{project}", "x", "{n}", "1")
	for route, need := range who() {
		if slices.Contains([]string{"S", "T", "T+", "V+", "A+"}, need) {
			refused(t, token.ask(route, ids), http.StatusForbidden, "session_required")
		}
	}
}
