package compose_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/watch-docker/watch-docker/internal/api"
	"github.com/watch-docker/watch-docker/internal/app"
	"github.com/watch-docker/watch-docker/internal/store"
	"github.com/watch-docker/watch-docker/test/testbed"
)

// publish pushes a release under a tag of its own.
func (p *project) publish(image, tag string, o testbed.ImageOptions) {
	p.Helper()
	o.Payload = image + " " + tag
	img, err := testbed.Image(o)
	if err != nil {
		p.Fatal(err)
	}
	if _, err := p.bed.Registry(testbed.TLSToken).Push(p.Context(), p.name+"/"+image+":"+tag, img); err != nil {
		p.Fatal(err)
	}
}

func broken() testbed.ImageOptions {
	return testbed.ImageOptions{Entrypoint: []string{"sh", "-c", "exit 3"}}
}

// newTagged is a project whose images have versions, and that the program may
// change and ask Compose about.
func newTagged(t *testing.T, bed *testbed.Bed, c testCase) *project {
	t.Helper()
	if c.images == nil {
		c.images = map[string]testbed.ImageOptions{}
	}
	p := newProject(t, bed, c)
	env, err := bed.Engine().ComposeEnv(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range env {
		for _, name := range []string{"PATH=", "HOME=", "DOCKER_CONFIG="} {
			if strings.HasPrefix(entry, name) {
				p.environ = append(p.environ, entry)
			}
		}
	}
	p.environ = append(p.environ, "APP_PATH="+p.dir)
	return p
}

func (p *project) text(name string) string {
	p.Helper()
	text, err := os.ReadFile(filepath.Join(p.dir, name))
	if err != nil {
		p.Fatal(err)
	}
	return string(text)
}

func (p *project) says(when, name, want string) {
	p.Helper()
	if got := p.text(name); got != want {
		p.Errorf("%s, %s says\n%s\nwant\n%s", when, name, got, want)
	}
}

// images are what containers say they were made from, without the registry.
func (p *project) runs(when string, want map[string]string) {
	p.Helper()
	all := p.containers()
	for name, image := range want {
		c, ok := all[name]
		if !ok || !c.State.Running || !strings.HasSuffix(c.Config.Image, "/"+image) {
			p.Errorf("%s, %s runs %v of %s, want %s", when, name, ok && c.State.Running, c.Config.Image, image)
		}
	}
	if len(all) != len(want) {
		p.Errorf("%s, there are %d containers, want %d", when, len(all), len(want))
	}
}

// rollback has the program roll a container back by hand.
func (p *project) rollback(name string) store.Operation {
	p.Helper()
	var stdout, stderr bytes.Buffer
	app.Program{Args: []string{"rollback", "-json", name}, Environ: p.env(p.TempDir()), Stdout: &stdout, Stderr: &stderr}.Run(p.Context())
	var run api.Run
	if err := json.Unmarshal(stdout.Bytes(), &run); err != nil || len(run.Operations) != 1 {
		p.Fatalf("rollback: %v, %s", err, stderr.String())
	}
	return run.Operations[0]
}

const shop = `# The shop. It's ours.
services:

    db:
        image:  OUR/db:1.4     # never 2: the data would have to be moved
        labels: { watchdocker.track: minor }
    web:
        labels:
            watchdocker.track: "major"
        depends_on: [ db ]
        image: "OUR/web:v1.4.2-alpine"
    cache:
        image: OUR/web:v1.4.2-alpine
`

func TestATagThatChangesIsChangedInTheFile(t *testing.T) {
	p := newTagged(t, newBed(t), testCase{name: "shop", file: shop})
	for _, image := range []string{"db:1.4", "web:v1.4.2-alpine"} {
		name, tag, _ := strings.Cut(image, ":")
		p.publish(name, tag, testbed.ImageOptions{})
	}
	p.up()
	before := p.text("compose.yaml")
	p.publish("db", "1.5", testbed.ImageOptions{})
	p.publish("db", "2.0", broken())
	p.publish("db", "1.6-slim", broken())
	p.publish("web", "v2.0.0-alpine", testbed.ImageOptions{})
	p.publish("web", "v3.0.0", broken())
	ops := p.update("shop-db-1", "shop-web-1")
	for name, op := range ops {
		if op.State != store.Succeeded {
			t.Fatalf("%s: %s %s", name, op.State, explain(op))
		}
	}
	if op := ops["shop-db-1"]; !strings.HasSuffix(op.FromImage, "/db:1.4") || !strings.HasSuffix(op.ToImage, "/db:1.5") {
		t.Errorf("the record says from %s to %s", op.FromImage, op.ToImage)
	}
	after := strings.NewReplacer("db:1.4", "db:1.5", `web:v1.4.2-alpine"`, `web:v2.0.0-alpine"`).Replace(before)
	newer := map[string]string{"shop-db-1": "shop/db:1.5", "shop-web-1": "shop/web:v2.0.0-alpine", "shop-cache-1": "shop/web:v1.4.2-alpine"}
	p.says("after the update", "compose.yaml", after)
	p.runs("after the update", newer)
	p.idle("after the update")
	updated := p.containers()

	p.publish("db", "1.7", broken())
	p.updated(store.RolledBack, "shop-db-1")
	p.says("after a bad release", "compose.yaml", after)
	p.runs("after a bad release", newer)
	p.idle("after a bad release")

	p.compose("up", "--detach", "--force-recreate", "--timeout", "0")
	for name, own := range p.containers() {
		p.sameLabels(name, updated[name], own)
	}
	if op := p.rollback("shop-web-1"); op.State != store.Succeeded || !strings.HasSuffix(op.ToImage, "/web:v1.4.2-alpine") {
		t.Fatalf("rollback to %s: %s %s", op.ToImage, op.State, explain(op))
	}
	newer["shop-web-1"] = "shop/web:v1.4.2-alpine"
	p.says("after a rollback by hand", "compose.yaml", strings.Replace(before, "db:1.4", "db:1.5", 1))
	p.runs("after a rollback by hand", newer)
	p.idle("after a rollback by hand")
}

func TestATagFromTheEnvFileIsChangedThere(t *testing.T) {
	p := newTagged(t, newBed(t), testCase{name: "from-env", file: `
services:
  app:
    image: OUR/app:${APP_TAG:?}-alpine
    labels: {watchdocker.track: minor}
    environment: ["HOW=$OTHER"]
`, files: map[string]string{".env": "# what we run\nexport APP_TAG='1.4' # for now\nOTHER=1.4\n"}})
	p.publish("app", "1.4-alpine", testbed.ImageOptions{})
	p.up()
	compose := p.text("compose.yaml")
	p.publish("app", "1.5-alpine", testbed.ImageOptions{})
	p.updated(store.Succeeded, "from-env-app-1")
	p.says("after the update", "compose.yaml", compose)
	p.says("after the update", ".env", "# what we run\nexport APP_TAG='1.5' # for now\nOTHER=1.4\n")
	p.idle("after the update")

	p.publish("app", "1.6-alpine", broken())
	p.updated(store.RolledBack, "from-env-app-1")
	p.says("after a bad release", ".env", "# what we run\nexport APP_TAG='1.5' # for now\nOTHER=1.4\n")
	p.idle("after a bad release")
}

// What can't be done safely is refused before anything has changed.
func TestAFileThatCannotBeChangedKeepsItsTag(t *testing.T) {
	bed := newBed(t)
	const label = "    labels: {watchdocker.track: minor}\n"
	for name, c := range map[string]struct {
		c       testCase
		environ []string
		says    string
	}{
		"shared-variable": {testCase{file: "services:\n  app:\n    image: OUR/app:$TAG\n" + label + "  b:\n    image: OUR/app:$TAG\n", files: map[string]string{".env": "TAG=1.4\n"}}, nil, "TAG is used in 2 places"},
		"not-in-env":      {testCase{file: "services:\n  app:\n    image: OUR/app:${TAG:-1.4}\n" + label}, nil, "TAG isn't set"},
		"two-files": {testCase{file: "services:\n  app:\n    image: OUR/app:1.4\n" + label, files: map[string]string{"compose.override.yaml": "services:\n  app:\n    image: OUR/app:1.4\n"},
			args: nil}, nil, "say the image of app"},
		"elsewhere":  {testCase{file: "services:\n  app:\n    image: OUR/app:1.4\n" + label}, []string{"APP_PATH=/nowhere"}, "not under compose.path"},
		"no-path":    {testCase{file: "services:\n  app:\n    image: OUR/app:1.4\n" + label}, []string{"APP_PATH="}, "no compose.path"},
		"no-compose": {testCase{file: "services:\n  app:\n    image: OUR/app:1.4\n" + label}, []string{"PATH=/nowhere"}, "no docker compose here"},
	} {
		t.Run(name, func(t *testing.T) {
			c.c.name = name
			p := newTagged(t, bed, c.c)
			p.publish("app", "1.4", testbed.ImageOptions{})
			if override, ok := c.c.files["compose.override.yaml"]; ok {
				p.write("compose.override.yaml", strings.ReplaceAll(override, "OUR/", bed.Registry(testbed.TLSToken).Ref(name+"/")))
			}
			for _, entry := range c.environ { // one without a value takes it away
				key, value, _ := strings.Cut(entry, "=")
				p.environ = slices.DeleteFunc(p.environ, func(e string) bool { return strings.HasPrefix(e, key+"=") })
				if value != "" {
					p.environ = append(p.environ, entry)
				}
			}
			p.up()
			before, text := p.containers(), p.text("compose.yaml")
			p.publish("app", "1.5", testbed.ImageOptions{})
			op := p.update(name + "-app-1")[name+"-app-1"]
			if op.State != store.Failed || op.Error == nil || op.Error.Code != "compose_file_refused" || !strings.Contains(op.Error.Message, c.says) {
				t.Errorf("%s %s; want it to say %q", op.State, explain(op), c.says)
			}
			p.says("afterwards", "compose.yaml", text)
			if now := p.containers()[name+"-app-1"]; now.ID != before[name+"-app-1"].ID || now.State.StartedAt != before[name+"-app-1"].State.StartedAt {
				t.Error("the container was touched")
			}
			p.idle("afterwards")
		})
	}
}
