package testbed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// What the newest engine is built of. containerd is Debian's; its runc 1.1
// knows no time namespaces, which this dockerd asks for.
const (
	mobyModule  = "github.com/moby/moby/v2"
	mobyVersion = "v2.0.0-beta.24"
	runcModule  = "github.com/opencontainers/runc"
	runcVersion = "v1.3.3"
)

// A program is one binary of the newest engine.
type program struct {
	name    string
	module  string
	version string
	pkg     string
	flags   []string
}

func newestPrograms() []program {
	moby := []string{"-tags", "exclude_graphdriver_btrfs exclude_graphdriver_zfs exclude_disk_quota no_systemd",
		"-ldflags", "-s -w -X " + mobyModule + "/dockerversion.Version=" + strings.TrimPrefix(mobyVersion, "v")}
	return []program{
		{"runc", runcModule, runcVersion, runcModule, []string{"-tags", "seccomp", "-ldflags", "-s -w -X main.version=" + strings.TrimPrefix(runcVersion, "v")}},
		{"docker-proxy", mobyModule, mobyVersion, mobyModule + "/cmd/docker-proxy", moby},
		{"dockerd", mobyModule, mobyVersion, mobyModule + "/cmd/dockerd", moby},
	}
}

// newestBinaries is the folder with the newest engine's binaries. What isn't
// there yet is built first, from the Go module proxy: 4 to 6 minutes.
func newestBinaries(ctx context.Context, log io.Writer) (dir string, err error) {
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	dir = filepath.Join(cache, "moby-"+mobyVersion+"-runc-"+runcVersion)
	if len(unbuilt(dir)) == 0 {
		return dir, nil
	}
	unlock, err := lockCache(ctx, "newest.lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	if len(unbuilt(dir)) == 0 { // somebody else may have been faster
		return dir, nil
	}
	if err := installMissing(ctx, log, buildRequirements()); err != nil {
		return "", fmt.Errorf("build the newest engine: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("build the newest engine: %w", err)
	}
	for _, p := range unbuilt(dir) {
		if err := p.build(ctx, log, dir); err != nil {
			return "", fmt.Errorf("build the newest engine's %s: %w", p.name, err)
		}
	}
	return dir, nil
}

func unbuilt(dir string) []program {
	var todo []program
	for _, p := range newestPrograms() {
		if _, err := os.Stat(filepath.Join(dir, p.name)); err != nil {
			todo = append(todo, p)
		}
	}
	return todo
}

// build builds p in a module made for it: `go install` refuses modules with
// replace directives, as runc's has. The binary appears in dir all at once.
func (p program) build(ctx context.Context, log io.Writer, dir string) error {
	if _, err := exec.LookPath("go"); err != nil {
		return errors.New("there is no go on PATH")
	}
	_, _ = fmt.Fprintf(log, "testbed: building %s %s, which takes minutes the first time\n", p.name, p.version)
	tmp, err := os.MkdirTemp(dir, p.name+"-build-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(tmp) }()
	steps := [][]string{
		{"mod", "init", "testbed.invalid/build"},
		{"get", p.module + "@" + p.version, p.pkg + "@" + p.version},
		append(append([]string{"build", "-mod=mod", "-trimpath", "-o", p.name}, p.flags...), p.pkg),
	}
	for _, args := range steps {
		if err := goCommand(ctx, log, tmp, args...); err != nil {
			return err
		}
	}
	return os.Rename(filepath.Join(tmp, p.name), filepath.Join(dir, p.name))
}

func goCommand(ctx context.Context, log io.Writer, dir string, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=", "CGO_ENABLED=1")
	cmd.WaitDelay = 10 * time.Second
	return runLogged(cmd, log)
}
