package compose_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/watch-docker/watch-docker/internal/composecli"
	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/test/testbed"
)

// sharingCase has four services that share something with x, and one that
// doesn't. Compose writes x's container id into the four's configuration
// before it hashes it.
func sharingCase(name string) testCase {
	built := testbed.ImageOptions{Labels: map[string]string{
		"com.docker.compose.project": name, "com.docker.compose.service": "x",
		"com.docker.compose.project.environment_file": "/nowhere",
	}}
	return testCase{name: name, images: map[string]testbed.ImageOptions{"x": built, "app": {}}, files: map[string]string{".env": "PRICE=five\n"}, file: `
services:
  x:
    image: OUR/x
    ipc: shareable
    volumes: [/data]
  net:
    image: OUR/app
    network_mode: service:x
    environment:
      PRICE: "5$$ < ${PRICE} & é"
    deploy:
      replicas: 1
      resources:
        limits:
          memory: 64M
    depends_on: [bystander]
  ipc:
    image: OUR/app
    ipc: service:x
  pid:
    image: OUR/app
    pid: service:x
  files:
    image: OUR/app
    volumes_from: ["x:ro", "container:` + name + `-bystander-1"]
    depends_on: [bystander]
  bystander:
    image: OUR/app
    volumes: [/more]
`}
}

func dependents() []string { return []string{"net", "ipc", "pid", "files"} }

// TestWhoSharesWithARecreatedContainer is about x's dependents, which are made
// anew with x's new id in place of the old one.
func TestWhoSharesWithARecreatedContainer(t *testing.T) {
	bed := newBed(t)
	t.Run("hash-renewed", func(t *testing.T) {
		t.Parallel()
		p := newProject(t, bed, sharingCase("hash-renewed"))
		p.up()
		p.idle("after the first up")
		model := p.model()
		if warnings := p.recreateX(model); len(warnings) > 0 {
			t.Errorf("warnings %q", warnings)
		}
		p.idle("after the dependents were recreated")

		ours := p.containers()
		p.compose("up", "--detach", "--force-recreate", "--timeout", "0")
		for name, own := range p.containers() {
			p.sameLabels(name, ours[name], own)
		}
	})
	t.Run("without-compose", func(t *testing.T) {
		t.Parallel()
		p := newProject(t, bed, sharingCase("without-compose"))
		p.up()
		p.recreatedOnceMore(p.recreateX(nil))
	})
	t.Run("files-changed", func(t *testing.T) {
		t.Parallel()
		p := newProject(t, bed, sharingCase("files-changed"))
		p.up()
		p.write(".env", "PRICE=six\n")
		model := p.model()
		p.write(".env", "PRICE=five\n")
		p.recreatedOnceMore(p.recreateX(model), "net")
	})
}

// recreatedOnceMore is the exception: services whose hash couldn't be renewed.
// Compose recreates them at its next up, and only then, and nothing else.
func (p *project) recreatedOnceMore(warnings []string, services ...string) {
	p.Helper()
	if services == nil {
		services = dependents()
	}
	for _, service := range services {
		if !slices.ContainsFunc(warnings, func(w string) bool { return strings.Contains(w, "will recreate service "+service+",") }) {
			p.Errorf("no warning about %s in %q", service, warnings)
		}
	}
	before := p.containers()
	p.up()
	var recreated []string
	after := p.containers()
	for name, c := range before {
		if after[name].ID != c.ID {
			recreated = append(recreated, c.Config.Labels["com.docker.compose.service"])
		}
	}
	slices.Sort(recreated)
	slices.Sort(services)
	if !slices.Equal(recreated, services) || len(after) != len(before) {
		p.Errorf("Compose recreated %q, want %q", recreated, services)
	}
	p.idle("after Compose recreated them")
}

// model is what Compose tells of the project by the labels of a container.
func (p *project) model() []byte {
	p.Helper()
	env, err := p.bed.Engine().ComposeEnv(p.Context())
	if err != nil {
		p.Fatal(err)
	}
	cli, err := composecli.New(env)
	if err != nil {
		p.Fatal(err)
	}
	engine := p.engine()
	b, err := engine.Blueprint(p.Context(), p.name+"-x-1")
	if err != nil {
		p.Fatal(err)
	}
	model, err := cli.Model(p.Context(), b.ComposeProject())
	if err != nil {
		p.Fatal(err)
	}
	return model
}

// recreateX gives x a new image, and makes the dependents anew with their own;
// what Create warned of comes back.
func (p *project) recreateX(model []byte) (warnings []string) {
	p.Helper()
	engine := p.engine()
	p.release("x", "two", testbed.ImageOptions{})
	if err := p.bed.Pull(p.Context(), p.bed.Registry(testbed.TLSToken).Ref(p.name+"/x:latest")); err != nil {
		p.Fatal(err)
	}
	before := p.containers()
	oldX := before[p.name+"-x-1"].ID
	newX, said := p.recreate(engine, oldX, dockercli.CreateOptions{})
	warnings = append(warnings, said...)
	o := dockercli.CreateOptions{Replace: map[string]string{oldX: newX}, ComposeModel: model}
	for _, service := range dependents() {
		_, said := p.recreate(engine, before[p.name+"-"+service+"-1"].ID, o)
		warnings = append(warnings, said...)
	}
	for name, c := range p.containers() {
		host := c.HostConfig
		for _, mode := range append([]string{string(host.NetworkMode), string(host.IpcMode), string(host.PidMode)}, host.VolumesFrom...) {
			if strings.Contains(mode, oldX) {
				p.Errorf("%s names the old container", name)
			}
		}
	}
	return warnings
}

func (p *project) engine() *dockercli.Client {
	p.Helper()
	engine, err := dockercli.New(dockercli.Options{Host: p.bed.Engine().Host()})
	if err != nil {
		p.Fatal(err)
	}
	p.Cleanup(func() { _ = engine.Close() })
	return engine
}

// recreate puts a new container in an old one's place, as an update does.
func (p *project) recreate(engine *dockercli.Client, old string, o dockercli.CreateOptions) (id string, warnings []string) {
	p.Helper()
	ctx := p.Context()
	b, err := engine.Blueprint(ctx, old)
	if err != nil {
		p.Fatal(err)
	}
	o.Name = b.Name + ".wd-new"
	id, warnings, err = engine.Create(ctx, b, o)
	if err != nil {
		p.Fatal(err)
	}
	for _, step := range []func() error{
		func() error { return engine.Stop(ctx, old, nil) },
		func() error { return engine.Remove(ctx, old, dockercli.RemoveOptions{Force: true}) },
		func() error { return engine.Rename(ctx, id, b.Name) },
		func() error { return engine.Start(ctx, id) },
	} {
		if err := step(); err != nil {
			p.Fatal(err)
		}
	}
	return id, warnings
}
