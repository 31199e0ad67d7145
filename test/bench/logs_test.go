package bench_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/watch-docker/watch-docker/test/testbed"
)

const (
	wholeLines   = 300_000
	wholeRounds  = 5
	logBar       = 0.8 // of what `docker logs` reads in the same time
	followers    = 50
	followedFor  = 10 * time.Second
	followedRate = 5000 // lines a second
)

// BenchmarkLogs measures the logs' sockets.
func BenchmarkLogs(b *testing.B) {
	w := newWorld(b)
	b.Run("whole", w.wholeLog)
	b.Run("followers", w.followers)
}

// writes runs a shell command in a container.
func (w *world) writes(b *testing.B, name, command string) testbed.Container {
	b.Helper()
	img, err := testbed.Image(testbed.ImageOptions{Payload: "logs"})
	if err == nil {
		_, err = w.registry.Push(b.Context(), "logs/app:latest", img)
	}
	if err == nil {
		err = w.bed.Pull(b.Context(), w.registry.Ref("logs/app:latest"))
	}
	if err != nil {
		b.Fatal(err)
	}
	c, err := w.bed.Run(b.Context(), testbed.ContainerSpec{Name: name, Image: w.registry.Ref("logs/app:latest"), Cmd: []string{"sh", "-c", command}})
	if err != nil {
		b.Fatal(err)
	}
	w.running++
	return c
}

// lineFormat is one of about 100 bytes, as programs write them.
const lineFormat = `"2026-01-02T03:04:05.678Z INFO [worker-7] request %09d GET /api/items?page=%d \"ok\" in 12ms from 10.0.0.7\n"`

// wholeLog is a log from its beginning to its end: by the command line of
// Docker, by the socket, and as a download, in turn.
func (w *world) wholeLog(b *testing.B) {
	own(b)
	c := w.writes(b, "whole", fmt.Sprintf(`exec busybox awk 'BEGIN { while (i < %d) { i++; printf %s, i, i } }'`, wholeLines, lineFormat))
	defer w.ends(b, c)
	w.waits(b, c)
	s := w.live(b, 1)
	ways := []func(*testing.B, *live, testbed.Container) int{w.dockerLogs, socketLog, downloadedLog}
	var took [3][]time.Duration
	var cpu [3][]time.Duration
	for range wholeRounds {
		for i, read := range ways {
			spent, began := s.cpu(b), time.Now()
			lines := read(b, s, c)
			took[i], cpu[i] = append(took[i], time.Since(began)), append(cpu[i], s.cpu(b)-spent)
			if lines != wholeLines {
				b.Fatalf("way %d gave %d lines of %d", i, lines, wholeLines)
			}
		}
	}
	for i, name := range []string{"docker-logs", "socket", "download"} {
		b.ReportMetric(wholeLines/median(took[i]).Seconds(), name+"-lines/s")
		if i == 0 {
			continue
		}
		b.ReportMetric(share(took[0], took[i]), name+"/docker-logs")
		b.ReportMetric(float64(median(cpu[i]))/wholeLines, name+"-cpu-ns/line")
	}
	b.ReportMetric(logBar, "socket/docker-logs-bar")
	size(b, "peak", s.memory().peak)
}

// share is the median of how many times as fast the second way was as the
// first, each time compared with the run just before.
func share(first, second []time.Duration) float64 {
	parts := make([]int64, len(first))
	for i := range first {
		parts[i] = int64(1000 * float64(first[i]) / float64(second[i]))
	}
	return float64(median(parts)) / 1000
}

// waits is until the container has ended.
func (w *world) waits(b *testing.B, c testbed.Container) {
	b.Helper()
	ended := w.bed.Engine().Client().ContainerWait(b.Context(), c.ID, client.ContainerWaitOptions{Condition: container.WaitConditionNotRunning})
	select {
	case <-ended.Result:
	case err := <-ended.Error:
		b.Fatal(err)
	}
}

// lineCounter counts lines that go nowhere.
type lineCounter int

func (n *lineCounter) Write(p []byte) (int, error) {
	*n += lineCounter(bytes.Count(p, []byte{'\n'}))
	return len(p), nil
}

func (w *world) dockerLogs(b *testing.B, _ *live, c testbed.Container) int {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), "docker", "logs", c.ID)
	cmd.Env = append(os.Environ(), "DOCKER_HOST="+w.bed.Engine().Host())
	if err := cmd.Run(); err != nil { // to /dev/null
		b.Fatal(err)
	}
	return wholeLines
}

func socketLog(b *testing.B, s *live, c testbed.Container) (lines int) {
	b.Helper()
	conn, err := s.openLog(b.Context(), c, "tail=all&follow=false")
	if err != nil {
		b.Fatal(err)
	}
	defer conn.CloseNow()
	var text bytes.Buffer
	for {
		_, r, err := conn.Reader(b.Context())
		if websocket.CloseStatus(err) == websocket.StatusNormalClosure {
			return lines
		}
		if err != nil {
			b.Fatal(err)
		}
		text.Reset()
		if _, err := text.ReadFrom(r); err != nil {
			b.Fatal(err)
		}
		lines += bytes.Count(text.Bytes(), []byte(`"line":"`))
	}
}

// openLog opens the socket of a log.
func (s *live) openLog(ctx context.Context, c testbed.Container, query string) (*websocket.Conn, error) {
	conn, _, err := websocket.Dial(ctx, "http://"+s.addr+"/api/containers/"+c.ID+"/logs/ws?"+query,
		&websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer " + s.tokens[0]}}})
	if err == nil {
		conn.SetReadLimit(4 << 20)
	}
	return conn, err
}

func downloadedLog(b *testing.B, s *live, c testbed.Container) int {
	b.Helper()
	req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, "http://"+s.addr+"/api/containers/"+c.ID+"/logs", nil)
	if err != nil {
		b.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.tokens[0])
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	defer res.Body.Close()
	var lines lineCounter
	if _, err := io.Copy(&lines, res.Body); err != nil || res.StatusCode != http.StatusOK {
		b.Fatal(res.Status, err)
	}
	return int(lines)
}

// heard is what one follower got.
type heard struct {
	lines, skipped int
	last           int           // line's number
	gaps           []string      // where numbers are missing
	latest         time.Duration // the longest way of a line, from the engine's stamp
	err            error
}

// followers are 50 of one container that writes 5,000 lines a second.
func (w *world) followers(b *testing.B) {
	own(b)
	// What is due by the clock is written, so that the rate is right however
	// long a round takes.
	c := w.writes(b, "followed", fmt.Sprintf(`until [ -e /go ]; do busybox usleep 20000; done
read now _ </proc/uptime; start=${now%%.*}${now#*.} i=0
while [ $i -lt %[1]d ]; do
	read now _ </proc/uptime; due=$(( (${now%%.*}${now#*.} - start) * %[2]d / 100 ))
	[ $due -le %[1]d ] || due=%[1]d
	busybox awk "BEGIN { i = $i; while (i < $due) { i++; printf \"2026-01-02T03:04:05.678Z INFO [worker-7] request %%09d GET /api/items?page=%%d in 12ms from 10.0.0.7\n\", i, i } }"
	i=$due; busybox usleep 50000
done; sleep 1`, followedRate*int(followedFor/time.Second), followedRate))
	defer w.ends(b, c)
	s := w.live(b, 1)
	idle := s.memory()
	all := make([]heard, followers)
	var reading sync.WaitGroup
	ready := make(chan struct{}, followers)
	for i := range all {
		reading.Go(func() { all[i] = s.follow(b.Context(), c, ready) })
	}
	for range all {
		<-ready
	}
	open := s.memory()
	engine := w.engineCPU(b)
	began, cpu, engineBegan := time.Now(), s.cpu(b), engine()
	w.says(b, c)
	w.waits(b, c)
	took := time.Since(began)
	reading.Wait()
	behind := time.Since(began) - took
	cpu, engineSpent := s.cpu(b)-cpu, engine()-engineBegan
	written := downloadedLog(b, s, c) // a busy machine may not have let it write all that was due
	var sum heard
	for _, h := range all {
		if h.err != nil {
			b.Error(h.err)
		}
		if h.lines+h.skipped != written {
			b.Logf("%d lines, %d skipped, the last %d; %.1000q", h.lines, h.skipped, h.last, h.gaps)
		}
		sum.lines, sum.skipped, sum.latest = sum.lines+h.lines, sum.skipped+h.skipped, max(sum.latest, h.latest)
	}
	b.ReportMetric(float64(written)/(took-time.Second).Seconds(), "lines/s-written")
	b.ReportMetric(float64(sum.lines)/followers/float64(written)*100, "heard-%")
	b.ReportMetric(float64(sum.skipped)/followers/float64(written)*100, "skipped-%")
	count(b, "lost", followers*written-sum.lines-sum.skipped, 0)
	elapsed(b, "slowest-line", sum.latest)
	elapsed(b, "behind-at-the-end", behind)
	b.ReportMetric(cpu.Seconds()/took.Seconds()*100, "cpu-%")
	b.ReportMetric(engineSpent.Seconds()/took.Seconds()*100, "engine-cpu-%")
	size(b, "idle", idle.resident)
	size(b, "open", open.resident)
	size(b, "peak", s.memory().peak)
	size(b, "after", s.memory().resident)
}

// numberAt reads the number of the line's request.
func numberAt(text []byte, at int) int {
	n, _ := strconv.Atoi(string(text[at+8 : at+17]))
	return n
}

// says tells the container to begin.
func (w *world) says(b *testing.B, c testbed.Container) {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), "docker", "exec", c.ID, "touch", "/go")
	cmd.Env = append(os.Environ(), "DOCKER_HOST="+w.bed.Engine().Host())
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
}

// follow reads a log until its container stops.
func (s *live) follow(ctx context.Context, c testbed.Container, ready chan<- struct{}) (h heard) {
	conn, err := s.openLog(ctx, c, "tail=0&timestamps=true")
	if err != nil {
		ready <- struct{}{}
		return heard{err: err}
	}
	defer conn.CloseNow()
	var frame bytes.Buffer
	for {
		_, r, err := conn.Reader(ctx)
		if err == nil {
			frame.Reset()
			_, err = frame.ReadFrom(r)
		}
		if err != nil {
			h.err = err
			return h
		}
		switch text := frame.Bytes(); {
		case bytes.HasPrefix(text, []byte(`[{"t":"`)):
			if t, err := time.Parse(time.RFC3339Nano, string(text[7:37])); err == nil {
				h.latest = max(h.latest, time.Since(t))
			}
			n := bytes.Count(text, []byte(`"line":"`))
			first, last := numberAt(text, bytes.Index(text, []byte("request "))), numberAt(text, bytes.LastIndex(text, []byte("request ")))
			if first != h.last+1 || last != first+n-1 {
				h.gaps = append(h.gaps, fmt.Sprintf("after %d: %d to %d, %d lines", h.last, first, last, n))
			}
			h.last = last
			h.lines += n
		case bytes.HasPrefix(text, []byte(`{"type":"history"`)):
			ready <- struct{}{}
		case bytes.HasPrefix(text, []byte(`{"type":"skipped"`)):
			_, n, _ := bytes.Cut(text, []byte(`"lines":`))
			lines, _ := strconv.Atoi(string(bytes.TrimRight(n, "}")))
			h.skipped += lines
		case bytes.HasPrefix(text, []byte(`{"type":"stopped"`)):
			return h
		default:
			h.err = fmt.Errorf("a frame: %.100s", text)
			return h
		}
	}
}

// engineCPU gives what reads the CPU time of the engine, which serves its socket.
func (w *world) engineCPU(b *testing.B) func() time.Duration {
	b.Helper()
	conn, err := net.Dial("unix", strings.TrimPrefix(w.bed.Engine().Host(), "unix://"))
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		b.Fatal(err)
	}
	var peer *syscall.Ucred
	if failed := raw.Control(func(fd uintptr) {
		peer, err = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	}); failed != nil || err != nil {
		b.Fatal(failed, err)
	}
	engine := &process{Cmd: &exec.Cmd{Process: &os.Process{Pid: int(peer.Pid)}}}
	return func() time.Duration { return engine.cpu(b) }
}
