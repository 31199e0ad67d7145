package api_test

import (
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/watch-docker/watch-docker/internal/api"
)

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
