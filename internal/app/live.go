package app

import (
	"context"
	"errors"
	"sync"

	"github.com/watch-docker/watch-docker/internal/api"
	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/internal/scanner"
	"github.com/watch-docker/watch-docker/internal/store"
	"github.com/watch-docker/watch-docker/internal/task"
	"github.com/watch-docker/watch-docker/internal/updater"
)

// changes tells those who follow which operations change.
type changes struct {
	mu        sync.Mutex
	followers map[*func(string)]struct{}
}

// Follow completes api.Live.
func (c *changes) Follow(on func(operationID string)) (stop func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.followers == nil {
		c.followers = map[*func(string)]struct{}{}
	}
	c.followers[&on] = struct{}{}
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.followers, &on)
	}
}

func (c *changes) tell(operationID string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for on := range c.followers {
		(*on)(operationID)
	}
}

// Live implements api.Live.
func (p ports) Live() (now scanner.Live, changed <-chan struct{}) { return p.scanner.Live() }

// Follow implements api.Live.
func (p ports) Follow(on func(operationID string)) (stop func()) { return p.changes.Follow(on) }

// Unfinished implements api.Live.
func (p ports) Unfinished(ctx context.Context) ([]store.Operation, error) {
	all, err := p.store.Unfinished(ctx)
	for i, o := range all {
		if all[i], err = p.Operation(ctx, o.ID); err != nil {
			return nil, err
		}
	}
	return all, err
}

// Stats implements api.Live.
func (p ports) Stats(ctx context.Context, id string, on func(api.Stats)) error {
	return ported(p.engine.Stats(ctx, id, func(s dockercli.Stats) {
		out := api.Stats{
			ID: id, At: s.At, CPUPercent: s.CPUPercent, MemoryBytes: s.Memory, MemoryLimit: s.MemoryLimit,
			NetworkRx: s.NetworkRx, NetworkTx: s.NetworkTx, BlockRead: s.BlockRead, BlockWrite: s.BlockWrite, PIDs: s.PIDs,
		}
		if s.MemoryLimit > 0 {
			out.MemoryPercent = float64(s.Memory) / float64(s.MemoryLimit) * 100
		}
		on(out)
	}), api.ErrUnknownContainer)
}

// Cancel implements api.Operations.
func (p ports) Cancel(ctx context.Context, id, actor string) error {
	known, err := p.tasks.Cancel(id, actor)
	if !known {
		err = p.updater.Cancel(ctx, id, actor)
	}
	if errors.Is(err, updater.ErrTooLate) || errors.Is(err, task.ErrTooLate) {
		return &api.TooLateError{Reason: "It is " + err.Error() + "."}
	}
	return err
}
