package campaign_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/watch-docker/watch-docker/test/testbed"
)

// death is who is ended, and how.
type death string

const (
	nobody       death = "nobody"
	command      death = "program"          // the update command, by SIGKILL
	server       death = "server"           // the server that a command has asked, by SIGKILL
	asker        death = "asker"            // the command that has asked a server, by SIGKILL; the server lives on
	engineKilled death = "engine"           // by SIGKILL; the program lives on
	engineEnded  death = "engine-ended"     // by SIGTERM; the program lives on
	bothKilled   death = "both"             // program and engine by SIGKILL
	bothEnded    death = "both-engineended" // the program by SIGKILL, the engine by SIGTERM
)

func (d death) program() bool {
	return d == command || d == server || d == bothKilled || d == bothEnded
}
func (d death) engine() bool {
	return d == engineKilled || d == engineEnded || d == bothKilled || d == bothEnded
}

// point is one death at one place, and how the program is started again.
type point struct {
	shape  shape
	death  death
	at     instant // of an engine request, or
	moment string  // of the journal alone: "stop done"
	again  bool    // by the same update command, not the server
	second instant // within the recovery there is another death here
	then   death   // … and this is whose
}

func (p point) String() string {
	name := p.moment
	switch {
	case p.death == nobody:
		name = "walk"
	case name == "":
		name = p.at.String()
	}
	if p.then != "" {
		name += ", then " + string(p.then) + " " + p.second.String()
	}
	if p.again {
		name += ", updated again"
	}
	return fmt.Sprintf("%s/%s/%s", p.shape.name, p.death, name)
}

// run is a point under way, with all that is to be said of it if it fails.
type run struct {
	*rig
	point    point
	scene    scene
	state    string
	journal  *journal
	trap     *trap
	programs []*process
	at       *operation // as the journal showed it at the time of death
	engineAt *operation // … when the engine ended
	ended    bool       // the engine has
	holder   bool       // there was a container then that keeps volumes
	requests []instant  // of the program, until its end
	recovery []instant  // of the one that was started again
	found    found
	records  []*operation
}

// play runs a point to its end. An error is the campaign's own; what is wrong
// with the program stands in found.
func (r *rig) play(ctx context.Context, p point) (_ *run, err error) {
	u := &run{rig: r, point: p}
	r.points++
	u.state = filepath.Join(r.dir, fmt.Sprintf("state-%d", r.points))
	if u.scene, err = r.scene(ctx, p.shape); err != nil {
		return u, err
	}
	if u.journal, err = openJournal(u.state); err != nil {
		return u, err
	}
	defer u.journal.Close()
	if err := u.strike(ctx); err != nil {
		return u, err
	}
	if err := u.resume(ctx); err != nil {
		return u, err
	}
	if u.records, err = u.journal.operations(ctx); err != nil {
		return u, err
	}
	err = u.judge(ctx)
	if len(u.found.wrong) == 0 {
		_ = os.RemoveAll(u.state) // many points, many stores
	}
	return u, err
}

// judge looks at what is there now. After the end of an engine it gives it a
// moment to start what it starts by itself.
func (u *run) judge(ctx context.Context) error {
	wrong := u.found.wrong
	look := func() error {
		f, err := u.look(ctx, u.scene, u.leave())
		if err != nil {
			return err
		}
		record(u.at, u.records, u.point.again, &f)
		if u.point.shape.broken && f.release == newRelease {
			f.say("the new release is broken, and runs")
		}
		if u.point.again && !u.point.shape.broken && f.release != newRelease {
			f.say("it was updated again, and is the %s one", f.release)
		}
		u.found = f
		if len(f.wrong) > 0 {
			return fmt.Errorf("%s", f.wrong)
		}
		return nil
	}
	var err error
	if u.ended {
		_ = u.until(ctx, look)
	} else {
		err = look()
		if len(u.found.wrong) > 0 {
			err = nil
		}
	}
	u.found.wrong = append(wrong, u.found.wrong...)
	return err
}

// untouched are the positions at which nothing has happened to the container.
func untouched(position string) bool {
	return slices.Contains([]string{"scan", "queued", "running", "preflight", "pull", "create"}, position)
}

func (u *run) leave() leave {
	s := u.point.shape
	l := leave{touched: !u.point.death.program() || u.ended || !untouched(u.at.position()) || u.point.again}
	if !u.ended {
		return l
	}
	unknown := u.engineAt == nil || !u.engineAt.Planned // nobody has written down how it was
	l.down = unknown && s.host.RestartPolicy.Name == "no"
	l.gone = unknown && s.host.AutoRemove
	l.volumes = s.host.AutoRemove && untouched(u.at.position()) && !u.holder
	return l
}

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

// resume starts the program again, or lets the one that lives come to its end.
func (u *run) resume(ctx context.Context) error {
	p := u.point
	switch {
	case p.death == nobody:
		return nil
	case p.death == asker:
		return u.settle(ctx, u.programs[0])
	case !p.death.program():
		return u.survive(ctx)
	case p.then != "":
		return u.relapse(ctx)
	case !p.again:
		return u.recover(ctx)
	}
	again, err := u.start("update", p.shape.name)
	if err != nil {
		return err
	}
	if err := again.wait(ctx, time.Minute); err != nil {
		u.found.say("%v", err)
	} else if !p.shape.broken && again.cmd.ProcessState.ExitCode() != 0 {
		u.found.say("the update that was started again fails")
	}
	return nil
}

// survive lets the program that the engine left alone end its operation.
func (u *run) survive(ctx context.Context) error {
	main := u.programs[0]
	if err := main.wait(ctx, 90*time.Second); err != nil {
		u.found.say("without its engine %v", err)
	}
	all, err := u.journal.operations(ctx)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(all, func(o *operation) bool { return !o.State.Finished() }) {
		return nil
	}
	u.found.say("the program ended and left its operation unfinished: %s", all[len(all)-1])
	return u.recover(ctx)
}

// recover starts a server, which has only to resolve what was left.
func (u *run) recover(ctx context.Context) error {
	u.watch(nil)
	p, err := u.serve(ctx)
	if err != nil {
		return err
	}
	return u.settle(ctx, p)
}

// settle waits until a server has ended the operation, and ends it in an
// orderly way.
func (u *run) settle(ctx context.Context, p *process) error {
	limit, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if u.at != nil {
		err := u.journal.until(limit, p.ended, func(o *operation) bool { return o.State.Finished() })
		if err != nil {
			u.found.say("recovery: %v", err)
		}
	}
	u.recovery = u.proxy.requests()
	if err := p.terminate(ctx); err != nil {
		u.found.say("%v", err)
	} else if p.cmd.ProcessState.ExitCode() != 0 {
		u.found.say("the server ends with %v", p.cmd.ProcessState)
	}
	return nil
}

// relapse starts a server and brings the second death into its recovery.
func (u *run) relapse(ctx context.Context) error {
	t := &trap{at: u.point.second, hit: make(chan struct{}), free: make(chan bool, 1)}
	u.watch(t)
	p, err := u.start("serve")
	if err != nil {
		return err
	}
	if err := u.reach(ctx, p, t); err != nil {
		return err
	}
	if u.point.then.program() {
		p.kill()
	}
	if err := u.release(ctx, t, u.point.then); err != nil {
		return err
	}
	if u.point.then.program() {
		return u.recover(ctx)
	}
	return u.settle(ctx, p)
}

// report is everything that is known of a point.
func (u *run) report() string {
	var b strings.Builder
	fmt.Fprintf(&b, "at the death: %s\n", u.at)
	for _, o := range u.records {
		fmt.Fprintf(&b, "in the end: %s\n", o)
	}
	for _, p := range u.programs {
		fmt.Fprintf(&b, "%s\n", p)
	}
	for _, at := range u.requests {
		fmt.Fprintf(&b, "  %s\n", at)
	}
	if all, err := u.containers(context.Background()); err != nil {
		fmt.Fprintf(&b, "containers: %v\n", err)
	} else {
		for name, c := range all {
			m, _ := fields(c)
			fmt.Fprintf(&b, "container %s: %v\n", name, m)
		}
	}
	return b.String()
}
