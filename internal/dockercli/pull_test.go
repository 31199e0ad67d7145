package dockercli_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/internal/image"
	"github.com/watch-docker/watch-docker/test/testbed"
)

// push makes an image and pushes it.
func (w *workshop) push(reg *testbed.Registry, repoTag string, o testbed.ImageOptions) (digest string) {
	w.Helper()
	digest, err := reg.Push(w.Context(), repoTag, testbed.Must(testbed.Image(o))(w))
	if err != nil {
		w.Fatal(err)
	}
	return digest
}

func TestPullTellsProgressAndDigest(t *testing.T) {
	w := newWorkshop(t, testbed.Token)
	reg := w.bed.Registry(testbed.Token)
	digest := w.push(reg, "shop/web:1", testbed.ImageOptions{Payload: "pull"})
	var seen []dockercli.PullProgress
	auth := dockercli.Auth{Username: reg.Username(), Password: reg.Password()}
	got, err := w.client.Pull(t.Context(), reg.Ref("shop/web:1"), dockercli.PullOptions{
		Auth: auth, Progress: func(p dockercli.PullProgress) { seen = append(seen, p) },
	})
	if err != nil {
		t.Fatal(err)
	}
	if got.Digest != digest || got.ImageID != w.imageID(reg.Ref("shop/web:1")) {
		t.Errorf("pulled %+v; want digest %s", got, digest)
	}
	if len(seen) == 0 {
		t.Fatal("no progress")
	}
	last := seen[len(seen)-1]
	if last.Phase != "done" || last.Layers == 0 || last.LayersDone != last.Layers || last.Current != last.Total {
		t.Errorf("last progress %+v", last)
	}
	if !slices.ContainsFunc(seen, func(p dockercli.PullProgress) bool { return p.Phase == "downloading" || p.Phase == "extracting" }) {
		t.Errorf("no phase between: %+v", seen)
	}
	for _, p := range seen {
		if p.Current > p.Total || p.LayersDone > p.Layers {
			t.Errorf("progress %+v is past its end", p)
		}
	}
	again, err := w.client.Pull(t.Context(), reg.Ref("shop/web:1"), dockercli.PullOptions{Auth: auth})
	if err != nil || again != got {
		t.Errorf("a second pull: %+v, %v; want %+v", again, err, got)
	}
}

func TestPullErrorsHaveKinds(t *testing.T) {
	w := newWorkshop(t, testbed.Token, testbed.Plain)
	token, plain := w.bed.Registry(testbed.Token), w.bed.Registry(testbed.Plain)
	w.push(token, "shop/web:1", testbed.ImageOptions{Bare: true, Payload: "kinds"})
	w.push(plain, "web:1", testbed.ImageOptions{Bare: true, Payload: "kinds"})
	w.push(plain, "limited:1", testbed.ImageOptions{Bare: true, Payload: "limited"})
	index := testbed.Must(testbed.Index(testbed.IndexOptions{}))(t)
	if _, err := plain.Push(t.Context(), "nothing:1", index); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		ref  string
		o    dockercli.PullOptions
		want error
	}{
		{"NobodyIsUnauthorized", token.Ref("shop/web:1"), dockercli.PullOptions{}, dockercli.ErrUnauthorized},
		{"WrongPasswordIsUnauthorized", token.Ref("shop/web:1"), dockercli.PullOptions{Auth: dockercli.Auth{Username: "demo", Password: "wrong"}}, dockercli.ErrUnauthorized},
		{"NoSuchTag", plain.Ref("web:2"), dockercli.PullOptions{}, dockercli.ErrNotFound},
		{"NoSuchRepository", plain.Ref("nobody:1"), dockercli.PullOptions{}, dockercli.ErrNotFound},
		{"NoPlatform", plain.Ref("nothing:1"), dockercli.PullOptions{}, dockercli.ErrNoPlatform},
		{"OtherPlatform", plain.Ref("web:1"), dockercli.PullOptions{Platform: image.Platform{OS: "linux", Architecture: "s390x"}}, dockercli.ErrNoPlatform},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := w.client.Pull(t.Context(), tc.ref, tc.o); !errors.Is(err, tc.want) {
				t.Errorf("error %v; want %v", err, tc.want)
			}
		})
	}
	t.Run("RateLimited", func(t *testing.T) {
		plain.Inject(testbed.Fault{Path: "/v2/limited/manifests/*", Status: http.StatusTooManyRequests,
			Body: `{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your pull rate limit"}]}`})
		if _, err := w.client.Pull(t.Context(), plain.Ref("limited:1"), dockercli.PullOptions{}); !errors.Is(err, dockercli.ErrRateLimited) {
			t.Errorf("error %v; want %v", err, dockercli.ErrRateLimited)
		}
	})
}

func TestPullThatBreaksOffIsAnError(t *testing.T) {
	w := newWorkshop(t)
	proxy := testbed.Must(w.bed.Engine().Proxy(t.Context()))(t)
	client := testbed.Must(dockercli.New(dockercli.Options{Host: proxy.Host()}))(t)
	defer client.Close()
	for name, body := range map[string]string{
		"InGoodOrder": `{"status":"Pulling from web","id":"1"}` + "\n" + `{"status":"Pulling fs layer","progressDetail":{},"id":"0123456789ab"}` + "\n",
		"InTheMiddle": `{"status":"Pulling from web","id":"1"}` + "\n" + `{"status":"Down`,
		"AtOnce":      "",
	} {
		t.Run(name, func(t *testing.T) {
			remove := proxy.Inject(testbed.Fault{Method: http.MethodPost, Path: "/v*/images/create", Status: http.StatusOK, Body: body})
			defer remove()
			if _, err := client.Pull(t.Context(), "127.0.0.1:1/web:1", dockercli.PullOptions{}); !errors.Is(err, dockercli.ErrUnavailable) {
				t.Errorf("error %v; want %v", err, dockercli.ErrUnavailable)
			}
		})
	}
	t.Run("NoSpace", func(t *testing.T) {
		defer proxy.Inject(testbed.Fault{Method: http.MethodPost, Path: "/v*/images/create", Status: http.StatusOK,
			Body: `{"errorDetail":{"message":"write /var/lib/docker/tmp/x: no space left on device"},"error":"no space left on device"}`})()
		if _, err := client.Pull(t.Context(), "127.0.0.1:1/web:1", dockercli.PullOptions{}); !errors.Is(err, dockercli.ErrNoSpace) {
			t.Errorf("error %v; want %v", err, dockercli.ErrNoSpace)
		}
	})
}

func TestPullEndsWithItsContext(t *testing.T) {
	w := newWorkshop(t)
	reg := w.bed.Registry(testbed.Plain)
	w.push(reg, "slow:1", testbed.ImageOptions{Payload: "slow"})
	reg.Inject(testbed.Fault{Path: "/v2/slow/blobs/*", Latency: time.Minute})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := w.client.Pull(ctx, reg.Ref("slow:1"), dockercli.PullOptions{Progress: func(dockercli.PullProgress) { cancel() }})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v; want %v", err, context.Canceled)
	}
}
