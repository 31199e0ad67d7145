package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"net/url"
	"os"
	"strings"

	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/internal/hostpath"
)

// PathDoctor is one that knows where the program runs and which engine it
// speaks to. Shown are the folders whose content is shown: compose.path. The
// name is that of the program's looks at the host when it runs in no container.
//
// It is for one job: a container's mounts stay as they are, but an engine may
// come back as another one.
//
// Errors: dockercli.ErrUnavailable.
func PathDoctor(ctx context.Context, engine *dockercli.Client, shown []string, name string) (hostpath.Doctor, error) {
	view := &hostView{engine: engine, name: name}
	d := hostpath.Doctor{Shown: shown, Files: os.DirFS("/").(fs.ReadLinkFS), Engine: view}
	info := ownMountInfo()
	ids := containersIn(info)
	own, err := engine.Own(ctx, ids, info)
	switch {
	case err == nil:
		view.name, view.image = own.Name, own.ImageID
		for _, m := range own.Mounts {
			d.Mounts = append(d.Mounts, hostpath.Mount(m))
		}
		return d, nil
	case !errors.Is(err, dockercli.ErrNotFound):
		return d, err
	}
	socket := strings.HasPrefix(engine.Host(), "unix://") || strings.HasPrefix(engine.Host(), "npipe://")
	if len(ids) == 0 && socket {
		d.Local = true
		return d, nil
	}
	if socket || isLoopback(engine.Host()) {
		// Another engine's container, or one behind a tunnel: only if it has
		// the very same folders it is on this machine.
		if d.Local, err = confirmed(ctx, d); err != nil {
			return d, err
		}
	}
	d.Remote = !d.Local
	return d, nil
}

// ClearProbes removes the looks at the host that an earlier process of the same
// container, or name, hasn't come to the end of. It is for the start.
func ClearProbes(ctx context.Context, engine *dockercli.Client, name string) error {
	info := ownMountInfo()
	own, err := engine.Own(ctx, containersIn(info), info)
	switch {
	case err == nil:
		name = own.Name
	case !errors.Is(err, dockercli.ErrNotFound):
		return err
	}
	return engine.ClearProbes(ctx, name)
}

// confirmed reports whether the engine's host has all the folders that are
// shown; that it can't be told is no.
func confirmed(ctx context.Context, d hostpath.Doctor) (bool, error) {
	for _, folder := range d.Shown {
		same, err := d.Confirm(ctx, folder)
		switch {
		case errors.Is(err, dockercli.ErrUnavailable):
			return false, err
		case !same:
			return false, nil
		}
	}
	return len(d.Shown) > 0, nil
}

// isLoopback reports whether an engine's address is one of this machine.
func isLoopback(host string) bool {
	u, err := url.Parse(host)
	if err != nil {
		return false
	}
	addr, err := netip.ParseAddr(u.Hostname())
	return u.Hostname() == "localhost" || err == nil && addr.IsLoopback()
}

// hostView looks at the engine's host, from an image that the engine has: the
// program's own, or the smallest.
type hostView struct {
	engine *dockercli.Client
	name   string
	image  string
}

func (v *hostView) Stat(ctx context.Context, hostPath string) (hostpath.Stat, error) {
	if err := v.findImage(ctx); err != nil {
		return hostpath.Stat{}, err
	}
	f, err := v.engine.ProbePath(ctx, hostPath, dockercli.ProbeOptions{Owner: v.name, Image: v.image})
	if errors.Is(err, dockercli.ErrNoFile) || errors.Is(err, dockercli.ErrNotFolder) {
		return hostpath.Stat{}, nil
	}
	if err != nil {
		return hostpath.Stat{}, err
	}
	return hostpath.Stat{Exists: true, Mode: f.Mode, ModTime: f.ModTime}, nil
}

func (v *hostView) findImage(ctx context.Context) error {
	if v.image != "" {
		return nil
	}
	all, err := v.engine.Images(ctx)
	if err != nil {
		return err
	}
	smallest := int64(-1)
	for _, i := range all {
		if smallest < 0 || i.SizeBytes < smallest {
			v.image, smallest = i.ID, i.SizeBytes
		}
	}
	if v.image == "" {
		return fmt.Errorf("look at the engine's host: the engine has no image to do it with; pull any")
	}
	return nil
}
