package api

import (
	"context"
	"time"

	"github.com/watch-docker/watch-docker/internal/scanner"
	"github.com/watch-docker/watch-docker/internal/store"
)

// Live tells what goes on while it does.
type Live interface {
	// Live is the latest result and what goes on around it; the channel is
	// closed as soon as that changes.
	Live() (now scanner.Live, changed <-chan struct{})
	// Unfinished are the operations that wait or run, with their progress.
	Unfinished(ctx context.Context) ([]store.Operation, error)
	// Follow calls on with the id of each operation that changes until stop is
	// called. on must return at once, and ask nothing of the parts.
	Follow(on func(operationID string)) (stop func())
	// Stats calls on with what a container uses, once a second, until ctx ends
	// or the engine has nothing more to say.
	Stats(ctx context.Context, containerID string, on func(Stats)) error
}

// Stats are what a container uses, counted as Docker's own command line does.
type Stats struct {
	ID            string    `json:"id"`
	At            time.Time `json:"at"`
	CPUPercent    *float64  `json:"cpuPercent"`  // of one core; nil in the first second
	MemoryBytes   uint64    `json:"memoryBytes"` // without the page cache
	MemoryLimit   uint64    `json:"memoryLimit"` // the host's memory if it has none
	MemoryPercent float64   `json:"memoryPercent"`
	NetworkRx     uint64    `json:"networkRx"` // bytes since its start, as the rest
	NetworkTx     uint64    `json:"networkTx"`
	BlockRead     uint64    `json:"blockRead"`
	BlockWrite    uint64    `json:"blockWrite"`
	PIDs          uint64    `json:"pids"`
}
