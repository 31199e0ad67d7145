package testbed

import (
	"context"
	"io"
	"net/http"
	"path"
	"time"
)

// A Fault is how a front answers instead of, or on the way to, what is
// behind it. The zero value passes every request on.
type Fault struct {
	// Method limits the fault to one method; empty is any.
	Method string
	// Path limits it to paths that match this pattern (as path.Match has it,
	// so that * ends at a slash): "/v2/shop/*/manifests/*". Empty is any.
	Path string
	// Skip lets so many requests through first that would be met.
	Skip int
	// Times limits it to so many requests; 0 is no limit.
	Times int

	// Hook is called when a request is met, which waits for it to return:
	// the moment to act as somebody else.
	Hook func(Request)
	// Done lets what is behind do what was asked before the fault is made of
	// its answer: a request that was done, and whoever asked doesn't know.
	Done bool
	// Latency passes before the request is passed on, or with Done before the answer.
	Latency time.Duration
	// Drop closes the connection without an answer.
	Drop bool
	// Status is the answer, with Header and Body; 0 asks what is behind.
	Status int
	Header http.Header
	Body   string
	// Strip are headers taken out of the answer of what is behind:
	// "Docker-Content-Digest".
	Strip []string
}

func (f *Fault) matches(r *http.Request) bool {
	if f.Method != "" && f.Method != r.Method {
		return false
	}
	if f.Path == "" {
		return true
	}
	ok, err := path.Match(f.Path, r.URL.Path)
	return ok && err == nil
}

func (f *Fault) answer(w *answer, r *http.Request, handler http.Handler) {
	if f.Hook != nil {
		f.Hook(w.arrived())
	}
	if f.Done {
		handler.ServeHTTP(unheard{}, r)
	}
	if !pause(r.Context(), f.Latency) || f.Drop {
		panic(http.ErrAbortHandler) // closes the connection
	}
	w.strip = f.Strip
	if f.Status == 0 {
		handler.ServeHTTP(w, r)
		return
	}
	for key, values := range f.Header {
		w.Header()[http.CanonicalHeaderKey(key)] = values
	}
	w.WriteHeader(f.Status)
	_, _ = io.WriteString(w, f.Body)
}

// unheard is where the answer to a request goes that nobody shall see.
type unheard http.Header

func (u unheard) Header() http.Header         { return http.Header(u) }
func (u unheard) WriteHeader(int)             {}
func (u unheard) Write(p []byte) (int, error) { return len(p), nil }

// pause waits for d, and says whether ctx allowed it to.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
