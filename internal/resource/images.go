package resource

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/internal/image"
)

// Image is one image of the engine.
type Image struct {
	ID                string     `json:"id"`
	Tags              []string   `json:"tags"`
	Digests           []string   `json:"digests"`
	SizeBytes         int64      `json:"sizeBytes" doc:"All of it"`
	SharedBytes       *int64     `json:"sharedBytes" doc:"What other images have, too; null: the engine didn't tell in time"`
	UniqueBytes       *int64     `json:"uniqueBytes" doc:"What would be free without it"`
	CreatedAt         *time.Time `json:"createdAt" doc:"Null if the image doesn't say"`
	Containers        []string   `json:"containers" doc:"Names of those made from it, stopped ones too"`
	Dangling          bool       `json:"dangling" doc:"Without a tag"`
	NeededForRollback []string   `json:"neededForRollback" doc:"Containers that can be rolled back to it"`
}

// ImageDetail is how an image is made, with whatever secrets are in it, which
// are for whoever shows it to hide.
type ImageDetail struct {
	Image
	dockercli.ImageDetail
}

// ImageRemoval is what the removal of an image did.
type ImageRemoval struct {
	Deleted        []string `json:"deleted"` // ids
	Untagged       []string `json:"untagged"`
	ReclaimedBytes int64    `json:"reclaimedBytes"`
}

// Images lists all images. With thorough it waits longer for their sizes.
func (s *Service) Images(ctx context.Context, thorough bool) ([]Image, error) {
	limit := glance
	if thorough {
		limit = measure
	}
	return s.images(ctx, limit)
}

func (s *Service) images(ctx context.Context, limit time.Duration) ([]Image, error) {
	rows, err := s.Engine.Images(ctx)
	if err != nil {
		return nil, err
	}
	needed, err := s.needed(ctx)
	if err != nil {
		return nil, err
	}
	shared := within(ctx, limit, s.Engine.ImageSizes)
	out := make([]Image, 0, len(rows))
	for _, r := range rows {
		i := Image{
			ID: r.ID, Tags: orEmpty(r.Tags), Digests: orEmpty(r.Digests), SizeBytes: r.SizeBytes, CreatedAt: orNil(r.CreatedAt),
			Containers: orEmpty(r.Containers), Dangling: r.Dangling, NeededForRollback: orEmpty(needed[r.ID]),
			SharedBytes: sizeIn(shared, r.ID),
		}
		if i.SharedBytes != nil {
			unique := max(0, r.SizeBytes-*i.SharedBytes)
			i.UniqueBytes = &unique
		}
		out = append(out, i)
	}
	return out, nil
}

// needed gives the containers that can be rolled back to each image. One whose
// container is gone is needed by nobody.
func (s *Service) needed(ctx context.Context) (map[string][]string, error) {
	kept, err := s.Store.Kept(ctx, "")
	if err != nil || len(kept) == 0 {
		return nil, err
	}
	containers, err := s.Engine.Containers(ctx)
	if err != nil {
		return nil, err
	}
	there := map[string]bool{}
	for _, c := range containers {
		for _, temporary := range []string{".wd-old", ".wd-new", ".wd-hold"} { // names while it is updated
			there[strings.TrimSuffix(c.Name, temporary)] = true
		}
		there[c.Name] = true
	}
	needed := map[string][]string{}
	for _, k := range kept {
		if there[k.Container] && !slices.Contains(needed[k.ImageID], k.Container) {
			needed[k.ImageID] = append(needed[k.ImageID], k.Container)
		}
	}
	return needed, nil
}

// find gives the image that is named: by id, by the beginning of one (12
// digits or more), by a tag or by a digest.
//
// Errors: ErrNoImage, *ConflictError for an ambiguous beginning.
func find(all []Image, named string) (Image, error) {
	hex := strings.TrimPrefix(named, "sha256:")
	var found []Image
	for _, i := range all {
		digits := strings.TrimPrefix(i.ID, "sha256:")
		switch {
		case digits == hex, i.called(named):
			return i, nil
		case len(hex) >= 12 && strings.HasPrefix(digits, hex):
			found = append(found, i)
		}
	}
	switch len(found) {
	case 0:
		return Image{}, fmt.Errorf("%w: %s", ErrNoImage, named)
	case 1:
		return found[0], nil
	}
	return Image{}, &ConflictError{Code: CodeWhichImage, Message: fmt.Sprintf("%s is the beginning of %d ids; give more of it.", named, len(found))}
}

// called reports whether a text is one of the image's names, however it is written.
func (i Image) called(text string) bool {
	wanted, bad := image.ParseReference(text)
	return slices.ContainsFunc(slices.Concat(i.Tags, i.Digests), func(name string) bool {
		ref, err := image.ParseReference(name)
		return name == text || bad == nil && err == nil && ref == wanted
	})
}

// Image gives one image and how it is made.
//
// Errors: ErrNoImage, *ConflictError (CodeWhichImage).
func (s *Service) Image(ctx context.Context, named string) (ImageDetail, error) {
	all, err := s.images(ctx, glance)
	if err != nil {
		return ImageDetail{}, err
	}
	i, err := find(all, named)
	if err != nil {
		return ImageDetail{}, err
	}
	d, err := s.Engine.ImageDetail(ctx, i.ID)
	return ImageDetail{Image: i, ImageDetail: d}, err
}

// RemoveImage removes an image that is named by id, or one of its names.
//
// Errors: ErrNoImage, *ConflictError (CodeWhichImage; CodeRollback and
// CodeOperation without force), the engine's.
func (s *Service) RemoveImage(ctx context.Context, named string, force bool) (ImageRemoval, error) {
	all, err := s.images(ctx, glance)
	if err != nil {
		return ImageRemoval{}, err
	}
	i, err := find(all, named)
	if err != nil {
		return ImageRemoval{}, err
	}
	what := i.ID
	if i.called(named) {
		what = named
	}
	last := what == i.ID || len(i.Tags) <= 1
	if left := s.reserved(i, s.Reserved()); left != nil && last && !force {
		return ImageRemoval{}, &ConflictError{Code: left.Code, Message: left.Reason + " Remove it with force if that isn't wanted any more."}
	}
	removed, err := s.Engine.RemoveImage(ctx, what, force)
	if err != nil {
		return ImageRemoval{}, err
	}
	out := ImageRemoval{Deleted: orEmpty(removed.Deleted), Untagged: orEmpty(removed.Untagged)}
	if slices.Contains(removed.Deleted, i.ID) {
		out.ReclaimedBytes = i.frees()
	}
	return out, nil
}

// frees is what would be free without an image: at most that, where the engine
// doesn't tell what others share.
func (i Image) frees() int64 {
	if i.UniqueBytes != nil {
		return *i.UniqueBytes
	}
	return i.SizeBytes
}

// name is what people know an image by.
func (i Image) name() string {
	for _, list := range [][]string{i.Tags, i.Digests} {
		if len(list) > 0 {
			return list[0]
		}
	}
	return i.ID[:min(len(i.ID), len("sha256:")+12)]
}

// reserved says why an image that no container uses is needed all the same.
func (s *Service) reserved(i Image, under map[string]string) *Left {
	left := Left{ID: i.ID, Name: i.name()}
	if len(i.NeededForRollback) > 0 {
		left.Code, left.Reason = CodeRollback, "It is kept so that "+strings.Join(i.NeededForRollback, ", ")+" can be rolled back to it (update.keepImages)."
		return &left
	}
	container, ok := under[i.ID]
	for _, t := range i.Tags {
		if ref, err := image.ParseReference(t); err == nil && !ok {
			container, ok = under[ref.Familiar()]
		}
	}
	if !ok {
		return nil
	}
	left.Code, left.Reason = CodeOperation, "The update of "+container+" that is under way needs it."
	return &left
}
