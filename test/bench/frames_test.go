package bench_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/watch-docker/watch-docker/internal/api"
	"github.com/watch-docker/watch-docker/internal/auth"
	"github.com/watch-docker/watch-docker/internal/scanner"
	"github.com/watch-docker/watch-docker/internal/store"
	"github.com/watch-docker/watch-docker/internal/wsstream"
	"github.com/watch-docker/watch-docker/test/testbed"
)

// everybody is an Auth whose tokens are names of viewers.
type everybody struct{ api.Auth }

func (everybody) Verify(_ context.Context, token string) (auth.Identity, error) {
	return auth.Identity{Username: token, Role: auth.Viewer}, nil
}

func (everybody) Ended(context.Context, string) (ended <-chan struct{}, release func()) {
	return nil, func() {}
}

// noOperations are none.
type noOperations struct{ operations }

type operations = api.Operations

// changing is a host whose containers change when they are told to.
type changing struct {
	mu      sync.Mutex
	now     scanner.Live
	changed chan struct{}
}

func (c *changing) Live() (now scanner.Live, changed <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now, c.changed
}

func (*changing) Unfinished(context.Context) ([]store.Operation, error) { return nil, nil }
func (*changing) Follow(func(string)) (stop func())                     { return func() {} }
func (*changing) Stats(ctx context.Context, _ string, _ func(api.Stats)) error {
	<-ctx.Done()
	return ctx.Err()
}

// change has one container change.
func (c *changing) change(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := append([]scanner.ContainerStatus{}, c.now.Containers...)
	all[n%len(all)].Summary = fmt.Sprintf("change %d", n)
	c.now.Containers, c.now.Listings = all, c.now.Listings+1
	close(c.changed)
	c.changed = make(chan struct{})
}

// BenchmarkFrames is 500 sockets that each get 100 frames a second, of 100
// containers: server and clients in this process, without an engine, whose own
// pace would be measured instead.
func BenchmarkFrames(b *testing.B) {
	own(b)
	host := &changing{changed: make(chan struct{}), now: scanner.Live{Reachable: true}}
	for i := range 100 {
		host.now.Containers = append(host.now.Containers, scanner.ContainerStatus{
			ID: fmt.Sprintf("%064d", i), Name: fmt.Sprintf("c%03d", i), Image: "registry.example/" + repository(i) + ":latest", State: "running", Running: true,
			ImageID: "sha256:" + strings.Repeat("a", 64), LocalDigest: "sha256:" + strings.Repeat("b", 64), RemoteDigest: "sha256:" + strings.Repeat("c", 64),
		})
	}
	hub := wsstream.New(wsstream.Linger)
	defer hub.Close()
	handler, err := api.New(api.Dependencies{Auth: everybody{}, Live: host, Operations: noOperations{}, Hub: hub})
	if err != nil {
		b.Fatal(err)
	}
	httpServer := httptest.NewServer(handler)
	defer httpServer.Close()
	s := &live{server: &server{addr: strings.TrimPrefix(httpServer.URL, "http://")}}
	for i := range 10 {
		s.tokens = append(s.tokens, fmt.Sprint("u", i))
	}
	ctx, stop := context.WithCancel(b.Context())
	defer stop()
	var reading sync.WaitGroup
	var snapshots, frames, late atomic.Int64
	sent := make([]atomic.Int64, perSecond*int(stormFor/time.Second))
	for i := range subscribers {
		k, err := s.open(ctx, i)
		if err != nil {
			b.Fatal(err)
		}
		reading.Go(func() {
			defer k.conn.CloseNow()
			for {
				text, err := k.next(ctx)
				if ctx.Err() != nil {
					return
				}
				if err != nil {
					b.Error(err)
					return
				}
				_, summary, changed := bytes.Cut(text, []byte(`"change `))
				if !changed {
					snapshots.Add(1)
					continue
				}
				number, _, _ := bytes.Cut(summary, []byte(`"`))
				n, err := strconv.Atoi(string(number))
				if err != nil {
					b.Error(err)
					return
				}
				frames.Add(1)
				if took := time.Now().UnixNano() - sent[n].Load(); took > late.Load() {
					late.Store(took)
				}
			}
		})
	}
	arrived := func(what *atomic.Int64, want int64) {
		testbed.Eventually(b, time.Minute, func() error {
			if n := what.Load(); n != want {
				return fmt.Errorf("%d of %d", n, want)
			}
			return nil
		})
	}
	arrived(&snapshots, subscribers)
	var before, after syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &before)
	began, tick := time.Now(), time.NewTicker(time.Second/perSecond)
	defer tick.Stop()
	for n := range sent {
		<-tick.C
		sent[n].Store(time.Now().UnixNano())
		host.change(n)
	}
	arrived(&frames, int64(len(sent)*subscribers))
	took := time.Since(began)
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &after)
	cpu := after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano()
	count(b, "fell-behind", int(snapshots.Load()-subscribers), 0)
	b.ReportMetric(float64(frames.Load())/subscribers/took.Seconds(), "frames/s-each")
	b.ReportMetric(float64(int64(len(sent)*subscribers)-frames.Load()), "frames-lost")
	b.ReportMetric(float64(cpu)/float64(took)*100, "cpu-%-of-both-sides")
	b.ReportMetric(float64(late.Load())/1e6, "slowest-frame-ms")
	stop()
	reading.Wait()
}
