package updater_test

import (
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/internal/store"
	"github.com/watch-docker/watch-docker/internal/updater"
	"github.com/watch-docker/watch-docker/test/testbed"
)

const megabyte = 1 << 20

// The engine has less space than the new image needs, to fetch it or to
// unpack it. Nothing changes, and nothing is left that takes up space.
func TestAnImageThatDoesNotFitIsSaidAndChangesNothing(t *testing.T) {
	t.Parallel()
	w := privateWorld(t).lanes()
	engine := w.bed.Engine()
	if err := engine.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := engine.LimitDisk(24 * megabyte); err != nil {
		t.Fatal(err)
	}
	if err := engine.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	l := w.lane(t, "app", testbed.ContainerSpec{HostConfig: &container.HostConfig{NetworkMode: "none"}}, false)
	noise := make([]byte, 28*megabyte)
	_, _ = rand.Read(noise) // never fails
	for name, payload := range map[string]string{"fetched": string(noise), "unpacked": strings.Repeat("0", 40*megabyte)} {
		l.prepare(good)
		images, free := l.imageList(), must(engine.DiskSpace())(t)
		*l.digest = l.push(l.tag(), testbed.ImageOptions{Payload: payload})
		op := l.attempt()
		l.expectGood(op)
		if op.State != store.Failed || op.Error.Code != updater.CodeNoSpace {
			t.Errorf("%s: %s %+v", name, op.State, op.Error)
		}
		if now := l.imageList(); now != images {
			t.Errorf("%s: images: %s; there were %s", name, now, images)
		}
		// What is left of the pull mustn't be in the way of a smaller one.
		if now := must(engine.DiskSpace())(t); now < free-4*megabyte {
			t.Errorf("%s: %d bytes are free, there were %d", name, now, free)
		}
	}
	for _, when := range []moment{beforeCreate, beforeFirstRename, beforeStart} {
		l.prepare(good)
		happened := l.at(when, engine.FillDisk)
		op := l.attempt()
		if err := errors.Join(happened(), engine.FreeDisk()); err != nil {
			t.Fatal(err)
		}
		if l.expectGood(op); op.State != store.Succeeded && op.Error.Code != updater.CodeNoSpace {
			t.Errorf("full %s: %s %+v", when, op.State, op.Error)
		}
		if bad := must(l.store.Quarantined(t.Context(), l.box.Name, *l.digest))(t); bad {
			t.Errorf("full %s: that is held against the release", when)
		}
	}
	l.prepare(good)
	if op := l.attempt(); op.State != store.Succeeded {
		t.Errorf("with space again: %s %+v", op.State, op.Error)
	}
}

// privateWorld is a world whose engine may be stopped. Its updater runs.
func privateWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, bed: testbed.New(t, testbed.WithEngine(testbed.PrivateEngine), testbed.WithRegistry(testbed.TLSToken))}
	w.reg = w.bed.Registry(testbed.TLSToken)
	w.engine = must(dockercli.New(dockercli.Options{Host: w.bed.Engine().Host()}))(t)
	w.store = must(store.Open(t.Context(), t.TempDir()))(t)
	w.run()
	t.Cleanup(func() {
		w.stop()
		if err := errors.Join(w.engine.Close(), w.store.Close()); err != nil {
			t.Error(err)
		}
	})
	return w
}

// imageList is all images of the engine, as one string.
func (w *world) imageList() string {
	w.Helper()
	var names []string
	for _, i := range must(w.bed.Engine().Client().ImageList(w.Context(), client.ImageListOptions{All: true}))(w).Items {
		names = append(names, i.ID+" "+strings.Join(i.RepoTags, " "))
	}
	return strings.Join(names, ", ")
}

// The state folder's disk fills up in the middle of an update: the container
// is in order all the same, and once there is space again the record is true,
// whether or not the program was restarted meanwhile.
func TestAFullStateFolderLosesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t).lanes()
	var group sync.WaitGroup
	defer group.Wait()
	for when, r := range map[moment][]release{
		beforePull:        {good},
		beforeCreate:      {good},
		afterCreate:       {good, unstartable},
		beforeFirstRename: {good, unstartable},
		inGate:            {good, unhealthy},
		beforeRemove:      {good},
		undoing:           {unstartable},
	} {
		for _, r := range r {
			for _, restarted := range []bool{false, true} {
				if restarted && !slices.Contains([]moment{afterCreate, beforeFirstRename, inGate, undoing}, when) {
					continue
				}
				name := strings.ReplaceAll(string(when), " ", "-") + map[release]string{good: "-good", unstartable: "-unstartable", unhealthy: "-unhealthy"}[r] +
					map[bool]string{true: "-restarted", false: ""}[restarted]
				name = strings.ReplaceAll(name, "'", "")
				group.Go(func() {
					t.Run(name, func(t *testing.T) { w.fillUp(t, name, when, r, restarted) })
				})
			}
		}
	}
}

func (w *lanes) fillUp(t *testing.T, name string, when moment, r release, restarted bool) {
	l := w.lane(t, name, testbed.ContainerSpec{HostConfig: &container.HostConfig{RestartPolicy: container.RestartPolicy{Name: "always"}, NetworkMode: "none"}}, false)
	disk := must(w.bed.Disk(megabyte))(t)
	l.stop()
	if err := l.store.Close(); err != nil {
		t.Fatal(err)
	}
	l.store = must(store.Open(t.Context(), disk.Dir))(t)
	l.begin()
	l.prepare(r)
	happened := l.at(when, disk.Fill)
	op := must(l.up.Update(l.Context(), l.request(l.box.Container, l.tag(), *l.digest)))(l)
	if restarted {
		// The program ends while the disk is full, and starts when it isn't.
		<-l.up.Done(op.ID)
		shown := must(l.up.Operation(l.Context(), op.ID))(l)
		t.Logf("shown while the disk is full: %s %+v", shown.State, shown.Error)
		l.expectInPlace()
		l.stop()
		if err := disk.Free(); err != nil {
			t.Fatal(err)
		}
		l.begin()
		if err := l.up.Recover(l.Context()); err != nil {
			t.Fatal(err)
		}
		l.proxy.ClearFaults()
	} else {
		select {
		case <-l.up.Done(op.ID):
		case <-time.After(time.Minute):
			t.Log("the operation doesn't end while the disk is full")
		}
		l.expectInPlace()
		if err := disk.Free(); err != nil {
			t.Fatal(err)
		}
	}
	if err := happened(); err != nil {
		t.Fatal(err)
	}
	l.proxy.ClearFaults()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(20 * time.Second); ; <-tick.C {
		op = must(l.store.Operation(l.Context(), op.ID))(l)
		select {
		case <-deadline:
			t.Error("the record stays unfinished")
		default:
			if !op.State.Finished() {
				continue
			}
		}
		break
	}
	l.expectGood(op)
}

// expectInPlace checks that a container runs under the lane's name.
func (l *lane) expectInPlace() {
	l.Helper()
	if now := l.named(l.bed.Name(l.name)); !now.State.Running {
		l.Errorf("while the disk is full: %+v", now.State)
	}
}
