package bench_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/watch-docker/watch-docker/internal/api"
	"github.com/watch-docker/watch-docker/internal/store"
)

const (
	downtimeBar = 1.1 // of stop and start
	listBar     = 20 * time.Millisecond
	updates     = 15 // of which the median is reported
)

// BenchmarkUpdate updates one container that stops at once, again and again,
// by Watch Docker and by its peers, and measures beside them what
// `docker stop && docker start` of the same container takes: by the engine's
// API, without a client's start-up. All images are pulled already.
func BenchmarkUpdate(b *testing.B) {
	own(b)
	s := newSite(b, 1, nil)
	environ := s.w.environment(filepath.Join(b.TempDir(), "state"), "WATCH_UPDATE_STABLE_FOR=1s")
	down := map[string][]time.Duration{}
	var told, whole []time.Duration
	all := append(s.peers(b), peer{"stop-start", s.stopStart}, peer{"watch-docker", func(b *testing.B) {
		took, run := s.w.update(b, environ, s.names...)
		whole = append(whole, took)
		told = append(told, time.Duration(run.Operations[0].DowntimeMs)*time.Millisecond)
	}})
	for round := range updates {
		for i := range all { // none is always the first
			p := all[(i+round)%len(all)]
			s.release(b)
			down[p.name] = append(down[p.name], s.down(b, p.update)...)
		}
	}
	base := median(down["stop-start"])
	for name, each := range down {
		elapsed(b, name, median(each))
		b.ReportMetric(float64(median(each))/float64(base), name+"/stop-start")
	}
	b.ReportMetric(downtimeBar, "stop-start-bar")
	elapsed(b, "downtimeMs", median(told))
	elapsed(b, "whole-without-gate", median(whole)-time.Second)
}

// BenchmarkSlowTen updates ten containers that each take 2 s to stop: how
// long each of them is down, from being told to stop until its successor runs.
func BenchmarkSlowTen(b *testing.B) {
	own(b)
	const ten, stops = 10, 2 * time.Second
	s := newSite(b, ten, []string{"sh", "-c", "trap 'sleep 2; exit 0' TERM; sleep 100000 & wait"})
	environ := s.w.environment(filepath.Join(b.TempDir(), "state"), "WATCH_UPDATE_STABLE_FOR=1s", "WATCH_UPDATE_CONCURRENCY=2")
	var bar time.Duration
	measure := func(p peer) {
		s.release(b)
		began := time.Now()
		down := s.down(b, p.update)
		elapsed(b, p.name+"-whole", time.Since(began))
		elapsed(b, p.name+"-median", median(down))
		if bar == 0 { // the first is the measure: its own stop, and its start
			bar = time.Duration(downtimeBar*float64(stops)) + median(down) - stops
		}
		against(b, p.name+"-most", slices.Max(down), bar)
	}
	measure(peer{"stop-start", s.stopStart})
	for _, p := range s.peers(b) {
		measure(p)
	}
	measure(peer{"watch-docker", func(b *testing.B) { s.w.update(b, environ, s.names...) }})
	elapsed(b, "bar", bar)
}

// update is `watch-docker update NAME…`.
func (w *world) update(b *testing.B, environ []string, names ...string) (time.Duration, api.Run) {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), w.program, append([]string{"update", "-json"}, names...)...)
	var stderr bytes.Buffer
	cmd.Env, cmd.Stderr = environ, &stderr
	began := time.Now()
	out, err := cmd.Output()
	took := time.Since(began)
	if err != nil {
		b.Fatalf("update: %v\n%s%s", err, out, stderr.String())
	}
	var run api.Run
	if err := json.Unmarshal(out, &run); err != nil || len(run.Operations) != len(names) {
		b.Fatalf("update: %v in %s", err, out)
	}
	for _, op := range run.Operations {
		if op.State != store.Succeeded {
			b.Fatalf("update: %s", out)
		}
	}
	return took, run
}

// list is the latency of GET /api/containers with all of the host's.
func (w *world) list(b *testing.B) {
	own(b)
	s := w.serve(b, w.environment(filepath.Join(b.TempDir(), "state"), "WATCH_SCAN_INTERVAL=1h", "USER_NAME=ann", "USER_PASSWORD=correct horse"))
	s.ready(b)
	s.scanned(b, w.running)
	base := "http://" + s.address(b)
	var login struct{ Token string }
	if err := json.Unmarshal(ask(b, http.MethodPost, base+"/api/v1/auth/login", "", `{"username":"ann","password":"correct horse"}`), &login); err != nil {
		b.Fatal(err)
	}
	const requests = 300
	var took []time.Duration
	for range requests {
		began := time.Now()
		ask(b, http.MethodGet, base+"/api/containers", login.Token, "")
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	elapsed(b, "median", took[requests/2])
	against(b, "p99", took[requests*99/100], listBar)
}

func ask(b *testing.B, method, url, token, body string) []byte {
	b.Helper()
	req, err := http.NewRequestWithContext(b.Context(), method, url, bytes.NewBufferString(body))
	if err != nil {
		b.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode/100 != 2 {
		b.Fatalf("%s %s: %s, %v", method, url, res.Status, err)
	}
	return text
}
