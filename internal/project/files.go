package project

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path"
	"slices"
	"strings"
	"time"
)

// File is one of a project's files.
type File struct {
	Name       string    `json:"name"` // relative to the project's folder
	Kind       Kind      `json:"kind"`
	Size       int64     `json:"size"`
	ETag       string    `json:"etag"` // of its content, quoted; empty with a problem, and over HTTP without a fresh proof
	ModifiedAt time.Time `json:"modifiedAt"`
	Problem    string    `json:"problem,omitempty"` // why it can't be read
}

// mostFiles bounds what Files looks at.
const mostFiles = 200

// ETag tells one content from another.
func ETag(content []byte) string {
	sum := sha256.Sum256(content)
	return `"` + hex.EncodeToString(sum[:]) + `"`
}

// onDisk finds the folder of a project whose files are asked for.
func (s *Service) onDisk(ctx context.Context, id string) (*folder, error) {
	_, f, err := s.find(ctx, id)
	if err != nil || f != nil {
		return f, err
	}
	_, k, err := s.get(ctx, id)
	if err != nil {
		return nil, err
	}
	if k.folder == nil {
		return nil, refuse(ErrOutside, "%s", notHere(s, k.group))
	}
	return k.folder, nil
}

// kind says what a file is to the project. Only these may be read and
// written: those that its files name, and in the folder itself what is called
// as Compose files and env files are.
func (f *folder) kind(name string) (Kind, error) {
	if err := checkName(name); err != nil {
		return "", err
	}
	if kind, ok := f.named()[name]; ok {
		return kind, nil
	}
	if kind := kindOf(name); kind != KindOther && !strings.Contains(name, "/") {
		return kind, nil
	}
	return "", refuse(ErrForbidden, "%q is no file of the project %s: Compose files (compose.yaml, compose.*.yaml), env files (.env, *.env), "+
		"and what its files name by env_file, include, extends or configs can be read and saved.", name, f.source.Name)
}

// reach gives the name of a file from the root, without links.
func (s *Service) reach(r *os.Root, f *folder, name string) (string, error) {
	real, err := resolve(r, path.Join(f.rel, name))
	if err != nil {
		return "", err
	}
	if s.isState(f.root, path.Dir(real)) {
		return "", refuse(ErrForbidden, "%s is in the state folder of Watch Docker, which holds its keys.", name)
	}
	return real, nil
}

// Files lists a project's files that are there: the Compose files first.
//
// Errors: ErrNotFound, ErrOutside, ErrNoRoot.
func (s *Service) Files(ctx context.Context, id string) ([]File, error) {
	f, err := s.onDisk(ctx, id)
	if err != nil {
		return nil, err
	}
	files := []File{}
	err = s.within(f.root, func(r *os.Root) error {
		names, err := f.present(r)
		if err != nil {
			return err
		}
		for name, kind := range names {
			if len(files) == mostFiles {
				break
			}
			if file, ok := s.file(r, f, name, kind); ok {
				files = append(files, file)
			}
		}
		return nil
	})
	order := []Kind{KindCompose, KindEnv, KindOther}
	slices.SortFunc(files, func(a, b File) int {
		return cmp.Or(cmp.Compare(slices.Index(order, a.Kind), slices.Index(order, b.Kind)), cmp.Compare(a.Name, b.Name))
	})
	return files, err
}

// present are the names that may be read, some of which may lead to nothing.
func (f *folder) present(r *os.Root) (map[string]Kind, error) {
	names := f.named()
	entries, _, err := list(r, f.rel)
	if err != nil {
		return nil, because(ErrNoRoot, err, "The folder %s can't be read: %s.", f.path, plain(err))
	}
	for _, e := range entries {
		kind := kindOf(e.Name())
		if _, ok := names[e.Name()]; !ok && kind != KindOther && !e.IsDir() && checkName(e.Name()) == nil {
			names[e.Name()] = kind
		}
	}
	return names, nil
}

// file looks at one; ok is false if there is none.
func (s *Service) file(r *os.Root, f *folder, name string, kind Kind) (file File, ok bool) {
	if _, err := r.Lstat(path.Join(f.rel, name)); err != nil {
		return File{}, false
	}
	file = File{Name: name, Kind: kind}
	real, err := s.reach(r, f, name)
	if err == nil {
		content, info, loadErr := load(r, real)
		if err = loadErr; err == nil {
			file.Size, file.ModifiedAt, file.ETag = int64(len(content)), info.ModTime().UTC(), ETag(content)
			return file, true
		}
	}
	file.Problem = err.Error()
	return file, true
}

// Read gives a file's content as it is, and its ETag.
//
// Errors: as Files, and ErrFileName, ErrForbidden, ErrNoFile, ErrNotRegular, ErrTooBig.
func (s *Service) Read(ctx context.Context, id, name string) (content []byte, etag string, err error) {
	f, err := s.onDisk(ctx, id)
	if err != nil {
		return nil, "", err
	}
	if _, err := f.kind(name); err != nil {
		return nil, "", err
	}
	err = s.within(f.root, func(r *os.Root) error {
		real, err := s.reach(r, f, name)
		if err != nil {
			return err
		}
		content, _, err = load(r, real)
		return err
	})
	if err != nil {
		return nil, "", err
	}
	return content, ETag(content), nil
}
