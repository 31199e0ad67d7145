package resource

import (
	"context"
	"errors"
	"fmt"

	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/internal/store"
	"github.com/watch-docker/watch-docker/internal/task"
)

// pruning is a prune of things of one kind.
type pruning[T any] struct {
	kind   string // "images"
	choose func(ctx context.Context) (chosen []T, kept []Left, err error)
	name   func(T) string
	remove func(ctx context.Context, what T) (*Left, error) // not nil: why it stays
	gone   func(T)
	keep   func(...Left)
	result func() any
}

// prune removes what is chosen one by one. What is gone already was somebody
// else's to remove.
func prune[T any](ctx context.Context, s *Service, actor string, p pruning[T]) (store.Operation, error) {
	q := task.Request{Kind: KindPrune, Target: p.kind, Actor: actor}
	return s.Tasks.Start(ctx, q, func(ctx context.Context, r *task.Report) (any, error) {
		r.Step("choose")
		chosen, kept, err := p.choose(ctx)
		if err != nil {
			return p.result(), err
		}
		p.keep(kept...)
		r.Detail(fmt.Sprintf("%d %s go, %d are kept", len(chosen), p.kind, len(kept)))
		r.Step("remove")
		for n, what := range chosen {
			r.Progress(store.Progress{Current: int64(n), Total: int64(len(chosen)), Unit: p.kind, Text: p.name(what)})
			left, err := p.remove(ctx, what)
			switch {
			case errors.Is(err, dockercli.ErrNotFound), errors.Is(err, ErrNoNetwork): // somebody was quicker
			case err != nil:
				return p.result(), err
			case left != nil:
				p.keep(*left)
			default:
				p.gone(what)
			}
		}
		return p.result(), nil
	})
}
