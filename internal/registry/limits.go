package registry

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	firstPause = time.Minute
	maxPause   = time.Hour
	// A registry that wants to be left alone for longer than a day has a wrong clock.
	maxRetryAfter = 24 * time.Hour
	// A server in trouble that wants to be asked again within this is waited for.
	maxRetryWait = 10 * time.Second
)

// limited lets only so many requests be under way at once, and bounds each
// one's time. Both count from the request's turn, not from its place in the
// queue, and a request that waits for its next try holds no turn.
type limited struct {
	next    http.RoundTripper
	slots   chan struct{}
	timeout time.Duration
}

func (l *limited) RoundTrip(req *http.Request) (*http.Response, error) {
	fail := func(err error) (*http.Response, error) {
		if req.Body != nil {
			_ = req.Body.Close() // as http.RoundTripper has to
		}
		return nil, err
	}
	select {
	case l.slots <- struct{}{}:
	case <-req.Context().Done():
		return fail(req.Context().Err())
	}
	ctx, cancel := context.WithTimeout(req.Context(), l.timeout)
	release := sync.OnceFunc(func() { cancel(); <-l.slots })
	if err := admitted(ctx); err != nil {
		release()
		return fail(err)
	}
	resp, err := l.next.RoundTrip(req.WithContext(ctx))
	if err != nil {
		release()
		return nil, err
	}
	resp.Body = &releasingBody{resp.Body, release}
	return resp, nil
}

type releasingBody struct {
	io.ReadCloser
	release func()
}

func (b *releasingBody) Close() error {
	defer b.release()
	return b.ReadCloser.Close()
}

type admissionKey struct{}

// withAdmission has a request ask once more, when its turn has come, whether
// it may still be sent: the host may have died or said 429 in the meantime.
func withAdmission(ctx context.Context, admit func() error) context.Context {
	return context.WithValue(ctx, admissionKey{}, admit)
}

func admitted(ctx context.Context) error {
	if admit, ok := ctx.Value(admissionKey{}).(func() error); ok {
		return admit()
	}
	return nil
}

// contact is how a batch gets on with one host. The first request goes alone:
// a host that hangs costs one turn, and one 401 is enough to learn from.
type contact struct {
	mu        sync.Mutex
	first     chan struct{} // closed when the first request is over; nil while there is none
	alive     bool          // it has answered
	dead      *Error        // nothing more is asked of it
	confirmed Challenge     // what it asked for in this batch
}

// enter waits for the first request, or is told to be it. Every successful
// enter is followed by leave.
func (k *contact) enter(ctx context.Context) (first bool, err error) {
	for {
		k.mu.Lock()
		wait := k.first
		switch {
		case k.dead != nil:
			err = k.dead
		case k.alive:
		case wait == nil:
			first = true
			k.first = make(chan struct{})
		default:
			k.mu.Unlock()
			select {
			case <-wait:
				continue
			case <-ctx.Done():
				return false, ctx.Err()
			}
		}
		k.mu.Unlock()
		return first, err
	}
}

func (k *contact) leave(first bool, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if e, ok := errors.AsType[*Error](err); ok && e.hostwide && k.dead == nil {
		k.dead = e
	}
	if first {
		k.alive = !ended(err)
		close(k.first)
		k.first = nil
	}
}

func (k *contact) failure() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.dead == nil {
		return nil
	}
	return k.dead
}

// retryAfter reads a Retry-After header: seconds or a date (RFC 9110, 10.2.3).
// ok is false if there is none, or none in the future.
func retryAfter(header http.Header, now time.Time) (wait time.Duration, ok bool) {
	value := strings.TrimSpace(header.Get("Retry-After"))
	if seconds, err := strconv.ParseInt(value, 10, 64); err == nil {
		wait = time.Duration(min(seconds, int64(maxRetryAfter/time.Second))) * time.Second
	} else if date, err := http.ParseTime(value); err == nil {
		wait = date.Sub(now)
	}
	return min(wait, maxRetryAfter), wait > 0
}

// pauseFor is how long a host is left alone that said 429 and not for how
// long, after so many earlier pauses.
func pauseFor(earlier int) time.Duration {
	wait := maxPause
	if earlier < 6 {
		wait = min(firstPause<<earlier, maxPause)
	}
	// Two hosts behind one address shouldn't come back together.
	return wait + rand.N(wait/10) //nolint:gosec // nothing secret about it
}

// parseRateLimit reads Docker Hub's headers: "100;w=21600" is 100 in 21600 s
// (docs.docker.com/docker-hub/usage/pulls). It returns nil without them.
func parseRateLimit(header http.Header, now time.Time) *RateLimit {
	limit, window, ok := quota(header.Get("RateLimit-Limit"))
	remaining, w, ok2 := quota(header.Get("RateLimit-Remaining"))
	if !ok && !ok2 {
		return nil
	}
	return &RateLimit{Limit: limit, Remaining: remaining, Window: max(window, w), Source: printable(header.Get("Docker-RateLimit-Source"), 100), At: now}
}

func quota(value string) (n int, window time.Duration, ok bool) {
	count, params, _ := strings.Cut(value, ";")
	n, err := strconv.Atoi(strings.TrimSpace(count))
	if err != nil || n < 0 {
		return 0, 0, false
	}
	for param := range strings.SplitSeq(params, ";") {
		if w, found := strings.CutPrefix(strings.TrimSpace(param), "w="); found {
			if seconds, err := strconv.Atoi(w); err == nil && seconds > 0 {
				window = time.Duration(seconds) * time.Second
			}
		}
	}
	return n, window, true
}
