package store

import (
	"context"
	"database/sql"
	"time"
)

// Kept is an image that a container ran before, and can be rolled back to.
type Kept struct {
	Container    string // its name
	ImageID      string
	Reference    string // what the container was made from
	Digest       string // what a registry knows the image by; empty: it can't be pulled again
	OldContainer string // the old container's id, if that was left, too
	Operation    string // that replaced it
	At           time.Time
}

// Keep remembers an image that a container ran until now.
func (s *Store) Keep(ctx context.Context, k Kept) error {
	return s.exec(ctx, "keep image "+k.ImageID, `INSERT INTO kept (container, image_id, reference, digest, old_container, operation, at)
		VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET reference = excluded.reference, digest = excluded.digest,
		old_container = excluded.old_container, operation = excluded.operation, at = excluded.at`,
		k.Container, k.ImageID, k.Reference, k.Digest, k.OldContainer, k.Operation, stamp(s.now()))
}

// Unkeep forgets it.
func (s *Store) Unkeep(ctx context.Context, container, imageID string) error {
	return s.exec(ctx, "forget image "+imageID, `DELETE FROM kept WHERE container = ? AND image_id = ?`, container, imageID)
}

// Kept gives what is kept, of one container or, with an empty name, of all: the newest first.
func (s *Store) Kept(ctx context.Context, container string) ([]Kept, error) {
	var all []Kept
	err := s.each(ctx, "read kept images", func(rows *sql.Rows) error {
		var k Kept
		var at string
		if err := rows.Scan(&k.Container, &k.ImageID, &k.Reference, &k.Digest, &k.OldContainer, &k.Operation, &at); err != nil {
			return err
		}
		t, err := time.Parse(time.RFC3339Nano, at)
		k.At = t
		all = append(all, k)
		return err
	}, `SELECT container, image_id, reference, digest, old_container, operation, at FROM kept
		WHERE ? = '' OR container = ? ORDER BY at DESC, operation DESC`, container, container)
	return all, err
}
