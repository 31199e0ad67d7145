package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// BadRelease is a digest that failed when a container was updated to it.
type BadRelease struct {
	Container string // its name
	Digest    string
	Operation string
	Since     time.Time
}

// Quarantine remembers that a release failed here.
func (s *Store) Quarantine(ctx context.Context, container, digest, operation string) error {
	return s.exec(ctx, "quarantine "+digest, `INSERT INTO quarantine VALUES (?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET operation = excluded.operation, since = excluded.since`, container, digest, operation, stamp(s.now()))
}

// Quarantined reports whether a release failed for this container.
func (s *Store) Quarantined(ctx context.Context, container, digest string) (bool, error) {
	var bad bool
	err := s.db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM quarantine WHERE container = ? AND digest = ?)`, container, digest).Scan(&bad)
	if err != nil {
		return false, fmt.Errorf("read quarantine: %w", err)
	}
	return bad, nil
}

// BadReleases gives all of them.
func (s *Store) BadReleases(ctx context.Context) ([]BadRelease, error) {
	var all []BadRelease
	err := s.each(ctx, "read quarantine", func(rows *sql.Rows) error {
		var b BadRelease
		var since string
		if err := rows.Scan(&b.Container, &b.Digest, &b.Operation, &since); err != nil {
			return err
		}
		at, err := time.Parse(time.RFC3339Nano, since)
		b.Since = at
		all = append(all, b)
		return err
	}, `SELECT container, digest, operation, since FROM quarantine`)
	return all, err
}
