package api_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/watch-docker/watch-docker/internal/api"
)

const friend, stranger = "https://friend.example", "https://stranger.example"

func TestAPageOfAnotherOriginChangesNothingByCookie(t *testing.T) {
	w := newWorld(t, func(d *api.Dependencies) {
		d.CORSOrigins, d.BaseURL = []string{friend}, parse("http://watch.example")
	}).signIn()
	cookie := header("Cookie", "watch-docker="+w.token)
	for name, c := range map[string]struct {
		options []option
		refused bool
	}{
		"another site":               {[]option{header("Sec-Fetch-Site", "cross-site"), header("Origin", stranger)}, true},
		"another port":               {[]option{header("Sec-Fetch-Site", "same-site"), header("Origin", "http://watch.example:81")}, true},
		"an old browser":             {[]option{header("Origin", stranger)}, true},
		"a page without an origin":   {[]option{header("Sec-Fetch-Site", "cross-site"), header("Origin", "null")}, true},
		"one that looks like ours":   {[]option{header("Sec-Fetch-Site", "cross-site"), header("Origin", friend+".evil.example")}, true},
		"our own page":               {[]option{header("Sec-Fetch-Site", "same-origin"), header("Origin", "http://other.example")}, false},
		"ours by its public address": {[]option{header("Origin", "http://watch.example")}, false},
		"an allowed origin":          {[]option{header("Sec-Fetch-Site", "cross-site"), header("Origin", friend)}, false},
		"no browser":                 {nil, false},
	} {
		a := w.do("POST", "/api/scan", append(c.options, cookie)...)
		if c.refused {
			a.is(http.StatusForbidden, "cross_origin")
		}
		if !c.refused && a.status != http.StatusAccepted || t.Failed() {
			t.Errorf("%s: %s", name, a)
		}
		login := w.do("POST", "/api/v1/auth/login", append(c.options, raw("{}"))...)
		if (login.status == http.StatusForbidden) != c.refused {
			t.Errorf("%s: login: %s", name, login)
		}
	}
	if a := w.do("GET", "/api/containers", cookie, header("Sec-Fetch-Site", "cross-site"), header("Origin", stranger)); a.status != http.StatusOK || a.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("reading is harmless, as the page can't see the answer: %s %v", a, a.header)
	}
	// What carries its token itself wasn't sent by a browser on its own.
	if a := w.as("POST", "/api/scan", header("Sec-Fetch-Site", "cross-site"), header("Origin", stranger)); a.status != http.StatusAccepted {
		t.Error(a)
	}
}

// A page is ours by scheme, host and port, however a proxy writes the Host
// header; without Sec-Fetch-Site (plain HTTP, old browsers) as well as with it.
func TestOurOwnOriginIsExact(t *testing.T) {
	type request struct{ host, proto, forwarded, site, origin string }
	for name, c := range map[string]struct {
		change func(*api.Dependencies)
		request
		passes bool
	}{
		"plain, direct":                  {nil, request{host: "nas:8080", origin: "http://nas:8080"}, true},
		"another scheme":                 {nil, request{host: "nas:8080", origin: "https://nas:8080"}, false},
		"another scheme, said":           {nil, request{host: "nas:8080", origin: "https://nas:8080", site: "cross-site"}, false},
		"another port":                   {nil, request{host: "nas:8080", origin: "http://nas:8081"}, false},
		"another port, said":             {nil, request{host: "nas:8080", origin: "http://nas:8081", site: "same-site"}, false},
		"no port":                        {nil, request{host: "nas:8080", origin: "http://nas"}, false},
		"the usual port, left out":       {nil, request{host: "nas:80", origin: "http://nas"}, true},
		"a sibling subdomain":            {nil, request{host: "watch.example", origin: "http://evil.example"}, false},
		"a sibling subdomain, said":      {nil, request{host: "watch.example", origin: "http://blog.watch.example", site: "same-site"}, false},
		"null":                           {nil, request{host: "watch.example", origin: "null"}, false},
		"null, said to be ours":          {nil, request{host: "watch.example", origin: "null", site: "same-origin"}, false},
		"null, said":                     {nil, request{host: "watch.example", origin: "null", site: "cross-site"}, false},
		"no browser":                     {nil, request{host: "watch.example"}, true},
		"behind a proxy":                 {behind, request{host: "10.0.0.5:8080", forwarded: "watch.example", proto: "https", origin: "https://watch.example"}, true},
		"behind a proxy, said":           {behind, request{host: "10.0.0.5:8080", forwarded: "watch.example", proto: "https", origin: "https://watch.example", site: "same-origin"}, true},
		"behind a proxy, plain":          {behind, request{host: "10.0.0.5:8080", forwarded: "watch.example", proto: "https", origin: "http://watch.example"}, false},
		"behind a proxy, its inner name": {behind, request{host: "10.0.0.5:8080", forwarded: "watch.example", proto: "https", origin: "http://10.0.0.5:8080"}, false},
		"behind a proxy, sibling":        {behind, request{host: "10.0.0.5:8080", forwarded: "watch.example", proto: "https", origin: "https://evil.example", site: "same-site"}, false},
		"not a trusted proxy":            {nil, request{host: "10.0.0.5:8080", forwarded: "watch.example", proto: "https", origin: "https://watch.example"}, false},
		"not a trusted proxy, said":      {nil, request{host: "10.0.0.5:8080", forwarded: "watch.example", proto: "https", origin: "https://watch.example", site: "same-origin"}, true},
		"by the public URL":              {public, request{host: "10.0.0.5:8080", origin: "https://watch.example"}, true},
		"by the public URL, plain":       {public, request{host: "watch.example", origin: "http://watch.example"}, false},
		"by the public URL, other port":  {public, request{host: "watch.example", origin: "https://watch.example:444"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			change := c.change
			if change == nil {
				change = func(*api.Dependencies) {}
			}
			w := newWorld(t, change)
			options := []option{raw(`{"username":"a","password":"b"}`), func(r *http.Request) { r.Host = c.host }}
			for name, value := range map[string]string{"X-Forwarded-Host": c.forwarded, "X-Forwarded-Proto": c.proto, "Sec-Fetch-Site": c.site, "Origin": c.origin} {
				if value != "" {
					options = append(options, header(name, value))
				}
			}
			a := w.do("POST", "/api/v1/auth/login", options...)
			if c.passes {
				a.is(http.StatusUnauthorized, "bad_credentials")
				return
			}
			a.is(http.StatusForbidden, "cross_origin")
			for _, setting := range []string{"server.baseURL", "server.trustedProxies", "server.corsOrigins"} {
				if !strings.Contains(a.text, setting) {
					t.Errorf("%s isn't named: %s", setting, a)
				}
			}
			// Credentials that a browser adds by itself, for a proxy's sake, prove nothing.
			w.do("POST", "/api/v1/auth/login", append(options, header("Authorization", "Basic YTpi"))...).is(http.StatusForbidden, "cross_origin")
		})
	}
}

func behind(d *api.Dependencies) { d.TrustedProxies = prefixes("127.0.0.0/8") }
func public(d *api.Dependencies) { d.BaseURL = parse("https://watch.example") }

func TestCORSIsForTheListedOriginsExactly(t *testing.T) {
	w := newWorld(t, func(d *api.Dependencies) { d.Auth, d.CORSOrigins = roles{}, []string{friend} })
	preflight := func(origin string) answer {
		return w.do("OPTIONS", "/api/containers/web/update", header("Origin", origin),
			header("Access-Control-Request-Method", "POST"), header("Access-Control-Request-Headers", "authorization"))
	}
	a := preflight(friend)
	if a.status != http.StatusNoContent || a.header.Get("Access-Control-Allow-Origin") != friend || a.header.Get("Access-Control-Allow-Credentials") != "true" ||
		!strings.Contains(a.header.Get("Access-Control-Allow-Headers"), "Authorization") || !strings.Contains(a.header.Get("Access-Control-Allow-Methods"), "POST") ||
		a.header.Get("Vary") != "Origin" {
		t.Errorf("preflight: %s %v", a, a.header)
	}
	a = w.do("GET", "/api/containers", bearer("viewer"), header("Origin", friend))
	if a.status != http.StatusOK || a.header.Get("Access-Control-Allow-Origin") != friend {
		t.Errorf("allowed: %s %v", a, a.header)
	}
	a = w.do("GET", "/api/containers", header("Origin", friend))
	if a.status != http.StatusUnauthorized || a.header.Get("Access-Control-Allow-Origin") != friend {
		t.Errorf("a problem must be readable, too: %s %v", a, a.header)
	}
	for _, origin := range []string{stranger, "http://friend.example", friend + ":8443", strings.ToUpper(friend), "null", "*"} {
		a := preflight(origin)
		a.is(http.StatusMethodNotAllowed, "method_not_allowed")
		if a.header.Get("Access-Control-Allow-Origin") != "" || a.header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: %v", origin, a.header)
		}
	}
}

func TestEveryAnswerCarriesTheSecurityHeaders(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"/healthz", "/api/containers", "/nowhere"} {
		h := w.do("GET", path).header
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
			"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'", "Cross-Origin-Resource-Policy": "same-origin",
			"Cross-Origin-Opener-Policy": "same-origin", "Origin-Agent-Cluster": "?1", "Strict-Transport-Security": "",
		} {
			if h.Get(name) != want {
				t.Errorf("%s: %s is %q", path, name, h.Get(name))
			}
		}
	}
}

func TestTLSIsPromisedForAHostThatIsOursAlone(t *testing.T) {
	w := newWorld(t, behind)
	for at, want := range map[string]bool{
		"https://watch.example": true, "https://watch.example:8443": false, "http://watch.example": false, "https://192.0.2.1": false, "https://[2001:db8::1]": false,
	} {
		scheme, host, _ := strings.Cut(at, "://")
		h := w.do("GET", "/healthz", header("X-Forwarded-Proto", scheme), header("X-Forwarded-Host", host)).header
		if got := h.Get("Strict-Transport-Security"); (got != "") != want {
			t.Errorf("%s: %q", at, got)
		}
		if p := h.Get("Permissions-Policy"); !strings.Contains(p, "publickey-credentials-get=(self)") || !strings.Contains(p, "camera=()") {
			t.Errorf("Permissions-Policy: %q", p)
		}
	}
}

func TestAProxyThatIsNotBelievedIsNamedOnceInTheLog(t *testing.T) {
	for name, trusted := range map[string]bool{"not trusted": false, "trusted": true} {
		w := newWorld(t, func(d *api.Dependencies) {
			if trusted {
				d.TrustedProxies = prefixes("127.0.0.0/8")
			}
		})
		w.do("GET", "/healthz")
		for range 3 {
			w.do("GET", "/healthz", header("X-Forwarded-For", "192.0.2.7"))
		}
		said := w.log.FilterMessageSnippet("server.trustedProxies").All()
		if trusted != (len(said) == 0) || !trusted && (len(said) != 1 || said[0].ContextMap()["proxy"] != "127.0.0.1") {
			t.Errorf("%s: %v", name, said)
		}
	}
}
