package main

import (
	"context"
	"fmt"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/moby/api/types/container"

	"github.com/watch-docker/watch-docker/test/testbed"
)

// A release is a shape whose next release is good or isn't.
type release struct {
	shape
	good bool
	ends bool // it is a job, and has ended
}

// broken is a shape whose next release is to be given up.
func broken(name string, next testbed.ImageOptions, args ...string) release {
	sh := plain(name, "the old container runs again under its name, as it was, and nothing else is left", args...)
	sh.old = testbed.ImageOptions{Payload: "old"}
	next.Payload = "new"
	sh.new = next
	return release{shape: sh}
}

func good(name, must string, next testbed.ImageOptions, args ...string) release {
	r := broken(name, next, args...)
	r.must, r.good = must, true
	return r
}

func sh(script string) []string { return []string{"sh", "-c", script} }

// missing is a release whose entrypoint isn't in the image.
func missing() testbed.ImageOptions {
	return testbed.ImageOptions{Entrypoint: []string{"/not/there"}}
}

func unhealthy() testbed.ImageOptions {
	return testbed.ImageOptions{Healthcheck: &v1.HealthConfig{Test: []string{"CMD", "/bin/false"}, Interval: time.Second, Timeout: 10 * time.Second, Retries: 2}}
}

// slowly is a health check that is good once the file /up is there.
func slowly() *v1.HealthConfig {
	return &v1.HealthConfig{Test: []string{"CMD", "test", "-e", "/up"}, Interval: time.Second, Timeout: 10 * time.Second, StartPeriod: time.Minute, Retries: 3}
}

func releases() []release {
	rich := broken("broken, with networks, ports and volumes", missing(),
		"--network", "{name}-a", "--ip", "10.88.{n}.9", "--network-alias", "web", "-p", "127.0.0.1:189{n}:80", "-v", "{name}-v:/v", "-v", "/anonymous", "--restart", "unless-stopped", "-h", "mine", "-e", "MINE=1")
	rich.prep = []string{"network create --subnet 10.88.{n}.0/24 {name}-a", "network create {name}-b"}
	rich.then = []string{"network connect --alias db {name}-b {name}"}
	rich.data = []string{"/v", "/anonymous"}
	removed := broken("broken, removed at its end", testbed.ImageOptions{Cmd: sh("exit 3")}, "--rm", "-v", "/anonymous")
	removed.data = []string{"/anonymous"}
	job := good("a job that ends with 0", "it is updated, and not rolled back", testbed.ImageOptions{Cmd: sh("sleep 2")})
	job.ends = true
	return []release{
		broken("entrypoint missing", missing()),
		broken("crash loop, restart always", testbed.ImageOptions{Cmd: sh("exit 1")}, "--restart", "always"),
		broken("exit after 3 s", testbed.ImageOptions{Cmd: sh("sleep 3; exit 1")}),
		broken("exit after 3 s, restart unless stopped", testbed.ImageOptions{Cmd: sh("sleep 3; exit 1")}, "--restart", "unless-stopped"),
		broken("unhealthy", unhealthy()),
		rich, removed,
		good("healthy after 20 s", "it is updated, and not rolled back", testbed.ImageOptions{Healthcheck: slowly(), Cmd: sh("trap 'exit 0' TERM; sleep 20 & wait $!; touch /up; sleep 100000 & wait")}),
		job,
	}
}

func gateGroup() group {
	all := map[string]release{}
	var shapes []shape
	for _, r := range releases() {
		all[r.name], shapes = r, append(shapes, r.shape)
	}
	return group{name: "gate", trials: trials(shapes), judge: func(ctx context.Context, s *suite, chosen map[string]bool) (map[string]verdict, error) {
		verdicts := map[string]verdict{}
		subjects, late, err := s.updateAll(ctx, "gate", s.only(shapes, chosen), verdicts)
		if err != nil {
			return nil, err
		}
		return verdicts, s.each(ctx, subjects, verdicts, late, func(ctx context.Context, sub *subject) ([]string, error) {
			if r := all[sub.shape.name]; r.ends {
				return s.ended(ctx, sub)
			} else if r.good {
				return s.taken(ctx, sub)
			}
			return s.givenUp(ctx, sub)
		})
	}}
}

// givenUp asks for the old image, running as before.
func (s *suite) givenUp(ctx context.Context, sub *subject) ([]string, error) {
	c, wrong, err := s.find(ctx, sub)
	if err != nil || c == nil {
		return wrong, err
	}
	bad := sub.runs(c, sub.old)
	wrong = append(wrong, bad...)
	if len(bad) > 0 {
		return wrong, nil
	}
	wrong = append(wrong, s.kept(ctx, sub)...)
	unlike, err := s.likeBefore(ctx, sub)
	return append(wrong, unlike...), err
}

// taken asks for the new image, running.
func (s *suite) taken(ctx context.Context, sub *subject) ([]string, error) {
	c, wrong, err := s.find(ctx, sub)
	if err != nil || c == nil {
		return wrong, err
	}
	return append(wrong, sub.runs(c, sub.new)...), nil
}

// ended asks for the new image, which has done its work.
func (s *suite) ended(ctx context.Context, sub *subject) ([]string, error) {
	err := within(ctx, 10*time.Second, func() error { // an updater may have been content with less
		c, _, err := s.find(ctx, sub)
		if err == nil && c != nil && c.State.Running {
			err = fmt.Errorf("it runs")
		}
		return err
	})
	c, wrong, found := s.find(ctx, sub)
	if found != nil || c == nil {
		return wrong, found
	}
	if err != nil {
		wrong = append(wrong, err.Error())
	}
	if c.Image != sub.new {
		wrong = append(wrong, "it has "+sub.which(c))
	}
	if c.State.Status != container.StateExited || c.State.ExitCode != 0 {
		wrong = append(wrong, state(c))
	}
	return wrong, nil
}
