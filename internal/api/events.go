package api

import (
	"context"

	"github.com/watch-docker/watch-docker/internal/scanner"
)

// snapshot is the first message of the events: what GET /api/containers gives.
type snapshot struct {
	Type string `json:"type"` // snapshot
	Seq  uint64 `json:"seq"`

	scanner.Result
}

// events is GET /api/events/ws.
func (s *server) events(ctx context.Context, out *socket) error {
	result := s.Scans.Latest()
	result.Containers = orEmpty(result.Containers)
	if err := out.send(ctx, snapshot{Type: "snapshot", Seq: out.next(), Result: result}); err != nil {
		return err
	}
	<-ctx.Done()
	return context.Cause(ctx)
}
