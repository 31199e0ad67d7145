package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"

	"github.com/watch-docker/watch-docker/internal/api"
	"github.com/watch-docker/watch-docker/internal/auth"
)

const events = "/api/events/ws"

// dial opens the events' socket; a refusal is the answer that it got.
func (w *world) dial(options ...option) (*websocket.Conn, answer) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), "GET", w.url+events, http.NoBody)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, o := range options {
		o(req)
	}
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	conn, res, err := websocket.Dial(ctx, w.url+events, &websocket.DialOptions{HTTPClient: w.client, HTTPHeader: req.Header, Host: req.Host})
	if err != nil && res == nil {
		w.t.Fatal(err)
	}
	if err == nil {
		w.t.Cleanup(func() { _ = conn.CloseNow() })
		return conn, answer{t: w.t, status: res.StatusCode, header: res.Header}
	}
	text, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	a := answer{t: w.t, status: res.StatusCode, header: res.Header, text: string(text)}
	if err := json.Unmarshal(text, &a.json); err != nil {
		w.t.Fatalf("%s is no JSON", text)
	}
	return nil, a
}

// open dials, and reads the snapshot.
func (w *world) open(options ...option) *websocket.Conn {
	w.t.Helper()
	conn, a := w.dial(options...)
	if conn == nil {
		w.t.Fatal(a)
	}
	if first := w.read(conn); first.get("type") != "snapshot" {
		w.t.Fatal(first)
	}
	return conn
}

func (w *world) read(conn *websocket.Conn) answer {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	kind, text, err := conn.Read(ctx)
	if err != nil || kind != websocket.MessageText {
		w.t.Fatalf("%v %s: %v", kind, text, err)
	}
	a := answer{t: w.t, text: string(text)}
	if err := json.Unmarshal(text, &a.json); err != nil {
		w.t.Fatal(err)
	}
	return a
}

// closes waits until the server closes the socket.
func closes(t *testing.T, conn *websocket.Conn, code websocket.StatusCode, reason string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, text, err := conn.Read(ctx)
	var closed websocket.CloseError
	if !errors.As(err, &closed) || closed.Code != code || !strings.Contains(closed.Reason, reason) {
		t.Errorf("got %q, %v; want it closed with %v, %s", text, err, code, reason)
	}
}

// allEnd waits until the server has no socket any more.
func allEnd(t *testing.T, open *sync.WaitGroup) {
	t.Helper()
	ended := make(chan struct{})
	go func() { open.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Fatal("a socket is still open")
	}
}

func TestTheEventsBeginWithWhatTheListOfContainersGives(t *testing.T) {
	w := newWorld(t, func(d *api.Dependencies) { d.Auth = roles{} })
	conn, a := w.dial(bearer("viewer"))
	if conn == nil {
		t.Fatal(a)
	}
	got := w.read(conn).json.(map[string]any)
	if got["type"] != "snapshot" || got["seq"] != float64(1) {
		t.Errorf("got %v", got)
	}
	live := map[string]any{
		"operations": []any{}, "engine": map[string]any{"reachable": true},
		"scan": map[string]any{"running": false, "done": 0.0, "total": 0.0, "scannedAt": "2026-01-02T00:00:00Z"},
	}
	for name, want := range live {
		if diff := cmp.Diff(want, got[name]); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		delete(got, name)
	}
	delete(got, "type")
	delete(got, "seq")
	if diff := cmp.Diff(w.do("GET", "/api/containers", bearer("viewer")).json, any(got)); diff != "" {
		t.Error(diff)
	}
	if err := conn.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Error(err)
	}
}

func TestASocketByCookieIsForOurOwnPagesAlone(t *testing.T) {
	w := newWorld(t, func(d *api.Dependencies) { d.Auth, d.CORSOrigins = roles{}, []string{friend} })
	cookie, host := header("Cookie", "watch-docker=viewer"), func(r *http.Request) { r.Host = "nas.example:8080" }
	for _, origin := range []string{
		"", "null", "http://nas.example", "https://nas.example:8080", "http://nas.example:8081", "http://evil.nas.example:8080", stranger,
		"http://nas.example:8080.evil.example", "http://nas.example:8080/", "http://NAS.example:8080",
	} {
		conn, a := w.dial(cookie, host, header("Origin", origin))
		if conn != nil {
			t.Errorf("%q is let in", origin)
			continue
		}
		a.is(http.StatusForbidden, "cross_origin")
		if !strings.Contains(a.text, "server.baseURL") || !strings.Contains(a.text, "http://nas.example:8080") {
			t.Errorf("it isn't said what to mend: %s", a)
		}
	}
	for _, origin := range []string{"http://nas.example:8080", friend} {
		w.open(cookie, host, header("Origin", origin))
	}
	// No page can send this header.
	w.open(bearer("viewer"), host)
	w.open(bearer("viewer"), host, header("Origin", stranger))
	for name, o := range map[string]option{"nobody": host, "a word": bearer("visitor"), "Basic": header("Authorization", "Basic YTpi")} {
		conn, a := w.dial(o)
		if conn != nil || a.status != http.StatusUnauthorized && a.status != http.StatusForbidden {
			t.Errorf("%s: %v", name, a)
		}
	}
	a := w.do("GET", events+"?token=viewer&access_token=viewer")
	a.is(http.StatusUnauthorized, "unauthorized")
}

func TestBehindAProxyTheOriginOfASocketIsTheBrowsers(t *testing.T) {
	w := newWorld(t, func(d *api.Dependencies) { d.Auth = roles{}; behind(d) })
	options := []option{header("Cookie", "__Host-watch-docker=viewer"), header("X-Forwarded-Proto", "https"), header("X-Forwarded-Host", "watch.example")}
	w.open(append(options, header("Origin", "https://watch.example"))...)
	if conn, a := w.dial(append(options, header("Origin", w.url))...); conn != nil || a.status != http.StatusForbidden {
		t.Errorf("by its inner name: %v", a)
	}
}

func TestASocketEndsWithItsSessionItsTokenOrTheProgram(t *testing.T) {
	ended, closing := make(chan struct{}), make(chan struct{})
	for name, c := range map[string]struct {
		auth    roles
		closing chan struct{}
		end     func()
		code    websocket.StatusCode
		reason  string
	}{
		"the session": {roles{ended: ended}, nil, func() { close(ended) }, websocket.StatusPolicyViolation, "session has ended"},
		"the token":   {roles{life: 3 * time.Second}, nil, func() {}, websocket.StatusPolicyViolation, "token has expired"},
		"the program": {roles{}, closing, func() { close(closing) }, websocket.StatusGoingAway, "stopping"},
	} {
		t.Run(name, func(t *testing.T) {
			var open sync.WaitGroup
			w := newWorld(t, func(d *api.Dependencies) { d.Auth, d.Closing, d.Sockets = c.auth, c.closing, &open })
			conn := w.open(bearer("viewer"))
			c.end()
			closes(t, conn, c.code, c.reason)
			allEnd(t, &open)
			if c.closing != nil {
				_, a := w.dial(bearer("viewer"))
				a.is(http.StatusServiceUnavailable, "overloaded")
			}
		})
	}
}

func TestAPeerThatDoesNotAnswerIsLetGo(t *testing.T) {
	var open sync.WaitGroup
	w := newWorld(t, func(d *api.Dependencies) { d.Auth, d.Sockets, d.PingEvery = roles{}, &open, 50*time.Millisecond })
	lively := w.open(bearer("viewer"))
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, _, err := lively.Read(ctx); !errors.Is(err, context.DeadlineExceeded) { // reading answers pings
		t.Errorf("one that answers: %v", err)
	}
	w.open(bearer("viewer")) // nobody reads it, so no ping is answered
	allEnd(t, &open)         // neither did the first, once its context had ended
}

func TestWhatAPeerSendsIsLimitedAndIgnored(t *testing.T) {
	ended := make(chan struct{})
	w := newWorld(t, func(d *api.Dependencies) { d.Auth = roles{ended: ended} })
	send := func(conn *websocket.Conn, text string) {
		t.Helper()
		if err := conn.Write(t.Context(), websocket.MessageText, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	chatty, flooding := w.open(bearer("viewer")), w.open(bearer("viewer"))
	for range 100 {
		send(chatty, `{"type":"subscribe"}`)
	}
	send(flooding, strings.Repeat("x", 5<<10))
	closes(t, flooding, websocket.StatusMessageTooBig, "")
	close(ended)
	closes(t, chatty, websocket.StatusPolicyViolation, "session has ended")
}

func TestSocketsAreLimitedByUserAndInAll(t *testing.T) {
	closing := make(chan struct{})
	var open sync.WaitGroup
	w := newWorld(t, func(d *api.Dependencies) { d.Auth, d.Closing, d.Sockets = roles{}, closing, &open })
	for user := range 16 {
		var dialing sync.WaitGroup
		for range 64 {
			dialing.Go(func() { w.open(bearer(fmt.Sprintf("u%d/viewer", user))) })
		}
		dialing.Wait()
		if user == 0 {
			_, a := w.dial(bearer("u0/viewer"))
			a.is(http.StatusServiceUnavailable, "too_many_sockets")
		}
	}
	_, a := w.dial(bearer("another/viewer"))
	a.is(http.StatusServiceUnavailable, "too_many_sockets")
	if a.header.Get("Retry-After") == "" {
		t.Errorf("no Retry-After: %v", a.header)
	}
	close(closing)
}

func TestARequestThatIsNoHandshakeIsAProblem(t *testing.T) {
	w := newWorld(t, func(d *api.Dependencies) { d.Auth = roles{} })
	a := w.do("GET", events, bearer("viewer"))
	a.is(http.StatusUpgradeRequired, "websocket_expected")
	if a.header.Get("Upgrade") != "websocket" {
		t.Error(a.header)
	}
	w.do("GET", events, bearer("viewer"), header("Connection", "Upgrade"), header("Upgrade", "websocket"), header("Sec-WebSocket-Version", "8")).
		is(http.StatusBadRequest, "websocket_expected")
	if conn := w.open(bearer("viewer")); conn == nil {
		t.Error("no place was given back")
	}
}

func TestASocketEndsWithTheLogoutOfItsSessionAlone(t *testing.T) {
	w := newWorld(t).signIn()
	first, other := w.token, w.open(bearer(w.token))
	w.signIn()
	conn := w.open(header("Cookie", "watch-docker="+w.token), header("Origin", w.url))
	if a := w.as("POST", "/api/v1/auth/logout"); a.status != http.StatusNoContent {
		t.Fatal(a)
	}
	closes(t, conn, websocket.StatusPolicyViolation, "session has ended")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	other.CloseRead(ctx)
	if err := other.Ping(ctx); err != nil {
		t.Errorf("the other session's: %v", err)
	}
	if a := w.do("GET", "/api/v1/auth/me", bearer(first)); a.status != http.StatusOK {
		t.Error(a)
	}
}

func TestASocketEndsOnceItsSessionCountsNoMore(t *testing.T) {
	often := func(d *api.Dependencies) { d.PingEvery = 500 * time.Millisecond }
	w := newWorld(t, often).signIn()
	conn := w.open(bearer(w.token))
	w.required.Store(true) // as a changed configuration does
	closes(t, conn, websocket.StatusPolicyViolation, "session has ended")

	w = newWorld(t, often).signIn()
	token, _ := w.as("POST", "/api/v1/auth/tokens", raw(`{"name":"x","scope":"admin"}`)).get("token").(string)
	if _, err := w.auth.AddUser(t.Context(), "bob", password, auth.Administrator); err != nil {
		t.Fatal(err)
	}
	conn = w.open(bearer(token))
	if err := w.store.SetRole(t.Context(), userName, "viewer"); err != nil { // as if the end of its sockets had come too early
		t.Fatal(err)
	}
	closes(t, conn, websocket.StatusPolicyViolation, "session has ended")
}
