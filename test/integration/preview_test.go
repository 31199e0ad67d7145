package integration_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"github.com/watch-docker/watch-docker/internal/api"
	"github.com/watch-docker/watch-docker/internal/app"
	"github.com/watch-docker/watch-docker/internal/preview"
	"github.com/watch-docker/watch-docker/internal/store"
	"github.com/watch-docker/watch-docker/test/inspection"
	"github.com/watch-docker/watch-docker/test/testbed"
)

const (
	commitOne = "1111111111111111111111111111111111111111"
	commitTwo = "2222222222222222222222222222222222222222"
)

// richOld and richNew differ in everything that an image can give.
func richOld() testbed.ImageOptions {
	return testbed.ImageOptions{
		Payload: "one", Env: []string{"KEPT=1", "CHANGED=old", "GONE=1", "MINE_CHANGED=old", "API_TOKEN=hidden-one"},
		Labels: map[string]string{
			"changed": "old", "gone": "1", "mine": "image", "org.opencontainers.image.version": "1.0", "org.opencontainers.image.revision": commitOne,
			"org.opencontainers.image.source": "https://github.com/acme/rich",
		},
		ExposedPorts: []string{"80/tcp", "81/tcp"}, Volumes: []string{"/data", "/old", "/mine"}, WorkingDir: "/bin", User: "0:0",
		Entrypoint: testbed.Stoppable("sleep", "1000"), Cmd: []string{"1"}, Healthcheck: checked("true"),
	}
}

func richNew() testbed.ImageOptions {
	return testbed.ImageOptions{
		Payload: "two", Env: []string{"KEPT=1", "CHANGED=new", "ADDED=1", "MINE_CHANGED=new", "API_TOKEN=hidden-two"},
		Labels: map[string]string{
			"changed": "new", "added": "1", "mine": "image 2", "org.opencontainers.image.version": "2.0", "org.opencontainers.image.revision": commitTwo,
			"org.opencontainers.image.source": "https://github.com/acme/rich",
		},
		ExposedPorts: []string{"80/tcp", "82/tcp"}, Volumes: []string{"/data", "/added"}, WorkingDir: "/etc", User: "65534",
		Entrypoint: testbed.Stoppable("sleep", "2000"), Cmd: []string{"2"}, StopSignal: "SIGINT",
	}
}

// rich runs a container that sets much itself, with two that depend on it, and
// pushes a release of its image.
func (w *world) rich() (old testbed.Container, digest string) {
	w.Helper()
	reg := w.bed.Registry(testbed.TLSToken)
	w.release("rich:latest", richOld())
	w.release("side:latest", testbed.ImageOptions{Payload: "side"})
	w.pull(reg.Ref("rich:latest"))
	w.pull(reg.Ref("side:latest"))
	port := network.MustParsePort("81/tcp")
	old = w.start(testbed.ContainerSpec{
		Name: "rich", Image: reg.Ref("rich:latest"), Env: []string{"MINE=1", "MINE_CHANGED=mine"}, Labels: map[string]string{"mine": "mine"},
		Config: &container.Config{Volumes: map[string]struct{}{"/anonymous": {}}, ExposedPorts: network.PortSet{port: {}}},
		HostConfig: &container.HostConfig{
			PortBindings: network.PortMap{port: {{HostIP: netip.MustParseAddr("127.0.0.1")}}},
			Mounts:       []mount.Mount{{Type: mount.TypeVolume, Source: w.bed.Name("named"), Target: "/mine"}},
		},
	})
	w.start(testbed.ContainerSpec{Name: "side", Image: reg.Ref("side:latest"), HostConfig: &container.HostConfig{NetworkMode: container.NetworkMode("container:" + old.ID)}})
	w.start(testbed.ContainerSpec{Name: "later", Image: reg.Ref("side:latest"), Labels: map[string]string{"watchdocker.dependsOn": old.Name}})
	return old, w.release("rich:latest", richNew())
}

// everything is what a preview must not change: containers, images, volumes.
func (w *world) everything() map[string]string {
	w.Helper()
	engine, all := w.bed.Engine().Client(), map[string]string{}
	containers, err := engine.ContainerList(w.Context(), client.ContainerListOptions{All: true})
	if err != nil {
		w.Fatal(err)
	}
	for _, c := range containers.Items {
		all["container "+c.ID] = fmt.Sprint(c.Names, c.State, c.ImageID, c.Created)
	}
	images, err := engine.ImageList(w.Context(), client.ImageListOptions{All: true})
	if err != nil {
		w.Fatal(err)
	}
	for _, i := range images.Items {
		all["image "+i.ID] = fmt.Sprint(i.RepoTags, i.RepoDigests)
	}
	volumes, err := engine.VolumeList(w.Context(), client.VolumeListOptions{})
	if err != nil {
		w.Fatal(err)
	}
	for _, v := range volumes.Items {
		all["volume "+v.Name] = v.Mountpoint
	}
	return all
}

func (c caller) preview(id string) (p preview.Preview) {
	c.t.Helper()
	if code := c.call("GET", "/api/containers/"+id+"/preview", "", &p); code != http.StatusOK {
		c.t.Fatalf("preview of %s: %d %+v", id, code, p)
	}
	return p
}

func codes(all []preview.Finding) []string {
	out := []string{}
	for _, f := range all {
		out = append(out, f.Code)
	}
	slices.Sort(out)
	return out
}

func TestAPreviewSaysWhatTheUpdateThenDoes(t *testing.T) {
	w := newWorld(t, testbed.AnyEngine, testbed.TLSToken)
	w.env = append(w.env, "USER_NAME=ann", "USER_PASSWORD=correct horse", "WATCH_UPDATE_STABLE_FOR=1s")
	old, digest := w.rich()
	s, _ := w.serve("WATCH_SCAN_INTERVAL=1h", "WATCH_SCAN_INITIAL_SCAN_ON_START=false")
	c := w.login(s)
	if code := c.call("POST", "/api/scan?wait=30s", `{}`, nil); code != http.StatusAccepted {
		t.Fatalf("scan: %d", code)
	}
	reg := w.bed.Registry(testbed.TLSToken)
	reg.Reset()
	reg.Tokens().Reset()
	before := w.everything()
	p := c.preview(old.Name)
	if diff := cmp.Diff(before, w.everything()); diff != "" {
		t.Errorf("the preview changed something:\n%s", diff)
	}
	if asked := reg.Requests(); len(asked) != 2 || !strings.Contains(asked[0].Path, "/manifests/") || !strings.Contains(asked[1].Path, "/blobs/") || reg.Tokens().Count() != 0 {
		t.Errorf("it asked %v, and for %d tokens", asked, reg.Tokens().Count())
	}
	reg.Reset()
	if again := c.preview(old.ID[:12]); cmp.Diff(p, again) != "" || reg.Count() != 0 {
		t.Errorf("again: %v\n%s", reg.Requests(), cmp.Diff(p, again))
	}
	w.expectPlan(p, old, digest)

	// And so it happens.
	was := w.inspect("rich")
	var op store.Operation
	if code := c.call("POST", "/api/containers/"+old.Name+"/update?wait=60s", `{}`, &op); code != http.StatusAccepted || op.State != store.Succeeded {
		t.Fatalf("update: %d %+v %+v", code, op, op.Error)
	}
	is := w.inspect("rich")
	if diff := cmp.Diff(inspection.Happened(was, is), inspection.Foretold(p.Changes)); diff != "" {
		t.Errorf("-happened +foretold:\n%s", diff)
	}
	if was.ID == is.ID || len(inspection.Happened(was, is)) < 12 {
		t.Errorf("the case is a poor one: %v", inspection.Happened(was, is))
	}
	after := c.preview(old.Name)
	if after.Status != "upToDate" || after.To == nil || after.To.Digest != digest || cmp.Diff(after.From, after.To) != "" || !after.Changes.None() || after.Refused != nil ||
		after.Interruption.LastMs == nil || *after.Interruption.LastMs != op.DowntimeMs || after.Download.Bytes != 0 {
		t.Errorf("of what is up to date: %+v, from %+v to %+v", after, after.From, after.To)
	}
}

func (w *world) expectPlan(p preview.Preview, old testbed.Container, digest string) {
	w.Helper()
	if p.ContainerID != old.ID || p.Name != old.Name || p.Status != "updateAvailable" || p.Error != nil || p.Refused != nil || p.Own || p.OperationID != nil || p.Strategy != "stop-first" {
		w.Errorf("preview: %+v (%+v, %+v)", p, p.Error, p.Refused)
	}
	if p.From == nil || p.From.Version != "1.0" || p.From.Revision != commitOne || p.From.CreatedAt == nil || p.To == nil || p.To.Version != "2.0" || p.To.Digest != digest || p.To.ImageID != "" {
		w.Errorf("from %+v to %+v", p.From, p.To)
	}
	if p.Link == nil || p.Link.URL != "https://github.com/acme/rich/compare/111111111111...222222222222" || p.Download == nil || p.Download.Layers != 1 || p.Download.Bytes == 0 {
		w.Errorf("link %+v, download %+v", p.Link, p.Download)
	}
	text, _ := json.Marshal(p)
	if strings.Contains(string(text), "hidden-") {
		w.Errorf("a secret is in %s", text)
	}
	overridden := []string{}
	for _, list := range [][]preview.Change{p.Changes.Env, p.Changes.Labels, p.Changes.Ports, p.Changes.Volumes} {
		for _, c := range list {
			if c.Overridden {
				overridden = append(overridden, c.Name)
			}
		}
	}
	if diff := cmp.Diff([]string{"MINE_CHANGED", "mine", "81/tcp", "/mine"}, overridden); diff != "" {
		w.Errorf("what the user has set (-want +got):\n%s", diff)
	}
	dependents := map[string]string{}
	for _, d := range p.Dependents {
		dependents[strings.TrimPrefix(d.Name, w.bed.Prefix())] = d.Action
	}
	if diff := cmp.Diff(map[string]string{"side": "recreated", "later": "restarted"}, dependents); diff != "" {
		w.Errorf("dependents:\n%s", diff)
	}
	if o := p.Order; len(o.Stop) != 3 || len(o.Start) != 3 || o.Stop[2] != old.Name || o.Start[0] != old.Name {
		w.Errorf("order: %+v", o)
	}
	if i := p.Interruption; i.Kind != "restart" || i.LastMs != nil || i.StopTimeoutMs == nil || *i.StopTimeoutMs != 10_000 || i.Text == "" {
		w.Errorf("interruption: %+v", i)
	}
	if diff := cmp.Diff([]string{"anonymous_volumes", "no_health_check", "random_ports", "user_changes", "volume_not_mounted"}, codes(p.Warnings)); diff != "" {
		w.Errorf("warnings: %s\n%+v", diff, p.Warnings)
	}
	for _, f := range p.Warnings {
		if f.Code == "random_ports" && !strings.Contains(f.Message, "81/tcp") || f.Code == "volume_not_mounted" && !strings.Contains(f.Message, "/old") ||
			f.Code == "anonymous_volumes" && !strings.Contains(f.Message, "/anonymous, /data") {
			w.Errorf("%+v", f)
		}
	}
}

// Containers of many kinds, each with what is special about it.
func TestWhatAPreviewWarnsOfAndWhatItRefuses(t *testing.T) {
	w := newWorld(t, testbed.AnyEngine, testbed.TLSToken)
	w.env = append(w.env, "USER_NAME=ann", "USER_PASSWORD=correct horse")
	reg, engine := w.bed.Registry(testbed.TLSToken), w.bed.Engine().Client()
	w.release("app:latest", testbed.ImageOptions{Payload: "one"})
	w.pull(reg.Ref("app:latest"))
	for name, spec := range map[string]testbed.ContainerSpec{
		"brief":   {HostConfig: &container.HostConfig{AutoRemove: true}},
		"open":    {HostConfig: &container.HostConfig{PublishAllPorts: true}},
		"beside":  {Labels: map[string]string{"watchdocker.strategy": "start-first"}, HostConfig: &container.HostConfig{PublishAllPorts: true}},
		"stopped": {CreateOnly: true},
		"paused":  {},
		"skipped": {Labels: map[string]string{"watchdocker.skip": "true"}},
		"hooked":  {Labels: map[string]string{"watchdocker.strategy": "start-first", "watchdocker.preUpdate": "backup", "watchdocker.stopTimeout": "90s"}},
	} {
		spec.Name, spec.Image = name, reg.Ref("app:latest")
		w.start(spec)
	}
	if _, err := engine.ContainerPause(t.Context(), w.bed.Name("paused"), client.ContainerPauseOptions{}); err != nil {
		t.Fatal(err)
	}
	w.release("app:latest", testbed.ImageOptions{Payload: "two", ExposedPorts: []string{"80/tcp"}})
	s, _ := w.serve("WATCH_SCAN_INTERVAL=1h", "WATCH_SCAN_INITIAL_SCAN_ON_START=false")
	c := w.login(s)
	if code := c.call("POST", "/api/scan?wait=30s", `{}`, nil); code != http.StatusAccepted {
		t.Fatalf("scan: %d", code)
	}
	before := w.everything()
	for name, want := range map[string]struct {
		warnings []string
		refused  string
		failed   string // of the image
		kind     string
	}{
		"brief":   {[]string{"auto_remove", "no_health_check"}, "", "", "restart"},
		"open":    {[]string{"no_health_check", "random_ports"}, "", "", "restart"},
		"beside":  {[]string{"no_health_check", "random_ports"}, "start_first_refused", "", "restart"},
		"stopped": {[]string{"not_running"}, "", "", "none"},
		"paused":  {[]string{"not_running"}, "container_paused", "", "none"},
		"skipped": {[]string{}, "skip_label", "skip_label", "restart"},
		"hooked":  {[]string{"no_health_check"}, "", "", "none"},
	} {
		p := c.preview(w.bed.Name(name))
		if p.Refused == nil {
			p.Refused = &preview.Finding{}
		}
		if p.Error == nil {
			p.Error = &preview.Finding{}
		}
		if diff := cmp.Diff(want.warnings, codes(p.Warnings)); diff != "" || p.Refused.Code != want.refused || p.Error.Code != want.failed || p.Interruption.Kind != want.kind {
			t.Errorf("%s: %+v, refused %+v, error %+v\n%s", name, p, p.Refused, p.Error, diff)
		}
		if (p.To == nil) != (want.failed != "") || p.To != nil && len(p.Changes.Ports) != 1 {
			t.Errorf("%s: to %+v, %+v", name, p.To, p.Changes)
		}
	}
	if p := c.preview(w.bed.Name("hooked")); p.Strategy != "start-first" || p.Hooks.PreUpdate != "backup" || *p.Interruption.StopTimeoutMs != 90_000 {
		t.Errorf("hooked: %+v", p)
	}
	var forced preview.Preview
	if code := c.call("GET", "/api/containers/"+w.bed.Name("skipped")+"/preview?force=true", "", &forced); code != http.StatusOK || forced.Refused != nil || forced.To == nil {
		t.Errorf("by force: %d %+v", code, forced)
	}
	if code := c.call("GET", "/api/containers/nobody/preview", "", nil); code != http.StatusNotFound {
		t.Errorf("of nobody: %d", code)
	}
	if diff := cmp.Diff(before, w.everything()); diff != "" {
		t.Errorf("the previews changed something:\n%s", diff)
	}

	// The registry fails: what is known without it is told.
	w.release("app:latest", testbed.ImageOptions{Payload: "three"})
	if code := c.call("POST", "/api/scan?wait=30s&fresh=true", `{}`, nil); code != http.StatusAccepted {
		t.Fatalf("scan: %d", code)
	}
	remove := reg.Inject(testbed.Fault{Path: "/v2/app/blobs/*", Status: http.StatusForbidden})
	p := c.preview(w.bed.Name("brief"))
	if p.To != nil || p.From == nil || p.Error == nil || p.Error.Code != "registry_unauthorized" || p.Interruption.Kind != "restart" || !slices.Equal(codes(p.Warnings), []string{"auto_remove"}) {
		t.Errorf("without its registry: %+v, %+v", p, p.Error)
	}
	remove()

	// What was pulled by hand is compared without the registry.
	w.pull(reg.Ref("app:latest"))
	testbed.Eventually(t, time.Minute, func() error {
		return ifNot(w.byName(s.Latest())["brief"].PulledDigest != "", "the pull isn't seen yet")
	})
	reg.Reset()
	if p := c.preview(w.bed.Name("brief")); p.To == nil || p.To.ImageID == "" || p.Download.Bytes != 0 || reg.Count() != 0 {
		t.Errorf("of what is here: %+v, asked %v", p, reg.Requests())
	}
	// Its old image is gone.
	image := w.inspect("open").Image
	if _, err := engine.ImageRemove(t.Context(), image, client.ImageRemoveOptions{Force: true}); err != nil {
		t.Logf("the engine keeps an image that is in use: %v", err) // the containerd store
	}
	if _, err := engine.ImageInspect(t.Context(), image); err != nil {
		if p := c.preview(w.bed.Name("open")); p.From != nil || !slices.Contains(codes(p.Warnings), "image_gone") {
			t.Errorf("without its image: %+v", p)
		}
	}
}

func TestTheDryRunPrintsPreviews(t *testing.T) {
	w := newWorld(t, testbed.AnyEngine, testbed.TLSToken)
	old, digest := w.rich()
	reg := w.bed.Registry(testbed.TLSToken)
	w.release("evil:latest", testbed.ImageOptions{Payload: "one"})
	w.container("evil", reg.Ref("evil:latest"), nil)
	w.release("evil:latest", testbed.ImageOptions{
		Payload: "two", Env: []string{"A=\x1b[31mred\nline\u202e", "LONG=" + strings.Repeat("long ", 100)},
		Labels: map[string]string{"org.opencontainers.image.version": "\x1b[2J9", "org.opencontainers.image.source": "javascript:alert(1)", "\x1b]0;x\a": "y"},
	})
	before := w.everything()
	for how, start := range map[string]func(){"by itself": func() {}, "through the server": func() { w.serve("WATCH_SCAN_INTERVAL=1h") }} {
		start()
		stdout, stderr, code := w.run(nil, "update", "-dry-run", old.Name, w.bed.Name("evil"), w.bed.Name("later"))
		if code != app.ExitOK {
			t.Fatalf("%s: %d %s", how, code, stderr)
		}
		for _, want := range []string{
			"would update", w.bed.Name("later") + " left alone: " + w.bed.Name("later") + " is up to date.", "+ ADDED=1", "- GONE", "~ CHANGED: old -> new", "(yours stays) ~ MINE_CHANGED",
			"https://github.com/acme/rich/compare/111111111111...222222222222", "1.0", "2.0", "later (restarted)", "side", "(recreated)", "warning", "download", "B\n", `\x1b[31mred\nline\u202e`,
		} {
			if !strings.Contains(stdout, want) {
				t.Errorf("%s: %q is missing in\n%s", how, want, stdout)
			}
		}
		if strings.ContainsAny(stdout, "\x1b\a\u202e") || strings.Contains(stdout, "read          javascript") || strings.Contains(stdout, "hidden-") {
			t.Errorf("%s: a stranger's text came through: %q", how, stdout)
		}
		_, sections, _ := strings.Cut(stdout, "\n\n")
		for line := range strings.Lines(sections) {
			if utf8.RuneCountInString(strings.TrimRight(line, "\n")) > 80 && !strings.Contains(line, "https://") {
				t.Errorf("%s: too long: %q", how, line)
			}
		}
		stdout, stderr, code = w.run(nil, "update", "-dry-run", "-json", "-all")
		var run api.Run
		if err := json.Unmarshal([]byte(stdout), &run); err != nil || code != app.ExitOK {
			t.Fatalf("%s: %v %d %s", how, err, code, stderr)
		}
		found := slices.IndexFunc(run.Previews, func(p preview.Preview) bool { return p.Name == old.Name })
		if len(run.Previews) != 2 || len(run.Operations) != 2 || found < 0 {
			t.Fatalf("%s: %+v", how, run)
		}
		w.expectPlan(run.Previews[found], old, digest)
		for i, p := range run.Previews {
			if p.Name != run.Operations[i].Target {
				t.Errorf("%s: the previews are in another order: %s, %s", how, p.Name, run.Operations[i].Target)
			}
		}
	}
	if diff := cmp.Diff(before, w.everything()); diff != "" {
		t.Errorf("the dry runs changed something:\n%s", diff)
	}
	if _, _, code := w.run(nil, "update", "-dry-run", "nobody"); code != app.ExitFailed {
		t.Errorf("of nobody: %d", code)
	}
}
