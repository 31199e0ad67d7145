package dockercli

import (
	"context"
	"fmt"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
)

// User is a container that uses a volume or a network, running or not.
type User struct {
	ID      string
	Name    string
	State   string
	Project string // Compose's
	Service string
	Place   string // of a volume: where it is mounted
}

// VolumeRow is one row of the list of volumes.
type VolumeRow struct {
	Name       string
	Driver     string
	Scope      string
	Mountpoint string
	CreatedAt  time.Time // zero if the engine doesn't say
	Labels     map[string]string
	Options    map[string]string
	Anonymous  bool // nobody gave it a name
	Unused     bool // the engine says that no container has it
	Users      []User
}

// anonymousLabel is on anonymous volumes of engines from 23 on.
const anonymousLabel = "com.docker.volume.anonymous"

// Volumes lists all volumes with the containers that use them: three requests.
func (c *Client) Volumes(ctx context.Context) ([]VolumeRow, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	// Unused first: one that gets a user in between is used then.
	unused, err := c.sdk().VolumeList(ctx, client.VolumeListOptions{Filters: client.Filters{}.Add("dangling", "true")})
	if err != nil {
		return nil, c.wrap("list unused volumes", err)
	}
	isUnused := map[string]bool{}
	for _, v := range unused.Items {
		isUnused[v.Name] = true
	}
	all, err := c.sdk().VolumeList(ctx, client.VolumeListOptions{})
	if err != nil {
		return nil, c.wrap("list volumes", err)
	}
	containers, err := c.sdk().ContainerList(ctx, client.ContainerListOptions{All: true})
	if err != nil {
		return nil, c.wrap("list containers", err)
	}
	users := map[string][]User{}
	for _, s := range containers.Items {
		for _, m := range s.Mounts {
			if name := volumeName(m); m.Type == "volume" && name != "" {
				u := userOf(s)
				u.Place = m.Destination
				users[name] = append(users[name], u)
			}
		}
	}
	rows := make([]VolumeRow, 0, len(all.Items))
	for _, v := range all.Items {
		_, said := v.Labels[anonymousLabel]
		rows = append(rows, VolumeRow{
			Name: v.Name, Driver: v.Driver, Scope: v.Scope, Mountpoint: v.Mountpoint, CreatedAt: engineTime(v.CreatedAt),
			Labels: v.Labels, Options: v.Options, Anonymous: said || madeUp(v.Name), Users: users[v.Name],
			Unused: isUnused[v.Name] && len(users[v.Name]) == 0,
		})
	}
	return rows, nil
}

func userOf(s container.Summary) User {
	return User{
		ID: s.ID, Name: name(s.Names), State: string(s.State),
		Project: s.Labels["com.docker.compose.project"], Service: s.Labels["com.docker.compose.service"],
	}
}

// RemoveVolume removes a volume that nobody uses; ErrConflict if somebody does.
func (c *Client) RemoveVolume(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	_, err := c.sdk().VolumeRemove(ctx, name, client.VolumeRemoveOptions{})
	return c.wrap("remove volume "+name, err)
}

// NetworkRow is one row of the list of networks.
type NetworkRow struct {
	ID         string
	Name       string
	Driver     string
	Scope      string // local, swarm, global
	CreatedAt  time.Time
	Internal   bool
	Attachable bool
	IPv6       bool
	ConfigOnly bool
	ConfigFrom string // the network whose configuration it has
	Subnets    []string
	Gateways   []string
	Labels     map[string]string
	Options    map[string]string
	Predefined bool // the engine's own, or Swarm's
	Users      []User
}

// Networks lists all networks with the containers that use them, also those
// that don't run, which the engine would leave without: two requests.
func (c *Client) Networks(ctx context.Context) ([]NetworkRow, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	list, err := c.sdk().NetworkList(ctx, client.NetworkListOptions{})
	if err != nil {
		return nil, c.wrap("list networks", err)
	}
	containers, err := c.sdk().ContainerList(ctx, client.ContainerListOptions{All: true})
	if err != nil {
		return nil, c.wrap("list containers", err)
	}
	rows := make([]NetworkRow, 0, len(list.Items))
	for _, n := range list.Items {
		row := networkRow(n)
		for _, s := range containers.Items {
			if attached(s, n) {
				row.Users = append(row.Users, userOf(s))
			}
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func networkRow(n network.Summary) NetworkRow {
	row := NetworkRow{
		ID: n.ID, Name: n.Name, Driver: n.Driver, Scope: n.Scope, CreatedAt: n.Created.UTC(), Internal: n.Internal, Attachable: n.Attachable,
		IPv6: n.EnableIPv6, ConfigOnly: n.ConfigOnly, ConfigFrom: n.ConfigFrom.Network, Labels: n.Labels, Options: n.Options,
		Predefined: n.Ingress || predefined(n.Name),
	}
	for _, cfg := range n.IPAM.Config {
		if cfg.Subnet.IsValid() {
			row.Subnets = append(row.Subnets, cfg.Subnet.String())
		}
		if cfg.Gateway.IsValid() {
			row.Gateways = append(row.Gateways, cfg.Gateway.String())
		}
	}
	return row
}

// predefined are the engine's own networks, which it can't be without, and
// those that a swarm makes for itself.
func predefined(name string) bool {
	switch name {
	case "bridge", "host", "none", "nat", "docker_gwbridge", "ingress":
		return true
	}
	return false
}

// attached reports whether a container is to be in a network: by its id, or by
// its name where the container hasn't been started since.
func attached(s container.Summary, n network.Summary) bool {
	if s.NetworkSettings == nil {
		return false
	}
	for name, e := range s.NetworkSettings.Networks {
		if e != nil && e.NetworkID != "" && e.NetworkID == n.ID || name == n.Name && (e == nil || e.NetworkID == "" || s.State != "running") {
			return true
		}
	}
	return false
}

// RemoveNetwork removes a network in which nobody runs; ErrConflict if somebody does.
func (c *Client) RemoveNetwork(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	_, err := c.sdk().NetworkRemove(ctx, id, client.NetworkRemoveOptions{})
	if errdefs.IsPermissionDenied(err) { // "has active endpoints", and the engine's own ones
		return fmt.Errorf("remove network %s: %w: %w", short(id), ErrConflict, said{err})
	}
	return c.wrap("remove network "+short(id), err)
}
