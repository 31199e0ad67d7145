package api_test

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/watch-docker/watch-docker/internal/api"
)

// mayCall is who may call each route. It stands here once more on purpose:
// opening a route takes a change in two places.
func mayCall() map[string]string {
	return map[string]string{
		"GET /healthz":                      "anyone",
		"GET /readyz":                       "anyone",
		"POST /api/v1/auth/login":           "anyone",
		"GET /api/v1/auth/setup":            "anyone",
		"POST /api/v1/auth/setup":           "anyone",
		"POST /api/v1/auth/passkey/begin":   "anyone",
		"POST /api/v1/auth/passkey/finish":  "anyone",
		"GET /api/v1/auth/me":               "viewer",
		"POST /api/v1/auth/logout":          "session",
		"POST /api/v1/auth/password":        "session",
		"POST /api/v1/auth/step-up":         "session",
		"GET /api/v1/auth/sessions":         "session",
		"DELETE /api/v1/auth/sessions":      "session",
		"DELETE /api/v1/auth/sessions/{id}": "session",
		"GET /api/v1/auth/tokens":           "viewer+",
		"POST /api/v1/auth/tokens":          "viewer+",
		"DELETE /api/v1/auth/tokens/{id}":   "viewer+",
		"GET /api/users":                    "admin+",
		"POST /api/users":                   "admin+",
		"PATCH /api/users/{name}":           "admin+",
		"DELETE /api/users/{name}":          "admin+",

		"GET /api/v1/2fa/status":                  "temporary",
		"POST /api/v1/2fa/setup/otp/init":         "temporary+",
		"POST /api/v1/2fa/setup/otp/verify":       "temporary+",
		"POST /api/v1/2fa/setup/webauthn/begin":   "temporary+",
		"POST /api/v1/2fa/setup/webauthn/finish":  "temporary+",
		"POST /api/v1/2fa/verify/otp":             "temporary",
		"POST /api/v1/2fa/verify/recovery":        "temporary",
		"POST /api/v1/2fa/verify/webauthn/begin":  "temporary",
		"POST /api/v1/2fa/verify/webauthn/finish": "temporary",
		"POST /api/v1/2fa/disable":                "viewer+",
		"POST /api/v1/2fa/recovery-codes":         "viewer+",
		"PATCH /api/v1/2fa/credentials/{id}":      "viewer+",
		"DELETE /api/v1/2fa/credentials/{id}":     "viewer+",

		"GET /api/containers":                              "viewer",
		"GET /api/containers/{id}":                         "viewer",
		"GET /api/containers/{id}/preview":                 "viewer",
		"POST /api/containers/{id}/update":                 "operator",
		"POST /api/containers/{id}/rollback":               "operator",
		"POST /api/containers/{id}/start":                  "operator",
		"POST /api/containers/{id}/stop":                   "operator",
		"POST /api/containers/{id}/restart":                "operator",
		"POST /api/containers/{id}/pause":                  "operator",
		"POST /api/containers/{id}/unpause":                "operator",
		"POST /api/containers/{id}/kill":                   "operator",
		"POST /api/containers/{id}/rename":                 "operator",
		"DELETE /api/containers/{id}":                      "operator",
		"GET /api/containers/{id}/files":                   "operator+",
		"PUT /api/containers/{id}/files":                   "operator+",
		"DELETE /api/containers/{id}/files":                "operator+",
		"POST /api/updates/run":                            "operator",
		"POST /api/scan":                                   "operator",
		"GET /api/operations":                              "viewer",
		"GET /api/operations/{id}":                         "viewer",
		"POST /api/operations/{id}/cancel":                 "operator",
		"GET /api/images":                                  "viewer",
		"DELETE /api/images":                               "operator",
		"GET /api/containers/{id}/logs":                    "viewer",
		"GET /api/containers/{id}/logs/ws":                 "viewer",
		"GET /api/compose/logs/ws":                         "viewer",
		"GET /api/compose":                                 "viewer",
		"GET /api/compose/{project}":                       "viewer",
		"POST /api/compose/{project}/validate":             "viewer",
		"POST /api/compose/start":                          "operator",
		"POST /api/compose/stop":                           "operator",
		"POST /api/compose/restart":                        "operator",
		"POST /api/compose/convert":                        "viewer",
		"POST /api/compose/create":                         "admin+",
		"DELETE /api/compose/delete":                       "admin+",
		"POST /api/compose/{project}/up":                   "admin+",
		"POST /api/compose/{project}/down":                 "admin+",
		"POST /api/compose/{project}/pull":                 "admin+",
		"POST /api/compose/{project}/recreate":             "admin+",
		"POST /api/compose/{project}/scale":                "admin+",
		"GET /api/compose/{project}/files":                 "admin",
		"PUT /api/compose/{project}/files":                 "admin+",
		"GET /api/compose/{project}/versions":              "admin+",
		"GET /api/compose/{project}/versions/{n}":          "admin+",
		"POST /api/compose/{project}/versions/{n}/restore": "admin+",
		"GET /api/events/ws":                               "viewer",
		"GET /api/shell/ws":                                "operator+",
		"GET /":                                            "anyone",
		"GET /assets/{path...}":                            "anyone",
		"GET /api/system":                                  "viewer",
		"GET /api/config":                                  "admin",
		"GET /api/audit":                                   "admin",
		"GET /api/openapi.json":                            "viewer",
		"GET /api/images/{id}":                             "viewer",
		"POST /api/images/pull":                            "operator",
		"POST /api/images/prune":                           "operator",
		"GET /api/volumes":                                 "viewer",
		"GET /api/volumes/{name}":                          "viewer",
		"DELETE /api/volumes/{name}":                       "admin+",
		"POST /api/volumes/prune":                          "admin+",
		"GET /api/networks":                                "viewer",
		"GET /api/networks/{id}":                           "viewer",
		"DELETE /api/networks/{id}":                        "operator",
		"POST /api/networks/prune":                         "operator",
		"POST /api/compose/{project}/update":               "operator",
	}
}

// walk gives the routes that the router has, as the document writes them; the
// HEAD of a GET route goes without saying.
func (w *world) walk() []string {
	var all []string
	for _, r := range w.router {
		all = append(all, r.Method+" "+strings.NewReplacer(":id", "{id}", ":name", "{name}", ":project", "{project}", ":n", "{n}", "*path", "{path...}").Replace(r.Path))
	}
	all = slices.DeleteFunc(all, func(route string) bool {
		path, isHead := strings.CutPrefix(route, "HEAD ")
		return isHead && slices.Contains(all, "GET "+path)
	})
	slices.Sort(all)
	return all
}

func TestEveryRouteIsInTheTableOfWhoMayCallIt(t *testing.T) {
	if diff := cmp.Diff(slices.Sorted(maps.Keys(mayCall())), newWorld(t).walk()); diff != "" {
		t.Error(diff)
	}
}

func TestEveryRouteButHealthReadinessAndLoginNeedsAToken(t *testing.T) {
	w := newWorld(t)
	for _, route := range w.walk() {
		method, path, _ := strings.Cut(strings.NewReplacer("{id}", "web", "{name}", "web", "{project}", "web", "{n}", "1").Replace(route), " ")
		for name, o := range map[string]option{
			"no token": header("X", "y"), "another scheme": header("Authorization", "Basic YTpi"),
			"not a token": bearer("x"), "an empty one": bearer(""),
		} {
			a := w.do(method, path, o)
			if mayCall()[route] == "anyone" {
				if a.get("code") == "unauthorized" {
					t.Errorf("%s with %s: %s", route, name, a)
				}
				continue
			}
			a.is(http.StatusUnauthorized, "unauthorized")
			if !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Bearer ") {
				t.Errorf("%s: no challenge: %v", route, a.header)
			}
		}
	}
	if last := w.last(); last != "" {
		t.Errorf("a stranger got through to: %s", last)
	}
}

func TestWithoutAuthNothingIsOpen(t *testing.T) {
	w := newWorld(t, func(d *api.Dependencies) { *d = api.Dependencies{} })
	if a := w.do("GET", "/healthz"); a.status != http.StatusOK {
		t.Errorf("health: %s", a)
	}
	w.do("GET", "/api/containers", bearer("x")).is(http.StatusUnauthorized, "unauthorized")
	w.do("POST", "/api/v1/auth/login", body(map[string]string{"username": "a", "password": "b"})).is(http.StatusUnauthorized, "bad_credentials")
}

func TestARoleReachesWhatIsItsOwnAndNoMore(t *testing.T) {
	w := newWorld(t, func(d *api.Dependencies) { d.Auth = roles{} })
	order := []string{"anyone", "viewer", "operator", "admin"}
	for route, need := range mayCall() {
		if need == "anyone" {
			continue
		}
		role, fresh := strings.CutSuffix(need, "+")
		temporary := role == "temporary"
		session := fresh || temporary || role == "session"
		if !slices.Contains(order, role) {
			role = "viewer"
		}
		method, path, _ := strings.Cut(strings.NewReplacer("{id}", "nowhere", "{name}", "nowhere", "{project}", "nowhere", "{n}", "1").Replace(route), " ")
		for i, has := range order[1:] {
			a := w.do(method, path, bearer(has))
			if allowed := i+1 >= slices.Index(order, role); allowed == (a.get("code") == "forbidden") || a.status == http.StatusUnauthorized {
				t.Errorf("%s (%s) as %s: %s", route, need, has, a)
			}
		}
		w.do(method, path, bearer("emperor")).is(http.StatusForbidden, "forbidden")
		if !temporary {
			w.do(method, path, bearer("temporary:admin")).is(http.StatusUnauthorized, "second_factor_required")
		} else if a := w.do(method, path, bearer("temporary:viewer")); a.get("code") == "second_factor_required" {
			t.Errorf("%s with a temporary token: %s", route, a)
		}
		for token, c := range map[string]struct {
			refused bool
			code    string
		}{"stale:admin": {fresh, "step_up_required"}, "api:admin": {session, "session_required"}} {
			a := w.do(method, path, bearer(token))
			if c.refused {
				a.is(http.StatusForbidden, c.code)
			} else if a.get("code") == c.code {
				t.Errorf("%s (%s) as %s: %s", route, need, token, a)
			}
		}
	}
	for route, need := range mayCall() {
		path, isGet := strings.CutPrefix(route, "GET ")
		if !isGet {
			continue
		}
		path = strings.NewReplacer("{id}", "web", "{name}", "web", "{project}", "web", "{n}", "1").Replace(path)
		for _, role := range order {
			get, head := w.do("GET", path, bearer(role)), w.do("HEAD", path, bearer(role))
			if head.status != get.status || head.text != "" || head.header.Get("Content-Type") != get.header.Get("Content-Type") {
				t.Errorf("HEAD %s (%s) as %s: %s %v; GET: %s", path, need, role, head, head.header, get)
			}
		}
	}
	w.do("DELETE", "/api/containers/web?volumes=true", bearer("operator")).is(http.StatusForbidden, "forbidden")
	w.do("DELETE", "/api/containers/web?volumes=true", bearer("stale:admin")).is(http.StatusForbidden, "step_up_required")
	w.do("DELETE", "/api/containers/web?volumes=true", bearer("api:admin")).is(http.StatusForbidden, "session_required")
	if a := w.do("DELETE", "/api/containers/web?volumes=true", bearer("admin")); a.status != http.StatusNoContent {
		t.Errorf("as administrator: %s", a)
	}
}

func TestTheDocumentListsEveryRouteAndWhoMayCallIt(t *testing.T) {
	w := newWorld(t).signIn()
	a := w.as("GET", "/api/openapi.json")
	if a.status != http.StatusOK || a.get("openapi") != "3.1.0" || a.get("info", "version") != "1.2.3" {
		t.Fatalf("got %.200s", a)
	}
	listed := map[string]string{}
	paths, _ := a.get("paths").(map[string]any)
	for path, item := range paths {
		for method, op := range item.(map[string]any) {
			op := op.(map[string]any)
			route := strings.ToUpper(method) + " " + path
			listed[route] = op["x-access"].(string)
			if open := len(op["security"].([]any)) == 0; open != (listed[route] == "anyone") {
				t.Errorf("%s: security is %v", route, op["security"])
			}
			if op["responses"].(map[string]any)["default"] == nil {
				t.Errorf("%s has no problem as its default answer", route)
			}
		}
	}
	want := mayCall()
	maps.DeleteFunc(want, func(route, _ string) bool { // it has no sockets, and no files
		return strings.HasSuffix(route, "/ws") || route == "GET /" || strings.HasPrefix(route, "GET /assets/")
	})
	if diff := cmp.Diff(want, listed); diff != "" {
		t.Error(diff)
	}
}

func TestEveryAnswerIsWhatTheDocumentSays(t *testing.T) {
	w := newWorld(t).signIn()
	doc := document{t: t, root: w.as("GET", "/api/openapi.json")}
	op, err := w.operation(t.Context(), "update", "web", "ann")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.finish(t.Context(), op.ID); err != nil {
		t.Fatal(err)
	}
	for _, r := range []struct {
		route, path string
		status      int
		options     []option
		asked       string
	}{
		{"GET /healthz", "/healthz?_=1", 200, nil, ""},
		{"GET /readyz", "/readyz", 200, nil, ""},
		{"POST /api/v1/auth/login", "", 200, []option{body(map[string]string{"username": userName, "password": password})}, ""},
		{"GET /api/v1/auth/setup", "", 200, nil, ""},
		{"GET /api/v1/auth/me", "", 200, nil, ""},
		{"GET /api/v1/auth/sessions", "", 200, nil, ""},
		{"POST /api/v1/auth/step-up", "", 200, []option{body(map[string]string{"password": password})}, ""},
		{"POST /api/v1/auth/tokens", "", 201, []option{raw(`{"name":"backup","scope":"read"}`)}, ""},
		{"GET /api/v1/auth/tokens", "", 200, nil, ""},
		{"POST /api/users", "", 201, []option{raw(`{"username":"bob","password":"correct horse battery","role":"viewer"}`)}, ""},
		{"GET /api/users", "", 200, nil, ""},
		{"PATCH /api/users/{name}", "/api/users/bob", 200, []option{raw(`{"role":"operator","password":"another battery","resetTwoFA":true}`)}, ""},
		{"DELETE /api/users/{name}", "/api/users/bob", 204, nil, ""},
		{"GET /api/v1/2fa/status", "", 200, nil, ""},
		{"POST /api/v1/2fa/setup/otp/init", "", 200, nil, ""},
		{"DELETE /api/v1/auth/sessions", "", 204, nil, ""},
		{"GET /api/containers", "", 200, nil, ""},
		{"GET /api/containers", "/api/containers?status=skipped,error&state=exited&q=POST", 200, nil, ""},
		{"GET /api/containers/{id}", "/api/containers/web", 200, nil, "inspect web"},
		{"GET /api/containers/{id}/preview", "/api/containers/web/preview", 200, nil, "preview web force=false"},
		{"GET /api/containers/{id}/preview", "/api/containers/one/preview?force=true", 200, nil, "preview one force=true"},
		{"POST /api/containers/{id}/update", "/api/containers/web/update", 202, nil, "update web force=false by ann"},
		{"POST /api/containers/{id}/update", "/api/containers/web/update", 202, []option{raw(`{"force":true}`)}, "update web force=true by ann"},
		{"POST /api/containers/{id}/rollback", "/api/containers/web/rollback", 202, nil, "rollback web by ann"},
		{"POST /api/containers/{id}/start", "/api/containers/" + dbID + "/start", 200, nil, "start db"},
		{"POST /api/containers/{id}/stop", "/api/containers/" + dbID + "/stop", 200, nil, "stop db"},
		{"POST /api/containers/{id}/restart", "/api/containers/web/restart", 200, nil, "restart web"},
		{"POST /api/containers/{id}/stop", "/api/containers/one/stop", 200, nil, "stop one"},
		{"POST /api/containers/{id}/pause", "/api/containers/web/pause", 200, nil, "pause web"},
		{"POST /api/containers/{id}/unpause", "/api/containers/web/unpause", 200, nil, "unpause web"},
		{"POST /api/containers/{id}/kill", "/api/containers/web/kill", 200, nil, "kill web "},
		{"POST /api/containers/{id}/kill", "/api/containers/web/kill", 200, []option{raw(`{"signal":"SIGHUP"}`)}, "kill web SIGHUP"},
		{"POST /api/containers/{id}/rename", "/api/containers/web/rename", 200, []option{raw(`{"name":"shop.web-1"}`)}, "rename web shop.web-1"},
		{"POST /api/operations/{id}/cancel", "/api/operations/" + op.ID + "/cancel", 202, nil, "cancel " + op.ID + " by ann"},
		{"DELETE /api/containers/{id}", "/api/containers/web?force=true", 204, nil, "remove web force=true volumes=false"},
		{"POST /api/updates/run", "", 202, nil, "run [] dry=false by ann"},
		{"POST /api/updates/run", "", 202, []option{raw(`{"ids":["web","` + webID + `","db"],"dryRun":true}`)}, "run [web db] dry=true by ann"},
		{"POST /api/compose/{project}/update", "/api/compose/shop/update", 202, nil, "update project shop [] force=false by ann"},
		{"POST /api/compose/{project}/update", "/api/compose/shop/update", 202, []option{raw(`{"services":["web","db"],"force":true}`)}, "update project shop [web db] force=true by ann"},
		{"POST /api/scan", "/api/scan?fresh=true", 202, []option{raw(`{"ids":["web"]}`)}, "scan [web] fresh=true by ann"},
		{"POST /api/scan", "", 202, nil, "scan [] fresh=false by ann"},
		{"GET /api/operations", "", 200, nil, ""},
		{"GET /api/operations/{id}", "/api/operations/" + op.ID, 200, nil, ""},
		{"GET /api/images", "", 200, nil, "images sizes=false"},
		{"DELETE /api/images", "", 200, []option{raw(`{"id":"sha256:1","force":true}`)}, "remove image sha256:1 force=true"},
		{"GET /api/compose", "", 200, nil, "projects"},
		{"GET /api/compose/{project}", "/api/compose/web", 200, nil, "look at web"},
		{"POST /api/compose/{project}/validate", "/api/compose/web/validate", 200, []option{raw(`{"files":{"compose.yaml":"x"}}`)}, "validate web with 1"},
		{"POST /api/compose/stop", "", 202, []option{raw(`{"project":"web","services":["a"]}`)}, "stop web [a] by ann"},
		{"POST /api/compose/start", "", 202, []option{raw(`{"project":"web"}`)}, "start web [] by ann"},
		{"POST /api/compose/restart", "", 202, []option{raw(`{"project":"web"}`)}, "restart web [] by ann"},
		{"POST /api/compose/convert", "", 200, []option{raw(`{"containers":["web","db"]}`)}, "convert 2 reveal=false"},
		{"POST /api/compose/create", "", 201, []option{raw(`{"name":"new","compose":"x"}`)}, "create new start=false by ann"},
		{"POST /api/compose/create", "", 202, []option{raw(`{"name":"new","compose":"x","env":"","start":true}`)}, "create new start=true by ann"},
		{"POST /api/compose/{project}/up", "/api/compose/web/up", 202, nil, "up web [] by ann"},
		{"POST /api/compose/{project}/up", "/api/compose/web/up?dryRun=true", 200, nil, "preview web"},
		{"POST /api/compose/{project}/down", "/api/compose/web/down", 202, nil, "down web [] by ann"},
		{"POST /api/compose/{project}/pull", "/api/compose/web/pull", 202, []option{raw(`{"services":["a"]}`)}, "pull web [a] by ann"},
		{"POST /api/compose/{project}/recreate", "/api/compose/web/recreate", 202, nil, "recreate web [] by ann"},
		{"POST /api/compose/{project}/scale", "/api/compose/web/scale", 202, []option{raw(`{"replicas":{"a":2}}`)}, "scale web [] by ann"},
		{"DELETE /api/compose/delete", "", 202, []option{raw(`{"project":"web","removeFiles":true}`)}, "delete web volumes=false files=true by ann"},
		{"DELETE /api/compose/delete", "", 200, []option{raw(`{"project":"web","removeVolumes":true,"dryRun":true}`)}, "takes web volumes=true files=false"},
		{"GET /api/compose/{project}/files", "/api/compose/web/files", 200, nil, "files of web"},
		{"PUT /api/compose/{project}/files", "/api/compose/web/files", 200, []option{raw(`{"name":".env","content":"A=1"}`), header("If-Match", `"1"`)}, `save .env of web, 3 bytes, "1", by ann`},
		{"GET /api/compose/{project}/versions", "/api/compose/web/versions?name=.env", 200, nil, "versions of .env of web"},
		{"GET /api/compose/{project}/versions/{n}", "/api/compose/web/versions/7", 200, nil, "version 7 of web"},
		{"POST /api/compose/{project}/versions/{n}/restore", "/api/compose/web/versions/7/restore", 200, []option{header("If-Match", `"2"`)}, `restore 7 of web, "2", by ann`},
		{"GET /api/system", "", 200, nil, "system"},
		{"GET /api/config", "", 200, nil, ""},
		{"POST /api/v1/auth/logout", "", 204, nil, ""},
	} {
		method, path, _ := strings.Cut(r.route, " ")
		if r.path != "" {
			path = r.path
		}
		a := w.as(method, path, r.options...)
		if a.status != r.status {
			t.Errorf("%s: %s", r.route, a)
			continue
		}
		if r.asked != "" && w.last() != r.asked {
			t.Errorf("%s asked for %q, want %q", r.route, w.last(), r.asked)
		}
		doc.check(r.route, a)
	}
}

func TestContainersAreFiltered(t *testing.T) {
	w := newWorld(t).signIn()
	for query, want := range map[string][]any{
		"":                                    {"db", "one", "web"},
		"?status=upToDate":                    {"one"},
		"?status=upToDate,skipped":            {"db", "one"},
		"?state=running":                      {"one", "web"},
		"?q=NGINX":                            {"one", "web"},
		"?q=shop":                             {"web"},
		"?q=nginx&status=updateAvailable":     {"web"},
		"?q=nothing":                          {},
		"?state=exited&status=upToDate&q=one": {},
	} {
		a := w.as("GET", "/api/containers"+query)
		got := []any{}
		all, _ := a.get("containers").([]any)
		for _, c := range all {
			got = append(got, c.(map[string]any)["name"])
		}
		if diff := cmp.Diff(want, got); diff != "" || a.get("scannedAt") != "2026-01-02T00:00:00Z" {
			t.Errorf("%s: %s %s", query, diff, a)
		}
	}
}

func TestOperationsAreFilteredByContainerAlsoOneThatIsGone(t *testing.T) {
	w := newWorld(t).signIn()
	var ids []any
	for _, target := range []string{"web", "gone", "web"} {
		op, err := w.operation(t.Context(), "update", target, "ann")
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, op.ID)
	}
	for query, want := range map[string][]any{
		"":                             {ids[2], ids[1], ids[0]},
		"?container=web":               {ids[2], ids[0]},
		"?container=" + webID:          {ids[2], ids[0]},
		"?container=gone":              {ids[1]},
		"?limit=1":                     {ids[2]},
		"?before=" + ids[1].(string):   {ids[0]},
		"?kind=scan":                   {},
		"?container=web&limit=1&kind=": {ids[2]},
	} {
		got := []any{}
		a := w.as("GET", "/api/operations"+query)
		all, _ := a.get("operations").([]any)
		for _, o := range all {
			got = append(got, o.(map[string]any)["id"])
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s %s", query, diff, a)
		}
	}
}

func TestANameWithASlashIsOneInThePath(t *testing.T) {
	w := newWorld(t).signIn()
	for _, name := range []string{"team/vic", "50%", "a b", "ü?#"} {
		if a := w.as("POST", "/api/users", body(map[string]string{"username": name, "password": password, "role": "viewer"})); a.status != http.StatusCreated {
			t.Fatal(a)
		}
		if a := w.as("PATCH", "/api/users/"+url.PathEscape(name), body(map[string]string{"role": "operator"})); a.status != http.StatusOK || a.get("name") != name {
			t.Errorf("%s: %s", name, a)
		}
		if a := w.as("DELETE", "/api/users/"+url.PathEscape(name)); a.status != http.StatusNoContent {
			t.Errorf("%s: %s", name, a)
		}
	}
	for _, path := range []string{"/api%2Fusers", "/api/%75sers", "/api/v1%2fauth/me"} { // a route has one spelling
		w.do("GET", path).is(http.StatusNotFound, "not_found")
	}
}
