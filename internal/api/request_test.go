package api_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/watch-docker/watch-docker/internal/api"
	"github.com/watch-docker/watch-docker/internal/scanner"
	"github.com/watch-docker/watch-docker/internal/store"
)

func prefixes(list ...string) (out []netip.Prefix) {
	for _, p := range list {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}

func parse(text string) *url.URL {
	u, err := url.Parse(text)
	if err != nil {
		panic(err)
	}
	return u
}

func TestABadRequestIsAProblemThatNamesTheField(t *testing.T) {
	w := newWorld(t, func(d *api.Dependencies) { d.Auth = roles{} })
	w.token = "admin"
	for _, c := range []struct{ name, method, path, body, field string }{
		{"malformed JSON", "POST", "/api/v1/auth/login", `{"username":"hunter2"`, "body"},
		{"two values", "POST", "/api/scan", `{} {}`, "body"},
		{"no body", "POST", "/api/v1/auth/login", ``, "body"},
		{"an unknown field", "POST", "/api/v1/auth/login", `{"username":"a","password":"b","passwort":"hunter2"}`, "body.passwort"},
		{"a missing field", "POST", "/api/v1/auth/login", `{"username":"a"}`, "body.password"},
		{"a wrong type", "POST", "/api/v1/auth/login", `{"username":"a","password":5}`, "body.password"},
		{"too long", "POST", "/api/v1/auth/login", `{"username":"a","password":"` + strings.Repeat("hunter2", 40) + `"}`, "body.password"},
		{"an empty name", "POST", "/api/v1/auth/login", `{"username":"","password":"b"}`, "body.username"},
		{"a list", "POST", "/api/scan", `[]`, "body"},
		{"a wrong item", "POST", "/api/scan", `{"ids":["web",7]}`, "body.ids[1]"},
		{"a text for a bool", "POST", "/api/updates/run", `{"dryRun":"yes"}`, "body.dryRun"},
		{"a bad query value", "DELETE", "/api/containers/web?force=maybe", ``, "query.force"},
		{"an unknown query", "DELETE", "/api/containers/web?forse=true", ``, "query.forse"},
		{"a state that there isn't", "GET", "/api/containers?state=flying", ``, "query.state[0]"},
		{"a wait that isn't one", "POST", "/api/scan?wait=soon", ``, "query.wait"},
		{"a wait too long", "POST", "/api/scan?wait=61s", ``, "query.wait"},
		{"a negative wait", "POST", "/api/scan?wait=-1s", ``, "query.wait"},
		{"a limit too high", "GET", "/api/operations?limit=201", ``, "query.limit"},
		{"a limit that is none", "GET", "/api/operations?limit=many", ``, "query.limit"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var options []option
			if c.body != "" {
				options = append(options, raw(c.body))
			}
			a := w.as(c.method, c.path, options...)
			a.t = t
			a.is(http.StatusUnprocessableEntity, "validation_failed")
			found, _ := a.get("errors").(map[string]any)
			if found[c.field] == nil || !strings.Contains(a.get("detail").(string), c.field[strings.LastIndex(c.field, ".")+1:]) {
				t.Errorf("%s isn't named: %s", c.field, a)
			}
			if strings.Contains(a.text, "hunter2") {
				t.Errorf("the value is echoed: %s", a)
			}
		})
	}
	if last := w.last(); last != "" {
		t.Errorf("something was done: %s", last)
	}
}

func TestABodyOfTheWrongKindOrSizeIsRefused(t *testing.T) {
	w := newWorld(t)
	large := `{"username":"` + strings.Repeat("a", 1<<20) + `"}`
	w.do("POST", "/api/v1/auth/login", raw(large)).is(http.StatusRequestEntityTooLarge, "body_too_large")
	w.do("POST", "/api/v1/auth/login", raw(large), func(r *http.Request) { r.ContentLength = -1 }).is(http.StatusRequestEntityTooLarge, "body_too_large")
	for _, kind := range []string{"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"} {
		w.do("POST", "/api/v1/auth/login", raw(`{"username":"a","password":"b"}`), header("Content-Type", kind)).is(http.StatusUnsupportedMediaType, "unsupported_media_type")
	}
	w.do("GET", "/nowhere").is(http.StatusNotFound, "not_found")
	w.do("GET", "/api/containers/").is(http.StatusNotFound, "not_found")
	a := w.do("PUT", "/api/containers")
	a.is(http.StatusMethodNotAllowed, "method_not_allowed")
	if a.header.Get("Allow") != "GET, HEAD" {
		t.Errorf("Allow: %v", a.header)
	}
}

func TestEachErrorOfAPortHasItsCode(t *testing.T) {
	w := newWorld(t, func(d *api.Dependencies) { d.Auth = roles{} })
	w.token = "operator"
	for _, c := range []struct {
		err    error
		status int
		code   string
	}{
		{fmt.Errorf("x: %w", api.ErrUnknownContainer), 404, "container_not_found"},
		{fmt.Errorf("x: %w", &api.BusyError{Container: "web", OperationID: "op1"}), 409, "container_busy"},
		{&api.ConflictError{Reason: "It is running."}, 409, "conflict"},
		{&api.RefusedError{Code: "pinned_version", Reason: "Its tag is a version."}, 409, "update_refused"},
		{fmt.Errorf("x: %w", api.ErrEngineUnavailable), 503, "engine_unavailable"},
		{fmt.Errorf("x: %w", api.ErrUnknownImage), 404, "image_not_found"},
		{fmt.Errorf("x: %w", store.ErrNoOperation), 404, "operation_not_found"},
		{errBroken, 500, "internal_error"},
	} {
		w.failWith(c.err)
		a := w.as("POST", "/api/containers/web/update")
		a.is(c.status, c.code)
		if strings.Contains(a.text, errBroken.Error()) {
			t.Errorf("the inside shows: %s", a)
		}
		if c.code == "container_busy" && a.get("operationId") != "op1" || c.code == "update_refused" && a.get("reason") != "pinned_version" {
			t.Errorf("a member is missing: %s", a)
		}
	}
	w.failWith(errBroken)
	a := w.do("GET", "/readyz")
	a.is(http.StatusServiceUnavailable, "not_ready")
	if a.get("errors", "engine") == nil || a.get("errors", "store") != nil || strings.Contains(a.text, errBroken.Error()) {
		t.Errorf("readyz: %s", a)
	}
	if w.log.FilterMessage("a request failed").Len() == 0 {
		t.Error("the fault is not in the log")
	}
	w.as("GET", "/api/operations/x").is(http.StatusNotFound, "operation_not_found")
}

func TestAContainerIsFoundByIDNameOrPrefix(t *testing.T) {
	w := newWorld(t, func(d *api.Dependencies) { d.Auth = roles{} })
	w.token = "viewer"
	for path, want := range map[string]string{webID: "web", "web": "web", "bbbbbbbbbbbb": "one", webID[:63]: ""} {
		a := w.as("GET", "/api/containers/"+path)
		if want == "" {
			a.is(http.StatusConflict, "container_ambiguous")
		} else if a.get("name") != want {
			t.Errorf("%s: %s", path, a)
		}
	}
	for _, unknown := range []string{"we", "bbbbbbbbbbb", "WEB", "cccccccccccc"} {
		w.as("GET", "/api/containers/"+unknown).is(http.StatusNotFound, "container_not_found")
	}
	w.mu.Lock()
	w.hidden = []scanner.ContainerStatus{{ID: "dddddddddddd", Name: "new", Ports: []scanner.Port{}}}
	w.mu.Unlock()
	if a := w.as("GET", "/api/containers/new"); a.get("id") != "dddddddddddd" {
		t.Errorf("one that has just been made: %s", a)
	}
	w.failWith(api.ErrEngineUnavailable)
	w.as("GET", "/api/containers/unknown").is(http.StatusServiceUnavailable, "engine_unavailable")
}

func TestADetailHidesWhatLooksLikeASecret(t *testing.T) {
	w := newWorld(t, func(d *api.Dependencies) { d.Auth = roles{} })
	a := w.do("GET", "/api/containers/web", bearer("viewer"))
	if strings.Contains(a.text, "hunter2") {
		t.Errorf("a secret shows: %s", a)
	}
	got := map[string]string{}
	all, _ := a.get("env").([]any)
	for _, e := range all {
		e := e.(map[string]any)
		got[e["name"].(string)] = fmt.Sprint(e["value"], " ", e["masked"])
	}
	for name, want := range map[string]string{
		"PATH": "/bin false", "DB_PASSWORD": "*** true", "DB_PASSWORD_FILE": "/run/secrets/db false", "DB_URL": "*** true",
		"EMPTY_TOKEN": " false", "SSH_KEY": "*** true", "KEYBOARD_LAYOUT": "de false", "LIST": "a=b false",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
	for _, part := range []string{
		`"command":["serve","--token=***","--password","***","--verbose"]`, `"entrypoint":[]`, `"maintainer":"me"`, `"basicauth.users":"***"`,
		`"restartPolicy":{"name":"on-failure","maxRetries":3}`, `"startedAt":"2026-01-02T03:04:05Z"`, `"exitCode":null`, `"aliases":[]`,
	} {
		if !strings.Contains(strings.ReplaceAll(a.text, "traefik.http.middlewares.a.", ""), part) {
			t.Errorf("%s isn't in %s", part, a)
		}
	}
}

func TestSecretsAreRevealedToAnAdministratorWithAFreshProofAndThatIsRecorded(t *testing.T) {
	w := newWorld(t, withAudit, func(d *api.Dependencies) { d.Auth = roles{} })
	for token, code := range map[string]string{
		"viewer": "forbidden", "operator": "forbidden", "stale:admin": "step_up_required", "api:admin": "session_required",
	} {
		w.do("GET", "/api/containers/web?reveal=true", bearer(token)).is(http.StatusForbidden, code)
	}
	a := w.do("GET", "/api/containers/web?reveal=true", bearer("admin"))
	if a.status != http.StatusOK || strings.Count(a.text, "hunter2") < 4 || strings.Contains(a.text, "***") {
		t.Errorf("got %s", a)
	}
	entries, err := w.store.Audit(t.Context(), store.AuditFilter{Result: "ok"})
	if err != nil || len(entries) != 1 || entries[0].User != "admin" || entries[0].Detail != "secrets revealed" {
		t.Errorf("%+v, %v", entries, err)
	}
}

func TestWaitingEndsWithTheOperation(t *testing.T) {
	w := newWorld(t, func(d *api.Dependencies) { d.Auth = roles{} })
	w.token = "operator"
	for _, path := range []string{"/api/containers/web/update", "/api/scan", "/api/updates/run"} {
		before := len(w.running())
		ended := make(chan error, 1)
		go func() { ended <- w.finishNext(t.Context(), before) }()
		a := w.as("POST", path+"?wait=1m")
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		op := answer{json: a.json}
		if strings.HasSuffix(path, "run") {
			op.json = a.get("operations", 0)
		} else if want := "/api/operations/" + fmt.Sprint(a.get("id")); a.header.Get("Location") != want {
			t.Errorf("%s: Location is %s", path, a.header.Get("Location"))
		}
		if a.status != http.StatusAccepted || op.get("state") != "rolledBack" || op.get("error", "code") != "unhealthy" {
			t.Errorf("%s: %s", path, a)
		}
	}
	op, err := w.operation(t.Context(), "update", "web", "ann")
	if err != nil {
		t.Fatal(err)
	}
	for _, wait := range []string{"", "?wait=10ms", "?wait=0s"} {
		if a := w.as("GET", "/api/operations/"+op.ID+wait); a.status != http.StatusOK || a.get("state") != "running" {
			t.Errorf("%q: %s", wait, a)
		}
	}
}

// finishNext waits until there are more operations than before, and ends the new one.
func (w *world) finishNext(ctx context.Context, before int) error {
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if ids := w.running(); len(ids) > before {
			newest := ""
			for _, id := range ids {
				newest = max(newest, id)
			}
			return w.finish(ctx, newest)
		}
	}
	return errors.New("no operation was begun")
}

func TestWaitingEndsWhenTheProgramStops(t *testing.T) {
	closing := make(chan struct{})
	w := newWorld(t, func(d *api.Dependencies) { d.Auth, d.Closing = roles{}, closing })
	op, err := w.operation(t.Context(), "update", "web", "ann")
	if err != nil {
		t.Fatal(err)
	}
	close(closing)
	if a := w.do("GET", "/api/operations/"+op.ID+"?wait=1m", bearer("viewer")); a.get("state") != "running" {
		t.Error(a)
	}
}

// deadlineConn remembers the last deadline for reading.
type deadlineConn struct {
	net.Conn

	mu   sync.Mutex
	set  int
	last time.Time
}

func (c *deadlineConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	c.set, c.last = c.set+1, t
	c.mu.Unlock()
	return c.Conn.SetReadDeadline(t)
}

type deadlineListener struct {
	net.Listener

	conns chan *deadlineConn
}

func (l deadlineListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	d := &deadlineConn{Conn: c}
	l.conns <- d
	return d, nil
}

func TestAWaitOutlivesTheDeadlineForTheBody(t *testing.T) {
	w := newWorld(t)
	conns := make(chan *deadlineConn, 1)
	var during deadlineState
	handler, err := api.New(api.Dependencies{
		Auth: roles{}, Scans: w.fakes, Operations: w.fakes, Updates: updates{w.fakes, func() { during = (<-conns).state() }},
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(handler)
	server.Listener = deadlineListener{server.Listener, conns}
	server.Start()
	defer server.Close()
	w.url = server.URL
	if a := w.do("POST", "/api/containers/web/update", raw(`{"force":true}`), bearer("operator")); a.status != http.StatusAccepted {
		t.Fatal(a)
	}
	if during.set == 0 || !during.last.IsZero() {
		t.Errorf("while the handler ran, the connection's deadline was %v, set %d times", during.last, during.set)
	}
	w.client.CloseIdleConnections()
}

type deadlineState struct {
	set  int
	last time.Time
}

func (c *deadlineConn) state() deadlineState {
	c.mu.Lock()
	defer c.mu.Unlock()
	return deadlineState{c.set, c.last}
}

// updates does something else in the middle of an update.
type updates struct {
	api.Updates

	during func()
}

func (u updates) Update(ctx context.Context, r api.UpdateRequest) (store.Operation, error) {
	u.during()
	return u.Updates.Update(ctx, r)
}

func TestAPanicIsAProblemAndTheServerGoesOn(t *testing.T) {
	w := newWorld(t, func(d *api.Dependencies) {
		d.Auth, d.Config = roles{}, func() map[string]any { panic("secret-path") }
	})
	a := w.do("GET", "/api/config", bearer("admin"))
	a.is(http.StatusInternalServerError, "internal_error")
	if strings.Contains(a.text, "secret-path") {
		t.Error(a)
	}
	if w.log.FilterMessage("a handler panicked").FilterFieldKey("stack").Len() != 1 {
		t.Error("no stack in the log")
	}
	if e := w.log.FilterMessage("request").All(); len(e) != 1 || e[0].ContextMap()["status"] != int64(500) {
		t.Errorf("access log: %v", e)
	}
	if a := w.do("GET", "/healthz"); a.status != http.StatusOK {
		t.Error(a)
	}
}

func TestARequestIsLoggedOnceWithoutItsValues(t *testing.T) {
	w := newWorld(t, func(d *api.Dependencies) { d.Auth, d.TrustedProxies = roles{}, prefixes("127.0.0.0/8") })
	w.do("GET", "/api/containers?q=secretvalue", bearer("viewer"), header("X-Forwarded-For", "192.0.2.7"))
	all := w.log.FilterMessage("request").All()
	if len(all) != 1 {
		t.Fatalf("%d lines", len(all))
	}
	fields := all[0].ContextMap()
	for name, want := range map[string]any{
		"component": "api", "method": "GET", "route": "/api/containers", "status": int64(200), "user": "viewer", "client": "192.0.2.7",
	} {
		if fields[name] != want {
			t.Errorf("%s is %v, want %v", name, fields[name], want)
		}
	}
	if _, ok := fields["durationMs"].(float64); !ok || strings.Contains(fmt.Sprint(fields), "secretvalue") {
		t.Error(fields)
	}
}

func TestWithABasePathRoutesAreUnderItAndWithoutIt(t *testing.T) {
	w := newWorld(t, func(d *api.Dependencies) { d.BaseURL = parse("http://watch.example/watch/") }).signIn()
	for _, path := range []string{"/watch/healthz", "/healthz", "/watch/readyz"} {
		if a := w.do("GET", path); a.status != http.StatusOK {
			t.Errorf("%s: %s", path, a)
		}
	}
	for _, path := range []string{"/watch/api/containers", "/api/containers"} {
		w.do("GET", path).is(http.StatusUnauthorized, "unauthorized")
		if a := w.as("GET", path); a.status != http.StatusOK {
			t.Errorf("%s: %s", path, a)
		}
	}
	w.as("GET", "/watchful/healthz").is(http.StatusNotFound, "not_found")
	w.as("GET", "/watch").is(http.StatusNotFound, "not_found")
	if a := w.as("POST", "/watch/api/scan"); !strings.HasPrefix(a.header.Get("Location"), "/watch/api/operations/") {
		t.Errorf("Location: %v", a.header)
	}
	a := w.do("POST", "/watch/api/v1/auth/login", body(map[string]string{"username": userName, "password": password}))
	if !strings.Contains(a.header.Get("Set-Cookie"), "; Path=/watch;") {
		t.Errorf("cookie: %v", a.header)
	}
}
