package browser_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/watch-docker/watch-docker/test/testbed"
)

// elsewhere is another site on this machine: for browsers the same site, so
// that its requests carry our cookie, and another origin.
func elsewhere(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<!doctype html><title>elsewhere</title>")
	}))
	t.Cleanup(s.Close)
	return strings.Replace(s.URL, "127.0.0.1", "localhost", 1)
}

func TestAnotherSitesPageChangesNothingAndSeesNothing(t *testing.T) {
	w := newWorld(t, anAccount()...)
	ours := newPage(t)
	ours.login(w.url).heads("Your account").sees("Live ·")
	evil := newPage(t, ours).open(elsewhere(t))
	sockets := w.requests(`"route":"/api/events/ws"`, `"status":403`)

	// The cookie does come along: what follows is refused in spite of it.
	js[string](evil, fmt.Sprintf(`fetch('%sapi/v1/auth/me', {mode: 'no-cors', credentials: 'include'}).then((r) => r.type, (e) => e.name)`, w.url))
	if n := w.requests(`"route":"/api/v1/auth/me"`, `"status":200`, `"user":"ann"`); n < 2 {
		t.Fatalf("%d requests by ann: the browser doesn't send the cookie, so that this test shows nothing", n)
	}
	for name, init := range map[string]string{
		"a simple request": `{method: 'POST', mode: 'no-cors', credentials: 'include', headers: {'Content-Type': 'text/plain'}, body: '{}'}`,
		"JSON":             `{method: 'POST', credentials: 'include', headers: {'Content-Type': 'application/json'}, body: '{}'}`,
		"with a token":     `{method: 'POST', credentials: 'include', headers: {Authorization: 'Bearer x'}, body: '{}'}`,
	} {
		for _, path := range []string{"api/scan", "api/v1/auth/logout"} {
			js[string](evil, fmt.Sprintf(`fetch('%s%s', %s).then((r) => r.type, (e) => e.name)`, w.url, path, init))
			if n := w.requests(`"method":"POST"`, `"route":"/`+path+`"`, `"status":2`); n != 0 {
				t.Errorf("%s to %s went through", name, path)
			}
		}
	}
	if n := w.requests(`"method":"POST"`, `"route":"/api/scan"`, `"status":403`); n != 1 {
		t.Errorf("%d requests were refused, want the simple one; the others are stopped by the browser", n)
	}
	js[bool](evil, fmt.Sprintf(`new Promise((done) => {
		const form = Object.assign(document.createElement('form'), {method: 'post', action: '%sapi/v1/auth/logout', target: 'hole'});
		document.body.append(Object.assign(document.createElement('iframe'), {name: 'hole', onload: () => done(true)}), form);
		form.submit();
	})`, w.url))
	testbed.Eventually(t, patience, func() error {
		if w.requests(`"route":"/api/v1/auth/logout"`, `"status":403`) == 0 {
			return fmt.Errorf("the form wasn't refused: %s", w.out)
		}
		return nil
	})

	if got := js[string](evil, fmt.Sprintf(`new Promise((done) => {
		const socket = new WebSocket('%sapi/events/ws');
		socket.onopen = () => done('open');
		socket.onmessage = ({data}) => done(data);
		socket.onerror = () => done('refused');
	})`, strings.Replace(w.url, "http:", "ws:", 1))); got != "refused" {
		t.Errorf("the socket: %s", got)
	}
	if n := w.requests(`"route":"/api/events/ws"`, `"status":403`) - sockets; n != 1 {
		t.Errorf("%d sockets were refused", n)
	}
	files := w.requests(`"route":"/assets/*path"`)
	js[bool](evil, fmt.Sprintf(`new Promise((done) => { // a page that loads has its scripts before it says so
		document.body.append(Object.assign(document.createElement('iframe'), {src: '%s', onload: () => done(true)}));
	})`, w.url))
	if n := w.requests(`"route":"/assets/*path"`) - files; n != 0 {
		t.Errorf("the page loads in a frame, and asks for %d files", n)
	}
	ours.open(w.url).heads("Your account")
	ours.clean()
}

// behind puts a reverse proxy with TLS before the program: https://NAME:PORT.
// It gives the program another Host, as most proxies do.
func behind(t *testing.T, name string, set func(*httputil.ProxyRequest)) (origin string, to func(*world)) {
	t.Helper()
	var target *url.URL
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = target.Host
		set(r)
	}}
	s := httptest.NewTLSServer(proxy)
	t.Cleanup(s.Close)
	at, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	return "https://" + name + ":" + at.Port(), func(w *world) {
		if target, err = url.Parse(w.url); err != nil {
			t.Fatal(err)
		}
	}
}

// wholeWay is a first sign-in with a passkey, one more, and a look at the rest.
func wholeWay(t *testing.T, p *page, address string) {
	t.Helper()
	laptop := p.laptop()
	p.login(address).heads("Set up a second factor").fill("Name of the passkey", "Laptop").press("Create a passkey").heads("Recovery codes")
	p.press("I have kept the codes").heads("Your account").sees("for watch.example").sees("Live ·")
	if all := p.credentials(laptop); len(all) != 1 || all[0].RpID != "watch.example" {
		t.Errorf("the authenticator has %+v", all)
	}
	p.press("Sign out").heads("Sign in").press("Sign in with a passkey").heads("Your account").sees("Live ·")
	p.open(address).heads("Your account").press("Sign out").heads("Sign in")
	p.clean()
}

func TestBehindAProxyOnAnotherNameAndUnderASubPath(t *testing.T) {
	for name, c := range map[string]struct {
		path    string
		env     []string
		set     func(*httputil.ProxyRequest)
		refused bool
	}{
		"the public URL is known": {path: "/apps/watch/"},
		"the public URL is known, the proxy strips its path": {path: "/apps/watch/", set: func(r *httputil.ProxyRequest) {
			r.Out.URL.Path = "/" + strings.TrimPrefix(r.In.URL.Path, "/apps/watch/")
		}},
		"the proxy is trusted": {path: "/", env: []string{"WATCH_SERVER_TRUSTED_PROXIES=127.0.0.0/8"}, set: func(r *httputil.ProxyRequest) { r.SetXForwarded() }},
	} {
		t.Run(name, func(t *testing.T) {
			set := c.set
			if set == nil {
				set = func(*httputil.ProxyRequest) {}
			}
			origin, to := behind(t, "watch.example", set)
			env := append(append(anAccount(), required), c.env...)
			if c.env == nil {
				env = append(env, "WATCH_SERVER_BASE_URL="+origin+c.path)
			}
			w := newWorld(t, env...)
			to(w)
			p := newPage(t)
			wholeWay(t, p, origin+c.path)
			if c.path != "/" && c.set == nil {
				p.open(origin + strings.TrimSuffix(c.path, "/")).heads("Sign in")
				if at := js[string](p, `location.pathname`); at != c.path {
					t.Errorf("the page is at %s", at)
				}
			}
		})
	}
}

// Nothing tells the program where the browser has it: it takes itself for what
// the proxy calls it.
func TestBehindAProxyThatNobodyNamedThePageSaysWhatToMend(t *testing.T) {
	origin, to := behind(t, "watch.example", func(*httputil.ProxyRequest) {})
	w := newWorld(t, anAccount()...)
	to(w)
	p := newPage(t)
	p.laptop()
	p.login(origin + "/").heads("Your account").sees("No live view: ").sees("server.baseURL")
	p.press("Create a passkey").fill("Name of the passkey", "Laptop").press("Create a passkey").sees("server.baseURL").press("Cancel")
	p.heads("Your account").press("Sign out").heads("Sign in")
	p.clean()
}
