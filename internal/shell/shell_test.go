package shell_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/watch-docker/watch-docker/internal/shell"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a manager whose shells run here.
type world struct {
	*testing.T
	*shell.Manager

	mu     sync.Mutex
	closed []shell.Outcome
}

func newWorld(t *testing.T, o shell.Options) *world {
	w := &world{T: t, Manager: shell.New(o)}
	t.Cleanup(w.Close)
	return w
}

func (w *world) request(user string, cmd ...string) shell.Request {
	return shell.Request{
		User: user, Session: user + "'s", Label: "here",
		Open: func(context.Context) (shell.Terminal, error) {
			return shell.Host(shell.HostOptions{Cmd: cmd, Cols: 80, Rows: 24, Dir: w.TempDir(), Environ: os.Environ()})
		},
		Closed: func(o shell.Outcome) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.closed = append(w.closed, o)
		},
	}
}

func (w *world) start(r shell.Request) *shell.Shell {
	w.Helper()
	s, err := w.Start(w.Context(), r)
	if err != nil {
		w.Fatal(err)
	}
	return s
}

func (w *world) outcomes() []shell.Outcome {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]shell.Outcome{}, w.closed...)
}

func (w *world) eventually(what string, is func() bool) {
	w.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.Fatalf("not in time: %s", what)
		}
	}
}

// viewer shows a shell.
type viewer struct {
	mu    sync.Mutex
	shown bytes.Buffer
	leave context.CancelFunc
	left  chan struct{}
	code  int
	err   error
}

func (w *world) show(s *shell.Shell) *viewer {
	ctx, cancel := context.WithCancel(w.Context())
	v := &viewer{leave: cancel, left: make(chan struct{})}
	go func() {
		defer close(v.left)
		v.code, v.err = s.Show(ctx, func(p []byte) error {
			v.mu.Lock()
			defer v.mu.Unlock()
			v.shown.Write(p)
			return nil
		})
	}()
	w.Cleanup(func() { cancel(); <-v.left })
	return v
}

func (v *viewer) text() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.shown.String()
}

func (w *world) shows(v *viewer, text string) {
	w.Helper()
	w.eventually(fmt.Sprintf("%q in %q", text, v.text()), func() bool { return strings.Contains(v.text(), text) })
}

func TestAShellIsShownUntilItEnds(t *testing.T) {
	w := newWorld(t, shell.Options{})
	s := w.start(w.request("ann", "/bin/sh"))
	v := w.show(s)
	if err := s.Type([]byte("stty size; echo grü\\ße $TERM\n")); err != nil {
		t.Fatal(err)
	}
	w.shows(v, "24 80\r\ngrüße xterm-256color\r\n")
	s.Resize(132, 43)
	w.eventually("the size", func() bool {
		_ = s.Type([]byte("stty size\n"))
		return strings.Contains(v.text(), "43 132\r\n")
	})
	_ = s.Type([]byte("exit 5\n"))
	<-v.left
	if v.err != nil || v.code != 5 {
		t.Errorf("%d, %v", v.code, v.err)
	}
	w.eventually("it is forgotten", func() bool { _, ok := w.Find(s.ID(), "ann", "ann's"); return !ok })
	if o := w.outcomes(); len(o) != 1 || o[0].Why != shell.WhyExit || o[0].Code != 5 || o[0].Err != nil {
		t.Errorf("%+v", o)
	}
}

func TestAShellWaitsForWhoComesBack(t *testing.T) {
	w := newWorld(t, shell.Options{})
	s := w.start(w.request("ann", "/bin/sh", "-c", "echo first; read a; echo got $a; read b; exit 9"))
	v := w.show(s)
	w.shows(v, "first")
	v.leave()
	<-v.left
	_ = s.Type([]byte("x\n"))
	for _, other := range [][2]string{{"bob", "bob's"}, {"ann", "bob's"}, {"ann", ""}, {"bob", "ann's"}} {
		if _, ok := w.Find(s.ID(), other[0], other[1]); ok {
			t.Errorf("%v has it", other)
		}
	}
	found, ok := w.Find(s.ID(), "ann", "ann's")
	if !ok {
		t.Fatal("it isn't there")
	}
	first := w.show(found)
	w.shows(first, "first\r\nx\r\ngot x\r\n")
	second := w.show(found)
	<-first.left
	if !errors.Is(first.err, shell.ErrTakenOver) {
		t.Errorf("the one before: %v", first.err)
	}
	w.shows(second, "first\r\nx\r\ngot x\r\n")
	second.leave()
	<-second.left
	_ = s.Type([]byte("\n")) // it ends while nobody looks
	w.eventually("its end", func() bool { return len(w.outcomes()) == 1 })
	last := w.show(found)
	<-last.left
	if last.code != 9 || last.err != nil || !strings.Contains(last.text(), "got x") {
		t.Errorf("%d, %v, %q", last.code, last.err, last.text())
	}
}

func TestOnlyTheLastOutputIsReplayed(t *testing.T) {
	w := newWorld(t, shell.Options{})
	s := w.start(w.request("ann", "/bin/sh", "-c", "stty -onlcr; i=0; while [ $i -lt 60000 ]; do echo line-ü-$i; i=$((i+1)); done; read a"))
	w.eventually("the last line", func() bool {
		v := w.show(s)
		defer func() { v.leave(); <-v.left }()
		return strings.HasSuffix(v.text(), "line-ü-59999\n")
	})
	v := w.show(s)
	w.shows(v, "line-ü-59999\n")
	got := v.text()
	if len(got) > 256<<10 || len(got) < 250<<10 || !strings.HasPrefix(got, "line-ü-") {
		t.Errorf("%d bytes, beginning with %q", len(got), got[:20])
	}
}

func TestNothingIsLostToASlowReader(t *testing.T) {
	w := newWorld(t, shell.Options{})
	s := w.start(w.request("ann", "/bin/sh", "-c", "stty -onlcr; i=0; while [ $i -lt 200000 ]; do echo $i; i=$((i+1)); done"))
	var got bytes.Buffer
	code, err := s.Show(t.Context(), func(p []byte) error {
		got.Write(p)
		time.Sleep(time.Millisecond) // that is what makes it slow
		return nil
	})
	var want bytes.Buffer
	for i := range 200000 {
		fmt.Fprintln(&want, i)
	}
	if err != nil || code != 0 || !bytes.Equal(got.Bytes(), want.Bytes()) {
		t.Errorf("%d, %v, %d bytes of %d", code, err, got.Len(), want.Len())
	}
}

// marked counts the processes whose arguments hold a word.
func marked(word string) (n int) {
	all, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range all {
		if text, err := os.ReadFile(path); err == nil && bytes.Contains(text, []byte(word)) && !bytes.Contains(text, []byte("test.run")) {
			n++
		}
	}
	return n
}

func TestAShellIsEnded(t *testing.T) {
	ended := make(chan struct{})
	for name, c := range map[string]struct {
		why    string
		linger time.Duration
		change func(*shell.Request)
		end    func(*world, *shell.Shell, *viewer)
		shown  error
	}{
		"nobody comes back":     {why: shell.WhyGone, linger: 100 * time.Millisecond, end: func(_ *world, _ *shell.Shell, v *viewer) { v.leave(); <-v.left }, shown: context.Canceled},
		"its user wants it":     {why: shell.WhyClosed, end: func(_ *world, s *shell.Shell, _ *viewer) { s.Close(); s.Close() }, shown: shell.ErrEnded},
		"its session ends":      {why: shell.WhySession, change: func(r *shell.Request) { r.Ended = ended }, end: func(*world, *shell.Shell, *viewer) { close(ended) }, shown: shell.ErrEnded},
		"its token expires":     {why: shell.WhySession, change: func(r *shell.Request) { r.Until = time.Now().Add(time.Second) }, end: func(*world, *shell.Shell, *viewer) {}, shown: shell.ErrEnded},
		"the program stops":     {why: shell.WhyStopping, end: func(w *world, _ *shell.Shell, _ *viewer) { w.Close() }, shown: shell.ErrEnded},
		"while nobody shows it": {why: shell.WhyStopping, end: func(w *world, _ *shell.Shell, v *viewer) { v.leave(); <-v.left; w.Close() }, shown: context.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, shell.Options{Linger: c.linger})
			word := fmt.Sprintf("31%09d", time.Now().UnixNano()%1e9)
			r := w.request("ann", "/bin/sh", "-c", "trap '' HUP; setsid sleep "+word+" & sleep "+word+" & env -i /bin/sleep "+word+" & echo ready; yes")
			if c.change != nil {
				c.change(&r)
			}
			s := w.start(r)
			v := w.show(s)
			w.shows(v, "ready")
			w.eventually("all of it", func() bool { return marked(word) >= 3 })
			c.end(w, s, v)
			w.eventually("the end", func() bool { return len(w.outcomes()) == 1 })
			if o := w.outcomes()[0]; o.Why != c.why || o.Err != nil || o.Took > 15*time.Second {
				t.Errorf("%+v", o)
			}
			if n := marked(word); n != 0 {
				t.Errorf("%d processes are left", n)
			}
			<-v.left
			if !errors.Is(v.err, c.shown) {
				t.Errorf("its viewer is told %v", v.err)
			}
		})
	}
}

func TestShellsAreLimited(t *testing.T) {
	w := newWorld(t, shell.Options{Each: 2, All: 3, Linger: 20 * time.Second})
	sleep := func(user string) error {
		_, err := w.Start(t.Context(), w.request(user, "sleep", "3200"))
		return err
	}
	many := func(err error) bool {
		var e *shell.Error
		return errors.As(err, &e) && e.Code == shell.CodeTooMany
	}
	fails := w.request("ann")
	fails.Open = func(context.Context) (shell.Terminal, error) { return nil, errors.New("no") }
	if _, err := w.Start(t.Context(), fails); err == nil || many(err) {
		t.Error(err)
	}
	first := w.start(w.request("ann", "sleep", "3200"))
	if err := errors.Join(sleep("ann"), sleep("bob")); err != nil {
		t.Fatal(err)
	}
	if !many(sleep("ann")) || !many(sleep("carl")) {
		t.Error("there is no limit")
	}
	first.Close()
	w.eventually("a place", func() bool { return sleep("ann") == nil })
	w.Close()
	if !many(sleep("ann")) {
		t.Error("one is opened after the end")
	}
}

func TestTheEndDoesNotWaitForAShellThatDoesNotOpen(t *testing.T) {
	w := newWorld(t, shell.Options{})
	r, opening, failed := w.request("ann"), make(chan struct{}), make(chan error)
	r.Open = func(ctx context.Context) (shell.Terminal, error) {
		close(opening)
		<-ctx.Done()
		return nil, ctx.Err()
	}
	go func() {
		_, err := w.Start(t.Context(), r)
		failed <- err
	}()
	<-opening
	w.Close()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestInputThatNobodyReadsIsLimited(t *testing.T) {
	w := newWorld(t, shell.Options{})
	s := w.start(w.request("ann", "/bin/sh", "-c", "stty raw -echo; echo ready; sleep 3300"))
	v := w.show(s)
	w.shows(v, "ready")
	w.eventually("the limit", func() bool { return errors.Is(s.Type(make([]byte, 100<<10)), shell.ErrInputFull) })
	s.Close()
	<-v.left
}

func TestNothingOfOursIsInAHostShell(t *testing.T) {
	w := newWorld(t, shell.Options{})
	r := w.request("ann", "env")
	secret := "hidden-value"
	r.Open = func(context.Context) (shell.Terminal, error) {
		return shell.Host(shell.HostOptions{Cmd: []string{"env"}, Cols: 80, Rows: 24, Environ: []string{
			"PATH=/usr/bin:/bin", "HOME=/", "LANG=de_DE.UTF-8", "LC_TIME=C", "TZ=Europe/Berlin", "DOCKER_HOST=unix:///x.sock",
			"USER_PASSWORD=" + secret, "USER_PASSWORD_FILE=" + secret, "USER_NAME=" + secret, "WATCH_REGISTRY_AUTH_0_PASSWORD=" + secret, "TWOFA_USERS=" + secret,
			"IS_OPEN_DOCKER_SHELL=" + secret, "STATE_PATH=" + secret, "CONFIG_PATH=" + secret, "DOCKER_CERT_PATH=" + secret, "DOCKER_AUTH_CONFIG=" + secret,
			"LD_PRELOAD=" + secret, "AWS_SECRET_ACCESS_KEY=" + secret, "SSH_AUTH_SOCK=" + secret, "PATHS=" + secret, "=" + secret,
		}})
	}
	v := w.show(w.start(r))
	<-v.left
	for _, want := range []string{"PATH=/usr/bin:/bin", "HOME=/", "LANG=de_DE.UTF-8", "LC_TIME=C", "TZ=Europe/Berlin", "DOCKER_HOST=unix:///x.sock", "TERM=xterm-256color", "USER="} {
		if !strings.Contains("\n"+v.text(), "\n"+want) {
			t.Errorf("%s is missing in %q", want, v.text())
		}
	}
	if strings.Contains(v.text(), secret) || v.code != 0 {
		t.Errorf("%d: %s", v.code, v.text())
	}
}

func TestAHostShellThatCanNotStartSaysWhy(t *testing.T) {
	for code, o := range map[string]shell.HostOptions{
		shell.CodeNoCommand: {Cmd: []string{"nowhere-at-all"}},
		shell.CodeNoFolder:  {Dir: "/nowhere"},
	} {
		o.Cols, o.Rows = 80, 24
		_, err := shell.Host(o)
		var e *shell.Error
		if !errors.As(err, &e) || e.Code != code {
			t.Errorf("%v; want %s", err, code)
		}
	}
	w := newWorld(t, shell.Options{})
	r := w.request("ann")
	s := w.start(r)
	v := w.show(s)
	_ = s.Type([]byte("kill -9 $$\n"))
	<-v.left
	if v.code != 137 || v.err != nil {
		t.Errorf("%d, %v: %q", v.code, v.err, v.text())
	}
}
