package imagefile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// errMissing says that there is no such file, or no more.
var errMissing = errors.New("it is not there")

// maxFile is the largest file that is read, in bytes.
const maxFile = 2 << 20

// open gives the root that a file is below, and its name there.
func (f *Files) open(path string) (*os.Root, string, error) {
	for _, configured := range f.roots {
		root, err := filepath.Abs(configured)
		if err != nil {
			continue
		}
		for _, seen := range []string{root, resolved(root)} {
			name, err := filepath.Rel(seen, filepath.Clean(path))
			if err != nil || name == "." || !filepath.IsLocal(name) {
				continue
			}
			r, err := os.OpenRoot(root)
			if err != nil {
				return nil, "", fmt.Errorf("compose.path %s can't be opened: %w", root, err)
			}
			return r, name, nil
		}
	}
	return nil, "", fmt.Errorf("%s is not under compose.path", path)
}

func resolved(path string) string {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return path
	}
	return real
}

// read reads a file, which has to be one that can be written as well.
func (f *Files) read(path string) ([]byte, error) {
	root, name, err := f.open(path)
	if err != nil {
		return nil, err
	}
	defer root.Close() //nolint:errcheck // nothing was written through it
	info, err := root.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s: %w", path, errMissing)
	case err != nil:
		return nil, fmt.Errorf("%s can't be read: %w", path, err)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is a link or no file", path)
	case info.Size() > maxFile:
		return nil, fmt.Errorf("%s is larger than %d MiB", path, maxFile>>20)
	}
	file, err := root.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("%s can't be written: %w", path, err)
	}
	defer file.Close() //nolint:errcheck // it was only read
	content, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("%s can't be read: %w", path, err)
	}
	return content, nil
}

// write puts a new file in the place of one that has this hash, with its mode
// and owner, and to the disk: whoever reads it sees the one or the other.
func (f *Files) write(path string, content []byte, before string) (err error) {
	root, name, err := f.open(path)
	if err != nil {
		return err
	}
	defer root.Close() //nolint:errcheck // nothing was written through it
	defer func() {
		if err != nil {
			err = fmt.Errorf("%s can't be written: %w", path, err)
		}
	}()
	info, err := root.Lstat(name)
	if err != nil {
		return err
	}
	beside := besides(name)
	if err := unlessMissing(root.Remove(beside)); err != nil {
		return err
	}
	if err := writeBeside(root, beside, content, info); err != nil {
		return errors.Join(err, unlessMissing(root.Remove(beside)))
	}
	// The last look, so that the moment in which another's change is lost is short.
	if now, err := f.read(path); err != nil || sum(now) != before {
		return errors.Join(err, ErrChanged, root.Remove(beside))
	}
	if err := root.Rename(beside, name); err != nil {
		return errors.Join(err, root.Remove(beside))
	}
	return syncFolder(root, filepath.Dir(name))
}

// besides is where a file is written before it takes another's place: always
// the same, so that what a crash has left is found again.
func besides(name string) string {
	return filepath.Join(filepath.Dir(name), "."+filepath.Base(name)+".watch-docker")
}

// sweep removes what a crash has left beside a file.
func (f *Files) sweep(path string) error {
	root, name, err := f.open(path)
	if err != nil {
		return err
	}
	defer root.Close() //nolint:errcheck // nothing was written through it
	return unlessMissing(root.Remove(besides(name)))
}

func unlessMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func writeBeside(root *os.Root, name string, content []byte, like fs.FileInfo) error {
	file, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	return errors.Join(err, giveAway(file, like), file.Chmod(like.Mode().Perm()), file.Sync(), file.Close())
}

func syncFolder(root *os.Root, name string) error {
	folder, err := root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
