package updater_test

import (
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/watch-docker/watch-docker/internal/store"
	"github.com/watch-docker/watch-docker/internal/updater"
	"github.com/watch-docker/watch-docker/test/testbed"
)

// A container whose image somebody has removed can still be updated.
func TestAContainerWhoseImageIsGoneIsUpdated(t *testing.T) {
	w := newWorld(t)
	w.push("app:1", testbed.ImageOptions{Payload: "one"})
	c := w.start("app:1", testbed.ContainerSpec{Name: "app", Env: []string{"MINE=yes"}})
	api := w.bed.Engine().Client()
	must(api.ContainerStop(t.Context(), c.ID, client.ContainerStopOptions{}))(t)
	must(api.ImageRemove(t.Context(), w.named(c.Name).Image, client.ImageRemoveOptions{Force: true}))(t)
	must(api.ContainerStart(t.Context(), c.ID, client.ContainerStartOptions{}))(t)
	w.expect(w.update(w.request(c, "app:1", w.push("app:1", testbed.ImageOptions{Payload: "two"}))), store.Succeeded, "")
	if now := w.named(c.Name); now.ID == c.ID || !now.State.Running {
		t.Errorf("%+v", now.State)
	}
	w.alone(c.Name)
}

// A container with --rm whose tag named the new image already is the same
// after a roll back, so that it can be updated again.
func TestAContainerThatIsMadeAnewKeepsItsReference(t *testing.T) {
	w := newWorld(t)
	w.push("app:1", testbed.ImageOptions{Payload: "one"})
	c := w.start("app:1", testbed.ContainerSpec{Name: "app", HostConfig: &container.HostConfig{AutoRemove: true}})
	before := w.named(c.Name)
	r := w.request(c, "app:1", w.push("app:1", testbed.ImageOptions{Payload: "two", Entrypoint: []string{"/nowhere"}}))
	if err := w.bed.Pull(t.Context(), w.reg.Ref("app:1")); err != nil {
		t.Fatal(err)
	}
	r.Pull = false
	w.expect(w.update(r), store.RolledBack, updater.CodeStart)
	if now := w.named(c.Name); now.Image != before.Image || now.Config.Image != before.Config.Image || !now.State.Running {
		t.Errorf("made from %s (%s), it was %s (%s); %+v", now.Config.Image, now.Image, before.Config.Image, before.Image, now.State)
	}
	w.alone(c.Name)
}
