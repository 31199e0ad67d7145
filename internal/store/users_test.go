package store_test

import (
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/watch-docker/watch-docker/internal/store"
)

func TestOnlyTheFirstUserIsAddedByItself(t *testing.T) {
	s, ctx := open(t, t.TempDir()), t.Context()
	if has, err := s.HasUsers(ctx); has || err != nil {
		t.Fatalf("HasUsers = %v, %v", has, err)
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 600, time.UTC)
	var wg sync.WaitGroup
	added := make(chan string, 8)
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		wg.Go(func() {
			ok, err := s.AddFirstUser(ctx, store.User{Name: name, PasswordHash: "h", Role: "admin", CreatedAt: at, ChangedAt: at})
			if err != nil {
				t.Error(err)
			}
			if ok {
				added <- name
			}
		})
	}
	wg.Wait()
	close(added)
	if len(added) != 1 {
		t.Fatalf("%d users were added", len(added))
	}
	name := <-added
	got, err := s.User(ctx, name)
	if diff := cmp.Diff(store.User{Name: name, PasswordHash: "h", Role: "admin", CreatedAt: at, ChangedAt: at}, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if _, err := s.User(ctx, "x"); !errors.Is(err, store.ErrNoUser) {
		t.Errorf("unknown user: %v", err)
	}
	if has, err := s.HasUsers(ctx); !has || err != nil {
		t.Errorf("HasUsers = %v, %v", has, err)
	}
}

func TestASessionIsThereUntilItIsRemovedOrExpires(t *testing.T) {
	folder, ctx := filepath.Join(t.TempDir(), "state"), t.Context()
	s, err := store.Open(ctx, folder)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	session := store.Session{ID: "1", User: "ann", Device: "curl", Address: "192.0.2.1", CreatedAt: at, LastUsedAt: at, ExpiresAt: at.Add(time.Hour)}
	if err := s.AddSession(ctx, session); err == nil {
		t.Error("a session without its user was taken")
	}
	later := session
	later.ID, later.ExpiresAt = "2", at.Add(2*time.Hour)
	_, err = s.AddFirstUser(ctx, store.User{Name: "ann", PasswordHash: "h", Role: "viewer", CreatedAt: at, ChangedAt: at})
	for _, err := range []error{err, s.AddSession(ctx, session), s.AddSession(ctx, later), s.TouchSession(ctx, "1", at.Add(time.Minute)), s.Close()} {
		if err != nil {
			t.Fatal(err)
		}
	}

	s = open(t, folder)
	session.Role, session.LastUsedAt = "viewer", at.Add(time.Minute)
	got, err := s.Session(ctx, "1")
	if diff := cmp.Diff(session, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if err := s.PruneSessions(ctx, at.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Session(ctx, "1"); !errors.Is(err, store.ErrNoSession) {
		t.Errorf("expired: %v", err)
	}
	if _, err := s.Session(ctx, "2"); err != nil {
		t.Errorf("not expired: %v", err)
	}
	for range 2 {
		if err := s.RemoveSession(ctx, "2"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Session(ctx, "2"); !errors.Is(err, store.ErrNoSession) {
		t.Errorf("removed: %v", err)
	}
}
