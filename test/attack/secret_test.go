package attack_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/container"

	"github.com/watch-docker/watch-docker/internal/store"
	"github.com/watch-docker/watch-docker/test/testbed"
)

// planted are secrets that a container and the configuration have.
func planted() map[string]string {
	return map[string]string{
		"a password in the environment": "planted-env-password", "a token in the environment": "planted-env-token",
		"a key in the environment": "planted-env-key", "a password in a URL": "planted-url-password", "a password in a label": "planted-label-password",
		"an option's value": "planted-option-value", "an option's next word": "planted-next-word", "a registry's password": "planted-registry-password",
		"a second factor's secret": "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP",
	}
}

func newSecretHouse(t *testing.T) *house {
	t.Helper()
	p := planted()
	folder := t.TempDir()
	file := "registry:\n  auth:\n    - host: registry.example\n      username: robot\n      password: " + p["a registry's password"] +
		"\ntwofa:\n  users:\n    zoe:\n      method: otp\n      isSetup: true\n      otpSecret: " + p["a second factor's secret"] + "\n"
	if err := os.WriteFile(filepath.Join(folder, "config.yaml"), []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	return newHouse(t, testbed.ContainerSpec{
		Env: []string{
			"DB_PASSWORD=" + p["a password in the environment"], "GITHUB_TOKEN=" + p["a token in the environment"],
			"AWS_SECRET_ACCESS_KEY=" + p["a key in the environment"], "DATABASE=postgres://app:" + p["a password in a URL"] + "@db/app",
		},
		Labels: map[string]string{"traefik.http.middlewares.auth.basicauth.users": p["a password in a label"], "backup.password": p["a password in a label"]},
		Config: &container.Config{Cmd: []string{"--api-key=" + p["an option's value"], "--password", p["an option's next word"]}},
	}, "CONFIG_PATH="+folder, "USER_NAME="+owner, "USER_PASSWORD="+password)
}

// live are secrets that come about while the program is used.
func (h *house) live() map[string]string {
	h.Helper()
	secrets := map[string]string{"the owner's password": password}
	browser := h.browser()
	browser.login(owner, password)
	secrets["a browser's session"] = browser.cookies["watch-docker"]
	secrets["a device's key"] = browser.cookies["watch-docker-device"]
	secrets["a wrong password"] = "typed-wrong-password"
	h.client().login(owner, secrets["a wrong password"])
	secrets["a password typed as a name"] = "typed-as-a-name"
	h.client().login(secrets["a password typed as a name"], "x")
	secrets["a new user's password"] = "fresh-user-password"
	h.owner.must("POST", "/api/users", map[string]string{"username": "tim", "password": secrets["a new user's password"], "role": "viewer"})
	tim := h.signInAs("tim", secrets["a new user's password"])
	g, codes := tim.enrolTOTP()
	secrets["a TOTP secret"], secrets["a recovery code"], secrets["a used recovery code"] = g.secret, codes[0], codes[1]
	a := h.client()
	a.login("tim", secrets["a new user's password"])
	secrets["a temporary token"] = a.token
	a.must("POST", "/api/v1/2fa/verify/recovery", map[string]string{"code": codes[1]})
	secrets["an API token"] = h.owner.newToken("read").token
	secrets["the owner's session"] = h.owner.token
	secrets["a token in a query"] = "token-in-a-query"
	h.client().do("GET", "/api/v1/auth/me?token=token-in-a-query", nil)
	h.client().do("GET", "/api/nothing/at-all?secret=token-in-a-query", nil)
	return secrets
}

func TestNoAnswerAndNoLineOfTheLogHasASecret(t *testing.T) {
	t.Parallel()
	h := newSecretHouse(t)
	secrets := planted()
	for name, secret := range h.live() {
		secrets[name] = secret
	}
	op := h.owner.must("POST", "/api/scan?wait=20s", map[string]any{})
	answers := map[string]string{
		"POST /api/scan":         op.body,
		"POST /api/updates/run":  h.owner.must("POST", "/api/updates/run", map[string]any{"dryRun": true}).body,
		"the container by name":  h.owner.must("GET", "/api/containers/"+h.bed.Name("app"), nil).body,
		"an operation's id":      h.owner.must("GET", "/api/operations/"+op.text("id"), nil).body,
		"many entries of audit":  h.owner.must("GET", "/api/audit?limit=100", nil).body,
		"an unknown container":   h.owner.do("GET", "/api/containers/"+planted()["a password in the environment"][:7], nil).body,
		"the container's change": h.owner.do("POST", h.ids.Replace("/api/containers/{id}/restart"), map[string]any{}).body,
	}
	for _, route := range h.owner.allRoutes() {
		// A log is what the container wrote, its secrets too: who may view, may read it.
		if path, isGet := strings.CutPrefix(route, "GET "); isGet && !strings.HasSuffix(path, "/ws") && !strings.HasSuffix(path, "/logs") {
			answers[route] = h.owner.do("GET", h.ids.Replace(path), nil).body
		}
	}
	conn, a := h.owner.socket()
	if conn == nil {
		t.Fatalf("the socket: %d", a.status)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, snapshot, err := conn.Read(ctx)
	if err != nil {
		t.Fatal(err)
	}
	answers["the socket's snapshot"] = string(snapshot)
	answers["the log"] = h.log.String()
	for where, text := range answers {
		for name, secret := range secrets {
			if secret == "" || len(secret) < 8 {
				t.Fatalf("%s is %q", name, secret)
			}
			if strings.Contains(text, secret) {
				t.Errorf("%s has %s", where, name)
			}
		}
	}
	if detail := answers["GET /api/containers/{id}"]; !strings.Contains(detail, "DB_PASSWORD") || !strings.Contains(detail, "***") {
		t.Errorf("the crawl didn't see the container: %s", detail)
	}
	if config := answers["GET /api/config"]; !strings.Contains(config, "registry.example") || !strings.Contains(config, "zoe") {
		t.Errorf("the crawl didn't see the configuration: %s", config)
	}
	if !strings.Contains(answers["GET /api/audit"], "login") {
		t.Errorf("the crawl didn't see the audit log: %s", answers["GET /api/audit"])
	}
	h.database(secrets)
}

// database checks what lies in the state folder: whoever reads a backup of it
// must not be able to sign in by what it says.
func (h *house) database(secrets map[string]string) {
	h.Helper()
	h.stop()
	for _, name := range []string{
		"the owner's password", "a new user's password", "a browser's session", "the owner's session", "a temporary token", "a device's key",
		"an API token", "a recovery code", "a used recovery code", "a wrong password", "a password typed as a name",
	} {
		for _, file := range []string{store.FileName, store.FileName + "-wal"} {
			text, err := os.ReadFile(filepath.Join(h.state, file))
			if err != nil && file == store.FileName {
				h.Fatal(err)
			}
			if strings.Contains(string(text), secrets[name]) {
				h.Errorf("%s has %s in the clear", file, name)
			}
		}
	}
	err := filepath.Walk(h.state, func(path string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().Perm()&0o077 != 0 && info.Mode().IsRegular() {
			h.Errorf("others may read %s (%v)", filepath.Base(path), info.Mode())
		}
		return err
	})
	if err != nil {
		h.Error(err)
	}
}

func TestTheSetUpTokenIsShownOnceAndChangesWithEveryStart(t *testing.T) {
	t.Parallel()
	w := newEmptyWorld(t)
	first := w.setupToken()
	if n := strings.Count(w.log.String(), first); n != 1 {
		t.Errorf("the set-up token is in the log %d times", n)
	}
	w.log = &log{}
	w.restart()
	second := w.setupToken()
	if first == second {
		t.Error("the set-up token is the same after a restart")
	}
	if a := w.client().do("POST", setupPath, setUp(first, "eve")); a.status < 400 || a.status >= 500 {
		t.Errorf("the set-up token of an earlier start: %s", a)
	}
	w.client().must("POST", setupPath, setUp(second, owner))
}
