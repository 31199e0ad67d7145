package store

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"slices"
)

//go:embed migrations/*.sql
var migrations embed.FS

// ErrNewerSchema says that a later release has written this database. Nothing was changed.
var ErrNewerSchema = errors.New("the database was written by a later release")

// ErrOtherSchema says that the database's owner is another release.
var ErrOtherSchema = errors.New("the database is of another release, which is running on it")

// current is an error if the schema isn't just this release's.
func (s *Store) current(ctx context.Context) error {
	names, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return err
	}
	var last string
	err = s.db.QueryRowContext(ctx, `SELECT COALESCE(MAX(name), '') FROM schema_migrations`).Scan(&last)
	if err != nil || last != slices.Max(names) {
		return errors.Join(ErrOtherSchema, err)
	}
	return nil
}

// migrate runs, each in a transaction of its own, the files in migrations that
// haven't been run yet, in the order of their names. A file that has landed is
// never changed.
func (s *Store) migrate(ctx context.Context) error {
	names, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return err
	}
	slices.Sort(names)
	const table = `CREATE TABLE IF NOT EXISTS schema_migrations (name TEXT PRIMARY KEY, at TEXT NOT NULL) STRICT`
	if _, err := s.db.ExecContext(ctx, table); err != nil {
		return fmt.Errorf("prepare the database: %w", err)
	}
	var last string
	if err := s.db.QueryRowContext(ctx, `SELECT COALESCE(MAX(name), '') FROM schema_migrations`).Scan(&last); err != nil {
		return fmt.Errorf("read the schema's version: %w", err)
	}
	if last > names[len(names)-1] {
		return fmt.Errorf("%w (%s): install that release again, or name another folder with STATE_PATH", ErrNewerSchema, last)
	}
	for _, name := range names {
		if err := s.migrateOne(ctx, name); err != nil {
			return fmt.Errorf("run %s: %w", name, err)
		}
	}
	return nil
}

// migrateOne looks again within its transaction: another process may have
// been faster.
func (s *Store) migrateOne(ctx context.Context, name string) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit there is nothing to undo
	var done bool
	if err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM schema_migrations WHERE name = ?)`, name).Scan(&done); err != nil {
		return err
	}
	if done {
		return nil
	}
	statements, err := migrations.ReadFile(name)
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, string(statements)); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO schema_migrations VALUES (?, ?)`, name, stamp(s.now())); err != nil {
		return err
	}
	return tx.Commit()
}
