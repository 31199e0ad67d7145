package bench_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/moby/moby/client"

	"github.com/watch-docker/watch-docker/internal/api"
	"github.com/watch-docker/watch-docker/internal/store"
	"github.com/watch-docker/watch-docker/test/testbed"
)

const (
	downtimeBar = 1.1 // of stop and start
	listBar     = 20 * time.Millisecond
	updates     = 5 // of which the median is reported
)

// BenchmarkUpdate updates one container that stops at once, again and again,
// and measures beside each update what `docker stop && docker start` of the
// same container takes: by the engine's API, without a client's start-up.
func BenchmarkUpdate(b *testing.B) {
	own(b)
	w := newWorld(b)
	ref := w.registry.Ref("shop/web:latest")
	release := func(n int) {
		img, err := testbed.Image(testbed.ImageOptions{Payload: fmt.Sprint("release ", n)})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := w.registry.Push(b.Context(), "shop/web:latest", img); err != nil {
			b.Fatal(err)
		}
		// Pulled already, so that the whole update is the program's own work.
		if err := w.bed.Pull(b.Context(), ref); err != nil {
			b.Fatal(err)
		}
	}
	release(0)
	c, err := w.bed.Run(b.Context(), testbed.ContainerSpec{Name: "web", Image: ref})
	if err != nil {
		b.Fatal(err)
	}
	environ := w.environment(filepath.Join(b.TempDir(), "state"), "WATCH_UPDATE_STABLE_FOR=1s")
	var down, stopStart, whole []time.Duration
	for n := range updates {
		stopStart = append(stopStart, w.stopStart(b, c.Name))
		release(n + 1)
		took, op := w.update(b, environ, c.Name)
		whole = append(whole, took)
		down = append(down, time.Duration(op.DowntimeMs)*time.Millisecond)
	}
	elapsed(b, "stop-start", median(stopStart))
	elapsed(b, "down", median(down))
	b.ReportMetric(float64(median(down))/float64(median(stopStart)), "down/stop-start")
	b.ReportMetric(downtimeBar, "down/stop-start-bar")
	elapsed(b, "whole-without-gate", median(whole)-time.Second)
}

// stopStart is the least that an exchange of containers could take.
func (w *world) stopStart(b *testing.B, name string) time.Duration {
	b.Helper()
	began := time.Now()
	if _, err := w.bed.Engine().Client().ContainerStop(b.Context(), name, client.ContainerStopOptions{}); err != nil {
		b.Fatal(err)
	}
	if _, err := w.bed.Engine().Client().ContainerStart(b.Context(), name, client.ContainerStartOptions{}); err != nil {
		b.Fatal(err)
	}
	return time.Since(began)
}

// update is `watch-docker update NAME`.
func (w *world) update(b *testing.B, environ []string, name string) (time.Duration, store.Operation) {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), w.program, "update", "-json", name)
	var stderr bytes.Buffer
	cmd.Env, cmd.Stderr = environ, &stderr
	began := time.Now()
	out, err := cmd.Output()
	took := time.Since(began)
	if err != nil {
		b.Fatalf("update: %v\n%s%s", err, out, stderr.String())
	}
	var run api.Run
	if err := json.Unmarshal(out, &run); err != nil || len(run.Operations) != 1 || run.Operations[0].State != store.Succeeded {
		b.Fatalf("update: %v in %s", err, out)
	}
	return took, run.Operations[0]
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
	if err != nil || res.StatusCode != http.StatusOK {
		b.Fatalf("%s %s: %s, %v", method, url, res.Status, err)
	}
	return text
}
