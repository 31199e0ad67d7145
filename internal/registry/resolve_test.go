package registry_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/watch-docker/watch-docker/internal/image"
	"github.com/watch-docker/watch-docker/internal/registry"
)

func TestADigestThatIsGoneIsAskedForOnce(t *testing.T) {
	n := newNetwork(t)
	s, elsewhere := n.site("reg.example.com"), n.site("other.example.com")
	manifest, _ := s.image("app", "v1")
	s.image("app", "v2") // so that the repository stays
	elsewhere.image("app", "v1")
	s.remove("v1")
	s.remove(manifest)
	mem := &memory{}
	amd64 := platformOf("linux/amd64")
	resolve := func(ref image.Reference) error { // each time as another process
		_, err := n.client(registry.Options{Memory: mem}).Batch(nil).Resolve(t.Context(), ref, manifest, amd64)
		return err
	}
	for i := range 3 {
		e := wantCode(t, resolve(s.ref("app:v1")), registry.CodeNotFound, "app@"+manifest+" does not exist at reg.example.com")
		if e.Status != 404 || e.Host != "reg.example.com" || e.Reference != "reg.example.com/app@"+manifest {
			t.Errorf("time %d: %+v", i, e)
		}
	}
	s.wantRequests(1)
	if err := resolve(elsewhere.ref("app:v1")); err != nil {
		t.Errorf("that it is gone from one registry is held against another: %v", err)
	}
}

func TestWhatWasGoneCanComeBack(t *testing.T) {
	n := newNetwork(t)
	s := n.site("reg.example.com")
	manifest, config := s.image("app", "v1")
	s.image("app", "v2")
	s.remove("v1")
	s.remove(manifest)
	client := n.client(registry.Options{Memory: &memory{}})
	amd64 := platformOf("linux/amd64")
	_, err := client.Batch(nil).Resolve(t.Context(), s.ref("app:v1"), manifest, amd64)
	wantCode(t, err, registry.CodeNotFound)

	s.image("app", "v1")
	b := client.Batch(nil)
	if m, err := b.Head(t.Context(), s.ref("app:v1")); err != nil || m.Digest != manifest {
		t.Fatalf("Head = %+v, %v", m, err)
	}
	if r, err := b.Resolve(t.Context(), s.ref("app:v1"), manifest, amd64); err != nil || r.ConfigDigest != config {
		t.Errorf("Resolve = %+v, %v", r, err)
	}
	s.asked()
	if r, err := client.Batch(nil).Resolve(t.Context(), s.ref("app:v1"), manifest, amd64); err != nil || r.ConfigDigest != config {
		t.Errorf("the next time: %+v, %v", r, err)
	}
	s.wantRequests(0)
}

func TestOnlyAMissingManifestIsRememberedAsGone(t *testing.T) {
	answer := func(status int, code string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) { deny(w, status, code, "no") }
	}
	for name, c := range map[string]struct {
		fault    func(w http.ResponseWriter)
		remember bool
	}{
		"MANIFEST_UNKNOWN":        {answer(404, "MANIFEST_UNKNOWN"), true},
		"NOT_FOUND":               {answer(404, "NOT_FOUND"), true},
		"a plain 404":             {func(w http.ResponseWriter) { w.WriteHeader(404) }, true},
		"an unknown repository":   {answer(404, "NAME_UNKNOWN"), false},
		"403":                     {answer(403, "DENIED"), false},
		"403 with that code":      {answer(403, "MANIFEST_UNKNOWN"), false},
		"410, which nobody means": {answer(410, ""), false},
		"503":                     {func(w http.ResponseWriter) { w.Header().Set("Retry-After", "60"); w.WriteHeader(503) }, false},
		"something else":          {func(w http.ResponseWriter) { fmt.Fprint(w, "{}") }, false},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNetwork(t)
			s := n.site("reg.example.com")
			manifest, _ := s.image("app", "v1")
			s.handle(func(w http.ResponseWriter, _ *http.Request) bool { c.fault(w); return true })
			client := n.client(registry.Options{})
			for range 2 {
				if _, err := client.Batch(nil).Resolve(t.Context(), s.ref("app:v1"), manifest, platformOf("linux/amd64")); err == nil {
					t.Error("it was resolved")
				}
			}
			s.handle(nil)
			_, err := client.Batch(nil).Resolve(t.Context(), s.ref("app:v1"), manifest, platformOf("linux/amd64"))
			if remembered := err != nil; remembered != c.remember {
				t.Errorf("remembered as gone: %v (%v), want %v", remembered, err, c.remember)
			}
		})
	}
	t.Run("an index's child", func(t *testing.T) {
		n := newNetwork(t)
		s := n.site("reg.example.com")
		manifest, _ := s.image("app", "v1")
		index := s.index("v2", entry(manifest, "linux/amd64"))
		s.remove("v1")
		s.remove(manifest)
		client := n.client(registry.Options{})
		_, err := client.Batch(nil).Resolve(t.Context(), s.ref("app:v2"), index, platformOf("linux/amd64"))
		wantCode(t, err, registry.CodeNotFound)
		s.image("app", "v1") // the push is complete now
		if _, err := client.Batch(nil).Resolve(t.Context(), s.ref("app:v2"), index, platformOf("linux/amd64")); err != nil {
			t.Error(err)
		}
	})
	t.Run("while its mirror is away", func(t *testing.T) {
		n := newNetwork(t)
		s, mirror := n.site("reg.example.com"), n.site("mirror.example.com")
		manifest, _ := mirror.image("app", "v1")
		s.image("app", "v2")
		mirror.handle(func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Retry-After", "60")
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		})
		client := n.client(registry.Options{Mirrors: map[string]string{"reg.example.com": "mirror.example.com"}})
		_, err := client.Batch(nil).Resolve(t.Context(), s.ref("app:v1"), manifest, platformOf("linux/amd64"))
		wantCode(t, err, registry.CodeNotFound)
		mirror.handle(nil)
		if _, err := client.Batch(nil).Resolve(t.Context(), s.ref("app:v1"), manifest, platformOf("linux/amd64")); err != nil {
			t.Error(err)
		}
	})
}

func TestASingleManifestMustRunOnThePlatform(t *testing.T) {
	config := func(platform string) string { return string(toJSON(t, platformOf(platform))) }
	for name, c := range map[string]struct {
		config, on string
		there      string // what the refusal names; empty if there is none
	}{
		"another architecture":       {config("linux/arm64"), "linux/amd64", "linux/arm64"},
		"another system":             {config("windows/amd64"), "linux/amd64", "windows/amd64"},
		"the same":                   {config("linux/amd64"), "linux/amd64", ""},
		"one that runs there":        {config("linux/386"), "linux/amd64", ""},
		"one that doesn't":           {config("linux/amd64"), "linux/386", "linux/amd64"},
		"variants don't count":       {config("linux/arm/v7"), "linux/arm/v6", ""},
		"a variant not said":         {config("linux/amd64"), "linux/amd64/v3", ""},
		"an artifact":                {"{}", "linux/amd64", ""},
		"no JSON":                    {"hello", "linux/amd64", ""},
		"more than 4 MiB":            {config("linux/arm64") + strings.Repeat(" ", 4<<20), "linux/amd64", ""},
		"what runs here is not said": {config("linux/arm64"), "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNetwork(t)
			s := n.site("reg.example.com")
			manifest, config := s.imageFor("v1", c.config)
			mem := &memory{}
			client := n.client(registry.Options{Memory: mem})
			for range 3 {
				r, err := client.Batch(nil).Resolve(t.Context(), s.ref("app:v1"), manifest, platformOf(c.on))
				if c.there != "" {
					wantCode(t, err, registry.CodeNoMatchingPlatform, c.on, "it has "+c.there+".")
				} else if want := (registry.Resolved{ManifestDigest: manifest, ConfigDigest: config, Platform: platformOf(c.on)}); err != nil || r != want {
					t.Errorf("Resolve = %+v, %v; want %+v", r, err, want)
				}
			}
			if c.on == "" {
				s.wantRequests(1)
			} else {
				s.wantRequests(2) // manifest and configuration, once
			}
		})
	}
}

func TestAnEntryThatNamesNoPlatformMustRunOnIt(t *testing.T) {
	n := newNetwork(t)
	s := n.site("reg.example.com")
	manifest, _ := s.imageFor("inner", `{"os":"linux","architecture":"arm64"}`)
	b := n.client(registry.Options{}).Batch(nil)
	_, err := b.Resolve(t.Context(), s.ref("app:v1"), s.index("v1", entry(manifest, "")), platformOf("linux/amd64"))
	wantCode(t, err, registry.CodeNoMatchingPlatform, "it has linux/arm64.")
	s.asked()
	if _, err := b.Resolve(t.Context(), s.ref("app:v2"), s.index("v2", entry(manifest, "linux/amd64")), platformOf("linux/amd64")); err != nil {
		t.Error(err)
	}
	s.wantRequests(1) // the index: what it names is believed
}

func TestAConfigurationThatCantBeHadIsDoneWithout(t *testing.T) {
	for name, fault := range map[string]func(w http.ResponseWriter, r *http.Request){
		"404":            func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) },
		"403":            func(w http.ResponseWriter, _ *http.Request) { deny(w, 403, "DENIED", "no") },
		"401":            func(w http.ResponseWriter, r *http.Request) { basicGuard("alice", "x")(w, r) },
		"502":            func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Retry-After", "60"); w.WriteHeader(502) },
		"something else": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"os":"linux","architecture":"arm64"} `) },
		"a redirect to nowhere": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://cdn.example.com/blob", http.StatusTemporaryRedirect)
		},
		"a redirect to plain HTTP": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://cdn.example.com/blob", http.StatusTemporaryRedirect)
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNetwork(t)
			s := n.site("reg.example.com")
			n.point("cdn.example.com", "127.0.0.1:1")
			manifest, config := s.imageFor("v1", `{"os":"linux","architecture":"arm64"}`)
			other, _ := s.image("app", "v2")
			index := s.index("v3", entry(other, "linux/amd64"))
			s.handle(func(w http.ResponseWriter, r *http.Request) bool {
				blob := strings.Contains(r.URL.Path, "/blobs/")
				if blob {
					fault(w, r)
				}
				return blob
			})
			mem := &memory{}
			client := n.client(registry.Options{Memory: mem})
			b := client.Batch(nil)
			r, err := b.Resolve(t.Context(), s.ref("app:v1"), manifest, platformOf("linux/amd64"))
			if err != nil || r.ConfigDigest != config {
				t.Errorf("Resolve = %+v, %v", r, err)
			}
			if _, err := b.Resolve(t.Context(), s.ref("app:v3"), index, platformOf("linux/amd64")); err != nil {
				t.Errorf("the registry is given up for it: %v", err)
			}
			if last := client.Hosts()[0].LastError; last != "" || mem.host(s.host).Challenge != (registry.Challenge{}) {
				t.Errorf("the registry is blamed for it: %q, %+v", last, mem.host(s.host))
			}
			s.asked()
			if _, err := client.Batch(nil).Resolve(t.Context(), s.ref("app:v1"), manifest, platformOf("linux/amd64")); err != nil {
				t.Error(err)
			}
			s.wantRequests(0)
		})
	}
}

func TestAConfigurationThatMayNotBeAskedForNowIsLookedAtLater(t *testing.T) {
	n := newNetwork(t)
	s := n.site("reg.example.com")
	manifest, _ := s.imageFor("v1", `{"os":"linux","architecture":"arm64"}`)
	s.handle(func(w http.ResponseWriter, r *http.Request) bool {
		blob := strings.Contains(r.URL.Path, "/blobs/")
		if blob {
			w.WriteHeader(http.StatusTooManyRequests)
		}
		return blob
	})
	mem := &memory{}
	client := n.client(registry.Options{Memory: mem})
	if _, err := client.Batch(nil).Resolve(t.Context(), s.ref("app:v1"), manifest, platformOf("linux/amd64")); err != nil {
		t.Error(err)
	}
	if mem.host(s.host).PausedUntil.IsZero() || len(mem.resolved) > 0 {
		t.Errorf("remembered %+v, %+v", mem.host(s.host), mem.resolved)
	}
}

func TestAConfigurationBehindARedirectGetsNoCredentials(t *testing.T) {
	n, s, ts := guarded(t)
	cdn := newSite(t, "cdn.example.com")
	cdn.handle(func(w http.ResponseWriter, _ *http.Request) bool {
		fmt.Fprint(w, `{"os":"linux","architecture":"arm64"}`)
		return true
	})
	n.serve(cdn.host, cdn)
	manifest, _ := s.imageFor("v1", `{"os":"linux","architecture":"arm64"}`)
	s.handle(func(w http.ResponseWriter, r *http.Request) bool {
		if ts.guard(w, r) {
			return true
		}
		blob := strings.Contains(r.URL.Path, "/blobs/")
		if blob {
			http.Redirect(w, r, "https://cdn.example.com/signed?secret=x", http.StatusTemporaryRedirect)
		}
		return blob
	})
	_, err := n.client(registry.Options{}).Batch(nil).Resolve(t.Context(), s.ref("app:v1"), manifest, platformOf("linux/amd64"))
	wantCode(t, err, registry.CodeNoMatchingPlatform, "linux/arm64")
	if len(cdn.headers) != 1 || cdn.headers[0].Get("Authorization") != "" {
		t.Errorf("the storage got %v", cdn.headers)
	}
	ts.wantRequests(1)
}

func TestACancelledLookAtAConfigurationDecidesNothing(t *testing.T) {
	n := newNetwork(t)
	s := n.site("reg.example.com")
	manifest, _ := s.imageFor("v1", `{"os":"linux","architecture":"arm64"}`)
	ctx, cancel := context.WithCancel(t.Context())
	s.handle(func(_ http.ResponseWriter, r *http.Request) bool {
		blob := strings.Contains(r.URL.Path, "/blobs/")
		if blob {
			cancel()
			<-r.Context().Done()
		}
		return blob
	})
	client := n.client(registry.Options{})
	if _, err := client.Batch(nil).Resolve(ctx, s.ref("app:v1"), manifest, platformOf("linux/amd64")); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	s.handle(nil)
	_, err := client.Batch(nil).Resolve(t.Context(), s.ref("app:v1"), manifest, platformOf("linux/amd64"))
	wantCode(t, err, registry.CodeNoMatchingPlatform)
}
