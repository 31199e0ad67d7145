package store_test

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/watch-docker/watch-docker/internal/store"
)

func TestADatabaseGoesBackOnlyIfALaterReleaseHasChangedIt(t *testing.T) {
	folder, ctx := t.TempDir(), t.Context()
	copied, database := filepath.Join(folder, "copy"), filepath.Join(folder, store.FileName)
	if reverted, err := store.Revert(ctx, folder, copied); reverted || err != nil {
		t.Errorf("without a copy: %v, %v", reverted, err)
	}
	s, err := store.Open(ctx, folder)
	if err != nil {
		t.Fatal(err)
	}
	fill := func(s *store.Store, value string) error { return s.SaveHost(ctx, "docker.io", []byte(value)) }
	for _, err := range []error{fill(s, "1"), os.WriteFile(copied, []byte("an older one"), 0o600), s.CopyTo(ctx, copied), fill(s, "2"), s.Close()} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if info, err := os.Stat(copied); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the copy: %v, %v", info, err)
	}
	if reverted, err := store.Revert(ctx, folder, copied); reverted || err != nil {
		t.Errorf("with the same schema: %v, %v", reverted, err)
	}
	if got := host(t, folder); got != "2" {
		t.Errorf("with the same schema it holds %s, want 2", got)
	}

	later(t, database)
	if _, err := store.Open(ctx, folder); !errors.Is(err, store.ErrNewerSchema) {
		t.Fatalf("a later release's database: %v", err)
	}
	for _, want := range []bool{true, false} { // and again, as after an interruption
		if reverted, err := store.Revert(ctx, folder, copied); reverted != want || err != nil {
			t.Errorf("with a later schema: %v, %v", reverted, err)
		}
	}
	if got := host(t, folder); got != "1" {
		t.Errorf("it holds %s, want 1", got)
	}
	if left, _ := filepath.Glob(database + ".back*"); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// later leaves a database as a later release would that was killed: with a
// migration that this one doesn't know, in the write-ahead log.
func later(t *testing.T, database string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+database+"?_pragma=journal_mode(WAL)")
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.ExecContext(t.Context(), `INSERT INTO schema_migrations VALUES ('migrations/9999_later.sql', '2030-01-01T00:00:00Z')`)
	wal, logErr := os.ReadFile(database + "-wal")
	if err := errors.Join(err, logErr, db.Close(), os.WriteFile(database+"-wal", wal, 0o600)); err != nil {
		t.Fatal(err)
	}
}

func host(t *testing.T, folder string) string {
	t.Helper()
	s, err := store.Open(t.Context(), folder)
	if err != nil {
		t.Fatal(err)
	}
	value, ok, err := s.Host(t.Context(), "docker.io")
	if err := errors.Join(err, s.Close()); !ok || err != nil {
		t.Fatal(ok, err)
	}
	return string(value)
}
