package attack_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// detours are values of a path's parameter that might lead elsewhere.
func detours() []string {
	return []string{
		"..", "../config", "..%2f..%2fetc%2fpasswd", "%2e%2e%2f%2e%2e%2fconfig", "%2e%2e/config", "..%5c..%5cetc%5cpasswd", `..\..\config`,
		"%252e%252e%252fconfig", "..;/config", "..%00/", "x%00", "x%00.json", "%c0%ae%c0%ae%c0%af", "%ff%fe", "%e0%80%af", "%uff0e%uff0e",
		"....//....//etc/passwd", "/etc/passwd", "%2fetc%2fpasswd", "file:%2f%2f%2fetc%2fpasswd", "x/../../config", "x%2f..%2f..%2fconfig",
		"x%0d%0aSet-Cookie:%20a=b", "%0a", "x%20HTTP/1.1", "'%20OR%20'1'='1", "%22%3b--", "*", "%25", "%25%32%66", "?", "%3f", "%23", "-1",
		"18446744073709551616", "~root", "$HOME", "%24%7bjndi:ldap:x%7d", "{{7*7}}", strings.Repeat("a", 8000), strings.Repeat("..%2f", 500), strings.Repeat("%00", 500),
	}
}

// exactly sends a request line as it is: net/http's client would mend it.
func (c *client) exactly(conn io.ReadWriter, r *bufio.Reader, method, path string) (status int, body string, err error) {
	_, err = fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}", method, path, c.host, c.token)
	if err != nil {
		return 0, "", err
	}
	res, err := http.ReadResponse(r, &http.Request{Method: method})
	if err != nil {
		return 0, "", err
	}
	text, err := io.ReadAll(res.Body)
	if res.Close && err == nil {
		err = io.EOF
	}
	return res.StatusCode, string(text), err
}

func TestNoPathLeadsElsewhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.signIn()
	routes := ann.allRoutes()
	asked := 0
	for _, route := range routes {
		method, path, _ := strings.Cut(route, " ")
		begin, rest, has := strings.Cut(path, "{")
		if !has {
			continue
		}
		_, end, _ := strings.Cut(rest, "}")
		conn := w.connect()
		r := bufio.NewReader(conn)
		for _, detour := range detours() {
			_ = conn.SetDeadline(time.Now().Add(patience))
			status, body, err := ann.exactly(conn, r, method, begin+detour+end)
			if status == 0 || status >= 500 && status != http.StatusServiceUnavailable || status < 400 {
				t.Errorf("%s with %.40q: %d %.200s (%v)", route, detour, status, body, err)
			}
			if status == http.StatusServiceUnavailable && !strings.Contains(body, "engine_unavailable") {
				t.Errorf("%s with %.40q: %s", route, detour, body)
			}
			if strings.Contains(body, "root:") || strings.Contains(body, `"statePath"`) {
				t.Errorf("%s with %.40q has led to %.200s", route, detour, body)
			}
			if asked++; err != nil { // the server ended the connection
				conn = w.connect()
				r.Reset(conn)
			}
		}
	}
	if asked < 100 {
		t.Errorf("only %d detours were tried", asked)
	}
	if !ann.alive() {
		t.Error("the session is gone")
	}
}

// What needs no parameter can't be left by a detour either, nor does another
// spelling of a path get past its role.
func TestNoSpellingOfAPathGetsPastItsRole(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.signIn()
	w.addUser(ann, "bob", "viewer")
	for _, c := range []*client{w.client(), w.signInAs("bob", password)} {
		conn := w.connect()
		r := bufio.NewReader(conn)
		for _, path := range []string{
			"/api/config", "/api/config/", "//api/config", "/api//config", "/API/config", "/api/./config", "/healthz/../api/config", "/healthz/..%2fapi/config",
			"/api%2fconfig", "/api/%63onfig", "/%61pi/config", "/api/config%20", "/api/config%00", "/api/config;x", "/api/config?x=/healthz", "/api/config#/healthz",
			"/healthz/%2e%2e/api/config", "http://" + w.host + "/api/config", "http://evil.example/api/config", "/api/config.json", "\\api\\config", "/api/v1/../config", "*",
		} {
			_ = conn.SetDeadline(time.Now().Add(patience))
			status, body, err := c.exactly(conn, r, "GET", path)
			if status < 400 && strings.Contains(body, "logging") || status >= 500 || status == 0 {
				t.Errorf("%s: %d %.200s (%v)", path, status, body, err)
			}
			if err != nil {
				conn = w.connect()
				r.Reset(conn)
			}
		}
		for _, method := range []string{"HEAD", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "get", "GET2"} {
			if a, err := c.try(method, "/api/config", nil, header("X-HTTP-Method-Override", "GET")); err == nil && a.status < 400 && (a.body != "" || method == "HEAD") {
				t.Errorf("%s /api/config: %s", method, a)
			}
		}
	}
}
