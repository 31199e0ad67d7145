// Package composecli acts through the `docker compose` command line.
//
// CLI.Do runs one action on a project and tells its progress, CLI.Preview says
// what an `up` would do, CLI.Model and CLI.Hashes what the files come to. The
// command is Docker's plugin, or a docker-compose of its own; which one is found
// out at first use, and CLI.Version says it.
//
// A command runs without a shell, in a process group that doesn't outlive its
// context, with an environment of its own (composeenv) and a DOCKER_CONFIG folder made
// for it (folder.go): what else our own environment holds must not find its way
// into somebody's Compose file, and no password into a command line.
package composecli

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Errors of CLI, for errors.Is.
var (
	// ErrNoCompose: there is no `docker compose` here.
	ErrNoCompose = errors.New("there is no docker compose here")
	// ErrNoFiles: the project's files aren't here, or aren't named.
	ErrNoFiles = errors.New("the project's files are not here")
	// ErrInvalid: a project or an action that can't be passed on as it is.
	ErrInvalid = errors.New("invalid for docker compose")
	// ErrCancelled: the command was ended because its context was. What it had
	// done by then stays.
	ErrCancelled = errors.New("cancelled")
	// ErrTimeout: the command was ended because its time was over. What it had
	// done by then stays.
	ErrTimeout = errors.New("not done in time")
)

// TooOldError is a Compose that can't do what is needed.
type TooOldError struct{ Have, Need string }

func (e *TooOldError) Error() string {
	return fmt.Sprintf("docker compose %s is too old: update it to %s or newer", e.Have, e.Need)
}

// FailedError is a command that failed by itself.
type FailedError struct {
	ExitCode int
	Message  string   // what Compose says is wrong; may have several lines
	Output   []string // its last lines
}

func (e *FailedError) Error() string {
	if e.Message == "" {
		return fmt.Sprintf("docker compose exits with code %d", e.ExitCode)
	}
	return e.Message
}

// Account is a user of a registry, by its host: "docker.io", "127.0.0.1:5000".
type Account struct{ Host, Username, Password string }

// stopGrace is how long a command may take to end after SIGINT.
const stopGrace = 10 * time.Second

// CLI is the command line. Several may use it at once; that actions on one
// project don't meet is for the caller to see to.
type CLI struct {
	docker     string            // path of docker, or empty
	standalone string            // path of docker-compose, or empty
	environ    map[string]string // our own
	userConfig string            // where the user's config.json is
	engine     []string
	accounts   func() []Account
	folder     string
	grace      time.Duration

	mu    sync.Mutex
	found *tool
}

// Option changes how commands are run.
type Option func(*CLI, map[string]string)

// WithHost names the engine that commands speak to: "unix:///run/docker.sock".
// TLS for tcp is as DOCKER_CERT_PATH and DOCKER_TLS_VERIFY in the environment
// say. Without, it is Docker's default.
func WithHost(host string) Option {
	return func(c *CLI, environ map[string]string) { c.engine = engineFlags(host, environ) }
}

// WithAccounts adds accounts to those of the user's config.json, or in their
// place. They are asked for before each command.
func WithAccounts(accounts func() []Account) Option {
	return func(c *CLI, _ map[string]string) { c.accounts = accounts }
}

// WithFolder says where the folders of running commands are made; the default
// is the system's for temporary files.
func WithFolder(dir string) Option {
	return func(c *CLI, _ map[string]string) { c.folder = dir }
}

// WithGrace is the time between SIGINT and SIGKILL; the default is 10 s.
func WithGrace(d time.Duration) Option {
	return func(c *CLI, _ map[string]string) { c.grace = d }
}

// New finds the command by a program's environment, of which the command gets
// no more than composeenv.Of.
//
// Errors: ErrNoCompose.
func New(environ []string, options ...Option) (*CLI, error) {
	vars := map[string]string{}
	c := &CLI{environ: vars, accounts: func() []Account { return nil }, grace: stopGrace}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		vars[name] = value
	}
	c.userConfig = userConfig(vars)
	for _, option := range options {
		option(c, vars)
	}
	c.docker, c.standalone = lookUp("docker", vars["PATH"]), lookUp("docker-compose", vars["PATH"])
	if c.docker == "" && c.standalone == "" {
		return nil, fmt.Errorf("%w: no docker and no docker-compose on PATH", ErrNoCompose)
	}
	return c, nil
}

// lookUp finds a program in a search path's absolute folders.
func lookUp(name, path string) string {
	for _, dir := range filepath.SplitList(path) {
		if file, err := exec.LookPath(filepath.Join(dir, name)); err == nil && filepath.IsAbs(file) {
			return file
		}
	}
	return ""
}

// engineFlags are docker's, before its command. Flags leave no trace in what a
// Compose file is interpolated from, as DOCKER_HOST would.
func engineFlags(host string, environ map[string]string) []string {
	if host == "" {
		return nil
	}
	flags := []string{"--host", host}
	certs := environ["DOCKER_CERT_PATH"]
	if certs == "" || !strings.HasPrefix(host, "tcp://") {
		return flags
	}
	verify := "--tls" // as the engine's own client has it: certificates without DOCKER_TLS_VERIFY
	if environ["DOCKER_TLS_VERIFY"] != "" {
		verify = "--tlsverify"
	}
	return append(flags, verify,
		"--tlscacert", filepath.Join(certs, "ca.pem"), "--tlscert", filepath.Join(certs, "cert.pem"), "--tlskey", filepath.Join(certs, "key.pem"))
}

// Do runs an action and returns when it is over. Progress goes to on and all
// else that the command says to line, one call at a time; both may be nil, and
// hold the command up while they run.
//
// When the context ends, or the action's time, the command gets SIGINT, and
// SIGKILL ten seconds later: what it has done by then stays, and the same action
// again does the rest.
//
// Errors: ErrNoCompose, ErrNoFiles, ErrInvalid, ErrCancelled, ErrTimeout,
// *TooOldError, *FailedError.
func (c *CLI) Do(ctx context.Context, p Project, a Action, on func(Event), line func(string)) error {
	args, err := a.args(p)
	if err != nil {
		return err
	}
	t, err := c.modern(ctx)
	if err != nil {
		return err
	}
	return c.run(ctx, t, command{
		dir: a.dir(p), args: slices.Concat(output(), p.flags(a.byLabels(p)), args), limit: a.limit(), what: fmt.Sprintf("docker compose %s of %s", a.Kind, p.Name),
	}, &report{on: on, line: line})
}

// output are compose's flags for what it says to be understood.
func output() []string { return []string{"--ansi", "never", "--progress", "json"} }
