package dockercli_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/client/pkg/versions"

	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/test/testbed"
)

// TestAttachableOverlayNetwork: Swarm hands out the addresses, and an inspect
// shows them as if the user had asked for them.
func TestAttachableOverlayNetwork(t *testing.T) {
	w := newWorkshopOn(t, testbed.PrivateEngine, testbed.Plain)
	w.stock(map[string][2]testbed.ImageOptions{"plain": {{}, {}}})
	w.docker("swarm", "init", "--advertise-addr", "127.0.0.1")
	w.docker("network", "create", "-d", "overlay", "--attachable", "--subnet", "10.90.0.0/24", "swarm")
	w.docker("network", "create", "local")
	// A node drops such a network with its last container. Moby 29 then doesn't
	// start one that is on another network, too ("network swarm not found").
	w.docker("run", "-d", "--network", "swarm", w.bed.Registry(testbed.Plain).Ref("plain:1"))
	mayDiffer := warns("Swarm will choose")
	for i, r := range []recreation{
		{name: "chosen address", args: []string{"--network", "swarm", "--network-alias", "web"}, check: mayDiffer},
		{name: "beside another network", args: []string{"--network", "swarm"}, then: []string{"network connect --alias x local {name}"}, check: mayDiffer},
		{name: "as a further network", args: []string{"--network", "local"}, then: []string{"network connect --alias x swarm {name}"}, check: mayDiffer},
		{name: "asked for, never started", args: []string{"--network", "swarm", "--ip", "10.90.0.77"}, createdOnly: "a running one's can't be told from one that Swarm chose"},
	} {
		t.Run(r.name, func(t *testing.T) { w.in(t).try(i+1, r) })
	}
}

// TestImageThatIsGone: a stopped container's image can be removed. What the
// image had said can't be told any more, and stays with what the user said.
func TestImageThatIsGone(t *testing.T) {
	w := newWorkshop(t)
	w.stock(pairs())
	pair, name := w.bed.Registry(testbed.Plain).Ref("rich"), w.bed.Name("orphan")
	ref := w.bed.Name("orphan") + ":latest"
	w.docker("tag", pair+":1", ref)
	old := w.docker("create", "--name", name, "-e", "MINE=1", "-p", "127.0.0.1::80", "-v", "/mine", ref)
	defer w.clean(name)
	w.docker("rmi", "-f", w.imageID(ref))
	w.docker("start", old)
	w.docker("exec", old, "sh", "-c", "echo kept > /gone/file; echo kept > /mine/file")
	b := w.blueprint(old)
	if !b.ImageGone {
		t.Fatal("the image is still there")
	}
	before := w.config(old)
	w.docker("tag", pair+":2", ref)
	made := w.create(b, dockercli.CreateOptions{Name: name + "-new"})
	after := w.config(made)
	for _, field := range []string{"Cmd", "Entrypoint", "User", "StopSignal"} {
		if diff := cmp.Diff(before[field], after[field]); diff != "" {
			t.Errorf("%s (-old +new):\n%s", field, diff)
		}
	}
	env, _ := after["Env"].([]any)
	for _, want := range []any{"MINE=1", "CHANGED=old", "GONE=1", "ADDED=1"} {
		if !slices.Contains(env, want) {
			t.Errorf("%v is missing in %v", want, env)
		}
	}
	w.must(w.client.Stop(t.Context(), old, nil))
	w.must(w.client.Start(t.Context(), made))
	if got := w.docker("exec", made, "cat", "/gone/file", "/mine/file"); got != "kept\nkept" {
		t.Errorf("data %q", got)
	}
}

// TestMACThatCantBeTold: on a further network of a container that has been
// started, a locally administered address looks like the engine's own, and
// isn't kept. Should an engine ever show it, this test says so.
func TestMACThatCantBeTold(t *testing.T) {
	w, ref := simple(t)
	version := testbed.Must(w.client.Version(t.Context()))(t).API
	if versions.LessThan(version, "1.48") {
		t.Logf("API %s: an engine this old makes addresses from the IP address, or takes none", version)
		return // as with the cases' own since and until
	}
	a, b, name := w.bed.Name("a"), w.bed.Name("b"), w.bed.Name("mac")
	w.docker("network", "create", a)
	w.docker("network", "create", b)
	old := w.post(name, strings.NewReplacer("{a}", a, "{b}", b, "{image}", ref).Replace(
		`{"Image":"{image}","HostConfig":{"NetworkMode":"{a}"},"NetworkingConfig":{"EndpointsConfig":{"{a}":{},"{b}":{"MacAddress":"0a:42:ac:aa:bb:08"}}}}`))
	w.docker("start", old)
	bp := w.blueprint(old)
	w.docker("rm", "-f", old)
	made := w.create(bp, dockercli.CreateOptions{Name: name})
	w.docker("start", made)
	shown := w.docker("inspect", "--format", "{{(index .NetworkSettings.Networks \""+b+"\").MacAddress}}", made)
	if len(bp.Inspect.MACs) != 0 || shown == "0a:42:ac:aa:bb:08" {
		t.Errorf("it is told after all: %v, %s: take the gap out of the documentation", bp.Inspect.MACs, shown)
	}
}

// TestNeverStartedContainersStayDown: a stopped container is made again and
// not started. Such a one stays down when the engine starts again, whatever
// its restart policy; also where a container that had been started and
// stopped would be started (always; on-failure after a failure).
func TestNeverStartedContainersStayDown(t *testing.T) {
	w := newWorkshopOn(t, testbed.PrivateEngine, testbed.Plain)
	w.stock(map[string][2]testbed.ImageOptions{"plain": {{}, {}}})
	ref := w.bed.Registry(testbed.Plain).Ref("plain:1")
	running := map[string]bool{} // by name: what the engine makes of it
	for policy, restarted := range map[string]bool{"always": true, "unless-stopped": false, "on-failure": true} {
		never, stopped := policy+"-never", policy+"-stopped"
		old := w.docker("create", "--restart", policy, "--name", stopped, ref)
		made := w.create(w.blueprint(old), dockercli.CreateOptions{Name: never, RestartPolicyNo: true})
		w.must(w.client.SetRestartPolicy(t.Context(), made, dockercli.RestartPolicy{Name: policy}))
		w.docker("start", stopped)
		w.docker("kill", stopped)
		running[never], running[stopped] = false, restarted
	}
	for _, restart := range []func(context.Context) error{w.bed.Engine().Restart, func(ctx context.Context) error {
		return errors.Join(w.bed.Engine().Kill(ctx), w.bed.Engine().Start(ctx))
	}} {
		w.must(restart(t.Context()))
		for name, want := range running {
			if s := w.state(name); s.Running != want {
				t.Errorf("%s runs: %v; want %v", name, s.Running, want)
			}
			if want { // as before
				w.docker("kill", name)
			}
		}
	}
}

// TestStorageOptions: graph drivers take a size only on a file system with
// quotas, so this engine gets one of its own. (The containerd store takes any;
// see the fidelity list.)
func TestStorageOptions(t *testing.T) {
	w := newWorkshopOn(t, testbed.Debian, testbed.Plain)
	engine := w.bed.Engine()
	root, disk := w.docker("info", "--format", "{{.DockerRootDir}}"), filepath.Join(w.bed.Dir(), "disk")
	w.must(engine.Stop(t.Context()))
	for _, args := range [][]string{{"truncate", "-s", "600M", disk}, {"mkfs.btrfs", "-q", disk}, {"mount", "-o", "loop", disk, root}} {
		cmd := testbed.Must(engine.Command(args[0], args[1:]...))(t)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%q: %v: %s", args, err, out)
		}
	}
	w.must(engine.Start(t.Context()))
	w.stock(map[string][2]testbed.ImageOptions{"plain": {{}, {}}})
	w.try(1, recreation{args: []string{"--storage-opt", "size=64M"}})
}
