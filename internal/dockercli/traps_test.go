package dockercli_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/test/inspection"
	"github.com/watch-docker/watch-docker/test/testbed"
)

// move pushes other content to web:1 and lets the engine pull it, so that the
// old image has no name any more.
func (w *workshop) move(o testbed.ImageOptions) (ref string) {
	w.Helper()
	const repoTag = "web:1"
	reg := w.bed.Registry(testbed.Plain)
	w.push(reg, repoTag, o)
	ref = reg.Ref(repoTag)
	if _, err := w.client.Pull(w.Context(), ref, dockercli.PullOptions{}); err != nil {
		w.Fatal(err)
	}
	return ref
}

func (w *workshop) create(b dockercli.Blueprint, o dockercli.CreateOptions) string {
	w.Helper()
	id, _, err := w.client.Create(w.Context(), b, o)
	if err != nil {
		w.Fatal(err)
	}
	return id
}

// config is Config of the inspect.
func (w *workshop) config(id string) map[string]any {
	w.Helper()
	return w.inspect(id)["Config"].(map[string]any)
}

func TestDefaultsAreThoseOfTheOldImageID(t *testing.T) {
	w := newWorkshop(t)
	ref := w.move(testbed.ImageOptions{Payload: "1", Env: []string{"PATH=/bin", "V=1"}})
	old := w.docker("run", "-d", "-e", "MINE=1", ref)
	w.move(testbed.ImageOptions{Payload: "2", Env: []string{"PATH=/bin", "V=2"}})
	made := w.create(w.blueprint(old), dockercli.CreateOptions{Name: w.bed.Name("new"), ImageID: w.imageID(ref)})
	if got := w.config(made)["Env"]; !cmp.Equal(got, []any{"MINE=1", "PATH=/bin", "V=2"}) {
		t.Errorf("environment %q", got)
	}
	if image := w.config(made)["Image"]; image != ref {
		t.Errorf("made from %q; want %q", image, ref)
	}
}

func TestTagThatMovedIsNoticed(t *testing.T) {
	w := newWorkshop(t)
	w.stock(map[string][2]testbed.ImageOptions{"plain": {{}, {}}})
	pair := w.bed.Registry(testbed.Plain).Ref("plain")
	old := w.docker("create", pair+":1")
	name := w.bed.Name("new")
	_, _, err := w.client.Create(t.Context(), w.blueprint(old), dockercli.CreateOptions{Name: name, ImageID: w.imageID(pair + ":2")})
	w.wants(err, dockercli.ErrImageMoved)
	if _, found, _ := w.client.FindByName(t.Context(), name); found {
		t.Error("a container remains")
	}
	_, _, err = w.client.Create(t.Context(), w.blueprint(old), dockercli.CreateOptions{Name: name, Image: "nobody:1"})
	w.wants(err, dockercli.ErrNotFound)
}

func TestSwarmTaskIsRefused(t *testing.T) {
	w, ref := simple(t)
	id := w.docker("create", "-l", "com.docker.swarm.task.id=x", ref)
	_, err := w.client.Blueprint(t.Context(), id)
	w.wants(err, dockercli.ErrSwarmTask)
}

func TestImageForAnotherPlatformIsRefused(t *testing.T) {
	w := newWorkshop(t)
	ref := w.move(testbed.ImageOptions{Payload: "1"})
	old := w.docker("create", ref)
	reg := w.bed.Registry(testbed.Plain)
	w.push(reg, "web:2", testbed.ImageOptions{Payload: "2", Platform: "linux/s390x"})
	w.docker("pull", "--platform", "linux/s390x", reg.Ref("web:2"))
	_, _, err := w.client.Create(t.Context(), w.blueprint(old), dockercli.CreateOptions{Name: w.bed.Name("new"), Image: reg.Ref("web:2")})
	w.wants(err, dockercli.ErrNoPlatform)
}

func TestFailedCreateLeavesNothing(t *testing.T) {
	w, ref := simple(t)
	a, b := w.bed.Name("a"), w.bed.Name("b")
	w.docker("network", "create", a)
	w.docker("network", "create", b)
	old := w.docker("create", "--network", a, "-v", "/anon", ref)
	w.docker("network", "connect", b, old)
	bp, name := w.blueprint(old), w.bed.Name("new")
	w.docker("network", "disconnect", b, old)
	w.docker("network", "rm", b)
	id, _, err := w.client.Create(t.Context(), bp, dockercli.CreateOptions{Name: name})
	if err == nil {
		// From API 1.44 on a create takes a network that isn't there; the start doesn't.
		err = w.client.Start(t.Context(), id)
		w.must(w.client.Remove(t.Context(), id, dockercli.RemoveOptions{Force: true, Volumes: true}))
	}
	w.wants(err, dockercli.ErrNotFound)
	if _, found, _ := w.client.FindByName(t.Context(), name); found {
		t.Error("a container remains")
	}
	if volume := bp.Mounts[0].Name; w.docker("volume", "inspect", "-f", "{{.Name}}", volume) != volume {
		t.Error("the old container's volume is gone")
	}
}

func TestVolumesOfAContainerWithRmOutliveIt(t *testing.T) {
	w := newWorkshop(t)
	ref := w.move(testbed.ImageOptions{Payload: "1", Volumes: []string{"/data"}})
	old := w.docker("run", "-d", "--rm", "-v", "/anon", ref)
	w.docker("exec", old, "sh", "-c", "echo kept > /data/file; echo kept > /anon/file")
	w.move(testbed.ImageOptions{Payload: "2", Volumes: []string{"/data"}})
	made := w.create(w.blueprint(old), dockercli.CreateOptions{Name: w.bed.Name("new")})
	w.must(w.client.Stop(t.Context(), old, nil))
	w.must(w.client.Start(t.Context(), made))
	if got := w.docker("exec", made, "cat", "/data/file", "/anon/file"); got != "kept\nkept" {
		t.Errorf("data %q", got)
	}
}

// TestRecreatedTwiceIsTheSame: what one recreation adds (volumes by name)
// doesn't pass for the user's in the next.
func TestRecreatedTwiceIsTheSame(t *testing.T) {
	w := newWorkshop(t)
	w.stock(pairs())
	ref, pair := "twice:1", w.bed.Registry(testbed.Plain).Ref("rich")
	user := []string{"-v", "/mine", "-e", "MINE=1"}
	w.docker("tag", pair+":1", ref)
	first := w.docker(append(append([]string{"create", "--name", "twice"}, user...), ref)...)
	w.docker("tag", pair+":2", ref)
	second := w.create(w.blueprint(first), dockercli.CreateOptions{Name: "second"})
	w.docker("tag", pair+":1", ref)
	third := w.create(w.blueprint(second), dockercli.CreateOptions{Name: "third"})
	w.docker("rm", first)
	w.docker("rename", third, "twice")
	got := w.inspect(third)
	w.docker("rm", third)
	control := w.docker(append(append([]string{"create", "--name", "twice"}, user...), ref)...)
	if diff := cmp.Diff(inspection.Normalise(w.inspect(control), ""), inspection.Normalise(got, "")); diff != "" {
		t.Errorf("inspect (-control +recreated twice):\n%s", diff)
	}
}

func TestPeersThatWereRecreatedAreReplaced(t *testing.T) {
	w, ref := simple(t)
	peer := w.docker("run", "-d", "--ipc", "shareable", "-v", "/shared", ref)
	other := w.docker("run", "-d", "--ipc", "shareable", "-v", "/shared", ref)
	mode := "container:" + peer
	id := w.docker("create", "--network", mode, "--ipc", mode, "--pid", mode, "--volumes-from", peer+":ro", ref)
	b := w.blueprint(id)
	var kinds []string
	for _, r := range b.Uses {
		kinds = append(kinds, r.Kind+" "+r.Container)
	}
	if want := []string{"network " + peer, "ipc " + peer, "pid " + peer, "volumes " + peer}; !slices.Equal(kinds, want) {
		t.Errorf("uses %q; want %q", kinds, want)
	}
	made := w.create(b, dockercli.CreateOptions{Name: w.bed.Name("new"), Replace: map[string]string{peer: other}})
	w.must(w.client.Start(t.Context(), made))
	host := w.inspect(made)["HostConfig"].(map[string]any)
	for _, name := range []string{"NetworkMode", "IpcMode", "PidMode"} {
		if host[name] != "container:"+other {
			t.Errorf("%s is %v", name, host[name])
		}
	}
	if from := host["VolumesFrom"].([]any)[0]; from != other+":ro" {
		t.Errorf("volumes from %v", from)
	}
}

func TestRestartPolicyCanWait(t *testing.T) {
	w, ref := simple(t)
	old := w.docker("create", "--restart", "always", ref)
	b := w.blueprint(old)
	made := w.create(b, dockercli.CreateOptions{Name: w.bed.Name("new"), RestartPolicyNo: true})
	if p := w.state(made).RestartPolicy; p != dockercli.RestartNever() {
		t.Errorf("policy %+v", p)
	}
	w.must(w.client.SetRestartPolicy(t.Context(), made, b.RestartPolicy))
	if p := w.state(made).RestartPolicy; p.Name != "always" {
		t.Errorf("policy %+v", p)
	}
}

// TestNoRestartPolicyStaysNone: clients that name no policy leave it empty
// on older engines, which isn't "no" in an inspect.
func TestNoRestartPolicyStaysNone(t *testing.T) {
	w, ref := simple(t)
	b := w.blueprint(w.post(w.bed.Name("old"), fmt.Sprintf(`{"Image":%q}`, ref)))
	made := w.create(b, dockercli.CreateOptions{Name: w.bed.Name("new"), RestartPolicyNo: true})
	w.must(w.client.SetRestartPolicy(t.Context(), made, b.RestartPolicy))
	if p := w.state(made).RestartPolicy; p != b.RestartPolicy || p.Restarts(1) {
		t.Errorf("policy %+v; was %+v", p, b.RestartPolicy)
	}
}

// TestComposeLabelIsWhatComposeWrites: the image's id, or the platform's
// manifest where Compose wrote that.
func TestComposeLabelIsWhatComposeWrites(t *testing.T) {
	const label = "com.docker.compose.image"
	w := newWorkshop(t)
	reg := w.bed.Registry(testbed.Plain)
	push := func(payload string) {
		images := map[string]v1.Image{}
		for _, p := range []string{"linux/amd64", "linux/arm64"} {
			images[p] = testbed.Must(testbed.Image(testbed.ImageOptions{Payload: payload, Platform: p, OCI: true}))(t)
		}
		index := testbed.Must(testbed.Index(testbed.IndexOptions{Images: images, Attest: true}))(t)
		testbed.Must(reg.Push(t.Context(), "web:1", index))(t)
		testbed.Must(w.client.Pull(t.Context(), reg.Ref("web:1"), dockercli.PullOptions{}))(t)
	}
	push("1")
	probe := w.blueprint(w.docker("create", reg.Ref("web:1")))
	byID := w.docker("create", "-l", label+"="+probe.ImageID, "-l", "com.docker.compose.config-hash=abc", reg.Ref("web:1"))
	byManifest := ""
	if probe.Manifest != "" { // containerd store
		byManifest = w.docker("create", "-l", label+"="+probe.Manifest, reg.Ref("web:1"))
	}
	push("2")
	fresh := w.blueprint(w.docker("create", reg.Ref("web:1")))
	labels := func(old, name string) map[string]any {
		return w.config(w.create(w.blueprint(old), dockercli.CreateOptions{Name: w.bed.Name(name)}))["Labels"].(map[string]any)
	}
	if got := labels(byID, "by-id"); got[label] != fresh.ImageID || got["com.docker.compose.config-hash"] != "abc" {
		t.Errorf("labels %v; want image %s", got, fresh.ImageID)
	}
	if byManifest != "" {
		if got := labels(byManifest, "by-manifest")[label]; got != fresh.Manifest || got == fresh.ImageID {
			t.Errorf("label %v; want the manifest %s", got, fresh.Manifest)
		}
	}
}

func TestBlueprintTellsWhatTheUpdaterNeeds(t *testing.T) {
	w := newWorkshop(t)
	w.stock(pairs())
	ref := w.bed.Registry(testbed.Plain).Ref("rich:1")
	id := w.docker("run", "-d", "--name", w.bed.Name("told"), "--rm", "--stop-timeout", "3", "-v", "/anon", "-v", "/tmp:/tmp:ro", ref)
	b := w.blueprint(id)
	if b.Name != w.bed.Name("told") || b.State != "running" || !b.AutoRemove || b.StopTimeout.Seconds() != 3 || b.ImageRef != ref ||
		b.ImageID != w.imageID(ref) || b.ImageGone || b.Platform.String() != "linux/amd64" {
		t.Errorf("blueprint %+v", b)
	}
	if b.Health == nil || b.Health.Interval.Minutes() != 1 || b.Health.Retries != 5 || b.Health.Longest().Minutes() != 7.5 {
		t.Errorf("health check %+v", b.Health)
	}
	var mounts []string
	for _, m := range b.Mounts {
		words := []string{m.Destination, m.Type}
		for word, is := range map[string]bool{"anonymous": m.Anonymous, "image": m.FromImage, "read-only": m.ReadOnly} {
			if is {
				words = append(words, word)
			}
		}
		slices.Sort(words[2:])
		mounts = append(mounts, strings.Join(words, " "))
	}
	want := []string{"/anon volume anonymous", "/data volume anonymous image", "/gone volume anonymous image", "/tmp bind read-only"}
	if !slices.Equal(mounts, want) {
		t.Errorf("mounts %q; want %q", mounts, want)
	}
}
