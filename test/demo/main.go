// Demo shows the main job on a real engine and real registries: it makes a
// small world of seven containers, lets the program look at it, has its server
// update what is outdated, one of them to a release that fails, and takes
// everything down again. Without a terminal it ends by itself; with one it
// stays until Ctrl-C, so that one can look around.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/term"

	"github.com/watch-docker/watch-docker/test/testbed"
)

// closeTimeout bounds the clean-up after an interrupt.
const closeTimeout = time.Minute

func main() {
	program := flag.String("program", "bin/watch-docker", "the `FILE` to show")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *program)
	stop()
	if err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, program string) (err error) {
	program, err = filepath.Abs(program)
	if err != nil {
		return err
	}
	if err := testbed.Install(ctx, os.Stdout); err != nil {
		return err
	}
	say("Bringing up an engine and two registries with TLS and token authentication")
	bed, err := testbed.Up(ctx, testbed.Options{
		Engine: testbed.AnyEngine, Registries: []testbed.Kind{testbed.TLSToken, testbed.TLSToken}, Log: os.Stdout,
	})
	if err != nil {
		return err
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		say("Taking everything down again")
		err = errors.Join(err, bed.Close(closing))
	}()
	address, err := freeAddress(ctx)
	if err != nil {
		return err
	}
	d := demo{address: address, bed: bed, own: bed.Registries()[0], partner: bed.Registries()[1]}
	say("Making seven containers on engine %s, and new releases of their images", bed.Engine().Version())
	if err := d.populate(ctx); err != nil {
		return err
	}
	return d.show(ctx, program)
}

// demo is a small world: our own registry, whose account the program is given,
// and a partner's, whose account it isn't.
type demo struct {
	bed          *testbed.Bed
	own, partner *testbed.Registry
	address      string // where the server is to listen
}

// service is one container of the demo: what it runs at first, and what its
// tag names afterwards.
type service struct {
	name, image string
	registry    *testbed.Registry
	labels      map[string]string
	before      release
	after       release
	byDigest    bool
	broken      bool // what its tag names afterwards doesn't work
}

// release is a multi-platform index, told by what is in it.
type release struct{ amd64, arm64 string }

func (d demo) services() []service {
	one, two, otherPlatform := release{"1", "1"}, release{"2", "2"}, release{"1", "2"}
	return []service{
		{name: "blog", image: "site/blog:latest", registry: d.own, before: one, after: one},
		{name: "shop", image: "site/shop:stable", registry: d.own, before: one, after: two},
		{name: "database", image: "site/database:16", registry: d.own, before: one, after: two, byDigest: true},
		{name: "legacy", image: "site/legacy:latest", registry: d.own, before: one, after: two, labels: map[string]string{"watchdocker.skip": "true"}},
		{name: "partner", image: "partner/feed:latest", registry: d.partner, before: one, after: two},
		{name: "mail", image: "site/mail:3", registry: d.own, before: one, after: two, broken: true},
		{name: "proxy", image: "site/proxy:2", registry: d.own, before: one, after: otherPlatform},
	}
}

func (d demo) populate(ctx context.Context) error {
	for _, s := range d.services() {
		digest, err := d.push(ctx, s, s.before, nil)
		if err != nil {
			return err
		}
		ref := s.registry.Ref(s.image)
		if s.byDigest {
			repository, _, _ := strings.Cut(s.image, ":")
			ref = s.registry.Ref(repository + "@" + digest)
		}
		if err := d.bed.Pull(ctx, ref); err != nil {
			return err
		}
		spec := testbed.ContainerSpec{Name: s.name, ExactName: d.bed.Engine().Private(), Image: ref, Labels: s.labels}
		if _, err := d.bed.Run(ctx, spec); err != nil {
			return err
		}
		var command []string
		if s.broken {
			command = []string{"sh", "-c", "echo starting mail 4.0; sleep 1; echo 'fatal: /etc/mail/tls.pem is missing' >&2; exit 1"}
		}
		if _, err := d.push(ctx, s, s.after, command); err != nil {
			return err
		}
	}
	return nil
}

func (d demo) push(ctx context.Context, s service, r release, command []string) (digest string, err error) {
	amd64, err := testbed.Image(testbed.ImageOptions{Payload: s.name + r.amd64, OCI: true, Cmd: command})
	if err != nil {
		return "", err
	}
	arm64, err := testbed.Image(testbed.ImageOptions{Payload: s.name + r.arm64, OCI: true, Platform: "linux/arm64", Cmd: command})
	if err != nil {
		return "", err
	}
	index, err := testbed.Index(testbed.IndexOptions{Images: map[string]v1.Image{"linux/amd64": amd64, "linux/arm64": arm64}})
	if err != nil {
		return "", err
	}
	return s.registry.Push(ctx, s.image, index)
}

// environment gives the program the engine and the account of our registry.
func (d demo) environment() []string {
	return []string{
		"DOCKER_HOST=" + d.bed.Engine().Host(),
		"STATE_PATH=" + filepath.Join(d.bed.Dir(), "state"),
		"DOCKER_CONFIG=" + filepath.Join(d.bed.Dir(), "no-docker-config"),
		"WATCH_SERVER_ADDR=" + d.address,
		"WATCH_UPDATE_STABLE_FOR=3s",
		"USER_NAME=demo",
		"USER_PASSWORD=" + d.own.Password(),
		"WATCH_REGISTRY_AUTH_0_HOST=" + d.own.Host(),
		"WATCH_REGISTRY_AUTH_0_USERNAME=" + d.own.Username(),
		"WATCH_REGISTRY_AUTH_0_PASSWORD=" + d.own.Password(),
	}
}

// show runs the server, and beside it the commands that a user would.
func (d demo) show(ctx context.Context, program string) (err error) {
	say("watch-docker scan")
	if err := d.run(ctx, program, "scan"); err != nil {
		return err
	}
	say("watch-docker serve (its log is in the demo's folder)")
	log, err := os.Create(filepath.Join(d.bed.Dir(), "server.log"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	server := d.command(ctx, program, "serve")
	server.Stdout, server.Stderr = log, log
	server.Cancel = func() error { return server.Process.Signal(syscall.SIGTERM) }
	if err := server.Start(); err != nil {
		return err
	}
	defer func() {
		_ = server.Process.Signal(syscall.SIGTERM)
		if ended := server.Wait(); ctx.Err() == nil { // an interrupt ends the server as well
			err = errors.Join(err, ended)
		}
	}()
	if err := d.untilHealthy(ctx, program); err != nil {
		return err
	}
	say("watch-docker update -all (the server does it; the release of mail is broken)")
	// Exit code 4 says that some of several failed, which is what is shown here.
	var exit *exec.ExitError
	if err := d.run(ctx, program, "update", "-all"); !errors.As(err, &exit) || exit.ExitCode() != 4 {
		return fmt.Errorf("the update should have ended with exit code 4, since one release is broken: %w", err)
	}
	say("watch-docker scan")
	if err := d.run(ctx, program, "scan"); err != nil {
		return err
	}
	say("Where to look further: README.md; every update is recorded, and GET /api/operations lists them")
	return d.stay(ctx, program)
}

func (d demo) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), d.environment()...)
	cmd.Dir = d.bed.Dir() // no configuration file of somebody else's
	return cmd
}

func (d demo) run(ctx context.Context, program string, args ...string) error {
	cmd := d.command(ctx, program, args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %s: %w", program, strings.Join(args, " "), err)
	}
	return nil
}

func (d demo) untilHealthy(ctx context.Context, program string) error {
	deadline := time.Now().Add(15 * time.Second)
	for {
		err := d.command(ctx, program, "healthcheck").Run()
		if err == nil || time.Now().After(deadline) || ctx.Err() != nil {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// stay leaves the world up while somebody watches.
func (d demo) stay(ctx context.Context, program string) error {
	if !term.IsTerminal(int(os.Stdin.Fd())) || !term.IsTerminal(int(os.Stdout.Fd())) {
		return nil
	}
	say("It all stays until Ctrl-C. To look around, in another terminal:")
	for _, e := range d.environment() {
		fmt.Printf("export %s\n", e)
	}
	fmt.Printf("%s scan -json\ndocker ps\n", program)
	<-ctx.Done()
	fmt.Println()
	return nil
}

// freeAddress finds a port that nothing listens on.
func freeAddress(ctx context.Context) (string, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func say(format string, args ...any) { fmt.Printf("\n==> "+format+"\n", args...) }
