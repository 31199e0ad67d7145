package config_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/watch-docker/watch-docker/internal/config"
)

// patience is how long a test waits for what must come.
const patience = 10 * time.Second

// watched is a Watcher that runs, and what it tells.
type watched struct {
	*config.Watcher
	file  string
	fresh chan *config.Config
	errs  chan error
	logs  *observer.ObservedLogs
}

// watch runs a Watcher on a file until the test ends.
func watch(t *testing.T, file string, environ ...string) *watched {
	t.Helper()
	opts := options(file, environ...)
	cfg, err := config.Load(opts)
	if err != nil {
		t.Fatal(err)
	}
	core, logs := observer.New(zap.DebugLevel)
	w := &watched{file: file, fresh: make(chan *config.Config, 16), errs: make(chan error, 16), logs: logs}
	w.Watcher = config.NewWatcher(cfg, config.WatcherOptions{Load: opts, Logger: zap.New(core),
		OnError: func(err error) { w.errs <- err }, Settle: 20 * time.Millisecond})
	w.Subscribe(func(c *config.Config) { w.fresh <- c })
	run(t, w.Watcher)
	return w
}

func run(t *testing.T, w *config.Watcher) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

func receive[T any](t *testing.T, from chan T) T {
	t.Helper()
	select {
	case value := <-from:
		return value
	case <-time.After(patience):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

func rewrite(t *testing.T, file, content string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// replace writes as editors do: a new file, moved over the old one.
func replace(t *testing.T, file, content string) {
	t.Helper()
	rewrite(t, file+"~", content)
	if err := os.Rename(file+"~", file); err != nil {
		t.Fatal(err)
	}
}

func relink(t *testing.T, target, link string) {
	t.Helper()
	if err := os.Symlink(target, link+".new"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(link+".new", link); err != nil {
		t.Fatal(err)
	}
}

func TestAChangedFileIsReloaded(t *testing.T) {
	for name, change := range map[string]func(*testing.T, string, string){"written in place": rewrite, "replaced": replace} {
		t.Run(name, func(t *testing.T) {
			w := watch(t, write(t, "config.yaml", "scan: {interval: 1m}"))
			for _, interval := range []string{"2m", "3m"} {
				change(t, w.file, "scan: {interval: "+interval+"}")
				want, _ := time.ParseDuration(interval)
				got := receive(t, w.fresh)
				if got.Scan.Interval != want || w.Current() != got {
					t.Errorf("told %s, current %s, want %s", got.Scan.Interval, w.Current().Scan.Interval, want)
				}
			}
		})
	}
}

func TestAChangeBetweenLoadAndRunIsSeen(t *testing.T) {
	file := write(t, "config.yaml", "scan: {interval: 1m}")
	cfg, err := config.Load(options(file))
	if err != nil {
		t.Fatal(err)
	}
	rewrite(t, file, "scan: {interval: 2m}")
	w := config.NewWatcher(cfg, config.WatcherOptions{Load: options(file)})
	fresh := make(chan *config.Config, 1)
	w.Subscribe(func(c *config.Config) { fresh <- c })
	run(t, w)
	if got := receive(t, fresh); got.Scan.Interval != 2*time.Minute {
		t.Errorf("interval %s", got.Scan.Interval)
	}
}

func TestASwappedLinkIsSeen(t *testing.T) {
	// As Kubernetes mounts a ConfigMap: config.yaml -> ..data/config.yaml, ..data -> ..1.
	dir := t.TempDir()
	for _, version := range []string{"1", "2"} {
		if err := os.Mkdir(filepath.Join(dir, ".."+version), 0o700); err != nil {
			t.Fatal(err)
		}
		rewrite(t, filepath.Join(dir, ".."+version, "config.yaml"), "scan: {interval: "+version+"m}")
	}
	relink(t, "..1", filepath.Join(dir, "..data"))
	relink(t, filepath.Join("..data", "config.yaml"), filepath.Join(dir, "config.yaml"))

	w := watch(t, filepath.Join(dir, "config.yaml"))
	relink(t, "..2", filepath.Join(dir, "..data"))
	if got := receive(t, w.fresh); got.Scan.Interval != 2*time.Minute {
		t.Errorf("interval %s", got.Scan.Interval)
	}
}

func TestAChangeAtTheEndOfALinkIsSeen(t *testing.T) {
	target := write(t, "real.yaml", "scan: {interval: 1m}")
	link := filepath.Join(t.TempDir(), "config.yaml")
	relink(t, target, link)
	w := watch(t, link)
	replace(t, target, "scan: {interval: 2m}")
	if got := receive(t, w.fresh); got.Scan.Interval != 2*time.Minute {
		t.Errorf("interval %s", got.Scan.Interval)
	}
}

func TestAWrongFileIsReportedAndTheOldValuesStay(t *testing.T) {
	w := watch(t, write(t, "config.yaml", "scan: {interval: 1m}"))
	replace(t, w.file, "scan: {interval: soon}\nuser: {name: bob}\n")
	err := receive(t, w.errs)
	if !strings.Contains(err.Error(), "scan.interval = soon") {
		t.Errorf("error: %v", err)
	}
	if got := w.Current().Scan.Interval; got != time.Minute {
		t.Errorf("interval is now %s", got)
	}
	var lines []string
	for _, entry := range w.logs.FilterMessage("configuration not reloaded, the old values stay").All() {
		lines = append(lines, entry.ContextMap()["err"].(string))
	}
	if len(lines) != 2 || !strings.HasPrefix(lines[0], "scan.interval") || !strings.HasPrefix(lines[1], "user.name") {
		t.Errorf("log lines: %q", lines)
	}

	replace(t, w.file, "scan: {interval: 3m}")
	if got := receive(t, w.fresh); got.Scan.Interval != 3*time.Minute {
		t.Errorf("after it was mended: %s", got.Scan.Interval)
	}
}

func TestAFileThatGoesAwayIsReportedAndSeenWhenItComesBack(t *testing.T) {
	w := watch(t, write(t, "config.yaml", "scan: {interval: 1m}"))
	if err := os.Remove(w.file); err != nil {
		t.Fatal(err)
	}
	if err := receive(t, w.errs); !strings.Contains(err.Error(), "there is no such file") {
		t.Errorf("error: %v", err)
	}
	rewrite(t, w.file, "scan: {interval: 2m}")
	if got := receive(t, w.fresh); got.Scan.Interval != 2*time.Minute {
		t.Errorf("interval %s", got.Scan.Interval)
	}
}

func TestAFileThatIsEmptiedIsNotTakenForTheDefaults(t *testing.T) {
	w := watch(t, write(t, "config.yaml", "scan: {interval: 1m}"))
	rewrite(t, w.file, "\n")
	if err := receive(t, w.errs); !strings.Contains(err.Error(), "the file has become empty") {
		t.Errorf("error: %v", err)
	}
	rewrite(t, w.file, "# nothing\n")
	if got := receive(t, w.fresh); got.Scan.Interval != 10*time.Minute {
		t.Errorf("with a comment: %s", got.Scan.Interval)
	}
}

func TestWhatNeedsARestartKeepsItsValueAndIsNamed(t *testing.T) {
	w := watch(t, write(t, "config.yaml", "server: {addr: ':1'}\nscan: {interval: 1m}"))
	replace(t, w.file, "server: {addr: ':2', baseURL: 'https://a.b'}\nscan: {interval: 2m}\nlogging: {level: debug}")
	got := receive(t, w.fresh)
	if got.Server.Addr != ":1" || got.Server.BaseURL != nil || got.Scan.Interval != 2*time.Minute || got.Logging.Level != "debug" {
		t.Errorf("now %+v %+v %+v", got.Server, got.Scan, got.Logging)
	}
	entries := w.logs.FilterMessageSnippet("needs a restart").All()
	if len(entries) != 1 {
		t.Fatalf("%d log lines", len(entries))
	}
	var names []string
	for _, name := range entries[0].ContextMap()["keys"].([]any) {
		names = append(names, name.(string))
	}
	if !slices.Equal(names, []string{"server.addr", "server.baseURL"}) {
		t.Errorf("named: %q", names)
	}
	for _, row := range got.Effective() {
		if row.Key == "server.baseURL" && row.Source != "default" {
			t.Errorf("its source is %s", row.Source)
		}
	}
}

func TestOtherFilesInTheFolderCauseNoReload(t *testing.T) {
	w := watch(t, write(t, "config.yaml", "scan: {interval: 1m}"))
	for range 50 {
		rewrite(t, filepath.Join(filepath.Dir(w.file), "watch-docker.db-wal"), "x")
	}
	rewrite(t, w.file, "scan: {interval: 2m}")
	receive(t, w.fresh)
	if n := w.logs.FilterMessage("configuration reloaded").Len(); n != 1 {
		t.Errorf("%d reloads", n)
	}
}

func TestTheEnvironmentStillGoesBeforeAChangedFile(t *testing.T) {
	w := watch(t, write(t, "config.yaml", ""), "WATCH_SCAN_INTERVAL=7m")
	replace(t, w.file, "scan: {interval: 1m, concurrency: 4}")
	if got := receive(t, w.fresh); got.Scan.Interval != 7*time.Minute || got.Scan.Concurrency != 4 {
		t.Errorf("now %+v", got.Scan)
	}
}

func TestReloadWithoutAChangeTellsNobody(t *testing.T) {
	file := write(t, "config.yaml", "scan: {interval: 1m}")
	cfg, err := config.Load(options(file))
	if err != nil {
		t.Fatal(err)
	}
	w := config.NewWatcher(cfg, config.WatcherOptions{Load: options(file)})
	told := 0
	unsubscribe := w.Subscribe(func(*config.Config) { told++ })
	if err := w.Reload(); err != nil || told != 0 {
		t.Errorf("told %d times (%v)", told, err)
	}
	rewrite(t, file, "scan: {interval: 2m}")
	if err := w.Reload(); err != nil || told != 1 {
		t.Errorf("told %d times (%v)", told, err)
	}
	unsubscribe()
	rewrite(t, file, "scan: {interval: 3m}")
	if err := w.Reload(); err != nil || told != 1 || w.Current().Scan.Interval != 3*time.Minute {
		t.Errorf("told %d times after unsubscribing (%v)", told, err)
	}
	rewrite(t, file, "scan: {interval: 3}")
	if err := w.Reload(); err == nil || w.Current().Scan.Interval != 3*time.Minute {
		t.Errorf("error %v", err)
	}
}

func TestWithoutAFileRunOnlyWaits(t *testing.T) {
	cfg, err := config.Load(options(""))
	if err != nil {
		t.Fatal(err)
	}
	run(t, config.NewWatcher(cfg, config.WatcherOptions{Load: options("")}))
}
