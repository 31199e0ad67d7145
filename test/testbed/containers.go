package testbed

import (
	"context"
	"fmt"
	"maps"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
)

// A ContainerSpec is a container to be made.
type ContainerSpec struct {
	// Name is the short name; [Bed.Prefix] goes before it. Empty lets the
	// engine choose.
	Name string
	// ExactName leaves the prefix out: for a demonstration on a private engine.
	ExactName bool
	// Image must be at the engine already; see [Bed.Pull].
	Image      string
	Cmd        []string
	Entrypoint []string
	Env        []string
	Labels     map[string]string
	Platform   string

	// Config, HostConfig and Networking hold what isn't above. The fields
	// above win over Config's.
	Config     *container.Config
	HostConfig *container.HostConfig
	Networking *network.NetworkingConfig

	// CreateOnly leaves it created, not started.
	CreateOnly bool
}

// A Container is one that [Bed.Run] made.
type Container struct {
	ID   string
	Name string // in full, without a slash
}

// Run is [Engine.Run] at the bed's first engine.
func (b *Bed) Run(ctx context.Context, spec ContainerSpec) (Container, error) {
	return b.Engine().Run(ctx, spec)
}

// Run creates a container and starts it. If only the start fails, the
// container is returned with the error.
func (e *Engine) Run(ctx context.Context, spec ContainerSpec) (Container, error) {
	options, err := e.createOptions(spec)
	if err != nil {
		return Container{}, fmt.Errorf("create %s: %w", spec.Name, err)
	}
	created, err := e.client.ContainerCreate(ctx, options)
	if err != nil {
		return Container{}, fmt.Errorf("create %s: %w", spec.Name, err)
	}
	c := Container{ID: created.ID, Name: options.Name}
	if spec.CreateOnly {
		return c, nil
	}
	if _, err := e.client.ContainerStart(ctx, c.ID, client.ContainerStartOptions{}); err != nil {
		return c, fmt.Errorf("start %s: %w", spec.Name, err)
	}
	return c, nil
}

func (e *Engine) createOptions(spec ContainerSpec) (client.ContainerCreateOptions, error) {
	options := client.ContainerCreateOptions{
		Config: e.config(spec), HostConfig: spec.HostConfig, NetworkingConfig: spec.Networking, Name: spec.Name,
	}
	if spec.Name != "" && !spec.ExactName {
		options.Name = e.bed.Name(spec.Name)
	}
	if spec.Platform == "" {
		return options, nil
	}
	var err error
	options.Platform, err = ociPlatform(spec.Platform)
	return options, err
}

func (e *Engine) config(spec ContainerSpec) *container.Config {
	var config container.Config
	if spec.Config != nil {
		config = *spec.Config
	}
	if spec.Image != "" {
		config.Image = spec.Image
	}
	if spec.Cmd != nil {
		config.Cmd = spec.Cmd
	}
	if spec.Entrypoint != nil {
		config.Entrypoint = spec.Entrypoint
	}
	if spec.Env != nil {
		config.Env = spec.Env
	}
	config.Labels = e.bed.labels(config.Labels, spec.Labels)
	return &config
}

// labels puts the bed's own label to those given.
func (b *Bed) labels(sets ...map[string]string) map[string]string {
	all := make(map[string]string)
	for _, set := range sets {
		maps.Copy(all, set)
	}
	all[Label] = b.id
	return all
}

// Network makes a network at the bed's first engine and returns its full
// name.
func (b *Bed) Network(ctx context.Context, short string, options client.NetworkCreateOptions) (string, error) {
	options.Labels = b.labels(options.Labels)
	if _, err := b.Engine().client.NetworkCreate(ctx, b.Name(short), options); err != nil {
		return "", fmt.Errorf("create network %s: %w", short, err)
	}
	return b.Name(short), nil
}

// Volume makes a volume at the bed's first engine and returns its full name.
func (b *Bed) Volume(ctx context.Context, short string, options client.VolumeCreateOptions) (string, error) {
	options.Name = b.Name(short)
	options.Labels = b.labels(options.Labels)
	if _, err := b.Engine().client.VolumeCreate(ctx, options); err != nil {
		return "", fmt.Errorf("create volume %s: %w", short, err)
	}
	return options.Name, nil
}
