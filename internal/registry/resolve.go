package registry

import (
	"cmp"
	"context"
	"slices"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/watch-docker/watch-docker/internal/image"
)

const (
	maxIndexDepth = 3
	// maxIndexes bounds what one question may fetch, however wide an index is.
	maxIndexes = 16
)

// resolution is the search of an image for one platform.
type resolution struct {
	b        *Batch
	h        *host
	ref      image.Reference
	platform image.Platform
	indexes  int      // fetched so far
	seen     []string // the platforms that there are
	unsure   bool     // a configuration is still to be looked at
}

// resolve follows a digest to the configuration for a platform.
func (b *Batch) resolve(ctx context.Context, h *host, ref image.Reference, digest string, p image.Platform) (Resolved, error) {
	r := &resolution{b: b, h: h, ref: ref, platform: p}
	found, ok, err := r.follow(ctx, digest, image.Platform{}, 0)
	if ok && !r.unsure {
		b.remember(ctx, digest, p, found)
	}
	if err != nil || ok {
		return found, err
	}
	there := "nothing that runs"
	if len(r.seen) > 0 {
		slices.Sort(r.seen)
		there = strings.Join(slices.Compact(r.seen), ", ")
	}
	return Resolved{}, errorf(CodeNoMatchingPlatform, h.name, "%s has no image for %s; it has %s. Choose another tag, or build for this platform.", ref.Familiar(), p, there)
}

// follow goes from a digest to the manifest. Its platform is p if an index named
// it, and up to the configuration if none did. ok is false if there is nothing
// for the platform that is looked for.
func (r *resolution) follow(ctx context.Context, digest string, p image.Platform, depth int) (found Resolved, ok bool, err error) {
	doc, err := r.b.fetch(ctx, r.h, r.ref, digest)
	if err != nil {
		return Resolved{}, false, err
	}
	if !doc.isIndex() {
		if p == (image.Platform{}) {
			if ok, err = r.fits(ctx, doc.config); !ok || err != nil {
				return Resolved{}, false, err
			}
			p = r.platform
		}
		return Resolved{ManifestDigest: doc.digest, ConfigDigest: doc.config, Platform: p}, true, nil
	}
	r.indexes++
	if depth >= maxIndexDepth || r.indexes > maxIndexes {
		return Resolved{}, false, nil
	}
	for _, e := range r.candidates(doc) {
		found, ok, err = r.follow(ctx, e.Digest.String(), cmp.Or(platformOf(e), p), depth+1)
		if ok || err != nil {
			return found, ok, err
		}
	}
	return Resolved{}, false, nil
}

// candidates are the entries of an index to look at: the one that an engine
// would choose for the platform, then those that don't name theirs and may
// hold it, which are indexes, and a manifest that is alone.
func (r *resolution) candidates(doc *document) []ocispec.Descriptor {
	var named, chosen []ocispec.Descriptor
	var platforms []image.Platform
	for _, e := range doc.entries {
		switch p := platformOf(e); {
		case p != image.Platform{}:
			named, platforms = append(named, e), append(platforms, p)
			r.seen = append(r.seen, p.String())
		case isIndexType(e.MediaType) || len(doc.entries) == 1:
			chosen = append(chosen, e)
		}
	}
	if best := r.platform.Best(platforms); best >= 0 {
		chosen = slices.Insert(chosen, 0, named[best])
	}
	return chosen
}

func platformOf(e ocispec.Descriptor) image.Platform {
	if e.Platform == nil {
		return image.Platform{}
	}
	return image.Platform{OS: e.Platform.OS, Architecture: e.Platform.Architecture, Variant: e.Platform.Variant}
}

func isIndexType(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageIndex || mediaType == "application/vnd.docker.distribution.manifest.list.v2+json"
}
