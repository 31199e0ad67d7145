package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/watch-docker/watch-docker/internal/image"
)

const (
	// maxDescriptions and largestDescription bound what is kept of descriptions,
	// in number and in bytes of a configuration.
	maxDescriptions    = 64
	largestDescription = 256 << 10
	// keepDescriptions is how long a description is kept: it never changes.
	keepDescriptions = 24 * time.Hour
)

func (c *Client) keepDescription(err error) time.Duration {
	if err != nil {
		return c.keep(err)
	}
	return keepDescriptions
}

// Describe tells what the image says of itself that a digest of ref's
// repository comes to on platform p, without pulling it: after a Resolve, two
// requests, and none when it is asked again.
//
// Errors: as with Resolve. CodeBadResponse also for what is no image.
func (b *Batch) Describe(ctx context.Context, ref image.Reference, dgst string, p image.Platform) (image.Description, error) {
	resolved, err := b.Resolve(ctx, ref, dgst, p)
	if err != nil {
		return image.Description{}, err
	}
	name := ref.Name() + "@" + resolved.ManifestDigest
	kept := key(ref, "describe "+name)
	size := 0
	d, err := b.client.descriptions.get(ctx, kept, func(ctx context.Context) (image.Description, error) {
		return anyOf(ctx, b.client.endpoints(ref.Domain), func(ctx context.Context, h *host) (d image.Description, err error) {
			d, size, err = b.describe(ctx, h, ref, name, resolved)
			return d, err
		})
	})
	if size > largestDescription {
		b.client.descriptions.forget(func(key string) bool { return key == kept })
	}
	d.Digest = dgst
	return d, of(name, err)
}

func (b *Batch) describe(ctx context.Context, h *host, ref image.Reference, name string, r Resolved) (d image.Description, size int, err error) {
	doc, err := b.fetch(ctx, h, ref, r.ManifestDigest)
	if err != nil {
		return d, 0, err
	}
	if doc.config != r.ConfigDigest {
		return d, 0, b.badManifest(h, name, "another manifest than before")
	}
	if !isImageConfig(doc.configIs) {
		return d, 0, errorf(CodeBadResponse, h.name, "%s is no container image: its configuration is of the type %q. Choose another tag.", name, printable(doc.configIs, 80))
	}
	content, err := b.blob(ctx, h, ref, doc.config)
	if err != nil {
		return d, 0, err
	}
	d, wrong := readDescription(content, doc.layers)
	if wrong != "" {
		return d, 0, b.badManifest(h, name, wrong)
	}
	return d, len(content), nil
}

// isImageConfig: an empty type is from before there were types.
func isImageConfig(mediaType string) bool {
	return slices.Contains([]string{"", ocispec.MediaTypeImageConfig, "application/vnd.docker.container.image.v1+json", "application/json", "application/octet-stream"}, mediaType)
}

// blob fetches a small blob and checks that it is the one asked for. What
// fails is the blob alone: it may come from a storage server to which the
// registry redirects.
func (b *Batch) blob(ctx context.Context, h *host, ref image.Reference, dgst string) ([]byte, error) {
	name := ref.Name() + "@" + dgst
	h.load(ctx)
	if err := h.paused(); err != nil {
		return nil, err
	}
	resp, err := b.askAuthorized(ctx, h, b.contact(h), question{
		method: http.MethodGet, repository: ref.Path, path: "blobs/" + dgst, accept: "*/*", name: name,
	})
	if err != nil {
		return nil, err
	}
	if resp.StatusCode() != http.StatusOK {
		return nil, statusError(h, name, resp)
	}
	if digest.Digest(dgst).Algorithm().FromBytes(resp.Body()).String() != dgst {
		return nil, b.badManifest(h, name, "content that doesn't have the digest it is named by")
	}
	return resp.Body(), nil
}

// readDescription makes a description of a configuration and its manifest's
// layers, or says what is wrong with them.
func readDescription(content []byte, layers []ocispec.Descriptor) (d image.Description, wrong string) {
	var body struct {
		OS, Architecture, Variant string
		Created                   string
		Config                    image.Config
		RootFS                    struct {
			DiffIDs []string `json:"diff_ids"`
		} `json:"rootfs"`
	}
	if err := json.Unmarshal(content, &body); err != nil {
		return d, "a configuration that can't be read"
	}
	if len(body.RootFS.DiffIDs) != len(layers) {
		return d, fmt.Sprintf("a manifest of %d layers whose configuration has %d", len(layers), len(body.RootFS.DiffIDs))
	}
	d.Platform = image.Platform{OS: body.OS, Architecture: body.Architecture, Variant: body.Variant}
	d.Config = body.Config
	if at, err := time.Parse(time.RFC3339Nano, body.Created); err == nil {
		d.CreatedAt = at.UTC()
	}
	for i, l := range layers {
		if l.Size < 0 || l.Size > math.MaxInt64/int64(len(layers)) {
			return d, "a manifest with a layer of an impossible size"
		}
		d.Layers = append(d.Layers, image.Layer{DiffID: body.RootFS.DiffIDs[i], Digest: l.Digest.String(), Size: l.Size})
	}
	return d, ""
}
