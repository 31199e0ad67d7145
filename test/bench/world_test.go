package bench_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"github.com/watch-docker/watch-docker/test/testbed"
)

// populating is how many pulls, or containers being made, are under way at once.
const populating = 8

// world is an engine of its own with nothing on it but what the benchmark
// puts there, and a registry behind TLS and token authentication.
type world struct {
	bed      *testbed.Bed
	registry *testbed.Registry
	program  string // the path of the built binary
	images   int    // how many of the host's images have been pulled
	running  int    // how many of the host's containers there are
	outdated int    // … and how many of these an update waits for
}

func newWorld(b *testing.B) *world {
	b.Helper()
	bed := testbed.New(b, testbed.WithEngine(testbed.PrivateEngine), testbed.WithRegistry(testbed.TLSToken))
	b.Logf("engine %s, API %s", bed.Engine().Version(), bed.Engine().APIVersion())
	return &world{bed: bed, registry: bed.Registry(testbed.TLSToken), program: build(b)}
}

// fill brings the host to so many containers on so many images: the first
// container is made from the first image, and so on around.
func (w *world) fill(b *testing.B, containers, images int) {
	b.Helper()
	if err := w.pull(b.Context(), images); err != nil {
		b.Fatal(err)
	}
	group, ctx := errgroup.WithContext(b.Context())
	group.SetLimit(populating)
	for i := w.running; i < containers; i++ {
		group.Go(func() error { return w.create(ctx, i, w.reference(i%images)) })
	}
	if err := group.Wait(); err != nil {
		b.Fatal(err)
	}
	w.running = max(w.running, containers)
	if w.running != containers {
		b.Fatalf("there are %d containers already, more than %d: benchmarks that share a host must grow it", w.running, containers)
	}
}

// pull pushes and pulls what the host's images lack. They differ by a label
// alone, so that they share their one small layer.
func (w *world) pull(ctx context.Context, images int) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(populating)
	for i := w.images; i < images; i++ {
		group.Go(func() error {
			if err := w.push(ctx, i, "first"); err != nil {
				return err
			}
			return w.bed.Pull(ctx, w.reference(i))
		})
	}
	w.images = max(w.images, images)
	return group.Wait()
}

// push puts a release of image i at its tag, as a multi-platform index.
func (w *world) push(ctx context.Context, i int, release string) error {
	labels := map[string]string{"org.opencontainers.image.title": repository(i), "org.opencontainers.image.version": release}
	img, err := testbed.Image(testbed.ImageOptions{Bare: true, OCI: true, Labels: labels})
	if err != nil {
		return err
	}
	index, err := testbed.Index(testbed.IndexOptions{Images: map[string]v1.Image{"linux/amd64": img}})
	if err != nil {
		return err
	}
	_, err = w.registry.Push(ctx, repository(i)+":latest", index)
	return err
}

// create makes a container and doesn't start it: hundreds are cheap that way,
// and with docker.includeStopped they are scanned like any other.
func (w *world) create(ctx context.Context, i int, image string) error {
	_, err := w.bed.Run(ctx, testbed.ContainerSpec{Name: fmt.Sprintf("c%03d", i), Image: image, CreateOnly: true})
	return err
}

func (w *world) reference(i int) string { return w.registry.Ref(repository(i) + ":latest") }

// environment is what the program runs with: the bed's addresses and
// passwords, a state folder, and no user's settings.
func (w *world) environment(state string, more ...string) []string {
	nowhere := filepath.Join(w.bed.Dir(), "nowhere")
	return slices.Concat(w.bed.Env(), []string{
		"STATE_PATH=" + state, "CONFIG_PATH=" + nowhere, "DOCKER_CONFIG=" + nowhere, "HOME=" + nowhere,
		"WATCH_DOCKER_INCLUDE_STOPPED=true",
	}, more)
}

// repository names image i as people name theirs: 25 to 45 characters, and no
// two of the first 200 alike.
func repository(i int) string {
	owners := []string{
		"home-automation", "media-collection", "photo-and-video", "observability", "office-documents",
		"network-services", "backup-and-restore", "game-servers", "development-tools", "self-hosted-community",
	}
	apps := []string{
		"recipe-manager", "bookmark-archive", "music-streaming", "metrics-database", "certificate-renewal",
		"dashboard-backend", "dashboard-frontend", "message-broker", "document-search", "thumbnail-service",
		"reverse-proxy", "password-vault", "calendar-server", "download-queue", "subtitle-finder",
		"postgres-exporter", "object-storage", "feed-aggregator", "speech-to-text", "wiki-with-search",
	}
	return owners[i%len(owners)] + "/" + apps[i/len(owners)%len(apps)]
}
