// Package store keeps what must outlive the process in one SQLite file within
// the state folder: what digests resolve to, which digests an image is known
// by, what registries told us about themselves. It alone imports the driver.
//
// A value comes back as it was put in; times are UTC. Several processes may
// open the same file: readers don't block, writers wait for each other up to
// busyTimeout. What only one process may do is guarded by Own.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"modernc.org/sqlite" // also registers the driver "sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// FileName is the database's name within the state folder.
const FileName = "watch-docker.db"

const busyTimeout = 5 * time.Second

// ErrFolder says that the state folder can't be used; the message says why
// and which setting names it.
var ErrFolder = errors.New("state folder")

// Store is an open database. Safe for concurrent use.
type Store struct {
	db  *sql.DB
	now func() time.Time
}

// Open makes the folder (0700) and the database (0600) if they are missing
// and brings the schema up to date.
//
// Errors: ErrFolder, wrapped, if the folder can't be made or written;
// ErrNewerSchema if a later release has been here.
func Open(ctx context.Context, folder string) (*Store, error) {
	s, err := connect(folder)
	if err != nil {
		return nil, err
	}
	return s.migrated(ctx, filepath.Join(folder, FileName))
}

// Join opens a database beside its owner: it must be of this release's schema.
//
// Errors: ErrOtherSchema if it isn't; ErrFolder if it can't be read.
func Join(ctx context.Context, folder string) (*Store, error) {
	s, err := connect(folder)
	if err != nil {
		return nil, err
	}
	if err := s.current(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// OpenMemory opens a store that lives as long as the process.
func OpenMemory(ctx context.Context) (*Store, error) {
	s, err := newStore(dsn(":memory:", "MEMORY"))
	if err != nil {
		return nil, err
	}
	return s.migrated(ctx, ":memory:")
}

func connect(folder string) (*Store, error) {
	if err := prepareFolder(folder); err != nil {
		return nil, err
	}
	journal := "WAL"
	if onNetworkFileSystem(folder) {
		// WAL needs shared memory between its processes, which network file systems don't give.
		journal = "DELETE"
	}
	return newStore(dsn(filepath.Join(folder, FileName), journal))
}

func newStore(dsn string) (*Store, error) {
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	// One connection: SQLite has one writer anyway, an in-memory database
	// belongs to its connection, and each costs memory of its own.
	db.SetMaxOpenConns(1)
	return &Store{db: db, now: func() time.Time { return time.Now().UTC() }}, nil
}

func (s *Store) migrated(ctx context.Context, name string) (*Store, error) {
	if err := s.migrate(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w%s", name, err, advice(err)), s.Close())
	}
	return s, nil
}

// advice says what to do about a file that SQLite can't read.
func advice(err error) string {
	var e *sqlite.Error
	if errors.As(err, &e) && (e.Code() == sqlite3.SQLITE_NOTADB || e.Code() == sqlite3.SQLITE_CORRUPT) {
		return "; move it away and start again: what it held is learned anew"
	}
	return ""
}

func dsn(file, journal string) string {
	q := url.Values{"_txlock": {"immediate"}, "_pragma": {
		fmt.Sprintf("busy_timeout(%d)", busyTimeout.Milliseconds()),
		"journal_mode(" + journal + ")",
		"synchronous(FULL)",
		"foreign_keys(ON)",
		"cache_size(-1024)",  // KiB
		"temp_store(MEMORY)", // the container image has no folder for temporary files
	}}
	return "file:" + (&url.URL{Path: file}).EscapedPath() + "?" + q.Encode()
}

// prepareFolder makes the folder and proves that it can be written by making
// the database file itself, so that SQLite never chooses its permissions.
func prepareFolder(folder string) error {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return folderError(folder, err)
	}
	f, err := os.OpenFile(filepath.Join(folder, FileName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return folderError(folder, err)
	}
	// It may have been made with other permissions, by a copy for instance.
	return errors.Join(f.Chmod(0o600), f.Close())
}

func folderError(folder string, err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		err = pathErr.Err
	}
	return fmt.Errorf("%w %s can't be written: %w; name one that this user may write with STATE_PATH", ErrFolder, folder, err)
}

// Ping answers whether the database can be read.
func (s *Store) Ping(ctx context.Context) error {
	var one int
	if err := s.db.QueryRowContext(ctx, "SELECT 1 FROM schema_migrations LIMIT 1").Scan(&one); err != nil {
		return fmt.Errorf("read the store: %w", err)
	}
	return nil
}

// Close ends all use of the store.
func (s *Store) Close() error { return s.db.Close() }
