package project_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/internal/project"
	"github.com/watch-docker/watch-docker/test/testbed"
)

// stack is a world with a real engine and the real Compose.
type stack struct {
	*world
	bed   *testbed.Bed
	image string
}

func newStack(t *testing.T) *stack {
	t.Helper()
	bed := testbed.New(t, testbed.WithEngine(testbed.PrivateEngine), testbed.WithRegistry(testbed.TLSToken))
	engine := testbed.Must(dockercli.New(dockercli.Options{Host: bed.Engine().Host()}))(t)
	t.Cleanup(func() { engine.Close() })
	reg := bed.Registry(testbed.TLSToken)
	s := &stack{world: newWorld(t, func(d *project.Dependencies) { d.Engine = engine }), bed: bed, image: reg.Ref("app:1")}
	testbed.Must(reg.Push(t.Context(), "app:1", testbed.Must(testbed.Image(testbed.ImageOptions{}))(t)))(t)
	s.must(bed.Pull(t.Context(), s.image))
	return s
}

func (s *stack) file(name, content string) {
	s.Helper()
	s.write(map[string]string{name: strings.ReplaceAll(content, "IMAGE", s.image)})
}

func (s *stack) compose(dir string, args ...string) string {
	s.Helper()
	ctx := context.WithoutCancel(s.Context())
	out, _, err := s.bed.Engine().Compose(ctx, filepath.Join(s.root, dir), nil, append([]string{"--progress", "plain"}, args...)...)
	s.must(err)
	return out
}

func (s *stack) status(id string, want project.Status, reason string) project.Detail {
	s.Helper()
	var p project.Detail
	testbed.Eventually(s, 60*time.Second, func() error {
		p = s.one(id)
		if p.Status != want || !strings.Contains(p.Reason, reason) {
			return fmt.Errorf("%s: %s; want %s: %s; %+v", p.Status, p.Reason, want, reason, p.Services)
		}
		return nil
	})
	return p
}

const realShop = `services:
  web:
    image: IMAGE
    restart: always
    command: sh -c 'trap "exit 0" TERM; sleep 1000 & wait'
    healthcheck: {test: [CMD, test, -e, /tmp/ok], interval: 1s, retries: 1000}
    depends_on:
      migrate: {condition: service_completed_successfully}
  db:
    image: IMAGE
    restart: unless-stopped
    command: sh -c 'trap "exit 0" TERM; sleep 1000 & wait'
  migrate:
    image: IMAGE
    command: "true"
  debug:
    image: IMAGE
    profiles: [debug]
`

func TestTheStatusOfARealProject(t *testing.T) {
	s := newStack(t)
	s.file("shop/compose.yaml", realShop)
	t.Cleanup(func() { s.compose("shop", "down", "--timeout", "0", "--remove-orphans") })
	s.status("shop", project.StatusDown, "")
	s.compose("shop", "up", "--detach")
	s.status("shop", project.StatusStarting, "web")
	s.compose("shop", "exec", "-T", "web", "touch", "/tmp/ok")
	p := s.status("shop", project.StatusRunning, "migrate ended with code 0")
	if p.Origin != project.Both || len(p.Warnings) != 0 || len(p.Services) != 4 {
		t.Errorf("%+v", p)
	}
	s.compose("shop", "stop", "--timeout", "0", "db")
	s.status("shop", project.StatusPartial, "db: stopped")
	s.compose("shop", "stop", "--timeout", "0")
	s.status("shop", project.StatusStopped, "")
	s.file("shop/compose.yaml", strings.ReplaceAll(realShop, `"true"`, "sh -c 'exit 3'"))
	_, _, err := s.bed.Engine().Compose(t.Context(), filepath.Join(s.root, "shop"), nil, "up", "--detach")
	if err == nil {
		t.Error("it starts although what it needs fails")
	}
	s.status("shop", project.StatusFailed, "migrate ended with code 3")
	s.file("shop/compose.yaml", strings.ReplaceAll(strings.Replace(realShop, "  web:", "  front:", 1), "migrate: {condition", "db: {condition"))
	if p := s.one("shop"); !strings.Contains(codes(p.Warnings), "orphan") {
		t.Errorf("%+v", p)
	}
	s.compose("shop", "down", "--timeout", "0", "--remove-orphans")
	s.status("shop", project.StatusDown, "")

	s.file("loop/compose.yaml", "services: {a: {image: IMAGE, restart: always, command: sh -c 'exit 7'}, b: {image: IMAGE, command: sleep 1000}}")
	t.Cleanup(func() { s.compose("loop", "down", "--timeout", "0") })
	s.compose("loop", "up", "--detach")
	s.status("loop", project.StatusFailed, "it ended with code 7")
	s.file("jobs/compose.yaml", "services: {a: {image: IMAGE, command: 'true'}}")
	t.Cleanup(func() { s.compose("jobs", "down") })
	s.compose("jobs", "up", "--detach")
	s.status("jobs", project.StatusCompleted, "")
	s.moved()
}

// moved has the folder of a real project moved, and one of its files named by hand.
func (s *stack) moved() {
	s.Helper()
	s.must(os.Rename(s.root+"/jobs", s.root+"/moved"))
	s.file("moved/compose.yaml", "name: jobs\nservices: {a: {image: IMAGE, command: 'true'}}")
	if p := s.one("jobs"); codes(p.Warnings) != "moved" || p.Path != filepath.Join(s.root, "moved") {
		s.Errorf("%+v", p)
	}
	s.compose("moved", "up", "--detach", "--force-recreate")
	if p := s.one("jobs"); len(p.Warnings) != 0 {
		s.Errorf("%+v", p.Warnings)
	}
	s.file("moved/extra.yaml", "services: {b: {image: IMAGE, command: 'true'}}")
	s.compose("moved", "-f", "compose.yaml", "-f", "extra.yaml", "up", "--detach")
	if p := s.one("jobs"); !strings.Contains(codes(p.Warnings), "other_files") {
		s.Errorf("%+v", p.Warnings)
	}
	s.compose("moved", "-f", "compose.yaml", "-f", "extra.yaml", "down")
	s.must(os.Rename(s.root+"/moved", s.root+"/jobs"))
}

// What we take for a project's name, files and profiles is what Compose takes.
func TestComposeAgreesOnNamesAndFiles(t *testing.T) {
	s := newStack(t)
	service := func(name string) string { return "services: {" + name + ": {image: IMAGE}}\n" }
	projects := map[string]map[string]string{
		"Two Words! Ünï_1-":  {"compose.yaml": service("a")},
		"_-x":                {"docker-compose.yaml": service("a"), "docker-compose.yml": service("b")},
		"both":               {"compose.yml": service("a"), "compose.yaml": service("b"), "compose.override.yaml": service("c"), "docker-compose.override.yml": service("d")},
		"override of others": {"docker-compose.yml": service("a"), "compose.override.yml": service("b")},
		"named":              {"compose.yaml": "name: given\n" + service("a")},
		"named twice":        {"compose.yaml": "name: first\n" + service("a"), "compose.override.yaml": "name: second\n" + service("b")},
		"env name":           {"compose.yaml": "name: given\n" + service("a"), ".env": "export COMPOSE_PROJECT_NAME='by-env' # why\n"},
		"several":            {"a.yaml": service("a"), "b.yaml": service("b"), ".env": "B=b\nCOMPOSE_FILE=a.yaml:${B}.yaml"},
		"separator":          {"a.yaml": service("a"), "b.yaml": service("b"), ".env": "COMPOSE_PATH_SEPARATOR=,\nCOMPOSE_FILE=\"a.yaml,b.yaml\""},
		"lower":              {"docker/compose.yaml": service("a"), ".env": "COMPOSE_FILE=docker/compose.yaml\nA=1"},
		"lower with env":     {"docker2/compose.yaml": service("a"), "docker2/.env": "COMPOSE_PROJECT_NAME=second-env", ".env": "COMPOSE_FILE=docker2/compose.yaml"},
		"profiles":           {"compose.yaml": "services: {a: {image: IMAGE}, b: {image: IMAGE, profiles: [x]}, c: {image: IMAGE, profiles: [z]}}", ".env": "COMPOSE_PROFILES=x, y"},
		"all profiles":       {"compose.yaml": "services: {a: {image: IMAGE}, b: {image: IMAGE, profiles: [x]}}", ".env": "COMPOSE_PROFILES=*"},
	}
	for dir, files := range projects {
		for name, content := range files {
			s.file(filepath.Join(dir, name), content)
		}
	}
	for dir := range projects {
		var model struct {
			Name     string
			Services map[string]any
		}
		s.must(json.Unmarshal([]byte(s.compose(dir, "config", "--format", "json")), &model))
		var got *project.Project
		for _, p := range s.all() {
			if p.Path == filepath.Join(s.root, dir) {
				got = &p
			}
		}
		if got == nil {
			t.Errorf("%s isn't found", dir)
			continue
		}
		var services []string
		for _, sv := range got.Services {
			if sv.State != project.Inactive {
				services = append(services, sv.Name)
			}
		}
		var theirs []string
		for name := range model.Services {
			theirs = append(theirs, name)
		}
		slices.Sort(theirs)
		if got.Name != model.Name || !slices.Equal(services, theirs) {
			t.Errorf("%s: %s %v; Compose says %s %v", dir, got.Name, services, model.Name, theirs)
		}
	}
}
