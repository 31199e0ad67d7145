package app

import (
	"crypto/tls"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/watch-docker/watch-docker/internal/config"
)

// certificate is a pair of files that is read again when one of them changes:
// whoever renews it need not restart the program.
type certificate struct {
	cert, key string

	mu     sync.Mutex
	loaded *tls.Certificate
	read   [2]time.Time // the files' times when they were read
}

// serverTLS is the configuration for serving TLS, nil if it isn't asked for.
// Files that can't be read are an error now; later they leave the old pair.
func serverTLS(c config.TLSConfig) (*tls.Config, error) {
	if c.Cert == "" {
		return nil, nil //nolint:nilnil // no TLS
	}
	pair := &certificate{cert: c.Cert, key: c.Key}
	if _, err := pair.get(nil); err != nil {
		return nil, fmt.Errorf("server.tls.cert %s, server.tls.key %s: %w", c.Cert, c.Key, err)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: pair.get}, nil
}

// get is tls.Config.GetCertificate.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	times, err := c.times()
	if c.loaded != nil && (err != nil || times == c.read) {
		return c.loaded, nil
	}
	if err != nil {
		return nil, err
	}
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	switch {
	case err == nil:
		c.loaded, c.read = &pair, times
	case c.loaded == nil:
		return nil, err
	}
	return c.loaded, nil // half of a new pair: the next handshake looks again
}

func (c *certificate) times() (times [2]time.Time, err error) {
	for i, file := range []string{c.cert, c.key} {
		st, err := os.Stat(file)
		if err != nil {
			return times, err
		}
		times[i] = st.ModTime()
	}
	return times, nil
}
