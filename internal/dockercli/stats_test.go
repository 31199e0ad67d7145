package dockercli_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/test/testbed"
)

// figures are what `docker stats` prints of a container.
type figures struct{ CPUPerc, MemUsage, NetIO, BlockIO, PIDs string }

// size reads what Docker writes of sizes: "1.5MiB", "656B", "12kB".
func size(t *testing.T, text string) float64 {
	t.Helper()
	number := strings.TrimRight(text, "kKMGTiB")
	n, err := strconv.ParseFloat(number, 64)
	factor, known := map[string]float64{
		"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30,
	}[text[len(number):]]
	if err != nil || !known {
		t.Fatalf("the size %q: %v", text, err)
	}
	return n * factor
}

func pair(t *testing.T, text string) (a, b float64) {
	t.Helper()
	first, second, _ := strings.Cut(text, " / ")
	return size(t, first), size(t, second)
}

func TestFiguresAreThoseOfDockersCommandLine(t *testing.T) {
	w := newWorkshop(t)
	w.stock(map[string][2]testbed.ImageOptions{"busy": {
		// Half of what a core can do, a file of 8 MiB that stays in the page cache, and 5 MiB that don't.
		{Cmd: testbed.Stoppable("sh", "-c", `yes 0123456 | head -c 8388608 >/file; x=$(yes 0123456 | head -c 5242880); while :; do :; done`)}, {},
	}})
	id := w.docker("run", "-d", "--cpus", "0.5", "--memory", "256m", w.bed.Registry(testbed.Plain).Ref("busy:1"))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var last dockercli.Stats
	more, ended := make(chan dockercli.Stats), make(chan error, 1)
	go func() {
		ended <- w.client.Stats(ctx, id, func(s dockercli.Stats) {
			select {
			case more <- s:
			case <-ctx.Done():
			}
		})
	}()
	next := func() dockercli.Stats {
		t.Helper()
		select {
		case s := <-more:
			return s
		case err := <-ended:
			t.Fatalf("the stream ended: %v", err)
		case <-time.After(time.Minute):
			t.Fatal("no figures")
		}
		return dockercli.Stats{}
	}
	if first := next(); first.CPUPercent != nil || first.At.IsZero() {
		t.Errorf("the first: %+v", first)
	}
	near := func(ours, theirs, tolerance float64) bool { return math.Abs(ours-theirs) <= tolerance }
	// Both look at a moment of their own, so that the figures meet sooner or later.
	testbed.Eventually(t, time.Minute, func() error {
		last = next()
		var theirs figures
		if err := json.Unmarshal([]byte(w.docker("stats", "--no-stream", "--format", "{{json .}}", id)), &theirs); err != nil {
			t.Fatal(err)
		}
		after := next()
		cpu, err := strconv.ParseFloat(strings.TrimSuffix(theirs.CPUPerc, "%"), 64)
		if err != nil {
			t.Fatal(err)
		}
		used, limit := pair(t, theirs.MemUsage)
		rx, tx := pair(t, theirs.NetIO)
		read, written := pair(t, theirs.BlockIO)
		within := func(low, high uint64, value float64) bool {
			return value >= float64(low)*0.99-1 && value <= float64(high)*1.01+1
		}
		switch {
		case last.CPUPercent == nil || !near(*last.CPUPercent, cpu, 15) && !near(*after.CPUPercent, cpu, 15):
		case !near(float64(last.Memory), used, 1<<20) || float64(last.MemoryLimit) != limit || limit != 256<<20:
		case !within(last.NetworkRx, after.NetworkRx, rx) || !within(last.NetworkTx, after.NetworkTx, tx):
		case !within(last.BlockRead, after.BlockRead, read) || !within(last.BlockWrite, after.BlockWrite, written):
		case fmt.Sprint(last.PIDs) != theirs.PIDs:
		case *last.CPUPercent < 20: // it has begun
		default:
			return nil
		}
		return fmt.Errorf("ours: %+v (CPU %v), theirs: %+v", last, last.CPUPercent, theirs)
	})
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("at the end: %v", err)
	}

	// The stream of one that is removed ends by itself.
	go func() { ended <- w.client.Stats(t.Context(), id, func(dockercli.Stats) {}) }()
	w.docker("rm", "-f", id)
	select {
	case err := <-ended:
		if err != nil && !errors.Is(err, dockercli.ErrNotFound) {
			t.Errorf("of one that is removed: %v", err)
		}
	case <-time.After(time.Minute):
		t.Error("the stream of one that is removed goes on")
	}
	w.wants(w.client.Stats(t.Context(), "nobody", nil), dockercli.ErrNotFound)
}

// What an engine says on hosts that this one may not be like: cgroup v2, and
// v1 with an engine that doesn't tell how many CPUs are online.
func TestFiguresOfBothKindsOfCgroups(t *testing.T) {
	w := newWorkshop(t)
	proxy := testbed.Must(w.bed.Engine().Proxy(t.Context()))(t)
	client := testbed.Must(dockercli.New(dockercli.Options{Host: proxy.Host()}))(t)
	defer client.Close()
	for name, c := range map[string]struct{ body, want string }{
		"v2": {`{"read":"2026-01-02T03:04:05Z","cpu_stats":{"cpu_usage":{"total_usage":3000},"system_cpu_usage":20000,"online_cpus":4},
			"precpu_stats":{"cpu_usage":{"total_usage":1000},"system_cpu_usage":10000,"online_cpus":4},
			"memory_stats":{"usage":1000,"stats":{"inactive_file":300,"total_inactive_file_x":1},"limit":2000},"pids_stats":{"current":7},
			"networks":{"eth0":{"rx_bytes":10,"tx_bytes":1},"eth1":{"rx_bytes":20,"tx_bytes":2}},
			"blkio_stats":{"io_service_bytes_recursive":[{"major":8,"op":"read","value":5},{"major":9,"op":"read","value":6},{"major":8,"op":"write","value":7}]}}`,
			"80.0% 700 of 2000, 30 3, 11 7, 7"},
		"v1": {`{"read":"2026-01-02T03:04:05Z","cpu_stats":{"cpu_usage":{"total_usage":3000,"percpu_usage":[1500,1500]},"system_cpu_usage":20000},
			"precpu_stats":{"cpu_usage":{"total_usage":1000},"system_cpu_usage":10000},
			"memory_stats":{"usage":1000,"stats":{"inactive_file":1,"total_inactive_file":400},"limit":2000},"pids_stats":{"current":7},
			"blkio_stats":{"io_service_bytes_recursive":[{"major":8,"op":"Read","value":5},{"major":8,"op":"Write","value":6},{"major":8,"op":"Total","value":11}]}}`,
			"40.0% 600 of 2000, 0 0, 5 6, 7"},
	} {
		remove := proxy.Inject(testbed.Fault{Path: "/v*/containers/*/stats", Status: 200, Body: c.body})
		var got string
		err := client.Stats(t.Context(), "any", func(s dockercli.Stats) {
			got = fmt.Sprintf("%.1f%% %d of %d, %d %d, %d %d, %d", *s.CPUPercent, s.Memory, s.MemoryLimit, s.NetworkRx, s.NetworkTx, s.BlockRead, s.BlockWrite, s.PIDs)
		})
		remove()
		if err != nil || got != c.want {
			t.Errorf("%s: %s, %v; want %s", name, got, err, c.want)
		}
	}
}
