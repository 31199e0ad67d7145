package updater_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/watch-docker/watch-docker/internal/policy"
	"github.com/watch-docker/watch-docker/internal/store"
	"github.com/watch-docker/watch-docker/internal/updater"
	"github.com/watch-docker/watch-docker/test/testbed"
)

// The ways in which an engine fails in one call.
const (
	notDone     = "500, not done"
	butDone     = "500, but done"
	lostNotDone = "dropped, not done"
	lostButDone = "dropped, but done"
)

// failing is one call that fails so.
func failing(way string) testbed.Fault {
	return testbed.Fault{
		Times: 1, Status: http.StatusInternalServerError, Header: http.Header{"Content-Type": {"application/json"}},
		Body: `{"message":"something has gone wrong"}`,
		Drop: way == lostNotDone || way == lostButDone,
		Done: way == butDone || way == lostButDone,
	}
}

// kind is a kind of container whose update is disturbed.
type kind struct {
	name    string
	spec    testbed.ContainerSpec
	also    string // one more network
	release release
	health  bool
	ways    []string
	labels  policy.Labels
	// every takes all requests in turn; otherwise only those that change something.
	every bool
	// back takes the requests from the start of the new container on.
	back bool
	// only limits it to paths with this in them.
	only string
	// lanes is how many containers share the work.
	lanes int
}

// Whichever request the engine fails in, the old or the new container runs in
// the end, and the record says which.
func TestAnEngineThatFailsInOneCallLosesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t).lanes()
	// Most have no network: starting them takes half the time.
	always := &container.HostConfig{RestartPolicy: container.RestartPolicy{Name: "always"}, NetworkMode: "none"}
	rm := &container.HostConfig{AutoRemove: true, NetworkMode: "none"}
	bridge := &container.HostConfig{}
	first := policy.Labels{Strategy: policy.StartFirst}
	second := must(w.bed.Network(t.Context(), "second", client.NetworkCreateOptions{}))(t)
	answers := []string{notDone, butDone}
	var group sync.WaitGroup // all at once: they mostly wait
	defer group.Wait()
	for _, k := range []kind{
		{name: "plain", spec: testbed.ContainerSpec{HostConfig: always}, ways: answers, every: true, lanes: 4},
		{name: "lost", spec: testbed.ContainerSpec{HostConfig: always}, ways: []string{lostButDone}, lanes: 1},
		{name: "checked", spec: testbed.ContainerSpec{HostConfig: always}, health: true, ways: []string{butDone}, every: true, back: true, lanes: 1},
		{name: "rm", spec: testbed.ContainerSpec{HostConfig: rm}, ways: []string{butDone}, lanes: 1},
		{name: "networks", spec: testbed.ContainerSpec{HostConfig: bridge}, also: second, ways: answers, only: "/networks", lanes: 1},
		{name: "stopped", spec: testbed.ContainerSpec{HostConfig: always, CreateOnly: true}, ways: answers, lanes: 1},
		{name: "back", spec: testbed.ContainerSpec{HostConfig: always}, release: unstartable, ways: []string{lostNotDone, butDone}, every: true, back: true, lanes: 2},
		{name: "first", spec: testbed.ContainerSpec{HostConfig: always}, labels: first, ways: answers, every: true, lanes: 3},
		{name: "first-rm", spec: testbed.ContainerSpec{HostConfig: rm}, labels: first, ways: []string{butDone}, lanes: 1},
		{name: "first-back", spec: testbed.ContainerSpec{HostConfig: always}, labels: first, release: unstartable, ways: []string{lostNotDone, butDone}, back: true, lanes: 1},
		{name: "back-rm", spec: testbed.ContainerSpec{HostConfig: rm}, release: unstartable, ways: answers, back: true, lanes: 1},
	} {
		for i := range k.lanes {
			group.Go(func() {
				t.Run(fmt.Sprintf("%s %d", k.name, i+1), func(t *testing.T) {
					l := w.lane(t, fmt.Sprintf("%s-%d", k.name, i+1), k.spec, k.health)
					l.also, l.labels = k.also, k.labels
					l.failInTurn(k, i)
				})
			})
		}
	}
}

// nth is a request of an update: the nth of its kind.
type nth struct {
	call string
	n    int
}

// nth says yes to that request; seen counts those of its kind.
func (l *lane) nth(c nth, seen *int) func(testbed.Request) bool {
	return func(r testbed.Request) bool {
		if l.call(r) != c.call {
			return false
		}
		*seen++
		return *seen == c.n
	}
}

// failInTurn lets one request after the other fail, as far as they are this lane's.
func (l *lane) failInTurn(k kind, mine int) {
	calls := l.rehearse(k.release)
	n := -1
	for _, way := range k.ways {
		started := false
		for _, c := range calls {
			started = started || c.call == "POST /containers/new/start"
			reads := strings.HasPrefix(c.call, "GET") // done or not is the same
			if (k.back && !started) || !strings.Contains(c.call, k.only) || (reads && (!k.every || way != k.ways[0])) {
				continue
			}
			if n++; n%k.lanes != mine {
				continue
			}
			l.Run(fmt.Sprintf("%s: %s %d", way, c.call, c.n), func(t *testing.T) {
				l := l.in(t)
				l.prepare(k.release)
				fault, seen := failing(way), 0
				fault.If = l.nth(c, &seen)
				l.proxy.Inject(fault)
				op := l.attempt()
				if l.expectGood(op); op.Error != nil && op.Error.Code == updater.CodeGone {
					t.Errorf("nobody has removed anything: %+v", op.Error)
				}
				if seen < c.n && !reads { // what is known already isn't always asked again
					t.Error("there was no such request")
				}
			})
		}
	}
}

// rehearse does one update undisturbed and gives its requests, but of the
// gate's looks and of those at other containers only some.
func (l *lane) rehearse(r release) []nth {
	l.Helper()
	l.prepare(r)
	var calls []nth
	seen := map[string]int{}
	l.proxy.Inject(testbed.Fault{If: func(r testbed.Request) bool {
		c := l.call(r)
		seen[c]++
		if most := map[string]int{"GET /containers/new/json": 5, "GET /containers/…/json": 1}[c]; most == 0 || seen[c] <= most {
			calls = append(calls, nth{c, seen[c]})
		}
		return false
	}})
	op := l.attempt()
	if want := map[release]store.OperationState{good: store.Succeeded, unstartable: store.RolledBack}[r]; op.State != want {
		l.Fatalf("undisturbed it is %s, %+v", op.State, op.Error)
	}
	l.expectGood(op)
	l.Logf("%d requests: %v", len(calls), calls)
	return calls
}

// An engine that takes its time is waited for, or the update is undone.
func TestASlowEngineLosesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t).lanes()
	var group sync.WaitGroup
	defer group.Wait()
	for name, c := range map[string]struct {
		nth
		late bool // it's done at once, and said late
	}{
		"list":          {nth{"GET /containers/json", 1}, false},
		"inspect":       {nth{"GET /containers/old/json", 1}, false},
		"create":        {nth{"POST /containers/create", 1}, false},
		"create-late":   {nth{"POST /containers/create", 1}, true},
		"stop":          {nth{"POST /containers/old/stop", 1}, false},
		"first-rename":  {nth{"POST /containers/old/rename", 1}, false},
		"second-rename": {nth{"POST /containers/new/rename", 1}, true},
		"start":         {nth{"POST /containers/new/start", 1}, false},
		"start-late":    {nth{"POST /containers/new/start", 1}, true},
		"gate":          {nth{"GET /containers/new/json", 3}, false},
		"remove":        {nth{"DELETE /containers/old", 1}, false},
	} {
		group.Go(func() {
			t.Run(name, func(t *testing.T) {
				l := w.lane(t, "slow-"+name, testbed.ContainerSpec{HostConfig: &container.HostConfig{NetworkMode: "none"}}, false)
				l.prepare(good)
				seen := 0
				l.proxy.Inject(testbed.Fault{If: l.nth(c.nth, &seen), Latency: 30 * time.Second, Done: c.late})
				op := l.attempt()
				l.expectGood(op)
				if seen < c.n {
					t.Error("there was no such request")
				}
				if !strings.HasPrefix(c.call, "GET") && op.State != store.Succeeded {
					l.Errorf("a change that takes 30 s is waited for: %s, %+v", op.State, op.Error)
				}
			})
		})
	}
}
