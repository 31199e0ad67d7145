package api

import (
	"context"

	"github.com/watch-docker/watch-docker/internal/resource"
	"github.com/watch-docker/watch-docker/internal/store"
)

type listNetworksOut struct {
	Body struct {
		Networks []resource.NetworkRow `json:"networks"`
	} `nameHint:"NetworkList"`
}

func (s *server) listNetworks(ctx context.Context, _ *none) (*listNetworksOut, error) {
	all, err := s.Networks.Networks(ctx)
	out := &listNetworksOut{}
	out.Body.Networks = make([]resource.NetworkRow, 0, len(all))
	for _, n := range all {
		out.Body.Networks = append(out.Body.Networks, presentNetwork(n))
	}
	return out, err
}

func presentNetwork(n resource.NetworkRow) resource.NetworkRow {
	n.Labels, n.Options, n.Users = maskLabels(n.Labels), maskOptions(n.Options), orEmpty(n.Users)
	n.Subnets, n.Gateways = orEmpty(n.Subnets), orEmpty(n.Gateways)
	return n
}

type networkPath struct {
	ID string `path:"id" maxLength:"256" doc:"Id, the beginning of one (12 digits or more), or a name"`
}

type getNetworkOut struct{ Body resource.NetworkRow }

func (s *server) getNetwork(ctx context.Context, in *networkPath) (*getNetworkOut, error) {
	n, err := s.Networks.Network(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &getNetworkOut{Body: presentNetwork(n)}, nil
}

func (s *server) removeNetwork(ctx context.Context, in *networkPath) (*none, error) {
	n, err := s.Networks.RemoveNetwork(ctx, in.ID)
	if n.Name != "" {
		trailOf(ctx).about(n.Name)
	}
	return nil, err
}

type pruneNetworksIn struct {
	WaitQuery

	Body *struct {
		DryRun bool `json:"dryRun,omitempty" doc:"Remove nothing; say what would go"`
	} `nameHint:"NetworkPruneOptions"`
}

func (s *server) pruneNetworks(ctx context.Context, in *pruneNetworksIn) (*pruneOut, error) {
	dryRun := in.Body != nil && in.Body.DryRun
	return pruned(ctx, s, dryRun, in.Wait.Duration,
		func() (resource.NetworksPruned, error) { return s.Networks.PreviewNetworkPrune(ctx) },
		func() (store.Operation, error) { return s.Networks.PruneNetworks(ctx, callerOf(ctx).Username) })
}
