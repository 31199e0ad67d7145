package hostpath

import (
	"path"
	"strings"
)

// The types of mounts that matter here, as the engine calls them.
const (
	Bind   = "bind"
	Volume = "volume"
	Tmpfs  = "tmpfs"
)

// Mount is one of our own container's mounts.
type Mount struct {
	Type        string // Bind, Volume, Tmpfs, or what else the engine has
	Name        string // of a volume
	Source      string // on the engine's host; empty for a tmpfs
	Destination string // with us
	RW          bool
	Propagation string // "rprivate", "rslave", "rshared" …
}

// same reports whether what is below the mount has the same path on both
// sides. A volume never has: the path of its folder is the engine's own affair.
func (m Mount) same() bool {
	return m.Type == Bind && path.Clean(m.Source) == path.Clean(m.Destination)
}

// Mounts are all of our own container's. The zero value is that of a program
// whose container the engine doesn't know.
type Mounts []Mount

// Host is the path on the engine's host of what we see at a path; false if
// that is in our container itself, or in a tmpfs.
func (ms Mounts) Host(ours string) (host string, ok bool) {
	m, ok := ms.over(ours)
	if !ok || m.Source == "" {
		return "", false
	}
	return move(ours, m.Destination, m.Source), true
}

// Ours is where we see a path of the engine's host; false if we don't, since
// no folder that it is in is mounted, or something else is mounted over it.
// Where it is seen at several places, its own path is preferred.
func (ms Mounts) Ours(host string) (ours string, ok bool) {
	host = path.Clean(host)
	longest := -1
	for _, m := range ms {
		// A volume's folder may be a part of it only, or another file system.
		if m.Type != Bind || !Within(host, m.Source) {
			continue
		}
		here := move(host, m.Source, m.Destination)
		if back, ok := ms.Host(here); !ok || back != host {
			continue // covered
		}
		if n := len(path.Clean(m.Source)); here == host || ours != host && n > longest {
			ours, longest = here, n
		}
	}
	return ours, longest >= 0
}

// over is the mount that a path of ours lies in: the one with the longest
// destination.
func (ms Mounts) over(ours string) (Mount, bool) {
	found, longest := Mount{}, -1
	for _, m := range ms {
		if n := len(path.Clean(m.Destination)); n > longest && Within(ours, m.Destination) {
			found, longest = m, n
		}
	}
	return found, longest >= 0
}

// below is a mount somewhere in a folder of ours that has another path on the
// host, so that the engine wouldn't mount it with the folder.
func (ms Mounts) below(ours string) (Mount, bool) {
	ours = path.Clean(ours)
	for _, m := range ms {
		if Within(m.Destination, ours) && path.Clean(m.Destination) != ours && !m.same() {
			return m, true
		}
	}
	return Mount{}, false
}

// Within reports whether a path is a folder or lies in it: /srv/a is in /srv,
// /srv2 isn't.
func Within(name, folder string) bool {
	name, folder = path.Clean(name), path.Clean(folder)
	if folder == "/" {
		return path.IsAbs(name)
	}
	rest, ok := strings.CutPrefix(name, folder)
	return ok && (rest == "" || rest[0] == '/')
}

// move is a path that lies in one folder, as it is in another.
func move(name, from, to string) string {
	return path.Join(to, strings.TrimPrefix(path.Clean(name), path.Clean(from)))
}
