package app

import (
	"context"

	"github.com/watch-docker/watch-docker/internal/api"
	"github.com/watch-docker/watch-docker/internal/scanner"
	"github.com/watch-docker/watch-docker/internal/store"
	"github.com/watch-docker/watch-docker/internal/task"
)

const kindScan = "scan"

// Latest and Refresh complete api.Scans.
func (p ports) Latest() scanner.Result { return p.scanner.Latest() }

func (p ports) Refresh(ctx context.Context) error {
	return ported(p.scanner.Refresh(ctx), api.ErrUnknownContainer)
}

// StartScan gives the scan under way, or begins one. What a cancelled one has
// found so far counts for nothing.
func (p ports) StartScan(ctx context.Context, r api.ScanRequest) (store.Operation, error) {
	op, err := p.tasks.Join(ctx, task.Request{Kind: kindScan, Actor: r.Actor}, func(ctx context.Context, report *task.Report) (any, error) {
		_, err := p.scanner.Scan(ctx, scanner.Options{ContainerIDs: r.ContainerIDs, Fresh: r.Fresh, Progress: func(done, total int) {
			report.Progress(store.Progress{Current: int64(done), Total: int64(total), Unit: "references"})
		}})
		return nil, err
	})
	return op, ported(err, api.ErrUnknownContainer)
}
