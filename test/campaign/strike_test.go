package campaign_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/watch-docker/watch-docker/test/testbed"
)

// strike starts the update and ends whom the point says, where it says.
func (u *run) strike(ctx context.Context) error {
	p := u.point
	if p.moment == "" {
		u.trap = &trap{at: p.at, hit: make(chan struct{}), free: make(chan bool, 1)}
	}
	if p.at.Side == amid && p.at.Step == "pull" {
		// A pull takes its time then.
		remove := u.reg.Inject(testbed.Fault{Path: path.Join("/v2", p.shape.name, "blobs/*"), Latency: 2 * time.Second})
		defer remove()
	}
	u.watch(u.trap)
	main, err := u.update(ctx)
	if err != nil {
		return err
	}
	if err := u.reach(ctx, main, u.trap); err != nil || p.death == nobody {
		return err
	}
	if p.death.program() {
		main.kill()
	}
	if p.death == asker {
		u.programs[1].kill()
	}
	if u.at, err = u.journal.last(ctx); err != nil {
		return err
	}
	u.requests = u.proxy.requests()
	return u.release(ctx, u.trap, p.death)
}

// release ends the engine if it is to die, and lets go of the held request:
// it goes on only if both ends of it live.
func (u *run) release(ctx context.Context, t *trap, d death) error {
	if d.engine() {
		return u.endEngine(ctx, t, d)
	}
	if t != nil {
		t.free <- d == asker
	}
	return nil
}

// watch begins to tell the program's requests apart, and sets a trap.
func (u *run) watch(t *trap) {
	s := u.point.shape
	position := func() string {
		o, err := u.journal.last(context.Background())
		if err != nil {
			return err.Error()
		}
		return o.position()
	}
	old, fresh := u.images[s.name+":"+oldRelease], u.images[s.name+":"+newRelease]
	u.proxy.begin(position, t, u.reference(s), "REFERENCE", old, "old-image", fresh, "new-image", u.scene.id, "old", s.name, "NAME")
}

// update starts the program that updates: the command, or a server that a
// command asks.
func (u *run) update(ctx context.Context) (*process, error) {
	if u.point.death != server && u.point.death != asker {
		return u.start("update", u.point.shape.name)
	}
	main, err := u.serve(ctx)
	if err != nil {
		return nil, err
	}
	_, err = u.start("update", u.point.shape.name)
	return main, err
}

func (u *run) start(args ...string) (*process, error) {
	p, err := startProcess(u.program, u.environment(u.state), args...)
	if err == nil {
		u.programs = append(u.programs, p)
	}
	return p, err
}

// serve starts a server and waits until it takes commands.
func (u *run) serve(ctx context.Context) (*process, error) {
	p, err := u.start("serve")
	if err != nil {
		return nil, err
	}
	return p, u.until(ctx, func() error {
		conn, err := new(net.Dialer).DialContext(ctx, "unix", filepath.Join(u.state, "watch-docker.sock"))
		if err == nil {
			err = conn.Close()
		}
		return err
	})
}

// reach waits until the program is where the point is; without a point, to
// its end.
func (u *run) reach(ctx context.Context, main *process, t *trap) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if u.point.death == nobody {
		return main.wait(ctx, time.Minute)
	}
	if t == nil {
		err := u.journal.until(ctx, main.ended, u.there())
		if errors.Is(err, errEnded) && u.point.moment == "end" {
			return nil
		}
		return u.missed(err)
	}
	select {
	case <-t.hit:
		return nil
	case <-main.ended:
		return u.missed(errEnded)
	case <-ctx.Done():
		main.kill()
		return u.missed(ctx.Err())
	}
}

func (u *run) missed(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("the point wasn't reached: %w", err)
}

// there says whether the journal is at the point's moment, or past it.
func (u *run) there() func(*operation) bool {
	wanted := u.point.moment
	return func(o *operation) bool {
		if o == nil {
			return false
		}
		if o.moment() == wanted || o.State.Finished() {
			return true
		}
		name, state, _ := strings.Cut(wanted, " ")
		return slices.ContainsFunc(o.Steps, func(s step) bool {
			return s.Name == name && (state == "running" || string(s.State) == state)
		})
	}
}

// endEngine ends the engine under the held request and starts it again.
func (u *run) endEngine(ctx context.Context, t *trap, d death) (err error) {
	all, err := u.containers(ctx)
	if err != nil {
		return err
	}
	_, u.holder = all[u.point.shape.name+".wd-hold"]
	u.ended = true
	if u.engineAt, err = u.journal.last(ctx); err != nil {
		return err
	}
	crash := d == engineKilled || d == bothKilled
	end := u.engine.Stop
	if crash {
		end = u.engine.Kill
	}
	if err := end(ctx); err != nil {
		return err
	}
	u.proxy.close(crash)
	t.free <- false
	if err := u.engine.Start(ctx); err != nil {
		return err
	}
	return u.proxy.open()
}
