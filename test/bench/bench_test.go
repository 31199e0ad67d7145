// Package bench_test measures the built program against the numbers of the
// design, on a real engine and a real registry. README.md tells the figures.
package bench_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/watch-docker/watch-docker/internal/scanner"
	"github.com/watch-docker/watch-docker/test/testbed"
)

const (
	runs        = 5                     // of what is so short that the median of several is told
	concurrency = 16                    // scan.concurrency, where latency is measured
	latency     = 50 * time.Millisecond // of each answer, there

	startBar   = 300 * time.Millisecond
	scanBar    = time.Second
	latencyBar = 1.25 // of the ideal
	idleBar    = 25 << 20
	idleFor    = 10 * time.Second
	// interval is the shortest that scan.interval can be.
	interval = 10 * time.Second
)

// BenchmarkHost measures on one host that grows. Its containers have one
// reference each, up to 200.
func BenchmarkHost(b *testing.B) {
	w := newWorld(b)
	w.fill(b, 60, 60)
	b.Run("60/requests", w.requests)
	b.Run("60/command", w.command)
	w.fill(b, 100, 100)
	b.Run("100/start", w.start)
	b.Run("100/idle", w.idle)
	w.fill(b, 200, 200)
	b.Run("200/requests", w.requests)
	b.Run("200/latency", w.latency)
	w.fill(b, 500, 200)
	b.Run("500/rescan", w.rescan)
	b.Run("500/list", w.list)
}

// requests counts what the registry and its token server are asked in a scan
// that knows nothing, in the next process, and within the cache's TTL.
func (w *world) requests(b *testing.B) {
	own(b)
	environ := w.environment(filepath.Join(b.TempDir(), "state"), "WATCH_SCAN_INTERVAL="+interval.String())
	references := min(w.running, w.images)
	tokens := w.tokens(references)

	w.reset()
	w.scan(b, environ)
	w.counted(b, "first", references+1, tokens) // and the challenge, once
	w.scan(b, environ)
	w.counted(b, "cold", references, tokens)
	s := w.serve(b, environ)
	s.scanned(b, w.running)
	w.counted(b, "server", references, tokens)
	s.scanned(b, w.running)
	w.counted(b, "in-TTL", 0, 0)
}

// tokens is how many token requests a scan may need: one, unless its URL
// would be longer than the 7,500 bytes that servers take for sure.
func (w *world) tokens(references int) int {
	length := 0
	for i := range references {
		length += len("&scope=repository::pull") + len(repository(i))
	}
	return 1 + length/7_500
}

func (w *world) reset() {
	w.registry.Reset()
	w.registry.Tokens().Reset()
}

func (w *world) counted(b *testing.B, scan string, registry, tokens int) {
	b.Helper()
	count(b, scan, w.registry.Count(), registry)
	count(b, scan+"-tokens", w.registry.Tokens().Count(), tokens)
	w.reset()
}

// command is the whole of `watch-docker scan`: its time and its memory, with
// nothing known, and with what an earlier process has learned.
func (w *world) command(b *testing.B) {
	own(b)
	state := b.TempDir()
	var first, again []command
	for i := range runs {
		environ := w.environment(filepath.Join(state, fmt.Sprint(i)))
		first = append(first, w.scan(b, environ))
		again = append(again, w.scan(b, environ))
	}
	for what, runs := range map[string][]command{"first": first, "again": again} {
		elapsed(b, what, median(each(runs, func(c command) time.Duration { return c.wall })))
		elapsed(b, what+"-cpu", median(each(runs, func(c command) time.Duration { return c.cpu })))
		size(b, what+"-peak", median(each(runs, func(c command) int64 { return c.memory })))
	}
}

// start is from the start of the server's process until it is ready: with a
// new state folder, and with one that it has used before.
func (w *world) start(b *testing.B) {
	own(b)
	state := b.TempDir()
	var first, again []time.Duration
	for i := range runs {
		environ := w.environment(filepath.Join(state, fmt.Sprint(i)))
		for _, times := range []*[]time.Duration{&first, &again} {
			s := w.serve(b, environ)
			*times = append(*times, s.ready(b))
			s.scanned(b, w.running) // or the next start would compete with the end of this
			s.stop(b)
		}
	}
	against(b, "first", median(first), startBar)
	against(b, "again", median(again), startBar)
}

// idle is what the server costs while nothing happens, after its first scan
// and with nobody looking.
func (w *world) idle(b *testing.B) {
	own(b)
	s := w.serve(b, w.environment(filepath.Join(b.TempDir(), "state")))
	s.scanned(b, w.running)
	scanned := s.memory()
	before := s.cpu(b)
	time.Sleep(idleFor) // this is what is measured
	cpu, m := s.cpu(b)-before, s.memory()
	size(b, "peak", m.peak)
	size(b, "scanned", scanned.resident)
	size(b, "idle", m.resident)
	size(b, "idle-anon", m.anonymous)
	size(b, "idle-file", m.file)
	b.ReportMetric(float64(m.resident)/idleBar, "idle/bar")
	elapsed(b, "cpu-in-10s", cpu)
}

// latency is a scan whose every answer takes 50 ms, with 16 requests under
// way: how near it comes to what the latency alone would take.
//
// The bar holds for answers that take 50 ms in all, so the registry's front
// gives them itself. What comes of having a registry work behind it, on the
// same two cores, is measured beside it.
func (w *world) latency(b *testing.B) {
	own(b)
	environ := w.environment(filepath.Join(b.TempDir(), "state"), fmt.Sprintf("WATCH_SCAN_CONCURRENCY=%d", concurrency))
	result := w.scan(b, environ).result // so that the challenge is known
	ideal := time.Duration((min(w.running, w.images)+concurrency-1)/concurrency) * latency
	share := func(what string, t time.Duration) { b.ReportMetric(float64(t)/float64(ideal), what+"/ideal") }
	w.registry.Tokens().Inject(testbed.Fault{Latency: latency})
	defer w.registry.Tokens().ClearFaults()
	defer w.registry.ClearFaults()

	w.registry.Inject(testbed.Fault{Latency: latency})
	behind := w.slowScans(b, environ)
	share("working-registry", median(each(behind, func(s slowScan) time.Duration { return s.wall })))

	w.registry.ClearFaults()
	w.answer(result, latency)
	scans := w.slowScans(b, environ)
	wall := median(each(scans, func(s slowScan) time.Duration { return s.wall }))
	elapsed(b, "ideal", ideal)
	b.ReportMetric(latencyBar, "bar")
	elapsed(b, "command", wall)
	share("command", wall)
	share("command-asking", median(each(scans, func(s slowScan) time.Duration { return s.asking })))
	elapsed(b, "command-before", median(each(scans, func(s slowScan) time.Duration { return s.before })))

	// A server knows its images, and asks for a token in each scan like the command.
	w.registry.Tokens().SetBehaviour(testbed.TokenBehaviour{Lifetime: interval * 8 / 10})
	defer w.registry.Tokens().SetBehaviour(testbed.TokenBehaviour{})
	s := w.serve(b, append(environ, "WATCH_SCAN_INTERVAL="+interval.String(), "WATCH_SCAN_CACHE_TTL=1s"))
	s.scanned(b, w.running)
	var rescans []time.Duration
	for range 3 {
		w.reset()
		rescans = append(rescans, s.scanned(b, w.running))
		if asked, tokens := w.registry.Count(), w.registry.Tokens().Count(); asked < w.images || tokens == 0 {
			b.Fatalf("the server's scan made %d requests and %d for tokens: it wasn't a cold one", asked, tokens)
		}
	}
	elapsed(b, "server", median(rescans))
	share("server", median(rescans))
}

// slowScan is one scan of which the time of each request is known.
type slowScan struct {
	wall   time.Duration // of the process
	before time.Duration // until the first request: its start, the store, the engine
	asking time.Duration // from there to the last answer
}

func (w *world) slowScans(b *testing.B, environ []string) []slowScan {
	b.Helper()
	var scans []slowScan
	for range runs {
		w.reset()
		c := w.scan(b, environ)
		first, heads := w.registry.Tokens().Requests()[0].Time, w.registry.Requests()
		scans = append(scans, slowScan{
			wall: c.wall, before: first.Sub(c.began), asking: heads[len(heads)-1].Time.Add(latency).Sub(first),
		})
	}
	return scans
}

// answer has the registry's front repeat what a scan has found.
func (w *world) answer(result scanner.Result, after time.Duration) {
	for _, c := range result.Containers {
		path, _ := strings.CutPrefix(strings.TrimSuffix(c.Image, ":latest"), w.registry.Host())
		w.registry.Inject(testbed.Fault{
			Path: "/v2" + path + "/manifests/latest", Latency: after, Status: http.StatusOK,
			Header: http.Header{"Docker-Content-Digest": {c.RemoteDigest}, "Content-Type": {"application/vnd.oci.image.index.v1+json"}},
		})
	}
}

// rescan is a server's scan while the cache holds what registries said.
func (w *world) rescan(b *testing.B) {
	own(b)
	s := w.serve(b, w.environment(filepath.Join(b.TempDir(), "state"), "WATCH_SCAN_INTERVAL="+interval.String()))
	first := s.scanned(b, w.running)
	var again []time.Duration
	for range 3 {
		again = append(again, s.scanned(b, w.running))
	}
	elapsed(b, "first", first)
	against(b, "again", median(again), scanBar)
	size(b, "resident", s.memory().resident)
}

// BenchmarkEngineRequests counts what the engine is asked for C containers
// on I images: at most 2 + I in a scan of its own, and once one more for each
// container whose reference the engine's list hides.
func BenchmarkEngineRequests(b *testing.B) {
	own(b)
	const containers, images = 30, 10
	w := newWorld(b)
	w.fill(b, containers, images)
	proxy, err := w.bed.Engine().Proxy(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	environ := w.environment(filepath.Join(b.TempDir(), "state"), "DOCKER_HOST="+proxy.Host(), "WATCH_SCAN_INTERVAL="+interval.String())
	counted := func(what string, most int) {
		count(b, what, proxy.Count(), most)
		if b.Failed() {
			b.Fatalf("%s: %v", what, proxy.Requests())
		}
		proxy.Reset()
	}
	w.scan(b, environ)
	counted("scan", 2+images)
	s := w.serve(b, environ)
	s.scanned(b, containers)
	s.scanned(b, containers) // by now the list that follows the first connection is over as well
	proxy.Reset()
	s.scanned(b, containers)
	counted("rescan", 1) // the list: the events say that no image has changed

	// A new release of one image is pulled: its containers run what has no name any more.
	w.outdated = containers / images
	if err := w.push(b.Context(), 0, "second"); err != nil {
		b.Fatal(err)
	}
	if err := w.bed.Pull(b.Context(), w.reference(0)); err != nil {
		b.Fatal(err)
	}
	s.scanned(b, containers)
	proxy.Reset()
	s.scanned(b, containers)
	counted("hidden-rescan", 2) // and the list of tags
	s.stop(b)
	proxy.Reset()
	w.scan(b, environ)
	counted("hidden-scan", 2+images+w.outdated+1) // one more than the design has: the list of tags, beside the ping
}
