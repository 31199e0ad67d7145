package project

import (
	"context"
	"time"

	"github.com/watch-docker/watch-docker/internal/store"
)

// Version is what a file held once, or holds.
type Version struct {
	N     int64     `json:"n"`
	Name  string    `json:"name"`
	At    time.Time `json:"at"`
	Actor string    `json:"actor"` // empty: it was found on disk
	Size  int64     `json:"size"`
	ETag  string    `json:"etag"` // equal to the file's: it is what the file holds
}

func versionOf(v store.ComposeVersion) Version {
	return Version{N: v.N, Name: v.Name, At: v.At.UTC(), Actor: v.Actor, Size: v.Size, ETag: v.ETag}
}

// Versions lists what is kept of a project's files, or of one of them, the
// newest first. A file that was never saved here has none.
//
// Errors: as Files.
func (s *Service) Versions(ctx context.Context, id, name string) ([]Version, error) {
	f, err := s.onDisk(ctx, id)
	if err != nil {
		return nil, err
	}
	all, err := s.store.ComposeVersions(ctx, f.path)
	if err != nil {
		return nil, err
	}
	list := []Version{}
	for _, v := range all {
		if name == "" || v.Name == name {
			list = append(list, versionOf(v))
		}
	}
	return list, nil
}

// Version gives one with its content.
//
// Errors: as Files, and ErrNoVersion.
func (s *Service) Version(ctx context.Context, id string, n int64) (Version, []byte, error) {
	f, err := s.onDisk(ctx, id)
	if err != nil {
		return Version{}, nil, err
	}
	v, ok, err := s.store.ComposeVersion(ctx, f.path, n)
	if err != nil {
		return Version{}, nil, err
	}
	if !ok {
		return Version{}, nil, refuse(ErrNoVersion, "There is no version %d of a file of %s; the last %d of each are kept.", n, f.source.Name, store.KeptComposeVersions)
	}
	return versionOf(v), v.Content, nil
}

// Restore saves what a version holds, as a new version. ifMatch is as with
// Save: of what is there now, or Absent if the file is gone.
//
// Errors: as Save and Version.
func (s *Service) Restore(ctx context.Context, id string, n int64, ifMatch, actor string) (etag string, err error) {
	v, content, err := s.Version(ctx, id, n)
	if err != nil {
		return "", err
	}
	return s.Save(ctx, id, v.Name, content, ifMatch, actor)
}
