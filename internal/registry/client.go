// Package registry asks container registries, with as few requests as can be,
// which digest a tag has and what that digest comes to on a platform
// (OCI distribution specification).
//
// A scan announces its references with Client.Batch, then asks Batch.Head for
// each, and Batch.Resolve where the digest isn't one it knows. What saves
// requests happens below that, from the outside in:
//
//	cache.go      who asks the same shares an answer, and it is kept for a while
//	batch.go      a mirror is asked before its registry
//	manifest.go   HEAD, else GET; what comes back is checked
//	tags.go       all tags of a repository, for newer versions
//	resolve.go    index -> this platform's manifest -> configuration (config.go)
//	describe.go   … and what stands in it
//	auth.go       what a 401 teaches; token.go, credentials.go, challenge.go
//	limits.go     the first request to a host goes alone; turns; pauses after 429
//	transport.go  HTTPS or HTTP, retries, redirects, errors in words
//	host.go       what is known of a registry; memory.go: what is kept of that
package registry

import (
	"cmp"
	"context"
	"crypto/x509"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-resty/resty/v2"
	"go.uber.org/zap"

	"github.com/watch-docker/watch-docker/internal/image"
	"github.com/watch-docker/watch-docker/internal/logging"
)

// Options is what a Client is made from. The zero value works: anonymous, with
// verified TLS, nothing cached.
type Options struct {
	// Concurrency is how many requests may be under way in all, token requests
	// included: 1 to 64, default 8.
	Concurrency int
	// CacheTTL is how long a tag's digest is taken from the cache; 0 is not at all.
	CacheTTL time.Duration
	// ErrorTTL is the same for failures.
	ErrorTTL time.Duration
	// Timeout of one request, from the connection to the body's last byte;
	// default 15 s. Waiting for a turn doesn't count.
	Timeout time.Duration
	// Insecure are the hosts (with their port) that may speak plain HTTP or
	// show a certificate nobody vouches for. Loopback hosts always may. A token
	// server counts by its own host, not by the registry that sends to it.
	Insecure []string
	// Mirrors names for a registry's host the one to ask first, with the same
	// repository path. A mirror written as "http://…" counts as insecure.
	Mirrors map[string]string
	// Credentials is where user names and passwords come from; nil is anonymous.
	Credentials CredentialSource
	// Memory is what outlives the process; nil keeps it for this one.
	Memory Memory
	// UserAgent is sent with every request: "watch-docker/1.2.3".
	UserAgent string
	// Now is the clock; default time.Now.
	Now func() time.Time
	// Logger is given one debug line for each request, and warnings; nil is silent.
	Logger *zap.Logger
	// RootCAs are the authorities that TLS is verified against; nil is the system's.
	RootCAs *x509.CertPool
	// DialContext opens connections; nil is the network's own.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)
}

func (o Options) withDefaults() Options {
	o.Concurrency = min(cmp.Or(max(o.Concurrency, 0), 8), 64)
	o.Timeout = cmp.Or(max(o.Timeout, 0), 15*time.Second)
	o.UserAgent = cmp.Or(o.UserAgent, "watch-docker")
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	if o.Memory == nil {
		o.Memory = &processMemory{}
	}
	return o
}

// Client asks registries. It is safe for concurrent use, starts no goroutine
// and costs nothing until it is used: when options change, make a new one and
// Close the old one. What was paused or learned carries over in Memory.
type Client struct {
	opts                 Options
	log                  *zap.Logger
	insecure             map[string]bool
	mirrors              map[string]string
	verified, unverified *resty.Client
	heads                *answers[Manifest]
	resolutions          *answers[Resolved]
	descriptions         *answers[image.Description]
	tags                 *answers[[]string]

	mu    sync.Mutex
	hosts map[string]*host
}

// New makes a Client.
func New(opts Options) *Client {
	opts = opts.withDefaults()
	slots := make(chan struct{}, opts.Concurrency)
	c := &Client{
		opts:       opts,
		log:        opts.Logger.With(logging.Component("registry")),
		insecure:   map[string]bool{},
		mirrors:    map[string]string{},
		verified:   newResty(opts, slots, true),
		unverified: newResty(opts, slots, false),
		hosts:      map[string]*host{},
	}
	c.heads = newAnswers[Manifest](opts.Now, c.keep)
	c.resolutions = newAnswers[Resolved](opts.Now, c.keep)
	c.descriptions = newAnswers[image.Description](opts.Now, c.keepDescription)
	c.descriptions.max = maxDescriptions
	c.tags = newAnswers[[]string](opts.Now, c.keep)
	c.tags.max = maxTagLists
	for _, h := range opts.Insecure {
		c.insecure[canonicalHost(h)] = true
	}
	for of, mirror := range opts.Mirrors {
		c.mirrors[canonicalHost(of)] = canonicalHost(mirror)
		if strings.HasPrefix(mirror, "http://") {
			c.insecure[canonicalHost(mirror)] = true
		}
	}
	return c
}

// keepMismatch is how long a digest is known to have nothing for a platform. It
// never will; the end is for those that nobody asks for any more.
const keepMismatch = 24 * time.Hour

// keep says how long an answer holds.
func (c *Client) keep(err error) time.Duration {
	switch {
	case err == nil:
		return c.opts.CacheTTL
	case hasCode(err, CodeNoMatchingPlatform): // a digest's content never changes
		return max(c.opts.CacheTTL, keepMismatch)
	case hasCode(err, CodeRateLimited): // the pause sees to that
		return 0
	}
	return c.opts.ErrorTTL
}

// Batch announces the references that one scan is about to ask for, so that
// one token request for each registry can name all their repositories. Asking
// for others is allowed. What a registry's failure says about its other
// references holds within one batch: make a new one for each scan.
func (c *Client) Batch(refs []image.Reference) *Batch {
	c.heads.sweep()
	c.resolutions.sweep()
	c.descriptions.sweep()
	c.tags.sweep()
	b := &Batch{
		client: c, started: c.opts.Now(), repositories: map[string][]string{},
		contacts: map[*host]*contact{}, documents: map[string]*document{}, named: map[string]bool{},
	}
	for _, ref := range refs {
		for _, h := range c.endpoints(ref.Domain) {
			b.repositories[h.name] = append(b.repositories[h.name], ref.Path)
		}
	}
	for name, repositories := range b.repositories {
		slices.Sort(repositories)
		b.repositories[name] = slices.Compact(repositories)
	}
	return b
}

// Forget drops what the cache holds of these references, and every refusal and
// looked-up credential of their registries, so that the next question is asked
// anew. Without arguments everything goes. A pause after 429 stays.
func (c *Client) Forget(refs ...image.Reference) {
	names, hosts := map[string]bool{}, map[string]bool{}
	for _, ref := range refs {
		names[ref.Name()] = true
		for _, h := range c.endpoints(ref.Domain) {
			hosts[h.name] = true
		}
	}
	chosen := func(key string) bool {
		name, _, _ := strings.Cut(key, " ")
		return len(refs) == 0 || names[name]
	}
	c.heads.forget(chosen)
	c.resolutions.forget(chosen)
	c.descriptions.forget(chosen)
	c.tags.forget(chosen)
	for _, h := range c.allHosts() {
		if len(refs) == 0 || hosts[h.name] {
			h.forget()
		}
	}
}

// key is what an answer about a reference is kept under: the repository, by
// which Forget finds it, and the question.
func key(ref image.Reference, question string) string { return ref.Name() + " " + question }

// forgetAnswers drops what was learned as somebody else.
func (c *Client) forgetAnswers() {
	all := func(string) bool { return true }
	c.heads.forget(all)
	c.resolutions.forget(all)
	c.descriptions.forget(all)
	c.tags.forget(all)
}

// endpoints are the hosts to ask for a registry's images, in order.
func (c *Client) endpoints(domain string) []*host {
	origin := canonicalHost(domain)
	if mirror := c.mirrors[origin]; mirror != "" && mirror != origin {
		return []*host{c.host(mirror), c.host(origin)}
	}
	return []*host{c.host(origin)}
}

func (c *Client) host(name string) *host {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.hosts[name]
	if h == nil {
		h = c.newHost(name)
		c.hosts[name] = h
	}
	return h
}

func (c *Client) allHosts() []*host {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Collect(maps.Values(c.hosts))
}

// HostInfo is a registry as seen by this process, for showing.
type HostInfo struct {
	// Host is the registry as references name it.
	Host string
	// RateLimit is what the registry said of its limit last; nil if it says nothing.
	RateLimit *RateLimit
	// PausedUntil is in the future while the registry is left alone after a 429.
	PausedUntil time.Time
	// LastError is the message of the latest failure, LastErrorAt its time;
	// both are zero once the registry has answered well again.
	LastError   string
	LastErrorAt time.Time
}

// RateLimit is what Docker Hub and others tell in RateLimit-* headers.
type RateLimit struct {
	// Limit and Remaining are counted in manifest pulls within Window.
	Limit, Remaining int
	Window           time.Duration
	// Source is what is counted by: an address or an account's id; may be empty.
	Source string
	// At is when it was said.
	At time.Time
}

// Hosts lists the registries that this client has had to do with, by name.
func (c *Client) Hosts() []HostInfo {
	var infos []HostInfo
	for _, h := range c.allHosts() {
		infos = append(infos, h.information())
	}
	slices.SortFunc(infos, func(a, b HostInfo) int { return cmp.Compare(a.Host, b.Host) })
	return infos
}

// Close drops idle connections. Questions under way finish.
func (c *Client) Close() {
	c.verified.GetClient().CloseIdleConnections()
	c.unverified.GetClient().CloseIdleConnections()
}
