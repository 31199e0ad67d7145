package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/watch-docker/watch-docker/internal/api"
	"github.com/watch-docker/watch-docker/internal/audit"
	"github.com/watch-docker/watch-docker/internal/auth"
	"github.com/watch-docker/watch-docker/internal/store"
	"github.com/watch-docker/watch-docker/internal/twofa"
)

// withAudit gives the world a real audit log on its store.
func withAudit(d *api.Dependencies) {
	f, _ := d.Scans.(*fakes)
	d.Audit = audit.New(audit.Dependencies{Store: f.store, Logger: d.Logger})
}

// trail is what was recorded since the last call, oldest first, each entry in
// one line: user, via, action, target, result, detail.
func (w *world) trail() []string {
	w.t.Helper()
	all, err := w.store.Audit(w.t.Context(), store.AuditFilter{Limit: 1000})
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.store.PruneAudit(w.t.Context(), time.Now().Add(time.Hour)); err != nil {
		w.t.Fatal(err)
	}
	lines := []string{}
	for _, e := range slices.Backward(all) {
		if e.Address != "127.0.0.1" || time.Since(e.At) > time.Minute {
			w.t.Errorf("%+v", e)
		}
		lines = append(lines, fmt.Sprintf("%s|%s|%s|%s|%s|%s", e.User, e.Via, e.Action, e.Target, e.Result, e.Detail))
	}
	return lines
}

func (w *world) left(want ...string) {
	w.t.Helper()
	if diff := cmp.Diff(append([]string{}, want...), w.trail()); diff != "" {
		w.t.Error(diff)
	}
}

func TestWhatChangesSomethingIsRecorded(t *testing.T) {
	w := newWorld(t, withAudit).signIn()
	w.left("ann|session|login||ok|")
	w.as("POST", "/api/containers/web/update?wait=0s", raw(`{"force":true}`))
	w.as("POST", "/api/containers/"+dbID[:63]+"2/stop")
	w.as("DELETE", "/api/containers/web?volumes=true&force=true")
	w.as("POST", "/api/updates/run", raw(`{"ids":["web","db"],"dryRun":true}`))
	w.as("POST", "/api/compose/shop/update", raw(`{"force":true}`))
	w.as("DELETE", "/api/images", raw(`{"id":"nginx:latest"}`))
	w.as("POST", "/api/containers/nowhere/start")
	w.as("POST", "/api/scan", raw(`{"sesame":1}`))
	w.failWith(errBroken)
	w.as("POST", "/api/containers/one/restart")
	w.failWith(nil)
	got := w.trail()
	id := ""
	if len(got) > 0 {
		_, id, _ = strings.Cut(got[0], "operation ")
	}
	if diff := cmp.Diff([]string{
		"ann|session|updateContainer|web|ok|forced; operation " + id,
		"ann|session|stopContainer|db|ok|",
		"ann|session|removeContainer|web|ok|with volumes",
		"ann|session|runUpdates|web, db|ok|dry run",
		"ann|session|updateProject|shop|ok|forced",
		"ann|session|removeImage|nginx:latest|ok|",
		"ann|session|startContainer|nowhere|refused|container_not_found",
		"ann|session|scan||refused|validation_failed",
		"ann|session|restartContainer|one|failed|internal_error",
	}, got); diff != "" || len(id) != 21 {
		t.Error(diff)
	}
	w.as("POST", "/api/v1/auth/logout")
	w.left("ann|session|logout||ok|")
}

func TestReadingIsNotRecordedUnlessItIsRefusedToSomebody(t *testing.T) {
	w := newWorld(t, withAudit).signIn()
	w.trail()
	for _, path := range []string{"/healthz", "/api/containers", "/api/containers/web", "/api/containers/nowhere", "/api/operations?limit=0", "/api/audit", "/api/nothing"} {
		w.as("GET", path)
		w.as("HEAD", path)
	}
	w.do("GET", "/api/containers") // without a token: a browser that isn't signed in
	w.do("POST", "/api/nothing")
	w.do("OPTIONS", "/api/containers")
	w.left()

	w.do("GET", "/api/containers/web", bearer("sesame"))
	w.do("GET", "/api/system", header("Cookie", "watch-docker=sesame"))
	w.do("POST", "/api/scan")
	w.as("POST", "/api/scan", header("Authorization", ""), header("Cookie", "watch-docker="+w.token), header("Origin", "https://evil.example"))
	w.left(
		"||getContainer|web|refused|unauthorized",
		"||getSystem||refused|unauthorized",
		"||scan||refused|unauthorized",
		"||scan||refused|cross_origin",
	)
}

func TestWhoeverIsRefusedForTheirRoleIsNamed(t *testing.T) {
	w := newWorld(t, withAudit).signIn()
	if _, err := w.auth.AddUser(t.Context(), "vic", password, auth.Viewer); err != nil {
		t.Fatal(err)
	}
	vic := bearer(w.do("POST", "/api/v1/auth/login", body(map[string]string{"username": "vic", "password": password})).get("token").(string))
	w.trail()
	w.do("GET", "/api/config", vic)
	w.do("POST", "/api/containers/web/stop", vic)
	w.left("vic|session|getConfig||refused|forbidden", "vic|session|stopContainer|web|refused|forbidden")
	for range 50 {
		w.do("POST", "/api/containers/web/stop", vic)
	}
	w.left()
}

func TestARevealingReadIsRecorded(t *testing.T) {
	w := newWorld(t, withAudit).signIn()
	w.trail()
	a := w.as("GET", "/api/containers/web?reveal=true")
	w.as("GET", "/api/containers/web?reveal=false")
	got := w.trail()
	if len(got) != 1 || !strings.HasPrefix(got[0], "ann|session|getContainer|web|") {
		t.Errorf("%s left %q", a, got)
	}
}

func TestAFailedSignInNamesOnlyAUserThatThereIs(t *testing.T) {
	w := newWorld(t, withAudit).signIn()
	w.trail()
	login := func(name, password string) {
		w.do("POST", "/api/v1/auth/login", body(map[string]string{"username": name, "password": password}))
	}
	login("ann", "sesame sesame")
	login("sesame open", "ann")
	login("sesame open", password)
	login("", "")
	w.left("ann||login||refused|bad_credentials", "||login||refused|bad_credentials", "||login||refused|validation_failed")
	for range 40 {
		login("ann", "sesame again")
	}
	got := w.trail()
	if diff := cmp.Diff([]string{"||login||refused|too_many_attempts"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestAnAPITokenIsNamed(t *testing.T) {
	w := newWorld(t, withAudit).signIn()
	token := w.as("POST", "/api/v1/auth/tokens", body(map[string]string{"name": "backup", "scope": "operate"})).get("token").(string)
	w.do("POST", "/api/containers/web/stop", bearer(token))
	w.do("GET", "/api/users", bearer(token))
	w.left(
		"ann|session|login||ok|",
		"ann|session|makeToken|backup|ok|scope operate",
		"ann|token backup|stopContainer|web|ok|",
		"ann|token backup|listUsers||refused|session_required",
	)
}

func TestChangesOfUsersSayWhatWasChanged(t *testing.T) {
	w := newWorld(t, withAudit).signIn()
	w.trail()
	w.as("POST", "/api/users", body(map[string]string{"username": "vic", "password": "sesame sesame", "role": "viewer"}))
	w.as("PATCH", "/api/users/vic", body(map[string]any{"role": "admin", "password": "sesame again", "resetTwoFA": true}))
	w.as("DELETE", "/api/users/vic")
	w.as("DELETE", "/api/users/ann")
	w.left(
		"ann|session|addUser|vic|ok|role viewer",
		"ann|session|changeUser|vic|ok|role admin; password; second factors removed",
		"ann|session|removeUser|vic|ok|",
		"ann|session|removeUser|ann|refused|last_administrator",
	)
}

func TestASessionThatWaitsForItsSecondFactorIsCalledSo(t *testing.T) {
	w := newWorld(t, withAudit).signIn()
	w.required.Store(true)
	w.trail()
	temp := w.do("POST", "/api/v1/auth/login", body(map[string]string{"username": userName, "password": password})).get("tempToken").(string)
	w.do("POST", "/api/v1/2fa/verify/otp", bearer(temp), body(map[string]string{"code": "123456"}))
	got := w.trail()
	if len(got) != 2 || got[0] != "ann|temporary session|login||ok|" || !strings.HasPrefix(got[1], "ann|temporary session|verifyOTP||refused|") {
		t.Errorf("%q", got)
	}
}

// panics is an engine whose handler doesn't survive it.
type panics struct{ api.Engine }

func TestStrangersDoNotFillTheAuditLogWithWhatSucceeds(t *testing.T) {
	w := newWorld(t, withAudit).signIn()
	w.trail()
	for range 3 {
		if a := w.do("POST", "/api/v1/auth/passkey/begin", func(r *http.Request) { r.Host = "localhost" }); a.status != http.StatusOK {
			t.Fatal(a)
		}
	}
	w.left()
	w.do("POST", "/api/v1/auth/passkey/begin") // an IP address
	w.left("||beginPasskeyLogin||refused|passkeys_unavailable")
}

func TestATokenInThePlaceOfItsIDIsNotRecorded(t *testing.T) {
	w := newWorld(t, withAudit).signIn()
	token, _ := w.as("POST", "/api/v1/auth/tokens", raw(`{"name":"x","scope":"read"}`)).get("token").(string)
	w.trail()
	w.as("DELETE", "/api/v1/auth/tokens/"+token).is(http.StatusNotFound, "token_not_found")
	w.as("DELETE", "/api/v1/auth/sessions/"+w.token).is(http.StatusUnprocessableEntity, "validation_failed")
	w.left("ann|session|removeToken|***|refused|token_not_found", "ann|session|endSession|***|refused|validation_failed")
}

// cloned is a TwoFA that takes every passkey for a clone.
type cloned struct{ api.TwoFA }

func (cloned) FinishPasswordless(context.Context, twofa.Site, string, json.RawMessage) (user string, err error) {
	return userName, twofa.ErrCloned
}

func TestAClonedPasskeyIsRecordedWithWhoseItIs(t *testing.T) {
	w := newWorld(t, withAudit, func(d *api.Dependencies) { d.TwoFA = cloned{d.TwoFA} })
	w.do("POST", "/api/v1/auth/passkey/finish", raw(`{"sessionId":"x","credential":{}}`)).is(http.StatusForbidden, "passkey_cloned")
	w.left("ann||finishPasskeyLogin||refused|passkey_cloned")
}

func TestAChangeThatIsRefusedWasNotDoneByHalf(t *testing.T) {
	w := newWorld(t, withAudit).signIn()
	if _, err := w.auth.AddUser(t.Context(), "vic", password, auth.Viewer); err != nil {
		t.Fatal(err)
	}
	w.trail()
	w.as("PATCH", "/api/users/vic", raw(`{"role":"admin","password":"password123"}`)).is(http.StatusUnprocessableEntity, "validation_failed")
	w.left("ann|session|changeUser|vic|refused|validation_failed; role admin; password")
	if u, err := w.store.User(t.Context(), "vic"); err != nil || u.Role != "viewer" {
		t.Errorf("%+v, %v", u, err)
	}
}

func TestAPanicIsRecordedAsAFailure(t *testing.T) {
	w := newWorld(t, withAudit, func(d *api.Dependencies) { d.Engine = panics{} }).signIn()
	w.trail()
	w.as("POST", "/api/containers/web/stop").is(http.StatusInternalServerError, "internal_error")
	w.left("ann|session|stopContainer|web|failed|internal_error")
}

func TestNoSecretGetsIntoTheAuditLog(t *testing.T) {
	w := newWorld(t, withAudit).signIn()
	a := w.as("POST", "/api/v1/auth/tokens", body(map[string]string{"name": "backup", "scope": "read"}))
	made := a.get("token").(string)
	w.as("POST", "/api/v1/auth/password", body(map[string]string{"current": "sesame wrong", "new": "sesame new"}))
	w.as("POST", "/api/v1/auth/step-up", body(map[string]string{"password": "sesame"}))
	w.as("POST", "/api/scan?fresh=sesame")
	w.as("POST", "/api/scan?sesame=1", raw(`"sesame"`))
	w.as("POST", "/api/v1/auth/setup", body(map[string]string{"setupToken": "sesame", "username": "sesame", "password": "sesame sesame"}))
	all := strings.Join(w.trail(), "\n")
	if n := strings.Count(all, "\n"); n < 5 {
		t.Errorf("only %s", all)
	}
	for _, e := range w.log.FilterMessage("audit").All() {
		all += fmt.Sprint(e.ContextMap())
	}
	for _, secret := range []string{"sesame", password, w.token, made} {
		if strings.Contains(all, secret) {
			t.Errorf("%q is in %s", secret, all)
		}
	}
}

func TestTheAuditLogIsReadByPages(t *testing.T) {
	w := newWorld(t, withAudit).signIn()
	for range 4 {
		w.as("POST", "/api/containers/web/stop")
	}
	w.do("POST", "/api/scan")
	page := func(query string, actions ...string) (next any) {
		t.Helper()
		a := w.as("GET", "/api/audit"+query)
		list, _ := a.get("entries").([]any)
		got := []string{}
		for _, e := range list {
			got = append(got, e.(map[string]any)["action"].(string))
		}
		if diff := cmp.Diff(append([]string{}, actions...), got); diff != "" || list == nil {
			t.Errorf("%s: %s %s", query, diff, a)
		}
		return a.get("next")
	}
	next := page("?limit=2", "scan", "stopContainer")
	next = page(fmt.Sprintf("?limit=2&before=%v", next), "stopContainer", "stopContainer")
	if next = page(fmt.Sprintf("?limit=2&before=%v", next), "stopContainer", "login"); next != nil {
		t.Errorf("there is a page after the last: %v", next)
	}
	page("?user=ann&action=login", "login")
	page("?result=refused", "scan")
	page("?since=" + time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	page("?until="+time.Now().Add(time.Hour).UTC().Format(time.RFC3339)+"&action=scan", "scan")
	page("?before=1")
	w.as("GET", "/api/audit?result=good").is(http.StatusUnprocessableEntity, "validation_failed")
	w.as("GET", "/api/audit?limit=501").is(http.StatusUnprocessableEntity, "validation_failed")
	doc := document{t: t, root: w.as("GET", "/api/openapi.json")}
	doc.check("GET /api/audit", w.as("GET", "/api/audit"))
	doc.check("GET /api/audit", w.as("GET", "/api/audit?limit=1"))
}
