// Package puller lets the engine fetch an image, with the credentials that its
// registry wants to see, and says how far it is. Updates pull with it as well
// as those who only want the image.
package puller

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/internal/image"
	"github.com/watch-docker/watch-docker/internal/registry"
	"github.com/watch-docker/watch-docker/internal/store"
)

// ErrCredentials says that the credentials of a registry can't be read.
var ErrCredentials = errors.New("the credentials could not be read")

// Request is one pull.
type Request struct {
	Ref         string                    // as the engine is to know it
	Host        string                    // the registry whose credentials count: image.Reference.Domain
	Platform    image.Platform            // the zero value leaves the choice to the engine
	Credentials registry.CredentialSource // nil: nobody's
	Progress    func(store.Progress)      // at each change, in bytes; nil: nobody wants to know
}

// Pull fetches an image. It lasts as long as ctx allows.
//
// Errors: ErrCredentials, and those of dockercli.Client.Pull.
func Pull(ctx context.Context, engine *dockercli.Client, r Request) (dockercli.PullResult, error) {
	o := dockercli.PullOptions{Platform: r.Platform}
	if r.Credentials != nil {
		c, err := r.Credentials.Credential(ctx, r.Host)
		if err != nil {
			return dockercli.PullResult{}, fmt.Errorf("pull %s: %w: %w", r.Ref, ErrCredentials, err)
		}
		o.Auth = dockercli.Auth{Username: c.Username, Password: c.Password, IdentityToken: c.IdentityToken}
	}
	if r.Progress != nil {
		m := new(meter)
		o.Progress = func(p dockercli.PullProgress) { r.Progress(m.progress(p, time.Now())) }
	}
	return engine.Pull(ctx, r.Ref, o)
}
