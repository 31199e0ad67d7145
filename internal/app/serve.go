package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/watch-docker/watch-docker/internal/api"
	"github.com/watch-docker/watch-docker/internal/config"
	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/internal/logging"
	"github.com/watch-docker/watch-docker/internal/scanner"
	"github.com/watch-docker/watch-docker/internal/scheduler"
	"github.com/watch-docker/watch-docker/internal/store"
)

const (
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 64 << 10
	// shutdownTimeout leaves 2 of the 10 seconds that docker stop gives.
	shutdownTimeout = 8 * time.Second
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
	scans    *scheduler.Interval
	initial  bool

	connections atomic.Int64 // how often the engine's events have connected
	missed      atomic.Bool  // the last scan failed because the engine didn't answer
}

func runServe(ctx context.Context, p Program, args []string) int {
	set, file := p.flags("serve")
	if code, ok := p.parse(set, args); !ok {
		return code
	}
	s, err := NewServer(ctx, p, *file)
	var wrong *config.Error
	if errors.As(err, &wrong) {
		p.complain("%v", err)
		return ExitUsage
	}
	if err != nil {
		p.complain("%v", err)
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
	s := &Server{}
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
	if s.parts, err = assemble(ctx, cfg, log, st); err != nil {
		return nil, err
	}
	s.scans = scheduler.NewInterval(cfg.Scan.Interval, s.scan)
	s.initial = cfg.Scan.InitialScanOnStart
	if err := s.listen(cfg); err != nil {
		return nil, err
	}
	s.watcher = config.NewWatcher(cfg, config.WatcherOptions{
		Load: config.Options{File: file, Environ: p.Environ}, Logger: log.With(logging.Component("config")),
	})
	s.watcher.Subscribe(s.reload)
	return s, nil
}

func (s *Server) listen(cfg *config.Config) (err error) {
	handler, err := api.New(api.Dependencies{
		Logger: s.log,
		Checks: []api.Check{{Name: "engine", Ask: s.engine.Ping}, {Name: "store", Ask: s.store.Ping}},
	})
	if err != nil {
		return err
	}
	s.http = &http.Server{
		Handler: handler, ReadHeaderTimeout: readHeaderTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		ErrorLog: zap.NewStdLog(s.log.With(logging.Component("http"))),
	}
	s.listener, err = net.Listen("tcp", cfg.Server.Addr)
	if err != nil {
		return fmt.Errorf("server.addr %s: %w; free it, or name another with WATCH_SERVER_ADDR", cfg.Server.Addr, err)
	}
	return nil
}

// Addr is where the server listens: "127.0.0.1:8080".
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Latest is the newest result of the scanner.
func (s *Server) Latest() scanner.Result { return s.scanner.Latest() }

// Run serves until ctx ends, then finishes the requests under way. An end that
// was asked for is no error.
func (s *Server) Run(ctx context.Context) error {
	s.log.Info("listening", zap.String("addr", s.Addr()), zap.String("version", Version()), zap.String("engine", s.engine.Host()))
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.serveHTTP(ctx) })
	group.Go(func() error { return s.scanner.Follow(ctx, s) })
	group.Go(func() error { return s.scans.Run(ctx, s.initial) })
	group.Go(func() error { return s.watcher.Run(ctx) })
	if err := group.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	s.log.Info("stopped")
	return nil
}

func (s *Server) serveHTTP(ctx context.Context) error {
	ended := make(chan error, 1)
	go func() { ended <- s.http.Serve(s.listener) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serve HTTP: %w", err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	err := s.http.Shutdown(grace)
	<-ended
	return err
}

// Close gives back what NewServer took; it also works on a half-built server.
func (s *Server) Close() error {
	var errs []error
	if s.listener != nil {
		if err := s.listener.Close(); !errors.Is(err, net.ErrClosed) {
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
		if e.Kind == dockercli.Connected {
			s.connections.Add(1)
			s.makeUp()
		}
	})
}

func (s *Server) scan(ctx context.Context) {
	before := s.connections.Load()
	_, err := s.scanner.Scan(ctx, scanner.Options{})
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
		s.scans.Trigger()
	}
}

// reload takes a changed configuration over.
func (s *Server) reload(cfg *config.Config) {
	if err := logging.SetLevel(s.level, cfg.Logging.Level); err != nil {
		s.log.Warn("the log level stays", logging.Err(err))
	}
	s.scans.Set(cfg.Scan.Interval)
	if s.apply(cfg) {
		s.scans.Trigger()
	}
}
