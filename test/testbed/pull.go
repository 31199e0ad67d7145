package testbed

import (
	"context"
	"fmt"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/moby/api/pkg/authconfig"
	"github.com/moby/moby/api/types/registry"
	"github.com/moby/moby/client"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

type pullOptions struct {
	anonymous bool
	platform  string
}

// A PullOption changes how [Engine.Pull] pulls.
type PullOption func(*pullOptions)

// Anonymous pulls without credentials.
func Anonymous() PullOption { return func(o *pullOptions) { o.anonymous = true } }

// ForPlatform pulls the image of another platform: "linux/arm64".
func ForPlatform(platform string) PullOption { return func(o *pullOptions) { o.platform = platform } }

// Pull is [Engine.Pull] at the bed's first engine.
func (b *Bed) Pull(ctx context.Context, ref string, opts ...PullOption) error {
	return b.Engine().Pull(ctx, ref, opts...)
}

// Pull lets the engine pull an image. If it is in one of the bed's
// registries, its credentials are handed over.
func (e *Engine) Pull(ctx context.Context, ref string, opts ...PullOption) error {
	var o pullOptions
	for _, opt := range opts {
		opt(&o)
	}
	if err := e.pull(ctx, ref, o); err != nil {
		return fmt.Errorf("pull %s: %w", ref, err)
	}
	return nil
}

func (e *Engine) pull(ctx context.Context, ref string, o pullOptions) error {
	options, err := e.pullOptions(ref, o)
	if err != nil {
		return err
	}
	before, err := e.imageIDs(ctx)
	if err != nil {
		return err
	}
	stream, err := e.client.ImagePull(ctx, ref, options)
	if err != nil {
		return err
	}
	if err := stream.Wait(ctx); err != nil {
		return err
	}
	return e.remember(ctx, ref, before)
}

func (e *Engine) pullOptions(ref string, o pullOptions) (client.ImagePullOptions, error) {
	var options client.ImagePullOptions
	if o.platform != "" {
		p, err := ociPlatform(o.platform)
		if err != nil {
			return options, err
		}
		options.Platforms = []ocispec.Platform{*p}
	}
	host, _, _ := strings.Cut(ref, "/")
	reg := e.bed.registryAt(host)
	if o.anonymous || reg == nil || reg.tokens == nil {
		return options, nil
	}
	auth, err := authconfig.Encode(registry.AuthConfig{
		Username: reg.Username(), Password: reg.Password(), ServerAddress: host,
	})
	options.RegistryAuth = auth
	return options, err
}

// imageIDs are all images of an engine that stays; nil for a private one.
func (e *Engine) imageIDs(ctx context.Context) ([]string, error) {
	if e.daemon != nil {
		return nil, nil
	}
	list, err := e.client.ImageList(ctx, client.ImageListOptions{All: true})
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, item := range list.Items {
		ids = append(ids, item.ID)
	}
	return ids, nil
}

// remember notes an image that is new in an engine that stays, so that it can
// be removed even after its tag has moved.
func (e *Engine) remember(ctx context.Context, ref string, before []string) error {
	if e.daemon != nil {
		return nil
	}
	img, err := e.client.ImageInspect(ctx, ref)
	if err != nil {
		return err
	}
	if slices.Contains(before, img.ID) {
		return nil
	}
	pulled := pulledImage{ID: img.ID, Repository: repositoryOf(ref)}
	return e.bed.state.update(func(s *state) { s.Pulled = append(s.Pulled, pulled) })
}

func ociPlatform(s string) (*ocispec.Platform, error) {
	p, err := v1.ParsePlatform(s)
	if err != nil {
		return nil, err
	}
	return &ocispec.Platform{OS: p.OS, Architecture: p.Architecture, Variant: p.Variant}, nil
}
