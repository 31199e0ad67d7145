package compose_test

import (
	"strings"
	"testing"

	"github.com/watch-docker/watch-docker/internal/store"
	"github.com/watch-docker/watch-docker/test/testbed"
)

// x is updated by the program, and all that share something with it come
// along, or go back with it; Compose finds nothing to do either way.
func TestAGroupKeepsAgreeingWithCompose(t *testing.T) {
	bed := newBed(t)
	env, err := bed.Engine().ComposeEnv(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p := newProject(t, bed, sharingCase("group"))
	for _, entry := range env {
		for _, name := range []string{"PATH=", "HOME=", "DOCKER_CONFIG="} {
			if strings.HasPrefix(entry, name) {
				p.environ = append(p.environ, entry)
			}
		}
	}
	p.up()
	before := p.containers()
	p.release("x", "two", testbed.ImageOptions{})
	op := p.update(p.name + "-x-1")[p.name+"-x-1"]
	if op.State != store.Succeeded {
		t.Fatalf("%s: %s", op.State, explain(op))
	}
	after := p.containers()
	for _, service := range append(dependents(), "x") {
		name := p.name + "-" + service + "-1"
		if after[name].ID == before[name].ID || !after[name].State.Running {
			t.Errorf("%s is not made anew, or doesn't run", service)
		}
	}
	for _, s := range op.Steps {
		if strings.Contains(s.Detail, "will recreate") {
			t.Errorf("%s warns: %s", s.Name, s.Detail)
		}
	}
	p.idle("after the update of the group")

	p.release("x", "bad", testbed.ImageOptions{Entrypoint: []string{"sh", "-c", "exit 3"}})
	if op := p.update(p.name + "-x-1")[p.name+"-x-1"]; op.State != store.RolledBack {
		t.Fatalf("%s: %s", op.State, explain(op))
	}
	back := p.containers()
	for name, c := range after {
		if back[name].ID != c.ID || !back[name].State.Running {
			t.Errorf("%s is not back", name)
		}
	}
	p.idle("after the rollback of the group")
}
