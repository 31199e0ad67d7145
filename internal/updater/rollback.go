package updater

import (
	"context"
	"errors"
	"fmt"

	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/internal/store"
)

// Rollback queues the way back to the image that a container ran before, and
// gives its operation.
//
// Errors: ErrNothingKept, dockercli.ErrNotFound, dockercli.ErrUnavailable, ErrStopping.
func (u *Updater) Rollback(ctx context.Context, r Request) (store.Operation, error) {
	to, err := u.Before(ctx, r)
	if err != nil {
		return store.Operation{}, err
	}
	r.To = &to
	return u.Update(ctx, r)
}

// Before gives the image that Rollback would go to.
func (u *Updater) Before(ctx context.Context, r Request) (store.Kept, error) {
	kept, err := u.store.Kept(ctx, r.Name)
	if err != nil {
		return store.Kept{}, err
	}
	now, err := u.engine.Inspect(ctx, r.ContainerID)
	if err != nil {
		return store.Kept{}, err
	}
	for _, k := range kept {
		if k.ImageID == now.ImageID {
			continue
		}
		_, err := u.engine.ImageID(ctx, k.ImageID)
		switch {
		case err == nil || errors.Is(err, dockercli.ErrNotFound) && k.Digest != "":
			return k, nil
		case !errors.Is(err, dockercli.ErrNotFound):
			return store.Kept{}, err
		}
	}
	return store.Kept{}, fmt.Errorf("%w for %s: nothing has replaced it here, or update.keepImages is 0", ErrNothingKept, r.Name)
}
