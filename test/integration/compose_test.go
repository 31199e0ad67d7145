package integration_test

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/watch-docker/watch-docker/test/testbed"
)

// TestWithoutDockerComposeProjectsAreShownAndItIsSaidWhatIsMissing: none at
// all, one that is too old, and a docker without the plugin.
func TestWithoutDockerComposeProjectsAreShownAndItIsSaidWhatIsMissing(t *testing.T) {
	w := newWorld(t, testbed.AnyEngine)
	root := t.TempDir()
	write := func(name, content string, mode os.FileMode) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(root, "shop", "compose.yaml"), "services: {web: {image: web}}\n", 0o644)
	old, plain := t.TempDir(), t.TempDir()
	write(filepath.Join(old, "docker-compose"), "#!/bin/sh\necho 2.10.0\n", 0o755)
	write(filepath.Join(plain, "docker"), "#!/bin/sh\necho \"docker: 'compose' is not a docker command.\" >&2\nexit 1\n", 0o755)
	for name, c := range map[string]struct{ path, says string }{
		"none":           {t.TempDir(), "2.29.1"},
		"too old":        {old, "2.10.0 is too old"},
		"without plugin": {plain, "compose"},
	} {
		t.Run(name, func(t *testing.T) {
			w := *w
			w.T, w.state = t, filepath.Join(t.TempDir(), "state")
			s, log := w.serve("PATH="+c.path, "STATE_PATH="+w.state, "APP_PATH="+root, "USER_NAME=ann", "USER_PASSWORD=correct horse")
			ann := w.login(s)
			var list struct {
				Projects []struct{ ID, Status string }
				Compose  struct {
					Available bool
					Problem   string
				}
			}
			if code := ann.call("GET", "/api/compose", "", &list); code != http.StatusOK || len(list.Projects) != 1 || list.Projects[0].ID != "shop" {
				t.Errorf("%d %+v", code, list)
			}
			if list.Compose.Available || !strings.Contains(list.Compose.Problem, c.says) {
				t.Errorf("%+v", list.Compose)
			}
			var system struct{ Degraded []struct{ Code string } }
			ann.call("GET", "/api/system", "", &system)
			if len(system.Degraded) != 1 || system.Degraded[0].Code != "compose_unavailable" {
				t.Errorf("%+v", system)
			}
			var problem struct{ Code, Detail string }
			if code := ann.call("POST", "/api/compose/shop/up", "", &problem); code != http.StatusServiceUnavailable || problem.Code != "compose_unavailable" || !strings.Contains(problem.Detail, c.says) {
				t.Errorf("%d %+v", code, problem)
			}
			if code := ann.call("POST", "/api/compose/shop/validate", "", nil); code != http.StatusOK {
				t.Errorf("validate: %d", code)
			}
			testbed.Eventually(t, time.Minute, func() error {
				if !strings.Contains(log.String(), `"component":"compose"`) || !strings.Contains(log.String(), c.says) {
					return errors.New("the log doesn't say it")
				}
				return nil
			})
		})
	}
}
