package dockercli_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/test/inspection"
	"github.com/watch-docker/watch-docker/test/testbed"
)

// A recreation is one way to make a container. The test makes it from the old
// image, lets dockercli make it again from the new one, and compares the
// engine's inspect with that of the container that the very same create makes
// from the new image (the control). In the strings, {name} is the container's
// own name, {net} begins the names of its networks and volumes, {n} is a
// number of its own, {image} the image, {id NAME} the id of what has the name,
// {dir} a folder with seccomp.json in it.
type recreation struct {
	name string
	from string   // the pair of images; empty: plain
	prep []string // docker commands before
	args []string // of docker create, before the image
	cmd  []string // after it
	body string   // in place of args and cmd: the body of the create request
	then []string // docker commands after the create, before the start
	// createdOnly is why it can't be started here.
	createdOnly string
	// asUnset: what args or body say can't be told from the old image's
	// defaults, and the control is made without.
	asUnset bool
	since   string // API version
	until   string // last API version
	check   func(t *testing.T, b dockercli.Blueprint, warnings []string)
}

// workshop is an engine with the images that the cases need.
type workshop struct {
	*testing.T
	bed    *testbed.Bed
	client *dockercli.Client
	env    []string
	dir    string // with files that cases name
}

func newWorkshop(t *testing.T, kinds ...testbed.Kind) *workshop {
	t.Helper()
	if len(kinds) == 0 {
		kinds = []testbed.Kind{testbed.Plain}
	}
	return newWorkshopOn(t, testbed.AnyEngine, kinds...)
}

func newWorkshopOn(t *testing.T, engine testbed.EngineChoice, kinds ...testbed.Kind) *workshop {
	t.Helper()
	bed := testbed.New(t, testbed.WithEngine(engine), testbed.WithRegistry(kinds...))
	client, err := dockercli.New(dockercli.Options{Host: bed.Engine().Host(), UserAgent: "watch-docker-test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	env := append(os.Environ(), "DOCKER_HOST="+bed.Engine().Host(), "DOCKER_CONFIG="+t.TempDir())
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "seccomp.json"), []byte(`{"defaultAction":"SCMP_ACT_ALLOW"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	return &workshop{T: t, bed: bed, client: client, env: env, dir: dir}
}

// in is the workshop for a subtest.
func (w *workshop) in(t *testing.T) *workshop {
	return &workshop{T: t, bed: w.bed, client: w.client, env: w.env, dir: w.dir}
}

// stock pulls both images of each pair: pair:1 and pair:2.
func (w *workshop) stock(pairs map[string][2]testbed.ImageOptions) {
	w.Helper()
	reg := w.bed.Registry(testbed.Plain)
	for name, pair := range pairs {
		for i, o := range pair {
			o.Payload = fmt.Sprint(name, i)
			repoTag := fmt.Sprintf("%s:%d", name, i+1)
			if _, err := reg.Push(w.Context(), repoTag, testbed.Must(testbed.Image(o))(w)); err != nil {
				w.Fatal(err)
			}
			var options []testbed.PullOption
			if o.Platform != "" {
				options = append(options, testbed.ForPlatform(o.Platform))
			}
			if err := w.bed.Pull(w.Context(), reg.Ref(repoTag), options...); err != nil {
				w.Fatal(err)
			}
		}
	}
}

// docker runs Docker's own command line.
func (w *workshop) docker(args ...string) string {
	w.Helper()
	out, err := w.tryDocker(args...)
	if err != nil {
		w.Fatalf("docker %s: %v", strings.Join(args, " "), err)
	}
	return out
}

func (w *workshop) tryDocker(args ...string) (string, error) {
	cmd := exec.CommandContext(w.Context(), "docker", args...)
	cmd.Env = w.env
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, stderr.String())
	}
	return strings.TrimSpace(string(out)), err
}

// inspect is the engine's raw inspect.
func (w *workshop) inspect(id string) map[string]any {
	w.Helper()
	raw, err := w.client.Detail(w.Context(), id)
	if err != nil {
		w.Fatal(err)
	}
	var all map[string]any
	if err := json.Unmarshal(raw, &all); err != nil {
		w.Fatal(err)
	}
	return all
}

// try does one case: see recreation.
func (w *workshop) try(n int, r recreation) {
	if r.from == "" {
		r.from = "plain"
	}
	ref := fmt.Sprintf("%scase-%d:latest", w.bed.Prefix(), n)
	name := fmt.Sprintf("%scase-%d", w.bed.Prefix(), n)
	r = r.fill(strings.NewReplacer("{name}", name, "{net}", name+"-x", "{n}", fmt.Sprint(n), "{image}", ref, "{dir}", w.dir))
	pair := w.bed.Registry(testbed.Plain).Ref(r.from)
	defer w.clean(name)

	w.docker("tag", pair+":1", ref)
	for _, line := range r.prep {
		w.docker(strings.Fields(line)...)
	}
	r = w.fillIDs(r)
	old := w.make(name, ref, r)
	b := w.blueprint(old)
	w.docker("tag", pair+":2", ref)
	made, warnings, err := w.client.Create(w.Context(), b, dockercli.CreateOptions{Name: name + "-new", ImageID: w.imageID(pair + ":2")})
	if err != nil {
		w.Fatal(err)
	}
	if r.check != nil {
		r.check(w.T, b, warnings)
	}
	w.swap(old, made, name, r)
	got := w.inspect(made)
	w.docker("rm", "-f", made)
	if r.asUnset {
		r.args, r.cmd = nil, nil
		if r.body != "" {
			r.body = fmt.Sprintf(`{"Image":%q}`, ref)
		}
	}
	control := w.make(name, ref, r)
	want := w.inspect(control)
	known := strings.Join(append(append(r.args, r.then...), r.body), " ")
	if diff := cmp.Diff(inspection.Normalise(want, known), inspection.Normalise(got, known)); diff != "" {
		w.Errorf("inspect (-control +recreated):\n%s", diff)
	}
	w.docker("rm", "-f", "-v", control)
}

// make does as the user would.
func (w *workshop) make(name, ref string, r recreation) (id string) {
	w.Helper()
	if r.body != "" {
		id = w.post(name, r.body)
	} else {
		args := append([]string{"create", "--pull", "never", "--name", name}, r.args...)
		id = w.docker(append(append(args, ref), r.cmd...)...)
	}
	for _, line := range r.then {
		w.docker(strings.Fields(line)...)
	}
	if r.createdOnly == "" {
		w.docker("start", name)
	}
	return id
}

// blueprint goes through JSON, as the journal does.
func (w *workshop) blueprint(id string) (b dockercli.Blueprint) {
	w.Helper()
	taken, err := w.client.Blueprint(w.Context(), id)
	if err != nil {
		w.Fatal(err)
	}
	kept, err := json.Marshal(taken)
	if err != nil {
		w.Fatal(err)
	}
	if err := json.Unmarshal(kept, &b); err != nil {
		w.Fatal(err)
	}
	return b
}

// swap puts the new container in the old one's place, as an update does.
func (w *workshop) swap(old, made, name string, r recreation) {
	w.Helper()
	ctx, none, autoRemove := w.Context(), time.Duration(0), slices.Contains(r.args, "--rm") && r.createdOnly == ""
	steps := []func() error{
		func() error { return w.client.Stop(ctx, old, &none) },
		func() error {
			if autoRemove {
				w.gone(old)
				return nil
			}
			return w.client.Rename(ctx, old, name+"-old")
		},
		func() error { return w.client.Rename(ctx, made, name) },
	}
	if r.createdOnly == "" {
		steps = append(steps, func() error { return w.client.Start(ctx, made) })
	}
	for _, step := range steps {
		if err := step(); err != nil {
			w.Fatal(err)
		}
	}
	if !autoRemove {
		w.docker("rm", "-f", old)
	}
}

// gone waits until a container has been removed.
func (w *workshop) gone(id string) {
	w.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); <-tick.C {
		if _, err := w.client.Inspect(w.Context(), id); errors.Is(err, dockercli.ErrNotFound) {
			return
		}
	}
	w.Fatalf("container %s stays", id)
}

func (w *workshop) imageID(ref string) string {
	w.Helper()
	return testbed.Must(w.client.ImageID(w.Context(), ref))(w)
}

// clean removes what a case has left, in whatever state.
func (w *workshop) clean(name string) {
	// The test's own context is still good in a deferred call.
	ids, _ := w.tryDocker("ps", "-aq", "--filter", "name=^/?"+name+"(-|$)")
	for _, id := range strings.Fields(ids) {
		_, _ = w.tryDocker("rm", "-f", "-v", id)
	}
}

func (r recreation) fill(in *strings.Replacer) recreation { return r.replace(in.Replace) }

// fillIDs puts the ids of what prep has made in the place of {id NAME}.
func (w *workshop) fillIDs(r recreation) recreation {
	return r.replace(func(s string) string {
		return regexp.MustCompile(`{id [^}]+}`).ReplaceAllStringFunc(s, func(at string) string {
			return w.docker("inspect", "--format", "{{.Id}}", strings.TrimSuffix(strings.TrimPrefix(at, "{id "), "}"))
		})
	})
}

func (r recreation) replace(in func(string) string) recreation {
	each := func(list []string) []string {
		var out []string
		for _, s := range list {
			out = append(out, in(s))
		}
		return out
	}
	r.prep, r.args, r.cmd, r.then, r.body = each(r.prep), each(r.args), each(r.cmd), each(r.then), in(r.body)
	return r
}
