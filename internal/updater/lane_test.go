package updater_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/internal/policy"
	"github.com/watch-docker/watch-docker/internal/registry"
	"github.com/watch-docker/watch-docker/internal/store"
	"github.com/watch-docker/watch-docker/internal/updater"
	"github.com/watch-docker/watch-docker/test/testbed"
)

// release is what kind of image an update brings.
type release int

const (
	good        release = iota
	unstartable         // its entry point is missing
	unhealthy           // its check fails
)

// lanes is a world with an image that all its lanes' releases are made from.
type lanes struct {
	*world
	base v1.Image
}

func (w *world) lanes() *lanes {
	w.Helper()
	return &lanes{world: w, base: must(testbed.Image(testbed.ImageOptions{Payload: "the same"}))(w)}
}

// lane is a container that is updated again and again, by an updater that
// reaches the engine through a proxy of its own.
type lane struct {
	*world
	name         string
	base         v1.Image
	spec         testbed.ContainerSpec
	health       bool
	labels       policy.Labels // of its updates
	also         string        // one more network
	proxy        *testbed.EngineProxy
	box          *situation // what is there before an update
	images       *int       // how many were pushed
	digest       *string    // the last one's
	strangers    []string   // somebody else's containers, by id
	whose        map[string]string
	maybeStopped bool // somebody else stopped it
}

// situation is how a container is before an update.
type situation struct {
	testbed.Container
	now container.InspectResponse
}

// lane makes one in the world's engine.
func (w *lanes) lane(t *testing.T, name string, spec testbed.ContainerSpec, health bool) *lane {
	t.Helper()
	l := &lane{world: w.beside(t), base: w.base, name: name, spec: spec, health: health, box: &situation{}, images: new(int), digest: new(string)}
	l.spec.Name = name
	l.proxy = must(w.bed.Engine().Proxy(t.Context()))(t)
	l.engine = must(dockercli.New(dockercli.Options{Host: l.proxy.Host()}))(t)
	l.store = must(store.Open(t.Context(), t.TempDir()))(t)
	t.Cleanup(func() {
		if err := errors.Join(l.engine.Close(), l.store.Close()); err != nil {
			t.Error(err)
		}
	})
	l.begin()
	t.Cleanup(func() { l.stop() })
	must(l.engine.Version(t.Context()))(t) // settles the API version
	return l
}

// begin starts the lane's updater.
func (l *lane) begin() {
	l.run()
	l.up.Apply(updater.Settings{Concurrency: 1, RemoveOld: true, HealthTimeout: 5 * time.Second, StableFor: 300 * time.Millisecond, Keep: 1000},
		registry.Configured([]registry.HostCredential{{Host: l.reg.Host(), Username: l.reg.Username(), Password: l.reg.Password()}}))
}

// beside is the same world for another test.
func (w *world) beside(t *testing.T) *world {
	return &world{T: t, bed: w.bed, reg: w.reg, engine: w.engine, store: w.store, up: w.up, stop: w.stop}
}

// in is the same lane for a test of its own.
func (l *lane) in(t *testing.T) *lane {
	inner := *l
	inner.world = l.beside(t)
	return &inner
}

func (l *lane) tag() string { return l.name + ":1" }

// release pushes a new image. All have the same layers.
func (l *lane) release(r release) {
	l.Helper()
	*l.images++
	img := l.base
	config := must(img.ConfigFile())(l).DeepCopy()
	config.Config.Env = append(config.Config.Env, fmt.Sprintf("RELEASE=%s-%d", l.name, *l.images))
	if l.health {
		config.Config.Healthcheck = health("true")
	}
	switch r {
	case unstartable:
		config.Config.Entrypoint = []string{"/nowhere"}
	case unhealthy:
		config.Config.Healthcheck = health("false")
	}
	*l.digest = l.pushImage(l.tag(), must(mutate.ConfigFile(img, config))(l))
}

func (w *world) pushImage(tag string, img v1.Image) string {
	w.Helper()
	return must(w.reg.Push(w.Context(), tag, img))(w)
}

// prepare brings the lane's container into order if it isn't, and pushes a release.
func (l *lane) prepare(r release) {
	l.Helper()
	l.proxy.ClearFaults()
	api := l.bed.Engine().Client()
	res, err := api.ContainerInspect(l.Context(), l.bed.Name(l.name), client.ContainerInspectOptions{})
	if err != nil || l.broken(res.Container) {
		l.clear()
		l.release(good)
		l.box.Container = l.start(l.tag(), l.spec)
		if l.also != "" {
			must(api.NetworkConnect(l.Context(), l.also, client.NetworkConnectOptions{Container: l.box.ID}))(l)
		}
		res.Container = l.named(l.bed.Name(l.name))
	}
	l.box.Container, l.box.now = testbed.Container{ID: res.Container.ID, Name: l.bed.Name(l.name)}, res.Container
	l.whose = map[string]string{l.box.ID: "old"}
	l.release(r)
	if _, err := api.ImageTag(l.Context(), client.ImageTagOptions{Source: res.Container.Image, Target: l.reg.Ref(l.tag())}); err != nil {
		l.Fatal(err)
	}
}

// call says what a request is about: "POST /containers/new/rename". The lane's
// containers are old and new; those of others, and images, are "…".
func (l *lane) call(r testbed.Request) string {
	parts := strings.Split(r.Path, "/")
	switch kind, last := parts[1], parts[len(parts)-1]; {
	case len(parts) < 4 && r.Method != http.MethodDelete: // a list, or something new
	case kind == "containers" && len(parts[2]) == 64:
		parts[2] = l.owner(parts[2])
	case last == "json" || last == "tag" || last == "connect" || last == "disconnect":
		parts = []string{"", kind, "…", last}
	default:
		parts = append([]string{"", kind, "…"}, parts[3:]...)
	}
	return r.Method + " " + strings.Join(parts, "/")
}

// owner says whose a container is; one that is new or gone is asked for once.
func (l *lane) owner(id string) string {
	if who := l.whose[id]; who != "" {
		return who
	}
	who := "…"
	res, err := l.bed.Engine().Client().ContainerInspect(context.WithoutCancel(l.Context()), id, client.ContainerInspectOptions{})
	if suffix, ours := strings.CutPrefix(res.Container.Name, "/"+l.bed.Name(l.name)); err == nil && ours && !slices.Contains(l.strangers, id) {
		who = map[string]string{".wd-new": "new", ".wd-hold": "holder", "": "remade"}[suffix]
	}
	l.whose[id] = cmp.Or(who, "…")
	return l.whose[id]
}

// broken says whether an earlier attempt has left the container in a state
// that nothing more can be learned from.
func (l *lane) broken(now container.InspectResponse) bool {
	if _, err := l.bed.Engine().Client().ImageInspect(l.Context(), now.Image); err != nil {
		return true
	}
	return now.State.Running == l.spec.CreateOnly || now.State.Paused || len(l.others()) > 1 || now.Config.Image != l.reg.Ref(l.tag()) ||
		(l.box.ID != "" && restarts(now) != restarts(l.box.now))
}

// others are the containers with the lane's name or one derived from it.
func (l *lane) others() map[string]container.Summary {
	l.Helper()
	list := must(l.bed.Engine().Client().ContainerList(l.Context(), client.ContainerListOptions{All: true}))(l)
	found := map[string]container.Summary{}
	for _, c := range list.Items {
		if len(c.Names) == 0 {
			continue
		}
		if name := strings.TrimPrefix(c.Names[0], "/"); name == l.bed.Name(l.name) || strings.HasPrefix(name, l.bed.Name(l.name)+".") {
			found[name] = c
		}
	}
	return found
}

func (l *lane) clear() {
	l.Helper()
	for _, c := range l.others() {
		_, _ = l.bed.Engine().Client().ContainerRemove(l.Context(), c.ID, client.ContainerRemoveOptions{Force: true})
	}
}

// attempt does the update that prepare has prepared, and gives its record.
func (l *lane) attempt() store.Operation {
	l.Helper()
	r := l.request(l.box.Container, l.tag(), *l.digest)
	r.Labels = l.labels
	op := must(l.up.Update(l.Context(), r))(l)
	select {
	case <-l.up.Done(op.ID):
	case <-time.After(4 * time.Minute):
		l.Fatalf("the update doesn't end: %+v", must(l.up.Operation(l.Context(), op.ID))(l).Steps)
	}
	l.proxy.ClearFaults()
	return must(l.store.Operation(l.Context(), op.ID))(l)
}

// expectGood checks that the old or the new container is in place as the old
// one was, that the record says which, and that nothing else is left.
func (l *lane) expectGood(op store.Operation) {
	l.Helper()
	name := l.bed.Name(l.name)
	for other, c := range l.others() {
		if other != name && !slices.Contains(l.strangers, c.ID) {
			l.Errorf("%s is left behind (%s)", other, c.Status)
		}
	}
	res, err := l.bed.Engine().Client().ContainerInspect(l.Context(), name, client.ContainerInspectOptions{})
	if err != nil {
		l.Errorf("the container is lost: %v; record: %s %+v", err, op.State, op.Error)
		return
	}
	was, now := l.box.now, res.Container
	if now.State.Running != was.State.Running && !l.maybeStopped {
		l.Errorf("running: %t; it was: %t", now.State.Running, was.State.Running)
	}
	if a, b := restarts(was), restarts(now); a != b || now.HostConfig.AutoRemove != was.HostConfig.AutoRemove {
		l.Errorf("restart policy %q, --rm %t; it was %q, %t", b, now.HostConfig.AutoRemove, a, was.HostConfig.AutoRemove)
	}
	if now.Config.Image != was.Config.Image {
		l.Errorf("made from %s; it was %s", now.Config.Image, was.Config.Image)
	}
	if a, b := slices.Sorted(maps.Keys(was.NetworkSettings.Networks)), slices.Sorted(maps.Keys(now.NetworkSettings.Networks)); !slices.Equal(a, b) {
		l.Errorf("on networks %v; it was on %v", b, a)
	}
	for n, e := range now.NetworkSettings.Networks {
		if a, b := aliases(was, n), aliases(now, n); !slices.Equal(a, b) {
			l.Errorf("known as %v on %s; it was %v", b, n, a)
		}
		if now.State.Running && now.HostConfig.NetworkMode != "none" && !e.IPAddress.IsValid() {
			l.Errorf("not really on network %s: %+v", n, e)
		}
	}
	if a, b := volumes(was), volumes(now); !slices.Equal(a, b) {
		l.Errorf("with volumes %v; it had %v", b, a)
	}
	l.expectTruth(op, was, now)
	if l.Failed() {
		l.Logf("record: %s %+v, steps %+v", op.State, op.Error, op.Steps)
	}
}

// expectTruth checks that the record agrees with the container.
func (l *lane) expectTruth(op store.Operation, was, now container.InspectResponse) {
	l.Helper()
	switch {
	case !op.State.Finished():
		l.Errorf("the record says %s", op.State)
	case op.State == store.Succeeded && (now.Image == was.Image || op.Error != nil):
		l.Errorf("the record says it succeeded (%+v), but the old image runs", op.Error)
	case op.State != store.Succeeded && now.Image != was.Image:
		l.Errorf("the record says %s, but the new image runs", op.State)
	case op.State == store.Failed && now.State.StartedAt != was.State.StartedAt:
		l.Errorf("the record says that nothing was changed, but it was restarted")
	}
	if op.State == store.Succeeded {
		return
	}
	if op.Error == nil || !stable.MatchString(op.Error.Code) || op.Error.Code == updater.CodeRollback || op.Error.Message == "" {
		l.Errorf("the record doesn't say why: %+v", op.Error)
		return
	}
	l.Logf("%s %s: %s", op.State, op.Error.Code, op.Error.Message)
	if op.Error.Code == updater.CodeGone && op.State != store.RolledBack { // that says the new one was removed
		l.Errorf("the record says that the container is gone, but it isn't")
	}
}

// stable is what a code looks like.
var stable = regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`)

// restarts is the restart policy of a container that was inspected.
func restarts(c container.InspectResponse) string {
	return strings.Replace(string(c.HostConfig.RestartPolicy.Name), "no", "", 1)
}

// aliases are a container's on one network, less the id that the engine adds.
func aliases(c container.InspectResponse, network string) []string {
	e := c.NetworkSettings.Networks[network]
	if e == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Sorted(slices.Values(e.Aliases)), func(a string) bool { return strings.HasPrefix(c.ID, a) })
}

func volumes(c container.InspectResponse) []string {
	var list []string
	for _, m := range c.Mounts {
		list = append(list, m.Name+":"+m.Destination)
	}
	slices.Sort(list)
	return list
}
