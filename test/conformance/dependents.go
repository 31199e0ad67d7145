package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/client"

	"github.com/watch-docker/watch-docker/test/testbed"
)

// A relation is a container, and another, its side, that can't do without it.
type relation struct {
	shape
	stays bool // the container has no newer release, or a broken one
	side  shape
	sees  func(ctx context.Context, s *suite, sub *subject) error
}

// sideName is what the side is called.
func (sub *subject) sideName() string { return sub.name + "-side" }

func relations() []relation {
	const must = "the dependent runs beside the new container, and sees it"
	web := func(name, must string, args ...string) shape {
		sh := plain(name, must, args...)
		sh.old.Cmd, sh.new.Cmd = webServer(), webServer()
		return sh
	}
	relate := func(name, must string, sees func(context.Context, *suite, *subject) error, args, side string) relation {
		sh := web(name, must, strings.Fields(args)...)
		sh.after = []string{"run -d --name {name}-side " + side + " {idle}"}
		return relation{shape: sh, sees: sees}
	}
	both := func(r relation) relation { // the side has an image of its own, with a newer release
		of := slug(r.name)
		r.side = plain(r.name+" side", "", strings.Fields(strings.ReplaceAll(strings.TrimSuffix(strings.TrimPrefix(r.after[0], "run -d --name {name}-side "), " {idle}"), "{name}", of))...)
		r.after = nil
		return r
	}
	failing := relate("network, broken release", "both run as before, and the dependent sees the old one", seesWeb("127.0.0.1", "old"), "", "--network container:{name}")
	failing.stays, failing.new = true, missing()
	alone := both(relate("network, a newer dependent alone", "the dependent is updated, the other isn't touched", seesWeb("127.0.0.1", "old"), "", "--network container:{name}"))
	alone.stays, alone.new = true, alone.old
	all := []relation{
		relate("network", must, seesWeb("127.0.0.1", "new"), "", "--network container:{name}"),
		both(relate("network, both newer", "both are updated, and the dependent sees the new one", seesWeb("127.0.0.1", "new"), "", "--network container:{name}")),
		failing, alone,
		relate("shared memory", must, seesFile("/dev/shm/seen"), "--ipc shareable", "--ipc container:{name}"),
		relate("volumes", "the dependent runs, and both have the same volume with its data", seesFile("/shared/seen"), "-v /shared", "--volumes-from {name}"),
		relate("link", "the dependent runs, and reaches the new container by the link's name", seesWeb("db", "new"), "", "--link {name}:db"),
		both(relate("link, both newer", "both are updated, and the dependent reaches the new one", seesWeb("db", "new"), "", "--link {name}:db")),
	}
	for i := range all {
		if all[i].name == "volumes" {
			all[i].data = []string{"/shared"}
		}
	}
	return all
}

// seesWeb asks the container's web server from the side.
func seesWeb(host, release string) func(context.Context, *suite, *subject) error {
	return func(ctx context.Context, s *suite, sub *subject) error {
		text, err := s.served(ctx, sub.sideName(), host)
		if err != nil {
			return fmt.Errorf("the dependent can't reach it: %s", lastWords(err))
		}
		if want := release + " " + sub.shape.name; text != want {
			return fmt.Errorf("the dependent doesn't see the %s one", release)
		}
		return nil
	}
}

// seesFile writes a file in the container and reads it in the side.
func seesFile(path string) func(context.Context, *suite, *subject) error {
	return func(ctx context.Context, s *suite, sub *subject) error {
		if _, err := s.docker(ctx, "exec", sub.name, "sh", "-c", "echo now > "+path); err != nil {
			return err
		}
		if text, err := s.docker(ctx, "exec", sub.sideName(), "cat", path); err != nil || text != "now" {
			return fmt.Errorf("the dependent doesn't see %s", path)
		}
		return nil
	}
}

// lastWords is the end of what a command says.
func lastWords(err error) string {
	text := strings.TrimSpace(err.Error())
	return short(text[strings.LastIndexByte(text, ':')+1:])
}

func dependentsGroup() group {
	all := relations()
	var shapes []shape
	for _, r := range all {
		shapes = append(shapes, r.shape)
	}
	return group{name: "dependents", trials: trials(shapes), judge: func(ctx context.Context, s *suite, chosen map[string]bool) (map[string]verdict, error) {
		return s.dependents(ctx, all, chosen)
	}}
}

func (s *suite) dependents(ctx context.Context, all []relation, chosen map[string]bool) (map[string]verdict, error) {
	verdicts, sideVerdicts := map[string]verdict{}, map[string]verdict{}
	byName, sides := map[string]relation{}, []shape{}
	var shapes []shape
	for _, r := range all {
		if !chosen[r.name] {
			continue
		}
		byName[r.name], shapes = r, append(shapes, r.shape)
		if r.side.name != "" {
			sides = append(sides, r.side)
		}
	}
	subjects, err := s.placeAll(ctx, shapes, verdicts)
	if err != nil {
		return nil, err
	}
	besides, err := s.placeAll(ctx, sides, sideVerdicts)
	if err != nil {
		return nil, err
	}
	home, err := s.home()
	if err != nil {
		return nil, err
	}
	late := s.update(ctx, home, "dependents")
	if late != nil && !errors.Is(late, errTooLong) {
		return nil, late
	}
	return verdicts, s.each(ctx, subjects, verdicts, late, func(ctx context.Context, sub *subject) ([]string, error) {
		r := byName[sub.shape.name]
		wrong, err := s.related(ctx, r, sub)
		for _, side := range besides {
			if err == nil && side.name == sub.sideName() {
				var more []string
				more, err = s.taken(ctx, side)
				wrong = append(wrong, prefixed("dependent: ", more)...)
			}
		}
		return wrong, err
	})
}

// related judges one pair.
func (s *suite) related(ctx context.Context, r relation, sub *subject) (wrong []string, err error) {
	switch {
	case r.stays && r.side.name != "":
		wrong, err = s.untouched(ctx, sub)
	case r.stays:
		wrong, err = s.givenUp(ctx, sub)
	default:
		wrong, err = s.taken(ctx, sub)
	}
	if err != nil {
		return nil, err
	}
	all, err := s.containers(ctx)
	if err != nil {
		return nil, err
	}
	for _, c := range all {
		name := strings.TrimPrefix(c.Name, "/")
		if strings.HasPrefix(name, sub.sideName()) && name != sub.sideName() {
			wrong = append(wrong, name+" is left behind")
		}
	}
	side, err := s.api.ContainerInspect(ctx, sub.sideName(), client.ContainerInspectOptions{})
	if cerrdefs.IsNotFound(err) {
		return append(wrong, "dependent: "+gone), nil
	}
	if err != nil {
		return nil, err
	}
	if !side.Container.State.Running {
		return append(wrong, "dependent: "+state(&side.Container)), nil
	}
	if err := within(ctx, 5*time.Second, func() error { return r.sees(ctx, s, sub) }); err != nil {
		wrong = append(wrong, err.Error())
	}
	return append(wrong, s.kept(ctx, sub)...), nil
}

func prefixed(with string, list []string) (out []string) {
	for _, text := range list {
		out = append(out, with+text)
	}
	return out
}

// idle is the image of dependents that do nothing.
func idle() testbed.ImageOptions { return testbed.ImageOptions{Payload: "idle"} }
