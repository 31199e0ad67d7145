package integration_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moby/moby/client"

	"github.com/watch-docker/watch-docker/internal/app"
	"github.com/watch-docker/watch-docker/internal/scanner"
	"github.com/watch-docker/watch-docker/internal/store"
	"github.com/watch-docker/watch-docker/test/testbed"
)

// log is a buffer that the server writes and the test reads.
type log struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// serve runs a server until the test ends.
func (w *world) serve(env ...string) (*app.Server, *log) {
	w.Helper()
	out := &log{}
	ctx, stop := context.WithCancel(w.Context())
	s, err := app.NewServer(ctx, app.Program{Environ: append(append([]string{}, w.env...), env...), Stderr: out}, "")
	if err != nil {
		stop()
		w.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	w.Cleanup(func() {
		stop()
		if err := errors.Join(<-ended, s.Close()); err != nil {
			w.Error(err)
		}
		if w.Failed() {
			w.Log(out)
		}
	})
	return s, out
}

// status asks one route and gives the status and the problem's parts.
func status(t testing.TB, s *app.Server, path string) (int, map[string]any) {
	t.Helper()
	res, err := http.Get("http://" + s.Addr() + path)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var body map[string]any
	if err := json.NewDecoder(res.Body).Decode(&body); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	if res.StatusCode >= 400 && res.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%s: %s is no problem document", path, res.Header.Get("Content-Type"))
	}
	return res.StatusCode, body
}

func TestTheServerFollowsTheEngineWithoutAskingRegistries(t *testing.T) {
	w := newWorld(t, testbed.AnyEngine, testbed.Plain)
	reg := w.bed.Registry(testbed.Plain)
	w.push(reg, "app:latest", w.index("one", "one"))
	w.container("first", reg.Ref("app:latest"), nil)
	s, _ := w.serve("WATCH_SCAN_INTERVAL=1h")
	find := func(name string, want func(scanner.ContainerStatus) bool) func() error {
		return func() error {
			if c, ok := w.byName(s.Latest())[name]; !ok || !want(c) {
				return fmt.Errorf("%s: %+v", name, c)
			}
			return nil
		}
	}
	upToDate := func(c scanner.ContainerStatus) bool { return c.Status == scanner.UpToDate && c.Running }
	testbed.Eventually(t, time.Minute, find("first", upToDate))

	reg.Reset()
	second := w.start(testbed.ContainerSpec{Name: "second", Image: reg.Ref("app:latest")})
	testbed.Eventually(t, time.Minute, find("second", func(c scanner.ContainerStatus) bool { return upToDate(c) && c.StartedAt != nil }))
	api := w.bed.Engine().Client()
	if _, err := api.ContainerKill(t.Context(), second.ID, client.ContainerKillOptions{}); err != nil {
		t.Fatal(err)
	}
	testbed.Eventually(t, time.Minute, find("second", func(c scanner.ContainerStatus) bool { return !c.Running && c.State == "exited" }))
	if _, err := api.ContainerRename(t.Context(), second.ID, client.ContainerRenameOptions{NewName: w.bed.Name("renamed")}); err != nil {
		t.Fatal(err)
	}
	testbed.Eventually(t, time.Minute, find("renamed", func(c scanner.ContainerStatus) bool { return c.ID == second.ID }))
	if _, err := api.ContainerRemove(t.Context(), second.ID, client.ContainerRemoveOptions{Force: true}); err != nil {
		t.Fatal(err)
	}
	testbed.Eventually(t, time.Minute, func() error {
		if _, still := w.byName(s.Latest())["renamed"]; still {
			return errors.New("a removed container is still there")
		}
		return nil
	})
	if reg.Count() != 0 {
		t.Errorf("events led to %v", reg.Requests())
	}

	// What is pulled by hand shows as well.
	w.push(reg, "app:latest", w.index("two", "two"))
	w.pull(reg.Ref("app:latest"))
	testbed.Eventually(t, time.Minute, find("first", func(c scanner.ContainerStatus) bool { return c.Status == scanner.UpdateAvailable }))
}

func TestAnEngineThatGoesAwayAndComesBack(t *testing.T) {
	w := newWorld(t, testbed.PrivateEngine, testbed.Plain)
	reg := w.bed.Registry(testbed.Plain)
	w.push(reg, "app:latest", w.index("one", "one"))
	w.container("app", reg.Ref("app:latest"), nil)
	engine := w.bed.Engine()
	if err := engine.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}

	// Absent at the start: said, tried again, not ready, and the scan is made up for.
	s, out := w.serve("WATCH_SCAN_INTERVAL=1h")
	if code, body := status(t, s, "/readyz"); code != 503 || body["code"] != "not_ready" || body["errors"].(map[string]any)["engine"] == nil {
		t.Errorf("readyz without an engine: %d %v", code, body)
	}
	if code, _ := status(t, s, "/healthz"); code != 200 {
		t.Errorf("healthz without an engine: %d", code)
	}
	testbed.Eventually(t, time.Minute, func() error {
		if text := out.String(); !strings.Contains(text, "the scan failed and will be tried again") || !strings.Contains(text, "docker.host") {
			return fmt.Errorf("the log says nothing of it: %s", text)
		}
		return nil
	})
	if err := engine.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	ready := func() error {
		if code, body := status(t, s, "/readyz"); code != 200 {
			return fmt.Errorf("readyz: %d %v", code, body)
		}
		return nil
	}
	testbed.Eventually(t, time.Minute, ready)
	scanned := func(running bool) func() error {
		return func() error {
			c := w.byName(s.Latest())["app"]
			if c.Running != running || (running && c.Status != scanner.UpToDate) {
				return fmt.Errorf("%+v", c)
			}
			return nil
		}
	}
	testbed.Eventually(t, time.Minute, func() error { // the engine's stop has ended it
		if s.Latest().ScannedAt.IsZero() {
			return errors.New("not scanned yet")
		}
		return scanned(false)()
	})

	// Gone in the middle and back: listed anew, with what changed meanwhile.
	if _, err := engine.Client().ContainerStart(t.Context(), w.bed.Name("app"), client.ContainerStartOptions{}); err != nil {
		t.Fatal(err)
	}
	testbed.Eventually(t, time.Minute, func() error { return ifNot(w.byName(s.Latest())["app"].Running, "not seen running") })
	if err := engine.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	testbed.Eventually(t, time.Minute, ready)
	testbed.Eventually(t, time.Minute, scanned(false))
}

func ifNot(ok bool, problem string) error {
	if ok {
		return nil
	}
	return errors.New(problem)
}

func TestAScanAsksTheEngineLittle(t *testing.T) {
	w := newWorld(t, testbed.AnyEngine, testbed.Plain)
	reg := w.bed.Registry(testbed.Plain)
	proxy, err := w.bed.Engine().Proxy(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const images, perImage = 3, 3
	for i := range images {
		tag := fmt.Sprintf("app:i%d", i)
		w.push(reg, tag, w.index(tag, tag))
		for j := range perImage {
			w.container(fmt.Sprintf("c%d%d", i, j), reg.Ref(tag), nil)
		}
	}
	through := "DOCKER_HOST=" + proxy.Host()
	others := len(w.scan(through)) - images*perImage
	if others != 0 {
		t.Fatalf("%d containers too many", others)
	}
	proxy.Reset()
	w.scan(through)
	if got, most := proxy.Count(), 2+images; w.bed.Engine().Private() && got > most {
		t.Errorf("%d requests, at most %d allowed: %v", got, most, proxy.Requests())
	}

	// A tag that has moved hides the references of its containers: one inspect each, once.
	w.push(reg, "app:i0", w.index("new", "new"))
	w.pull(reg.Ref("app:i0"))
	proxy.Reset()
	all := w.scan(through)
	w.expect(all, "c00", scanner.UpdateAvailable, "allowed")
	if got, most := proxy.Count(), 1+2+images+perImage; w.bed.Engine().Private() && got > most {
		t.Errorf("with a moved tag: %d requests, at most %d allowed: %v", got, most, proxy.Requests())
	}
}

func TestWhatKeepsTheServerFromStarting(t *testing.T) {
	w := newWorld(t, testbed.AnyEngine)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	unknown := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(unknown, []byte("scan:\n  intervall: 5m\n  concurrency: 99\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args, env []string
		code      int
		says      []string
	}{
		"port taken":          {nil, []string{"WATCH_SERVER_ADDR=" + taken.Addr().String()}, app.ExitFailed, []string{taken.Addr().String(), "in use", "WATCH_SERVER_ADDR"}},
		"state folder":        {nil, []string{"STATE_PATH=" + file + "/state"}, app.ExitFailed, []string{file, "STATE_PATH"}},
		"unknown keys":        {[]string{"-config", unknown}, nil, app.ExitUsage, []string{"scan.intervall", "scan.interval", "scan.concurrency", "99", "1 to 64"}},
		"missing file":        {[]string{"--config", "/nonexistent.yaml"}, nil, app.ExitUsage, []string{"/nonexistent.yaml"}},
		"unknown command":     {[]string{"scna"}, nil, app.ExitUsage, []string{`"scna"`, "usage"}},
		"unknown flag":        {[]string{"scan", "-jsn"}, nil, app.ExitUsage, []string{"-jsn"}},
		"unexpected argument": {[]string{"scan", "web"}, nil, app.ExitUsage, []string{`"web"`}},
		"engine absent":       {[]string{"scan"}, []string{"DOCKER_HOST=unix:///nonexistent.sock"}, app.ExitFailed, []string{"/nonexistent.sock", "docker.host"}},
		"bad engine address":  {[]string{"scan"}, []string{"DOCKER_HOST=carrier-pigeon"}, app.ExitUsage, []string{"docker.host", "carrier-pigeon"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, stderr, code := w.run(c.env, c.args...)
			if code != c.code {
				t.Errorf("exit %d, want %d", code, c.code)
			}
			for _, want := range c.says {
				if !strings.Contains(stderr, want) {
					t.Errorf("%q doesn't say %q", stderr, want)
				}
			}
		})
	}
}

func TestASecondServerOnTheSameStateFolderSaysSo(t *testing.T) {
	w := newWorld(t, testbed.AnyEngine)
	s, _ := w.serve()
	_, stderr, code := w.run(nil, "serve")
	if code != app.ExitFailed || !strings.Contains(stderr, w.state) || !strings.Contains(stderr, store.ErrOwned.Error()) {
		t.Errorf("exit %d: %s", code, stderr)
	}
	// A scan beside it works, and the server doesn't mind.
	if _, stderr, code := w.run(nil, "scan"); code != app.ExitOK {
		t.Errorf("scan beside a server: %d %s", code, stderr)
	}
	if _, stderr, code := w.run([]string{"WATCH_SERVER_ADDR=" + s.Addr()}, "healthcheck"); code != app.ExitOK {
		t.Errorf("healthcheck: %d %s", code, stderr)
	}
	if _, _, code := w.run([]string{"WATCH_SERVER_ADDR=127.0.0.1:1"}, "healthcheck"); code != app.ExitFailed {
		t.Errorf("healthcheck without a server: %d", code)
	}
}

func TestAScanWithoutAStateFolderStillWorks(t *testing.T) {
	w := newWorld(t, testbed.AnyEngine, testbed.Plain)
	reg := w.bed.Registry(testbed.Plain)
	w.push(reg, "app:latest", w.index("one", "one"))
	w.container("app", reg.Ref("app:latest"), nil)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	stdout, stderr, code := w.run([]string{"STATE_PATH=" + file + "/state"}, "scan")
	if code != app.ExitOK || !strings.Contains(stdout, "up to date") || !strings.Contains(stderr, "STATE_PATH") {
		t.Errorf("exit %d, %s, %s", code, stdout, stderr)
	}
}

func TestAChangedConfigurationFileCountsAtOnce(t *testing.T) {
	w := newWorld(t, testbed.AnyEngine, testbed.Plain)
	reg := w.bed.Registry(testbed.Plain)
	w.push(reg, "app:latest", w.index("one", "one"))
	w.container("app", reg.Ref("app:latest"), map[string]string{"org.example.leave": "me"})
	file := filepath.Join(w.TempDir(), "config.yaml")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("scan: {interval: 1h}\n")
	s, out := w.serve("CONFIG_PATH="+filepath.Dir(file), "STATE_PATH="+w.state)
	is := func(want scanner.Status) func() error {
		return func() error { c := w.byName(s.Latest())["app"]; return ifNot(c.Status == want, fmt.Sprintf("%+v", c)) }
	}
	testbed.Eventually(t, time.Minute, is(scanner.UpToDate))
	write("scan: {interval: 1h}\npolicy: {skipLabels: [org.example.leave]}\n")
	testbed.Eventually(t, time.Minute, is(scanner.Skipped))
	write("scan: {interval: soon}\n")
	testbed.Eventually(t, time.Minute, func() error { return ifNot(strings.Contains(out.String(), "soon"), "the log says nothing") })
	if err := is(scanner.Skipped)(); err != nil {
		t.Errorf("a wrong file changed what counts: %v", err)
	}
}
