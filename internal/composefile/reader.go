package composefile

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Why a file isn't read.
var (
	errOutside = errors.New("outside of the root")
	errTooBig  = errors.New("too big")
	errMany    = errors.New("too many files")
	errNoFile  = errors.New("not a regular file")
)

// reader reads files of the root and nothing else, whatever links lie in it.
type reader struct {
	src    Source
	root   *os.Root
	real   string // the root without links
	total  int64
	opened []string          // in order, once each
	have   map[string][]byte // their content: the same each time, whatever happens meanwhile
}

func openReader(s Source) (*reader, error) {
	real, err := filepath.EvalSymlinks(s.Root)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSource, err)
	}
	root, err := os.OpenRoot(real)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSource, err)
	}
	r := &reader{src: s, root: root, real: real, have: map[string][]byte{}}
	if _, err := r.within(s.Dir); err != nil {
		_ = root.Close()
		return nil, fmt.Errorf("%w: %s is not in %s", ErrSource, s.Dir, s.Root)
	}
	return r, nil
}

func (r *reader) close() { _ = r.root.Close() }

// within gives a path relative to the root, with all links followed: of what
// isn't there, those of the folders that are. An absolute link is followed,
// too, if it stays inside, which os.Root wouldn't do.
func (r *reader) within(path string) (string, error) {
	if strings.ContainsRune(path, 0) {
		return "", errOutside
	}
	path = filepath.Clean(path)
	if !under(r.src.Root, path) && !under(r.real, path) {
		return "", errOutside
	}
	missing := ""
	for at := path; ; at = filepath.Dir(at) {
		real, err := filepath.EvalSymlinks(at)
		if errors.Is(err, fs.ErrNotExist) && at != filepath.Dir(at) {
			if info, err := os.Lstat(at); err == nil && info.Mode()&fs.ModeSymlink != 0 {
				return "", errOutside // a link to nowhere: nobody knows what it leads to tomorrow
			}
			missing = filepath.Join(filepath.Base(at), missing)
			continue
		}
		if err != nil {
			return "", err
		}
		real = filepath.Join(real, missing)
		if !under(r.real, real) {
			return "", errOutside
		}
		return filepath.Rel(r.real, real)
	}
}

// under says whether a path is a folder or something in it, by its words.
func under(folder, path string) bool {
	rel, err := filepath.Rel(folder, path)
	return err == nil && filepath.IsLocal(rel)
}

// read gives a file's content, or what replaces it.
func (r *reader) read(path string) ([]byte, error) {
	if content, ok := r.have[path]; ok {
		return content, nil
	}
	rel, err := r.within(path)
	if err != nil {
		return nil, err
	}
	if len(r.opened) >= maxFiles {
		return nil, errMany
	}
	content, replaced := r.replaced(path)
	if !replaced {
		if content, err = r.open(rel); err != nil {
			return nil, err
		}
	}
	if len(content) > maxFile || r.total+int64(len(content)) > maxTotal {
		return nil, errTooBig
	}
	r.total += int64(len(content))
	r.opened, r.have[path] = append(r.opened, path), content
	return content, nil
}

func (r *reader) replaced(path string) ([]byte, bool) {
	for name, content := range r.src.Replace {
		if filepath.Join(r.src.Dir, name) == path {
			return content, true
		}
	}
	return nil, false
}

// open reads without waiting: opening a pipe would, until somebody writes.
func (r *reader) open(rel string) ([]byte, error) {
	f, err := r.root.OpenFile(rel, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errNoFile
	}
	return io.ReadAll(io.LimitReader(f, maxFile+1))
}

// isFile says whether there is a file, and not a folder or nothing.
func (r *reader) isFile(path string) bool {
	if _, ok := r.replaced(path); ok {
		return true
	}
	rel, err := r.within(path)
	if errors.Is(err, errOutside) {
		return true // it is there; that it is a link out is for read to say
	}
	if err != nil {
		return false
	}
	info, err := r.root.Stat(rel)
	return err == nil && !info.IsDir()
}

// refuse makes a problem of a file that can't be read; what is how a sentence
// about it starts ("The file that web extends").
func (c *checker) refuse(err error, what, path string, at Place) {
	name := c.name(path)
	switch {
	case errors.Is(err, errOutside):
		c.problem("outside_root", at, "%s, %s, is outside of %s, or a link that leads out of it. Put it inside.", what, name, c.src.Root)
	case errors.Is(err, errTooBig):
		c.problem("too_big", at, "%s, %s, is too big: a file may have 2 MiB, all together 16 MiB.", what, name)
	case errors.Is(err, errMany):
		c.problem("too_many_files", at, "The project has more than %d files.", maxFiles)
	case errors.Is(err, errNoFile):
		c.problem("not_a_file", at, "%s, %s, is a folder or something else than a file.", what, name)
	case errors.Is(err, fs.ErrNotExist):
		c.problem("not_found", at, "%s, %s, is not there.", what, name)
	case errors.Is(err, fs.ErrPermission):
		c.problem("not_readable", at, "%s, %s, may not be read by Watch Docker. Change its mode or owner.", what, name)
	default:
		c.problem("not_readable", at, "%s, %s, can't be read: %v.", what, name, errors.Unwrap(err))
	}
}

func compare(a, b string) int { return cmp.Compare(a, b) }

func byPlace(a, b Place) int {
	return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
}
