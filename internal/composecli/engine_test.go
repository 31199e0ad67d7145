package composecli_test

import (
	"context"
	"errors"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/watch-docker/watch-docker/internal/composecli"
	"github.com/watch-docker/watch-docker/test/testbed"
)

func TestOnARealEngine(t *testing.T) {
	w := newWorld(t)
	t.Run("", func(t *testing.T) { eachTest(t, w) }) // until all of them are over
	if left := testbed.Must(os.ReadDir(w.work))(t); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func eachTest(t *testing.T, w *world) {
	for name, test := range map[string]func(*world){
		"which command it is is said":                            (*world).versions,
		"each action does what it says":                          (*world).actions,
		"services are acted on one by one":                       (*world).byService,
		"a pull tells its bytes":                                 (*world).pullTells,
		"a build tells what it builds":                           (*world).builds,
		"failures say what is wrong":                             (*world).failures,
		"one-shot services and conditions are waited for":        (*world).oneShot,
		"profiles, several files and env files count":            (*world).manyFiles,
		"odd names are names":                                    (*world).oddNames,
		"nothing of our environment is interpolated":             (*world).interpolation,
		"a read-only folder is no obstacle":                      (*world).readOnly,
		"a file that is deleted meanwhile was read before":       (*world).deletedMeanwhile,
		"a cancelled up leaves nothing running, and goes on":     (*world).cancelledUp,
		"a recreate is cut off anywhere, and the next one mends": (*world).cancelledRecreate,
		"a preview changes nothing and foretells":                (*world).previews,
		"a volume is never made anew unasked":                    (*world).keepsVolumes,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(w.in(t))
		})
	}
}

func (w *world) versions() {
	for cli, command := range map[*composecli.CLI]string{w.plugin: "docker compose", w.standalone: "docker-compose"} {
		v, err := cli.Version(w.Context())
		if err != nil || v.Version != "5.5.1" || v.Command != command || v.Path == "" {
			w.Errorf("got %+v, %v", v, err)
		}
	}
}

const twoServices = `
services:
  web:
    image: OUR/app:1
    depends_on: [db]
    volumes: [data:/data]
  db:
    image: OUR/app:1
volumes:
  data: {}
`

func (w *world) actions() {
	cli, name := w.plugin, "all"
	p := w.project(name, twoServices)
	labels := composecli.Project{Name: name}
	s := w.do(cli, p, composecli.Action{Kind: composecli.Create})
	w.are(name, "db-1 created, web-1 created")
	if !s.has("Volume "+name+"_data", composecli.Done, "Created") || !s.has("Container "+name+"-web-1", composecli.Done, "Created") {
		w.Errorf("create tells %s", s)
	}
	s = w.do(cli, p, composecli.Action{Kind: composecli.Up})
	w.are(name, "db-1 running, web-1 running")
	if !s.has("Container "+name+"-web-1", composecli.Working, "Starting") || !s.has("Container "+name+"-web-1", composecli.Done, "Started") {
		w.Errorf("up tells %s", s)
	}
	before := w.containers(name)
	w.do(cli, p, composecli.Action{Kind: composecli.Up, Wait: true})
	if after := w.containers(name); after[name+"-web-1"].ID != before[name+"-web-1"].ID || after[name+"-web-1"].State.StartedAt != before[name+"-web-1"].State.StartedAt {
		w.Error("a second up did something")
	}
	w.do(cli, labels, composecli.Action{Kind: composecli.Stop})
	w.are(name, "db-1 exited, web-1 exited")
	w.do(cli, labels, composecli.Action{Kind: composecli.Start})
	w.are(name, "db-1 running, web-1 running")
	w.do(cli, labels, composecli.Action{Kind: composecli.Restart})
	if after := w.containers(name); after[name+"-db-1"].State.StartedAt == before[name+"-db-1"].State.StartedAt || after[name+"-db-1"].ID != before[name+"-db-1"].ID {
		w.Error("restart: the container is another, or has not restarted")
	}
	w.do(cli, p, composecli.Action{Kind: composecli.Recreate})
	if after := w.containers(name); after[name+"-db-1"].ID == before[name+"-db-1"].ID || after[name+"-web-1"].ID == before[name+"-web-1"].ID {
		w.Error("recreate: a container is the same")
	}
	w.rewrite(p, "compose.yaml", strings.ReplaceAll(twoServices, "depends_on", "hostname: other\n    depends_on"))
	kept := w.containers(name)[name+"-web-1"].ID
	w.do(cli, p, composecli.Action{Kind: composecli.Scale, Replicas: map[string]int{"web": 3}})
	w.are(name, "db-1 running, web-1 running, web-2 running, web-3 running")
	if now := w.containers(name)[name+"-web-1"].ID; now != kept {
		w.Error("scale recreated a container that was there")
	}
	w.do(cli, p, composecli.Action{Kind: composecli.Scale, Replicas: map[string]int{"web": 0}})
	w.are(name, "db-1 running")
	w.do(cli, p, composecli.Action{Kind: composecli.Up})
	w.rewrite(p, "compose.yaml", "services:\n  db:\n    image: OUR/app:1\n")
	w.do(cli, p, composecli.Action{Kind: composecli.Up})
	w.are(name, "db-1 running, web-1 running")
	w.do(cli, p, composecli.Action{Kind: composecli.Up, RemoveOrphans: true})
	w.are(name, "db-1 running")
	w.do(cli, p, composecli.Action{Kind: composecli.Down})
	w.are(name, "")
	if !w.hasVolume(name + "_data") {
		w.Error("down took a volume")
	}
	s = w.do(cli, labels, composecli.Action{Kind: composecli.Down, RemoveVolumes: true})
	if w.hasVolume(name+"_data") || !s.has("Volume "+name+"_data", composecli.Done, "Removed") {
		w.Errorf("down with volumes: %s", s)
	}
	w.do(cli, labels, composecli.Action{Kind: composecli.Down})
}

func (w *world) byService() {
	p := w.project("some", "services:\n  a: {image: OUR/app:1}\n  b: {image: OUR/app:1, depends_on: [a]}\n  c: {image: OUR/app:1}\n")
	some := func(kind composecli.Kind, services ...string) {
		w.do(w.plugin, p, composecli.Action{Kind: kind, Services: services})
	}
	some(composecli.Up, "b")
	w.are("some", "a-1 running, b-1 running")
	some(composecli.Stop, "b")
	w.are("some", "a-1 running, b-1 exited")
	some(composecli.Start, "b")
	a, b := w.containers("some")["some-a-1"], w.containers("some")["some-b-1"]
	some(composecli.Restart, "b")
	some(composecli.Recreate, "b")
	now := w.containers("some")
	if now["some-a-1"].State.StartedAt != a.State.StartedAt || now["some-b-1"].ID == b.ID {
		w.Error("another service was touched, or this one wasn't")
	}
	w.do(w.plugin, p, composecli.Action{Kind: composecli.Up, Services: []string{"c"}, NoDeps: true})
	some(composecli.Down, "b")
	w.are("some", "a-1 running, c-1 running")
	w.fails(p, composecli.Action{Kind: composecli.Up, Services: []string{"nope"}}, "no such service: nope")
}

func (w *world) pullTells() {
	w.push("big:1", testbed.ImageOptions{Payload: random(4 << 20)})
	p := w.project("pulls", "services:\n  a: {image: OUR/big:1}\n  b: {image: OUR/big:1}\n  c: {build: .}\n")
	s := w.do(w.plugin, p, composecli.Action{Kind: composecli.Pull, IgnoreBuildable: true})
	image := "Image " + w.reg.Host() + "/big:1"
	if !s.has(image, composecli.Working, "Pulling") || !s.has(image, composecli.Done, "Pulled") {
		w.Errorf("it tells %s", s)
	}
	if !slices.ContainsFunc(s.events, func(e composecli.Event) bool { return e.Parent == image && e.Text == "Downloading" && e.Total > 1<<20 }) {
		w.Errorf("no bytes are told: %s", s)
	}
	if leftover := strings.Join(s.lines, "\n"); strings.Contains(leftover, w.reg.Password()) {
		w.Errorf("it says %s", leftover)
	}
}

func (w *world) builds() {
	w.do(w.standalone, w.project("base", "services:\n  a: {image: OUR/app:1}\n"), composecli.Action{Kind: composecli.Pull})
	p := w.project("built", "services:\n  a:\n    build: .\n", "Dockerfile", "FROM OUR/app:1\nENV BUILT=1\n")
	s := w.do(w.standalone, p, composecli.Action{Kind: composecli.Up})
	w.are("built", "a-1 running")
	if len(s.lines) == 0 {
		w.Errorf("it tells nothing of the build: %s", s)
	}
	w.rewrite(p, "Dockerfile", "FROM OUR/app:1\nRUN false\n")
	w.fails(p, composecli.Action{Kind: composecli.Up, Build: true}, "false")
	w.are("built", "a-1 running")
}

func (w *world) failures() {
	missing := w.project("missing", "services:\n  a: {image: OUR/none:1}\n  b: {image: OUR/app:1}\n")
	s := w.fails(missing, composecli.Action{Kind: composecli.Up}, "not found")
	if !s.has("Image "+w.reg.Host()+"/none:1", composecli.Failed, "Error") {
		w.Errorf("the image's failure isn't told: %s", s)
	}
	w.are("missing", "")
	w.fails(missing, composecli.Action{Kind: composecli.Pull}, "not found")
	port := "services:\n  a: {image: OUR/app:1, ports: ['127.0.0.1:8099:80']}\n"
	w.do(w.plugin, w.project("first", port), composecli.Action{Kind: composecli.Up})
	w.fails(w.project("second", port), composecli.Action{Kind: composecli.Up}, "port is already allocated")
	w.are("second", "a-1 created")
	w.fails(w.project("neither", "services:\n  a: {hostname: x}\n"), composecli.Action{Kind: composecli.Up}, "neither an image nor a build")
	w.fails(w.project("typo", "services:\n  a: {image: OUR/app:1, imagee: x}\n"), composecli.Action{Kind: composecli.Up}, "imagee")
	w.fails(w.project("yaml", "services: [\n"), composecli.Action{Kind: composecli.Up}, "compose.yaml")
	w.fails(w.project("entry", "services:\n  a: {image: OUR/app:1, command: [/none]}\n"), composecli.Action{Kind: composecli.Up}, "/none")
	w.fails(w.project("remote", "include: ['https://github.com/docker/compose.git']\nservices: {a: {image: OUR/app:1}}\n"), composecli.Action{Kind: composecli.Up}, "remote")
}

func (w *world) oneShot() {
	p := w.project("shots", `
services:
  web:
    image: OUR/app:1
    depends_on:
      migrate: {condition: service_completed_successfully}
      db: {condition: service_healthy}
  migrate: {image: OUR/app:1, command: [sh, -c, "exit $${CODE:-0}"], environment: [CODE]}
  db:
    image: OUR/app:1
    healthcheck: {test: ["CMD", "true"], interval: 200ms}
`)
	plan := testbed.Must(w.standalone.Preview(w.Context(), p, composecli.Action{Kind: composecli.Up}))(w.T) // Compose's own never ends
	if len(plan.Changes) < 3 {
		w.Errorf("preview: %+v", plan)
	}
	s := w.do(w.standalone, p, composecli.Action{Kind: composecli.Up})
	w.are("shots", "db-1 running, migrate-1 exited, web-1 running")
	if !s.has("Container shots-migrate-1", composecli.Done, "Exited") || !s.has("Container shots-db-1", composecli.Done, "Healthy") {
		w.Errorf("it tells %s", s)
	}
	w.do(w.standalone, composecli.Project{Name: "shots"}, composecli.Action{Kind: composecli.Down})
	w.rewrite(p, ".env", "CODE=7\n")
	w.fails(p, composecli.Action{Kind: composecli.Up}, `service "migrate" didn't complete successfully: exit 7`)
	w.are("shots", "db-1 running, migrate-1 exited, web-1 created")
	w.rewrite(p, ".env", "CODE=0\n")
	w.do(w.standalone, p, composecli.Action{Kind: composecli.Up})
	w.are("shots", "db-1 running, migrate-1 exited, web-1 running")
}

func (w *world) manyFiles() {
	p := w.project("many", "services:\n  a: {image: OUR/app:1, environment: {X: '${X}', Y: base}}\n  extra: {image: OUR/app:1, profiles: [more]}\n",
		"over.yaml", "services:\n  a: {environment: {Y: over}}\n", "vars.env", "X=from-file\n", ".env", "X=from-dotenv\n")
	env := func() string {
		return strings.Join(slices.DeleteFunc(slices.Sorted(slices.Values(w.containers("many")["many-a-1"].Config.Env)), func(e string) bool { return len(e) < 2 || e[1] != '=' }), " ")
	}
	w.do(w.standalone, p, composecli.Action{Kind: composecli.Up})
	w.are("many", "a-1 running")
	if got := env(); got != "X=from-dotenv Y=base" {
		w.Errorf("one file: %s", got)
	}
	p.Files, p.EnvFiles, p.Profiles = append(p.Files, p.Dir+"/over.yaml"), []string{p.Dir + "/vars.env"}, []string{"more"}
	w.do(w.standalone, p, composecli.Action{Kind: composecli.Up})
	w.are("many", "a-1 running, extra-1 running")
	if got := env(); got != "X=from-file Y=over" {
		w.Errorf("two files: %s", got)
	}
	w.hashesAgree(p)
}

// hashesAgree compares with what Compose has written on the containers.
func (w *world) hashesAgree(p composecli.Project) {
	w.Helper()
	hashes := testbed.Must(w.standalone.Hashes(w.Context(), p))(w.T)
	labels := map[string]string{}
	for _, c := range w.containers(p.Name) {
		labels[c.Config.Labels["com.docker.compose.service"]] = c.Config.Labels["com.docker.compose.config-hash"]
	}
	if diff := cmp.Diff(labels, hashes); diff != "" {
		w.Errorf("hashes of %s: %s", p.Name, diff)
	}
}

func (w *world) oddNames() {
	odd := []string{"-v", "--volumes", "a.b", "UP", "0", "_", "up"}
	file := "services:\n"
	for _, name := range odd {
		file += "  \"" + name + "\": {image: OUR/app:1, container_name: odd-" + strings.Trim(name, "-_.") + "x}\n"
	}
	p := w.project("odd_-", file)
	w.do(w.standalone, p, composecli.Action{Kind: composecli.Up, Services: odd})
	if n := len(w.containers("odd_-")); n != len(odd) {
		w.Errorf("%d containers run: %s", n, w.states("odd_-"))
	}
	for _, kind := range []composecli.Kind{composecli.Stop, composecli.Start, composecli.Restart, composecli.Recreate, composecli.Pull} {
		w.do(w.standalone, p, composecli.Action{Kind: kind, Services: []string{"-v", "--volumes"}})
	}
	w.do(w.standalone, p, composecli.Action{Kind: composecli.Down, Services: []string{"-v", "--volumes"}})
	if n := len(w.containers("odd_-")); n != len(odd)-2 {
		w.Errorf("%d containers are left: %s", n, w.states("odd_-"))
	}
	w.hashesAgree(composecli.Project{Name: p.Name, Dir: p.Dir, Files: []string{w.without(p, 2, len(odd))}})
}

// without writes the file again with the services from first to last alone.
func (w *world) without(p composecli.Project, first, last int) string {
	lines := strings.SplitAfter(content(w.T, p.Files[0]), "\n")
	w.rewrite(p, "less.yaml", lines[0]+strings.Join(lines[1+first:1+last], ""))
	return p.Dir + "/less.yaml"
}

func (w *world) interpolation() {
	p := w.project("ours", `
services:
  a:
    image: OUR/app:1
    environment: {A: "-${USER_PASSWORD:-}", B: "-${WATCH_SERVER_ADDR:-}", C: "-${DOCKER_HOST:-}", D: "${PWD}", E: "-${COMPOSE_FILE:-}", F: "-${DOCKER_CONFIG:-}"}
`)
	for cli, config := range map[*composecli.CLI]string{w.plugin: "cli-plugins", w.standalone: ""} {
		w.do(cli, p, composecli.Action{Kind: composecli.Up})
		env := w.containers("ours")["ours-a-1"].Config.Env
		for _, want := range []string{"A=-", "B=-", "C=-", "D=" + p.Dir, "E=-"} {
			if !slices.Contains(env, want) {
				w.Errorf("%s is not in %v", want, env)
			}
		}
		for _, e := range env {
			if dir, ok := strings.CutPrefix(e, "F=-"); ok && (config == "" && dir != "" || config != "" && !exists(dir+"/"+config)) {
				w.Errorf("DOCKER_CONFIG is not the user's own: %s", e)
			}
		}
		w.hashesAgreeWith(cli, p)
	}
}

// hashesAgreeWith compares two reads: the folder of one mustn't show in it.
func (w *world) hashesAgreeWith(cli *composecli.CLI, p composecli.Project) {
	w.Helper()
	one, two := testbed.Must(cli.Hashes(w.Context(), p))(w.T), testbed.Must(cli.Hashes(w.Context(), p))(w.T)
	if !maps.Equal(one, two) || one["a"] != w.containers(p.Name)[p.Name+"-a-1"].Config.Labels["com.docker.compose.config-hash"] {
		w.Errorf("hashes: %v, %v", one, two)
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func (w *world) readOnly() {
	p := w.project("readonly", "services:\n  a: {image: OUR/app:1}\n")
	disk := testbed.Must(w.bed.Disk(1 << 20))(w.T)
	w.must(os.WriteFile(disk.Dir+"/compose.yaml", []byte(content(w.T, p.Files[0])), 0o600))
	w.must(unix.Mount("", disk.Dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	p.Dir, p.Files = disk.Dir, []string{disk.Dir + "/compose.yaml"}
	for _, kind := range []composecli.Kind{composecli.Pull, composecli.Up, composecli.Recreate, composecli.Down} {
		w.do(w.standalone, p, composecli.Action{Kind: kind})
	}
}

func (w *world) deletedMeanwhile() {
	w.push("slow:1", testbed.ImageOptions{Payload: random(1000)})
	p := w.project("deleted", "services:\n  a: {image: OUR/slow:1}\n")
	undo := w.reg.Inject(testbed.Fault{Path: "/v2/slow/blobs/*", Times: 1, Hook: func(testbed.Request) { w.must(os.RemoveAll(p.Dir)) }})
	defer undo()
	w.do(w.plugin, p, composecli.Action{Kind: composecli.Up})
	w.are("deleted", "a-1 running")
	if err := w.plugin.Do(w.Context(), p, composecli.Action{Kind: composecli.Up}, nil, nil); !errors.Is(err, composecli.ErrNoFiles) {
		w.Errorf("up without its file: %v", err)
	}
	p.Files = nil
	w.do(w.plugin, p, composecli.Action{Kind: composecli.Restart})
	w.do(w.plugin, p, composecli.Action{Kind: composecli.Down})
	w.are("deleted", "")
}

func (w *world) cancelledUp() {
	w.push("hang:1", testbed.ImageOptions{Payload: random(1000)})
	p := w.project("hangs", "services:\n  a: {image: OUR/hang:1}\n  b: {image: OUR/app:1}\n")
	for cli, kinds := range map[*composecli.CLI][]composecli.Kind{w.plugin: {composecli.Pull, composecli.Up}, w.standalone: {composecli.Up}} {
		for _, kind := range kinds {
			ctx, cancel := context.WithCancel(w.Context())
			undo := w.reg.Inject(testbed.Fault{Path: "/v2/hang/*/*", Latency: time.Hour, Hook: func(testbed.Request) { cancel() }})
			s, began := &told{}, time.Now()
			err := cli.Do(ctx, p, composecli.Action{Kind: kind}, s.on, s.line)
			if !errors.Is(err, composecli.ErrCancelled) || time.Since(began) > 30*time.Second {
				w.Errorf("%s, cancelled after %s: %v\n%s", kind, time.Since(began), err, s)
			}
			cancel()
			w.noneRuns(p)
			undo()
			w.are("hangs", "")
		}
	}
	undo := w.reg.Inject(testbed.Fault{Path: "/v2/hang/*/*", Latency: time.Hour})
	if err := w.plugin.Do(w.Context(), p, composecli.Action{Kind: composecli.Up, Limit: 3 * time.Second}, nil, nil); !errors.Is(err, composecli.ErrTimeout) {
		w.Errorf("limited: %v", err)
	}
	undo()
	w.noneRuns(p)
	w.do(w.plugin, p, composecli.Action{Kind: composecli.Up})
	w.are("hangs", "a-1 running, b-1 running")
}

// noneRuns looks for processes that have to do with a project.
func (w *world) noneRuns(p composecli.Project) {
	w.Helper()
	for _, entry := range testbed.Must(os.ReadDir("/proc"))(w.T) {
		if line, err := os.ReadFile("/proc/" + entry.Name() + "/cmdline"); err == nil && strings.Contains(string(line), p.Dir) {
			w.Errorf("process %s is left: %s", entry.Name(), strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
}

func (w *world) cancelledRecreate() {
	p := w.project("cutoff", "services:\n  a: {image: OUR/app:1, volumes: [/anonymous]}\n  b: {image: OUR/app:1}\n")
	w.do(w.plugin, p, composecli.Action{Kind: composecli.Up})
	for _, word := range []string{"Recreate", "Recreated", "Starting"} {
		ctx, cancel := context.WithCancel(w.Context())
		err := w.plugin.Do(ctx, p, composecli.Action{Kind: composecli.Recreate}, func(e composecli.Event) {
			if e.Text == word {
				cancel()
			}
		}, nil)
		cancel()
		if err != nil && !errors.Is(err, composecli.ErrCancelled) {
			w.Errorf("at %s: %v", word, err)
		}
		w.noneRuns(p)
		w.do(w.standalone, p, composecli.Action{Kind: composecli.Up})
		for name, c := range w.containers("cutoff") { // one may have the name that it was made under
			if !c.State.Running {
				w.Errorf("after a recreate that ended at %s and an up: %s is %s", word, name, c.State.Status)
			}
		}
	}
	w.do(w.standalone, p, composecli.Action{Kind: composecli.Recreate})
	w.are("cutoff", "a-1 running, b-1 running")
}

func (w *world) previews() {
	p := w.project("plans", twoServices)
	foretold := func(a composecli.Action, want ...string) {
		w.Helper()
		before := w.states("plans")
		plan, err := w.standalone.Preview(w.Context(), p, a)
		if err != nil {
			w.Fatal(err)
		}
		var got []string
		for _, c := range plan.Changes {
			got = append(got, string(c.Effect)+" "+c.Kind+" "+strings.ReplaceAll(c.Name, w.reg.Host(), "OUR"))
		}
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" || w.states("plans") != before {
			w.Errorf("preview of %s: %s; before %s, after %s", a.Kind, diff, before, w.states("plans"))
		}
	}
	up := composecli.Action{Kind: composecli.Up}
	foretold(up, "create container plans-db-1", "create container plans-web-1", "create network plans_default", "create volume plans_data")
	w.do(w.standalone, p, up)
	foretold(up)
	foretold(composecli.Action{Kind: composecli.Recreate, Services: []string{"web"}}, "recreate container plans-web-1")
	foretold(composecli.Action{Kind: composecli.Scale, Replicas: map[string]int{"web": 2}}, "create container plans-web-2")
	foretold(composecli.Action{Kind: composecli.Stop, Services: []string{"web"}}, "stop container plans-web-1")
	foretold(composecli.Action{Kind: composecli.Restart, Services: []string{"web"}}, "restart container plans-web-1")
	foretold(composecli.Action{Kind: composecli.Pull}, "pull image OUR/app:1")
	foretold(composecli.Action{Kind: composecli.Down, RemoveVolumes: true}, "remove container plans-db-1", "remove container plans-web-1", "remove network plans_default", "remove volume plans_data")
	w.rewrite(p, "compose.yaml", strings.ReplaceAll(twoServices, "db:\n", "db:\n    hostname: other\n"))
	foretold(up, "recreate container plans-db-1")
	before := w.containers("plans")["plans-db-1"].Config.Labels["com.docker.compose.config-hash"]
	if hashes := testbed.Must(w.standalone.Hashes(w.Context(), p))(w.T); hashes["db"] == before || hashes["web"] != w.containers("plans")["plans-web-1"].Config.Labels["com.docker.compose.config-hash"] {
		w.Errorf("hashes: %v, was %s", hashes, before)
	}
	w.rewrite(p, "compose.yaml", "services:\n  web: {image: OUR/none:1}\n")
	plan, err := w.standalone.Preview(w.Context(), p, up)
	var failed *composecli.FailedError
	if !errors.As(err, &failed) || !strings.Contains(failed.Message, "Image "+w.reg.Host()+"/none:1: ") {
		w.Errorf("an image that isn't there: %+v, %v", plan, err)
	}
	w.rewrite(p, "compose.yaml", "services:\n  new: {image: OUR/app:1, environment: {A: '${UNSET}'}}\n")
	foretold(composecli.Action{Kind: composecli.Up, RemoveOrphans: true}, "create container plans-new-1", "remove container plans-db-1", "remove container plans-web-1")
	if plan = testbed.Must(w.standalone.Preview(w.Context(), p, up))(w.T); !strings.Contains(strings.Join(plan.Notes, "\n"), `"UNSET" variable is not set`) {
		w.Errorf("notes: %q", plan.Notes)
	}
}

func (w *world) keepsVolumes() {
	file := "services:\n  a: {image: OUR/app:1, volumes: ['data:/data']}\nvolumes:\n  data: {labels: {x: one}}\n"
	p := w.project("volumes", file)
	w.do(w.standalone, p, composecli.Action{Kind: composecli.Up})
	w.rewrite(p, "compose.yaml", strings.ReplaceAll(file, "one", "two"))
	plan := testbed.Must(w.standalone.Preview(w.Context(), p, composecli.Action{Kind: composecli.Up}))(w.T)
	s := w.do(w.standalone, p, composecli.Action{Kind: composecli.Up})
	for _, said := range [][]string{plan.Notes, s.lines} {
		if !strings.Contains(strings.Join(said, "\n"), "doesn't match configuration") {
			w.Errorf("it says %q", said)
		}
	}
	if s.has("Volume volumes_data", composecli.Done, "Removed") || !w.hasVolume("volumes_data") {
		w.Errorf("the volume was removed: %s", s)
	}
}
