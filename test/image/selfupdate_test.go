package image_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/watch-docker/watch-docker/internal/store"
	"github.com/watch-docker/watch-docker/test/testbed"
)

const newer = "0.0.1-test"

// own is Watch Docker in a container of an image that a registry has, with its
// state in a folder of the host.
type own struct {
	*world
	program  string // the same program on the host: its commands reach the server by the state folder
	old, new v1.Image
	repo     string
	state    string
	name     string
}

// newOwn builds two images of the program; each test runs a container of its own.
func newOwn(t *testing.T) *own {
	o := &own{world: newWorld(t)}
	o.old = o.saved()
	o.program = buildProgram(t, newer)
	o.build(o.context(o.program), newer)
	o.new = o.saved()
	return o
}

// as runs the old image under a name.
func (o *own) as(t *testing.T, name string, change ...func(*container.HostConfig)) *own {
	t.Helper()
	x := *o
	x.world = o.in(t)
	x.repo, x.state = name, filepath.Join(x.bed.Dir(), "state-"+name)
	x.release(o.old)
	x.must(x.bed.Pull(x.Context(), x.ref()))
	x.image = x.ref()
	config := &container.Config{
		Healthcheck: &container.HealthConfig{Interval: 500 * time.Millisecond},
		Labels:      map[string]string{"watchdocker.force": "true"}, // its tag is the only one
	}
	c := x.run(testbed.ContainerSpec{Name: name, Config: config, Labels: config.Labels}, func(h *container.HostConfig) {
		h.Binds = append(h.Binds, x.state+":/config")
		h.RestartPolicy.Name = "unless-stopped"
		for _, c := range change {
			c(h)
		}
	})
	x.name = c.Name
	t.Cleanup(func() { x.sweep() })
	x.answers(30 * time.Second)
	return &x
}

func (o *own) ref() string { return o.bed.Registry(testbed.TLSToken).Ref(o.repo + ":latest") }

func (o *own) release(img v1.Image) {
	o.Helper()
	testbed.Must(o.bed.Registry(testbed.TLSToken).Push(o.Context(), o.repo+":latest", img))(o)
}

// sweep removes what a test has left, whatever it is called now.
func (o *own) sweep() {
	ctx := context.WithoutCancel(o.Context())
	for _, name := range []string{o.name + ".wd-helper", o.name, o.name + ".wd-new", o.name + ".wd-old"} {
		if o.Failed() {
			if seen, err := o.engine.ContainerInspect(ctx, name, client.ContainerInspectOptions{}); err == nil {
				o.Logf("%s is %s and wrote:\n%s", name, seen.Container.State.Status, o.logs(ctx, seen.Container.ID))
			}
		}
		_, _ = o.engine.ContainerRemove(ctx, name, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true}) // most of them aren't there
	}
}

// answers waits until the server answers in the state folder.
func (o *own) answers(limit time.Duration) {
	o.Helper()
	testbed.Eventually(o, limit, func() error {
		_, err := os.Stat(filepath.Join(o.state, "watch-docker.sock"))
		return err
	})
}

// command runs a command of the program on the host.
func (o *own) command(args ...string) (stdout, stderr string, code int) {
	o.Helper()
	cmd := exec.CommandContext(o.Context(), o.program, args...)
	cmd.Env = append(o.bed.Env(), "STATE_PATH="+o.state, "CONFIG_PATH="+o.state, "HOME="+o.state)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	err := cmd.Run()
	if failed := (*exec.ExitError)(nil); err != nil && !errors.As(err, &failed) {
		o.Fatal(err)
	}
	return out.String(), said.String(), cmd.ProcessState.ExitCode()
}

// updated has the server replace itself, and gives the record.
func (o *own) updated(args ...string) store.Operation {
	o.Helper()
	if len(args) == 0 {
		args = []string{"update", "-json", o.name}
	}
	stdout, stderr, _ := o.command(args...)
	o.Logf("%s:\n%s", strings.Join(args, " "), stderr)
	var run struct {
		Operations []store.Operation
		Skipped    []struct{ Reason string }
	}
	if err := json.Unmarshal([]byte(stdout), &run); err != nil || len(run.Operations) != 1 {
		o.Fatalf("%v: %v\n%s\n%s", args, err, stdout, stderr)
	}
	return run.Operations[0]
}

func stepNames(op store.Operation) string {
	var names []string
	for _, s := range op.Steps {
		names = append(names, s.Name)
	}
	return strings.Join(names, " ")
}

// alone says whether one container is there under the name, runs, and nothing
// of a handover is left.
func (o *own) alone() error {
	list, err := o.engine.ContainerList(o.Context(), client.ContainerListOptions{All: true})
	if err != nil {
		return err
	}
	var mine []string
	for _, c := range list.Items {
		if strings.HasPrefix(strings.TrimPrefix(c.Names[0], "/"), o.name) {
			mine = append(mine, c.Names[0]+" "+string(c.State))
		}
	}
	if want := []string{"/" + o.name + " running"}; !slices.Equal(mine, want) {
		return fmt.Errorf("there are %v, want %v", mine, want)
	}
	left, _ := filepath.Glob(filepath.Join(o.state, "self-update*"))
	here, _ := filepath.Glob(filepath.Join(o.state, "here-*"))
	if left = append(left, here...); len(left) > 0 {
		return fmt.Errorf("left in the state folder: %v", left)
	}
	return nil
}

func (o *own) settled() {
	o.Helper()
	testbed.Eventually(o, 20*time.Second, o.alone)
}

// versionNow is what the server says that it is.
func (o *own) versionNow() string {
	o.Helper()
	stdout, stderr, code := o.exec(testbed.Container{ID: o.name}, "/watch-docker", "version")
	if code != 0 {
		o.Fatalf("version: %s", stderr)
	}
	return strings.Fields(stdout)[1]
}

func TestItReplacesItself(t *testing.T) {
	o := newOwn(t)
	t.Run("with a newer one, and back", func(t *testing.T) { o.as(t, "good").thereAndBack() })
	t.Run("not with what can't be started", func(t *testing.T) {
		o.as(t, "unstartable").refuses(o.configured(func(c *v1.Config) { c.Entrypoint = []string{"/nothing"} }), "can't be started")
	})
	t.Run("not with another program", func(t *testing.T) {
		other := testbed.Must(testbed.Image(testbed.ImageOptions{Payload: "another program"}))(o)
		o.as(t, "stranger").refuses(other, "takeover")
	})
	t.Run("not with a program that ends well without taking over", func(t *testing.T) {
		other := testbed.Must(testbed.Image(testbed.ImageOptions{Payload: "friendly", Entrypoint: []string{"true"}}))(o)
		o.as(t, "friendly").refuses(other, "doesn't take over")
	})
	t.Run("and takes the old one back when the new one doesn't start to serve", func(t *testing.T) {
		o.as(t, "broken").takesBack(o.configured(func(c *v1.Config) { c.Env = append(c.Env, "WATCH_SERVER_ADDR=256.0.0.1:1") }))
	})
	t.Run("and gives the old one its database back", func(t *testing.T) { o.as(t, "schema").reverts() })
	removed := func(h *container.HostConfig) { h.AutoRemove, h.RestartPolicy.Name = true, "no" }
	t.Run("with a newer one where its end removes it", func(t *testing.T) { o.as(t, "rm", removed).thereAndBack() })
	t.Run("and is made anew where its end has removed it", func(t *testing.T) {
		o.as(t, "rmbroken", removed).takesBack(o.configured(func(c *v1.Config) { c.Env = append(c.Env, "WATCH_SERVER_ADDR=256.0.0.1:1") }))
	})
	t.Run("as a service of Compose", func(t *testing.T) { o.composed(t) })
	t.Run("after everything else", func(t *testing.T) { o.as(t, "last").waits() })
	t.Run("not without a place for its state", func(t *testing.T) { o.in(t).unmounted(o) })
	t.Run("nor begins where its state can't be written", func(t *testing.T) { o.in(t).readOnly() })
}

// configured is the newer image with another configuration.
func (o *own) configured(change func(*v1.Config)) v1.Image {
	o.Helper()
	file := testbed.Must(o.new.ConfigFile())(o)
	config := *file.Config.DeepCopy()
	change(&config)
	return testbed.Must(mutate.Config(o.new, config))(o)
}

func (o *own) thereAndBack() {
	before := o.inspect(o.name)
	o.release(o.new)
	if stdout, stderr, code := o.command("update", "-dry-run", o.name); code != 0 || !strings.Contains(stdout, "This is Watch Docker itself") || !strings.Contains(stdout, newer) {
		o.Errorf("a dry run exits with %d:\n%s%s", code, stdout, stderr)
	}
	op := o.updated()
	if op.State != store.Succeeded || op.Error != nil {
		o.Fatalf("%s, %+v", op.State, op.Error)
	}
	if want := "preflight pull handover create stop swap start gate finish"; stepNames(op) != want {
		o.Errorf("its steps are %s, want %s", stepNames(op), want)
	}
	if op.DowntimeMs == 0 {
		o.Errorf("no down time is known")
	}
	o.Logf("down for %d ms", op.DowntimeMs)
	o.settled()
	if v := o.versionNow(); v != newer {
		o.Errorf("version %s runs, want %s", v, newer)
	}
	now := o.inspect(o.name)
	for what, pair := range map[string][2]any{
		"restart policy": {now.HostConfig.RestartPolicy, before.HostConfig.RestartPolicy},
		"binds":          {fmt.Sprint(now.HostConfig.Binds), fmt.Sprint(before.HostConfig.Binds)},
		"environment":    {fmt.Sprint(now.Config.Env), fmt.Sprint(before.Config.Env)},
		"network mode":   {now.HostConfig.NetworkMode, before.HostConfig.NetworkMode},
		"user":           {now.Config.User, before.Config.User},
		"reference":      {now.Config.Image, before.Config.Image},
	} {
		if pair[0] != pair[1] {
			o.Errorf("%s: %v, want %v", what, pair[0], pair[1])
		}
	}

	back := o.updated("rollback", "-json", o.name)
	if back.State != store.Succeeded || back.Error != nil {
		o.Fatalf("back: %s, %+v", back.State, back.Error)
	}
	o.settled()
	if v := o.versionNow(); v != version {
		o.Errorf("version %s runs, want %s", v, version)
	}
}

// refuses is the old one never stopped.
func (o *own) refuses(img v1.Image, why string) {
	before := o.inspect(o.name)
	o.release(img)
	op := o.updated()
	if op.State != store.Failed || op.Error == nil || op.Error.Code != "takeover_failed" || !strings.Contains(op.Error.Message, why) {
		o.Errorf("%s, %+v; want takeover_failed, %s", op.State, op.Error, why)
	} else {
		o.Logf("it says: %s", op.Error.Message)
	}
	o.settled()
	if now := o.inspect(o.name); now.ID != before.ID || now.State.StartedAt != before.State.StartedAt || now.RestartCount > 0 {
		o.Errorf("the old one was touched: %s since %s", now.ID, now.State.StartedAt)
	}
	stdout, stderr, _ := o.command("update", "-all")
	if !strings.Contains(stdout, o.name+" left alone") {
		o.Errorf("it isn't left alone the next time:\n%s%s", stdout, stderr)
	}
}

// takesBack is the old one stopped, and back again.
func (o *own) takesBack(img v1.Image) {
	before := o.inspect(o.name)
	o.release(img)
	op := o.updated()
	if op.State != store.RolledBack || op.Error == nil {
		o.Fatalf("%s, %+v", op.State, op.Error)
	}
	o.Logf("it says: %s", op.Error.Message)
	if said := strings.Join(op.Error.Logs, "\n"); !strings.Contains(said, "256.0.0.1") && !before.HostConfig.AutoRemove {
		o.Errorf("what the new one wrote isn't there: %q", op.Error.Logs)
	}
	o.settled()
	now := o.inspect(o.name)
	if now.ID != before.ID && !before.HostConfig.AutoRemove || now.Image != before.Image || now.HostConfig.RestartPolicy != before.HostConfig.RestartPolicy {
		o.Errorf("the old one isn't as it was: %s, %v", now.ID, now.HostConfig.RestartPolicy)
	}
	stdout, stderr, _ := o.command("update", "-all")
	if !strings.Contains(stdout, o.name+" left alone") {
		o.Errorf("it isn't left alone the next time:\n%s%s", stdout, stderr)
	}
}

// waits has another container's update under way first.
func (o *own) waits() {
	other := o.outdated("slow")
	o.release(o.new)
	stdout, stderr, code := o.command("update", "-json", o.name, other.Name)
	var run struct{ Operations []store.Operation }
	if err := json.Unmarshal([]byte(stdout), &run); err != nil || code != 0 || len(run.Operations) != 2 {
		o.Fatalf("exit %d, %v:\n%s%s", code, err, stdout, stderr)
	}
	slices.SortFunc(run.Operations, func(a, b store.Operation) int { return a.StartedAt.Compare(*b.StartedAt) })
	first, last := run.Operations[0], run.Operations[1]
	if first.Target != other.Name || last.Target != o.name || last.StartedAt.Before(*first.FinishedAt) {
		o.Errorf("%s began at %s, %s ended at %s", last.Target, last.StartedAt, first.Target, first.FinishedAt)
	}
	if first.State != store.Succeeded || last.State != store.Succeeded {
		o.Errorf("%s %s, %s %s", first.Target, first.State, last.Target, last.State)
	}
	o.settled()
}

// unmounted has its state in its own file system, and must not lose it.
func (w *world) unmounted(o *own) {
	x := *o
	x.world, x.repo = w, "unmounted"
	x.release(o.old)
	w.must(w.bed.Pull(w.Context(), x.ref()))
	w.image = x.ref()
	server := w.run(testbed.ContainerSpec{Name: "unmounted", Env: []string{"STATE_PATH=/state"}, Labels: map[string]string{"watchdocker.force": "true"}},
		func(h *container.HostConfig) { h.ReadonlyRootfs, h.CapDrop = false, nil })
	testbed.Eventually(w, time.Minute, func() error {
		_, stderr, code := w.exec(server, "/watch-docker", "healthcheck")
		if code != 0 {
			return errors.New(stderr)
		}
		return nil
	})
	x.release(o.new)
	stdout, stderr, code := w.exec(server, "/watch-docker", "update", server.Name)
	if code != 1 || !strings.Contains(stdout, "The state folder /state is in the container itself") {
		w.Errorf("exit %d:\n%s%s", code, stdout, stderr)
	}
	if !w.inspect(server.ID).State.Running {
		w.Error("it was stopped")
	}
}

// reverts has a release that changes the database and doesn't stay. Since no
// later release exists, the test writes what it would, while nobody runs; the
// new one can't start on it, and nor could the old one.
func (o *own) reverts() {
	ctx, cancel := context.WithTimeout(o.Context(), 60*time.Second)
	defer cancel()
	stream := o.engine.Events(ctx, client.EventsListOptions{Filters: make(client.Filters).Add("type", "container")})
	changed := make(chan error, 1)
	go func() {
		if err := o.happens(ctx, strike{action: "die"}, stream); err != nil {
			changed <- err
			return
		}
		db, err := sql.Open("sqlite", filepath.Join(o.state, store.FileName))
		if err == nil {
			_, err = db.ExecContext(ctx, `INSERT INTO schema_migrations VALUES ('migrations/9999_later.sql', '2030-01-01T00:00:00Z')`)
			err = errors.Join(err, db.Close())
		}
		changed <- err
	}()
	before := o.inspect(o.name)
	o.release(o.new)
	op := o.updated()
	o.must(<-changed)
	if op.State != store.RolledBack || op.Error == nil || !strings.Contains(strings.Join(op.Error.Logs, "\n"), "later release") {
		o.Errorf("%s, %+v; want it rolled back, since a later release wrote the database", op.State, op.Error)
	}
	o.settled()
	if now := o.inspect(o.name); now.ID != before.ID || now.RestartCount > 0 {
		o.Errorf("%s runs, restarted %d times; want the old one at its first start", now.ID, now.RestartCount)
	}
}

// composed is Watch Docker as a service: Compose finds nothing to do afterwards.
func (o *own) composed(t *testing.T) {
	x := *o
	x.world = o.in(t)
	x.repo, x.state, x.name = "composed", filepath.Join(x.bed.Dir(), "state-composed"), "watched-watch-docker-1"
	x.release(o.old)
	dir := filepath.Join(x.bed.Dir(), "watched")
	x.must(os.MkdirAll(dir, 0o700))
	var env strings.Builder
	for _, line := range x.bed.Env() {
		if strings.HasPrefix(line, "WATCH_") {
			fmt.Fprintf(&env, "      - %q\n", line)
		}
	}
	file := fmt.Sprintf(`services:
  watch-docker:
    image: %s
    restart: unless-stopped
    network_mode: host
    read_only: true
    cap_drop: [ALL]
    security_opt: ["no-new-privileges:true"]
    labels: {watchdocker.force: "true"}
    healthcheck: {interval: 500ms}
    environment:
%s    volumes:
      - %s:/var/run/docker.sock
      - %s:/config
`, x.ref(), env.String(), x.socket(), x.state)
	x.must(os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte(file), 0o600))
	up := func() {
		x.Helper()
		_, _, err := x.bed.Engine().Compose(x.Context(), dir, nil, "up", "-d")
		x.must(err)
	}
	up()
	t.Cleanup(func() { x.sweep() })
	x.answers(30 * time.Second)
	x.release(o.new)
	if op := x.updated(); op.State != store.Succeeded {
		x.Fatalf("%s, %+v", op.State, op.Error)
	}
	x.settled()
	now := x.inspect(x.name)
	up()
	if then := x.inspect(x.name); then.ID != now.ID {
		x.Errorf("docker compose up recreates it")
	}
	if v := x.versionNow(); v != newer {
		x.Errorf("version %s runs, want %s", v, newer)
	}
}

// readOnly: a server whose state can't be written doesn't begin, and says why.
func (w *world) readOnly() {
	w.image = "watch-docker"
	state := w.TempDir()
	out, code := w.once(testbed.ContainerSpec{}, func(h *container.HostConfig) { h.Binds = append(h.Binds, state+":/config:ro") })
	if code != 1 || !strings.Contains(out, "state folder /config can't be written: read-only file system") {
		w.Errorf("exit %d: %s", code, out)
	}
	w.Logf("it says: %s", out)
}
