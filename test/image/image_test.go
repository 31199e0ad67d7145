package image_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/watch-docker/watch-docker/internal/scanner"
	"github.com/watch-docker/watch-docker/test/testbed"
)

// socketGroup is a group that nobody has but who is given it.
const socketGroup = 4242

// TestTheImage builds it once and goes through everything that it promises.
func TestTheImage(t *testing.T) {
	w := newWorld(t)
	// As on an ordinary host: root and one group may open the socket.
	w.must(os.Chmod(w.socket(), 0o660))
	w.must(os.Chown(w.socket(), 0, socketGroup))

	t.Run("holds the program, CA roots and an empty state folder, and nothing else", func(t *testing.T) { w.in(t).contents() })
	t.Run("says what it is and how it is run", func(t *testing.T) { w.in(t).labelled() })
	t.Run("watches and updates as root without any capability", func(t *testing.T) {
		w.in(t).works("asroot", "", nil)
	})
	t.Run("watches and updates as another user with the socket's group", func(t *testing.T) {
		w.in(t).works("asuser", "65532:65532", func(h *container.HostConfig) { h.GroupAdd = []string{fmt.Sprint(socketGroup)} })
	})
	t.Run("says what is missing as another user without the group", func(t *testing.T) { w.in(t).shutOut() })
	t.Run("leaves the container alone that a command of it runs in", func(t *testing.T) { w.in(t).leavesItself() })
	t.Run("knows time zones", func(t *testing.T) { w.in(t).zones() })
	t.Run("trusts an authority that is mounted, and no stranger", func(t *testing.T) { w.in(t).authorities() })
}

func (w *world) labelled() {
	image := testbed.Must(w.engine.ImageInspect(w.Context(), w.image))(w)
	labels := image.Config.Labels
	for name, want := range map[string]string{
		"title": "Watch Docker", "licenses": "Apache-2.0", "version": version, "source": "https://github.com/watch-docker/watch-docker",
	} {
		if got := labels["org.opencontainers.image."+name]; got != want {
			w.Errorf("label %s is %q, want %q", name, got, want)
		}
	}
	if len(labels) != 5 {
		w.Errorf("labels %v: one too many", labels)
	}
	if _, ok := image.Config.ExposedPorts["8080/tcp"]; !ok {
		w.Errorf("it exposes %v", image.Config.ExposedPorts)
	}
	if _, ok := image.Config.Volumes["/config"]; !ok {
		w.Errorf("its volumes are %v", image.Config.Volumes)
	}
	out, code := w.once(testbed.ContainerSpec{Cmd: []string{"version"}}, nil)
	if code != 0 || !strings.Contains(out, version) {
		w.Errorf("version exits with %d: %s", code, out)
	}
}

// works is the main job: healthy by the image's own check, a scan and an
// update by docker exec, and an end in time.
func (w *world) works(short, user string, change func(*container.HostConfig)) {
	old := w.outdated(short)
	server := w.run(testbed.ContainerSpec{Config: &container.Config{
		User:        user,
		Healthcheck: &container.HealthConfig{Interval: 500 * time.Millisecond}, // the test itself is the image's
	}}, change)
	testbed.Eventually(w, time.Minute, func() error {
		state := w.inspect(server.ID).State
		if state.Health == nil || state.Health.Status != container.Healthy {
			return fmt.Errorf("%s, health %+v", state.Status, state.Health)
		}
		return nil
	})
	w.scans(server, old)
	w.updates(server, old)
	w.push(short, "three", "false")
	w.rollsBack(server, old.Name)
	w.stops(server)
}

func (w *world) scans(server, old testbed.Container) {
	w.Helper()
	stdout, stderr, code := w.exec(server, "/watch-docker", "scan", "-json")
	if code != 0 {
		w.Fatalf("scan exits with %d: %s", code, stderr)
	}
	if strings.Contains(stderr, "without what earlier scans") {
		w.Errorf("the state folder is of no use: %s", stderr)
	}
	if c := w.find(stdout, old.Name); c.Status != scanner.UpdateAvailable {
		w.Errorf("%s: %s, %s; want an update", old.Name, c.Status, c.Summary)
	}
}

func (w *world) updates(server, old testbed.Container) {
	w.Helper()
	stdout, stderr, code := w.exec(server, "/watch-docker", "update", old.Name)
	if code != 0 || !strings.Contains(stdout, "updated") {
		w.Fatalf("update exits with %d:\n%s%s", code, stdout, stderr)
	}
	w.Logf("update:\n%s%s", stderr, stdout)
	now := w.inspect(old.Name)
	if now.ID == old.ID || !now.State.Running {
		w.Errorf("%s is %s and %s", old.Name, now.ID, now.State.Status)
	}
	if payload, _, _ := w.exec(testbed.Container{ID: now.ID}, "cat", "/payload"); payload != "two" {
		w.Errorf("its payload is %q", payload)
	}
}

// leavesItself: a command's own container would end the update in the middle.
func (w *world) leavesItself() {
	w.Helper()
	name := w.bed.Name("command")
	out, code := w.once(testbed.ContainerSpec{Name: "command", Cmd: []string{"update", "-force", name}}, nil)
	if code != 0 || !strings.Contains(out, "This command runs in that container") {
		w.Errorf("update of itself exits with %d:\n%s", code, out)
	}
}

// rollsBack has a release that is never healthy.
func (w *world) rollsBack(server testbed.Container, name string) {
	w.Helper()
	before := w.inspect(name)
	stdout, stderr, code := w.exec(server, "/watch-docker", "update", name)
	if code != 1 || !strings.Contains(stdout, "rolled back") || !strings.Contains(stdout, "health check fails") {
		w.Errorf("update to a broken release exits with %d:\n%s%s", code, stdout, stderr)
	}
	if now := w.inspect(name); now.ID != before.ID || !now.State.Running {
		w.Errorf("the old one is not back: %s is %s", now.ID, now.State.Status)
	}
}

func (w *world) stops(server testbed.Container) {
	w.Helper()
	began := time.Now()
	testbed.Must(w.engine.ContainerStop(w.Context(), server.ID, client.ContainerStopOptions{}))(w)
	took := time.Since(began)
	if code := w.inspect(server.ID).State.ExitCode; code != 0 || took > 2*time.Second {
		w.Errorf("docker stop takes %s and ends it with %d", took, code)
	}
	w.Logf("docker stop takes %s", took.Round(time.Millisecond))
}

func (w *world) shutOut() {
	out, code := w.once(testbed.ContainerSpec{Cmd: []string{"scan"}, Config: &container.Config{User: "65532:65532"}}, nil)
	if code != 1 || !strings.Contains(out, "permission denied") {
		w.Errorf("scan exits with %d: %s", code, out)
	}
	w.Logf("it says: %s", out)
}

func (w *world) zones() {
	show := testbed.ContainerSpec{Cmd: []string{"config", "check"}}
	out, code := w.once(show, nil)
	if code != 0 || !slices.ContainsFunc(strings.Split(out, "\n"), func(line string) bool {
		return slices.Equal(strings.Fields(line), []string{"update.timezone", "Europe/Berlin", "TZ"})
	}) {
		w.Errorf("with TZ=Europe/Berlin config check exits with %d: %s", code, out)
	}
	show.Env = []string{"TZ=Mars/Phobos"}
	if out, code := w.once(show, nil); code != 2 || !strings.Contains(out, "Mars/Phobos") {
		w.Errorf("with a zone that isn't there config check exits with %d: %s", code, out)
	}
}
