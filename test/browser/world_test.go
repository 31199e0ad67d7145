// Package browser_test drives the page of the running program in a real
// Chromium, with authenticators that the browser simulates: what a person at
// the keyboard would do and see.
package browser_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/watch-docker/watch-docker/internal/app"
	"github.com/watch-docker/watch-docker/internal/store"
	"github.com/watch-docker/watch-docker/test/testbed"
)

const (
	userName = "ann"
	password = "correct horse battery"
	patience = 20 * time.Second
)

// chromium is the one browser of all tests; each test has a profile of its own.
type chromium struct {
	once sync.Once
	ctx  context.Context
	stop context.CancelFunc
	err  error
}

//nolint:gochecknoglobals // starting it takes longer than a test
var browser chromium

func TestMain(m *testing.M) {
	code := m.Run()
	if browser.stop != nil {
		browser.stop()
	}
	os.Exit(code)
}

func (c *chromium) start() (context.Context, error) {
	c.once.Do(func() {
		path, err := testbed.Browser()
		if err != nil {
			c.err = err
			return
		}
		options := []chromedp.ExecAllocatorOption{chromedp.ExecPath(path), chromedp.Headless, chromedp.WSURLReadTimeout(time.Minute)}
		for _, flag := range []string{
			"no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking", "disable-component-update",
			"disable-sync", "disable-dev-shm-usage", "ignore-certificate-errors",
		} {
			options = append(options, chromedp.Flag(flag, true))
		}
		options = append(options, chromedp.Flag("host-resolver-rules", "MAP *.example 127.0.0.1"))
		allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
		ctx, cancel := chromedp.NewContext(allocator)
		c.ctx, c.stop = ctx, func() { cancel(); stop() }
		c.err = chromedp.Do(ctx)
	})
	return c.ctx, c.err
}

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

// world is the running program. No engine is there: the page needs none.
type world struct {
	*testing.T

	url   string // as a browser on this machine has it
	state string // its folder
	out   *log
}

// anAccount makes the first user.
func anAccount() []string { return []string{"USER_NAME=" + userName, "USER_PASSWORD=" + password} }

func newWorld(t *testing.T, env ...string) *world {
	t.Helper()
	w := &world{T: t, out: &log{}, state: filepath.Join(t.TempDir(), "state")}
	all := append([]string{
		"DOCKER_HOST=unix://" + filepath.Join(t.TempDir(), "none.sock"), "STATE_PATH=" + w.state,
		"WATCH_SERVER_ADDR=127.0.0.1:0", "WATCH_LOGGING_FORMAT=json", "CONFIG_PATH=" + t.TempDir(),
	}, env...)
	ctx, stop := context.WithCancel(context.Background())
	s, err := app.NewServer(ctx, app.Program{Environ: all, Stderr: w.out}, "")
	if err != nil {
		stop()
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := errors.Join(<-ended, s.Close()); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(w.out)
		}
	})
	_, port, err := net.SplitHostPort(s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	w.url = "http://localhost:" + port + "/"
	return w
}

// required is the setting under which nobody gets in without a second factor.
const required = "IS_SECONDARY_VERIFICATION=true"

// forgetProofs makes time pass: the proofs that sessions have given are not fresh any more.
func (w *world) forgetProofs() {
	w.Helper()
	st, err := store.Open(w.Context(), w.state)
	if err != nil {
		w.Fatal(err)
	}
	defer st.Close()
	all, err := st.Sessions(w.Context(), userName)
	if err != nil || len(all) == 0 {
		w.Fatalf("%d sessions, %v", len(all), err)
	}
	for _, s := range all {
		if err := st.ElevateSession(w.Context(), s.ID, time.Now().Add(-time.Second), s.Verified); err != nil {
			w.Fatal(err)
		}
	}
}

// requests counts the lines of the access log that have these fields, such as
// `"status":403`.
func (w *world) requests(fields ...string) (n int) {
	for line := range strings.Lines(w.out.String()) {
		if strings.Contains(line, `"msg":"request"`) && !slices.ContainsFunc(fields, func(f string) bool { return !strings.Contains(line, f) }) {
			n++
		}
	}
	return n
}

// setupToken is what the log says to whoever starts the program for the first time.
func (w *world) setupToken() string {
	w.Helper()
	found := regexp.MustCompile(`"setupToken":"([^"]+)"`).FindStringSubmatch(w.out.String())
	if found == nil {
		w.Fatalf("no set-up token in the log: %s", w.out)
	}
	return found[1]
}
