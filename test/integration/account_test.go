package integration_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pquerna/otp/totp"

	"github.com/watch-docker/watch-docker/internal/app"
	"github.com/watch-docker/watch-docker/internal/store"
	"github.com/watch-docker/watch-docker/test/testbed"
)

const adminPassword = "correct horse battery"

// alone is a world without an engine: who may sign in doesn't depend on one.
func alone(t *testing.T) *world {
	t.Helper()
	folder := t.TempDir()
	w := &world{T: t, state: filepath.Join(folder, "state")}
	w.env = []string{"DOCKER_HOST=unix://" + filepath.Join(folder, "none.sock"), "STATE_PATH=" + w.state, "CONFIG_PATH=" + folder,
		"WATCH_SERVER_ADDR=127.0.0.1:0", "WATCH_LOGGING_FORMAT=json", "USER_NAME=ann", "USER_PASSWORD=" + adminPassword}
	return w
}

// ask sends a request with a token, and gives the status and the answer.
func ask(t *testing.T, s *app.Server, token, method, path string, body any) (int, map[string]any) {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+s.Addr()+path, bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var answer map[string]any
	if res.StatusCode != http.StatusNoContent {
		if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
			t.Fatalf("%s %s: %v", method, path, err)
		}
	}
	return res.StatusCode, answer
}

func login(t *testing.T, s *app.Server, password string) (int, string) {
	t.Helper()
	code, answer := ask(t, s, "", "POST", "/api/v1/auth/login", map[string]string{"username": "ann", "password": password})
	token, _ := answer["token"].(string)
	return code, token
}

// command is the program beside the server, with one line of input.
func (w *world) command(input string, args ...string) (stdout string) {
	w.Helper()
	var out, errs bytes.Buffer
	code := app.Program{Args: args, Environ: w.env, Stdin: strings.NewReader(input + "\n"), Stdout: &out, Stderr: &errs}.Run(w.Context())
	if code != app.ExitOK {
		w.Fatalf("%v exits with %d: %s", args, code, &errs)
	}
	return out.String()
}

func TestAccountCommandsBesideAServerEndItsSessionsAtOnce(t *testing.T) {
	w := alone(t)
	s, _ := w.serve()
	is := func(token string, want int) {
		t.Helper()
		if code, answer := ask(t, s, token, "GET", "/api/v1/auth/me", nil); code != want {
			t.Errorf("me: %d %v, want %d", code, answer, want)
		}
	}
	_, first := login(t, s, adminPassword)
	_, second := login(t, s, adminPassword)
	_, answer := ask(t, s, first, "POST", "/api/v1/auth/tokens", map[string]string{"name": "backup", "scope": "read"})
	token, _ := answer["token"].(string)
	is(first, 200)

	if got, want := w.command("another horse", "set-password", "ann"), "ann has a new password. 2 sessions were ended. 1 API token of ann still counts.\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	is(first, 401)
	is(second, 401)
	is(token, 200)
	if code, _ := login(t, s, adminPassword); code != 401 {
		t.Errorf("the old password: %d", code)
	}
	code, third := login(t, s, "another horse")
	if code != 200 {
		t.Fatalf("the new password: %d", code)
	}

	if got, want := w.command("", "reset-2fa", "ann"), "ann had no second factor. 1 session was ended. 1 API token of ann still counts.\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	is(third, 401)
	_, fourth := login(t, s, "another horse")
	if got := w.command("", "rotate-key"); !strings.Contains(got, "1 session was ended") {
		t.Errorf("%q", got)
	}
	is(fourth, 401)
	is(token, 200)
	if code, _ := login(t, s, "another horse"); code != 200 {
		t.Errorf("with the new key: %d", code)
	}
	if _, stderr, code := w.run(nil, "reset-2fa", "eve"); code != app.ExitFailed || !strings.Contains(stderr, "no such user: eve; there are: ann") {
		t.Errorf("an unknown user: %d %s", code, stderr)
	}
}

// recorded are the entries of the audit log, oldest first.
func (w *world) recorded() (lines []string) {
	w.Helper()
	st, err := store.Join(w.Context(), w.state)
	if err != nil {
		w.Fatal(err)
	}
	defer st.Close()
	all, err := st.Audit(w.Context(), store.AuditFilter{})
	if err != nil {
		w.Fatal(err)
	}
	for _, e := range all {
		lines = append([]string{fmt.Sprintf("%s|%s|%s|%s|%s|%s", e.User, e.Via, e.Action, e.Target, e.Result, e.Detail)}, lines...)
	}
	return lines
}

func TestTheServerRecordsWhatIsDoneWithIt(t *testing.T) {
	w := alone(t)
	file := filepath.Join(t.TempDir(), "config.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("registry: {auth: [{host: ghcr.io, username: me, password: sesame}]}\n")
	w.env = append(w.env, "CONFIG_PATH="+filepath.Dir(file))
	var out *log
	t.Run("serve", func(t *testing.T) {
		inner := &world{T: t, state: w.state, env: w.env}
		var s *app.Server
		s, out = inner.serve()
		_, token := login(t, s, adminPassword)
		if _, _, code := w.run(nil, "update", "-all"); code != app.ExitFailed {
			t.Errorf("an update without an engine: %d", code)
		}
		write("audit: {retention: 48h}\nregistry: {auth: [{host: ghcr.io, username: me, password: open sesame}]}\n")
		testbed.Eventually(t, time.Minute, func() error {
			all := inner.recorded()
			return ifNot(strings.Contains(strings.Join(all, "\n"), "reloadConfiguration"), fmt.Sprint(all))
		})
		if code, answer := ask(t, s, token, "GET", "/api/audit?action=reloadConfiguration", nil); code != 200 || len(answer["entries"].([]any)) != 1 {
			t.Errorf("%d %v", code, answer)
		}
		w.command("", "rotate-key")
	})
	got := w.recorded()
	for i, line := range got {
		if before, _, ok := strings.Cut(line, "; left alone: 0; "); ok {
			got[i] = before // the engine's error
		}
	}
	if diff := cmp.Diff([]string{
		"|server|makeFirstUser|ann|ok|",
		"|server|start||ok|version " + app.Version(),
		"ann|session|login||ok|",
		"|command line|update|all|failed|operations: 0",
		"|server|reloadConfiguration|" + file + "|ok|registry.auth, audit.retention",
		"|command line|rotateKey||ok|sessions ended: 1",
		"|server|stop||ok|",
	}, got); diff != "" {
		t.Error(diff)
	}
	if lines := strings.Count(out.String(), `"component":"audit"`); lines != len(got) {
		t.Errorf("%d lines in the log, %d entries", lines, len(got))
	}
	if text := strings.Join(got, "\n") + out.String(); strings.Contains(text, "sesame") || strings.Contains(text, adminPassword) {
		t.Errorf("a secret is in %s", text)
	}
}

// What the program once wrote into its configuration file, as viper writes it:
// keys in lower case.
func TestSecondFactorsOfAnOlderConfigurationAreTakenOverOnce(t *testing.T) {
	w := alone(t)
	w.env = append(w.env, "IS_SECONDARY_VERIFICATION=true")
	key, err := totp.Generate(totp.GenerateOpts{Issuer: "old", AccountName: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	file := "twofa:\n  users:\n    ann:\n      method: otp\n      otpsecret: " + key.Secret() + "\n      issetup: true\n      webauthncredentials: []\n"
	if err := os.WriteFile(filepath.Join(filepath.Dir(w.state), "config.yaml"), []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Run("the first start", func(t *testing.T) {
		s, _ := w.in(t).serve()
		_, answer := ask(t, s, "", "POST", "/api/v1/auth/login", map[string]string{"username": "ann", "password": adminPassword})
		temp, _ := answer["tempToken"].(string)
		if answer["needTwoFA"] != true || answer["isSetup"] != true || answer["method"] != "otp" {
			t.Fatalf("login: %v", answer)
		}
		now, err := totp.GenerateCode(key.Secret(), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		status, answer := ask(t, s, temp, "POST", "/api/v1/2fa/verify/otp", map[string]string{"code": now})
		token, _ := answer["token"].(string)
		if status != http.StatusOK {
			t.Fatalf("verify: %d %v", status, answer)
		}
		if status, answer := ask(t, s, token, "POST", "/api/v1/2fa/disable", map[string]string{}); status != http.StatusNoContent {
			t.Fatalf("disable: %d %v", status, answer)
		}
	})
	s, _ := w.serve()
	if _, answer := ask(t, s, "", "POST", "/api/v1/auth/login", map[string]string{"username": "ann", "password": adminPassword}); answer["needTwoFA"] != true || answer["isSetup"] != false {
		t.Errorf("after a restart what was disabled is back: %v", answer)
	}
}

// in is the world for a subtest, which stops its server at its end.
func (w *world) in(t *testing.T) *world {
	sub := *w
	sub.T = t
	return &sub
}
