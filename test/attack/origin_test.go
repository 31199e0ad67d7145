package attack_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"
)

const events = "/api/events/ws"

// others are origins that a page may have which isn't ours at http://host.
func others(host string) map[string]string {
	name, port, _ := strings.Cut(host, ":")
	return map[string]string{
		"another site":              "https://evil.example",
		"a sibling's subdomain":     "http://evil." + host,
		"a subdomain's parent":      "http://host:" + port,
		"the same host's standard":  "http://" + name,
		"another port":              "http://" + name + ":1",
		"another scheme":            "https://" + host,
		"a name that begins alike":  "http://" + host + ".evil.example",
		"a name with ours as user":  "http://" + host + "@evil.example",
		"a sandboxed frame or file": "null",
		"the address for the name":  "http://127.0.0.1:" + port,
	}
}

// socket tries to open the events socket and gives the status.
func (c *client) socket(options ...option) (*websocket.Conn, answer) {
	c.Helper()
	req, err := c.request("GET", events, nil, options...)
	if err != nil {
		c.Fatal(err)
	}
	scheme := "ws://"
	if c.tls != nil {
		scheme = "wss://"
	}
	conn, res, err := websocket.Dial(c.Context(), scheme+req.Host+req.URL.RequestURI(), &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: c.http.Transport}, HTTPHeader: req.Header, Host: req.Host,
	})
	if res == nil {
		c.Fatalf("open the socket: %v", err)
	}
	a := answer{status: res.StatusCode, header: res.Header}
	if err != nil {
		return nil, a
	}
	c.Cleanup(func() { _ = conn.CloseNow() })
	return conn, a
}

func TestAPageOfAnotherOriginCantChangeAnything(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	victim := w.browser()
	victim.login(owner, password)
	if !victim.alive() {
		t.Fatal("the cookie doesn't count")
	}
	for name, origin := range others(w.host) {
		for _, site := range []string{"", "cross-site", "same-site"} {
			options := []option{header("Origin", origin)}
			if site != "" {
				options = append(options, header("Sec-Fetch-Site", site))
			}
			for _, r := range [][2]string{{"POST", "/api/v1/auth/logout"}, {"DELETE", "/api/images"}, {"POST", "/api/v1/auth/login"}} {
				if a := victim.do(r[0], r[1], map[string]string{}, options...); a.status != http.StatusForbidden {
					t.Errorf("%s (%s, %q) at %s %s: %s", name, origin, site, r[0], r[1], a)
				}
			}
			// As a form would send it, which needs nobody's leave.
			form := append(options, header("Content-Type", "text/plain"), raw("{}"))
			if a := victim.do("POST", "/api/v1/auth/logout", nil, form...); a.status != http.StatusForbidden {
				t.Errorf("%s, as a form: %s", name, a)
			}
		}
		if a := victim.do("GET", "/api/v1/auth/me", nil, header("Origin", origin)); a.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s may read answers: %v", name, a.header)
		}
		preflight := victim.do("OPTIONS", "/api/v1/auth/logout", nil, header("Origin", origin), header("Access-Control-Request-Method", "POST"))
		if preflight.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s may ask: %v", name, preflight.header)
		}
	}
	if a := victim.do("POST", "/api/v1/auth/logout", nil, header("Sec-Fetch-Site", "cross-site")); a.status != http.StatusForbidden {
		t.Errorf("cross-site without an Origin: %s", a)
	}
	if !victim.alive() {
		t.Error("a page of another origin signed the user out")
	}
	victim.must("POST", "/api/v1/auth/logout", nil, header("Origin", "http://"+w.host), header("Sec-Fetch-Site", "same-origin"))
}

func TestAPageOfAnotherOriginCantOpenASocket(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	victim := w.browser()
	victim.login(owner, password)
	for name, origin := range others(w.host) {
		if conn, a := victim.socket(header("Origin", origin)); conn != nil || a.status != http.StatusForbidden {
			t.Errorf("%s (%s): %d", name, origin, a.status)
		}
	}
	if conn, a := victim.socket(); conn != nil || a.status != http.StatusForbidden {
		t.Errorf("a cookie without an Origin: %d", a.status)
	}
	// Credentials that a browser adds for a proxy aren't a program's token.
	basic := header("Authorization", "Basic YW5uOmFubg==")
	if conn, a := victim.socket(header("Origin", "https://evil.example"), basic); conn != nil || a.status != http.StatusForbidden && a.status != http.StatusUnauthorized {
		t.Errorf("a foreign page behind a proxy with Basic credentials: %d", a.status)
	}
	if a := victim.do("POST", "/api/v1/auth/logout", nil, header("Origin", "https://evil.example"), basic); a.status != http.StatusForbidden && a.status != http.StatusUnauthorized {
		t.Errorf("a change by a foreign page behind a proxy with Basic credentials: %s", a)
	}
	// A forged Host goes with a forged Origin, not with ours.
	if conn, a := victim.socket(header("Origin", "http://"+w.host), hostHeader("evil.example")); conn != nil || a.status != http.StatusForbidden {
		t.Errorf("our origin at another host: %d", a.status)
	}
	if conn, a := victim.socket(header("Origin", "http://"+w.host)); conn == nil {
		t.Errorf("our own page: %d", a.status)
	}
	if conn, a := w.signIn().socket(); conn == nil {
		t.Errorf("a program with a token and no Origin: %d", a.status)
	}
	if conn, a := w.client().socket(); conn != nil || a.status != http.StatusUnauthorized {
		t.Errorf("nobody: %d", a.status)
	}
}

func TestASocketEndsWithItsSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	logout := func(c *client) { c.must("POST", "/api/v1/auth/logout", nil) }
	ended := func(c *client) {
		c.with(w.signIn().token).must("DELETE", "/api/v1/auth/sessions/"+claimsOf(c, c.token)["jti"].(string), nil)
	}
	change := func(c *client) {
		c.must("POST", "/api/v1/auth/password", map[string]string{"current": password, "new": password + "!"})
	}
	for name, end := range map[string]func(*client){"logout": logout, "being ended from elsewhere": ended} {
		w.closed(name, end)
	}
	w.closed("a changed password", change)
}

// closed checks that a socket is closed by what ends its session.
func (w *world) closed(name string, end func(*client)) {
	w.Helper()
	c := w.signIn()
	conn, a := c.socket()
	if conn == nil {
		w.Fatalf("a socket: %d", a.status)
	}
	end(c)
	ctx, cancel := context.WithTimeout(w.Context(), patience)
	defer cancel()
	for {
		if _, _, err := conn.Read(ctx); err == nil {
			continue
		}
		if ctx.Err() != nil {
			w.Errorf("a socket outlived its session after %s", name)
		}
		return
	}
}

func TestACookieIsForScriptsAndOtherSitesOutOfReach(t *testing.T) {
	t.Parallel()
	plain := newWorld(t)
	secure := newWorld(t, certificate(t)...)
	secure.tls = trusting(t, secure)
	for name, w := range map[string]*world{"watch-docker": plain, "__Host-watch-docker": secure} {
		b := w.browser()
		a := b.login(owner, password)
		if len(b.cookies) == 0 {
			t.Fatalf("no cookie: %s", a)
		}
		found := false
		for _, line := range a.header.Values("Set-Cookie") {
			cookie, err := http.ParseSetCookie(line)
			if err != nil {
				t.Fatal(err)
			}
			found = found || cookie.Name == name
			if !cookie.HttpOnly || cookie.SameSite != http.SameSiteStrictMode || cookie.Domain != "" || cookie.Path != "/" || cookie.Secure != (w == secure) {
				t.Errorf("%s", line)
			}
			if w == secure && !strings.HasPrefix(cookie.Name, "__Host-") {
				t.Errorf("over TLS without __Host-: %s", line)
			}
		}
		if !found {
			t.Errorf("no cookie %s: %v", name, a.header.Values("Set-Cookie"))
		}
		// Over TLS the plain cookie, which a plain page of the same host could set, is nothing.
		if w == secure {
			thief := w.browser()
			thief.cookies["watch-docker"] = b.cookies[name]
			if thief.alive() {
				t.Error("over TLS a cookie counts that came without")
			}
		}
	}
}

func TestACookieSetBeforeTheLoginIsNotTakenOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	thief := w.browser()
	thief.login(owner, password)
	victim := w.browser()
	victim.cookies["watch-docker"] = thief.cookies["watch-docker"] // planted
	planted := victim.cookies["watch-docker"]
	victim.login(owner, password)
	if victim.cookies["watch-docker"] == planted {
		t.Error("a login goes on with the session that was there before")
	}
	if id := claimsOf(t, victim.cookies["watch-docker"])["jti"]; id == claimsOf(t, planted)["jti"] {
		t.Error("a login goes on with the session that was there before, under another token")
	}
	victim.must("POST", "/api/v1/auth/logout", nil)
	planted = "made-up"
	victim.cookies["watch-docker"] = planted
	victim.login(owner, password)
	if victim.cookies["watch-docker"] == planted {
		t.Error("a made-up session was taken over")
	}
	// The second step too begins a session that nobody knew before.
	_, codes := w.signIn().enrolTOTP()
	c := w.temporary(owner)
	half := claimsOf(t, c.token)["jti"]
	c.keep(c.must("POST", "/api/v1/2fa/verify/recovery", map[string]string{"code": codes[0]}))
	if whole := claimsOf(t, c.token)["jti"]; whole == half {
		t.Error("the full session has the temporary one's id")
	}
}
