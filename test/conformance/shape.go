package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/moby/client"
	"golang.org/x/sync/errgroup"

	"github.com/watch-docker/watch-docker/test/testbed"
)

// A shape is a way to make a container, and the releases of its image. In the
// strings, {name} is the container's own name, {n} a number of its own,
// {image} its image, {peer} and {idle} other images without a newer release.
type shape struct {
	name  string
	must  string
	old   testbed.ImageOptions
	new   testbed.ImageOptions
	prep  []string // docker commands before
	args  []string // of docker create, before the image
	cmd   []string // after it
	body  string   // in place of args and cmd: the body of the create request
	then  []string // docker commands between create and start
	data  []string // folders that get a file whose content must survive
	after []string // docker commands then
	// created: it is never started.
	created bool
	// since and until bound the engine's API version; until itself is beyond.
	since, until string
	// ids: the case is about the old container's id in names.
	ids bool
	// may: not every machine can make such a container.
	may bool
}

// A subject is a container of some shape at the engine, before an update and after.
type subject struct {
	shape
	name     string
	repo     string
	old, new string // ids of the images
	id       string
	started  string
	before   map[string]any
}

// parallel is how many containers are made at once.
const parallel = 4

// checked is a health check that is good at once, or a second later.
func checked() *v1.HealthConfig {
	return &v1.HealthConfig{Test: []string{"CMD", "/bin/true"}, Interval: time.Second, Timeout: 10 * time.Second, Retries: 5}
}

// plain is a shape whose releases differ by their content alone. They have a
// health check, so that an updater that waits for something waits for that.
func plain(name, must string, args ...string) shape {
	return shape{
		name: name, must: must, args: args,
		old: testbed.ImageOptions{Payload: "old", Healthcheck: checked()}, new: testbed.ImageOptions{Payload: "new", Healthcheck: checked()},
	}
}

// errImpossible is about a container that this engine or machine can't run at all.
var errImpossible = errors.New("not possible here")

// place makes a container of the shape, as the user would, and starts it. N
// is a number that no other has.
func (s *suite) place(ctx context.Context, sh shape, n int) (*subject, error) {
	sub := &subject{shape: sh, name: slug(sh.name), repo: s.repo(sh.name)}
	sub.fill(strings.NewReplacer("{name}", sub.name, "{n}", fmt.Sprint(n), "{image}", s.ref(sub.repo), "{peer}", s.reg.Ref(peerImage), "{idle}", s.reg.Ref(idleImage)))
	sub.shape.old.Payload += " " + sh.name // no two cases share an image
	sub.shape.new.Payload += " " + sh.name
	var err error
	if sub.new, err = s.imageID(sub.shape.new); err != nil {
		return sub, err
	}
	if sub.old, err = s.stock(ctx, sub.repo, sub.shape.old); err != nil {
		return sub, err
	}
	if err = s.dockers(ctx, sub.prep); err != nil {
		return sub, err
	}
	if err = s.make(ctx, sub); err != nil {
		if sh.may {
			err = fmt.Errorf("%w: %w", errImpossible, err)
		}
		return sub, err
	}
	if err = s.mark(ctx, sub); err != nil {
		return sub, err
	}
	if err = s.dockers(ctx, sub.after); err != nil {
		return sub, err
	}
	return sub, s.remember(ctx, sub)
}

// mark writes the files that must survive.
func (s *suite) mark(ctx context.Context, sub *subject) error {
	for _, folder := range sub.data {
		if _, err := s.docker(ctx, "exec", sub.name, "sh", "-c", "echo "+markerText+" > "+folder+"/marker"); err != nil {
			return err
		}
	}
	return nil
}

const markerText = "what-the-user-has-written"

func (sub *subject) fill(in *strings.Replacer) {
	each := func(list []string) (out []string) {
		for _, text := range list {
			out = append(out, in.Replace(text))
		}
		return out
	}
	sub.prep, sub.args, sub.cmd, sub.then, sub.after = each(sub.prep), each(sub.args), each(sub.cmd), each(sub.then), each(sub.after)
	sub.body = in.Replace(sub.body)
}

// make creates and starts it; this is what the control is made by, too.
func (s *suite) make(ctx context.Context, sub *subject) error {
	if err := s.create(ctx, sub); err != nil || sub.created {
		return err
	}
	_, err := s.docker(ctx, "start", sub.name)
	return err
}

func (s *suite) create(ctx context.Context, sub *subject) error {
	if sub.body != "" {
		if err := s.post(ctx, sub.name, sub.body); err != nil {
			return err
		}
	} else {
		args := append([]string{"create", "--name", sub.name}, sub.args...)
		if _, err := s.docker(ctx, append(append(args, s.ref(sub.repo)), sub.cmd...)...); err != nil {
			return err
		}
	}
	return s.dockers(ctx, sub.then)
}

// remember takes down how the container is before the updater runs.
func (s *suite) remember(ctx context.Context, sub *subject) error {
	res, err := s.api.ContainerInspect(ctx, sub.name, client.ContainerInspectOptions{})
	if err != nil {
		return err
	}
	sub.id, sub.started = res.Container.ID, res.Container.State.StartedAt
	sub.before, err = s.inspect(ctx, sub.name)
	return err
}

// renew brings out the new release.
func (s *suite) renew(ctx context.Context, sub *subject) error {
	return s.release(ctx, sub.repo, sub.shape.new)
}

// placeAll makes containers of all shapes that were chosen, and brings out
// their new releases. Those that can't be made have their verdict already.
func (s *suite) placeAll(ctx context.Context, shapes []shape, verdicts map[string]verdict) ([]*subject, error) {
	all := make([]*subject, len(shapes))
	errs := make([]error, len(shapes))
	g, placing := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for i, sh := range shapes {
		g.Go(func() error {
			all[i], errs[i] = s.place(placing, sh, i+1)
			if errors.Is(errs[i], errImpossible) {
				return nil
			}
			if errs[i] != nil {
				return fmt.Errorf("prepare %q: %w", sh.name, errs[i])
			}
			return s.renew(placing, all[i])
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	var there []*subject
	for i, sub := range all {
		if errs[i] != nil {
			verdicts[shapes[i].name] = verdict{na, errs[i].Error()}
			_, _ = s.docker(ctx, "rm", "-f", "-v", sub.name)
			continue
		}
		there = append(there, sub)
	}
	return there, nil
}

// repo is the repository of a case; lanes have repositories of their own.
func (s *suite) repo(name string) string { return s.lane + "/" + slug(name) }

// only are the shapes of the chosen cases that this engine's API knows.
func (s *suite) only(shapes []shape, chosen map[string]bool) (some []shape) {
	for _, sh := range shapes {
		if known := (sh.since == "" || s.apiSince(sh.since)) && (sh.until == "" || !s.apiSince(sh.until)); known && chosen[sh.name] {
			some = append(some, sh)
		}
	}
	return some
}

func trials(shapes []shape) (all []trial) {
	seen := map[string]bool{}
	for _, sh := range shapes {
		if !seen[sh.name] { // one case may have a shape for each kind of engine
			all = append(all, trial{sh.name, sh.must})
		}
		seen[sh.name] = true
	}
	return all
}
