package updater_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/internal/policy"
	"github.com/watch-docker/watch-docker/internal/store"
	"github.com/watch-docker/watch-docker/internal/updater"
	"github.com/watch-docker/watch-docker/test/testbed"
)

// detail is what a step says.
func detail(op store.Operation, step string) string {
	for _, s := range op.Steps {
		if s.Name == step {
			return s.Detail
		}
	}
	return "there is no step " + step
}

// running are what the processes of a container were started as.
func (w *world) running(name string) string { return w.docker("top", name, "-o", "pid,args") }

// Both commands run where and when they should, and know what it is about.
func TestHooksRunBeforeAndAfter(t *testing.T) {
	tells := `echo "$WATCHDOCKER_CONTAINER $WATCHDOCKER_IMAGE $WATCHDOCKER_FROM_DIGEST $WATCHDOCKER_TO_DIGEST $(id -u) $(cat /payload)" >/data/`
	for _, s := range []struct {
		strategy policy.Strategy
		steps    string
	}{
		{policy.StopFirst, "preflight pull create preUpdate stop swap start gate postUpdate finish"},
		{policy.StartFirst, "preflight pull create preUpdate start gate postUpdate swap stop finish"},
	} {
		t.Run(string(s.strategy), func(t *testing.T) {
			w := newWorld(t)
			one := w.push("app:1", testbed.ImageOptions{Payload: "one", User: "nobody"})
			vol := must(w.bed.Volume(t.Context(), "vol", client.VolumeCreateOptions{}))(t)
			c := w.start("app:1", testbed.ContainerSpec{Name: "app", HostConfig: &container.HostConfig{Binds: []string{vol + ":/data"}}})
			w.docker("exec", "-u", "0", c.Name, "busybox", "chmod", "777", "/data")
			two := w.push("app:1", testbed.ImageOptions{Payload: "two", User: "1234"})
			r := w.request(c, "app:1", two)
			r.FromDigest = one
			r.Labels = policy.Labels{Strategy: s.strategy, SharedVolumes: []string{"/data"}, PreUpdate: tells + "before", PostUpdate: `["/bin/sh","-c",` + fmt.Sprintf("%q", tells+"after") + `]`}
			op := w.update(r)
			w.expect(op, store.Succeeded, "")
			if got := stepsOf(op); got != s.steps {
				t.Errorf("steps: %s", got)
			}
			about := strings.Join([]string{c.Name, w.reg.Ref("app:1"), one, two}, " ")
			for file, want := range map[string]string{"before": about + " 65534 one", "after": about + " 1234 two"} {
				if got := w.docker("exec", c.Name, "cat", "/data/"+file); got != want {
					t.Errorf("%s says %q, want %q", file, got, want)
				}
			}
			for _, step := range []string{"preUpdate", "postUpdate"} {
				if got := detail(op, step); !strings.HasPrefix(got, "exit code 0 after 0.") {
					t.Errorf("%s: %s", step, got)
				}
			}
			w.alone(c.Name)
		})
	}
}

// badHook is a command that ends in no good way.
type badHook struct {
	name    string
	line    string
	limit   time.Duration
	noShell bool // the image has none
	says    string
	logs    string
}

func badHooks() []badHook {
	return []badHook{
		{name: "fails", line: "echo out of luck; exit 3", says: "ended with exit code 3 after", logs: "out of luck"},
		{name: "isnt-there", line: `["/nowhere","x"]`, says: "can't be run", logs: "/nowhere"},
		{name: "unknown", line: "nowhere", says: "can't be run", logs: "nowhere: not found"},
		{name: "hangs", limit: 2 * time.Second, line: "echo begun; trap '' TERM; (trap '' TERM; sleep 1999; sleep 1999) & sleep 1999; sleep 1999", says: "took longer than 2s (watchdocker.hookTimeout) and was ended", logs: "begun"},
		{name: "no-shell", line: "true", noShell: true, says: "can't be run", logs: "/bin/sh"},
		{name: "hangs-without", limit: 2 * time.Second, line: `["/busybox","sleep","1999"]`, noShell: true, says: "it may still run in the container"},
		{name: "talks", line: "yes much | head -c 20000000; exit 1", says: "exit code 1", logs: "much"},
	}
}

// toolbox is an image with one static program, which isn't a shell.
func (w *world) toolbox(tag, payload string) string {
	w.Helper()
	return w.pushImage(tag, must(withoutShell(payload))(w))
}

func TestAPreUpdateThatFailsStopsNothing(t *testing.T) {
	w := newWorld(t)
	for _, strategy := range []policy.Strategy{policy.StopFirst, policy.StartFirst} {
		for _, c := range badHooks() {
			if strategy == policy.StartFirst && c.name != "fails" {
				continue
			}
			t.Run(c.name+" "+string(strategy), func(t *testing.T) {
				w := w.beside(t)
				name := c.name + "-" + string(strategy)
				tag := name + ":1"
				push := func(payload string) string {
					if c.noShell {
						return w.toolbox(tag, payload)
					}
					return w.push(tag, testbed.ImageOptions{Payload: payload})
				}
				push("one")
				box := w.start(tag, testbed.ContainerSpec{Name: name})
				was := w.named(box.Name)
				r := w.request(box, tag, push("two"))
				r.Labels = policy.Labels{Strategy: strategy, PreUpdate: c.line, HookTimeout: c.limit}
				op := w.update(r)
				w.expect(op, store.Failed, updater.CodePreUpdate)
				t.Log(op.Error.Message)
				if !strings.Contains(op.Error.Message, c.says) || !strings.Contains(strings.Join(op.Error.Logs, "\n"), c.logs) || len(op.Error.Logs) > 200 {
					t.Errorf("%s\n%q", op.Error.Message, op.Error.Logs)
				}
				if got := stepsOf(op); got != "preflight pull create preUpdate rollback" {
					t.Errorf("steps: %s", got)
				}
				if left := strings.Contains(w.running(box.Name), "sleep 1999"); left != (c.name == "hangs-without") {
					t.Errorf("running: %s", w.running(box.Name))
				}
				w.untouched(was)
				if bad, err := w.store.Quarantined(t.Context(), box.Name, r.Digest); err != nil || bad {
					t.Errorf("quarantined: %v, %v", bad, err)
				}
			})
		}
	}
}

func TestAPreUpdateMayPutItOff(t *testing.T) {
	w := newWorld(t)
	w.push("app:1", testbed.ImageOptions{Payload: "one"})
	c := w.start("app:1", testbed.ContainerSpec{Name: "app"})
	was := w.named(c.Name)
	digest := w.push("app:1", testbed.ImageOptions{Payload: "two"})
	r := w.request(c, "app:1", digest)
	r.Labels = policy.Labels{PreUpdate: "test -e /now || { echo people are watching; exit 75; }"}
	op := w.update(r)
	w.expect(op, store.Cancelled, updater.CodeSkipped)
	if !slices.Equal(op.Error.Logs, []string{"people are watching"}) || !strings.HasPrefix(detail(op, "preUpdate"), "exit code 75 after") {
		t.Errorf("%+v, %s", op.Error, detail(op, "preUpdate"))
	}
	w.untouched(was)
	images := must(w.engine.Images(t.Context()))(t)
	if !slices.ContainsFunc(images, func(r dockercli.ImageRow) bool { return r.ID != was.Image && len(r.Tags) == 0 }) {
		t.Errorf("the image that was pulled is gone: %+v", images)
	}
	w.docker("exec", c.Name, "touch", "/now")
	w.expect(w.update(r), store.Succeeded, "")
}

func TestAPostUpdateThatFailsRollsBack(t *testing.T) {
	w := newWorld(t)
	for _, strategy := range []policy.Strategy{policy.StopFirst, policy.StartFirst} {
		for _, c := range badHooks() {
			if strategy == policy.StartFirst && c.name != "fails" {
				continue
			}
			t.Run(c.name+" "+string(strategy), func(t *testing.T) {
				w := w.beside(t)
				name := c.name + "-" + string(strategy)
				tag := name + ":1"
				var digest string
				if c.noShell {
					w.toolbox(tag, "one")
				} else {
					w.push(tag, testbed.ImageOptions{Payload: "one"})
				}
				box := w.start(tag, testbed.ContainerSpec{Name: name})
				was := w.named(box.Name)
				if c.noShell {
					digest = w.toolbox(tag, "two")
				} else {
					digest = w.push(tag, testbed.ImageOptions{Payload: "two", Cmd: testbed.Stoppable("sh", "-c", "echo the container itself; sleep 1000")})
				}
				r := w.request(box, tag, digest)
				r.Labels = policy.Labels{Strategy: strategy, PostUpdate: c.line, HookTimeout: c.limit}
				op := w.update(r)
				w.expect(op, store.RolledBack, updater.CodePostUpdate)
				text := strings.Join(op.Error.Logs, "\n")
				if !strings.Contains(op.Error.Message, c.says) || !strings.Contains(text, c.logs) || len(op.Error.Logs) > 400 {
					t.Errorf("%s\n%q", op.Error.Message, op.Error.Logs)
				}
				if !c.noShell && op.Error.Logs[len(op.Error.Logs)-1] != "the container itself" {
					t.Errorf("the log's last line: %q", text)
				}
				now := w.named(box.Name)
				if now.ID != was.ID || !now.State.Running || (op.DowntimeMs > 0) != (strategy == policy.StopFirst) {
					t.Errorf("%+v, down for %d ms", now.State, op.DowntimeMs)
				}
				if strategy == policy.StartFirst {
					w.untouched(was)
				}
				w.alone(box.Name)
				if bad, err := w.store.Quarantined(t.Context(), box.Name, digest); err != nil || !bad {
					t.Errorf("quarantined: %v, %v", bad, err)
				}
			})
		}
	}
}

// Asked to end in the middle of a command, the program ends that, too.
func TestHooksEndWithTheProgram(t *testing.T) {
	for name, c := range map[string]struct {
		labels policy.Labels
		step   string
		state  store.OperationState
	}{
		"before":             {policy.Labels{PreUpdate: "trap '' TERM; sleep 1998; sleep 1998"}, "preUpdate", store.Cancelled},
		"after":              {policy.Labels{PostUpdate: "sleep 1998"}, "postUpdate", store.RolledBack},
		"after, start-first": {policy.Labels{PostUpdate: "sleep 1998", Strategy: policy.StartFirst}, "postUpdate", store.Cancelled},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.push("app:1", testbed.ImageOptions{Payload: "one"})
			box := w.start("app:1", testbed.ContainerSpec{Name: "app"})
			was := w.named(box.Name)
			r := w.request(box, "app:1", w.push("app:1", testbed.ImageOptions{Payload: "two"}))
			r.Labels = c.labels
			op := must(w.up.Update(t.Context(), r))(t)
			w.until(op.ID, c.step)
			w.waitFor("the command runs", func() bool {
				list := must(w.bed.Engine().Client().ContainerList(t.Context(), client.ContainerListOptions{}))(t)
				return slices.ContainsFunc(list.Items, func(s container.Summary) bool { return strings.Contains(w.running(s.ID), "sleep 1998") })
			})
			began := time.Now()
			w.stop()
			w.run()
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("it took %s", took)
			}
			if left := must(w.store.Unfinished(t.Context()))(t); len(left) > 0 {
				t.Fatalf("unfinished: %+v", left[0].Steps)
			}
			op = must(w.store.Operation(t.Context(), op.ID))(t)
			w.expect(op, c.state, updater.CodeInterrupted)
			for _, s := range op.Steps {
				if s.State == store.StepRunning {
					t.Errorf("%s says that it runs", s.Name)
				}
			}
			if strings.Contains(w.running(box.Name), "sleep 1998") {
				t.Errorf("running: %s", w.running(box.Name))
			}
			if c.state == store.Cancelled {
				w.untouched(was)
			} else if now := w.named(box.Name); now.ID != was.ID || !now.State.Running {
				t.Errorf("%+v", now.State)
			}
			if bad, err := w.store.Quarantined(t.Context(), box.Name, r.Digest); err != nil || bad {
				t.Errorf("quarantined: %v, %v", bad, err)
			}
		})
	}
}

func TestHooksThatHaveNowhereToRunSaySo(t *testing.T) {
	w := newWorld(t)
	w.up.Apply(updater.Settings{Concurrency: 1, RemoveOld: true, StableFor: 300 * time.Millisecond, Keep: 100, KeepImages: 2}, w.accounts())
	w.push("app:1", testbed.ImageOptions{Payload: "one"})
	both := policy.Labels{PreUpdate: "exit 1", PostUpdate: "exit 1"}
	stopped := w.start("app:1", testbed.ContainerSpec{Name: "stopped", CreateOnly: true})
	worker := w.start("app:1", testbed.ContainerSpec{Name: "worker"})
	looping := w.start("app:1", testbed.ContainerSpec{Name: "looping", Cmd: []string{"false"}, HostConfig: &container.HostConfig{RestartPolicy: container.RestartPolicy{Name: "always"}}})
	w.waitFor("it is restarted", func() bool {
		c := w.named(looping.Name)
		return c.State.Restarting && c.RestartCount > 5 // the engine waits longer and longer
	})
	two := w.push("app:1", testbed.ImageOptions{Payload: "two", Cmd: []string{"true"}})

	r := w.request(stopped, "app:1", two)
	r.Labels = both
	op := w.update(r)
	w.expect(op, store.Succeeded, "")
	if detail(op, "preUpdate") != "not run: the old container doesn't run" || detail(op, "postUpdate") != "not run: the container doesn't run" {
		t.Errorf("%+v", op.Steps)
	}

	r = w.request(worker, "app:1", two)
	r.Labels = policy.Labels{PostUpdate: "exit 1"}
	op = w.update(r)
	w.expect(op, store.Succeeded, "")
	if detail(op, "postUpdate") != "not run: the new container has done its work and ended" {
		t.Errorf("%+v", op.Steps)
	}

	now := w.named(worker.Name)
	r = w.request(testbed.Container{ID: now.ID, Name: worker.Name}, "app:1", "")
	r.Labels = both
	back := must(w.up.Rollback(t.Context(), r))(t)
	<-w.up.Done(back.ID)
	back = must(w.up.Operation(t.Context(), back.ID))(t)
	w.expect(back, store.Succeeded, "")
	if strings.Contains(stepsOf(back), "Update") {
		t.Errorf("a rollback by hand: %s", stepsOf(back))
	}

	r = w.request(looping, "app:1", two)
	r.Labels = both
	if op = w.update(r); detail(op, "preUpdate") != "not run: the old container doesn't run" {
		t.Errorf("one that is being restarted: %+v", op.Steps)
	}
}

// The commands are those of the container that is updated; a group goes back
// as one when the last of them says no.
func TestHooksOfAGroup(t *testing.T) {
	w := newWorld(t)
	w.push("vpn:1", testbed.ImageOptions{Payload: "one"})
	w.push("app:1", testbed.ImageOptions{Payload: "app"})
	vpn := w.start("vpn:1", testbed.ContainerSpec{Name: "vpn"})
	app := w.start("app:1", testbed.ContainerSpec{Name: "app", HostConfig: sharing("container:" + vpn.ID), Labels: map[string]string{"watchdocker.postUpdate": "exit 9"}})
	r := w.request(vpn, "vpn:1", w.push("vpn:1", testbed.ImageOptions{Payload: "two"}))
	r.Labels = policy.Labels{PreUpdate: "grep one /payload", PostUpdate: "grep one /payload"}
	op := w.update(r)
	w.expect(op, store.RolledBack, updater.CodePostUpdate)
	if got := stepsOf(op); got != "preflight pull create preUpdate stop swap start dependents gate postUpdate rollback" {
		t.Errorf("steps: %s", got)
	}
	for _, c := range []testbed.Container{vpn, app} {
		if now := w.named(c.Name); now.ID != c.ID || !now.State.Running {
			t.Errorf("%s is not back: %+v", c.Name, now.State)
		}
		w.alone(c.Name)
	}
	w.together(app.Name, vpn.Name)
	r.Digest, r.Labels.PostUpdate = w.push("vpn:1", testbed.ImageOptions{Payload: "three"}), "grep three /payload"
	w.expect(w.update(r), store.Succeeded, "")
	w.together(app.Name, vpn.Name)
}

// Whatever somebody does to the old container while its command runs, one is
// there in the end.
func TestAContainerThatEndsUnderItsPreUpdate(t *testing.T) {
	w := newWorld(t)
	for name, act := range map[string][]string{
		"stopped": {"stop"}, "restarted": {"restart"}, "removed": {"rm", "-f"}, "paused": {"pause"},
	} {
		t.Run(name, func(t *testing.T) {
			w := w.beside(t)
			tag := name + ":1"
			w.push(tag, testbed.ImageOptions{Payload: "one"})
			box := w.start(tag, testbed.ContainerSpec{Name: name})
			r := w.request(box, tag, w.push(tag, testbed.ImageOptions{Payload: "two"}))
			r.Labels = policy.Labels{PreUpdate: "sleep 1997", HookTimeout: 10 * time.Second}
			op := must(w.up.Update(t.Context(), r))(t)
			w.until(op.ID, "preUpdate")
			w.waitFor("the command runs", func() bool { return strings.Contains(w.running(box.Name), "sleep 1997") })
			w.docker(append(act, box.Name)...)
			<-w.up.Done(op.ID)
			op = must(w.up.Operation(t.Context(), op.ID))(t)
			w.expect(op, store.Failed, updater.CodePreUpdate)
			t.Log(op.Error.Message)
			if ended := strings.Contains(op.Error.Message, "the container itself ended meanwhile"); ended != (name != "paused") {
				t.Errorf("it says: %s", op.Error.Message)
			}
			if said := strings.Contains(op.Error.Message, "it may still run"); said != (name == "paused") {
				t.Errorf("it says: %s", op.Error.Message)
			}
			if now := w.named(box.Name); !now.State.Running {
				t.Errorf("%+v", now.State)
			}
			w.alone(box.Name)
		})
	}
}
