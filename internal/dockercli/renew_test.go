package dockercli_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/watch-docker/watch-docker/internal/dockercli"
)

// upgradable is an engine of one API version, of which a test makes another:
// no real one can be upgraded under a client within a test.
type upgradable struct {
	*httptest.Server

	version atomic.Value // string
	drop    chan struct{}
}

func newUpgradable(t *testing.T, version string) *upgradable {
	t.Helper()
	e := &upgradable{drop: make(chan struct{}, 1)}
	e.version.Store(version)
	e.Server = httptest.NewServer(e)
	t.Cleanup(e.Close)
	return e
}

func (e *upgradable) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	version := e.version.Load().(string)
	w.Header().Set("Api-Version", version)
	w.Header().Set("Content-Type", "application/json")
	switch {
	case strings.HasSuffix(r.URL.Path, "/_ping"):
		_, _ = fmt.Fprint(w, "OK")
	case !strings.HasPrefix(r.URL.Path, "/v"+version+"/"):
		w.WriteHeader(http.StatusBadRequest)
		_, _ = fmt.Fprintf(w, `{"message":"client version is too old. Minimum supported API version is %s"}`, version)
	case strings.HasSuffix(r.URL.Path, "/events"):
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		select {
		case <-e.drop:
		case <-r.Context().Done():
		}
	default:
		_, _ = fmt.Fprint(w, "[]")
	}
}

func (e *upgradable) client(t *testing.T) *dockercli.Client {
	t.Helper()
	c, err := dockercli.New(dockercli.Options{Host: "tcp://" + e.Listener.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func TestAnEngineThatWasUpgradedIsSpokenToInItsOwnVersion(t *testing.T) {
	e := newUpgradable(t, "1.41")
	c := e.client(t)
	ctx, cancel := context.WithCancel(t.Context())
	connected, ended := make(chan struct{}, 10), make(chan error, 1)
	go func() {
		ended <- c.Watch(ctx, func(ev dockercli.Event) {
			if ev.Kind == dockercli.Connected {
				connected <- struct{}{}
			}
		})
	}()
	<-connected
	if _, err := c.Containers(t.Context()); err != nil {
		t.Fatal(err)
	}
	e.version.Store("1.52")
	e.drop <- struct{}{} // the old engine goes, the new one is there
	select {
	case <-connected:
	case <-time.After(time.Minute):
		t.Fatal("not connected again")
	}
	if _, err := c.Containers(t.Context()); err != nil {
		t.Errorf("after the upgrade: %v", err)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestReadinessMayBeAskedBesideOtherCalls(t *testing.T) {
	c := newUpgradable(t, "1.41").client(t)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 20 {
				if err := errors.Join(c.Ping(t.Context()), ignoring(c.Containers(t.Context()))); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}

func ignoring[T any](_ T, err error) error { return err }
