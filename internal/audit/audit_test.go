package audit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/watch-docker/watch-docker/internal/audit"
	"github.com/watch-docker/watch-docker/internal/logging"
	"github.com/watch-docker/watch-docker/internal/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type world struct {
	*audit.Log

	t     *testing.T
	store *store.Store
	mu    sync.Mutex
	at    time.Time
	out   bytes.Buffer
	keep  time.Duration
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, at: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), keep: time.Hour}
	var err error
	if w.store, err = store.Open(t.Context(), t.TempDir()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.store.Close() })
	log, _, err := logging.New(logging.Options{Level: "error", Format: "json", Output: &w.out})
	if err != nil {
		t.Fatal(err)
	}
	w.Log = audit.New(audit.Dependencies{Store: w.store, Logger: log, Now: w.now, Retention: func() time.Duration { return w.keep }})
	return w
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.at
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.at = w.at.Add(d)
}

// entries are all, oldest first.
func (w *world) entries() []store.AuditEntry {
	w.t.Helper()
	all, err := w.store.Audit(w.t.Context(), store.AuditFilter{Limit: 1_000_000})
	if err != nil {
		w.t.Fatal(err)
	}
	for i, j := 0, len(all)-1; i < j; i, j = i+1, j-1 {
		all[i], all[j] = all[j], all[i]
	}
	return all
}

func (w *world) details() []string {
	w.t.Helper()
	details := []string{}
	for _, e := range w.entries() {
		details = append(details, e.Detail)
	}
	return details
}

func (w *world) lines() []string {
	return strings.Split(strings.TrimSuffix(w.out.String(), "\n"), "\n")
}

func TestAnEntryIsARowAndALine(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // a client that went away leaves its traces all the same
	w.Record(ctx, audit.Entry{User: "ann", Address: "192.0.2.1", Via: audit.ViaSession, Action: "updateContainer", Target: "web", Result: audit.OK, Detail: "forced"})
	want := []store.AuditEntry{{ID: 1, At: w.now(), User: "ann", Address: "192.0.2.1", Via: "session", Action: "updateContainer", Target: "web", Result: "ok", Detail: "forced"}}
	if diff := cmp.Diff(want, w.entries()); diff != "" {
		t.Error(diff)
	}
	var line map[string]any
	if err := json.Unmarshal(w.out.Bytes(), &line); err != nil {
		t.Fatalf("%v in %s", err, &w.out)
	}
	delete(line, "ts")
	if diff := cmp.Diff(map[string]any{
		"level": "info", "msg": "audit", "component": "audit", "user": "ann", "address": "192.0.2.1", "via": "session",
		"action": "updateContainer", "target": "web", "result": "ok", "detail": "forced",
	}, line); diff != "" {
		t.Error(diff)
	}
}

func TestEverySuccessIsRecorded(t *testing.T) {
	w := newWorld(t)
	for range 500 {
		w.Record(t.Context(), audit.Entry{User: "ann", Action: "login", Result: audit.OK})
	}
	if n, lines := len(w.entries()), len(w.lines()); n != 500 || lines != 500 {
		t.Errorf("%d rows, %d lines", n, lines)
	}
}

func TestValuesAreShortAndPrintable(t *testing.T) {
	w := newWorld(t)
	bad := "a\r\n\x1b[31mb\x00\u2028\u202ec\xff é"
	w.Record(t.Context(), audit.Entry{User: bad, Address: bad, Via: bad, Action: bad, Target: bad, Result: audit.OK, Detail: bad})
	long := strings.Repeat("é", 100_000)
	w.Record(t.Context(), audit.Entry{User: long, Address: long, Via: long, Action: long, Target: long, Result: audit.OK, Detail: long})
	all := w.entries()
	for _, got := range []string{all[0].User, all[0].Address, all[0].Via, all[0].Action, all[0].Target, all[0].Detail} {
		if got != "a[31mbc é" {
			t.Errorf("%q", got)
		}
	}
	e := all[1]
	for what, c := range map[string]struct {
		got  string
		most int
	}{"user": {e.User, 64}, "address": {e.Address, 64}, "via": {e.Via, 128}, "action": {e.Action, 64}, "target": {e.Target, 256}, "detail": {e.Detail, 512}} {
		if n := len([]rune(c.got)); n != c.most || !strings.HasSuffix(c.got, "é…") {
			t.Errorf("%s has %d characters, want %d", what, n, c.most)
		}
	}
}

func TestTheSameFailureIsLeftOutForAMinuteAndCounted(t *testing.T) {
	w := newWorld(t)
	wrong := audit.Entry{User: "ann", Address: "192.0.2.1", Action: "login", Result: audit.Refused, Detail: "bad_credentials"}
	for range 42 {
		w.Record(t.Context(), wrong)
		w.pass(time.Second)
	}
	others := make([]audit.Entry, 5)
	for i := range others {
		others[i] = wrong
	}
	others[0].User, others[1].Address, others[2].Action, others[3].Result = "bob", "192.0.2.2", "setup", audit.Failed
	others[4].Detail = "too_many_attempts"
	for _, o := range others {
		w.Record(t.Context(), o)
	}
	w.pass(18 * time.Second)
	w.Record(t.Context(), wrong) // a minute after the first
	w.pass(time.Minute)
	w.Record(t.Context(), wrong)
	want := []string{"bad_credentials", "bad_credentials", "bad_credentials", "bad_credentials", "bad_credentials", "too_many_attempts",
		"bad_credentials; left out before: 41 like it", "bad_credentials"}
	if diff := cmp.Diff(want, w.details()); diff != "" {
		t.Error(diff)
	}
	if n := len(w.lines()); n != len(want) {
		t.Errorf("%d lines", n)
	}
}

func TestAFloodOfFailuresDoesNotFillTheLog(t *testing.T) {
	for name, c := range map[string]struct {
		address func(int) string
		via     string
		most    int // recorded in its first minute
	}{
		"one address":           {func(int) string { return "192.0.2.1" }, "", 20},
		"one IPv6 household":    {func(i int) string { return fmt.Sprintf("2001:db8::%x", i+1) }, "", 20},
		"as many addresses":     {func(i int) string { return fmt.Sprintf("10.%d.%d.1", i/250, i%250) }, "", 105},
		"no address":            {func(int) string { return "" }, "", 20},
		"somebody signed in":    {func(int) string { return "192.0.2.1" }, audit.ViaSession, 65},
		"many who have done so": {func(i int) string { return fmt.Sprintf("10.%d.%d.1", i/250, i%250) }, audit.ViaToken + " ci", 211},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			for i := range 10_000 {
				w.Record(t.Context(), audit.Entry{User: fmt.Sprint("user", i), Address: c.address(i), Via: c.via, Action: "login", Result: audit.Refused})
				w.pass(6 * time.Millisecond)
			}
			n := len(w.entries())
			if n != c.most {
				t.Errorf("%d are recorded, want %d", n, c.most)
			}
			if r := w.Remembered(); r > 2*c.most+1 {
				t.Errorf("%d tallies", r)
			}
			// A user's success and another's failure are seen in the middle of it.
			w.Record(t.Context(), audit.Entry{User: "ann", Address: "192.0.2.1", Action: "login", Result: audit.OK})
			if c.via == "" {
				w.Record(t.Context(), audit.Entry{User: "ann", Address: "192.0.2.1", Via: audit.ViaSession, Action: "removeImage", Result: audit.Refused})
				n++
			}
			if got := len(w.entries()); got != n+1 {
				t.Errorf("%d more", got-n)
			}
			left := 0
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			_ = w.Run(ctx)
			for _, d := range w.details() {
				_, said, _ := strings.Cut(d, "left out before: ")
				for part := range strings.SplitSeq(said, ", ") {
					var k int
					_, _ = fmt.Sscanf(part, "%d", &k)
					left += k
				}
			}
			if left != 10_000-c.most || w.Remembered() != 0 {
				t.Errorf("%d were left out, and %d are said; %d tallies", 10_000-c.most, left, w.Remembered())
			}
		})
	}
}

func TestRunPrunesHourlyAndSaysWhatWasLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := store.OpenMemory(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		var keep atomic.Int64
		keep.Store(int64(90 * time.Minute))
		l := audit.New(audit.Dependencies{Store: s, Retention: func() time.Duration { return time.Duration(keep.Load()) }})
		details := func() (all []string) {
			t.Helper()
			synctest.Wait()
			entries, err := s.Audit(t.Context(), store.AuditFilter{})
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range entries {
				all = append(all, strings.TrimSpace(e.Action+" "+e.Detail))
			}
			return all
		}
		if _, err := s.AddAudit(t.Context(), store.AuditEntry{At: time.Now().Add(-2 * time.Hour), Action: "old"}); err != nil {
			t.Fatal(err)
		}
		l.Record(t.Context(), audit.Entry{Action: "new", Result: audit.OK})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- l.Run(ctx) }()
		if diff := cmp.Diff([]string{"new"}, details()); diff != "" {
			t.Error("at the start", diff)
		}
		for range 3 {
			l.Record(t.Context(), audit.Entry{Action: "login", Address: "192.0.2.1", Result: audit.Refused})
		}
		time.Sleep(2 * time.Minute)
		if diff := cmp.Diff([]string{"login left out before: 2 like it", "login", "new"}, details()); diff != "" {
			t.Error("two minutes later", diff)
		}
		time.Sleep(time.Hour)
		if n := len(details()); n != 3 {
			t.Errorf("an hour later: %d", n)
		}
		keep.Store(int64(100 * time.Minute))
		time.Sleep(time.Hour)
		if n := len(details()); n != 0 {
			t.Errorf("two hours later: %v", details())
		}
		l.Record(t.Context(), audit.Entry{Action: "login", Result: audit.Failed})
		l.Record(t.Context(), audit.Entry{Action: "login", Result: audit.Failed})
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if diff := cmp.Diff([]string{"login left out before: 1 like it", "login"}, details()); diff != "" {
			t.Error("at the end", diff)
		}
	})
}

func TestAStoreThatFailsIsLoggedAndNothingElse(t *testing.T) {
	w := newWorld(t)
	if err := w.store.Close(); err != nil {
		t.Fatal(err)
	}
	w.Record(t.Context(), audit.Entry{Action: "login", Result: audit.OK})
	w.Prune(t.Context())
	lines := w.lines()
	if len(lines) != 2 || !strings.Contains(lines[0], `"action":"login"`) || !strings.Contains(lines[1], "stands in this log alone") || !strings.Contains(lines[1], "closed") {
		t.Errorf("%q", lines)
	}
}

func TestWithoutARetentionNothingIsRemoved(t *testing.T) {
	w := newWorld(t)
	w.keep = 0
	w.Record(t.Context(), audit.Entry{Action: "login", Result: audit.OK})
	w.pass(100 * 8760 * time.Hour)
	w.Prune(t.Context())
	if n := len(w.entries()); n != 1 {
		t.Errorf("%d", n)
	}
}
