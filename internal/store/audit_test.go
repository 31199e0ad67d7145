package store_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/watch-docker/watch-docker/internal/store"
)

func TestTheAuditLogIsReadNewestFirstAndByPages(t *testing.T) {
	folder, ctx := filepath.Join(t.TempDir(), "state"), t.Context()
	s, err := store.Open(ctx, folder)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Date(2026, 1, 2, 3, 4, 5, 678, time.UTC)
	var want []store.AuditEntry // newest first
	for i := range 7 {
		e := store.AuditEntry{
			At: began.Add(time.Duration(i) * time.Minute), User: []string{"ann", "bob"}[i%2], Address: "192.0.2.1", Via: "session",
			Action: []string{"login", "updateContainer", "login"}[i%3], Target: fmt.Sprint("web", i),
			Result: []string{"ok", "refused"}[i/4], Detail: "it's \"so\"; --",
		}
		if e.ID, err = s.AddAudit(ctx, e); err != nil || e.ID != int64(i+1) {
			t.Fatalf("id %d, %v", e.ID, err)
		}
		want = append([]store.AuditEntry{e}, want...)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, folder)
	for name, c := range map[string]struct {
		filter store.AuditFilter
		want   []store.AuditEntry
	}{
		"all":               {store.AuditFilter{}, want},
		"the newest":        {store.AuditFilter{Limit: 2}, want[:2]},
		"the next":          {store.AuditFilter{Limit: 2, Before: want[1].ID}, want[2:4]},
		"beyond the last":   {store.AuditFilter{Before: 1}, []store.AuditEntry{}},
		"of a user":         {store.AuditFilter{User: "bob"}, []store.AuditEntry{want[1], want[3], want[5]}},
		"of nobody":         {store.AuditFilter{User: "' OR 1"}, []store.AuditEntry{}},
		"of a kind":         {store.AuditFilter{Action: "updateContainer"}, []store.AuditEntry{want[2], want[5]}},
		"refused":           {store.AuditFilter{Result: "refused"}, want[:3]},
		"since":             {store.AuditFilter{Since: want[2].At}, want[:3]},
		"until":             {store.AuditFilter{Until: want[2].At}, want[3:]},
		"all of it at once": {store.AuditFilter{User: "ann", Action: "login", Result: "ok", Since: began, Until: began.Add(time.Hour), Before: 3, Limit: 9}, want[6:]},
	} {
		got, err := s.Audit(ctx, c.filter)
		if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
			t.Errorf("%s: %v %s", name, err, diff)
		}
	}

	if n, err := s.PruneAudit(ctx, want[2].At); n != 4 || err != nil {
		t.Errorf("%d were removed, %v", n, err)
	}
	if got, err := s.Audit(ctx, store.AuditFilter{}); err != nil || cmp.Diff(want[:3], got) != "" {
		t.Errorf("%v, %+v", err, got)
	}
	if _, err := s.PruneAudit(ctx, began.Add(time.Hour)); err != nil {
		t.Error(err)
	}
	if id, err := s.AddAudit(ctx, store.AuditEntry{At: began}); id != 8 || err != nil {
		t.Errorf("an id came again: %d, %v", id, err)
	}
}
