package dockercli

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// What the calls about a container's files say besides the errors of every call.
var (
	// ErrNoFile: there is nothing by that path.
	ErrNoFile = errors.New("there is no such file or folder in the container")
	// ErrReadOnly: it is on a file system that is mounted read-only.
	ErrReadOnly = errors.New("it is mounted read-only")
	// ErrNotFolder: a part of the path is no folder.
	ErrNotFolder = errors.New("it is no folder")
	// ErrVirtual: the path leads to /proc, or out of the container by a process's root there.
	ErrVirtual = errors.New("there are no files in /proc, /sys and /dev")
	// ErrIsFolder: it is a folder.
	ErrIsFolder = errors.New("it is a folder")
	// ErrNotAFile: it is a link, a device, a pipe or a socket.
	ErrNotAFile = errors.New("it is something else than a file")
	// ErrNoTool: the image has no program to do it with.
	ErrNoTool = errors.New("the image has no program for that")
)

// File is a file, folder or link in a container.
type File struct {
	Name    string
	Mode    fs.FileMode // with its type
	Size    int64
	ModTime time.Time
	Target  string // of a link
	// UID and GID are -1 where they aren't known.
	UID, GID int
}

// FileStat tells about one path; a link at its end isn't followed, those on
// the way are, by the engine, which takes the container's root for theirs.
//
// Errors: ErrNoFile, ErrNotFolder, ErrVirtual, ErrNotFound (no such container), ErrUnavailable.
func (c *Client) FileStat(ctx context.Context, id, name string) (File, error) {
	doing := "look at " + name + " in container " + short(id)
	if isVirtual(name) {
		return File{}, fmt.Errorf("%s: %w", doing, ErrVirtual)
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	res, err := c.sdk().ContainerStatPath(ctx, id, client.ContainerStatPathOptions{Path: name})
	if err != nil {
		return File{}, c.wrapFile(ctx, id, doing, err)
	}
	return fileOf(res.Stat), nil
}

func fileOf(s container.PathStat) File {
	return File{Name: s.Name, Mode: s.Mode, Size: s.Size, ModTime: s.Mtime.UTC(), Target: s.LinkTarget, UID: -1, GID: -1}
}

// isVirtual reports whether a clean path is in a file system that the kernel makes up.
func isVirtual(name string) bool {
	for _, folder := range []string{"/proc", "/sys", "/dev"} {
		if name == folder || strings.HasPrefix(name, folder+"/") {
			return true
		}
	}
	return false
}

// wrapFile is wrap for what is wrong with a path. The engine has one status for
// a container and for a file that isn't there.
func (c *Client) wrapFile(ctx context.Context, id, doing string, err error) error {
	err = c.wrap(doing, err)
	text := err.Error()
	switch {
	case errors.Is(err, ErrNotFound):
		if _, gone := c.Inspect(ctx, id); gone == nil {
			return fmt.Errorf("%s: %w", doing, ErrNoFile)
		}
	case strings.Contains(text, "read-only"), strings.Contains(text, "is marked read-only"):
		return fmt.Errorf("%w: %w", ErrReadOnly, err)
	case strings.Contains(text, "not a directory"), strings.Contains(text, "extraction point is not a directory"):
		return fmt.Errorf("%w: %w", ErrNotFolder, err)
	case strings.Contains(text, "resource busy"):
		return fmt.Errorf("%w: it is a mount of its own, which can't be replaced: %w", ErrConflict, err)
	}
	return err
}

// Archive is a stream of files in the tar format; Close ends it.
type Archive struct {
	io.ReadCloser
	File // what it is of
}

// FileArchive gives a file or a folder with all that is in it, as tar. A link is
// in it as a link. Errors: as FileStat.
func (c *Client) FileArchive(ctx context.Context, id, name string) (*Archive, error) {
	doing := "read " + name + " in container " + short(id)
	if isVirtual(name) {
		return nil, fmt.Errorf("%s: %w", doing, ErrVirtual)
	}
	res, err := c.sdk().CopyFromContainer(ctx, id, client.CopyFromContainerOptions{SourcePath: name})
	if err != nil {
		return nil, c.wrapFile(ctx, id, doing, err)
	}
	return &Archive{ReadCloser: res.Content, File: fileOf(res.Stat)}, nil
}

// OpenFile opens a file for reading; of anything else only what it is comes
// back, and the content is nil. Errors: as FileStat.
func (c *Client) OpenFile(ctx context.Context, id, name string) (File, io.ReadCloser, error) {
	a, err := c.FileArchive(ctx, id, name)
	if err != nil {
		return File{}, nil, err
	}
	r := tar.NewReader(a)
	head, err := r.Next()
	if err != nil {
		return File{}, nil, errors.Join(fmt.Errorf("read %s in container %s: %w", name, short(id), err), a.Close())
	}
	f := headed(head)
	if !f.Mode.IsRegular() {
		return f, nil, a.Close()
	}
	return f, struct {
		io.Reader
		io.Closer
	}{r, a}, nil
}

func headed(head *tar.Header) File {
	info := head.FileInfo()
	f := File{Name: path.Base(path.Clean("/" + head.Name)), Mode: info.Mode(), Size: head.Size, ModTime: head.ModTime.UTC(), UID: head.Uid, GID: head.Gid}
	if head.Typeflag == tar.TypeSymlink {
		f.Target = head.Linkname
	}
	if head.Typeflag == tar.TypeLink { // one of several names of a file
		f.Mode &= fs.ModePerm
	}
	return f
}

// WriteFile puts a file in its place at once: a file that was there keeps its
// owner, group and mode; a new one belongs to its folder's owner, mode 0644.
//
// Errors: as FileStat; ErrReadOnly, ErrIsFolder, ErrNotAFile.
func (c *Client) WriteFile(ctx context.Context, id, name string, content io.Reader, size int64) error {
	doing := "write " + name + " in container " + short(id)
	head := &tar.Header{Typeflag: tar.TypeReg, Name: path.Base(name), Size: size, Mode: 0o644, ModTime: time.Now().Truncate(time.Second), Format: tar.FormatPAX}
	was, err := c.headOf(ctx, id, name)
	switch {
	case err == nil && was.Mode.IsDir():
		return fmt.Errorf("%s: %w", doing, ErrIsFolder)
	case err == nil && !was.Mode.IsRegular():
		return fmt.Errorf("%s: %w", doing, ErrNotAFile)
	case err == nil:
		head.Uid, head.Gid, head.Mode = was.UID, was.GID, unixMode(was.Mode)
	case errors.Is(err, ErrNoFile):
		folder, err := c.headOf(ctx, id, strings.TrimSuffix(path.Dir(name), "/")+"/.") // of the folder that a link leads to
		if err != nil {
			return err
		}
		if folder.Mode.IsDir() {
			head.Uid, head.Gid = folder.UID, folder.GID
		}
	default:
		return err
	}
	read, write := io.Pipe()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		w := tar.NewWriter(write)
		err := w.WriteHeader(head)
		if err == nil {
			_, err = io.Copy(w, content)
		}
		if err == nil {
			err = w.Close()
		}
		_ = write.CloseWithError(err)
	}()
	_, err = c.sdk().CopyToContainer(ctx, id, client.CopyToContainerOptions{DestinationPath: path.Dir(name), Content: read})
	_ = read.Close()
	<-sent
	if err != nil {
		return c.wrapFile(ctx, id, doing, err)
	}
	return nil
}

// headOf is FileStat with the owner. Of what follows in the archive, little is read.
func (c *Client) headOf(ctx context.Context, id, name string) (File, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	f, content, err := c.OpenFile(ctx, id, name)
	if content != nil {
		err = errors.Join(err, content.Close())
	}
	return f, err
}

// unixMode is a mode as tar has it.
func unixMode(m fs.FileMode) int64 {
	mode := int64(m.Perm())
	for bit, unix := range map[fs.FileMode]int64{fs.ModeSetuid: 0o4000, fs.ModeSetgid: 0o2000, fs.ModeSticky: 0o1000} {
		if m&bit != 0 {
			mode |= unix
		}
	}
	return mode
}
