package bench_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	"golang.org/x/sync/errgroup"

	"github.com/watch-docker/watch-docker/test/testbed"
)

const (
	measured    = 200 // running containers
	viewers     = 5   // of all of them
	measuredFor = 20 * time.Second
)

// BenchmarkStats is what it costs to show the figures of 200 running
// containers to several viewers, beside what the engine spends on them.
func BenchmarkStats(b *testing.B) {
	own(b)
	w := newWorld(b)
	w.runsMany(b, measured)
	proxy, err := w.bed.Engine().Proxy(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	s := w.live(b, 1, "DOCKER_HOST="+proxy.Host())
	before, memory := s.descriptors(), s.memory().resident
	ctx, stop := context.WithCancel(b.Context())
	defer stop()
	seen := make([]viewed, viewers)
	var reading sync.WaitGroup
	for i := range seen {
		reading.Go(func() { seen[i] = s.looks(ctx) })
	}
	time.Sleep(measuredFor / 4) // until all streams have begun
	streams := 0
	for _, r := range proxy.Requests() {
		if strings.HasSuffix(r.Path, "/stats") {
			streams++
		}
	}
	count(b, "streams", streams, measured)
	engine, sent := w.engineCPU(b), w.figures(ctx, b, "many0")
	began, cpu, engineBegan := time.Now(), s.cpu(b), engine()
	time.Sleep(measuredFor) // this is what is measured
	took := time.Since(began).Seconds()
	given := float64(sent()) / took
	b.ReportMetric((s.cpu(b)-cpu).Seconds()/took*100, "cpu-%")
	b.ReportMetric((engine()-engineBegan).Seconds()/took*100, "engine-cpu-%")
	size(b, "idle", memory)
	size(b, "open", s.memory().resident)
	stop()
	reading.Wait()
	least, unseen := seen[0].figures, 0
	for _, v := range seen {
		if v.err != nil {
			b.Error(v.err)
		}
		least = min(least, v.figures)
		unseen = max(unseen, measured-len(v.containers))
	}
	count(b, "containers-without", unseen, 0)
	each := float64(least) / measured / (took + (measuredFor / 4).Seconds())
	b.ReportMetric(each, "figures/container/s")
	b.ReportMetric(each/given, "figures/engine's")
	testbed.Eventually(b, 30*time.Second, func() error {
		if now := s.descriptors(); now > before {
			return fmt.Errorf("%d descriptors, %d before anybody looked", now, before)
		}
		return nil
	})
}

// figures follows a container's figures without the program, and gives what
// tells how many the engine has sent.
func (w *world) figures(ctx context.Context, b *testing.B, name string) func() int64 {
	b.Helper()
	res, err := w.bed.Engine().Client().ContainerStats(ctx, w.bed.Name(name), client.ContainerStatsOptions{Stream: true})
	if err != nil {
		b.Fatal(err)
	}
	var n atomic.Int64
	go func() {
		defer res.Body.Close()
		for lines := bufio.NewScanner(res.Body); lines.Scan(); {
			n.Add(1)
		}
	}()
	return n.Load
}

// viewed is what one viewer has got.
type viewed struct {
	figures    int
	containers map[string]bool
	err        error
}

// looks asks for the figures of all containers until ctx ends.
func (s *live) looks(ctx context.Context) (v viewed) {
	v.containers = map[string]bool{}
	k, err := s.open(ctx, 0)
	if err == nil {
		err = k.conn.Write(ctx, websocket.MessageText, []byte(`{"type":"stats","containers":["*"]}`))
	}
	for err == nil {
		var text []byte
		if text, err = k.next(ctx); err != nil {
			break
		}
		var frame struct {
			Type  string
			Stats []struct{ ID string }
		}
		if err = json.Unmarshal(text, &frame); err == nil && frame.Type == "stats" {
			for _, f := range frame.Stats {
				v.figures++
				v.containers[f.ID] = true
			}
		}
	}
	if ctx.Err() == nil {
		v.err = err
	}
	return v
}

// runsMany starts containers of one image.
func (w *world) runsMany(b *testing.B, n int) {
	b.Helper()
	image := w.registry.Ref("live/many:latest")
	img, err := testbed.Image(testbed.ImageOptions{Payload: "many"})
	if err == nil {
		_, err = w.registry.Push(b.Context(), "live/many:latest", img)
	}
	if err == nil {
		err = w.bed.Pull(b.Context(), image)
	}
	if err != nil {
		b.Fatal(err)
	}
	group, ctx := errgroup.WithContext(b.Context())
	group.SetLimit(populating)
	for i := range n {
		group.Go(func() error {
			_, err := w.bed.Run(ctx, testbed.ContainerSpec{
				Name: fmt.Sprint("many", i), Image: image, HostConfig: &container.HostConfig{NetworkMode: "none"}, // quicker to start
			})
			return err
		})
	}
	if err := group.Wait(); err != nil {
		b.Fatal(err)
	}
	w.running += n
}
