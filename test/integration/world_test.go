// Package integration_test runs the whole program against real engines and
// real registries: what a user would see.
package integration_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/watch-docker/watch-docker/internal/app"
	"github.com/watch-docker/watch-docker/internal/scanner"
	"github.com/watch-docker/watch-docker/test/testbed"
)

// world is an engine, registries, and a state folder for the program.
type world struct {
	*testing.T
	bed   *testbed.Bed
	state string
	env   []string
}

func newWorld(t *testing.T, engine testbed.EngineChoice, registries ...testbed.Kind) *world {
	t.Helper()
	w := &world{T: t, state: filepath.Join(t.TempDir(), "state")}
	w.bed = testbed.New(t, testbed.WithEngine(engine), testbed.WithRegistry(registries...))
	w.env = append(w.env, "DOCKER_HOST="+w.bed.Engine().Host(), "STATE_PATH="+w.state, "WATCH_SERVER_ADDR=127.0.0.1:0",
		"WATCH_LOGGING_LEVEL=debug", "WATCH_LOGGING_FORMAT=json", "CONFIG_PATH="+t.TempDir())
	t.Setenv("DOCKER_CONFIG", t.TempDir()) // nobody's real credentials
	n := 0
	for _, r := range w.bed.Registries() {
		if r.Username() == "" {
			continue
		}
		prefix := fmt.Sprintf("WATCH_REGISTRY_AUTH_%d_", n)
		w.env = append(w.env, prefix+"HOST="+r.Host(), prefix+"USERNAME="+r.Username(), prefix+"PASSWORD="+r.Password())
		n++
	}
	return w
}

// run is the program with the world's environment and more.
func (w *world) run(env []string, args ...string) (stdout, stderr string, code int) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), time.Minute)
	defer cancel()
	var out, err bytes.Buffer
	code = app.Program{Args: args, Environ: append(append([]string{}, w.env...), env...), Stdout: &out, Stderr: &err}.Run(ctx)
	return out.String(), err.String(), code
}

// scan is the command's JSON: the bed's containers by their short names.
func (w *world) scan(env ...string) map[string]scanner.ContainerStatus {
	w.Helper()
	stdout, stderr, code := w.run(env, "scan", "-json")
	if code != app.ExitOK {
		w.Fatalf("scan exits with %d: %s", code, stderr)
	}
	var result scanner.Result
	if err := json.Unmarshal([]byte(stdout), &result); err != nil {
		w.Fatalf("scan -json: %v in %s", err, stdout)
	}
	return w.byName(result)
}

// byName leaves out containers of others on an engine that was there before.
func (w *world) byName(result scanner.Result) map[string]scanner.ContainerStatus {
	all := map[string]scanner.ContainerStatus{}
	for _, c := range result.Containers {
		if short, ours := strings.CutPrefix(c.Name, w.bed.Prefix()); ours {
			all[short] = c
		}
	}
	return all
}

// expect compares a container's status and, if given, the code of its policy or error.
func (w *world) expect(all map[string]scanner.ContainerStatus, name string, status scanner.Status, code string) {
	w.Helper()
	c, ok := all[name]
	if !ok {
		w.Errorf("%s is not in the result", name)
		return
	}
	got := string(c.Policy.Code)
	if c.Error != nil {
		got = c.Error.Code
	}
	if c.Status != status || (code != "" && got != code) {
		w.Errorf("%s: %s (%s) %q; want %s (%s)", name, c.Status, got, c.Summary, status, code)
	}
	if !strings.HasSuffix(c.Summary, ".") && !strings.HasSuffix(c.Summary, "?") {
		w.Errorf("%s: summary %q is no sentence", name, c.Summary)
	}
}

// container pulls ref and runs it as name.
func (w *world) container(name, ref string, labels map[string]string) {
	w.Helper()
	w.pull(ref)
	w.start(testbed.ContainerSpec{Name: name, Image: ref, Labels: labels})
}

func (w *world) start(spec testbed.ContainerSpec) testbed.Container {
	w.Helper()
	c, err := w.bed.Run(w.Context(), spec)
	if err != nil {
		w.Fatal(err)
	}
	return c
}

func (w *world) pull(ref string, opts ...testbed.PullOption) {
	w.Helper()
	if err := w.bed.Pull(w.Context(), ref, opts...); err != nil {
		w.Fatal(err)
	}
}

func (w *world) push(r *testbed.Registry, repoTag string, index v1.ImageIndex) string {
	w.Helper()
	digest, err := r.Push(w.Context(), repoTag, index)
	if err != nil {
		w.Fatal(err)
	}
	return digest
}

// index is a multi-platform index whose images differ by the payloads.
func (w *world) index(amd64, arm64 string) v1.ImageIndex {
	w.Helper()
	images := map[string]v1.Image{
		"linux/amd64":    w.image(testbed.ImageOptions{Payload: amd64, OCI: true}),
		"linux/arm64/v8": w.image(testbed.ImageOptions{Payload: arm64, OCI: true, Platform: "linux/arm64/v8"}),
	}
	index, err := testbed.Index(testbed.IndexOptions{Images: images, Attest: true, AttestPayload: amd64 + arm64})
	if err != nil {
		w.Fatal(err)
	}
	return index
}

func (w *world) image(o testbed.ImageOptions) v1.Image {
	w.Helper()
	img, err := testbed.Image(o)
	if err != nil {
		w.Fatal(err)
	}
	return img
}
