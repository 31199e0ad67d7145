package app

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/watch-docker/watch-docker/internal/api"
	"github.com/watch-docker/watch-docker/internal/audit"
	"github.com/watch-docker/watch-docker/internal/auth"
	"github.com/watch-docker/watch-docker/internal/store"
	"github.com/watch-docker/watch-docker/internal/updater"
)

func TestUpdatesThatNobodyAskedForOverHTTPAreRecorded(t *testing.T) {
	op := func(state store.OperationState) store.Operation { return store.Operation{State: state} }
	left := store.Operation{State: store.Cancelled, Error: &store.OperationError{Code: updater.CodeSkipped}}
	some := []string{"web", "db"}
	s := newState(t)
	s.with(func(st *store.Store, _ *auth.Service) {
		log := audit.New(audit.Dependencies{Store: st})
		for _, c := range []struct {
			via  string
			args updateArgs
			run  api.Run
			err  error
		}{
			{audit.ViaSchedule, updateArgs{}, api.Run{Operations: []store.Operation{op(store.Queued), op(store.Queued)}, Skipped: make([]api.LeftOut, 3)}, nil},
			{audit.ViaSchedule, updateArgs{}, api.Run{}, errors.New("the scan before it failed")},
			{audit.ViaCommand, updateArgs{DryRun: true}, api.Run{}, nil},
			{audit.ViaCommand, updateArgs{Names: some, Force: true}, api.Run{Operations: []store.Operation{op(store.Succeeded), left}}, nil},
			{audit.ViaCommand, updateArgs{Names: some}, api.Run{Operations: []store.Operation{op(store.Succeeded), op(store.RolledBack)}}, nil},
			{audit.ViaCommand, updateArgs{Names: some[:1]}, api.Run{Operations: []store.Operation{op(store.Running)}}, context.Canceled},
			{audit.ViaCommand, updateArgs{Names: some[:1], Back: true}, api.Run{}, errors.New("no such container")},
		} {
			recordRun(t.Context(), log, c.via, c.args, c.run, c.err)
		}
	})
	if diff := cmp.Diff([]string{
		"|schedule|update|all|ok|operations: 2; left alone: 3",
		"|schedule|update|all|failed|operations: 0; left alone: 0; the scan before it failed",
		"|command line|update|web, db|ok|forced; operations: 2; left alone: 0",
		"|command line|update|web, db|failed|operations: 2; left alone: 0; failed: 1",
		"|command line|update|web|ok|operations: 1; left alone: 0; context canceled",
		"|command line|rollback|web|failed|operations: 0; left alone: 0; no such container",
	}, s.recorded()); diff != "" {
		t.Error(diff)
	}
}
