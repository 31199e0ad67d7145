package compose_test

import (
	"context"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/watch-docker/watch-docker/internal/compose"
	"github.com/watch-docker/watch-docker/internal/composecli"
	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/internal/hostpath"
	"github.com/watch-docker/watch-docker/internal/project"
	"github.com/watch-docker/watch-docker/internal/store"
	"github.com/watch-docker/watch-docker/internal/task"
	"github.com/watch-docker/watch-docker/test/testbed"
)

// world is a service with one folder, and a host that does what Compose does.
type world struct {
	*testing.T
	*compose.Service
	root string
	host *host
	db   *store.Store
	own  string // the container that we run in
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, root: t.TempDir(), host: &host{volumes: map[string]project.Volume{}}}
	w.db = testbed.Must(store.OpenMemory(t.Context()))(t)
	tasks := task.New(task.Dependencies{Store: w.db})
	ctx, end := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = tasks.Run(ctx)
	}()
	t.Cleanup(func() {
		end()
		<-ended
		_ = w.db.Close()
	})
	projects := testbed.Must(project.New(project.Dependencies{Roots: []string{w.root}, Engine: w.host, Store: w.db, Reader: compose.Reader{}, Resources: w.host}))(t)
	w.Service = compose.New(compose.Dependencies{
		Projects: projects, Commands: w.host, Engine: w.host, Tasks: tasks, Own: func(id string) bool { return id == w.own },
		Doctor: func(context.Context, bool) (hostpath.Doctor, error) {
			return hostpath.Doctor{Local: true, Files: os.DirFS("/").(fs.ReadLinkFS)}, nil //nolint:forcetypeassert // os.DirFS says so
		},
		Hold: func(string, []string) (func(), error) { return func() {}, nil },
	})
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) write(files map[string]string) {
	w.Helper()
	for name, content := range files {
		file := filepath.Join(w.root, name)
		w.must(os.MkdirAll(filepath.Dir(file), 0o755))
		w.must(os.WriteFile(file, []byte(content), 0o644))
	}
}

// ended is an operation once it is over, and its result.
func (w *world) ended(op store.Operation) (store.Operation, project.Deletion) {
	w.Helper()
	if done, ok := w.Tasks.Done(op.ID); ok {
		<-done
	}
	op = testbed.Must(w.db.Operation(w.Context(), op.ID))(w)
	var d project.Deletion
	if len(op.Result) > 0 {
		w.must(json.Unmarshal(op.Result, &d))
	}
	return op, d
}

func volumes(list []project.Volume) string {
	var names []string
	for _, v := range list {
		names = append(names, v.Name)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// host is an engine with volumes, and the Compose that acts on it.
type host struct {
	mu         sync.Mutex
	containers []dockercli.Container
	volumes    map[string]project.Volume
	keeps      string // a volume that gets a user when its project goes down
	ran        []composecli.Action
	files      []string      // that commands were given
	block      chan struct{} // a command waits for its end
	previewed  func()        // is called in the middle of a preview
	away       error         // what the list fails with
}

func (h *host) Containers(context.Context, ...string) ([]dockercli.Container, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.containers), h.away
}

func (h *host) ProjectResources(_ context.Context, q project.ResourceQuery) (networks []project.Network, list []project.Volume, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, v := range h.volumes {
		of := v.Owner == q.Project || slices.Contains(q.Volumes, v.Name)
		if v.Anonymous {
			of = of || slices.ContainsFunc(h.containers, func(c dockercli.Container) bool {
				return slices.Contains(v.Users, c.Name) && c.Labels["com.docker.compose.project"] == q.Project
			})
		}
		if of {
			list = append(list, v)
		}
	}
	return nil, list, nil
}

func (h *host) RemoveVolume(_ context.Context, name string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if name == h.keeps {
		return dockercli.ErrConflict
	}
	if _, ok := h.volumes[name]; !ok {
		return dockercli.ErrNotFound
	}
	delete(h.volumes, name)
	return nil
}

// Do takes a project down as Compose does: with volumes, each that its files
// name and don't call external goes, whosever it is.
func (h *host) Do(ctx context.Context, p composecli.Project, a composecli.Action, _ func(composecli.Event), _ func(string)) error {
	if h.block != nil {
		select {
		case <-h.block:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ran, h.files = append(h.ran, a), append(h.files, p.Files...)
	if a.Kind != composecli.Down {
		return nil
	}
	h.containers = slices.DeleteFunc(h.containers, func(c dockercli.Container) bool { return c.Labels["com.docker.compose.project"] == p.Name })
	for _, file := range p.Files {
		content, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		for name := range h.volumes {
			if a.RemoveVolumes && strings.Contains(string(content), name) {
				delete(h.volumes, name)
			}
		}
	}
	return nil
}

func (h *host) Preview(context.Context, composecli.Project, composecli.Action) (composecli.Plan, error) {
	if h.previewed != nil {
		h.previewed()
	}
	return composecli.Plan{}, nil
}

func (h *host) Hashes(context.Context, composecli.Project) (map[string]string, error) {
	return nil, nil
}

func (h *host) Version(context.Context) (composecli.Version, error) {
	return composecli.Version{Version: "5.5.1", Command: "docker compose"}, nil
}

// runs adds a container of a project.
func (h *host) runs(name, service string) {
	h.containers = append(h.containers, dockercli.Container{
		ID: name + service, Name: name + "-" + service, State: "running",
		Labels: map[string]string{"com.docker.compose.project": name, "com.docker.compose.service": service},
	})
}

func (h *host) volume(name, owner string, users ...string) {
	h.volumes[name] = project.Volume{Name: name, Owner: owner, Users: append([]string{}, users...), Anonymous: strings.HasPrefix(name, "anonymous")}
}
