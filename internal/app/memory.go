package app

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/watch-docker/watch-docker/internal/registry"
	"github.com/watch-docker/watch-docker/internal/store"
)

// memory gives the registry client what it wants remembered: the store knows
// nothing of registries, and the other way round.
type memory struct{ store *store.Store }

func (m memory) Host(ctx context.Context, host string) (registry.HostState, bool, error) {
	var state registry.HostState
	raw, ok, err := m.store.Host(ctx, host)
	if err != nil || !ok {
		return state, false, err
	}
	if err := json.Unmarshal(raw, &state); err != nil {
		return state, false, fmt.Errorf("read registry host %s: %w", host, err)
	}
	return state, true, nil
}

func (m memory) SaveHost(ctx context.Context, host string, state registry.HostState) error {
	raw, err := json.Marshal(state)
	if err != nil {
		return fmt.Errorf("save registry host %s: %w", host, err)
	}
	return m.store.SaveHost(ctx, host, raw)
}

func (m memory) Resolution(ctx context.Context, digest, platform string) (registry.Resolved, bool, error) {
	manifest, config, ok, err := m.store.Resolution(ctx, digest, platform)
	return registry.Resolved{ManifestDigest: manifest, ConfigDigest: config}, ok, err
}

func (m memory) SaveResolution(ctx context.Context, digest, platform string, r registry.Resolved) error {
	return m.store.SaveResolution(ctx, digest, platform, r.ManifestDigest, r.ConfigDigest)
}
