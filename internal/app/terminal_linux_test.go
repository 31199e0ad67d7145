package app

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// openTerminal gives both ends of a new terminal: a person's, and a program's.
func openTerminal(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = person.Close() })
	n, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = program.Close() })
	return person, program
}

// screen is what a person sees.
type screen struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

func (s *screen) shows(t *testing.T, want string) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for !strings.Contains(s.String(), want) {
		select {
		case <-deadline:
			t.Fatalf("the screen shows %q, and not %q", s, want)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func isHidden(t *testing.T, program *os.File) bool {
	t.Helper()
	mode, err := unix.IoctlGetTermios(int(program.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return mode.Lflag&unix.ECHO == 0
}

func untilHidden(t *testing.T, program *os.File) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for !isHidden(t, program) {
		select {
		case <-deadline:
			t.Fatal("what is typed shows")
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func TestAPasswordIsTypedTwiceAndNotShown(t *testing.T) {
	for name, c := range map[string]struct {
		second string
		code   int
		says   string
	}{
		"the same": {newPassword, ExitOK, "ann has a new password"},
		"a slip":   {newPassword + "x", ExitFailed, "not the same; nothing was changed"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newState(t, "ann")
			person, program := openTerminal(t)
			seen := &screen{}
			go func() { _, _ = io.Copy(seen, person) }() // ends when the test closes it
			ended := make(chan int, 1)
			go func() {
				p := Program{Args: []string{"set-password", "ann"}, Environ: []string{"STATE_PATH=" + s.folder, "CONFIG_PATH=" + s.folder}, Stdin: program, Stdout: program, Stderr: program}
				ended <- p.Run(t.Context())
			}()
			for _, step := range [][2]string{{"New password of ann: ", newPassword}, {"Once more: ", c.second}} {
				seen.shows(t, step[0])
				untilHidden(t, program)
				if _, err := io.WriteString(person, step[1]+"\n"); err != nil {
					t.Fatal(err)
				}
			}
			if code := <-ended; code != c.code {
				t.Errorf("exit %d", code)
			}
			seen.shows(t, c.says)
			if text := seen.String(); strings.Contains(text, newPassword) || isHidden(t, program) {
				t.Errorf("hidden at the end: %v; the screen shows %q", isHidden(t, program), text)
			}
			if _, err := s.login(newPassword); (err == nil) != (c.code == ExitOK) {
				t.Error(err)
			}
		})
	}
}

func TestAnInterruptLeavesTheTerminalAsItWas(t *testing.T) {
	person, program := openTerminal(t)
	seen := &screen{}
	go func() { _, _ = io.Copy(seen, person) }() // ends when the test closes it
	ctx, interrupt := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	go func() {
		p := Program{Args: []string{"set-password", "ann"}, Environ: []string{"STATE_PATH=" + t.TempDir()}, Stdin: program, Stdout: program, Stderr: program}
		ended <- p.Run(ctx)
	}()
	seen.shows(t, "New password of ann: ")
	untilHidden(t, program)
	interrupt()
	if code := <-ended; code != ExitFailed || isHidden(t, program) {
		t.Errorf("exit %d, hidden: %v", code, isHidden(t, program))
	}
	if _, err := io.WriteString(person, "\n"); err != nil { // lets the reader end
		t.Fatal(err)
	}
}
