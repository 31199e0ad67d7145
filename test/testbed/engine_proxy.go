package testbed

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"regexp"
	"strings"
)

// An EngineProxy is a unix socket that leads to the engine and counts what
// passes. Streams (events, logs) and hijacked connections (attach, exec)
// pass as they are. Faults can be injected as with a [Registry].
type EngineProxy struct {
	*front
}

// Proxy opens a proxy before the engine; it closes with the bed. The engine
// may stop and start behind it.
func (e *Engine) Proxy(ctx context.Context) (*EngineProxy, error) {
	socket, ok := strings.CutPrefix(e.host, "unix://")
	if !ok {
		return nil, fmt.Errorf("proxy before %s: only for an engine on a unix socket", e.host)
	}
	dir, err := e.bed.subfolder("proxy")
	if err != nil {
		return nil, err
	}
	p := &EngineProxy{front: newSocketFront(socket, nil)}
	p.truncate = withoutVersion
	p.addr = filepath.Join(dir, "docker.sock")
	l, err := new(net.ListenConfig).Listen(ctx, "unix", p.addr)
	if err != nil {
		return nil, fmt.Errorf("proxy before %s: %w", e.host, err)
	}
	p.serve(l)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.proxies = append(e.proxies, p)
	return p, nil
}

// Host is where the proxy listens, as DOCKER_HOST has it.
func (p *EngineProxy) Host() string { return "unix://" + p.addr }

// Close closes the proxy's socket, as an engine's that goes away. It doesn't
// come back.
func (p *EngineProxy) Close(ctx context.Context) error { return p.close(ctx) }

// withoutVersion makes "/v1.41/containers/json" "/containers/json".
func withoutVersion(path string) string {
	return regexp.MustCompile(`^/v1\.\d+/`).ReplaceAllString(path, "/")
}
