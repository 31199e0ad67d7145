package registry_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/watch-docker/watch-docker/internal/registry"
)

// fixed is a source with one credential for every host.
type fixed registry.Credential

func (f fixed) Credential(context.Context, string) (registry.Credential, error) {
	return registry.Credential(f), nil
}

func writeConfig(t *testing.T, content string) registry.DockerConfig {
	t.Helper()
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "config.json"), []byte(content), 0o600))
	return registry.DockerConfig{Dir: dir}
}

// helper puts the credential helper "test" on PATH, which counts its calls in a file.
func helper(t *testing.T, script string) (calls func() int) {
	t.Helper()
	dir := t.TempDir()
	log := filepath.Join(dir, "calls")
	must(t, os.WriteFile(filepath.Join(dir, "docker-credential-test"), []byte("#!/bin/sh\nread host\necho \"$1 $host\" >> "+log+"\n"+script+"\n"), 0o755))
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	return func() int {
		content, _ := os.ReadFile(log)
		return strings.Count(string(content), "\n")
	}
}

func TestDockerHubIsKnownByAllItsNames(t *testing.T) {
	for _, name := range []string{"docker.io", "index.docker.io", "registry-1.docker.io", "https://index.docker.io/v1/", "Docker.io"} {
		c, err := credentialsFor(name, "bob", "x").Credential(t.Context(), "docker.io")
		if err != nil || c.Username != "bob" {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
	}
}

func TestConfigJSON(t *testing.T) {
	d := writeConfig(t, `{"auths":{
		"https://index.docker.io/v1/":{"auth":"aHViOnA6dw=="},
		"https://reg.example.com/v1/":{"auth":"Ym9iOng="},
		"127.0.0.1:5000":{"identitytoken":"refresh"}}}`)
	for host, want := range map[string]registry.Credential{
		"docker.io":       {Username: "hub", Password: "p:w"},
		"reg.example.com": {Username: "bob", Password: "x"},
		"127.0.0.1:5000":  {IdentityToken: "refresh"},
		"ghcr.io":         {},
	} {
		if want != (registry.Credential{}) {
			want.Source = filepath.Join(d.Dir, "config.json")
		}
		if got, err := d.Credential(t.Context(), host); err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", host, got, err, want)
		}
	}
}

func TestAMissingConfigJSONIsFine(t *testing.T) {
	d := registry.DockerConfig{Dir: filepath.Join(t.TempDir(), "nowhere")}
	if c, err := d.Credential(t.Context(), "docker.io"); err != nil || c != (registry.Credential{}) {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestTheConfigurationWinsOverConfigJSON(t *testing.T) {
	d := writeConfig(t, `{"auths":{"reg.example.com":{"auth":"Ym9iOng="},"other.example.com":{"auth":"Ym9iOng="}}}`)
	both := registry.FirstOf{credentialsFor("reg.example.com", "alice", "y"), d}
	for host, want := range map[string]string{"reg.example.com": "alice", "other.example.com": "bob"} {
		if c, err := both.Credential(t.Context(), host); err != nil || c.Username != want {
			t.Errorf("%s: %+v, %v", host, c, err)
		}
	}
}

func TestABrokenConfigJSONFailsOnlyWhatNeedsIt(t *testing.T) {
	n, s, ts := guarded(t)
	open := n.site("open.example.com")
	open.image("app", "latest")
	d := writeConfig(t, `{"auths":`)
	errs := scan(t, n.client(registry.Options{Credentials: d}), append(s.many(5), open.ref("app"))...)
	for _, err := range errs[:5] {
		wantCode(t, err, registry.CodeCredentials, "reg.example.com", filepath.Join(d.Dir, "config.json"), "docker login")
	}
	if errs[5] != nil {
		t.Error(errs[5])
	}
	ts.wantRequests(0)
}

func TestACredentialHelperIsAskedOnce(t *testing.T) {
	n, s, ts := guarded(t)
	ts.user, ts.password = "bob", "secret"
	calls := helper(t, `echo '{"ServerURL":"'$host'","Username":"bob","Secret":"secret"}'`)
	client := n.client(registry.Options{Credentials: writeConfig(t, `{"credHelpers":{"reg.example.com":"test"}}`)})
	refs := s.many(20)
	for range 3 {
		mustScan(t, client, refs...)
	}
	if calls() != 1 {
		t.Errorf("the helper was called %d times", calls())
	}
}

func TestAHelpersTokenIsAnIdentityToken(t *testing.T) {
	helper(t, `echo '{"ServerURL":"x","Username":"<token>","Secret":"refresh"}'`)
	c, err := writeConfig(t, `{"credsStore":"test"}`).Credential(t.Context(), "docker.io")
	if want := (registry.Credential{IdentityToken: "refresh", Source: "docker-credential-test"}); err != nil || c != want {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestAHelperThatKnowsNobodyIsFine(t *testing.T) {
	helper(t, `echo "credentials not found in native keychain"; exit 1`)
	if c, err := writeConfig(t, `{"credsStore":"test"}`).Credential(t.Context(), "docker.io"); err != nil || c != (registry.Credential{}) {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestAFailingHelperFailsItsHostAlone(t *testing.T) {
	for name, c := range map[string]struct{ config, script, words string }{
		"it fails":        {"test", "echo the vault is closed; exit 3", "the vault is closed"},
		"it is missing":   {"absent", "", "docker-credential-absent"},
		"it never ends":   {"test", "sleep 60", "does not come to an end"},
		"it says rubbish": {"test", "echo hello", "docker-credential-test"},
	} {
		t.Run(name, func(t *testing.T) {
			n, s, ts := guarded(t)
			other := n.site("other.example.com")
			other.handle(ts.guard)
			other.image("app", "latest")
			calls := helper(t, c.script)
			d := writeConfig(t, `{"credHelpers":{"reg.example.com":"`+c.config+`"}}`)
			d.Timeout = 200 * time.Millisecond
			errs := scan(t, n.client(registry.Options{Credentials: d, ErrorTTL: time.Minute}), append(s.many(10), other.ref("app"))...)
			for _, err := range errs[:10] {
				wantCode(t, err, registry.CodeCredentials, c.words, "reg.example.com")
			}
			if errs[10] != nil {
				t.Error(errs[10])
			}
			if c.config == "test" && calls() != 1 {
				t.Errorf("the helper was called %d times", calls())
			}
		})
	}
}

// changing is a source whose credential changes.
type changing struct{ current *registry.Credential }

func (c changing) Credential(context.Context, string) (registry.Credential, error) {
	return *c.current, nil
}

func TestWhatAnotherUserSawIsForgotten(t *testing.T) {
	n, s, ts := guarded(t)
	refs := s.many(3)
	current := registry.Credential{Username: "bob", Password: "x"}
	client := n.client(registry.Options{Credentials: changing{&current}, CacheTTL: time.Hour})
	mustScan(t, client, refs...)
	current.Username = "alice"
	client.Forget(refs[0])
	mustScan(t, client, refs[0]) // its token is still good, so nobody is looked up
	s.wantRequests(1 + 3 + 1)
	ts.wantRequests(1)
	ts.revoke()
	client.Forget(refs[0])
	mustScan(t, client, refs[0])
	s.asked()
	mustScan(t, client, refs[1:]...)
	s.wantRequests(2)
}
