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

// NetworkRow is one network of the engine.
type NetworkRow struct {
	ID         string            `json:"id"`
	Name       string            `json:"name"`
	Driver     string            `json:"driver"`
	Scope      string            `json:"scope" example:"local"`
	CreatedAt  *time.Time        `json:"createdAt"`
	Internal   bool              `json:"internal" doc:"Without a way out"`
	Attachable bool              `json:"attachable"`
	IPv6       bool              `json:"ipv6"`
	Subnets    []string          `json:"subnets"`
	Gateways   []string          `json:"gateways"`
	Labels     map[string]string `json:"labels"`
	Options    map[string]string `json:"options" doc:"Of its driver; secrets masked"`
	Predefined bool              `json:"predefined" doc:"The engine's own, or Swarm's"`
	Dangling   bool              `json:"dangling" doc:"A prune would remove it"`
	Project    string            `json:"project,omitempty" doc:"The Compose project that made it"`
	Users      []UsedBy          `json:"users"`

	configFor []string // networks that have its configuration
}

// NetworksPruned is what a prune of networks removes, or has removed.
type NetworksPruned struct {
	Networks []PrunedNetwork `json:"networks"`
	Deleted  []string        `json:"deleted" doc:"Their ids"`
	Kept     []Left          `json:"kept" doc:"What no container uses and is left alone, and why"`
}

// PrunedNetwork is a network that goes.
type PrunedNetwork struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Project string `json:"project,omitempty"`
}

func (p *NetworksPruned) add(n NetworkRow) {
	p.Networks, p.Deleted = append(p.Networks, PrunedNetwork{ID: n.ID, Name: n.Name, Project: n.Project}), append(p.Deleted, n.ID)
}

func noNetworksPruned() NetworksPruned {
	return NetworksPruned{Networks: []PrunedNetwork{}, Deleted: []string{}, Kept: []Left{}}
}

// Networks lists all networks.
func (s *Service) Networks(ctx context.Context) ([]NetworkRow, error) {
	rows, err := s.Engine.Networks(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]NetworkRow, 0, len(rows))
	for _, r := range rows {
		n := NetworkRow{
			ID: r.ID, Name: r.Name, Driver: r.Driver, Scope: r.Scope, CreatedAt: orNil(r.CreatedAt), Internal: r.Internal, Attachable: r.Attachable,
			IPv6: r.IPv6, Subnets: orEmpty(r.Subnets), Gateways: orEmpty(r.Gateways), Labels: r.Labels, Options: r.Options, Predefined: r.Predefined,
			Project: r.Labels["com.docker.compose.project"], Users: users(r.Users),
		}
		for _, other := range rows {
			if other.ConfigFrom == r.Name && r.ConfigOnly {
				n.configFor = append(n.configFor, other.Name)
			}
		}
		n.Dangling = n.inTheWay() == nil
		out = append(out, n)
	}
	return out, nil
}

// Network gives one network by its id, the beginning of one (12 digits or
// more), or its name.
//
// Errors: ErrNoNetwork, *ConflictError (CodeWhichNet).
func (s *Service) Network(ctx context.Context, named string) (NetworkRow, error) {
	all, err := s.Networks(ctx)
	if err != nil {
		return NetworkRow{}, err
	}
	for _, exact := range []func(NetworkRow) bool{
		func(n NetworkRow) bool { return n.ID == named },
		func(n NetworkRow) bool { return n.Name == named },
		func(n NetworkRow) bool { return len(named) >= 12 && strings.HasPrefix(n.ID, named) },
	} {
		found := slices.DeleteFunc(slices.Clone(all), func(n NetworkRow) bool { return !exact(n) })
		switch len(found) {
		case 0:
		case 1:
			return found[0], nil
		default: // the engine allows a name twice
			return NetworkRow{}, &ConflictError{Code: CodeWhichNet, Message: fmt.Sprintf("%d networks are called %s; give the id.", len(found), named)}
		}
	}
	return NetworkRow{}, fmt.Errorf("%w: %s", ErrNoNetwork, named)
}

// inTheWay says why a network can't go.
func (n NetworkRow) inTheWay() *Left {
	left := &Left{ID: n.ID, Name: n.Name}
	switch {
	case n.Predefined:
		left.Code, left.Reason = CodePredefined, "It is the engine's own."
	case len(n.Users) > 0:
		left.Code, left.Reason = CodeNetworkUsed, "It is used by "+namesOf(n.Users)+"."
	case len(n.configFor) > 0:
		left.Code, left.Reason = CodeNetworkUsed, "It is the configuration of "+strings.Join(n.configFor, ", ")+"."
	case n.Scope == "swarm":
		left.Code, left.Reason = CodeSwarm, "It is Swarm's, whose services may use it on other hosts."
	default:
		return nil
	}
	return left
}

// RemoveNetwork removes a network that no container is to be in: also a
// stopped one couldn't start again without.
//
// Errors: as Network; *ConflictError (CodePredefined, CodeNetworkUsed), the engine's.
func (s *Service) RemoveNetwork(ctx context.Context, named string) (NetworkRow, error) {
	n, err := s.Network(ctx, named)
	if err != nil {
		return n, err
	}
	if left := n.inTheWay(); left != nil && left.Code != CodeSwarm { // the swarm itself will see
		return n, &ConflictError{Code: left.Code, Message: n.Name + " stays. " + left.Reason}
	}
	return n, s.Engine.RemoveNetwork(ctx, n.ID)
}

// PreviewNetworkPrune says what PruneNetworks would remove; nothing is changed.
func (s *Service) PreviewNetworkPrune(ctx context.Context) (NetworksPruned, error) {
	out := noNetworksPruned()
	chosen, kept, err := s.chooseNetworks(ctx)
	for _, n := range chosen {
		out.add(n)
	}
	out.Kept = append(out.Kept, kept...)
	return out, err
}

func (s *Service) chooseNetworks(ctx context.Context) (chosen []NetworkRow, kept []Left, err error) {
	all, err := s.Networks(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, n := range all {
		switch left := n.inTheWay(); {
		case left == nil:
			chosen = append(chosen, n)
		case len(n.Users) == 0 && !n.Predefined:
			kept = append(kept, *left)
		}
	}
	return chosen, kept, nil
}

// PruneNetworks removes unused networks one by one. One that gets a user in
// between is left alone.
//
// Errors: those of task.Runner.Start.
func (s *Service) PruneNetworks(ctx context.Context, actor string) (store.Operation, error) {
	out := noNetworksPruned()
	return prune(ctx, s, actor, pruning[NetworkRow]{
		kind: "networks", name: func(n NetworkRow) string { return n.Name }, remove: s.pruneNetwork, gone: out.add, choose: s.chooseNetworks,
		keep:   func(l ...Left) { out.Kept = append(out.Kept, l...) },
		result: func() any { return out },
	})
}

// pruneNetwork looks once more: the engine would take it from a stopped container.
func (s *Service) pruneNetwork(ctx context.Context, n NetworkRow) (*Left, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	now, err := s.Network(ctx, n.ID)
	if err != nil {
		return nil, err
	}
	if left := now.inTheWay(); left != nil {
		return left, nil
	}
	err = s.Engine.RemoveNetwork(ctx, n.ID)
	if errors.Is(err, dockercli.ErrConflict) {
		return &Left{ID: n.ID, Name: n.Name, Code: CodeNetworkUsed, Reason: "The engine keeps it: " + err.Error() + "."}, nil
	}
	return nil, err
}
