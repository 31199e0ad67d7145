package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/watch-docker/watch-docker/internal/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, folder string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), folder)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestWhatIsKeptIsThereAfterARestart(t *testing.T) {
	folder, ctx := filepath.Join(t.TempDir(), "state with space?#"), t.Context()
	s, err := store.Open(ctx, folder)
	if err != nil {
		t.Fatal(err)
	}
	digest := store.ImageDigest{ImageID: "sha256:1", Platform: "linux/amd64", Digest: "sha256:2"}
	first, err := s.SeenReleases(ctx, []store.Release{{Reference: "a:b", Digest: "sha256:2"}})
	for _, err := range []error{
		err, s.SaveHost(ctx, "docker.io", []byte(`{"a":1}`)), s.SaveHost(ctx, "docker.io", []byte(`{"a":2}`)),
		s.SaveResolution(ctx, "sha256:2", "linux/amd64", "sha256:3", "sha256:4"),
		s.SaveImageDigests(ctx, []store.ImageDigest{digest, digest}), s.Close(),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}

	s = open(t, folder)
	if state, ok, err := s.Host(ctx, "docker.io"); !ok || err != nil || !bytes.Equal(state, []byte(`{"a":2}`)) {
		t.Errorf("Host = %s, %v, %v", state, ok, err)
	}
	if _, ok, err := s.Host(ctx, "ghcr.io"); ok || err != nil {
		t.Errorf("unknown host: %v, %v", ok, err)
	}
	if m, c, ok, err := s.Resolution(ctx, "sha256:2", "linux/amd64"); m != "sha256:3" || c != "sha256:4" || !ok || err != nil {
		t.Errorf("Resolution = %s, %s, %v, %v", m, c, ok, err)
	}
	if _, _, ok, err := s.Resolution(ctx, "sha256:2", "linux/arm64"); ok || err != nil {
		t.Errorf("other platform: %v, %v", ok, err)
	}
	if all, err := s.ImageDigests(ctx); err != nil || len(all) != 1 || all[0] != digest {
		t.Errorf("ImageDigests = %v, %v", all, err)
	}
	again, err := s.SeenReleases(ctx, []store.Release{{Reference: "a:b", Digest: "sha256:2"}, {Reference: "a:b", Digest: "sha256:9"}})
	if err != nil || !again[0].FirstSeen.Equal(first[0].FirstSeen) || !again[1].FirstSeen.After(first[0].FirstSeen) {
		t.Errorf("SeenReleases = %v, %v; first %v", again, err, first)
	}
}

func TestFolderAndFilesAreForTheirOwnerOnly(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "a", "state")
	s := open(t, folder)
	if err := s.SaveHost(t.Context(), "h", []byte("{}")); err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(folder); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("folder: %v, %v", st.Mode(), err)
	}
	entries, err := os.ReadDir(folder)
	if err != nil || len(entries) == 0 {
		t.Fatal(entries, err)
	}
	for _, e := range entries {
		if st, err := e.Info(); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", e.Name(), st.Mode(), err)
		}
	}
}

func TestTwoProcessesMayWriteAtOnce(t *testing.T) {
	folder := t.TempDir()
	a, b := open(t, folder), open(t, folder)
	var all sync.WaitGroup
	for i := range 40 {
		s := []*store.Store{a, b}[i%2]
		all.Go(func() {
			if _, err := s.SeenReleases(t.Context(), []store.Release{{Reference: fmt.Sprint("r", i), Digest: "sha256:1"}}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

func TestAFolderThatCantBeUsedIsNamed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(file, "state")
	for what, try := range map[string]func() error{
		"Open": func() error { _, err := store.Open(t.Context(), folder); return err },
		"Own":  func() error { _, err := store.Own(folder); return err },
	} {
		err := try()
		if !errors.Is(err, store.ErrFolder) || !strings.Contains(err.Error(), folder) || !strings.Contains(err.Error(), "STATE_PATH") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestADatabaseOfALaterReleaseIsLeftAlone(t *testing.T) {
	folder := t.TempDir()
	open(t, folder)
	db, err := sql.Open("sqlite", filepath.Join(folder, store.FileName))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(`INSERT INTO schema_migrations VALUES ('migrations/9999_future.sql', '2030')`); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(t.Context(), folder); !errors.Is(err, store.ErrNewerSchema) {
		t.Errorf("%v; want ErrNewerSchema", err)
	}
}

func TestADatabaseIsJoinedOnlyWithItsOwnSchema(t *testing.T) {
	folder := t.TempDir()
	if _, err := store.Join(t.Context(), folder); !errors.Is(err, store.ErrOtherSchema) {
		t.Errorf("an empty database: %v; want ErrOtherSchema", err)
	}
	owner := open(t, folder)
	joined, err := store.Join(t.Context(), folder)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(owner.SaveHost(t.Context(), "h", []byte("{}")), joined.SaveHost(t.Context(), "h", []byte("{}")), joined.Close()); err != nil {
		t.Error(err)
	}
}

func TestAFileThatIsNoDatabaseIsNotOverwritten(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, store.FileName)
	junk := bytes.Repeat([]byte("not a database "), 1000)
	if err := os.WriteFile(file, junk, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := store.Open(t.Context(), folder)
	if err == nil || !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), "move it away") {
		t.Errorf("Open: %v", err)
	}
	if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, junk) {
		t.Errorf("the file changed: %v", err)
	}
}

func TestOnlyOneOwnsAFolder(t *testing.T) {
	folder := t.TempDir()
	first, err := store.Own(folder)
	if err != nil {
		t.Fatal(err)
	}
	_, err = store.Own(folder)
	if !errors.Is(err, store.ErrOwned) || !strings.Contains(err.Error(), fmt.Sprint("process ", os.Getpid())) {
		t.Errorf("second owner: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second, err := store.Own(folder)
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
}

func TestAMemoryStoreWorksLikeAFile(t *testing.T) {
	s, err := store.OpenMemory(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Ping(t.Context()), s.SaveHost(t.Context(), "h", []byte("{}")), s.Close()); err != nil {
		t.Error(err)
	}
}
