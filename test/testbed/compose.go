package testbed

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Debian 12 has no `docker compose`; its docker-compose is version 1.
const (
	composeModule  = "github.com/docker/compose/v5"
	composeVersion = "v5.5.1"
	composeName    = "docker-compose"
)

// composePlugin is the file of Docker Compose, a plugin of the docker command
// line. If it isn't there it is built first, from the Go module proxy: 1 to 2
// minutes.
func composePlugin(ctx context.Context, log io.Writer) (string, error) {
	flags := []string{"-ldflags", "-s -w -X " + composeModule + "/internal.Version=" + composeVersion}
	dir, err := binaries(ctx, log, "compose-"+composeVersion, []program{
		{composeName, composeModule, composeVersion, composeModule + "/cmd", flags, []string{"CGO_ENABLED=0"}, false},
	}, nil)
	return filepath.Join(dir, composeName), err
}

// ComposeBinary is the file of Docker Compose, static, which is a command of its
// own as well: the one that the image has. If it isn't there it is built first.
func ComposeBinary(ctx context.Context, log io.Writer) (path string, err error) {
	return composePlugin(ctx, log)
}

// Compose runs `docker compose ARGS…` on the engine, in a folder and with
// nothing of the caller's environment but env. It knows the accounts of the
// bed's registries. The error of a command that fails ends with what it said.
func (e *Engine) Compose(ctx context.Context, dir string, env []string, args ...string) (stdout, stderr string, err error) {
	docker, err := lookPath("docker")
	if err != nil {
		return "", "", err
	}
	own, err := e.ComposeEnv(ctx)
	if err != nil {
		return "", "", err
	}
	cmd := exec.CommandContext(ctx, docker, append([]string{"compose"}, args...)...)
	cmd.Dir = dir
	cmd.Env = append(own, env...)
	cmd.WaitDelay = 10 * time.Second
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err = cmd.Run(); err != nil {
		err = fmt.Errorf("docker compose %s: %w\n%s", strings.Join(args, " "), err, said.String())
	}
	return out.String(), said.String(), err
}

// ComposeEnv is the environment in which `docker compose` is there and speaks
// to the engine.
func (e *Engine) ComposeEnv(ctx context.Context) ([]string, error) {
	config, err := e.bed.composeConfig(ctx)
	if err != nil {
		return nil, err
	}
	env := append(cleanEnv(), "DOCKER_HOST="+e.host, "DOCKER_CONFIG="+config, "HOME="+config)
	if e.daemon == nil {
		for _, name := range []string{"DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"} {
			if value, ok := os.LookupEnv(name); ok {
				env = append(env, name+"="+value)
			}
		}
	}
	return env, nil
}

// composeConfig is a folder for DOCKER_CONFIG with the plugin and the accounts
// of the registries that there are by now.
func (b *Bed) composeConfig(ctx context.Context) (string, error) {
	plugin, err := composePlugin(ctx, b.log)
	if err != nil {
		return "", err
	}
	type account struct {
		Auth string `json:"auth"`
	}
	accounts := map[string]account{}
	for _, r := range b.Registries() {
		if r.tokens != nil {
			accounts[r.Host()] = account{base64.StdEncoding.EncodeToString([]byte(r.Username() + ":" + r.Password()))}
		}
	}
	content, err := json.Marshal(map[string]any{"auths": accounts})
	if err != nil {
		return "", fmt.Errorf("write Docker's configuration: %w", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	dir := filepath.Join(b.dir, "docker-config")
	file := filepath.Join(dir, "config.json")
	if have, err := os.ReadFile(file); err == nil && bytes.Equal(have, content) {
		return dir, nil
	}
	if err := os.MkdirAll(filepath.Join(dir, "cli-plugins"), 0o700); err != nil {
		return "", fmt.Errorf("write Docker's configuration: %w", err)
	}
	if err := os.Symlink(plugin, filepath.Join(dir, "cli-plugins", composeName)); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("write Docker's configuration: %w", err)
	}
	if err := os.WriteFile(file+".new", content, 0o600); err != nil {
		return "", fmt.Errorf("write Docker's configuration: %w", err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		return "", fmt.Errorf("write Docker's configuration: %w", err)
	}
	return dir, nil
}
