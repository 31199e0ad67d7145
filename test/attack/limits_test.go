package attack_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/watch-docker/watch-docker/test/testbed"
)

// connect opens a bare connection from an address of its own.
func (w *world) connect() net.Conn {
	w.Helper()
	return w.connectAt(nextAddress())
}

func (w *world) connectAt(address string) net.Conn {
	w.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}, Timeout: patience}
	conn, err := dialer.DialContext(w.Context(), "tcp", w.addr)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { _ = conn.Close() })
	return conn
}

// send writes bytes to a connection of their own and gives the answers that
// come before it is closed.
func (w *world) send(text string) []*http.Response {
	w.Helper()
	conn := w.connect()
	_ = conn.SetDeadline(time.Now().Add(patience))
	go func() { _, _ = io.WriteString(conn, text) }() // the server may answer before it has read all
	var all []*http.Response
	for r := bufio.NewReader(conn); ; {
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			return all
		}
		body, err := io.ReadAll(res.Body)
		res.Body = io.NopCloser(bytes.NewReader(body))
		all = append(all, res)
		if err != nil || res.Close {
			return all
		}
	}
}

func statuses(answers []*http.Response) (all []int) {
	for _, a := range answers {
		all = append(all, a.StatusCode)
	}
	return all
}

func TestHeadersAndBodiesHaveLimits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.signIn()
	for what, o := range map[string]option{
		"one long header": header("X-Long", strings.Repeat("x", 80<<10)),
		"a long cookie":   header("Cookie", "watch-docker="+strings.Repeat("x", 80<<10)),
		"a long token":    header("Authorization", "Bearer "+strings.Repeat("x", 80<<10)),
		"many headers": func(r *http.Request) {
			for i := range 2000 {
				r.Header.Set(fmt.Sprint("X-Header-", i), strings.Repeat("x", 50))
			}
		},
	} {
		if a := w.client().do("GET", "/healthz", nil, o); a.status != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("%s: %s", what, a)
		}
	}
	w.rejected("a token that is long, but not too long for a header", strings.Repeat("x", 30<<10))
	if a := w.client().do("GET", "/api/containers?q="+strings.Repeat("x", 80<<10), nil); a.status < 400 || a.status >= 500 {
		t.Errorf("a long query: %d", a.status)
	}
	long := `{"username":"ann","password":"` + strings.Repeat("x", 2<<20) + `"}`
	refused(t, c.do("POST", "/api/v1/auth/login", nil, raw(long)), http.StatusRequestEntityTooLarge, "body_too_large")
	chunked := func(r *http.Request) { r.Body, r.ContentLength = io.NopCloser(strings.NewReader(long)), -1 }
	refused(t, c.do("POST", "/api/v1/auth/login", nil, chunked), http.StatusRequestEntityTooLarge, "body_too_large")
	if !c.alive() {
		t.Error("the program doesn't answer any more")
	}
}

func TestABodyThatIsNotWhatTheRouteTakesIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.client()
	login := func(body string, options ...option) answer {
		return w.client().do("POST", "/api/v1/auth/login", nil, append([]option{raw(body)}, options...)...)
	}
	good := `{"username":"` + owner + `","password":"` + password + `"}`
	for what, body := range map[string]string{
		"nothing":              "",
		"no JSON":              "username=ann&password=x",
		"half of it":           good[:len(good)-5],
		"deep lists":           strings.Repeat("[", 200_000),
		"deep objects":         strings.Repeat(`{"username":`, 50_000),
		"deep within a field":  `{"username":` + strings.Repeat("[", 200_000) + strings.Repeat("]", 200_000) + `,"password":"x"}`,
		"a huge number":        `{"username":1e999999,"password":"x"}`,
		"a long number":        `{"username":` + strings.Repeat("9", 100_000) + `,"password":"x"}`,
		"a list":               "[" + good + "]",
		"null":                 "null",
		"fields that are null": `{"username":null,"password":null}`,
		"an object as a name":  `{"username":{"$ne":""},"password":{"$ne":""}}`,
		"an unknown field":     `{"username":"` + owner + `","password":"` + password + `","role":"admin"}`,
		"something after it":   good + good,
		"no UTF-8":             "{\"username\":\"\xff\xfe\",\"password\":\"x\xc0\xaf\",\"x\":1}",
	} {
		if a := login(body); a.status < 400 || a.status >= 500 || a.text("token") != "" {
			t.Errorf("%s: %s", what, a)
		}
	}
	// Two of a field: whichever is taken, a checker before us mustn't see the other.
	for _, body := range []string{
		`{"username":"eve","username":"` + owner + `","password":"` + password + `"}`,
		`{"username":"` + owner + `","password":"wrong wrong","password":"` + password + `"}`,
		`{"username":"` + owner + `","Password":"` + password + `","password":"wrong wrong"}`,
		`{"username":"` + owner + `","password":"` + password + `","\u0070assword":"` + password + `"}`,
	} {
		if a := login(body); a.status < 400 || a.status >= 500 {
			t.Errorf("a field twice: %s", a)
		}
	}
	for _, kind := range []string{"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/xml", "application/cbor", "text/json"} {
		if a := login(good, header("Content-Type", kind)); a.status != http.StatusUnsupportedMediaType {
			t.Errorf("a body of type %s: %s", kind, a)
		}
	}
	for _, encoding := range []string{"gzip", "deflate", "br"} {
		if a := login(good, header("Content-Encoding", encoding)); a.status >= 500 {
			t.Errorf("a body said to be %s: %s", encoding, a)
		}
	}
	if a := c.login(owner, password); a.status != http.StatusOK {
		t.Errorf("after all that: %s", a)
	}
}

func TestARequestCantHideAnother(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	hidden := "GET /api/config HTTP/1.1\r\nHost: " + w.host + "\r\nX-Hidden: yes\r\n\r\n"
	post := func(headers, body string) string {
		return "POST /api/v1/auth/login HTTP/1.1\r\nHost: " + w.host + "\r\nContent-Type: application/json\r\n" + headers + "\r\n\r\n" + body
	}
	for what, text := range map[string]string{
		"two lengths":            post("Content-Length: 2\r\nContent-Length: 60", "{}"+hidden),
		"a list of lengths":      post("Content-Length: 2, 60", "{}"+hidden),
		"a signed length":        post("Content-Length: +2", "{}"+hidden),
		"a hexadecimal length":   post("Content-Length: 0x2", "{}"+hidden),
		"a space in a name":      post("Transfer-Encoding : chunked\r\nContent-Length: 2", "{}"+hidden),
		"a tab before the value": post("Transfer-Encoding:\x0bchunked", "0\r\n\r\n"+hidden),
		"another encoding":       post("Transfer-Encoding: xchunked", "0\r\n\r\n"+hidden),
		"two encodings":          post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", "0\r\n\r\n"+hidden),
		"encodings in a list":    post("Transfer-Encoding: identity, chunked", "0\r\n\r\n"+hidden),
		"two hosts":              post("Host: evil.example\r\nContent-Length: 2", "{}"+hidden),
		"a bare line feed":       post("Content-Length: 2\r\nX: a\nTransfer-Encoding : chunked", "{}"+hidden),
		"a chunk's size twisted": post("Transfer-Encoding: chunked", "0x1\r\n{\r\n0\r\n\r\n"+hidden),
		"an old version":         "GET /healthz HTTP/0.9\r\n\r\n" + hidden,
		"no host":                "GET /healthz HTTP/1.1\r\n\r\n" + hidden,
	} {
		answers := w.send(text)
		if len(answers) != 1 || answers[0].StatusCode < 400 || answers[0].StatusCode == http.StatusInternalServerError {
			t.Errorf("%s: the answers are %v, want one refusal", what, statuses(answers))
		}
	}
	// Both a length and chunks (RFC 9112, 6.3): the chunks count, for all to see.
	answers := w.send(post("Connection: close\r\nContent-Length: 100\r\nTransfer-Encoding: chunked", "2\r\n{}\r\n0\r\n\r\n"))
	if len(answers) != 1 || answers[0].StatusCode < 400 {
		t.Errorf("a length and chunks: the answers are %v", statuses(answers))
	}
}

// slowly writes a request's bytes one at a time until the server has had enough.
func slowly(t testing.TB, conn net.Conn, head, drip string) time.Duration {
	t.Helper()
	began := time.Now()
	if _, err := io.WriteString(conn, head); err != nil {
		t.Fatal(err)
	}
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		_, _ = io.Copy(io.Discard, conn)
	}()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(time.Minute)
	for {
		select {
		case <-closed:
			return time.Since(began)
		case <-deadline:
			t.Error("a slow request is still waited for after a minute")
			return time.Minute
		case <-tick.C:
			_, _ = io.WriteString(conn, drip)
		}
	}
}

func TestSlowRequestsAreCutAndHoldNobodyUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.signIn()
	const each = 50
	head := "POST /api/v1/auth/login HTTP/1.1\r\nHost: " + w.host + "\r\nContent-Type: application/json\r\n"
	ended := make(chan time.Duration, 2*each)
	for range each {
		headers, body := w.connect(), w.connect()
		go func() { ended <- slowly(t, headers, head, "X: y\r\n") }()
		go func() { ended <- slowly(t, body, head+"Content-Length: 100000\r\n\r\n{\"username\":\"", "x") }()
	}
	for range 20 {
		began := time.Now()
		c.must("GET", "/api/v1/auth/me", nil)
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("beside slow requests an answer took %s", took)
		}
	}
	w.signIn() // slow bodies haven't taken the turns of passwords
	for range 2 * each {
		if took := <-ended; took > 30*time.Second {
			t.Errorf("a slow request was cut after %s", took)
		}
	}
}

func TestAThousandIdleConnectionsCostLittleAndAreReleased(t *testing.T) {
	w := newWorld(t) // alone: it measures the process
	c := w.signIn()
	before := inUse()
	conns := make([]net.Conn, 1000)
	address := nextAddress()
	for i := range conns {
		conns[i] = w.connectAt(address)
	}
	if !c.alive() {
		t.Error("beside idle connections the program doesn't answer")
	}
	w.signIn()
	if grown := int64(inUse()) - int64(before); grown > 64<<20 {
		t.Errorf("a thousand idle connections take %d MiB", grown>>20)
	}
	deadline := time.Now().Add(patience)
	for _, conn := range conns {
		_ = conn.SetReadDeadline(deadline)
		if n, err := conn.Read(make([]byte, 1)); n > 0 || isTimeout(err) {
			t.Fatalf("an idle connection is kept: %d bytes, %v", n, err)
		}
	}
}

func isTimeout(err error) bool {
	timeout, ok := err.(net.Error) //nolint:errorlint // of net.Conn itself
	return ok && timeout.Timeout()
}

func inUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

func TestSocketsHaveALimitAndAreReleased(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.signIn()
	w.addUser(ann, "bob", "viewer")
	bob := w.signInAs("bob", password)
	var open []*websocket.Conn
	for {
		conn, a := ann.socket()
		if conn == nil {
			refused := a.status == http.StatusServiceUnavailable || a.status == http.StatusTooManyRequests
			if !refused || a.retryAfter() <= 0 {
				t.Errorf("one socket too many: %d %v", a.status, a.header)
			}
			break
		}
		if open = append(open, conn); len(open) > 1000 {
			t.Fatal("one user may have more than a thousand sockets")
		}
	}
	if conn, a := bob.socket(); conn == nil {
		t.Errorf("one user's sockets keep another out: %d", a.status)
	}
	if !ann.alive() {
		t.Error("beside sockets the program doesn't answer")
	}
	for _, conn := range open {
		_ = conn.CloseNow()
	}
	testbed.Eventually(t, patience, func() error {
		if conn, a := ann.socket(); conn == nil {
			return fmt.Errorf("after all were closed: %d", a.status)
		}
		return nil
	})
}
