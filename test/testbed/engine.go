package testbed

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"time"

	"github.com/moby/moby/client"
)

// EngineChoice says which Docker engine a bed uses.
type EngineChoice string

// The engines to choose from.
const (
	// NoEngine is none: the bed has registries only.
	NoEngine EngineChoice = ""
	// AnyEngine is what WATCHDOCKER_TEST_ENGINE says.
	AnyEngine EngineChoice = "auto"
	// PrivateEngine is what WATCHDOCKER_TEST_ENGINE says, but never an
	// engine that was there before: Debian's instead.
	PrivateEngine EngineChoice = "private"
	// Existing is the engine that DOCKER_HOST or the default socket names.
	Existing EngineChoice = "existing"
	// Debian is a private one of the dockerd on PATH. Debian 12's docker.io
	// is 20.10, API 1.41, with graph drivers (overlay2).
	Debian EngineChoice = "debian"
	// Newest is a private one of Moby's main line: API 1.56, containerd
	// image store. It's built when first used.
	Newest EngineChoice = "newest"
)

// EngineEnv is the environment variable that chooses the engine for AnyEngine.
const EngineEnv = "WATCHDOCKER_TEST_ENGINE"

// errPrivateOnly answers what can't be done to an engine that others use.
var errPrivateOnly = errors.New("not a private engine")

// An Engine is a running Docker engine.
type Engine struct {
	bed     *Bed
	choice  EngineChoice
	host    string
	client  *client.Client
	version client.ServerVersionResult
	daemon  *daemon // nil for an existing engine

	mu      sync.Mutex
	proxies []*EngineProxy
}

// StartEngine starts one more engine for the bed; the first is [Bed.Engine].
func (b *Bed) StartEngine(ctx context.Context, choice EngineChoice) (*Engine, error) {
	choice, err := resolve(ctx, choice)
	if err != nil {
		return nil, err
	}
	e := &Engine{bed: b, choice: choice}
	if choice == Existing {
		err = b.state.update(func(s *state) { s.ExistingHost = existingHost() })
	} else {
		e.daemon, err = b.startDaemon(ctx, choice)
	}
	if err != nil {
		return nil, fmt.Errorf("%s engine: %w", choice, err)
	}
	if err := e.open(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("%s engine: %w", choice, err), e.close(ctx))
	}
	return e, nil
}

func (e *Engine) open(ctx context.Context) (err error) {
	if e.daemon != nil {
		e.host = e.daemon.host()
		e.client, err = connect(e.host)
	} else {
		e.host = existingHost()
		e.client, err = connect("")
	}
	if err != nil {
		return err
	}
	if e.version, err = e.client.ServerVersion(ctx, client.ServerVersionOptions{}); err != nil {
		return fmt.Errorf("ask for its version: %w", err)
	}
	return e.bed.addEngine(ctx, e)
}

func connect(host string) (*client.Client, error) {
	if host == "" { // DOCKER_HOST with its TLS settings, or the default socket
		return client.New(client.FromEnv)
	}
	return client.New(client.WithHost(host))
}

// resolve turns a choice into Existing, Debian or Newest.
func resolve(ctx context.Context, choice EngineChoice) (EngineChoice, error) {
	fromEnv := EngineChoice(os.Getenv(EngineEnv))
	switch fromEnv {
	case "", AnyEngine, Existing, Debian, Newest:
	default:
		return "", fmt.Errorf("%s=%q: use auto, debian, newest or existing", EngineEnv, fromEnv)
	}
	switch choice {
	case Existing, Debian, Newest:
		return choice, nil
	case PrivateEngine:
		if fromEnv == Newest {
			return Newest, nil
		}
		return Debian, nil
	case AnyEngine:
		if fromEnv != "" && fromEnv != AnyEngine {
			return fromEnv, nil
		}
		if existingAnswers(ctx) {
			return Existing, nil
		}
		return Debian, nil
	default:
		return "", fmt.Errorf("no such engine: %q", choice)
	}
}

func existingAnswers(ctx context.Context) bool {
	c, err := connect("")
	if err != nil {
		return false
	}
	defer func() { _ = c.Close() }()
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	_, err = c.Ping(ctx, client.PingOptions{})
	return err == nil
}

func existingHost() string {
	if host := os.Getenv(client.EnvOverrideHost); host != "" {
		return host
	}
	return client.DefaultDockerHost
}

// Host is where the engine listens, as DOCKER_HOST has it.
func (e *Engine) Host() string { return e.host }

// Client is a client of the engine's; the bed closes it.
func (e *Engine) Client() *client.Client { return e.client }

// Choice is Existing, Debian or Newest.
func (e *Engine) Choice() EngineChoice { return e.choice }

// Version is the engine's own version: "20.10.24+dfsg1".
func (e *Engine) Version() string { return e.version.Version }

// APIVersion is the highest API version that the engine speaks: "1.41".
func (e *Engine) APIVersion() string { return e.version.APIVersion }

// Private says whether the engine is the bed's own, so that it may be stopped.
func (e *Engine) Private() bool { return e.daemon != nil }

// Stop ends a private engine in an orderly way, its containers included. Its
// socket goes. The registries stay.
func (e *Engine) Stop(ctx context.Context) error {
	if e.daemon == nil {
		return fmt.Errorf("stop engine: %w", errPrivateOnly)
	}
	return e.daemon.stop(ctx)
}

// Kill ends a private engine's dockerd like a crash; its containers run on
// until it is started again.
func (e *Engine) Kill(ctx context.Context) error {
	if e.daemon == nil {
		return fmt.Errorf("kill engine: %w", errPrivateOnly)
	}
	return e.daemon.crash(ctx)
}

// Start starts a stopped or killed private engine again, on the same socket
// and with the same data, and waits until it answers.
func (e *Engine) Start(ctx context.Context) error {
	if e.daemon == nil {
		return fmt.Errorf("start engine: %w", errPrivateOnly)
	}
	return e.daemon.start(ctx)
}

// Restart is Stop and Start.
func (e *Engine) Restart(ctx context.Context) error {
	if err := e.Stop(ctx); err != nil {
		return err
	}
	return e.Start(ctx)
}

// Command is a command that runs where a private engine does: with its mounts,
// its network and its processes. It belongs to root.
func (e *Engine) Command(name string, args ...string) (*exec.Cmd, error) {
	if e.daemon == nil {
		return nil, fmt.Errorf("run %s beside the engine: %w", name, errPrivateOnly)
	}
	return e.daemon.sandbox.command(name, args...), nil
}

// DialContext connects to a literal address in the engine's network: to a
// published port on 127.0.0.1, or to a container by its own address.
func (e *Engine) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	if e.daemon == nil {
		return new(net.Dialer).DialContext(ctx, network, addr)
	}
	return e.daemon.sandbox.dial(ctx, network, addr)
}

// HTTPClient makes requests from within the engine's network, and trusts the
// bed's authority.
func (e *Engine) HTTPClient() *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialContext:       e.DialContext,
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{RootCAs: e.bed.CertPool(), MinVersion: tls.VersionTLS12},
	}}
}

// reach lets f listen in the engine's own network too.
func (e *Engine) reach(ctx context.Context, f *front) error {
	if e.daemon == nil {
		return nil
	}
	l, err := e.daemon.sandbox.listen(ctx, f.addr)
	if err != nil {
		return fmt.Errorf("listen at %s in the engine's network: %w", f.addr, err)
	}
	f.serve(l)
	return nil
}

func (e *Engine) close(ctx context.Context) error {
	e.mu.Lock()
	proxies := e.proxies
	e.mu.Unlock()
	var errs []error
	for _, p := range proxies {
		errs = append(errs, p.close(ctx))
	}
	if e.daemon == nil && e.client != nil {
		errs = append(errs, cleanEngine(ctx, e.client, e.bed.state.current()))
	}
	if e.client != nil {
		errs = append(errs, e.client.Close())
	}
	if e.daemon != nil {
		errs = append(errs, e.daemon.close(ctx))
	}
	return errors.Join(errs...)
}
