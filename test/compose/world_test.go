// Package compose_test holds Watch Docker against the real Docker Compose:
// after an update or a rollback of a project's containers, `docker compose
// up` with the unchanged file finds nothing to do.
package compose_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/watch-docker/watch-docker/internal/api"
	"github.com/watch-docker/watch-docker/internal/app"
	"github.com/watch-docker/watch-docker/internal/store"
	"github.com/watch-docker/watch-docker/test/testbed"
)

func newBed(t *testing.T) *testbed.Bed {
	t.Helper()
	t.Setenv("DOCKER_CONFIG", t.TempDir()) // nobody's real credentials
	return testbed.New(t, testbed.WithEngine(testbed.PrivateEngine), testbed.WithRegistry(testbed.TLSToken))
}

// A project is a Compose project in a folder of its own.
type project struct {
	*testing.T
	bed     *testbed.Bed
	name    string
	dir     string
	args    []string // of every docker compose, before its command
	images  map[string]testbed.ImageOptions
	index   []string // releases that are pushed as an index of platforms
	host    string   // DOCKER_HOST of the program
	environ []string // more of it for the program
}

// newProject writes a project's files and pushes the first release of each of
// its images. In compose.yaml, "image: OUR/app" is the image called app.
func newProject(t *testing.T, bed *testbed.Bed, c testCase) *project {
	t.Helper()
	p := &project{T: t, bed: bed, name: c.name, dir: t.TempDir(), args: c.args, images: c.images, index: c.index, host: bed.Engine().Host()}
	if p.images == nil {
		p.images = named("app")
	}
	p.write("compose.yaml", strings.ReplaceAll(c.file, "OUR/", bed.Registry(testbed.TLSToken).Ref(p.name+"/")))
	for name, content := range c.files {
		p.write(name, content)
	}
	for image, o := range p.images {
		p.release(image, "one", o)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(p.compose("logs", "--no-color"))
		}
		p.compose("down", "--volumes", "--timeout", "0", "--remove-orphans")
	})
	return p
}

func (p *project) write(name, content string) {
	p.Helper()
	file := filepath.Join(p.dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(content), 0o644)); err != nil {
		p.Fatal(err)
	}
}

// release pushes a release of an image: for one platform, or as an index of
// two with attestations.
func (p *project) release(image, payload string, o testbed.ImageOptions) {
	p.Helper()
	o.Payload = payload
	var content remote.Taggable
	content, err := testbed.Image(o)
	if err == nil && slices.Contains(p.index, payload) {
		content, err = platforms(o)
	}
	if err != nil {
		p.Fatal(err)
	}
	if _, err := p.bed.Registry(testbed.TLSToken).Push(p.Context(), p.name+"/"+image+":latest", content); err != nil {
		p.Fatal(err)
	}
}

func platforms(o testbed.ImageOptions) (v1.ImageIndex, error) {
	o.OCI = true
	images := map[string]v1.Image{}
	for _, platform := range []string{"linux/amd64", "linux/arm64"} {
		o.Platform = platform
		img, err := testbed.Image(o)
		if err != nil {
			return nil, err
		}
		images[platform] = img
	}
	return testbed.Index(testbed.IndexOptions{Images: images, Attest: true, AttestPayload: o.Payload})
}

// compose runs docker compose and gives what it said about what it did.
func (p *project) compose(args ...string) string {
	p.Helper()
	args = append(append([]string{"--project-name", p.name, "--progress", "plain", "--ansi", "never"}, p.args...), args...)
	stdout, stderr, err := p.bed.Engine().Compose(contextOf(p.T), p.dir, nil, args...)
	if err != nil {
		p.Fatalf("%v\n%s", err, stdout)
	}
	return stdout + stderr
}

func (p *project) up() {
	p.Helper()
	p.compose("up", "--detach")
}

// idle brings the project up and fails if that did anything to a container.
func (p *project) idle(when string) {
	p.Helper()
	before := p.containers()
	wouldDo := p.compose("--dry-run", "up", "--detach")
	did := p.compose("up", "--detach")
	after := p.containers()
	for _, name := range slices.Sorted(maps.Keys(before)) {
		was, is := before[name], after[name]
		switch {
		case is.ID == "":
			p.Errorf("%s: docker compose up removed %s", when, name)
		case is.ID != was.ID:
			p.Errorf("%s: docker compose up recreated %s", when, name)
		case is.State.StartedAt != was.State.StartedAt:
			p.Errorf("%s: docker compose up restarted %s", when, name)
		}
	}
	if len(after) != len(before) {
		p.Errorf("%s: %d containers before docker compose up, %d after", when, len(before), len(after))
	}
	for _, said := range []string{wouldDo, did} {
		if strings.Contains(said, "Recreat") || strings.Contains(said, "Starting") {
			p.Errorf("%s: docker compose up says: %s", when, said)
		}
	}
}

// containers are the project's by name.
func (p *project) containers() map[string]container.InspectResponse {
	p.Helper()
	engine := p.bed.Engine().Client()
	list, err := engine.ContainerList(contextOf(p.T), client.ContainerListOptions{
		All: true, Filters: make(client.Filters).Add("label", "com.docker.compose.project="+p.name),
	})
	if err != nil {
		p.Fatal(err)
	}
	all := map[string]container.InspectResponse{}
	for _, c := range list.Items {
		res, err := engine.ContainerInspect(contextOf(p.T), c.ID, client.ContainerInspectOptions{})
		if errdefs.IsNotFound(err) {
			continue // gone since the list
		}
		if err != nil {
			p.Fatal(err)
		}
		all[strings.TrimPrefix(res.Container.Name, "/")] = res.Container
	}
	return all
}

// update has the program update containers and gives the operations by
// container.
func (p *project) update(names ...string) map[string]store.Operation {
	p.Helper()
	var stdout, stderr bytes.Buffer
	code := app.Program{
		Args: append([]string{"update", "-json"}, names...), Environ: p.env(p.TempDir()), Stdout: &stdout, Stderr: &stderr,
	}.Run(p.Context())
	var run api.Run
	if err := json.Unmarshal(stdout.Bytes(), &run); err != nil {
		p.Fatalf("update exits with %d: %s", code, stderr.String())
	}
	for _, left := range run.Skipped {
		p.Errorf("%s was left alone: %s", left.Name, left.Reason)
	}
	all := map[string]store.Operation{}
	for _, op := range run.Operations {
		all[op.Target] = op
	}
	return all
}

// env is the program's environment.
func (p *project) env(config string) []string {
	reg := p.bed.Registry(testbed.TLSToken)
	return append([]string{
		"DOCKER_HOST=" + p.host, "STATE_PATH=" + filepath.Join(p.dir, ".state"), "CONFIG_PATH=" + config,
		"WATCH_UPDATE_STABLE_FOR=1s", "WATCH_UPDATE_CONCURRENCY=2", "SSL_CERT_FILE=" + p.bed.CAFile(),
		"WATCH_REGISTRY_AUTH_0_HOST=" + reg.Host(), "WATCH_REGISTRY_AUTH_0_USERNAME=" + reg.Username(), "WATCH_REGISTRY_AUTH_0_PASSWORD=" + reg.Password(),
	}, p.environ...)
}

// updated has the program update containers, all of which must end so.
func (p *project) updated(want store.OperationState, names ...string) {
	p.Helper()
	ops := p.update(names...)
	for _, name := range names {
		if op := ops[name]; op.State != want {
			p.Fatalf("the update of %s is %q, want %q: %+v", name, op.State, want, explain(op))
		}
	}
}

func explain(op store.Operation) string {
	if op.Error == nil {
		return ""
	}
	return fmt.Sprintf("%s: %s\n%s", op.Error.Code, op.Error.Message, strings.Join(op.Error.Logs, "\n"))
}
