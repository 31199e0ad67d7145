package updater_test

import (
	"strings"
	"testing"

	"github.com/watch-docker/watch-docker/internal/store"
	"github.com/watch-docker/watch-docker/internal/updater"
	"github.com/watch-docker/watch-docker/test/testbed"
)

// moveTo updates a container to another tag.
func (w *world) moveTo(name, from, to, digest string) store.Operation {
	w.Helper()
	now := w.named(name)
	return w.update(updater.Request{
		ContainerID: now.ID, Name: name, Image: w.reg.Ref(from), NewImage: w.reg.Ref(to), Pull: true,
		Digest: digest, FromDigest: w.digestOf(now.Image), Actor: "test",
	})
}

func TestAnUpdateToAnotherTagAndBack(t *testing.T) {
	w := newWorld(t)
	w.settings(func(*updater.Settings) {})
	digests := map[string]string{}
	for _, tag := range []string{"1.4", "1.5", "1.6"} {
		digests[tag] = w.push("app:"+tag, testbed.ImageOptions{Payload: tag})
	}
	bad := w.push("app:1.7", testbed.ImageOptions{Payload: "1.7", Entrypoint: []string{"sh", "-c", "exit 3"}})
	name := w.start("app:1.4", testbed.ContainerSpec{Name: "app", Env: []string{"MINE=1"}}).Name
	first := w.named(name)
	is := func(when, tag string) {
		t.Helper()
		c := w.named(name)
		if c.Config.Image != w.reg.Ref("app:"+tag) || !c.State.Running || !strings.Contains(strings.Join(c.Config.Env, " "), "MINE=1") {
			t.Errorf("%s it is of %s, running %v", when, c.Config.Image, c.State.Running)
		}
	}
	op := w.moveTo(name, "app:1.4", "app:1.5", digests["1.5"])
	w.expect(op, store.Succeeded, "")
	if op.FromImage != w.reg.Ref("app:1.4") || op.ToImage != w.reg.Ref("app:1.5") {
		t.Errorf("the record says from %s to %s", op.FromImage, op.ToImage)
	}
	is("after the update", "1.5")
	if !w.has(first.Image) {
		t.Error("the image to go back to is gone")
	}

	op = w.moveTo(name, "app:1.5", "app:1.7", bad)
	w.expect(op, store.RolledBack, updater.CodeExited)
	is("after a bad release", "1.5")
	if w.has(w.reg.Ref("app:1.7")) {
		t.Error("the bad release's image is left")
	}

	second := w.named(name)
	op, err := w.rollback(name)
	if err != nil {
		t.Fatal(err)
	}
	w.expect(op, store.Succeeded, "")
	is("after a rollback by hand", "1.4")
	if w.named(name).Image != first.Image {
		t.Error("it isn't the image from before")
	}

	w.expect(w.moveTo(name, "app:1.4", "app:1.5", digests["1.5"]), store.Succeeded, "")
	w.expect(w.moveTo(name, "app:1.5", "app:1.6", digests["1.6"]), store.Succeeded, "")
	is("in the end", "1.6")
	if w.has(first.Image) || !w.has(second.Image) {
		t.Errorf("of the earlier images, 1.4 is there: %v, 1.5: %v; one is to be kept", w.has(first.Image), w.has(second.Image))
	}
	w.expect(w.moveTo(name, "app:1.4", "app:1.5", digests["1.5"]), store.Failed, updater.CodeRefused)
	is("asked for from another tag", "1.6")
}

// service is a container as Compose labels it.
func (w *world) service(name, needs string) map[string]string {
	return map[string]string{"com.docker.compose.project": w.reg.Host(), "com.docker.compose.service": name, "com.docker.compose.depends_on": needs}
}

func TestAProjectIsUpdatedInItsOrderAsFarAsItGoes(t *testing.T) {
	w := newWorld(t)
	var requests []updater.Request
	begin := func(name, service string, labels map[string]string) testbed.Container {
		image := service + ":latest"
		c := w.start(image, testbed.ContainerSpec{Name: name, Labels: labels})
		requests = append(requests, updater.Request{ContainerID: c.ID, Name: c.Name, Image: w.reg.Ref(image), Pull: true, Project: w.reg.Host(), Service: service, Actor: "test"})
		return c
	}
	for _, image := range []string{"web", "db", "cache", "worker"} {
		w.push(image+":latest", testbed.ImageOptions{Payload: image + " 1"})
	}
	containers := map[string]testbed.Container{
		"web":      begin("web", "web", w.service("web", "db:service_started:false")),
		"worker-1": begin("worker-1", "worker", w.service("worker", "cache:service_started:false")),
		"worker-2": begin("worker-2", "worker", w.service("worker", "cache:service_started:false")),
		"cache":    begin("cache", "cache", w.service("cache", "")),
		"db":       begin("db", "db", w.service("db", "")),
	}
	w.push("web:latest", testbed.ImageOptions{Payload: "web 2"})
	w.push("cache:latest", testbed.ImageOptions{Payload: "cache 2"})
	w.push("db:latest", testbed.ImageOptions{Payload: "db 2", Entrypoint: []string{"sh", "-c", "exit 3"}})
	w.push("worker:latest", testbed.ImageOptions{Payload: "worker 2", Entrypoint: []string{"sh", "-c", "exit 3"}})
	sorted, err := w.up.OrderStrictly(t.Context(), requests)
	if err != nil {
		t.Fatal(err)
	}
	queued, err := w.up.UpdateAll(t.Context(), sorted)
	if err != nil {
		t.Fatal(err)
	}
	ops := map[string]store.Operation{}
	for _, op := range queued {
		<-w.up.Done(op.ID)
		if ops[op.Target], err = w.up.Operation(t.Context(), op.ID); err != nil {
			t.Fatal(err)
		}
	}
	of := func(name string) store.Operation { return ops[containers[name].Name] }
	w.expect(of("cache"), store.Succeeded, "")
	w.expect(of("db"), store.RolledBack, updater.CodeExited)
	w.expect(of("web"), store.Cancelled, updater.CodeNeeded)
	if e := of("web").Error; e == nil || !strings.Contains(e.Message, containers["db"].Name) || len(of("web").Steps) != 0 {
		t.Errorf("web: %+v", of("web"))
	}
	w.expect(of("worker-1"), store.RolledBack, updater.CodeExited)
	w.expect(of("worker-2"), store.Cancelled, updater.CodeNeeded)
	if began, ended := of("worker-1").StartedAt, of("cache").FinishedAt; began == nil || ended == nil || began.Before(*ended) {
		t.Errorf("worker began at %v, cache was done at %v", began, ended)
	}
}
