package attack_test

import (
	"strings"
	"testing"
)

// Whatever is answered, a browser is told to run nothing of others in it, to
// show it in no frame, to guess at no type, and to keep nothing.
func TestEveryAnswerTellsTheBrowserToBeStrict(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, c := range []*client{w.client(), w.signIn()} {
		for _, path := range []string{
			"/", "/index.html", "/healthz", "/api/v1/auth/me", "/api/containers", "/api/containers/nothing", "/api/openapi.json", "/nothing", "/api/nothing", events,
		} {
			a := c.do("GET", path, nil)
			policy := a.header.Get("Content-Security-Policy")
			for _, part := range []string{"default-src 'none'", "frame-ancestors 'none'"} {
				if !strings.Contains(policy, part) {
					t.Errorf("%s: the policy %q lacks %s", path, policy, part)
				}
			}
			if strings.Contains(policy, "unsafe") || strings.Contains(policy, "*") || strings.Contains(policy, "http:") {
				t.Errorf("%s: the policy %q is lax", path, policy)
			}
			for name, want := range map[string]string{
				"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer", "Cross-Origin-Resource-Policy": "same-origin",
			} {
				if got := a.header.Get(name); got != want {
					t.Errorf("%s: %s is %q, want %q", path, name, got, want)
				}
			}
			if strings.HasPrefix(path, "/api/") && a.header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: Cache-Control is %q", path, a.header.Get("Cache-Control"))
			}
			if a.header.Get("Server") != "" || a.header.Get("X-Powered-By") != "" {
				t.Errorf("%s says what we are: %v", path, a.header)
			}
		}
	}
}
