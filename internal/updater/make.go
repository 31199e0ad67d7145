package updater

import (
	"cmp"
	"context"
	"errors"
	"strings"

	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/internal/image"
	"github.com/watch-docker/watch-docker/internal/logging"
)

// make creates a container, from o.Image or the old one's reference, of an image that this need not name: for
// the time of the create, it does. Nothing else tells the engine both.
func (u *Updater) make(ctx context.Context, m *member, imageID string, o dockercli.CreateOptions) (id string, warnings []string, err error) {
	ref := cmp.Or(o.Image, m.Old.ImageRef)
	o.ImageID = imageID
	o.ComposeModel = m.model
	named, err := u.named(ctx, ref)
	if err != nil {
		return "", nil, err
	}
	if parsed, bad := image.ParseReference(ref); named == imageID || bad != nil || parsed.Digest != "" || image.IsID(ref, m.Old.ImageID) {
		return u.engine.Create(ctx, m.Old, o)
	}
	if err := u.engine.TagImage(ctx, imageID, ref); err != nil {
		return "", nil, err
	}
	id, warnings, err = u.engine.Create(ctx, m.Old, o)
	if named != "" {
		if back := u.engine.TagImage(ctx, named, ref); back != nil && !errors.Is(back, dockercli.ErrNotFound) {
			u.log.Warn("a tag could not be given back", logging.Image(ref), logging.Err(back))
		}
	}
	return id, warnings, err
}

// peers says which of the containers that a member names by their ids have
// others in their places.
func (m *member) peers(all []*member, now func(*member) string) map[string]string {
	ids := map[string]string{}
	for _, use := range m.Old.Uses {
		for _, other := range all {
			if id := now(other); id != "" && len(use.Container) >= 12 && strings.HasPrefix(other.Old.ID, use.Container) {
				ids[use.Container] = id
			}
		}
	}
	return ids
}

// retag gives a reference back to the image that it named before, if it names
// ours: what somebody else has pulled since stays.
func (u *Updater) retag(ctx context.Context, m *member) error {
	if m.Named == "" || m.NewImage == "" || m.Named == m.NewImage {
		return nil
	}
	named, err := u.named(ctx, m.ref())
	if err != nil || named != m.NewImage {
		return err
	}
	err = u.engine.TagImage(ctx, m.Named, m.ref())
	if errors.Is(err, dockercli.ErrNotFound) {
		return nil
	}
	return err
}

// remove is the engine's, and content with what is gone already, or just going.
func (u *Updater) remove(ctx context.Context, id string, o dockercli.RemoveOptions) error {
	err := u.engine.Remove(ctx, id, o)
	if errors.Is(err, dockercli.ErrNotFound) {
		return nil
	}
	if errors.Is(err, dockercli.ErrConflict) {
		if s, seen := u.engine.Inspect(ctx, id); errors.Is(seen, dockercli.ErrNotFound) || s.State == "removing" {
			return u.untilGone(ctx, id)
		}
	}
	return err
}

// holds reports whether there is a holder of a member's volumes meanwhile.
func (m *member) holds() bool { return m.Old.AutoRemove && len(m.Old.AnonymousVolumes()) > 0 }

// release removes the holder of a member's volumes.
func (u *Updater) release(ctx context.Context, m *member) error {
	if !m.holds() {
		return nil
	}
	found, ok, err := u.engine.FindByName(ctx, holdName(m.Old.Name))
	if err != nil || !ok || !found.StartedAt.IsZero() {
		return err
	}
	return u.remove(ctx, found.ID, dockercli.RemoveOptions{})
}
