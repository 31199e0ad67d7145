package project_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/watch-docker/watch-docker/internal/project"
	"github.com/watch-docker/watch-docker/test/testbed"
)

// watched is a world whose clock stands still, so that only what is told can
// make anybody look again.
func watched(t *testing.T) *world {
	t.Helper()
	now := time.Now().Add(time.Hour)
	w := newWorld(t, func(d *project.Dependencies) { d.Now = func() time.Time { return now } })
	w.write(map[string]string{"shop/compose.yaml": web, "shop/data/db": "rows"})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		w.must(<-ended)
	})
	testbed.Eventually(t, time.Minute, func() error {
		if !w.s.Watches() {
			return errors.New("it doesn't watch yet")
		}
		return nil
	})
	return w
}

func (w *world) becomes(want string) {
	w.Helper()
	testbed.Eventually(w, time.Minute, func() error {
		if got := w.ids(); got != want {
			return fmt.Errorf("%s; want %s", got, want)
		}
		return nil
	})
}

func TestChangesBelowTheRootAreSeenAtOnce(t *testing.T) {
	w := watched(t)
	w.becomes("shop")
	w.write(map[string]string{"a/b/blog/compose.yaml": web})
	w.becomes("blog shop")
	w.write(map[string]string{"a/b/blog/compose.yaml": "name: diary\n" + web})
	w.becomes("diary shop")
	w.must(os.Rename(w.root+"/shop", w.root+"/store"))
	w.becomes("diary store")
	w.must(os.RemoveAll(w.root + "/a"))
	w.becomes("store")
	w.write(map[string]string{"a/b/blog/compose.yaml": web})
	w.becomes("blog store")
	w.write(map[string]string{"a/b/blog/.env": "COMPOSE_PROJECT_NAME=envy"})
	w.becomes("envy store")
}

func TestWhatServicesWriteIsNoChange(t *testing.T) {
	w := newWorld(t)
	w.write(map[string]string{"shop/compose.yaml": "include: [more/parts.yaml]\n" + web, "shop/more/parts.yaml": web, "shop/data/db": "rows", "shop/data/new/x": "", "shop/.git/x": ""})
	w.must(os.RemoveAll(w.root + "/shop/data/new"))
	_ = w.all()
	w.must(os.MkdirAll(w.root+"/shop/data/new", 0o755))
	for name, c := range map[string]struct {
		op   fsnotify.Op
		want bool
	}{
		"shop/data/db": {fsnotify.Write, false}, "shop/data/db-wal": {fsnotify.Create, false}, "shop/data/gone": {fsnotify.Remove, false},
		"shop/.git": {fsnotify.Create, false}, "shop/compose.yaml": {fsnotify.Chmod, true}, "shop/more/parts.yaml": {fsnotify.Write, true},
		"shop/data/compose.yml": {fsnotify.Remove, true}, "shop/data/new": {fsnotify.Create, true}, "shop/data": {fsnotify.Rename, true},
		"shop/x.env": {fsnotify.Create, true}, "shop/y.env": {fsnotify.Chmod, false},
	} {
		if got := w.s.Concerns(filepath.Join(w.root, name), c.op); got != c.want {
			t.Errorf("%s %s: %v", name, c.op, got)
		}
	}
}

func TestARootThatComesLaterIsSeen(t *testing.T) {
	now := time.Now()
	w := newWorld(t, func(d *project.Dependencies) {
		d.Roots = []string{filepath.Join(d.Roots[0], "mount")}
		d.Now = func() time.Time { return now }
	})
	if got := w.ids(); got != "" {
		t.Error(got)
	}
	w.write(map[string]string{"shop/compose.yaml": web})
	now = now.Add(5 * time.Second)
	if got := w.ids(); got != "shop" {
		t.Error(got)
	}
}

// projects makes so many, each with an override and an env file.
func projects(n int) map[string]string {
	files := map[string]string{}
	for i := range n {
		dir := fmt.Sprintf("group%d/app%d/", i/20, i)
		files[dir+"compose.yaml"], files[dir+".env"] = app, "A=1\n"
		files[dir+"data/file"] = ""
	}
	return files
}

func Benchmark200Projects(b *testing.B) {
	root := b.TempDir()
	for name, content := range projects(200) {
		if err := errors.Join(os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755), os.WriteFile(filepath.Join(root, name), []byte(content), 0o600)); err != nil {
			b.Fatal(err)
		}
	}
	for name, step := range map[string]time.Duration{"cached": 0, "looked at again": time.Minute} {
		b.Run(name, func(b *testing.B) {
			now := time.Now().Add(time.Hour)
			s := testbed.Must(project.New(project.Dependencies{Roots: []string{root}, Engine: &engineList{}, Reader: &reader{}, Now: func() time.Time { return now }}))(b)
			for b.Loop() {
				if list, err := s.Projects(b.Context()); err != nil || len(list) != 200 {
					b.Fatal(len(list), err)
				}
				now = now.Add(step)
			}
		})
	}
}
