package testbed_test

import (
	"io"
	"net/http"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"github.com/watch-docker/watch-docker/test/testbed"
)

// runWeb runs an HTTP server that is published at port 8080.
func runWeb(t *testing.T, bed *testbed.Bed) testbed.Container {
	t.Helper()
	reg := bed.Registry(testbed.Plain)
	img := testbed.Must(testbed.Image(testbed.ImageOptions{
		Payload: "hello", Cmd: testbed.Stoppable("httpd", "-f", "-h", "/"), ExposedPorts: []string{"80/tcp"},
	}))(t)
	testbed.Must(reg.Push(t.Context(), "web:1", img))(t)
	if err := bed.Pull(t.Context(), reg.Ref("web:1")); err != nil {
		t.Fatal(err)
	}
	return testbed.Must(bed.Run(t.Context(), testbed.ContainerSpec{
		Name: "web", Image: reg.Ref("web:1"),
		HostConfig: &container.HostConfig{
			PortBindings: network.PortMap{network.MustParsePort("80/tcp"): {
				{HostIP: netip.MustParseAddr("127.0.0.1"), HostPort: "8080"},
			}},
		},
	}))(t)
}

func getPage(t *testing.T, bed *testbed.Bed) {
	t.Helper()
	req := testbed.Must(http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1:8080/payload", nil))(t)
	var body []byte
	waitFor(t, "the published port", func() bool {
		resp, err := bed.Engine().HTTPClient().Do(req)
		if err != nil {
			return false
		}
		defer func() { _ = resp.Body.Close() }()
		body, err = io.ReadAll(resp.Body)
		return err == nil
	})
	if string(body) != "hello" {
		t.Errorf("published port says %q, want hello", body)
	}
}

func TestProxyCountsAndPassesStreamsOn(t *testing.T) {
	t.Parallel()
	bed := testbed.New(t, testbed.WithEngine(testbed.PrivateEngine), testbed.WithRegistry(testbed.Plain))
	proxy := testbed.Must(bed.Engine().Proxy(t.Context()))(t)
	c := testbed.Must(client.New(client.WithHost(proxy.Host())))(t)
	defer func() { _ = c.Close() }()

	t.Run("events", func(t *testing.T) {
		events := c.Events(t.Context(), client.EventsListOptions{})
		web := runWeb(t, bed)
		for {
			select {
			case event := <-events.Messages:
				if event.Actor.ID == web.ID && event.Action == "start" {
					return
				}
			case err := <-events.Err:
				t.Fatal(err)
			}
		}
	})
	t.Run("exec", func(t *testing.T) {
		if got := execCat(t, c, bed.Name("web"), "over and out"); got != "over and out" {
			t.Errorf("cat says %q", got)
		}
	})
	t.Run("count", func(t *testing.T) {
		proxy.Reset()
		testbed.Must(c.ContainerList(t.Context(), client.ContainerListOptions{}))(t)
		requests := proxy.Requests()
		if len(requests) != 1 || requests[0].String() != "GET /containers/json" || requests[0].Status != http.StatusOK {
			t.Errorf("requests = %+v, want GET /containers/json", requests)
		}
	})
	t.Run("engine away", func(t *testing.T) {
		if err := bed.Engine().Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := c.ContainerList(t.Context(), client.ContainerListOptions{}); err == nil {
			t.Error("the proxy answers for an engine that is away")
		}
	})
}

// execCat sends text through a hijacked connection and back.
func execCat(t *testing.T, c *client.Client, name, text string) string {
	t.Helper()
	exec := testbed.Must(c.ExecCreate(t.Context(), name, client.ExecCreateOptions{
		AttachStdin: true, AttachStdout: true, TTY: false, Cmd: []string{"cat"},
	}))(t)
	stream := testbed.Must(c.ExecAttach(t.Context(), exec.ID, client.ExecAttachOptions{}))(t)
	defer stream.Close()
	if _, err := io.WriteString(stream.Conn, text); err != nil {
		t.Fatal(err)
	}
	if err := stream.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	out := testbed.Must(io.ReadAll(stream.Reader))(t)
	return string(out[min(8, len(out)):]) // less the stream's frame header
}

func TestExistingEngineIsLeftAsItWas(t *testing.T) {
	// Another bed's engine plays the one that was there before.
	host := testbed.New(t, testbed.WithEngine(testbed.PrivateEngine), testbed.WithRegistry(testbed.Plain))
	runWeb(t, host)
	t.Setenv("DOCKER_HOST", host.Engine().Host())
	before := inventory(t, host)

	bed := testbed.Must(testbed.Up(t.Context(), testbed.Options{Engine: testbed.Existing}))(t)
	if bed.Engine().Private() {
		t.Error("an existing engine counts as private")
	}
	useEverything(t, bed, host.Registry(testbed.Plain))
	if slices.Equal(inventory(t, host), before) {
		t.Error("nothing was made")
	}
	if err := bed.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, inventory(t, host)); diff != "" {
		t.Errorf("the engine has changed (-before +after):\n%s", diff)
	}
}

// useEverything leaves a container with an anonymous volume, a network, a
// named volume, an image, and one that has lost its name.
func useEverything(t *testing.T, bed *testbed.Bed, reg *testbed.Registry) {
	t.Helper()
	ctx := t.Context()
	for _, payload := range []string{"one", "two"} {
		img := testbed.Must(testbed.Image(testbed.ImageOptions{Payload: payload, Volumes: []string{"/data"}}))(t)
		testbed.Must(reg.Push(ctx, "shop:1", img))(t)
		if err := bed.Pull(ctx, reg.Ref("shop:1")); err != nil {
			t.Fatal(err)
		}
		testbed.Must(bed.Run(ctx, testbed.ContainerSpec{Name: payload, Image: reg.Ref("shop:1")}))(t)
	}
	testbed.Must(bed.Network(ctx, "net", client.NetworkCreateOptions{}))(t)
	testbed.Must(bed.Volume(ctx, "vol", client.VolumeCreateOptions{}))(t)
}

// inventory is all that an engine holds.
func inventory(t *testing.T, bed *testbed.Bed) []string {
	t.Helper()
	ctx, c := t.Context(), bed.Engine().Client()
	list := containers(t, bed)
	for _, item := range testbed.Must(c.ImageList(ctx, client.ImageListOptions{All: true}))(t).Items {
		list = append(list, "image "+item.ID)
	}
	for _, item := range testbed.Must(c.NetworkList(ctx, client.NetworkListOptions{}))(t).Items {
		list = append(list, "network "+item.Name)
	}
	for _, item := range testbed.Must(c.VolumeList(ctx, client.VolumeListOptions{}))(t).Items {
		list = append(list, "volume "+item.Name)
	}
	slices.Sort(list)
	return list
}
