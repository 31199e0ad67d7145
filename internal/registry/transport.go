package registry

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"syscall"
	"time"

	"github.com/go-resty/resty/v2"
	"go.uber.org/zap"

	"github.com/watch-docker/watch-docker/internal/logging"
)

const (
	// bodyLimit is what the distribution specification has registries accept
	// for a manifest; none is larger.
	bodyLimit    = 4 << 20
	maxRedirects = 5
)

// newResty makes the client for one way of trusting TLS. Both share the turns.
func newResty(opts Options, slots chan struct{}, verify bool) *resty.Client {
	dial := opts.DialContext
	if dial == nil {
		dial = (&net.Dialer{Timeout: opts.Timeout, KeepAlive: 30 * time.Second}).DialContext
	}
	transport := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         dial,
		ForceAttemptHTTP2:   true,
		TLSClientConfig:     &tls.Config{RootCAs: opts.RootCAs, InsecureSkipVerify: !verify}, // #nosec G402: only for hosts configured so
		TLSHandshakeTimeout: opts.Timeout,
		MaxIdleConns:        2 * opts.Concurrency,
		MaxIdleConnsPerHost: opts.Concurrency,
		IdleConnTimeout:     time.Minute,
	}
	// A client of our own: resty.New would add a jar, and carry cookies about.
	client := resty.NewWithClient(&http.Client{
		Transport:     &limited{transport, slots, opts.Timeout},
		CheckRedirect: checkRedirect,
	})
	return client.
		SetLogger(silent{}).
		SetHeader("User-Agent", opts.UserAgent).
		SetResponseBodyLimit(bodyLimit).
		SetRetryCount(2).
		SetRetryWaitTime(250 * time.Millisecond).
		SetRetryMaxWaitTime(maxRetryWait).
		AddRetryCondition(func(resp *resty.Response, err error) bool { return worthRetrying(resp, err, opts.Now()) }).
		SetRetryAfter(func(_ *resty.Client, resp *resty.Response) (time.Duration, error) {
			wait, _ := retryAfter(resp.Header(), opts.Now())
			return wait, nil
		})
}

// worthRetrying says yes to what may be over in a second: a connection refused
// or cut, a server in trouble. Not to a timeout, which has cost enough, and
// never to 429.
func worthRetrying(resp *resty.Response, err error, now time.Time) bool {
	if err != nil {
		return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET) ||
			errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
	}
	if resp.StatusCode() < 500 || resp.StatusCode() == http.StatusNotImplemented {
		return false
	}
	wait, _ := retryAfter(resp.Header(), now)
	return wait <= maxRetryWait
}

// checkRedirect follows a few redirects, and takes what is secret off the
// request once it leaves the host and port it was meant for. net/http alone
// would let it go on to another port and to subdomains.
func checkRedirect(req *http.Request, via []*http.Request) error {
	first, last := via[0], via[len(via)-1]
	switch {
	case len(via) > maxRedirects:
		return errorf(CodeBadResponse, first.URL.Host, "%s redirects more than %d times in a row. Its administrator has to mend that.", first.URL.Host, maxRedirects)
	case last.URL.Scheme == "https" && req.URL.Scheme != "https":
		return errorf(CodeBadResponse, first.URL.Host, "%s redirects from HTTPS to plain HTTP at %s, which is refused. Its administrator has to mend that.", first.URL.Host, req.URL.Host)
	case first.Method == http.MethodPost: // 307 and 308 would send the refresh token again
		return errorf(CodeBadResponse, first.URL.Host, "%s redirects a request for a token to %s, which is refused.", first.URL.Host, req.URL.Host)
	}
	for _, r := range append(via[1:len(via):len(via)], req) {
		if r.URL.Host != first.URL.Host || r.URL.Scheme != first.URL.Scheme {
			req.Header.Del("Authorization")
		}
	}
	return nil
}

// silent keeps resty from logging: it would, to stderr, with whole URLs.
type silent struct{}

func (silent) Errorf(string, ...any) {}
func (silent) Warnf(string, ...any)  {}
func (silent) Debugf(string, ...any) {}

// message is one HTTP request, with its authorization.
type message struct {
	method, url   string
	accept        string
	authorization string
	form          map[string]string // for POST
}

// send sends m on behalf of h. It returns any answer but 429, which pauses the
// host instead.
func (c *Client) send(ctx context.Context, h *host, k *contact, m message) (*resty.Response, error) {
	admit := func() error {
		if err := k.failure(); err != nil {
			return err
		}
		return h.paused()
	}
	client := c.verified
	if h.mayBeInsecure(hostOf(m.url)) {
		client = c.unverified
	}
	req := client.R().SetContext(withAdmission(ctx, admit)).SetHeader("Accept", m.accept)
	if m.authorization != "" {
		req.SetHeader("Authorization", m.authorization)
	}
	if m.form != nil {
		req.SetFormData(m.form)
	}
	start := time.Now()
	resp, err := req.Execute(m.method, m.url)
	if err != nil {
		err = c.sendError(ctx, h, m, err)
		c.log.Debug("registry request failed", logging.Action(m.method), zap.String("host", hostOf(m.url)), logging.DurationMs(time.Since(start)), logging.Err(err))
		return nil, err
	}
	c.log.Debug("registry request", logging.Action(m.method), zap.String("host", hostOf(m.url)), zap.Int("status", resp.StatusCode()), logging.DurationMs(time.Since(start)))
	h.noteLimit(resp.Header())
	if resp.StatusCode() == http.StatusTooManyRequests {
		return nil, h.pause(ctx, resp)
	}
	return resp, nil
}

// sendError says for people why a request got no answer.
func (c *Client) sendError(ctx context.Context, h *host, m message, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if e, ok := errors.AsType[*Error](err); ok { // not admitted, or a redirect refused
		own := *e
		own.Host = h.name
		return &own
	}
	if errors.Is(err, resty.ErrResponseBodyTooLarge) {
		return errorf(CodeBadResponse, h.name, "%s answered with more than %d MiB, which no manifest and no configuration has. Is it a registry?", hostOf(m.url), bodyLimit>>20)
	}
	at := hostOf(m.url)
	if e, ok := errors.AsType[*url.Error](err); ok {
		at, err = hostOf(e.URL), e.Err // where a redirect led; without the URL and its query
	}
	e := errorf(CodeUnreachable, h.name, "%s", c.whyUnreachable(at, err))
	e.Err, e.hostwide = err, true
	if isTimeout(err) {
		e.Err = os.ErrDeadlineExceeded // not to be mistaken for the caller's own deadline
	}
	return e
}

func (c *Client) whyUnreachable(at string, err error) string {
	const trust = "Add its authority to the system's certificates, or, if that is acceptable, %s to registry.insecure."
	dns, isDNS := errors.AsType[*net.DNSError](err)
	switch {
	case isTimeout(err):
		return fmt.Sprintf("%s did not answer within %s. Is it down, or slow, or is there a firewall in between?", at, c.opts.Timeout)
	case isDNS && dns.IsNotFound:
		return fmt.Sprintf("%s is not known to the name server. Check the spelling and this machine's DNS.", at)
	case errors.Is(err, http.ErrSchemeMismatch):
		return fmt.Sprintf("%s speaks plain HTTP where HTTPS is needed. If that is acceptable, add %s to registry.insecure.", at, at)
	case isCertificate(err):
		return fmt.Sprintf("%s can't be trusted: %s. "+trust, at, reason(err), at)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Sprintf("%s refuses connections. Is it running, and is the port right?", at)
	}
	return fmt.Sprintf("%s can't be reached: %s. Check the network, a proxy, and whether it is running.", at, reason(err))
}

func isTimeout(err error) bool {
	n, ok := errors.AsType[net.Error](err)
	return errors.Is(err, context.DeadlineExceeded) || ok && n.Timeout()
}

func isCertificate(err error) bool {
	_, verification := errors.AsType[*tls.CertificateVerificationError](err)
	_, authority := errors.AsType[x509.UnknownAuthorityError](err)
	_, record := errors.AsType[tls.RecordHeaderError](err)
	_, alert := errors.AsType[tls.AlertError](err)
	return verification || authority || record || alert
}

// exchange puts a question to a registry. An insecure host is spoken to the
// way that worked last, and the other way if that doesn't work any more.
func (c *Client) exchange(ctx context.Context, h *host, k *contact, q question, authorization string) (*resty.Response, error) {
	schemes := h.schemes()
	for i, scheme := range schemes {
		resp, err := c.send(ctx, h, k, message{
			method: q.method, accept: q.accept, authorization: authorization,
			url: scheme + "://" + h.address + "/v2/" + q.repository + "/" + q.path,
		})
		if i+1 < len(schemes) && otherSchemeMayWork(h, scheme, resp, err) {
			continue
		}
		if err == nil && h.insecure {
			h.update(ctx, func(s *HostState) { s.Scheme = scheme })
		}
		return resp, err
	}
	return nil, nil // not reached: there is always a scheme
}

// otherSchemeMayWork: the server doesn't speak TLS, or speaks nothing else.
// Servers tell the latter in different ways: a 400 (Go, nginx) or a cut
// connection. A port that refuses connections refuses them both ways; without
// a port, the schemes have different ones.
func otherSchemeMayWork(h *host, scheme string, resp *resty.Response, err error) bool {
	if err == nil {
		return scheme == "http" && resp.StatusCode() == http.StatusBadRequest
	}
	if !hasCode(err, CodeUnreachable) || errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	_, _, noPort := net.SplitHostPort(h.address)
	return noPort != nil || !errors.Is(err, syscall.ECONNREFUSED)
}

// hostOf is the part of a URL that may be shown.
func hostOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "an invalid URL"
	}
	return cmp.Or(u.Host, "an invalid URL")
}
