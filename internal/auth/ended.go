package auth

import (
	"context"
	"errors"
	"sync"

	"github.com/watch-docker/watch-docker/internal/logging"
	"github.com/watch-docker/watch-docker/internal/store"
)

// endings tells those who wait that a session, or an API token, has ended.
type endings struct {
	mu      sync.Mutex
	waiting map[string]map[chan struct{}]bool // by session
}

// Ended gives a channel that is closed when the session or API token of this
// id ends, or has ended already. Whoever waits for it releases it.
func (s *Service) Ended(ctx context.Context, id string) (ended <-chan struct{}, release func()) {
	channel := make(chan struct{})
	s.endings.mu.Lock()
	if s.endings.waiting[id] == nil {
		s.endings.waiting[id] = map[chan struct{}]bool{}
	}
	s.endings.waiting[id][channel] = true
	s.endings.mu.Unlock()
	// It may have ended between the look at its token and here.
	if !s.counts(ctx, id) {
		s.endings.end(id)
	}
	return channel, func() { s.endings.forget(id, channel) }
}

func (s *Service) counts(ctx context.Context, id string) bool {
	_, err := s.store.Session(ctx, id)
	if errors.Is(err, store.ErrNoSession) {
		_, err = s.store.APITokenByID(ctx, id)
	}
	if err != nil && !errors.Is(err, store.ErrNoToken) {
		s.log.Warn("a session could not be looked up", logging.Err(err))
	}
	return err == nil
}

func (e *endings) end(ids ...string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, id := range ids {
		for channel := range e.waiting[id] {
			close(channel)
		}
		delete(e.waiting, id)
	}
}

func (e *endings) forget(id string, channel chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.waiting[id], channel)
	if len(e.waiting[id]) == 0 {
		delete(e.waiting, id)
	}
}
