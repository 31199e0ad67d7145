package dockercli

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/watch-docker/watch-docker/internal/image"
)

// Container is one row of the engine's list.
type Container struct {
	ID      string // 64 hexadecimal digits
	Name    string // without the leading slash
	Image   string // the reference it was made from, or an image id: see image.IsID
	ImageID string // "sha256:…"
	// Manifest is the digest of the platform's manifest that it runs, and
	// Platform what that is for; empty where the engine doesn't tell (before
	// API 1.48, and always with the graph drivers).
	Manifest string
	Platform image.Platform

	State     string // "created", "running", "paused", "restarting", "removing", "exited", "dead"
	Health    string // "none", "starting", "healthy", "unhealthy"
	ExitCode  int    // of its last run, once it has ended or while it is restarted; else 0
	CreatedAt time.Time
	Labels    map[string]string
	Ports     []Port
	// NetworkFrom is the id of the container whose network namespace this one
	// lives in (network_mode: container:…), else empty.
	NetworkFrom string
	Mounts      []Mount // by type, name, source and destination alone
}

// Port is a port of the container and, if published, where.
type Port struct {
	IP       string // host address, empty if not published
	Private  uint16
	Public   uint16 // 0 if not published
	Protocol string // "tcp", "udp", "sctp"
}

// Containers lists all containers, stopped ones too, or those with these ids:
// one request. Those that are a look at the host (ProbePath) are left out.
func (c *Client) Containers(ctx context.Context, ids ...string) ([]Container, error) {
	all, err := c.allContainers(ctx, ids...)
	return slices.DeleteFunc(all, Container.isProbe), err
}

func (c *Client) allContainers(ctx context.Context, ids ...string) ([]Container, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	options := client.ContainerListOptions{All: true}
	if len(ids) > 0 {
		options.Filters = client.Filters{}.Add("id", ids...)
	}
	list, err := c.sdk().ContainerList(ctx, options)
	if err != nil {
		return nil, c.wrap("list containers", err)
	}
	out := make([]Container, len(list.Items))
	for i, s := range list.Items {
		out[i] = fromSummary(s)
	}
	return out, nil
}

// ConfiguredImage inspects a container for the reference that it was made
// from, which the list hides once the tag has moved: one request.
func (c *Client) ConfiguredImage(ctx context.Context, id string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	res, err := c.sdk().ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	if err != nil {
		return "", c.wrap("inspect container "+id, err)
	}
	return res.Container.Config.Image, nil
}

func fromSummary(s container.Summary) Container {
	c := Container{
		ID: s.ID, Name: name(s.Names), Image: s.Image, ImageID: s.ImageID,
		State: string(s.State), Health: health(s), ExitCode: exitCode(s.Status), Labels: s.Labels,
		CreatedAt: time.Unix(s.Created, 0).UTC(),
	}
	if peer, ok := strings.CutPrefix(s.HostConfig.NetworkMode, "container:"); ok {
		c.NetworkFrom = peer
	}
	if d := s.ImageManifestDescriptor; d != nil {
		c.Manifest = d.Digest.String()
		if d.Platform != nil {
			c.Platform = image.Platform{OS: d.Platform.OS, Architecture: d.Platform.Architecture, Variant: d.Platform.Variant}
		}
	}
	for _, m := range s.Mounts {
		c.Mounts = append(c.Mounts, Mount{Type: string(m.Type), Name: m.Name, Source: m.Source, Destination: m.Destination})
	}
	for _, p := range s.Ports {
		port := Port{Private: p.PrivatePort, Public: p.PublicPort, Protocol: p.Type}
		if p.IP.IsValid() {
			port.IP = p.IP.String()
		}
		c.Ports = append(c.Ports, port)
	}
	return c
}

// exitCode stands in the status line alone: "Exited (137) 3 minutes ago",
// "Restarting (1) 5 seconds ago".
func exitCode(status string) int {
	_, rest, _ := strings.Cut(status, " (")
	digits, _, closed := strings.Cut(rest, ")")
	code, err := strconv.Atoi(digits)
	if err != nil || !closed || !strings.HasPrefix(status, "Exited ") && !strings.HasPrefix(status, "Restarting ") {
		return 0
	}
	return code
}

// name picks the container's own name: with legacy links it has others, which
// hold a second slash ("/web/db").
func name(names []string) string {
	for _, n := range names {
		if n = strings.TrimPrefix(n, "/"); !strings.Contains(n, "/") {
			return n
		}
	}
	return ""
}

// health is a field from API 1.52 on; before, it stands in the status line:
// "Up 2 minutes (health: starting)", "Up 2 minutes (unhealthy)".
func health(s container.Summary) string {
	if s.Health != nil && s.Health.Status != "" {
		return string(s.Health.Status)
	}
	switch {
	case strings.HasSuffix(s.Status, "(healthy)"):
		return "healthy"
	case strings.HasSuffix(s.Status, "(unhealthy)"):
		return "unhealthy"
	case strings.HasSuffix(s.Status, "(health: starting)"):
		return "starting"
	}
	return "none"
}
