package campaign_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
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
	switch {
	case u.ended:
		_ = u.until(ctx, look)
	case u.point.underWay():
		err = u.steady(ctx, look)
	default:
		err = look()
	}
	if len(u.found.wrong) > 0 {
		err = nil // it is said already
	}
	u.found.wrong = append(wrong, u.found.wrong...)
	return err
}

// underWay says that the engine may still be at what the program had asked it
// for when it was killed.
func (p point) underWay() bool {
	return p.at.Side == amid && !quick(p.at) || p.second.Side == amid && !quick(p.second) || strings.HasSuffix(p.moment, " running")
}

// settled is how long what an engine was at may take: more than a slow stop.
const settled = 3 * time.Second

// steady looks again and again for as long as something could still happen;
// the last look counts.
func (u *run) steady(ctx context.Context, look func() error) error {
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(settled); ; {
		if err := look(); time.Now().After(end) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// untouched are the positions at which nothing has happened to the container.
func untouched(s shape, position string) bool {
	return slices.Contains([]string{"scan", "queued", "running", "preflight", "pull", "create", "preUpdate"}, position) ||
		s.first() && slices.Contains([]string{"start", "gate", "swap"}, position)
}

func (u *run) leave() leave {
	s := u.point.shape
	l := leave{touched: !u.point.death.program() || u.ended || !untouched(s, u.at.position()) || u.point.again}
	if !u.ended {
		return l
	}
	unknown := u.engineAt == nil || !u.engineAt.Planned // nobody has written down how it was
	// After a crash of the engine, Docker 20.10 takes what it finds running for
	// stopped by hand, so that unless-stopped doesn't bring it back.
	l.down = unknown && s.host.RestartPolicy.Name != "always"
	l.gone = unknown && s.host.AutoRemove
	l.volumes = s.host.AutoRemove && untouched(s, u.at.position()) && !u.holder
	return l
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
