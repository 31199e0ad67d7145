package updater_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	"go.uber.org/goleak"

	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/internal/policy"
	"github.com/watch-docker/watch-docker/internal/registry"
	"github.com/watch-docker/watch-docker/internal/store"
	"github.com/watch-docker/watch-docker/internal/updater"
	"github.com/watch-docker/watch-docker/test/testbed"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is an engine, a registry with tokens, a store and a running updater.
type world struct {
	*testing.T
	bed    *testbed.Bed
	reg    *testbed.Registry
	engine *dockercli.Client
	store  *store.Store
	up     *updater.Updater
	stop   func()
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, bed: testbed.New(t, testbed.WithEngine(testbed.AnyEngine), testbed.WithRegistry(testbed.TLSToken))}
	w.reg = w.bed.Registry(testbed.TLSToken)
	var err error
	if w.engine, err = dockercli.New(dockercli.Options{Host: w.bed.Engine().Host()}); err != nil {
		t.Fatal(err)
	}
	if w.store, err = store.Open(t.Context(), t.TempDir()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(w.engine.Close(), w.store.Close()); err != nil {
			t.Error(err)
		}
	})
	w.run()
	t.Cleanup(func() { w.stop() })
	return w
}

// run starts an updater, as a new process would.
func (w *world) run() {
	w.up = updater.New(updater.Dependencies{
		Engine: w.engine, Store: w.store,
		Credentials: w.accounts(),
		Settings:    updater.Settings{Concurrency: 4, RemoveOld: true, HealthTimeout: 5 * time.Second, StableFor: time.Second, Keep: 100},
	})
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.Context()))
	ended := make(chan struct{})
	go func() { defer close(ended); _ = w.up.Run(ctx) }()
	w.stop = func() { cancel(); <-ended }
}

func (w *world) accounts() registry.CredentialSource {
	return registry.Configured([]registry.HostCredential{{Host: w.reg.Host(), Username: w.reg.Username(), Password: w.reg.Password()}})
}

func (w *world) push(tag string, o testbed.ImageOptions) (digest string) {
	w.Helper()
	img, err := testbed.Image(o)
	if err != nil {
		w.Fatal(err)
	}
	if digest, err = w.reg.Push(w.Context(), tag, img); err != nil {
		w.Fatal(err)
	}
	return digest
}

// start pulls the tag and runs a container from it.
func (w *world) start(tag string, spec testbed.ContainerSpec) testbed.Container {
	w.Helper()
	if err := w.bed.Pull(w.Context(), w.reg.Ref(tag)); err != nil {
		w.Fatal(err)
	}
	spec.Image = w.reg.Ref(tag)
	c, err := w.bed.Run(w.Context(), spec)
	if err != nil {
		w.Fatal(err)
	}
	return c
}

func (w *world) request(c testbed.Container, tag, digest string) updater.Request {
	return updater.Request{ContainerID: c.ID, Name: c.Name, Image: w.reg.Ref(tag), Pull: true, Digest: digest, Actor: "test"}
}

// update runs one to its end.
func (w *world) update(r updater.Request) store.Operation {
	w.Helper()
	op, err := w.up.Update(w.Context(), r)
	if err != nil {
		w.Fatal(err)
	}
	select {
	case <-w.up.Done(op.ID):
	case <-time.After(time.Minute):
		w.Fatal("the update doesn't end")
	}
	if op, err = w.up.Operation(w.Context(), op.ID); err != nil {
		w.Fatal(err)
	}
	return op
}

// named inspects the container that has the name now.
func (w *world) named(name string) container.InspectResponse {
	w.Helper()
	res, err := w.bed.Engine().Client().ContainerInspect(w.Context(), name, client.ContainerInspectOptions{})
	if err != nil {
		w.Fatal(err)
	}
	return res.Container
}

// alone checks that of the container and its temporary names only the container is there.
func (w *world) alone(name string) {
	w.Helper()
	list, err := w.bed.Engine().Client().ContainerList(w.Context(), client.ContainerListOptions{All: true})
	if err != nil {
		w.Fatal(err)
	}
	for _, c := range list.Items {
		if strings.HasPrefix(c.Names[0], "/"+name+".") {
			w.Errorf("%s is left behind (%s)", c.Names[0], c.Status)
		}
	}
}

func health(cmd string) *v1.HealthConfig {
	return &v1.HealthConfig{Test: []string{"CMD-SHELL", cmd}, Interval: 300 * time.Millisecond, Timeout: 20 * time.Second, Retries: 2}
}

func (w *world) expect(op store.Operation, state store.OperationState, code string) {
	w.Helper()
	got := ""
	if op.Error != nil {
		got = op.Error.Code
	}
	if op.State != state || got != code {
		w.Fatalf("%s (%s), want %s (%s): %+v %+v", op.State, got, state, code, op.Error, op.Steps)
	}
	if stored, err := w.store.Operation(w.Context(), op.ID); err != nil || stored.State != state || len(stored.Steps) != len(op.Steps) {
		w.Errorf("the record: %+v, %v", stored, err)
	}
}

func TestAGoodReleaseReplacesTheOldOne(t *testing.T) {
	w := newWorld(t)
	one := w.push("app:1", testbed.ImageOptions{Payload: "one", Env: []string{"VERSION=1"}, Healthcheck: health("true")})
	c := w.start("app:1", testbed.ContainerSpec{Name: "app", Env: []string{"MINE=yes"},
		HostConfig: &container.HostConfig{RestartPolicy: container.RestartPolicy{Name: "unless-stopped"}}})
	two := w.push("app:1", testbed.ImageOptions{Payload: "two", Env: []string{"VERSION=2"}, Healthcheck: health("true")})
	r := w.request(c, "app:1", two)
	r.FromDigest = one
	op := w.update(r)
	w.expect(op, store.Succeeded, "")
	now := w.named(c.Name)
	if now.ID == c.ID || !now.State.Running || now.HostConfig.RestartPolicy.Name != "unless-stopped" {
		t.Errorf("now: %+v", now.State)
	}
	env := strings.Join(now.Config.Env, " ")
	if !strings.Contains(env, "VERSION=2") || !strings.Contains(env, "MINE=yes") {
		t.Errorf("environment: %s", env)
	}
	if op.FromDigest != one || op.ToDigest != two || op.DowntimeMs <= 0 || op.Actor != "test" {
		t.Errorf("record: %+v", op)
	}
	var steps []string
	for _, s := range op.Steps {
		steps = append(steps, s.Name)
	}
	if got := fmt.Sprint(steps); got != "[preflight pull create stop swap start gate finish]" {
		t.Errorf("steps: %s", got)
	}
	w.alone(c.Name)
	if again := w.update(w.request(testbed.Container{ID: now.ID, Name: c.Name}, "app:1", two)); again.State != store.Succeeded || len(again.Steps) != 2 {
		t.Errorf("a second update: %+v", again)
	}
}

// Each of these releases is broken in its own way; the old container must be
// back, under its name, running, with its policy, and its image behind the tag.
func TestABrokenReleaseIsRolledBack(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]struct {
		broken testbed.ImageOptions
		code   string
		logs   string
	}{
		"entrypoint-missing": {testbed.ImageOptions{Entrypoint: []string{"/nowhere"}}, updater.CodeStart, ""},
		"crash-loop":         {testbed.ImageOptions{Cmd: []string{"/bin/sh", "-c", "echo out of luck; sleep 0.3; exit 7"}}, updater.CodeRestarted, "out of luck"},
		"unhealthy":          {testbed.ImageOptions{Cmd: testbed.Stoppable("sh", "-c", "echo serving nothing; sleep 1000"), Healthcheck: health("echo bad; false")}, updater.CodeUnhealthy, "serving nothing"},
	} {
		t.Run(name, func(t *testing.T) {
			w := &world{T: t, bed: w.bed, reg: w.reg, engine: w.engine, store: w.store, up: w.up}
			tag := name + ":latest"
			w.push(tag, testbed.ImageOptions{Payload: "good"})
			box := w.start(tag, testbed.ContainerSpec{Name: name, HostConfig: &container.HostConfig{RestartPolicy: container.RestartPolicy{Name: "always"}}})
			before := w.named(box.Name)
			c.broken.Payload = "broken"
			digest := w.push(tag, c.broken)
			op := w.update(w.request(box, tag, digest))
			w.expect(op, store.RolledBack, c.code)
			if c.logs != "" && !strings.Contains(strings.Join(op.Error.Logs, "\n"), c.logs) {
				t.Errorf("the log lines are %q, want %q among them", op.Error.Logs, c.logs)
			}
			now := w.named(box.Name)
			if now.ID != box.ID || !now.State.Running || now.HostConfig.RestartPolicy.Name != "always" {
				t.Errorf("the old one is not back: %s %+v %+v", now.ID, now.State, now.HostConfig.RestartPolicy)
			}
			w.alone(box.Name)
			if id, err := w.engine.ImageID(t.Context(), w.reg.Ref(tag)); err != nil || id != before.Image {
				t.Errorf("the tag names %s, %v; want the old image %s", id, err, before.Image)
			}
			if bad, err := w.store.Quarantined(t.Context(), box.Name, digest); err != nil || !bad {
				t.Errorf("quarantined: %v, %v", bad, err)
			}
		})
	}
}

// The engine refuses an image that says nothing of what to run, before anything has stopped.
func TestAReleaseThatCantBeCreatedChangesNothing(t *testing.T) {
	w := newWorld(t)
	w.push("app:1", testbed.ImageOptions{Payload: "one"})
	c := w.start("app:1", testbed.ContainerSpec{Name: "app"})
	before := w.named(c.Name)
	op := w.update(w.request(c, "app:1", w.push("app:1", testbed.ImageOptions{Payload: "two", Cmd: []string{}})))
	w.expect(op, store.Failed, updater.CodeCreate)
	now := w.named(c.Name)
	if now.ID != c.ID || now.State.StartedAt != before.State.StartedAt || op.DowntimeMs != 0 {
		t.Errorf("it was touched: %+v, down %d ms", now.State, op.DowntimeMs)
	}
	if id, err := w.engine.ImageID(t.Context(), w.reg.Ref("app:1")); err != nil || id != before.Image {
		t.Errorf("the tag names %s, %v; want the old image", id, err)
	}
	w.alone(c.Name)
}

func TestWhatIsNotKeptRunningIsJudgedByItself(t *testing.T) {
	w := newWorld(t)
	w.push("job:1", testbed.ImageOptions{Payload: "one"})
	stopped := w.start("job:1", testbed.ContainerSpec{Name: "stopped", CreateOnly: true})
	oneShot := w.start("job:1", testbed.ContainerSpec{Name: "one-shot"})
	other := w.start("job:1", testbed.ContainerSpec{Name: "other", Cmd: testbed.Stoppable("sleep", "1000")})
	two := w.push("job:1", testbed.ImageOptions{Payload: "two", Cmd: []string{"/bin/true"}})

	w.expect(w.update(w.request(stopped, "job:1", two)), store.Succeeded, "")
	if now := w.named(stopped.Name); now.State.Running || now.ID == stopped.ID {
		t.Errorf("a stopped container: %+v", now.State)
	}
	w.expect(w.update(w.request(oneShot, "job:1", two)), store.Succeeded, "")
	if now := w.named(oneShot.Name); now.State.Running || now.ID == oneShot.ID || now.State.ExitCode != 0 {
		t.Errorf("a one-shot: %+v", now.State)
	}
	w.expect(w.update(w.request(other, "job:1", two)), store.Succeeded, "")
	for _, c := range []testbed.Container{stopped, oneShot, other} {
		w.alone(c.Name)
	}
}

func TestEveryNetworkIsKept(t *testing.T) {
	w := newWorld(t)
	front, back := must(w.bed.Network(t.Context(), "front", client.NetworkCreateOptions{}))(t), must(w.bed.Network(t.Context(), "back", client.NetworkCreateOptions{}))(t)
	w.push("app:1", testbed.ImageOptions{Payload: "one"})
	c := w.start("app:1", testbed.ContainerSpec{Name: "app", HostConfig: &container.HostConfig{NetworkMode: container.NetworkMode(front)},
		Networking: &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{front: {Aliases: []string{"web"}}}}})
	if _, err := w.bed.Engine().Client().NetworkConnect(t.Context(), back, client.NetworkConnectOptions{Container: c.ID,
		EndpointConfig: &network.EndpointSettings{Aliases: []string{"db-client"}}}); err != nil {
		t.Fatal(err)
	}
	w.expect(w.update(w.request(c, "app:1", w.push("app:1", testbed.ImageOptions{Payload: "two"}))), store.Succeeded, "")
	nets := w.named(c.Name).NetworkSettings.Networks
	if len(nets) != 2 || !contains(nets[front].Aliases, "web") || !contains(nets[back].Aliases, "db-client") {
		t.Errorf("networks: %+v", nets)
	}
	if contains(nets[front].Aliases, c.ID[:12]) {
		t.Errorf("the old container's short id stays an alias: %v", nets[front].Aliases)
	}
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}

func TestTwoRequestsAreOneOperation(t *testing.T) {
	w := newWorld(t)
	w.push("app:1", testbed.ImageOptions{Payload: "one"})
	c := w.start("app:1", testbed.ContainerSpec{Name: "app"})
	r := w.request(c, "app:1", w.push("app:1", testbed.ImageOptions{Payload: "two"}))
	first, second := must(w.up.Update(t.Context(), r))(t), must(w.up.Update(t.Context(), r))(t)
	if first.ID != second.ID {
		t.Errorf("operations %s and %s", first.ID, second.ID)
	}
	if id, busy := w.up.Busy(c.ID); !busy || id != first.ID {
		t.Errorf("Busy = %s, %v", id, busy)
	}
	<-w.up.Done(first.ID)
	if _, busy := w.up.Busy(c.ID); busy {
		t.Error("still busy")
	}
}

func TestAnUpdateWaitsForWhoeverActsOnItsContainer(t *testing.T) {
	w := newWorld(t)
	w.push("app:1", testbed.ImageOptions{Payload: "one"})
	c := w.start("app:1", testbed.ContainerSpec{Name: "app"})
	release, _, ok := w.up.Hold(c.ID)
	if !ok {
		t.Fatal("not held")
	}
	op := must(w.up.Update(t.Context(), w.request(c, "app:1", w.push("app:1", testbed.ImageOptions{Payload: "two"}))))(t)
	if _, id, ok := w.up.Hold(c.ID); ok || id != op.ID {
		t.Errorf("held beside an operation: %v, %s", ok, id)
	}
	if now := must(w.up.Operation(t.Context(), op.ID))(t); now.State != store.Queued {
		t.Errorf("it began: %+v", now)
	}
	release()
	<-w.up.Done(op.ID)
	w.expect(must(w.up.Operation(t.Context(), op.ID))(t), store.Succeeded, "")

	// So does one of a project's container that is newer than who acts on the project.
	let := w.up.HoldProject("shop")
	r := w.request(testbed.Container{ID: w.named(c.Name).ID, Name: c.Name}, "app:1", w.push("app:1", testbed.ImageOptions{Payload: "three"}))
	r.Project = "shop"
	op = must(w.up.Update(t.Context(), r))(t)
	time.Sleep(300 * time.Millisecond)
	if now := must(w.up.Operation(t.Context(), op.ID))(t); now.State != store.Queued {
		t.Errorf("it began: %+v", now)
	}
	let()
	<-w.up.Done(op.ID)
	w.expect(must(w.up.Operation(t.Context(), op.ID))(t), store.Succeeded, "")
}

func TestWhatCantBeUpdatedIsLeftAlone(t *testing.T) {
	w := newWorld(t)
	w.push("app:1", testbed.ImageOptions{Payload: "one"})
	api := w.bed.Engine().Client()
	paused := w.start("app:1", testbed.ContainerSpec{Name: "paused"})
	if _, err := api.ContainerPause(t.Context(), paused.ID, client.ContainerPauseOptions{}); err != nil {
		t.Fatal(err)
	}
	taken := w.start("app:1", testbed.ContainerSpec{Name: "taken"})
	other := w.start("app:1", testbed.ContainerSpec{Name: "taken.wd-new"})
	gone := w.start("app:1", testbed.ContainerSpec{Name: "gone"})
	if _, err := api.ContainerRemove(t.Context(), gone.ID, client.ContainerRemoveOptions{Force: true}); err != nil {
		t.Fatal(err)
	}
	steady := w.start("app:1", testbed.ContainerSpec{Name: "steady"})
	shared := w.start("app:1", testbed.ContainerSpec{Name: "shared"})
	sidecar := w.start("app:1", testbed.ContainerSpec{Name: "sidecar", HostConfig: &container.HostConfig{NetworkMode: container.NetworkMode("container:" + shared.Name)}})
	if _, err := api.ContainerPause(t.Context(), sidecar.ID, client.ContainerPauseOptions{}); err != nil {
		t.Fatal(err)
	}
	two := w.push("app:1", testbed.ImageOptions{Payload: "two"})
	for _, c := range []struct {
		box  testbed.Container
		code string
	}{{paused, updater.CodePaused}, {taken, updater.CodeNameTaken}, {gone, updater.CodeGone}, {shared, updater.CodeDependents}} {
		w.expect(w.update(w.request(c.box, "app:1", two)), store.Failed, c.code)
	}
	if w.named(other.Name).ID != other.ID {
		t.Error("somebody else's container was touched")
	}

	// The pull fails in ways of its own; nothing changes.
	remove := w.reg.Inject(testbed.Fault{Path: "/v2/app/blobs/*", Drop: true})
	op := w.update(w.request(steady, "app:1", two))
	remove()
	w.expect(op, store.Failed, updater.CodePull)
	w.up.Apply(updater.Settings{Concurrency: 2, RemoveOld: true, StableFor: time.Second},
		registry.Configured([]registry.HostCredential{{Host: w.reg.Host(), Username: "demo", Password: "wrong"}}))
	w.expect(w.update(w.request(steady, "app:1", two)), store.Failed, updater.CodeUnauthorized)
	if now := w.named(steady.Name); now.ID != steady.ID || !now.State.Running {
		t.Errorf("after failed pulls: %+v", now.State)
	}
	w.alone(steady.Name)
}

func TestAContainerThatSomebodyRemovesMeanwhileStaysRemoved(t *testing.T) {
	w := newWorld(t)
	w.push("app:1", testbed.ImageOptions{Payload: "one"})
	c := w.start("app:1", testbed.ContainerSpec{Name: "app"})
	two := w.push("app:1", testbed.ImageOptions{Payload: "two"})
	w.reg.Inject(testbed.Fault{Path: "/v2/app/blobs/*", Latency: time.Second})
	op := must(w.up.Update(t.Context(), w.request(c, "app:1", two)))(t)
	if _, err := w.bed.Engine().Client().ContainerRemove(t.Context(), c.ID, client.ContainerRemoveOptions{Force: true}); err != nil {
		t.Fatal(err)
	}
	<-w.up.Done(op.ID)
	w.expect(must(w.up.Operation(t.Context(), op.ID))(t), store.Failed, updater.CodeGone)
	list, err := w.bed.Engine().Client().ContainerList(t.Context(), client.ContainerListOptions{All: true})
	if err != nil || len(list.Items) != 0 {
		t.Errorf("there is %+v, %v", list.Items, err)
	}
}

func TestAFullDiskIsSaidAndNothingChanges(t *testing.T) {
	w := newWorld(t)
	w.push("app:1", testbed.ImageOptions{Payload: "one"})
	c := w.start("app:1", testbed.ContainerSpec{Name: "app"})
	two := w.push("app:1", testbed.ImageOptions{Payload: "two"})
	proxy := must(w.bed.Engine().Proxy(t.Context()))(t)
	proxy.Inject(testbed.Fault{Path: "/v*/images/create", Status: 200,
		Body: `{"errorDetail":{"message":"write /layer: no space left on device"},"error":"write /layer: no space left on device"}`})
	engine := must(dockercli.New(dockercli.Options{Host: proxy.Host()}))(t)
	w.stop()
	direct := w.engine
	w.engine = engine
	w.run()
	op := w.update(w.request(c, "app:1", two))
	w.stop()
	w.engine = direct
	w.stop = func() {}
	if err := engine.Close(); err != nil {
		t.Error(err)
	}
	w.expect(op, store.Failed, updater.CodeNoSpace)
	if now := w.named(c.Name); now.ID != c.ID || !now.State.Running {
		t.Errorf("%+v", now.State)
	}
}

func TestATagThatMovesAgainBringsWhatItNamesNow(t *testing.T) {
	w := newWorld(t)
	w.push("app:1", testbed.ImageOptions{Payload: "one"})
	c := w.start("app:1", testbed.ContainerSpec{Name: "app"})
	two := w.push("app:1", testbed.ImageOptions{Payload: "two"})
	three := w.push("app:1", testbed.ImageOptions{Payload: "three"})
	op := w.update(w.request(c, "app:1", two))
	w.expect(op, store.Succeeded, "")
	if op.ToDigest != three {
		t.Errorf("to %s, want %s", op.ToDigest, three)
	}

	// … unless that is known to be broken.
	four := w.push("app:1", testbed.ImageOptions{Payload: "four"})
	if err := w.store.Quarantine(t.Context(), c.Name, four, "an-operation"); err != nil {
		t.Fatal(err)
	}
	now := w.named(c.Name)
	w.expect(w.update(w.request(testbed.Container{ID: now.ID, Name: c.Name}, "app:1", three)), store.Failed, updater.CodeQuarantined)
	if w.named(c.Name).ID != now.ID {
		t.Error("the container changed")
	}
}

func TestANewImageForAnotherPlatformIsRefused(t *testing.T) {
	w := newWorld(t)
	w.push("app:1", testbed.ImageOptions{Payload: "one"})
	c := w.start("app:1", testbed.ContainerSpec{Name: "app"})
	digest := w.push("app:1", testbed.ImageOptions{Payload: "two", Platform: "linux/arm64"})
	w.expect(w.update(w.request(c, "app:1", digest)), store.Failed, updater.CodeWrongPlatform)
	if now := w.named(c.Name); now.ID != c.ID || !now.State.Running {
		t.Errorf("%+v", now.State)
	}
	w.alone(c.Name)
}

func TestAnInterruptedUpdateIsResolvedAtTheNextStart(t *testing.T) {
	w := newWorld(t)
	w.push("app:1", testbed.ImageOptions{Payload: "one"})
	c := w.start("app:1", testbed.ContainerSpec{Name: "app", HostConfig: &container.HostConfig{RestartPolicy: container.RestartPolicy{Name: "always"}}})
	// A check that takes its time keeps the update in its gate beyond the grace.
	slow := &v1.HealthConfig{Test: []string{"CMD-SHELL", "false"}, Interval: time.Second, Timeout: time.Second, StartPeriod: time.Minute, Retries: 3}
	r := w.request(c, "app:1", w.push("app:1", testbed.ImageOptions{Payload: "two", Healthcheck: slow}))
	r.Labels = policy.Labels{HealthTimeout: time.Minute}
	op := must(w.up.Update(t.Context(), r))(t)
	deadline := time.Now().Add(30 * time.Second)
	for {
		now := must(w.up.Operation(t.Context(), op.ID))(t)
		if n := len(now.Steps); n > 0 && now.Steps[n-1].Name == "gate" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("never in the gate: %+v", now)
		}
	}
	w.stop() // waits for the grace
	if left := must(w.store.Unfinished(t.Context()))(t); len(left) != 1 || left[0].ID != op.ID {
		t.Fatalf("unfinished: %+v", left)
	}
	w.run()
	if err := w.up.Recover(t.Context()); err != nil {
		t.Fatal(err)
	}
	op = must(w.store.Operation(t.Context(), op.ID))(t)
	if op.State != store.RolledBack || op.Error == nil || op.Error.Code != updater.CodeInterrupted {
		t.Errorf("%+v", op)
	}
	if now := w.named(c.Name); now.ID != c.ID || !now.State.Running || now.HostConfig.RestartPolicy.Name != "always" {
		t.Errorf("the old one is not back: %+v", now.State)
	}
	w.alone(c.Name)
}
