package registry

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/opencontainers/go-digest"

	"github.com/watch-docker/watch-docker/internal/image"
)

// fits reports whether a manifest whose platform no index names runs where the
// image is looked for, which its configuration tells: a push of one platform
// alone is easily made by accident. Where that can't be had the manifest is
// taken for what it is asked as.
func (r *resolution) fits(ctx context.Context, config string) (bool, error) {
	if r.platform.OS == "" || r.platform.Architecture == "" {
		return true, nil
	}
	p, ok := r.b.configPlatform(ctx, r.h, r.ref, config)
	switch {
	case ctx.Err() != nil:
		return false, ctx.Err()
	case !ok:
		// Not for good, if it is the registry that mustn't be asked just now.
		r.unsure = r.unsure || r.b.shuns(r.h)
		return true, nil
	case p.OS == "" || p.Architecture == "": // an artifact's
		return true, nil
	}
	// Variants stay out of it: configurations mostly lack them.
	wanted := image.Platform{OS: r.platform.OS, Architecture: r.platform.Architecture}
	if wanted.Best([]image.Platform{{OS: p.OS, Architecture: p.Architecture}}) >= 0 {
		return true, nil
	}
	r.seen = append(r.seen, p.String())
	return false, nil
}

// configPlatform fetches a configuration and returns the platform in it.
func (b *Batch) configPlatform(ctx context.Context, h *host, ref image.Reference, config string) (p image.Platform, ok bool) {
	resp, err := b.askOnce(ctx, h, question{
		method: http.MethodGet, repository: ref.Path, path: "blobs/" + config, accept: "*/*", name: ref.Name() + "@" + config,
	})
	if err != nil || resp.StatusCode() != http.StatusOK ||
		digest.Digest(config).Algorithm().FromBytes(resp.Body()).String() != config {
		return image.Platform{}, false
	}
	var body struct{ OS, Architecture, Variant string }
	err = json.Unmarshal(resp.Body(), &body)
	return image.Platform(body), err == nil
}
