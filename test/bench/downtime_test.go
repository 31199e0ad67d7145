package bench_test

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/client"
	"golang.org/x/sync/errgroup"

	"github.com/watch-docker/watch-docker/test/testbed"
)

// A site is a few running containers, each with a reference of its own, and
// the engine's events about them.
type site struct {
	w        *world
	names    []string
	cmd      []string
	releases int
	tower    string // the path of Watchtower
	project  string // the folder of the Compose file

	mu     sync.Mutex
	events []events.Message
	came   chan struct{}
}

// A peer is another program that updates the site's containers once their
// images are pulled.
type peer struct {
	name   string
	update func(b *testing.B)
}

// newSite starts so many containers that run cmd; nil is one that stops at once.
func newSite(b *testing.B, containers int, cmd []string) *site {
	b.Helper()
	s := &site{w: newWorld(b), cmd: cmd, came: make(chan struct{}, 1)}
	for i := range containers {
		s.names = append(s.names, s.w.bed.Name(fmt.Sprint("web-", i)))
	}
	s.release(b)
	s.found(b)
	s.listen(b)
	return s
}

func (s *site) reference(i int) string { return s.w.registry.Ref(fmt.Sprintf("shop/web-%d:latest", i)) }

// release brings out something new for each container, and pulls it, so that
// all of an update is the updater's own work.
func (s *site) release(b *testing.B) {
	b.Helper()
	s.releases++
	group, ctx := errgroup.WithContext(b.Context())
	group.SetLimit(populating)
	for i := range s.names {
		group.Go(func() error {
			img, err := testbed.Image(testbed.ImageOptions{Payload: fmt.Sprint("release ", s.releases, " of ", i), Cmd: s.cmd})
			if err != nil {
				return err
			}
			if _, err := s.w.registry.Push(ctx, fmt.Sprintf("shop/web-%d:latest", i), img); err != nil {
				return err
			}
			return s.w.bed.Pull(ctx, s.reference(i))
		})
	}
	if err := group.Wait(); err != nil {
		b.Fatal(err)
	}
}

// peers are those to be had.
func (s *site) peers(b *testing.B) []peer {
	b.Helper()
	return []peer{{"watchtower", s.watchtower}, {"compose", s.compose}}
}

// stopStart is the least that an exchange of containers could take.
func (s *site) stopStart(b *testing.B) {
	b.Helper()
	api := s.w.bed.Engine().Client()
	for _, name := range s.names {
		if _, err := api.ContainerStop(b.Context(), name, client.ContainerStopOptions{}); err != nil {
			b.Fatal(err)
		}
		if _, err := api.ContainerStart(b.Context(), name, client.ContainerStartOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}

// down tells for each container how long it was down while do was at work:
// from the engine's first word that its process was told to stop until the
// start of the container that has its name afterwards.
func (s *site) down(b *testing.B, do func(*testing.B)) []time.Duration {
	b.Helper()
	api := s.w.bed.Engine().Client()
	ids := func() (list []string) {
		for _, name := range s.names {
			c, err := api.ContainerInspect(b.Context(), name, client.ContainerInspectOptions{})
			if err != nil || c.Container.State.Status != container.StateRunning {
				b.Fatalf("%s doesn't run: %v", name, err)
			}
			list = append(list, c.Container.ID)
		}
		return list
	}
	before := ids()
	s.mu.Lock()
	s.events = nil
	s.mu.Unlock()
	do(b)
	after := ids()
	var down []time.Duration
	for i := range s.names {
		told, started := s.await(b, before[i], events.ActionKill), s.await(b, after[i], events.ActionStart)
		down = append(down, started.Sub(told))
	}
	return down
}

// listen takes down the engine's events until the benchmark ends.
func (s *site) listen(b *testing.B) {
	b.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(b.Context()))
	ended := make(chan struct{})
	stream := s.w.bed.Engine().Client().Events(ctx, client.EventsListOptions{
		Since: strconv.FormatInt(time.Now().Unix(), 10), Filters: make(client.Filters).Add("type", "container"),
	})
	go func() {
		defer close(ended)
		for {
			select {
			case m := <-stream.Messages:
				s.mu.Lock()
				s.events = append(s.events, m)
				s.mu.Unlock()
				select {
				case s.came <- struct{}{}:
				default:
				}
			case <-stream.Err:
				return
			}
		}
	}()
	b.Cleanup(func() { cancel(); <-ended })
}

// await is the time of a container's first event of a kind, by the engine's clock.
func (s *site) await(b *testing.B, id string, action events.Action) time.Time {
	b.Helper()
	deadline := time.After(10 * time.Second)
	for {
		s.mu.Lock()
		for _, m := range s.events {
			if m.Actor.ID == id && m.Action == action {
				s.mu.Unlock()
				return time.Unix(0, m.TimeNano)
			}
		}
		s.mu.Unlock()
		select {
		case <-s.came:
		case <-deadline:
			b.Fatalf("the engine doesn't tell of the %s of %s", action, id)
		}
	}
}
