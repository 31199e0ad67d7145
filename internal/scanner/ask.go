package scanner

import (
	"context"
	"errors"
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
	digest string    // what the tag names, empty if it couldn't be learned
	at     time.Time // when the registry said so
	err    error

	offered map[string]outcome // by platform: what the digest comes to
	running map[string]outcome // by platform and digest: what the digests of running images come to

	newer map[wish]*newer // by what labels ask for: the tag that follows
}

// outcome is what resolving a digest came to.
type outcome struct {
	registry.Resolved

	err error
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
	addNewer(answers)
	return answers, ctx.Err()
}

func (s *Scanner) askOne(ctx context.Context, batch *registry.Batch, ref image.Reference, subjects []*subject) *answer {
	manifest, err := batch.Head(ctx, ref)
	a := &answer{digest: manifest.Digest, at: manifest.At, err: err}
	if err != nil {
		a.at = s.now()
		return a
	}
	a.offered, a.running = map[string]outcome{}, map[string]outcome{}
	for _, sub := range subjects {
		if !s.knows(sub, a.digest) {
			s.resolve(ctx, batch, ref, sub, a)
		}
		s.askNewer(ctx, batch, ref, sub, a)
	}
	return a
}

// resolve finds this platform's image behind the digest. If it is another
// manifest than the one that runs, that one is resolved as well: two manifests
// can hold the same configuration, and then nothing has changed but packing.
func (s *Scanner) resolve(ctx context.Context, batch *registry.Batch, ref image.Reference, sub *subject, a *answer) {
	platform := sub.platform.String()
	offer, ok := a.offered[platform]
	if !ok {
		offer.Resolved, offer.err = batch.Resolve(ctx, ref, a.digest, sub.platform)
		a.offered[platform] = offer
	}
	runs := s.runs(sub)
	if offer.err != nil || runs == "" || runs == offer.ManifestDigest {
		return
	}
	if _, ok := a.running[platform+runs]; !ok {
		var old outcome
		old.Resolved, old.err = batch.Resolve(ctx, ref, runs, sub.platform)
		a.running[platform+runs] = old
	}
}

// runs is the digest that registries know the running image's manifest by,
// where the engine tells: the platform's manifest, or, before API 1.48 with
// the containerd store, the image's id, which is then one of its RepoDigests.
// With the graph drivers it is empty: the image's id is its configuration's.
func (s *Scanner) runs(sub *subject) string {
	switch {
	case sub.Manifest != "":
		return sub.Manifest
	case slices.Contains(sub.img.Digests, sub.ImageID) || s.digests.has(sub.ImageID, sub.platform.String(), sub.ImageID):
		return sub.ImageID
	}
	return ""
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

// compare says whether the answer's digest leads to the image that runs. known
// is false as long as that hasn't been found out; err is why it can't be.
func (s *Scanner) compare(sub *subject, a *answer) (same, known bool, err error) {
	if a.err != nil {
		return false, false, a.err
	}
	if s.knows(sub, a.digest) {
		return true, true, nil
	}
	platform := sub.platform.String()
	offer, ok := a.offered[platform]
	switch {
	case !ok:
		return false, false, nil
	case offer.err != nil:
		return false, false, offer.err
	case s.knows(sub, offer.ManifestDigest) || offer.ConfigDigest == sub.ImageID:
		return true, true, nil
	}
	runs := s.runs(sub)
	if runs == "" {
		return false, true, nil
	}
	old, ok := a.running[platform+runs]
	switch {
	case !ok:
		return false, false, nil
	case gone(old.err): // nobody can compare it any more: it is just different
		return false, true, nil
	case old.err != nil:
		return false, false, old.err
	}
	return old.ManifestDigest == offer.ManifestDigest || old.ConfigDigest == offer.ConfigDigest, true, nil
}

// gone reports whether a registry doesn't have what was asked for.
func gone(err error) bool {
	var e *registry.Error
	return errors.As(err, &e) && e.Code == registry.CodeNotFound
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
		if a := answers[sub.tag()]; a != nil {
			if same, _, _ := s.compare(sub, a); same {
				known = append(known, a.digest)
			}
		}
		fresh = append(fresh, s.digests.add(sub.ImageID, sub.platform.String(), known)...)
	}
	return errors.Join(s.store.SaveImageDigests(ctx, fresh), s.learnReleases(ctx, subjects, answers))
}

// learnReleases notes which releases are offered, by registries or by what was
// pulled already, and since when each is known.
func (s *Scanner) learnReleases(ctx context.Context, subjects []*subject, answers map[string]*answer) error {
	var releases []store.Release
	for ref, a := range answers {
		if a.digest != "" {
			releases = append(releases, store.Release{Reference: ref, Digest: a.digest})
		}
	}
	for _, sub := range subjects {
		if sub.movedHere() {
			releases = append(releases, store.Release{Reference: sub.tag(), Digest: sub.pulled})
		}
	}
	releases, err := s.store.SeenReleases(ctx, releases)
	if err != nil {
		return err // what isn't known has just been seen: see releaseAge
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range releases {
		s.firstSeen[[2]string{r.Reference, r.Digest}] = r.FirstSeen
	}
	return nil
}

// asked is the reference that a registry is asked for: of a pinned one that
// policy lets through, the tag is what can move.
func (sub *subject) asked() image.Reference {
	ref := sub.reference
	if ref.Tag != "" {
		ref.Digest = ""
	}
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
