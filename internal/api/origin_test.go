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
		} {
			if h.Get(name) != want {
				t.Errorf("%s: %s is %q", path, name, h.Get(name))
			}
		}
	}
}
