package compose_test

import (
	"context"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/container"

	"github.com/watch-docker/watch-docker/internal/store"
)

// contextOf outlives the test, for what cleans up after it.
func contextOf(t *testing.T) context.Context { return context.WithoutCancel(t.Context()) }

func TestUpFindsNothingToDoAfterAnUpdateOrARollback(t *testing.T) {
	bed := newBed(t)
	for _, c := range cases() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := newProject(t, bed, c)
			p.up()
			p.idle("after the first up")
			if c.later != nil {
				p.images = c.later
			}
			delete(p.images, c.fixed)
			p.agree()
		})
	}
}

// agree updates the project's containers to a good release, then to a bad
// one, and compares with Compose after each.
func (p *project) agree() {
	p.Helper()
	before := p.containers()
	names := p.outdating(before)
	for image, o := range p.images {
		p.release(image, "two", o)
	}
	p.updated(store.Succeeded, names...)
	after := p.containers()
	for _, name := range names {
		if after[name].ID == before[name].ID || after[name].Image == before[name].Image {
			p.Errorf("%s is not a new container of a new image", name)
		}
	}
	p.idle("after the update")

	for image, o := range p.images {
		o.Entrypoint = []string{"sh", "-c", "exit 3"}
		p.release(image, "bad", o)
	}
	p.updated(store.RolledBack, names...)
	back := p.containers()
	for name := range after {
		if back[name].ID != after[name].ID || back[name].State.Running != after[name].State.Running {
			p.Errorf("%s was not rolled back", name)
		}
	}
	p.idle("after the rollback")

	p.compose("up", "--detach", "--force-recreate", "--timeout", "0")
	for name, own := range p.containers() {
		p.sameLabels(name, after[name], own)
	}
}

// outdating are the containers of the images that get new releases.
func (p *project) outdating(all map[string]container.InspectResponse) []string {
	var names []string
	for name, c := range all {
		if _, ok := p.images[path.Base(c.Config.Image)]; ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// sameLabels compares the labels that an update made with those that Compose
// itself writes.
func (p *project) sameLabels(name string, ours, own container.InspectResponse) {
	p.Helper()
	got, want := labels(ours), labels(own)
	if shares(ours) { // then the hash holds the id of another, which is new as well
		delete(got, "com.docker.compose.config-hash")
		delete(want, "com.docker.compose.config-hash")
	}
	for _, key := range slices.Sorted(maps.Keys(union(got, want))) {
		if got[key] != want[key] {
			p.Errorf("%s: label %s is %q, Compose writes %q", name, key, got[key], want[key])
		}
	}
}

// labels leaves out the one that only what Compose itself recreated has, and
// puts the dependencies in order, as Compose doesn't.
func labels(c container.InspectResponse) map[string]string {
	all := maps.Clone(c.Config.Labels)
	delete(all, "com.docker.compose.replace")
	depends := strings.Split(all["com.docker.compose.depends_on"], ",")
	slices.Sort(depends)
	all["com.docker.compose.depends_on"] = strings.Join(depends, ",")
	return all
}

func shares(c container.InspectResponse) bool {
	h := c.HostConfig
	return h.NetworkMode.IsContainer() || h.IpcMode.IsContainer() || h.PidMode.IsContainer() || len(h.VolumesFrom) > 0
}

func union(a, b map[string]string) map[string]string {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}
