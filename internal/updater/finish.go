package updater

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/internal/image"
	"github.com/watch-docker/watch-docker/internal/logging"
	"github.com/watch-docker/watch-docker/internal/store"
)

// finish is the last step of an operation whose gate has passed. If the engine
// or the program was away in between, it sees that what passed still runs.
func (u *Updater) finish(ctx context.Context, j *job, away bool) error {
	return j.lastStep(ctx, stepFinish, func(ctx context.Context) (string, error) {
		err := u.insist(ctx, !away, func() error {
			err := u.complete(ctx, j, away)
			away = away || errors.Is(err, dockercli.ErrUnavailable)
			return err
		})
		if err != nil {
			return "", err
		}
		return u.keepImages(ctx, j)
	})
}

// complete does what is left once the gate has passed. It may be interrupted
// and run again.
func (u *Updater) complete(ctx context.Context, j *job, away bool) error {
	p := &j.plan
	if away {
		for _, m := range p.all() {
			if err := u.still(ctx, j, m); err != nil {
				return err
			}
		}
	}
	for _, m := range p.all() {
		if err := u.rename(ctx, m); err != nil {
			return err
		}
	}
	if away {
		if err := u.editAgain(ctx, p); err != nil {
			return err
		}
	}
	for _, m := range p.backwards() {
		if m.Only || !p.RemoveOld {
			continue
		}
		// Not its anonymous volumes: the new one has them now.
		if err := u.remove(ctx, m.Old.ID, dockercli.RemoveOptions{Force: true}); err != nil {
			return err
		}
	}
	if err := u.nameTags(ctx, p); err != nil {
		return err
	}
	for _, m := range p.all() {
		if err := u.release(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

// still sees that a container which had proved itself is there and runs: an
// engine that restarts leaves those down whose restart policy is "no", and
// removes those with --rm.
func (u *Updater) still(ctx context.Context, j *job, m *member) error {
	s, err := u.engine.Inspect(ctx, m.now())
	if err == nil && m.Old.AutoRemove && !s.Running && !m.Ended {
		err = u.vanishing(ctx, m.now())
	}
	switch {
	case errors.Is(err, dockercli.ErrNotFound) && m.Old.AutoRemove && !m.Only && !m.Ended:
		found, taken, err := u.engine.FindByName(ctx, m.Old.Name)
		if err != nil || taken && found.ImageID != m.NewImage {
			return err
		}
		id := found.ID
		if !taken {
			if id, _, err = u.make(ctx, m, m.NewImage, dockercli.CreateOptions{Image: m.ref(), Replace: m.peers(j.plan.all(), (*member).now)}); err != nil {
				return err
			}
		}
		if err := j.mark(ctx, m, func(m *member) { m.NewID = id }); err != nil {
			u.log.Warn("not written down", logging.Err(err)) // it is found by its name
		}
		s = dockercli.ContainerState{}
	case errors.Is(err, dockercli.ErrNotFound):
		return nil // somebody has removed it
	case err != nil:
		return err
	}
	if m.Running && !m.Ended && !s.Running {
		return u.engine.Start(ctx, m.now())
	}
	return nil
}

// rename gives a new container its name again, if somebody has taken it away.
func (u *Updater) rename(ctx context.Context, m *member) error {
	if m.Only {
		return nil
	}
	s, err := u.engine.Inspect(ctx, m.NewID)
	if errors.Is(err, dockercli.ErrNotFound) || err == nil && s.Name == m.Old.Name {
		return nil
	}
	if err != nil {
		return err
	}
	return u.engine.Rename(ctx, m.NewID, m.Old.Name)
}

// nameTags gives the dependents' references back, and after a rollback has the
// reference name what runs, as it does after an update; unless others run what
// it names.
func (u *Updater) nameTags(ctx context.Context, p *plan) error {
	for i := range p.Dependents {
		if err := u.retag(ctx, &p.Dependents[i]); err != nil {
			return err
		}
	}
	if !p.Back {
		return nil
	}
	list, err := u.engine.Relations(ctx)
	if err != nil {
		return err
	}
	others := slices.ContainsFunc(list, func(c dockercli.Related) bool {
		return c.ImageID == p.Named && c.ID != p.Old.ID && c.Image == p.ref()
	})
	if others {
		return u.retag(ctx, &p.member)
	}
	return u.engine.TagImage(ctx, p.NewImage, p.ref())
}

// keepImages remembers the image that ran until now, and removes those that
// are kept no longer and that nobody needs. What can't be done is a warning.
func (u *Updater) keepImages(ctx context.Context, j *job) (string, error) {
	if u.guest != nil {
		return "", nil // that is its host's
	}
	p, o := &j.plan, j.snapshot()
	var done []string
	old := store.Kept{Container: o.Target, ImageID: p.Old.ImageID, Reference: p.Old.ImageRef, Digest: o.FromDigest, Operation: o.ID}
	if !p.RemoveOld && !p.Old.AutoRemove {
		old.OldContainer = p.Old.ID
		done = append(done, "the old container stays as "+oldName(p.Old.Name))
	}
	if p.Back { // what was left on purpose isn't gone back to
		u.avoid(ctx, o, o.FromDigest)
		if err := u.store.Unkeep(ctx, o.Target, p.NewImage); err != nil {
			return "", err
		}
		if old.OldContainer == "" {
			return u.removeUnused(ctx, done, p.ref(), old)
		}
	}
	if err := u.store.Keep(ctx, old); err != nil {
		return "", err
	}
	kept, err := u.store.Kept(ctx, o.Target)
	if err != nil {
		return "", err
	}
	kept = slices.DeleteFunc(kept, func(k store.Kept) bool { return k.ImageID == p.NewImage && k.OldContainer == "" })
	var drop []store.Kept
	if len(kept) > p.KeepImages {
		drop = kept[p.KeepImages:]
	}
	for _, k := range drop {
		if k.OldContainer != "" && k.OldContainer == old.OldContainer {
			continue // it has to be known, for the next update to take its name
		}
		if err := u.store.Unkeep(ctx, k.Container, k.ImageID); err != nil {
			return "", err
		}
	}
	return u.removeUnused(ctx, done, p.ref(), drop...)
}

// discard removes an image that came and was not good enough, unless somebody
// needs it, or it can't be had again.
func (u *Updater) discard(ctx context.Context, j *job) {
	p, o := &j.plan, j.snapshot()
	if p.NewImage == p.Old.ImageID || p.Back || !j.request.Pull {
		return
	}
	came := store.Kept{ImageID: p.NewImage, Reference: p.ref(), Digest: o.ToDigest}
	inUse := p.ref()
	if p.NewRef != "" && p.Named == "" { // that tag came with it
		inUse = p.Old.ImageRef
	}
	if _, err := u.removeUnused(ctx, nil, inUse, came); err != nil {
		u.log.Debug("an image is left", logging.Image(p.ref()), logging.Err(err))
	}
}

// removeUnused removes images that can be pulled again and that no container,
// no tag and no other container's way back needs. The tag that an image was
// used by counts only if it is the one in use.
func (u *Updater) removeUnused(ctx context.Context, done []string, inUse string, images ...store.Kept) (string, error) {
	said := func() string { return strings.Join(done, "; ") }
	images = slices.DeleteFunc(slices.Clone(images), func(k store.Kept) bool { return k.Digest == "" })
	if len(images) == 0 {
		return said(), nil
	}
	kept, err := u.store.Kept(ctx, "")
	if err != nil {
		return said(), err
	}
	rows, err := u.engine.Images(ctx)
	if err != nil {
		return said(), err
	}
	for _, k := range images {
		unneeded := func(r dockercli.ImageRow) bool {
			tagged := len(r.Tags) > 0 && (k.Reference == inUse || !slices.Equal(r.Tags, []string{familiar(k.Reference)}))
			return r.ID == k.ImageID && !tagged && len(r.Containers) == 0
		}
		if !slices.ContainsFunc(rows, unneeded) || slices.ContainsFunc(kept, func(other store.Kept) bool { return other.ImageID == k.ImageID }) {
			continue
		}
		if _, err := u.engine.RemoveImage(ctx, k.ImageID, false); err != nil {
			u.log.Info("an image is left", logging.Image(k.ImageID), logging.Err(err))
			continue
		}
		done = append(done, fmt.Sprintf("image %s removed", shortDigest(k.Digest)))
	}
	return said(), nil
}

// familiar is a reference as the engine lists it.
func familiar(reference string) string {
	ref, err := image.ParseReference(reference)
	if err != nil {
		return reference
	}
	return ref.Familiar()
}

// shortDigest is how people know a digest.
func shortDigest(d string) string { return d[:min(len(d), len("sha256:")+12)] }
