package dockercli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/moby/client/pkg/versions"

	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/test/testbed"
)

// pairs are old and new images: plain ones, one where every default changes,
// those that go from many defaults to none and the other way, and one for
// another platform.
func pairs() map[string][2]testbed.ImageOptions {
	rich1 := testbed.ImageOptions{
		Env: []string{"PATH=/bin", "KEPT=1", "CHANGED=old", "GONE=1"}, Labels: map[string]string{"kept": "1", "changed": "old", "gone": "1"},
		ExposedPorts: []string{"80/tcp", "81/tcp"}, Volumes: []string{"/data", "/gone"}, WorkingDir: "/bin/", User: "0:0",
		Healthcheck: &v1.HealthConfig{Test: []string{"CMD", "/bin/true"}, Interval: time.Minute, Retries: 5}, StopSignal: "SIGINT", Shell: []string{"/bin/sh", "-c"},
		Entrypoint: testbed.Stoppable("sleep", "1000"), Cmd: []string{"1"},
	}
	rich2 := testbed.ImageOptions{
		Env: []string{"PATH=/bin:/sbin", "KEPT=1", "CHANGED=new", "ADDED=1"}, Labels: map[string]string{"kept": "1", "changed": "new", "added": "1"},
		ExposedPorts: []string{"80/tcp", "82/tcp"}, Volumes: []string{"/data", "/added"}, WorkingDir: "/etc", User: "0",
		Healthcheck: &v1.HealthConfig{Test: []string{"CMD-SHELL", "true"}, Interval: 2 * time.Minute, Timeout: time.Minute}, StopSignal: "SIGTERM", Shell: []string{"/bin/sh", "-ec"},
		Entrypoint: testbed.Stoppable("sleep", "2000"), Cmd: []string{"2"},
	}
	return map[string][2]testbed.ImageOptions{
		"plain": {{}, {}}, "rich": {rich1, rich2}, "poor": {rich1, {}}, "grown": {{}, rich2},
		"foreign": {{Platform: "linux/arm64"}, {Platform: "linux/arm64"}},
	}
}

// TestRecreatedEqualsControl is promise 2: a recreated container's inspect is
// that of a container which the same create makes from the new image.
func TestRecreatedEqualsControl(t *testing.T) {
	w := newWorkshop(t)
	w.stock(pairs())
	w.client.Ping(t.Context())
	version, err := w.client.Version(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range recreations() {
		t.Run(r.name, func(t *testing.T) {
			if r.since != "" && versions.LessThan(version.API, r.since) || r.until != "" && versions.GreaterThan(version.API, r.until) {
				t.Skipf("for API %s to %s, this is %s", r.since, r.until, version.API)
			}
			t.Parallel()
			w.in(t).try(i+1, r)
		})
	}
}

// post creates a container by a body of its own.
func (w *workshop) post(name, body string) string {
	w.Helper()
	version := testbed.Must(w.client.Version(w.Context()))(w)
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", strings.TrimPrefix(w.bed.Engine().Host(), "unix://"))
	}}
	resp, err := (&http.Client{Transport: transport}).Post("http://engine/v"+version.API+"/containers/create?name="+name,
		"application/json", bytes.NewBufferString(body))
	if err != nil {
		w.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct{ ID, Message string }
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || resp.StatusCode != http.StatusCreated {
		w.Fatalf("create %s: %s %s %v", name, resp.Status, answer.Message, err)
	}
	return answer.ID
}

func warns(part string) func(*testing.T, dockercli.Blueprint, []string) {
	return func(t *testing.T, _ dockercli.Blueprint, warnings []string) {
		t.Helper()
		if !strings.Contains(strings.Join(warnings, "\n"), part) {
			t.Errorf("warnings %q; want one with %q", warnings, part)
		}
	}
}
