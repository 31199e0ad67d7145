package image_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/client"

	"github.com/watch-docker/watch-docker/internal/store"
	"github.com/watch-docker/watch-docker/test/testbed"
)

// strike ends something at a moment of a self-update.
type strike struct {
	name   string
	action events.Action // of
	on     string        // the container with this ending to its name
	file   string        // or: as soon as this is in the handover's folder
	do     func(*own) error
	rare   bool // in "make campaign" alone
}

// killed ends the process of a container as the kernel would, which the engine
// doesn't take for somebody's wish.
func killed(suffix string) func(*own) error {
	return func(o *own) error {
		seen, err := o.engine.ContainerInspect(o.Context(), o.name+suffix, client.ContainerInspectOptions{})
		if err != nil {
			return err
		}
		pid := seen.Container.State.Pid
		if pid == 0 {
			return nil // it has just ended
		}
		kill, err := o.bed.Engine().Command("kill", "-9", fmt.Sprint(pid)) // the engine has processes of its own
		if err != nil {
			return err
		}
		if out, err := kill.CombinedOutput(); err != nil {
			return fmt.Errorf("kill %d: %w: %s", pid, err, out)
		}
		return nil
	}
}

func removed(o *own) error {
	_, err := o.engine.ContainerRemove(o.Context(), o.name+".wd-helper", client.ContainerRemoveOptions{Force: true})
	return err
}

func engineKilled(o *own) error {
	if err := o.bed.Engine().Kill(o.Context()); err != nil {
		return err
	}
	return o.bed.Engine().Start(o.Context())
}

func engineRestarted(o *own) error { return o.bed.Engine().Restart(o.Context()) }

// moments are those of the engine in a self-update.
func strikes() []strike {
	list := []strike{
		{"server when the helper is made", "create", ".wd-helper", "", killed(""), true},
		{"server when the helper is ready", "", "", "ready", killed(""), false},
		{"server when the word is given", "", "", "go", killed(""), false},
		{"helper removed when the word is given", "", "", "go", removed, false},
		{"helper removed when the new one is made", "create", ".wd-new", "", removed, true},
		{"helper removed when the new one has started", "start", "", "", removed, false},
		{"new server in the gate", "start", "", "", killed(""), false},
	}
	for _, at := range []struct {
		name, on string
		action   events.Action
		rare     bool
	}{
		{"the new one is made", ".wd-new", "create", true}, {"the old one is down", "", "die", false},
		{"the old one has lost its name", ".wd-old", "rename", true}, {"the new one has started", "", "start", true},
	} {
		list = append(list,
			strike{"helper when " + at.name, at.action, at.on, "", killed(".wd-helper"), at.rare},
			strike{"engine killed when " + at.name, at.action, at.on, "", engineKilled, at.rare},
			strike{"engine restarted when " + at.name, at.action, at.on, "", engineRestarted, at.rare})
	}
	return list
}

// happens waits for the moment.
func (o *own) happens(ctx context.Context, s strike, stream client.EventsResult) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case e := <-stream.Messages:
			if s.file == "" && e.Action == s.action && e.Actor.Attributes["name"] == o.name+s.on {
				return nil
			}
		case <-tick.C:
			if found, _ := filepath.Glob(filepath.Join(o.state, "self-update", s.file)); s.file != "" && len(found) > 0 {
				return nil
			}
		case err := <-stream.Err:
			return fmt.Errorf("%s %s: %w", s.action, s.on, err)
		case <-ctx.Done():
			return fmt.Errorf("%s %s%s never came: %w", s.action, s.on, s.file, ctx.Err())
		}
	}
}

// TestItReplacesItselfWhateverIsKilled holds the promise for the program's own
// container: it runs afterwards, the old one or the new one, alone and under
// its name, and the record says which.
func TestItReplacesItselfWhateverIsKilled(t *testing.T) {
	o := newOwn(t)
	whole := os.Getenv("WATCHDOCKER_CAMPAIGN") != ""
	for n, s := range strikes() {
		if s.rare && !whole {
			continue
		}
		t.Run(s.name, func(t *testing.T) { o.as(t, fmt.Sprintf("kill%d", n)).struck(s) })
	}
}

func (o *own) struck(s strike) {
	before := o.inspect(o.name)
	o.release(o.new)
	ctx, cancel := context.WithTimeout(o.Context(), 60*time.Second)
	defer cancel()
	stream := o.engine.Events(ctx, client.EventsListOptions{Filters: make(client.Filters).Add("type", "container")})
	asker := exec.CommandContext(ctx, o.program, "update", o.name)
	asker.Env = append(o.bed.Env(), "STATE_PATH="+o.state, "CONFIG_PATH="+o.state, "HOME="+o.state)
	o.must(asker.Start())
	defer func() { cancel(); _ = asker.Wait() }() // it may have lost its server
	o.must(o.happens(ctx, s, stream))
	o.must(s.do(o))

	var op store.Operation
	testbed.Eventually(o, 90*time.Second, func() error {
		if err := o.alone(); err != nil {
			return err
		}
		ops, err := o.record()
		if err != nil || len(ops) == 0 || !ops[0].State.Finished() {
			return fmt.Errorf("the record has %+v, %w", ops, err)
		}
		op = ops[0]
		return nil
	})
	now := o.inspect(o.name)
	if now.HostConfig.RestartPolicy != before.HostConfig.RestartPolicy {
		o.Errorf("its restart policy is %v, was %v", now.HostConfig.RestartPolicy, before.HostConfig.RestartPolicy)
	}
	if renewed := now.Image != before.Image; renewed != (op.State == store.Succeeded) || renewed != (op.Error == nil) {
		o.Errorf("the new image runs: %v, but the record says %s, %+v", renewed, op.State, op.Error)
	}
	for _, step := range op.Steps {
		if step.State == store.StepRunning {
			o.Errorf("step %s still runs, the record says", step.Name)
		}
	}
	if op.Error != nil {
		o.Logf("%s: %s", op.State, op.Error.Message)
	} else {
		o.Logf("%s: %s", op.State, stepNames(op))
	}
	// The server works on: it takes the update, if it hasn't.
	testbed.Eventually(o, 30*time.Second, func() error {
		_, stderr, code := o.exec(testbed.Container{ID: o.name}, "/watch-docker", "healthcheck")
		if code != 0 {
			return errors.New(stderr)
		}
		return nil
	})
	if quarantined := op.Error != nil && slices.Contains([]string{"takeover_failed", "container_restarted", "container_exited"}, op.Error.Code); op.State == store.Succeeded || quarantined {
		return
	}
	if again := o.updated(); again.State != store.Succeeded {
		o.Errorf("again: %s, %+v", again.State, again.Error)
	}
	o.settled()
}

// record is what the state folder holds, newest first.
func (o *own) record() ([]store.Operation, error) {
	st, err := store.Join(o.Context(), o.state)
	if err != nil {
		return nil, err
	}
	ops, err := st.Operations(o.Context(), store.OperationFilter{Limit: 5})
	return slices.DeleteFunc(ops, func(op store.Operation) bool { return !strings.HasSuffix(o.name, op.Target) && op.Target != o.name }), errors.Join(err, st.Close())
}
