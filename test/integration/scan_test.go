package integration_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/moby/moby/client"

	"github.com/watch-docker/watch-docker/internal/app"
	"github.com/watch-docker/watch-docker/internal/scanner"
	"github.com/watch-docker/watch-docker/test/testbed"
)

func TestAMultiPlatformImageBehindTLSAndTokens(t *testing.T) {
	w := newWorld(t, testbed.AnyEngine, testbed.TLSToken)
	reg := w.bed.Registry(testbed.TLSToken)
	first := w.push(reg, "shop/web:stable", w.index("one", "one"))
	w.container("web", reg.Ref("shop/web:stable"), nil)

	// Current: one HEAD. The very first scan also meets the challenge.
	requests := w.counting(reg)
	w.expect(w.scan(), "web", scanner.UpToDate, "allowed")
	requests("first scan", 2, 1)
	w.expect(w.scan(), "web", scanner.UpToDate, "allowed")
	requests("second scan", 1, 1)

	// The index moves, this platform's image doesn't: no update, and it is learned for good.
	moved := w.push(reg, "shop/web:stable", w.index("one", "two"))
	all := w.scan()
	w.expect(all, "web", scanner.UpToDate, "allowed")
	if web := all["web"]; web.RemoteDigest != moved || !strings.Contains(web.Summary, "linux/amd64") {
		t.Errorf("moved index: %+v", web)
	}
	requests("scan of a moved index", 3, 1)
	w.expect(w.scan(), "web", scanner.UpToDate, "allowed")
	requests("scan of a moved index, again", 1, 1)

	// This platform's image moves.
	second := w.push(reg, "shop/web:stable", w.index("two", "two"))
	requests("nothing asked", 0, 0)
	all = w.scan()
	w.expect(all, "web", scanner.UpdateAvailable, "allowed")
	if web := all["web"]; web.RemoteDigest != second || web.LocalDigest != first || web.CheckedAt == nil {
		t.Errorf("outdated: %+v; pushed %s, then %s", web, first, second)
	}
	requests("scan of a new release", -1, 1)
	w.expect(w.scan(), "web", scanner.UpdateAvailable, "allowed")
	requests("scan of a new release, again", 1, 1)

	if _, _, code := w.run(nil, "scan", "-exit-code"); code != app.ExitOutdated {
		t.Errorf("scan -exit-code with something outdated exits with %d", code)
	}
}

// counting gives a function that compares the requests since its last call
// with what is wanted; -1 is any number.
func (w *world) counting(reg *testbed.Registry) func(what string, registry, tokens int) {
	reg.Reset()
	reg.Tokens().Reset()
	return func(what string, registry, tokens int) {
		w.Helper()
		if got := reg.Count(); registry >= 0 && got != registry {
			w.Errorf("%s: %d requests to the registry, want %d: %v", what, got, registry, reg.Requests())
		}
		if got := reg.Tokens().Count(); tokens >= 0 && got != tokens {
			w.Errorf("%s: %d token requests, want %d: %v", what, got, tokens, reg.Tokens().Requests())
		}
		reg.Reset()
		reg.Tokens().Reset()
	}
}

func TestWhatPolicyLeavesAloneIsNotAsked(t *testing.T) {
	w := newWorld(t, testbed.AnyEngine, testbed.Plain)
	reg := w.bed.Registry(testbed.Plain)
	digest := w.push(reg, "app:latest", w.index("one", "one"))
	w.push(reg, "app:1.2.3-alpine", w.index("one", "one"))
	latest := reg.Ref("app:latest")

	w.container("skipped", latest, map[string]string{"watchdocker.skip": "true"})
	w.container("pinned", reg.Ref("app@"+digest), nil)
	w.container("version", reg.Ref("app:1.2.3-alpine"), nil)
	w.container("tracked", reg.Ref("app:1.2.3-alpine"), map[string]string{"watchdocker.track": "minor"})
	w.container("typo", latest, map[string]string{"watchdocker.trak": "minor"})
	w.start(testbed.ContainerSpec{Name: "stopped", Image: latest, CreateOnly: true})
	inspect, err := w.bed.Engine().Client().ImageInspect(t.Context(), latest)
	if err != nil {
		t.Fatal(err)
	}
	w.start(testbed.ContainerSpec{Name: "by-id", Image: inspect.ID})
	w.start(testbed.ContainerSpec{Name: "by-short-id", Image: strings.TrimPrefix(inspect.ID, "sha256:")[:12]})
	w.build("built")
	w.start(testbed.ContainerSpec{Name: "built", Image: w.bed.Name("built")})

	reg.Reset()
	all := w.scan()
	w.expect(all, "skipped", scanner.Skipped, "skip_label")
	w.expect(all, "pinned", scanner.Skipped, "pinned_digest")
	w.expect(all, "version", scanner.Skipped, "pinned_version")
	w.expect(all, "tracked", scanner.UpToDate, "allowed")
	w.expect(all, "typo", scanner.Failed, "bad_label")
	w.expect(all, "by-id", scanner.Skipped, "pinned_digest")
	w.expect(all, "by-short-id", scanner.Skipped, "pinned_digest")
	w.expect(all, "built", scanner.Skipped, "local_build")
	w.expect(all, "stopped", scanner.Unknown, "")
	// Only the tracked one's: its tag, and the tags that there are.
	if got := fmt.Sprint(reg.Requests()); got != "[HEAD /v2/app/manifests/1.2.3-alpine GET /v2/app/tags/list]" {
		t.Errorf("the registry was asked %s", got)
	}
	w.expect(w.scan("WATCH_DOCKER_INCLUDE_STOPPED=true"), "stopped", scanner.UpToDate, "allowed")
}

// build makes an image on the engine that no registry knows.
func (w *world) build(short string) {
	w.Helper()
	name := w.bed.Name(short)
	layers, err := w.image(testbed.ImageOptions{Payload: short}).Layers()
	if err != nil {
		w.Fatal(err)
	}
	tar, err := layers[0].Uncompressed()
	if err != nil {
		w.Fatal(err)
	}
	defer tar.Close()
	api := w.bed.Engine().Client()
	res, err := api.ImageImport(w.Context(), client.ImageImportSource{Source: tar, SourceName: "-"}, name,
		client.ImageImportOptions{Changes: []string{`CMD ["/bin/sleep", "100000"]`}})
	if err != nil {
		w.Fatal(err)
	}
	defer res.Close()
	if _, err := io.Copy(io.Discard, res); err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() {
		_, _ = api.ImageRemove(w.Context(), name, client.ImageRemoveOptions{Force: true})
	})
}

func TestAnImagePulledSinceNeedsNoRegistry(t *testing.T) {
	w := newWorld(t, testbed.AnyEngine, testbed.Plain)
	reg := w.bed.Registry(testbed.Plain)
	for _, repo := range []string{"app:latest", "other-arch:latest", "gone:latest"} {
		w.push(reg, repo, w.index("one", "one"))
		w.container(strings.TrimSuffix(repo, ":latest"), reg.Ref(repo), nil)
	}
	w.expect(w.scan(), "app", scanner.UpToDate, "allowed")

	w.push(reg, "app:latest", w.index("two", "two"))
	w.push(reg, "other-arch:latest", w.index("one", "two"))
	w.pull(reg.Ref("app:latest"))
	w.pull(reg.Ref("other-arch:latest"))
	if _, err := w.bed.Engine().Client().ImageRemove(t.Context(), reg.Ref("gone:latest"), client.ImageRemoveOptions{Force: true}); err != nil {
		t.Log("remove the tag of an image in use:", err)
	}
	reg.Reset()
	all := w.scan()
	w.expect(all, "app", scanner.UpdateAvailable, "allowed")
	if !strings.Contains(all["app"].Summary, "on this host already") {
		t.Errorf("app: %q", all["app"].Summary)
	}
	w.expect(all, "other-arch", scanner.UpToDate, "allowed")
	w.expect(all, "gone", scanner.UpToDate, "allowed")
	for _, r := range reg.Requests() {
		if strings.HasPrefix(r.Path, "/v2/app/") {
			t.Errorf("the registry was asked: %s", r)
		}
	}
}

func TestThePlatformIsTheContainersOwn(t *testing.T) {
	w := newWorld(t, testbed.AnyEngine, testbed.Plain)
	reg := w.bed.Registry(testbed.Plain)
	w.push(reg, "app:latest", w.index("one", "one"))
	w.pull(reg.Ref("app:latest"), testbed.ForPlatform("linux/arm64"))
	w.start(testbed.ContainerSpec{Name: "arm", Image: reg.Ref("app:latest"), Platform: "linux/arm64", CreateOnly: true})
	const stopped = "WATCH_DOCKER_INCLUDE_STOPPED=true"
	w.expect(w.scan(stopped), "arm", scanner.UpToDate, "allowed")
	w.push(reg, "app:latest", w.index("two", "one"))
	w.expect(w.scan(stopped), "arm", scanner.UpToDate, "allowed")
	w.push(reg, "app:latest", w.index("two", "two"))
	w.expect(w.scan(stopped), "arm", scanner.UpdateAvailable, "allowed")
}

func TestAnImagesOwnLabelsDontReachPolicy(t *testing.T) {
	w := newWorld(t, testbed.AnyEngine, testbed.Plain)
	reg := w.bed.Registry(testbed.Plain)
	img := w.image(testbed.ImageOptions{Payload: "labelled", Labels: map[string]string{"watchdocker.skip": "true"}})
	if _, err := reg.Push(t.Context(), "labelled:latest", img); err != nil {
		t.Fatal(err)
	}
	w.container("labelled", reg.Ref("labelled:latest"), nil)
	w.expect(w.scan(), "labelled", scanner.UpToDate, "allowed")
}

func TestAFailureBelongsToItsOwnContainer(t *testing.T) {
	w := newWorld(t, testbed.AnyEngine, testbed.Plain, testbed.TLSToken)
	good, guarded := w.bed.Registry(testbed.Plain), w.bed.Registry(testbed.TLSToken)
	for _, tag := range []string{"good", "html", "limited", "huge", "missing", "broken"} {
		w.push(good, "app:"+tag, w.index(tag, tag))
		w.container(tag, good.Ref("app:"+tag), nil)
	}
	w.push(guarded, "secret/app:latest", w.index("one", "one"))
	w.container("refused", guarded.Ref("secret/app:latest"), nil)

	html := http.Header{"Content-Type": {"text/html"}}
	for _, f := range []testbed.Fault{
		{Path: "/v2/app/manifests/html", Status: 200, Header: html, Body: "<html>sign in to the hotel's network</html>"},
		{Path: "/v2/app/manifests/missing", Status: 404, Body: `{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}`},
		{Path: "/v2/app/manifests/huge", Method: "HEAD", Status: 405},
		{Path: "/v2/app/manifests/huge", Method: "GET", Status: 200, Body: strings.Repeat("x", 5<<20)},
		{Path: "/v2/app/manifests/broken", Status: 500},
	} {
		good.Inject(f)
	}
	all := w.scan(fmt.Sprintf("WATCH_REGISTRY_AUTH_0_PASSWORD=%s", "wrong"))
	w.expect(all, "good", scanner.UpToDate, "allowed")
	w.expect(all, "html", scanner.Failed, "registry_bad_response")
	w.expect(all, "huge", scanner.Failed, "registry_bad_response")
	w.expect(all, "missing", scanner.Failed, "registry_not_found")
	w.expect(all, "broken", scanner.Failed, "registry_unreachable")
	w.expect(all, "refused", scanner.Failed, "registry_unauthorized")
	w.expect(all, "limited", scanner.UpToDate, "allowed")

	// A limit is for the registry as a whole, and is kept over restarts.
	good.ClearFaults()
	good.Inject(testbed.Fault{Status: 429, Header: http.Header{"Retry-After": {"600"}}})
	all = w.scan()
	w.expect(all, "limited", scanner.Failed, "registry_rate_limited")
	w.expect(all, "refused", scanner.UpToDate, "allowed")
	good.ClearFaults()
	good.Reset()
	w.expect(w.scan(), "limited", scanner.Failed, "registry_rate_limited")
	if good.Count() != 0 {
		t.Errorf("a registry that asked to be left alone got %v", good.Requests())
	}
}

func TestTheTableReadsWell(t *testing.T) {
	w := newWorld(t, testbed.AnyEngine, testbed.Plain)
	reg := w.bed.Registry(testbed.Plain)
	w.push(reg, "web:latest", w.index("one", "one"))
	w.push(reg, "db:16", w.index("one", "one"))
	w.container("web", reg.Ref("web:latest"), nil)
	w.container("db", reg.Ref("db:16"), nil)
	w.push(reg, "web:latest", w.index("two", "two"))
	stdout, stderr, code := w.run(nil, "scan")
	if code != app.ExitOK || !strings.Contains(stderr, "asking registries about") {
		t.Errorf("exit %d, stderr %q", code, stderr)
	}
	if strings.Contains(stdout, "\x1b") {
		t.Error("colour without a terminal")
	}
	web, db := strings.Index(stdout, w.bed.Name("web")), strings.Index(stdout, w.bed.Name("db"))
	if web < 0 || db < 0 || web > db || !strings.Contains(stdout, "can be updated") {
		t.Errorf("what can be updated should come first:\n%s", stdout)
	}
}
