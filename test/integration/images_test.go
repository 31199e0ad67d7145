package integration_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/client"

	"github.com/watch-docker/watch-docker/internal/api"
	"github.com/watch-docker/watch-docker/internal/resource"
	"github.com/watch-docker/watch-docker/internal/store"
	"github.com/watch-docker/watch-docker/test/testbed"
)

// host is a world with a server on an engine of its own, and its administrator.
type host struct {
	*world
	caller

	reg *testbed.Registry
}

func newHost(t *testing.T, env ...string) *host {
	w := newWorld(t, testbed.PrivateEngine, testbed.TLSToken, testbed.Plain)
	w.env = append(w.env, "USER_NAME=ann", "USER_PASSWORD=correct horse", "WATCH_UPDATE_STABLE_FOR=1s")
	s, _ := w.serve(append([]string{"WATCH_SCAN_INTERVAL=1h"}, env...)...)
	h := &host{world: w, caller: w.login(s), reg: w.bed.Registry(testbed.TLSToken)}
	if code := h.call("POST", "/api/v1/auth/step-up", `{"password":"correct horse"}`, nil); code != http.StatusOK {
		t.Fatalf("step-up: %d", code)
	}
	return h
}

func (h *host) images() map[string]resource.Image {
	h.t.Helper()
	var list struct{ Images []resource.Image }
	if code := h.call("GET", "/api/images?sizes=true", "", &list); code != http.StatusOK {
		h.t.Fatalf("images: %d", code)
	}
	all := map[string]resource.Image{}
	for _, i := range list.Images {
		all[i.ID] = i
	}
	return all
}

// operation asks for one, waits for its end and reads its result.
func (h *host) operation(path, body string, result any) store.Operation {
	h.t.Helper()
	var op store.Operation
	if code := h.call("POST", path+"?wait=1m", body, &op); code != http.StatusAccepted || !op.State.Finished() {
		h.t.Fatalf("POST %s %s: %d %+v", path, body, code, op)
	}
	if result != nil {
		if err := json.Unmarshal(op.Result, result); err != nil {
			h.t.Fatalf("the result of %s: %v in %s", path, err, op.Result)
		}
	}
	return op
}

func (h *host) problem(method, path, body string, status int, code string) {
	h.t.Helper()
	var p struct{ Code, Detail string }
	if got := h.call(method, path, body, &p); got != status || p.Code != code {
		h.t.Errorf("%s %s %s: %d %+v, want %d %s", method, path, body, got, p, status, code)
	}
}

func ids(images []resource.PrunedImage) []string {
	var all []string
	for _, i := range images {
		all = append(all, i.ID)
	}
	slices.Sort(all)
	return all
}

func reasons(kept []resource.Left) map[string]string {
	codes := map[string]string{}
	for _, k := range kept {
		codes[k.ID] = k.Code
	}
	return codes
}

func TestAPruneRemovesWhatItsPreviewSaysAndKeepsWhatIsNeeded(t *testing.T) {
	h := newHost(t)
	sleep := testbed.Stoppable("sleep", "1000")
	image := func(tag, payload string) string {
		h.release(tag, testbed.ImageOptions{Payload: payload, Entrypoint: sleep, Created: time.Now().Add(-100 * 24 * time.Hour)})
		h.pull(h.reg.Ref(tag))
		res, err := h.bed.Engine().Client().ImageInspect(t.Context(), h.reg.Ref(tag))
		if err != nil {
			t.Fatal(err)
		}
		return res.ID
	}
	litter := image("litter:latest", noise(1<<20))
	image("litter:latest", "two") // takes its tag
	unused := image("unused:1", "three")
	if _, err := h.bed.Engine().Client().ImageTag(t.Context(), client.ImageTagOptions{Source: unused, Target: "another.example/name:2"}); err != nil {
		t.Fatal(err)
	}
	stopped := image("stopped:1", "four")
	h.start(testbed.ContainerSpec{Name: "stopped", Image: h.reg.Ref("stopped:1"), CreateOnly: true})
	rollback := image("app:latest", "five")
	h.start(testbed.ContainerSpec{Name: "app", Image: h.reg.Ref("app:latest")})
	h.release("app:latest", testbed.ImageOptions{Payload: "six", Entrypoint: sleep})
	h.operation("/api/scan", `{}`, nil)
	if op := h.operation("/api/containers/"+h.bed.Name("app")+"/update", `{}`, nil); op.State != store.Succeeded {
		t.Fatalf("update: %+v", op)
	}

	all := h.images()
	if i := all[rollback]; !i.Dangling || !slices.Equal(i.NeededForRollback, []string{h.bed.Name("app")}) || len(i.Containers) > 0 {
		t.Errorf("what a rollback needs: %+v", i)
	}
	if i := all[litter]; !i.Dangling || i.UniqueBytes == nil || *i.UniqueBytes < 1<<20 || *i.UniqueBytes > i.SizeBytes || *i.SharedBytes+*i.UniqueBytes != i.SizeBytes {
		t.Errorf("litter: %+v", i)
	}
	if i := all[stopped]; !slices.Equal(i.Containers, []string{h.bed.Name("stopped")}) {
		t.Errorf("of a stopped container: %+v", i)
	}

	preview := func(body string) (p resource.ImagesPruned) {
		t.Helper()
		if code := h.call("POST", "/api/images/prune", body, &p); code != http.StatusOK {
			t.Fatalf("preview %s: %d", body, code)
		}
		return p
	}
	if p := preview(`{"dryRun":true,"all":true,"olderThan":"101d"}`); len(p.Images) > 0 {
		t.Errorf("older than they are: %+v", p)
	}
	// The containerd store knows when it was pulled, and goes by that.
	old := h.bed.Engine().Choice() != testbed.Newest
	if p := preview(`{"dryRun":true,"all":true,"olderThan":"2376h"}`); slices.Contains(ids(p.Images), litter) != old || slices.Contains(ids(p.Images), unused) {
		t.Errorf("made 100 days ago, and one of them named a moment ago: %+v", p)
	}
	would := preview(`{"dryRun":true}`)
	if !slices.Equal(ids(would.Images), []string{litter}) || would.ReclaimedBytes != *all[litter].UniqueBytes || reasons(would.Kept)[rollback] != resource.CodeRollback {
		t.Errorf("preview: %+v", would)
	}
	var done resource.ImagesPruned
	op := h.operation("/api/images/prune", "", &done)
	if diff := cmp.Diff(would, done); op.State != store.Succeeded || op.Actor != "ann" || diff != "" {
		t.Errorf("prune: %+v, %s", op, diff)
	}
	would = preview(`{"dryRun":true,"all":true}`)
	if !slices.Contains(ids(would.Images), unused) || slices.Contains(ids(would.Images), stopped) || reasons(would.Kept)[rollback] != resource.CodeRollback {
		t.Errorf("preview of all: %+v", would)
	}
	op = h.operation("/api/images/prune", `{"all":true}`, &done)
	if diff := cmp.Diff(would, done); op.State != store.Succeeded || diff != "" {
		t.Errorf("prune of all: %+v, %s", op, diff)
	}
	left := h.images()
	for _, id := range append(would.Deleted, litter) {
		if i, there := left[id]; there {
			t.Errorf("it is still there: %+v", i)
		}
	}
	for name, id := range map[string]string{"rollback": rollback, "stopped": stopped} {
		if _, there := left[id]; !there {
			t.Errorf("the image of %s is gone", name)
		}
	}

	h.problem("DELETE", "/api/images", `{"id":"`+rollback+`"}`, http.StatusConflict, resource.CodeRollback)
	h.problem("DELETE", "/api/images", `{"id":"`+stopped+`"}`, http.StatusConflict, api.CodeConflict)
	h.problem("DELETE", "/api/images", `{"id":"nothing"}`, http.StatusNotFound, api.CodeNoImage)
	var removed resource.ImageRemoval
	if code := h.call("DELETE", "/api/images", `{"id":"`+rollback+`","force":true}`, &removed); code != http.StatusOK || !slices.Contains(removed.Deleted, rollback) {
		t.Errorf("by force: %d %+v", code, removed)
	}
	var detail api.ImageDetail
	if code := h.call("GET", "/api/images/"+strings.TrimPrefix(stopped, "sha256:")[:12], "", &detail); code != http.StatusOK ||
		detail.ID != stopped || len(detail.Layers) == 0 || len(detail.History) == 0 || !slices.Equal(detail.Entrypoint, sleep) {
		t.Errorf("detail: %d %+v", code, detail)
	}
	h.problem("GET", "/api/images/..", "", http.StatusNotFound, api.CodeNoImage)
	h.problem("GET", "/api/images/-f", "", http.StatusNotFound, api.CodeNoImage)
}

func TestAnImageIsPulledWithProgressAndCredentials(t *testing.T) {
	h := newHost(t)
	h.release("app:1", testbed.ImageOptions{Payload: noise(4 << 20)})
	var got resource.Pulled
	op := h.operation("/api/images/pull", `{"image":"`+h.reg.Ref("app:1")+`"}`, &got)
	if op.State != store.Succeeded || op.Kind != "pull" || op.Target != h.reg.Ref("app:1") || got.ImageID == "" || !strings.HasPrefix(got.Digest, "sha256:") {
		t.Errorf("pull: %+v %+v", op, got)
	}
	if _, there := h.images()[got.ImageID]; !there {
		t.Error("the image isn't listed")
	}

	h.release("slow:1", testbed.ImageOptions{Payload: noise(2 << 20)})
	unblock := h.reg.Inject(testbed.Fault{Path: "/v2/slow/blobs/*", Latency: 5 * time.Minute})
	body := `{"image":"` + h.reg.Ref("slow:1") + `"}`
	var mu sync.Mutex
	operations := map[string]bool{}
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			var op store.Operation
			code := h.call("POST", "/api/images/pull", body, &op)
			mu.Lock()
			defer mu.Unlock()
			if operations[op.ID] = true; code != http.StatusAccepted || op.State != store.Running {
				t.Errorf("a pull: %d %+v", code, op)
			}
		})
	}
	wg.Wait()
	if len(operations) != 1 {
		t.Errorf("one image has the pulls %v", operations)
	}
	for id := range operations {
		if code := h.call("POST", "/api/operations/"+id+"/cancel?wait=30s", "", &op); code != http.StatusAccepted || op.State != store.Cancelled || op.Error.Code != "cancelled" {
			t.Errorf("cancel: %d %+v", code, op)
		}
	}
	unblock()
	if op := h.operation("/api/images/pull", body, nil); op.State != store.Succeeded {
		t.Errorf("after the cancelled one: %+v", op)
	}
}

func TestAPullThatFailsSaysWhy(t *testing.T) {
	h := newHost(t, "WATCH_REGISTRY_AUTH_0_PASSWORD=wrong")
	plain := h.bed.Registry(testbed.Plain)
	h.release("app:1", testbed.ImageOptions{Payload: "one"})
	h.push(plain, "multi:1", h.index("one", "two"))
	for _, c := range []struct{ image, platform, code string }{
		{plain.Ref("nothing:1"), "", resource.CodeNotThere},
		{h.reg.Ref("app:1"), "", resource.CodeUnauthorized},
		{"127.0.0.1:1/app:1", "", resource.CodeUnreachable},
		{plain.Ref("multi:1"), "linux/s390x", resource.CodePlatform},
	} {
		op := h.operation("/api/images/pull", `{"image":"`+c.image+`","platform":"`+c.platform+`"}`, nil)
		if op.State != store.Failed || op.Error == nil || op.Error.Code != c.code || !strings.Contains(op.Error.Message, c.image) {
			t.Errorf("%s: %s %+v, want %s", c.image, op.State, op.Error, c.code)
		}
	}
	if op := h.operation("/api/images/pull", `{"image":"`+plain.Ref("multi:1")+`","platform":"linux/arm64"}`, nil); op.State != store.Succeeded {
		t.Errorf("for another platform: %+v", op.Error)
	}
}
