package updater_test

import (
	"errors"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/internal/store"
	"github.com/watch-docker/watch-docker/internal/updater"
	"github.com/watch-docker/watch-docker/test/testbed"
)

// release pushes one more version and updates the container to it.
func (w *world) release(name, version string) (op store.Operation, digest string) {
	w.Helper()
	now := w.named(name)
	digest = w.push("app:1", testbed.ImageOptions{Payload: version, Env: []string{"VERSION=" + version}})
	r := w.request(testbed.Container{ID: now.ID, Name: name}, "app:1", digest)
	r.FromDigest = w.digestOf(now.Image)
	return w.update(r), digest
}

// digestOf is what the registry knows an image by.
func (w *world) digestOf(imageID string) string {
	w.Helper()
	for _, row := range must(w.engine.Images(w.Context()))(w) {
		if row.ID == imageID && len(row.Digests) > 0 {
			return row.Digests[0][len(w.reg.Ref("app"))+1:]
		}
	}
	return imageID // the containerd store's ids are digests
}

func (w *world) rollback(name string) (store.Operation, error) {
	w.Helper()
	now := w.named(name)
	op, err := w.up.Rollback(w.Context(), updater.Request{
		ContainerID: now.ID, Name: name, Image: now.Config.Image, FromDigest: w.digestOf(now.Image), Actor: "test",
	})
	if err != nil {
		return op, err
	}
	<-w.up.Done(op.ID)
	return must(w.up.Operation(w.Context(), op.ID))(w), nil
}

func (w *world) has(imageID string) bool {
	w.Helper()
	_, err := w.engine.ImageID(w.Context(), imageID)
	if err != nil && !errors.Is(err, dockercli.ErrNotFound) {
		w.Fatal(err)
	}
	return err == nil
}

func (w *world) settings(change func(*updater.Settings)) {
	s := updater.Settings{Concurrency: 4, RemoveOld: true, HealthTimeout: 5e9, StableFor: 1e9, Keep: 100, KeepImages: 1}
	change(&s)
	w.up.Apply(s, w.accounts())
}

func TestEarlierImagesAreKeptAsManyAsAskedFor(t *testing.T) {
	w := newWorld(t)
	w.settings(func(*updater.Settings) {})
	w.push("app:1", testbed.ImageOptions{Payload: "1"})
	name := w.start("app:1", testbed.ContainerSpec{Name: "app"}).Name
	other := w.start("app:1", testbed.ContainerSpec{Name: "other"}).Name
	images := map[string]string{"1": w.named(name).Image}
	for _, version := range []string{"2", "3", "4"} {
		op, _ := w.release(name, version)
		w.expect(op, store.Succeeded, "")
		images[version] = w.named(name).Image
		if version == "2" { // somebody wants this one
			w.docker("tag", images["2"], "mine:latest")
		}
	}
	op, _ := w.release(name, "5")
	w.expect(op, store.Succeeded, "")
	for version, want := range map[string]bool{"1": true, "2": true, "3": false, "4": true} { // other runs 1, mine names 2, 4 is kept
		if got := w.has(images[version]); got != want {
			t.Errorf("image %s is there: %v, want %v", version, got, want)
		}
	}
	if w.named(other).Image != images["1"] {
		t.Error("the other container was touched")
	}
	w.settings(func(s *updater.Settings) { s.KeepImages = 0 })
	images["5"] = w.named(name).Image
	op, _ = w.release(name, "6")
	w.expect(op, store.Succeeded, "")
	if w.has(images["4"]) || w.has(images["5"]) {
		t.Error("images are kept although none was asked for")
	}
	if _, err := w.rollback(name); !errors.Is(err, updater.ErrNothingKept) {
		t.Errorf("rollback: %v", err)
	}
}

func TestARollbackByHandGoesTheSameWay(t *testing.T) {
	w := newWorld(t)
	w.settings(func(*updater.Settings) {})
	w.push("app:1", testbed.ImageOptions{Payload: "1", Env: []string{"VERSION=1"}})
	c := w.start("app:1", testbed.ContainerSpec{Name: "app", Env: []string{"MINE=1"}, HostConfig: &container.HostConfig{RestartPolicy: container.RestartPolicy{Name: "always"}}})
	sidecar := w.start("app:1", testbed.ContainerSpec{Name: "sidecar", HostConfig: sharing("container:" + c.ID)})
	first := w.named(c.Name)
	if _, err := w.rollback(c.Name); !errors.Is(err, updater.ErrNothingKept) {
		t.Errorf("before any update: %v", err)
	}
	op, digest := w.release(c.Name, "2")
	w.expect(op, store.Succeeded, "")
	second := w.named(c.Name)
	for _, pruned := range []bool{false, true} {
		if pruned { // the sidecar has the image, too, so it goes first
			w.docker("rm", "-f", sidecar.Name)
			op, digest = w.release(c.Name, "3")
			w.expect(op, store.Succeeded, "")
			second = w.named(c.Name)
			w.docker("rmi", first.Image)
		}
		op, err := w.rollback(c.Name)
		if err != nil {
			t.Fatal(err)
		}
		w.expect(op, store.Succeeded, "")
		now := w.named(c.Name)
		if now.Image != first.Image || !contains(now.Config.Env, "VERSION=1") || !contains(now.Config.Env, "MINE=1") || contains(now.Config.Env, "VERSION=2") {
			t.Errorf("now %s with %v, want %s", now.Image, now.Config.Env, first.Image)
		}
		if now.Config.Image != w.reg.Ref("app:1") || now.HostConfig.RestartPolicy.Name != "always" || !now.State.Running {
			t.Errorf("of %s, %+v, %+v", now.Config.Image, now.HostConfig.RestartPolicy, now.State)
		}
		if op.Kind != updater.KindRollback || op.ToDigest == "" || op.DowntimeMs == 0 {
			t.Errorf("record: %+v", op)
		}
		if id := must(w.engine.ImageID(t.Context(), w.reg.Ref("app:1")))(t); id != first.Image {
			t.Errorf("the tag names %s", id)
		}
		if bad := must(w.store.Quarantined(t.Context(), c.Name, digest))(t); !bad {
			t.Errorf("what was left is not quarantined")
		}
		if w.has(second.Image) {
			t.Error("the image that was left is still there")
		}
		w.alone(c.Name)
		if !pruned {
			w.together(sidecar.Name, c.Name)
		}
	}
}

// Another container with the same tag that runs the newer image keeps it, and its tag.
func TestARollbackLeavesOthersTheirTag(t *testing.T) {
	w := newWorld(t)
	w.settings(func(*updater.Settings) {})
	w.push("app:1", testbed.ImageOptions{Payload: "1"})
	c := w.start("app:1", testbed.ContainerSpec{Name: "app"})
	op, _ := w.release(c.Name, "2")
	w.expect(op, store.Succeeded, "")
	newer := w.start("app:1", testbed.ContainerSpec{Name: "other"})
	op, err := w.rollback(c.Name)
	if err != nil {
		t.Fatal(err)
	}
	w.expect(op, store.Succeeded, "")
	if id := must(w.engine.ImageID(t.Context(), w.reg.Ref("app:1")))(t); id != w.named(newer.Name).Image || id == w.named(c.Name).Image {
		t.Errorf("the tag names %s, the other runs %s", id, w.named(newer.Name).Image)
	}
}

func TestARollbackThatFailsItsGateGoesForwardAgain(t *testing.T) {
	w := newWorld(t)
	w.settings(func(*updater.Settings) {})
	w.push("app:1", testbed.ImageOptions{Payload: "1", Cmd: []string{"/bin/sh", "-c", "trap 'exit 0' TERM; test -e /state/bad && exit 4; sleep 1000 & wait"}})
	w.docker("volume", "create", w.bed.Name("state"))
	c := w.start("app:1", testbed.ContainerSpec{Name: "app", HostConfig: &container.HostConfig{Binds: []string{w.bed.Name("state") + ":/state"}}})
	op, digest := w.release(c.Name, "2")
	w.expect(op, store.Succeeded, "")
	newer := w.named(c.Name)
	w.docker("exec", c.Name, "touch", "/state/bad")
	op, err := w.rollback(c.Name)
	if err != nil {
		t.Fatal(err)
	}
	w.expect(op, store.RolledBack, updater.CodeExited)
	if now := w.named(c.Name); now.ID != newer.ID || !now.State.Running {
		t.Errorf("the newer one is not back: %+v", now.State)
	}
	if id := must(w.engine.ImageID(t.Context(), w.reg.Ref("app:1")))(t); id != newer.Image {
		t.Errorf("the tag names %s", id)
	}
	if bad := must(w.store.Quarantined(t.Context(), c.Name, digest))(t); bad {
		t.Error("what runs is quarantined")
	}
	w.alone(c.Name)
}

// With removeOldContainer off the old one stays, until the next update needs its name.
func TestAnOldContainerThatStaysIsNotInTheWay(t *testing.T) {
	w := newWorld(t)
	w.settings(func(s *updater.Settings) { s.RemoveOld = false })
	w.push("app:1", testbed.ImageOptions{Payload: "1"})
	c := w.start("app:1", testbed.ContainerSpec{Name: "app"})
	for _, version := range []string{"2", "3"} {
		before := w.named(c.Name)
		op, _ := w.release(c.Name, version)
		w.expect(op, store.Succeeded, "")
		left := w.named(c.Name + ".wd-old")
		if left.ID != before.ID || left.State.Running {
			t.Errorf("after %s the old one is %s, %+v; want %s", version, left.ID, left.State, before.ID)
		}
	}
	if list := must(w.bed.Engine().Client().ContainerList(t.Context(), client.ContainerListOptions{All: true}))(t); len(list.Items) != 2 {
		t.Errorf("%d containers", len(list.Items))
	}
}

func TestABrokenReleaseLeavesNoImage(t *testing.T) {
	w := newWorld(t)
	w.settings(func(*updater.Settings) {})
	w.push("app:1", testbed.ImageOptions{Payload: "1"})
	c := w.start("app:1", testbed.ContainerSpec{Name: "app"})
	before := len(must(w.engine.Images(t.Context()))(t))
	op := w.update(w.request(c, "app:1", w.push("app:1", testbed.ImageOptions{Payload: "2", Entrypoint: []string{"/nowhere"}})))
	w.expect(op, store.RolledBack, updater.CodeStart)
	if now := len(must(w.engine.Images(t.Context()))(t)); now != before {
		t.Errorf("%d images, before %d", now, before)
	}
}
