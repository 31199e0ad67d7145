package api

import (
	"context"
	"regexp"

	"github.com/watch-docker/watch-docker/internal/resource"
	"github.com/watch-docker/watch-docker/internal/store"
)

type listVolumesOut struct {
	Body struct {
		Volumes []resource.Volume `json:"volumes"`
	} `nameHint:"VolumeList"`
}

func (s *server) listVolumes(ctx context.Context, in *sizesQuery) (*listVolumesOut, error) {
	all, err := s.Volumes.Volumes(ctx, in.Sizes)
	out := &listVolumesOut{}
	out.Body.Volumes = make([]resource.Volume, 0, len(all))
	for _, v := range all {
		out.Body.Volumes = append(out.Body.Volumes, presentVolume(v))
	}
	return out, err
}

// presentVolume hides what looks like a secret: a network share's password is
// among the options of its driver.
func presentVolume(v resource.Volume) resource.Volume {
	v.Labels, v.Options, v.Users = maskLabels(v.Labels), maskOptions(v.Options), orEmpty(v.Users)
	return v
}

var volumeName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]*$`)

// volumePath is a volume's name, which becomes part of a path to the engine.
type volumePath struct {
	Name string `path:"name" maxLength:"255" pattern:"^[a-zA-Z0-9][a-zA-Z0-9_.-]*$"`
}

type getVolumeOut struct{ Body resource.Volume }

func (s *server) getVolume(ctx context.Context, in *volumePath) (*getVolumeOut, error) {
	v, err := s.Volumes.Volume(ctx, in.Name)
	if err != nil {
		return nil, err
	}
	return &getVolumeOut{Body: presentVolume(v)}, nil
}

func (s *server) removeVolume(ctx context.Context, in *volumePath) (*none, error) {
	return nil, s.Volumes.RemoveVolume(ctx, in.Name)
}

type pruneVolumesIn struct {
	WaitQuery

	Body *struct {
		DryRun bool     `json:"dryRun,omitempty" doc:"Remove nothing; say what would go"`
		All    bool     `json:"all,omitempty" doc:"Also those that somebody gave a name"`
		Names  []string `json:"names,omitempty" maxItems:"1000" doc:"None but these"`
	} `nameHint:"VolumePruneOptions"`
}

func (s *server) pruneVolumes(ctx context.Context, in *pruneVolumesIn) (*pruneOut, error) {
	var p resource.VolumePrune
	dryRun := false
	if b := in.Body; b != nil {
		p.All, p.Names, dryRun = b.All, b.Names, b.DryRun
	}
	for _, name := range p.Names {
		if !volumeName.MatchString(name) {
			return nil, invalid("body.names", "one of them is no volume's name")
		}
		trailOf(ctx).about(name)
	}
	trailOf(ctx).note(p.All, "also named ones")
	return pruned(ctx, s, dryRun, in.Wait.Duration,
		func() (resource.VolumesPruned, error) { return s.Volumes.PreviewVolumePrune(ctx, p) },
		func() (store.Operation, error) { return s.Volumes.PruneVolumes(ctx, p, callerOf(ctx).Username) })
}
