package registry_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/watch-docker/watch-docker/internal/image"
	"github.com/watch-docker/watch-docker/internal/registry"
)

func TestAHundredAskersShareOneRequest(t *testing.T) {
	n := newNetwork(t)
	s := n.site("reg.example.com")
	want, config := s.image("app", "v1")
	release := make(chan struct{})
	s.handle(func(http.ResponseWriter, *http.Request) bool { <-release; return false })
	b := n.client(registry.Options{}).Batch(nil)
	var wg, started sync.WaitGroup
	for range 100 {
		started.Add(1)
		wg.Go(func() {
			started.Done()
			if m, err := b.Head(t.Context(), s.ref("app:v1")); err != nil || m.Digest != want {
				t.Errorf("Head = %+v, %v", m, err)
			}
		})
	}
	started.Wait()
	time.AfterFunc(50*time.Millisecond, func() { close(release) }) // all are in the queue, or will find the answer; without a cache only the first kind counts
	wg.Wait()
	s.wantRequests(1)
	for range 100 {
		wg.Go(func() {
			if r, err := b.Resolve(t.Context(), s.ref("app:v1"), want, platformOf("linux/amd64")); err != nil || r.ConfigDigest != config {
				t.Errorf("Resolve = %+v, %v", r, err)
			}
		})
	}
	wg.Wait()
	s.wantRequests(2) // the manifest and its configuration
}

func TestNoMoreRequestsThanAllowedAreUnderWay(t *testing.T) {
	n := newNetwork(t)
	var now, most atomic.Int32
	count := func(next http.Handler) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if c := now.Add(1); c > most.Load() {
				most.Store(c)
			}
			time.Sleep(5 * time.Millisecond)
			next.ServeHTTP(w, r)
			now.Add(-1)
		}
	}
	ts := n.tokens("auth.example.com")
	var refs []image.Reference
	for i := range 3 {
		s := newSite(t, fmt.Sprintf("reg%d.example.com", i))
		s.handle(ts.guard)
		n.serve(s.host, count(s))
		refs = append(refs, s.many(20)...)
	}
	mustScan(t, n.client(registry.Options{Concurrency: 3}), refs...)
	if most.Load() > 3 {
		t.Errorf("%d requests were under way at once, want at most 3", most.Load())
	}
}

// panicking is a source that panics when it is asked first, once told to.
type panicking struct {
	asked chan struct{}
	now   chan struct{}
	once  sync.Once
}

func (p *panicking) Credential(context.Context, string) (registry.Credential, error) {
	p.once.Do(func() {
		close(p.asked)
		<-p.now
		panic("a bug")
	})
	return registry.Credential{}, nil
}

func TestAPanicInTheFirstContactLetsTheOthersGoOn(t *testing.T) {
	n, s, _ := guarded(t)
	refs := s.many(5)
	source := &panicking{asked: make(chan struct{}), now: make(chan struct{})}
	b := n.client(registry.Options{Credentials: source}).Batch(refs)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() {
		defer func() {
			if recover() == nil {
				t.Error("there was no panic")
			}
		}()
		_, _ = b.Head(ctx, refs[0])
	})
	<-source.asked
	for _, ref := range refs[1:] {
		wg.Go(func() {
			if _, err := b.Head(ctx, ref); err != nil {
				t.Errorf("%s: %v", ref, err)
			}
		})
	}
	close(source.now)
	wg.Wait()
}

func TestARegistryThatSays429IsLeftAloneAsAWhole(t *testing.T) {
	soon := time.Now().Add(10 * time.Minute).UTC().Truncate(time.Second)
	for name, c := range map[string]struct {
		retryAfter string
		min, max   time.Duration
	}{
		"for some seconds":       {"120", 2 * time.Minute, 2*time.Minute + time.Second},
		"until a date":           {soon.Format(http.TimeFormat), 9 * time.Minute, 10 * time.Minute},
		"it doesn't say":         {"", time.Minute, 66 * time.Second},
		"it says nonsense":       {"soon", time.Minute, 66 * time.Second},
		"it says now":            {"0", time.Minute, 66 * time.Second},
		"for longer than a life": {"99999999999", 24 * time.Hour, 24*time.Hour + time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNetwork(t)
			s, other := n.site("reg.example.com"), n.site("other.example.com")
			s.handle(func(w http.ResponseWriter, _ *http.Request) bool {
				if c.retryAfter != "" {
					w.Header().Set("Retry-After", c.retryAfter)
				}
				w.WriteHeader(http.StatusTooManyRequests)
				return true
			})
			mem := &memory{}
			start := time.Now()
			refs, others := s.many(20), other.many(5)
			client := n.client(registry.Options{Memory: mem, ErrorTTL: time.Minute})
			errs := scan(t, client, append(refs, others...)...)
			for _, err := range errs[:20] {
				e := wantCode(t, err, registry.CodeRateLimited, "left alone until")
				if wait := e.Until.Sub(start); wait < c.min || wait > c.max+time.Since(start) {
					t.Fatalf("left alone for %v, want %v to %v", wait, c.min, c.max)
				}
			}
			for _, err := range errs[20:] {
				if err != nil {
					t.Error(err)
				}
			}
			s.wantRequests(1)
			other.wantRequests(5)
			_, err := client.Batch(nil).Resolve(t.Context(), refs[0], "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", platformOf("linux/amd64"))
			wantCode(t, err, registry.CodeRateLimited)
			client.Forget()
			_ = scan(t, client, refs...)
			_ = scan(t, n.client(registry.Options{Memory: mem}), refs...) // a restart
			s.wantRequests(0)
		})
	}
}

func TestPausesGrowUntilAGoodAnswer(t *testing.T) {
	n := newNetwork(t)
	s := n.site("reg.example.com")
	ref := s.many(1)[0]
	var refuse atomic.Bool
	s.handle(func(w http.ResponseWriter, _ *http.Request) bool {
		if refuse.Load() {
			w.WriteHeader(http.StatusTooManyRequests)
		}
		return refuse.Load()
	})
	now := time.Now()
	client := n.client(registry.Options{Now: func() time.Time { return now }})
	pause := func() time.Duration {
		_, err := client.Batch(nil).Head(t.Context(), ref)
		until := wantCode(t, err, registry.CodeRateLimited).Until
		defer func() { now = until }()
		return until.Sub(now)
	}
	refuse.Store(true)
	for i, want := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
		if got := pause(); got < want*time.Minute || got > want*time.Minute*11/10 {
			t.Errorf("pause %d is %v, want about %d min", i+1, got, want)
		}
	}
	refuse.Store(false)
	mustScan(t, client, ref)
	refuse.Store(true)
	if got := pause(); got > 2*time.Minute {
		t.Errorf("the first pause after a good answer is %v", got)
	}
}

func TestA429BehindRequestsUnderWayStopsTheRest(t *testing.T) {
	n := newNetwork(t)
	s := n.site("reg.example.com")
	var served atomic.Int32
	s.handle(func(w http.ResponseWriter, _ *http.Request) bool {
		if served.Add(1) <= 10 {
			return false
		}
		w.WriteHeader(http.StatusTooManyRequests)
		return true
	})
	errs := scan(t, n.client(registry.Options{Concurrency: 4}), s.many(100)...)
	limited := 0
	for _, err := range errs {
		if err != nil {
			wantCode(t, err, registry.CodeRateLimited)
			limited++
		}
	}
	if asked := len(s.asked()); asked > 10+4 || limited != 90 {
		t.Errorf("%d requests, %d references limited", asked, limited)
	}
}

func TestA429OfTheTokenServerCountsForItsRegistry(t *testing.T) {
	n, s, ts := guarded(t)
	ts.respond = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "300")
		w.WriteHeader(http.StatusTooManyRequests)
	}
	mem := &memory{}
	for _, err := range scan(t, n.client(registry.Options{Memory: mem}), s.many(10)...) {
		wantCode(t, err, registry.CodeRateLimited)
	}
	s.wantRequests(1)
	ts.wantRequests(1)
	if mem.host("reg.example.com").PausedUntil.IsZero() {
		t.Error("the pause isn't remembered")
	}
}

func TestRateLimitsAreShown(t *testing.T) {
	n := newNetwork(t)
	s := n.site("registry-1.docker.io")
	s.host = "docker.io"
	s.handle(func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("RateLimit-Limit", "100;w=21600")
		w.Header().Set("RateLimit-Remaining", "76;w=21600")
		w.Header().Set("Docker-RateLimit-Source", "192.0.2.1")
		return false
	})
	client := n.client(registry.Options{})
	mustScan(t, client, s.many(1)...)
	_ = scan(t, client, s.ref("gone"))
	infos := client.Hosts()
	if len(infos) != 1 || infos[0].Host != "docker.io" || infos[0].RateLimit == nil {
		t.Fatalf("Hosts = %+v", infos)
	}
	if l := infos[0].RateLimit; l.Limit != 100 || l.Remaining != 76 || l.Window != 6*time.Hour || l.Source != "192.0.2.1" {
		t.Errorf("limit %+v", l)
	}
}

func TestAHangingHostCostsOneTurnAndDelaysNobody(t *testing.T) {
	n := newNetwork(t)
	s, other := n.site("reg.example.com"), n.site("other.example.com")
	release := make(chan struct{})
	s.handle(func(http.ResponseWriter, *http.Request) bool { <-release; return true })
	defer close(release)
	const timeout = 1500 * time.Millisecond
	client := n.client(registry.Options{Concurrency: 2, Timeout: timeout, ErrorTTL: time.Minute})
	start := time.Now()
	b := client.Batch(nil)
	var wg sync.WaitGroup
	for _, ref := range s.many(30) {
		wg.Go(func() {
			_, err := b.Head(t.Context(), ref)
			e := wantCodeLater(t, err, registry.CodeUnreachable)
			if e != nil && e.Reference != ref.String() {
				t.Errorf("reference %s, want %s", e.Reference, ref)
			}
		})
	}
	for _, ref := range other.many(30) {
		wg.Go(func() {
			if _, err := b.Head(t.Context(), ref); err != nil {
				t.Error(err)
			}
			if took := time.Since(start); took >= timeout {
				t.Errorf("%s took %v", ref, took)
			}
		})
	}
	wg.Wait()
	if took := time.Since(start); took > 2*timeout {
		t.Errorf("the scan took %v", took)
	}
	s.wantRequests(1)
	if infos := client.Hosts(); infos[1].LastError == "" || infos[0].LastError != "" {
		t.Errorf("Hosts = %+v", infos)
	}
}

func TestAHostThatDiesIsNotAskedByThoseInTheQueue(t *testing.T) {
	n := newNetwork(t)
	s := n.site("reg.example.com")
	release := make(chan struct{})
	defer close(release)
	var served atomic.Int32
	s.handle(func(http.ResponseWriter, *http.Request) bool {
		if served.Add(1) > 5 {
			<-release
		}
		return false
	})
	dead := 0
	for _, err := range scan(t, n.client(registry.Options{Concurrency: 2, Timeout: time.Second}), s.many(30)...) {
		if err != nil {
			wantCode(t, err, registry.CodeUnreachable, "did not answer within 1s")
			dead++
		}
	}
	if dead != 25 {
		t.Errorf("%d references failed, want 25", dead)
	}
	s.wantRequests(5 + 2)
}

func wantCodeLater(t *testing.T, err error, code string) *registry.Error {
	e, ok := errors.AsType[*registry.Error](err)
	if !ok || e.Code != code {
		t.Errorf("error %v, want code %s", err, code)
		return nil
	}
	return e
}

func TestADeadHostIsTriedThreeTimesForAll(t *testing.T) {
	n := newNetwork(t)
	n.point("reg.example.com", "127.0.0.1:1")
	s := newSite(t, "reg.example.com")
	for _, err := range scan(t, n.client(registry.Options{}), s.many(20)...) {
		wantCode(t, err, registry.CodeUnreachable, "refuses connections")
	}
	if got := n.dialled("reg.example.com:443"); got != 3 {
		t.Errorf("dialled %d times, want 3", got)
	}
}

func TestAnUnknownNameIsSaid(t *testing.T) {
	c := registry.New(registry.Options{DialContext: func(_ context.Context, _, addr string) (net.Conn, error) {
		return nil, &net.DNSError{Err: "no such host", Name: addr, IsNotFound: true}
	}})
	_, err := c.Batch(nil).Head(t.Context(), newSite(t, "reg.example.com").ref("app"))
	wantCode(t, err, registry.CodeUnreachable, "not known to the name server")
}

func TestTroubleThatPassesIsWaitedFor(t *testing.T) {
	for name, c := range map[string]struct {
		fault    func(w http.ResponseWriter)
		requests int
		ok       bool
	}{
		"503 with a short Retry-After": {func(w http.ResponseWriter) { w.Header().Set("Retry-After", "1"); w.WriteHeader(503) }, 2, true},
		"503 with a long Retry-After":  {func(w http.ResponseWriter) { w.Header().Set("Retry-After", "60"); w.WriteHeader(503) }, 1, false},
		"500":                          {func(w http.ResponseWriter) { w.WriteHeader(500) }, 2, true},
		"a cut connection":             {func(http.ResponseWriter) { panic(http.ErrAbortHandler) }, 2, true},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNetwork(t)
			s := newSite(t, "reg.example.com")
			server := n.serve(s.host, s)
			server.TLS.NextProtos = []string{"http/1.1"}
			var failed atomic.Bool
			s.handle(func(w http.ResponseWriter, _ *http.Request) bool {
				first := failed.CompareAndSwap(false, true)
				if first {
					c.fault(w)
				}
				return first
			})
			errs := scan(t, n.client(registry.Options{}), s.many(1)...)
			if c.ok && errs[0] != nil {
				t.Error(errs[0])
			}
			if !c.ok {
				wantCode(t, errs[0], registry.CodeUnreachable, "503")
			}
			s.wantRequests(c.requests)
		})
	}
}

func TestTroubleThatStaysIsGivenUp(t *testing.T) {
	n := newNetwork(t)
	s := n.site("reg.example.com")
	s.handle(func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(http.StatusBadGateway); return true })
	for _, err := range scan(t, n.client(registry.Options{}), s.many(20)...) {
		wantCode(t, err, registry.CodeUnreachable, "502")
	}
	s.wantRequests(3) // the first one's, for all
}

func TestAnswersAndErrorsAreKeptForTheirTime(t *testing.T) {
	n := newNetwork(t)
	s := n.site("reg.example.com")
	refs := append(s.many(2), s.ref("gone"))
	now := time.Now()
	client := n.client(registry.Options{CacheTTL: 5 * time.Minute, ErrorTTL: 30 * time.Second, Now: func() time.Time { return now }})
	for _, c := range []struct {
		after time.Duration
		want  int
	}{{0, 3}, {20 * time.Second, 0}, {11 * time.Second, 1}, {5 * time.Minute, 3}} {
		now = now.Add(c.after)
		scan(t, client, refs...)
		s.wantRequests(c.want)
	}
	client.Forget(refs[0])
	scan(t, client, refs...)
	s.wantRequests(1)
	client.Forget()
	scan(t, client, refs...)
	s.wantRequests(3)
}

func TestACancelledQuestionIsNotKept(t *testing.T) {
	n := newNetwork(t)
	s := n.site("reg.example.com")
	client := n.client(registry.Options{CacheTTL: time.Minute, ErrorTTL: time.Minute})
	ref := s.many(1)[0]
	ctx, cancel := context.WithCancel(t.Context())
	s.handle(func(_ http.ResponseWriter, r *http.Request) bool { cancel(); <-r.Context().Done(); return true })
	if _, err := client.Batch(nil).Head(ctx, ref); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	s.handle(nil)
	mustScan(t, client, ref)
}

func TestLoopbackMaySpeakPlainHTTP(t *testing.T) {
	s := newSite(t, "")
	server := httptest.NewServer(s)
	defer server.Close()
	s.host = addrOf(t, server)
	mem := &memory{}
	refs := s.many(5)
	client := registry.New(registry.Options{Memory: mem})
	defer client.Close()
	mustScan(t, client, refs...)
	s.wantRequests(5)
	if got := mem.host(s.host).Scheme; got != "http" {
		t.Errorf("remembered scheme %q", got)
	}
}

func TestAnInsecureHostsSchemeIsFoundAgain(t *testing.T) {
	n := newNetwork(t)
	s := n.site("reg.example.com")
	mem := &memory{hosts: map[string]registry.HostState{"reg.example.com:443": {Scheme: "http"}}}
	s.host = "reg.example.com:443"
	client := registry.New(registry.Options{DialContext: n.dial, Memory: mem, Insecure: []string{"Reg.example.com:443"}}) // without the authority
	defer client.Close()
	mustScan(t, client, s.many(5)...)
	if got := mem.host(s.host).Scheme; got != "https" {
		t.Errorf("remembered scheme %q", got)
	}
}

func TestAnOrdinaryHostsCertificateIsVerified(t *testing.T) {
	n := newNetwork(t)
	s := n.site("reg.example.com")
	client := registry.New(registry.Options{DialContext: n.dial})
	defer client.Close()
	_, err := client.Batch(nil).Head(t.Context(), s.ref("app"))
	wantCode(t, err, registry.CodeUnreachable, "can't be trusted", "registry.insecure")

	plain := newSite(t, "plain.example.com")
	server := httptest.NewServer(plain)
	defer server.Close()
	n.point("plain.example.com", addrOf(t, server))
	_, err = client.Batch(nil).Head(t.Context(), plain.ref("app"))
	wantCode(t, err, registry.CodeUnreachable, "plain HTTP", "registry.insecure")
	s.wantRequests(0)
	plain.wantRequests(0)
}

func TestTokensWorkOverPlainHTTPOnLoopback(t *testing.T) {
	n := newNetwork(t)
	s := newSite(t, "")
	server := httptest.NewServer(s)
	defer server.Close()
	s.host = addrOf(t, server)
	ts := n.tokens("auth.example.com")
	auth := httptest.NewServer(ts)
	defer auth.Close()
	ts.realm, ts.user, ts.password = auth.URL+"/token", "bob", "x"
	s.handle(ts.guard)
	mustScan(t, n.client(registry.Options{Credentials: credentialsFor(s.host, "bob", "x")}), s.many(3)...)
	s.wantRequests(4)
	ts.wantRequests(1)
}

// failing is a Memory that doesn't work.
type failing struct{}

func (failing) Host(context.Context, string) (registry.HostState, bool, error) {
	return registry.HostState{}, false, errors.New("disk full")
}
func (failing) SaveHost(context.Context, string, registry.HostState) error {
	return errors.New("disk full")
}
func (failing) Resolution(context.Context, string, string) (registry.Resolved, bool, error) {
	return registry.Resolved{}, false, errors.New("disk full")
}
func (failing) SaveResolution(context.Context, string, string, registry.Resolved) error {
	return errors.New("disk full")
}

func TestAMemoryThatFailsCostsNothingButRequests(t *testing.T) {
	n, s, _ := guarded(t)
	dgst, _ := s.image("app", "latest")
	b := n.client(registry.Options{Memory: failing{}}).Batch(nil)
	if _, err := b.Head(t.Context(), s.ref("app")); err != nil {
		t.Error(err)
	}
	if _, err := b.Resolve(t.Context(), s.ref("app"), dgst, platformOf("linux/amd64")); err != nil {
		t.Error(err)
	}
}
