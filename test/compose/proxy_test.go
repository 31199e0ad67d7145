package compose_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path"
	"strings"
	"sync"
)

// before opens a way to the engine on which hook is called once, before the
// nth request of a kind goes through: "POST stop", "POST rename", "DELETE".
// It gives the way's DOCKER_HOST.
func (p *project) before(kind string, nth int, hook func()) string {
	p.Helper()
	engine := strings.TrimPrefix(p.bed.Engine().Host(), "unix://")
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: "docker"})
	proxy.FlushInterval = -1
	proxy.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", engine)
	}}
	var mu sync.Mutex
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		is := r.Method
		if r.Method == http.MethodPost {
			is += " " + path.Base(r.URL.Path)
		}
		if is == kind {
			mu.Lock()
			nth--
			met := nth == 0
			mu.Unlock()
			if met {
				hook()
			}
		}
		proxy.ServeHTTP(w, r)
	})
	dir, err := os.MkdirTemp("", "wd-compose-") // a socket's path must be short
	if err != nil {
		p.Fatal(err)
	}
	socket := path.Join(dir, "docker.sock")
	l, err := new(net.ListenConfig).Listen(p.Context(), "unix", socket)
	if err != nil {
		p.Fatal(err)
	}
	server := &http.Server{Handler: handler}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	p.Cleanup(func() {
		_ = server.Close()
		<-served
		_ = os.RemoveAll(dir)
	})
	return "unix://" + socket
}
