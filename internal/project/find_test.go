package project_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/internal/project"
	"github.com/watch-docker/watch-docker/test/testbed"
)

const web = "services: {web: {image: app}}\n"

func TestProjectsAreFoundAsComposeFindsThem(t *testing.T) {
	w := newWorld(t)
	w.write(map[string]string{
		"one/compose.yaml": web, "one/compose.override.yml": web, "one/docker-compose.yml": web,
		"Two Words!/docker-compose.yml": web,
		"a/b/three/compose.yml":         web,
		"a/b/c/four/compose.yaml":       web, // too deep
		".hidden/compose.yaml":          web, "node_modules/x/compose.yaml": web, "@eaDir/compose.yaml": web,
		"named/compose.yaml":      "name: other\n" + web,
		"byenv/compose.yaml":      "name: file\n" + web,
		"byenv/.env":              "COMPOSE_PROJECT_NAME=env\nCOMPOSE_PROFILES=a, b\n",
		"several/base.yml":        web,
		"several/prod.yml":        web,
		"several/.env":            "# ours\nDIR=.\nCOMPOSE_PATH_SEPARATOR=;\nCOMPOSE_FILE=${DIR}/base.yml;prod.yml\n",
		"sub/.env":                "COMPOSE_FILE=docker/compose.yaml",
		"sub/docker/compose.yaml": web,
		"nothing/readme.yaml":     web, "nothing/.env": "A=1\n",
	})
	if got, want := w.ids(), "docker env one other several three twowords"; got != want {
		t.Errorf("%s; want %s", got, want)
	}
	for id, want := range map[string]string{
		"one": "one compose.yaml compose.override.yml", "twowords": "Two Words! docker-compose.yml", "three": "a/b/three compose.yml",
		"other": "named compose.yaml", "env": "byenv compose.yaml", "several": "several base.yml prod.yml",
		"docker": "sub docker/compose.yaml",
	} {
		p := w.one(id)
		rel, _ := filepath.Rel(w.root, p.Path)
		if got := rel + " " + strings.Join(p.Files, " "); got != want || p.Status != project.StatusDown || p.Origin != project.OnDisk {
			t.Errorf("%s: %s; want %s; %+v", id, got, want, p)
		}
	}
	if p := w.one("env"); !slices.Equal(p.Profiles, []string{"a", "b"}) {
		t.Error(p.Profiles)
	}
	if got := codes(w.one("one").Warnings); got != "several_files" {
		t.Error(got)
	}
	target := testbed.Must(w.s.Target(t.Context(), "docker"))(t)
	if target.Dir != filepath.Join(w.root, "sub/docker") || target.Folder != filepath.Join(w.root, "sub") ||
		!slices.Equal(target.Files, []string{"compose.yaml"}) || !slices.Equal(target.EnvFiles, []string{"../.env"}) {
		t.Errorf("%+v", target)
	}
}

func TestTwoFoldersOfOneNameHaveTwoIDs(t *testing.T) {
	w := newWorld(t)
	w.write(map[string]string{"a/shop/compose.yaml": web, "b/shop/compose.yaml": web})
	ids := strings.Fields(w.ids())
	if len(ids) != 2 || ids[0] != "shop" || !strings.HasPrefix(ids[1], "shop~") {
		t.Fatal(ids)
	}
	for _, id := range ids {
		if got := codes(w.one(id).Warnings); got != "same_name" {
			t.Error(id, got)
		}
		_ = testbed.Must(w.s.Target(t.Context(), id))(t)
	}
	// Containers belong to the folder that they say they were made from; the
	// other one must not be started over them.
	w.list.list = []dockercli.Container{container("shop", "web running", "project.working_dir="+filepath.Join(w.root, "b/shop"), "project.config_files="+filepath.Join(w.root, "b/shop/compose.yaml"))}
	if p := w.one(ids[1]); p.Status != project.StatusRunning || p.Origin != project.Both || p.Name != "shop" {
		t.Errorf("%+v", p)
	}
	p := w.one(ids[0])
	if p.Status != project.StatusDown || p.Blocked == nil || p.Blocked.Code != string(project.ErrNameTaken) {
		t.Errorf("%+v", p)
	}
	_, err := w.s.Target(t.Context(), ids[0])
	w.refused(err, project.ErrNameTaken)
	_, err = w.s.Takes(t.Context(), ids[0], true, true)
	w.refused(err, project.ErrNameTaken)
	_, err = w.s.RemoveFiles(t.Context(), ids[0], w.root+"/b/shop")
	w.refused(err, project.ErrNotFound)
	if d := testbed.Must(w.s.Takes(t.Context(), ids[0], false, true))(t); len(d.Containers) != 0 || !d.Folder {
		t.Errorf("%+v", d)
	}
}

func TestWhatTheLabelsSayIsShownAndNeverRun(t *testing.T) {
	w := newWorld(t)
	w.write(map[string]string{"shop/compose.yaml": web, "shop/prod.yaml": web, "old/compose.yaml": web})
	elsewhere := filepath.Join(t.TempDir(), "far")
	w.list.list = []dockercli.Container{
		container("far", "web running", "project.working_dir="+elsewhere, "project.config_files="+elsewhere+"/a.yml,"+elsewhere+"/b.yml"),
		container("v1", "web running", "version=1.29.2", "project.working_dir="+elsewhere, "project.config_files=docker-compose.yml,prod.yml"),
		container("shop", "web running", "project.working_dir="+filepath.Join(w.root, "shop"), "project.config_files="+filepath.Join(w.root, "shop/compose.yaml")+","+filepath.Join(w.root, "shop/prod.yaml")),
		container("old", "web running", "project.working_dir=/gone/old", "project.config_files=/gone/old/compose.yaml"),
		container("../../etc", "web running"), container("shop~abcdef", "web running"),
		container("once", "task running", "oneoff=True"),
	}
	for id, files := range map[string]string{"far": "a.yml b.yml", "v1": "docker-compose.yml prod.yml"} {
		p := w.one(id)
		if strings.Join(p.Files, " ") != files || p.Path != elsewhere || p.Origin != project.Running {
			t.Errorf("%+v", p)
		}
		target, err := w.s.Target(t.Context(), id)
		w.refused(err, project.ErrOutside)
		if target.Name != id || target.OnDisk || target.Files != nil {
			t.Errorf("%+v", target)
		}
		_, err = w.s.Files(t.Context(), id)
		w.refused(err, project.ErrOutside)
		_, err = w.s.Takes(t.Context(), id, true, true)
		w.refused(err, project.ErrOutside)
	}
	if p := w.one("shop"); codes(p.Warnings) != "other_files" || !strings.Contains(p.Warnings[0].Message, "COMPOSE_FILE=compose.yaml:prod.yaml") {
		t.Errorf("%+v", p.Warnings)
	}
	if target := testbed.Must(w.s.Target(t.Context(), "shop"))(t); len(target.MadeFrom) != 2 || !slices.Equal(target.Files, []string{"compose.yaml"}) {
		t.Errorf("%+v", target)
	}
	// An image may bring labels: they don't get into advice.
	w.list.list[2].Labels["com.docker.compose.project.config_files"] = "../../evil.yaml"
	if p := w.one("shop"); codes(p.Warnings) != "other_files" || strings.Contains(p.Warnings[0].Message, "COMPOSE_FILE") {
		t.Errorf("%+v", p.Warnings)
	}
	if p := w.one("old"); codes(p.Warnings) != "moved" {
		t.Errorf("%+v", p.Warnings)
	}
	for _, p := range w.all() {
		if strings.ContainsAny(p.ID, "/.") || p.ID == "shop~abcdef" || p.Name == "once" {
			t.Errorf("%+v", p)
		}
	}
}

// The host calls our folder by another name than we do.
func TestAMovedFolderIsToldFromOneThatIsMountedElsewhere(t *testing.T) {
	w := newWorld(t, func(d *project.Dependencies) {
		d.FromHost = func(path string) (string, bool) {
			rest, ok := strings.CutPrefix(path, "/host")
			return d.Roots[0] + rest, ok
		}
	})
	w.write(map[string]string{"shop/compose.yaml": web})
	w.list.list = []dockercli.Container{container("shop", "web running", "project.working_dir=/host/shop", "project.config_files=/host/shop/compose.yaml")}
	if p := w.one("shop"); len(p.Warnings) != 0 || p.Origin != project.Both {
		t.Errorf("%+v", p)
	}
	w.list.list = []dockercli.Container{container("shop", "web running", "project.working_dir="+w.root+"/shop")} // made by us
	if p := w.one("shop"); len(p.Warnings) != 0 {
		t.Errorf("%+v", p)
	}
	w.list.list = []dockercli.Container{container("shop", "web running", "project.working_dir=/elsewhere/shop")}
	if p := w.one("shop"); codes(p.Warnings) != "moved" {
		t.Errorf("%+v", p)
	}
}

func TestFilesThatLeadOutBlockTheProject(t *testing.T) {
	outside := t.TempDir()
	for name, c := range map[string]struct {
		env  string
		prep func(root string) error
		want project.Code
	}{
		"dots":           {"COMPOSE_FILE=../../x/compose.yaml", nil, project.ErrOutside},
		"absolute":       {"COMPOSE_FILE=/etc/passwd", nil, project.ErrOutside},
		"remote":         {"COMPOSE_PATH_SEPARATOR=;\nCOMPOSE_FILE=https://example.com/compose.yaml", nil, project.ErrOutside},
		"standard input": {"COMPOSE_FILE=-", nil, project.ErrOutside},
		"missing":        {"COMPOSE_FILE=gone.yaml", nil, project.ErrNoFile},
		"a bad name":     {"COMPOSE_PROJECT_NAME=No Name", nil, project.ErrName},
		"an option":      {"COMPOSE_PROJECT_NAME=--help", nil, project.ErrName},
		"link out":       {"", func(root string) error { return os.Symlink(outside+"/compose.yaml", root+"/app/compose.yml") }, project.ErrOutside},
		"relative link":  {"", func(root string) error { return os.Symlink("../../compose.yaml", root+"/app/compose.yml") }, project.ErrOutside},
		"loop":           {"", func(root string) error { return os.Symlink("compose.yml", root+"/app/compose.yml") }, project.ErrOutside},
		"pipe":           {"", func(root string) error { return syscall.Mkfifo(root+"/app/compose.yml", 0o600) }, project.ErrNoFile},
		"env leads out": {"", func(root string) error {
			return errors.Join(os.Remove(root+"/app/.env"), os.Symlink(outside+"/.env", root+"/app/.env"), os.WriteFile(root+"/app/compose.yaml", nil, 0o600))
		}, project.ErrOutside},
		"env is a pipe": {"", func(root string) error {
			return errors.Join(os.Remove(root+"/app/.env"), syscall.Mkfifo(root+"/app/.env", 0o600), os.WriteFile(root+"/app/compose.yaml", nil, 0o600))
		}, project.ErrNotRegular},
		"env is big": {"", func(root string) error {
			return errors.Join(os.WriteFile(root+"/app/.env", make([]byte, project.MaxFile+1), 0o600), os.WriteFile(root+"/app/compose.yaml", nil, 0o600))
		}, project.ErrTooBig},
		"dangling": {"", func(root string) error { return os.Symlink("gone", root+"/app/compose.yml") }, project.ErrNoFile},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.write(map[string]string{"app/.env": c.env})
			if c.prep != nil {
				w.must(c.prep(w.root))
			} else {
				w.write(map[string]string{"app/compose.yaml": web})
			}
			p := w.all()[0]
			if !strings.Contains(codes(p.Warnings), string(c.want)) || w.files.reads > 1 {
				t.Errorf("%+v", p)
			}
			_, err := w.s.Target(t.Context(), p.ID)
			w.refused(err, c.want)
		})
	}
}

func TestLinksWithinTheRootAreFollowedOnce(t *testing.T) {
	w := newWorld(t)
	w.write(map[string]string{".store/blog/compose.yaml": web, "shared/base.yaml": web, "shop/x": ""})
	w.must(os.Symlink(".store/blog", w.root+"/blog"))
	w.must(os.Symlink(".store/blog", w.root+"/zblog"))
	w.must(os.Symlink("..", w.root+"/shop/up"))
	w.must(os.Symlink("../shared/base.yaml", w.root+"/shop/compose.yaml"))
	if got := w.ids(); got != "blog shop" {
		t.Error(got)
	}
	// What is saved goes to where the link leads; the link stays.
	_, etag, err := w.s.Read(t.Context(), "shop", "compose.yaml")
	w.must(err)
	_ = testbed.Must(w.s.Save(t.Context(), "shop", "compose.yaml", []byte("services: {}\n"), etag, "ada"))(t)
	if got := string(testbed.Must(os.ReadFile(w.root + "/shared/base.yaml"))(t)); got != "services: {}\n" {
		t.Error(got)
	}
	if _, err := os.Readlink(w.root + "/shop/compose.yaml"); err != nil {
		t.Error(err)
	}
}

func TestAnEngineThatIsAwayLeavesTheProjectsOnDisk(t *testing.T) {
	w := newWorld(t)
	w.write(map[string]string{"shop/compose.yaml": web})
	w.list.err = errors.New("connection refused")
	p := w.one("shop")
	if p.Status != project.StatusUnknown || codes(p.Warnings) != "engine_unavailable" {
		t.Errorf("%+v", p)
	}
	_, err := w.s.Project(t.Context(), "other")
	w.refused(err, project.ErrUnreachable)
	_, err = w.s.Takes(t.Context(), "shop", false, false)
	w.refused(err, project.ErrUnreachable)
	_, err = w.s.RemoveFiles(t.Context(), "shop", w.root+"/shop")
	w.refused(err, project.ErrUnreachable)
	_, err = w.s.Create(t.Context(), "new", []byte(web), nil, "ada")
	w.refused(err, project.ErrUnreachable)
	w.list.err = nil
	_, err = w.s.Project(t.Context(), "other")
	w.refused(err, project.ErrNotFound)
}

func TestRootsThatCantBeReadAreSaid(t *testing.T) {
	w := newWorld(t, func(d *project.Dependencies) {
		d.Roots = append(d.Roots, "/gone/for/good", filepath.Join(d.Roots[0], "in"), d.Roots[0])
		d.StateFolder = filepath.Join(d.Roots[0], "state")
	})
	w.write(map[string]string{"in/shop/compose.yaml": web, "state/compose.yaml": web, "state/deeper/compose.yaml": web})
	if got := w.ids(); got != "shop" {
		t.Error(got)
	}
	if got := codes(testbed.Must(w.s.Problems(t.Context()))(t)); got != "compose_path_missing" {
		t.Error(got)
	}
}

func TestAFolderWithManyEntriesHidesNothing(t *testing.T) {
	w := newWorld(t)
	w.write(map[string]string{"a/compose.yaml": web, "b/shop/compose.yaml": web})
	for i := range 8300 {
		w.must(os.WriteFile(fmt.Sprintf("%s/a/%d", w.root, i), nil, 0o600))
	}
	if got := w.ids(); got != "a shop" {
		t.Error(got)
	}
	if got := codes(testbed.Must(w.s.Problems(t.Context()))(t)); got != "compose_path_too_big" {
		t.Error(got)
	}
}

func TestAnEnvFileThatIsABombOrBrokenIsSaid(t *testing.T) {
	w := newWorld(t)
	bomb := "A0=COMPOSE_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n"
	for i := range 60 {
		bomb += fmt.Sprintf("A%d=$A%d$A%d$A%d\n", i+1, i, i, i)
	}
	w.write(map[string]string{
		"bomb/compose.yaml": web, "bomb/.env": bomb,
		"broken/compose.yaml": web, "broken/.env": "COMPOSE_PROFILES=a\nSECRET='hunter2\n",
	})
	start := time.Now()
	if p := w.one("bomb"); p.Blocked != nil || time.Since(start) > 5*time.Second {
		t.Errorf("%+v after %v", p, time.Since(start))
	}
	p := w.one("broken")
	if codes(p.Warnings) != "compose_env_invalid" || p.Blocked == nil || p.Warnings[0].Line == 0 || strings.Contains(fmt.Sprint(p.Warnings), "hunter2") {
		t.Errorf("%+v", p.Warnings)
	}
}

func TestAFileIsReadAgainOnlyWhenItHasChanged(t *testing.T) {
	clock := time.Now().Add(time.Hour)
	w := newWorld(t, func(d *project.Dependencies) { d.Now = func() time.Time { return clock } })
	w.write(map[string]string{"shop/compose.yaml": "include: [more.yaml]\n" + web, "shop/more.yaml": web})
	for range 5 {
		_ = w.all()
		clock = clock.Add(time.Minute)
	}
	if w.files.reads != 1 {
		t.Errorf("read %d times", w.files.reads)
	}
	for i, change := range []map[string]string{
		{"shop/more.yaml": web + "\n"}, {"shop/compose.yaml": web}, {"shop/compose.override.yaml": web}, {"shop/.env": "A=1"},
	} {
		w.write(change)
		if _ = w.one("shop"); w.files.reads != i+2 {
			t.Errorf("%v: read %d times, want %d", change, w.files.reads, i+2)
		}
		clock = clock.Add(time.Minute)
	}
	w.must(os.RemoveAll(w.root + "/shop"))
	_, err := w.s.Project(t.Context(), "shop")
	w.refused(err, project.ErrNotFound)
}

func TestAFileOfTheFutureIsReadAgainForAMomentOnly(t *testing.T) {
	now := time.Now()
	w := newWorld(t, func(d *project.Dependencies) { d.Now = func() time.Time { return now } })
	w.write(map[string]string{"shop/compose.yaml": web})
	future := now.Add(24 * time.Hour)
	w.must(os.Chtimes(w.root+"/shop/compose.yaml", future, future))
	read := func(wait time.Duration) int {
		now = now.Add(wait)
		before := w.files.reads
		_ = w.one("shop")
		return w.files.reads - before
	}
	if read(0) == 0 || read(time.Second) == 0 || read(3*time.Second) == 0 {
		t.Error("it isn't looked at again")
	}
	for range 3 {
		if n := read(time.Minute); n > 0 {
			t.Errorf("read %d times", n)
		}
	}
	w.write(map[string]string{"shop/compose.yaml": web + " "})
	if read(time.Minute) == 0 {
		t.Error("a change isn't seen")
	}
}
