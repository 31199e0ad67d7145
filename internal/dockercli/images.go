package dockercli

import (
	"context"
	"strings"
	"time"

	"github.com/moby/moby/client"
)

// ImageRow is one row of the list of images.
type ImageRow struct {
	ID         string   // "sha256:…"
	Tags       []string // "nginx:latest"
	Digests    []string // "nginx@sha256:…"
	SizeBytes  int64
	CreatedAt  time.Time // zero if the image doesn't say
	Containers []string  // names of those made from it, stopped ones too
	Dangling   bool      // without a tag
}

// Images lists all images with the containers that use them: two requests.
func (c *Client) Images(ctx context.Context) ([]ImageRow, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	list, err := c.sdk().ImageList(ctx, client.ImageListOptions{})
	if err != nil {
		return nil, c.wrap("list images", err)
	}
	containers, err := c.Containers(ctx)
	if err != nil {
		return nil, err
	}
	users := map[string][]string{}
	for _, ct := range containers {
		users[ct.ImageID] = append(users[ct.ImageID], ct.Name)
	}
	rows := make([]ImageRow, len(list.Items))
	for i, s := range list.Items {
		rows[i] = ImageRow{
			ID: s.ID, Tags: named(s.RepoTags), Digests: named(s.RepoDigests), SizeBytes: s.Size, Containers: users[s.ID],
		}
		if s.Created > 0 {
			rows[i].CreatedAt = time.Unix(s.Created, 0).UTC()
		}
		rows[i].Dangling = len(rows[i].Tags) == 0
	}
	return rows, nil
}

// named leaves out "<none>:<none>" and "<none>@<none>", which engines before
// API 1.43 have in place of an empty list.
func named(list []string) []string {
	var out []string
	for _, s := range list {
		if !strings.HasPrefix(s, "<none>") {
			out = append(out, s)
		}
	}
	return out
}

// ImageID says which image a reference names on this engine now; ErrNotFound
// if none.
func (c *Client) ImageID(ctx context.Context, ref string) (string, error) {
	img, err := c.Image(ctx, ref)
	return img.ID, err
}

// TagImage gives an image (id or reference) one more name, taking it from
// another image if need be.
func (c *Client) TagImage(ctx context.Context, id, ref string) error {
	ctx, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	_, err := c.sdk().ImageTag(ctx, client.ImageTagOptions{Source: id, Target: ref})
	return c.wrap("tag image "+id+" as "+ref, err)
}

// RemovedImage is what a removal came to.
type RemovedImage struct {
	Deleted  []string // ids
	Untagged []string // references
}

// RemoveImage removes an image by id, or one of its names by reference, and
// the image with its last name. One that a container uses, or that has
// several names and is given by its id, is ErrConflict without force.
func (c *Client) RemoveImage(ctx context.Context, id string, force bool) (RemovedImage, error) {
	ctx, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	res, err := c.sdk().ImageRemove(ctx, id, client.ImageRemoveOptions{Force: force, PruneChildren: true})
	if err != nil {
		return RemovedImage{}, c.wrap("remove image "+id, err)
	}
	var out RemovedImage
	for _, item := range res.Items {
		if item.Deleted != "" {
			out.Deleted = append(out.Deleted, item.Deleted)
		}
		if item.Untagged != "" {
			out.Untagged = append(out.Untagged, item.Untagged)
		}
	}
	return out, nil
}
