package compose_test

import (
	"fmt"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/watch-docker/watch-docker/internal/store"
	"github.com/watch-docker/watch-docker/test/testbed"
)

// Compose sees both containers of an update under way as its own, and takes
// down the one that is out of date, whatever its name. These tests run
// `docker compose up` while an update waits for its new container.

// waitingCase is a service whose later releases are healthy once the project's
// folder holds flag/good, and end once it holds flag/bad.
func waitingCase(name string) testCase {
	return testCase{name: name, file: `
services:
  app:
    image: OUR/app
    restart: "no"
    volumes:
      - ./flag:/flag
`, later: map[string]testbed.ImageOptions{"app": {
		Cmd: []string{"sh", "-c", `trap 'exit 0' TERM; while [ ! -e /flag/bad ]; do sleep 0.2 & wait $!; done; exit 3`},
		Healthcheck: &v1.HealthConfig{
			Test: []string{"CMD-SHELL", "test -e /flag/good"}, Interval: 300 * time.Millisecond, Timeout: 5 * time.Second, StartPeriod: time.Minute, Retries: 3,
		},
	}}}
}

func TestUpWhileAnUpdateWaitsForItsGate(t *testing.T) {
	bed := newBed(t)
	for _, c := range []struct {
		name, flag string
		want       store.OperationState
	}{
		{"up-meanwhile-good", "flag/good", store.Succeeded},
		{"up-meanwhile-bad", "flag/bad", store.RolledBack},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := newProject(t, bed, waitingCase(c.name))
			p.up()
			name := c.name + "-app-1"
			before := p.containers()[name]
			p.release("app", "two", waitingCase(c.name).later["app"])

			ended := make(chan store.Operation)
			go func() { ended <- p.update(name)[name] }()
			testbed.Eventually(p, 2*time.Minute, func() error {
				all := p.containers()
				if is := all[name]; is.ID == "" || is.ID == before.ID || !is.State.Running || all[name+".wd-old"].ID == "" {
					return fmt.Errorf("the update has not come to its gate: %d containers", len(all))
				}
				return nil
			})
			p.up()
			if _, ok := p.containers()[name+".wd-old"]; ok {
				t.Error("Compose left the old container; then this test shows nothing")
			}
			p.write(c.flag, "")
			if op := <-ended; op.State != c.want {
				t.Errorf("the update is %q, want %q: %s", op.State, c.want, explain(op))
			}
			after := p.containers()
			if is, ok := after[name]; len(after) != 1 || !ok || !is.State.Running || (is.Image == before.Image) != (c.want == store.RolledBack) {
				t.Errorf("%d containers afterwards, %s running: %v, with the old image: %v", len(after), name, ok && is.State.Running, ok && is.Image == before.Image)
			}
			p.idle("after the update")
		})
	}
}

// TestUpAtEveryMomentOfAnUpdate has somebody bring the project up before one
// of the update's requests goes to the engine. Whatever the update makes of
// it, one container runs in the end, under its name, and Compose agrees.
func TestUpAtEveryMomentOfAnUpdate(t *testing.T) {
	bed := newBed(t)
	for _, m := range []struct {
		name, kind string
		nth        int
	}{
		{"before-the-stop", "POST stop", 1},
		{"before-the-old-is-renamed", "POST rename", 1},
		{"before-the-new-is-renamed", "POST rename", 2},
		{"before-the-start", "POST start", 1},
		{"before-the-old-is-removed", "DELETE", 1},
	} {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			p := newProject(t, bed, testCase{name: m.name, file: `
services:
  app:
    image: OUR/app
    restart: unless-stopped
`})
			p.up()
			name := m.name + "-app-1"
			p.release("app", "two", testbed.ImageOptions{})
			met := false
			p.host = p.before(m.kind, m.nth, func() {
				met = true
				_, stderr, err := bed.Engine().Compose(t.Context(), p.dir, nil, "--project-name", p.name, "--progress", "plain", "up", "--detach")
				t.Logf("docker compose up: %v\n%s", err, stderr)
			})
			op := p.update(name)[name]
			t.Logf("the update is %q %s", op.State, explain(op))
			if !met {
				t.Fatalf("no %s", m.kind)
			}
			after := p.containers()
			if is := after[name]; len(after) != 1 || is.ID == "" || !is.State.Running || is.HostConfig.RestartPolicy.Name != "unless-stopped" {
				t.Errorf("%d containers afterwards, %s there: %v, running: %v", len(after), name, is.ID != "", is.ID != "" && is.State.Running)
			}
			p.idle("after the update")
		})
	}
}
