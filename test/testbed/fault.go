package testbed

import (
	"bytes"
	"context"
	"io"
	"maps"
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
	// If limits it to requests for which it says yes. It is asked last, one
	// request after the other, and must not call back.
	If func(Request) bool
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

	over chan struct{} // closed when it is removed
}

func (f *Fault) matches(r *http.Request, recorded Request) bool {
	if f.Method != "" && f.Method != r.Method {
		return false
	}
	if f.Path != "" {
		if ok, err := path.Match(f.Path, r.URL.Path); !ok || err != nil {
			return false
		}
	}
	return f.If == nil || f.If(recorded)
}

func (f *Fault) answer(w *answer, r *http.Request, handler http.Handler) {
	if f.Hook != nil {
		f.Hook(w.arrived())
	}
	if f.Done {
		done := &held{header: http.Header{}, status: http.StatusOK}
		handler.ServeHTTP(done, r)
		handler = done
	}
	if !pause(r.Context(), f.Latency, f.over) || f.Drop {
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

// held is an answer that is kept back.
type held struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (h *held) Header() http.Header         { return h.header }
func (h *held) WriteHeader(status int)      { h.status = status }
func (h *held) Write(p []byte) (int, error) { return h.body.Write(p) }

// ServeHTTP gives it after all.
func (h *held) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	maps.Copy(w.Header(), h.header)
	w.WriteHeader(h.status)
	_, _ = w.Write(h.body.Bytes())
}

// pause waits for d, and says whether ctx allowed it to.
func pause(ctx context.Context, d time.Duration, over <-chan struct{}) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-over:
		return true
	case <-ctx.Done():
		return false
	}
}
