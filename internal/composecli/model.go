// Package composecli runs the `docker compose` command line.
package composecli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Labels of a project's containers that tell where its files are.
const (
	labelProject = "com.docker.compose.project"
	labelDir     = "com.docker.compose.project.working_dir"
	labelFiles   = "com.docker.compose.project.config_files"
	labelEnv     = "com.docker.compose.project.environment_file"
)

// modelTimeout bounds a command that only reads files.
const modelTimeout = 30 * time.Second

// Errors of CLI, for errors.Is.
var (
	// ErrNoCompose: there is no `docker compose` here.
	ErrNoCompose = errors.New("there is no docker compose here")
	// ErrNoFiles: the project's files aren't here, or aren't named.
	ErrNoFiles = errors.New("the project's files are not here")
)

// CLI is the command line. Several may use it at once.
type CLI struct {
	docker string
	env    []string
}

// New finds the command in a program's environment, of which the command gets
// no more than PATH, HOME and DOCKER_CONFIG: what else is there must not find
// its way into somebody's Compose file.
//
// Errors: ErrNoCompose.
func New(environ []string) (*CLI, error) {
	c := &CLI{}
	var path string
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if slices.Contains([]string{"PATH", "HOME", "DOCKER_CONFIG"}, name) {
			c.env = append(c.env, entry)
		}
		if name == "PATH" {
			path = value
		}
	}
	c.env = append(c.env, "COMPOSE_EXPERIMENTAL_GIT_REMOTE=false", "COMPOSE_EXPERIMENTAL_OCI_REMOTE=false")
	for _, dir := range filepath.SplitList(path) {
		if docker, err := exec.LookPath(filepath.Join(dir, "docker")); err == nil && filepath.IsAbs(docker) {
			c.docker = docker
			return c, nil
		}
	}
	return nil, fmt.Errorf("%w: no docker on PATH", ErrNoCompose)
}

// Model is what Compose makes of a project's files as they are now, as JSON.
// The labels are those of one of its containers (dockercli.Blueprint tells them).
//
// Errors: ErrNoCompose, ErrNoFiles.
func (c *CLI) Model(ctx context.Context, labels map[string]string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, modelTimeout)
	defer cancel()
	args, err := projectArgs(labels)
	if err != nil {
		return nil, err
	}
	out, err := c.run(ctx, append(args, "--profile", "*", "config", "--format", "json")...)
	if err != nil {
		return nil, fmt.Errorf("read Compose project %s: %w", labels[labelProject], err)
	}
	return out, nil
}

// projectArgs name a project as it was when the container was made.
func projectArgs(labels map[string]string) ([]string, error) {
	args := []string{"compose", "--project-name", labels[labelProject], "--project-directory", labels[labelDir]}
	files := []string{labels[labelDir]}
	for _, kind := range []struct{ label, flag string }{{labelFiles, "--file"}, {labelEnv, "--env-file"}} {
		if labels[kind.label] == "" {
			continue
		}
		for file := range strings.SplitSeq(labels[kind.label], ",") {
			files, args = append(files, file), append(args, kind.flag, file)
		}
	}
	if labels[labelProject] == "" || labels[labelFiles] == "" {
		return nil, fmt.Errorf("%w: the labels don't name them", ErrNoFiles)
	}
	for _, file := range files {
		if !filepath.IsAbs(file) {
			return nil, fmt.Errorf("%w: %q is no absolute path", ErrNoFiles, file)
		}
		if _, err := os.Stat(file); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrNoFiles, err)
		}
	}
	return args, nil
}

// run gives what the command prints on standard output.
func (c *CLI) run(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, c.docker, args...)
	cmd.Env, cmd.WaitDelay = c.env, time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	said := strings.TrimSpace(stderr.String())
	switch {
	case err == nil:
		return stdout.Bytes(), nil
	case strings.Contains(said, "is not a docker command"), strings.Contains(said, "unknown command"), strings.Contains(said, "unknown flag: --project-name"):
		return nil, fmt.Errorf("%w: docker has no plugin compose", ErrNoCompose)
	}
	return nil, fmt.Errorf("%w: %s", err, said)
}
