package registry_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	ggcr "github.com/google/go-containerregistry/pkg/registry"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"go.uber.org/goleak"

	"github.com/watch-docker/watch-docker/internal/image"
	"github.com/watch-docker/watch-docker/internal/registry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// network is a small internet: names that lead to servers of the test, with
// certificates that are good for them.
type network struct {
	t    testing.TB
	cert tls.Certificate
	cas  *x509.CertPool

	mu    sync.Mutex
	hosts map[string]string // "reg.example.com:443" -> "127.0.0.1:12345"
	dials map[string]int
}

func newNetwork(t testing.TB) *network {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"*.example.com", "registry-1.docker.io", "auth.docker.io"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(t, err)
	parsed, err := x509.ParseCertificate(der)
	must(t, err)
	n := &network{t: t, cert: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, cas: x509.NewCertPool()}
	n.cas.AddCert(parsed)
	n.hosts, n.dials = map[string]string{}, map[string]int{}
	return n
}

func (n *network) dial(ctx context.Context, proto, addr string) (net.Conn, error) {
	n.mu.Lock()
	n.dials[addr]++
	if to, ok := n.hosts[addr]; ok {
		addr = to
	}
	n.mu.Unlock()
	return (&net.Dialer{}).DialContext(ctx, proto, addr)
}

// serve starts a server under a name: with TLS at "name:443".
func (n *network) serve(name string, h http.Handler) *httptest.Server {
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{n.cert}}
	s.EnableHTTP2 = true
	s.StartTLS()
	n.t.Cleanup(s.Close)
	n.point(name, s.Listener.Addr().String())
	return s
}

func (n *network) point(name, addr string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !strings.Contains(name, ":") {
		name += ":443"
	}
	n.hosts[name] = addr
}

func (n *network) dialled(addr string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.dials[addr]
}

// client is a client in this network.
func (n *network) client(opts registry.Options) *registry.Client {
	opts.RootCAs, opts.DialContext = n.cas, n.dial
	if opts.Concurrency == 0 {
		opts.Concurrency = 16
	}
	c := registry.New(opts)
	n.t.Cleanup(c.Close)
	return c
}

// site is a registry: the in-process one of go-containerregistry, behind
// whatever authorization and faults a test puts before it.
type site struct {
	t       testing.TB
	host    string
	backend http.Handler

	mu       sync.Mutex
	requests []string // "HEAD /v2/a/manifests/latest"
	headers  []http.Header
	// before sees a request first, and reports whether it has answered.
	before func(w http.ResponseWriter, r *http.Request) bool
}

func newSite(t testing.TB, host string) *site {
	return &site{t: t, host: host, backend: ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0)))}
}

// site starts a registry in the network.
func (n *network) site(host string) *site {
	s := newSite(n.t, host)
	n.serve(host, s)
	return s
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.requests = append(s.requests, r.Method+" "+r.URL.Path)
	s.headers = append(s.headers, r.Header.Clone())
	before := s.before
	s.mu.Unlock()
	if before == nil || !before(w, r) {
		s.backend.ServeHTTP(w, r)
	}
}

func (s *site) handle(before func(w http.ResponseWriter, r *http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = before
}

// asked returns the requests so far and starts a new list.
func (s *site) asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := s.requests
	s.requests, s.headers = nil, nil
	return asked
}

func (s *site) wantRequests(n int) {
	s.t.Helper()
	if asked := s.asked(); len(asked) != n {
		s.t.Errorf("%s got %d requests, want %d: %.500s", s.host, len(asked), n, fmt.Sprint(asked))
	}
}

func (s *site) ref(repositoryAndTag string) image.Reference {
	s.t.Helper()
	ref, err := image.ParseReference(s.host + "/" + repositoryAndTag)
	must(s.t, err)
	return ref
}

// put stores a manifest and returns its digest.
func (s *site) put(repository, tag, mediaType string, body []byte) string {
	s.t.Helper()
	r := httptest.NewRequest(http.MethodPut, "/v2/"+repository+"/manifests/"+tag, bytes.NewReader(body))
	r.Header.Set("Content-Type", mediaType)
	w := httptest.NewRecorder()
	s.backend.ServeHTTP(w, r)
	if w.Code != http.StatusCreated {
		s.t.Fatalf("put %s:%s: %d %s", repository, tag, w.Code, w.Body)
	}
	return digest.FromBytes(body).String()
}

// image stores an image of its own making, without its configuration, and
// returns the manifest's and the configuration's digest.
func (s *site) image(repository, tag string) (manifest, config string) {
	s.t.Helper()
	config = digest.FromString("config of " + repository + ":" + tag).String()
	return s.imageWith(repository, tag, config), config
}

// imageFor stores an image of the repository "app" whose configuration, stored
// as well, has this content.
func (s *site) imageFor(tag, content string) (manifest, config string) {
	s.t.Helper()
	config = digest.FromString(content).String()
	w := httptest.NewRecorder()
	s.backend.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v2/app/blobs/uploads/?digest="+config, strings.NewReader(content)))
	if w.Code != http.StatusCreated {
		s.t.Fatalf("put %s: %d %s", config, w.Code, w.Body)
	}
	return s.imageWith("app", tag, config), config
}

func (s *site) imageWith(repository, tag, config string) (manifest string) {
	s.t.Helper()
	body := toJSON(s.t, map[string]any{
		"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageManifest, "layers": []any{},
		"config": map[string]any{"mediaType": ocispec.MediaTypeImageConfig, "digest": config, "size": 2},
	})
	return s.put(repository, tag, ocispec.MediaTypeImageManifest, body)
}

// remove takes a manifest out of the repository "app".
func (s *site) remove(dgst string) {
	s.t.Helper()
	w := httptest.NewRecorder()
	s.backend.ServeHTTP(w, httptest.NewRequest(http.MethodDelete, "/v2/app/manifests/"+dgst, nil))
	if w.Code != http.StatusAccepted {
		s.t.Fatalf("remove %s: %d %s", dgst, w.Code, w.Body)
	}
}

// index stores an index of the repository "app" and returns its digest.
func (s *site) index(tag string, entries ...ocispec.Descriptor) string {
	s.t.Helper()
	body := toJSON(s.t, ocispec.Index{MediaType: ocispec.MediaTypeImageIndex, Manifests: entries})
	return s.put("app", tag, ocispec.MediaTypeImageIndex, bytes.Replace(body, []byte("{"), []byte(`{"schemaVersion":2,`), 1))
}

// entry describes a child of an index; platform is "linux/arm/v7" or empty.
func entry(dgst, platform string) ocispec.Descriptor {
	d := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.Digest(dgst), Size: 100}
	if platform != "" {
		p := platformOf(platform)
		d.Platform = &ocispec.Platform{OS: p.OS, Architecture: p.Architecture, Variant: p.Variant}
	}
	return d
}

func platformOf(s string) image.Platform {
	parts := append(strings.Split(s, "/"), "", "")
	return image.Platform{OS: parts[0], Architecture: parts[1], Variant: parts[2]}
}

// memory is a Memory that outlives clients.
type memory struct {
	mu       sync.Mutex
	hosts    map[string]registry.HostState
	resolved map[string]registry.Resolved
}

func (m *memory) Host(_ context.Context, host string) (registry.HostState, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, ok := m.hosts[host]
	return s, ok, nil
}

func (m *memory) SaveHost(_ context.Context, host string, s registry.HostState) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.hosts == nil {
		m.hosts = map[string]registry.HostState{}
	}
	m.hosts[host] = s
	return nil
}

func (m *memory) Resolution(_ context.Context, dgst, platform string) (registry.Resolved, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.resolved[dgst+platform]
	return r, ok, nil
}

func (m *memory) SaveResolution(_ context.Context, dgst, platform string, r registry.Resolved) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.resolved == nil {
		m.resolved = map[string]registry.Resolved{}
	}
	m.resolved[dgst+platform] = r
	return nil
}

func (m *memory) host(name string) registry.HostState {
	s, _, _ := m.Host(context.Background(), name)
	return s
}

// scan asks for all references at once, as a scan does.
func scan(t testing.TB, c *registry.Client, refs ...image.Reference) []error {
	t.Helper()
	b := c.Batch(refs)
	errs := make([]error, len(refs))
	var wg sync.WaitGroup
	for i, ref := range refs {
		wg.Go(func() { _, errs[i] = b.Head(t.Context(), ref) })
	}
	wg.Wait()
	return errs
}

func mustScan(t testing.TB, c *registry.Client, refs ...image.Reference) {
	t.Helper()
	for i, err := range scan(t, c, refs...) {
		if err != nil {
			t.Errorf("%s: %v", refs[i], err)
		}
	}
}

// many stores n images and returns their references.
func (s *site) many(n int) []image.Reference {
	var refs []image.Reference
	for i := range n {
		repository := fmt.Sprintf("team/app-%03d", i)
		s.image(repository, "latest")
		refs = append(refs, s.ref(repository))
	}
	return refs
}

// wantCode checks an error's code and that its message has these words.
func wantCode(t testing.TB, err error, code string, words ...string) *registry.Error {
	t.Helper()
	e, ok := errors.AsType[*registry.Error](err)
	if !ok || e.Code != code {
		t.Fatalf("error %v, want code %s", err, code)
	}
	for _, w := range words {
		if !strings.Contains(e.Message, w) {
			t.Errorf("message %q lacks %q", e.Message, w)
		}
	}
	return e
}

func credentialsFor(host, user, password string) registry.CredentialSource {
	return registry.Configured([]registry.HostCredential{{Host: host, Username: user, Password: password}})
}

func toJSON(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	must(t, err)
	return b
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func addrOf(t testing.TB, s *httptest.Server) string {
	t.Helper()
	u, err := url.Parse(s.URL)
	must(t, err)
	return u.Host
}
