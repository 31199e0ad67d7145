package testbed

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// ImageOptions say what is in an image. The zero value is a busybox for
// linux/amd64 that sleeps. Two images are the same, digest and all, if their
// options are.
type ImageOptions struct {
	// Payload is the content of /payload: what makes one version of an
	// image differ from another.
	Payload string
	// Bare leaves busybox out: the image can't run, but is tiny and made at
	// once.
	Bare bool
	// Platform is "os/arch" or "os/arch/variant"; empty is linux/amd64. The
	// content is this machine's whatever it says.
	Platform string
	// Created is the image's time; zero is 2024-01-01.
	Created time.Time
	// OCI gives it the OCI's media types in place of Docker's.
	OCI bool

	// Cmd is the command; nil without an Entrypoint is a sleep that stops
	// when told to. See [Stoppable].
	Cmd          []string
	Entrypoint   []string
	Env          []string // with PATH=/bin, unless it has one
	Labels       map[string]string
	ExposedPorts []string // "80/tcp"
	Volumes      []string // "/data"
	User         string
	WorkingDir   string
	Healthcheck  *v1.HealthConfig
	StopSignal   string
	Shell        []string // of Healthcheck's CMD-SHELL
}

// busyboxNames are what the images' busybox is linked as in /bin.
func busyboxNames() []string {
	return []string{
		"cat", "date", "echo", "env", "false", "grep", "head", "hostname", "httpd", "id", "ip", "kill", "ls", "mkdir",
		"mount", "nc", "nslookup", "ps", "pwd", "rm", "sh", "sleep", "stat", "tail", "test", "touch", "true", "tty", "wget", "yes",
	}
}

// Image makes an image.
func Image(opts ImageOptions) (v1.Image, error) {
	img, err := makeImage(opts)
	if err != nil {
		return nil, fmt.Errorf("make image: %w", err)
	}
	return img, nil
}

func makeImage(opts ImageOptions) (v1.Image, error) {
	config, err := opts.config()
	if err != nil {
		return nil, err
	}
	layers, err := opts.layers()
	if err != nil {
		return nil, err
	}
	img := empty.Image
	if opts.OCI {
		img = mutate.ConfigMediaType(mutate.MediaType(img, types.OCIManifestSchema1), types.OCIConfigJSON)
	}
	if img, err = mutate.ConfigFile(img, config); err != nil {
		return nil, err
	}
	return mutate.AppendLayers(img, layers...)
}

func (o *ImageOptions) config() (*v1.ConfigFile, error) {
	platform, err := o.platform()
	if err != nil {
		return nil, err
	}
	created := o.Created
	if created.IsZero() {
		created = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	cmd := o.Cmd
	if cmd == nil && o.Entrypoint == nil {
		cmd = Stoppable("sleep", "100000")
	}
	env := o.Env
	if !slices.ContainsFunc(env, func(e string) bool { return strings.HasPrefix(e, "PATH=") }) {
		env = append([]string{"PATH=/bin"}, env...)
	}
	return &v1.ConfigFile{
		OS: platform.OS, Architecture: platform.Architecture, Variant: platform.Variant,
		Created: v1.Time{Time: created},
		RootFS:  v1.RootFS{Type: "layers"},
		Config: v1.Config{
			Cmd: cmd, Entrypoint: o.Entrypoint,
			Env:    env,
			Labels: o.Labels, ExposedPorts: set(o.ExposedPorts), Volumes: set(o.Volumes),
			User: o.User, WorkingDir: o.WorkingDir, Healthcheck: o.Healthcheck, StopSignal: o.StopSignal, Shell: o.Shell,
		},
	}, nil
}

func (o *ImageOptions) platform() (*v1.Platform, error) {
	if o.Platform == "" {
		return &v1.Platform{OS: "linux", Architecture: "amd64"}, nil
	}
	return v1.ParsePlatform(o.Platform)
}

// Stoppable is a command that runs another and ends at once on SIGTERM. A
// plain sleep or httpd doesn't, as the first process of a container: stopping
// it takes the engine's full 10 seconds.
func Stoppable(cmd ...string) []string {
	return append([]string{"sh", "-c", `trap 'exit 0' TERM INT; "$@" & wait`, "sh"}, cmd...)
}

// set is nil for nothing, so that the configuration leaves it out.
func set(keys []string) map[string]struct{} {
	if len(keys) == 0 {
		return nil
	}
	m := make(map[string]struct{}, len(keys))
	for _, key := range keys {
		m[key] = struct{}{}
	}
	return m
}

func (o *ImageOptions) layers() ([]v1.Layer, error) {
	mediaType := types.DockerLayer
	if o.OCI {
		mediaType = types.OCILayer
	}
	payload, err := layer(mediaType, func(w *tar.Writer) error { return addFile(w, "payload", 0o644, []byte(o.Payload)) })
	if err != nil || o.Bare {
		return []v1.Layer{payload}, err
	}
	base, err := busyboxes[mediaType]()
	return []v1.Layer{base, payload}, err
}

// busyboxes are the layers of busybox by media type.
//
//nolint:gochecknoglobals // packing one takes longer than all the rest of an image
var busyboxes = map[types.MediaType]func() (v1.Layer, error){
	types.DockerLayer: sync.OnceValues(func() (v1.Layer, error) { return layer(types.DockerLayer, addBusybox) }),
	types.OCILayer:    sync.OnceValues(func() (v1.Layer, error) { return layer(types.OCILayer, addBusybox) }),
}

// layer makes a gzipped layer in memory.
func layer(mediaType types.MediaType, fill func(*tar.Writer) error) (v1.Layer, error) {
	var buf bytes.Buffer
	z, err := gzip.NewWriterLevel(&buf, gzip.BestSpeed)
	if err != nil {
		return nil, fmt.Errorf("write layer: %w", err)
	}
	w := tar.NewWriter(z)
	if err := fill(w); err != nil {
		return nil, err
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		return nil, fmt.Errorf("write layer: %w", err)
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(buf.Bytes())), nil }
	return tarball.LayerFromOpener(open, tarball.WithMediaType(mediaType))
}

func addBusybox(w *tar.Writer) error {
	busybox, err := os.ReadFile(busyboxPath)
	if err != nil {
		return fmt.Errorf("read busybox: %w (`go run ./test/testbed/cmd/testbed install` brings it)", err)
	}
	for _, dir := range []string{"bin/", "etc/", "tmp/", "var/"} {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: 0o755}); err != nil {
			return fmt.Errorf("write layer: %w", err)
		}
	}
	if err := addFile(w, "bin/busybox", 0o755, busybox); err != nil {
		return err
	}
	for _, name := range busyboxNames() {
		link := &tar.Header{Typeflag: tar.TypeSymlink, Name: "bin/" + name, Linkname: "busybox", Mode: 0o777}
		if err := w.WriteHeader(link); err != nil {
			return fmt.Errorf("write layer: %w", err)
		}
	}
	return addFile(w, "etc/passwd", 0o644, []byte("root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"))
}

func addFile(w *tar.Writer, name string, mode int64, content []byte) error {
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: int64(len(content))}); err != nil {
		return fmt.Errorf("write layer: %w", err)
	}
	if _, err := w.Write(content); err != nil {
		return fmt.Errorf("write layer: %w", err)
	}
	return nil
}

// IndexOptions say what is in an index.
type IndexOptions struct {
	// Images by platform: {"linux/amd64": …, "linux/arm64/v8": …}.
	Images map[string]v1.Image
	// Nested are indexes within the index.
	Nested []v1.ImageIndex
	// Attest adds an attestation manifest for each image, as BuildKit does:
	// platform unknown/unknown, and an annotation that names the image.
	Attest bool
	// AttestPayload makes attestations differ.
	AttestPayload string
	// Docker gives it Docker's media type (a manifest list) in place of the OCI's.
	Docker bool
}

// Index makes a multi-platform index.
func Index(opts IndexOptions) (v1.ImageIndex, error) {
	adds, err := opts.entries()
	if err != nil {
		return nil, fmt.Errorf("make index: %w", err)
	}
	mediaType := types.OCIImageIndex
	if opts.Docker {
		mediaType = types.DockerManifestList
	}
	return mutate.AppendManifests(mutate.IndexMediaType(empty.Index, mediaType), adds...), nil
}

func (o *IndexOptions) entries() ([]mutate.IndexAddendum, error) {
	var images, attestations []mutate.IndexAddendum
	for _, platform := range slices.Sorted(maps.Keys(o.Images)) {
		img := o.Images[platform]
		p, err := v1.ParsePlatform(platform)
		if err != nil {
			return nil, err
		}
		images = append(images, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: p}})
		if !o.Attest {
			continue
		}
		attestation, err := attest(img, o.AttestPayload)
		if err != nil {
			return nil, err
		}
		attestations = append(attestations, attestation)
	}
	for _, index := range o.Nested {
		images = append(images, mutate.IndexAddendum{Add: index})
	}
	return append(images, attestations...), nil
}

// attest makes the manifest that BuildKit puts beside an image.
func attest(img v1.Image, payload string) (mutate.IndexAddendum, error) {
	digest, err := partial.Descriptor(img)
	if err != nil {
		return mutate.IndexAddendum{}, err
	}
	statement := fmt.Sprintf(`{"_type":"https://in-toto.io/Statement/v0.1","subject":[{"digest":{"sha256":%q}}],"predicate":%q}`,
		digest.Digest.Hex, payload)
	base := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	base, err = mutate.ConfigFile(base, &v1.ConfigFile{OS: "unknown", Architecture: "unknown", RootFS: v1.RootFS{Type: "layers"}})
	if err != nil {
		return mutate.IndexAddendum{}, err
	}
	manifest, err := mutate.AppendLayers(base, static.NewLayer([]byte(statement), "application/vnd.in-toto+json"))
	if err != nil {
		return mutate.IndexAddendum{}, err
	}
	return mutate.IndexAddendum{Add: manifest, Descriptor: v1.Descriptor{
		Platform: &v1.Platform{OS: "unknown", Architecture: "unknown"},
		Annotations: map[string]string{
			"vnd.docker.reference.type":   "attestation-manifest",
			"vnd.docker.reference.digest": digest.Digest.String(),
		},
	}}, nil
}
