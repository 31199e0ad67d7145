package resource

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/internal/store"
)

// Volume is one volume of the engine.
type Volume struct {
	Name       string            `json:"name"`
	Driver     string            `json:"driver"`
	Scope      string            `json:"scope"`
	Mountpoint string            `json:"mountpoint" doc:"On the engine's host"`
	CreatedAt  *time.Time        `json:"createdAt"`
	Labels     map[string]string `json:"labels"`
	Options    map[string]string `json:"options" doc:"Of its driver; secrets masked"`
	Anonymous  bool              `json:"anonymous" doc:"Nobody gave it a name"`
	Dangling   bool              `json:"dangling" doc:"No container uses it, not even a stopped one"`
	SizeBytes  *int64            `json:"sizeBytes" doc:"Null: the engine didn't tell in time, or can't"`
	Project    string            `json:"project,omitempty" doc:"The Compose project that made it"`
	Users      []UsedBy          `json:"users"`
}

// VolumePrune says which unused volumes are to go.
type VolumePrune struct {
	All   bool     // not only those without a name of their own
	Names []string // none but these; empty: whichever
}

// VolumesPruned is what a prune of volumes removes, or has removed.
type VolumesPruned struct {
	Volumes        []PrunedVolume `json:"volumes"`
	Deleted        []string       `json:"deleted" doc:"Their names"`
	ReclaimedBytes int64          `json:"reclaimedBytes" doc:"Of those whose size is known"`
	Kept           []Left         `json:"kept" doc:"What is unused, or was named, and is left alone, and why"`
}

// PrunedVolume is a volume that goes, with all that is in it.
type PrunedVolume struct {
	Name      string `json:"name"`
	Anonymous bool   `json:"anonymous"`
	SizeBytes *int64 `json:"sizeBytes"`
	Project   string `json:"project,omitempty"`
}

func (p *VolumesPruned) add(v Volume) {
	p.Volumes = append(p.Volumes, PrunedVolume{Name: v.Name, Anonymous: v.Anonymous, SizeBytes: v.SizeBytes, Project: v.Project})
	p.Deleted = append(p.Deleted, v.Name)
	if v.SizeBytes != nil {
		p.ReclaimedBytes += *v.SizeBytes
	}
}

func noVolumesPruned() VolumesPruned {
	return VolumesPruned{Volumes: []PrunedVolume{}, Deleted: []string{}, Kept: []Left{}}
}

// Volumes lists all volumes. With thorough it waits longer for their sizes.
func (s *Service) Volumes(ctx context.Context, thorough bool) ([]Volume, error) {
	limit := glance
	if thorough {
		limit = measure
	}
	return s.volumes(ctx, limit)
}

// volumes are without sizes if there is no time for them.
func (s *Service) volumes(ctx context.Context, limit time.Duration) ([]Volume, error) {
	rows, err := s.Engine.Volumes(ctx)
	if err != nil {
		return nil, err
	}
	var sizes map[string]int64
	if limit > 0 && len(rows) > 0 {
		sizes = within(ctx, limit, s.Engine.VolumeSizes)
	}
	out := make([]Volume, 0, len(rows))
	for _, r := range rows {
		out = append(out, Volume{
			Name: r.Name, Driver: r.Driver, Scope: r.Scope, Mountpoint: r.Mountpoint, CreatedAt: orNil(r.CreatedAt), Labels: r.Labels, Options: r.Options,
			Anonymous: r.Anonymous, Dangling: r.Unused, SizeBytes: sizeIn(sizes, r.Name), Project: r.Labels["com.docker.compose.project"], Users: users(r.Users),
		})
	}
	return out, nil
}

// Volume gives one volume.
//
// Errors: ErrNoVolume.
func (s *Service) Volume(ctx context.Context, name string) (Volume, error) {
	return s.volume(ctx, name, glance)
}

func (s *Service) volume(ctx context.Context, name string, limit time.Duration) (Volume, error) {
	all, err := s.volumes(ctx, limit)
	if err != nil {
		return Volume{}, err
	}
	return volumeIn(all, name)
}

func volumeIn(all []Volume, name string) (Volume, error) {
	at := slices.IndexFunc(all, func(v Volume) bool { return v.Name == name })
	if at < 0 {
		return Volume{}, fmt.Errorf("%w: %s", ErrNoVolume, name)
	}
	return all[at], nil
}

// RemoveVolume removes a volume that no container uses, with all that is in it.
//
// Errors: ErrNoVolume, *ConflictError (CodeVolumeInUse), the engine's.
func (s *Service) RemoveVolume(ctx context.Context, name string) error {
	v, err := s.volume(ctx, name, 0)
	if err != nil {
		return err
	}
	if len(v.Users) > 0 {
		return &ConflictError{Code: CodeVolumeInUse, Message: name + " is used by " + namesOf(v.Users) + "; remove those first."}
	}
	return s.Engine.RemoveVolume(ctx, name)
}

// PreviewVolumePrune says what PruneVolumes would remove; nothing is changed.
//
// Errors: ErrNoVolume for one of the names.
func (s *Service) PreviewVolumePrune(ctx context.Context, p VolumePrune) (VolumesPruned, error) {
	out := noVolumesPruned()
	chosen, kept, err := s.chooseVolumes(ctx, p)
	for _, v := range chosen {
		out.add(v)
	}
	out.Kept = append(out.Kept, kept...)
	return out, err
}

func (s *Service) chooseVolumes(ctx context.Context, p VolumePrune) (chosen []Volume, kept []Left, err error) {
	all, err := s.volumes(ctx, measure)
	if err != nil {
		return nil, nil, err
	}
	for _, name := range p.Names {
		if _, err := volumeIn(all, name); err != nil {
			return nil, nil, err
		}
	}
	for _, v := range all {
		asked := slices.Contains(p.Names, v.Name)
		if len(p.Names) > 0 && !asked {
			continue
		}
		left := v.inTheWay()
		switch {
		case left == nil && (v.Anonymous || p.All):
			chosen = append(chosen, v)
		case left == nil:
			kept = append(kept, Left{ID: v.Name, Name: v.Name, Code: CodeVolumeNamed, Reason: "Somebody gave it a name, so its data may be wanted; it goes only with all."})
		case asked:
			kept = append(kept, *left)
		}
	}
	return chosen, kept, nil
}

// inTheWay says why a volume can't go.
func (v Volume) inTheWay() *Left {
	if v.Dangling {
		return nil
	}
	by := namesOf(v.Users)
	if by == "" {
		by = "something that the engine doesn't name"
	}
	return &Left{ID: v.Name, Name: v.Name, Code: CodeVolumeInUse, Reason: "It is used by " + by + "."}
}

// PruneVolumes removes unused volumes one by one, with all that is in them.
// One that gets a user in between is left alone.
//
// Errors: ErrNoVolume for one of the names, and those of task.Runner.Start.
func (s *Service) PruneVolumes(ctx context.Context, p VolumePrune, actor string) (store.Operation, error) {
	if len(p.Names) > 0 {
		all, err := s.volumes(ctx, 0)
		if err != nil {
			return store.Operation{}, err
		}
		for _, name := range p.Names {
			if _, err := volumeIn(all, name); err != nil {
				return store.Operation{}, err
			}
		}
	}
	out := noVolumesPruned()
	return prune(ctx, s, actor, pruning[Volume]{
		kind: "volumes", name: func(v Volume) string { return v.Name }, remove: s.pruneVolume, gone: out.add,
		choose: func(ctx context.Context) ([]Volume, []Left, error) { return s.chooseVolumes(ctx, p) },
		keep:   func(l ...Left) { out.Kept = append(out.Kept, l...) },
		result: func() any { return out },
	})
}

// pruneVolume leaves it to the engine to see whether somebody uses it by now:
// a volume in use is never removed.
func (s *Service) pruneVolume(ctx context.Context, v Volume) (*Left, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	err := s.Engine.RemoveVolume(ctx, v.Name)
	if errors.Is(err, dockercli.ErrConflict) {
		return &Left{ID: v.Name, Name: v.Name, Code: CodeVolumeInUse, Reason: "The engine keeps it: " + strings.TrimSuffix(err.Error(), ".") + "."}, nil
	}
	return nil, err
}
