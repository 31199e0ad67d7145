package registry

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/go-resty/resty/v2"
	"go.uber.org/zap"

	"github.com/watch-docker/watch-docker/internal/logging"
)

const dockerHub = "docker.io"

// canonicalHost brings the spellings of a registry's host to the one that
// references have. Docker Hub has had several, of which
// https://index.docker.io/v1/ is the one that Docker signs in to.
func canonicalHost(host string) string {
	host = strings.TrimPrefix(strings.TrimPrefix(strings.ToLower(strings.TrimSpace(host)), "https://"), "http://")
	host, _, _ = strings.Cut(host, "/")
	switch host {
	case "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com":
		return dockerHub
	}
	return host
}

// loopback reports whether a host is this machine, where nobody listens in
// between: Docker treats it as insecure as well.
func loopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// mayBeInsecure reports whether a request on the registry's behalf may go to a
// host over plain HTTP, or to a certificate that nobody vouches for. It goes by
// that host's own name: a registry on loopback can send to a token server far
// away. Loopback that isn't listed counts for such registries only, so that one
// elsewhere can't point at what was meant to be asked by this machine alone.
func (h *host) mayBeInsecure(at string) bool {
	return h.client.insecure[canonicalHost(at)] || h.insecure && loopback(at)
}

// host is a registry: what is known of it, and what it gave.
type host struct {
	client   *Client
	name     string // as references have it
	address  string // where it is asked
	insecure bool

	credentials *answers[Credential]
	fetches     *answers[struct{}] // token requests under way

	mu           sync.Mutex
	loaded       bool
	state        HostState
	getOnly      bool              // it doesn't do HEAD
	headless     map[string]bool   // repositories whose HEAD told no digest
	identity     Credential        // the one that was looked up last
	identified   bool              // it was looked up
	tokens       map[string]*token // by repository
	alone        map[string]bool   // repositories that a shared token doesn't serve
	refusal      *Error            // why there are no tokens
	refusedUntil time.Time
	info         HostInfo
}

func (c *Client) newHost(name string) *host {
	h := &host{client: c, name: name, address: name, insecure: c.insecure[name] || loopback(name)}
	if name == dockerHub {
		h.address = "registry-1.docker.io"
	}
	h.tokens, h.alone, h.headless = map[string]*token{}, map[string]bool{}, map[string]bool{}
	h.info.Host = name
	h.fetches = newAnswers[struct{}](c.opts.Now, func(error) time.Duration { return 0 })
	h.credentials = newAnswers[Credential](c.opts.Now, func(err error) time.Duration {
		if err != nil {
			return c.opts.ErrorTTL
		}
		return max(c.opts.CacheTTL, time.Minute)
	})
	return h
}

// load fetches once what earlier processes learned.
func (h *host) load(ctx context.Context) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.loaded {
		return
	}
	state, ok, err := h.client.opts.Memory.Host(ctx, h.name)
	if err != nil {
		h.client.log.Warn("could not read what is remembered of a registry", zap.String("host", h.name), logging.Err(err))
	}
	if ok {
		h.state = state
	}
	h.loaded = ctx.Err() == nil
}

// update changes what is remembered, and saves it if that made a difference.
// It is saved even if ctx has ended: a pause must not be forgotten.
func (h *host) update(ctx context.Context, change func(*HostState)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	before := h.state
	change(&h.state)
	if h.state == before {
		return
	}
	if err := h.client.opts.Memory.SaveHost(context.WithoutCancel(ctx), h.name, h.state); err != nil {
		h.client.log.Warn("could not save what is remembered of a registry", zap.String("host", h.name), logging.Err(err))
	}
}

func (h *host) remembered() HostState {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.state
}

// schemes are the ways to speak to the host, the likeliest first.
func (h *host) schemes() []string {
	switch {
	case !h.insecure:
		return []string{"https"}
	case h.remembered().Scheme == "http":
		return []string{"http", "https"}
	}
	return []string{"https", "http"}
}

// paused returns the error for asking a host that wants to be left alone, or nil.
func (h *host) paused() error {
	until := h.remembered().PausedUntil
	if !h.client.opts.Now().Before(until) {
		return nil
	}
	return h.pauseError(until)
}

func (h *host) pauseError(until time.Time) *Error {
	e := errorf(CodeRateLimited, h.name, "%s gets too many requests from here and is left alone until %s. It is asked again after that; %s",
		h.name, until.UTC().Format("15:04 UTC on 2 January"), h.adviceOnLimit())
	e.Status, e.Until = http.StatusTooManyRequests, until
	return e
}

func (h *host) adviceOnLimit() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.identity == (Credential{}) {
		return "signing in, or a longer scan.interval, helps."
	}
	return "a longer scan.interval helps."
}

// pause leaves the host alone for as long as its 429 says, or for longer each
// time if it doesn't say. Several requests that were under way are one time.
func (h *host) pause(ctx context.Context, resp *resty.Response) error {
	now := h.client.opts.Now()
	wait, told := retryAfter(resp.Header(), now)
	h.update(ctx, func(s *HostState) {
		again := now.Before(s.PausedUntil)
		if again && !told {
			return
		}
		if !told {
			wait = pauseFor(s.Pauses)
		}
		if !again {
			s.Pauses++
		}
		if until := now.Add(wait).UTC(); until.After(s.PausedUntil) {
			s.PausedUntil = until
		}
	})
	until := h.remembered().PausedUntil
	h.client.log.Warn("registry is left alone for a while", zap.String("host", h.name), zap.Time("until", until))
	return h.pauseError(until)
}

// noteLimit keeps what the host tells about its rate limit.
func (h *host) noteLimit(header http.Header) {
	limit := parseRateLimit(header, h.client.opts.Now())
	h.mu.Lock()
	defer h.mu.Unlock()
	if limit != nil {
		h.info.RateLimit = limit
	}
}

// noteResult keeps the last error for showing; a good answer ends a series of pauses.
func (h *host) noteResult(ctx context.Context, err error) {
	now := h.client.opts.Now()
	if err == nil {
		h.update(ctx, func(s *HostState) {
			if !now.Before(s.PausedUntil) {
				s.Pauses, s.PausedUntil = 0, time.Time{}
			}
		})
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case err == nil:
		h.info.LastError, h.info.LastErrorAt = "", time.Time{}
	case !ended(err):
		h.info.LastError, h.info.LastErrorAt = err.Error(), now.UTC()
	}
}

// refuse keeps why the host gives no tokens, so that a wrong password isn't
// tried over and over.
func (h *host) refuse(err error) error {
	if e, ok := errors.AsType[*Error](err); ok && e.hostwide {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.refusal, h.refusedUntil = e, h.client.opts.Now().Add(h.client.opts.ErrorTTL)
	}
	return err
}

// newContact starts a batch's dealings with the host: with a refusal that is
// still fresh, they are over before they begin.
func (h *host) newContact() *contact {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.refusal != nil && h.client.opts.Now().Before(h.refusedUntil) {
		return &contact{dead: h.refusal}
	}
	return &contact{}
}

// forget has credentials looked up and refusals tested anew.
func (h *host) forget() {
	h.credentials.forget(func(string) bool { return true })
	h.mu.Lock()
	defer h.mu.Unlock()
	h.refusal = nil
	h.dropTokens(func(t *token) bool { return t.err != nil })
}

// isGetOnly reports whether HEAD is known to be of no use for a repository.
func (h *host) isGetOnly(repository string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.getOnly || h.headless[repository]
}

// setGetOnly keeps what a HEAD without a digest teaches. A status that refuses
// HEAD is the registry's way. An answer that only lacks the header may be some
// proxy's on a bad day, and each GET in its place may count as a pull: it says
// nothing of other repositories.
func (h *host) setGetOnly(repository string, status int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if status == http.StatusOK {
		h.headless[repository] = true
		return
	}
	h.getOnly = true
}

func (h *host) information() HostInfo {
	h.mu.Lock()
	defer h.mu.Unlock()
	info := h.info
	info.PausedUntil = h.state.PausedUntil
	return info
}
