package campaign_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/http/httputil"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
)

// proxy is a unix socket between the program and its engine. It knows every
// request by the step that the journal shows at that time, and can hold one:
// before the engine gets it, or before the program hears what came of it.
type proxy struct {
	socket    string
	transport *http.Transport

	mu       sync.Mutex // guards what follows
	server   *http.Server
	listener *net.UnixListener
	position func() string
	names    *strings.Replacer // what is unlike from run to run -> what it is
	known    []string          // the pairs of names
	counts   map[call]int
	seen     []instant
	trap     *trap
}

// call is a request, as it is the same in every run.
type call struct {
	Step string // of the journal
	What string // "POST /containers/old/stop"
}

// instant is one side of the n-th call of a kind.
type instant struct {
	call
	N    int    // from 1
	Side string // before, amid, after
}

const (
	before = "before" // the engine has not got it yet
	amid   = "amid"   // the engine is at it
	after  = "after"  // the engine has done it, the program doesn't know
)

func (i instant) String() string {
	n := ""
	if i.N > 1 {
		n = fmt.Sprintf(" (%d)", i.N)
	}
	return fmt.Sprintf("%s: %s %s%s", i.Step, i.Side, i.What, n)
}

// changes says whether the request changes something at the engine.
func (c call) changes() bool {
	return !strings.HasPrefix(c.What, "GET") && !strings.HasPrefix(c.What, "HEAD")
}

// trap holds the request of an instant.
type trap struct {
	at   instant
	hit  chan struct{} // closed when it is held
	free chan bool     // let it go on, or break the connection off
	once sync.Once
}

// errDropped breaks a connection off.
var errDropped = errors.New("dropped")

func newProxy(engine, socket string) *proxy {
	return &proxy{socket: socket, transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, "unix", engine)
			return &engineConn{Conn: conn}, err
		},
		DisableCompression: true,
	}}
}

// open listens. An engine that was away is back for the program.
func (p *proxy) open() error {
	if err := os.Remove(p.socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("proxy: %w", err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: p.socket, Net: "unix"})
	if err != nil {
		return fmt.Errorf("proxy: %w", err)
	}
	handler := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: "engine"})
			r.Out.Host = r.In.Host
		},
		Transport:     p,
		FlushInterval: -1,
		ErrorLog:      log.New(io.Discard, "", 0),
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) {
			panic(http.ErrAbortHandler) // as an engine that dies does
		},
	}
	server := &http.Server{Handler: handler, ErrorLog: log.New(io.Discard, "", 0)}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.server, p.listener = server, l
	go func() { _ = server.Serve(l) }() // ends by close
	return nil
}

// close breaks all connections off. The socket stays in the folder after a
// crash, and goes with an orderly end.
func (p *proxy) close(crash bool) {
	p.mu.Lock()
	server := p.server
	p.listener.SetUnlinkOnClose(!crash)
	p.mu.Unlock()
	_ = server.Close()
	p.transport.CloseIdleConnections()
}

// begin forgets what has been seen, and gives what is unlike from run to run
// a name: pairs of text and name.
func (p *proxy) begin(position func() string, t *trap, pairs ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.position, p.trap = position, t
	p.counts, p.seen, p.known = map[call]int{}, nil, nil
	p.learn(pairs...)
}

func (p *proxy) learn(pairs ...string) {
	p.known = append(pairs, p.known...)
	p.names = strings.NewReplacer(p.known...)
}

// requests are the instants that the program has passed since begin.
func (p *proxy) requests() []instant {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]instant(nil), p.seen...)
}

// RoundTrip passes a request on.
func (p *proxy) RoundTrip(r *http.Request) (*http.Response, error) {
	at := p.note(r)
	if err := p.pass(r.Context(), at, before); err != nil {
		return nil, err
	}
	res, err := p.send(r, at)
	if err != nil {
		return nil, err
	}
	if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/images/create") {
		res.Body = &pulled{ReadCloser: res.Body, proxy: p, ctx: r.Context(), at: at}
		return res, nil
	}
	if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/containers/create") {
		if err := p.created(r, res); err != nil {
			return nil, err
		}
	}
	if err := p.pass(r.Context(), at, after); err != nil {
		res.Body.Close()
		return nil, err
	}
	return res, nil
}

// send passes a request on. That the engine is at it is known from its last
// byte having been sent; a pull tells by itself.
func (p *proxy) send(r *http.Request, at instant) (*http.Response, error) {
	if !at.changes() || strings.HasSuffix(r.URL.Path, "/images/create") {
		return p.transport.RoundTrip(r)
	}
	sent := make(chan struct{})
	trace := &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) {
		if conn, ok := i.Conn.(*engineConn); ok {
			conn.sent.Store(&sent)
		}
	}}
	type answer struct {
		*http.Response
		error
	}
	answered := make(chan answer, 1)
	go func() {
		res, err := p.transport.RoundTrip(r.WithContext(httptrace.WithClientTrace(r.Context(), trace)))
		answered <- answer{res, err}
	}()
	var a answer
	select {
	case <-sent:
	case a = <-answered:
		select {
		case <-sent: // the engine was quicker than we were
		default:
			return a.Response, a.error
		}
		answered <- a
	}
	if err := p.pass(r.Context(), at, amid); err != nil {
		return nil, err // with the request's context its connection ends
	}
	a = <-answered
	return a.Response, a.error
}

// engineConn tells when something has been sent.
type engineConn struct {
	net.Conn
	sent atomic.Pointer[chan struct{}]
}

func (c *engineConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if sent := c.sent.Swap(nil); sent != nil {
		close(*sent)
	}
	return n, err
}

func versionPrefix(path string) string {
	return regexp.MustCompile(`^/v1\.\d+`).ReplaceAllString(path, "")
}

// note counts a request.
func (p *proxy) note(r *http.Request) instant {
	p.mu.Lock()
	defer p.mu.Unlock()
	what := r.Method + " " + versionPrefix(r.URL.Path)
	if name := r.URL.Query().Get("name"); name != "" {
		what += " " + name
	}
	what = regexp.MustCompile(`\b[0-9a-f]{64}\b`).ReplaceAllString(p.names.Replace(what), "ID")
	c := call{Step: p.position(), What: what}
	p.counts[c]++
	return instant{call: c, N: p.counts[c]}
}

// created gives a new container's id a name: its own.
func (p *proxy) created(r *http.Request, res *http.Response) error {
	body, err := io.ReadAll(res.Body)
	res.Body.Close()
	res.Body = io.NopCloser(bytes.NewReader(body))
	if err != nil {
		return err
	}
	var made struct{ ID string }
	if json.Unmarshal(body, &made) == nil && made.ID != "" {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.learn(made.ID, p.names.Replace(r.URL.Query().Get("name"))+"'s")
	}
	return nil
}

// pass lets an instant go by, unless it is to be held.
func (p *proxy) pass(ctx context.Context, at instant, side string) error {
	at.Side = side
	p.mu.Lock()
	p.seen = append(p.seen, at)
	t := p.trap
	p.mu.Unlock()
	if t == nil || t.at != at {
		return ctx.Err()
	}
	first := false
	t.once.Do(func() { first = true; close(t.hit) })
	if !first {
		return ctx.Err()
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case on := <-t.free:
		if !on {
			return errDropped
		}
		return ctx.Err()
	}
}

// pulled is the stream of a pull.
type pulled struct {
	io.ReadCloser
	proxy *proxy
	ctx   context.Context
	at    instant
	begun bool
}

func (b *pulled) Read(buf []byte) (int, error) {
	n, err := b.ReadCloser.Read(buf)
	if !b.begun && bytes.Contains(buf[:n], []byte("Pulling fs layer")) {
		b.begun = true
		if err := b.proxy.pass(b.ctx, b.at, amid); err != nil {
			return 0, err
		}
	}
	if errors.Is(err, io.EOF) {
		if err := b.proxy.pass(b.ctx, b.at, after); err != nil {
			return 0, err
		}
	}
	return n, err
}
