package dockercli

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// Own is the container that this program runs in.
type Own struct {
	ID      string
	Name    string // without the leading slash
	ImageID string // "sha256:…"
	Mounts  []OwnMount
}

// OwnMount is one of its mounts, as the engine has it.
type OwnMount struct {
	Type        string // "bind", "volume", "tmpfs", …
	Name        string // a volume's
	Source      string // on the engine's host; empty for a tmpfs
	Destination string
	RW          bool
	Propagation string
}

// Own finds the container that this program runs in: one with one of these
// ids, or one that has its network from such a one, since then all that the
// kernel shows of ids is the other's. Which of them it is, the mounts tell, as
// the kernel has them (/proc/self/mountinfo). One request for the list, and one
// for each container that it may be.
//
// Errors: ErrNotFound (this engine has no such container: the program runs in
// none, or in one of another engine), ErrUnavailable.
func (c *Client) Own(ctx context.Context, ids []string, mountinfo string) (Own, error) {
	const doing = "look for the container that this program runs in"
	if len(ids) == 0 {
		return Own{}, fmt.Errorf("%s: %w", doing, ErrNotFound)
	}
	candidates, err := c.ownCandidates(ctx, ids)
	if err != nil {
		return Own{}, err
	}
	found, err := choose(candidates, mountPoints(mountinfo))
	if err != nil {
		return Own{}, fmt.Errorf("%s: %w", doing, err)
	}
	return found, c.undoDesktop(ctx, found.Mounts)
}

func (c *Client) ownCandidates(ctx context.Context, ids []string) ([]Own, error) {
	list, err := c.Containers(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var out []Own
	for _, ct := range list {
		if ct.State != "running" || !slices.Contains(ids, ct.ID) && !slices.Contains(ids, ct.NetworkFrom) {
			continue
		}
		res, err := c.sdk().ContainerInspect(ctx, ct.ID, client.ContainerInspectOptions{})
		if err = c.wrap("inspect container "+short(ct.ID), err); errors.Is(err, ErrNotFound) {
			continue // gone since
		} else if err != nil {
			return nil, err
		}
		out = append(out, Own{ID: ct.ID, Name: ct.Name, ImageID: ct.ImageID, Mounts: ownMounts(res.Container)})
	}
	return out, nil
}

// ownMounts are all of a container's mounts. Those of --tmpfs stand in its
// settings alone.
func ownMounts(r container.InspectResponse) []OwnMount {
	var out []OwnMount
	for _, m := range r.Mounts {
		out = append(out, OwnMount{string(m.Type), m.Name, m.Source, path.Clean(m.Destination), m.RW, string(m.Propagation)})
	}
	if r.HostConfig != nil {
		for place := range r.HostConfig.Tmpfs {
			out = append(out, OwnMount{Type: "tmpfs", Destination: path.Clean(place), RW: true})
		}
	}
	slices.SortFunc(out, func(a, b OwnMount) int { return strings.Compare(a.Destination, b.Destination) })
	return out
}

// choose finds the container whose mounts are those of the kernel's list. Two
// that have the same ones are as good as one another.
func choose(candidates []Own, points map[string]string) (Own, error) {
	if len(candidates) == 0 {
		return Own{}, ErrNotFound
	}
	best := slices.MaxFunc(candidates, func(a, b Own) int { return a.fit(points) - b.fit(points) })
	for _, o := range candidates {
		if o.ID != best.ID && o.fit(points) == best.fit(points) && !slices.Equal(o.Mounts, best.Mounts) {
			return Own{}, fmt.Errorf("%w: it may be %s or %s", ErrNotFound, best.Name, o.Name)
		}
	}
	return best, nil
}

// fit counts what the kernel knows of a container's mounts, and takes off what
// it doesn't.
func (o Own) fit(points map[string]string) int {
	n := 0
	for _, m := range o.Mounts {
		root, there := points[m.Destination]
		switch {
		case !there:
			n -= 2
		case root != "/" && strings.HasSuffix(m.Source, root): // the folder within its file system
			n += 2
		default:
			n++
		}
	}
	return n
}

// mountPoints are those of a /proc/PID/mountinfo, each with the folder within
// the file system that is mounted there.
func mountPoints(mountinfo string) map[string]string {
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	points := map[string]string{}
	for line := range strings.Lines(mountinfo) {
		if f := strings.Fields(line); len(f) > 5 {
			points[unescape.Replace(f[4])] = unescape.Replace(f[3])
		}
	}
	return points
}

// undoDesktop gives the paths of Docker Desktop's host their own names: what is
// /Users/me there is /host_mnt/Users/me in the virtual machine, which an
// inspect may show. A create takes /Users/me.
func (c *Client) undoDesktop(ctx context.Context, mounts []OwnMount) error {
	const prefix = "/host_mnt"
	inMachine := func(m OwnMount) bool { return m.Type == "bind" && strings.HasPrefix(m.Source, prefix+"/") }
	if !slices.ContainsFunc(mounts, inMachine) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	info, err := c.sdk().Info(ctx, client.InfoOptions{})
	if err != nil {
		return c.wrap("ask the engine what it is", err)
	}
	for i, m := range mounts {
		if inMachine(m) && info.Info.OperatingSystem == "Docker Desktop" {
			mounts[i].Source = strings.TrimPrefix(m.Source, prefix)
		}
	}
	return nil
}
