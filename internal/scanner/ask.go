package scanner

import (
	"context"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/internal/image"
	"github.com/watch-docker/watch-docker/internal/registry"
	"github.com/watch-docker/watch-docker/internal/store"
)

// answer is what a registry said about one reference.
type answer struct {
	digest    string    // what the tag names, empty if it couldn't be learned
	at        time.Time // when the registry said so
	firstSeen time.Time // when this digest was first seen behind the reference
	err       error
	resolved  map[string]registry.Resolved // by platform
	failed    map[string]error             // by platform: why the digest couldn't be resolved
}

// Progress is told how many of the distinct references have been answered.
type Progress func(done, total int)

// ask puts one question for each distinct reference of the subjects, and more
// only where the answer isn't a digest that the image is known by.
//
// A registry's failure belongs to its references alone, so ask itself fails
// only when ctx ends.
func (s *Scanner) ask(ctx context.Context, client *registry.Client, subjects []*subject, progress Progress) (map[string]*answer, error) {
	byReference := map[image.Reference][]*subject{}
	for _, sub := range subjects {
		byReference[sub.asked()] = append(byReference[sub.asked()], sub)
	}
	references := references(subjects)
	batch := client.Batch(references)
	answers := make(map[string]*answer, len(references))
	var mu sync.Mutex
	var group errgroup.Group // the client bounds the requests
	for _, ref := range references {
		group.Go(func() error {
			a := s.askOne(ctx, batch, ref, byReference[ref])
			mu.Lock()
			defer mu.Unlock()
			answers[ref.String()] = a
			if progress != nil {
				progress(len(answers), len(references))
			}
			return nil
		})
	}
	_ = group.Wait() // its functions don't fail
	return answers, ctx.Err()
}

func (s *Scanner) askOne(ctx context.Context, batch *registry.Batch, ref image.Reference, subjects []*subject) *answer {
	manifest, err := batch.Head(ctx, ref)
	a := &answer{digest: manifest.Digest, at: manifest.At, err: err}
	if err != nil {
		a.at = s.now()
		return a
	}
	for _, sub := range subjects {
		platform := sub.platform.String()
		if s.knows(sub, a.digest) || a.asked(platform) {
			continue
		}
		a.resolve(ctx, batch, ref, sub)
	}
	return a
}

func (a *answer) asked(platform string) bool {
	_, resolved := a.resolved[platform]
	_, failed := a.failed[platform]
	return resolved || failed
}

// resolve finds this platform's image behind the digest. If it is another
// manifest than the one that runs, that one is resolved as well: two manifests
// can hold the same configuration, and then nothing has changed but packing.
func (a *answer) resolve(ctx context.Context, batch *registry.Batch, ref image.Reference, sub *subject) {
	platform := sub.platform.String()
	res, err := batch.Resolve(ctx, ref, a.digest, sub.platform)
	if err != nil {
		if a.failed == nil {
			a.failed = map[string]error{}
		}
		a.failed[platform] = err
		return
	}
	if a.resolved == nil {
		a.resolved = map[string]registry.Resolved{}
	}
	if sub.Manifest != "" && sub.Manifest != res.ManifestDigest {
		// The old manifest may be gone from the registry: then it is just different.
		if old, err := batch.Resolve(ctx, ref, sub.Manifest, sub.platform); err == nil && old.ConfigDigest == res.ConfigDigest {
			res.ManifestDigest = sub.Manifest
		}
	}
	a.resolved[platform] = res
}

// knows reports whether the image that runs is known by a digest: its own id
// (an index's or manifest's with the containerd store), its manifest's, those
// of its RepoDigests, and every one that was ever seen to lead to it.
//
// Digests of different kinds never meet, so one set serves both image stores.
func (s *Scanner) knows(sub *subject, digest string) bool {
	return digest == sub.ImageID || digest == sub.Manifest || slices.Contains(sub.img.Digests, digest) ||
		s.digests.has(sub.ImageID, sub.platform.String(), digest)
}

// matches reports whether the answer's digest leads to the image that runs.
func (s *Scanner) matches(sub *subject, a *answer) bool {
	if s.knows(sub, a.digest) {
		return true
	}
	res, ok := a.resolved[sub.platform.String()]
	return ok && (s.knows(sub, res.ManifestDigest) || res.ConfigDigest == sub.ImageID)
}

// learn keeps what a scan has found: the digests that images are known by,
// and since when each release is. What can't be kept is found out again next time.
func (s *Scanner) learn(ctx context.Context, subjects []*subject, answers map[string]*answer) error {
	var fresh []store.ImageDigest
	for _, sub := range subjects {
		if !sub.considered || sub.imgErr != nil {
			continue
		}
		var known []string
		if sub.img.Origin != dockercli.OriginLocal { // the containerd store has digests for local builds, too
			known = slices.Clone(sub.img.Digests)
		}
		if a := answers[sub.tag()]; a != nil && a.err == nil && s.matches(sub, a) {
			known = append(known, a.digest)
		}
		fresh = append(fresh, s.digests.add(sub.ImageID, sub.platform.String(), known)...)
	}
	if err := s.store.SaveImageDigests(ctx, fresh); err != nil {
		return err
	}
	var releases []store.Release
	for ref, a := range answers {
		if a.digest != "" {
			releases = append(releases, store.Release{Reference: ref, Digest: a.digest})
		}
	}
	releases, err := s.store.SeenReleases(ctx, releases)
	for _, r := range releases {
		answers[r.Reference].firstSeen = r.FirstSeen
	}
	return err
}

// asked is the reference that a registry is asked for: of a pinned one that
// policy lets through, the tag is what can move.
func (sub *subject) asked() image.Reference {
	ref := sub.reference
	ref.Digest = ""
	return ref
}

// tag is the key of the subject's answer.
func (sub *subject) tag() string { return sub.asked().String() }

// references are the distinct ones, in the subjects' order.
func references(subjects []*subject) []image.Reference {
	var distinct []image.Reference
	seen := map[image.Reference]bool{}
	for _, sub := range subjects {
		if ref := sub.asked(); !seen[ref] {
			seen[ref] = true
			distinct = append(distinct, ref)
		}
	}
	return distinct
}
