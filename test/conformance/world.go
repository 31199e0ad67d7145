package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"strconv"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/watch-docker/watch-docker/test/testbed"
)

// A world is an engine of its own and a registry, and the hands of the user
// whose containers they are.
type world struct {
	bed    *testbed.Bed
	engine *testbed.Engine
	reg    *testbed.Registry
	api    *client.Client
	// manifests: the engine knows images by their manifest's digest, and not by their configuration's.
	manifests bool
	second    *world
}

// Images of containers beside the one under test, without a newer release.
const (
	peerImage = "peer:latest" // a web server
	idleImage = "idle:latest"
)

func newWorld(ctx context.Context, choice testbed.EngineChoice, log io.Writer) (*world, error) {
	bed, err := testbed.Up(ctx, testbed.Options{Engine: choice, Registries: []testbed.Kind{testbed.Plain}, Log: log})
	if err != nil {
		return nil, err
	}
	w := &world{bed: bed, engine: bed.Engine(), reg: bed.Registry(testbed.Plain), api: bed.Engine().Client()}
	if err := w.furnish(ctx); err != nil {
		return nil, errors.Join(err, bed.Close(context.WithoutCancel(ctx)))
	}
	return w, nil
}

// another is a second engine with the same registry.
func (w *world) another(ctx context.Context) (*world, error) {
	if w.second != nil {
		return w.second, nil
	}
	engine, err := w.bed.StartEngine(ctx, w.engine.Choice())
	if err != nil {
		return nil, err
	}
	w.second = &world{bed: w.bed, engine: engine, reg: w.reg, api: engine.Client()}
	return w.second, w.second.furnish(ctx)
}

// furnish brings the peers' image, and sees how the engine names images.
func (w *world) furnish(ctx context.Context) error {
	o := testbed.ImageOptions{Payload: "peer", Cmd: webServer()}
	id, err := w.stock(ctx, "peer", o)
	if err != nil {
		return err
	}
	img, err := testbed.Image(o)
	if err != nil {
		return err
	}
	digest, err := img.Digest()
	if err != nil {
		return err
	}
	w.manifests = id == digest.String()
	_, err = w.stock(ctx, "idle", idle())
	return err
}

// imageID is what the engine will call an image.
func (w *world) imageID(o testbed.ImageOptions) (string, error) {
	img, err := testbed.Image(o)
	if err != nil {
		return "", err
	}
	name := img.ConfigName
	if w.manifests {
		name = img.Digest
	}
	id, err := name()
	return id.String(), err
}

// webServer is a command that serves the image's content at port 80.
func webServer() []string { return testbed.Stoppable("httpd", "-f", "-p", "80", "-h", "/") }

// docker is Docker's own command line.
func (w *world) docker(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "docker", args...)
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "DOCKER_HOST=" + w.engine.Host(), "DOCKER_CONFIG=" + w.bed.Dir(), "HOME=" + w.bed.Dir()}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("docker %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return strings.TrimSpace(string(out)), nil
}

// dockers are several commands, as lines.
func (w *world) dockers(ctx context.Context, lines []string) error {
	for _, line := range lines {
		if _, err := w.docker(ctx, strings.Fields(line)...); err != nil {
			return err
		}
	}
	return nil
}

// post is a create by a request's body: what the command line can't say.
func (w *world) post(ctx context.Context, name, body string) error {
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", strings.TrimPrefix(w.engine.Host(), "unix://"))
	}}
	at := "http://engine/v" + w.engine.APIVersion() + "/containers/create?name=" + url.QueryEscape(name)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, at, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusCreated {
		err = fmt.Errorf("create %s: %s: %s", name, resp.Status, text)
	}
	return err
}

// release pushes an image to REPO:latest.
func (w *world) release(ctx context.Context, repo string, o testbed.ImageOptions) error {
	img, err := testbed.Image(o)
	if err != nil {
		return err
	}
	return w.publish(ctx, repo, img)
}

func (w *world) publish(ctx context.Context, repo string, content remote.Taggable) error {
	_, err := w.reg.Push(ctx, repo+":latest", content)
	return err
}

// pull is the user's own pull of REPO:latest, and gives the image's id.
func (w *world) pull(ctx context.Context, repo string) (id string, err error) {
	if err := w.engine.Pull(ctx, w.ref(repo)); err != nil {
		return "", err
	}
	img, err := w.api.ImageInspect(ctx, w.ref(repo))
	return img.ID, err
}

func (w *world) ref(repo string) string { return w.reg.Ref(repo + ":latest") }

// stock is release and pull.
func (w *world) stock(ctx context.Context, repo string, o testbed.ImageOptions) (id string, err error) {
	if err := w.release(ctx, repo, o); err != nil {
		return "", err
	}
	return w.pull(ctx, repo)
}

// inspect is the engine's own words about a container.
func (w *world) inspect(ctx context.Context, name string) (map[string]any, error) {
	res, err := w.api.ContainerInspect(ctx, name, client.ContainerInspectOptions{})
	if err != nil {
		return nil, err
	}
	var all map[string]any
	return all, json.Unmarshal(res.Raw, &all)
}

// containers are all of the engine's.
func (w *world) containers(ctx context.Context) ([]container.InspectResponse, error) {
	list, err := w.api.ContainerList(ctx, client.ContainerListOptions{All: true})
	if err != nil {
		return nil, err
	}
	var all []container.InspectResponse
	for _, c := range list.Items {
		res, err := w.api.ContainerInspect(ctx, c.ID, client.ContainerInspectOptions{})
		if cerrdefs.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, res.Container)
	}
	return all, nil
}

// volumes are the names of all volumes.
func (w *world) volumes(ctx context.Context) (map[string]bool, error) {
	list, err := w.api.VolumeList(ctx, client.VolumeListOptions{})
	if err != nil {
		return nil, err
	}
	all := map[string]bool{}
	for _, v := range list.Items {
		all[v.Name] = true
	}
	return all, nil
}

// served is what a web server of ours, asked from within a container, has in its release.
func (w *world) served(ctx context.Context, from, host string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return w.docker(ctx, "exec", from, "wget", "-q", "-O", "-", "http://"+host+"/payload")
}

// clear removes all containers, volumes and networks. An engine that was
// killed at it may have a container that it can't remove before it starts again.
func (w *world) clear(ctx context.Context) error {
	err := within(ctx, 20*time.Second, func() error { return w.removeAll(ctx) })
	if err == nil {
		return nil
	}
	if again := w.engine.Restart(ctx); again != nil {
		return fmt.Errorf("clean the engine: %w", again)
	}
	if err = within(ctx, 20*time.Second, func() error { return w.removeAll(ctx) }); err != nil {
		return fmt.Errorf("clean the engine: %w", err)
	}
	return nil
}

func (w *world) removeAll(ctx context.Context) error {
	list, err := w.api.ContainerList(ctx, client.ContainerListOptions{All: true})
	if err != nil {
		return err
	}
	for _, c := range list.Items {
		if _, err := w.api.ContainerRemove(ctx, c.ID, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true}); err != nil && !cerrdefs.IsNotFound(err) {
			return err
		}
	}
	volumes, err := w.volumes(ctx)
	if err != nil {
		return err
	}
	for name := range volumes {
		if _, err := w.api.VolumeRemove(ctx, name, client.VolumeRemoveOptions{}); err != nil && !cerrdefs.IsNotFound(err) {
			return err
		}
	}
	_, err = w.api.NetworkPrune(ctx, client.NetworkPruneOptions{})
	return err
}

// within tries again and again until something holds.
func within(ctx context.Context, limit time.Duration, what func() error) error {
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := what()
		if err == nil {
			return nil
		}
		select {
		case <-deadline.C:
			return err
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// apiSince says whether the engine's API is at least that version ("1.44").
func (w *world) apiSince(version string) bool {
	minor := func(v string) int {
		_, after, _ := strings.Cut(v, ".")
		n, _ := strconv.Atoi(after)
		return n
	}
	return minor(w.engine.APIVersion()) >= minor(version)
}

// slug makes a name for a container of words.
func slug(words string) string {
	clean := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		case r == '\'' || r == ',':
			return -1
		}
		return '-'
	}, words)
	return strings.Trim(clean, "-")
}
