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
// patience how long a burst of events may put that off. Lists are at least
// breather apart, and at least as long as the last one took: under a storm of
// events the engine is not asked all the time.
const (
	settle   = 20 * time.Millisecond
	patience = 200 * time.Millisecond
	breather = 50 * time.Millisecond
	// fewTouched is up to how many containers are looked at by themselves.
	fewTouched = 20
)

// The engine tells that a container has ended before its own list knows: it
// takes the network down in between. So a list that still shows it running is
// made again after lookSoon, then after twice that and so on up to lookAgain,
// for at most believe.
const (
	lookSoon  = 50 * time.Millisecond
	lookAgain = 400 * time.Millisecond
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
				s.wake()
			}
		})
	}()
	failed, wait, rested := false, lookSoon, time.Time{}
	again := time.NewTimer(lookAgain)
	defer again.Stop()
	for {
		select {
		case err := <-watched:
			return err
		case <-again.C:
			if failed || s.behind() {
				s.wake()
			}
			wait = min(2*wait, lookAgain)
		case <-s.dirty:
			if !quiet(ctx, s.dirty, rested) {
				continue // ctx has ended; the watcher tells
			}
			began := time.Now()
			err := s.catchUp(ctx)
			if failed = err != nil && ctx.Err() == nil; failed {
				s.log.Warn("the engine could not be listed after an event", logging.Err(err))
				wait = lookAgain
			} else if !s.behind() {
				wait = lookSoon
			}
			rested = time.Now().Add(max(breather, time.Since(began)))
			again.Reset(wait)
		}
	}
}

// catchUp looks at the containers that events were about, or at all of them if
// it isn't known which, or if those are many.
func (s *Scanner) catchUp(ctx context.Context) error {
	s.mu.Lock()
	touched, unsure, includeStopped := slices.Collect(maps.Keys(s.touched)), s.unsure, s.settings.IncludeStopped
	clear(s.touched)
	s.unsure = false
	s.mu.Unlock()
	err := error(nil)
	switch {
	case unsure || len(touched) > fewTouched:
		err = s.Refresh(ctx)
	case len(touched) > 0:
		err = s.look(ctx, touched, includeStopped)
	}
	if err != nil {
		s.mu.Lock()
		s.unsure = true
		s.mu.Unlock()
	}
	return err
}

// look is Refresh for some containers alone: the engine takes its time over
// each container that it lists.
func (s *Scanner) look(ctx context.Context, ids []string, includeStopped bool) error {
	s.listing.Lock()
	defer s.listing.Unlock()
	list, err := s.engine.Containers(ctx, ids...)
	if err != nil {
		return err
	}
	fresh, err := s.examine(ctx, list, includeStopped)
	if err != nil {
		return err
	}
	others := slices.DeleteFunc(slices.Clone(s.subjects), func(sub *subject) bool { return slices.Contains(ids, sub.ID) })
	s.publish(ctx, append(others, fresh...))
	return nil
}

// note takes from an event what must not wait for the next list.
func (s *Scanner) note(e dockercli.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch e.Kind {
	case dockercli.Connected:
		s.following, s.listed, s.unsure = true, false, true
		s.cache.dropImages()
	case dockercli.Disconnected:
		s.following, s.listed = false, false
		s.tell()
	case dockercli.ImageChanged:
		s.cache.dropImages()
		s.unsure = true
	case dockercli.ContainerChanged:
		s.touched[e.ID] = true
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
// events say has ended, and has Follow look at such again.
func (s *Scanner) behind() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.endedAt, func(_ string, at time.Time) bool { return s.now().Sub(at) > believe })
	behind := false
	for i := range s.latest.Containers {
		c := &s.latest.Containers[i]
		if _, ended := s.endedAt[c.ID]; ended && c.Running {
			s.touched[c.ID], behind = true, true
		}
	}
	return behind
}

// quiet waits until no more events come, or patience is at its end, and until
// the engine has rested. False means that ctx has ended.
func quiet(ctx context.Context, dirty <-chan struct{}, rested time.Time) bool {
	rest := time.NewTimer(time.Until(rested))
	defer rest.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-rest.C:
	}
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
