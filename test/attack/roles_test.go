package attack_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/watch-docker/watch-docker/test/testbed"
)

// who may call each route, as the contract has it: - anyone, T a temporary
// token too, S any full session, V viewer, O operator, A administrator; + only
// with a fresh proof. API tokens reach none of T, S and +.
func who() map[string]string {
	return map[string]string{
		"GET /healthz": "-", "GET /readyz": "-",
		"POST /api/v1/auth/login": "-", "GET /api/v1/auth/setup": "-", "POST /api/v1/auth/setup": "-",
		"POST /api/v1/auth/passkey/begin": "-", "POST /api/v1/auth/passkey/finish": "-",
		"GET /api/v1/auth/me":      "V",
		"POST /api/v1/auth/logout": "S", "POST /api/v1/auth/password": "S", "POST /api/v1/auth/step-up": "S",
		"GET /api/v1/auth/sessions": "S", "DELETE /api/v1/auth/sessions": "S", "DELETE /api/v1/auth/sessions/{id}": "S",
		"GET /api/v1/auth/tokens": "V+", "POST /api/v1/auth/tokens": "V+", "DELETE /api/v1/auth/tokens/{id}": "V+",
		"GET /api/v1/2fa/status":          "T",
		"POST /api/v1/2fa/setup/otp/init": "T+", "POST /api/v1/2fa/setup/otp/verify": "T+",
		"POST /api/v1/2fa/setup/webauthn/begin": "T+", "POST /api/v1/2fa/setup/webauthn/finish": "T+",
		"POST /api/v1/2fa/verify/otp": "T", "POST /api/v1/2fa/verify/recovery": "T",
		"POST /api/v1/2fa/verify/webauthn/begin": "T", "POST /api/v1/2fa/verify/webauthn/finish": "T",
		"POST /api/v1/2fa/disable": "V+", "POST /api/v1/2fa/recovery-codes": "V+",
		"PATCH /api/v1/2fa/credentials/{id}": "V+", "DELETE /api/v1/2fa/credentials/{id}": "V+",
		"GET /api/users": "A+", "POST /api/users": "A+", "PATCH /api/users/{name}": "A+", "DELETE /api/users/{name}": "A+",
		"GET /api/containers": "V", "GET /api/containers/{id}": "V", "GET /api/containers/{id}/preview": "V",
		"POST /api/containers/{id}/update": "O", "POST /api/containers/{id}/rollback": "O", "POST /api/containers/{id}/start": "O",
		"POST /api/containers/{id}/stop": "O", "POST /api/containers/{id}/restart": "O", "DELETE /api/containers/{id}": "O",
		"POST /api/updates/run": "O", "POST /api/compose/{project}/update": "O", "POST /api/scan": "O", "GET /api/operations": "V", "GET /api/operations/{id}": "V",
		"GET /api/images": "V", "DELETE /api/images": "O", "GET /api/images/{id}": "V", "POST /api/images/pull": "O", "POST /api/images/prune": "O",
		"GET /api/volumes": "V", "GET /api/volumes/{name}": "V", "DELETE /api/volumes/{name}": "A+", "POST /api/volumes/prune": "A+",
		"GET /api/networks": "V", "GET /api/networks/{id}": "V", "DELETE /api/networks/{id}": "O", "POST /api/networks/prune": "O",
		"GET /api/system": "V", "GET /api/config": "A", "GET /api/audit": "A", "GET /api/openapi.json": "V",
		"POST /api/containers/{id}/pause": "O", "POST /api/containers/{id}/unpause": "O", "POST /api/containers/{id}/kill": "O",
		"POST /api/containers/{id}/rename": "O", "POST /api/operations/{id}/cancel": "O",
		"GET /api/containers/{id}/files": "O+", "PUT /api/containers/{id}/files": "O+", "DELETE /api/containers/{id}/files": "O+",
		"GET /api/containers/{id}/logs": "V",
		"GET /api/compose":              "V", "GET /api/compose/{project}": "V", "POST /api/compose/{project}/validate": "V", "POST /api/compose/start": "O", "POST /api/compose/stop": "O", "POST /api/compose/restart": "O", "POST /api/compose/convert": "V",
		"POST /api/compose/create": "A+", "DELETE /api/compose/delete": "A+", "POST /api/compose/{project}/up": "A+", "POST /api/compose/{project}/down": "A+", "POST /api/compose/{project}/pull": "A+", "POST /api/compose/{project}/recreate": "A+", "POST /api/compose/{project}/scale": "A+",
		"GET /api/compose/{project}/files": "A", "PUT /api/compose/{project}/files": "A+", "GET /api/compose/{project}/versions": "A+", "GET /api/compose/{project}/versions/{n}": "A+", "POST /api/compose/{project}/versions/{n}/restore": "A+",
		"GET " + events: "V", "GET /api/containers/{id}/logs/ws": "V", "GET /api/compose/logs/ws": "V", "GET /api/shell/ws": "O+",
	}
}

// sockets are the routes that the OpenAPI document leaves out.
func sockets() []string {
	var all []string
	for route := range who() {
		if strings.HasSuffix(route, "/ws") {
			all = append(all, route)
		}
	}
	return all
}

// allRoutes are those of the OpenAPI document, and the sockets.
func (c *client) allRoutes() []string {
	c.Helper()
	all := sockets()
	paths, _ := c.must("GET", "/api/openapi.json", nil).get("paths").(map[string]any)
	for path, item := range paths {
		for method := range item.(map[string]any) {
			if slices.Contains([]string{"get", "post", "put", "patch", "delete"}, method) {
				all = append(all, strings.ToUpper(method)+" "+path)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// bodies are what passes as far as a handler, where an empty one doesn't.
func bodies() map[string]any {
	return map[string]any{
		"POST /api/v1/2fa/setup/otp/verify":      map[string]string{"code": "123456"},
		"POST /api/v1/2fa/setup/webauthn/finish": map[string]any{"sessionId": "x", "credential": map[string]any{}},
	}
}

// ask calls a route with real ids in its path.
func (c *client) ask(route string, ids *strings.Replacer, options ...option) answer {
	c.Helper()
	method, path, _ := strings.Cut(route, " ")
	var body any
	if method != http.MethodGet {
		body = map[string]any{}
	}
	if known := bodies()[route]; known != nil {
		body = known
	}
	if strings.HasSuffix(path, "/ws") {
		options = append(options, header("Connection", "Upgrade"), header("Upgrade", "websocket"),
			header("Sec-WebSocket-Version", "13"), header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="))
	}
	return c.do(method, ids.Replace(path), body, options...)
}

// everyRouteNeedsAToken asks all routes that are known here as nobody.
func (w *world) everyRouteNeedsAToken(c *client) {
	w.Helper()
	for route, need := range who() {
		if need == "-" {
			continue
		}
		a := c.ask(route, strings.NewReplacer("{id}", "x", "{name}", "x", "{project}", "x", "{n}", "1"))
		refused(w, a, http.StatusUnauthorized, "unauthorized")
	}
}

// house is a world with an engine and a container, and somebody of each kind.
type house struct {
	*world

	bed   *testbed.Bed
	ids   *strings.Replacer
	owner *client // administrator, without a factor
}

// newHouse starts one with an image and a container on a real engine.
func newHouse(t *testing.T, spec testbed.ContainerSpec, env ...string) *house {
	t.Helper()
	bed := testbed.New(t, testbed.WithEngine(testbed.PrivateEngine), testbed.WithRegistry(testbed.Plain))
	reg := bed.Registry(testbed.Plain)
	image := testbed.Must(testbed.Image(testbed.ImageOptions{Payload: "one", Entrypoint: testbed.Stoppable("sleep", "1000")}))(t)
	index := testbed.Must(testbed.Index(testbed.IndexOptions{Images: map[string]v1.Image{"linux/amd64": image}}))(t)
	testbed.Must(reg.Push(t.Context(), "app:latest", index))(t)
	if err := bed.Pull(t.Context(), reg.Ref("app:latest")); err != nil {
		t.Fatal(err)
	}
	spec.Name, spec.Image = "app", reg.Ref("app:latest")
	c := testbed.Must(bed.Run(t.Context(), spec))(t)
	w := newWorld(t, append([]string{"DOCKER_HOST=" + bed.Engine().Host()}, env...)...)
	h := &house{world: w, bed: bed, owner: w.signIn(), ids: strings.NewReplacer("{id}", c.ID, "{name}", "bob", "{project}", "x", "{n}", "1")}
	testbed.Eventually(t, patience, func() error {
		if list := h.owner.must("GET", "/api/containers", nil); !strings.Contains(list.body, c.ID) {
			return errText("the container isn't listed: " + list.body)
		}
		return nil
	})
	return h
}

// newToken makes an API token of the client's user.
func (c *client) newToken(scope string) *client {
	c.Helper()
	other := c.client().with(c.must("POST", "/api/v1/auth/tokens", map[string]string{"name": scope, "scope": scope}).text("token"))
	if !other.alive() {
		c.Fatalf("the API token of scope %s doesn't count", scope)
	}
	return other
}

// snapshot is what a refused request must not have changed.
func (h *house) snapshot() map[string]string {
	h.Helper()
	state := map[string]string{}
	for _, path := range []string{"/api/containers", "/api/images", "/api/users", "/api/v1/auth/tokens", "/api/v1/2fa/status", "/api/operations"} {
		state[path] = h.owner.must("GET", path, nil).body
	}
	return state
}

// notAllowed checks that each route that the kind of caller may not call says
// so, and that it reads what it may.
func (h *house) notAllowed(kind string, c *client, may string) {
	h.Helper()
	for route, need := range who() {
		if strings.Contains(may, need) {
			if get := strings.HasPrefix(route, "GET"); !get || strings.HasSuffix(route, "/ws") || strings.Contains(route, "/operations/{id}") {
				continue
			}
			if a := c.ask(route, h.ids); a.status == http.StatusUnauthorized || a.status == http.StatusForbidden || a.status >= 500 {
				h.Errorf("%s may %s, but: %s", kind, route, a)
			}
			continue
		}
		if a := c.ask(route, h.ids); a.status != http.StatusUnauthorized && a.status != http.StatusForbidden {
			h.Errorf("%s at %s: %s", kind, route, a)
		}
	}
}

func TestNobodyGetsPastTheirRoleOnAnyRoute(t *testing.T) {
	t.Parallel()
	h := newHouse(t, testbed.ContainerSpec{})
	known := who()
	for _, route := range h.owner.allRoutes() {
		if known[route] == "" {
			t.Errorf("%s is a route that this test doesn't know", route)
		}
	}
	for name, role := range map[string]string{"bob": "viewer", "eve": "operator", "tom": "viewer"} {
		h.addUser(h.owner, name, role)
	}
	viewer, operator := h.signInAs("bob", password), h.signInAs("eve", password)
	h.signInAs("tom", password).enrolTOTP()
	temporary := h.temporary("tom")
	callers := []struct {
		kind string
		*client
		may string // the needs that are met
	}{
		{"nobody", h.client(), "-"},
		{"a temporary token", temporary, "-T"},
		{"a token of scope read", h.owner.newToken("read"), "-V"},
		{"a token of scope operate", h.owner.newToken("operate"), "-VO"},
		{"a token of scope admin", h.owner.newToken("admin"), "-VOA"},
		{"a viewer's token", viewer.newToken("read"), "-V"},
		{"a viewer", viewer, "-SVTV+T+"},
		{"an operator", operator, "-SVTV+T+O+"},
	}
	before := h.snapshot()
	for _, caller := range callers {
		h.notAllowed(caller.kind, caller.client, caller.may)
	}
	if diff := cmp.Diff(before, h.snapshot()); diff != "" {
		t.Errorf("refused requests have changed something: %s", diff)
	}
	// A scope beyond one's role can't be had.
	for _, scope := range []string{"operate", "admin", "Admin", "read,admin", "*", ""} {
		if a := viewer.do("POST", "/api/v1/auth/tokens", map[string]string{"name": "x", "scope": scope}); a.status < 400 || a.status >= 500 {
			t.Errorf("a viewer's token of scope %q: %s", scope, a)
		}
	}
	// What depends on the query needs its role as well.
	path := h.ids.Replace("/api/containers/{id}?volumes=true&force=true")
	if a := operator.do("DELETE", path, nil); a.status != http.StatusForbidden {
		t.Errorf("an operator removing volumes: %s", a)
	}
	if a := h.owner.newToken("admin").do("DELETE", path, nil); a.status != http.StatusForbidden {
		t.Errorf("an API token removing volumes: %s", a)
	}
}

// A user's own things are theirs: no id of another's opens them.
func TestNobodyReachesAnotherUsersSessionsTokensAndPasskeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.signIn()
	w.addUser(ann, "bob", "admin") // being an administrator makes no difference here
	bob := w.signInAs("bob", password)
	ann.enrolKey()
	tokenID := ann.must("POST", "/api/v1/auth/tokens", map[string]string{"name": "x", "scope": "read"}).text("id")
	keyID := ann.must("GET", "/api/v1/2fa/status", nil).text("credentials", 0, "id")
	session := claimsOf(t, ann.token)["jti"].(string)
	if tokenID == "" || keyID == "" {
		t.Fatalf("token %q, passkey %q", tokenID, keyID)
	}
	for _, r := range [][2]string{
		{"DELETE", "/api/v1/auth/sessions/" + session}, {"DELETE", "/api/v1/auth/tokens/" + tokenID},
		{"DELETE", "/api/v1/2fa/credentials/" + keyID}, {"PATCH", "/api/v1/2fa/credentials/" + keyID},
	} {
		if a := bob.do(r[0], r[1], map[string]string{"name": "mine"}); a.status != http.StatusNotFound && a.status != http.StatusUnprocessableEntity {
			t.Errorf("%s %s: %s", r[0], r[1], a)
		}
	}
	for _, path := range []string{"/api/v1/auth/sessions", "/api/v1/auth/tokens"} {
		if a := bob.must("GET", path, nil); strings.Contains(a.body, session) || strings.Contains(a.body, tokenID) {
			t.Errorf("%s shows another's: %s", path, a)
		}
	}
	if !ann.alive() {
		t.Error("another user ended the session")
	}
}
