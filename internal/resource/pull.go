package resource

import (
	"context"
	"errors"
	"fmt"

	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/internal/image"
	"github.com/watch-docker/watch-docker/internal/puller"
	"github.com/watch-docker/watch-docker/internal/store"
	"github.com/watch-docker/watch-docker/internal/task"
)

// Codes of pulls that failed. The first four are those of updates.
const (
	CodePull         = "pull_failed"
	CodeUnauthorized = "pull_unauthorized"
	CodeNoSpace      = "no_disk_space"
	CodePlatform     = "wrong_platform"
	CodeNotThere     = "pull_not_found"
	CodeRateLimited  = "pull_rate_limited"
	CodeUnreachable  = "registry_unreachable"
)

// Pulled is what a pull has brought.
type Pulled struct {
	Image   string `json:"image"`
	ImageID string `json:"imageId"`
	Digest  string `json:"digest"`
}

// Pull fetches an image, for the engine's own platform if none is given. Who
// asks for one that is on its way gets that operation.
//
// Errors: those of task.Runner.Join.
func (s *Service) Pull(ctx context.Context, ref image.Reference, platform image.Platform, actor string) (store.Operation, error) {
	name := ref.Familiar()
	q := task.Request{Kind: KindPull, Target: name, Actor: actor, ToImage: name, Key: KindPull + " " + ref.String()}
	if platform.OS != "" {
		q.Key += " " + platform.String()
	}
	return s.Tasks.Join(ctx, q, func(ctx context.Context, r *task.Report) (any, error) {
		r.Step("pull")
		if platform.OS != "" {
			r.Detail("for " + platform.String())
		}
		res, err := puller.Pull(ctx, s.Engine, puller.Request{
			Ref: name, Host: ref.Domain, Platform: platform, Credentials: s.Credentials(), Progress: r.Progress,
		})
		if ctx.Err() != nil && err != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			return nil, pullError(name, platform, err)
		}
		return Pulled{Image: name, ImageID: res.ImageID, Digest: res.Digest}, nil
	})
}

// pullError gives a failed pull its code, and says what can be done.
func pullError(name string, platform image.Platform, err error) error {
	for _, known := range []struct {
		err        error
		code, text string
	}{
		{puller.ErrCredentials, CodeUnauthorized, "The credentials for %s can't be read; mend registry.auth or Docker's config.json."},
		{dockercli.ErrUnauthorized, CodeUnauthorized, "The registry refuses %s: it doesn't exist, or needs other credentials (registry.auth)."},
		{dockercli.ErrNotFound, CodeNotThere, "The registry has no %s; look at how it is written."},
		{dockercli.ErrRateLimited, CodeRateLimited, "The registry's rate limit is reached; pull %s later, or with an account (registry.auth)."},
		{dockercli.ErrNoSpace, CodeNoSpace, "There is not enough disk space to pull %s; make room with a prune."},
		{dockercli.ErrRegistryUnreachable, CodeUnreachable, "The engine can't reach the registry of %s."},
	} {
		if errors.Is(err, known.err) {
			return &task.Error{Code: known.code, Message: fmt.Sprintf(known.text, name), Logs: []string{err.Error()}}
		}
	}
	if errors.Is(err, dockercli.ErrNoPlatform) {
		on := "the engine's platform"
		if platform.OS != "" {
			on = platform.String()
		}
		return &task.Error{Code: CodePlatform, Message: fmt.Sprintf("%s is not there for %s.", name, on), Logs: []string{err.Error()}}
	}
	if errors.Is(err, dockercli.ErrUnavailable) {
		return err
	}
	return &task.Error{Code: CodePull, Message: err.Error() + "."}
}
