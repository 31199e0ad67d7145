package dockercli

import (
	"bytes"
	"context"
	"encoding/json"
	"path"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	mobyimage "github.com/moby/moby/api/types/image"
	"github.com/moby/moby/client"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/watch-docker/watch-docker/internal/image"
)

// At create the engine merges what the user said with the image's defaults
// (daemon/commit.go, merge), and keeps only the result. withoutDefaults goes
// the other way: what equals the old image's default is taken out, so that
// the new image's comes in its place. A setting that the user made to the
// very same value as the image's can't be told from the default, and counts
// as one; but for a variable of the environment, see usersEnv.

// withoutDefaults is a container's configuration without its image's part.
// Published ports stay exposed: it was the client that exposed them.
func withoutDefaults(config, img, published fields) fields {
	out := fields{}
	for name, value := range config {
		out[name] = value
	}
	if img == nil {
		return out
	}
	dropCommand(out, img)
	dropEnv(out, img)
	dropLabels(out, img)
	dropPorts(out, img, published)
	dropVolumes(out, img)
	dropHealthcheck(out, img)
	for _, name := range []string{"User", "StopSignal"} {
		if read[string](out, name) == read[string](img, name) {
			delete(out, name)
		}
	}
	// The engine cleans the container's, and leaves the image's as it is.
	if dir := read[string](img, "WorkingDir"); dir != "" && path.Clean(dir) == path.Clean(read[string](out, "WorkingDir")) {
		delete(out, "WorkingDir")
	}
	return out
}

// dropCommand: the image's Cmd comes in only if the user set no entrypoint,
// and the entrypoint that the user emptied ("" on the command line) is null
// in the inspect, where "[]" is one that came so through the API.
func dropCommand(out, img fields) {
	entrypoint, cmd := read[[]string](out, "Entrypoint"), read[[]string](out, "Cmd")
	imgEntrypoint, imgCmd := read[[]string](img, "Entrypoint"), read[[]string](img, "Cmd")
	inherited := slices.Equal(entrypoint, imgEntrypoint) && (len(cmd) > 0 || len(imgCmd) == 0)
	switch {
	case inherited:
		delete(out, "Entrypoint")
	case entrypoint == nil:
		write(out, "Entrypoint", []string{""})
	}
	if (inherited || entrypoint != nil && len(entrypoint) == 0) && slices.Equal(cmd, imgCmd) {
		delete(out, "Cmd")
	}
}

func dropEnv(out, img fields) {
	write(out, "Env", usersEnv(read[[]string](out, "Env"), read[[]string](img, "Env")))
}

// usersEnv is the part of an environment that the user set. The engine puts
// the user's variables first, and after them those of the image's that the
// user didn't set, in the image's order: so one that was set to the image's
// own value shows by its place. Where the user's are the image's first ones,
// or all of them (tools that copy a container send all), it doesn't, and what
// equals a default counts as one.
func usersEnv(env, defaults []string) []string {
	key := func(variable string) string { name, _, _ := strings.Cut(variable, "="); return name }
	set := map[string]bool{}
	for i, variable := range env {
		rest := slices.DeleteFunc(slices.Clone(defaults), func(d string) bool { return set[key(d)] })
		if slices.Equal(env[i:], rest) {
			return slices.Clone(env[:i])
		}
		set[key(variable)] = true
	}
	return slices.DeleteFunc(slices.Clone(env), func(e string) bool { return slices.Contains(defaults, e) })
}

func dropLabels(out, img fields) {
	labels := read[map[string]string](out, "Labels")
	for name, value := range read[map[string]string](img, "Labels") {
		if have, ok := labels[name]; ok && have == value {
			delete(labels, name)
		}
	}
	write(out, "Labels", labels)
}

func dropPorts(out, img, published fields) {
	ports := read[fields](out, "ExposedPorts")
	for port := range read[fields](img, "ExposedPorts") {
		if _, ok := published[port]; !ok {
			delete(ports, port)
		}
	}
	if len(ports) == 0 {
		delete(out, "ExposedPorts")
		return
	}
	write(out, "ExposedPorts", ports)
}

func dropVolumes(out, img fields) {
	declared := cleanPaths(read[fields](img, "Volumes"))
	volumes := read[fields](out, "Volumes")
	for place := range volumes {
		if declared[path.Clean(place)] {
			delete(volumes, place)
		}
	}
	if len(volumes) == 0 {
		delete(out, "Volumes")
		return
	}
	write(out, "Volumes", volumes)
}

// cleanPaths are the keys of a set of paths, in the form that mounts have.
func cleanPaths(set fields) map[string]bool {
	paths := map[string]bool{}
	for p := range set {
		paths[path.Clean(p)] = true
	}
	return paths
}

// dropHealthcheck goes field by field, as the merge does: a user may have set
// the interval alone.
func dropHealthcheck(out, img fields) {
	check := read[fields](out, "Healthcheck")
	for name, value := range read[fields](img, "Healthcheck") {
		if sameJSON(check[name], value) {
			delete(check, name)
		}
	}
	if len(check) == 0 {
		delete(out, "Healthcheck")
		return
	}
	write(out, "Healthcheck", check)
}

func sameJSON(a, b json.RawMessage) bool {
	var left, right bytes.Buffer
	return json.Compact(&left, a) == nil && json.Compact(&right, b) == nil && bytes.Equal(left.Bytes(), right.Bytes())
}

// imageInspection is what recreating needs to know of an image.
type imageInspection struct {
	id        string
	config    fields
	platform  image.Platform
	manifests map[string]image.Platform // digests of the platforms' manifests; containerd store alone
	created   string
	layers    []string // diff ids
}

// inspectImage asks for an image. Its configuration is that of the platform,
// as far as the engine can choose: the containerd store holds several in one
// image, and shows the host's unless told otherwise (API 1.49).
func (c *Client) inspectImage(ctx context.Context, ref string, p image.Platform) (imageInspection, error) {
	img, err := c.inspectImageWith(ctx, ref, client.ImageInspectWithManifests(true))
	if err != nil || p == (image.Platform{}) || img.platform.Normalize() == p.Normalize() || !c.speaks(platformInspectAPI) {
		return img, err
	}
	spec := ocispec.Platform{OS: p.OS, Architecture: p.Architecture, Variant: p.Variant}
	one, err := c.inspectImageWith(ctx, ref, client.ImageInspectWithPlatform(&spec))
	if errdefs.IsNotFound(err) {
		return img, nil // not there for this platform; a create will say so
	}
	one.id, one.manifests = img.id, img.manifests // it shows the manifest's digest as the image's id
	return one, err
}

func (c *Client) inspectImageWith(ctx context.Context, ref string, o client.ImageInspectOption) (imageInspection, error) {
	var buf bytes.Buffer
	options := []client.ImageInspectOption{client.ImageInspectWithRawResponse(&buf)}
	if c.speaks(manifestsAPI) {
		options = append(options, o)
	}
	res, err := c.sdk().ImageInspect(ctx, ref, options...)
	if err != nil {
		return imageInspection{}, err
	}
	var raw struct{ Config fields }
	if err := json.Unmarshal(buf.Bytes(), &raw); err != nil {
		return imageInspection{}, err
	}
	if raw.Config == nil {
		raw.Config = fields{}
	}
	img := imageInspection{
		id: res.ID, config: raw.Config, manifests: map[string]image.Platform{},
		platform: image.Platform{OS: res.Os, Architecture: res.Architecture, Variant: res.Variant},
		created:  res.Created, layers: res.RootFS.Layers,
	}
	for _, m := range res.Manifests {
		if m.Kind != mobyimage.ManifestKindImage || !m.Available {
			continue
		}
		p := img.platform
		if m.ImageData != nil {
			of := m.ImageData.Platform
			p = image.Platform{OS: of.OS, Architecture: of.Architecture, Variant: of.Variant}
		}
		img.manifests[m.Descriptor.Digest.String()] = p
	}
	return img, nil
}

// manifest is the digest of the manifest that a container for this platform
// would run; empty where the engine doesn't tell.
func (i imageInspection) manifest(p image.Platform) string {
	var digests []string
	var platforms []image.Platform
	for digest, have := range i.manifests {
		digests, platforms = append(digests, digest), append(platforms, have)
	}
	if best := p.Best(platforms); best >= 0 {
		return digests[best]
	}
	return ""
}

// maskedByDefault says whether a list of masked or read-only paths is the
// engine's own. Only "none at all" can be asked for on a command line
// (systempaths=unconfined), and the engine's list grows with its security
// fixes: an older one, sent back, would leave the new container without them.
func maskedByDefault(paths []string) bool {
	has := func(p string) bool { return slices.Contains(paths, p) }
	masked := has("/proc/kcore") && has("/proc/timer_list") && has("/sys/firmware")
	readonly := has("/proc/bus") && has("/proc/fs") && has("/proc/irq") && has("/proc/sys") && has("/proc/sysrq-trigger")
	return (masked || readonly) && !slices.ContainsFunc(paths, func(p string) bool {
		return !strings.HasPrefix(p, "/proc/") && !strings.HasPrefix(p, "/sys/")
	})
}
