package dockercli_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/test/testbed"
)

// TestOwnContainerIsFound looks from inside of containers, by what the kernel
// shows there.
func TestOwnContainerIsFound(t *testing.T) {
	w := newWorkshop(t)
	w.stock(map[string][2]testbed.ImageOptions{"plain": {{Volumes: []string{"/vol"}}, {}}})
	ref := w.bed.Registry(testbed.Plain).Ref("plain:1")
	dir := w.TempDir()
	w.must(os.MkdirAll(filepath.Join(dir, "a b"), 0o755))
	run := func(name string, args ...string) (id string) {
		t.Helper()
		id = w.docker(slices.Concat([]string{"run", "-d", "--name", w.bed.Name(name)}, args, []string{ref})...)
		t.Cleanup(func() { w.clean(w.bed.Name(name)) })
		return id
	}
	gateway := run("gateway")
	alone := run("alone", "-v", filepath.Join(dir, "a b")+":/a b:ro", "--tmpfs", "/scratch")
	guest := run("guest", "--network", "container:"+gateway, "-v", dir+":/stacks")
	other := run("other", "--network", "container:"+gateway, "-v", dir+":/data", "-v", dir+":/stacks/deeper")

	for _, c := range []struct{ name, id string }{{"gateway", gateway}, {"alone", alone}, {"guest", guest}, {"other", other}} {
		mountinfo := w.docker("exec", c.id, "cat", "/proc/self/mountinfo")
		own, err := w.client.Own(t.Context(), idsIn(mountinfo), mountinfo)
		if err != nil || own.ID != c.id || own.Name != w.bed.Name(c.name) {
			t.Errorf("%s takes itself for %q, %v", c.name, own.Name, err)
		}
		if c.id != alone {
			continue
		}
		for i, m := range own.Mounts {
			if m.Type == "volume" {
				own.Mounts[i].Name, own.Mounts[i].Source = fmt.Sprint(len(m.Name)), filepath.Base(m.Source)
			}
		}
		want := []dockercli.OwnMount{
			{Type: "bind", Source: filepath.Join(dir, "a b"), Destination: "/a b", Propagation: "rprivate"},
			{Type: "tmpfs", Destination: "/scratch", RW: true},
			{Type: "volume", Name: "64", Source: "_data", Destination: "/vol", RW: true},
		}
		if diff := cmp.Diff(want, own.Mounts); diff != "" {
			t.Errorf("its mounts: %s", diff)
		}
	}
	for _, ids := range [][]string{nil, {strings.Repeat("a", 64)}} {
		if own, err := w.client.Own(t.Context(), ids, ""); !errors.Is(err, dockercli.ErrNotFound) {
			t.Errorf("of another engine's container %v it says %q, %v", ids, own.Name, err)
		}
	}
}

// idsIn are the containers that a mountinfo names, as internal/app finds them.
func idsIn(mountinfo string) []string {
	var ids []string
	for line := range strings.Lines(mountinfo) {
		if f := strings.Fields(line); strings.HasSuffix(f[3], "/hosts") {
			ids = append(ids, filepath.Base(filepath.Dir(f[3])))
		}
	}
	return ids
}

func TestProbesTellWhatTheHostHas(t *testing.T) {
	w := newWorkshop(t)
	w.stock(map[string][2]testbed.ImageOptions{"plain": {{Volumes: []string{"/vol"}}, {}}})
	image := w.imageID(w.bed.Registry(testbed.Plain).Ref("plain:1"))
	dir := w.TempDir()
	file := filepath.Join(dir, "a file: odd, 'name' $HOME")
	w.must(errors.Join(os.WriteFile(file, []byte("abc"), 0o640), os.Symlink(dir, filepath.Join(dir, "link")), os.Symlink("/nowhere", filepath.Join(dir, "void"))))
	owner := w.bed.Name("own")
	before := w.docker("ps", "-aq") + w.docker("volume", "ls", "-q")

	for _, c := range []struct {
		path string
		dir  bool
		err  error
	}{
		{dir, true, nil}, {file, false, nil}, {filepath.Join(dir, "link"), true, nil}, {strings.TrimPrefix(w.bed.Engine().Host(), "unix://"), false, nil},
		{filepath.Join(dir, "void"), false, dockercli.ErrNoFile}, {filepath.Join(dir, "new"), false, dockercli.ErrNoFile}, {filepath.Join(file, "in"), false, dockercli.ErrNotFolder},
	} {
		f, err := w.client.ProbePath(t.Context(), c.path, dockercli.ProbeOptions{Owner: owner, Image: image})
		if !errors.Is(err, c.err) || f.Mode.IsDir() != c.dir {
			t.Errorf("%s: %v, %v; want %v", c.path, f.Mode, err, c.err)
		}
		if c.err != nil {
			continue
		}
		if info, err := os.Stat(c.path); err != nil || info.Mode() != f.Mode || !info.ModTime().Equal(f.ModTime) {
			t.Errorf("%s is %v of %s there; here %v of %s", c.path, f.Mode, f.ModTime, info.Mode(), info.ModTime())
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "new")); err == nil {
		t.Error("looking for a folder has made it")
	}
	if _, err := w.client.ProbePath(t.Context(), dir, dockercli.ProbeOptions{Owner: owner, Image: "sha256:" + strings.Repeat("a", 64)}); !errors.Is(err, dockercli.ErrNotFound) {
		t.Errorf("an image that isn't there: %v", err)
	}
	if after := w.docker("ps", "-aq") + w.docker("volume", "ls", "-q"); after != before {
		t.Errorf("left: %s", after)
	}
}

func TestProbesThatWereLeftAreRemovedAndNothingElse(t *testing.T) {
	w := newWorkshop(t)
	w.stock(map[string][2]testbed.ImageOptions{"plain": {{}, {}}})
	ref := w.bed.Registry(testbed.Plain).Ref("plain:1")
	prefix := w.bed.Name("own") + ".wd-probe-"
	id := w.docker("create", "--name", prefix+"left", ref)
	for _, name := range []string{prefix + "runs", w.bed.Name("own") + "x.wd-probe-left", "x-" + prefix + "left"} {
		w.docker("create", "--name", name, ref)
		t.Cleanup(func() { w.clean(name) })
	}
	w.docker("start", prefix+"runs")
	if listed := testbed.Must(w.client.Containers(t.Context(), id))(w); len(listed) > 0 {
		t.Errorf("one under way is listed: %v", listed)
	}
	w.must(w.client.ClearProbes(t.Context(), w.bed.Name("own")))
	names := strings.Fields(w.docker("ps", "-a", "--filter", "name="+w.bed.Name("own"), "--format", "{{.Names}}"))
	if slices.Contains(names, prefix+"left") || len(names) != 3 {
		t.Errorf("there are %q", names)
	}
}
