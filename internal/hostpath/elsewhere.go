package hostpath

import (
	"context"
	"fmt"
	"io/fs"
	"path"
)

// elsewhere is for a path that leads into a mount which has another path on
// the engine's host.
func (d Doctor) elsewhere(f Finding, m Mount, h hop, w walk) Finding {
	f.State, f.Refuse, f.Code = Elsewhere, true, CodeElsewhere
	f.File = w.err == nil && !w.info.IsDir()
	f.Host, _ = d.Mounts.Host(h.path())
	where := f.Host + " on the host"
	switch {
	case m.Type == Volume:
		where = "in the volume " + m.Name
	case f.Host == "":
		where = "in a tmpfs of its container"
	}
	f.Message = fmt.Sprintf("The engine would mount its host's own %s, which isn't what Watch Docker sees there: that is %s.", h.path(), where)
	if h.path() != path.Clean(f.Path) {
		f.Message = fmt.Sprintf("%s leads to %s. %s", f.Path, h.path(), f.Message)
	}
	f.Suggestion = d.mend(m, h.path())
	return f
}

// what a mount is, in a sentence.
func (m Mount) what() string {
	switch {
	case m.Type == Volume:
		return "the volume " + m.Name
	case m.Source == "":
		return "a tmpfs"
	}
	return m.Source + " of the host"
}

// mend names the mount with which a path of ours would be the engine's as well.
func (d Doctor) mend(m Mount, ours string) string {
	root := d.shown(ours)
	switch {
	case m.Type == Bind && root != "" && Within(root, m.Destination):
		host := move(root, m.Destination, m.Source)
		return fmt.Sprintf("Mount the folder at the path that it has on the host: -v %[1]s:%[1]s instead of -v %[2]s:%[3]s, and set compose.path to %[1]s.", host, m.Source, m.Destination) +
			except(host != m.Source, m)
	case m.Type == Bind:
		return fmt.Sprintf("Write the host's path in the Compose file (%s), or mount it into Watch Docker's container at that path: -v %[2]s:%[2]s instead of -v %[2]s:%[3]s.",
			move(ours, m.Destination, m.Source), m.Source, m.Destination)
	case root != "":
		return fmt.Sprintf("compose.path must be a folder of the host, mounted at the same path: move the projects to one, such as /srv/stacks, mount it with -v /srv/stacks:/srv/stacks instead of %s at %s, and set compose.path to it.", m.what(), m.Destination)
	}
	return fmt.Sprintf("Write a path of the host in the Compose file, outside of %s.", m.Destination)
}

// except says that a mount may stay when only a folder in it is mounted anew.
func except(part bool, m Mount) string {
	if !part {
		return ""
	}
	return fmt.Sprintf(" (or the whole of it: -v %[1]s:%[1]s)", m.Source)
}

// shown is the folder among Shown that a path lies in; empty if none.
func (d Doctor) shown(ours string) string {
	longest := ""
	for _, folder := range d.Shown {
		if Within(ours, folder) && len(path.Clean(folder)) > len(longest) {
			longest = path.Clean(folder)
		}
	}
	return longest
}

// foreign is for a path that leads to where nothing of the host is mounted: the
// engine has its own there.
func (d Doctor) foreign(ctx context.Context, f Finding, s Source, h hop, w walk) Finding {
	if s.Home && !d.Remote {
		f.State, f.Refuse, f.Code = Elsewhere, true, CodeHome
		f.Message = fmt.Sprintf("~ is the home folder of Watch Docker in its container (%s), not that of a user of the host.", f.Path)
		f.Suggestion = "Write the folder's whole path instead of ~."
		return f
	}
	if seen, ok := d.besides(h); ok {
		f.Host, f.Ours = h.path(), seen.end()
		if seen.missing() {
			return missing(f, s, seen)
		}
		f.State, f.File = Same, seen.info != nil && !seen.info.IsDir()
		return f
	}
	f.Host = h.path()
	has := d.hasContent(w)
	there, err := d.ask(ctx, h.path())
	switch root := d.shown(path.Clean(f.Path)); {
	case err != nil:
		return d.unchecked(f, root, has, err)
	case !there.Exists && has:
		return d.wouldBeEmpty(f, root, s)
	case !there.Exists:
		return missing(f, s, walk{dangling: w.dangling})
	case has && root != "":
		f.State, f.Refuse, f.Code = Elsewhere, true, CodeElsewhere
		f.Message = fmt.Sprintf("The engine would mount its host's own %s, which isn't the one that Watch Docker sees and shows.", f.Path)
		f.Suggestion = d.mount(root)
	default:
		f.State, f.Code = Unseen, CodeUnseen
		f.Message = fmt.Sprintf("The engine's host has %s; Watch Docker doesn't see it.", f.Path)
	}
	f.File = !there.Mode.IsDir()
	return f
}

// besides looks for a path of the host where we see it at another place. One
// that leads through links isn't found: they would lead elsewhere here.
func (d Doctor) besides(h hop) (walk, bool) {
	ours, ok := d.Mounts.Ours(h.path())
	if !ok {
		return walk{}, false
	}
	w := follow(d.Files, ours)
	_, covered := d.Mounts.below(ours)
	return w, len(w.hops) == 1 && !covered && (w.err == nil || w.missing())
}

func (d Doctor) ask(ctx context.Context, host string) (Stat, error) {
	if d.Engine == nil {
		return Stat{}, fmt.Errorf("there is no image at the engine to look with")
	}
	return d.Engine.Stat(ctx, host)
}

func (d Doctor) unchecked(f Finding, root string, has bool, err error) Finding {
	f.State, f.Code = Unseen, CodeUnchecked
	f.Message = fmt.Sprintf("Watch Docker doesn't see %s of the engine's host, and couldn't ask the engine about it: %v.", f.Path, err)
	if f.Refuse = has && root != ""; f.Refuse {
		f.Suggestion = d.mount(root)
	}
	return f
}

func (d Doctor) wouldBeEmpty(f Finding, root string, s Source) Finding {
	f.State, f.Refuse, f.Code = Elsewhere, true, CodeWouldBeEmpty
	f.Message = fmt.Sprintf("The engine's host has no %s: the engine would mount a new, empty folder instead of what Watch Docker sees there.", f.Path)
	if !s.CreateHostPath {
		f.Message = fmt.Sprintf("The engine's host has no %s, though Watch Docker sees it: the engine can't mount it.", f.Path)
	}
	f.Suggestion = d.mount(root)
	if root == "" {
		f.Suggestion = "Write a path of the engine's host."
	}
	return f
}

// mount names the mount that a folder which we show lacks altogether.
func (d Doctor) mount(root string) string {
	if d.Remote {
		return "The engine is another machine: run Watch Docker there, or write paths in the Compose file that it has."
	}
	return fmt.Sprintf("Mount the folder of the host at the same path into Watch Docker's container: -v %[1]s:%[1]s.", root)
}

// hasContent reports whether we see something that would be missed: a file, or
// a folder that isn't empty. What can't be looked at counts.
func (d Doctor) hasContent(w walk) bool {
	switch {
	case w.missing():
		return false
	case w.err != nil || !w.info.IsDir():
		return true
	}
	entries, err := fs.ReadDir(d.Files, inside(w.end()))
	return err != nil || len(entries) > 0
}

// Holds reports whether mounting a path gives away a folder of ours, such as
// our own state: it is the folder, lies in it, or has it somewhere in it. Both
// are taken as we see them and as the engine's host does; a path that is the
// host's alone counts as well. An engine on another machine has nothing of ours.
func (d Doctor) Holds(name, folder string) bool {
	if d.Remote {
		return false
	}
	for _, a := range d.names(name) {
		for _, b := range d.names(folder) {
			if Within(a, b) || Within(b, a) {
				return true
			}
		}
	}
	return false
}

// HoldsVolume reports whether a volume has our folder in it, or a part of it.
func (d Doctor) HoldsVolume(volume, folder string) bool {
	for _, name := range d.names(folder) {
		for _, m := range d.Mounts {
			if m.Type == Volume && m.Name == volume && (Within(name, m.Destination) || Within(m.Destination, name)) {
				return true
			}
		}
	}
	return false
}

// names are all the paths that something is known by, here and there.
func (d Doctor) names(name string) []string {
	all := []string{path.Clean(name)}
	for _, h := range follow(d.Files, path.Clean(name)).hops {
		all = append(all, h.path())
	}
	for _, ours := range all[:len(all):len(all)] {
		if host, ok := d.Host(ours); ok {
			all = append(all, host)
		}
		if here, ok := d.Ours(ours); ok {
			all = append(all, here)
		}
	}
	return all
}

// Confirm reports whether the engine's host has the very folder that we see at
// a path which should be the same there: one with the same type, permissions
// and time of change. It finds what the list of mounts doesn't tell: an engine
// in a virtual machine or a snap, a service with a file system of its own.
// False and no error: it has another one, or none.
func (d Doctor) Confirm(ctx context.Context, folder string) (bool, error) {
	w := follow(d.Files, path.Clean(folder))
	if w.err != nil {
		return false, fmt.Errorf("look at %s: %w", folder, w.err)
	}
	there, err := d.ask(ctx, path.Clean(folder))
	if err != nil || !there.Exists {
		return false, err
	}
	return there.Mode == w.info.Mode() && there.ModTime.Equal(w.info.ModTime()), nil
}
