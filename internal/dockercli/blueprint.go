package dockercli

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/watch-docker/watch-docker/internal/image"
)

// Blueprint is everything that is needed to make a container again. It is
// kept in the journal as JSON, so that a container that is gone (--rm, an
// engine restart) can be made anew. It holds the container's environment, and
// with it its secrets: it belongs nowhere but there.
type Blueprint struct {
	ID       string         `json:"id"`
	Name     string         `json:"name"`               // without the leading slash
	ImageRef string         `json:"imageRef"`           // the reference that the user wrote
	ImageID  string         `json:"imageId"`            // what it was made from: "sha256:…"
	Manifest string         `json:"manifest,omitempty"` // digest of the platform's manifest; containerd store alone
	Platform image.Platform `json:"platform"`
	// ImageGone: the image it was made from isn't there any more, so that its
	// defaults can't be told from what the user set, and are kept.
	ImageGone bool `json:"imageGone,omitempty"`

	State         string            `json:"state"` // as Container.State
	ExitCode      int               `json:"exitCode"`
	RestartPolicy RestartPolicy     `json:"restartPolicy"`
	AutoRemove    bool              `json:"autoRemove,omitempty"` // --rm
	StopTimeout   time.Duration     `json:"stopTimeout"`          // the container's own, else the engine's 10 s; negative: for ever
	Labels        map[string]string `json:"labels,omitempty"`     // all, the image's included
	ImageLabels   map[string]string `json:"imageLabels,omitempty"`
	Health        *HealthCheck      `json:"health,omitempty"` // nil: none, or disabled

	NetworkMode string     `json:"networkMode"`
	Networks    []string   `json:"networks,omitempty"` // names
	Mounts      []Mount    `json:"mounts,omitempty"`
	Uses        []Relation `json:"uses,omitempty"` // other containers that it can't be without

	// Inspect is the engine's own words, that Create works from.
	Inspect Inspection `json:"inspect"`
}

// HealthCheck is a container's check as the engine applies it: its own
// settings, the image's, and the engine's defaults.
type HealthCheck struct {
	Interval    time.Duration `json:"interval"`
	Timeout     time.Duration `json:"timeout"`
	StartPeriod time.Duration `json:"startPeriod"`
	Retries     int           `json:"retries"`
}

// Longest is how long it can take at most until a check has said healthy or
// unhealthy.
func (h HealthCheck) Longest() time.Duration {
	return h.StartPeriod + time.Duration(h.Retries)*(h.Interval+h.Timeout)
}

// Mount is something mounted into a container.
type Mount struct {
	Type        string `json:"type"`           // "bind", "volume", "tmpfs", "npipe", "cluster", "image"
	Name        string `json:"name,omitempty"` // a volume's
	Source      string `json:"source,omitempty"`
	Destination string `json:"destination"`
	Driver      string `json:"driver,omitempty"` // a volume's
	ReadOnly    bool   `json:"readOnly,omitempty"`
	Anonymous   bool   `json:"anonymous,omitempty"` // a volume that the engine named
	FromImage   bool   `json:"fromImage,omitempty"` // one of those because the image declares it, and the user didn't ask for it
	Inherited   bool   `json:"inherited,omitempty"` // through --volumes-from
}

// Relation is another container that a container names.
type Relation struct {
	Kind string `json:"kind"` // "network", "ipc", "pid", "volumes", "link"
	// Container is as the engine has it: an id for the namespaces, a name or id for volumes and links.
	Container string `json:"container"`
}

// Inspection holds what the engine said, unread: opaque to others.
type Inspection struct {
	Config      map[string]json.RawMessage            `json:"config"` // without a host name that the engine made up
	HostConfig  map[string]json.RawMessage            `json:"hostConfig"`
	Networks    map[string]map[string]json.RawMessage `json:"networks,omitempty"`
	ImageConfig map[string]json.RawMessage            `json:"imageConfig,omitempty"`
	MACs        map[string]string                     `json:"macs,omitempty"` // those that the user set, by network
}

// Blueprint takes down how a container was made: two to four requests, and
// one for each container that it has volumes from. A swarm's task is
// ErrSwarmTask.
func (c *Client) Blueprint(ctx context.Context, id string) (Blueprint, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	doing := "take down the configuration of container " + short(id)
	res, err := c.sdk().ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	if err != nil {
		return Blueprint{}, c.wrap(doing, err)
	}
	if res.Container.Config.Labels[swarmTaskLabel] != "" {
		return Blueprint{}, fmt.Errorf("%s: %w", doing, ErrSwarmTask)
	}
	b, err := draft(res)
	if err != nil {
		return Blueprint{}, fmt.Errorf("%s: %w", doing, err)
	}
	for _, step := range []func(context.Context, *Blueprint, container.InspectResponse) error{
		c.addImage, c.addMACs, c.addMounts, c.dropHostname,
	} {
		if err := step(ctx, &b, res.Container); err != nil {
			return Blueprint{}, c.wrap(doing, err)
		}
	}
	return b, nil
}

const swarmTaskLabel = "com.docker.swarm.task.id"

// draft is what the inspect alone tells.
func draft(res client.ContainerInspectResult) (Blueprint, error) {
	var raw struct {
		Config, HostConfig fields
		NetworkSettings    struct{ Networks map[string]fields }
	}
	if err := json.Unmarshal(res.Raw, &raw); err != nil {
		return Blueprint{}, err
	}
	s, cfg := stateOf(res.Container), res.Container.Config
	b := Blueprint{
		ID: s.ID, Name: s.Name, ImageRef: cfg.Image, ImageID: s.ImageID,
		State: s.State, ExitCode: s.ExitCode, RestartPolicy: s.RestartPolicy, AutoRemove: s.AutoRemove,
		StopTimeout: 10 * time.Second, Labels: cfg.Labels, Health: effectiveHealth(cfg.Healthcheck),
		NetworkMode: string(res.Container.HostConfig.NetworkMode),
		Networks:    slices.Sorted(maps.Keys(raw.NetworkSettings.Networks)),
		Uses:        relations(res.Container.HostConfig),
		Inspect:     Inspection{Config: raw.Config, HostConfig: raw.HostConfig, Networks: raw.NetworkSettings.Networks},
	}
	if cfg.StopTimeout != nil {
		b.StopTimeout = time.Duration(*cfg.StopTimeout) * time.Second
	}
	if d := res.Container.ImageManifestDescriptor; d != nil {
		b.Manifest = d.Digest.String()
		if d.Platform != nil {
			b.Platform = image.Platform{OS: d.Platform.OS, Architecture: d.Platform.Architecture, Variant: d.Platform.Variant}
		}
	}
	return b, nil
}

// effectiveHealth fills in the engine's defaults (daemon/health.go): 30 s,
// 30 s, none, 3.
func effectiveHealth(h *container.HealthConfig) *HealthCheck {
	if h == nil || len(h.Test) == 0 || h.Test[0] == "NONE" {
		return nil
	}
	e := HealthCheck{Interval: h.Interval, Timeout: h.Timeout, StartPeriod: h.StartPeriod, Retries: h.Retries}
	if e.Interval == 0 {
		e.Interval = 30 * time.Second
	}
	if e.Timeout == 0 {
		e.Timeout = 30 * time.Second
	}
	if e.Retries == 0 {
		e.Retries = 3
	}
	return &e
}

// relations are the other containers that this one names.
func relations(h *container.HostConfig) []Relation {
	var uses []Relation
	for _, ns := range []struct{ kind, mode string }{
		{"network", string(h.NetworkMode)}, {"ipc", string(h.IpcMode)}, {"pid", string(h.PidMode)},
	} {
		if peer, ok := strings.CutPrefix(ns.mode, "container:"); ok {
			uses = append(uses, Relation{Kind: ns.kind, Container: peer})
		}
	}
	for _, v := range h.VolumesFrom {
		peer, _, _ := strings.Cut(v, ":")
		uses = append(uses, Relation{Kind: "volumes", Container: peer})
	}
	for _, l := range h.Links {
		peer, _, _ := strings.Cut(strings.TrimPrefix(l, "/"), ":")
		uses = append(uses, Relation{Kind: "link", Container: peer})
	}
	return uses
}

// addImage takes down the defaults of the image that the container was made
// from. It is asked for by its id: its tag may name a newer one by now.
func (c *Client) addImage(ctx context.Context, b *Blueprint, _ container.InspectResponse) error {
	img, err := c.inspectImage(ctx, b.ImageID, b.Platform)
	if errdefs.IsNotFound(err) {
		b.ImageGone = true
		return nil
	}
	if err != nil {
		return err
	}
	b.Inspect.ImageConfig = img.config
	b.ImageLabels = read[map[string]string](img.config, "Labels")
	if b.Platform == (image.Platform{}) {
		b.Platform = img.platform
	}
	return nil
}

// dropHostname forgets a host name that the engine made up: from the
// container's id, or in the host's or another container's namespace from
// there. Sent back, it would be frozen, or refused together with the mode.
func (c *Client) dropHostname(ctx context.Context, b *Blueprint, r container.InspectResponse) error {
	made := r.Config.Hostname == b.ID[:12] || r.HostConfig.UTSMode.IsHost() || r.HostConfig.NetworkMode.IsContainer()
	if !made && r.HostConfig.NetworkMode.IsHost() {
		info, err := c.sdk().Info(ctx, client.InfoOptions{})
		if err != nil {
			return err
		}
		made = r.Config.Hostname == info.Info.Name
	}
	if made {
		delete(b.Inspect.Config, "Hostname")
	}
	if r.HostConfig.NetworkMode.IsContainer() {
		delete(b.Inspect.Config, "Domainname") // the peer's, since the last start
	}
	return nil
}
