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

// A program is one binary that is built from the Go module proxy.
type program struct {
	name    string
	module  string
	version string
	pkg     string
	flags   []string
	env     []string
	// listless: `go get` asks for the module's versions, and proxies may not
	// have their list. It is required by a go.mod that is written for it.
	listless bool
}

func newestPrograms() []program {
	cgo := []string{"CGO_ENABLED=1"}
	moby := []string{"-tags", "exclude_graphdriver_btrfs exclude_graphdriver_zfs exclude_disk_quota no_systemd",
		"-ldflags", "-s -w -X " + mobyModule + "/dockerversion.Version=" + strings.TrimPrefix(mobyVersion, "v")}
	return []program{
		{"runc", runcModule, runcVersion, runcModule, []string{"-tags", "seccomp", "-ldflags", "-s -w -X main.version=" + strings.TrimPrefix(runcVersion, "v")}, cgo, false},
		{"docker-proxy", mobyModule, mobyVersion, mobyModule + "/cmd/docker-proxy", moby, cgo, false},
		{"dockerd", mobyModule, mobyVersion, mobyModule + "/cmd/dockerd", moby, cgo, false},
	}
}

// newestBinaries is the folder with the newest engine's binaries. What isn't
// there yet is built first, from the Go module proxy: 4 to 6 minutes.
func newestBinaries(ctx context.Context, log io.Writer) (dir string, err error) {
	return binaries(ctx, log, "moby-"+mobyVersion+"-runc-"+runcVersion, newestPrograms(), buildRequirements())
}

// binaries is the folder of that name in the cache, with the programs in it;
// those that aren't there yet are built first, by one process at a time.
func binaries(ctx context.Context, log io.Writer, folder string, programs []program, reqs []requirement) (dir string, err error) {
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	dir = filepath.Join(cache, folder)
	if len(unbuilt(dir, programs)) == 0 {
		return dir, nil
	}
	unlock, err := lockCache(ctx, "build.lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	todo := unbuilt(dir, programs) // somebody else may have been faster
	if len(todo) == 0 {
		return dir, nil
	}
	if err := installMissing(ctx, log, reqs); err != nil {
		return "", fmt.Errorf("build %s: %w", folder, err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("build %s: %w", folder, err)
	}
	for _, p := range todo {
		if err := p.build(ctx, log, dir); err != nil {
			return "", fmt.Errorf("build %s: %w", p.name, err)
		}
	}
	return dir, nil
}

func unbuilt(dir string, programs []program) []program {
	var todo []program
	for _, p := range programs {
		if _, err := os.Stat(filepath.Join(dir, p.name)); err != nil {
			todo = append(todo, p)
		}
	}
	return todo
}

// build builds p in a module made for it: `go install` refuses modules with
// replace or exclude directives, as runc's and Compose's have. The binary appears in dir all at once.
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
	if p.listless {
		mod := "module testbed.invalid/build\n\ngo 1.24\n\nrequire " + p.module + " " + p.version + "\n"
		if err := os.WriteFile(filepath.Join(tmp, "go.mod"), []byte(mod), 0o600); err != nil {
			return err
		}
		steps = steps[2:]
	}
	for _, args := range steps {
		if err := p.goCommand(ctx, log, tmp, args...); err != nil {
			return err
		}
	}
	return os.Rename(filepath.Join(tmp, p.name), filepath.Join(dir, p.name))
}

func (p program) goCommand(ctx context.Context, log io.Writer, dir string, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(append(os.Environ(), "GOWORK=off", "GOFLAGS="), p.env...)
	cmd.WaitDelay = 10 * time.Second
	return runLogged(cmd, log)
}
