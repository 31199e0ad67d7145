package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/client"

	"github.com/watch-docker/watch-docker/test/testbed"
)

// A strike is a moment of an update, as the engine's events tell it, at which
// the updater or the engine is killed.
type strike struct {
	name   string
	shape  shape
	at     func(m *moment, e events.Message) bool // nil: nobody is killed
	engine bool                                   // and not the updater
	failed bool                                   // the release is broken
}

// moment is what has been seen of an update.
type moment struct {
	old     string // id of the container before
	renames int
}

// rename is the nth event of its kind.
func rename(n int) func(*moment, events.Message) bool {
	return func(m *moment, e events.Message) bool {
		if e.Action == events.ActionRename {
			m.renames++
		}
		return e.Action == events.ActionRename && m.renames == n
	}
}

// ofOld and ofNew are the first event of a kind about the container of before,
// or about any other.
func ofOld(action events.Action) func(*moment, events.Message) bool {
	return func(m *moment, e events.Message) bool { return e.Action == action && e.Actor.ID == m.old }
}

func ofNew(action events.Action) func(*moment, events.Message) bool {
	return func(m *moment, e events.Message) bool {
		return e.Type == events.ContainerEventType && e.Action == action && e.Actor.ID != m.old
	}
}

// backAgain is the old container's second new name.
func backAgain(m *moment, e events.Message) bool {
	if e.Action == events.ActionRename && e.Actor.ID == m.old {
		m.renames++
	}
	return m.renames == 2
}

func strikes() []strike {
	ready := sh("trap 'exit 0' TERM; sleep 2 & wait $!; touch /up; sleep 100000 & wait")
	health := slowly()
	health.Interval = 500 * time.Millisecond
	app := shape{
		old: testbed.ImageOptions{Payload: "old", Cmd: ready, Healthcheck: health}, new: testbed.ImageOptions{Payload: "new", Cmd: ready, Healthcheck: health},
		args: strings.Fields("--restart always -v {name}-v:/v --network {name}-net --ip 10.89.{n}.9 --network-alias web -p 127.0.0.1:188{n}:80 -e MINE=1"),
		prep: []string{"network create --subnet 10.89.{n}.0/24 {name}-net"}, data: []string{"/v"},
	}
	removed := app
	removed.args = append([]string{"--rm"}, app.args[2:]...)
	failing := app
	failing.new = testbed.ImageOptions{Payload: "new", Cmd: sh("sleep 1; exit 1")}
	inGate := ofNew(events.ActionExecDie)
	return []strike{
		{name: "nobody", shape: app},
		{"the updater: image pulled", app, func(_ *moment, e events.Message) bool {
			return e.Type == events.ImageEventType && e.Action == events.ActionPull
		}, false, false},
		{"the updater: new container created", app, ofNew(events.ActionCreate), false, false},
		{"the updater: old one told to stop", app, ofOld(events.ActionKill), false, false},
		{"the updater: old one ended", app, ofOld(events.ActionDie), false, false},
		{"the updater: old one removed", app, ofOld(events.ActionDestroy), false, false},
		{"the updater: first rename", app, rename(1), false, false},
		{"the updater: second rename", app, rename(2), false, false},
		{"the updater: new one started", app, ofNew(events.ActionStart), false, false},
		{"the updater: new one not healthy yet", app, inGate, false, false},
		{"the updater: new one healthy", app, ofNew(events.ActionHealthStatusHealthy), false, false},
		{"the updater: with --rm, old one ended", removed, ofOld(events.ActionDie), false, false},
		{"the updater: with --rm, old one removed", removed, ofOld(events.ActionDestroy), false, false},
		{"the updater: with --rm, new one started", removed, ofNew(events.ActionStart), false, false},
		{"the updater: rolling back, new one removed", failing, ofNew(events.ActionDestroy), false, true},
		{"the updater: rolling back, old one's name back", failing, backAgain, false, true},
		{"the updater: rolling back, old one started", failing, ofOld(events.ActionStart), false, true},
		{"the engine: new container created", app, ofNew(events.ActionCreate), true, false},
		{"the engine: old one ended", app, ofOld(events.ActionDie), true, false},
		{"the engine: new one started", app, ofNew(events.ActionStart), true, false},
		{"the engine: new one not healthy yet", app, inGate, true, false},
	}
}

func killGroup() group {
	g := group{name: "kill"}
	for _, k := range strikes() {
		must := "after the updater's next run the old or the new container runs under its name, as it was, with its data, and nothing else is left"
		if k.failed {
			must = strings.Replace(must, "the old or the new", "the old", 1)
		}
		if k.at == nil {
			must = "the new container runs under its name"
		}
		g.trials = append(g.trials, trial{k.name, must})
	}
	g.judge = func(ctx context.Context, s *suite, chosen map[string]bool) (map[string]verdict, error) {
		verdicts := map[string]verdict{}
		for i, k := range strikes() {
			if !chosen[k.name] {
				continue
			}
			var err error
			if verdicts[k.name], err = s.strike(ctx, k, i+10); err != nil {
				return nil, fmt.Errorf("%s: %w", k.name, err)
			}
			if err := s.clear(ctx); err != nil {
				return nil, err
			}
		}
		return verdicts, nil
	}
	return g
}

// strike plays one.
func (s *suite) strike(ctx context.Context, k strike, n int) (verdict, error) {
	k.shape.name = k.name
	sub, err := s.place(ctx, k.shape, n)
	if err != nil {
		return verdict{}, err
	}
	volumes, err := s.volumes(ctx)
	if err != nil {
		return verdict{}, err
	}
	if err := s.renew(ctx, sub); err != nil {
		return verdict{}, err
	}
	home, err := s.home()
	if err != nil {
		return verdict{}, err
	}
	reached, err := s.disturbed(ctx, k, sub, home)
	var wrong []string
	if errors.Is(err, errTooLong) {
		wrong = append(wrong, err.Error())
	} else if err != nil {
		return verdict{}, err
	}
	if k.at == nil {
		more, err := s.taken(ctx, sub)
		return of(append(wrong, more...)), err
	}
	if !reached && len(wrong) == 0 {
		return verdict{na, "not reached"}, nil
	}
	if err := s.update(ctx, home, "kill-then-"+k.name); errors.Is(err, errTooLong) {
		wrong = append(wrong, "at the next start "+err.Error())
	} else if err != nil {
		return verdict{}, err
	}
	more, err := s.survived(ctx, k, sub, volumes)
	return of(append(wrong, more...)), err
}

// disturbed runs the updater and kills what the strike says. It isn't reached
// if the updater ends before.
func (s *suite) disturbed(ctx context.Context, k strike, sub *subject, home string) (reached bool, err error) {
	since := time.Now()
	p, err := s.launch(home, "kill-"+k.name)
	if err != nil {
		return false, err
	}
	if k.at == nil {
		return false, s.await(ctx, p)
	}
	listening, cancel := context.WithCancel(ctx)
	defer cancel()
	stream := s.api.Events(listening, client.EventsListOptions{Since: fmt.Sprintf("%d.%09d", since.Unix(), since.Nanosecond())})
	limit := time.NewTimer(s.updater.timeout)
	defer limit.Stop()
	m := &moment{old: sub.id}
	for !reached {
		select {
		case e := <-stream.Messages:
			reached = k.at(m, e)
		case err := <-stream.Err:
			p.kill()
			return false, fmt.Errorf("watch the engine: %w", err)
		case <-p.ended:
			return false, s.keep(p)
		case <-limit.C:
			p.kill()
			return false, errors.Join(errTooLong, s.keep(p))
		case <-ctx.Done():
			p.kill()
			return false, ctx.Err()
		}
	}
	if !k.engine {
		p.kill()
		return true, s.keep(p)
	}
	if err := s.engine.Kill(ctx); err != nil {
		return true, err
	}
	if err := s.engine.Start(ctx); err != nil {
		return true, err
	}
	return true, s.await(ctx, p)
}

// survived judges what is there after the next run.
func (s *suite) survived(ctx context.Context, k strike, sub *subject, volumes map[string]bool) ([]string, error) {
	_ = within(ctx, 10*time.Second, func() error { // an engine that was restarted may take a moment
		res, err := s.api.ContainerInspect(ctx, sub.name, client.ContainerInspectOptions{})
		if err == nil && res.Container.State.Status != container.StateRunning {
			err = errors.New("not yet")
		}
		return err
	})
	c, wrong, err := s.find(ctx, sub)
	if err != nil || c == nil {
		return wrong, err
	}
	image := sub.new
	if c.Image == sub.old || k.failed {
		image = sub.old
	}
	bad := sub.runs(c, image)
	if wrong = append(wrong, bad...); len(bad) > 0 {
		return wrong, nil
	}
	wrong = append(wrong, s.kept(ctx, sub)...)
	now, err := s.volumes(ctx)
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(now)) {
		if !volumes[name] {
			wrong = append(wrong, "a volume is left behind: "+short(strconv.Quote(name)))
		}
	}
	var unlike []string
	if image == sub.old {
		unlike, err = s.likeBefore(ctx, sub)
	} else if _, err = s.pull(ctx, sub.repo); err == nil {
		unlike, err = s.likeControl(ctx, sub, s.make)
	}
	return append(wrong, unlike...), err
}
