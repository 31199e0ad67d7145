package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"

	"github.com/watch-docker/watch-docker/internal/api"
	"github.com/watch-docker/watch-docker/internal/containerlog"
)

// fakeLogs have one line for each container, which is JSON.
type fakeLogs struct{ *fakes }

func lineOf(text string) containerlog.Line {
	var l containerlog.Line
	l.Stream, l.Text, l.T = "stdout", []byte(text), time.Date(2026, 1, 2, 3, 4, 5, 60, time.UTC)
	return l
}

func (f fakeLogs) Container(_ context.Context, id, _ string, _ containerlog.Request, to containerlog.Sink) error {
	return errors.Join(f.note("logs of %s", nameOf(id)), to.Line(lineOf(`{"of":"`+nameOf(id)+`"}`)))
}

func (f fakeLogs) HasProject(_ context.Context, p containerlog.Project) error {
	if p.Name != "Shop" {
		return fmt.Errorf("%w: %s", containerlog.ErrNoProject, p.Name)
	}
	return nil
}

func (f fakeLogs) Project(_ context.Context, p containerlog.Project, _ containerlog.Request, to containerlog.Sink) error {
	l := lineOf("\x1b[31mred\x1b[0m\t\"quoted\" \\ \u2400 é")
	l.Service, l.Number, l.Cut = strings.Join(p.Services, "+"), "2", true
	return to.Line(l)
}

// scripted is a log that a test writes.
type scripted struct {
	api.Logs

	read func(ctx context.Context, r containerlog.Request, to containerlog.Sink) error
}

func (s scripted) Container(ctx context.Context, _, _ string, r containerlog.Request, to containerlog.Sink) error {
	return s.read(ctx, r, to)
}

// logs opens a socket for logs; a refusal is an answer.
func (w *world) logs(path string) (*websocket.Conn, answer) {
	w.t.Helper()
	conn, res, err := websocket.Dial(w.t.Context(), w.url+path, &websocket.DialOptions{HTTPClient: w.client, HTTPHeader: http.Header{"Authorization": {"Bearer viewer"}}})
	if err != nil {
		if res == nil {
			w.t.Fatal(err)
		}
		return nil, w.do("GET", path, bearer("viewer"), header("Connection", "Upgrade"), header("Upgrade", "websocket"), header("Sec-WebSocket-Version", "13"))
	}
	conn.SetReadLimit(-1)
	w.t.Cleanup(func() { _ = conn.CloseNow() })
	return conn, answer{}
}

func asViewers(d *api.Dependencies) { d.Auth = roles{} }

func TestALogIsDownloadedAsAFile(t *testing.T) {
	w := newWorld(t, asViewers)
	a := w.do("GET", "/api/containers/web/logs?tail=5&timestamps=false", bearer("viewer"))
	if a.status != http.StatusOK || a.text != "{\"of\":\"web\"}\n" || a.header.Get("Content-Type") != "text/plain; charset=utf-8" ||
		a.header.Get("Content-Disposition") != "attachment; filename=web.log" {
		t.Errorf("%s %v", a, a.header)
	}
	w.do("GET", "/api/containers/nothing/logs", bearer("viewer")).is(http.StatusNotFound, "container_not_found")
	w.failWith(fmt.Errorf("x: %w: its log driver is none", containerlog.ErrUnavailable))
	w.do("GET", "/api/containers/web/logs", bearer("viewer")).is(http.StatusConflict, "logs_unavailable")
	w.failWith(api.ErrEngineUnavailable)
	w.do("GET", "/api/containers/web/logs", bearer("viewer")).is(http.StatusServiceUnavailable, "engine_unavailable")
}

func TestADownloadThatBreaksOffIsNoWholeFile(t *testing.T) {
	asked := 0
	w := newWorld(t, asViewers, func(d *api.Dependencies) {
		d.Logs = scripted{read: func(_ context.Context, _ containerlog.Request, to containerlog.Sink) error {
			if asked++; asked == 1 { // whether it can be read
				return nil
			}
			for range 10_000 {
				_ = to.Line(lineOf("a line of some length"))
			}
			return api.ErrEngineUnavailable
		}}
	})
	req, _ := http.NewRequestWithContext(t.Context(), "GET", w.url+"/api/containers/web/logs", http.NoBody)
	req.Header.Set("Authorization", "Bearer viewer")
	res, err := w.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(new(any)); err == nil {
		t.Error("it is JSON")
	}
	buf := make([]byte, 64<<10)
	for err = nil; err == nil; {
		_, err = res.Body.Read(buf)
	}
	if !strings.Contains(err.Error(), "unexpected EOF") {
		t.Errorf("it ends with %v", err)
	}
}

func TestWhatIsAskedOfALogIsChecked(t *testing.T) {
	var got containerlog.Request
	w := newWorld(t, asViewers, func(d *api.Dependencies) {
		d.Logs = scripted{read: func(_ context.Context, r containerlog.Request, _ containerlog.Sink) error { got = r; return nil }}
	})
	for query, field := range map[string]string{
		"tail=-1": "query.tail", "tail=some": "query.tail", "since=yesterday": "query.since", "until=1e3": "query.until", "before=x": "query.before",
		"follow=perhaps": "query.follow", "follow=true&until=10m": "query.follow", "q=(&regex=true": "query.q", "q=" + strings.Repeat("x", 201): "query.q",
		"regex=2": "query.regex", "timestamps=y": "query.timestamps", "token=x": "query.token", "tial=1": "query.tial",
	} {
		for _, path := range []string{"/api/containers/web/logs/ws?", "/api/containers/web/logs?"} {
			a := w.do("GET", path+query, bearer("viewer"))
			if a.status != http.StatusUnprocessableEntity || a.get("code") != "validation_failed" || a.get("errors", field) == nil {
				t.Errorf("%s%s: %s, want it to name %s", path, query, a, field)
			}
		}
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 678901234, time.UTC)
	for query, want := range map[string]containerlog.Request{
		"":                       {Tail: 1000, Follow: true},
		"?tail=all&follow=false": {Tail: containerlog.All},
		"?tail=0&since=2026-01-02T04:04:05.678901234%2B01:00":    {Since: at, Follow: true},
		"?since=1767323045.678901234&until=1767323045.678901234": {Tail: 1000, Since: at, Until: at},
		"?before=2026-01-02T03:04:05.678901234Z&tail=5":          {Tail: 5, Before: at},
	} {
		conn, a := w.logs("/api/containers/web/logs/ws" + query)
		if conn == nil {
			t.Errorf("%s: %s", query, a)
			continue
		}
		closes(t, conn, websocket.StatusNormalClosure, "")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", query, diff)
		}
	}
	for query, c := range map[string]struct{ finds, not string }{
		"?q=ERROR%201":           {"an error 1", "error 2"},
		"?q=e%2B%2B":             {"C++ e++", "eee"},
		"?q=%C3%9CBER":           {"die über", "uber"},
		"?q=%5Eerr.r&regex=true": {"\x1b[1mErr\x1b[0mor", "no error"},
	} {
		conn, a := w.logs("/api/containers/web/logs/ws" + query)
		if conn == nil {
			t.Errorf("%s: %s", query, a)
			continue
		}
		closes(t, conn, websocket.StatusNormalClosure, "")
		if !got.Match([]byte(c.finds)) || got.Match([]byte(c.not)) {
			t.Errorf("%s: finds %v %v", query, got.Match([]byte(c.finds)), got.Match([]byte(c.not)))
		}
	}
}

func TestAProjectsLogs(t *testing.T) {
	w := newWorld(t, asViewers)
	_, a := w.logs("/api/compose/logs/ws?project=nothing")
	a.is(http.StatusNotFound, "project_not_found")
	_, a = w.logs("/api/compose/logs/ws")
	a.is(http.StatusUnprocessableEntity, "validation_failed")
	conn, a := w.logs("/api/compose/logs/ws?project=Shop&services=web,db&services=cache&timestamps=true")
	if conn == nil {
		t.Fatal(a)
	}
	want := []any{map[string]any{
		"t": "2026-01-02T03:04:05.000000060Z", "stream": "stdout", "service": "web+db+cache", "number": "2", "cut": true,
		"line": "\x1b[31mred\x1b[0m\t\"quoted\" \\ \u2400 é",
	}}
	if diff := cmp.Diff(want, w.read(conn).json); diff != "" {
		t.Error(diff)
	}
	closes(t, conn, websocket.StatusNormalClosure, "")
}

func TestALogThatCannotBeReadSaysSoInTheSocket(t *testing.T) {
	w := newWorld(t, asViewers)
	w.failWith(fmt.Errorf("%w: its log driver is none", containerlog.ErrUnavailable))
	conn, a := w.logs("/api/containers/web/logs/ws")
	if conn == nil {
		t.Fatal(a)
	}
	w.read(conn)
	if last := w.read(conn); last.get("type") != "error" || last.get("code") != "logs_unavailable" || !strings.Contains(last.text, "driver is none") {
		t.Error(last)
	}
	closes(t, conn, websocket.StatusNormalClosure, "")
}

// received counts what a socket gave: the lines' numbers, and how many were skipped before each of them.
func (w *world) received(conn *websocket.Conn) (numbers []int, skipped map[int]int) {
	w.t.Helper()
	skipped = map[int]int{}
	for {
		_, text, err := conn.Read(w.t.Context())
		if err != nil {
			return numbers, skipped
		}
		var notice containerlog.Notice
		if json.Unmarshal(text, &notice) == nil && notice.Type == containerlog.Skipped {
			skipped[len(numbers)] += *notice.Lines
			continue
		}
		var lines []struct{ Line string }
		if err := json.Unmarshal(text, &lines); err != nil {
			w.t.Fatalf("%v in %.100s", err, text)
		}
		for _, l := range lines {
			var n int
			if _, err := fmt.Sscanf(l.Line, "line %d", &n); err != nil {
				w.t.Fatal(err)
			}
			numbers = append(numbers, n)
		}
	}
}

func TestASlowReaderLosesLinesAndIsToldHowMany(t *testing.T) {
	const lines = 200_000 // 20 MB, far more than the queue and the system's buffers
	written := make(chan struct{})
	write := func(to containerlog.Sink) {
		for i := range lines {
			_ = to.Line(lineOf(fmt.Sprintf("line %d %s", i, strings.Repeat("x", 100))))
		}
	}
	w := newWorld(t, asViewers, func(d *api.Dependencies) {
		d.Logs = scripted{read: func(_ context.Context, _ containerlog.Request, to containerlog.Sink) error {
			to.Live()
			write(to)
			close(written)
			return nil
		}}
	})
	conn, _ := w.logs("/api/containers/web/logs/ws")
	<-written // nothing has been read yet
	numbers, skipped := w.received(conn)
	total, at := 0, 0
	for i, n := range numbers {
		at += skipped[i]
		if n != at {
			t.Fatalf("line %d comes where %d was to", n, at)
		}
		at++
	}
	for _, n := range skipped {
		total += n
	}
	if total == 0 || total+len(numbers) != lines {
		t.Errorf("%d lines and %d skipped of %d", len(numbers), total, lines)
	}
	t.Logf("%d lines, %d skipped in %d places", len(numbers), total, len(skipped))
}

func TestTheHistoryWaitsForASlowReader(t *testing.T) {
	const lines = 200_000
	w := newWorld(t, asViewers, func(d *api.Dependencies) {
		d.Logs = scripted{read: func(_ context.Context, _ containerlog.Request, to containerlog.Sink) error {
			for i := range lines {
				if err := to.Line(lineOf(fmt.Sprintf("line %d %s", i, strings.Repeat("x", 100)))); err != nil {
					return err
				}
			}
			return nil
		}}
	})
	conn, _ := w.logs("/api/containers/web/logs/ws")
	numbers, skipped := w.received(conn)
	if len(numbers) != lines || len(skipped) != 0 || !slices.IsSorted(numbers) {
		t.Errorf("%d lines, %v skipped", len(numbers), skipped)
	}
	// One that leaves ends it.
	conn, _ = w.logs("/api/containers/web/logs/ws")
	_ = conn.CloseNow()
}

func TestALineWaitsAMomentForOthersOnly(t *testing.T) {
	release := make(chan struct{})
	w := newWorld(t, asViewers, func(d *api.Dependencies) {
		d.Logs = scripted{read: func(ctx context.Context, _ containerlog.Request, to containerlog.Sink) error {
			_ = to.Line(lineOf("line 1"))
			_ = to.Line(lineOf("line 2"))
			<-release
			_ = to.Note(containerlog.Notice{Type: containerlog.Restarted, ID: webID})
			_ = to.Line(lineOf("line 3"))
			<-ctx.Done()
			return ctx.Err()
		}}
	})
	conn, _ := w.logs("/api/containers/web/logs/ws")
	if first := w.read(conn); len(first.json.([]any)) != 2 {
		t.Error(first)
	}
	close(release)
	if n := w.read(conn); n.text != `{"type":"restarted","id":"`+webID+`"}` {
		t.Error(n)
	}
	if third := w.read(conn); third.text != `[{"stream":"stdout","line":"line 3"}]` {
		t.Error(third)
	}
	if err := conn.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Error(err)
	}
}
