package testbed

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"sync"
	"time"
)

// A Request is one that arrived at a registry, a token server or an engine.
type Request struct {
	Time      time.Time
	Method    string
	Path      string // "/v2/shop/web/manifests/1.27"; at an engine without the version: "/containers/json"
	Query     string // raw
	UserAgent string
	Status    int // 0 while it's unanswered
}

// String is "METHOD path".
func (r Request) String() string { return r.Method + " " + r.Path }

// A front is an HTTP server before something real, or in its place. It
// records what arrives and misbehaves when told to. It may listen at several
// places at once.
type front struct {
	addr     string      // "127.0.0.1:port", or a path
	cert     *tls.Config // nil for plain HTTP; http.Server fills in its own
	server   *http.Server
	serving  sync.WaitGroup
	truncate func(path string) string // how requests are recorded; nil leaves them
	behind   *http.Transport          // nil if the front is all there is

	mu       sync.Mutex
	requests []*Request
	faults   []*Fault
}

// newFront makes a front that answers with handler.
func newFront(handler http.Handler, cert *tls.Config) *front {
	f := &front{cert: cert}
	f.server = &http.Server{
		Handler:           f.around(handler),
		TLSConfig:         cert.Clone(),
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          nowhere(),
	}
	return f
}

// newSocketFront makes a front that hands on to a server on a unix socket.
func newSocketFront(socket string, cert *tls.Config) *front {
	transport := socketTransport(socket)
	f := newFront(passOn(transport), cert)
	f.behind = transport
	return f
}

// listen makes f listen at a free port of 127.0.0.1.
func (f *front) listen(ctx context.Context) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen on loopback: %w", err)
	}
	f.addr = l.Addr().String()
	f.serve(l)
	return nil
}

func (f *front) serve(l net.Listener) {
	f.serving.Go(func() {
		if f.cert != nil {
			_ = f.server.ServeTLS(l, "", "") // always ends by close
			return
		}
		_ = f.server.Serve(l)
	})
}

func (f *front) scheme() string {
	if f.cert != nil {
		return "https"
	}
	return "http"
}

// close lets requests under way come to an end, but not for long: an event
// stream has none.
func (f *front) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	err := f.server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = f.server.Close()
	}
	f.serving.Wait()
	if f.behind != nil {
		f.behind.CloseIdleConnections()
	}
	return err
}

// Requests are those that have arrived since the last Reset, in order.
func (f *front) Requests() []Request {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := make([]Request, len(f.requests))
	for i, r := range f.requests {
		list[i] = *r
	}
	return list
}

// Count is how many requests have arrived since the last Reset.
func (f *front) Count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.requests)
}

// Reset forgets the requests so far. Faults stay.
func (f *front) Reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests = nil
}

// Inject adds a fault. Of several that match a request, the first injected
// counts. Remove takes it out again, and lets go what it holds back.
func (f *front) Inject(fault Fault) (remove func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fault.over = make(chan struct{})
	f.faults = append(f.faults, &fault)
	if fault.Times == 0 {
		fault.Times = -1
	}
	return sync.OnceFunc(func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.faults = slices.DeleteFunc(f.faults, func(other *Fault) bool { return other == &fault })
		close(fault.over)
	})
}

// ClearFaults removes all faults.
func (f *front) ClearFaults() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = nil
}

// around records and disturbs what goes to handler.
func (f *front) around(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := &answer{ResponseWriter: w, front: f, request: f.record(r)}
		fault := f.faultFor(r, answer.request)
		if fault == nil {
			handler.ServeHTTP(answer, r)
			return
		}
		fault.answer(answer, r, handler)
	})
}

func (f *front) record(r *http.Request) *Request {
	req := &Request{
		Time: time.Now().UTC(), Method: r.Method, Path: r.URL.Path,
		Query: r.URL.RawQuery, UserAgent: r.UserAgent(),
	}
	if f.truncate != nil {
		req.Path = f.truncate(req.Path)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests = append(f.requests, req)
	return req
}

// faultFor finds the fault for r and counts it down; nil is none.
func (f *front) faultFor(r *http.Request, recorded *Request) *Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, fault := range f.faults {
		if fault.Times == 0 || !fault.matches(r, *recorded) {
			continue
		}
		if fault.Skip > 0 {
			fault.Skip--
			continue
		}
		if fault.Times > 0 {
			fault.Times--
		}
		return fault
	}
	return nil
}

// An answer notes the status before the client can see it, so that who has
// its answer finds the request complete.
type answer struct {
	http.ResponseWriter
	front   *front
	request *Request
	strip   []string
	written bool
}

// arrived is the request as it was recorded.
func (a *answer) arrived() Request {
	a.front.mu.Lock()
	defer a.front.mu.Unlock()
	return *a.request
}

func (a *answer) WriteHeader(status int) {
	if !a.written && (status >= 200 || status == http.StatusSwitchingProtocols) {
		a.written = true
		a.front.mu.Lock()
		a.request.Status = status
		a.front.mu.Unlock()
		for _, key := range a.strip {
			a.Header().Del(key)
		}
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(p []byte) (int, error) {
	if !a.written {
		a.WriteHeader(http.StatusOK)
	}
	return a.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController flush and hijack.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// passOn is a handler that hands requests on, with the client's Host, and
// streams and upgraded connections as they are.
func passOn(transport *http.Transport) http.Handler {
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: "socket"})
			r.Out.Host = r.In.Host
			r.SetXForwarded() // the registry makes its URLs of X-Forwarded-Proto
			r.Out.Header.Del("X-Forwarded-For")
		},
		Transport:     transport,
		FlushInterval: -1,
		ErrorLog:      nowhere(),
	}
}

// socketTransport makes all its requests to one unix socket.
func socketTransport(socket string) *http.Transport {
	return &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
		DisableCompression:  true,
		MaxIdleConnsPerHost: 32,
		IdleConnTimeout:     10 * time.Second,
	}
}
