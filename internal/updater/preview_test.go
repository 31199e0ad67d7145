package updater_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/internal/image"
	"github.com/watch-docker/watch-docker/internal/preview"
	"github.com/watch-docker/watch-docker/internal/registry"
	"github.com/watch-docker/watch-docker/internal/store"
	"github.com/watch-docker/watch-docker/internal/updater"
	"github.com/watch-docker/watch-docker/test/inspection"
	"github.com/watch-docker/watch-docker/test/testbed"
)

// describer asks the world's registry.
func (w *world) describer() func(context.Context, image.Reference, string, image.Platform) (image.Description, error) {
	c := registry.New(registry.Options{Credentials: w.accounts()})
	w.Cleanup(c.Close)
	return func(ctx context.Context, ref image.Reference, digest string, p image.Platform) (image.Description, error) {
		return c.Batch([]image.Reference{ref}).Describe(ctx, ref, digest, p)
	}
}

func (w *world) preview(r updater.Request) preview.Preview {
	w.Helper()
	p, err := w.up.Preview(w.Context(), updater.PreviewRequest{Request: r, Describe: w.describer()})
	if err != nil {
		w.Fatal(err)
	}
	return p
}

// TestAPreviewForetellsEveryShape: whatever the user has set, what the preview
// says reaches the container is what the update then changes.
func TestAPreviewForetellsEveryShape(t *testing.T) {
	w := newWorld(t)
	all := append(shapes(),
		shape{name: "no entrypoint", args: []string{"--entrypoint", ""}, cmd: testbed.Stoppable("sleep", "1000"), state: stays()},
		shape{name: "a command", cmd: []string{"3"}},
		shape{name: "an entrypoint", args: []string{"--entrypoint", "/bin/sleep"}, state: stays()},
		shape{name: "health check off", args: []string{"--no-healthcheck"}},
		shape{name: "the image's own values", args: []string{"-e", "GONE=1", "-e", "CHANGED=old", "-u", "0:0", "-l", "gone=1", "-w", "/bin"}},
		shape{name: "the new image's values", args: []string{"-e", "ADDED=1", "-e", "CHANGED=new", "-u", "0", "-l", "added=1", "-w", "/etc", "--stop-signal", "SIGTERM"}},
		shape{name: "mounted at the images' places", args: []string{"-v", "/tmp:/data", "--tmpfs", "/added"}},
		shape{name: "a volume at the images' places", args: []string{"-v", "/data", "-v", "{name}-v:/added/"}},
		shape{name: "ports published and exposed", args: []string{"-p", "127.0.0.1::81", "--expose", "82", "-P"}},
	)
	for i, s := range all {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			name, tag := w.bed.Name(fmt.Sprint("told-", i)), fmt.Sprintf("told-%d:latest", i)
			b := &workshop{world: &world{T: t, bed: w.bed, reg: w.reg, engine: w.engine, store: w.store, up: w.up}, name: name}
			in := strings.NewReplacer("{name}", name, "{n}", fmt.Sprint(60+i), "{image}", w.reg.Ref(tag))
			b.push(tag, releases()[0])
			if err := w.bed.Pull(t.Context(), w.reg.Ref(tag)); err != nil {
				t.Fatal(err)
			}
			for _, line := range s.prep {
				b.cli(strings.Fields(in.Replace(line))...)
			}
			old := testbed.Container{ID: b.make(s, in), Name: name}
			before := b.named(name)
			r := b.request(old, tag, b.push(tag, releases()[1]))
			p := b.preview(r)
			if p.Refused != nil || p.Error != nil || p.To == nil {
				t.Fatalf("refused %+v, error %+v", p.Refused, p.Error)
			}
			b.expect(b.update(r), store.Succeeded, "")
			if diff := cmp.Diff(inspection.Happened(before, b.named(name)), inspection.Foretold(p.Changes)); diff != "" {
				t.Errorf("-happened +foretold:\n%s", diff)
			}
		})
	}
}

// TestAnImageIsTheSameInTheRegistryAndOnTheHost: both tell of it alike.
func TestAnImageIsTheSameInTheRegistryAndOnTheHost(t *testing.T) {
	w := newWorld(t)
	if _, err := w.engine.Version(t.Context()); err != nil { // what it speaks is known once it has answered
		t.Fatal(err)
	}
	for i, o := range releases() {
		tag := fmt.Sprintf("same:%d", i)
		digest := w.push(tag, o)
		ref, err := image.ParseReference(w.reg.Ref(tag))
		if err != nil {
			t.Fatal(err)
		}
		there, err := w.describer()(t.Context(), ref, digest, image.Platform{OS: "linux", Architecture: "amd64"})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.bed.Pull(t.Context(), w.reg.Ref(tag)); err != nil {
			t.Fatal(err)
		}
		here, err := w.engine.Describe(t.Context(), w.reg.Ref(tag), image.Platform{})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(there, here, cmpopts.IgnoreFields(image.Description{}, "ID", "Digest"), cmpopts.IgnoreFields(image.Layer{}, "Digest", "Size"), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("-registry +engine:\n%s", diff)
		}
	}
	if _, err := w.engine.Describe(t.Context(), "nothing:here", image.Platform{}); !errors.Is(err, dockercli.ErrNotFound) {
		t.Errorf("of an image that isn't there: %v", err)
	}
}

// TestAPreviewRefusesWhatTheUpdateWould: with the same code.
func TestAPreviewRefusesWhatTheUpdateWould(t *testing.T) {
	w := newWorld(t)
	engine := w.bed.Engine().Client()
	w.push("app:1", testbed.ImageOptions{Payload: "one"})
	run := func(name string, spec testbed.ContainerSpec) testbed.Container {
		spec.Name = name
		return w.start("app:1", spec)
	}
	pause := func(c testbed.Container) {
		if _, err := engine.ContainerPause(t.Context(), c.ID, client.ContainerPauseOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	paused := run("paused", testbed.ContainerSpec{})
	pause(paused)
	host := run("host", testbed.ContainerSpec{})
	pause(run("guest", testbed.ContainerSpec{HostConfig: &container.HostConfig{NetworkMode: container.NetworkMode("container:" + host.ID)}}))
	taken := run("taken", testbed.ContainerSpec{})
	run("taken.wd-new", testbed.ContainerSpec{CreateOnly: true})
	circle := run("circle", testbed.ContainerSpec{Labels: map[string]string{"watchdocker.dependsOn": w.bed.Name("other")}})
	run("other", testbed.ContainerSpec{Labels: map[string]string{"watchdocker.dependsOn": w.bed.Name("circle")}})
	digest := w.push("app:1", testbed.ImageOptions{Payload: "two", Env: []string{"NEW=1"}})
	for _, c := range []struct {
		testbed.Container
		code string
	}{
		{paused, updater.CodePaused}, {host, updater.CodeDependents}, {taken, updater.CodeNameTaken}, {circle, updater.CodeCycle},
	} {
		r := w.request(c.Container, "app:1", digest)
		p := w.preview(r)
		if p.Refused == nil || p.Refused.Code != c.code || len(p.Changes.Env) != 1 || p.To == nil {
			t.Errorf("%s: %+v, refused %+v", c.Name, p, p.Refused)
		}
		if op := w.update(r); op.Error == nil || p.Refused == nil || op.Error.Code != c.code || op.Error.Message != p.Refused.Message {
			t.Errorf("%s: the update says %+v, the preview %+v", c.Name, op.Error, p.Refused)
		}
	}
	gone := testbed.Container{ID: strings.Repeat("0", 64), Name: "gone"}
	if _, err := w.up.Preview(t.Context(), updater.PreviewRequest{Request: w.request(gone, "app:1", digest)}); !errors.Is(err, dockercli.ErrNotFound) {
		t.Errorf("of a container that is gone: %v", err)
	}
}

// TestAPreviewKnowsThePast: the last down time, a release that failed, and an
// operation that is under way.
func TestAPreviewKnowsThePast(t *testing.T) {
	w := newWorld(t)
	w.push("app:1", testbed.ImageOptions{Payload: "one"})
	c := w.start("app:1", testbed.ContainerSpec{Name: "app"})
	good := w.push("app:1", testbed.ImageOptions{Payload: "two"})
	op := w.update(w.request(c, "app:1", good))
	w.expect(op, store.Succeeded, "")
	now := testbed.Container{ID: w.named(c.Name).ID, Name: c.Name}
	bad := w.push("app:1", testbed.ImageOptions{Payload: "three", Entrypoint: []string{"/nowhere"}})
	r := w.request(now, "app:1", bad)
	if p := w.preview(r); p.Interruption.LastMs == nil || *p.Interruption.LastMs != op.DowntimeMs || !strings.Contains(p.Interruption.Text, "the last time") || p.OperationID != nil {
		t.Errorf("the last time it was down for %d ms: %+v", op.DowntimeMs, p.Interruption)
	}
	w.expect(w.update(r), store.RolledBack, updater.CodeStart)
	p := w.preview(r)
	if len(p.Warnings) == 0 || p.Warnings[0].Code != updater.WarnQuarantined || *p.Interruption.LastMs != op.DowntimeMs {
		t.Errorf("of a release that has failed: %+v", p)
	}
	again, err := w.up.Update(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if p := w.preview(r); p.OperationID != nil && *p.OperationID != again.ID {
		t.Errorf("in operation %v, want %s", *p.OperationID, again.ID)
	}
	select {
	case <-w.up.Done(again.ID):
	case <-time.After(time.Minute):
		t.Fatal("it doesn't end")
	}
}
