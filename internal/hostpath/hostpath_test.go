package hostpath_test

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/watch-docker/watch-docker/internal/hostpath"
)

// host is a small honest engine: it has what a file system has.
type host struct {
	files fstest.MapFS
	err   error
}

func (h host) Stat(_ context.Context, name string) (hostpath.Stat, error) {
	info, err := fs.Stat(h.files, strings.TrimPrefix(name, "/"))
	if err != nil {
		return hostpath.Stat{}, h.err
	}
	return hostpath.Stat{Exists: true, Mode: info.Mode(), ModTime: info.ModTime()}, h.err
}

// files are made of names: "a/b" is a file, "a/" a folder, "a>b" a link.
func files(names ...string) fstest.MapFS {
	all := fstest.MapFS{}
	for _, name := range names {
		from, to, link := strings.Cut(strings.TrimPrefix(name, "/"), ">")
		switch {
		case link:
			all[from] = &fstest.MapFile{Mode: fs.ModeSymlink | 0o777, Data: []byte(to)}
		case strings.HasSuffix(from, "/"):
			all[strings.TrimSuffix(from, "/")] = &fstest.MapFile{Mode: fs.ModeDir | 0o755}
		default:
			all[from] = &fstest.MapFile{Mode: 0o644, Data: []byte("x")}
		}
	}
	return all
}

func made(name string) hostpath.Source {
	return hostpath.Source{Path: name, Kind: hostpath.KindBind, CreateHostPath: true}
}

func mustBe(name, kind string) hostpath.Source { return hostpath.Source{Path: name, Kind: kind} }

// A verdict is what the cases are about: state, code, where, and a word of what is said.
type verdict struct {
	State      hostpath.State
	Refuse     bool
	Code       string
	Host, Ours string
	File       bool
}

func of(f hostpath.Finding) verdict {
	return verdict{f.State, f.Refuse, f.Code, f.Host, f.Ours, f.File}
}

type judgement struct {
	name   string
	source hostpath.Source
	want   verdict
	says   string // in message or suggestion
}

func judge(t *testing.T, d hostpath.Doctor, cases []judgement) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := d.Judge(t.Context(), c.source)
			if diff := cmp.Diff(c.want, of(f)); diff != "" {
				t.Errorf("%s %s: %s", f.Message, f.Suggestion, diff)
			}
			if said := f.Message + " " + f.Suggestion; !strings.Contains(said, c.says) {
				t.Errorf("it says %q, without %q", said, c.says)
			}
			if f.Refuse && (f.Code == "" || f.Message == "" || f.Suggestion == "") {
				t.Errorf("a refusal without reason or remedy: %+v", f)
			}
		})
	}
}

func TestWithoutContainersAllPathsAreTheSame(t *testing.T) {
	d := hostpath.Doctor{Local: true, Files: files("/srv/app/data/", "/srv/app/conf", "/srv/app/link>/gone", "/srv/app/good>data", "/srv/app/a>b", "/srv/app/b>a")}
	judge(t, d, []judgement{
		{"folder", made("/srv/app/data"), verdict{State: hostpath.Same, Host: "/srv/app/data", Ours: "/srv/app/data"}, ""},
		{"file", made("/srv/app/conf"), verdict{State: hostpath.Same, Host: "/srv/app/conf", Ours: "/srv/app/conf", File: true}, ""},
		{"not there", made("/srv/app/new"), verdict{State: hostpath.Missing, Code: "path_created", Host: "/srv/app/new"}, "will create an empty folder"},
		{"not there and not made", mustBe("/srv/app/new", hostpath.KindBind), verdict{State: hostpath.Missing, Refuse: true, Code: "path_missing", Host: "/srv/app/new"}, "Create it"},
		{"a config that isn't there", hostpath.Source{Path: "/srv/app/c", Kind: hostpath.KindConfig, CreateHostPath: true}, verdict{State: hostpath.Missing, Refuse: true, Code: "path_missing", Host: "/srv/app/c"}, "/srv/app/c"},
		{"a link into nothing", made("/srv/app/link"), verdict{State: hostpath.Missing, Refuse: true, Code: "path_missing", Host: "/gone"}, "is a link"},
		{"below a link into nothing", made("/srv/app/link/in"), verdict{State: hostpath.Missing, Refuse: true, Code: "path_missing", Host: "/gone/in"}, "is a link"},
		{"not there, below a link", made("/srv/app/good/in"), verdict{State: hostpath.Missing, Code: "path_created", Host: "/srv/app/data/in"}, ""},
		{"links that go round", made("/srv/app/a"), verdict{State: hostpath.Missing, Refuse: true, Code: "path_missing"}, "lead to one another"},
		{"no absolute path", made("data"), verdict{State: hostpath.Missing, Refuse: true, Code: "path_missing"}, "absolute"},
		{"nonsense", made("/srv/\xff"), verdict{State: hostpath.Missing, Refuse: true, Code: "path_missing"}, "absolute"},
	})
}

// boxed is a program in a container whose projects are at another place.
func boxed() hostpath.Doctor {
	return hostpath.Doctor{
		Shown:  []string{"/stacks", "/srv/good", "/inside"},
		Mounts: hostpath.Mounts{bind("/srv/stacks", "/stacks"), bind("/srv/good", "/srv/good"), bind("/mnt/disk", "/media"), volume("state", "/config"), bind("/mnt/disk", "/srv/good/app/nested"), {Type: hostpath.Tmpfs, Destination: "/srv/good/tmp"}},
		Files: files("/stacks/app/data/x", "/srv/good/app/data/x", "/srv/good/app/.env", "/srv/good/app/nested/n", "/srv/good/tmp/", "/srv/good/other/",
			"/srv/good/near>/srv/good/app/data", "/srv/good/up>../good/app", "/srv/good/out>/media/films", "/srv/good/host>/mnt/disk/films", "/srv/good/dangling>/opt/big", "/srv/good/void>/nowhere",
			"/media/films/f", "/inside/app/data/x", "/inside/app/both/x", "/inside/app/empty/", "/config/watch-docker.db", "/etc/ssl/certs/ca.crt", "/only-here/x", "/media/list>/media/films"),
		Engine: host{files: files("/srv/stacks/app/data/x", "/srv/good/app/data/x", "/mnt/disk/films/f", "/opt/big/x", "/inside/app/both/y", "/inside/app/empty/z", "/etc/ssl/certs/ca.crt", "/etc/localtime", "/mnt/disk/list>films")},
	}
}

func TestInAContainerAPathCountsOnlyIfItIsTheSameOnBothSides(t *testing.T) {
	elsewhere := func(host string) verdict {
		return verdict{State: hostpath.Elsewhere, Refuse: true, Code: "path_elsewhere", Host: host}
	}
	same := func(host, ours string) verdict { return verdict{State: hostpath.Same, Host: host, Ours: ours} }
	judge(t, boxed(), []judgement{
		{"same", made("/srv/good/app/data"), same("/srv/good/app/data", "/srv/good/app/data"), ""},
		{"another place", made("/stacks/app/data"), elsewhere("/srv/stacks/app/data"), "-v /srv/stacks:/srv/stacks instead of -v /srv/stacks:/stacks, and set compose.path to /srv/stacks"},
		{"another place, not there yet", made("/stacks/app/new"), elsewhere("/srv/stacks/app/new"), "-v /srv/stacks:/srv/stacks"},
		{"no project's folder", made("/media/films"), elsewhere("/mnt/disk/films"), "Write the host's path in the Compose file (/mnt/disk/films)"},
		{"a volume", made("/config/x"), elsewhere("/var/lib/docker/volumes/state/_data/x"), "volume state"},
		{"a tmpfs", made("/srv/good/tmp/x"), elsewhere(""), "tmpfs"},
		{"in a nested mount", made("/srv/good/app/nested"), elsewhere("/mnt/disk"), "-v /mnt/disk:/mnt/disk"},
		{"with another mount in it", made("/srv/good/app"), verdict{State: hostpath.Elsewhere, Refuse: true, Code: "path_elsewhere", Host: "/srv/good/app"}, "/srv/good/app/nested is /mnt/disk of the host"},
		{"a config", mustBe("/stacks/app/data", hostpath.KindConfig), elsewhere("/srv/stacks/app/data"), ""},
		{"seen at another place", made("/mnt/disk/films"), same("/mnt/disk/films", "/media/films"), ""},
		{"seen at another place, not there", made("/mnt/disk/new"), verdict{State: hostpath.Missing, Code: "path_created", Host: "/mnt/disk/new"}, ""},
		{"seen at another place through a link", made("/mnt/disk/list"), verdict{State: hostpath.Unseen, Code: "path_unseen", Host: "/mnt/disk/list"}, ""},
		{"the host's alone", made("/etc/localtime"), verdict{State: hostpath.Unseen, Code: "path_unseen", Host: "/etc/localtime", File: true}, "doesn't see"},
		{"ours and the host's, of no project", made("/etc/ssl/certs"), verdict{State: hostpath.Unseen, Code: "path_unseen", Host: "/etc/ssl/certs"}, ""},
		{"ours alone", made("/only-here"), verdict{State: hostpath.Elsewhere, Refuse: true, Code: "path_would_be_empty", Host: "/only-here"}, "new, empty folder"},
		{"nobody's", made("/nowhere"), verdict{State: hostpath.Missing, Code: "path_created", Host: "/nowhere"}, ""},
		{"nobody's, not made", mustBe("/nowhere", hostpath.KindVolume), verdict{State: hostpath.Missing, Refuse: true, Code: "path_missing", Host: "/nowhere"}, "on the engine's host"},
		{"home", hostpath.Source{Path: "/data", Home: true, CreateHostPath: true}, verdict{State: hostpath.Elsewhere, Refuse: true, Code: "path_home"}, "instead of ~"},
	})
}

func TestProjectsInTheContainerItselfAreNotTheEngines(t *testing.T) {
	judge(t, boxed(), []judgement{
		{"content", made("/inside/app/data"), verdict{State: hostpath.Elsewhere, Refuse: true, Code: "path_would_be_empty", Host: "/inside/app/data"}, "-v /inside:/inside"},
		{"content on both", made("/inside/app/both"), verdict{State: hostpath.Elsewhere, Refuse: true, Code: "path_elsewhere", Host: "/inside/app/both"}, "-v /inside:/inside"},
		{"empty here", made("/inside/app/empty"), verdict{State: hostpath.Unseen, Code: "path_unseen", Host: "/inside/app/empty"}, ""},
		{"a file that isn't made", mustBe("/inside/app/data/x", hostpath.KindSecret), verdict{State: hostpath.Elsewhere, Refuse: true, Code: "path_would_be_empty", Host: "/inside/app/data/x"}, "can't mount it"},
	})
}

func TestLinksAreFollowedAsTheEngineWould(t *testing.T) {
	judge(t, boxed(), []judgement{
		{"to the same", made("/srv/good/near"), verdict{State: hostpath.Same, Host: "/srv/good/app/data", Ours: "/srv/good/app/data"}, ""},
		{"upwards", made("/srv/good/up/data"), verdict{State: hostpath.Same, Host: "/srv/good/app/data", Ours: "/srv/good/app/data"}, ""},
		{"into a mount at another place", made("/srv/good/out"), verdict{State: hostpath.Elsewhere, Refuse: true, Code: "path_elsewhere", Host: "/mnt/disk/films"}, "leads to /media/films"},
		{"to a path of the host", made("/srv/good/host"), verdict{State: hostpath.Same, Host: "/mnt/disk/films", Ours: "/media/films"}, ""},
		{"to what we don't see", made("/srv/good/dangling"), verdict{State: hostpath.Unseen, Code: "path_unseen", Host: "/opt/big"}, ""},
		{"to nothing", made("/srv/good/void"), verdict{State: hostpath.Missing, Refuse: true, Code: "path_missing", Host: "/nowhere"}, "is a link"},
	})
}

func TestWhatTheCommandLineReadsMustBeHere(t *testing.T) {
	read := func(name string, required bool) hostpath.Source {
		return hostpath.Source{Path: name, Kind: hostpath.KindEnvFile, ReadByCLI: true, Required: required}
	}
	judge(t, boxed(), []judgement{
		{"same", read("/srv/good/app/.env", true), verdict{State: hostpath.Read, Host: "/srv/good/app/.env", Ours: "/srv/good/app/.env", File: true}, ""},
		{"at another place", read("/stacks/app/data/x", true), verdict{State: hostpath.Read, Host: "/srv/stacks/app/data/x", Ours: "/stacks/app/data/x", File: true}, ""},
		{"not there", read("/srv/good/app/other.env", true), verdict{State: hostpath.Missing, Refuse: true, Code: "path_missing", Host: "/srv/good/app/other.env"}, "where Watch Docker runs"},
		{"not there, and needn't", read("/srv/good/app/other.env", false), verdict{State: hostpath.Missing, Code: "path_missing", Host: "/srv/good/app/other.env"}, ""},
		{"the host's alone", read("/opt/big/x", true), verdict{State: hostpath.Missing, Refuse: true, Code: "path_missing"}, "-v /opt/big/x:/opt/big/x:ro"},
	})
}

func TestARemoteEngineHasNothingOfOurs(t *testing.T) {
	d := hostpath.Doctor{Remote: true, Shown: []string{"/srv/stacks"}, Files: files("/srv/stacks/app/data/x", "/srv/stacks/app/both/x"), Engine: host{files: files("/srv/stacks/app/both/y", "/srv/db/x")}}
	judge(t, d, []judgement{
		{"content here", made("/srv/stacks/app/data"), verdict{State: hostpath.Elsewhere, Refuse: true, Code: "path_would_be_empty", Host: "/srv/stacks/app/data"}, "another machine"},
		{"content on both", made("/srv/stacks/app/both"), verdict{State: hostpath.Elsewhere, Refuse: true, Code: "path_elsewhere", Host: "/srv/stacks/app/both"}, "another machine"},
		{"nothing here", made("/srv/db"), verdict{State: hostpath.Unseen, Code: "path_unseen", Host: "/srv/db"}, ""},
		{"nothing anywhere", made("/srv/new"), verdict{State: hostpath.Missing, Code: "path_created", Host: "/srv/new"}, ""},
	})
}

func TestAnEngineThatCanNotBeAskedIsNoReasonToTrust(t *testing.T) {
	d := boxed()
	for name, engine := range map[string]hostpath.Engine{"none": nil, "broken": host{err: errors.New("no answer in time")}} {
		d.Engine = engine
		judge(t, d, []judgement{
			{name + ", shown", made("/inside/app/data"), verdict{State: hostpath.Unseen, Refuse: true, Code: "path_unchecked", Host: "/inside/app/data"}, "couldn't ask"},
			{name + ", of the host", made("/opt/other"), verdict{State: hostpath.Unseen, Code: "path_unchecked", Host: "/opt/other"}, ""},
			{name + ", not needed", made("/srv/good/app/data"), verdict{State: hostpath.Same, Host: "/srv/good/app/data", Ours: "/srv/good/app/data"}, ""},
		})
	}
}

func TestAMountOfOurOwnStateIsKnown(t *testing.T) {
	d := boxed()
	d.Mounts = append(d.Mounts, bind("/srv/wd/state", "/state"))
	d.Files.(fstest.MapFS)["srv/good/link"] = &fstest.MapFile{Mode: fs.ModeSymlink, Data: []byte("/srv/wd")}
	for _, c := range []struct {
		path, folder string
		want         bool
	}{
		{"/srv/wd/state", "/state", true}, {"/srv/wd/state/watch-docker.db", "/state", true}, {"/srv/wd", "/state", true}, {"/srv", "/state", true}, {"/", "/state", true},
		{"/srv/wd/state2", "/state", false}, {"/srv/good/app", "/state", false}, {"/state", "/state", true}, {"/srv/good/link", "/state", true},
		{"/config", "/config", true}, {"/var/lib/docker", "/config", true}, {"/var/lib/docker/volumes/state/_data", "/config", true}, {"/var/lib/docker/volumes/other/_data", "/config", false},
	} {
		if got := d.Holds(c.path, c.folder); got != c.want {
			t.Errorf("%s holds %s: %v", c.path, c.folder, got)
		}
	}
	if !d.HoldsVolume("state", "/config") || !d.HoldsVolume("state", "/config/deeper") || d.HoldsVolume("other", "/config") || d.HoldsVolume("state", "/state") {
		t.Error("the volume of the state folder isn't known")
	}
	if (hostpath.Doctor{Remote: true, Files: d.Files}).Holds("/", "/state") {
		t.Error("another machine has our state folder")
	}
	local := hostpath.Doctor{Local: true, Files: files("/var/lib/watch-docker/db", "/home/link>/var/lib")}
	for path, want := range map[string]bool{"/var/lib/watch-docker": true, "/home/link": true, "/": true, "/home/link/other": false} {
		if got := local.Holds(path, "/var/lib/watch-docker"); got != want {
			t.Errorf("without a container, %s holds it: %v", path, got)
		}
	}
}

func TestAnEngineWithAnotherFileSystemIsFound(t *testing.T) {
	ours := files("/srv/app/", "/srv/gone/", "/srv/other/")
	theirs := files("/srv/app/", "/srv/other/")
	theirs["srv/other"].ModTime = time.Unix(1, 1)
	d := hostpath.Doctor{Local: true, Files: ours, Engine: host{files: theirs}}
	for folder, want := range map[string]bool{"/srv/app": true, "/srv/gone": false, "/srv/other": false} {
		if got, err := d.Confirm(t.Context(), folder); got != want || err != nil {
			t.Errorf("%s is the same: %v, %v", folder, got, err)
		}
	}
	if _, err := d.Confirm(t.Context(), "/nothing"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what isn't there: %v", err)
	}
}
