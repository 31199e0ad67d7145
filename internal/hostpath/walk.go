package hostpath

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"syscall"
)

// maxLinks is how many links a path may lead through, as with Linux.
const maxLinks = 40

// errLoop: links that lead to one another.
var errLoop = errors.New("too many levels of symbolic links")

// A hop is a place that a path leads through: a link, or its end.
type hop struct {
	at   string // the link itself; at the end, the whole path
	rest string // what follows it, so that at and rest are the path as it is there
}

func (h hop) path() string { return path.Join(h.at, h.rest) }

// A walk is a path followed through its links.
type walk struct {
	hops []hop // the last one is the end
	info fs.FileInfo
	err  error // that it isn't there is fs.ErrNotExist
	// dangling: what isn't there is what a link names. The engine creates no
	// folder for such a path, and doesn't start the container.
	dangling bool
}

func (w walk) end() string   { return w.hops[len(w.hops)-1].at }
func (w walk) missing() bool { return errors.Is(w.err, fs.ErrNotExist) }

// follow walks a clean, absolute path as we see it. Links that lead to what
// isn't there are followed as well: what they name counts, and the engine may
// have it.
func follow(files fs.ReadLinkFS, name string) walk {
	var w walk
	at, todo, links, after := "/", split(name), 0, 0
	for len(todo) > 0 {
		next, rest := path.Join(at, todo[0]), todo[1:]
		info, err := files.Lstat(inside(next))
		if errors.Is(err, syscall.ENOTDIR) {
			err = fmt.Errorf("%w: %w: %s is a file", fs.ErrNotExist, err, at)
		}
		if err != nil {
			w.hops = append(w.hops, hop{at: path.Join(append([]string{next}, rest...)...)})
			w.err, w.dangling = err, links > 0 && len(rest) >= after
			return w
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			at, todo, w.info = next, rest, info
			continue
		}
		target, err := files.ReadLink(inside(next))
		if links++; links > maxLinks {
			err = errLoop
		}
		w.hops = append(w.hops, hop{at: next, rest: strings.Join(rest, "/")})
		if err != nil {
			w.err = err
			return w
		}
		if path.IsAbs(target) {
			at = "/"
		}
		after = len(rest)
		todo, w.info = slices.Concat(split(target), rest), nil
	}
	w.hops = append(w.hops, hop{at: at})
	if w.info == nil { // the root, or a way back to a folder that was seen
		w.info, w.err = files.Lstat(inside(at))
	}
	return w
}

func split(name string) []string {
	return slices.DeleteFunc(strings.Split(name, "/"), func(part string) bool { return part == "" || part == "." })
}

// inside is an absolute path as io/fs has it.
func inside(name string) string {
	if name = strings.TrimPrefix(path.Clean(name), "/"); name != "" {
		return name
	}
	return "."
}
