package registry_test

import (
	"cmp"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/watch-docker/watch-docker/internal/registry"
)

// guarded is a registry with a token server before it.
func guarded(t testing.TB) (*network, *site, *tokenServer) {
	n := newNetwork(t)
	s, ts := n.site("reg.example.com"), n.tokens("auth.example.com")
	s.handle(ts.guard)
	return n, s, ts
}

func TestAScanCostsOneTokenRequest(t *testing.T) {
	n, s, ts := guarded(t)
	refs := s.many(20)
	mem := &memory{}
	opts := registry.Options{Memory: mem, CacheTTL: time.Minute, ErrorTTL: time.Minute}
	client := n.client(opts)

	mustScan(t, client, refs...)
	s.wantRequests(20 + 1) // the very first time: the challenge
	if asked := ts.asked(); len(asked) != 1 || len(asked[0]) != 20 {
		t.Errorf("token requests %v, want one for 20 repositories", asked)
	}
	mustScan(t, client, refs...)
	s.wantRequests(0)
	ts.wantRequests(0)

	mustScan(t, n.client(opts), refs...) // another process, which remembers the challenge
	s.wantRequests(20)
	ts.wantRequests(1)
}

func TestScopesStayReadableInTheURL(t *testing.T) {
	n, s, ts := guarded(t)
	var query string
	ts.respond = func(w http.ResponseWriter, r *http.Request) {
		query = r.URL.RawQuery
		fmt.Fprintf(w, `{"access_token":%q}`, ts.issue(r.Form["scope"]))
	}
	ts.service = "registry & co"
	mustScan(t, n.client(registry.Options{}), s.many(2)...)
	if want := "service=registry+%26+co&scope=repository:team/app-000:pull&scope=repository:team/app-001:pull"; query != want {
		t.Errorf("query %s\nwant  %s", query, want)
	}
}

func TestManyScopesAreSplitBeforeTheURLGetsTooLong(t *testing.T) {
	n, s, ts := guarded(t)
	refs := s.many(300)
	mustScan(t, n.client(registry.Options{}), refs...)
	ts.mu.Lock()
	var scopes int
	for _, r := range ts.requests {
		scopes += len(r.Form["scope"])
		if len(r.URL.String()) > 7500 {
			t.Errorf("a URL of %d bytes", len(r.URL.String()))
		}
	}
	ts.mu.Unlock()
	if scopes != 300 {
		t.Errorf("%d scopes were asked for, want each of 300 once", scopes)
	}
	ts.wantRequests(2)
	s.wantRequests(301)
}

func TestARegistryThatGrantsLessIsAskedSingly(t *testing.T) {
	for name, c := range map[string]struct {
		opaque, refuse bool
		requests       int // of the registry, for two references
		tokens         int
	}{
		"and its tokens say so":       {false, false, 1 + 2, 1 + 1},
		"and its tokens don't say so": {true, false, 1 + 2 + 1, 1 + 1},
		"or refuses them all":         {false, true, 1 + 2, 1 + 2},
	} {
		t.Run(name, func(t *testing.T) {
			n, s, ts := guarded(t)
			ts.opaque, ts.refuse = c.opaque, c.refuse
			ts.grant = func(scopes []string) []string { return scopes[:min(1, len(scopes))] } // one each
			refs := s.many(2)
			mem := &memory{}
			b := n.client(registry.Options{Memory: mem}).Batch(refs)
			for _, ref := range refs { // in order: the first one is granted
				if _, err := b.Head(t.Context(), ref); err != nil {
					t.Error(err)
				}
			}
			s.wantRequests(c.requests)
			ts.wantRequests(c.tokens)
			if c.refuse { // no shared token was ever given, so none is known not to work
				return
			}
			if mem.host("reg.example.com").MaxScopes != 1 {
				t.Error("it isn't remembered that tokens for several don't work here")
			}
			mustScan(t, n.client(registry.Options{Memory: mem}), refs...)
			s.wantRequests(2)
			ts.wantRequests(2)
		})
	}
}

func TestTokensThatAreTooLongAreAskedForInParts(t *testing.T) {
	for _, status := range []int{http.StatusBadRequest, http.StatusRequestHeaderFieldsTooLarge} {
		n, s, ts := guarded(t)
		s.handle(func(w http.ResponseWriter, r *http.Request) bool { // as nginx does
			if len(r.Header.Get("Authorization")) > 8<<10 {
				w.WriteHeader(status)
				return true
			}
			return ts.guard(w, r)
		})
		refs := s.many(120)
		mem := &memory{}
		mustScan(t, n.client(registry.Options{Memory: mem}), refs...)
		s.wantRequests(1 + 1 + 120)
		ts.wantRequests(1 + 2)
		mustScan(t, n.client(registry.Options{Memory: mem}), refs...)
		s.wantRequests(120)
		ts.wantRequests(2)
	}
}

func TestOneForbiddenRepositoryDoesNotSpoilTheOthers(t *testing.T) {
	for _, refuse := range []bool{false, true} {
		for _, opaque := range []bool{false, true} {
			t.Run(fmt.Sprintf("refuse=%v opaque=%v", refuse, opaque), func(t *testing.T) {
				n, s, ts := guarded(t)
				ts.refuse, ts.opaque = refuse, opaque
				ts.user, ts.password = "bob", "secret"
				ts.grant = func(scopes []string) []string {
					return slices.DeleteFunc(scopes, func(s string) bool { return strings.Contains(s, "private") })
				}
				s.image("private", "latest")
				client := n.client(registry.Options{Credentials: credentialsFor("reg.example.com", "bob", "secret"), ErrorTTL: time.Minute, CacheTTL: time.Minute})
				refs := append(s.many(3), s.ref("private"))
				errs := scan(t, client, refs...)
				wantCode(t, errs[3], registry.CodeUnauthorized, "private", `"bob"`, "registry.auth")
				if err := errs[0]; err != nil {
					t.Error(err)
				}
				s.asked()
				ts.asked()
				scan(t, client, refs...)
				s.wantRequests(0)
				ts.wantRequests(0)
			})
		}
	}
}

func TestAWrongPasswordIsTriedOnce(t *testing.T) {
	n, s, ts := guarded(t)
	ts.user, ts.password = "bob", "secret"
	mem := &memory{}
	opts := registry.Options{Memory: mem, ErrorTTL: time.Minute, Credentials: credentialsFor("https://reg.example.com/v2/", "bob", "geheim")}
	refs := s.many(20)
	client := n.client(opts)
	for range 3 {
		for _, err := range scan(t, client, refs...) {
			e := wantCode(t, err, registry.CodeUnauthorized, "auth.example.com refuses", `"bob"`, "registry.auth in the configuration", "incorrect username")
			if strings.Contains(e.Message, "geheim") || e.Status != 401 {
				t.Errorf("%+v", e)
			}
		}
	}
	scan(t, client, s.ref("another")) // another reference soon after doesn't try it again
	s.wantRequests(1)
	ts.wantRequests(1)

	client = n.client(opts) // a remembered challenge that fails is looked at once more
	scan(t, client, refs...)
	scan(t, client, s.ref("another"))
	s.wantRequests(1)
	ts.wantRequests(1)

	client.Forget(refs...)
	ts.password = "geheim"
	mustScan(t, client, refs...)
}

func TestAWrongPasswordAnsweredWith403IsTriedTwice(t *testing.T) {
	n, s, ts := guarded(t)
	ts.respond = func(w http.ResponseWriter, _ *http.Request) { deny(w, http.StatusForbidden, "DENIED", "denied") } // as ghcr.io
	client := n.client(registry.Options{ErrorTTL: time.Minute, Credentials: credentialsFor("reg.example.com", "bob", "x")})
	for _, err := range scan(t, client, s.many(20)...) {
		wantCode(t, err, registry.CodeUnauthorized, `"bob"`)
	}
	if asked := ts.asked(); len(asked) != 2 || len(asked[0]) != 20 || len(asked[1]) != 0 {
		t.Errorf("token requests %v, want one for all and one for none", asked)
	}
	s.wantRequests(1)
}

func TestBasicAuthentication(t *testing.T) {
	n := newNetwork(t)
	s := n.site("reg.example.com")
	s.handle(basicGuard("bob", "p:ä"))
	refs := s.many(10)
	mem := &memory{}
	opts := registry.Options{Memory: mem, Credentials: credentialsFor("REG.example.com", "bob", "p:ä")}
	mustScan(t, n.client(opts), refs...)
	s.wantRequests(11)
	mustScan(t, n.client(opts), refs...)
	s.wantRequests(10)

	opts.Credentials = credentialsFor("reg.example.com", "bob", "wrong")
	for _, err := range scan(t, n.client(opts), refs...) {
		wantCode(t, err, registry.CodeUnauthorized, "reg.example.com refuses", `"bob"`)
	}
	s.wantRequests(1)
	opts.Credentials = nil
	for _, err := range scan(t, n.client(opts), refs...) {
		wantCode(t, err, registry.CodeUnauthorized, "wants a user name", "docker login")
	}
	s.wantRequests(1)
}

func TestAnUnknownKindOfAuthorizationIsSaid(t *testing.T) {
	n := newNetwork(t)
	s := n.site("reg.example.com")
	s.handle(func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("WWW-Authenticate", "Negotiate")
		w.WriteHeader(http.StatusUnauthorized)
		return true
	})
	_, err := n.client(registry.Options{}).Batch(nil).Head(t.Context(), s.ref("app"))
	wantCode(t, err, registry.CodeUnauthorized, "not supported")
	s.wantRequests(1)
}

func TestAStaleChallengeHealsItself(t *testing.T) {
	stale := registry.Challenge{Scheme: "bearer", Realm: "https://gone.example.com/token", Service: "x"}
	for name, remembered := range map[string]registry.Challenge{
		"its token server is gone": stale,
		"it was Basic":             {Scheme: "basic"},
		"its realm was http":       {Scheme: "bearer", Realm: "http://auth.example.com/token"},
	} {
		t.Run(name, func(t *testing.T) {
			n, s, ts := guarded(t)
			n.point("gone.example.com", "127.0.0.1:1")
			refs := s.many(5)
			mem := &memory{hosts: map[string]registry.HostState{"reg.example.com": {Challenge: remembered}}}
			mustScan(t, n.client(registry.Options{Memory: mem}), refs...)
			s.wantRequests(6)
			ts.wantRequests(1)
			if got := mem.host("reg.example.com").Challenge; got.Realm != ts.realm {
				t.Errorf("remembered %+v", got)
			}
		})
	}
	t.Run("it is anonymous now", func(t *testing.T) {
		n := newNetwork(t)
		s := n.site("reg.example.com")
		n.point("gone.example.com", "127.0.0.1:1")
		mem := &memory{hosts: map[string]registry.HostState{"reg.example.com": {Challenge: stale}}}
		mustScan(t, n.client(registry.Options{Memory: mem}), s.many(5)...)
		s.wantRequests(5)
		if got := mem.host("reg.example.com").Challenge; got != (registry.Challenge{}) {
			t.Errorf("remembered %+v", got)
		}
	})
	t.Run("it is Basic now", func(t *testing.T) {
		n := newNetwork(t)
		s := n.site("reg.example.com")
		s.handle(basicGuard("bob", "x"))
		n.point("gone.example.com", "127.0.0.1:1")
		mem := &memory{hosts: map[string]registry.HostState{"reg.example.com": {Challenge: stale}}}
		mustScan(t, n.client(registry.Options{Memory: mem, Credentials: credentialsFor("reg.example.com", "bob", "x")}), s.many(5)...)
		s.wantRequests(6)
	})
}

func TestARevokedTokenIsReplacedByOneRequest(t *testing.T) {
	n, s, ts := guarded(t)
	refs := s.many(20)
	client := n.client(registry.Options{})
	mustScan(t, client, refs...)
	s.asked()
	ts.asked()
	ts.revoke()
	mustScan(t, client, refs...)
	s.wantRequests(21)
	ts.wantRequests(1)
}

func TestATokenIsUsedUntilShortlyBeforeItsEnd(t *testing.T) {
	n, s, ts := guarded(t)
	refs := s.many(3)
	now := time.Now()
	client := n.client(registry.Options{Now: func() time.Time { return now }})
	mustScan(t, client, refs...)
	now = now.Add(280 * time.Second)
	mustScan(t, client, refs...)
	ts.wantRequests(1)
	now = now.Add(15 * time.Second)
	mustScan(t, client, refs...)
	ts.wantRequests(1)
}

func TestDockerHubTellsMissingFromPrivateNoMoreThanWeDo(t *testing.T) {
	n := newNetwork(t)
	s, ts := n.site("registry-1.docker.io"), n.tokens("auth.docker.io")
	s.host = "docker.io"
	ts.grant = func([]string) []string { return nil }
	s.handle(ts.guard)
	_, err := n.client(registry.Options{}).Batch(nil).Head(t.Context(), s.ref("nobody/nothing"))
	wantCode(t, err, registry.CodeUnauthorized, "nobody/nothing:latest does not exist on Docker Hub or is private", "docker login")
}

func TestATokenServerInTroubleFailsItsRegistryAlone(t *testing.T) {
	for name, c := range map[string]struct {
		respond func(w http.ResponseWriter, r *http.Request)
		code    string
		words   string
	}{
		"404":       {func(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) }, registry.CodeBadResponse, "404"},
		"HTML":      {func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "<html>") }, registry.CodeBadResponse, "no JSON"},
		"no token":  {func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "{}") }, registry.CodeBadResponse, "no token"},
		"a bad one": {func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, `{"token":"a\r\nb"}`) }, registry.CodeBadResponse, "no token"},
		"endless":   {func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, strings.Repeat(" ", 5<<20)) }, registry.CodeBadResponse, "4 MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			n, s, ts := guarded(t)
			other := n.site("other.example.com")
			other.image("app", "latest")
			ts.respond = c.respond
			errs := scan(t, n.client(registry.Options{}), append(s.many(10), other.ref("app"))...)
			for _, err := range errs[:10] {
				wantCode(t, err, c.code, c.words)
			}
			if errs[10] != nil {
				t.Error(errs[10])
			}
			ts.wantRequests(1)
			s.wantRequests(1)
		})
	}
}

func TestAnHTTPRealmGetsNothing(t *testing.T) {
	n, s, ts := guarded(t)
	client := n.client(registry.Options{Credentials: credentialsFor("reg.example.com", "bob", "secret")})
	for realm, words := range map[string]string{
		"http://auth.example.com/token": "plain HTTP", "https://bob@auth.example.com/token": "none", "/token": "none", "ftp://auth.example.com": "none",
	} {
		ts.realm = realm
		for _, err := range scan(t, client, s.many(3)...) {
			wantCode(t, err, registry.CodeBadResponse, words)
		}
	}
	ts.wantRequests(0)
	if n.dialled("auth.example.com:80") > 0 {
		t.Error("it was dialled")
	}
}

func TestATokenServersSecurityIsItsOwnAffair(t *testing.T) {
	for name, c := range map[string]struct {
		elsewhere bool   // the registry isn't on loopback
		realm     string // empty is http on loopback
		insecure  string
		code      string
		words     string
	}{
		"a registry on loopback, a certificate nobody vouches for": {false, "https://auth.example.com/token", "", registry.CodeUnreachable, "auth.example.com to registry.insecure"},
		"a registry on loopback, plain HTTP":                       {false, "http://auth.example.com/token", "", registry.CodeBadResponse, "add auth.example.com to registry.insecure"},
		"an insecure registry, plain HTTP":                         {true, "http://auth.example.com/token", "reg.example.com", registry.CodeBadResponse, "add auth.example.com to registry.insecure"},
		"a certificate is configured not to matter":                {false, "https://auth.example.com/token", "auth.example.com", "", ""},
		"plain HTTP is configured not to matter":                   {false, "http://auth.example.com/token", "AUTH.example.com", "", ""},
		"both on loopback":                                         {false, "", "", "", ""},
		"another port is another host":                             {false, "http://auth.example.com:80/token", "auth.example.com", registry.CodeBadResponse, "add auth.example.com:80 to"},
	} {
		for _, user := range []string{"", "bob"} {
			t.Run(fmt.Sprintf("%s, user %q", name, user), func(t *testing.T) {
				n := newNetwork(t)
				ts := n.tokens("auth.example.com")
				plain := httptest.NewServer(ts)
				defer plain.Close()
				n.point("auth.example.com:80", addrOf(t, plain))
				ts.realm, ts.user, ts.password = cmp.Or(c.realm, plain.URL+"/token"), user, "secret"
				s := newSite(t, "")
				server := httptest.NewServer(s)
				defer server.Close()
				if s.host = addrOf(t, server); c.elsewhere {
					n.point("reg.example.com:80", s.host)
					n.point("reg.example.com:443", s.host)
					s.host = "reg.example.com"
				}
				s.handle(ts.guard)
				client := registry.New(registry.Options{DialContext: n.dial, Insecure: []string{c.insecure}, Credentials: credentialsFor(s.host, user, "secret")})
				defer client.Close()
				errs := scan(t, client, s.many(3)...)
				if c.code == "" {
					if err := cmp.Or(errs[0], errs[1], errs[2]); err != nil {
						t.Error(err)
					}
					ts.wantRequests(1)
					return
				}
				for _, err := range errs {
					wantCode(t, err, c.code, c.words)
				}
				ts.wantRequests(0)
			})
		}
	}
}

func TestARegistryElsewhereCantPointAtLoopback(t *testing.T) {
	n, s, ts := guarded(t)
	plain := httptest.NewServer(ts)
	defer plain.Close()
	ts.realm = plain.URL + "/token"
	refs := s.many(3)
	for _, err := range scan(t, n.client(registry.Options{}), refs...) {
		wantCode(t, err, registry.CodeBadResponse, "add "+addrOf(t, plain)+" to registry.insecure")
	}
	ts.wantRequests(0)
	mustScan(t, n.client(registry.Options{Insecure: []string{addrOf(t, plain)}}), refs...)
}

func TestCredentialsStayWithTheirHost(t *testing.T) {
	for name, target := range map[string]string{
		"another host": "https://other.example.com", "another port": "https://reg.example.com:8443", "plain HTTP": "http://reg.example.com",
	} {
		t.Run(name, func(t *testing.T) {
			n := newNetwork(t)
			s, other := n.site("reg.example.com"), n.site("other.example.com")
			n.point("reg.example.com:8443", n.hosts["other.example.com:443"])
			other.image("app", "latest")
			guard := basicGuard("bob", "secret")
			s.handle(func(w http.ResponseWriter, r *http.Request) bool {
				if !guard(w, r) {
					http.Redirect(w, r, target+r.URL.Path, http.StatusTemporaryRedirect)
				}
				return true
			})
			_, err := n.client(registry.Options{Concurrency: 1, Credentials: credentialsFor("reg.example.com", "bob", "secret")}).Batch(nil).Head(t.Context(), s.ref("app"))
			if strings.HasPrefix(target, "http:") {
				wantCode(t, err, registry.CodeBadResponse, "plain HTTP")
				other.wantRequests(0)
				return
			}
			if err != nil {
				t.Error(err)
			}
			for _, h := range other.headers {
				if h.Get("Authorization") != "" {
					t.Errorf("%s got %q", target, h.Get("Authorization"))
				}
			}
			other.wantRequests(1)
		})
	}
}

func TestARedirectThatNeverEndsIsCutOff(t *testing.T) {
	n := newNetwork(t)
	s := n.site("reg.example.com")
	s.handle(func(w http.ResponseWriter, r *http.Request) bool {
		http.Redirect(w, r, r.URL.Path, http.StatusFound)
		return true
	})
	_, err := n.client(registry.Options{}).Batch(nil).Head(t.Context(), s.ref("app"))
	wantCode(t, err, registry.CodeBadResponse, "redirects")
	s.wantRequests(6)
}

func TestAnIdentityTokenIsPosted(t *testing.T) {
	n, s, ts := guarded(t)
	ts.respond = func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.PostForm.Get("grant_type") != "refresh_token" || r.PostForm.Get("refresh_token") != "refresh" || r.URL.RawQuery != "" {
			deny(w, http.StatusBadRequest, "", "")
			return
		}
		fmt.Fprintf(w, `{"access_token":%q,"expires_in":300}`, ts.issue(strings.Fields(r.PostForm.Get("scope"))))
	}
	refs := s.many(3)
	mustScan(t, n.client(registry.Options{Credentials: fixed{IdentityToken: "refresh"}}), refs...)
	ts.wantRequests(1)
	s.wantRequests(4)

	for _, err := range scan(t, n.client(registry.Options{Credentials: fixed{IdentityToken: "old", Source: "the key ring"}}), refs...) {
		wantCode(t, err, registry.CodeUnauthorized, "identity token", "the key ring")
	}
	ts.wantRequests(1)

	other := n.site("other.example.com")
	ts.respond = func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://other.example.com/", http.StatusTemporaryRedirect)
	}
	for _, err := range scan(t, n.client(registry.Options{Credentials: fixed{IdentityToken: "refresh"}}), refs...) {
		wantCode(t, err, registry.CodeBadResponse, "redirects")
	}
	ts.wantRequests(1)
	other.wantRequests(0)
}
