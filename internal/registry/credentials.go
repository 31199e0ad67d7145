package registry

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/docker/cli/cli/config"
	"github.com/docker/cli/cli/config/configfile"
	"github.com/docker/cli/cli/config/credentials"
	helperclient "github.com/docker/docker-credential-helpers/client"
	helpercredentials "github.com/docker/docker-credential-helpers/credentials"
)

// Credential is how one user signs in to one registry. The zero value is
// nobody.
type Credential struct {
	Username string
	Password string
	// IdentityToken is an OAuth2 refresh token that stands for user and password.
	IdentityToken string
	// Source says for people where it comes from: "registry.auth in the configuration".
	Source string
}

// CredentialSource knows credentials by a registry's host: "docker.io",
// "127.0.0.1:5000". The zero Credential means that there are none.
type CredentialSource interface {
	Credential(ctx context.Context, host string) (Credential, error)
}

// HostCredential is an entry of the configuration's own list. Docker Hub may
// be called by any of its names.
type HostCredential struct {
	Host, Username, Password string
}

// Configured is the credentials of the configuration.
func Configured(list []HostCredential) CredentialSource {
	byHost := configured{}
	for _, c := range list {
		byHost[canonicalHost(c.Host)] = Credential{Username: c.Username, Password: c.Password, Source: "registry.auth in the configuration"}
	}
	return byHost
}

type configured map[string]Credential

func (c configured) Credential(_ context.Context, host string) (Credential, error) {
	return c[canonicalHost(host)], nil
}

// FirstOf asks its sources in order, until one has a credential or fails.
type FirstOf []CredentialSource

// Credential implements CredentialSource.
func (f FirstOf) Credential(ctx context.Context, host string) (Credential, error) {
	for _, source := range f {
		if c, err := source.Credential(ctx, host); err != nil || c != (Credential{}) {
			return c, err
		}
	}
	return Credential{}, nil
}

// DockerConfig is the credentials of Docker's config.json and of the helpers
// that it names. The file is read anew each time: docker login may change it.
type DockerConfig struct {
	// Dir is where config.json is; empty is $DOCKER_CONFIG or ~/.docker.
	Dir string
	// Timeout of a credential helper; default 10 s.
	Timeout time.Duration
}

// Credential implements CredentialSource. Without a file there are none; a
// broken file or a failing helper is an error.
func (d DockerConfig) Credential(ctx context.Context, host string) (Credential, error) {
	dir := cmp.Or(d.Dir, config.Dir())
	source := filepath.Join(dir, config.ConfigFileName)
	file, err := config.Load(dir)
	if err != nil {
		return Credential{}, fmt.Errorf("%w; mend the file, or sign in again with docker login", err)
	}
	keys := configKeys(canonicalHost(host))
	if helper, key := helperFor(file, keys); helper != "" {
		return d.askHelper(ctx, helper, key, source)
	}
	stored := credentials.NewFileStore(file)
	for _, key := range keys {
		auth, err := stored.Get(key)
		if err != nil {
			return Credential{}, fmt.Errorf("read %s: %w", source, err)
		}
		if auth.Username != "" || auth.IdentityToken != "" {
			return Credential{Username: auth.Username, Password: auth.Password, IdentityToken: auth.IdentityToken, Source: source}, nil
		}
	}
	return Credential{}, nil
}

// configKeys are the names that config.json may have a host under. docker
// login writes Docker Hub's as the address of its first index.
func configKeys(host string) []string {
	if host == dockerHub {
		return []string{"https://index.docker.io/v1/", "docker.io", "index.docker.io", "registry-1.docker.io"}
	}
	return []string{host}
}

func helperFor(file *configfile.ConfigFile, keys []string) (helper, key string) {
	for _, key := range keys {
		if helper := file.CredentialHelpers[key]; helper != "" {
			return helper, key
		}
	}
	return file.CredentialsStore, keys[0]
}

// askHelper runs a credential helper. Docker's own store does the same, but
// without a limit in time, and with the helper's stderr on ours.
func (d DockerConfig) askHelper(ctx context.Context, helper, key, source string) (Credential, error) {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(d.Timeout, 10*time.Second))
	defer cancel()
	name := "docker-credential-" + helper
	got, err := helperclient.Get(func(args ...string) helperclient.Program {
		cmd := exec.CommandContext(ctx, name, args...)
		cmd.WaitDelay = time.Second // for what it started and left holding its pipes
		return &helperProgram{cmd}
	}, key)
	switch {
	case helpercredentials.IsErrCredentialsNotFound(err):
		return Credential{}, nil
	case ctx.Err() != nil:
		return Credential{}, fmt.Errorf("credential helper %s, named in %s, does not come to an end", name, source)
	case err != nil:
		return Credential{}, fmt.Errorf("credential helper %s, named in %s: %w", name, source, err)
	}
	c := Credential{Username: got.Username, Password: got.Secret, Source: name}
	if got.Username == "<token>" { // the helpers' protocol for an identity token
		c = Credential{IdentityToken: got.Secret, Source: name}
	}
	return c, nil
}

type helperProgram struct{ cmd *exec.Cmd }

func (p *helperProgram) Output() ([]byte, error) { return p.cmd.Output() }
func (p *helperProgram) Input(in io.Reader)      { p.cmd.Stdin = in }

// credential looks the host's credential up, no more often than once in the
// cache's TTL: a helper may ask a key ring, or the person in front of it.
func (h *host) credential(ctx context.Context) (Credential, error) {
	source := h.client.opts.Credentials
	if source == nil {
		return Credential{}, nil
	}
	c, err := h.credentials.get(ctx, "", func(ctx context.Context) (Credential, error) {
		c, err := source.Credential(ctx, h.name)
		if ctx.Err() != nil {
			return c, ctx.Err()
		}
		if err != nil {
			e := errorf(CodeCredentials, h.name, "The credentials for %s can't be had: %s.", h.name, reason(err))
			e.Err, e.hostwide = err, true
			return c, e
		}
		return c, nil
	})
	if err != nil {
		return Credential{}, err
	}
	h.identify(c)
	return c, nil
}

// identify notes who signs in. What was given to or kept from somebody else
// doesn't hold any more.
func (h *host) identify(c Credential) {
	h.mu.Lock()
	defer h.mu.Unlock()
	changed := h.identified && h.identity != c
	h.identity, h.identified = c, true
	if changed {
		h.dropTokens(func(*token) bool { return true })
		clear(h.alone)
		h.client.forgetAnswers()
	}
}

// lastCredential is the one that was looked up last.
func (h *host) lastCredential() Credential {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.identity
}
