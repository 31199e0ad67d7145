package compose

import (
	"context"

	"github.com/watch-docker/watch-docker/internal/composecli"
	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/internal/project"
)

// Plan is what an up would do.
type Plan struct {
	Changes []Change `json:"changes"`
	Notes   []string `json:"notes"` // what Compose says besides
}

// Change is what would become of one thing.
type Change struct {
	Kind   string            `json:"kind"` // container, network, volume, image
	Name   string            `json:"name"`
	Effect composecli.Effect `json:"effect"`
	Why    string            `json:"why"` // a sentence, of a container that is made anew
}

// Labels by which Compose sees that a container is out of date.
const (
	labelProject = "com.docker.compose.project"
	labelService = "com.docker.compose.service"
	labelHash    = "com.docker.compose.config-hash"
)

// Preview tells what an up would do; nothing is changed.
//
// Errors: as Act, and those of composecli.CLI.Preview.
func (s *Service) Preview(ctx context.Context, r Request) (Plan, error) {
	t, err := s.actable(ctx, r)
	if err != nil {
		return Plan{}, err
	}
	if err := s.Ready(ctx, t, nil); err != nil {
		return Plan{}, err
	}
	plan, err := s.Commands.Preview(ctx, commandProject(t), r.Action)
	if err != nil {
		return Plan{}, err
	}
	out := Plan{Changes: make([]Change, len(plan.Changes)), Notes: plan.Notes}
	for i, c := range plan.Changes {
		out.Changes[i] = Change{Kind: c.Kind, Name: c.Name, Effect: c.Effect}
	}
	return out, s.explain(ctx, t, out.Changes)
}

// explain says why containers would be made anew.
func (s *Service) explain(ctx context.Context, t project.Target, changes []Change) error {
	hashes, err := s.Commands.Hashes(ctx, commandProject(t))
	if err != nil {
		return err
	}
	all, err := s.listed(ctx)
	if err != nil {
		return err
	}
	byName := map[string]dockercli.Container{}
	for _, c := range all {
		if c.Labels[labelProject] == t.Name {
			byName[c.Name] = c
		}
	}
	for i, change := range changes {
		c, there := byName[change.Name]
		if change.Kind != "container" || !there || change.Effect != composecli.WouldRecreate {
			continue
		}
		changes[i].Why = "Its image is another one by now, or what it depends on is made anew."
		if hashes[c.Labels[labelService]] != c.Labels[labelHash] {
			changes[i].Why = "Its configuration in the files is another one by now."
		}
	}
	return nil
}
