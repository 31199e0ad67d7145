package project

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"syscall"

	"go.uber.org/zap"

	"github.com/watch-docker/watch-docker/internal/logging"
	"github.com/watch-docker/watch-docker/internal/store"
)

// Absent is for Save in place of an ETag: the file must not be there yet.
const Absent = "absent"

// temporary is what a file is called while it is written. One that was left
// by a process that was killed is overwritten by the next.
const temporary = ".watch-docker-save.tmp"

// Modes of what is made new. An env file usually holds passwords.
const (
	modeEnv    fs.FileMode = 0o600
	modeFile   fs.FileMode = 0o640
	modeFolder fs.FileMode = 0o750
)

// Save replaces a file's content with exactly these bytes, if it is still
// what has the ETag ifMatch. What was there is kept as a version. After an
// error the file is as it was.
//
// Errors: as Read, and ErrNoMatch, ErrChanged, ErrFileExists, ErrReadOnly,
// ErrNoSpace, ErrOwner.
func (s *Service) Save(ctx context.Context, id, name string, content []byte, ifMatch, actor string) (etag string, err error) {
	if len(content) > MaxFile {
		return "", refuse(ErrTooBig, "%s has %d bytes; at most %d are saved.", name, len(content), MaxFile)
	}
	f, err := s.onDisk(ctx, id)
	if err != nil {
		return "", err
	}
	kind, err := f.kind(name)
	if err != nil {
		return "", err
	}
	if ifMatch == "" {
		return "", refuse(ErrNoMatch, "Say which content of %s is to be replaced, by the ETag that was read.", name)
	}
	e := edit{s: s, f: f, name: name, kind: kind, content: content, ifMatch: ifMatch, actor: actor}
	if err := s.within(f.root, func(r *os.Root) error { return e.run(ctx, r) }); err != nil {
		return "", err
	}
	return ETag(content), nil
}

// lock serialises all that is written. One lock does for all folders: a file
// may be reached by several of them, through links.
func (s *Service) lock() (unlock func()) {
	s.writing.Lock()
	return s.writing.Unlock
}

// edit is one saving of a file.
type edit struct {
	s              *Service
	f              *folder
	name           string
	kind           Kind
	content        []byte
	ifMatch, actor string
}

func (e *edit) run(ctx context.Context, r *os.Root) error {
	defer e.s.lock()()
	real, err := e.s.reach(r, e.f, e.name)
	if err != nil {
		return err
	}
	info, err := e.before(ctx, r, real)
	if err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx) // from here on it is done to the end
	if err := replace(r, real, e.content, e.mode(info), info, func() error { _, _, err := e.still(r, real); return err }); err != nil {
		return err
	}
	e.s.dirty.Store(true)
	now := e.s.now()
	if err := e.s.keep(ctx, e.f, e.name, e.content, store.ComposeVersion{At: now, Actor: e.actor}); err != nil {
		// The next one to save finds it on disk, and keeps it then.
		e.s.log.Warn("a version is not kept", logging.Err(err), zap.String("file", filepath.Join(e.f.path, e.name)))
	}
	return nil
}

// before checks that the file is what was read, and keeps it.
func (e *edit) before(ctx context.Context, r *os.Root, real string) (fs.FileInfo, error) {
	content, info, err := e.still(r, real)
	if err != nil || info == nil {
		return nil, err
	}
	return info, e.s.keep(ctx, e.f, e.name, content, store.ComposeVersion{At: info.ModTime()})
}

// still checks that the file is what was read. info is nil if there is none,
// and is to be none.
func (e *edit) still(r *os.Root, real string) (content []byte, info fs.FileInfo, err error) {
	content, info, err = load(r, real)
	switch {
	case errors.Is(err, fs.ErrNotExist) && e.ifMatch == Absent:
		return nil, nil, nil
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil, because(ErrChanged, err, "%s is no longer there; it has been removed since it was read.", e.name)
	case err != nil:
		return nil, nil, err
	case e.ifMatch == Absent:
		return nil, nil, refuse(ErrFileExists, "%s is there already; read it before it is changed.", e.name)
	case ETag(content) != e.ifMatch:
		return nil, nil, refuse(ErrChanged, "%s has been changed since it was read; read it again.", e.name)
	}
	return content, info, nil
}

func (e *edit) mode(old fs.FileInfo) fs.FileMode {
	switch {
	case old != nil:
		return old.Mode().Perm()
	case e.kind == KindEnv:
		return modeEnv
	}
	return modeFile
}

// keep remembers a content as a version.
func (s *Service) keep(ctx context.Context, f *folder, name string, content []byte, v store.ComposeVersion) error {
	v.Folder, v.Name, v.Content, v.ETag = f.path, name, content, ETag(content)
	return s.store.AddComposeVersion(ctx, v)
}

// replace puts a new file in the place of the old one, whose owner it gets; a
// new one gets the folder's. Whoever reads the file has the old or the new
// one, whole, also after a crash. still is the last look before, so that the
// moment in which another's change is lost is short.
func replace(r *os.Root, name string, content []byte, mode fs.FileMode, old fs.FileInfo, still func() error) error {
	dir := path.Dir(name)
	beside := path.Join(dir, temporary)
	if err := r.Remove(beside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return unwritten(name, err)
	}
	if err := write(r, beside, content, mode, old); err != nil {
		_ = r.Remove(beside) // the first error says more
		return unwritten(name, err)
	}
	if err := still(); err != nil {
		_ = r.Remove(beside) // as above
		return err
	}
	if err := r.Rename(beside, name); err != nil {
		_ = r.Remove(beside) // as above
		return unwritten(name, err)
	}
	syncFolder(r, dir)
	return nil
}

func write(r *os.Root, name string, content []byte, mode fs.FileMode, old fs.FileInfo) error {
	f, err := r.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, modeEnv)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = own(r, path.Dir(name), f, old)
	}
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// own gives a file its owner. A new one takes the folder's if it can.
func own(r *os.Root, dir string, f *os.File, old fs.FileInfo) error {
	if old != nil {
		if err := chownLike(f, old); err != nil {
			return because(ErrOwner, err, "%s belongs to another user, who would lose it by the saving: %s. "+
				"Run Watch Docker as that user, or give the file to the one it runs as.", old.Name(), plain(err))
		}
		return nil
	}
	if info, err := r.Stat(dir); err == nil {
		_ = chownLike(f, info) // it stays ours
	}
	return nil
}

// syncFolder makes a renaming last; where folders can't be synced it does
// that by itself, or can't.
func syncFolder(r *os.Root, dir string) {
	if d, err := r.Open(dir); err == nil {
		_ = d.Sync()
		_ = d.Close()
	}
}

// unwritten says why something couldn't be written.
func unwritten(name string, err error) error {
	var own *Error
	switch {
	case errors.As(err, &own):
		return err
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return because(ErrNoSpace, err, "%s can't be written: the disk is full. The file is as it was.", name)
	case errors.Is(err, syscall.EROFS):
		return because(ErrReadOnly, err, "%s can't be written: its file system is mounted read-only. Mount compose.path without :ro to change files here.", name)
	case errors.Is(err, fs.ErrPermission):
		return because(ErrReadOnly, err, "%s can't be written: the user that Watch Docker runs as may not write to its folder.", name)
	case errors.Is(err, syscall.EBUSY):
		return because(ErrReadOnly, err, "%s can't be replaced: it is mounted by itself. Mount its folder instead.", name)
	case errors.Is(err, fs.ErrNotExist):
		return because(ErrNoFile, err, "%s can't be written: its folder isn't there.", name)
	}
	return because(ErrReadOnly, err, "%s can't be written: %s.", name, plain(err))
}
