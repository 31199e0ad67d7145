package testbed_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/moby/moby/client"

	"github.com/watch-docker/watch-docker/test/testbed"
)

// A fault before an engine takes the request it is meant for, lets somebody
// act when it comes, and can have it done all the same.
func TestAFaultTakesOneRequestAndMayHaveItDone(t *testing.T) {
	bed := testbed.New(t, testbed.WithEngine(testbed.AnyEngine))
	proxy := testbed.Must(bed.Engine().Proxy(t.Context()))(t)
	api := testbed.Must(client.New(client.WithHost(proxy.Host())))(t)
	defer func() { _ = api.Close() }()
	volumes := func() int {
		list := testbed.Must(bed.Engine().Client().VolumeList(t.Context(),
			client.VolumeListOptions{Filters: make(client.Filters).Add("label", testbed.Label+"="+bed.ID())}))(t)
		return len(list.Items)
	}
	create := func(name string) error {
		_, err := api.VolumeCreate(t.Context(), client.VolumeCreateOptions{Name: bed.Name(name), Labels: map[string]string{testbed.Label: bed.ID()}})
		return err
	}
	var met []string
	fault := testbed.Fault{Method: http.MethodPost, Path: "/v*/volumes/create", Skip: 1, Times: 1, Status: http.StatusInternalServerError,
		Hook: func(r testbed.Request) { met = append(met, r.String()) }}
	for _, c := range []struct {
		change func(*testbed.Fault)
		fails  bool
		made   int
	}{
		{func(*testbed.Fault) {}, true, 0},
		{func(f *testbed.Fault) { f.Done = true }, true, 1},
		{func(f *testbed.Fault) { f.Done, f.Drop = true, true }, true, 1},
		{func(f *testbed.Fault) { f.Done, f.Status, f.Latency = true, 0, time.Millisecond }, false, 1},
		{func(f *testbed.Fault) { f.Status = 0 }, false, 1},
	} {
		f := fault
		c.change(&f)
		proxy.Inject(f)
		before := volumes()
		if err := create(time.Now().Format("before.150405.000000000")); err != nil {
			t.Errorf("the first one isn't meant: %v", err)
		}
		if err := create(time.Now().Format("at.150405.000000000")); (err != nil) != c.fails {
			t.Errorf("%+v: %v", f, err)
		}
		if made := volumes() - before - 1; made != c.made {
			t.Errorf("%+v: made %d", f, made)
		}
		proxy.ClearFaults()
	}
	if len(met) != 5 || met[0] != "POST /volumes/create" {
		t.Errorf("the hook was called for %v", met)
	}
}

func TestADiskCanBeFilledAndFreed(t *testing.T) {
	bed := testbed.New(t)
	disk := testbed.Must(bed.Disk(1 << 20))(t)
	for range 2 {
		if err := disk.Fill(); err != nil {
			t.Fatal(err)
		}
		if err := disk.Free(); err != nil {
			t.Fatal(err)
		}
	}
}
