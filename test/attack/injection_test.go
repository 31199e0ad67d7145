package attack_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"unicode"
)

// forged is what would look like a line of ours.
const forged = `{"level":"info","msg":"signed in","user":"eve"}`

// inject has what strangers choose reach log and audit, with line ends and
// marks that turn the direction of writing.
func (w *world) inject(times int) *client {
	w.Helper()
	ann := w.signIn()
	all := []string{"\r\n" + forged + "\r\n", "\x1b[2J\x1b[31m", "\u202egnp.exe", "\u2028x", "a\x00b", "<script>alert(1)</script>", "\";}", "%s%n"}
	for _, bad := range all[:times] {
		w.client().login(bad, "a wrong password")
		w.client().do("POST", setupPath, setUp(bad, bad))
		ann.do("POST", "/api/users", map[string]string{"username": bad, "password": password, "role": "viewer"})
		ann.do("POST", "/api/v1/auth/tokens", map[string]string{"name": bad, "scope": "read"})
		ann.do("POST", setupBegin, map[string]string{"name": bad})
		ann.do("DELETE", "/api/images", map[string]string{"id": bad})
		w.client().with(bad).do("GET", "/healthz", nil, func(r *http.Request) { r.Header.Del("Authorization") }, func(r *http.Request) { r.URL.Path = "/" + bad })
	}
	// A header's line end can't be sent as such; what can be is what a fold or a byte makes of it.
	agents := []string{"x\r\n " + forged, "x\t" + forged, "x\xff\xfe", "\u202ex", strings.Repeat("long", 1000)}
	for _, agent := range agents[:min(times, len(agents))] {
		w.send("POST /api/v1/auth/login HTTP/1.1\r\nHost: " + w.host + "\r\nConnection: close\r\nUser-Agent: " + agent +
			"\r\nX-Forwarded-For: " + agent + "\r\nContent-Type: application/json\r\nContent-Length: " + fmt.Sprint(len(wholeLogin())) + "\r\n\r\n" + wholeLogin())
	}
	return ann
}

func wholeLogin() string { return `{"username":"` + owner + `","password":"` + password + `"}` }

func TestNothingThatIsSentForgesALineOfTheLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.inject(8)
	for _, line := range w.lines() {
		var record map[string]any
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Errorf("a line that is no record: %q", line)
			continue
		}
		if record["user"] == "eve" {
			t.Errorf("a forged line: %s", line)
		}
	}
	// On a terminal a line is a line as well, and nothing steers it.
	w = newWorld(t, "WATCH_LOGGING_FORMAT=console")
	w.inject(2)
	for _, line := range w.lines() {
		if strings.HasPrefix(line, "{") || strings.ContainsFunc(line, func(r rune) bool { return unicode.IsControl(r) && r != '\t' }) {
			t.Errorf("a line that isn't ours: %q", line)
		}
	}
}

func TestNothingThatIsSentForgesAnEntryOfTheAuditLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.inject(8)
	entries := ann.must("GET", "/api/audit?limit=100", nil)
	sessions := ann.must("GET", "/api/v1/auth/sessions", nil)
	tokens := ann.must("GET", "/api/v1/auth/tokens", nil)
	if !strings.Contains(entries.body, "login") {
		t.Errorf("the audit log has no sign-in: %s", entries)
	}
	for _, a := range []answer{entries, sessions, tokens, ann.must("GET", "/api/users", nil)} {
		eachText(a.json, func(text string) {
			if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Errorf("something that can't be shown: %q", text)
			}
			if text == "eve" {
				t.Errorf("an entry of somebody who isn't there: %s", a)
			}
			if len(text) > 2000 {
				t.Errorf("a long value: %d bytes", len(text))
			}
		})
	}
}

// eachText calls f for every string in a JSON value.
func eachText(v any, f func(string)) {
	switch v := v.(type) {
	case string:
		f(v)
	case []any:
		for _, x := range v {
			eachText(x, f)
		}
	case map[string]any:
		for name, x := range v {
			f(name)
			eachText(x, f)
		}
	}
}
