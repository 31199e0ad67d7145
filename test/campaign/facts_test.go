package campaign_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/api/types/container"

	"github.com/watch-docker/watch-docker/internal/store"
)

// facts are what must be the same of a container before an update and after
// one that was killed: how it was made, and what hangs on it.
type facts struct {
	Config   map[string]any // as docker inspect shows it
	Host     map[string]any
	Mounts   []string
	Networks map[string]endpoint
	Running  bool
	Markers  map[string]string // by folder
}

// endpoint is how a container is on a network.
type endpoint struct {
	Aliases []string
	Fixed   string // the address that the user chose
	Address string // the one it has, if that is fixed
}

// factsOf takes them down. Ids stand in some of them: the container's own, and
// that of the main one, which another may live beside.
func (r *rig) factsOf(ctx context.Context, s shape, c, main container.InspectResponse) (facts, error) {
	f := facts{Networks: map[string]endpoint{}, Markers: map[string]string{}, Running: c.State.Running}
	var err error
	if f.Config, err = fields(c.Config); err != nil {
		return f, err
	}
	if f.Host, err = fields(c.HostConfig); err != nil {
		return f, err
	}
	if s.tagged {
		delete(f.Config, "Image") // see agrees
	}
	delete(f.Host, "Binds")  // an anonymous volume is mounted by its name afterwards:
	delete(f.Host, "Mounts") // what matters is in f.Mounts
	own := c.ID[:12]
	if f.Config["Hostname"] == own || f.Config["Hostname"] == main.ID[:12] {
		f.Config["Hostname"] = "made of the id"
	}
	if f.Host["NetworkMode"] == "container:"+main.ID {
		f.Host["NetworkMode"] = "beside the main one"
	}
	for _, m := range c.Mounts {
		f.Mounts = append(f.Mounts, fmt.Sprintf("%s %s at %s, rw %v", m.Type, m.Name, m.Destination, m.RW))
	}
	slices.Sort(f.Mounts)
	for name, n := range c.NetworkSettings.Networks {
		var e endpoint
		for _, alias := range n.Aliases {
			if alias != own {
				e.Aliases = append(e.Aliases, alias)
			}
		}
		slices.Sort(e.Aliases)
		if n.IPAMConfig != nil && n.IPAMConfig.IPv4Address.IsValid() {
			e.Fixed = n.IPAMConfig.IPv4Address.String()
			if c.State.Running {
				e.Address = n.IPAddress.String()
			}
		}
		f.Networks[name] = e
	}
	if c.ID != main.ID {
		return f, nil
	}
	for _, folder := range s.data {
		f.Markers[folder] = r.marker(ctx, c.ID, folder)
	}
	return f, nil
}

func fields(v any) (map[string]any, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	var m map[string]any
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, err
	}
	// The engine shows what nobody has set sometimes as nothing, sometimes as empty.
	maps.DeleteFunc(m, func(_ string, value any) bool {
		switch v := value.(type) {
		case []any:
			return len(v) == 0
		case map[string]any:
			return len(v) == 0
		}
		return value == nil
	})
	return m, nil
}

// scene is the engine's side of a point before its update.
type scene struct {
	shape   shape
	id      string
	started string
	facts   map[string]facts // by the container's name
	volumes []string
}

func (r *rig) scene(ctx context.Context, s shape) (scene, error) {
	sc := scene{shape: s}
	var err error
	if sc.id, err = r.prepare(ctx, s); err != nil {
		return sc, fmt.Errorf("prepare %s: %w", s.name, err)
	}
	all, err := r.containers(ctx)
	if err != nil {
		return sc, err
	}
	main := all[s.name]
	if len(all) != len(s.names()) || main.State == nil || main.State.Running == s.stopped {
		return sc, fmt.Errorf("prepare %s: there are %v", s.name, slices.Collect(maps.Keys(all)))
	}
	sc.started = main.State.StartedAt
	sc.facts = map[string]facts{}
	for name, c := range all {
		if sc.facts[name], err = r.factsOf(ctx, s, c, main); err != nil {
			return sc, err
		}
	}
	for folder, text := range sc.facts[s.name].Markers {
		if text != markerText {
			return sc, fmt.Errorf("prepare %s: the marker in %s says %q", s.name, folder, text)
		}
	}
	sc.volumes, err = r.volumes(ctx)
	return sc, err
}

// leave is what a point can't ask for, as the engine alone took it away
// before the program could have done anything about it.
type leave struct {
	down    bool // an engine that ended stops a container without a restart policy
	gone    bool // … and removes one with --rm
	volumes bool // … with its anonymous volumes
	touched bool // the container may have been stopped and started
}

// found is what the engine has after everything.
type found struct {
	release string // old, new, or none
	stale   bool   // the operation is over, and a step of it says running
	wrong   []string
}

func (f *found) say(format string, args ...any) {
	f.wrong = append(f.wrong, fmt.Sprintf(format, args...))
}

// look compares what is there with the scene.
func (r *rig) look(ctx context.Context, sc scene, l leave) (found, error) {
	f := found{release: "none"}
	s := sc.shape
	all, err := r.containers(ctx)
	if err != nil {
		return f, err
	}
	for name := range all {
		if !slices.Contains(s.names(), name) {
			f.say("%s is left behind", name)
		}
	}
	c, ok := all[s.name]
	if !ok {
		if !l.gone {
			f.say("there is no container %s", s.name)
		}
		return f, nil
	}
	switch c.Image {
	case r.images[s.name+":"+oldRelease]:
		f.release = oldRelease
	case r.images[s.name+":"+newRelease]:
		f.release = newRelease
	default:
		f.say("%s runs the image %s, neither the old nor the new one", s.name, c.Image)
	}
	for _, name := range s.names() {
		if err := r.compare(ctx, sc, l, all[name], c, name, &f); err != nil {
			return f, err
		}
	}
	if !l.touched && (c.ID != sc.id || c.State.StartedAt != sc.started) {
		f.say("nothing was to be touched yet, but %s (%s, started %s) is now %s, started %s", s.name, sc.id[:12], sc.started, c.ID[:12], c.State.StartedAt)
	}
	if volumes, err := r.volumes(ctx); err != nil {
		return f, err
	} else if !l.volumes && !slices.Equal(volumes, sc.volumes) {
		f.say("volumes: %v, before: %v", volumes, sc.volumes)
	}
	if s.port != "" && c.State.Running {
		r.answers(ctx, s, &f)
	}
	if s.tagged {
		r.agrees(s, c, &f)
	} else {
		r.tag(ctx, s, &f)
	}
	return f, nil
}

// compare looks at one container.
func (r *rig) compare(ctx context.Context, sc scene, l leave, c, main container.InspectResponse, name string, f *found) error {
	if c.State == nil {
		f.say("there is no container %s", name)
		return nil
	}
	now, err := r.factsOf(ctx, sc.shape, c, main)
	if err != nil {
		return err
	}
	then := sc.facts[name]
	if l.down && !now.Running {
		then.Running = false
		then.Networks = now.Networks // addresses are those of a running one
	}
	if l.volumes {
		then.Mounts, then.Markers = now.Mounts, now.Markers
	}
	if d := cmp.Diff(then, now); d != "" {
		f.say("%s isn't as it was (-before +after):\n%s", name, d)
	}
	return nil
}

// answers asks at the published port.
func (r *rig) answers(ctx context.Context, s shape, f *found) {
	err := r.until(ctx, func() error { // a server needs a moment from its start
		text, err := r.served(ctx, s.port)
		if err == nil && text != s.payload(f.release) {
			err = fmt.Errorf("it answers %q", text)
		}
		return err
	})
	if err != nil {
		f.say("port %s: %v", s.port, err)
	}
}

// tag is what the reference names: a host on which the container is new and
// its tag old would be updated again.
func (r *rig) tag(ctx context.Context, s shape, f *found) {
	img, err := r.api.ImageInspect(ctx, r.reference(s))
	if err != nil {
		f.say("the tag: %v", err)
		return
	}
	names := "something else"
	for _, release := range []string{oldRelease, newRelease} {
		if img.ID == r.images[s.name+":"+release] {
			names = release
		}
	}
	// A pull that came to its end unheard leaves the tag as any pull does.
	if names != f.release && (f.release != oldRelease || names != newRelease) {
		f.say("the tag names %s, the container is %s", names, f.release)
	}
}

// until tries again and again, for what the engine does by itself.
func (r *rig) until(ctx context.Context, what func() error) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := what()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-tick.C:
		}
	}
}

// record compares the store with what is there.
func record(at *operation, all []*operation, again bool, f *found) {
	if at != nil && !slices.ContainsFunc(all, func(o *operation) bool { return o.ID == at.ID }) {
		f.say("the record of the operation is gone")
	}
	for _, o := range all {
		if !o.State.Finished() {
			f.say("unfinished: %s", o)
		}
		for _, st := range o.Steps {
			f.stale = f.stale || st.State == store.StepRunning
		}
		switch {
		case o.State == store.Succeeded && o.Error != nil, o.State != store.Succeeded && o.Error == nil:
			f.say("the record doesn't say why, or why not: %s", o)
		case o.Error != nil && (o.Error.Code == "" || strings.Contains(o.Error.Code, "rollback_failed")):
			f.say("the record: %s", o)
		}
	}
	if len(all) == 0 {
		if f.release == newRelease {
			f.say("it is new, and there is no record of it")
		}
		return
	}
	last := all[len(all)-1]
	if wanted := map[bool]string{true: newRelease, false: oldRelease}[last.State == store.Succeeded]; f.release != wanted && f.release != "none" {
		f.say("the record says %s, but the container is the %s one", last.State, f.release)
	}
	if len(all) > 1 && !again {
		f.say("there are %d operations", len(all))
	}
}
