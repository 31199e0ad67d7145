package dockercli_test

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/test/testbed"
)

// screen is what a terminal has shown.
type screen struct {
	*workshop
	*dockercli.Terminal

	mu    sync.Mutex
	shown strings.Builder
	ended chan struct{}
}

// terminal opens one and reads it until it ends.
func (w *workshop) terminal(id string, o dockercli.TerminalOptions) *screen {
	w.Helper()
	if o.Cols == 0 {
		o.Cols, o.Rows = 80, 24
	}
	t, err := w.client.Terminal(w.Context(), id, o)
	if err != nil {
		w.Fatal(err)
	}
	s := &screen{workshop: w, Terminal: t, ended: make(chan struct{})}
	go func() {
		defer close(s.ended)
		buf := make([]byte, 1000)
		for {
			n, err := t.Read(buf)
			s.mu.Lock()
			s.shown.Write(buf[:n])
			s.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	w.Cleanup(func() { _ = t.Close(); <-s.ended })
	return s
}

func (s *screen) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shown.String()
}

// types sends input, and waits until something new is shown.
func (s *screen) types(input, want string) {
	s.Helper()
	s.typesInPieces([]string{input}, want)
}

func (s *screen) typesInPieces(input []string, want string) {
	s.Helper()
	before := len(s.text())
	for _, piece := range input {
		if _, err := io.WriteString(s.Terminal, piece); err != nil {
			s.Fatal(err)
		}
	}
	testbed.Eventually(s, time.Minute, func() error {
		if text := s.text()[before:]; !strings.Contains(text, want) {
			return fmt.Errorf("%q isn't shown after %q, but %q", want, input, text)
		}
		return nil
	})
}

// exits waits for the end.
func (s *screen) exits(want int) {
	s.Helper()
	select {
	case <-s.ended:
	case <-time.After(time.Minute):
		s.Fatalf("it goes on: %q", s.text())
	}
	if code, err := s.Wait(s.Context()); code != want || err != nil {
		s.Errorf("exit code %d, %v; want %d: %q", code, err, want, s.text())
	}
}

func TestAShellIsFound(t *testing.T) {
	w, ref := simple(t)
	plain := w.docker("run", "-d", ref)
	bash := w.docker("run", "-d", "-e", "PATH=/bin:/usr/bin", "-v", "/usr:/usr:ro", "-v", "/lib:/lib:ro", "-v", "/lib64:/lib64:ro", ref)
	elsewhere := w.docker("run", "-d", ref)
	w.docker("exec", elsewhere, "/bin/busybox", "sh", "-c", "mkdir /busybox; busybox cp /bin/busybox /busybox/sh; rm /bin/sh")
	for id, want := range map[string]string{plain: "ash", bash: "bash", elsewhere: "ash"} {
		s := w.terminal(id, dockercli.TerminalOptions{Cols: 91, Rows: 33})
		s.types("echo \"shell=${0##*/}=\"\n", "shell="+want+"=\r\n")
		s.types("/bin/busybox stty size\n", "33 91\r\n")
		s.types("echo term=$TERM. $((6*7))\n", "term=xterm-256color. 42")
		s.types("exit 7\n", "")
		s.exits(7)
		if text := s.text(); strings.Contains(text, "WATCHDOCKER") {
			t.Errorf("the opener shows: %q", text)
		}
	}
	w.docker("exec", plain, "rm", "/bin/sh")
	_, err := w.client.Terminal(t.Context(), plain, dockercli.TerminalOptions{Cols: 80, Rows: 24})
	w.wants(err, dockercli.ErrNoShell)
	// A command needs none.
	s := w.terminal(plain, dockercli.TerminalOptions{Cmd: []string{"/bin/busybox", "stty", "size"}})
	s.exits(0)
	_, err = w.client.Terminal(t.Context(), plain, dockercli.TerminalOptions{Cmd: []string{"/nowhere"}, Cols: 80, Rows: 24})
	w.wants(err, dockercli.ErrNoCommand)
	s = w.terminal(plain, dockercli.TerminalOptions{Cmd: []string{"/bin/busybox", "sleep", "2001"}})
	if err := s.End(t.Context()); err != nil { // Ctrl-C does
		t.Error(err)
	}
	s = w.terminal(plain, dockercli.TerminalOptions{Cmd: []string{"/bin/busybox", "ash", "-c", "trap '' INT QUIT; while :; do sleep 1; done"}})
	s.types("", "")
	w.wants(s.End(t.Context()), dockercli.ErrLeft)
}

func TestATerminalIsOne(t *testing.T) {
	w, ref := simple(t)
	id := w.docker("run", "-d", ref)
	s := w.terminal(id, dockercli.TerminalOptions{})
	s.types("/bin/busybox stty size; tty\n", "24 80\r\n/dev/pts/")
	w.must(s.Resize(t.Context(), 132, 43))
	s.types("/bin/busybox stty size\n", "43 132\r\n")
	s.types("echo 'grüße 😀 漢字'\n", "\r\ngrüße 😀 漢字\r\n")
	s.typesInPieces([]string{"echo \xc3", "\xbc", "\n"}, "\r\nü\r\n") // half a character at a time
	s.types("sleep 2100; echo code $?\n", "")
	testbed.Eventually(t, time.Minute, func() error {
		if !slices.Contains(w.processes(id), "sleep 2100") {
			return fmt.Errorf("no sleep among %q", w.processes(id))
		}
		return nil
	})
	s.types("\x03", "^C")
	s.types("echo after $?\n", "after 130")
	s.types("/bin/busybox vi /etc/passwd\n", "nobody:x:65534")
	if text := s.text(); !strings.Contains(text, "\x1b[?1049h") {
		t.Errorf("no full screen: %q", text)
	}
	w.must(s.Resize(t.Context(), 60, 10))
	s.types(":q\n", "\x1b[?1049l")
	s.types("kill -9 $$\n", "")
	s.exits(137)
}

func TestATerminalsUserAndFolder(t *testing.T) {
	w, ref := simple(t)
	id := w.docker("run", "-d", ref)
	s := w.terminal(id, dockercli.TerminalOptions{User: "nobody", Dir: "/etc", Cmd: []string{"sh", "-c", "id -u; pwd; exit 3"}})
	s.exits(3)
	if s.text() != "65534\r\n/etc\r\n" {
		t.Errorf("%q", s.text())
	}
	open := func(id string, o dockercli.TerminalOptions) error {
		o.Cols, o.Rows = 80, 24
		_, err := w.client.Terminal(t.Context(), id, o)
		t.Log(err)
		return err
	}
	w.wants(open(id, dockercli.TerminalOptions{User: "somebody"}), dockercli.ErrNoUser)
	w.wants(open(id, dockercli.TerminalOptions{User: "root:somegroup"}), dockercli.ErrNoUser)
	w.wants(open(id, dockercli.TerminalOptions{Dir: "/etc/passwd"}), dockercli.ErrNoFolder)
	w.wants(open(strings.Repeat("ab", 32), dockercli.TerminalOptions{}), dockercli.ErrNotFound)
	w.docker("pause", id)
	w.wants(open(id, dockercli.TerminalOptions{}), dockercli.ErrConflict)
	w.docker("unpause", id)
	w.docker("stop", id)
	w.wants(open(id, dockercli.TerminalOptions{}), dockercli.ErrConflict)
}

func TestATerminalIsEndedWithAllThatItStarted(t *testing.T) {
	w, ref := simple(t)
	id := w.docker("run", "-d", ref)
	own := w.processes(id)
	for name, c := range map[string]struct {
		user  string
		lines []string
	}{
		"a shell":             {},
		"a program":           {lines: []string{"sleep 2201"}},
		"deaf":                {lines: []string{"trap '' HUP TERM INT", "sleep 2202"}},
		"in the background":   {lines: []string{"sleep 2203 & sleep 2204 & (sleep 2205; true) &"}},
		"deaf children":       {lines: []string{"sh -c \"trap '' HUP; while :; do sleep 0.3; done\" &"}},
		"stopped":             {lines: []string{"sleep 2206 &", "kill -STOP $!"}},
		"sessions":            {lines: []string{"busybox setsid sleep 2207 & busybox setsid sh -c 'sleep 2208; true' &"}},
		"nohup":               {lines: []string{"(trap '' HUP; exec sleep 2209) &"}},
		"without environment": {lines: []string{"exec env -i /bin/busybox sh", "trap '' HUP", "/bin/sleep 2210 &"}},
		"somebody else":       {user: "nobody", lines: []string{"trap '' HUP; sleep 2211 & sleep 2212"}},
		"that writes":         {lines: []string{"yes"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := *w
			w.T = t
			s := w.terminal(id, dockercli.TerminalOptions{User: c.user})
			for _, line := range c.lines {
				s.types(line+"\n", line[:3])
			}
			if len(c.lines) > 0 {
				testbed.Eventually(t, time.Minute, func() error {
					if got := w.processes(id); len(got) < len(own)+2 && name != "that writes" {
						return fmt.Errorf("it isn't under way: %q", got)
					}
					return nil
				})
			}
			began := time.Now()
			w.must(s.End(t.Context()))
			if took := time.Since(began); took > 8*time.Second {
				t.Errorf("it took %s", took)
			}
			if got := w.processes(id); !slices.Equal(got, own) {
				t.Errorf("left are %q", got)
			}
			select {
			case <-s.ended:
			case <-time.After(time.Minute):
				t.Error("its output goes on")
			}
		})
	}
	s := w.terminal(id, dockercli.TerminalOptions{})
	w.docker("pause", id)
	w.wants(s.End(t.Context()), dockercli.ErrLeft)
	w.docker("unpause", id)
	w.must(s.End(context.Background()))
}
