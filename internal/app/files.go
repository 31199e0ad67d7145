package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/watch-docker/watch-docker/internal/api"
	"github.com/watch-docker/watch-docker/internal/dockercli"
)

// files implements api.Files.
type files struct{ ports }

func (f files) ListFiles(ctx context.Context, id, folder string) ([]api.File, bool, error) {
	rows, cut, err := f.engine.ListFiles(ctx, id, folder)
	if err != nil {
		return nil, false, filed(err)
	}
	list := make([]api.File, len(rows))
	for i, r := range rows {
		list[i] = fileOf(r)
	}
	return list, cut, nil
}

func (f files) OpenFile(ctx context.Context, id, name string) (api.File, io.ReadCloser, error) {
	row, content, err := f.engine.OpenFile(ctx, id, name)
	return fileOf(row), content, filed(err)
}

func (f files) FileArchive(ctx context.Context, id, name string) (io.ReadCloser, error) {
	archive, err := f.engine.FileArchive(ctx, id, name)
	if err != nil {
		return nil, filed(err)
	}
	return archive, nil
}

func (f files) WriteFile(ctx context.Context, id, name string, content io.Reader, size int64) error {
	release, err := f.hold(id)
	if err != nil {
		return err
	}
	defer release()
	return filed(f.engine.WriteFile(ctx, id, name, content, size))
}

func (f files) RemoveFile(ctx context.Context, id, name string, recursive bool) error {
	release, err := f.hold(id)
	if err != nil {
		return err
	}
	defer release()
	return filed(f.engine.RemoveFile(ctx, id, name, recursive))
}

func fileOf(f dockercli.File) api.File {
	mode := uint32(f.Mode.Perm())
	for bit, unix := range map[fs.FileMode]uint32{fs.ModeSetuid: 0o4000, fs.ModeSetgid: 0o2000, fs.ModeSticky: 0o1000} {
		if f.Mode&bit != 0 {
			mode |= unix
		}
	}
	return api.File{
		Name: f.Name, Type: api.FileType(f.Mode), Size: f.Size, Mode: fmt.Sprintf("%04o", mode), UID: f.UID, GID: f.GID, ModTime: f.ModTime, Target: f.Target,
	}
}

// filed makes an engine's error about a path one of the api's. The engine's
// own words name folders of the host.
func filed(err error) error {
	for known, e := range map[error]api.FileError{
		dockercli.ErrNoFile:    {Code: api.CodeNoFile, Message: "There is no such file or folder in the container."},
		dockercli.ErrNotFolder: {Code: api.CodeNotFolder, Message: "It, or something on the way to it, is no folder."},
		dockercli.ErrReadOnly:  {Code: api.CodeReadOnly, Message: "It is mounted read-only in the container."},
		dockercli.ErrVirtual:   {Code: api.CodeVirtual, Message: "What is in /proc, /sys and /dev are no files of the container."},
		dockercli.ErrNoTool:    {Code: api.CodeNoTool, Message: "The image has no rm, and the engine no call to remove a file."},
		dockercli.ErrIsFolder:  {Code: api.CodeIsFolder, Message: "It is a folder."},
		dockercli.ErrNotAFile:  {Code: api.CodeNotAFile, Message: "There is something else than a file, which isn't overwritten."},
	} {
		if errors.Is(err, known) {
			e.Err = err
			return &e
		}
	}
	return ported(err, api.ErrUnknownContainer)
}
