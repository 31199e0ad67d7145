package attack_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// lies are what a client can say of itself, n making each time another.
func lies(n int) []option {
	address := fmt.Sprintf("198.51.100.%d", n)
	return []option{
		header("X-Forwarded-For", address), header("X-Real-IP", address), header("Forwarded", "for="+address+";proto=https;host=evil.example"),
		header("True-Client-IP", address), header("CF-Connecting-IP", address), header("X-Client-IP", address), header("X-Appengine-Remote-Addr", address),
		header("X-Forwarded-Host", "evil.example"), header("X-Original-Host", "evil.example"), header("X-Host", "evil.example"),
		header("X-Forwarded-Server", "evil.example"), header("X-Forwarded-Port", "443"), header("X-Forwarded-Proto", "https"),
		header("X-Forwarded-Scheme", "https"), header("X-Forwarded-Ssl", "on"), header("Front-End-Https", "on"), header("X-Url-Scheme", "https"),
		header("X-Forwarded-Prefix", "/evil"), header("X-Original-URL", "/healthz"), header("X-Rewrite-URL", "/healthz"), header("X-HTTP-Method-Override", "GET"),
	}
}

func TestForgedHeadersDontEvadeTheThrottle(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.client()
	n := 0
	slowDown(t, 10, func() answer {
		n++
		return c.login(fmt.Sprint("user", n), "a wrong password", lies(n)...)
	})
	slowed(t, c.login("somebody", "a wrong password", lies(200)...))
	if strings.Contains(w.log.String(), "198.51.100.") {
		t.Error("the log has an address that a stranger made up")
	}
}

func TestForgedHeadersDontChangeTheCookie(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser()
	a := b.login(owner, password, lies(1)...)
	for _, line := range a.header.Values("Set-Cookie") {
		if strings.HasPrefix(line, "__Host-") || strings.Contains(line, "Secure") || strings.Contains(line, "evil") {
			t.Errorf("a stranger's headers made the cookie %s", line)
		}
	}
	if !b.alive() {
		t.Error("the cookie doesn't count")
	}
}

func TestForgedHeadersDontChangeThePasskeysDomain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.signIn()
	setup := ann.do("POST", setupBegin, map[string]string{"name": "x"}, lies(1)...)
	if got := setup.text("options", "publicKey", "rp", "id"); got != "localhost" {
		t.Errorf("a passkey would be made for %q", got)
	}
	if got := w.client().must("POST", passkeyBegin, nil, lies(1)...).text("options", "publicKey", "rpId"); got != "localhost" {
		t.Errorf("a passkey would be asked for on %q", got)
	}
	k := ann.enrolKey()
	c := w.temporary(owner)
	liar := *k
	liar.site.Origin = "https://evil.example"
	notTaken(t, "an answer made on evil.example", c.do("POST", keyFinish, liar.assert(t, c.begin(keyBegin, nil, lies(1)...)), lies(1)...))
	// Nor do they say what our own origin is.
	victim := w.browser()
	victim.cookies["watch-docker"] = w.signedInByKey(k)
	options := append(lies(1), header("Origin", "https://evil.example"))
	if conn, a := victim.socket(options...); conn != nil || a.status != http.StatusForbidden {
		t.Errorf("a socket from evil.example: %d", a.status)
	}
	if a := victim.do("POST", "/api/v1/auth/logout", nil, options...); a.status != http.StatusForbidden {
		t.Errorf("a change from evil.example: %s", a)
	}
}

// signedInByKey gives a full token of the owner.
func (w *world) signedInByKey(k *key) string {
	w.Helper()
	c := w.temporary(owner)
	return c.must("POST", keyFinish, k.assert(w, c.begin(keyBegin, nil))).text("token")
}

// With a base URL not even the Host of a request says where we are.
func TestAForgedHostDoesntChangeThePasskeysDomainWithABaseURL(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "WATCH_SERVER_BASE_URL=https://watch.example.org")
	b := w.browser()
	b.login(owner, password, hostHeader("evil.example"), header("Origin", "https://watch.example.org"))
	cookies := b.cookies
	ask := func(options ...option) string {
		b.cookies = cookies
		return b.do("POST", setupBegin, map[string]string{"name": "x"}, options...).text("options", "publicKey", "rp", "id")
	}
	if got := ask(hostHeader("evil.example")); got != "watch.example.org" {
		t.Errorf("with another Host, a passkey would be made for %q", got)
	}
	if got := ask(hostHeader("watch.example.org")); got != "watch.example.org" {
		t.Errorf("with our own Host, a passkey would be made for %q", got)
	}
	for _, host := range []string{"watch.example.org.evil.example", "evil.example:443", "watch.example.org:8443@evil.example", "[::1]"} {
		if got := ask(hostHeader(host)); got != "watch.example.org" && got != "" {
			t.Errorf("with the Host %s, a passkey would be made for %q", host, got)
		}
	}
}

func TestOnlyAllowedDomainsGetPasskeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "TWOFA_ALLOWED_DOMAINS=watch.example.org", "WATCH_SERVER_TRUSTED_PROXIES=127.0.0.0/8")
	ann := w.signIn()
	through := func(host string) []option {
		return []option{header("X-Forwarded-For", "203.0.113.5"), header("X-Forwarded-Host", host), header("X-Forwarded-Proto", "https")}
	}
	for _, host := range []string{"evil.example", "sub.watch.example.org", "example.org", "org", "watch.example.org.evil.example", "203.0.113.9"} {
		if a := ann.do("POST", setupBegin, map[string]string{"name": "x"}, through(host)...); a.status < 400 || a.status >= 500 {
			t.Errorf("a passkey for %s: %s", host, a)
		}
	}
	a := ann.must("POST", setupBegin, map[string]string{"name": "x"}, through("watch.example.org")...)
	if got := a.text("options", "publicKey", "rp", "id"); got != "watch.example.org" {
		t.Errorf("a passkey for the allowed domain would be made for %q", got)
	}
}

// Behind a trusted proxy the last address that it adds counts, whatever the
// client wrote before it.
func TestAClientBehindATrustedProxyCantForgeItsAddress(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "WATCH_SERVER_TRUSTED_PROXIES=127.0.0.0/8")
	proxy := w.client()
	through := func(n int, real string) []option {
		forged := fmt.Sprintf("198.51.100.%d", n)
		return []option{
			header("X-Forwarded-For", forged+", unknown, "+forged+", "+real), header("X-Forwarded-Proto", "http"),
			header("X-Real-IP", forged), header("Forwarded", "for="+forged),
		}
	}
	n := 0
	slowDown(t, 10, func() answer {
		n++
		return proxy.login(fmt.Sprint("user", n), "a wrong password", through(n, "203.0.113.1")...)
	})
	slowed(t, proxy.login("somebody", "a wrong password", through(77, "203.0.113.1")...))
	if a := proxy.login(owner, password, through(1, "203.0.113.2")...); a.status != http.StatusOK {
		t.Errorf("another client behind the same proxy: %s", a)
	}
	// One household has a whole /64 of addresses.
	n = 0
	slowDown(t, 10, func() answer {
		n++
		return proxy.login(fmt.Sprint("other", n), "a wrong password", through(n, fmt.Sprintf("2001:db8:1:2::%x", n))...)
	})
}

// Where X-Forwarded-For says nothing that can be read, no other header of the
// client's counts in its place.
func TestNoOtherHeaderTakesTheForwardedAddresssPlace(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "WATCH_SERVER_TRUSTED_PROXIES=127.0.0.0/8")
	proxy := w.client()
	n := 0
	slowDown(t, 10, func() answer {
		n++
		options := append(lies(n), header("X-Forwarded-For", "203.0.113.1:50123")) // some proxies add the port
		if n%2 == 0 {
			options = append(options, func(r *http.Request) { r.Header.Del("X-Forwarded-For") })
		}
		return proxy.login(fmt.Sprint("user", n), "a wrong password", options...)
	})
}

// A list of several X-Forwarded-For lines is one list.
func TestASecondForwardedLineDoesntHideTheFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "WATCH_SERVER_TRUSTED_PROXIES=127.0.0.0/8")
	proxy := w.client()
	n := 0
	slowDown(t, 10, func() answer {
		n++
		return proxy.login(fmt.Sprint("user", n), "a wrong password", func(r *http.Request) {
			// What the client sent, and what its proxy adds as a line of its own.
			r.Header["X-Forwarded-For"] = []string{fmt.Sprintf("198.51.100.%d", n), "203.0.113.1"}
		})
	})
}
