package resource

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/internal/image"
	"github.com/watch-docker/watch-docker/internal/store"
)

// ImagePrune says which unused images are to go.
type ImagePrune struct {
	All       bool          // not only those without a tag
	OlderThan time.Duration // made, and last given a name here, longer ago than that; 0: whatever their age
}

// ImagesPruned is what a prune of images removes, or has removed.
type ImagesPruned struct {
	Images         []PrunedImage `json:"images"`
	Deleted        []string      `json:"deleted" doc:"Their ids"`
	Untagged       []string      `json:"untagged" doc:"Their tags"`
	ReclaimedBytes int64         `json:"reclaimedBytes" doc:"Without the layers that other images share: what only those that go share comes on top"`
	Estimated      bool          `json:"estimated" doc:"The engine didn't tell what images share: it is at most that much"`
	Kept           []Left        `json:"kept" doc:"What nobody uses and is left alone, and why"`
}

// PrunedImage is an image that goes.
type PrunedImage struct {
	ID         string     `json:"id"`
	Tags       []string   `json:"tags"`
	Digests    []string   `json:"digests"`
	SizeBytes  int64      `json:"sizeBytes"`
	FreedBytes int64      `json:"freedBytes"`
	CreatedAt  *time.Time `json:"createdAt"`
}

func (p *ImagesPruned) add(i Image) {
	p.Images = append(p.Images, PrunedImage{ID: i.ID, Tags: i.Tags, Digests: i.Digests, SizeBytes: i.SizeBytes, FreedBytes: i.frees(), CreatedAt: i.CreatedAt})
	p.Deleted, p.Untagged = append(p.Deleted, i.ID), append(p.Untagged, i.Tags...)
	p.ReclaimedBytes += i.frees()
	p.Estimated = p.Estimated || i.UniqueBytes == nil
}

func nothingPruned() ImagesPruned {
	return ImagesPruned{Images: []PrunedImage{}, Deleted: []string{}, Untagged: []string{}, Kept: []Left{}}
}

// PreviewImagePrune says what PruneImages would remove; nothing is changed.
func (s *Service) PreviewImagePrune(ctx context.Context, p ImagePrune) (ImagesPruned, error) {
	out := nothingPruned()
	chosen, kept, err := s.chooseImages(ctx, p)
	if err != nil {
		return out, err
	}
	for _, i := range chosen {
		out.add(i)
	}
	out.Kept = append(out.Kept, kept...)
	return out, nil
}

// chooseImages gives what is to go, those made from others first.
func (s *Service) chooseImages(ctx context.Context, p ImagePrune) (chosen []Image, kept []Left, err error) {
	all, err := s.images(ctx, measure)
	if err != nil {
		return nil, nil, err
	}
	parents, err := s.Engine.ImageParents(ctx)
	if err != nil {
		return nil, nil, err
	}
	under := s.Reserved()
	for _, i := range all {
		if len(i.Containers) > 0 || !i.Dangling && !p.All {
			continue
		}
		old, err := s.olderThan(ctx, i, p.OlderThan)
		if err != nil {
			return nil, nil, err
		}
		left := s.reserved(i, under)
		switch {
		case !old:
		case left != nil:
			kept = append(kept, *left)
		default:
			chosen = append(chosen, i)
		}
	}
	chosen, parental := childrenFirst(chosen, parents)
	return chosen, append(kept, parental...), nil
}

// olderThan goes by when an image was made, or last given a name on this host,
// whichever is later: an old release that was pulled yesterday is not litter.
func (s *Service) olderThan(ctx context.Context, i Image, age time.Duration) (bool, error) {
	if age == 0 {
		return true, nil
	}
	since, err := s.Engine.ImageSince(ctx, i.ID)
	if errors.Is(err, dockercli.ErrNotFound) {
		return false, nil
	}
	return !since.IsZero() && time.Since(since) > age, err
}

// childrenFirst orders images so that each comes after those made from it. One
// from which an image was made that stays can't go.
func childrenFirst(chosen []Image, parents map[string]string) (ordered []Image, kept []Left) {
	children := map[string][]string{}
	for child, parent := range parents {
		children[parent] = append(children[parent], child)
	}
	done, left := map[string]bool{}, slices.Clone(chosen)
	for moved := true; moved; {
		moved = false
		var wait []Image
		for _, i := range left {
			if slices.ContainsFunc(children[i.ID], func(id string) bool { return !done[id] }) {
				wait = append(wait, i)
				continue
			}
			ordered, done[i.ID], moved = append(ordered, i), true, true
		}
		left = wait
	}
	for _, i := range left {
		kept = append(kept, Left{ID: i.ID, Name: i.name(), Code: CodeImageParent, Reason: "Images were made from it that stay."})
	}
	return ordered, kept
}

// PruneImages removes unused images one by one. An image that gets a user or
// another name in between is left alone.
//
// Errors: those of task.Runner.Start.
func (s *Service) PruneImages(ctx context.Context, p ImagePrune, actor string) (store.Operation, error) {
	out := nothingPruned()
	return prune(ctx, s, actor, pruning[Image]{
		kind: "images", name: Image.name, remove: s.pruneImage, gone: out.add,
		choose: func(ctx context.Context) ([]Image, []Left, error) { return s.chooseImages(ctx, p) },
		keep:   func(l ...Left) { out.Kept = append(out.Kept, l...) },
		result: func() any { return out },
	})
}

// pruneImage removes one image unless something about it has changed.
func (s *Service) pruneImage(ctx context.Context, i Image) (*Left, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	left, err := s.changedImage(ctx, i)
	if left != nil || err != nil {
		return left, err
	}
	names := i.surplus()
	for n, name := range names {
		if _, err = s.Engine.RemoveImage(ctx, name, false); err != nil {
			names = names[:n]
			break
		}
	}
	if err == nil {
		_, err = s.Engine.RemoveImage(ctx, i.ID, false)
	}
	if !errors.Is(err, dockercli.ErrConflict) {
		return nil, err
	}
	for _, name := range names {
		if slices.Contains(i.Tags, name) { // a digest can't be given, and isn't missed
			if back := s.Engine.TagImage(context.WithoutCancel(ctx), i.ID, name); back != nil {
				return nil, back
			}
		}
	}
	return &Left{ID: i.ID, Name: i.name(), Code: CodeEngineSays, Reason: "The engine keeps it: " + err.Error() + "."}, nil
}

// changedImage looks once more, right before an image goes.
func (s *Service) changedImage(ctx context.Context, i Image) (*Left, error) {
	containers, err := s.Engine.Containers(ctx)
	if err != nil {
		return nil, err
	}
	left := &Left{ID: i.ID, Name: i.name()}
	for _, c := range containers {
		if c.ImageID == i.ID {
			left.Code, left.Reason = CodeImageInUse, c.Name+" uses it by now."
			return left, nil
		}
	}
	needed, err := s.needed(ctx)
	if err != nil {
		return nil, err
	}
	i.NeededForRollback = needed[i.ID]
	if left := s.reserved(i, s.Reserved()); left != nil {
		return left, nil
	}
	now, err := s.Engine.Image(ctx, i.ID)
	if err != nil {
		return nil, err
	}
	for _, tag := range now.Tags {
		if tag != "<none>:<none>" && !slices.Contains(i.Tags, tag) {
			left.Code, left.Reason = CodeChanged, "It is called "+tag+" by now."
			return left, nil
		}
	}
	if len(now.Tags) < len(i.Tags) { // another image may have the name
		left.Code, left.Reason = CodeChanged, "One of its names was taken away meanwhile."
		return left, nil
	}
	return nil, nil //nolint:nilnil // nothing has changed
}

// surplus are the names that have to go before an image can be removed by its
// id: the engine removes one with names in several repositories only by force,
// which doesn't look at stopped containers.
func (i Image) surplus() []string {
	if len(i.Tags) == 0 && len(i.Digests) == 0 {
		return nil
	}
	var names []string
	stays := ""
	if len(i.Tags) > 0 {
		names, stays = append(names, i.Tags[1:]...), repository(i.Tags[0])
	} else {
		stays = repository(i.Digests[0])
	}
	for _, d := range i.Digests {
		if repository(d) != stays && !slices.ContainsFunc(i.Tags, func(t string) bool { return repository(t) == repository(d) }) {
			names = append(names, d)
		}
	}
	return names
}

func repository(name string) string {
	ref, err := image.ParseReference(name)
	if err != nil {
		return name
	}
	return ref.Name()
}
