package testbed

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/moby/moby/client"
)

const (
	daemonStartTimeout = 90 * time.Second
	daemonStopTimeout  = 30 * time.Second
	// maxSocketPath is what sockaddr_un holds, less what dockerd and
	// containerd append to the engine's folder.
	maxSocketPath = 107 - len("/exec/containerd/containerd-debug.sock.ttrpc")
)

// A daemon is a private dockerd in its sandbox. It may be stopped and started
// any number of times; sandbox, socket path and data stay.
type daemon struct {
	bed     *Bed
	dir     string
	bin     string // a folder that goes first on dockerd's PATH, or empty
	path    string // dockerd itself
	logPath string
	sandbox *sandbox

	mu      sync.Mutex
	process *process // nil while stopped
}

func (b *Bed) startDaemon(ctx context.Context, choice EngineChoice) (*daemon, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("a private engine needs root: run as root, or name a running engine by DOCKER_HOST")
	}
	d := &daemon{bed: b}
	if err := d.furnish(ctx, choice); err != nil {
		return nil, err
	}
	if err := d.open(ctx); err != nil {
		return nil, errors.Join(err, d.close(ctx))
	}
	return d, nil
}

// furnish finds the binaries and makes the folder.
func (d *daemon) furnish(ctx context.Context, choice EngineChoice) (err error) {
	if err = checkInstalled("docker.io", "iptables", "iproute2"); err != nil {
		return err
	}
	if choice == Newest {
		if d.bin, err = newestBinaries(ctx, d.bed.log); err != nil {
			return err
		}
		d.path = filepath.Join(d.bin, "dockerd")
	} else if d.path, err = lookPath("dockerd"); err != nil {
		return err
	}
	if d.dir, err = d.bed.subfolder("engine"); err != nil {
		return err
	}
	if strings.HasPrefix(d.dir, "/run/") || len(d.dir) > maxSocketPath {
		return fmt.Errorf("folder %s won't do for an engine: set TMPDIR to a short path that isn't below /run", d.dir)
	}
	d.logPath = d.file("dockerd.log")
	// Without a file of its own dockerd reads the host's /etc/docker/daemon.json.
	return os.WriteFile(d.file("daemon.json"), []byte("{}\n"), 0o600)
}

func (d *daemon) open(ctx context.Context) (err error) {
	if d.sandbox, err = newSandbox(ctx, d.dir); err != nil {
		return err
	}
	err = d.bed.state.update(func(s *state) {
		s.Processes = append(s.Processes, identify(d.sandbox.init.pid()))
		s.Cgroups = append(s.Cgroups, d.cgroup())
	})
	if err != nil {
		return err
	}
	return d.start(ctx)
}

func (d *daemon) file(name string) string { return filepath.Join(d.dir, name) }
func (d *daemon) host() string            { return "unix://" + d.file("docker.sock") }

// cgroup is the parent of the cgroups of all containers, so that they are
// found again: "wd-bed-1234-engine-1".
func (d *daemon) cgroup() string { return folderPrefix + d.bed.id + "-" + filepath.Base(d.dir) }

func (d *daemon) args() []string {
	return []string{
		"--config-file", d.file("daemon.json"),
		"--data-root", d.file("root"),
		"--exec-root", d.file("exec"),
		"--pidfile", d.file("pid"),
		"--host", d.host(),
		"--cgroup-parent", "/" + d.cgroup(),
		"--exec-opt", "native.cgroupdriver=cgroupfs",
	}
}

func (d *daemon) start(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.process != nil {
		return errors.New("start dockerd: it's running")
	}
	cmd := d.sandbox.command(d.path, d.args()...)
	// A containerd in trouble writes its stacks to the temporary folder.
	cmd.Env = append(cmd.Env, "HOME="+d.dir, "TMPDIR="+d.dir, "SSL_CERT_FILE="+d.bed.CAFile())
	if d.bin != "" {
		cmd.Env[0] = strings.Replace(cmd.Env[0], "PATH=", "PATH="+d.bin+":", 1)
	}
	p, err := startProcess(cmd, d.logPath)
	if err != nil {
		return err
	}
	d.process = p
	ctx, cancel := context.WithTimeout(ctx, daemonStartTimeout)
	defer cancel()
	return p.until(ctx, d.ping)
}

func (d *daemon) ping(ctx context.Context) error {
	c, err := connect(d.host())
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	_, err = c.Ping(ctx, client.PingOptions{})
	return err
}

func (d *daemon) stop(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.process == nil {
		return nil
	}
	if err := d.signal("TERM"); err != nil {
		return fmt.Errorf("stop dockerd: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, daemonStopTimeout)
	defer cancel()
	if err := d.process.wait(ctx); err != nil {
		return fmt.Errorf("%w, its last words:\n%s", err, tailOfFile(d.logPath))
	}
	d.process = nil
	return nil
}

// crash kills dockerd. Its containerd gets a death signal from the kernel;
// the next dockerd must not meet it dying, so that is waited for.
func (d *daemon) crash(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.process == nil {
		return nil
	}
	if err := d.signal("KILL"); err != nil {
		return fmt.Errorf("kill dockerd: %w", err)
	}
	if err := d.process.wait(ctx); err != nil {
		return err
	}
	d.process = nil
	if err := d.awaitNoContainerd(ctx); err != nil {
		return err
	}
	// Ids come back soon in a namespace of few processes: no old pid file
	// may name a new process.
	for _, file := range []string{d.file("pid"), d.containerdPID()} {
		if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("remove pid file: %w", err)
		}
	}
	return nil
}

func (d *daemon) containerdPID() string { return d.file("exec/containerd/containerd.pid") }

// signal goes through a shell inside, as the pid file has the id that
// dockerd has there.
func (d *daemon) signal(name string) error {
	return d.inShell(`kill -`+name+` "$(cat "$1")"`, d.file("pid"))
}

func (d *daemon) awaitNoContainerd(ctx context.Context) error {
	pid, err := os.ReadFile(d.containerdPID())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("find dockerd's containerd: %w", err)
	}
	if _, err := strconv.Atoi(strings.TrimSpace(string(pid))); err != nil {
		return fmt.Errorf("find dockerd's containerd: %w", err)
	}
	return eventually(ctx, 10*time.Second, func() error {
		if d.inShell(`test -e "/proc/$1"`, strings.TrimSpace(string(pid))) == nil {
			return errors.New("dockerd's containerd outlives it")
		}
		return nil
	})
}

func (d *daemon) inShell(script, arg string) error {
	out, err := d.sandbox.command("/bin/sh", "-c", script, "sh", arg).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// close ends the sandbox with everything in it; there is nothing to be
// orderly about.
func (d *daemon) close(ctx context.Context) error {
	if d.sandbox == nil {
		return nil
	}
	thawCgroups(d.cgroup())
	if err := d.sandbox.close(); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.process != nil {
		if err := d.process.wait(ctx); err != nil {
			return err
		}
	}
	return removeCgroups(ctx, d.cgroup())
}

// eventually asks condition again and again until it holds or time is over.
func eventually(ctx context.Context, timeout time.Duration, condition func() error) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := condition()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
	}
}
