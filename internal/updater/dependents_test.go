package updater_test

import (
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"

	"github.com/watch-docker/watch-docker/internal/policy"
	"github.com/watch-docker/watch-docker/internal/store"
	"github.com/watch-docker/watch-docker/internal/updater"
	"github.com/watch-docker/watch-docker/test/testbed"
)

// docker runs Docker's own command line on the world's engine.
func (w *world) docker(args ...string) string {
	w.Helper()
	out, err := exec.CommandContext(w.Context(), "docker", append([]string{"-H", w.bed.Engine().Host()}, args...)...).CombinedOutput()
	if err != nil {
		w.Fatalf("docker %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// together checks that one lives in the other's network namespace, as it is now.
func (w *world) together(one, other string) {
	w.Helper()
	space := func(name string) string { return w.docker("exec", name, "busybox", "readlink", "/proc/self/ns/net") }
	if a, b := space(one), space(other); a != b {
		w.Errorf("%s is in %s, %s in %s", one, a, other, b)
	}
}

func sharing(mode string) *container.HostConfig {
	return &container.HostConfig{NetworkMode: container.NetworkMode(mode), RestartPolicy: container.RestartPolicy{Name: "unless-stopped"}}
}

// A VPN's container and what lives behind it, by id, by name and at one remove.
func TestThoseInItsNamespaceComeAlong(t *testing.T) {
	w := newWorld(t)
	w.push("vpn:1", testbed.ImageOptions{Payload: "one"})
	w.push("app:1", testbed.ImageOptions{Payload: "app"})
	vpn := w.start("vpn:1", testbed.ContainerSpec{Name: "vpn"})
	byID := w.start("app:1", testbed.ContainerSpec{Name: "by-id", Env: []string{"MINE=1"}, HostConfig: sharing("container:" + vpn.ID)})
	byName := w.start("app:1", testbed.ContainerSpec{Name: "by-name", HostConfig: sharing("container:" + vpn.Name)})
	restarted := w.start("app:1", testbed.ContainerSpec{Name: "asked", Labels: map[string]string{"watchdocker.dependsOn": byID.Name}})
	stopped := w.start("app:1", testbed.ContainerSpec{Name: "stopped", CreateOnly: true, HostConfig: sharing("container:" + vpn.ID)})
	shortLived := w.start("app:1", testbed.ContainerSpec{Name: "rm", HostConfig: &container.HostConfig{NetworkMode: container.NetworkMode("container:" + vpn.ID), AutoRemove: true}})
	bystander := w.named(w.start("app:1", testbed.ContainerSpec{Name: "bystander"}).Name)
	asked := w.named(restarted.Name)

	op := w.update(w.request(vpn, "vpn:1", w.push("vpn:1", testbed.ImageOptions{Payload: "two"})))
	w.expect(op, store.Succeeded, "")
	now := w.named(vpn.Name)
	for _, old := range []testbed.Container{byID, byName, stopped, shortLived} {
		c := w.named(old.Name)
		if c.ID == old.ID {
			t.Errorf("%s is still the old one", old.Name)
		}
		if peer := strings.TrimPrefix(string(c.HostConfig.NetworkMode), "container:"); peer != now.ID && peer != vpn.Name {
			t.Errorf("%s lives with %s, want %s", old.Name, peer, now.ID)
		}
		if c.State.Running != (old.ID != stopped.ID) {
			t.Errorf("%s: %+v", old.Name, c.State)
		}
		if c.State.Running {
			w.together(old.Name, vpn.Name)
		}
		w.alone(old.Name)
	}
	if c := w.named(byID.Name); !contains(c.Config.Env, "MINE=1") || c.HostConfig.RestartPolicy.Name != "unless-stopped" {
		t.Errorf("by-id: %v %v", c.Config.Env, c.HostConfig.RestartPolicy)
	}
	if c := w.named(restarted.Name); c.ID != asked.ID || c.State.StartedAt == asked.State.StartedAt || !c.State.Running {
		t.Errorf("the one that asked to be restarted: %+v, before %+v", c.State, asked.State)
	}
	if c := w.named(bystander.Name); c.State.StartedAt != bystander.State.StartedAt {
		t.Error("a container that has nothing to do with it was restarted")
	}
	w.alone(vpn.Name)
}

func TestLinksAndVolumesFromAreMadeAnew(t *testing.T) {
	w := newWorld(t)
	w.push("db:1", testbed.ImageOptions{Payload: "one", Volumes: []string{"/data"}})
	w.push("app:1", testbed.ImageOptions{Payload: "app"})
	db := w.start("db:1", testbed.ContainerSpec{Name: "db"})
	w.docker("exec", db.Name, "sh", "-c", "echo kept >/data/file")
	web := w.start("app:1", testbed.ContainerSpec{Name: "web", HostConfig: &container.HostConfig{Links: []string{db.Name + ":database"}}})
	backup := w.start("app:1", testbed.ContainerSpec{Name: "backup", HostConfig: &container.HostConfig{VolumesFrom: []string{db.ID + ":ro"}}})
	w.expect(w.update(w.request(db, "db:1", w.push("db:1", testbed.ImageOptions{Payload: "two", Volumes: []string{"/data"}}))), store.Succeeded, "")
	now := w.named(db.Name)
	if got := w.named(web.Name); len(got.HostConfig.Links) != 1 || !strings.HasPrefix(got.HostConfig.Links[0], "/"+db.Name+":") {
		t.Errorf("links: %v", got.HostConfig.Links)
	}
	if address := now.NetworkSettings.Networks["bridge"].IPAddress.String(); !strings.Contains(w.docker("exec", web.Name, "cat", "/etc/hosts"), address) {
		t.Errorf("web doesn't know the database's address %s", address)
	}
	if got := w.named(backup.Name); len(got.HostConfig.VolumesFrom) != 1 || got.HostConfig.VolumesFrom[0] != now.ID+":ro" {
		t.Errorf("volumes from: %v, want %s", got.HostConfig.VolumesFrom, now.ID)
	}
	for _, c := range []testbed.Container{db, backup} {
		if got := w.docker("exec", c.Name, "cat", "/data/file"); got != "kept" {
			t.Errorf("%s has %q", c.Name, got)
		}
	}
}

// The whole group goes back: when the release is broken, and when a dependent
// can't live with it.
func TestAGroupIsRolledBackAsOne(t *testing.T) {
	for name, c := range map[string]struct {
		release testbed.ImageOptions
		needs   string // what the dependent needs to go on
		code    string
	}{
		"release":   {testbed.ImageOptions{Cmd: []string{"/bin/sh", "-c", "exit 3"}}, "/bin/true", updater.CodeExited},
		"unhealthy": {testbed.ImageOptions{Healthcheck: health("false")}, "/bin/true", updater.CodeUnhealthy},
		"dependent": {testbed.ImageOptions{Payload: "two"}, "grep one /proc/1/root/payload", updater.CodeExited},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.push("vpn:1", testbed.ImageOptions{Payload: "one"})
			w.push("app:1", testbed.ImageOptions{Payload: "app"})
			vpn := w.start("vpn:1", testbed.ContainerSpec{Name: "vpn"})
			// It sees its peer's files through the shared pid namespace.
			app := w.start("app:1", testbed.ContainerSpec{
				Name: "app", Cmd: []string{"/bin/sh", "-c", "trap 'exit 0' TERM; " + c.needs + " || exit 5; sleep 1000 & wait"},
				HostConfig: &container.HostConfig{NetworkMode: container.NetworkMode("container:" + vpn.ID), PidMode: container.PidMode("container:" + vpn.ID), CapAdd: []string{"SYS_PTRACE"}},
			})
			before := w.named(app.Name)
			c.release.Payload = "two"
			op := w.update(w.request(vpn, "vpn:1", w.push("vpn:1", c.release)))
			w.expect(op, store.RolledBack, c.code)
			if now := w.named(vpn.Name); now.ID != vpn.ID || !now.State.Running {
				t.Errorf("the old one is not back: %+v", now.State)
			}
			now := w.named(app.Name)
			if now.ID != app.ID || !now.State.Running || now.State.StartedAt == before.State.StartedAt {
				t.Errorf("the dependent is not back: %+v", now.State)
			}
			w.together(app.Name, vpn.Name)
			w.alone(vpn.Name)
			w.alone(app.Name)
		})
	}
}

func TestACycleIsReported(t *testing.T) {
	w := newWorld(t)
	w.push("app:1", testbed.ImageOptions{Payload: "one"})
	one := w.start("app:1", testbed.ContainerSpec{Name: "one", Labels: map[string]string{"watchdocker.dependsOn": w.bed.Name("two")}})
	w.start("app:1", testbed.ContainerSpec{Name: "two", Labels: map[string]string{"watchdocker.dependsOn": w.bed.Name("one")}})
	op := w.update(w.request(one, "app:1", w.push("app:1", testbed.ImageOptions{Payload: "two"})))
	w.expect(op, store.Failed, updater.CodeCycle)
	if !strings.Contains(op.Error.Message, "one needs "+w.bed.Name("two")) {
		t.Errorf("message: %s", op.Error.Message)
	}
}

func TestWhatIsNeededIsUpdatedFirst(t *testing.T) {
	w := newWorld(t)
	w.push("db:1", testbed.ImageOptions{Payload: "one"})
	w.push("app:1", testbed.ImageOptions{Payload: "one"})
	db := w.start("db:1", testbed.ContainerSpec{Name: "db"})
	app := w.start("app:1", testbed.ContainerSpec{Name: "app", HostConfig: sharing("container:" + db.ID)})
	two := w.push("db:1", testbed.ImageOptions{Payload: "two"})
	appTwo := w.push("app:1", testbed.ImageOptions{Payload: "two"})
	sorted := must(w.up.Order(t.Context(), []updater.Request{w.request(app, "app:1", appTwo), w.request(db, "db:1", two)}))(t)
	var ops []store.Operation
	for _, r := range sorted {
		ops = append(ops, must(w.up.Update(t.Context(), r))(t))
	}
	if ops[0].Target != db.Name {
		t.Fatalf("%s goes first", ops[0].Target)
	}
	w.until(ops[0].ID, "swap")
	if id, _, ok := func() (string, string, bool) { _, id, ok := w.up.Hold(app.ID); return id, "", ok }(); ok || id != ops[1].ID {
		t.Errorf("held beside its operation %s: %v, %s", ops[1].ID, ok, id)
	}
	for i, op := range ops {
		<-w.up.Done(op.ID)
		ops[i] = must(w.up.Operation(t.Context(), op.ID))(t)
		w.expect(ops[i], store.Succeeded, "")
	}
	if ops[1].StartedAt.Before(*ops[0].FinishedAt) {
		t.Error("the dependent did not wait")
	}
	now := w.named(app.Name)
	if string(now.HostConfig.NetworkMode) != "container:"+w.named(db.Name).ID || now.Image != must(w.engine.ImageID(t.Context(), w.reg.Ref("app:1")))(t) {
		t.Errorf("app: %s of %s", now.HostConfig.NetworkMode, now.Image)
	}
	w.together(app.Name, db.Name)
}

// until waits until an operation has reached a step.
func (w *world) until(id, step string) {
	w.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; {
		now := must(w.up.Operation(w.Context(), id))(w)
		for _, s := range now.Steps {
			if s.Name == step {
				return
			}
		}
		if now.State.Finished() || time.Now().After(deadline) {
			w.Fatalf("never at %s: %+v", step, now)
		}
	}
}

func TestADependentIsHeldByTheOperation(t *testing.T) {
	w := newWorld(t)
	w.push("db:1", testbed.ImageOptions{Payload: "one"})
	db := w.start("db:1", testbed.ContainerSpec{Name: "db"})
	app := w.start("db:1", testbed.ContainerSpec{Name: "app", HostConfig: sharing("container:" + db.ID)})
	r := w.request(db, "db:1", w.push("db:1", testbed.ImageOptions{Payload: "two"}))
	r.Labels = policy.Labels{}
	op := must(w.up.Update(t.Context(), r))(t)
	w.until(op.ID, "swap")
	if _, id, ok := w.up.Hold(app.ID); ok || id != op.ID {
		t.Errorf("held beside the operation: %v, %s", ok, id)
	}
	if _, own := w.up.Of(app.ID); own {
		t.Error("the operation is not its own")
	}
	<-w.up.Done(op.ID)
}
