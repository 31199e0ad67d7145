package dockercli

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// addMounts sorts what is mounted: by whom it was asked for.
func (c *Client) addMounts(ctx context.Context, b *Blueprint, r container.InspectResponse) error {
	inherited, err := c.mountsOf(ctx, r.HostConfig.VolumesFrom)
	if err != nil {
		return err
	}
	asked, declared := askedMounts(b.Inspect.HostConfig), cleanPaths(read[fields](b.Inspect.ImageConfig, "Volumes"))
	own := cleanPaths(read[fields](b.Inspect.Config, "Volumes"))
	for _, m := range r.Mounts {
		mount := Mount{
			Type: string(m.Type), Name: volumeName(m), Source: m.Source, Destination: m.Destination, Driver: m.Driver, ReadOnly: !m.RW,
		}
		name, explicit := asked[path.Clean(m.Destination)]
		switch {
		case explicit:
			mount.Anonymous = m.Type == "volume" && (name == "" || madeUp(name))
		case inherited[m.Destination] == m.Name+m.Source, m.Type == "volume" && !own[path.Clean(m.Destination)]:
			mount.Inherited = true
		case m.Type == "volume":
			mount.Anonymous = true
		}
		mount.FromImage = mount.Anonymous && (!explicit || madeUp(name)) && declared[path.Clean(m.Destination)]
		b.Mounts = append(b.Mounts, mount)
	}
	slices.SortFunc(b.Mounts, func(x, y Mount) int { return strings.Compare(x.Destination, y.Destination) })
	return nil
}

// volumeName is a volume's name. Newer engines don't show it for one that is
// anonymous among the binds; there it is known by its place, D/volumes/NAME/_data.
func volumeName(m container.MountPoint) string {
	if m.Name == "" && m.Type == "volume" && path.Base(m.Source) == "_data" {
		return path.Base(path.Dir(m.Source))
	}
	return m.Name
}

// mountsOf are the mounts of those that a container has volumes from, by
// destination: name and source. One that is gone has none; the engine will
// say so itself when the container is made again.
func (c *Client) mountsOf(ctx context.Context, volumesFrom []string) (map[string]string, error) {
	all := map[string]string{}
	for _, v := range volumesFrom {
		peer, _, _ := strings.Cut(v, ":")
		res, err := c.sdk().ContainerInspect(ctx, peer, client.ContainerInspectOptions{})
		if errdefs.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, m := range res.Container.Mounts {
			all[m.Destination] = m.Name + m.Source
		}
	}
	return all, nil
}

// askedMounts are the places of Binds and Mounts, with the name or source
// that stands there, which is empty for an anonymous volume.
func askedMounts(host fields) map[string]string {
	asked := map[string]string{}
	for _, bind := range read[[]string](host, "Binds") {
		source, place := cutBind(bind)
		asked[path.Clean(place)] = source
	}
	for _, m := range read[[]fields](host, "Mounts") {
		asked[path.Clean(read[string](m, "Target"))] = read[string](m, "Source")
	}
	return asked
}

// cutBind reads "source:place[:mode]", or "place" for an anonymous volume.
func cutBind(bind string) (source, place string) {
	parts := strings.SplitN(bind, ":", 3)
	if len(parts) == 1 {
		return "", parts[0]
	}
	return parts[0], parts[1]
}

// madeUp recognises the name of an anonymous volume: 64 hexadecimal digits.
// One that is mounted by such a name got there when a container was made
// again, by us or by Compose.
func madeUp(name string) bool {
	return len(name) == 64 && strings.Trim(name, "0123456789abcdef") == ""
}

// keepVolumes mounts the anonymous volumes again, by their names, which is
// how their data stays. One that the old image declared, the new one doesn't,
// and the user didn't ask for is left out, as it would be by a create from
// the new image; the warning says where the data is.
func (b Blueprint) keepVolumes(host fields, newImage fields) (warnings []string) {
	declared := cleanPaths(read[fields](newImage, "Volumes"))
	asked := askedMounts(host)
	binds, mounts := read[[]string](host, "Binds"), read[[]fields](host, "Mounts")
	for _, m := range b.Mounts {
		if !m.Anonymous || m.Name == "" {
			continue
		}
		place := path.Clean(m.Destination)
		_, explicit := asked[place]
		switch {
		case m.FromImage && !declared[place]:
			binds = slices.DeleteFunc(binds, func(s string) bool { return explicit && isBindAt(s, place) })
			mounts = slices.DeleteFunc(mounts, func(f fields) bool { return explicit && isMountAt(f, place) })
			warnings = append(warnings, fmt.Sprintf(
				"the new image declares no volume at %s any more; its data stays in volume %s, which isn't mounted", m.Destination, m.Name))
		case explicit:
			nameBind(binds, place, m.Name)
			nameMount(mounts, place, m.Name)
		default:
			mounts = append(mounts, volumeMount(m, read[string](host, "VolumeDriver")))
		}
	}
	setList(host, "Binds", binds)
	setList(host, "Mounts", mounts)
	return warnings
}

func isBindAt(bind, place string) bool {
	_, at := cutBind(bind)
	return path.Clean(at) == place
}

func isMountAt(m fields, place string) bool { return path.Clean(read[string](m, "Target")) == place }

func nameBind(binds []string, place, name string) {
	for i, bind := range binds {
		if source, _ := cutBind(bind); source == "" && isBindAt(bind, place) {
			binds[i] = name + ":" + bind
		}
	}
}

func nameMount(mounts []fields, place, name string) {
	for i, m := range mounts {
		if isMountAt(m, place) && read[string](m, "Source") == "" {
			m = maps.Clone(m)
			write(m, "Source", name)
			mounts[i] = m
		}
	}
}

// volumeMount is a mount by name. The driver is named where the container
// has one for all its volumes, which doesn't hold for mounts by name.
func volumeMount(m Mount, driver string) fields {
	f := fields{}
	write(f, "Type", "volume")
	write(f, "Source", m.Name)
	write(f, "Target", m.Destination)
	if driver != "" && m.Driver != "" {
		write(f, "VolumeOptions", map[string]any{"DriverConfig": map[string]string{"Name": m.Driver}})
	}
	return f
}

// setList leaves a list that was null, missing or empty, and is empty, as it was.
func setList[T any](host fields, name string, list []T) {
	if len(list) > 0 {
		write(host, name, list)
	} else if len(read[[]json.RawMessage](host, name)) > 0 {
		delete(host, name)
	}
}
