package app

import (
	"context"

	"github.com/watch-docker/watch-docker/internal/api"
	"github.com/watch-docker/watch-docker/internal/image"
	"github.com/watch-docker/watch-docker/internal/resource"
	"github.com/watch-docker/watch-docker/internal/store"
)

// resources implements api.Images, api.Volumes and api.Networks: the service,
// with the engine's errors made the api's.
type resources struct{ of *resource.Service }

func (r resources) Images(ctx context.Context, thorough bool) ([]resource.Image, error) {
	all, err := r.of.Images(ctx, thorough)
	return all, ported(err, api.ErrUnknownImage)
}

func (r resources) Image(ctx context.Context, named string) (resource.ImageDetail, error) {
	i, err := r.of.Image(ctx, named)
	return i, ported(err, api.ErrUnknownImage)
}

func (r resources) RemoveImage(ctx context.Context, named string, force bool) (resource.ImageRemoval, error) {
	done, err := r.of.RemoveImage(ctx, named, force)
	return done, ported(err, api.ErrUnknownImage)
}

func (r resources) Pull(ctx context.Context, ref image.Reference, platform image.Platform, actor string) (store.Operation, error) {
	op, err := r.of.Pull(ctx, ref, platform, actor)
	return op, ported(err, api.ErrUnknownImage)
}

func (r resources) PreviewImagePrune(ctx context.Context, p resource.ImagePrune) (resource.ImagesPruned, error) {
	would, err := r.of.PreviewImagePrune(ctx, p)
	return would, ported(err, api.ErrUnknownImage)
}

func (r resources) PruneImages(ctx context.Context, p resource.ImagePrune, actor string) (store.Operation, error) {
	op, err := r.of.PruneImages(ctx, p, actor)
	return op, ported(err, api.ErrUnknownImage)
}

func (r resources) Volumes(ctx context.Context, thorough bool) ([]resource.Volume, error) {
	all, err := r.of.Volumes(ctx, thorough)
	return all, ported(err, api.ErrUnknownVolume)
}

func (r resources) Volume(ctx context.Context, name string) (resource.Volume, error) {
	v, err := r.of.Volume(ctx, name)
	return v, ported(err, api.ErrUnknownVolume)
}

func (r resources) RemoveVolume(ctx context.Context, name string) error {
	return ported(r.of.RemoveVolume(ctx, name), api.ErrUnknownVolume)
}

func (r resources) PreviewVolumePrune(ctx context.Context, p resource.VolumePrune) (resource.VolumesPruned, error) {
	would, err := r.of.PreviewVolumePrune(ctx, p)
	return would, ported(err, api.ErrUnknownVolume)
}

func (r resources) PruneVolumes(ctx context.Context, p resource.VolumePrune, actor string) (store.Operation, error) {
	op, err := r.of.PruneVolumes(ctx, p, actor)
	return op, ported(err, api.ErrUnknownVolume)
}

func (r resources) Networks(ctx context.Context) ([]resource.NetworkRow, error) {
	all, err := r.of.Networks(ctx)
	return all, ported(err, api.ErrUnknownNetwork)
}

func (r resources) Network(ctx context.Context, named string) (resource.NetworkRow, error) {
	n, err := r.of.Network(ctx, named)
	return n, ported(err, api.ErrUnknownNetwork)
}

func (r resources) RemoveNetwork(ctx context.Context, named string) (resource.NetworkRow, error) {
	n, err := r.of.RemoveNetwork(ctx, named)
	return n, ported(err, api.ErrUnknownNetwork)
}

func (r resources) PreviewNetworkPrune(ctx context.Context) (resource.NetworksPruned, error) {
	would, err := r.of.PreviewNetworkPrune(ctx)
	return would, ported(err, api.ErrUnknownNetwork)
}

func (r resources) PruneNetworks(ctx context.Context, actor string) (store.Operation, error) {
	op, err := r.of.PruneNetworks(ctx, actor)
	return op, ported(err, api.ErrUnknownNetwork)
}
