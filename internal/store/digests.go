package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"
)

// ImageDigest says that an image of the engine, on a platform, is known to
// registries by a digest.
type ImageDigest struct {
	ImageID  string // "sha256:…"
	Platform string // "linux/amd64"
	Digest   string // "sha256:…", of an index or a manifest
}

// Release is a digest that a tag named, and since when we know.
type Release struct {
	Reference string // "docker.io/library/nginx:latest"
	Digest    string // "sha256:…"
	FirstSeen time.Time
}

// Host gives what SaveHost kept for a registry host; ok is false if nothing.
func (s *Store) Host(ctx context.Context, host string) (state []byte, ok bool, err error) {
	err = s.db.QueryRowContext(ctx, `SELECT state FROM registry_hosts WHERE host = ?`, host).Scan(&state)
	return found(state, err, "read registry host "+host)
}

// SaveHost keeps what is known about a registry host, in place of what was.
func (s *Store) SaveHost(ctx context.Context, host string, state []byte) error {
	return s.exec(ctx, "save registry host "+host,
		`INSERT INTO registry_hosts VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET state = excluded.state, at = excluded.at`,
		host, string(state), stamp(s.now()))
}

// Resolution gives what a digest resolves to on a platform; ok is false if it isn't known.
func (s *Store) Resolution(ctx context.Context, dgst, platform string) (manifest, config string, ok bool, err error) {
	err = s.db.QueryRowContext(ctx,
		`SELECT manifest_digest, config_digest FROM resolutions WHERE digest = ? AND platform = ?`, dgst, platform).Scan(&manifest, &config)
	_, ok, err = found(manifest, err, "read what "+dgst+" resolves to")
	return manifest, config, ok, err
}

// SaveResolution keeps what a digest resolves to, for good.
func (s *Store) SaveResolution(ctx context.Context, dgst, platform, manifest, config string) error {
	return s.exec(ctx, "save what "+dgst+" resolves to",
		`INSERT INTO resolutions VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`, dgst, platform, manifest, config, stamp(s.now()))
}

// ImageDigests gives all digests that an image was ever known by on a platform.
func (s *Store) ImageDigests(ctx context.Context) ([]ImageDigest, error) {
	var all []ImageDigest
	err := s.each(ctx, "read image digests", func(rows *sql.Rows) error {
		var d ImageDigest
		err := rows.Scan(&d.ImageID, &d.Platform, &d.Digest)
		all = append(all, d)
		return err
	}, `SELECT image_id, platform, digest FROM image_digests`)
	return all, err
}

// SaveImageDigests adds digests that images are known by; known ones stay.
func (s *Store) SaveImageDigests(ctx context.Context, digests []ImageDigest) error {
	if len(digests) == 0 {
		return nil
	}
	return s.tx(ctx, "save image digests", func(tx *sql.Tx) error {
		for _, d := range digests {
			if _, err := tx.ExecContext(ctx, `INSERT INTO image_digests VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`,
				d.ImageID, d.Platform, d.Digest, stamp(s.now())); err != nil {
				return err
			}
		}
		return nil
	})
}

// SeenReleases notes that references name digests and gives since when each
// is known, in the same order. FirstSeen of what comes in is not looked at.
func (s *Store) SeenReleases(ctx context.Context, releases []Release) ([]Release, error) {
	if len(releases) == 0 {
		return nil, nil
	}
	out := slices.Clone(releases)
	err := s.tx(ctx, "save releases", func(tx *sql.Tx) error {
		for i, r := range out {
			var first string
			// The update that changes nothing makes RETURNING give the row that was there.
			err := tx.QueryRowContext(ctx, `INSERT INTO releases VALUES (?, ?, ?)
				ON CONFLICT DO UPDATE SET first_seen = first_seen RETURNING first_seen`,
				r.Reference, r.Digest, stamp(s.now())).Scan(&first)
			if err != nil {
				return err
			}
			if out[i].FirstSeen, err = time.Parse(time.RFC3339Nano, first); err != nil {
				return err
			}
		}
		return nil
	})
	return out, err
}

func (s *Store) exec(ctx context.Context, doing, statement string, args ...any) error {
	if _, err := s.db.ExecContext(ctx, statement, args...); err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}

// tx runs do in a transaction that begins as a writer (BEGIN IMMEDIATE), so
// that two of them queue instead of failing half-way.
func (s *Store) tx(ctx context.Context, doing string, do func(*sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	if err := do(tx); err != nil {
		return fmt.Errorf("%s: %w", doing, errors.Join(err, tx.Rollback()))
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}

// found turns "no rows" into ok == false.
func found[T any](v T, err error, doing string) (T, bool, error) {
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return v, false, nil
	case err != nil:
		return v, false, fmt.Errorf("%s: %w", doing, err)
	}
	return v, true, nil
}

// stamp is how times stand in the database: RFC 3339 in UTC, sortable.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000000Z") }
