package app

import (
	"context"
	"errors"
	"reflect"
	"sync"
	"sync/atomic"

	"go.uber.org/zap"

	"github.com/watch-docker/watch-docker/internal/composecli"
	"github.com/watch-docker/watch-docker/internal/config"
	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/internal/imagefile"
	"github.com/watch-docker/watch-docker/internal/logging"
	"github.com/watch-docker/watch-docker/internal/policy"
	"github.com/watch-docker/watch-docker/internal/registry"
	"github.com/watch-docker/watch-docker/internal/resource"
	"github.com/watch-docker/watch-docker/internal/scanner"
	"github.com/watch-docker/watch-docker/internal/store"
	"github.com/watch-docker/watch-docker/internal/task"
	"github.com/watch-docker/watch-docker/internal/updater"
)

// parts is what every command that looks at containers is made of.
type parts struct {
	config     *config.Config
	configured atomic.Pointer[config.Config] // the same, for those beside whom a reload goes on
	log        *zap.Logger
	store      *store.Store
	engine     *dockercli.Client
	registry   atomic.Pointer[registry.Client] // a reload may replace it
	scanner    *scanner.Scanner
	updater    *updater.Updater
	operator   operator
	command    *composecli.CLI // nil: there is no docker compose here
	hosts      *hosts
	writing    sync.Mutex   // held while a project's files are changed
	tasks      *task.Runner // operations that aren't updates
	// images, volumes and networks
	resources *resource.Service
	changes   changes // of operations
}

// assemble builds the parts on an open store, which they close at the end. A
// zero self is for a process that doesn't replace its own container.
func assemble(ctx context.Context, cfg *config.Config, environ []string, log *zap.Logger, st *store.Store, self updater.Self) (*parts, error) {
	p := &parts{config: cfg, log: log, store: st}
	p.configured.Store(cfg)
	var err error
	p.engine, err = dockercli.New(dockercli.Options{
		Host: cfg.Docker.Host, UserAgent: userAgent(), Logger: log.With(logging.Component("dockercli")),
	})
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	p.registry.Store(p.newRegistry(cfg))
	p.scanner, err = scanner.New(ctx, scanner.Dependencies{
		Engine: p.engine, Store: st, Settings: settings(cfg, p.registry.Load()), Logger: log,
	})
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	p.tasks = task.New(task.Dependencies{Store: st, Logger: log, Keep: keepOperations, Changed: p.changes.tell, Explain: explained})
	updates := updater.Dependencies{
		Engine: p.engine, Store: st, Credentials: credentials(cfg), Settings: updating(cfg), Own: ownContainers(), Self: self, Logger: log,
		Changed: p.changes.tell, Elsewhere: p.knows,
	}
	p.hosts = &hosts{engine: p.engine, shown: cfg.Compose.Path}
	if p.command = newCommand(p, environ); p.command != nil {
		updates.Compose = p.command
	}
	if len(cfg.Compose.Path) > 0 {
		updates.Files = projectFiles{imagefile.New(cfg.Compose.Path, &p.writing)}
	}
	p.updater = updater.New(updates)
	p.resources = resource.New(resource.Dependencies{
		Engine: p.engine, Store: st, Tasks: p.tasks, Reserved: p.updater.Reserved,
		Credentials: func() registry.CredentialSource { return credentials(p.configured.Load()) },
	})
	p.operator = operator{scanner: p.scanner, updater: p.updater}
	return p, nil
}

// apply takes a changed configuration over into the running parts, and reports
// whether the next scan could find something else than the last one. The
// registry client, and with it what it has cached, is kept if it can be.
func (p *parts) apply(cfg *config.Config) (rescan bool) {
	was := p.config
	p.config = cfg
	p.configured.Store(cfg)
	if !reflect.DeepEqual(was.Registry, cfg.Registry) || !reflect.DeepEqual(was.Scan, cfg.Scan) {
		defer p.registry.Swap(p.newRegistry(cfg)).Close()
		rescan = true
	}
	rescan = rescan || !reflect.DeepEqual(was.Policy, cfg.Policy) || was.Docker != cfg.Docker
	p.scanner.Apply(settings(cfg, p.registry.Load()))
	p.updater.Apply(updating(cfg), credentials(cfg))
	return rescan
}

// Close takes the parts down in the reverse order.
func (p *parts) Close() error {
	if client := p.registry.Load(); client != nil {
		client.Close()
	}
	var errs []error
	if p.engine != nil {
		errs = append(errs, p.engine.Close())
	}
	return errors.Join(append(errs, p.store.Close())...)
}

// credentials are the configuration's, then Docker's own.
func credentials(cfg *config.Config) registry.CredentialSource {
	list := make([]registry.HostCredential, 0, len(cfg.Registry.Auth))
	for _, a := range cfg.Registry.Auth {
		list = append(list, registry.HostCredential{Host: a.Host, Username: a.Username, Password: a.Password.Reveal()})
	}
	return registry.FirstOf{registry.Configured(list), registry.DockerConfig{}}
}

func (p *parts) newRegistry(cfg *config.Config) *registry.Client {
	return registry.New(registry.Options{
		Concurrency: cfg.Scan.Concurrency,
		CacheTTL:    cfg.Scan.CacheTTL,
		ErrorTTL:    cfg.Scan.ErrorTTL,
		Insecure:    cfg.Registry.Insecure,
		Mirrors:     cfg.Registry.Mirrors,
		Credentials: credentials(cfg),
		Memory:      memory{p.store},
		UserAgent:   userAgent(),
		Logger:      p.log,
	})
}

// keepOperations is how many records of operations are kept.
const keepOperations = 5000

func updating(cfg *config.Config) updater.Settings {
	return updater.Settings{
		Concurrency: cfg.Update.Concurrency, RemoveOld: cfg.Update.RemoveOldContainer,
		HealthTimeout: cfg.Update.HealthTimeout, StableFor: cfg.Update.StableFor, Keep: keepOperations, KeepImages: cfg.Update.KeepImages,
	}
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
