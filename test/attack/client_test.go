package attack_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// client is one user agent, at an address of its own. It sends its token as a
// header, or its cookies as a browser would.
type client struct {
	*world

	address string
	http    *http.Client
	token   string
	cookies map[string]string // nil: it keeps none
}

// client is a program that keeps no cookies.
func (w *world) client() *client { return w.clientAt(nextAddress()) }

func (w *world) clientAt(address string) *client {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}, Timeout: 10 * time.Second}
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "tcp", w.addr)
		},
		TLSClientConfig: w.tls, MaxIdleConnsPerHost: 64,
	}
	w.Cleanup(transport.CloseIdleConnections)
	return &client{world: w, address: address, http: &http.Client{
		Transport: transport, Timeout: time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// browser is a client that keeps cookies.
func (w *world) browser() *client {
	c := w.client()
	c.cookies = map[string]string{}
	return c
}

// with is the same client with another token.
func (c *client) with(token string) *client {
	other := *c
	other.token, other.cookies = token, nil
	return &other
}

type option func(*http.Request)

func header(name, value string) option { return func(r *http.Request) { r.Header.Set(name, value) } }

func hostHeader(host string) option { return func(r *http.Request) { r.Host = host } }

// raw replaces the body, which stays JSON by its type.
func raw(body string) option {
	return func(r *http.Request) {
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
	}
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
	json   any
}

func (a answer) String() string { return fmt.Sprintf("%d %s", a.status, a.body) }

// get finds a value: get("error", "code"); nil if it isn't there.
func (a answer) get(path ...any) any {
	v := a.json
	for _, p := range path {
		switch p := p.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[p]
		case int:
			l, _ := v.([]any)
			if p >= len(l) {
				return nil
			}
			v = l[p]
		}
	}
	return v
}

func (a answer) text(path ...any) string {
	s, _ := a.get(path...).(string)
	return s
}

func (a answer) code() string { return a.text("code") }

// retryAfter is the header in seconds; 0 without one.
func (a answer) retryAfter() time.Duration {
	n, _ := strconv.Atoi(a.header.Get("Retry-After"))
	return time.Duration(n) * time.Second
}

// do sends a request. A nil body is none.
func (c *client) do(method, path string, body any, options ...option) answer {
	c.Helper()
	a, err := c.try(method, path, body, options...)
	if err != nil {
		c.Fatalf("%s %s: %v", method, path, err)
	}
	return a
}

func (c *client) try(method, path string, body any, options ...option) (answer, error) {
	req, err := c.request(method, path, body, options...)
	if err != nil {
		return answer{}, err
	}
	res, err := c.http.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return answer{}, err
	}
	a := answer{status: res.StatusCode, header: res.Header, body: string(text)}
	_ = json.Unmarshal(text, &a.json) // what is no JSON has no values
	if c.cookies != nil {
		for _, cookie := range res.Cookies() {
			c.cookies[cookie.Name] = cookie.Value
			if cookie.MaxAge < 0 {
				delete(c.cookies, cookie.Name)
			}
		}
	}
	return a, nil
}

func (c *client) request(method, path string, body any, options ...option) (*http.Request, error) {
	scheme, content := "http", io.Reader(http.NoBody)
	if c.tls != nil {
		scheme = "https"
	}
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(c.Context(), method, scheme+"://"+c.host+path, content)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "attack")
	if method != http.MethodGet {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	for _, name := range slices.Sorted(maps.Keys(c.cookies)) {
		req.AddCookie(&http.Cookie{Name: name, Value: c.cookies[name]})
	}
	for _, o := range options {
		o(req)
	}
	return req, nil
}

// hold sends a request up to its body, and gives what sends that: the server
// has let the request in by then, as its "100 Continue" shows.
func (c *client) hold(path string, body any) (release func() answer) {
	c.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		c.Fatal(err)
	}
	conn := c.connectAt(c.address)
	_, err = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n",
		path, c.host, c.token, len(text))
	r := bufio.NewReader(conn)
	if res, readErr := http.ReadResponse(r, nil); err != nil || readErr != nil || res.StatusCode != http.StatusContinue {
		c.Fatalf("%s isn't let in: %v %v %v", path, res, err, readErr)
	}
	return func() answer {
		_, err := conn.Write(text)
		res, readErr := http.ReadResponse(r, nil)
		if err != nil || readErr != nil {
			c.Errorf("%s: %v %v", path, err, readErr)
			return answer{}
		}
		body, _ := io.ReadAll(res.Body)
		return answer{status: res.StatusCode, header: res.Header, body: string(body)}
	}
}

// must is do for what is to work: 2xx.
func (c *client) must(method, path string, body any, options ...option) answer {
	c.Helper()
	a := c.do(method, path, body, options...)
	if a.status < 200 || a.status > 299 {
		c.Fatalf("%s %s: %s", method, path, a)
	}
	return a
}

// login signs in with a password and keeps what token there is. A browser
// keeps it as a cookie alone.
func (c *client) login(user, password string, options ...option) answer {
	c.Helper()
	a := c.do("POST", "/api/v1/auth/login", map[string]string{"username": user, "password": password}, options...)
	c.keep(a)
	return a
}

func (c *client) keep(a answer) {
	token := a.text("token")
	if token == "" {
		token = a.text("tempToken")
	}
	if token != "" && c.cookies == nil {
		c.token = token
	}
}

// temporary signs in as somebody who has a factor, as far as the password gets.
func (w *world) temporary(user string) *client {
	w.Helper()
	c := w.client()
	if a := c.login(user, password); a.status != http.StatusOK || a.text("tempToken") == "" || a.text("token") != "" {
		w.Fatalf("signing in as %s, who has a second factor: %s", user, a)
	}
	return c
}

// alive says whether the client's token still counts.
func (c *client) alive() bool {
	c.Helper()
	return c.do("GET", "/api/v1/auth/me", nil).status == http.StatusOK
}

// refused checks a refusal: its status and code.
func refused(t testing.TB, a answer, status int, code string) {
	t.Helper()
	if a.status != status || a.code() != code {
		t.Errorf("got %s, want %d %s", a, status, code)
	}
}

// slowed checks that a guess was refused unheard, and says for how long.
func slowed(t testing.TB, a answer) time.Duration {
	t.Helper()
	refused(t, a, http.StatusTooManyRequests, "too_many_attempts")
	if a.retryAfter() <= 0 {
		t.Errorf("a refusal without Retry-After: %v", a.header)
	}
	return a.retryAfter()
}
