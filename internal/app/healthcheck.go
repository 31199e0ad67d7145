package app

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/watch-docker/watch-docker/internal/config"
)

const healthcheckTimeout = 3 * time.Second

// runHealthcheck asks the server on this machine whether it lives: the
// HEALTHCHECK of an image that holds nothing but this program.
func runHealthcheck(ctx context.Context, p Program, args []string) int {
	set, file := p.flags("healthcheck")
	if code, ok := p.parse(set, args); !ok {
		return code
	}
	cfg, ok := p.configured(*file)
	if !ok {
		return ExitUsage
	}
	if err := askHealth(ctx, cfg.Server); err != nil {
		p.complain("%v", err)
		return ExitFailed
	}
	return ExitOK
}

func askHealth(ctx context.Context, server config.ServerConfig) error {
	ctx, cancel := context.WithTimeout(ctx, healthcheckTimeout)
	defer cancel()
	host, port, err := net.SplitHostPort(server.Addr)
	if err != nil {
		return fmt.Errorf("server.addr %s: %w", server.Addr, err)
	}
	if ip := net.ParseIP(host); host == "" || (ip != nil && ip.IsUnspecified()) {
		host = "localhost" // it listens on every address
	}
	scheme := "http"
	if server.TLS.Cert != "" {
		scheme = "https"
	}
	url := scheme + "://" + net.JoinHostPort(host, port) + "/healthz"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	// The certificate is for the public name, and nothing secret is said here.
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} //nolint:gosec // see above
	defer client.CloseIdleConnections()
	res, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("the server doesn't answer: %w", err)
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 1<<10))
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("the server answers %s at %s", res.Status, url)
	}
	return nil
}
