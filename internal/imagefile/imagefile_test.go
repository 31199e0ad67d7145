package imagefile_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/watch-docker/watch-docker/internal/imagefile"
)

// folder is a project's folder in a root.
type folder struct {
	*testing.T
	root, dir string
	files     *imagefile.Files
	labels    map[string]string
	writing   sync.Mutex
}

func newFolder(t *testing.T, content map[string]string) *folder {
	t.Helper()
	f := &folder{T: t, root: t.TempDir()}
	f.dir = filepath.Join(f.root, "web")
	f.files = imagefile.New([]string{f.root}, &f.writing)
	if err := os.Mkdir(f.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	f.labels = map[string]string{
		"com.docker.compose.service": "app", "com.docker.compose.project.working_dir": f.dir,
		"com.docker.compose.project.config_files": filepath.Join(f.dir, "compose.yaml"),
	}
	for name, text := range content {
		f.write(name, text)
	}
	return f
}

func (f *folder) write(name, text string) {
	f.Helper()
	if err := os.WriteFile(filepath.Join(f.dir, name), []byte(text), 0o640); err != nil {
		f.Fatal(err)
	}
}

func (f *folder) text(name string) string {
	f.Helper()
	text, err := os.ReadFile(filepath.Join(f.dir, name))
	if err != nil {
		f.Fatal(err)
	}
	return string(text)
}

func (f *folder) plan() (imagefile.Edit, error) {
	return f.files.Plan(f.Context(), imagefile.Change{Labels: f.labels, From: "reg:5000/app:1.4", To: "reg:5000/app:1.5"})
}

func TestAnEditIsMadeAndUndone(t *testing.T) {
	for name, c := range map[string]struct{ file, compose, env string }{
		"plain":         {"compose.yaml", "# mine\nservices:\n    app:   # this one\n        image:   reg:5000/app:1.4   # the tag\n        ports: [ \"1:1\" ]\n", ""},
		"double quotes": {"compose.yaml", "services:\r\n  app:\r\n    image: \"reg:5000/app:1.4\"\r\n", ""},
		"single quotes": {"compose.yaml", "services: {app: {image: 'reg:5000/app:1.4'}, other: {image: 'reg:5000/app:1.4'}}", ""},
		"umlauts":       {"compose.yaml", "services: {größe: {image: x}, app: {image: reg:5000/app:1.4}}\n", ""},
		"no new line":   {"compose.yaml", "services:\n  app:\n    image: reg:5000/app:1.4", ""},
		"variable":      {".env", "services:\n  app:\n    image: reg:5000/app:${TAG:?set it}\n", "# mine\nOTHER=1.4\nexport TAG = \"1.4\"  # the tag\n"},
		"all of it":     {".env", "services:\n  app:\n    image: $IMAGE\n", "IMAGE=reg:5000/app:1.4\r\nX=y\r\n"},
		"in between":    {".env", "services:\n  app:\n    image: reg:5000/app:1.${MINOR-3}\n", "MINOR='4' # four\n"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFolder(t, map[string]string{"compose.yaml": c.compose, ".env": c.env})
			e, err := f.plan()
			if err != nil {
				t.Fatal(err)
			}
			was := f.text(c.file)
			want := strings.Replace(was, "app:1.4", "app:1.5", 1)
			if c.file == ".env" && want == was {
				want = strings.NewReplacer("TAG = \"1.4", "TAG = \"1.5", "MINOR='4", "MINOR='5").Replace(was)
			}
			f.write("."+c.file+".watch-docker", "what a crash has left")
			for _, turn := range []struct {
				name string
				do   func() error
				want string
			}{
				{"apply", func() error { return f.files.Apply(t.Context(), e) }, want},
				{"apply again", func() error { return f.files.Apply(t.Context(), e) }, want},
				{"undo", func() error { return f.files.Undo(t.Context(), e) }, was},
				{"undo again", func() error { return f.files.Undo(t.Context(), e) }, was},
			} {
				if err := turn.do(); err != nil || f.text(c.file) != turn.want {
					t.Errorf("%s: %v\n%s", turn.name, err, f.text(c.file))
				}
			}
			if info, err := os.Stat(filepath.Join(f.dir, c.file)); err != nil || info.Mode().Perm() != 0o640 {
				t.Errorf("%v, %v", info.Mode(), err)
			}
			if left, err := os.ReadDir(f.dir); err != nil || len(left) != 2 {
				t.Errorf("%v, %v", left, err)
			}
		})
	}
}

func TestAFileThatSomebodyElseHasChangedIsLeftAlone(t *testing.T) {
	f := newFolder(t, map[string]string{"compose.yaml": "services:\n  app:\n    image: reg:5000/app:1.4\n"})
	e, err := f.plan()
	if err != nil {
		t.Fatal(err)
	}
	f.write("compose.yaml", f.text("compose.yaml")+"# more\n")
	if err := f.files.Apply(t.Context(), e); !errors.Is(err, imagefile.ErrChanged) {
		t.Errorf("apply: %v", err)
	}
	if err := f.files.Undo(t.Context(), e); !errors.Is(err, imagefile.ErrChanged) {
		t.Errorf("undo: %v", err)
	}
	if err := os.Remove(filepath.Join(f.dir, "compose.yaml")); err != nil {
		t.Fatal(err)
	}
	if err := f.files.Undo(t.Context(), e); !errors.Is(err, imagefile.ErrChanged) {
		t.Errorf("without it: %v", err)
	}
}

func TestAnEditWaitsForWhoeverWrites(t *testing.T) {
	f := newFolder(t, map[string]string{"compose.yaml": "services:\n  app:\n    image: reg:5000/app:1.4\n"})
	e, err := f.plan()
	if err != nil {
		t.Fatal(err)
	}
	f.writing.Lock()
	applied := make(chan error, 1)
	go func() { applied <- f.files.Apply(t.Context(), e) }()
	select {
	case err := <-applied:
		t.Errorf("applied in the middle of another's writing: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	f.write("compose.yaml", f.text("compose.yaml")+"# more\n")
	f.writing.Unlock()
	if err := <-applied; !errors.Is(err, imagefile.ErrChanged) {
		t.Errorf("%v", err)
	}
}

func TestWhatSaysTheNewTagAlreadyNeedsNoEdit(t *testing.T) {
	for _, content := range []map[string]string{
		{"compose.yaml": "services:\n  app:\n    image: reg:5000/app:1.5\n"},
		{"compose.yaml": "services:\n  app:\n    image: reg:5000/app:$TAG\n", ".env": "TAG=1.5\n"},
	} {
		f := newFolder(t, content)
		if e, err := f.plan(); err != nil || e != (imagefile.Edit{}) {
			t.Errorf("%+v, %v", e, err)
		}
	}
}

func TestWhyAFileCannotBeChanged(t *testing.T) {
	const plain = "services:\n  app:\n    image: reg:5000/app:1.4\n"
	const variable = "services:\n  app:\n    image: reg:5000/app:${TAG}\n"
	for name, c := range map[string]struct {
		content map[string]string
		change  func(f *folder)
		says    string
	}{
		"built":              {map[string]string{"compose.yaml": plain + "    build: .\n"}, nil, "builds the image of app"},
		"another tag":        {map[string]string{"compose.yaml": strings.Replace(plain, "1.4", "1.3", 1)}, nil, "isn't what the container was made from"},
		"no image":           {map[string]string{"compose.yaml": "services:\n  app:\n    extends: {file: x.yaml, service: y}\n"}, nil, "comes from include, extends or an anchor"},
		"no service":         {map[string]string{"compose.yaml": "services: {}\n"}, nil, "comes from include"},
		"an anchor":          {map[string]string{"compose.yaml": "x: &i reg:5000/app:1.4\nservices:\n  app:\n    image: *i\n"}, nil, "shared by an anchor"},
		"an anchor's home":   {map[string]string{"compose.yaml": "services:\n  app:\n    image: &i reg:5000/app:1.4\n  b:\n    image: *i\n"}, nil, "shared by an anchor"},
		"a service's anchor": {map[string]string{"compose.yaml": "services:\n  app: &a\n    image: reg:5000/app:1.4\n  b:\n    <<: *a\n"}, nil, "shared by an anchor"},
		"a merge":            {map[string]string{"compose.yaml": "x: &i {image: reg:5000/app:1.4}\nservices:\n  app:\n    <<: *i\n"}, nil, "comes from include, extends or an anchor"},
		"a folded text":      {map[string]string{"compose.yaml": "services:\n  app:\n    image: >-\n      reg:5000/app:1.4\n"}, nil, "can't be changed in place"},
		"an escape":          {map[string]string{"compose.yaml": "services:\n  app:\n    image: \"reg:5000\\u002fapp:1.4\"\n"}, nil, "can't be changed in place"},
		"twice":              {map[string]string{"compose.yaml": plain + "    image: reg:5000/app:1.4\n"}, nil, "there twice"},
		"no YAML":            {map[string]string{"compose.yaml": "services:\n\t- x"}, nil, "can't be read"},
		"two documents":      {map[string]string{"compose.yaml": plain + "---\n" + plain}, nil, "several documents"},
		"two files": {map[string]string{"compose.yaml": plain, "more.yaml": plain}, func(f *folder) {
			f.labels["com.docker.compose.project.config_files"] += "," + filepath.Join(f.dir, "more.yaml")
		}, "both"},
		"standard input": {nil, func(f *folder) { f.labels["com.docker.compose.project.config_files"] = "-" }, "isn't a file that can be found again"},
		"no file named":  {nil, func(f *folder) { delete(f.labels, "com.docker.compose.project.config_files") }, "don't name a Compose file"},
		"no such file":   {nil, nil, "it is not there"},
		"outside": {map[string]string{"compose.yaml": plain}, func(f *folder) {
			f.labels["com.docker.compose.project.config_files"] = filepath.Join(f.root, "..", "compose.yaml")
		}, "not under compose.path"},
		"the root itself": {nil, func(f *folder) { f.labels["com.docker.compose.project.config_files"] = f.root }, "not under compose.path"},
		"a link": {nil, func(f *folder) {
			if err := os.Symlink("/etc/passwd", filepath.Join(f.dir, "compose.yaml")); err != nil {
				f.Fatal(err)
			}
		}, "is a link or no file"},
		"a folder that is a link out": {nil, func(f *folder) {
			outside := f.TempDir()
			if err := errors.Join(os.WriteFile(filepath.Join(outside, "compose.yaml"), []byte(plain), 0o600), os.Symlink(outside, filepath.Join(f.root, "out"))); err != nil {
				f.Fatal(err)
			}
			f.labels["com.docker.compose.project.config_files"] = filepath.Join(f.root, "out", "compose.yaml")
		}, "escapes"},
		"too large":              {map[string]string{"compose.yaml": plain + "#" + strings.Repeat("x", 2<<20)}, nil, "larger than"},
		"a variable from nobody": {map[string]string{"compose.yaml": variable}, nil, "TAG isn't set in the project's .env"},
		"a default":              {map[string]string{"compose.yaml": strings.Replace(variable, "TAG", "TAG:-1.4", 1), ".env": "X=y\n"}, nil, "TAG isn't set"},
		"a variable set twice":   {map[string]string{"compose.yaml": variable, ".env": "TAG=1.3\nTAG=1.4\n"}, nil, "set 2 times"},
		"another value":          {map[string]string{"compose.yaml": variable, ".env": "TAG=1.3\n"}, nil, `sets TAG to "1.3"`},
		"a value of a value":     {map[string]string{"compose.yaml": variable, ".env": "TAG=1.$MINOR\n"}, nil, "isn't plain text"},
		"no value":               {map[string]string{"compose.yaml": variable, ".env": "TAG=#1.4\n"}, nil, "is nothing"},
		"several lines":          {map[string]string{"compose.yaml": variable, ".env": "TAG=\"1.4\nx\"\n"}, nil, "several lines"},
		"two variables":          {map[string]string{"compose.yaml": "services:\n  app:\n    image: reg:5000/${APP}:${TAG}\n", ".env": "TAG=1.4\nAPP=app\n"}, nil, "only one plain variable"},
		"a dollar":               {map[string]string{"compose.yaml": "services:\n  app:\n    image: reg:5000/app:$$x\n"}, nil, "only one plain variable"},
		"used elsewhere":         {map[string]string{"compose.yaml": variable + "  b:\n    image: other:$TAG\n", ".env": "TAG=1.4\n"}, nil, "used in 2 places"},
		"used in the .env":       {map[string]string{"compose.yaml": variable, ".env": "TAG=1.4\nB=${TAG}-x\n"}, nil, "used in 2 places"},
		"what doesn't fit":       {map[string]string{"compose.yaml": "services:\n  app:\n    image: reg:5000/${APP}:1.4\n", ".env": "APP=app\n"}, nil, "by another value of APP"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFolder(t, c.content)
			if c.change != nil {
				c.change(f)
			}
			e, err := f.plan()
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%+v, %v; want it to say %q", e, err, c.says)
			}
		})
	}
}
