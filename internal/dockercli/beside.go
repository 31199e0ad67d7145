package dockercli

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/moby/moby/client"
)

// BesideOptions say what CreateBeside makes.
type BesideOptions struct {
	Name    string
	ImageID string
	Cmd     []string // for the image's own entrypoint
	Labels  map[string]string
}

// besideSettings are those of a container that one beside it needs to see and
// reach the same: mounts, namespaces, rights, names.
func besideSettings() []string {
	return []string{
		"Binds", "Mounts", "Tmpfs", "VolumesFrom", "VolumeDriver", "NetworkMode", "ReadonlyRootfs", "Runtime",
		"GroupAdd", "SecurityOpt", "UsernsMode", "CapAdd", "CapDrop", "Privileged",
		"ExtraHosts", "Dns", "DnsOptions", "DnsSearch", "Links",
	}
}

// CreateBeside makes a container of another image that sees what a container
// sees: its mounts, its environment, its user, its networks. It publishes no
// ports, has no fixed address and none of the labels, isn't checked for health
// and isn't restarted. If it fails, nothing remains.
//
// Errors: ErrConflict (the name is taken), ErrNotFound (the image or a
// network), ErrUnavailable.
func (c *Client) CreateBeside(ctx context.Context, b Blueprint, o BesideOptions) (id string, err error) {
	ctx, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	doing := "create container " + o.Name
	version, err := c.version(ctx)
	if err != nil {
		return "", err
	}
	host := fields{}
	for _, name := range besideSettings() {
		if value, ok := b.Inspect.HostConfig[name]; ok && string(value) != "null" {
			host[name] = value
		}
	}
	adaptHost(host, CreateOptions{RestartPolicyNo: true})
	b.keepVolumes(host, b.Inspect.ImageConfig)
	body := map[string]any{
		"Image": o.ImageID, "Cmd": o.Cmd, "Labels": o.Labels, "Healthcheck": map[string]any{"Test": []string{"NONE"}},
		"Env": read[[]string](b.Inspect.Config, "Env"), "User": read[string](b.Inspect.Config, "User"), "HostConfig": host,
	}
	var made struct {
		ID string `json:"Id"`
	}
	if err := c.call(ctx, http.MethodPost, version, "/containers/create", url.Values{"name": {o.Name}}, body, &made); err != nil {
		return "", c.wrap(doing, err)
	}
	main := b.mainNetwork()
	for _, name := range b.Networks {
		if name == main || slices.Contains([]string{"host", "none"}, main) || strings.HasPrefix(main, "container:") {
			continue
		}
		if err := c.connect(ctx, version, name, made.ID, fields{}); err != nil {
			err = c.wrap(doing, err)
			return "", errors.Join(err, c.Remove(context.WithoutCancel(ctx), made.ID, RemoveOptions{Force: true, Volumes: true}))
		}
	}
	return made.ID, nil
}

// HasFile reports whether a container has a file at a place, also if it
// doesn't run. What is in its tmpfs mounts isn't seen.
func (c *Client) HasFile(ctx context.Context, id, place string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err := c.sdk().ContainerStatPath(ctx, id, client.ContainerStatPathOptions{Path: place})
	err = c.wrap("look for a file in container "+short(id), err)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}
