package registry_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// tokenServer gives out bearer tokens, and guards sites.
type tokenServer struct {
	t       testing.TB
	realm   string
	service string

	// user and password are asked for if user is set.
	user, password string
	// refuses what it may not give, instead of giving less.
	refuse bool
	// grant picks what is given of the scopes asked for; nil gives all.
	grant func(scopes []string) []string
	// opaque tokens say nothing of what they are for.
	opaque bool
	// respond replaces the whole answer.
	respond func(w http.ResponseWriter, r *http.Request)

	mu       sync.Mutex
	requests []*http.Request
	issued   map[string][]string
}

// tokens starts a token server in the network.
func (n *network) tokens(host string) *tokenServer {
	ts := &tokenServer{t: n.t, realm: "https://" + host + "/token", service: "registry", issued: map[string][]string{}}
	n.serve(host, ts)
	return ts
}

func (ts *tokenServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	ts.mu.Lock()
	defer ts.mu.Unlock()
	ts.requests = append(ts.requests, r)
	scopes := r.Form["scope"]
	if r.Method == http.MethodPost {
		scopes = strings.Fields(r.Form.Get("scope"))
	}
	granted := scopes
	if ts.grant != nil {
		granted = ts.grant(slices.Clone(scopes))
	}
	user, password, _ := r.BasicAuth()
	switch {
	case ts.respond != nil:
		ts.respond(w, r)
	case ts.user != "" && (user != ts.user || password != ts.password):
		deny(w, http.StatusUnauthorized, "UNAUTHORIZED", "incorrect username or password")
	case ts.refuse && len(granted) < len(scopes):
		deny(w, http.StatusForbidden, "DENIED", "not for you")
	default:
		value := ts.issue(granted)
		fmt.Fprintf(w, `{"token":%q,"expires_in":300,"issued_at":%q}`, value, time.Now().UTC().Format(time.RFC3339))
	}
}

func (ts *tokenServer) issue(scopes []string) string {
	value := fmt.Sprintf("opaque-%d", len(ts.issued))
	if !ts.opaque {
		access := []map[string]any{}
		for _, s := range scopes {
			parts := strings.Split(s, ":")
			access = append(access, map[string]any{"type": "repository", "name": parts[1], "actions": []string{"pull"}})
		}
		var err error
		value, err = jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"access": access, "jti": value}).SignedString([]byte("key"))
		must(ts.t, err)
	}
	ts.issued[value] = scopes
	return value
}

// revoke makes every token so far worthless.
func (ts *tokenServer) revoke() {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	for value := range ts.issued {
		ts.issued[value] = nil
	}
}

// challenge is the header that sends to this server.
func (ts *tokenServer) challenge(r *http.Request) string {
	return fmt.Sprintf(`Bearer realm=%q,service=%q,scope="repository:%s:pull"`, ts.realm, ts.service, repositoryOf(r))
}

// guard lets only requests with a good token pass.
func (ts *tokenServer) guard(w http.ResponseWriter, r *http.Request) bool {
	value, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if slices.Contains(ts.issued[value], "repository:"+repositoryOf(r)+":pull") {
		return false
	}
	w.Header().Set("WWW-Authenticate", ts.challenge(r))
	deny(w, http.StatusUnauthorized, "UNAUTHORIZED", "authentication required")
	return true
}

// asked returns the scopes of each request so far and starts a new list.
func (ts *tokenServer) asked() [][]string {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	var asked [][]string
	for _, r := range ts.requests {
		asked = append(asked, r.Form["scope"])
	}
	ts.requests = nil
	return asked
}

func (ts *tokenServer) wantRequests(n int) {
	ts.t.Helper()
	if asked := ts.asked(); len(asked) != n {
		ts.t.Errorf("the token server got %d requests, want %d: %.500s", len(asked), n, fmt.Sprint(asked))
	}
}

func repositoryOf(r *http.Request) string {
	path := strings.TrimPrefix(r.URL.Path, "/v2/")
	repository, _, _ := strings.Cut(path, "/manifests/")
	repository, _, _ = strings.Cut(repository, "/blobs/")
	repository, _, _ = strings.Cut(repository, "/tags/")
	return repository
}

func deny(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"errors": []any{map[string]string{"code": code, "message": message}}})
}

func basicGuard(user, password string) func(w http.ResponseWriter, r *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if u, p, _ := r.BasicAuth(); u == user && p == password {
			return false
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
		deny(w, http.StatusUnauthorized, "UNAUTHORIZED", "authentication required")
		return true
	}
}
