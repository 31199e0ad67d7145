package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	cerrdefs "github.com/containerd/errdefs"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/moby/client"

	"github.com/watch-docker/watch-docker/test/testbed"
)

// A move is what becomes of a tag at the registry after a container was made.
type move struct {
	name, must string
	updated    bool
	pinned     bool // the container names its image by digest
	do         func(ctx context.Context, s *suite, repo, digest string) error
}

// index is a multi-platform index; its images differ by the contents given.
func index(repo, amd64, arm64, attestation string) (v1.ImageIndex, error) {
	images := map[string]v1.Image{}
	for platform, release := range map[string]string{"linux/amd64": amd64, "linux/arm64/v8": arm64} {
		img, err := testbed.Image(testbed.ImageOptions{Payload: release + " " + repo, OCI: true, Platform: platform, Healthcheck: checked()})
		if err != nil {
			return nil, err
		}
		images[platform] = img
	}
	return testbed.Index(testbed.IndexOptions{Images: images, Attest: attestation != "", AttestPayload: attestation})
}

// push makes a tag name an index.
func (s *suite) push(ctx context.Context, repo, amd64, arm64, attestation string) (digest string, err error) {
	content, err := index(repo, amd64, arm64, attestation)
	if err != nil {
		return "", err
	}
	return s.reg.Push(ctx, repo+":latest", content)
}

func moves() []move {
	to := func(amd64, arm64, attestation string) func(context.Context, *suite, string, string) error {
		return func(ctx context.Context, s *suite, repo, _ string) error {
			_, err := s.push(ctx, repo, amd64, arm64, attestation)
			return err
		}
	}
	return []move{
		{name: "this platform's image is new", must: "it is updated", updated: true, do: to("new", "new", "")},
		{name: "another platform's image is new", must: "the index has moved, this platform's image hasn't: the container is not restarted", do: to("old", "new", "")},
		{name: "an attestation is new", must: "the index has moved, the image hasn't: the container is not restarted", do: to("old", "old", "signed")},
		{name: "nothing is new", must: "it is not touched", do: to("old", "old", "")},
		{name: "the user has pulled before", must: "it is updated, although there is nothing left to download", updated: true,
			do: func(ctx context.Context, s *suite, repo, digest string) error {
				if _, err := s.push(ctx, repo, "new", "new", ""); err != nil {
					return err
				}
				_, err := s.pull(ctx, repo)
				return err
			}},
		{name: "the tag is gone", must: "it is not touched", do: func(ctx context.Context, s *suite, repo, digest string) error {
			return s.reg.Delete(ctx, repo+"@"+digest)
		}},
		{name: "pinned by digest", must: "it is not touched", pinned: true, do: to("new", "new", "")},
	}
}

func registryGroup() group {
	g := group{name: "registry"}
	for _, m := range moves() {
		g.trials = append(g.trials, trial{m.name, m.must})
	}
	g.judge = func(ctx context.Context, s *suite, chosen map[string]bool) (map[string]verdict, error) {
		return s.registry(ctx, chosen)
	}
	return g
}

func (s *suite) registry(ctx context.Context, chosen map[string]bool) (map[string]verdict, error) {
	verdicts, byName := map[string]verdict{}, map[string]move{}
	var subjects []*subject
	for _, m := range moves() {
		if !chosen[m.name] {
			continue
		}
		sub, err := s.placeIndex(ctx, m)
		if err != nil {
			return nil, fmt.Errorf("prepare %q: %w", m.name, err)
		}
		byName[m.name], subjects = m, append(subjects, sub)
	}
	home, err := s.home()
	if err != nil {
		return nil, err
	}
	late := s.update(ctx, home, "registry")
	if late != nil && !errors.Is(late, errTooLong) {
		return nil, late
	}
	return verdicts, s.each(ctx, subjects, verdicts, late, func(ctx context.Context, sub *subject) ([]string, error) {
		if byName[sub.shape.name].updated {
			return s.renewedIndex(ctx, sub)
		}
		return s.untouched(ctx, sub)
	})
}

// placeIndex makes a container from an index, and moves its tag.
func (s *suite) placeIndex(ctx context.Context, m move) (*subject, error) {
	sub := &subject{shape: shape{name: m.name}, name: slug(m.name), repo: s.repo(m.name)}
	digest, err := s.push(ctx, sub.repo, "old", "old", "")
	if err != nil {
		return nil, err
	}
	ref := s.ref(sub.repo)
	if m.pinned {
		ref = s.reg.Ref(sub.repo + "@" + digest)
	}
	if err := s.engine.Pull(ctx, ref); err != nil {
		return nil, err
	}
	if _, err := s.docker(ctx, "run", "-d", "--name", sub.name, ref); err != nil {
		return nil, err
	}
	if err := s.remember(ctx, sub); err != nil {
		return nil, err
	}
	sub.old, _ = sub.before["Image"].(string)
	return sub, m.do(ctx, s, sub.repo, digest)
}

// renewedIndex asks for the new image by what is in it.
func (s *suite) renewedIndex(ctx context.Context, sub *subject) ([]string, error) {
	res, err := s.api.ContainerInspect(ctx, sub.name, client.ContainerInspectOptions{})
	if cerrdefs.IsNotFound(err) {
		return []string{gone}, nil
	}
	if err != nil {
		return nil, err
	}
	if !res.Container.State.Running {
		return []string{state(&res.Container)}, nil
	}
	text, err := s.docker(ctx, "exec", sub.name, "cat", "/payload")
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(text, "new ") {
		return []string{"it has the old image"}, nil
	}
	return nil, nil
}
