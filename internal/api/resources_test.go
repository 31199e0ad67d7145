package api_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/watch-docker/watch-docker/internal/api"
	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/internal/image"
	"github.com/watch-docker/watch-docker/internal/resource"
	"github.com/watch-docker/watch-docker/internal/store"
)

func (f *fakes) Images(_ context.Context, thorough bool) ([]resource.Image, error) {
	return []resource.Image{
		{ID: "sha256:1", SizeBytes: 5, Dangling: true, Tags: []string{}, Digests: []string{}, Containers: []string{}, NeededForRollback: []string{}},
		{ID: "sha256:2", Tags: []string{"nginx:latest"}, Digests: []string{}, Containers: []string{"web"}, NeededForRollback: []string{}},
	}, f.note("images sizes=%v", thorough)
}

func (f *fakes) Image(_ context.Context, named string) (resource.ImageDetail, error) {
	d := resource.ImageDetail{Image: resource.Image{ID: "sha256:2", Tags: []string{}, Digests: []string{}, Containers: []string{}, NeededForRollback: []string{}}}
	d.ImageDetail = dockercli.ImageDetail{
		Env: []string{"PATH=/bin", "API_TOKEN=hunter2"}, Command: []string{"serve", "--password=hunter2"}, Layers: []string{"sha256:3"},
		History: []dockercli.HistoryItem{{CreatedBy: "|1 TOKEN=hunter2 /bin/sh -c make", SizeBytes: 3}, {CreatedBy: `/bin/sh -c #(nop) ENV DB_PASSWORD="hunter2 and more"`}},
	}
	d.Labels = map[string]string{"secret": "hunter2", "version": "1"}
	return d, f.note("image %s", named)
}

func (f *fakes) RemoveImage(_ context.Context, id string, force bool) (resource.ImageRemoval, error) {
	return resource.ImageRemoval{Deleted: []string{"sha256:1"}, ReclaimedBytes: 5}, f.note("remove image %s force=%v", id, force)
}

func (f *fakes) Pull(_ context.Context, ref image.Reference, platform image.Platform, actor string) (store.Operation, error) {
	of := ""
	if platform.OS != "" {
		of = " for " + platform.String()
	}
	return underWay(), f.note("pull %s%s by %s", ref, of, actor)
}

func underWay() store.Operation {
	return store.Operation{ID: "op1", Kind: "pull", State: store.Running, CreatedAt: time.Unix(1, 0).UTC()}
}

func (f *fakes) PreviewImagePrune(_ context.Context, p resource.ImagePrune) (resource.ImagesPruned, error) {
	return resource.ImagesPruned{Deleted: []string{"sha256:1"}, ReclaimedBytes: 5}, f.note("preview image prune %+v", p)
}

func (f *fakes) PruneImages(_ context.Context, p resource.ImagePrune, actor string) (store.Operation, error) {
	return underWay(), f.note("prune images %+v by %s", p, actor)
}

func (f *fakes) Volumes(_ context.Context, thorough bool) ([]resource.Volume, error) {
	return []resource.Volume{share()}, f.note("volumes sizes=%v", thorough)
}

// share is a volume with a password in its options.
func share() resource.Volume {
	return resource.Volume{Name: "share", Driver: "local", Options: map[string]string{"type": "cifs", "o": "username=ann,password=hunter2"}}
}

func (f *fakes) Volume(_ context.Context, name string) (resource.Volume, error) {
	return share(), f.note("volume %s", name)
}

func (f *fakes) RemoveVolume(_ context.Context, name string) error {
	return f.note("remove volume %s", name)
}

func (f *fakes) PreviewVolumePrune(_ context.Context, p resource.VolumePrune) (resource.VolumesPruned, error) {
	return resource.VolumesPruned{}, f.note("preview volume prune %+v", p)
}

func (f *fakes) PruneVolumes(_ context.Context, p resource.VolumePrune, actor string) (store.Operation, error) {
	return underWay(), f.note("prune volumes %+v by %s", p, actor)
}

func (f *fakes) Networks(context.Context) ([]resource.NetworkRow, error) {
	return []resource.NetworkRow{{ID: "1", Name: "shop"}}, f.note("networks")
}

func (f *fakes) Network(_ context.Context, named string) (resource.NetworkRow, error) {
	return resource.NetworkRow{ID: "1", Name: "shop"}, f.note("network %s", named)
}

func (f *fakes) RemoveNetwork(_ context.Context, named string) (resource.NetworkRow, error) {
	return resource.NetworkRow{ID: "1", Name: "shop"}, f.note("remove network %s", named)
}

func (f *fakes) PreviewNetworkPrune(context.Context) (resource.NetworksPruned, error) {
	return resource.NetworksPruned{}, f.note("preview network prune")
}

func (f *fakes) PruneNetworks(_ context.Context, actor string) (store.Operation, error) {
	return underWay(), f.note("prune networks by %s", actor)
}

func TestWhatContainersAreMadeOfIsReachedAsAsked(t *testing.T) {
	w := newWorld(t, func(d *api.Dependencies) { d.Auth = roles{} })
	for _, c := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", "/api/images?sizes=true", "", 200, "images sizes=true"},
		{"GET", "/api/images/nginx:latest", "", 200, "image nginx:latest"},
		{"POST", "/api/images/pull", `{"image":"nginx"}`, 202, "pull docker.io/library/nginx:latest by admin"},
		{"POST", "/api/images/pull", `{"image":"ghcr.io/a/b@sha256:` + strings.Repeat("a", 64) + `","platform":"linux/arm64/v8"}`, 202, "pull ghcr.io/a/b@sha256:" + strings.Repeat("a", 64) + " for linux/arm64 by admin"},
		{"POST", "/api/images/prune", "", 202, "prune images {All:false OlderThan:0s} by admin"},
		{"POST", "/api/images/prune", `{"all":true,"olderThan":"30d"}`, 202, "prune images {All:true OlderThan:720h0m0s} by admin"},
		{"POST", "/api/images/prune", `{"dryRun":true}`, 200, "preview image prune {All:false OlderThan:0s}"},
		{"GET", "/api/volumes", "", 200, "volumes sizes=false"},
		{"GET", "/api/volumes/share", "", 200, "volume share"},
		{"DELETE", "/api/volumes/share", "", 204, "remove volume share"},
		{"POST", "/api/volumes/prune", `{"names":["a.b-c_1"]}`, 202, "prune volumes {All:false Names:[a.b-c_1]} by admin"},
		{"POST", "/api/volumes/prune", `{"dryRun":true,"all":true}`, 200, "preview volume prune {All:true Names:[]}"},
		{"GET", "/api/networks", "", 200, "networks"},
		{"GET", "/api/networks/shop", "", 200, "network shop"},
		{"DELETE", "/api/networks/shop", "", 204, "remove network shop"},
		{"POST", "/api/networks/prune", "", 202, "prune networks by admin"},
		{"POST", "/api/networks/prune", `{"dryRun":true}`, 200, "preview network prune"},
	} {
		options := []option{bearer("admin")}
		if c.body != "" {
			options = append(options, raw(c.body))
		}
		a := w.do(c.method, c.path, options...)
		if a.status != c.status || w.last() != c.want {
			t.Errorf("%s %s %s: %s; it asked %q, want %q", c.method, c.path, c.body, a, w.last(), c.want)
		}
		if strings.Contains(a.text, "hunter2") {
			t.Errorf("%s %s shows a secret: %s", c.method, c.path, a)
		}
		if c.status == 202 && a.header.Get("Location") != "/api/operations/op1" {
			t.Errorf("%s %s: %v", c.method, c.path, a.header)
		}
	}
}

func TestBadNamesGetNoFurther(t *testing.T) {
	w := newWorld(t, func(d *api.Dependencies) { d.Auth = roles{} })
	for _, c := range []struct{ method, path, body, field string }{
		{"POST", "/api/images/pull", `{"image":""}`, "body.image"},
		{"POST", "/api/images/pull", `{"image":"--privileged"}`, "body.image"},
		{"POST", "/api/images/pull", `{"image":"../../etc/passwd"}`, "body.image"},
		{"POST", "/api/images/pull", `{"image":"a b"}`, "body.image"},
		{"POST", "/api/images/pull", `{"image":"http://evil/x"}`, "body.image"},
		{"POST", "/api/images/pull", `{"image":"nginx","platform":"arm64"}`, "body.platform"},
		{"POST", "/api/images/pull", `{"image":"nginx","platform":"linux/../x"}`, "body.platform"},
		{"POST", "/api/images/prune", `{"olderThan":"-1h"}`, "body.olderThan"},
		{"POST", "/api/images/prune", `{"olderThan":"0"}`, "body.olderThan"},
		{"POST", "/api/images/prune", `{"olderThan":"1e300d"}`, "body.olderThan"},
		{"POST", "/api/images/prune", `{"olderThan":"NaNd"}`, "body.olderThan"},
		{"POST", "/api/images/prune", `{"olderThan":"tomorrow"}`, "body.olderThan"},
		{"POST", "/api/volumes/prune", `{"names":["../x"]}`, "body.names"},
		{"POST", "/api/volumes/prune", `{"names":["-f"]}`, "body.names"},
		{"GET", "/api/volumes/-f", "", "path.name"},
		{"GET", "/api/volumes/..x", "", "path.name"},
		{"DELETE", "/api/volumes/..", "", "path.name"},
		{"DELETE", "/api/volumes/..%2f..%2fcontainers%2fweb", "", "path.name"},
		{"DELETE", "/api/volumes/a%20b", "", "path.name"},
		{"DELETE", "/api/volumes/" + strings.Repeat("a", 300), "", "path.name"},
		{"DELETE", "/api/networks/" + strings.Repeat("a", 300), "", "path.id"},
	} {
		options := []option{bearer("admin")}
		if c.body != "" {
			options = append(options, raw(c.body))
		}
		a := w.do(c.method, c.path, options...)
		if a.status != http.StatusUnprocessableEntity || a.get("errors", c.field) == nil {
			t.Errorf("%s %s %s: %s", c.method, c.path, c.body, a)
		}
	}
	if last := w.last(); last != "" {
		t.Errorf("one got through: %s", last)
	}
}

func TestWhyNothingIsRemovedHasACode(t *testing.T) {
	w := newWorld(t, func(d *api.Dependencies) { d.Auth = roles{} })
	for _, c := range []struct {
		err    error
		status int
		code   string
	}{
		{fmt.Errorf("%w: x", resource.ErrNoImage), 404, "image_not_found"},
		{fmt.Errorf("%w: x", resource.ErrNoVolume), 404, "volume_not_found"},
		{fmt.Errorf("%w: x", resource.ErrNoNetwork), 404, "network_not_found"},
		{&resource.ConflictError{Code: resource.CodeVolumeInUse, Message: "data is used by db."}, 409, "volume_in_use"},
		{&resource.ConflictError{Code: resource.CodeRollback, Message: "It is kept."}, 409, "image_needed_for_rollback"},
		{&api.BusyError{Container: "The prune of images", OperationID: "op1", Code: api.CodeUnderWay}, 409, "operation_under_way"},
		{fmt.Errorf("%w: 64", api.ErrTooManyOperations), 429, "too_many_operations"},
		{api.ErrStopping, 503, "stopping"},
		{errors.New("odd"), 500, "internal_error"},
	} {
		w.failWith(c.err)
		w.do("DELETE", "/api/volumes/data", bearer("admin")).is(c.status, c.code)
	}
}
