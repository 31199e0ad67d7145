package testbed

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// A requirement is one Debian package and how to see that it's there.
type requirement struct {
	pkg     string
	present func() bool
}

func baseRequirements() []requirement {
	return []requirement{
		{"docker.io", onPath("dockerd", "docker", "containerd", "runc")},
		{"iptables", onPath("iptables")},
		{"iproute2", onPath("ip")},
		{"busybox-static", staticBusybox},
		{"docker-registry", onPath("docker-registry")},
		{"btrfs-progs", onPath("mkfs.btrfs")}, // storage options need a file system with quotas
		{"ca-certificates", exists("/etc/ssl/certs/ca-certificates.crt")},
	}
}

func buildRequirements() []requirement {
	return []requirement{
		{"gcc", onPath("gcc")},
		{"libc6-dev", exists("/usr/include/stdio.h")},
		{"pkg-config", onPath("pkg-config")},
		{"libseccomp-dev", exists("/usr/include/seccomp.h")},
	}
}

func browserRequirements() []requirement {
	return []requirement{
		{"chromium", onPath("chromium")},
		{"fonts-noto-cjk", exists("/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc")}, // Chinese shows as boxes without
	}
}

// Install brings what the testbed runs on (Debian's Docker engine, registry,
// busybox) onto this machine with apt-get. What is there already is left
// alone; if nothing is missing it neither needs root nor touches apt. No
// service is started by the installation. Two calls at once, in whatever
// processes, are safe.
func Install(ctx context.Context, log io.Writer) error {
	return installMissing(ctx, log, baseRequirements())
}

// InstallNewest is Install, and builds the newest Moby engine with its runc
// into the user's cache folder (4 to 6 minutes the first time).
func InstallNewest(ctx context.Context, log io.Writer) error {
	if err := Install(ctx, log); err != nil {
		return err
	}
	_, err := newestBinaries(ctx, log)
	return err
}

// InstallCompose is Install, and builds Docker Compose into the user's cache
// folder (1 to 2 minutes the first time).
func InstallCompose(ctx context.Context, log io.Writer) error {
	if err := Install(ctx, log); err != nil {
		return err
	}
	_, err := composePlugin(ctx, log)
	return err
}

// InstallBrowser brings Chromium, for test/browser.
func InstallBrowser(ctx context.Context, log io.Writer) error {
	return installMissing(ctx, log, browserRequirements())
}

// Browser is where Chromium is.
func Browser() (string, error) {
	if gone := missing(browserRequirements()); len(gone) > 0 {
		return "", forgotten(gone)
	}
	return lookPath("chromium")
}

func installMissing(ctx context.Context, log io.Writer, reqs []requirement) error {
	if len(missing(reqs)) == 0 {
		return nil
	}
	unlock, err := lockCache(ctx, "install.lock")
	if err != nil {
		return err
	}
	defer unlock()
	pkgs := missing(reqs) // somebody else may have been faster
	if len(pkgs) == 0 {
		return nil
	}
	if err := checkApt(pkgs); err != nil {
		return err
	}
	allow, err := forbidServices(policyPath)
	if err != nil {
		return err
	}
	defer allow()
	if err := aptInstall(ctx, log, pkgs); err != nil {
		return err
	}
	if still := missing(reqs); len(still) > 0 {
		return fmt.Errorf("install %s: apt-get ended well, but what they should bring isn't there", strings.Join(still, " "))
	}
	return nil
}

func missing(reqs []requirement) []string {
	var pkgs []string
	for _, r := range reqs {
		if !r.present() {
			pkgs = append(pkgs, r.pkg)
		}
	}
	return pkgs
}

// checkInstalled is what bringing up a part says when somebody forgot Install.
func checkInstalled(pkgs ...string) error {
	var wanted []requirement
	for _, r := range baseRequirements() {
		if slices.Contains(pkgs, r.pkg) {
			wanted = append(wanted, r)
		}
	}
	if gone := missing(wanted); len(gone) > 0 {
		return forgotten(gone)
	}
	return nil
}

func forgotten(pkgs []string) error {
	return fmt.Errorf("missing Debian package %s: run `go run ./test/testbed/cmd/testbed install` as root", strings.Join(pkgs, ", "))
}

func checkApt(pkgs []string) error {
	list := strings.Join(pkgs, " ")
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("install %s: there is no apt-get on this machine: install them by its own means (the testbed is made for Debian 12)", list)
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("install %s: not root: run it as root, or `sudo apt-get install --no-install-recommends %s`", list, list)
	}
	return nil
}

func aptInstall(ctx context.Context, log io.Writer, pkgs []string) error {
	if err := apt(ctx, log, "update"); err != nil {
		return err
	}
	args := append([]string{"install", "--yes", "--no-install-recommends"}, pkgs...)
	return apt(ctx, log, args...)
}

func apt(ctx context.Context, log io.Writer, args ...string) error {
	args = append([]string{"-q", "-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=3"}, args...)
	cmd := exec.CommandContext(ctx, "apt-get", args...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	// A killed dpkg leaves packages half-configured; let it come to an end.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = time.Minute
	return runLogged(cmd, log)
}

// runLogged runs cmd with its output going to log; the last lines of it are
// in the error, for those who log to nowhere.
func runLogged(cmd *exec.Cmd, log io.Writer) error {
	var tail tailBuffer
	out := io.MultiWriter(log, &tail)
	cmd.Stdout, cmd.Stderr = out, out
	_, _ = fmt.Fprintf(log, "testbed: %s\n", strings.Join(cmd.Args, " "))
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, tail.String())
	}
	return nil
}

// tailBuffer keeps the last 4 KiB written to it.
type tailBuffer struct{ buf []byte }

func (b *tailBuffer) Write(p []byte) (int, error) {
	b.buf = append(b.buf, p...)
	if over := len(b.buf) - 4096; over > 0 {
		b.buf = b.buf[over:]
	}
	return len(p), nil
}

func (b *tailBuffer) String() string { return string(b.buf) }

const policyPath = "/usr/sbin/policy-rc.d"

const policyText = "#!/bin/sh\n# Made by Watch Docker's testbed while it installs packages.\nexit 101\n"

// forbidServices keeps apt from starting the services it installs, for as
// long as the returned function isn't called. A policy that somebody made
// before is left as it is; one that a crashed run of ours left is taken over.
func forbidServices(path string) (allow func(), err error) {
	old, err := os.ReadFile(path)
	if err == nil && string(old) != policyText {
		return func() {}, nil
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("keep apt from starting services: %w", err)
	}
	if err := os.WriteFile(path, []byte(policyText), 0o755); err != nil {
		return nil, fmt.Errorf("keep apt from starting services: %w", err)
	}
	return func() { _ = os.Remove(path) }, nil
}

// lookPath finds a program also where root's PATH should lead, but that of a
// plain shell on Debian doesn't.
func lookPath(name string) (string, error) {
	if p, err := exec.LookPath(name); err == nil {
		return p, nil
	}
	for _, dir := range systemDirs() {
		if p, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return p, nil
		}
	}
	return "", fmt.Errorf("%s isn't on PATH", name)
}

func systemDirs() []string {
	return []string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"}
}

func onPath(names ...string) func() bool {
	return func() bool {
		return !slices.ContainsFunc(names, func(name string) bool {
			_, err := lookPath(name)
			return err != nil
		})
	}
}

func exists(path string) func() bool {
	return func() bool {
		_, err := os.Stat(path)
		return err == nil
	}
}

const busyboxPath = "/bin/busybox"

// staticBusybox says whether busybox runs without a C library, as it must in
// an image that holds nothing else.
func staticBusybox() bool {
	f, err := elf.Open(busyboxPath)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }()
	return !slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP })
}

// cacheDir is where built engines and the locks between testbeds live.
func cacheDir() (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the user's cache folder: %w", err)
	}
	dir := filepath.Join(base, "watch-docker-testbed")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("make the testbed's cache folder: %w", err)
	}
	return dir, nil
}

// lockCache takes a lock that all testbeds of this user share.
func lockCache(ctx context.Context, name string) (unlock func(), err error) {
	dir, err := cacheDir()
	if err != nil {
		return nil, err
	}
	lock := flock.New(filepath.Join(dir, name))
	if _, err := lock.TryLockContext(ctx, 50*time.Millisecond); err != nil {
		return nil, fmt.Errorf("wait for %s: %w", lock.Path(), err)
	}
	return func() { _ = lock.Unlock() }, nil
}
