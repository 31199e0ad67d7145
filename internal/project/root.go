package project

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// MaxFile is how big a file may be that is read or saved.
const MaxFile = 2 << 20

// mostLinks bounds the symbolic links on the way to a file.
const mostLinks = 40

// within opens a folder of compose.path for one piece of work: a handle that
// was kept would show what was there before it was mounted anew.
func (s *Service) within(i int, do func(r *os.Root) error) error {
	r, err := os.OpenRoot(s.roots[i])
	if err != nil {
		return because(ErrNoRoot, err, "The folder %s of compose.path can't be opened: %s.", s.roots[i], plain(err))
	}
	return errors.Join(do(r), r.Close())
}

// plain is an error without the path, which the sentence around it has.
func plain(err error) string {
	var e *fs.PathError
	if errors.As(err, &e) {
		return e.Err.Error()
	}
	var l *os.LinkError
	if errors.As(err, &l) {
		return l.Err.Error()
	}
	return err.Error()
}

// resolve follows the links of a name below the root, of which none may lead
// out, to a name without links. What isn't there yet stays as it is.
func resolve(r *os.Root, name string) (string, error) {
	pending, done, links := strings.Split(name, "/"), []string(nil), 0
	for len(pending) > 0 {
		part := pending[0]
		pending = pending[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			if len(done) == 0 {
				return "", refuse(ErrOutside, "%s leads out of %s.", name, r.Name())
			}
			done = done[:len(done)-1]
			continue
		}
		at := path.Join(path.Join(done...), part)
		info, err := r.Lstat(at)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", because(ErrNoFile, err, "%s can't be reached: %s.", name, plain(err))
		}
		if err != nil || info.Mode()&fs.ModeSymlink == 0 {
			done = append(slices.Clip(done), part)
			continue
		}
		target, err := r.Readlink(at)
		if links++; err != nil || links > mostLinks || path.IsAbs(filepath.ToSlash(target)) {
			return "", because(ErrOutside, err, "%s is a symbolic link to %s: only relative links within %s are followed.", at, target, r.Name())
		}
		pending = slices.Concat(strings.Split(filepath.ToSlash(target), "/"), pending)
	}
	return path.Join(done...), nil
}

// load reads a regular file of at most MaxFile. It opens nothing else: the
// opening of a pipe would wait, that of a device might do something.
func load(r *os.Root, name string) ([]byte, fs.FileInfo, error) {
	real, err := resolve(r, name)
	if err != nil {
		return nil, nil, err
	}
	info, err := r.Lstat(real)
	if err != nil {
		return nil, nil, unread(name, err)
	}
	if !info.Mode().IsRegular() {
		return nil, nil, refuse(ErrNotRegular, "%s is %s, not a file.", name, what(info.Mode()))
	}
	f, err := r.OpenFile(real, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, unread(name, err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	if info, err = f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, nil, refuse(ErrNotRegular, "%s is no longer a file.", name)
	}
	content, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	if err != nil {
		return nil, nil, unread(name, err)
	}
	if len(content) > MaxFile {
		return nil, nil, refuse(ErrTooBig, "%s has more than %d bytes, which is the most that is read.", name, MaxFile)
	}
	return content, info, nil
}

func unread(name string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return because(ErrNoFile, err, "There is no file %s.", name)
	}
	return because(ErrNoFile, err, "%s can't be read: %s.", name, plain(err))
}

func what(m fs.FileMode) string {
	switch {
	case m.IsDir():
		return "a folder"
	case m&fs.ModeNamedPipe != 0:
		return "a pipe"
	case m&fs.ModeSocket != 0:
		return "a socket"
	case m&fs.ModeDevice != 0:
		return "a device"
	}
	return "something else"
}

// relative is to as seen from the folder from; both are clean and below one root.
func relative(from, to string) string {
	rel, err := filepath.Rel(filepath.FromSlash("/"+from), filepath.FromSlash("/"+to))
	if err != nil {
		return to // never: both are absolute
	}
	return filepath.ToSlash(rel)
}
