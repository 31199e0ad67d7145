package dockercli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/containerd/errdefs/pkg/errhttp"
	"github.com/moby/moby/client/pkg/versions"
)

// The SDK's types hold what the SDK's own API version knows. A container is
// therefore read and made again in the engine's own JSON: a field that is
// older (Config.MacAddress, KernelMemory) or newer than the SDK comes through
// as it is. Everything else goes through the SDK.

// fields is a JSON object whose values nobody has read yet.
type fields = map[string]json.RawMessage

// largestAnswer bounds what is read of an answer, in bytes.
const largestAnswer = 16 << 20

// call sends a request at an API version ("1.41") and reads the answer into out, which may be nil.
func (c *Client) call(ctx context.Context, method, version, path string, query url.Values, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	u := url.URL{Scheme: "http", Host: "docker", Path: "/v" + version + path, RawQuery: query.Encode()}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return err
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.userAgent != "" {
		req.Header.Set("User-Agent", c.userAgent)
	}
	// The SDK's dialer brings TLS and named pipes; as with the SDK's own
	// hijacked connections, a proxy of the environment isn't asked.
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return c.sdk().Dialer()(ctx) },
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return unreachable{err}
	}
	defer resp.Body.Close()
	return readAnswer(resp, out)
}

// unreachable is a failure below HTTP; wrap knows it by its Timeout method.
type unreachable struct{ error }

func (u unreachable) Unwrap() error { return u.error }
func (u unreachable) Timeout() bool { return errors.Is(u.error, context.DeadlineExceeded) }

func readAnswer(resp *http.Response, out any) error {
	body, err := io.ReadAll(io.LimitReader(resp.Body, largestAnswer))
	if err != nil {
		return unreachable{err}
	}
	if resp.StatusCode >= http.StatusBadRequest {
		var said struct {
			Message string `json:"message"`
		}
		if json.Unmarshal(body, &said) != nil || said.Message == "" {
			said.Message = strings.TrimSpace(string(body[:min(len(body), 1<<10)]))
		}
		return fmt.Errorf("%w: %s", errhttp.ToNative(resp.StatusCode), said.Message)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(body, out)
}

// version is the one negotiated with the engine, which a first call must have
// settled.
func (c *Client) version(ctx context.Context) (string, error) {
	if v := c.sdk().ClientVersion(); v != "" {
		return v, nil
	}
	if err := c.Ping(ctx); err != nil {
		return "", err
	}
	return c.sdk().ClientVersion(), nil
}

func atLeast(version, wanted string) bool { return versions.GreaterThanOrEqualTo(version, wanted) }

// read decodes a field; one that is missing or of another shape is the zero
// value.
func read[T any](f fields, name string) T {
	var v, zero T
	if raw, ok := f[name]; !ok || json.Unmarshal(raw, &v) != nil {
		return zero
	}
	return v
}

// write encodes a field. Only values that can't fail are written: strings,
// numbers, and lists and maps of them.
func write(f fields, name string, value any) {
	if b, err := json.Marshal(value); err == nil {
		f[name] = b
	}
}
