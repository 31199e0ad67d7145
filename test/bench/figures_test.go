package bench_test

import (
	"slices"
	"testing"
	"time"
)

// count reports how many requests there were beside how many there may be,
// and fails if there were more: unlike a time, a count is the same everywhere.
func count(b *testing.B, what string, got, most int) {
	b.Helper()
	b.ReportMetric(float64(got), what)
	b.ReportMetric(float64(most), what+"-bar")
	if got > most {
		b.Errorf("%s: %d, at most %d allowed", what, got, most)
	}
}

// against reports a time in milliseconds and as a share of its bar: above 1
// the bar is missed. A time never fails: the machine may be busy.
func against(b *testing.B, what string, got, bar time.Duration) {
	b.Helper()
	elapsed(b, what, got)
	b.ReportMetric(float64(got)/float64(bar), what+"/bar")
}

func elapsed(b *testing.B, what string, got time.Duration) {
	b.Helper()
	b.ReportMetric(got.Seconds()*1e3, what+"-ms")
}

func size(b *testing.B, what string, bytes int64) {
	b.Helper()
	b.ReportMetric(float64(bytes)/(1<<20), what+"-MiB")
}

// own leaves out the time of the whole benchmark, which means nothing here.
func own(b *testing.B) {
	b.Helper()
	b.ReportMetric(0, "ns/op")
}

func median[T time.Duration | int64](values []T) T {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// each gives one figure of several runs.
func each[R any, T time.Duration | int64](runs []R, figure func(R) T) []T {
	values := make([]T, len(runs))
	for i, r := range runs {
		values[i] = figure(r)
	}
	return values
}
