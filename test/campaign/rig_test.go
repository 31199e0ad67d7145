package campaign_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	"golang.org/x/sync/errgroup"

	"github.com/watch-docker/watch-docker/test/testbed"
)

// ground is what all rigs share: the program, a registry, and the releases of
// all shapes in it. The tag "latest" names the new ones.
type ground struct {
	bed     *testbed.Bed
	reg     *testbed.Registry
	program string
	dir     string
}

func newGround(t *testing.T, all []shape) *ground {
	t.Helper()
	g := &ground{program: buildProgram(t), dir: t.TempDir()}
	g.bed = testbed.New(t, testbed.WithRegistry(testbed.TLSToken))
	g.reg = g.bed.Registry(testbed.TLSToken)
	group, ctx := errgroup.WithContext(t.Context())
	group.SetLimit(4)
	for _, s := range all {
		group.Go(func() error { return g.push(ctx, s) })
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	return g
}

// push releases both images of a shape.
func (g *ground) push(ctx context.Context, s shape) error {
	for _, release := range []string{oldRelease, newRelease} {
		img, err := testbed.Image(s.image(release))
		if err != nil {
			return err
		}
		for _, tag := range s.tags(release) {
			if _, err := g.reg.Push(ctx, s.name+":"+tag, img); err != nil {
				return err
			}
		}
	}
	return nil
}

// rig is a private engine with a proxy before it. One container at a time is
// updated on it.
type rig struct {
	*ground
	engine *testbed.Engine
	api    *client.Client
	proxy  *proxy
	dir    string
	images map[string]string // "plain:old" -> id
	points int
	more   []string // of the program's environment
}

func (g *ground) newRig(t *testing.T, number int) *rig {
	t.Helper()
	r := &rig{ground: g, engine: testbed.Must(g.bed.StartEngine(t.Context(), testbed.PrivateEngine))(t), images: map[string]string{}}
	r.api = r.engine.Client()
	r.dir = filepath.Join(g.dir, fmt.Sprint(number))
	r.must(t, os.Mkdir(r.dir, 0o700))
	r.proxy = newProxy(strings.TrimPrefix(r.engine.Host(), "unix://"), filepath.Join(r.dir, "docker.sock"))
	r.must(t, r.proxy.open())
	t.Cleanup(func() { r.proxy.close(false) })
	for name, subnet := range map[string]string{frontNet: frontSubnet, backNet: backSubnet} {
		testbed.Must(r.api.NetworkCreate(t.Context(), name, client.NetworkCreateOptions{
			IPAM: &network.IPAM{Config: []network.IPAMConfig{{Subnet: netip.MustParsePrefix(subnet)}}},
		}))(t)
	}
	return r
}

func (r *rig) must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// reference is what the container is made from before the update.
func (r *rig) reference(s shape) string { return r.reg.Ref(s.name + ":" + s.tags(oldRelease)[1]) }

// fetch makes both images of a shape known, the first time it's needed.
func (r *rig) fetch(ctx context.Context, s shape) error {
	if r.images[s.name+":"+oldRelease] != "" {
		return nil
	}
	for _, release := range []string{newRelease, oldRelease} {
		ref := r.reg.Ref(s.name + ":" + release)
		if err := r.engine.Pull(ctx, ref); err != nil {
			return err
		}
		img, err := r.api.ImageInspect(ctx, ref)
		if err != nil {
			return err
		}
		r.images[s.name+":"+release] = img.ID
	}
	return nil
}

// prepare makes the world as it is before an update: the container of the
// old image, which the tag names, and nothing else.
func (r *rig) prepare(ctx context.Context, s shape) (id string, err error) {
	if err := r.fetch(ctx, s); err != nil {
		return "", err
	}
	if err := r.clear(ctx); err != nil {
		return "", err
	}
	old := r.images[s.name+":"+oldRelease]
	if _, err := r.api.ImageTag(ctx, client.ImageTagOptions{Source: old, Target: r.reference(s)}); err != nil {
		return "", err
	}
	if err := r.forget(ctx, r.images[s.name+":"+newRelease]); err != nil {
		return "", err
	}
	spec := s.container(r.reference(s))
	spec.CreateOnly = true
	if r.more = nil; s.tagged {
		if err := r.project(ctx, s, &spec); err != nil {
			return "", err
		}
	}
	c, err := r.engine.Run(ctx, spec)
	if err != nil {
		return "", err
	}
	if s.back {
		options := client.NetworkConnectOptions{Container: c.ID, EndpointConfig: &network.EndpointSettings{Aliases: []string{"behind"}}}
		if _, err := r.api.NetworkConnect(ctx, backNet, options); err != nil {
			return "", err
		}
	}
	for _, folder := range s.data {
		if err := r.mark(ctx, c.ID, folder); err != nil {
			return "", err
		}
	}
	if _, err := r.api.ContainerStart(ctx, c.ID, client.ContainerStartOptions{}); err != nil {
		return "", err
	}
	if s.stopped {
		_, err = r.api.ContainerStop(ctx, c.ID, client.ContainerStopOptions{})
	}
	if s.beside {
		_, err = r.engine.Run(ctx, testbed.ContainerSpec{Name: s.side(), ExactName: true, Image: r.reg.Ref(s.name + ":" + oldRelease),
			HostConfig: &container.HostConfig{NetworkMode: container.NetworkMode("container:" + c.ID), RestartPolicy: s.host.RestartPolicy}})
	}
	return c.ID, err
}

// clear removes all containers and volumes. An engine that was killed while it
// removed a container may have one that it can't remove before it starts again.
func (r *rig) clear(ctx context.Context) error {
	err := r.until(ctx, func() error { return r.removeAll(ctx) })
	if err == nil {
		return nil
	}
	if again := r.engine.Restart(ctx); again != nil {
		return errors.Join(err, again)
	}
	return r.until(ctx, func() error { return r.removeAll(ctx) })
}

func (r *rig) removeAll(ctx context.Context) error {
	list, err := r.api.ContainerList(ctx, client.ContainerListOptions{All: true})
	if err != nil {
		return err
	}
	for _, c := range list.Items {
		_, err := r.api.ContainerRemove(ctx, c.ID, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
		if err != nil && !cerrdefs.IsNotFound(err) {
			return fmt.Errorf("%s %s: %w", c.Names, c.Status, err)
		}
	}
	volumes, err := r.api.VolumeList(ctx, client.VolumeListOptions{})
	if err != nil {
		return err
	}
	for _, v := range volumes.Items {
		if _, err := r.api.VolumeRemove(ctx, v.Name, client.VolumeRemoveOptions{}); err != nil && !cerrdefs.IsNotFound(err) {
			return err
		}
	}
	return nil
}

func (r *rig) forget(ctx context.Context, image string) error {
	_, err := r.api.ImageRemove(ctx, image, client.ImageRemoveOptions{Force: true, PruneChildren: true})
	if cerrdefs.IsNotFound(err) {
		return nil
	}
	return err
}

const (
	markerName = "marker"
	markerText = "what the user has written"
)

// mark writes a file onto the volume at folder.
func (r *rig) mark(ctx context.Context, id, folder string) error {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	header := &tar.Header{Typeflag: tar.TypeReg, Name: markerName, Mode: 0o644, Size: int64(len(markerText))}
	if err := w.WriteHeader(header); err != nil {
		return err
	}
	if _, err := io.WriteString(w, markerText); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	_, err := r.api.CopyToContainer(ctx, id, client.CopyToContainerOptions{DestinationPath: folder, Content: &b})
	return err
}

// marker reads that file.
func (r *rig) marker(ctx context.Context, id, folder string) string {
	res, err := r.api.CopyFromContainer(ctx, id, client.CopyFromContainerOptions{SourcePath: path.Join(folder, markerName)})
	if err != nil {
		return err.Error()
	}
	defer res.Content.Close()
	files := tar.NewReader(res.Content)
	if _, err := files.Next(); err != nil {
		return err.Error()
	}
	text, err := io.ReadAll(files)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// served is what a published port answers.
func (r *rig) served(ctx context.Context, port string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:"+port+"/payload", nil)
	if err != nil {
		return "", err
	}
	res, err := r.engine.HTTPClient().Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return string(text), err
}

// containers are all of the engine's, by their names.
func (r *rig) containers(ctx context.Context) (map[string]container.InspectResponse, error) {
	list, err := r.api.ContainerList(ctx, client.ContainerListOptions{All: true})
	if err != nil {
		return nil, err
	}
	all := map[string]container.InspectResponse{}
	for _, c := range list.Items {
		res, err := r.api.ContainerInspect(ctx, c.ID, client.ContainerInspectOptions{})
		if cerrdefs.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		all[strings.TrimPrefix(res.Container.Name, "/")] = res.Container
	}
	return all, nil
}

// volumes are the names of all volumes.
func (r *rig) volumes(ctx context.Context) ([]string, error) {
	list, err := r.api.VolumeList(ctx, client.VolumeListOptions{})
	if err != nil {
		return nil, err
	}
	var names []string
	for _, v := range list.Items {
		names = append(names, v.Name)
	}
	slices.Sort(names)
	return names, nil
}

// environment is what the program runs with: the bed's passwords, a state
// folder, and no user's settings.
func (r *rig) environment(state string) []string {
	nowhere := filepath.Join(r.dir, "nowhere")
	env := []string{
		"DOCKER_HOST=unix://" + r.proxy.socket, "STATE_PATH=" + state, "CONFIG_PATH=" + nowhere, "DOCKER_CONFIG=" + nowhere,
		"HOME=" + nowhere, "PATH=" + os.Getenv("PATH"), "WATCH_SERVER_ADDR=127.0.0.1:0", "WATCH_DOCKER_INCLUDE_STOPPED=true",
		"WATCH_SCAN_INITIAL_SCAN_ON_START=false", "WATCH_LOGGING_LEVEL=debug", "WATCH_LOGGING_FORMAT=console",
		"WATCH_UPDATE_STABLE_FOR=1s", "WATCH_UPDATE_HEALTH_TIMEOUT=20s",
	}
	for _, line := range r.bed.Env() {
		if strings.HasPrefix(line, "WATCH_") {
			env = append(env, line)
		}
	}
	return append(env, r.more...)
}
