package updater_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/moby/api/types/container"

	"github.com/watch-docker/watch-docker/internal/store"
	"github.com/watch-docker/watch-docker/test/inspection"
	"github.com/watch-docker/watch-docker/test/testbed"
)

// A shape is a way to make a container; the words are as in the fidelity list
// of dockercli: {name}, {n}, and {image}.
type shape struct {
	name string
	prep []string // docker commands before
	args []string // of docker create, before the image
	cmd  []string // after it
	then []string // docker commands after the create
	// state is what is done to it then; nil: it is started.
	state []string
}

func stays() []string { return []string{} } // created, and never started

// shapes are the richest of the fidelity list.
func shapes() []shape {
	return []shape{
		{name: "nothing set"},
		{name: "the image's settings overridden", args: []string{
			"-e", "MINE=1", "-e", "CHANGED=old", "-l", "mine=1", "-l", "changed=mine", "--expose", "90", "-w", "/tmp", "-u", "0:7", "--stop-signal", "SIGINT",
			"--stop-timeout", "7", "--health-cmd", "true", "--health-interval", "350ms", "-h", "web", "--domainname", "example.org",
		}},
		{name: "three networks", prep: []string{
			"network create --ipv6 --subnet 10.91.{n}.0/24 --subnet fd00:91:{n}::/64 {name}-a", "network create --subnet 10.92.{n}.0/24 {name}-b", "network create {name}-c",
		}, args: []string{
			"--network", "{name}-a", "--ip", "10.91.{n}.7", "--ip6", "fd00:91:{n}::7", "--link-local-ip", "169.254.91.{n}", "--network-alias", "web", "--network-alias", "www",
			"-p", "127.0.0.1:197{n}:80", "-p", "127.0.0.1::81", "--add-host", "a:10.1.2.3", "--dns", "9.9.9.9", "--dns-search", "example.org",
		}, then: []string{
			"network connect --ip 10.92.{n}.7 --alias db --driver-opt com.example.b=1 {name}-b {name}", "network connect --alias cache {name}-c {name}",
		}},
		{name: "everything mounted", prep: []string{"create --name {name}-data -v /shared -v {name}-v:/named {image}"}, args: []string{
			"-v", "/tmp:/host-tmp:ro,Z", "-v", "{name}-v:/v", "-v", "{name}-w:/w:nocopy,ro", "-v", "/anonymous", "--tmpfs", "/cache:rw,size=64k", "--volumes-from", "{name}-data:ro",
			"--mount", "type=bind,source=/usr,destination=/b,readonly,bind-propagation=rprivate", "--mount", "type=volume,destination=/anonymous2",
			"--mount", "type=tmpfs,destination=/t,tmpfs-size=1048576,tmpfs-mode=1770", "--read-only",
		}},
		{name: "process and limits", args: []string{
			"-t", "-i", "--init", "--cap-add", "NET_ADMIN", "--cap-drop", "MKNOD", "--security-opt", "no-new-privileges", "--ulimit", "nofile=1024:2048",
			"--sysctl", "net.core.somaxconn=1024", "--device", "/dev/null:/dev/mine:rw", "--device-cgroup-rule", "c 42:* rmw", "--group-add", "10", "--shm-size", "32m",
			"--log-opt", "max-size=1m", "--restart", "on-failure:4", "--runtime", "runc", "--ipc", "shareable", "--uts", "host",
		}},
		{name: "limits of a container that was never started", state: stays(), args: []string{
			"--cpus", "0.5", "--cpu-shares", "512", "-m", "64m", "--memory-swap", "128m", "--pids-limit", "100", "--blkio-weight", "300", "--restart", "unless-stopped",
			"--gpus", "all", "--privileged", "--pid", "host", "--oom-score-adj", "500", "--device-read-bps", "/dev/null:1mb",
		}},
		{name: "another's network", prep: []string{"run -d --name {name}-peer {image}"}, args: []string{"--network", "container:{name}-peer", "--restart", "always"}},
		{name: "the host's network", args: []string{"--network", "host", "--restart", "unless-stopped"}},
		{name: "links", prep: []string{"run -d --name {name}-db {image}"}, args: []string{"--link", "{name}-db:db", "--link", "{name}-db:database"}},
		{name: "removed at its end", args: []string{"--rm", "-v", "/anonymous", "-e", "MINE=1"}},
	}
}

func releases() [2]testbed.ImageOptions {
	check := func(interval time.Duration) *v1.HealthConfig {
		return &v1.HealthConfig{Test: []string{"CMD", "/bin/true"}, Interval: interval, Timeout: 5 * time.Second, Retries: 5}
	}
	return [2]testbed.ImageOptions{
		{
			Payload: "one", Env: []string{"KEPT=1", "CHANGED=old", "GONE=1"}, Labels: map[string]string{"changed": "old", "gone": "1"},
			ExposedPorts: []string{"80/tcp", "81/tcp"}, Volumes: []string{"/data"}, WorkingDir: "/bin", User: "0:0", Healthcheck: check(300 * time.Millisecond),
			Entrypoint: testbed.Stoppable("sleep", "1000"), Cmd: []string{"1"},
		}, {
			Payload: "two", Env: []string{"KEPT=1", "CHANGED=new", "ADDED=1"}, Labels: map[string]string{"changed": "new", "added": "1"},
			ExposedPorts: []string{"80/tcp", "82/tcp"}, Volumes: []string{"/data", "/added"}, WorkingDir: "/etc", User: "0", Healthcheck: check(400 * time.Millisecond),
			Entrypoint: testbed.Stoppable("sleep", "2000"), Cmd: []string{"2"}, StopSignal: "SIGTERM",
		},
	}
}

// TestAnUpdatedContainerEqualsItsControl is promise 2 through the whole
// update: what the updater does besides creating (names, restart policies)
// leaves no trace either.
func TestAnUpdatedContainerEqualsItsControl(t *testing.T) {
	w := newWorld(t)
	for i, s := range shapes() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			name, tag := w.bed.Name(fmt.Sprint("shape-", i)), fmt.Sprintf("shape-%d:latest", i)
			b := &workshop{world: &world{T: t, bed: w.bed, reg: w.reg, engine: w.engine, store: w.store, up: w.up}, name: name}
			in := strings.NewReplacer("{name}", name, "{n}", fmt.Sprint(10+i), "{image}", w.reg.Ref(tag))
			b.push(tag, releases()[0])
			if err := w.bed.Pull(t.Context(), w.reg.Ref(tag)); err != nil {
				t.Fatal(err)
			}
			for _, line := range s.prep {
				b.cli(strings.Fields(in.Replace(line))...)
			}
			old := b.make(s, in)
			digest := b.push(tag, releases()[1])
			b.expect(b.update(b.request(testbed.Container{ID: old, Name: name}, tag, digest)), store.Succeeded, "")
			got := b.inspect()
			b.cli("rm", "-f", name)
			b.make(s, in)
			known := in.Replace(strings.Join(append(s.args, s.then...), " "))
			if diff := cmp.Diff(inspection.Normalise(b.inspect(), known), inspection.Normalise(got, known)); diff != "" {
				t.Errorf("inspect (-control +updated):\n%s", diff)
			}
			b.alone(name)
		})
	}
}

// TestWhatWasStoppedStaysStopped: whatever stopped it, and whatever its
// policy. What the engine's next restart makes of it is dockercli's
// TestNeverStartedContainersStayDown.
func TestWhatWasStoppedStaysStopped(t *testing.T) {
	w := newWorld(t)
	fails := []string{"--entrypoint", "/bin/false"}
	for i, s := range []shape{
		{name: "never started", args: []string{"--restart", "always"}, state: stays()},
		{name: "stopped, restart always", args: []string{"--restart", "always"}, state: []string{"start {name}", "stop {name}"}},
		{name: "stopped, restart unless stopped", args: []string{"--restart", "unless-stopped"}, state: []string{"start {name}", "stop {name}"}},
		{name: "killed: exit code 137", args: []string{"--restart", "on-failure:3"}, state: []string{"start {name}", "kill {name}"}},
		{name: "restarted until it was given up", args: append([]string{"--restart", "on-failure:2"}, fails...), state: []string{"start {name}", "wait {name}"}},
		{name: "failed", args: fails, state: []string{"start {name}", "wait {name}"}},
	} {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			name, tag := w.bed.Name(fmt.Sprint("stopped-", i)), fmt.Sprintf("stopped-%d:latest", i)
			b := &workshop{world: &world{T: t, bed: w.bed, reg: w.reg, engine: w.engine, store: w.store, up: w.up}, name: name}
			b.push(tag, testbed.ImageOptions{Payload: "one"})
			if err := w.bed.Pull(t.Context(), w.reg.Ref(tag)); err != nil {
				t.Fatal(err)
			}
			old := b.make(s, strings.NewReplacer("{name}", name, "{image}", w.reg.Ref(tag)))
			before := b.settled(old)
			op := b.update(b.request(testbed.Container{ID: old, Name: name}, tag, b.push(tag, testbed.ImageOptions{Payload: "two"})))
			b.expect(op, store.Succeeded, "")
			now := b.named(name)
			if now.ID == old || now.State.Running || now.State.Status != "created" || now.RestartCount != 0 || op.DowntimeMs != 0 {
				t.Errorf("it was %s (%d, restarted %d times); now %+v, down %d ms",
					before.State.Status, before.State.ExitCode, before.RestartCount, now.State, op.DowntimeMs)
			}
			if now.HostConfig.RestartPolicy != before.HostConfig.RestartPolicy {
				t.Errorf("restart policy %+v; was %+v", now.HostConfig.RestartPolicy, before.HostConfig.RestartPolicy)
			}
			b.alone(name)
		})
	}
}

// workshop makes one container, again and again.
type workshop struct {
	*world
	name string
}

// make does as the user would, and returns the container's id.
func (w *workshop) make(s shape, in *strings.Replacer) (id string) {
	w.Helper()
	args := append([]string{"create", "--pull", "never", "--name", w.name}, s.args...)
	for i := range args {
		args[i] = in.Replace(args[i])
	}
	id = w.cli(append(append(args, in.Replace("{image}")), s.cmd...)...)
	after := s.state
	if after == nil {
		after = []string{"start {name}"}
	}
	for _, line := range append(s.then, after...) {
		w.cli(strings.Fields(in.Replace(line))...)
	}
	return id
}

// settled waits until the container doesn't run, and won't be restarted.
func (w *workshop) settled(id string) container.InspectResponse {
	w.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); <-tick.C {
		if c := w.named(id); !c.State.Running && !c.State.Restarting {
			return c
		}
	}
	w.Fatalf("%s runs on", w.name)
	return container.InspectResponse{}
}

// cli runs Docker's own command line.
func (w *workshop) cli(args ...string) string {
	w.Helper()
	cmd := exec.CommandContext(w.Context(), "docker", args...)
	cmd.Env = append(os.Environ(), "DOCKER_HOST="+w.bed.Engine().Host(), "DOCKER_CONFIG="+w.TempDir())
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		w.Fatalf("docker %s: %v: %s", strings.Join(args, " "), err, stderr.String())
	}
	return strings.TrimSpace(string(out))
}

// inspect is the engine's raw inspect.
func (w *workshop) inspect() (all map[string]any) {
	w.Helper()
	raw, err := w.engine.Detail(w.Context(), w.name)
	if err == nil {
		err = json.Unmarshal(raw, &all)
	}
	if err != nil {
		w.Fatal(err)
	}
	return all
}
