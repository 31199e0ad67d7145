package scanner_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/internal/image"
	"github.com/watch-docker/watch-docker/internal/policy"
	"github.com/watch-docker/watch-docker/internal/registry"
	"github.com/watch-docker/watch-docker/internal/scanner"
	"github.com/watch-docker/watch-docker/internal/store"
)

// The integration tests judge by real engines and registries. Here a fake
// engine shows what those two don't: engines between them, images that are
// gone, manifests that were packed anew.

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func digest(s string) string { return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(s))) }

// fakeRegistry serves documents by tag or digest, or fails as told.
type fakeRegistry struct {
	*httptest.Server

	mu   sync.Mutex
	docs map[string]string
	tags []string
	fail map[string]int
	log  []string
}

func newRegistry(t *testing.T) *fakeRegistry {
	t.Helper()
	r := &fakeRegistry{docs: map[string]string{}, fail: map[string]int{}}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *fakeRegistry) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.log = append(r.log, q.Method+" "+q.URL.Path)
	if strings.HasSuffix(q.URL.Path, "/tags/list") && r.fail["tags"] == 0 {
		_ = json.NewEncoder(w).Encode(map[string]any{"tags": r.tags})
		return
	}
	_, what, ok := strings.Cut(q.URL.Path, "/manifests/")
	if !ok {
		what = "tags"
	}
	body, ok := r.docs[what]
	switch {
	case r.fail[what] != 0:
		w.WriteHeader(r.fail[what])
	case !ok:
		w.WriteHeader(http.StatusNotFound)
	default:
		mediaType := "application/vnd.oci.image.manifest.v1+json"
		if strings.Contains(body, `"manifests"`) {
			mediaType = "application/vnd.oci.image.index.v1+json"
		}
		w.Header().Set("Content-Type", mediaType)
		w.Header().Set("Docker-Content-Digest", digest(body))
		_, _ = w.Write([]byte(body))
	}
}

func (r *fakeRegistry) app() string { return strings.TrimPrefix(r.URL, "http://") + "/app" }

// put stores a document, behind a tag if there is one, and gives its digest.
func (r *fakeRegistry) put(tag, body string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.docs[digest(body)] = body
	if tag != "" {
		r.docs[tag] = body
		r.tags = append(r.tags, tag)
	}
	return digest(body)
}

func (r *fakeRegistry) requests() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := len(r.log)
	r.log = nil
	return n
}

func manifest(config, layers string) string {
	return fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",`+
		`"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":1},"layers":[{"digest":%q,"size":1}]}`, digest(config), digest(layers))
}

func index(amd64, arm64 string) string {
	const entry = `{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":%q,"size":1,"platform":{"os":"linux","architecture":%q}}`
	return fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[`+entry+`,`+entry+`]}`, amd64, "amd64", arm64, "arm64")
}

type fakeEngine struct {
	list   []dockercli.Container
	images map[string]dockercli.Image
	tags   map[string]dockercli.Local
	refs   map[string]string
}

func (e *fakeEngine) Containers(context.Context, ...string) ([]dockercli.Container, error) {
	return e.list, nil
}

func (e *fakeEngine) ConfiguredImage(_ context.Context, id string) (string, error) {
	return e.refs[id], nil
}
func (e *fakeEngine) ImageTags(context.Context) (map[string]dockercli.Local, error) {
	return e.tags, nil
}
func (e *fakeEngine) Image(_ context.Context, id string) (dockercli.Image, error) {
	if img, ok := e.images[id]; ok {
		return img, nil
	}
	return dockercli.Image{}, dockercli.ErrNotFound
}

func amd64() image.Platform { return image.Platform{OS: "linux", Architecture: "amd64"} }

// run adds a running container; its id is its name.
func (e *fakeEngine) run(name, ref, imageID, manifest string, labels ...string) {
	c := dockercli.Container{ID: name, Name: name, Image: ref, ImageID: imageID, Manifest: manifest, State: "running", Labels: map[string]string{}}
	for _, l := range labels {
		k, v, _ := strings.Cut(l, "=")
		c.Labels[k] = v
	}
	e.list = append(e.list, c)
}

// image adds an image that registries know by digests of the app's repository.
func (e *fakeEngine) image(r *fakeRegistry, id string, digests ...string) {
	img := dockercli.Image{ID: id, Platform: amd64(), Digests: digests}
	for range digests {
		img.Names = append(img.Names, r.app())
	}
	if e.images == nil {
		e.images = map[string]dockercli.Image{}
	}
	e.images[id] = img
}

func newScanner(t *testing.T, e *fakeEngine) (*scanner.Scanner, *store.Store) {
	t.Helper()
	st, err := store.OpenMemory(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	client := registry.New(registry.Options{})
	s, err := scanner.New(t.Context(), scanner.Dependencies{Engine: e, Store: st, Settings: scanner.Settings{Registry: client, Rules: policy.Rules{
		SkipLocalBuild: true, SkipPinnedDigest: true, SkipSemverPinned: true, UpdatesEnabled: true, AllowComposeUpdate: true}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); _ = st.Close() })
	return s, st
}

func scan(t *testing.T, s *scanner.Scanner, ids ...string) map[string]scanner.ContainerStatus {
	t.Helper()
	result, err := s.Scan(t.Context(), scanner.Options{ContainerIDs: ids})
	if err != nil {
		t.Fatal(err)
	}
	return byName(result)
}

func byName(result scanner.Result) map[string]scanner.ContainerStatus {
	all := map[string]scanner.ContainerStatus{}
	for _, c := range result.Containers {
		all[c.Name] = c
	}
	return all
}

func expect(t *testing.T, c scanner.ContainerStatus, status scanner.Status, code string) {
	t.Helper()
	got := string(c.Policy.Code)
	if c.Error != nil {
		got = c.Error.Code
	}
	if c.Status != status || got != code {
		t.Errorf("%s: %s (%s) %q; want %s (%s)", c.Name, c.Status, got, c.Summary, status, code)
	}
}

func TestTheContainerdStoreBeforeItToldManifests(t *testing.T) {
	r := newRegistry(t)
	one, armOne, armTwo := r.put("", manifest("c1", "l")), r.put("", manifest("a1", "l")), r.put("", manifest("a2", "l"))
	running := r.put("latest", index(one, armOne))
	moved := r.put("latest", index(one, armTwo))
	e := &fakeEngine{}
	e.image(r, running, running)
	e.run("app", r.app(), running, "")
	s, _ := newScanner(t, e)
	expect(t, scan(t, s)["app"], scanner.UpToDate, "allowed")

	// The same after somebody pulled it: the tag has left the running image.
	e.list[0].Image = running
	e.refs = map[string]string{"app": r.app()}
	e.images[running] = dockercli.Image{ID: running, Platform: amd64()}
	e.tags = map[string]dockercli.Local{r.app() + ":latest": {ID: moved, Digests: []string{moved}}}
	expect(t, scan(t, s)["app"], scanner.UpToDate, "allowed")

	r.put("latest", index(r.put("", manifest("c2", "l")), armTwo))
	expect(t, scan(t, s)["app"], scanner.UpdateAvailable, "allowed")
}

func TestAManifestThatWasPackedAnewIsNoUpdate(t *testing.T) {
	r := newRegistry(t)
	one, packed := r.put("", manifest("c1", "l1")), r.put("", manifest("c1", "l2"))
	first, second := r.put("", index(one, digest("x"))), r.put("", index(packed, digest("y")))
	r.put("latest", index(packed, digest("z")))
	for _, order := range [][2]string{{"a", "b"}, {"b", "a"}} { // whatever the engine's order
		e := &fakeEngine{}
		e.image(r, first, first)
		e.image(r, second, second)
		for _, name := range order {
			e.run(name, r.app(), map[string]string{"a": first, "b": second}[name], map[string]string{"a": one, "b": packed}[name])
		}
		s, _ := newScanner(t, e)
		all := scan(t, s)
		expect(t, all["a"], scanner.UpToDate, "allowed")
		expect(t, all["b"], scanner.UpToDate, "allowed")
	}
}

func TestARunningManifestThatIsGoneIsAskedForOnce(t *testing.T) {
	r := newRegistry(t)
	old := manifest("c2", "l1")
	running := digest("an index that is gone")
	r.put("latest", index(r.put("", manifest("c2", "l2")), digest("x")))
	e := &fakeEngine{}
	e.image(r, running, running)
	e.run("app", r.app(), running, digest(old))

	// Trouble is not an answer.
	r.fail[digest(old)] = http.StatusForbidden
	s, _ := newScanner(t, e)
	expect(t, scan(t, s)["app"], scanner.Failed, "registry_unauthorized")
	delete(r.fail, digest(old))
	expect(t, scan(t, s)["app"], scanner.UpdateAvailable, "allowed")
}

func TestAPartialScanLeavesTheOthersAsTheyWere(t *testing.T) {
	r := newRegistry(t)
	one, two := r.put("", manifest("c1", "l1")), r.put("latest", manifest("c2", "l2"))
	e := &fakeEngine{}
	e.image(r, digest("c1"), one)
	e.image(r, digest("c2"), two)
	e.run("old", r.app(), digest("c1"), "")
	e.run("new", r.app(), digest("c2"), "")
	s, _ := newScanner(t, e)
	scan(t, s)
	all := scan(t, s, "new")
	expect(t, all["old"], scanner.UpdateAvailable, "allowed")
	expect(t, all["new"], scanner.UpToDate, "allowed")
}

func TestAnAnswerFromBeforeTheContainerDoesntJudgeIt(t *testing.T) {
	r := newRegistry(t)
	one, three := r.put("", manifest("c1", "l1")), digest(manifest("c3", "l3"))
	r.put("latest", manifest("c2", "l2"))
	e := &fakeEngine{}
	e.image(r, digest("c1"), one)
	e.image(r, digest("c3"), three)
	e.run("app", r.app(), digest("c1"), "")
	s, _ := newScanner(t, e)
	expect(t, scan(t, s)["app"], scanner.UpdateAvailable, "allowed")
	e.list = nil
	e.run("app", r.app(), digest("c3"), "") // a later release, pulled and recreated by hand
	e.list[0].CreatedAt = time.Now().Add(time.Minute)
	if err := s.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	expect(t, byName(s.Latest())["app"], scanner.Unknown, "allowed")
}

func TestMinAgeHoldsWhateverFails(t *testing.T) {
	r := newRegistry(t)
	one := r.put("", manifest("c1", "l1"))
	r.put("latest", manifest("c2", "l2"))
	e := &fakeEngine{}
	e.image(r, digest("c1"), one)
	e.run("app", r.app(), digest("c1"), "", "watchdocker.minAge=72h")
	s, _ := newScanner(t, e)
	expect(t, scan(t, s)["app"], scanner.UpdateAvailable, "too_young")
	s, st := newScanner(t, e)
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	expect(t, scan(t, s)["app"], scanner.UpdateAvailable, "too_young")

	// Pulled already, so that the registry isn't asked.
	e.list[0].Image = digest("c1")
	e.refs = map[string]string{"app": r.app()}
	e.tags = map[string]dockercli.Local{r.app() + ":latest": {ID: digest("c2")}}
	s, _ = newScanner(t, e)
	expect(t, scan(t, s)["app"], scanner.UpdateAvailable, "too_young")
}

func TestAReleaseThatFailedAndIsOnThisHostIsLeftAloneUntilTheTagMoves(t *testing.T) {
	r := newRegistry(t)
	one := r.put("", manifest("c1", "l1"))
	bad := r.put("latest", manifest("c2", "l2"))
	e := &fakeEngine{refs: map[string]string{"app": r.app()}}
	e.image(r, digest("c1"), one)
	e.run("app", digest("c1"), digest("c1"), "")
	e.tags = map[string]dockercli.Local{r.app() + ":latest": {ID: digest("c2"), Digests: []string{bad}}}
	s, st := newScanner(t, e)
	all := scan(t, s)
	expect(t, all["app"], scanner.UpdateAvailable, "allowed")
	if all["app"].PulledDigest != bad {
		t.Errorf("pulled %s, want %s", all["app"].PulledDigest, bad)
	}
	if err := st.Quarantine(t.Context(), "app", bad, "op"); err != nil {
		t.Fatal(err)
	}
	all = scan(t, s)
	expect(t, all["app"], scanner.UpdateAvailable, "quarantined")
	if q := all["app"].Quarantined; q == nil || q.Digest != bad || q.OperationID != "op" {
		t.Errorf("quarantined: %+v", q)
	}
	good := r.put("latest", manifest("c3", "l3"))
	all = scan(t, s)
	expect(t, all["app"], scanner.UpdateAvailable, "allowed")
	if c := all["app"]; c.RemoteDigest != good || c.PulledDigest != "" {
		t.Errorf("remote %s, pulled %s; want %s from the registry", c.RemoteDigest, c.PulledDigest, good)
	}
}

func TestReferencesAndImagesThatCantBeChecked(t *testing.T) {
	r := newRegistry(t)
	one := r.put("latest", manifest("c1", "l1"))
	e := &fakeEngine{}
	e.image(r, digest("c1"), one)
	e.run("unreadable", "Not/A:Reference:", digest("c1"), "")
	e.run("missing", r.app(), digest("c9"), "", "watchdocker.skip=true")
	e.run("no-platform", r.app()+":arm", digest("c1"), "")
	e.run("forced-digest", r.app()+"@"+one, digest("c1"), "", "watchdocker.force=true")
	r.put("arm", index(digest("x"), r.put("", manifest("a1", "l"))))
	r.put("arm", strings.Replace(index(digest("x"), digest("y")), `"amd64"`, `"s390x"`, 1))
	s, _ := newScanner(t, e)
	all := scan(t, s)
	expect(t, all["unreadable"], scanner.Failed, "bad_reference")
	expect(t, all["missing"], scanner.Failed, "image_missing") // whose label that is can't be told
	expect(t, all["no-platform"], scanner.Failed, "no_matching_platform")
	expect(t, all["forced-digest"], scanner.UpToDate, "force_label")
}

func TestLabelsOfAStoppedContainersImageHaveNoSay(t *testing.T) {
	r := newRegistry(t)
	e := &fakeEngine{}
	e.image(r, digest("c1"), digest("x"))
	img := e.images[digest("c1")]
	img.Labels = map[string]string{"watchdocker.skip": "true"}
	e.images[digest("c1")] = img
	e.run("stopped", r.app(), digest("c1"), "", "watchdocker.skip=true")
	e.list[0].State = "exited"
	s, _ := newScanner(t, e)
	expect(t, scan(t, s)["stopped"], scanner.Unknown, "allowed")
}

func TestADeadRegistryDoesntDelayTheOthers(t *testing.T) {
	r := newRegistry(t)
	one := r.put("latest", manifest("c1", "l1"))
	e := &fakeEngine{}
	e.image(r, digest("c1"), one)
	e.run("alive", r.app(), digest("c1"), "")
	for i := range 20 {
		e.run(fmt.Sprint("dead", i), fmt.Sprintf("127.0.0.1:1/app%d", i), digest("c1"), "")
	}
	s, _ := newScanner(t, e)
	all := scan(t, s)
	expect(t, all["alive"], scanner.UpToDate, "allowed")
	expect(t, all["dead7"], scanner.Failed, "registry_unreachable")
	if r.requests() != 1 {
		t.Error("the registry that answers was asked more than once")
	}
}
