package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// KeptComposeVersions is how many former contents of a file are kept, beside
// the newest.
const KeptComposeVersions = 20

// ComposeVersion is what a file of a Compose project held.
type ComposeVersion struct {
	Folder  string // the project's, absolute
	N       int64  // counts within the folder; given by AddComposeVersion
	Name    string // relative to the folder
	At      time.Time
	Actor   string // empty: it was found on disk
	ETag    string
	Size    int64
	Content []byte // only of a single one that is read
}

// AddComposeVersion keeps a content, and forgets the file's oldest beyond
// KeptComposeVersions. One that equals the file's newest is not kept again.
func (s *Store) AddComposeVersion(ctx context.Context, v ComposeVersion) error {
	return s.tx(ctx, "keep a version of "+v.Name, func(tx *sql.Tx) error {
		var last string
		err := tx.QueryRowContext(ctx, `SELECT etag FROM compose_versions WHERE folder = ? AND name = ? ORDER BY n DESC LIMIT 1`,
			v.Folder, v.Name).Scan(&last)
		if err != nil && !errors.Is(err, sql.ErrNoRows) || last == v.ETag {
			return err
		}
		content := v.Content
		if content == nil {
			content = []byte{} // NULL otherwise
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO compose_versions (folder, n, name, at, actor, etag, size, content)
			VALUES (?1, (SELECT COALESCE(MAX(n), 0) + 1 FROM compose_versions WHERE folder = ?1), ?2, ?3, ?4, ?5, ?6, ?7)`,
			v.Folder, v.Name, stamp(v.At), v.Actor, v.ETag, len(content), content); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `DELETE FROM compose_versions WHERE folder = ?1 AND name = ?2 AND n NOT IN (
			SELECT n FROM compose_versions WHERE folder = ?1 AND name = ?2 ORDER BY n DESC LIMIT ?3)`,
			v.Folder, v.Name, KeptComposeVersions+1)
		return err
	})
}

// ComposeVersions gives what is kept of a project, without the contents: the
// newest first.
func (s *Store) ComposeVersions(ctx context.Context, folder string) ([]ComposeVersion, error) {
	all := []ComposeVersion{}
	err := s.each(ctx, "read versions", func(rows *sql.Rows) error {
		v := ComposeVersion{Folder: folder}
		var at string
		if err := rows.Scan(&v.N, &v.Name, &at, &v.Actor, &v.ETag, &v.Size); err != nil {
			return err
		}
		var err error
		v.At, err = time.Parse(time.RFC3339Nano, at)
		all = append(all, v)
		return err
	}, `SELECT n, name, at, actor, etag, size FROM compose_versions WHERE folder = ? ORDER BY n DESC`, folder)
	return all, err
}

// ComposeVersion gives one with its content; ok is false if there is none.
func (s *Store) ComposeVersion(ctx context.Context, folder string, n int64) (v ComposeVersion, ok bool, err error) {
	v = ComposeVersion{Folder: folder, N: n}
	var at string
	err = s.db.QueryRowContext(ctx, `SELECT name, at, actor, etag, size, content FROM compose_versions WHERE folder = ? AND n = ?`, folder, n).
		Scan(&v.Name, &at, &v.Actor, &v.ETag, &v.Size, &v.Content)
	if errors.Is(err, sql.ErrNoRows) {
		return ComposeVersion{}, false, nil
	}
	if err == nil {
		v.At, err = time.Parse(time.RFC3339Nano, at)
	}
	if err != nil {
		return ComposeVersion{}, false, fmt.Errorf("read version %d: %w", n, err)
	}
	return v, true, nil
}

// ForgetComposeVersions removes all that is kept of these files.
func (s *Store) ForgetComposeVersions(ctx context.Context, folder string, names []string) error {
	return s.tx(ctx, "forget versions", func(tx *sql.Tx) error {
		for _, name := range names {
			if _, err := tx.ExecContext(ctx, `DELETE FROM compose_versions WHERE folder = ? AND name = ?`, folder, name); err != nil {
				return err
			}
		}
		return nil
	})
}
