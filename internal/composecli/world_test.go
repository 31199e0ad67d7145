package composecli_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/watch-docker/watch-docker/internal/composecli"
	"github.com/watch-docker/watch-docker/test/testbed"
)

// world is an engine, a registry that wants a password, and both kinds of
// commands, which know the password from us alone.
type world struct {
	*testing.T
	bed                *testbed.Bed
	reg                *testbed.Registry
	plugin, standalone *composecli.CLI
	work               string // where the commands' folders are
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, bed: testbed.New(t, testbed.WithEngine(testbed.PrivateEngine), testbed.WithRegistry(testbed.TLSToken)), work: t.TempDir()}
	w.reg = w.bed.Registry(testbed.TLSToken)
	vars := map[string]string{}
	for _, entry := range testbed.Must(w.bed.Engine().ComposeEnv(t.Context()))(t) {
		name, value, _ := strings.Cut(entry, "=")
		vars[name] = value
	}
	plugin := testbed.Must(filepath.EvalSymlinks(vars["DOCKER_CONFIG"] + "/cli-plugins/docker-compose"))(t)
	config, bin := t.TempDir(), t.TempDir()
	w.must(errors.Join(os.Mkdir(config+"/cli-plugins", 0o755), os.Symlink(plugin, config+"/cli-plugins/docker-compose"), os.Symlink(plugin, bin+"/docker-compose")))
	options := []composecli.Option{
		composecli.WithHost(w.bed.Engine().Host()), composecli.WithFolder(w.work),
		composecli.WithAccounts(func() []composecli.Account {
			return []composecli.Account{{Host: w.reg.Host(), Username: w.reg.Username(), Password: w.reg.Password()}}
		}),
	}
	ours := []string{"USER_PASSWORD=hush", "WATCH_SERVER_ADDR=hush", "COMPOSE_PROJECT_NAME=hush", "COMPOSE_FILE=/hush", "DOCKER_HOST=unix:///hush"}
	w.plugin = testbed.Must(composecli.New(append(ours, "PATH="+vars["PATH"], "HOME="+t.TempDir(), "DOCKER_CONFIG="+config), options...))(t)
	w.standalone = testbed.Must(composecli.New(append(ours, "PATH="+bin, "HOME="+t.TempDir()), options...))(t)
	w.push("app:1", testbed.ImageOptions{})
	return w
}

func (w *world) in(t *testing.T) *world {
	in := *w
	in.T = t
	return &in
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) push(tag string, o testbed.ImageOptions) {
	w.Helper()
	testbed.Must(w.reg.Push(w.Context(), tag, testbed.Must(testbed.Image(o))(w.T)))(w.T)
}

// project writes a project's files; the first is its Compose file, in which
// OUR/ is the registry.
func (w *world) project(name string, files ...string) composecli.Project {
	w.Helper()
	p := composecli.Project{Name: name, Dir: w.TempDir()}
	w.rewrite(p, "compose.yaml", files[0])
	p.Files = []string{p.Dir + "/compose.yaml"}
	for i := 1; i+1 < len(files); i += 2 {
		w.rewrite(p, files[i], files[i+1])
	}
	w.Cleanup(func() {
		w.must(w.standalone.Do(context.WithoutCancel(w.Context()), composecli.Project{Name: name}, composecli.Action{Kind: composecli.Down, RemoveVolumes: true, RemoveOrphans: true}, nil, nil))
	})
	return p
}

func (w *world) rewrite(p composecli.Project, name, content string) {
	w.Helper()
	write(w.T, p.Dir, name, strings.ReplaceAll(content, "OUR/", w.reg.Host()+"/"))
}

// told is what an action said.
type told struct {
	mu     sync.Mutex
	events []composecli.Event
	lines  []string
}

func (s *told) on(e composecli.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, e)
}

func (s *told) line(l string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, l)
}

func (s *told) has(id string, status composecli.Status, text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.events, func(e composecli.Event) bool { return e.ID == id && e.Status == status && e.Text == text })
}

func (s *told) String() string { return fmt.Sprintf("%+v\n%s", s.events, strings.Join(s.lines, "\n")) }

func (w *world) do(cli *composecli.CLI, p composecli.Project, a composecli.Action) *told {
	w.Helper()
	s := &told{}
	if err := cli.Do(w.Context(), p, a, s.on, s.line); err != nil {
		w.Fatalf("%s: %v\n%s", a.Kind, err, s)
	}
	return s
}

// fails does what must fail by itself.
func (w *world) fails(p composecli.Project, a composecli.Action, says string) *told {
	w.Helper()
	s := &told{}
	err := w.plugin.Do(w.Context(), p, a, s.on, s.line)
	var failed *composecli.FailedError
	if !errors.As(err, &failed) || failed.ExitCode == 0 || !strings.Contains(failed.Message, says) {
		w.Errorf("%s: %v (%+v), want it to say %q\n%s", a.Kind, err, failed, says, s)
	}
	return s
}

// containers are a project's, by name.
func (w *world) containers(project string) map[string]container.InspectResponse {
	w.Helper()
	engine, ctx := w.bed.Engine().Client(), context.WithoutCancel(w.Context())
	list := testbed.Must(engine.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: make(client.Filters).Add("label", "com.docker.compose.project="+project)}))(w.T)
	all := map[string]container.InspectResponse{}
	for _, c := range list.Items {
		res := testbed.Must(engine.ContainerInspect(ctx, c.ID, client.ContainerInspectOptions{}))(w.T)
		all[strings.TrimPrefix(res.Container.Name, "/")] = res.Container
	}
	return all
}

// states is what a project's containers are like: "a-1 running, b-1 exited".
func (w *world) states(project string) string {
	w.Helper()
	var all []string
	for name, c := range w.containers(project) {
		all = append(all, strings.TrimPrefix(name, project+"-")+" "+string(c.State.Status))
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

func (w *world) are(project, want string) {
	w.Helper()
	if got := w.states(project); got != want {
		w.Errorf("containers of %s: %q, want %q", project, got, want)
	}
}

func (w *world) hasVolume(name string) bool {
	_, err := w.bed.Engine().Client().VolumeInspect(w.Context(), name, client.VolumeInspectOptions{})
	return err == nil
}

// random is text that doesn't compress.
func random(size int) string {
	raw := make([]byte, size)
	_, _ = rand.Read(raw) // never fails
	return base64.StdEncoding.EncodeToString(raw)
}
