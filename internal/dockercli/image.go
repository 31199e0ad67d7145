package dockercli

import (
	"context"
	"time"

	"github.com/moby/moby/client"
	"github.com/moby/moby/client/pkg/versions"

	"github.com/watch-docker/watch-docker/internal/image"
)

// manifestsAPI is the first version that tells the manifests of an image.
const manifestsAPI = "1.48"

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
	Manifests []Manifest        // containerd store, API 1.48 on
	Origin    Origin
}

// Manifest is one platform's part of an image.
type Manifest struct {
	Digest   string
	Platform image.Platform
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
	var opts []client.ImageInspectOption
	if v := c.api.ClientVersion(); v != "" && versions.GreaterThanOrEqualTo(v, manifestsAPI) {
		opts = append(opts, client.ImageInspectWithManifests(true))
	}
	res, err := c.api.ImageInspect(ctx, id, opts...)
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
	for _, m := range res.Manifests {
		if m.ImageData != nil {
			p := m.ImageData.Platform
			img.Manifests = append(img.Manifests, Manifest{Digest: m.Descriptor.Digest.String(),
				Platform: image.Platform{OS: p.OS, Architecture: p.Architecture, Variant: p.Variant}})
		}
	}
	if res.Identity != nil {
		img.Origin = OriginLocal
		if len(res.Identity.Pull) > 0 {
			img.Origin = OriginPulled
		}
	}
	return img, nil
}

// ImageTags gives, for every tag of the engine, the id of the image it names
// now: one request. The tags are in the engine's short form ("nginx:latest").
func (c *Client) ImageTags(ctx context.Context) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	list, err := c.api.ImageList(ctx, client.ImageListOptions{})
	if err != nil {
		return nil, c.wrap("list images", err)
	}
	tags := map[string]string{}
	for _, s := range list.Items {
		for _, t := range s.RepoTags {
			tags[t] = s.ID
		}
	}
	return tags, nil
}
