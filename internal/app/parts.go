package app

import (
	"context"
	"errors"
	"reflect"

	"go.uber.org/zap"

	"github.com/watch-docker/watch-docker/internal/config"
	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/internal/logging"
	"github.com/watch-docker/watch-docker/internal/policy"
	"github.com/watch-docker/watch-docker/internal/registry"
	"github.com/watch-docker/watch-docker/internal/scanner"
	"github.com/watch-docker/watch-docker/internal/store"
)

// parts is what every command that looks at containers is made of.
type parts struct {
	config   *config.Config
	log      *zap.Logger
	store    *store.Store
	engine   *dockercli.Client
	registry *registry.Client
	scanner  *scanner.Scanner
}

// assemble builds the parts on an open store, which they close at the end.
func assemble(ctx context.Context, cfg *config.Config, log *zap.Logger, st *store.Store) (*parts, error) {
	p := &parts{config: cfg, log: log, store: st}
	var err error
	p.engine, err = dockercli.New(dockercli.Options{
		Host: cfg.Docker.Host, UserAgent: userAgent(), Logger: log.With(logging.Component("dockercli")),
	})
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	p.registry = p.newRegistry(cfg)
	p.scanner, err = scanner.New(ctx, scanner.Dependencies{
		Engine: p.engine, Store: st, Settings: settings(cfg, p.registry), Logger: log,
	})
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// apply takes a changed configuration over into the running parts, and reports
// whether the next scan could find something else than the last one. The
// registry client, and with it what it has cached, is kept if it can be.
func (p *parts) apply(cfg *config.Config) (rescan bool) {
	was := p.config
	p.config = cfg
	if !reflect.DeepEqual(was.Registry, cfg.Registry) || !reflect.DeepEqual(was.Scan, cfg.Scan) {
		old := p.registry
		p.registry = p.newRegistry(cfg)
		defer old.Close()
		rescan = true
	}
	rescan = rescan || !reflect.DeepEqual(was.Policy, cfg.Policy) || was.Docker != cfg.Docker
	p.scanner.Apply(settings(cfg, p.registry))
	return rescan
}

// Close takes the parts down in the reverse order.
func (p *parts) Close() error {
	if p.registry != nil {
		p.registry.Close()
	}
	var errs []error
	if p.engine != nil {
		errs = append(errs, p.engine.Close())
	}
	return errors.Join(append(errs, p.store.Close())...)
}

func (p *parts) newRegistry(cfg *config.Config) *registry.Client {
	list := make([]registry.HostCredential, 0, len(cfg.Registry.Auth))
	for _, a := range cfg.Registry.Auth {
		list = append(list, registry.HostCredential{Host: a.Host, Username: a.Username, Password: a.Password.Reveal()})
	}
	return registry.New(registry.Options{
		Concurrency: cfg.Scan.Concurrency,
		CacheTTL:    cfg.Scan.CacheTTL,
		ErrorTTL:    cfg.Scan.ErrorTTL,
		Insecure:    cfg.Registry.Insecure,
		Mirrors:     cfg.Registry.Mirrors,
		Credentials: registry.FirstOf{registry.Configured(list), registry.DockerConfig{}},
		Memory:      memory{p.store},
		UserAgent:   userAgent(),
		Logger:      p.log.With(logging.Component("registry")),
	})
}

func settings(cfg *config.Config, client *registry.Client) scanner.Settings {
	return scanner.Settings{
		Registry:       client,
		IncludeStopped: cfg.Docker.IncludeStopped,
		Rules: policy.Rules{
			SkipLabels:         cfg.Policy.SkipLabels,
			OnlyLabels:         cfg.Policy.OnlyLabels,
			ForceLabels:        cfg.Policy.ForceLabels,
			SkipLocalBuild:     cfg.Policy.SkipLocalBuild,
			SkipPinnedDigest:   cfg.Policy.SkipPinnedDigest,
			SkipSemverPinned:   cfg.Policy.SkipSemverPinned,
			FloatingTags:       cfg.Policy.FloatingTags,
			UpdatesEnabled:     cfg.Update.Enabled,
			AllowComposeUpdate: cfg.Update.AllowComposeUpdate,
		},
	}
}
