package image_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/watch-docker/watch-docker/internal/hostpath"
	"github.com/watch-docker/watch-docker/test/testbed"
)

// A layout is how the folder of Compose projects comes into Watch Docker's
// container, with what the path doctor has to say about each service's path:
// the code of a refusal, or the state. The services are those of composed.
type layout struct {
	name  string
	root  string            // compose.path, in the layout's own folder: {dir}
	out   bool              // Watch Docker runs in no container
	binds []string          // of Watch Docker's container
	on    string            // where the host has what is at root
	extra map[string]string // more files: markers, or links as ">target"
	more  []string          // services of their own: "name source"
	want  map[string]string
}

// TestThePathDoctorSaysWhatHappens holds its word against what a service finds
// at the place: it brings each up, by the image's own Docker Compose, also
// those that the doctor refuses.
func TestThePathDoctorSaysWhatHappens(t *testing.T) {
	w := newWorld(t)
	doctor := goBuild(t, "./test/image/doctor", "-tags", "nomsgpack")
	w.push("service", "service", "true")
	image := w.bed.Registry(testbed.TLSToken).Ref("service:latest")
	w.must(w.bed.Pull(w.Context(), image))
	for _, l := range layouts() {
		t.Run(l.name, func(t *testing.T) { newPaths(w.in(t), l, image, doctor).judged() })
	}
}

func layouts() []layout {
	all := func(state string, but map[string]string) map[string]string {
		want := map[string]string{
			"unseen": "unseen", "home": "path_home", "env": "read", "build": "read", "state": "same",
			"elsewhere": "same", // Watch Docker sees it by another path
		}
		for _, service := range []string{"relative", "shared", "absolute", "long", "config", "secret"} {
			want[service] = state
		}
		want["missing"], want["needed"] = "missing", "path_missing"
		if state != "same" {
			want["missing"], want["needed"] = state, state
		}
		for service, state := range but {
			want[service] = state
		}
		return want
	}
	return []layout{
		{
			name: "no container", out: true, root: "{dir}/stacks", on: "{dir}/stacks", want: all("same", map[string]string{"unseen": "same", "home": "same"}),
		}, {
			name: "the same path", root: "{dir}/stacks", on: "{dir}/stacks", binds: []string{"{dir}/stacks:{dir}/stacks"}, want: all("same", nil),
		}, {
			name: "another place", root: "{dir}/ours", on: "{dir}/stacks", binds: []string{"{dir}/stacks:{dir}/ours"}, want: all("path_elsewhere", nil),
		}, {
			name: "a parent and nested mounts", root: "{dir}/stacks", on: "{dir}/stacks",
			binds: []string{"{dir}:{dir}", "{dir}/disk:{dir}/stacks/app/nested", "{dir}/stacks/same:{dir}/stacks/same"},
			extra: map[string]string{"disk/marker": "the disk", "stacks/app/nested/": "", "stacks/same/marker": "the same"},
			more:  []string{"nested ./nested", "whole .", "again ../same"},
			want:  all("same", map[string]string{"nested": "path_elsewhere", "whole": "path_elsewhere", "again": "same", "unseen": "same", "home": "same"}),
		}, {
			name: "a volume", root: "{dir}/ours", on: "{volume}", binds: []string{"{volumeName}:{dir}/ours"}, want: all("path_elsewhere", nil),
		}, {
			name: "links", root: "{dir}/stacks", on: "{dir}/stacks", binds: []string{"{dir}/stacks:{dir}/stacks", "{dir}/disk:{dir}/ours"},
			extra: map[string]string{
				"disk/films/marker": "films", "else/marker": "else", "stacks/real/marker": "real",
				"stacks/app/near": ">../real", "stacks/app/out": ">{dir}/ours/films", "stacks/app/host": ">{dir}/disk/films", "stacks/app/far": ">{dir}/else",
			},
			more: []string{"near ./near", "out ./out", "host ./host", "far ./far"},
			want: all("same", map[string]string{"near": "same", "out": "path_elsewhere", "host": "same", "far": "unseen"}),
		},
	}
}

// paths is a layout on an engine.
type paths struct {
	*world
	layout
	dir    string // on the host
	fill   *strings.Replacer
	image  string
	doctor string
	server testbed.Container // unless out
}

func newPaths(w *world, l layout, image, doctor string) *paths {
	w.Helper()
	p := &paths{world: w, layout: l, dir: w.TempDir(), image: image, doctor: doctor}
	volume := testbed.Must(w.bed.Volume(w.Context(), strings.ReplaceAll(l.name, " ", "-"), client.VolumeCreateOptions{}))(w)
	at := testbed.Must(w.engine.VolumeInspect(w.Context(), volume, client.VolumeInspectOptions{}))(w).Volume.Mountpoint
	p.fill = strings.NewReplacer("{dir}", p.dir, "{volume}", at, "{volumeName}", volume)
	p.root, p.on = p.fill.Replace(l.root), p.fill.Replace(l.on)
	p.furnish()
	w.Cleanup(func() {
		_, _, err := p.bed.Engine().Compose(context.WithoutCancel(w.Context()), p.dir, nil, "-p", p.project(), "down", "--timeout", "0")
		w.must(err)
	})
	if l.out {
		p.write(p.dir+"/state/watch-docker.db", "")
		return p
	}
	p.server = w.run(testbed.ContainerSpec{Env: []string{"HOME=" + p.dir + "/home"}}, func(h *container.HostConfig) {
		h.Binds = append(h.Binds, doctor+":/doctor:ro", p.dir+"/state:/config", p.dir+"/more:/more")
		for _, bind := range l.binds {
			h.Binds = append(h.Binds, p.fill.Replace(bind))
		}
	})
	return p
}

// furnish makes the files: each folder has a marker of its own.
func (p *paths) furnish() {
	p.Helper()
	app := filepath.Join(p.on, "app")
	for _, name := range []string{"data", "absolute", "long", "ctx"} {
		p.write(filepath.Join(app, name, "marker"), "the project's "+name)
	}
	p.write(filepath.Join(p.on, "shared/x/marker"), "shared")
	for _, name := range []string{"conf", "secret"} {
		p.write(filepath.Join(app, name), "the project's "+name)
	}
	p.write(filepath.Join(app, "app.env"), "MARK=the project's environment")
	p.write(filepath.Join(app, "ctx/Dockerfile"), "FROM "+p.image+"\nCOPY marker /m/marker\n")
	p.write(filepath.Join(p.dir, "unseen/marker"), "of the host alone")
	p.write(filepath.Join(p.dir, "home/x/marker"), "at home")
	p.write(filepath.Join(p.dir, "more/marker"), "more")
	for name, content := range p.extra {
		name, content = filepath.Join(p.dir, name)+name[len(strings.TrimRight(name, "/")):], p.fill.Replace(content)
		target, link := strings.CutPrefix(content, ">")
		switch {
		case link:
			p.must(os.Symlink(target, name))
		case strings.HasSuffix(name, "/"):
			p.must(os.MkdirAll(name, 0o755))
		default:
			p.write(name, content)
		}
	}
	p.write(filepath.Join(app, "compose.yaml"), p.composed())
}

func (p *paths) write(name, content string) {
	p.Helper()
	p.must(os.MkdirAll(filepath.Dir(name), 0o755))
	p.must(os.WriteFile(name, []byte(content+"\n"), 0o644))
}

// composed is the project: one service for each way to write a path.
func (p *paths) composed() string {
	var b strings.Builder
	service := func(name, rest string) {
		image := "image: " + p.image
		if name == "build" {
			image = "build: ./ctx"
		}
		fmt.Fprintf(&b, "  %s: {%s, network_mode: none, stop_grace_period: 0s%s}\n", name, image, rest)
	}
	bind := func(name, source string) { service(name, fmt.Sprintf(", volumes: [%q]", source+":/m")) }
	b.WriteString("services:\n")
	bind("relative", "./data")
	bind("shared", "../shared/x")
	bind("absolute", p.root+"/app/absolute")
	bind("home", "~/x")
	bind("unseen", p.dir+"/unseen")
	bind("elsewhere", p.dir+"/more")
	bind("state", p.dir+"/state")
	bind("missing", "./missing")
	service("long", ", volumes: [{type: bind, source: ./long, target: /m, bind: {create_host_path: false}}]")
	service("needed", ", volumes: [{type: bind, source: ./needed, target: /m, bind: {create_host_path: false}}]")
	service("config", ", configs: [{source: c, target: /m}]")
	service("secret", ", secrets: [{source: s, target: /m}]")
	service("env", ", env_file: [./app.env]")
	service("build", "")
	for _, line := range p.more {
		name, source, _ := strings.Cut(line, " ")
		bind(name, source)
	}
	b.WriteString("configs: {c: {file: ./conf}}\nsecrets: {s: {file: ./secret}}\n")
	return b.String()
}

func (p *paths) project() string { return "paths-" + strings.ReplaceAll(p.name, " ", "-") }

// up brings services up as Watch Docker does, from its own container.
func (p *paths) up(services ...string) error {
	p.Helper()
	if len(services) == 0 { // Docker Compose would take all
		return nil
	}
	_, said, code := p.compose(append([]string{"up", "--detach", "--build"}, services...)...)
	if code != 0 {
		return fmt.Errorf("docker-compose up %v exits with %d: %s", services, code, said)
	}
	return nil
}

func (p *paths) compose(args ...string) (stdout, stderr string, code int) {
	p.Helper()
	return p.here(append([]string{composePath, "--project-directory", p.root + "/app", "--project-name", p.project(), "--progress", "plain"}, args...)...)
}

// here runs a command where Watch Docker runs.
func (p *paths) here(args ...string) (stdout, stderr string, code int) {
	p.Helper()
	if !p.out {
		return p.exec(p.server, args...)
	}
	path := map[string]string{composePath: p.world.compose, "/doctor": p.doctor}[args[0]]
	cmd := exec.CommandContext(p.Context(), path, args[1:]...)
	cmd.Env = append(testbed.Must(p.bed.Engine().ComposeEnv(p.Context()))(p), "HOME="+p.dir+"/home")
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); cmd.ProcessState == nil {
		p.Fatal(err)
	}
	return out.String(), said.String(), cmd.ProcessState.ExitCode()
}

// sources are the services' paths as Docker Compose sends them to the engine.
func (p *paths) sources() (services []string, sources []hostpath.Source) {
	p.Helper()
	out, said, code := p.compose("config", "--format", "json")
	var model struct {
		Services map[string]struct {
			Volumes []struct {
				Source string
				Bind   struct {
					CreateHostPath *bool `json:"create_host_path"`
				}
			}
			Configs, Secrets []struct{ Source string }
			Build            struct{ Context string }
		}
		Configs, Secrets map[string]struct{ File string }
	}
	if err := json.Unmarshal([]byte(out), &model); err != nil || code != 0 {
		p.Fatalf("docker-compose config: %v: %s", err, said)
	}
	for name, s := range model.Services {
		source := hostpath.Source{Kind: hostpath.KindBind, Home: name == "home"}
		switch {
		case name == "env":
			source = hostpath.Source{Path: p.root + "/app/app.env", Kind: hostpath.KindEnvFile, ReadByCLI: true, Required: true}
		case s.Build.Context != "":
			source = hostpath.Source{Path: s.Build.Context, Kind: hostpath.KindBuild, ReadByCLI: true, Required: true}
		case len(s.Configs) > 0:
			source.Path, source.Kind = model.Configs[s.Configs[0].Source].File, hostpath.KindConfig
		case len(s.Secrets) > 0:
			source.Path, source.Kind = model.Secrets[s.Secrets[0].Source].File, hostpath.KindSecret
		default:
			made := s.Volumes[0].Bind.CreateHostPath
			source.Path, source.CreateHostPath = s.Volumes[0].Source, made == nil || *made
		}
		services, sources = append(services, name), append(sources, source)
	}
	return services, sources
}

// answer is what test/image/doctor writes.
type answer struct {
	Finding        hostpath.Finding
	Holds          bool
	AtPath, AtOurs string
}

func (p *paths) ask(sources []hostpath.Source) []answer {
	p.Helper()
	state := map[bool]string{false: "/config", true: p.dir + "/state"}[p.out]
	question := testbed.Must(json.Marshal(map[string]any{"shown": []string{p.root}, "state": state, "sources": sources}))(p)
	out, said, code := p.here("/doctor", string(question))
	var answers struct {
		Confirmed bool
		Sources   []answer
	}
	if err := json.Unmarshal([]byte(out), &answers); err != nil || code != 0 || len(answers.Sources) != len(sources) {
		p.Fatalf("doctor: %v, %d: %s", err, code, said)
	}
	if answers.Confirmed != (p.root == p.on) {
		p.Errorf("the engine has %s itself: %v", p.root, answers.Confirmed)
	}
	return answers.Sources
}

// judged compares what the doctor said with what each service finds.
func (p *paths) judged() {
	services, sources := p.sources()
	answers := p.ask(sources)
	var good, refused []string
	fails := map[string]error{}
	for i, name := range services {
		p.foretold(name, answers[i])
		switch {
		case !answers[i].Finding.Refuse:
			good = append(good, name)
		case sources[i].CreateHostPath:
			refused = append(refused, name)
		default: // the engine may refuse it as well, and with it all that come in the same command
			fails[name] = p.up(name)
		}
	}
	p.must(p.up(good...))
	if err := p.up(refused...); err != nil { // a link that leads nowhere on the host
		for _, name := range refused {
			fails[name] = p.up(name)
		}
	}
	for i, name := range services {
		if err := fails[name]; err != nil {
			p.Logf("%s would fail: %v", name, err)
			continue
		}
		p.happens(name, answers[i])
	}
	left := testbed.Must(p.engine.ContainerList(p.Context(), client.ContainerListOptions{All: true, Filters: make(client.Filters).Add("name", ".wd-probe-")}))(p)
	if len(left.Items) > 0 {
		p.Errorf("left: %v", left.Items[0].Names)
	}
}

// foretold: the doctor says what the table wants, and Watch Docker's own state is known.
func (p *paths) foretold(name string, a answer) {
	p.Helper()
	got, f := string(a.Finding.State), a.Finding
	if f.Refuse {
		got = f.Code
	}
	if want, ok := p.want[name]; !ok || got != want {
		p.Errorf("%s: the doctor says %s, want %s: %s (host %q, ours %q)", name, got, want, f.Message, f.Host, f.Ours)
	}
	if f.Refuse && name != "shared" && name != "long" { // as the others
		p.Logf("%s: %s\n\t%s", name, f.Message, f.Suggestion)
	}
	if a.Holds != (name == "state") {
		p.Errorf("%s holds the state folder: %v", name, a.Holds)
	}
}

// happens: a service finds just what the doctor said; and where the doctor
// refuses it, something else than Watch Docker shows, or it isn't made at all.
func (p *paths) happens(name string, a answer) {
	p.Helper()
	f := a.Finding
	found := p.finds(name)
	switch {
	case f.Refuse && f.Code == hostpath.CodeElsewhere && name == "whole":
		if stdout, _, _ := p.exec(p.service(name), "cat", "/m/nested/marker"); stdout != "" {
			p.Errorf("%s was refused for nothing: it finds %q in its folder's nested", name, stdout)
		}
	case f.Refuse && found != "" && found == a.AtPath:
		p.Errorf("%s was refused for nothing: it finds %q, as Watch Docker does", name, found)
	case f.Refuse:
		p.Logf("%s would find %q, where Watch Docker sees %q", name, found, a.AtPath)
	case name == "state":
		if _, _, code := p.exec(p.service(name), "ls", "/m/watch-docker.db"); code != 0 {
			p.Error("that isn't the state folder")
		}
	case f.State == hostpath.Same && (found != a.AtOurs || found == ""):
		p.Errorf("%s finds %q; Watch Docker shows %q at %s", name, found, a.AtOurs, f.Ours)
	case f.State == hostpath.Read && (found != a.AtPath || found == ""):
		p.Errorf("%s has %q; Watch Docker sees %q", name, found, a.AtPath)
	case f.State == hostpath.Unseen:
		if on := strings.TrimSpace(string(testbed.Must(os.ReadFile(filepath.Join(f.Host, "marker")))(p))); found != on || a.AtOurs != "" {
			p.Errorf("%s finds %q; the host has %q, and Watch Docker sees %q", name, found, on, a.AtOurs)
		}
	case f.State == hostpath.Missing && found != "":
		p.Errorf("%s finds %q where nothing should be", name, found)
	}
}

func (p *paths) service(name string) testbed.Container {
	return testbed.Container{ID: p.project() + "-" + name + "-1"}
}

// finds is what a service has at its place.
func (p *paths) finds(name string) string {
	p.Helper()
	command := "cat /m/marker 2>/dev/null || cat /m 2>/dev/null"
	if name == "env" {
		command = `echo "MARK=$MARK"`
	}
	stdout, stderr, _ := p.exec(p.service(name), "sh", "-c", command)
	if strings.Contains(stderr, "No such container") {
		p.Errorf("%s: %s", name, stderr)
	}
	return strings.TrimSpace(stdout)
}
