package project_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
	"go.yaml.in/yaml/v3"

	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/internal/project"
	"github.com/watch-docker/watch-docker/internal/store"
	"github.com/watch-docker/watch-docker/test/testbed"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a service with one root, an engine that lists what it is told to,
// and a store.
type world struct {
	*testing.T
	root  string
	list  *engineList
	files *reader
	store *store.Store
	s     *project.Service
}

func newWorld(t *testing.T, change ...func(*project.Dependencies)) *world {
	t.Helper()
	w := &world{T: t, root: t.TempDir(), list: &engineList{}, files: &reader{}}
	w.store = testbed.Must(store.OpenMemory(t.Context()))(t)
	t.Cleanup(func() { w.store.Close() })
	d := project.Dependencies{Roots: []string{w.root}, Engine: w.list, Store: w.store, Reader: w.files}
	for _, c := range change {
		c(&d)
	}
	if len(d.Roots) > 0 {
		w.root = d.Roots[0]
	}
	w.s = testbed.Must(project.New(d))(t)
	return w
}

// write makes files, by their names from the root.
func (w *world) write(files map[string]string) *world {
	w.Helper()
	for name, content := range files {
		file := filepath.Join(w.root, name)
		w.must(os.MkdirAll(filepath.Dir(file), 0o755))
		w.must(os.WriteFile(file, []byte(content), 0o644))
	}
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) refused(err error, code project.Code) {
	w.Helper()
	var e *project.Error
	if !errors.Is(err, code) || !errors.As(err, &e) || len(e.Message) < 15 {
		w.Errorf("%v; want %s with a sentence", err, code)
	}
}

func (w *world) all() []project.Project {
	w.Helper()
	return testbed.Must(w.s.Projects(w.Context()))(w)
}

func (w *world) one(id string) project.Detail {
	w.Helper()
	return testbed.Must(w.s.Project(w.Context(), id))(w)
}

// ids are those of all projects, as one text.
func (w *world) ids() string {
	w.Helper()
	var ids []string
	for _, p := range w.all() {
		ids = append(ids, p.ID)
	}
	return strings.Join(ids, " ")
}

func codes(list []project.Warning) string {
	var all []string
	for _, w := range list {
		all = append(all, w.Code)
	}
	return strings.Join(all, " ")
}

// engineList is what the engine lists, or why it doesn't.
type engineList struct {
	mu   sync.Mutex
	list []dockercli.Container
	err  error
	n    int // how often it was asked
}

func (l *engineList) Containers(context.Context, ...string) ([]dockercli.Container, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.n++
	return l.list, l.err
}

// container is one of a project, by "service state code health", the latter
// two left out if they are 0 and none.
func container(name, what string, labels ...string) dockercli.Container {
	f := append(strings.Fields(what), "", "", "")
	c := dockercli.Container{
		ID: fmt.Sprintf("%x", name+"-"+f[0]), Name: name + "-" + f[0], Image: "app:1", State: f[1], Health: "none",
		Labels: map[string]string{"com.docker.compose.project": name, "com.docker.compose.service": f[0]},
	}
	_, _ = fmt.Sscan(f[2], &c.ExitCode)
	if f[3] != "" {
		c.Health = f[3]
	}
	for _, l := range labels {
		key, value, _ := strings.Cut(l, "=")
		c.Labels["com.docker.compose."+key] = value
	}
	return c
}

// reader is a stand-in for internal/composefile: enough of it for these tests.
type reader struct {
	mu    sync.Mutex
	reads int
}

type service struct {
	Image, Restart string
	Profiles       []string
	DependsOn      yaml.Node `yaml:"depends_on"`
	EnvFile        []string  `yaml:"env_file"`
	Healthcheck    any
	Ports          []string
	Scale          *int
}

func (r *reader) Read(_ context.Context, s project.Source) (project.Facts, error) {
	r.mu.Lock()
	r.reads++
	r.mu.Unlock()
	var facts project.Facts
	for _, name := range s.Files {
		content, err := os.ReadFile(filepath.Join(s.Dir, name))
		if err != nil {
			return facts, err
		}
		var file struct {
			Name     string
			Services map[string]service
			Include  []string
		}
		if err := yaml.Unmarshal(content, &file); err != nil {
			return facts, err
		}
		if file.Name != "" {
			facts.Name = file.Name
		}
		facts.Others = append(facts.Others, file.Include...)
		for name, sv := range file.Services {
			facts.EnvFiles = append(facts.EnvFiles, sv.EnvFile...)
			facts.Services = append(facts.Services, sv.fact(name))
		}
	}
	return facts, nil
}

func (s service) fact(name string) project.ServiceFact {
	f := project.ServiceFact{
		Name: name, Image: s.Image, Restart: s.Restart, Profiles: s.Profiles, Replicas: 1, Serves: s.Healthcheck != nil || len(s.Ports) > 0,
	}
	if s.Scale != nil {
		f.Replicas = *s.Scale
	}
	var conditions map[string]struct{ Condition string }
	_ = s.DependsOn.Decode(&conditions)
	for on, c := range conditions {
		f.DependsOn = append(f.DependsOn, project.Dependency{Service: on, Condition: c.Condition})
	}
	return f
}
