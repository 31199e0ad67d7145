package scanner

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/internal/image"
	"github.com/watch-docker/watch-docker/internal/policy"
)

// engineConcurrency bounds the inspects under way: the engine serves them
// from a local disk and gains nothing from more.
const engineConcurrency = 8

// subject is a container with what the engine knows of its image.
type subject struct {
	dockercli.Container
	configured string // the reference that it was made from
	reference  image.Reference
	refErr     error // why configured is no reference
	fromID     bool  // configured is an image id
	considered bool  // false: stopped, and stopped ones are not scanned
	img        dockercli.Image
	imgErr     error
	platform   image.Platform
	local      string // the id of the image that the reference names here now, empty if none
	localSame  bool   // … and it is the one that runs
	pulled     string // … and the digest that registries know that image by, or its id
	vague      bool   // … and whether it holds the same manifest can't be told here
}

// discover asks the engine, and nobody else: one list of containers, an
// inspect of each image that isn't known yet, and, for containers whose
// reference the list hides, an inspect once and one list of tags.
func (s *Scanner) discover(ctx context.Context, includeStopped bool) ([]*subject, error) {
	list, err := s.engine.Containers(ctx)
	if err != nil {
		return nil, err
	}
	s.forgetGone(list)
	return s.examine(ctx, list, includeStopped)
}

// examine is discover for these containers.
func (s *Scanner) examine(ctx context.Context, list []dockercli.Container, includeStopped bool) ([]*subject, error) {
	subjects := make([]*subject, len(list))
	for i, c := range list {
		subjects[i] = &subject{Container: c, configured: c.Image, considered: includeStopped || running(c.State)}
	}
	hidden, err := s.uncover(ctx, subjects)
	if err != nil {
		return nil, err
	}
	if err := s.inspectImages(ctx, imageIDs(subjects)); err != nil {
		return nil, err
	}
	var tags map[string]dockercli.Local
	if hidden {
		if tags, err = s.engine.ImageTags(ctx); err != nil {
			return nil, err
		}
	}
	for _, sub := range subjects {
		s.describe(sub, tags)
	}
	return subjects, nil
}

// running reports whether a state counts as running: a paused or restarting
// container is in use as well.
func running(state string) bool {
	return state == "running" || state == "paused" || state == "restarting"
}

// uncover finds the reference of containers that the list shows with an image
// id instead, and reports whether there were any.
func (s *Scanner) uncover(ctx context.Context, subjects []*subject) (bool, error) {
	var hidden []*subject
	for _, sub := range subjects {
		if sub.considered && image.IsID(sub.Image, sub.ImageID) {
			hidden = append(hidden, sub)
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(engineConcurrency)
	for _, sub := range hidden {
		if known, ok := s.cache.configured(sub.ID); ok {
			sub.configured = known
			continue
		}
		group.Go(func() error {
			configured, err := s.engine.ConfiguredImage(ctx, sub.ID)
			if errors.Is(err, dockercli.ErrNotFound) {
				return nil // gone since the list; the next event tells
			}
			if err != nil {
				return err
			}
			sub.configured = configured
			s.cache.setConfigured(sub.ID, configured)
			return nil
		})
	}
	return len(hidden) > 0, group.Wait()
}

func imageIDs(subjects []*subject) []string {
	ids := map[string]bool{}
	for _, sub := range subjects {
		// Whose labels a container's are can be told with its image's alone.
		if sub.considered || labelled(sub.Labels) {
			ids[sub.ImageID] = true
		}
	}
	return slices.Sorted(maps.Keys(ids))
}

func labelled(labels map[string]string) bool {
	for name := range labels {
		if strings.HasPrefix(name, policy.Prefix) {
			return true
		}
	}
	return false
}

// inspectImages fills the cache with the images that it lacks.
func (s *Scanner) inspectImages(ctx context.Context, ids []string) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(engineConcurrency)
	for _, id := range ids {
		if _, ok := s.cache.image(id); ok {
			continue
		}
		group.Go(func() error {
			img, err := s.engine.Image(ctx, id)
			if errors.Is(err, dockercli.ErrNotFound) {
				return nil // removed by force while in use: describe says so
			}
			if err == nil {
				s.cache.setImage(id, img)
			}
			return err
		})
	}
	return group.Wait()
}

// describe works out reference, platform and what the reference names here
// now. tags is nil if no container hides its reference.
func (s *Scanner) describe(sub *subject, tags map[string]dockercli.Local) {
	sub.reference, sub.refErr = image.ParseReference(sub.configured)
	var ok bool
	if sub.img, ok = s.cache.image(sub.ImageID); !ok {
		sub.imgErr = fmt.Errorf("image %s: %w", sub.ImageID, dockercli.ErrNotFound)
	}
	if !sub.considered {
		return
	}
	sub.platform = sub.Platform
	if sub.platform == (image.Platform{}) {
		sub.platform = sub.img.Platform
	}
	sub.platform = sub.platform.Normalize()

	if image.IsID(sub.configured, sub.ImageID) {
		// A name that looks like the image's id is a name if the image is called so.
		sub.fromID = sub.refErr != nil || !slices.Contains(sub.img.Tags, sub.reference.Familiar())
	}
	if sub.fromID || sub.refErr != nil {
		return
	}
	if sub.configured == sub.Image { // not hidden: the reference still names the image that runs
		sub.local, sub.localSame = sub.ImageID, true
		return
	}
	local := tags[sub.reference.Familiar()]
	sub.local, sub.pulled = local.ID, local.ID
	if len(local.Digests) > 0 {
		sub.pulled = local.Digests[0]
	}
	// With the containerd store two ids can hold the same manifest for this
	// platform: an index that was pulled again after another platform's image had moved.
	sub.localSame = local.ID == sub.ImageID || slices.Contains(local.Manifests, sub.Manifest)
	// Before API 1.48 that store doesn't tell manifests; it shows by ids that are digests.
	sub.vague = !sub.localSame && sub.Manifest == "" && slices.Contains(local.Digests, local.ID)
}
