package dockercli

import (
	"context"
	"time"

	"github.com/moby/moby/client"
	"github.com/moby/moby/client/pkg/versions"

	"github.com/watch-docker/watch-docker/internal/image"
)

// The first API versions that tell an image's manifests and where it came from.
const (
	manifestsAPI = "1.48"
	// from here on an inspect can be asked for one platform's configuration
	platformInspectAPI = "1.49"
	identityAPI        = "1.53"
)

// Image is what an inspect tells.
//
// With the graph drivers an image is one platform's, and its id is the digest
// of its configuration. With the containerd store an image is what was
// pulled, mostly an index, and its id is that one's digest.
type Image struct {
	ID        string            // "sha256:…"
	Tags      []string          // "nginx:latest"
	Digests   []string          // "sha256:…" from RepoDigests: manifests or indexes
	Names     []string          // the repository for each of Digests: "nginx"
	Labels    map[string]string // the image's own
	Platform  image.Platform    // the one that fits this host best
	CreatedAt time.Time         // zero if the image doesn't say
	Origin    Origin
}

// Origin says where an image came from, if the engine keeps book of it.
type Origin int

// The origins. Unknown is the answer of graph drivers and older engines.
const (
	OriginUnknown Origin = iota
	OriginPulled
	OriginLocal // built, imported or loaded
)

// Image inspects an image by id or reference: one request.
func (c *Client) Image(ctx context.Context, id string) (Image, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	res, err := c.sdk().ImageInspect(ctx, id)
	if err != nil {
		return Image{}, c.wrap("inspect image "+id, err)
	}
	img := Image{
		ID: res.ID, Tags: res.RepoTags,
		Platform: image.Platform{OS: res.Os, Architecture: res.Architecture, Variant: res.Variant},
	}
	if res.Config != nil {
		img.Labels = res.Config.Labels
	}
	if at, err := time.Parse(time.RFC3339Nano, res.Created); err == nil {
		img.CreatedAt = at.UTC()
	}
	for _, rd := range res.RepoDigests {
		if name, dgst, ok := image.RepoDigest(rd); ok {
			img.Names, img.Digests = append(img.Names, name), append(img.Digests, dgst)
		}
	}
	// Only the containerd store has a descriptor, and keeps book of origins.
	if res.Descriptor != nil && c.speaks(identityAPI) {
		img.Origin = OriginLocal
		if res.Identity != nil && len(res.Identity.Pull) > 0 {
			img.Origin = OriginPulled
		}
	}
	return img, nil
}

// speaks reports whether the version negotiated with the engine is at least
// this one; before the first answer it is not known, and so it isn't.
func (c *Client) speaks(version string) bool {
	v := c.sdk().ClientVersion()
	return v != "" && versions.GreaterThanOrEqualTo(v, version)
}

// Local is an image that a tag names on this engine now.
type Local struct {
	ID        string
	Digests   []string // from RepoDigests: manifests or indexes
	Manifests []string // digests of its platforms' manifests; containerd store alone
}

// ImageTags gives, for every tag of the engine, the image that it names now:
// one request. The tags are in the engine's short form ("nginx:latest").
func (c *Client) ImageTags(ctx context.Context) (map[string]Local, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	list, err := c.sdk().ImageList(ctx, client.ImageListOptions{Manifests: c.speaks(manifestsAPI)})
	if err != nil {
		return nil, c.wrap("list images", err)
	}
	tags := map[string]Local{}
	for _, s := range list.Items {
		local := Local{ID: s.ID}
		for _, rd := range s.RepoDigests {
			if _, dgst, ok := image.RepoDigest(rd); ok {
				local.Digests = append(local.Digests, dgst)
			}
		}
		for _, m := range s.Manifests {
			local.Manifests = append(local.Manifests, m.Descriptor.Digest.String())
		}
		for _, t := range s.RepoTags {
			tags[t] = local
		}
	}
	return tags, nil
}
