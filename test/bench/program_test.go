package bench_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/watch-docker/watch-docker/internal/scanner"
)

// build links the program as a release is, and returns its path.
func build(b *testing.B) string {
	b.Helper()
	path := filepath.Join(b.TempDir(), "watch-docker")
	cmd := exec.CommandContext(b.Context(), "go", "build", "-trimpath", "-tags", "nomsgpack", "-ldflags", "-s -w",
		"-o", path, "../../cmd/watch-docker/main.go")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("build the program: %v\n%s", err, out)
	}
	return path
}

// process is the program at work. The kernel ends it with the benchmark, in
// whatever way that ends.
type process struct {
	*exec.Cmd
	began time.Time
	ended chan error
}

func start(cmd *exec.Cmd) (*process, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	p := &process{Cmd: cmd, ended: make(chan error, 1)}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // the signal is sent when the parent's thread ends
		defer runtime.UnlockOSThread()
		p.began = time.Now()
		err := cmd.Start()
		started <- err
		if err == nil {
			p.ended <- cmd.Wait()
			close(p.ended)
		}
	}()
	return p, <-started
}

// command is one run of a command to its end.
type command struct {
	began  time.Time
	wall   time.Duration
	cpu    time.Duration // user and system
	memory int64         // most that was resident, in bytes
	result scanner.Result
}

// scan runs `watch-docker scan -json` and takes its figures. What it finds
// must be right: what fails is fast.
func (w *world) scan(b *testing.B, environ []string) command {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, w.program, "scan", "-json")
	var stdout, stderr bytes.Buffer
	cmd.Env, cmd.Stdout, cmd.Stderr = environ, &stdout, &stderr
	p, err := start(cmd)
	if err != nil {
		b.Fatal(err)
	}
	c := command{began: p.began}
	c.memory, err = p.peak()
	c.wall = time.Since(p.began)
	c.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	if err != nil {
		b.Fatalf("scan: %v: %s", err, stderr.String())
	}
	if err := json.Unmarshal(stdout.Bytes(), &c.result); err != nil {
		b.Fatalf("scan -json: %v", err)
	}
	w.check(b, c.result)
	return c
}

func (w *world) check(b *testing.B, result scanner.Result) {
	b.Helper()
	found := map[scanner.Status]int{}
	for _, c := range result.Containers {
		found[c.Status]++
	}
	if found[scanner.UpToDate] != w.running-w.outdated || found[scanner.UpdateAvailable] != w.outdated {
		b.Fatalf("the scan of %d containers, %d of them outdated, found %v", w.running, w.outdated, found)
	}
}

// peak waits for the end, and reads again and again how much memory has been
// resident at most. The ru_maxrss that wait4 gives won't do: Linux counts in
// it what the parent had resident when it started the child.
func (p *process) peak() (most int64, err error) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-p.ended:
			return most, err
		case <-tick.C:
			most = max(most, p.memory().peak)
		}
	}
}

// memory is what /proc tells of a process, in bytes.
type memory struct {
	resident  int64
	peak      int64 // of resident, so far
	anonymous int64 // heap, stacks, and what the runtime keeps of its own
	file      int64 // the binary and other files' pages, which the kernel may drop
}

// memory is all zero once the process has ended.
func (p *process) memory() memory {
	var m memory
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Process.Pid))
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(line, ":")
		var kib int64
		if _, err := fmt.Sscanf(value, "%d kB", &kib); err != nil {
			continue
		}
		switch name {
		case "VmRSS":
			m.resident = kib << 10
		case "VmHWM":
			m.peak = kib << 10
		case "RssAnon":
			m.anonymous = kib << 10
		case "RssFile":
			m.file = kib << 10
		}
	}
	return m
}

// cpu is how long the process has run so far, of all its threads.
func (p *process) cpu(b *testing.B) time.Duration {
	b.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", p.Process.Pid))
	if err != nil || len(threads) == 0 {
		b.Fatalf("the threads of the server: %d, %v", len(threads), err)
	}
	var total time.Duration
	for _, thread := range threads {
		var ran time.Duration
		stat, err := os.ReadFile(thread)
		if err == nil {
			_, err = fmt.Sscan(string(stat), &ran)
		}
		if err != nil {
			b.Fatal(err)
		}
		total += ran
	}
	return total
}

// server is `watch-docker serve`.
type server struct {
	*process
	log  *logLines
	addr string // see address
}

// serve starts a server, which ends with the benchmark, if not before.
func (w *world) serve(b *testing.B, environ []string) *server {
	b.Helper()
	s := &server{log: &logLines{more: make(chan struct{}, 1)}}
	cmd := exec.Command(w.program, "serve") // ended by stop: a context would kill it
	cmd.Env, cmd.Stderr = append(environ, "WATCH_LOGGING_FORMAT=json", "WATCH_SERVER_ADDR=127.0.0.1:0"), s.log
	var err error
	if s.process, err = start(cmd); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.stop(b) })
	return s
}

// stop ends the server as an operator would. A second call does nothing.
func (s *server) stop(b *testing.B) {
	b.Helper()
	_ = s.Process.Signal(syscall.SIGTERM)
	if err, running := <-s.ended; running && err != nil {
		b.Errorf("serve: %v\n%s", err, s.log.text())
	}
}

// address is where the server listens, as it logs it.
func (s *server) address(b *testing.B) string {
	b.Helper()
	if s.addr == "" {
		var line struct{ Addr string }
		if err := json.Unmarshal(s.log.next(b, "listening"), &line); err != nil {
			b.Fatal(err)
		}
		s.addr = line.Addr
	}
	return s.addr
}

// ready waits until /readyz says so, and gives the time since the start.
func (s *server) ready(b *testing.B) time.Duration {
	b.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for ; time.Since(s.began) < 30*time.Second; <-tick.C {
		resp, err := http.Get("http://" + s.address(b) + "/readyz")
		if err != nil {
			continue
		}
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return time.Since(s.began)
		}
	}
	b.Fatalf("the server isn't ready within %s:\n%s", time.Since(s.began), s.log.text())
	return 0
}

// scanned waits for the end of the next scan that hasn't been waited for yet,
// and gives its duration as the server logs it.
func (s *server) scanned(b *testing.B, containers int) time.Duration {
	b.Helper()
	var line struct {
		Containers int
		DurationMs float64
	}
	if err := json.Unmarshal(s.log.next(b, "scanned"), &line); err != nil {
		b.Fatal(err)
	}
	if line.Containers != containers {
		b.Fatalf("the scan found %d containers of %d", line.Containers, containers)
	}
	return time.Duration(line.DurationMs * float64(time.Millisecond))
}

// logLines is what a server writes, for one reader.
type logLines struct {
	more chan struct{}

	mu    sync.Mutex
	lines [][]byte
	part  []byte
	read  int
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.part = append(l.part, p...)
	for {
		line, rest, ok := bytes.Cut(l.part, []byte("\n"))
		if !ok {
			break
		}
		l.lines, l.part = append(l.lines, bytes.Clone(line)), rest
	}
	select {
	case l.more <- struct{}{}:
	default:
	}
	return len(p), nil
}

func (l *logLines) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(bytes.Join(l.lines, []byte("\n")))
}

// next waits for the next line with that message.
func (l *logLines) next(b *testing.B, message string) []byte {
	b.Helper()
	deadline := time.After(time.Minute)
	for {
		if line := l.find(`"msg":"` + message + `"`); line != nil {
			return line
		}
		select {
		case <-l.more:
		case <-deadline:
			b.Fatalf("the server doesn't say %q:\n%s", message, l.text())
		}
	}
}

func (l *logLines) find(text string) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.read < len(l.lines) {
		line := l.lines[l.read]
		l.read++
		if bytes.Contains(line, []byte(text)) {
			return line
		}
	}
	return nil
}
