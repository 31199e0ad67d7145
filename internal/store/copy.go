package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
)

// CopyTo writes the database as it is now to a new file (0600).
func (s *Store) CopyTo(ctx context.Context, file string) error {
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("copy the database: %w", err)
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL, 0o600) // VACUUM INTO takes an empty file
	if err != nil {
		return fmt.Errorf("copy the database: %w", err)
	}
	return errors.Join(f.Close(), s.exec(ctx, "copy the database", `VACUUM INTO ?`, file))
}

// Revert puts a copy in the place of a folder's database if that one has got
// another schema since, as a release leaves it that was tried and didn't stay.
// Whoever calls it owns the folder, and nobody has the database open. It may
// be interrupted and called again.
func Revert(ctx context.Context, folder, copied string) (reverted bool, err error) {
	database := filepath.Join(folder, FileName)
	was, err := schema(ctx, copied)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	is, err := schema(ctx, database)
	if err != nil || is == was {
		return false, err
	}
	fresh := database + ".back"
	if err := duplicate(copied, fresh); err != nil {
		return false, fmt.Errorf("put the database back: %w", err)
	}
	for _, rest := range []string{"-wal", "-shm", "-journal"} { // they belong to the one that goes
		if err := os.Remove(database + rest); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, fmt.Errorf("put the database back: %w", err)
		}
	}
	if err := os.Rename(fresh, database); err != nil {
		return false, fmt.Errorf("put the database back: %w", err)
	}
	return true, nil
}

// schema is the last migration that a database has seen.
func schema(ctx context.Context, file string) (last string, err error) {
	if _, err := os.Stat(file); err != nil { // SQLite would make it
		return "", fmt.Errorf("read the schema's version: %w", err)
	}
	q := url.Values{"_pragma": {fmt.Sprintf("busy_timeout(%d)", busyTimeout.Milliseconds())}} // its journal mode stays
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: file}).EscapedPath()+"?"+q.Encode())
	if err != nil {
		return "", fmt.Errorf("read the schema's version: %w", err)
	}
	err = db.QueryRowContext(ctx, `SELECT COALESCE(MAX(name), '') FROM schema_migrations`).Scan(&last)
	if err := errors.Join(err, db.Close()); err != nil {
		return "", fmt.Errorf("read the schema's version of %s: %w", file, err)
	}
	return last, nil
}

func duplicate(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close() //nolint:errcheck // it was only read
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Sync(), out.Close())
}
