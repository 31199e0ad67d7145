package registry

import (
	"context"
	"sync"
	"time"

	"github.com/watch-docker/watch-docker/internal/image"
)

// Memory keeps what is worth knowing in the next process. Its errors are
// logged and cost a few requests, nothing more. It is called concurrently.
type Memory interface {
	// Host returns what is remembered of a registry; ok is false if nothing is.
	Host(ctx context.Context, host string) (state HostState, ok bool, err error)
	// SaveHost replaces what is remembered of a registry.
	SaveHost(ctx context.Context, host string, state HostState) error
	// Resolution returns what a digest resolves to for a platform
	// ("linux/arm64"). It never changes. Asked for "repository@sha256:…", it
	// returns the zero Resolved if that repository doesn't have the digest.
	Resolution(ctx context.Context, digest, platform string) (resolved Resolved, ok bool, err error)
	// SaveResolution keeps it for good.
	SaveResolution(ctx context.Context, digest, platform string, resolved Resolved) error
}

// HostState is what is remembered of a registry over restarts. It holds no
// secrets.
type HostState struct {
	// Scheme is "https" or "http" once known; only insecure hosts have a choice.
	Scheme string `json:"scheme,omitempty"`
	// Challenge is how the registry asked for authorization last; the zero
	// value if it never did.
	Challenge Challenge `json:"challenge,omitzero"`
	// MaxScopes is how many repositories a token may be asked for at once: 1
	// where shared tokens don't work; 0 is no limit.
	MaxScopes int `json:"maxScopes,omitempty"`
	// PausedUntil: the registry said 429 and is left alone until then.
	PausedUntil time.Time `json:"pausedUntil,omitzero"`
	// Pauses counts the pauses since the last good answer.
	Pauses int `json:"pauses,omitempty"`
}

// Challenge is how a registry wants to be convinced (RFC 7235, and the
// distribution project's token specification for Bearer).
type Challenge struct {
	// Scheme is "bearer" or "basic".
	Scheme string `json:"scheme,omitempty"`
	// Realm of a bearer challenge is the token server's URL.
	Realm string `json:"realm,omitempty"`
	// Service is the name that the token server knows the registry by.
	Service string `json:"service,omitempty"`
}

// Resolved is what a digest comes to on one platform.
type Resolved struct {
	// ManifestDigest is the platform's manifest: a child of the index, or the
	// digest itself where that was no index.
	ManifestDigest string `json:"manifestDigest"`
	// ConfigDigest is the image id on an engine with the graph-driver store.
	ConfigDigest string `json:"configDigest"`
	// Platform is the child's as the index names it; where no index names one,
	// the platform that was asked for.
	Platform image.Platform `json:"platform"`
}

// processMemory is the Memory of a client that was given none.
type processMemory struct {
	mu       sync.Mutex
	resolved map[[2]string]Resolved
}

// Host knows nothing: the client itself remembers its hosts.
func (m *processMemory) Host(context.Context, string) (HostState, bool, error) {
	return HostState{}, false, nil
}

func (m *processMemory) SaveHost(context.Context, string, HostState) error { return nil }

func (m *processMemory) Resolution(_ context.Context, digest, platform string) (Resolved, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.resolved[[2]string{digest, platform}]
	return r, ok, nil
}

func (m *processMemory) SaveResolution(_ context.Context, digest, platform string, r Resolved) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.resolved == nil || len(m.resolved) >= maxKept {
		m.resolved = map[[2]string]Resolved{}
	}
	m.resolved[[2]string{digest, platform}] = r
	return nil
}
