package dockercli

import (
	"context"
	"encoding/json"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/watch-docker/watch-docker/internal/image"
)

// Describe tells what an image of this engine, by id or reference, says of
// itself; of several platforms in one image, for this one if it can be chosen.
func (c *Client) Describe(ctx context.Context, ref string, p image.Platform) (image.Description, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	img, err := c.inspectImage(ctx, ref, p)
	if err != nil {
		return image.Description{}, c.wrap("inspect image "+ref, err)
	}
	d := image.Description{ID: img.id, Platform: img.platform, Config: configOf(img.config)}
	if at, err := time.Parse(time.RFC3339Nano, img.created); err == nil {
		d.CreatedAt = at.UTC()
	}
	for _, id := range img.layers {
		d.Layers = append(d.Layers, image.Layer{DiffID: id})
	}
	return d, nil
}

// configOf reads field by field: one of another shape than expected leaves the
// others as they are.
func configOf(f fields) image.Config {
	return image.Config{
		Env: read[[]string](f, "Env"), Entrypoint: read[[]string](f, "Entrypoint"), Cmd: read[[]string](f, "Cmd"),
		User: read[string](f, "User"), WorkingDir: read[string](f, "WorkingDir"), StopSignal: read[string](f, "StopSignal"),
		ExposedPorts: read[map[string]struct{}](f, "ExposedPorts"), Volumes: read[map[string]struct{}](f, "Volumes"),
		Labels: read[map[string]string](f, "Labels"), Healthcheck: read[*image.Health](f, "Healthcheck"),
	}
}

func (b Blueprint) withoutDefaults() fields {
	return withoutDefaults(b.Inspect.Config, b.Inspect.ImageConfig, read[fields](b.Inspect.HostConfig, "PortBindings"))
}

// Set is the part of the configuration that is the user's own: what Create
// sends, whatever the image says.
func (b Blueprint) Set() image.Config {
	c := configOf(b.withoutDefaults())
	if c.Labels != nil && (b.Labels[composeImageLabel] != "" || b.Labels[composeHashLabel] != "") {
		b.keepIdentity(c.Labels)
	}
	return c
}

// ImageConfig is what the image gave; empty if that is gone.
func (b Blueprint) ImageConfig() image.Config { return configOf(b.Inspect.ImageConfig) }

// MountedByUser tells the places at which something is mounted whatever the image
// declares: volumes, folders and tmpfs that the user asked for, and what comes from others.
func (b Blueprint) MountedByUser() map[string]bool {
	places := map[string]bool{}
	for _, m := range b.Mounts {
		if !m.FromImage {
			places[path.Clean(m.Destination)] = true
		}
	}
	for place := range read[fields](b.Inspect.HostConfig, "Tmpfs") {
		places[path.Clean(place)] = true
	}
	return places
}

// RandomPorts are the ports ("80/tcp") that are published on one of the host's
// which the engine chooses; all says that whatever is exposed is published so.
func (b Blueprint) RandomPorts() (ports []string, all bool) {
	if b.NetworkMode == "host" || b.NetworkMode == "none" || strings.HasPrefix(b.NetworkMode, "container:") {
		return nil, false
	}
	random := map[string]bool{}
	bindings := read[map[string][]struct{ HostPort string }](b.Inspect.HostConfig, "PortBindings")
	for port, hosts := range bindings {
		random[port] = len(hosts) == 0
		for _, h := range hosts {
			if h.HostPort == "" || h.HostPort == "0" || strings.Contains(h.HostPort, "-") { // a range
				random[port] = true
			}
		}
	}
	all = read[bool](b.Inspect.HostConfig, "PublishAllPorts")
	for port := range read[map[string]json.RawMessage](b.Inspect.Config, "ExposedPorts") {
		if _, bound := bindings[port]; all && !bound {
			random[port] = true
		}
	}
	maps.DeleteFunc(random, func(_ string, is bool) bool { return !is })
	return slices.Sorted(maps.Keys(random)), all
}
