package containerlog_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/watch-docker/watch-docker/internal/containerlog"
	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/internal/store"
	"github.com/watch-docker/watch-docker/test/testbed"
)

// project is a Compose project with one file.
type project struct {
	*world

	name, dir string
}

func (w *world) project(name, file string) *project {
	w.Helper()
	p := &project{world: w, name: name, dir: w.TempDir()}
	p.write(file)
	w.Cleanup(func() { p.compose("down", "--timeout", "0", "--remove-orphans") })
	return p
}

func (p *project) write(file string) {
	p.Helper()
	p.must(os.WriteFile(filepath.Join(p.dir, "compose.yaml"), []byte(strings.ReplaceAll(file, "IMAGE", p.image)), 0o600))
}

func (p *project) compose(args ...string) {
	p.Helper()
	ctx := context.WithoutCancel(p.Context())
	_, _, err := p.bed.Engine().Compose(ctx, p.dir, nil, append([]string{"--project-name", p.name, "--progress", "plain"}, args...)...)
	p.must(err)
}

func (p *project) follow(r containerlog.Request) *talk {
	p.Helper()
	return p.listen(func(ctx context.Context, to containerlog.Sink) error {
		return p.logs.Project(ctx, containerlog.Project{Name: p.name}, r, to)
	})
}

// of gives what one container wrote.
func (k *talk) of(container string) (lines []string) {
	for _, s := range k.lines() {
		if text, ok := strings.CutPrefix(s, container+" "); ok {
			lines = append(lines, text)
		}
	}
	return lines
}

const shop = `services:
  web:
    image: IMAGE
    command: sh -c 'trap "exit 0" TERM; echo web 1; sleep 0.4; echo web 2; sleep 1000 & wait'
  db:
    image: IMAGE
    command: sh -c 'trap "exit 0" TERM; sleep 0.2; echo db 1; sleep 0.4; echo db 2; sleep 1000 & wait'
  job:
    image: IMAGE
    command: sh -c 'echo job done'
    depends_on: [web]
`

func TestAProjectsServicesAreHeardTogether(t *testing.T) {
	w := newWorld(t, testbed.PrivateEngine)
	p := w.project("shop", shop)
	if err := w.logs.HasProject(t.Context(), containerlog.Project{Name: "shop"}); !errors.Is(err, containerlog.ErrNoProject) {
		t.Error(err)
	}
	p.compose("up", "--detach", "--scale", "db=2")
	w.must(w.logs.HasProject(t.Context(), containerlog.Project{Name: "shop", Services: []string{"web"}}))
	if err := w.logs.HasProject(t.Context(), containerlog.Project{Name: "shop", Services: []string{"cache"}}); !errors.Is(err, containerlog.ErrNoProject) {
		t.Error(err)
	}
	early := p.follow(containerlog.Request{Tail: 100, Follow: true})
	for _, line := range []string{"web/1 web 2", "db/1 db 2", "db/2 db 2", "job/1 job done"} {
		w.hears(early, line)
	}
	w.hears(early, "<stopped job/1>")
	k := &timed{}
	w.must(w.logs.Project(t.Context(), containerlog.Project{Name: "shop"}, containerlog.Request{Tail: 100}, k))
	if len(k.lines()) != 7 || !slices.IsSortedFunc(k.at, time.Time.Compare) {
		t.Errorf("%v at %v", k.lines(), k.at)
	}
	some := &talk{}
	w.must(w.logs.Project(t.Context(), containerlog.Project{Name: "shop", Services: []string{"job", "web"}}, containerlog.Request{Tail: 1}, some))
	slices.Sort(some.said)
	if got := strings.Join(some.said, "|"); got != "<history 2/2 true>|job/1 job done|web/1 web 2" {
		t.Error(got)
	}

	p.compose("up", "--detach", "--scale", "db=3") // one more
	w.hears(early, "<added db/3>")
	w.hears(early, "db/3 db 2")
	p.compose("restart", "--timeout", "5", "web")
	w.hears(early, "<restarted web/1>")
	p.write(strings.Replace(shop, "echo db 1", "echo newer; echo db 1", 1))
	p.compose("up", "--detach", "--scale", "db=1") // made anew, and two less
	w.hears(early, "<replaced db/1>")
	w.hears(early, "db/1 newer")
	w.hears(early, "<removed db/2>")
	w.hears(early, "<removed db/3>")
	testbed.Eventually(t, time.Minute, func() error {
		if len(early.of("db/1")) != 5 || len(early.of("web/1")) != 4 {
			return errors.New(strings.Join(early.lines(), "|"))
		}
		return nil
	})
	p.compose("down", "--timeout", "1")
	if err := w.ended(early); err != nil || !strings.HasSuffix(early.notices(), "<ended>") {
		t.Errorf("%v %s", err, early.notices())
	}
	if n := early.notices(); strings.Contains(n, "connected") || strings.Count(n, "<replaced") != 1 {
		t.Error(n)
	}
}

func TestAProjectsContainerIsUpdatedWhileItIsFollowed(t *testing.T) {
	w := newWorld(t, testbed.PrivateEngine)
	up := w.updates()
	loud := func(says string) testbed.ImageOptions {
		return testbed.ImageOptions{Payload: says, Cmd: []string{"sh", "-c", "trap 'exit 0' TERM; echo " + says + "; sleep 1000 & wait"}}
	}
	w.release(loud("old"))
	p := w.project("shop", "services:\n  app:\n    image: IMAGE\n    deploy: {replicas: 2}\n")
	p.compose("up", "--detach")
	k := p.follow(containerlog.Request{Tail: 100, Follow: true})
	w.hears(k, "app/1 old")
	w.hears(k, "app/2 old")
	s := testbed.Must(w.engine.Inspect(t.Context(), "shop-app-1"))(t)
	if state := w.update(up, testbed.Container{ID: s.ID, Name: s.Name}, w.push("app:1", loud("new"))); state != store.Succeeded {
		t.Fatal(state)
	}
	w.hears(k, "app/1 new")
	if n := k.notices(); !strings.Contains(n, "<stopped app/1> <replaced app/1>") || strings.Contains(n, "app/2") {
		t.Error(n)
	}
	if got := strings.Join(k.lines(), "|"); strings.Count(got, "old") != 2 || strings.Count(got, "new") != 1 {
		t.Error(got)
	}
	w.must(w.engine.Remove(t.Context(), "shop-app-1", dockercli.RemoveOptions{Force: true}))
	w.hears(k, "<removed app/1>")
}

func TestAProjectIsFollowedThroughARestartOfTheEngine(t *testing.T) {
	w := newWorld(t, testbed.PrivateEngine)
	file := "services:\n"
	for _, name := range []string{"a", "b", "c"} {
		file += "  " + name + ":\n    image: IMAGE\n    restart: always\n    command: [sh, -c, " +
			`"trap 'exit 0' TERM; i=0; while :; do i=$$((i+1)); echo line $$i; busybox usleep 10000; done"]` + "\n"
	}
	p := w.project("abc", file)
	p.compose("up", "--detach")
	k := p.follow(containerlog.Request{Tail: containerlog.All, Follow: true})
	w.grows(k, 100)
	w.must(w.bed.Engine().Restart(t.Context()))
	for _, name := range []string{"a", "b", "c"} {
		w.hears(k, "<restarted "+name+"/1>")
	}
	w.grows(k, len(k.lines())+100)
	p.compose("stop", "--timeout", "5")
	for _, name := range []string{"a", "b", "c"} {
		written := w.written("abc-" + name + "-1")
		testbed.Eventually(t, time.Minute, func() error {
			if len(k.of(name+"/1")) != len(written) {
				return errors.New("not all has come of " + name)
			}
			return nil
		})
		w.same(k.of(name+"/1"), written)
	}
	if n := k.notices(); strings.Count(n, "<connected>") != 1 || strings.Count(n, "<disconnected>") != 1 {
		t.Error(n)
	}
}

func TestAServiceWithoutALogIsSaidBesideTheOthers(t *testing.T) {
	w := newWorld(t, testbed.PrivateEngine)
	p := w.project("mixed", strings.Replace(shop, "  db:\n", "  db:\n    logging: {driver: none}\n", 1))
	p.compose("up", "--detach")
	k := p.follow(containerlog.Request{Tail: 100, Follow: true})
	w.hears(k, "<error db/1 logs_unavailable>")
	w.hears(k, "web/1 web 2")
	if err := w.logs.Project(t.Context(), containerlog.Project{Name: "mixed", Services: []string{"db"}}, containerlog.Request{}, &talk{}); !errors.Is(err, containerlog.ErrUnavailable) {
		t.Error(err)
	}
}
