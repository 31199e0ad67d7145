// Package dockercli speaks to the Docker Engine and gives its answers in this
// project's own types. It alone imports the engine's SDK.
//
// A container is made again in two steps: Client.Blueprint takes down how it
// was made, as a value that can be kept as JSON, and Client.Create makes one
// like it from the image as it is by then. In between, the image's defaults
// are told from the user's settings (defaults.go), and what the engine fills
// in for each container is left out (networks.go, volumes.go, recreate.go).
//
// The API version is negotiated with the engine, from 1.41 (20.10) on. A call
// that gets no answer fails with ErrUnavailable; the next one tries again, so
// an engine that went away and came back needs nothing but time.
package dockercli

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/moby/moby/client"
	"go.uber.org/zap"
)

// callTimeout bounds what only reads, which may be a few requests: a NAS under
// load takes half a minute for one now and then. pingTimeout bounds one that asks for nothing.
const (
	callTimeout = 2 * time.Minute
	pingTimeout = 30 * time.Second
)

// Options say which engine, and how to tell about it.
type Options struct {
	// Host is unix://…, tcp://… or npipe://…; empty means DOCKER_HOST or the
	// platform's socket. TLS for tcp comes from DOCKER_CERT_PATH and
	// DOCKER_TLS_VERIFY, as with Docker's own tools.
	Host      string
	UserAgent string
	Logger    *zap.Logger // nil: silent
}

// Client is a connection to one engine. Safe for concurrent use.
type Client struct {
	opts    []client.Opt
	current atomic.Pointer[client.Client] // see renew
	host    string
	log     *zap.Logger

	userAgent string
	measuring chan struct{}                         // full while the engine measures its disk: 20.10 does that for one at a time
	relations atomic.Pointer[map[string][]Relation] // by container id: see Relations
}

// New prepares a client. Nothing is sent yet: an engine that isn't there
// shows at the first call.
func New(o Options) (*Client, error) {
	opts := []client.Opt{client.WithTLSClientConfigFromEnv(), client.WithHostFromEnv()}
	if o.Host != "" {
		opts = append(opts, client.WithHost(o.Host))
	}
	if o.UserAgent != "" {
		opts = append(opts, client.WithUserAgent(o.UserAgent))
	}
	api, err := client.New(opts...)
	if err != nil {
		return nil, fmt.Errorf("docker.host %q: %w", o.Host, err)
	}
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	c := &Client{opts: opts, host: api.DaemonHost(), log: o.Logger, userAgent: o.UserAgent, measuring: make(chan struct{}, 1)}
	c.current.Store(api)
	return c, nil
}

func (c *Client) sdk() *client.Client { return c.current.Load() }

// renew asks whether the engine answers and negotiates the API version anew:
// an engine that came back may be another release. The SDK's own negotiation
// only ever goes down from the version it has, and isn't safe beside other
// calls, so a new client takes the old one's place.
func (c *Client) renew(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	api, err := client.New(c.opts...)
	if err != nil {
		return fmt.Errorf("docker.host %q: %w", c.host, err)
	}
	if _, err := api.Ping(ctx, client.PingOptions{NegotiateAPIVersion: true}); err != nil {
		return errors.Join(c.wrap("ping the engine", err), api.Close())
	}
	return c.current.Swap(api).Close() // its idle connections; calls under way finish
}

// Host is the engine's address: "unix:///var/run/docker.sock".
func (c *Client) Host() string { return c.host }

// Ping asks whether the engine answers.
func (c *Client) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	_, err := c.sdk().Ping(ctx, client.PingOptions{})
	return c.wrap("ping the engine", err)
}

// Version is what the engine says of itself.
type Version struct {
	Engine string // "20.10.24"
	API    string // the version that is spoken with it: "1.41"
	OS     string // "linux"
	Arch   string // "amd64"
}

// Version asks the engine what it is.
func (c *Client) Version(ctx context.Context) (Version, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	v, err := c.sdk().ServerVersion(ctx, client.ServerVersionOptions{})
	if err != nil {
		return Version{}, c.wrap("ask the engine's version", err)
	}
	return Version{Engine: v.Version, API: c.sdk().ClientVersion(), OS: v.Os, Arch: v.Arch}, nil
}

// Close lets go of idle connections.
func (c *Client) Close() error { return c.sdk().Close() }
