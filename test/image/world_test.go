// Package image_test builds the container image from the static binary alone,
// as on a machine that reaches no registry, and runs it as a user would: with
// the engine's socket and the settings of compose.yaml.
package image_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/build"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/watch-docker/watch-docker/internal/scanner"
	"github.com/watch-docker/watch-docker/test/testbed"
)

const (
	root    = "../../"
	caRoots = "/etc/ssl/certs/ca-certificates.crt"
	version = "0.0.0-test"
	// composePath is where the image has Docker Compose.
	composePath = "/usr/local/bin/docker-compose"
)

// world is an engine that has the image.
type world struct {
	*testing.T
	bed    *testbed.Bed
	engine *client.Client
	image  string
	// compose is the file of Docker Compose on this machine.
	compose string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	program := buildProgram(t, version)
	compose := testbed.Must(testbed.ComposeBinary(t.Context(), t.Output()))(t)
	bed := testbed.New(t, testbed.WithEngine(testbed.PrivateEngine), testbed.WithRegistry(testbed.TLSToken))
	w := &world{T: t, bed: bed, engine: bed.Engine().Client(), image: "watch-docker", compose: compose}
	w.build(w.context(program), version)
	return w
}

func buildProgram(t *testing.T, version string) string {
	t.Helper()
	return goBuild(t, "./cmd/watch-docker", "-tags", "nomsgpack",
		"-ldflags", "-s -w -X github.com/watch-docker/watch-docker/internal/app.version="+version)
}

// in is the world as a subtest has it.
func (w *world) in(t *testing.T) *world {
	sub := *w
	sub.T = t
	return &sub
}

// goBuild links a static program and returns its path.
func goBuild(t *testing.T, pkg string, flags ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), filepath.Base(pkg))
	args := append([]string{"build", "-trimpath", "-o", path}, flags...)
	cmd := exec.CommandContext(t.Context(), "go", append(args, pkg)...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", pkg, err, out)
	}
	return path
}

// context is what "make image" hands to docker build.
func (w *world) context(program string) io.Reader {
	w.Helper()
	var b bytes.Buffer
	files := tar.NewWriter(&b)
	w.must(files.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: "dist/image/state/config/", Mode: 0o770}))
	for _, f := range []struct {
		name, from string
		mode       int64
	}{
		{"Dockerfile.binary", root + "Dockerfile.binary", 0o644},
		{"dist/image/root/watch-docker", program, 0o755},
		{"dist/image/compose" + composePath, w.compose, 0o755},
		{"dist/image/root" + caRoots, caRoots, 0o644},
	} {
		content := testbed.Must(os.ReadFile(f.from))(w)
		w.must(files.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: f.name, Mode: f.mode, Size: int64(len(content))}))
		testbed.Must(files.Write(content))(w)
	}
	w.must(files.Close())
	return &b
}

func (w *world) build(files io.Reader, v string) {
	w.Helper()
	res := testbed.Must(w.engine.ImageBuild(w.Context(), files, client.ImageBuildOptions{
		Tags: []string{w.image}, Dockerfile: "Dockerfile.binary", BuildArgs: map[string]*string{"VERSION": &v},
		Version: build.BuilderV1, Remove: true, // BuildKit wants a session with whoever asks
	}))(w)
	defer res.Body.Close()
	var log strings.Builder
	for lines := json.NewDecoder(res.Body); ; {
		var line struct{ Stream, Error string }
		err := lines.Decode(&line)
		if errors.Is(err, io.EOF) {
			return
		}
		w.must(err)
		log.WriteString(line.Stream)
		if line.Error != "" {
			w.Fatalf("build the image: %s\n%s", line.Error, log.String())
		}
	}
}

// run starts the image with the engine's socket, in the engine's own network,
// where the registries are, and otherwise as compose.yaml does.
func (w *world) run(spec testbed.ContainerSpec, change func(*container.HostConfig)) testbed.Container {
	w.Helper()
	service := readCompose(w).Services["watch-docker"]
	host := &container.HostConfig{
		NetworkMode: "host", ReadonlyRootfs: service.ReadOnly, CapDrop: service.CapDrop, SecurityOpt: service.SecurityOpt,
		Binds: []string{w.socket() + ":/var/run/docker.sock"},
	}
	if change != nil {
		change(host)
	}
	spec.Image, spec.HostConfig = w.image, host
	if spec.Env == nil {
		spec.Env = []string{"TZ=Europe/Berlin"}
	}
	for _, line := range w.bed.Env() {
		if strings.HasPrefix(line, "WATCH_") {
			spec.Env = append(spec.Env, line)
		}
	}
	c := testbed.Must(w.bed.Run(w.Context(), spec))(w)
	w.Cleanup(func() { // the next one wants the same port
		ctx := context.WithoutCancel(w.Context())
		if w.Failed() {
			w.Logf("%s wrote:\n%s", c.Name, w.logs(ctx, c.ID))
		}
		_, err := w.engine.ContainerRemove(ctx, c.ID, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
		if err != nil && !cerrdefs.IsNotFound(err) { // it may have been replaced
			w.Error(err)
		}
	})
	return c
}

// once runs the image with a command to its end.
func (w *world) once(spec testbed.ContainerSpec, change func(*container.HostConfig)) (output string, code int64) {
	w.Helper()
	c := w.run(spec, change)
	code = w.ended(c)
	return w.logs(w.Context(), c.ID), code
}

func (w *world) ended(c testbed.Container) int64 {
	w.Helper()
	wait := w.engine.ContainerWait(w.Context(), c.ID, client.ContainerWaitOptions{Condition: container.WaitConditionNotRunning})
	select {
	case end := <-wait.Result:
		return end.StatusCode
	case err := <-wait.Error:
		w.Fatal(err)
	}
	return 0
}

// logs are what a container has written so far, both streams.
func (w *world) logs(ctx context.Context, id string) string {
	w.Helper()
	logs := testbed.Must(w.engine.ContainerLogs(ctx, id, client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true}))(w)
	defer logs.Close()
	var out bytes.Buffer
	testbed.Must(stdcopy.StdCopy(&out, &out, logs))(w)
	return out.String()
}

// exec is docker exec.
func (w *world) exec(c testbed.Container, cmd ...string) (stdout, stderr string, code int) {
	w.Helper()
	made := testbed.Must(w.engine.ExecCreate(w.Context(), c.ID, client.ExecCreateOptions{Cmd: cmd, AttachStdout: true, AttachStderr: true}))(w)
	conn := testbed.Must(w.engine.ExecAttach(w.Context(), made.ID, client.ExecAttachOptions{}))(w)
	defer conn.Close()
	var out, errs bytes.Buffer
	testbed.Must(stdcopy.StdCopy(&out, &errs, conn.Reader))(w)
	end := testbed.Must(w.engine.ExecInspect(w.Context(), made.ID, client.ExecInspectOptions{}))(w)
	return out.String(), errs.String(), end.ExitCode
}

func (w *world) inspect(id string) container.InspectResponse {
	w.Helper()
	return testbed.Must(w.engine.ContainerInspect(w.Context(), id, client.ContainerInspectOptions{}))(w).Container
}

// find is one container of a scan's JSON.
func (w *world) find(scan, name string) scanner.ContainerStatus {
	w.Helper()
	var result scanner.Result
	// The lines of standard error may come first.
	if err := json.Unmarshal([]byte(scan[max(0, strings.Index(scan, "{")):]), &result); err != nil {
		w.Fatalf("%v in %s", err, scan)
	}
	for _, c := range result.Containers {
		if c.Name == name {
			return c
		}
	}
	w.Fatalf("%s is not in %s", name, scan)
	return scanner.ContainerStatus{}
}

// outdated runs a container and then pushes a newer image.
func (w *world) outdated(short string) testbed.Container {
	w.Helper()
	w.push(short, "one", "true")
	ref := w.bed.Registry(testbed.TLSToken).Ref(short + ":latest")
	w.must(w.bed.Pull(w.Context(), ref))
	c := testbed.Must(w.bed.Run(w.Context(), testbed.ContainerSpec{Name: short, Image: ref}))(w)
	w.push(short, "two", "true")
	return c
}

// push releases an image whose health check is a command.
func (w *world) push(short, payload, check string) {
	w.Helper()
	img := testbed.Must(testbed.Image(testbed.ImageOptions{Payload: payload, Healthcheck: &v1.HealthConfig{
		Test: []string{"CMD-SHELL", check}, Interval: 300 * time.Millisecond, Timeout: time.Second, Retries: 2,
	}}))(w)
	testbed.Must(w.bed.Registry(testbed.TLSToken).Push(w.Context(), short+":latest", img))(w)
}

// socket is the engine's, as its host has it.
func (w *world) socket() string { return strings.TrimPrefix(w.bed.Engine().Host(), "unix://") }

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// reachable waits until something listens in the engine's network.
func (w *world) reachable(addr netip.AddrPort) {
	w.Helper()
	testbed.Eventually(w, time.Minute, func() error {
		conn, err := w.bed.Engine().DialContext(w.Context(), "tcp", addr.String())
		if err != nil {
			return fmt.Errorf("dial %s: %w", addr, err)
		}
		return conn.Close()
	})
}
