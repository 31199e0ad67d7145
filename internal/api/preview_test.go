package api_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/watch-docker/watch-docker/internal/api"
	"github.com/watch-docker/watch-docker/internal/preview"
)

// Preview is full of what has to be masked, bounded, and not null.
func (f *fakes) Preview(_ context.Context, r api.PreviewRequest) (preview.Preview, error) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	p := preview.Preview{
		ContainerID: r.ContainerID, Name: nameOf(r.ContainerID), Image: "nginx", Status: "updateAvailable", Strategy: "stop-first",
		From: &preview.Release{ImageID: "sha256:1"}, To: &preview.Release{Digest: "sha256:2", CreatedAt: &at, Version: "2"},
		Link: &preview.Link{Kind: preview.LinkReleases, URL: "https://github.com/o/r/releases"}, Download: &preview.Download{Bytes: 5, Layers: 1},
		Changes: preview.Changes{
			Env: []preview.Change{
				{Name: "API_TOKEN", Kind: preview.Added, To: "hidden-1"}, {Name: "URL", Kind: preview.Changed, From: "http://a", To: "http://u:hidden-2@b"},
				{Name: "PLAIN", Kind: preview.Removed, From: "seen", Overridden: true}, {Name: "LONG", Kind: preview.Added, To: strings.Repeat("é", 5000)},
			},
			Labels: []preview.Change{{Name: "app.password", Kind: preview.Changed, From: "hidden-3", To: "hidden-4"}},
			Cmd:    &preview.ListChange{To: []string{"run", "--token", "hidden-5"}}, User: &preview.TextChange{From: "0", To: "1"},
			Healthcheck: &preview.HealthChange{To: &preview.HealthCheck{Test: []string{"CMD", "check", "--password=hidden-6"}, Interval: "30s"}},
		},
		Hooks:        preview.Hooks{PreUpdate: "backup postgres://u:hidden-7@db"},
		Interruption: preview.Interruption{Kind: preview.NotDown, Text: "None."},
	}
	if r.Force {
		p.To, p.Error, p.Changes, p.Refused = nil, &preview.Finding{Code: "c", Message: "m"}, preview.Changes{}, &preview.Finding{Code: "c", Message: "m"}
	}
	return p, f.note("preview %s force=%v", nameOf(r.ContainerID), r.Force)
}

func TestAPreviewHidesSecretsAsTheDetailDoes(t *testing.T) {
	w := newWorld(t).signIn()
	a := w.as("GET", "/api/containers/web/preview")
	if a.status != http.StatusOK || strings.Contains(a.text, "hidden-") {
		t.Fatalf("got %s", a)
	}
	if a.get("changes", "env", 0, "to") != "***" || a.get("changes", "env", 0, "from") != "" || a.get("changes", "env", 0, "masked") != true {
		t.Errorf("a secret variable: %v", a.get("changes", "env", 0))
	}
	if a.get("changes", "env", 2, "from") != "seen" || a.get("changes", "env", 2, "masked") != false || a.get("changes", "cmd", "to", 1) != "--token" {
		t.Errorf("what is no secret: %v, %v", a.get("changes", "env", 2), a.get("changes", "cmd"))
	}
	if long := a.get("changes", "env", 3, "to").(string); len(long) > 5000 || !utf8.ValidString(long) {
		t.Errorf("a long value has %d bytes", len(long))
	}
}

func TestAPreviewIsFoundAsOtherContainersAre(t *testing.T) {
	w := newWorld(t).signIn()
	for path, want := range map[string]string{"one": "one", webID[:63] + "1": "web", webID: "web", oneID[:12]: "one"} {
		if a := w.as("GET", "/api/containers/"+path+"/preview"); a.status != http.StatusOK || a.get("name") != want {
			t.Errorf("%s: %s", path, a)
		}
	}
	w.as("GET", "/api/containers/nobody/preview").is(http.StatusNotFound, "container_not_found")
	w.as("GET", "/api/containers/aaaaaaaaaaaa/preview").is(http.StatusConflict, "container_ambiguous")
	w.as("GET", "/api/containers/web/preview?forse=true").is(http.StatusUnprocessableEntity, "validation_failed")
	w.failWith(api.ErrEngineUnavailable)
	w.as("GET", "/api/containers/web/preview").is(http.StatusServiceUnavailable, "engine_unavailable")
}
