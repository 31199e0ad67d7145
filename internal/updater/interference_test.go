package updater_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"github.com/watch-docker/watch-docker/internal/policy"
	"github.com/watch-docker/watch-docker/internal/store"
	"github.com/watch-docker/watch-docker/internal/updater"
	"github.com/watch-docker/watch-docker/test/testbed"
)

// A moment is a point in an update, told by the request that comes next.
type moment string

const (
	beforePull         moment = "before the pull"
	beforeCreate       moment = "before the create"
	afterCreate        moment = "after the create" // and before the old one's policy changes
	beforeStop         moment = "before the stop"
	beforeFirstRename  moment = "stopped"         // and before the old one is renamed
	beforeSecondRename moment = "between renames" // before the new one is renamed
	beforeStart        moment = "before the start"
	inGate             moment = "in the gate"
	beforeRemove       moment = "before the old one's removal"
	undoing            moment = "undoing"          // before the new one's removal
	renamingBack       moment = "renaming back"    // before the old one gets its name again
	startingAgain      moment = "starting the old" // before the old one is started again
)

// is says whether the next request is what the moment comes before.
func (m moment) is(call string, started bool) bool {
	switch m {
	case beforePull:
		return call == "POST /images/create"
	case beforeCreate:
		return call == "POST /containers/create"
	case afterCreate:
		return call == "POST /containers/old/update"
	case beforeStop:
		return call == "POST /containers/old/stop"
	case beforeFirstRename:
		return call == "POST /containers/old/rename"
	case beforeSecondRename:
		return call == "POST /containers/new/rename"
	case beforeStart:
		return call == "POST /containers/new/start"
	case inGate:
		return started && call == "GET /containers/new/json"
	case beforeRemove:
		return call == "DELETE /containers/old"
	case undoing:
		return call == "DELETE /containers/new"
	case renamingBack:
		return started && call == "POST /containers/old/rename"
	case startingAgain:
		return call == "POST /containers/old/start"
	}
	return false
}

// at has something happen at a moment of the next update, once, and tells
// afterwards whether it did.
func (l *lane) at(m moment, act func() error) (happened func() error) {
	started, err := false, fmt.Errorf("%q never came", m)
	l.proxy.Inject(testbed.Fault{Times: 1,
		If: func(r testbed.Request) bool {
			call := l.call(r)
			is := m.is(call, started)
			started = started || call == "POST /containers/new/start"
			return is
		},
		Hook: func(testbed.Request) { err = act() },
	})
	return func() error { return err }
}

// interference is one act of somebody else, and what may come of it besides a
// good state.
type interference struct {
	when    moment
	act     string
	release release
	may     may
	state   store.OperationState // empty: whichever
	code    string               // empty: any
}

type may int

const (
	onlyBeGood  may = iota
	beGone          // it was removed: that may stay so
	beStopped       // it was stopped: that may stay so
	beDisplaced     // its name is another's: it runs under another
	beLost          // what it would be made of anew was removed
)

func interferences() []interference {
	const taken, refused = updater.CodeNameTaken, ""
	return []interference{
		{beforePull, "remove old", good, beGone, "", ""},
		{beforePull, "rename old", good, onlyBeGood, "", ""},
		{beforePull, "stop old", good, beStopped, "", ""},
		{beforePull, "pause old", good, onlyBeGood, "", ""},
		{beforePull, "take .wd-new", good, onlyBeGood, store.Failed, taken},

		{beforeCreate, "remove old", good, beGone, "", ""},
		{beforeCreate, "remove new image", good, onlyBeGood, "", ""},
		{beforeCreate, "move tag", good, onlyBeGood, "", ""},
		{beforeCreate, "take .wd-new", good, onlyBeGood, store.Failed, taken},
		{beforeCreate, "take .wd-new with the new image", good, onlyBeGood, store.Failed, taken},
		{beforeCreate, "remove volume", good, onlyBeGood, store.Succeeded, refused},

		{afterCreate, "remove old", good, beGone, "", ""},
		{afterCreate, "rename old", good, onlyBeGood, "", ""},
		{afterCreate, "restart old", good, onlyBeGood, store.Succeeded, ""},
		{afterCreate, "pause old", good, onlyBeGood, "", ""},
		{afterCreate, "remove new", good, onlyBeGood, "", ""},
		{afterCreate, "start new", good, onlyBeGood, "", ""},
		{afterCreate, "remove new image", good, onlyBeGood, "", ""},
		{afterCreate, "take .wd-old", good, onlyBeGood, "", ""},

		{beforeStop, "remove old", good, beGone, "", ""},
		{beforeStop, "stop old", good, beStopped, "", ""},
		{beforeStop, "restart old", good, onlyBeGood, store.Succeeded, ""},

		{beforeFirstRename, "remove old", good, beGone, "", ""},
		{beforeFirstRename, "start old", good, onlyBeGood, "", ""},
		{beforeFirstRename, "rename old", good, onlyBeGood, "", ""},
		{beforeFirstRename, "remove new", good, onlyBeGood, "", ""},
		{beforeFirstRename, "remove network", good, onlyBeGood, "", ""},
		{beforeFirstRename, "remove old image", good, onlyBeGood, store.Succeeded, ""},
		{beforeFirstRename, "remove old image", unstartable, onlyBeGood, store.RolledBack, updater.CodeStart},
		{beforeFirstRename, "take .wd-old", good, onlyBeGood, "", ""},

		{beforeSecondRename, "take name", good, beDisplaced, "", ""},
		{beforeSecondRename, "remove old", good, onlyBeGood, "", ""},
		{beforeSecondRename, "start old", good, onlyBeGood, "", ""},
		{beforeSecondRename, "remove new", good, onlyBeGood, "", ""},
		{beforeSecondRename, "remove network", good, onlyBeGood, "", ""},

		{beforeStart, "remove old", good, onlyBeGood, store.Succeeded, ""},
		{beforeStart, "remove old", unstartable, onlyBeGood, "", ""},
		{beforeStart, "remove new", good, onlyBeGood, "", ""},
		{beforeStart, "rename new", good, onlyBeGood, "", ""},
		{beforeStart, "start new", good, onlyBeGood, store.Succeeded, ""},
		{beforeStart, "remove network", good, onlyBeGood, "", ""},
		{beforeStart, "remove network", unstartable, onlyBeGood, "", ""},

		{inGate, "remove old", good, onlyBeGood, store.Succeeded, ""},
		{inGate, "remove old", unhealthy, onlyBeGood, "", ""},
		{inGate, "rename old", good, onlyBeGood, store.Succeeded, ""},
		{inGate, "start old", good, onlyBeGood, store.Succeeded, ""},
		{inGate, "start old", unhealthy, onlyBeGood, store.RolledBack, updater.CodeUnhealthy},
		{inGate, "remove new", good, beGone, "", ""},
		{inGate, "rename new", good, onlyBeGood, "", ""},
		{inGate, "stop new", good, beStopped, "", ""},
		{inGate, "restart new", good, onlyBeGood, "", ""},
		{inGate, "pause new", good, onlyBeGood, "", ""},
		{inGate, "remove volume", good, onlyBeGood, store.Succeeded, refused},

		{beforeRemove, "remove old", good, onlyBeGood, store.Succeeded, ""},
		{beforeRemove, "start old", good, onlyBeGood, store.Succeeded, ""},
		{beforeRemove, "stop new", good, beStopped, store.Succeeded, ""},

		{undoing, "remove new", unstartable, onlyBeGood, store.RolledBack, updater.CodeStart},
		{undoing, "remove old", unstartable, onlyBeGood, "", ""},
		{renamingBack, "take name", unstartable, beDisplaced, "", ""},
		{renamingBack, "start old", unstartable, onlyBeGood, store.RolledBack, updater.CodeStart},
		{startingAgain, "remove network", unstartable, onlyBeGood, "", ""},
		{startingAgain, "remove volume", unstartable, onlyBeGood, store.RolledBack, updater.CodeStart},
		{startingAgain, "start old", unstartable, onlyBeGood, store.RolledBack, updater.CodeStart},
	}
}

// withRm are those of a container that goes when it stops.
func withRm() []interference {
	return []interference{
		{beforePull, "stop old", good, beGone, "", ""},
		{beforeStop, "stop old", good, beGone, "", ""},
		{beforeFirstRename, "remove new", good, onlyBeGood, "", ""},
		{beforeSecondRename, "take name", good, beDisplaced, "", ""},
		{beforeStart, "remove old image", unstartable, beLost, store.Failed, updater.CodeRollback},
		{inGate, "stop new", good, beGone, "", ""},
	}
}

// Whatever somebody else does to a container, its image or its network in the
// middle of an update, the update ends well or says why it can't.
func TestWhatOthersDoMeanwhileLosesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t).lanes()
	stranger := must(w.bed.Run(t.Context(), testbed.ContainerSpec{Name: "stranger", Image: w.pulled("stranger:1"), CreateOnly: true}))(t)
	var group sync.WaitGroup
	defer group.Wait()
	run := func(name string, spec testbed.ContainerSpec, cells []interference) {
		group.Go(func() {
			t.Run(name, func(t *testing.T) {
				l := w.busyLane(t, name, spec)
				if name == "first" {
					l.labels = policy.Labels{Strategy: policy.StartFirst, SharedVolumes: []string{"*"}}
				}
				for _, c := range cells {
					l.Run(fmt.Sprintf("%s, %s, release %d", c.when, c.act, c.release), func(t *testing.T) {
						l := l.in(t)
						l.meddle(c, l.named(stranger.Name).Image)
					})
				}
			})
		})
	}
	var shares [6][]interference // the last one's are on a network
	others := 0
	for _, c := range interferences() {
		if c.act == "remove network" {
			shares[5] = append(shares[5], c)
			continue
		}
		shares[others%5] = append(shares[others%5], c)
		others++
	}
	for i, cells := range shares {
		host := &container.HostConfig{RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyUnlessStopped}}
		if i < 5 {
			host.NetworkMode = "none" // starting it takes half the time
		}
		run(fmt.Sprint("app-", i+1), testbed.ContainerSpec{HostConfig: host}, cells)
	}
	run("first", testbed.ContainerSpec{HostConfig: &container.HostConfig{NetworkMode: "none", RestartPolicy: container.RestartPolicy{Name: "always"}}}, whileBothRun())
	run("rm", testbed.ContainerSpec{HostConfig: &container.HostConfig{AutoRemove: true, NetworkMode: "none"}}, withRm())
}

// pulled pushes and pulls an image that nothing else has, and gives its name.
func (w *world) pulled(tag string) string {
	w.Helper()
	w.push(tag, testbed.ImageOptions{Payload: tag})
	if err := w.bed.Pull(w.Context(), w.reg.Ref(tag)); err != nil {
		w.Fatal(err)
	}
	return w.reg.Ref(tag)
}

// busyLane is a lane with a volume of its own and, unless it has none, a network.
func (w *lanes) busyLane(t *testing.T, name string, spec testbed.ContainerSpec) *lane {
	t.Helper()
	vol := must(w.bed.Volume(t.Context(), name, client.VolumeCreateOptions{}))(t)
	second := 1
	spec.Config = &container.Config{StopTimeout: &second}
	spec.HostConfig.Binds = []string{vol + ":/data"}
	if spec.HostConfig.NetworkMode == "none" {
		return w.lane(t, name, spec, false)
	}
	spec.HostConfig.NetworkMode = container.NetworkMode(w.bed.Name(name))
	spec.Networking = &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{w.bed.Name(name): {Aliases: []string{"web"}}}}
	return w.lane(t, name, spec, false)
}

// meddle does one update with one act of somebody else in it.
func (l *lane) meddle(c interference, strange string) {
	l.Helper()
	if l.spec.Networking != nil {
		l.network()
	}
	l.prepare(c.release)
	happened := l.at(c.when, func() error { return l.act(c.act, strange) })
	op := l.attempt()
	defer l.leave()
	if err := happened(); err != nil {
		l.Fatalf("%v; %s %+v", err, op.State, op.Error)
	}
	if c.state != "" && op.State != c.state {
		l.Errorf("%s, want %s", op.State, c.state)
	}
	if op.Error != nil && c.code != "" && op.Error.Code != c.code {
		l.Errorf("%s, want %s", op.Error.Code, c.code)
	}
	for _, id := range l.strangers {
		if _, err := l.bed.Engine().Client().ContainerInspect(l.Context(), id, client.ContainerInspectOptions{}); err != nil {
			l.Errorf("somebody else's container is gone: %v", err)
		}
	}
	l.maybeStopped = c.may == beStopped
	switch {
	case c.may == beGone && op.State != store.Succeeded && len(l.others()) == 0:
		if op.Error == nil || op.Error.Code != updater.CodeGone {
			l.Errorf("the container is gone, and the record doesn't say so: %s %+v", op.State, op.Error)
		}
	case c.may == beLost && len(l.others()) == 0: // the record says so, see above
	case c.may == beDisplaced && op.State != store.Succeeded:
		l.expectDisplaced(op)
	default:
		l.expectGood(op)
	}
	if c.act == "move tag" {
		if now := must(l.bed.Engine().Client().ImageInspect(l.Context(), l.reg.Ref(l.tag())))(l); now.ID != strange && op.State != store.Succeeded {
			l.Errorf("the tag that somebody moved to %s names %s", strange, now.ID)
		}
	}
}

// expectDisplaced checks that the old container runs, although another has its
// name, and that the record says where it is.
func (l *lane) expectDisplaced(op store.Operation) {
	l.Helper()
	var old *container.InspectResponse // another one if it was made anew
	for name, c := range l.others() {
		res := must(l.bed.Engine().Client().ContainerInspect(l.Context(), c.ID, client.ContainerInspectOptions{}))(l)
		switch {
		case slices.Contains(l.strangers, c.ID):
		case res.Container.Image == l.box.now.Image && old == nil:
			old = &res.Container
		default:
			l.Errorf("%s is left behind", name)
		}
	}
	if old == nil {
		l.Errorf("the container is lost: %s %+v", op.State, op.Error)
		return
	}
	if !old.State.Running || restarts(*old) != restarts(l.box.now) {
		l.Errorf("running: %t, restart policy %q", old.State.Running, restarts(*old))
	}
	if name := strings.TrimPrefix(old.Name, "/"); op.Error == nil || !strings.Contains(op.Error.Message, name) {
		l.Errorf("the record doesn't say that it is %s: %+v", name, op.Error)
	}
	l.Logf("%s %+v", op.State, op.Error)
}

// act is what somebody else does, by the engine's own socket.
func (l *lane) act(what, strange string) error {
	ctx, api := context.WithoutCancel(l.Context()), l.bed.Engine().Client()
	verb, object, _ := strings.Cut(what, " ")
	id := l.box.ID
	if object == "new" {
		for _, c := range l.others() {
			if c.ID != l.box.ID {
				id = c.ID
			}
		}
	}
	var err error
	switch what {
	case "remove new image":
		_, err = api.ImageRemove(ctx, l.reg.Ref(l.tag()), client.ImageRemoveOptions{Force: true, PruneChildren: true})
		return err
	case "remove old image":
		_, err = api.ImageRemove(ctx, l.box.now.Image, client.ImageRemoveOptions{Force: true, PruneChildren: true})
		return err
	case "move tag":
		_, err = api.ImageTag(ctx, client.ImageTagOptions{Source: strange, Target: l.reg.Ref(l.tag())})
		return err
	case "remove network":
		_, err = api.NetworkRemove(ctx, l.bed.Name(l.name), client.NetworkRemoveOptions{})
		return err
	case "remove volume":
		if _, err = api.VolumeRemove(ctx, l.bed.Name(l.name), client.VolumeRemoveOptions{Force: true}); cerrdefs.IsConflict(err) {
			return nil // the engine refuses it: both containers have it
		}
		return errors.Join(errors.New("the volume could be removed"), err)
	}
	switch verb {
	case "remove":
		_, err = api.ContainerRemove(ctx, id, client.ContainerRemoveOptions{Force: true})
	case "rename":
		_, err = api.ContainerRename(ctx, id, client.ContainerRenameOptions{NewName: l.bed.Name(l.name) + ".moved"})
	case "start":
		_, err = api.ContainerStart(ctx, id, client.ContainerStartOptions{})
	case "stop":
		_, err = api.ContainerStop(ctx, id, client.ContainerStopOptions{})
	case "restart":
		_, err = api.ContainerRestart(ctx, id, client.ContainerRestartOptions{})
	case "pause":
		_, err = api.ContainerPause(ctx, id, client.ContainerPauseOptions{})
	case "take":
		object, byImage, _ := strings.Cut(strings.TrimPrefix(object, "name"), " ")
		if strange = l.reg.Ref("stranger:1"); byImage != "" {
			strange = l.reg.Ref(l.tag())
		}
		var c testbed.Container
		c, err = l.bed.Run(ctx, testbed.ContainerSpec{Name: l.name + object, Image: strange, CreateOnly: true})
		l.strangers = append(l.strangers, c.ID)
	default:
		err = errors.New("nobody can do that: " + what)
	}
	return err
}

// network makes the lane's network if it isn't there.
func (l *lane) network() {
	l.Helper()
	name := l.bed.Name(l.name)
	if _, err := l.bed.Engine().Client().NetworkInspect(l.Context(), name, client.NetworkInspectOptions{}); err == nil {
		return
	}
	l.clear() // whatever was on it
	must(l.bed.Network(l.Context(), l.name, client.NetworkCreateOptions{}))(l)
}

// leave lets somebody else leave, and makes an end of what can't be used again.
func (l *lane) leave() {
	l.Helper()
	if l.Failed() || len(l.strangers) > 0 {
		l.clear()
	}
}
