package project_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/watch-docker/watch-docker/internal/project"
	"github.com/watch-docker/watch-docker/internal/store"
	"github.com/watch-docker/watch-docker/test/testbed"
)

const app = "services:\n  web: {image: app, env_file: [conf/web.conf]}\n"

func shop(t *testing.T, change ...func(*project.Dependencies)) *world {
	t.Helper()
	w := newWorld(t, change...)
	return w.write(map[string]string{
		"shop/compose.yaml": app, "shop/.env": "A=1\n", "shop/conf/web.conf": "B=2\n", "shop/conf/other.conf": "C=3\n",
		"shop/compose.prod.yaml": web, "shop/readme.md": "hello", "shop/id_rsa": "key", "secret/id_rsa": "key",
	})
}

func (w *world) read(name string) (content, etag string) {
	w.Helper()
	b, etag, err := w.s.Read(w.Context(), "shop", name)
	w.must(err)
	return string(b), etag
}

func (w *world) save(name, content, ifMatch string) (string, error) {
	return w.s.Save(w.Context(), "shop", name, []byte(content), ifMatch, "ada")
}

func (w *world) onDisk(name, want string) {
	w.Helper()
	got, err := os.ReadFile(filepath.Join(w.root, name))
	if err != nil || string(got) != want {
		w.Errorf("%s: %q, %v; want %q", name, got, err, want)
	}
}

func TestOnlyAProjectsOwnFilesCanBeReached(t *testing.T) {
	w := shop(t)
	w.must(os.Symlink("../secret/id_rsa", w.root+"/shop/in.env"))
	w.must(os.Symlink("/etc/passwd", w.root+"/shop/out.env"))
	w.must(os.Symlink("../../../../../../../../etc/passwd", w.root+"/shop/up.env"))
	w.must(syscall.Mkfifo(w.root+"/shop/pipe.env", 0o600))
	w.must(syscall.Mknod(w.root+"/shop/device.env", syscall.S_IFCHR|0o600, 1<<8|5)) // /dev/zero
	w.must(os.Mkdir(w.root+"/shop/folder.env", 0o755))
	w.must(os.WriteFile(w.root+"/shop/big.env", make([]byte, project.MaxFile+1), 0o600))
	for name, code := range map[string]project.Code{
		"": project.ErrFileName, ".": project.ErrFileName, "..": project.ErrFileName, "../secret/id_rsa": project.ErrFileName,
		"conf/../../secret/id_rsa": project.ErrFileName, "/etc/passwd": project.ErrFileName, "./compose.yaml": project.ErrFileName,
		"conf//web.conf": project.ErrFileName, `..\secret\id_rsa`: project.ErrFileName, "-f.env": project.ErrFileName,
		"conf/-x.env": project.ErrFileName, "a\nb.env": project.ErrFileName, "a\x00.env": project.ErrFileName, "a\xff.env": project.ErrFileName,
		"a\u202egne.env": project.ErrFileName, strings.Repeat("a", 300) + ".env": project.ErrFileName, strings.Repeat("a/", 600) + ".env": project.ErrFileName,
		"id_rsa": project.ErrForbidden, "readme.md": project.ErrForbidden, "conf/other.conf": project.ErrForbidden, "conf/x.env": project.ErrForbidden,
		"out.env": project.ErrOutside, "up.env": project.ErrOutside, "pipe.env": project.ErrNotRegular, "device.env": project.ErrNotRegular,
		"folder.env": project.ErrNotRegular, "big.env": project.ErrTooBig, "gone.env": project.ErrNoFile,
	} {
		_, _, err := w.s.Read(t.Context(), "shop", name)
		w.refused(err, code)
		if code != project.ErrNoFile && code != project.ErrTooBig {
			_, err = w.save(name, "x", project.Absent)
			w.refused(err, code)
		}
	}
	if got, _ := w.read("in.env"); got != "key" { // its owner made the link, and it stays in compose.path
		t.Error(got)
	}
	var names []string
	for _, f := range testbed.Must(w.s.Files(t.Context(), "shop"))(t) {
		if names = append(names, string(f.Kind)+":"+f.Name); (f.ETag == "") != (f.Problem != "") {
			t.Errorf("%+v", f)
		}
	}
	want := "compose:compose.prod.yaml compose:compose.yaml env:.env env:big.env env:conf/web.conf env:device.env env:in.env env:out.env env:pipe.env env:up.env"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

func TestAFileIsSavedAsItWasSent(t *testing.T) {
	w := shop(t)
	file := filepath.Join(w.root, "shop/compose.yaml")
	w.must(os.Chown(file, 1234, 4321))
	w.must(os.Chmod(file, 0o664))
	for _, content := range []string{
		"\ufeffservices: {}\r\n", "# a comment\n\tservices:\n\n\n", "a: 1\na: 2\n", "\xff\xfe not text", "", app,
	} {
		_, etag := w.read("compose.yaml")
		now, err := w.save("compose.yaml", content, etag)
		w.must(err)
		if got, etag := w.read("compose.yaml"); got != content || etag != now || etag != project.ETag([]byte(content)) {
			t.Errorf("%q %s; want %q %s", got, etag, content, now)
		}
	}
	info := testbed.Must(os.Stat(file))(t)
	if st := info.Sys().(*syscall.Stat_t); info.Mode().Perm() != 0o664 || st.Uid != 1234 || st.Gid != 4321 {
		t.Error(info.Mode(), st.Uid, st.Gid)
	}
	if left := testbed.Must(filepath.Glob(filepath.Join(w.root, "shop/.watch*")))(t); left != nil {
		t.Error(left)
	}
}

func TestAFileThatHasChangedIsNotOverwritten(t *testing.T) {
	w := shop(t)
	_, etag := w.read(".env")
	w.write(map[string]string{"shop/.env": "A=2\n"})
	_, err := w.save(".env", "A=3\n", etag)
	w.refused(err, project.ErrChanged)
	_, err = w.save(".env", "A=3\n", "")
	w.refused(err, project.ErrNoMatch)
	_, err = w.save(".env", "A=3\n", "*")
	w.refused(err, project.ErrChanged)
	_, err = w.save(".env", "A=3\n", project.Absent)
	w.refused(err, project.ErrFileExists)
	w.onDisk("shop/.env", "A=2\n")
	_, etag = w.read(".env")
	w.must(os.Remove(w.root + "/shop/.env"))
	_, err = w.save(".env", "A=3\n", etag)
	w.refused(err, project.ErrChanged)
	_, err = w.save("new.env", strings.Repeat("x", project.MaxFile+1), project.Absent)
	w.refused(err, project.ErrTooBig)

	_, err = w.save("new.env", "N=1\n", project.Absent)
	w.must(err)
	w.onDisk("shop/new.env", "N=1\n")
	if info := testbed.Must(os.Stat(w.root + "/shop/new.env"))(t); info.Mode().Perm() != 0o600 {
		t.Error(info.Mode())
	}
}

func TestOfTwoEditsAtOnceOneIsRefused(t *testing.T) {
	w := shop(t)
	for range 20 {
		_, etag := w.read("compose.yaml")
		var all sync.WaitGroup
		errs := make([]error, 4)
		for i := range errs {
			all.Go(func() {
				_, errs[i] = w.save("compose.yaml", app+fmt.Sprintf("# %d %s\n", i, etag), etag)
			})
		}
		all.Wait()
		done := 0
		for _, err := range errs {
			if err == nil {
				done++
			} else {
				w.refused(err, project.ErrChanged)
			}
		}
		if done != 1 {
			t.Fatal(errs)
		}
	}
}

func TestTwentyVersionsAreKeptAndOneComesBack(t *testing.T) {
	w := shop(t)
	for i := range 25 {
		_, etag := w.read("compose.yaml")
		_ = testbed.Must(w.save("compose.yaml", app+fmt.Sprintf("# %d\n", i), etag))(t)
	}
	w.write(map[string]string{"shop/compose.yaml": app + "# by hand\n"})
	_, etag := w.read("compose.yaml")
	_ = testbed.Must(w.save("compose.yaml", app+"# last\n", etag))(t)
	_ = testbed.Must(w.save("compose.yaml", app+"# last\n", project.ETag([]byte(app+"# last\n"))))(t) // changes nothing
	list := testbed.Must(w.s.Versions(t.Context(), "shop", "compose.yaml"))(t)
	if len(list) != store.KeptComposeVersions+1 || list[0].Actor != "ada" || list[1].Actor != "" || list[2].Actor != "ada" || time.Since(list[0].At) > time.Minute {
		t.Fatalf("%d: %+v", len(list), list)
	}
	oldest := list[len(list)-1]
	v, content, err := w.s.Version(t.Context(), "shop", oldest.N)
	if err != nil || v != oldest || string(content) != app+"# 6\n" {
		t.Errorf("%+v %q %v", v, content, err)
	}
	_, etag = w.read("compose.yaml")
	_, err = w.s.Restore(t.Context(), "shop", oldest.N, `"other"`, "bob")
	w.refused(err, project.ErrChanged)
	if restored := testbed.Must(w.s.Restore(t.Context(), "shop", oldest.N, etag, "bob"))(t); restored != oldest.ETag {
		t.Error(restored)
	}
	w.onDisk("shop/compose.yaml", app+"# 6\n")
	if list = testbed.Must(w.s.Versions(t.Context(), "shop", ""))(t); list[0].Actor != "bob" || list[0].N <= oldest.N || list[0].ETag != oldest.ETag {
		t.Errorf("%+v", list[0])
	}
	_, err = w.s.Restore(t.Context(), "shop", 4711, etag, "bob")
	w.refused(err, project.ErrNoVersion)
	if list := testbed.Must(w.s.Versions(t.Context(), "shop", ".env"))(t); len(list) != 0 {
		t.Error(list)
	}
}

// A disk of its own can be full, or read-only.
func onDisk(t *testing.T) (*world, *testbed.Disk) {
	t.Helper()
	disk := testbed.Must(testbed.New(t).Disk(1 << 20))(t)
	return shop(t, func(d *project.Dependencies) { d.Roots = []string{disk.Dir} }), disk
}

func TestAFullDiskLeavesTheOldFile(t *testing.T) {
	w, disk := onDisk(t)
	_, etag := w.read("compose.yaml")
	w.must(disk.Fill())
	_, err := w.save("compose.yaml", app+strings.Repeat("# long\n", 5000), etag)
	w.refused(err, project.ErrNoSpace)
	_, err = w.s.Create(t.Context(), "new", []byte(strings.Repeat("# long\n", 5000)+web), []byte("A=1"), "ada")
	w.refused(err, project.ErrNoSpace)
	w.must(disk.Free())
	w.onDisk("shop/compose.yaml", app)
	for _, entry := range testbed.Must(os.ReadDir(disk.Dir))(t) {
		if entry.Name() == "new" {
			t.Error("something of the new project is left")
		}
	}
	_, err = w.save("compose.yaml", app+"# short\n", etag)
	w.must(err)
}

func TestAReadOnlyFolderIsSaid(t *testing.T) {
	w, disk := onDisk(t)
	_, etag := w.read("compose.yaml")
	w.must(unix.Mount("", disk.Dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	_, err := w.save("compose.yaml", web, etag)
	w.refused(err, project.ErrReadOnly)
	_, err = w.s.Create(t.Context(), "new", []byte(web), nil, "ada")
	w.refused(err, project.ErrReadOnly)
	d, err := w.s.RemoveFiles(t.Context(), "shop", w.root+"/shop")
	w.refused(err, project.ErrReadOnly)
	if len(d.Files) != 0 {
		t.Error(d)
	}
	w.must(unix.Mount("", disk.Dir, "", unix.MS_REMOUNT, ""))
	w.onDisk("shop/compose.yaml", app)
}

// A file that is mounted by itself can't be replaced.
func TestAFileThatIsMountedByItselfIsSaid(t *testing.T) {
	w, disk := onDisk(t)
	file := filepath.Join(disk.Dir, "shop/compose.yaml")
	w.must(unix.Mount(file, file, "", unix.MS_BIND, ""))
	t.Cleanup(func() { w.must(unix.Unmount(file, unix.MNT_DETACH)) })
	_, etag := w.read("compose.yaml")
	_, err := w.save("compose.yaml", web, etag)
	w.refused(err, project.ErrReadOnly)
	if !strings.Contains(err.Error(), "mounted by itself") {
		t.Error(err)
	}
	w.onDisk("shop/compose.yaml", app)
}

func TestTheStateFolderIsOutOfReach(t *testing.T) {
	w := shop(t, func(d *project.Dependencies) { d.StateFolder = filepath.Join(d.Roots[0], "shop/conf") })
	_, _, err := w.s.Read(t.Context(), "shop", "conf/web.conf")
	w.refused(err, project.ErrForbidden)
	w.must(os.Symlink("conf/web.conf", w.root+"/shop/sly.env"))
	_, _, err = w.s.Read(t.Context(), "shop", "sly.env")
	w.refused(err, project.ErrForbidden)
	_, err = w.save("sly.env", "x", project.Absent)
	w.refused(err, project.ErrForbidden)
}

func TestAProjectIsMadeWholeOrNotAtAll(t *testing.T) {
	w := shop(t)
	p := testbed.Must(w.s.Create(t.Context(), "blog", []byte(web), []byte("TOKEN=x\n"), "ada"))(t)
	if p.ID != "blog" || p.Status != project.StatusDown || p.Path != filepath.Join(w.root, "blog") || len(p.Warnings) != 0 {
		t.Errorf("%+v", p)
	}
	w.onDisk("blog/compose.yaml", web)
	w.onDisk("blog/.env", "TOKEN=x\n")
	if info := testbed.Must(os.Stat(w.root + "/blog/.env"))(t); info.Mode().Perm() != 0o600 {
		t.Error(info.Mode())
	}
	if v := testbed.Must(w.s.Versions(t.Context(), "blog", ""))(t); len(v) != 2 || v[0].Actor != "ada" {
		t.Errorf("%+v", v)
	}
	w.list.list = containers("web running")
	w.write(map[string]string{"plain/data": "mine"})
	for name, c := range map[string]struct {
		name, compose, env string
		want               project.Code
	}{
		"exists":           {"blog", web, "", project.ErrNameTaken},
		"a folder":         {"plain", web, "", project.ErrNameTaken},
		"runs":             {"app", web, "", project.ErrNameTaken},
		"upper case":       {"Blog", web, "", project.ErrName},
		"an option":        {"-f", web, "", project.ErrName},
		"traversal":        {"../x", web, "", project.ErrName},
		"empty":            {"", web, "", project.ErrName},
		"dots":             {"..", web, "", project.ErrName},
		"too long":         {strings.Repeat("a", 64), web, "", project.ErrName},
		"skipped":          {"node_modules", web, "", project.ErrName},
		"another name":     {"new", "name: other\n" + web, "", project.ErrName},
		"another name env": {"new", web, "COMPOSE_PROJECT_NAME=other", project.ErrName},
		"files elsewhere":  {"new", web, "COMPOSE_FILE=../../x.yaml", project.ErrOutside},
		"too big":          {"new", strings.Repeat("#", project.MaxFile+1), "", project.ErrTooBig},
	} {
		_, err := w.s.Create(t.Context(), c.name, []byte(c.compose), []byte(c.env), "ada")
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v; want %s", name, err, c.want)
		}
	}
	if _, err := os.Lstat(w.root + "/new"); err == nil {
		t.Error("something is left of a project that wasn't made")
	}
	w.onDisk("plain/data", "mine")
	none := newWorld(t, func(d *project.Dependencies) { d.Roots = nil })
	_, err := none.s.Create(t.Context(), "new", []byte(web), nil, "ada")
	w.refused(err, project.ErrNoRoot)
}

func TestRemovingTakesTheProjectsFilesAlone(t *testing.T) {
	w := shop(t)
	w.write(map[string]string{"shop/data/db": "rows", "other/compose.yaml": "include: [../shop/compose.yaml]\n", "alone/compose.yaml": web, "alone/.env": "A=1"})
	w.write(map[string]string{"secret/web.env": "mine", "linked/compose.yaml": "services: {a: {image: app, env_file: [to/web.env, in.env]}}"})
	w.must(os.Symlink("../secret", w.root+"/linked/to"))
	w.must(os.Symlink("../secret/web.env", w.root+"/linked/in.env"))
	w.list.list = containers("web running")
	w.list.list[0].Labels["com.docker.compose.project"] = "shop"
	_, err := w.s.RemoveFiles(t.Context(), "shop", w.root+"/shop")
	w.refused(err, project.ErrInUse)
	d := testbed.Must(w.s.Takes(t.Context(), "shop", true, true))(t)
	if len(d.Containers) != 1 || d.Folder {
		t.Errorf("%+v", d)
	}
	w.list.list = nil
	removed := testbed.Must(w.s.RemoveFiles(t.Context(), "shop", w.root+"/shop"))(t)
	if !slices.Equal(removed.Files, d.Files) || !slices.Equal(d.Files, []string{".env", "conf/web.conf"}) || removed.Folder {
		t.Errorf("%+v; foretold %+v", removed, d)
	}
	if got := strings.Join(removed.FilesKept, " "); got != "compose.prod.yaml compose.yaml conf/ data/ id_rsa readme.md" || !slices.Equal(removed.FilesKept, d.FilesKept) {
		t.Errorf("%s; foretold %v", got, d.FilesKept)
	}
	w.onDisk("shop/data/db", "rows")
	if d := testbed.Must(w.s.RemoveFiles(t.Context(), "linked", w.root+"/linked"))(t); !slices.Equal(d.Files, []string{"compose.yaml", "in.env"}) || !slices.Equal(d.FilesKept, []string{"to"}) {
		t.Errorf("%+v", d)
	}
	w.onDisk("secret/web.env", "mine")

	_, err = w.s.Save(t.Context(), "alone", ".env", []byte("A=2"), project.ETag([]byte("A=1")), "ada")
	w.must(err)
	if d := testbed.Must(w.s.Takes(t.Context(), "alone", false, true))(t); !d.Folder || len(d.Files) != 2 {
		t.Errorf("%+v", d)
	}
	if d := testbed.Must(w.s.Takes(t.Context(), "alone", false, false))(t); d.Folder || len(d.Files) != 0 || len(d.FilesKept) != 2 {
		t.Errorf("%+v", d)
	}
	if d := testbed.Must(w.s.RemoveFiles(t.Context(), "alone", w.root+"/alone"))(t); !d.Folder {
		t.Errorf("%+v", d)
	}
	if _, err := os.Lstat(w.root + "/alone"); err == nil {
		t.Error("the empty folder is left")
	}
	if v := testbed.Must(w.store.ComposeVersions(t.Context(), w.root+"/alone"))(t); len(v) != 0 {
		t.Errorf("what was removed is kept: %+v", v)
	}
	_, err = w.s.RemoveFiles(t.Context(), "alone", w.root+"/alone")
	w.refused(err, project.ErrNotFound)
}

func TestAFileThatGoesWhileItIsSavedIsSaid(t *testing.T) {
	w := shop(t)
	_, etag := w.read("conf/web.conf")
	w.must(os.RemoveAll(w.root + "/shop/conf"))
	_, err := w.save("conf/web.conf", "x", etag)
	w.refused(err, project.ErrChanged)
	_, err = w.save("conf/web.conf", "x", project.Absent)
	w.refused(err, project.ErrNoFile)
	w.must(os.RemoveAll(w.root + "/shop"))
	_, err = w.save("compose.yaml", "x", etag)
	w.refused(err, project.ErrNotFound)
}

func FuzzNames(f *testing.F) {
	for _, name := range []string{"compose.yaml", "../x", "a/../../x", "-f", ".env", "a//b", "conf/web.conf", "\x00", "..\\x", "/etc/passwd", "up/secret/id_rsa", "up.env/x"} {
		f.Add(name)
	}
	dir := f.TempDir()
	root := filepath.Join(dir, "root")
	for name, content := range map[string]string{"secret.env": "SECRET", "root/other.env": "INSIDE", "root/shop/compose.yaml": app, "root/shop/conf/web.conf": "B=2"} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755), os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600)); err != nil {
			f.Fatal(err)
		}
	}
	for link, to := range map[string]string{"up.env": "../..", "secret.env": "../../secret.env", "compose-x.yaml": dir + "/secret.env"} {
		if err := os.Symlink(to, filepath.Join(root, "shop", link)); err != nil {
			f.Fatal(err)
		}
	}
	s, err := project.New(project.Dependencies{Roots: []string{root}, Engine: &engineList{}, Reader: &reader{}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, name string) {
		content, _, err := s.Read(t.Context(), "shop", name)
		var e *project.Error
		if err != nil && !errors.As(err, &e) {
			t.Errorf("%q: %v", name, err)
		}
		if bytes.Contains(content, []byte("SECRET")) || bytes.Contains(content, []byte("INSIDE")) {
			t.Errorf("%q is out of its folder", name)
		}
	})
}

func FuzzEnvFiles(f *testing.F) {
	for _, content := range []string{"COMPOSE_FILE=a:b", "export COMPOSE_FILE='a", "COMPOSE_FILE=${A:-$B}", "COMPOSE_FILE=\"\\x\"", "COMPOSE_=\n=", "\ufeffCOMPOSE_FILE=a"} {
		f.Add([]byte(content))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		files, name := project.Settings(content)
		if len(content) < 1<<10 && len(name)+len(strings.Join(files, "")) > 2<<20 {
			t.Errorf("%d bytes of %d", len(name), len(content))
		}
	})
}

// between is a store during whose work something else happens, once.
type between struct {
	project.Store

	do func()
}

func (b *between) AddComposeVersion(ctx context.Context, v store.ComposeVersion) error {
	err := b.Store.AddComposeVersion(ctx, v)
	if do := b.do; do != nil {
		b.do = nil
		do()
	}
	return err
}

func TestAChangeInTheMiddleOfASaveIsNotOverwritten(t *testing.T) {
	st := &between{}
	w := shop(t, func(d *project.Dependencies) { st.Store, d.Store = d.Store, st })
	_, etag := w.read("compose.yaml")
	st.do = func() { w.write(map[string]string{"shop/compose.yaml": app + "# by hand\n"}) }
	_, err := w.save("compose.yaml", app+"# ours\n", etag)
	w.refused(err, project.ErrChanged)
	w.onDisk("shop/compose.yaml", app+"# by hand\n")
	if left := testbed.Must(filepath.Glob(filepath.Join(w.root, "shop/.watch*")))(t); left != nil {
		t.Error(left)
	}
}

// A save and a deletion wait for each other, also for a file in a folder below
// the project's: else the save would put it back.
func TestADeletionWaitsForASave(t *testing.T) {
	st := &between{}
	w := shop(t, func(d *project.Dependencies) { st.Store, d.Store = d.Store, st })
	_, etag := w.read("conf/web.conf")
	removed := make(chan error, 1)
	st.do = func() {
		go func() {
			_, err := w.s.RemoveFiles(t.Context(), "shop", w.root+"/shop")
			removed <- err
		}()
		select {
		case err := <-removed:
			removed <- err
			t.Error("files are removed in the middle of a save")
		case <-time.After(200 * time.Millisecond):
		}
	}
	_, err := w.save("conf/web.conf", "B=3\n", etag)
	w.must(err)
	w.must(<-removed)
	if _, err := os.Lstat(w.root + "/shop/conf/web.conf"); err == nil {
		t.Error("the file is back")
	}
}

func TestAFileThatStaysKeepsItsVersions(t *testing.T) {
	w := newWorld(t)
	w.write(map[string]string{
		"shop/compose.yaml": "include: [more.yaml]\nservices: {web: {image: app, env_file: [shared.env]}}\n", "shop/more.yaml": web, "shop/shared.env": "A=1\n",
		"other/compose.yaml": "services: {web: {image: app, env_file: [../shop/shared.env]}}\n",
	})
	for _, name := range []string{"compose.yaml", "more.yaml", "shared.env"} {
		content, etag := w.read(name)
		_ = testbed.Must(w.save(name, content+"# more\n", etag))(t)
	}
	d := testbed.Must(w.s.RemoveFiles(t.Context(), "shop", w.root+"/shop"))(t)
	if !slices.Equal(d.Files, []string{"compose.yaml"}) || !slices.Equal(d.FilesKept, []string{"more.yaml", "shared.env"}) {
		t.Errorf("%+v", d)
	}
	var left []string
	for _, v := range testbed.Must(w.store.ComposeVersions(t.Context(), w.root+"/shop"))(t) {
		left = append(left, v.Name)
	}
	slices.Sort(left)
	if !slices.Equal(slices.Compact(left), []string{"more.yaml", "shared.env"}) {
		t.Errorf("versions of %v are kept", left)
	}
}
