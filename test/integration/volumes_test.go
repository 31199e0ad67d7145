package integration_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"github.com/watch-docker/watch-docker/internal/api"
	"github.com/watch-docker/watch-docker/internal/resource"
	"github.com/watch-docker/watch-docker/internal/store"
	"github.com/watch-docker/watch-docker/test/testbed"
)

func (h *host) volumes() map[string]resource.Volume {
	h.t.Helper()
	var list struct{ Volumes []resource.Volume }
	if code := h.call("GET", "/api/volumes?sizes=true", "", &list); code != http.StatusOK {
		h.t.Fatalf("volumes: %d", code)
	}
	all := map[string]resource.Volume{}
	for _, v := range list.Volumes {
		all[v.Name] = v
	}
	return all
}

// volume makes one; without a short name it is anonymous.
func (h *host) volume(short string, labels map[string]string) string {
	h.t.Helper()
	if short != "" {
		return testbed.Must(h.bed.Volume(h.t.Context(), short, client.VolumeCreateOptions{Labels: labels}))(h.T)
	}
	return testbed.Must(h.bed.Engine().Client().VolumeCreate(h.t.Context(), client.VolumeCreateOptions{}))(h.T).Volume.Name
}

func TestOnlyVolumesThatNobodyUsesGoAndNamedOnesOnlyWhenSaid(t *testing.T) {
	h := newHost(t)
	h.release("app:1", testbed.ImageOptions{Payload: "one", Entrypoint: testbed.Stoppable("sleep", "1000")})
	h.pull(h.reg.Ref("app:1"))
	data, other, free := h.volume("data", map[string]string{"com.docker.compose.project": "shop"}), h.volume("other", nil), h.volume("", nil)
	h.start(testbed.ContainerSpec{
		Name: "db", Image: h.reg.Ref("app:1"), CreateOnly: true, Labels: map[string]string{"com.docker.compose.project": "shop", "com.docker.compose.service": "db"},
		HostConfig: &container.HostConfig{Binds: []string{data + ":/data", "/anonymous"}},
	})
	h.start(testbed.ContainerSpec{Name: "web", Image: h.reg.Ref("app:1"), Config: &container.Config{Volumes: map[string]struct{}{"/cache": {}}}})

	all := h.volumes()
	held := []string{}
	for name, v := range all {
		if v.Anonymous && name != free {
			held = append(held, name)
			if v.Dangling || len(v.Users) != 1 {
				t.Errorf("an anonymous volume in use: %+v", v)
			}
		}
		if v.SizeBytes == nil {
			t.Errorf("its size isn't known: %+v", v)
		}
	}
	if v := all[data]; len(held) != 2 || v.Anonymous || v.Dangling || v.Project != "shop" || v.Driver != "local" || v.Mountpoint == "" || v.CreatedAt == nil ||
		len(v.Users) != 1 || v.Users[0].Name != h.bed.Name("db") || v.Users[0].State != "created" || v.Users[0].Place != "/data" || v.Users[0].Service != "db" {
		t.Errorf("data: %+v; anonymous ones in use: %v", v, held)
	}
	if v := all[free]; !v.Anonymous || !v.Dangling || all[other].Anonymous || !all[other].Dangling {
		t.Errorf("unused: %+v, %+v", v, all[other])
	}

	h.problem("DELETE", "/api/volumes/"+data, "", http.StatusConflict, resource.CodeVolumeInUse)
	h.problem("DELETE", "/api/volumes/nothing", "", http.StatusNotFound, api.CodeNoVolume)
	h.problem("GET", "/api/volumes/nothing", "", http.StatusNotFound, api.CodeNoVolume)
	h.problem("POST", "/api/volumes/prune", `{"names":["nothing"]}`, http.StatusNotFound, api.CodeNoVolume)
	for _, c := range []struct {
		body  string
		goes  []string
		keeps map[string]string
	}{
		{`{"names":["` + other + `"]}`, []string{}, map[string]string{other: resource.CodeVolumeNamed}},
		{`{"names":["` + data + `"],"all":true}`, []string{}, map[string]string{data: resource.CodeVolumeInUse}},
		{`{}`, []string{free}, map[string]string{other: resource.CodeVolumeNamed}},
		{`{"all":true}`, []string{other}, map[string]string{}},
	} {
		var would, done resource.VolumesPruned
		dry := `{"dryRun":true` + map[bool]string{true: "}", false: "," + c.body[1:]}[c.body == "{}"]
		if code := h.call("POST", "/api/volumes/prune", dry, &would); code != http.StatusOK {
			t.Fatalf("preview %s: %d", dry, code)
		}
		op := h.operation("/api/volumes/prune", c.body, &done)
		if diff := cmp.Diff(would, done); diff != "" || op.State != store.Succeeded {
			t.Errorf("%s: %+v %s", c.body, op, diff)
		}
		if diff := cmp.Diff(c.keeps, reasons(done.Kept)); diff != "" || !slices.Equal(done.Deleted, c.goes) {
			t.Errorf("%s removes %v, want %v; kept: %s", c.body, done.Deleted, c.goes, diff)
		}
	}
	left := h.volumes()
	for _, name := range append(held, data) {
		if _, there := left[name]; !there {
			t.Errorf("%s is gone", name)
		}
	}
	if len(left) != 3 {
		t.Errorf("left: %v", left)
	}
	last := h.volume("last", nil)
	if code := h.call("DELETE", "/api/volumes/"+last, "", nil); code != http.StatusNoContent {
		t.Errorf("remove: %d", code)
	}
}

func TestOnlyNetworksThatNobodyIsInGo(t *testing.T) {
	h := newHost(t)
	h.release("app:1", testbed.ImageOptions{Payload: "one", Entrypoint: testbed.Stoppable("sleep", "1000")})
	h.pull(h.reg.Ref("app:1"))
	make := func(short string) string {
		return testbed.Must(h.bed.Network(t.Context(), short, client.NetworkCreateOptions{Labels: map[string]string{"com.docker.compose.project": "shop"}}))(t)
	}
	running, stopped, free, single := make("running"), make("stopped"), make("free"), make("single")
	for name, net := range map[string]string{"web": running, "db": stopped} {
		h.start(testbed.ContainerSpec{
			Name: name, Image: h.reg.Ref("app:1"), CreateOnly: name == "db", HostConfig: &container.HostConfig{NetworkMode: container.NetworkMode(net)},
			Networking: &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{net: {}}},
		})
	}
	var list struct{ Networks []resource.NetworkRow }
	h.call("GET", "/api/networks", "", &list)
	all := map[string]resource.NetworkRow{}
	for _, n := range list.Networks {
		all[n.Name] = n
	}
	for name, user := range map[string]string{running: "web", stopped: "db"} {
		if n := all[name]; n.Dangling || n.Predefined || n.Project != "shop" || n.Driver != "bridge" || len(n.Subnets) == 0 || len(n.Users) != 1 || n.Users[0].Name != h.bed.Name(user) {
			t.Errorf("%s: %+v", name, n)
		}
		h.problem("DELETE", "/api/networks/"+name, "", http.StatusConflict, resource.CodeNetworkUsed)
		h.problem("DELETE", "/api/networks/"+all[name].ID[:12], "", http.StatusConflict, resource.CodeNetworkUsed)
	}
	if n := all["bridge"]; !n.Predefined || n.Dangling || !all[free].Dangling {
		t.Errorf("bridge: %+v, free: %+v", n, all[free])
	}
	h.problem("DELETE", "/api/networks/bridge", "", http.StatusConflict, resource.CodePredefined)
	h.problem("DELETE", "/api/networks/nothing", "", http.StatusNotFound, api.CodeNoNetwork)
	var one resource.NetworkRow
	if code := h.call("GET", "/api/networks/"+single, "", &one); code != http.StatusOK || one.ID != all[single].ID {
		t.Errorf("one: %d %+v", code, one)
	}
	if code := h.call("DELETE", "/api/networks/"+single, "", nil); code != http.StatusNoContent {
		t.Errorf("remove: %d", code)
	}
	var would, done resource.NetworksPruned
	if code := h.call("POST", "/api/networks/prune", `{"dryRun":true}`, &would); code != http.StatusOK {
		t.Fatalf("preview: %d", code)
	}
	op := h.operation("/api/networks/prune", "", &done)
	if diff := cmp.Diff(would, done); diff != "" || op.State != store.Succeeded || !slices.Equal(done.Deleted, []string{all[free].ID}) {
		t.Errorf("prune: %+v %+v %s", op, done, diff)
	}
}
