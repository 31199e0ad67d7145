package api

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/watch-docker/watch-docker/internal/scanner"
)

// ContainerPath is a container in a path. huma looks into exported structs only.
type ContainerPath struct {
	ID string `path:"id" minLength:"1" maxLength:"256" doc:"Id, name, or an unambiguous beginning of the id, 12 digits or more"`
}

type listContainersIn struct {
	Status []string `query:"status" enum:"upToDate,updateAvailable,skipped,unknown,error" doc:"Any of these"`
	State  []string `query:"state" enum:"created,running,paused,restarting,removing,exited,dead" doc:"Any of these"`
	Q      string   `query:"q" maxLength:"256" doc:"A part of the name, the image or the Compose project"`
}

type resultOut struct{ Body scanner.Result }

func (s *server) listContainers(_ context.Context, in *listContainersIn) (*resultOut, error) {
	result := s.Scans.Latest()
	if len(in.Status)+len(in.State)+len(in.Q) > 0 {
		all := result.Containers
		result.Containers = nil
		for i := range all {
			if in.match(&all[i]) {
				result.Containers = append(result.Containers, all[i])
			}
		}
	}
	result.Containers = orEmpty(result.Containers)
	return &resultOut{Body: result}, nil
}

func (in *listContainersIn) match(c *scanner.ContainerStatus) bool {
	if len(in.Status) > 0 && !slices.Contains(in.Status, string(c.Status)) {
		return false
	}
	if len(in.State) > 0 && !slices.Contains(in.State, c.State) {
		return false
	}
	texts := []string{c.Name, c.Image}
	if c.Compose != nil {
		texts = append(texts, c.Compose.Project)
	}
	q := strings.ToLower(in.Q)
	return slices.ContainsFunc(texts, func(t string) bool { return strings.Contains(strings.ToLower(t), q) })
}

type getContainerIn struct {
	ContainerPath

	Reveal bool `query:"reveal" doc:"With what looks like a secret; administrators only, with a fresh proof"`
}

type detailOut struct{ Body ContainerDetail }

func (s *server) getContainer(ctx context.Context, in *getContainerIn) (*detailOut, error) {
	if in.Reveal {
		if err := s.allows(adminFresh, callerOf(ctx)); err != nil {
			return nil, err
		}
	}
	status, err := s.find(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	detail, err := s.Engine.Container(ctx, status.ID)
	if err != nil {
		return nil, err
	}
	if status.StartedAt == nil { // it started before we did
		status.StartedAt = detail.StartedAt
	}
	detail.ContainerStatus = status
	if !in.Reveal {
		detail = masked(detail)
	}
	trailOf(ctx).note(in.Reveal, "secrets revealed")
	return &detailOut{Body: presentable(detail)}, nil
}

// masked hides what looks like a secret.
func masked(d ContainerDetail) ContainerDetail {
	d.Command, d.Entrypoint = maskArguments(d.Command), maskArguments(d.Entrypoint)
	d.Labels = maskLabels(d.Labels)
	d.Env = slices.Clone(d.Env)
	for i, v := range d.Env {
		if secretive(v.Name, v.Value) {
			d.Env[i] = EnvVar{Name: v.Name, Value: mask, Masked: true}
		}
	}
	return d
}

// presentable makes lists of no lists.
func presentable(d ContainerDetail) ContainerDetail {
	d.Mounts, d.HealthLog, d.Env = orEmpty(d.Mounts), orEmpty(d.HealthLog), orEmpty(d.Env)
	d.Command, d.Entrypoint = orEmpty(d.Command), orEmpty(d.Entrypoint)
	if d.Labels == nil {
		d.Labels = map[string]string{}
	}
	d.Networks = orEmpty(slices.Clone(d.Networks))
	for i := range d.Networks {
		d.Networks[i].Aliases = orEmpty(d.Networks[i].Aliases)
	}
	return d
}

type statusOut struct{ Body scanner.ContainerStatus }

// act makes the handler of an action.
func (s *server) act(action Action) func(context.Context, *ContainerPath) (*statusOut, error) {
	return func(ctx context.Context, in *ContainerPath) (*statusOut, error) {
		return s.change(ctx, in.ID, func(c scanner.ContainerStatus) error { return s.Engine.Act(ctx, c.ID, action) })
	}
}

// after is how a container is now that something was done with it. One made
// with --rm is gone once it has been stopped: that's no error.
func (s *server) after(ctx context.Context, before scanner.ContainerStatus) (scanner.ContainerStatus, error) {
	if err := s.Scans.Refresh(ctx); err != nil {
		return scanner.ContainerStatus{}, err
	}
	after, err := s.find(ctx, before.ID)
	if errors.Is(err, ErrUnknownContainer) {
		before.State, before.Running, before.Health = "removed", false, "none"
		after, err = before, nil
	}
	return after, err
}

type removeContainerIn struct {
	ContainerPath

	Force   bool `query:"force" doc:"Even if it runs"`
	Volumes bool `query:"volumes" doc:"Its anonymous volumes, too; administrators only, with a fresh proof"`
}

func (s *server) removeContainer(ctx context.Context, in *removeContainerIn) (*none, error) {
	trailOf(ctx).note(in.Volumes, "with volumes")
	if in.Volumes {
		if err := s.allows(adminFresh, callerOf(ctx)); err != nil {
			return nil, err
		}
	}
	status, err := s.find(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if err := s.Engine.Remove(ctx, status.ID, RemoveOptions{Force: in.Force, Volumes: in.Volumes}); err != nil {
		return nil, err
	}
	return nil, s.Scans.Refresh(ctx)
}

// orEmpty makes [] of what would be null in JSON.
func orEmpty[S ~[]E, E any](list S) S {
	if list == nil {
		return S{}
	}
	return list
}
