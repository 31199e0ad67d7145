package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/watch-docker/watch-docker/internal/api"
	"github.com/watch-docker/watch-docker/internal/audit"
	"github.com/watch-docker/watch-docker/internal/auth"
	"github.com/watch-docker/watch-docker/internal/compose"
	"github.com/watch-docker/watch-docker/internal/config"
	"github.com/watch-docker/watch-docker/internal/containerlog"
	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/internal/logging"
	"github.com/watch-docker/watch-docker/internal/project"
	"github.com/watch-docker/watch-docker/internal/scanner"
	"github.com/watch-docker/watch-docker/internal/scheduler"
	"github.com/watch-docker/watch-docker/internal/shell"
	"github.com/watch-docker/watch-docker/internal/store"
	"github.com/watch-docker/watch-docker/internal/twofa"
	"github.com/watch-docker/watch-docker/internal/webui"
	"github.com/watch-docker/watch-docker/internal/wsstream"
)

const (
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 64 << 10
	// shutdownTimeout leaves 2 of the 10 seconds that docker stop gives.
	shutdownTimeout = 8 * time.Second
	// recoverAgain is how long an engine that doesn't answer is given before
	// interrupted updates are looked at again.
	recoverAgain = 2 * time.Second
)

// Server is the running program: it watches the engine, scans by schedule and
// serves HTTP.
type Server struct {
	*parts

	watcher  *config.Watcher
	level    zap.AtomicLevel
	owner    *store.Ownership
	listener net.Listener
	http     *http.Server
	commands net.Listener
	socket   *http.Server
	auth     *auth.Service
	twofa    *twofa.Service
	audit    *audit.Log
	required atomic.Bool // twofa.required
	interval *scheduler.Interval
	logs     *containerlog.Service
	cron     *scheduler.Cron
	initial  bool
	closing  chan struct{} // closed when the end begins
	sockets  sync.WaitGroup
	hub      *wsstream.Hub
	shells   *shell.Manager
	projects *project.Service
	compose  *compose.Service
	environ  []string

	connections atomic.Int64 // how often the engine's events have connected
	missed      atomic.Bool  // the last scan failed because the engine didn't answer
}

func runServe(ctx context.Context, p Program, args []string) int {
	set, file := p.flags("serve")
	if code, ok := p.parse(set, args); !ok {
		return code
	}
	s, err := NewServer(ctx, p, *file)
	if err != nil {
		p.complain("%v", err)
		if wrong := (*config.Error)(nil); errors.As(err, &wrong) {
			return ExitUsage
		}
		return ExitFailed
	}
	err = s.Run(ctx)
	if err := errors.Join(err, s.Close()); err != nil {
		p.complain("%v", err)
		return ExitFailed
	}
	return ExitOK
}

// NewServer takes the state folder and the port, and builds everything. What
// comes back must be closed.
//
// Errors: *config.Error for a wrong configuration, store.ErrOwned if another
// server has the state folder, store.ErrFolder if it can't be used, and the
// network's own for an address that is taken. An engine that doesn't answer is
// no error: it is tried again until it does.
func NewServer(ctx context.Context, p Program, file string) (_ *Server, err error) {
	s := &Server{closing: make(chan struct{}), hub: wsstream.New(wsstream.Linger), environ: p.Environ}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	cfg, err := config.Load(config.Options{File: file, Environ: p.Environ})
	if err != nil {
		return nil, err
	}
	_, isTerminal := terminal(p.Stderr)
	log, level, err := logging.New(logging.Options{
		Level: cfg.Logging.Level, Format: cfg.Logging.Format, Output: p.Stderr, IsTerminal: isTerminal,
	})
	if err != nil {
		return nil, err
	}
	s.level = level
	if s.owner, err = store.Own(cfg.StatePath); err != nil {
		return nil, err
	}
	st, err := store.Open(ctx, cfg.StatePath)
	if err != nil {
		return nil, err
	}
	if s.parts, err = assemble(ctx, cfg, p.Environ, log, st, replacing(cfg.StatePath, file)); err != nil {
		return nil, err
	}
	s.audit = audit.New(audit.Dependencies{
		Store: st, Logger: log, Retention: func() time.Duration { return s.watcher.Current().Audit.Retention },
	})
	if err := s.identity(ctx, cfg); err != nil {
		return nil, err
	}
	s.interval = scheduler.NewInterval(cfg.Scan.Interval, s.scan)
	s.logs = containerlog.New(s.engine, log)
	s.cron = scheduler.NewCron(updateSchedule(cfg), cfg.Update.Location(), s.autoUpdate)
	s.initial = cfg.Scan.InitialScanOnStart
	s.watcher = config.NewWatcher(cfg, config.WatcherOptions{
		Load: config.Options{File: file, Environ: p.Environ}, Logger: log.With(logging.Component("config")),
	})
	s.watcher.Subscribe(s.reload)
	if err := s.listen(ctx, cfg); err != nil {
		return nil, err
	}
	return s, nil
}

// identity prepares sign-in, makes the first administrator, and takes over
// second factors of an older installation.
func (s *Server) identity(ctx context.Context, cfg *config.Config) (err error) {
	s.required.Store(cfg.TwoFA.Required)
	s.auth, err = auth.New(ctx, auth.Dependencies{Store: s.store, StateFolder: cfg.StatePath, Logger: s.log, Required: s.required.Load})
	if err != nil {
		return err
	}
	s.twofa = twofa.New(twofa.Dependencies{Store: s.store, Logger: s.log})
	if err := s.firstUser(ctx, cfg.User); err != nil {
		return err
	}
	return s.twofa.Import(ctx, imported(cfg.TwoFA.Users))
}

func imported(users map[string]config.TwoFAUserConfig) map[string]twofa.Imported {
	all := map[string]twofa.Imported{}
	for name, u := range users {
		all[name] = twofa.Imported{Method: u.Method, OTPSecret: u.OTPSecret.Reveal(), WebAuthnCredentials: u.WebAuthnCredentials, IsSetup: u.IsSetup}
	}
	return all
}

func (s *Server) listen(ctx context.Context, cfg *config.Config) (err error) {
	page, err := webui.New()
	if err != nil {
		return err
	}
	side := ports{parts: s.parts, interval: s.interval, updates: s.cron, startedAt: time.Now().UTC()}
	made := resources{s.resources}
	s.shells = shell.New(shell.Options{Logger: s.log})
	if err := s.composing(cfg, side); err != nil {
		return err
	}
	handler, err := api.New(api.Dependencies{
		Files: files{side}, SpoolFolder: cfg.StatePath,
		Shells: s.shells, Terminals: terminals{parts: s.parts, environ: s.environ, enabled: func() bool { return s.watcher.Current().Shell.HostEnabled }},
		Logger: s.log, Version: Version(), Closing: s.closing, Sockets: &s.sockets,
		Auth: s.auth, TwoFA: s.twofa, Audit: s.audit, Scans: side, Updates: side, ProjectUpdates: side, Operations: side, Engine: side, Images: made, Volumes: made, Networks: made, System: side, Logs: logs{s.logs}, Page: page, Compose: projects{s.compose, s.parts},
		Live: side, Hub: s.hub,
		Config:  func() map[string]any { return s.watcher.Current().Masked() },
		Checks:  []api.Check{{Name: "engine", Ask: s.engine.Ping}, {Name: "store", Ask: s.store.Ping}},
		BaseURL: cfg.Server.BaseURL, CORSOrigins: cfg.Server.CORSOrigins, TrustedProxies: cfg.Server.TrustedProxies,
		AllowedDomains: func() []string { return s.watcher.Current().TwoFA.AllowedDomains },
	})
	if err != nil {
		return err
	}
	s.http = &http.Server{
		Handler: handler, ReadHeaderTimeout: readHeaderTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		ErrorLog: zap.NewStdLog(s.log.With(logging.Component("http"))),
	}
	s.listener, err = new(net.ListenConfig).Listen(ctx, "tcp", cfg.Server.Addr)
	if err != nil {
		return fmt.Errorf("server.addr %s: %w; free it, or name another with WATCH_SERVER_ADDR", cfg.Server.Addr, err)
	}
	secure, err := serverTLS(cfg.Server.TLS)
	if err != nil {
		return err
	}
	if secure != nil {
		s.listener = tls.NewListener(s.listener, secure)
	}
	s.socket = &http.Server{Handler: s.socketHandler(), ReadHeaderTimeout: readHeaderTimeout}
	s.commands, err = listenSocket(ctx, cfg.StatePath)
	return err
}

// Addr is where the server listens: "127.0.0.1:8080".
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Latest is the newest result of the scanner.
func (s *Server) Latest() scanner.Result { return s.scanner.Latest() }

// Run serves until ctx ends, then finishes the requests under way. An end that
// was asked for is no error.
func (s *Server) Run(ctx context.Context) (err error) {
	s.log.Info("listening", zap.String("addr", s.Addr()), zap.String("version", Version()), zap.String("engine", s.engine.Host()))
	s.audit.Record(ctx, audit.Entry{Via: audit.ViaServer, Action: actionStart, Result: audit.OK, Detail: "version " + Version()})
	defer func() { s.recordEnd(ctx, err) }()
	group, ctx := errgroup.WithContext(ctx)
	defer context.AfterFunc(ctx, func() { close(s.closing) })()
	group.Go(func() error { return serveHTTP(ctx, s.http, s.listener) })
	group.Go(func() error { return serveHTTP(ctx, s.socket, s.commands) })
	group.Go(func() error { return s.scanner.Follow(ctx, s) })
	group.Go(func() error { return s.update(ctx) })
	group.Go(func() error { return s.interval.Run(ctx, s.initial) })
	group.Go(func() error { return s.tasks.Run(ctx) })
	group.Go(func() error { return s.cron.Run(ctx) })
	group.Go(func() error { return s.watcher.Run(ctx) })
	group.Go(func() error { return s.auth.Run(ctx) })
	group.Go(func() error { return s.audit.Run(ctx) })
	group.Go(func() error { return s.projects.Run(ctx) })
	group.Go(func() error { return s.prepareCompose(ctx) })
	group.Go(func() error {
		<-ctx.Done()
		s.shells.Close() // a few seconds
		return ctx.Err()
	})
	err = group.Wait()
	s.sockets.Wait() // each takes 5 seconds at most, from the same moment on as the requests
	s.hub.Close()
	if err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	s.log.Info("stopped")
	return nil
}

// update resolves what an earlier process left, and only then takes new work.
func (s *Server) update(ctx context.Context) error {
	for {
		err := s.updater.Recover(ctx)
		if err == nil {
			return s.updater.Run(ctx)
		}
		s.log.Warn("interrupted updates can't be resolved yet", logging.Err(err))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(recoverAgain):
		}
	}
}

// autoUpdate is the cron job: scan, then update what the schedule may.
func (s *Server) autoUpdate(ctx context.Context) {
	if _, err := s.scanner.Scan(ctx, scanner.Options{}); err != nil {
		recordRun(ctx, s.audit, audit.ViaSchedule, updateArgs{}, api.Run{}, fmt.Errorf("the scan before it failed: %w", err))
		s.log.Warn("the scheduled update is left out, since its scan failed", logging.Action("update"), logging.Err(err))
		return
	}
	run, err := s.operator.run(ctx, updateArgs{}, actorSchedule, bySchedule)
	recordRun(ctx, s.audit, audit.ViaSchedule, updateArgs{}, run, err)
	if err != nil {
		s.log.Warn("the scheduled update failed", logging.Action("update"), logging.Err(err))
	}
	s.log.Info("scheduled update", logging.Action("update"), zap.Int("operations", len(run.Operations)), zap.Int("leftAlone", len(run.Skipped)))
	for _, op := range run.Operations {
		select {
		case <-s.updater.Done(op.ID):
		case <-ctx.Done():
			return
		}
	}
}

// updateSchedule is when updates run by themselves; nil is never.
func updateSchedule(cfg *config.Config) scheduler.Schedule {
	if cfg.Update.AutoUpdateCron == "" || !cfg.Update.Enabled {
		return nil
	}
	schedule, err := config.ParseCron(cfg.Update.AutoUpdateCron)
	if err != nil {
		return nil // it was checked when it was read
	}
	return schedule
}

func serveHTTP(ctx context.Context, server *http.Server, l net.Listener) error {
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serve HTTP: %w", err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	err := server.Shutdown(grace)
	if errors.Is(err, context.DeadlineExceeded) {
		err = server.Close()
	}
	if served := <-ended; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// Close gives back what NewServer took; it also works on a half-built server.
func (s *Server) Close() error {
	s.hub.Close()
	var errs []error
	for _, l := range []net.Listener{s.listener, s.commands} {
		if l == nil {
			continue
		}
		if err := l.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if s.parts != nil {
		errs = append(errs, s.parts.Close())
	}
	if s.owner != nil {
		errs = append(errs, s.owner.Close())
	}
	return errors.Join(errs...)
}

// Watch follows the engine for the scanner. A scan that found the engine away
// is made as soon as it is back, instead of an interval later.
func (s *Server) Watch(ctx context.Context, on func(dockercli.Event)) error {
	return s.engine.Watch(ctx, func(e dockercli.Event) {
		on(e)
		s.logs.Note(e)
		if e.Kind == dockercli.Connected {
			s.connections.Add(1)
			s.makeUp()
		}
	})
}

func (s *Server) scan(ctx context.Context) {
	before := s.connections.Load()
	_, err := s.scanner.Scan(ctx, scanner.Options{})
	// The next scan is minutes away: what this one needed goes back to the
	// system now, a sixth of what an idle server holds (test/bench).
	debug.FreeOSMemory()
	if err == nil || ctx.Err() != nil {
		return
	}
	s.log.Warn("the scan failed and will be tried again", logging.Action("scan"), logging.Err(err))
	s.missed.Store(errors.Is(err, dockercli.ErrUnavailable))
	if s.connections.Load() != before { // it came back while the scan was failing
		s.makeUp()
	}
}

// makeUp makes a missed scan once.
func (s *Server) makeUp() {
	if s.missed.Swap(false) {
		s.interval.Trigger()
	}
}

// reload takes a changed configuration over.
func (s *Server) reload(cfg *config.Config) {
	if err := logging.SetLevel(s.level, cfg.Logging.Level); err != nil {
		s.log.Warn("the log level stays", logging.Err(err))
	}
	s.required.Store(cfg.TwoFA.Required)
	s.recordReload(cfg)
	s.interval.Set(cfg.Scan.Interval)
	s.cron.Set(updateSchedule(cfg), cfg.Update.Location())
	if s.apply(cfg) {
		s.interval.Trigger()
	}
}
