package registry_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/watch-docker/watch-docker/internal/image"
	"github.com/watch-docker/watch-docker/internal/registry"
)

const (
	diffA = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	diffB = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

// described is a configuration with one of everything.
func described(platform string) string {
	os, arch, _ := strings.Cut(platform, "/")
	return fmt.Sprintf(`{"os":%q,"architecture":%q,"created":"2026-01-02T03:04:05.6Z","rootfs":{"type":"layers","diff_ids":[%q,%q]},"config":{
		"Env":["PATH=/bin","A=1"],"Entrypoint":["/app"],"Cmd":["run"],"User":"7","WorkingDir":"/w","StopSignal":"SIGINT","ExposedPorts":{"80/tcp":{}},
		"Volumes":{"/data":{}},"Labels":{"a":"b"},"Healthcheck":{"Test":["CMD","x"],"Interval":1000000000,"Retries":2},"OnBuild":null,"Unknown":5}}`,
		os, arch, diffA, diffB)
}

func wanted(digest string) image.Description {
	layer := func(diff, blob string, size int64) image.Layer {
		return image.Layer{DiffID: diff, Digest: blob, Size: size}
	}
	return image.Description{
		Digest: digest, Platform: image.Platform{OS: "linux", Architecture: "amd64"}, CreatedAt: time.Date(2026, 1, 2, 3, 4, 5, 600_000_000, time.UTC),
		Layers: []image.Layer{layer(diffA, diffB, 100), layer(diffB, diffA, 20)},
		Config: image.Config{
			Env: []string{"PATH=/bin", "A=1"}, Entrypoint: []string{"/app"}, Cmd: []string{"run"}, User: "7", WorkingDir: "/w", StopSignal: "SIGINT",
			ExposedPorts: map[string]struct{}{"80/tcp": {}}, Volumes: map[string]struct{}{"/data": {}}, Labels: map[string]string{"a": "b"},
			Healthcheck: &image.Health{Test: []string{"CMD", "x"}, Interval: time.Second, Retries: 2},
		},
	}
}

// layers are of the manifest that goes with described.
func layers() []any {
	return []any{map[string]any{"digest": diffB, "size": 100}, map[string]any{"digest": diffA, "size": 20}}
}

// describable stores an image of the repository "app" with its configuration;
// change spoils the manifest.
func (s *site) describable(tag, config string, change func(manifest map[string]any)) (manifest, blob string) {
	s.t.Helper()
	blob = s.blob(config)
	m := map[string]any{
		"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageManifest, "layers": layers(),
		"config": map[string]any{"mediaType": ocispec.MediaTypeImageConfig, "digest": blob, "size": len(config)},
	}
	if change != nil {
		change(m)
	}
	return s.put("app", tag, ocispec.MediaTypeImageManifest, toJSON(s.t, m)), blob
}

func (s *site) blob(content string) string {
	s.t.Helper()
	blob := digest.FromString(content).String()
	w := httptest.NewRecorder()
	s.backend.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v2/app/blobs/uploads/?digest="+blob, strings.NewReader(content)))
	if w.Code != http.StatusCreated {
		s.t.Fatalf("put %s: %d %s", blob, w.Code, w.Body)
	}
	return blob
}

func TestAnImageIsDescribedWithoutPullingIt(t *testing.T) {
	n, s, ts := guarded(t)
	child, config := s.describable("child", described("linux/amd64"), nil)
	other, _ := s.describable("other", described("linux/arm64"), nil)
	index := s.index("v1", entry(other, "linux/arm64"), entry(child, "linux/amd64"))
	m := &memory{}
	client := n.client(registry.Options{Memory: m, Credentials: credentialsFor("reg.example.com", "bob", "secret")})
	ref := s.ref("app:v1")

	// After a scan has resolved the digest: its manifest and its configuration.
	scan := client.Batch([]image.Reference{ref})
	if head, err := scan.Head(t.Context(), ref); err != nil || head.Digest != index {
		t.Fatalf("Head = %+v, %v", head, err)
	}
	if _, err := scan.Resolve(t.Context(), ref, index, platformOf("linux/amd64")); err != nil {
		t.Fatal(err)
	}
	s.asked()
	ts.asked()
	got, err := client.Batch([]image.Reference{ref}).Describe(t.Context(), ref, index, platformOf("linux/amd64"))
	if diff := cmp.Diff(wanted(index), got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if asked := s.asked(); !slices.Equal(asked, []string{"GET /v2/app/manifests/" + child, "GET /v2/app/blobs/" + config}) || len(ts.asked()) != 0 {
		t.Errorf("asked %q", asked)
	}

	// Again, and by the child's own digest: nothing.
	for _, dgst := range []string{index, child} {
		got, err = client.Batch(nil).Describe(t.Context(), ref, dgst, platformOf("linux/amd64"))
		if diff := cmp.Diff(wanted(dgst), got); err != nil || diff != "" {
			t.Errorf("again: %v\n%s", err, diff)
		}
		if dgst == index {
			s.wantRequests(0)
		}
	}
	s.asked()

	// Cold: index, manifest, configuration, one token.
	cold := n.client(registry.Options{Credentials: credentialsFor("reg.example.com", "bob", "secret")})
	if _, err := cold.Batch(nil).Describe(t.Context(), ref, index, platformOf("linux/amd64")); err != nil {
		t.Error(err)
	}
	s.wantRequests(4) // and the 401 that tells of the token server
	_, err = cold.Batch(nil).Describe(t.Context(), ref, index, platformOf("linux/s390x"))
	wantCode(t, err, registry.CodeNoMatchingPlatform, "linux/s390x", "linux/amd64")
}

// Of what is large nothing is kept.
func TestALargeConfigurationIsDescribedButNotKept(t *testing.T) {
	n := newNetwork(t)
	s := n.site("reg.example.com")
	large := strings.Replace(described("linux/amd64"), `"a":"b"`, `"a":"`+strings.Repeat("x", 1<<20)+`"`, 1)
	manifest, _ := s.describable("v1", large, nil)
	client := n.client(registry.Options{})
	for i := range 2 {
		d, err := client.Batch(nil).Describe(t.Context(), s.ref("app:v1"), manifest, platformOf("linux/amd64"))
		if err != nil || len(d.Config.Labels["a"]) != 1<<20 {
			t.Errorf("%v", err)
		}
		if asked := s.asked(); len(asked) < 2 {
			t.Errorf("%d: asked %q", i, asked)
		}
	}
}

func TestWhatIsNoImageIsSaidInWords(t *testing.T) {
	for name, c := range map[string]struct {
		config string
		change func(m map[string]any)
		before func(w http.ResponseWriter, r *http.Request) bool
		code   string
		words  string
	}{
		"no JSON":        {config: "hello", code: registry.CodeBadResponse, words: "configuration"},
		"another shape":  {config: `{"config":{"Env":7},"rootfs":{}}`, code: registry.CodeBadResponse, words: "configuration"},
		"layers missing": {config: described("linux/amd64"), change: func(m map[string]any) { m["layers"] = []any{} }, code: registry.CodeBadResponse, words: "0 layers"},
		"a size below 0": {config: described("linux/amd64"), change: func(m map[string]any) { m["layers"].([]any)[0].(map[string]any)["size"] = -5 }, code: registry.CodeBadResponse, words: "size"},
		"sizes too large to add": {config: described("linux/amd64"), change: func(m map[string]any) {
			for _, l := range m["layers"].([]any) {
				l.(map[string]any)["size"] = int64(1<<63 - 1)
			}
		}, code: registry.CodeBadResponse, words: "size"},
		"an artifact": {config: "{}", change: func(m map[string]any) {
			m["config"].(map[string]any)["mediaType"] = "application/vnd.cncf.helm.config.v1+json"
		}, code: registry.CodeBadResponse, words: "helm"},
		"more than 4 MiB": {config: described("linux/amd64") + strings.Repeat(" ", 4<<20), code: registry.CodeBadResponse, words: "4 MiB"},
		"other content": {config: described("linux/amd64"), before: func(w http.ResponseWriter, r *http.Request) bool {
			if strings.Contains(r.URL.Path, "/blobs/") {
				fmt.Fprint(w, "{}")
			}
			return strings.Contains(r.URL.Path, "/blobs/")
		}, code: registry.CodeBadResponse, words: "digest"},
		"not there":  {config: described("linux/amd64"), before: onBlob(http.StatusNotFound), code: registry.CodeNotFound, words: "does not exist"},
		"denied":     {config: described("linux/amd64"), before: onBlob(http.StatusForbidden), code: registry.CodeUnauthorized, words: "denies"},
		"in trouble": {config: described("linux/amd64"), before: onBlob(http.StatusBadGateway), code: registry.CodeUnreachable, words: "trouble"},
		"a 429":      {config: described("linux/amd64"), before: onBlob(http.StatusTooManyRequests), code: registry.CodeRateLimited, words: "left alone"},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNetwork(t)
			s := n.site("reg.example.com")
			manifest, config := s.describable("v1", c.config, c.change)
			m := &memory{}
			must(t, m.SaveResolution(t.Context(), manifest, "linux/amd64", registry.Resolved{ManifestDigest: manifest, ConfigDigest: config}))
			s.handle(c.before)
			_, err := n.client(registry.Options{Memory: m}).Batch(nil).Describe(t.Context(), s.ref("app:v1"), manifest, platformOf("linux/amd64"))
			wantCode(t, err, c.code, c.words)
		})
	}
}

func onBlob(status int) func(w http.ResponseWriter, r *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, "/blobs/") {
			return false
		}
		w.WriteHeader(status)
		return true
	}
}

// A registry may hand a blob over to a storage server, which gets no
// credentials, and whose troubles are not the registry's.
func TestAConfigurationMayComeFromAStorageServer(t *testing.T) {
	n, s, _ := guarded(t)
	storage := n.site("storage.example.com")
	content := described("linux/amd64")
	manifest, config := s.describable("v1", content, nil)
	var token string
	guard := s.before
	s.handle(func(w http.ResponseWriter, r *http.Request) bool {
		if guard(w, r) {
			return true
		}
		if strings.Contains(r.URL.Path, "/blobs/") {
			token = r.Header.Get("Authorization")
			http.Redirect(w, r, "https://storage.example.com/"+config+"?signature=abc", http.StatusTemporaryRedirect)
			return true
		}
		return false
	})
	storage.handle(func(w http.ResponseWriter, _ *http.Request) bool {
		_, _ = bytes.NewBufferString(content).WriteTo(w)
		return true
	})
	m := &memory{}
	must(t, m.SaveResolution(t.Context(), manifest, "linux/amd64", registry.Resolved{ManifestDigest: manifest, ConfigDigest: config}))
	client := n.client(registry.Options{Memory: m, Credentials: credentialsFor("reg.example.com", "bob", "secret")})
	got, err := client.Batch(nil).Describe(t.Context(), s.ref("app:v1"), manifest, platformOf("linux/amd64"))
	if diff := cmp.Diff(wanted(manifest), got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	if !strings.HasPrefix(token, "Bearer ") || len(storage.headers) != 1 || storage.headers[0].Get("Authorization") != "" {
		t.Errorf("the registry got %q, the storage server %v", token, storage.headers)
	}

	// It is away: said of itself, without the signature, and the registry is asked on.
	n.point("storage.example.com", "127.0.0.1:1")
	client = n.client(registry.Options{Memory: m, Credentials: credentialsFor("reg.example.com", "bob", "secret")})
	batch := client.Batch(nil)
	_, err = batch.Describe(t.Context(), s.ref("app:v1"), manifest, platformOf("linux/amd64"))
	e := wantCode(t, err, registry.CodeUnreachable, "storage.example.com")
	if text, _ := json.Marshal(e); strings.Contains(e.Message+string(text), "signature") {
		t.Errorf("the signature is in %+v", e)
	}
	if _, err := batch.Head(t.Context(), s.ref("app:v1")); err != nil {
		t.Errorf("the registry isn't asked any more: %v", err)
	}
	for _, h := range client.Hosts() {
		if h.LastError != "" {
			t.Errorf("it is held against %s: %s", h.Host, h.LastError)
		}
	}
}
