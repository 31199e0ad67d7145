package app

import (
	"context"
	"errors"
	"path/filepath"

	"go.uber.org/zap"

	"github.com/watch-docker/watch-docker/internal/config"
	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/internal/logging"
	"github.com/watch-docker/watch-docker/internal/store"
	"github.com/watch-docker/watch-docker/internal/updater"
)

// replacing is how a server has its own container replaced: by the command
// takeover, with the server's own configuration.
func replacing(state, file string) updater.Self {
	state, err := filepath.Abs(state)
	if err != nil {
		return updater.Self{} // without a working folder
	}
	args := []string{"takeover"}
	if file != "" {
		args = append(args, "-config", file)
	}
	return updater.Self{State: state, Args: args}
}

// runTakeover replaces the container of the server that has started this one
// beside it, of the image that the server is to be of. See doc/updating.md.
func runTakeover(ctx context.Context, p Program, args []string) int {
	set, file := p.flags("takeover")
	if code, ok := p.parse(set, args); !ok {
		return code
	}
	cfg, ok := p.configured(*file)
	if !ok {
		return ExitUsage
	}
	if err := p.takeOver(ctx, cfg); err != nil {
		p.complain("%v", err)
		return ExitFailed
	}
	return ExitOK
}

func (p Program) takeOver(ctx context.Context, cfg *config.Config) (err error) {
	folder := filepath.Join(cfg.StatePath, updater.HandoverFolder)
	h, err := updater.ReadHandover(folder)
	if err != nil {
		return err
	}
	log, _, err := logging.New(logging.Options{Level: cfg.Logging.Level, Format: cfg.Logging.Format, Output: p.Stderr})
	if err != nil {
		return err
	}
	log = log.With(zap.String("helper", Version()))
	owner, err := store.Own(folder)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, owner.Close()) }()
	st, err := store.Open(ctx, folder)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	engine, err := dockercli.New(dockercli.Options{Host: cfg.Docker.Host, UserAgent: userAgent(), Logger: log.With(logging.Component("dockercli"))})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, engine.Close()) }()
	helper := updater.New(updater.Dependencies{
		Engine: engine, Store: st, Settings: h.Settings, Logger: log,
		Guest: &updater.Guest{
			Ready: func(ctx context.Context) error { return ask(ctx, cfg.StatePath, "/ready", nil) },
			Revert: func(ctx context.Context) error {
				reverted, err := updater.Revert(ctx, cfg.StatePath)
				if reverted {
					log.Warn("the database is as it was before the new release")
				}
				return err
			},
		},
	})
	return helper.TakeOver(ctx, folder, h)
}
