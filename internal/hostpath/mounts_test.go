package hostpath_test

import (
	"testing"

	"github.com/watch-docker/watch-docker/internal/hostpath"
)

func bind(source, destination string) hostpath.Mount {
	return hostpath.Mount{Type: hostpath.Bind, Source: source, Destination: destination, RW: true, Propagation: "rprivate"}
}

func volume(name, destination string) hostpath.Mount {
	return hostpath.Mount{Type: hostpath.Volume, Name: name, Source: "/var/lib/docker/volumes/" + name + "/_data", Destination: destination, RW: true}
}

func TestAPathIsFoundByTheLongestMountOnBothSides(t *testing.T) {
	mounts := hostpath.Mounts{
		bind("/srv/stacks", "/stacks"),
		bind("/mnt/disk", "/stacks/media"), // nested
		bind("/srv/stacks/shop/data", "/deep"),
		bind("/same", "/same"),
		bind("/same/in", "/again"), // one folder at two places
		volume("state", "/config"),
		{Type: hostpath.Tmpfs, Destination: "/stacks/tmp"},
		bind("/", "/host"),
	}
	for _, c := range []struct{ ours, host, back string }{
		{"/stacks", "/srv/stacks", "/stacks"},
		{"/stacks/a/b", "/srv/stacks/a/b", "/stacks/a/b"},
		{"/stacks/a/../b/", "/srv/stacks/b", "/stacks/b"},
		{"/stacks2", "", ""},
		{"/stacks/media/x", "/mnt/disk/x", "/stacks/media/x"},
		{"/stacks/mediax", "/srv/stacks/mediax", "/stacks/mediax"},
		{"/stacks/tmp/x", "", ""},
		{"/deep/x", "/srv/stacks/shop/data/x", "/deep/x"},
		{"/stacks/shop/data/x", "/srv/stacks/shop/data/x", "/deep/x"},
		{"/same/in/x", "/same/in/x", "/same/in/x"},
		{"/again/x", "/same/in/x", "/same/in/x"},
		{"/config/x", "/var/lib/docker/volumes/state/_data/x", "/host/var/lib/docker/volumes/state/_data/x"},
		{"/host/etc", "/etc", "/host/etc"},
		{"/host", "/", "/host"},
		{"/etc", "", ""},
	} {
		host, ok := mounts.Host(c.ours)
		if host != c.host || ok != (c.host != "") {
			t.Errorf("%s is %q, %v on the host; want %q", c.ours, host, ok, c.host)
		}
		if !ok {
			continue
		}
		if ours, ok := mounts.Ours(host); ours != c.back || !ok {
			t.Errorf("%s of the host is %q, %v with us; want %q", host, ours, ok, c.back)
		}
	}
}

func TestWhatIsMountedOverIsNotSeen(t *testing.T) {
	mounts := hostpath.Mounts{bind("/srv", "/srv"), bind("/other", "/srv/app/data")}
	if ours, ok := mounts.Ours("/srv/app/data/x"); ok {
		t.Errorf("the host's /srv/app/data is covered, and yet seen at %s", ours)
	}
	if ours, _ := mounts.Ours("/other/x"); ours != "/srv/app/data/x" {
		t.Errorf("/other/x is seen at %q", ours)
	}
}

func TestAVolumeIsNoPathOfTheHost(t *testing.T) {
	mounts := hostpath.Mounts{volume("stacks", "/stacks")}
	if ours, ok := mounts.Ours("/var/lib/docker/volumes/stacks/_data/app"); ok {
		t.Errorf("seen at %s", ours)
	}
}

func TestAFolderIsNotInOneWhoseNameItBeginsWith(t *testing.T) {
	for _, c := range []struct {
		name, folder string
		want         bool
	}{
		{"/srv", "/srv", true}, {"/srv/", "/srv", true}, {"/srv/a", "/srv/", true}, {"/srv2", "/srv", false}, {"/srv", "/srv2", false},
		{"/srv/../etc", "/srv", false}, {"/a", "/", true}, {"/", "/a", false}, {"a", "/", false},
	} {
		if got := hostpath.Within(c.name, c.folder); got != c.want {
			t.Errorf("%s in %s: %v", c.name, c.folder, got)
		}
	}
}
