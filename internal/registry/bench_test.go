package registry_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/watch-docker/watch-docker/internal/registry"
)

// BenchmarkTwoHundredReferences is a cold scan of 200 references on one
// registry with token authentication, whose every answer takes 50 ms, with 16
// requests under way. The bar is a ratio of 1.25 to the ideal.
func BenchmarkTwoHundredReferences(b *testing.B) {
	const references, concurrency, answer = 200, 16, 50 * time.Millisecond
	n, s, ts := guarded(b)
	slowly := func(guard func(http.ResponseWriter, *http.Request) bool) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			time.Sleep(answer)
			return guard(w, r)
		}
	}
	ts.opaque = true // a JWT for 200 is 24 KiB in each request, and it is the server, here as well, that pays for that
	s.handle(slowly(ts.guard))
	ts.grant = func(scopes []string) []string {
		time.Sleep(answer)
		return scopes
	}
	refs := s.many(references)
	mem := &memory{}
	mustScan(b, n.client(registry.Options{Memory: mem, Concurrency: concurrency}), refs...) // learns the challenge
	s.asked()
	ts.asked()
	var scans, requests, tokens int
	for b.Loop() {
		c := n.client(registry.Options{Memory: mem, Concurrency: concurrency})
		mustScan(b, c, refs...)
		scans, requests, tokens = scans+1, requests+len(s.asked()), tokens+len(ts.asked())
	}
	ideal := (references + concurrency - 1) / concurrency * answer
	b.ReportMetric(float64(b.Elapsed())/float64(scans)/float64(ideal), "x-ideal")
	b.ReportMetric(float64(requests)/float64(scans), "requests/scan")
	b.ReportMetric(float64(tokens)/float64(scans), "tokens/scan")
}
