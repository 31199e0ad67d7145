package dockercli_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/test/testbed"
)

// TestAContainerBesideAnother sees what the other sees, and takes nothing away from it.
func TestAContainerBesideAnother(t *testing.T) {
	w := newWorkshop(t)
	w.stock(map[string][2]testbed.ImageOptions{"plain": {{Volumes: []string{"/declared"}}, {}}})
	ref := w.bed.Registry(testbed.Plain).Ref("plain:1")
	name, first, second := w.bed.Name("main"), w.bed.Name("first"), w.bed.Name("second")
	for i, network := range []string{first, second} {
		w.docker("network", "create", "--subnet", []string{"10.71.0.0/24", "10.72.0.0/24"}[i], network)
		defer w.docker("network", "rm", network)
	}
	folder := t.TempDir()
	id := w.docker("run", "-d", "--name", name, "--network", first, "--ip", "10.71.0.77", "--network-alias", "web", "--hostname", "fixed",
		"-p", "127.0.0.1::80", "-v", folder+":/bound:ro", "-v", "/anonymous", "--tmpfs", "/scratch", "--restart", "always", "-u", "7:8",
		"--group-add", "4242", "--security-opt", "no-new-privileges", "--cap-drop", "ALL", "-e", "MINE=1", "-l", "com.docker.compose.project=x",
		"--health-cmd", "true", "--read-only", "--add-host", "elsewhere:10.9.9.9", ref)
	w.docker("network", "connect", "--ip", "10.72.0.77", second, id)
	defer w.clean(name)
	b := w.blueprint(id)
	w.docker("exec", "-u", "0", id, "sh", "-c", "echo kept > /anonymous/file; echo kept > /declared/file")

	const show = "cat /anonymous/file /declared/file; id -u; id -G; echo $MINE; ls -d /bound /scratch; touch /denied 2>&1 | grep -c only; sleep 1000"
	made, err := w.client.CreateBeside(t.Context(), b, dockercli.BesideOptions{
		Name: name + "-beside", ImageID: w.imageID(w.bed.Registry(testbed.Plain).Ref("plain:2")),
		Cmd: []string{"sh", "-c", show}, Labels: map[string]string{"our": "label"},
	})
	w.must(err)
	defer w.clean(name + "-beside")
	w.must(w.client.Start(t.Context(), made))
	const want = "kept kept 7 8 4242 1 /bound /scratch 1"
	testbed.Eventually(t, time.Minute, func() error {
		if got := strings.Join(strings.Fields(w.docker("logs", made)), " "); got != want {
			return fmt.Errorf("it shows %q, want %q", got, want)
		}
		return nil
	})
	beside := w.blueprint(made)
	if p := beside.RestartPolicy.Name; p != "no" && p != "" {
		t.Errorf("restart policy %q", p)
	}
	if beside.Health != nil || len(beside.Labels) != 1 || beside.Labels["our"] != "label" {
		t.Errorf("health %v, labels %v", beside.Health, beside.Labels)
	}
	if len(beside.Networks) != 2 {
		t.Errorf("networks %v", beside.Networks)
	}
	if ports := w.docker("port", made); ports != "" {
		t.Errorf("ports %s", ports)
	}
	if got := w.docker("inspect", "-f", "{{(index .NetworkSettings.Networks \""+first+"\").IPAddress}}", id); got != "10.71.0.77" {
		t.Errorf("the other one has %s", got)
	}
	if has, err := w.client.HasFile(t.Context(), made, "/declared/file"); !has || err != nil {
		t.Errorf("a file of a volume: %v, %v", has, err)
	}
	if has, err := w.client.HasFile(t.Context(), made, "/declared/nothing"); has || err != nil {
		t.Errorf("a file that isn't there: %v, %v", has, err)
	}

	w.must(w.client.Remove(context.WithoutCancel(t.Context()), made, dockercli.RemoveOptions{Force: true, Volumes: true}))
	if got := w.docker("exec", id, "cat", "/anonymous/file", "/declared/file"); got != "kept\nkept" {
		t.Errorf("the other one's data: %q", got)
	}
	if _, err := w.client.CreateBeside(t.Context(), b, dockercli.BesideOptions{Name: name, ImageID: b.ImageID}); err == nil {
		t.Error("a name that is taken is taken again")
	} else {
		w.wants(err, dockercli.ErrConflict)
	}
}
