// Package testbed is the real world that Watch Docker's tests run in: a
// Docker engine, image registries and images, made on the spot on a bare
// Debian 12 machine and taken away again without a trace.
//
// A test says what it needs and gets it, or fails:
//
//	bed := testbed.New(t, testbed.WithEngine(testbed.AnyEngine), testbed.WithRegistry(testbed.TLSToken))
//	reg := bed.Registry(testbed.TLSToken)
//	digest, err := reg.Push(ctx, "shop/web:1.27", testbed.Image(testbed.ImageOptions{Payload: "one"}))
//	err = bed.Pull(ctx, reg.Ref("shop/web:1.27"))
//	web, err := bed.Run(ctx, testbed.ContainerSpec{Name: "web", Image: reg.Ref("shop/web:1.27")})
//
// Programs and TestMain use [Up] and [Bed.Close] instead of [New]; what must
// be on the machine beforehand is brought there by [Install].
//
// # Engines
//
// A private engine is a dockerd of its own in network, mount and PID
// namespaces of its own (sandbox.go tells how). Any number of them run side
// by side, with their own docker0, iptables rules and published ports, and
// none of it shows outside. Three things follow for tests:
//
//   - A container's published port is on the engine's loopback, not on the
//     test's. [Engine.DialContext] and [Engine.HTTPClient] get there.
//   - The registries of the bed listen at the same 127.0.0.1:port on both
//     sides. Nothing else is in reach of the engine: it has no other network.
//   - Process ids that the engine names are its own.
//
// The environment variable WATCHDOCKER_TEST_ENGINE chooses what [AnyEngine]
// and [PrivateEngine] mean: auto (the engine that DOCKER_HOST or the default
// socket names if one answers, else Debian's), debian, or newest.
//
// # Registries
//
// Each is Debian's docker-registry behind a front of the testbed's, which
// records every request and can be told to misbehave ([Registry.Inject]).
// [Registry.Push] goes round the front: it neither counts nor suffers.
//
// # Compose
//
// [Engine.Compose] runs `docker compose` on an engine: Debian's docker command
// line with a plugin that is built when first used (1 to 2 minutes), as Debian
// has none.
//
// # Leaving nothing behind
//
// Everything belongs to a bed: names begin with [Bed.Prefix], containers,
// networks and volumes carry the label [Label], files lie in one folder under
// the temporary folder, and the bed's owner holds a lock in it for as long as
// it lives. [Bed.Close] removes just that. When an owner is killed its engine
// and registries die with it, and the next [Up] sweeps up the rest.
package testbed

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Label is on every container, network and volume that a bed makes; its value
// is the bed's id.
const Label = "test.watchdocker.bed"

// A Bed is one testbed: at most a few engines, and registries that all of
// them reach. Its methods may be used by several goroutines.
type Bed struct {
	id    string
	dir   string
	log   io.Writer
	ca    *authority
	state *stateFile
	owner unlocker

	mu         sync.Mutex
	engines    []*Engine
	registries []*Registry
	fronts     []*front
	sequence   int
	closed     bool
}

func newBed(ctx context.Context, opts Options) (*Bed, error) {
	log := opts.Log
	if log == nil {
		log = io.Discard
	}
	// While this lock is held no folder is half-made and nobody else sweeps.
	unlock, err := lockCache(ctx, "beds.lock")
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := sweep(ctx, log); err != nil {
		_, _ = fmt.Fprintf(log, "testbed: sweep: %v\n", err)
	}
	dir, owner, err := makeFolder()
	if err != nil {
		return nil, err
	}
	bed := &Bed{id: strings.TrimPrefix(filepath.Base(dir), folderPrefix), dir: dir, log: log, owner: owner}
	if err := bed.furnish(opts.Detached); err != nil {
		return nil, errors.Join(err, bed.Close(ctx))
	}
	return bed, nil
}

func (b *Bed) furnish(detached bool) (err error) {
	if b.state, err = createState(b.dir, b.id, detached); err != nil {
		return err
	}
	b.ca, err = newAuthority(b.dir)
	return err
}

// start brings up engine and registries side by side.
func (b *Bed) start(ctx context.Context, opts Options) error {
	group, ctx := errgroup.WithContext(ctx)
	if opts.Engine != NoEngine {
		group.Go(func() error {
			_, err := b.StartEngine(ctx, opts.Engine)
			return err
		})
	}
	for _, kind := range opts.Registries {
		group.Go(func() error {
			_, err := b.StartRegistry(ctx, kind)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	slices.SortStableFunc(b.registries, func(x, y *Registry) int {
		return slices.Index(opts.Registries, x.kind) - slices.Index(opts.Registries, y.kind)
	})
	return nil
}

// ID is the bed's id, the value of [Label].
func (b *Bed) ID() string { return b.id }

// Prefix is what the names of the bed's containers, networks and volumes begin with.
func (b *Bed) Prefix() string { return "bed-" + b.id + "-" }

// Name is the full name of something that the bed calls short.
func (b *Bed) Name(short string) string { return b.Prefix() + short }

// Dir is the bed's folder (mode 0700); it goes with the bed.
func (b *Bed) Dir() string { return b.dir }

// CAFile is the PEM file with the authority that signed the bed's TLS
// certificates: for SSL_CERT_FILE, or a certificate pool.
func (b *Bed) CAFile() string { return b.ca.file }

// CertPool holds the same authority.
func (b *Bed) CertPool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(b.ca.cert)
	return pool
}

// Engine is the engine that the bed was brought up with. It panics if none
// was asked for, as that is a mistake in the test.
func (b *Bed) Engine() *Engine {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.engines) == 0 {
		panic("testbed: this bed has no engine: ask for one with testbed.WithEngine")
	}
	return b.engines[0]
}

// HasEngine is Engine for those who don't know.
func (b *Bed) HasEngine() (*Engine, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.engines) == 0 {
		return nil, false
	}
	return b.engines[0], true
}

// Registry is the first registry of that kind. It panics if none was asked
// for, as that is a mistake in the test.
func (b *Bed) Registry(kind Kind) *Registry {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.registries {
		if r.kind == kind {
			return r
		}
	}
	panic(fmt.Sprintf("testbed: this bed has no %s registry: ask for one with testbed.WithRegistry", kind))
}

// Registries are all registries of the bed: first those it was brought up
// with, in that order.
func (b *Bed) Registries() []*Registry {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]*Registry(nil), b.registries...)
}

// registryAt finds the bed's registry by its host.
func (b *Bed) registryAt(host string) *Registry {
	for _, r := range b.Registries() {
		if r.Host() == host {
			return r
		}
	}
	return nil
}

// subfolder makes a folder of the bed's for one part: "engine-1", "token-2".
func (b *Bed) subfolder(part string) (string, error) {
	b.mu.Lock()
	b.sequence++
	dir := filepath.Join(b.dir, fmt.Sprintf("%s-%d", part, b.sequence))
	b.mu.Unlock()
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", fmt.Errorf("make folder: %w", err)
	}
	return dir, nil
}

// addFront makes f reachable from inside the private engines as well.
func (b *Bed) addFront(ctx context.Context, f *front) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return errClosed
	}
	b.fronts = append(b.fronts, f)
	for _, e := range b.engines {
		if err := e.reach(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

// addEngine lets e reach all fronts there are.
func (b *Bed) addEngine(ctx context.Context, e *Engine) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return errClosed
	}
	b.engines = append(b.engines, e)
	for _, f := range b.fronts {
		if err := e.reach(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

var errClosed = errors.New("the testbed is closed")

// Close takes down everything that the bed made: on an existing engine its
// containers, networks, volumes and pulled images, then the processes of its
// own and its folder. A second call does nothing.
func (b *Bed) Close(ctx context.Context) error {
	b.mu.Lock()
	engines, registries := b.engines, b.registries
	done := b.closed
	b.closed = true
	b.mu.Unlock()
	if done {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, closeTimeout)
	defer cancel()

	var errs []error
	for _, e := range engines {
		errs = append(errs, e.close(ctx))
	}
	for _, r := range registries {
		errs = append(errs, r.close(ctx))
	}
	errs = append(errs, removeFolder(ctx, b.dir), b.owner())
	return errors.Join(errs...)
}

const closeTimeout = time.Minute

// EngineLogs is the end of what the private engines have logged, for a test
// that failed.
func (b *Bed) EngineLogs() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out strings.Builder
	for _, e := range b.engines {
		if e.daemon != nil {
			fmt.Fprintf(&out, "--- end of %s\n%s\n", e.daemon.logPath, tailOfFile(e.daemon.logPath))
		}
	}
	return out.String()
}
