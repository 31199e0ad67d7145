package testbed

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// Kind says how a registry is reached.
type Kind string

// The kinds of registries.
const (
	// Plain is HTTP, and everybody may do everything.
	Plain Kind = "plain"
	// Token is HTTP with token authentication.
	Token Kind = "token"
	// TLSToken is TLS, signed by the bed's own authority, with token
	// authentication over TLS.
	TLSToken Kind = "tls-token"
)

// A Registry is Debian's docker-registry behind a front of the testbed's.
// Requests, Count, Reset, Inject and ClearFaults are about what comes to the
// front, at [Registry.Host].
type Registry struct {
	*front
	kind    Kind
	dir     string
	tokens  *TokenServer // nil for Plain
	process *process
}

// StartRegistry starts one more registry, with its own data.
func (b *Bed) StartRegistry(ctx context.Context, kind Kind) (*Registry, error) {
	if kind != Plain && kind != Token && kind != TLSToken {
		return nil, fmt.Errorf("no such kind of registry: %q: use %s, %s or %s", kind, Plain, Token, TLSToken)
	}
	r := &Registry{kind: kind}
	err := r.open(ctx, b)
	if err == nil {
		err = b.addRegistry(ctx, r)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s registry: %w", kind, err), r.close(ctx))
	}
	return r, nil
}

func (b *Bed) addRegistry(ctx context.Context, r *Registry) error {
	err := b.state.update(func(s *state) {
		s.RegistryHosts = append(s.RegistryHosts, r.Host())
		s.Processes = append(s.Processes, identify(r.process.pid()))
	})
	if err != nil {
		return err
	}
	if err := b.addFront(ctx, r.front); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.registries = append(b.registries, r)
	return nil
}

func (r *Registry) open(ctx context.Context, b *Bed) error {
	if err := checkInstalled("docker-registry"); err != nil {
		return err
	}
	var err error
	if r.dir, err = b.subfolder("registry"); err != nil {
		return err
	}
	var cert *tls.Config
	if r.kind == TLSToken {
		if cert, err = b.ca.serverTLS(); err != nil {
			return err
		}
	}
	if r.kind != Plain {
		if r.tokens, err = b.startTokenServer(ctx, cert); err != nil {
			return err
		}
	}
	r.front = newSocketFront(r.socket(), cert)
	if err := r.listen(ctx); err != nil {
		return err
	}
	return r.startProcess(ctx, b.CAFile())
}

func (r *Registry) socket() string { return filepath.Join(r.dir, "registry.sock") }

func (r *Registry) startProcess(ctx context.Context, caFile string) error {
	path, err := lookPath("docker-registry")
	if err != nil {
		return err
	}
	config := filepath.Join(r.dir, "config.yml")
	if err := os.WriteFile(config, []byte(r.config(caFile)), 0o600); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	cmd := exec.Command(path, "serve", config)
	cmd.Env = append(cleanEnv(), "OTEL_TRACES_EXPORTER=none")
	if r.process, err = startProcess(cmd, filepath.Join(r.dir, "registry.log")); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	return r.process.until(ctx, r.ping)
}

func (r *Registry) config(caFile string) string {
	var auth string
	if r.tokens != nil {
		auth = fmt.Sprintf("auth:\n  token:\n    realm: %q\n    service: %q\n    issuer: %q\n    rootcertbundle: %q\n",
			r.tokens.Realm(), tokenService, tokenIssuer, caFile)
	}
	return fmt.Sprintf(`version: 0.1
log:
  level: warn
  accesslog:
    disabled: true
storage:
  filesystem:
    rootdirectory: %q
  delete:
    enabled: true
  maintenance:
    uploadpurging:
      enabled: false
http:
  net: unix
  addr: %q
  secret: %q
`, filepath.Join(r.dir, "data"), r.socket(), rand.Text()) + auth
}

func (r *Registry) ping(ctx context.Context) error {
	transport := socketTransport(r.socket())
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://registry/v2/", nil)
	if err != nil {
		return err
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// Kind is the registry's kind.
func (r *Registry) Kind() Kind { return r.kind }

// Host is "127.0.0.1:port", the first part of a reference to an image here.
func (r *Registry) Host() string { return r.addr }

// URL is the registry's address with its scheme, without a path.
func (r *Registry) URL() string { return r.scheme() + "://" + r.addr }

// Ref is the full reference of an image here: Ref("shop/web:1.27").
func (r *Registry) Ref(repoTag string) string { return r.addr + "/" + repoTag }

// Username is who may do everything; empty for Plain.
func (r *Registry) Username() string {
	if r.tokens == nil {
		return ""
	}
	return Username
}

// Password is the user's; empty for Plain.
func (r *Registry) Password() string {
	if r.tokens == nil {
		return ""
	}
	return r.tokens.password
}

// Tokens is the registry's token server, at an address of its own; nil for Plain.
func (r *Registry) Tokens() *TokenServer { return r.tokens }

// Push puts an image or an index, with all it refers to, at repoTag
// ("shop/web:1.27") and returns its digest. It goes round the front.
func (r *Registry) Push(ctx context.Context, repoTag string, content remote.Taggable) (digest string, err error) {
	ref, options, done, err := r.direct(ctx, repoTag)
	if err != nil {
		return "", fmt.Errorf("push %s: %w", repoTag, err)
	}
	defer done()
	if err := remote.Push(ref, content, options...); err != nil {
		return "", fmt.Errorf("push %s: %w", repoTag, err)
	}
	return digestOf(content)
}

// Delete removes a manifest: "shop/web@sha256:…" (or a tag's manifest, and
// with it all tags that name it).
func (r *Registry) Delete(ctx context.Context, repoDigest string) error {
	ref, options, done, err := r.direct(ctx, repoDigest)
	if err != nil {
		return fmt.Errorf("delete %s: %w", repoDigest, err)
	}
	defer done()
	if _, ok := ref.(name.Tag); ok {
		descriptor, err := remote.Head(ref, options...)
		if err != nil {
			return fmt.Errorf("delete %s: %w", repoDigest, err)
		}
		ref = ref.Context().Digest(descriptor.Digest.String())
	}
	if err := remote.Delete(ref, options...); err != nil {
		return fmt.Errorf("delete %s: %w", repoDigest, err)
	}
	return nil
}

// direct is how the testbed itself talks to the registry: by its socket, and
// with a token that it need not ask for.
func (r *Registry) direct(ctx context.Context, repoRef string) (name.Reference, []remote.Option, func(), error) {
	ref, err := name.ParseReference(r.Ref(repoRef), name.Insecure, name.StrictValidation)
	if err != nil {
		return nil, nil, nil, err
	}
	transport := socketTransport(r.socket())
	bearer := &bearerTransport{base: transport}
	if r.tokens != nil {
		if bearer.token, err = r.tokens.issue(Username, everything(ref), time.Hour); err != nil {
			return nil, nil, nil, err
		}
	}
	options := []remote.Option{remote.WithContext(ctx), remote.WithTransport(bearer)}
	return ref, options, transport.CloseIdleConnections, nil
}

// A bearerTransport shows a token with every request, so that nobody asks for
// one: go-containerregistry refuses realms on loopback.
type bearerTransport struct {
	base  http.RoundTripper
	token string
}

func (t *bearerTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if t.token != "" {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer "+t.token)
	}
	return t.base.RoundTrip(r)
}

func everything(ref name.Reference) []access {
	return []access{{Type: "repository", Name: ref.Context().RepositoryStr(), Actions: []string{"pull", "push", "delete"}}}
}

func digestOf(content remote.Taggable) (string, error) {
	raw, err := content.RawManifest()
	if err != nil {
		return "", fmt.Errorf("read manifest: %w", err)
	}
	digest, _, err := v1.SHA256(strings.NewReader(string(raw)))
	if err != nil {
		return "", fmt.Errorf("compute digest: %w", err)
	}
	return digest.String(), nil
}

func (r *Registry) close(ctx context.Context) error {
	var errs []error
	if r.tokens != nil {
		errs = append(errs, r.tokens.close(ctx))
	}
	if r.front != nil {
		errs = append(errs, r.front.close(ctx))
	}
	if r.process != nil {
		errs = append(errs, r.process.stop(ctx, 5*time.Second))
	}
	return errors.Join(errs...)
}
