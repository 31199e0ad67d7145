package scanner

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/internal/logging"
)

// settle is how long the engine must be quiet before it is listed again, and
// patience how long a burst of events may put that off.
const (
	settle   = 100 * time.Millisecond
	patience = time.Second
)

// The engine tells that a container has ended before its own list knows: it
// takes the network down in between. So a list that still shows it running is
// made again after lookAgain, for at most believe.
const (
	lookAgain = 250 * time.Millisecond
	believe   = 15 * time.Second
)

// Watcher is the engine's stream of events; see dockercli.Client.Watch.
type Watcher interface {
	Watch(ctx context.Context, on func(dockercli.Event)) error
}

// Follow keeps the latest result in step with the engine until ctx ends: a
// container that appears, changes or goes shows within about settle. It asks
// no registry.
func (s *Scanner) Follow(ctx context.Context, w Watcher) error {
	watched := make(chan error, 1)
	go func() {
		watched <- w.Watch(ctx, func(e dockercli.Event) {
			s.note(e)
			if e.Kind != dockercli.Disconnected {
				s.stir()
			}
		})
	}()
	failed := false
	again := time.NewTimer(lookAgain)
	defer again.Stop()
	for {
		select {
		case err := <-watched:
			return err
		case <-again.C:
			if failed || s.behind() {
				s.stir()
			}
		case <-s.dirty:
			if !quiet(ctx, s.dirty) {
				continue // ctx has ended; the watcher tells
			}
			err := s.Refresh(ctx)
			if failed = err != nil && ctx.Err() == nil; failed {
				s.log.Warn("the engine could not be listed after an event", logging.Err(err))
			}
			again.Reset(lookAgain)
		}
	}
}

// note takes from an event what must not wait for the next list.
func (s *Scanner) note(e dockercli.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch e.Kind {
	case dockercli.Connected:
		s.following = true
		s.cache.dropImages()
	case dockercli.Disconnected:
		s.following = false
	case dockercli.ImageChanged:
		s.cache.dropImages()
	case dockercli.ContainerChanged:
		switch e.Action {
		case "start":
			s.startedAt[e.ID] = e.At
			delete(s.endedAt, e.ID)
		case "die":
			s.endedAt[e.ID] = s.now()
		}
	}
}

// behind reports whether the latest list shows a container running that the
// events say has ended.
func (s *Scanner) behind() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.endedAt, func(_ string, at time.Time) bool { return s.now().Sub(at) > believe })
	return slices.ContainsFunc(s.latest.Containers, func(c ContainerStatus) bool {
		_, ended := s.endedAt[c.ID]
		return ended && c.Running
	})
}

// quiet waits until no more events come, or patience is at its end. False
// means that ctx has ended.
func quiet(ctx context.Context, dirty <-chan struct{}) bool {
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	pause := time.NewTimer(settle)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-dirty:
			pause.Reset(settle)
		case <-pause.C:
			return true
		case <-deadline.C:
			return true
		}
	}
}
