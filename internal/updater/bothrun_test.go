package updater_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"

	"github.com/watch-docker/watch-docker/internal/policy"
	"github.com/watch-docker/watch-docker/internal/store"
	"github.com/watch-docker/watch-docker/internal/updater"
	"github.com/watch-docker/watch-docker/test/testbed"
)

// whileBothRun are those of a container whose successor is started first: it is
// told to stop only after the renames.
func whileBothRun() []interference {
	return []interference{
		{beforeStart, "remove old", good, onlyBeGood, store.Succeeded, ""},
		{beforeStart, "remove new", good, onlyBeGood, store.RolledBack, updater.CodeNewGone},
		{beforeStart, "start new", good, onlyBeGood, store.Succeeded, ""},

		{inGate, "remove old", good, onlyBeGood, store.Succeeded, ""},
		{inGate, "remove old", unhealthy, onlyBeGood, store.RolledBack, updater.CodeUnhealthy},
		{inGate, "stop old", good, onlyBeGood, store.Succeeded, ""},
		{inGate, "restart old", good, onlyBeGood, store.Succeeded, ""},
		{inGate, "rename old", good, onlyBeGood, store.Succeeded, ""},
		{inGate, "pause old", good, onlyBeGood, "", ""},
		{inGate, "remove new", good, onlyBeGood, store.RolledBack, updater.CodeNewGone},
		{inGate, "stop new", good, onlyBeGood, store.RolledBack, updater.CodeExited},
		{inGate, "rename new", good, onlyBeGood, store.Succeeded, ""},

		{beforeFirstRename, "remove old", good, onlyBeGood, store.Succeeded, ""},
		{beforeFirstRename, "remove new", good, onlyBeGood, store.RolledBack, ""},
		{beforeFirstRename, "take .wd-old", good, onlyBeGood, store.RolledBack, ""},
		{beforeSecondRename, "take name", good, beDisplaced, "", ""},
		{beforeSecondRename, "remove new", good, onlyBeGood, store.RolledBack, ""},

		{afterCreate, "stop new", good, onlyBeGood, store.RolledBack, updater.CodeExited},
		{afterCreate, "remove new", good, onlyBeGood, store.RolledBack, updater.CodeNewGone},
		{beforeStop, "remove old", good, onlyBeGood, store.Succeeded, ""},
		{beforeStop, "stop old", good, onlyBeGood, store.Succeeded, ""},
		{beforeStop, "rename old", good, onlyBeGood, store.Succeeded, ""},
		{beforeStop, "rename new", good, onlyBeGood, store.Succeeded, ""},
		{beforeStop, "stop new", good, onlyBeGood, store.RolledBack, updater.CodeExited},

		{beforeRemove, "start old", good, onlyBeGood, store.Succeeded, ""},
		{beforeRemove, "remove old", good, onlyBeGood, store.Succeeded, ""},
	}
}

// Asked to stop before anything has stopped, the program calls it off at once.
func TestStartFirstIsCalledOffInItsGate(t *testing.T) {
	w := newWorld(t)
	w.push("app:1", testbed.ImageOptions{Payload: "one"})
	c := w.start("app:1", testbed.ContainerSpec{Name: "app"})
	was := w.named(c.Name)
	slow := health("false")
	slow.StartPeriod = time.Minute
	r := w.first(c, "app:1", w.push("app:1", testbed.ImageOptions{Payload: "two", Healthcheck: slow}))
	op := must(w.up.Update(t.Context(), r))(t)
	w.until(op.ID, "gate")
	began := time.Now()
	w.stop()
	if took := time.Since(began); took > 6*time.Second {
		t.Errorf("it took %s", took)
	}
	op = must(w.store.Operation(t.Context(), op.ID))(t)
	w.expect(op, store.Cancelled, updater.CodeInterrupted)
	for _, s := range op.Steps {
		if s.State == store.StepRunning {
			t.Errorf("%s says that it runs", s.Name)
		}
	}
	w.untouched(was)
	w.run()
}

// Whichever change is under way when the program has to end, the next start
// brings the old or the new one into place.
func TestStartFirstInterruptedAnywhereIsResolved(t *testing.T) {
	t.Parallel()
	w := newWorld(t).lanes()
	var group sync.WaitGroup
	defer group.Wait()
	for name, c := range map[string]struct {
		nth
		succeeds  bool // the gate had passed
		untouched bool // the old one hadn't been told to stop
	}{
		"create":         {nth{"POST /containers/create", 1}, false, true},
		"start":          {nth{"POST /containers/new/start", 1}, false, true},
		"first-rename":   {nth{"POST /containers/old/rename", 1}, false, true},
		"second-rename":  {nth{"POST /containers/new/rename", 1}, false, true},
		"policy":         {nth{"POST /containers/old/update", 1}, false, false},
		"stop":           {nth{"POST /containers/old/stop", 1}, false, false},
		"its own policy": {nth{"POST /containers/new/update", 1}, false, false},
		"remove":         {nth{"DELETE /containers/old", 1}, true, false},
	} {
		for _, done := range []bool{false, true} {
			group.Go(func() {
				t.Run(fmt.Sprint(name, ", done ", done), func(t *testing.T) {
					short := strings.ReplaceAll(fmt.Sprint("cut-", name, done), " ", "-")
					l := w.lane(t, short, testbed.ContainerSpec{HostConfig: &container.HostConfig{NetworkMode: "none", RestartPolicy: container.RestartPolicy{Name: "always"}}}, false)
					l.labels = policy.Labels{Strategy: policy.StartFirst}
					l.prepare(good)
					met, over, seen := make(chan struct{}), make(chan struct{}), 0
					fault := testbed.Fault{If: l.nth(c.nth, &seen), Drop: true, Hook: func(testbed.Request) { close(met); <-over }}
					if done { // and whoever asked doesn't hear of it
						fault.Done, fault.Latency = true, 15*time.Second
						close(over)
					} else {
						defer close(over)
					}
					l.proxy.Inject(fault)
					r := l.request(l.box.Container, l.tag(), *l.digest)
					r.Labels = l.labels
					op := must(l.up.Update(t.Context(), r))(t)
					select {
					case <-met:
					case <-l.up.Done(op.ID):
						t.Fatal("there was no such request")
					}
					l.stop() // waits for the grace
					l.proxy.ClearFaults()
					left := must(l.store.Unfinished(t.Context()))(t)
					if len(left) != 1 {
						t.Fatalf("unfinished: %+v", left)
					}
					l.begin()
					if err := l.up.Recover(context.WithoutCancel(t.Context())); err != nil {
						t.Fatal(err)
					}
					op = must(l.store.Operation(t.Context(), op.ID))(t)
					l.expectGood(op)
					if (op.State == store.Succeeded) != c.succeeds {
						t.Errorf("%s %+v", op.State, op.Error)
					}
					if c.untouched {
						l.untouched(l.box.now)
					}
				})
			})
		}
	}
}
