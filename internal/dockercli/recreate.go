package dockercli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/moby/moby/client"

	"github.com/watch-docker/watch-docker/internal/image"
)

// CreateOptions say in what a new container differs from its blueprint.
type CreateOptions struct {
	// Name is the new container's name; empty: the blueprint's.
	Name string
	// Image is the reference to create from, and what the new container says
	// it was made from; empty: the blueprint's.
	Image string
	// ImageID, if set, is what Image must name: when it names another image
	// (somebody moved the tag), nothing remains and the error is ErrImageMoved.
	ImageID string
	// RestartPolicyNo creates it with a policy that never restarts, for the time of a swap;
	// SetRestartPolicy gives it the blueprint's afterwards.
	RestartPolicyNo bool
	// Replace names containers that were recreated: old id (or name) to new
	// id, for namespaces and volumes that the blueprint shares with them.
	Replace map[string]string
	// ComposeModel is what `docker compose config --format json` tells of the
	// container's project (Blueprint.ComposeProject). With it, what Replace changes leaves a container of
	// Compose's as Compose would have made it; without it, or if it isn't what
	// the container was made from, there is a warning.
	ComposeModel []byte
}

// Create makes a container from a blueprint, without starting it: the same
// as the user's own create command would make from the image as it is now.
// Warnings are the engine's, and what the new image makes different. If it
// fails, nothing remains.
//
// Errors: ErrConflict (the name is taken), ErrNotFound (the image or a
// network isn't there), ErrImageMoved, ErrNoPlatform, ErrNoSpace,
// ErrUnavailable.
func (c *Client) Create(ctx context.Context, b Blueprint, o CreateOptions) (id string, warnings []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	if o.Name == "" {
		o.Name = b.Name
	}
	if o.Image == "" {
		o.Image = b.ImageRef
	}
	doing := "create container " + o.Name + " from " + o.Image
	p, err := c.plan(ctx, b, o)
	if err != nil {
		return "", nil, c.wrap(doing, err)
	}
	id, warnings, err = c.carryOut(ctx, p)
	if err == nil {
		return id, append(p.warnings, warnings...), nil
	}
	err = c.wrap(doing, err)
	if id != "" {
		// Volumes that are mounted by name, which the old container's are, stay.
		err = errors.Join(err, c.Remove(context.WithoutCancel(ctx), id, RemoveOptions{Force: true, Volumes: true}))
	}
	return "", warnings, err
}

// plan is a create as it will be sent.
type plan struct {
	version  string
	query    url.Values
	body     fields
	later    map[string]fields // networks to connect once it's made
	networks []string          // all that it shall be on
	wantID   string            // of the image; empty: any
	warnings []string
}

func (c *Client) plan(ctx context.Context, b Blueprint, o CreateOptions) (plan, error) {
	version, err := c.version(ctx)
	if err != nil {
		return plan{}, err
	}
	p := plan{version: version, query: url.Values{"name": {o.Name}}, networks: b.Networks, wantID: o.ImageID}
	own, err := c.ownPlatform(ctx)
	if err != nil {
		return plan{}, err
	}
	platform := foreign(b.Platform, own)
	if platform.OS != "" {
		p.query.Set("platform", platform.String())
	}
	img, err := c.inspectImage(ctx, o.Image, platform)
	if err != nil {
		return plan{}, err
	}
	if o.ImageID != "" && img.id != o.ImageID {
		return plan{}, fmt.Errorf("%w: %s, not %s", ErrImageMoved, img.id, o.ImageID)
	}
	if fits := []image.Platform{img.platform}; b.Platform.OS != "" && b.Platform.Best(fits) < 0 && own.Best(fits) < 0 {
		// The engine would only warn, and the container fail at its start.
		return plan{}, fmt.Errorf("%w: the image is for %s, the container for %s", ErrNoPlatform, img.platform, b.Platform)
	}
	p.body, p.later, p.warnings = b.request(version, img, o)
	return p, nil
}

// ownPlatform is what the engine runs without being asked.
func (c *Client) ownPlatform(ctx context.Context) (image.Platform, error) {
	v, err := c.sdk().ServerVersion(ctx, client.ServerVersionOptions{})
	return image.Platform{OS: v.Os, Architecture: v.Arch}.Normalize(), err
}

// foreign is a container's platform if it isn't the engine's own, so that it
// must be named; the zero value for what the engine chooses by itself.
func foreign(p, own image.Platform) image.Platform {
	have := p.Normalize()
	if p.OS == "" || have.OS == own.OS && have.Architecture == own.Architecture {
		return image.Platform{}
	}
	return p
}

// carryOut creates and attaches. An id comes back with an error too, as soon
// as there is something to remove.
func (c *Client) carryOut(ctx context.Context, p plan) (id string, warnings []string, err error) {
	var made struct {
		ID       string `json:"Id"`
		Warnings []string
	}
	if err := c.call(ctx, http.MethodPost, p.version, "/containers/create", p.query, p.body, &made); err != nil {
		return "", nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(p.later)) {
		if err := c.connect(ctx, p.version, name, made.ID, p.later[name]); err != nil {
			return made.ID, made.Warnings, err
		}
	}
	res, err := c.sdk().ContainerInspect(ctx, made.ID, client.ContainerInspectOptions{})
	if err != nil {
		return made.ID, made.Warnings, err
	}
	if p.wantID != "" && res.Container.Image != p.wantID {
		return made.ID, made.Warnings, fmt.Errorf("%w: %s, not %s", ErrImageMoved, res.Container.Image, p.wantID)
	}
	// The engine puts a container on its main network unasked, also one that
	// somebody has taken off it.
	for name := range res.Container.NetworkSettings.Networks {
		if !slices.Contains(p.networks, name) && len(p.networks) == 0 && name != "host" && name != "none" {
			_, err := c.sdk().NetworkDisconnect(ctx, name, client.NetworkDisconnectOptions{Container: made.ID, Force: true})
			if err != nil {
				return made.ID, made.Warnings, err
			}
		}
	}
	return made.ID, made.Warnings, nil
}

func (c *Client) connect(ctx context.Context, version, network, id string, endpoint fields) error {
	body := map[string]any{"Container": id, "EndpointConfig": endpoint}
	err := c.call(ctx, http.MethodPost, version, "/networks/"+network+"/connect", nil, body, nil)
	if err != nil {
		return fmt.Errorf("connect to network %s: %w", network, err)
	}
	return nil
}

// request is the body of the create, and the networks to connect after it.
func (b Blueprint) request(version string, img imageInspection, o CreateOptions) (body fields, later map[string]fields, warnings []string) {
	host := maps.Clone(b.Inspect.HostConfig)
	body = b.withoutDefaults()
	write(body, "Image", o.Image)
	b.composeLabels(body, img)
	if strings.HasPrefix(b.NetworkMode, "container:") {
		delete(body, "ExposedPorts") // the image's; the engine refuses them together with the mode
	}
	if mac := b.Inspect.MACs[b.mainNetwork()]; mac != "" && !atLeast(version, severalAPI) {
		write(body, "MacAddress", mac)
	}
	adaptHost(host, o)
	warnings = append(b.keepVolumes(host, img.config), b.lostAddresses()...)
	was, is := hashed{host: b.Inspect.HostConfig}, hashed{host: host}
	if o.Image != b.ImageRef {
		was.image, is.image = b.ImageRef, o.Image
	}
	if w := renewComposeHash(body, was, is, o.ComposeModel); w != "" {
		warnings = append(warnings, w)
	}
	atCreate, later := b.attachments(version)
	write(body, "HostConfig", host)
	write(body, "NetworkingConfig", map[string]any{"EndpointsConfig": atCreate})
	return body, later, warnings
}

// adaptHost brings what the engine shows into the form that it takes.
func adaptHost(host fields, o CreateOptions) {
	if links := read[[]string](host, "Links"); len(links) > 0 {
		for i, l := range links {
			links[i] = takenLink(l)
		}
		write(host, "Links", links)
	}
	for _, name := range []string{"NetworkMode", "IpcMode", "PidMode", "Cgroup"} {
		if peer, ok := strings.CutPrefix(read[string](host, name), "container:"); ok && o.Replace[peer] != "" {
			write(host, name, "container:"+o.Replace[peer])
		}
	}
	if from := read[[]string](host, "VolumesFrom"); len(from) > 0 {
		for i, v := range from {
			if peer, mode, _ := strings.Cut(v, ":"); o.Replace[peer] != "" {
				from[i] = strings.TrimSuffix(o.Replace[peer]+":"+mode, ":")
			}
		}
		write(host, "VolumesFrom", from)
	}
	// A container made without any policy restarts no more than one with "no".
	if policy := read[RestartPolicy](host, "RestartPolicy"); o.RestartPolicyNo && policy.Name != "" {
		write(host, "RestartPolicy", map[string]any{"Name": "no", "MaximumRetryCount": 0})
	}
	// An engine may hold both from a time when it accepted them together, and obeys the first.
	if read[int64](host, "NanoCpus") > 0 {
		write(host, "CpuPeriod", 0)
		write(host, "CpuQuota", 0)
	}
	for _, name := range []string{"MaskedPaths", "ReadonlyPaths"} {
		if maskedByDefault(read[[]string](host, name)) {
			delete(host, name)
		}
	}
}

// takenLink makes "peer:alias" of "/peer:/self/alias", which is how the
// engine shows its own book of links.
func takenLink(shown string) string {
	peer, alias, ok := strings.Cut(shown, ":")
	if !ok || !strings.HasPrefix(shown, "/") {
		return shown
	}
	return strings.TrimPrefix(peer, "/") + ":" + alias[strings.LastIndex(alias, "/")+1:]
}
