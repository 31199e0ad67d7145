package app

import (
	"context"
	"fmt"
	"strings"

	"github.com/watch-docker/watch-docker/internal/api"
	"github.com/watch-docker/watch-docker/internal/audit"
	"github.com/watch-docker/watch-docker/internal/config"
	"github.com/watch-docker/watch-docker/internal/store"
)

// What the program does by itself, or for the command line, as the audit log
// names it. What comes over HTTP has the names of the API's operations.
const (
	actionStart       = "start"
	actionStop        = "stop"
	actionFirstUser   = "makeFirstUser"
	actionReload      = "reloadConfiguration"
	actionUpdate      = "update"
	actionRollback    = "rollback"
	actionSetPassword = "setPassword"
	actionResetTwoFA  = "resetTwoFA"
	actionRotateKey   = "rotateKey"
)

// recordRun records updates that weren't asked for over HTTP.
func recordRun(ctx context.Context, log *audit.Log, via string, args updateArgs, run api.Run, err error) {
	if args.DryRun {
		return // nothing was changed
	}
	e := audit.Entry{Via: via, Action: actionUpdate, Target: "all", Result: audit.OK}
	if args.Back {
		e.Action = actionRollback
	}
	if len(args.Names) > 0 {
		e.Target = strings.Join(args.Names, ", ")
	}
	if args.Force {
		e.Detail = "forced; "
	}
	e.Detail += fmt.Sprintf("operations: %d; left alone: %d", len(run.Operations), len(run.Skipped))
	failed := 0
	for _, op := range run.Operations {
		if op.State.Finished() && op.State != store.Succeeded && !leftAlone(op) {
			failed++
		}
	}
	if failed > 0 {
		e.Result, e.Detail = audit.Failed, e.Detail+fmt.Sprintf("; failed: %d", failed)
	}
	if err != nil {
		e.Detail += "; " + err.Error()
		if len(run.Operations) == 0 { // else they go on, whoever waits for them
			e.Result = audit.Failed
		}
	}
	log.Record(ctx, e)
}

// recordEnd records how the server ended.
func (s *Server) recordEnd(ctx context.Context, err error) {
	e := audit.Entry{Via: audit.ViaServer, Action: actionStop, Result: audit.OK}
	if err != nil {
		e.Result, e.Detail = audit.Failed, err.Error()
	}
	s.audit.Record(ctx, e)
}

// recordReload records which keys of the configuration count anew; their
// values may be secrets.
func (s *Server) recordReload(cfg *config.Config) {
	s.audit.Record(context.Background(), audit.Entry{
		Via: audit.ViaServer, Action: actionReload, Target: cfg.File(), Result: audit.OK,
		Detail: strings.Join(config.Changes(s.config, cfg), ", "),
	})
}

// firstUser makes the first administrator, if nobody can sign in yet.
func (s *Server) firstUser(ctx context.Context, u config.UserConfig) error {
	needed, err := s.auth.NeedsSetup(ctx)
	if err != nil {
		return err
	}
	if err := s.auth.FirstUser(ctx, u.Name, u.Password.Reveal()); err != nil {
		return err
	}
	if needed && u.Name != "" {
		s.audit.Record(ctx, audit.Entry{Via: audit.ViaServer, Action: actionFirstUser, Target: u.Name, Result: audit.OK})
	}
	return nil
}
