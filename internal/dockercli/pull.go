package dockercli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/moby/moby/api/pkg/authconfig"
	"github.com/moby/moby/api/types/jsonstream"
	"github.com/moby/moby/api/types/registry"
	"github.com/moby/moby/client"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/watch-docker/watch-docker/internal/image"
)

// Auth is what a registry wants to see. The zero value is nobody.
type Auth struct {
	Username      string
	Password      string
	IdentityToken string // in place of a password, as credential helpers give it
}

// String hides the secrets, for those who print an Auth by mistake.
func (a Auth) String() string { return "credentials of " + a.Username }

// GoString is String: %#v would show the secrets too.
func (a Auth) GoString() string { return a.String() }

// PullOptions say how to pull.
type PullOptions struct {
	Auth     Auth
	Platform image.Platform     // the zero value leaves the choice to the engine
	Progress func(PullProgress) // called from Pull itself, at each change; nil: nobody wants to know
}

// PullResult is what arrived.
type PullResult struct {
	Digest  string // of the manifest or index that the reference named; empty if the engine didn't say
	ImageID string // what the reference names on this engine now
}

// Pull lets the engine fetch an image. It lasts as long as ctx allows, and
// the engine gives up when ctx ends.
// Errors: ErrUnauthorized, ErrNotFound, ErrRateLimited, ErrNoPlatform,
// ErrNoSpace, ErrUnavailable (also when the stream breaks off).
func (c *Client) Pull(ctx context.Context, ref string, o PullOptions) (PullResult, error) {
	options := client.ImagePullOptions{}
	if o.Platform.OS != "" {
		options.Platforms = []ocispec.Platform{{OS: o.Platform.OS, Architecture: o.Platform.Architecture, Variant: o.Platform.Variant}}
	}
	if o.Auth != (Auth{}) {
		auth, err := authconfig.Encode(registry.AuthConfig{
			Username: o.Auth.Username, Password: o.Auth.Password, IdentityToken: o.Auth.IdentityToken,
		})
		if err != nil {
			return PullResult{}, fmt.Errorf("pull %s: encode credentials: %w", ref, err)
		}
		options.RegistryAuth = auth
	}
	digest, err := c.pull(ctx, ref, options, o.Progress)
	if err != nil {
		return PullResult{}, err
	}
	img, err := c.inspectImage(ctx, ref, o.Platform)
	if err != nil {
		return PullResult{}, c.wrap("pull "+ref, err)
	}
	// 20.10 takes an image without an index for whatever platform it is.
	if o.Platform.OS != "" && o.Platform.Best([]image.Platform{img.platform}) < 0 {
		return PullResult{}, fmt.Errorf("pull %s: %w: wanted %s, it is %s", ref, ErrNoPlatform, o.Platform, img.platform)
	}
	return PullResult{Digest: digest, ImageID: img.id}, nil
}

func (c *Client) pull(ctx context.Context, ref string, o client.ImagePullOptions, on func(PullProgress)) (digest string, err error) {
	doing := "pull " + ref
	stream, err := c.sdk().ImagePull(ctx, ref, o)
	if err != nil {
		if kind := pullError(err.Error()); kind != nil && ctx.Err() == nil && !isOurs(err) {
			return "", fmt.Errorf("%s: %w: %w", doing, kind, err)
		}
		return "", c.wrap(doing, err)
	}
	defer stream.Close()
	p, finished := newProgress(on), false
	for m, err := range stream.JSONMessages(ctx) {
		if ctx.Err() != nil {
			return "", fmt.Errorf("%s: %w", doing, ctx.Err())
		}
		if err != nil {
			return "", c.brokenOff(doing, err)
		}
		if m.Error != nil {
			return "", streamError(doing, m.Error)
		}
		if d, ok := strings.CutPrefix(m.Status, "Digest: "); ok && image.ValidDigest(d) {
			digest = d
		}
		finished = finished || strings.HasPrefix(m.Status, "Status: ")
		p.add(m)
	}
	switch {
	case ctx.Err() != nil:
		return "", fmt.Errorf("%s: %w", doing, ctx.Err())
	case !finished:
		// Every engine ends with "Status: Downloaded newer image for …" or
		// "Status: Image is up to date for …"; one that goes away can end
		// the stream in good order without it.
		return "", c.brokenOff(doing, errors.New("the answer ended early"))
	}
	p.done()
	return digest, nil
}

// isOurs reports whether it is our own connection, to the engine, that failed,
// and not the engine's to a registry: the words can be the same.
func isOurs(err error) bool {
	var own interface{ Timeout() bool }
	return client.IsErrConnectionFailed(err) || errors.As(err, &own)
}

func (c *Client) brokenOff(doing string, err error) error {
	return fmt.Errorf("%s: %w at %s: %s", doing, ErrUnavailable, c.host, reason(err))
}

// streamError is an error that arrives inside the stream, after status 200.
func streamError(doing string, e *jsonstream.Error) error {
	if kind := pullError(e.Message); kind != nil {
		return fmt.Errorf("%s: %w: %w", doing, kind, e)
	}
	return fmt.Errorf("%s: %w", doing, e)
}

// pullError sorts what engines say of a failed pull. Inside the stream there
// is no status, and before it 20.10 answers 404 or 500 to nearly everything,
// so the words decide; the first that fits.
func pullError(text string) error {
	text = strings.ToLower(text)
	for _, known := range []struct {
		kind  error
		words []string
	}{
		{ErrNoSpace, []string{"no space left on device"}},
		{ErrRateLimited, []string{"toomanyrequests", "too many requests", "rate limit"}},
		{ErrNoPlatform, []string{"no matching manifest", "no match for platform", "does not match the specified platform",
			"does not provide the specified platform", "does not provide any platform"}},
		{ErrUnauthorized, []string{"unauthorized", "authentication required", "no basic auth credentials", "denied",
			"incorrect username or password", "403 forbidden", "authorization failed"}},
		{ErrNotFound, []string{"manifest unknown", "name unknown", "not found", "does not exist"}},
		{ErrRegistryUnreachable, []string{"connection refused", "no such host", "no route to host", "network is unreachable", "i/o timeout",
			"deadline exceeded", "client.timeout exceeded", "request canceled while waiting", "tls:", "x509:", "http response to https client",
			"server misbehaving", "connection reset"}},
	} {
		for _, w := range known.words {
			if strings.Contains(text, w) {
				return known.kind
			}
		}
	}
	return nil
}
