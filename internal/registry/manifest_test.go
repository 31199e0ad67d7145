package registry_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/watch-docker/watch-docker/internal/registry"
)

func TestATagCostsOneHeadRequest(t *testing.T) {
	n := newNetwork(t)
	s := n.site("reg.example.com")
	want, _ := s.image("app", "v1")
	m, err := n.client(registry.Options{}).Batch(nil).Head(t.Context(), s.ref("app:v1"))
	if err != nil || m.Digest != want || m.MediaType != ocispec.MediaTypeImageManifest || time.Since(m.At) > time.Minute || m.At.Location() != time.UTC {
		t.Errorf("Head = %+v, %v; want %s", m, err, want)
	}
	if accept := s.headers[0].Get("Accept"); strings.Count(accept, "application/vnd.") != 4 {
		t.Errorf("Accept: %s", accept)
	}
	if asked := s.asked(); !slices.Equal(asked, []string{"HEAD /v2/app/manifests/v1"}) {
		t.Errorf("asked %q", asked)
	}
}

func TestDockerHubIsAskedWhereItsRegistryIs(t *testing.T) {
	n := newNetwork(t)
	s := n.site("registry-1.docker.io")
	s.image("library/nginx", "latest")
	s.host = "docker.io"
	mustScan(t, n.client(registry.Options{}), s.ref("library/nginx"))
	s.wantRequests(1)
}

func TestWithoutHeadOrDigestTheManifestIsFetched(t *testing.T) {
	for name, c := range map[string]struct {
		fault    func(w http.ResponseWriter, r *http.Request) bool
		hostwide bool // the registry is like that, not just an answer
	}{
		"HEAD is not allowed (405)": {onHead(http.StatusMethodNotAllowed), true},
		"HEAD is not known (501)":   {onHead(http.StatusNotImplemented), true},
		"no digest header": {func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodHead {
				w.Header().Set("Content-Type", ocispec.MediaTypeImageManifest)
				return true
			}
			return false
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNetwork(t)
			s := n.site("reg.example.com")
			manifest, config := s.image("app", "v1")
			s.image("other", "v1")
			s.handle(c.fault)
			client := n.client(registry.Options{})
			b := client.Batch(nil)
			m, err := b.Head(t.Context(), s.ref("app:v1"))
			if err != nil || m.Digest != manifest {
				t.Fatalf("Head = %+v, %v; want %s", m, err, manifest)
			}
			s.wantRequests(2)
			r, err := b.Resolve(t.Context(), s.ref("app:v1"), m.Digest, platformOf("linux/amd64"))
			if err != nil || r.ConfigDigest != config {
				t.Errorf("Resolve = %+v, %v", r, err)
			}
			s.wantRequests(1) // the configuration: what was fetched is not fetched again
			mustScan(t, client, s.ref("app:v1"))
			if asked := s.asked(); !slices.Equal(asked, []string{"GET /v2/app/manifests/v1"}) {
				t.Errorf("the next time it was asked by %q: that HEAD is of no use was forgotten", asked)
			}
			mustScan(t, client, s.ref("other:v1"))
			want := "HEAD" // a GET may count as a pull
			if c.hostwide {
				want = "GET"
			}
			if asked := s.asked(); len(asked) == 0 || asked[0] != want+" /v2/other/manifests/v1" {
				t.Errorf("the next repository was asked by %q, want %s first", asked, want)
			}
		})
	}
}

func onHead(status int) func(w http.ResponseWriter, r *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodHead {
			w.WriteHeader(status)
		}
		return r.Method == http.MethodHead
	}
}

func TestNonsenseIsABadResponse(t *testing.T) {
	page := func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, "<html>Log in</html>")
		return true
	}
	answer := func(header map[string]string, body string) func(w http.ResponseWriter, r *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			for k, v := range header {
				w.Header().Set(k, v)
			}
			fmt.Fprint(w, body)
			return true
		}
	}
	const none = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	for name, c := range map[string]struct {
		handle   func(w http.ResponseWriter, r *http.Request) bool
		requests int
		words    string
	}{
		"a page of HTML":                   {page, 1, "HTML"},
		"a digest that is none":            {answer(map[string]string{"Docker-Content-Digest": "sha256:12"}, ""), 1, "sha256:12"},
		"schema 1 by HEAD":                 {answer(map[string]string{"Docker-Content-Digest": none, "Content-Type": "application/vnd.docker.distribution.manifest.v1+prettyjws"}, ""), 1, "schema 1"},
		"schema 1 by its content":          {answer(map[string]string{"Content-Type": "application/json"}, `{"schemaVersion":1,"name":"app"}`), 2, "schema 1"},
		"no JSON":                          {answer(nil, "hello"), 2, "no JSON"},
		"JSON of something else":           {answer(nil, `{"hello":"world"}`), 2, "neither"},
		"manifest and index at once":       {answer(nil, `{"config":{"digest":"`+none+`"},"manifests":[]}`), 2, "neither"},
		"configuration without digest":     {answer(nil, `{"config":{"digest":"../../etc"}}`), 2, "configuration"},
		"entry without digest":             {answer(nil, `{"manifests":[{"digest":"x/../y"}]}`), 2, "entry"},
		"a status that makes no sense":     {onHead(http.StatusTeapot), 1, "418"},
		"a body over the limit":            {answer(nil, "{"+strings.Repeat(" ", 4<<20)+"}"), 2, "4 MiB"},
		"content that is not as it hashes": {answer(map[string]string{"Docker-Content-Digest": none}, `{"config":{"digest":"`+none+`"}}`), 0, "doesn't have the digest"},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNetwork(t)
			s := n.site("reg.example.com")
			s.handle(c.handle)
			b := n.client(registry.Options{}).Batch(nil)
			_, err := b.Head(t.Context(), s.ref("app:v1"))
			if c.requests == 0 { // HEAD has nothing to check it by
				_, err = b.Resolve(t.Context(), s.ref("app:v1"), none, platformOf("linux/amd64"))
				c.requests = 2
			}
			e := wantCode(t, err, registry.CodeBadResponse, c.words)
			if e.Host != "reg.example.com" || !strings.HasPrefix(e.Reference, "reg.example.com/app") {
				t.Errorf("host %q, reference %q", e.Host, e.Reference)
			}
			s.wantRequests(c.requests)
		})
	}
}

func TestAFloodIsNotRead(t *testing.T) {
	n := newNetwork(t)
	s := n.site("reg.example.com")
	sent := make(chan int, 1)
	s.handle(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodHead {
			return true
		}
		total := 0
		for block := make([]byte, 1<<20); total < 64<<20; total += len(block) {
			if _, err := w.Write(block); err != nil {
				break
			}
		}
		sent <- total
		return true
	})
	_, err := n.client(registry.Options{}).Batch(nil).Head(t.Context(), s.ref("app"))
	wantCode(t, err, registry.CodeBadResponse, "4 MiB")
	if total := <-sent; total > 32<<20 {
		t.Errorf("%d MiB were read", total>>20)
	}
}

func TestWhatIsMissingIsSaidInWords(t *testing.T) {
	n := newNetwork(t)
	s := n.site("reg.example.com")
	s.image("app", "v1")
	errs := scan(t, n.client(registry.Options{}), s.ref("app:v2"), s.ref("gone:v1"))
	for _, err := range errs {
		if e := wantCode(t, err, registry.CodeNotFound, "does not exist"); e.Status != 404 {
			t.Errorf("status %d", e.Status)
		}
	}
}

func TestARegistrysOwnWordsAreShownInOneShortLine(t *testing.T) {
	n := newNetwork(t)
	s := n.site("reg.example.com")
	s.handle(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodHead {
			w.WriteHeader(http.StatusMethodNotAllowed)
			return true
		}
		deny(w, http.StatusForbidden, "DENIED", "the\nvault\x1b[31m is closed"+strings.Repeat("!", 1000))
		return true
	})
	_, err := n.client(registry.Options{}).Batch(nil).Head(t.Context(), s.ref("app"))
	e := wantCode(t, err, registry.CodeUnauthorized, "DENIED the vault")
	if strings.ContainsAny(e.Message, "\n\x1b") || len(e.Message) > 600 {
		t.Errorf("message %q", e.Message)
	}
}

func TestAReferenceWithoutATagIsAskedByDigest(t *testing.T) {
	n := newNetwork(t)
	s := n.site("reg.example.com")
	want, _ := s.image("app", "v1")
	m, err := n.client(registry.Options{}).Batch(nil).Head(t.Context(), s.ref("app@"+want))
	if err != nil || m.Digest != want {
		t.Errorf("Head = %+v, %v", m, err)
	}
}

func TestAnIndexIsResolvedForAPlatformOnceAndForGood(t *testing.T) {
	n := newNetwork(t)
	s := n.site("reg.example.com")
	amd, amdConfig := s.image("app", "amd64")
	arm, armConfig := s.image("app", "arm64")
	attestation, _ := s.image("app", "attestation")
	provenance := entry(attestation, "unknown/unknown")
	provenance.Annotations = map[string]string{"vnd.docker.reference.type": "attestation-manifest"}
	index := s.index("v1", provenance, entry(amd, "linux/amd64"), entry(arm, "linux/arm64/v8"))

	mem := &memory{}
	client := n.client(registry.Options{Memory: mem})
	b := client.Batch(nil)
	m, err := b.Head(t.Context(), s.ref("app:v1"))
	if err != nil || m.Digest != index {
		t.Fatalf("Head = %+v, %v", m, err)
	}
	s.wantRequests(1)
	r, err := b.Resolve(t.Context(), s.ref("app:v1"), index, platformOf("linux/arm64"))
	want := registry.Resolved{ManifestDigest: arm, ConfigDigest: armConfig, Platform: platformOf("linux/arm64/v8")}
	if err != nil || r != want {
		t.Errorf("Resolve = %+v, %v; want %+v", r, err, want)
	}
	s.wantRequests(2) // index and child
	r, err = b.Resolve(t.Context(), s.ref("app:v1"), index, platformOf("linux/amd64"))
	if err != nil || r.ConfigDigest != amdConfig {
		t.Errorf("Resolve = %+v, %v", r, err)
	}
	s.wantRequests(1) // the child: the index is at hand

	next := n.client(registry.Options{Memory: mem})
	for range 2 {
		if r, err := next.Batch(nil).Resolve(t.Context(), s.ref("app:v1"), index, platformOf("linux/arm64")); err != nil || r != want {
			t.Errorf("Resolve = %+v, %v", r, err)
		}
	}
	s.wantRequests(0)
}

func TestPlatformsAreChosenAsTheEngineDoes(t *testing.T) {
	n := newNetwork(t)
	s := n.site("reg.example.com")
	var entries []ocispec.Descriptor
	digests := map[string]string{}
	for _, p := range []string{"linux/arm/v6", "linux/arm/v7", "linux/amd64", "windows/amd64"} {
		d, _ := s.image("app", strings.ReplaceAll(p, "/", "-"))
		digests[p] = d
		entries = append(entries, entry(d, p))
	}
	index := s.index("v1", entries...)
	b := n.client(registry.Options{}).Batch(nil)
	for on, want := range map[string]string{
		"linux/arm": "linux/arm/v7", "linux/arm/v7": "linux/arm/v7", "linux/arm/v6": "linux/arm/v6", "linux/amd64": "linux/amd64",
	} {
		r, err := b.Resolve(t.Context(), s.ref("app:v1"), index, platformOf(on))
		if err != nil || r.ManifestDigest != digests[want] {
			t.Errorf("on %s: %+v, %v; want that of %s", on, r, err, want)
		}
	}
	_, err := b.Resolve(t.Context(), s.ref("app:v1"), index, platformOf("linux/s390x"))
	wantCode(t, err, registry.CodeNoMatchingPlatform, "linux/s390x", "linux/amd64, linux/arm/v6, linux/arm/v7, windows/amd64")
}

func TestNestedIndexesAreFollowedThreeDeep(t *testing.T) {
	n := newNetwork(t)
	s := n.site("reg.example.com")
	manifest, config := s.image("app", "inner")
	inner := s.index("1", entry(manifest, "linux/amd64"))
	levels := []string{inner}
	for i := range 3 {
		nested := entry(levels[i], "")
		nested.MediaType = ocispec.MediaTypeImageIndex
		levels = append(levels, s.index(fmt.Sprint(i+2), nested))
	}
	b := n.client(registry.Options{}).Batch(nil)
	r, err := b.Resolve(t.Context(), s.ref("app:3"), levels[2], platformOf("linux/amd64"))
	if err != nil || r.ConfigDigest != config {
		t.Errorf("an index in an index in an index: %+v, %v", r, err)
	}
	_, err = b.Resolve(t.Context(), s.ref("app:4"), levels[3], platformOf("linux/amd64"))
	wantCode(t, err, registry.CodeNoMatchingPlatform)
}

func TestASingleEntryWithoutPlatformIsTheImage(t *testing.T) {
	n := newNetwork(t)
	s := n.site("reg.example.com")
	manifest, config := s.image("app", "inner")
	index := s.index("v1", entry(manifest, ""))
	r, err := n.client(registry.Options{}).Batch(nil).Resolve(t.Context(), s.ref("app:v1"), index, platformOf("linux/amd64"))
	want := registry.Resolved{ManifestDigest: manifest, ConfigDigest: config, Platform: platformOf("linux/amd64")}
	if err != nil || r != want {
		t.Errorf("Resolve = %+v, %v; want %+v", r, err, want)
	}
}

func TestASingleManifestIsItsOwnPlatform(t *testing.T) {
	n := newNetwork(t)
	s := n.site("reg.example.com")
	manifest, config := s.image("app", "v1")
	r, err := n.client(registry.Options{}).Batch(nil).Resolve(t.Context(), s.ref("app:v1"), manifest, platformOf("linux/amd64"))
	if err != nil || r.ManifestDigest != manifest || r.ConfigDigest != config {
		t.Errorf("Resolve = %+v, %v", r, err)
	}
	s.wantRequests(2)
}

func TestADigestThatIsNoneIsNotAskedFor(t *testing.T) {
	n := newNetwork(t)
	s := n.site("reg.example.com")
	_, err := n.client(registry.Options{}).Batch(nil).Resolve(t.Context(), s.ref("app:v1"), "sha256:../../x", platformOf("linux/amd64"))
	wantCode(t, err, registry.CodeBadResponse)
	s.wantRequests(0)
}

func TestAMirrorIsAskedFirst(t *testing.T) {
	n := newNetwork(t)
	origin, mirror := n.site("reg.example.com"), n.site("mirror.example.com")
	both, _ := origin.image("both", "v1")
	mirror.image("both", "v1")
	origin.image("origin", "v1")
	client := n.client(registry.Options{Mirrors: map[string]string{"reg.example.com": "https://mirror.example.com"}})
	m, err := client.Batch(nil).Head(t.Context(), origin.ref("both:v1"))
	if err != nil || m.Digest != both {
		t.Errorf("Head = %+v, %v", m, err)
	}
	origin.wantRequests(0)
	mirror.wantRequests(1)
	mustScan(t, client, origin.ref("origin:v1")) // the mirror doesn't have it
	origin.wantRequests(1)
	mirror.wantRequests(1)

	n.point("mirror.example.com", "127.0.0.1:1") // nobody listens there
	client = n.client(registry.Options{Mirrors: map[string]string{"reg.example.com": "mirror.example.com"}})
	mustScan(t, client, origin.ref("both:v1"), origin.ref("origin:v1"))
	origin.wantRequests(2)
	if _, err := client.Batch(nil).Resolve(t.Context(), origin.ref("both:v1"), digest.FromString("x").String(), platformOf("linux/amd64")); err == nil {
		t.Error("resolved what nobody has")
	}
}
