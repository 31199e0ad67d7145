package compose_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/watch-docker/watch-docker/internal/composefile"
	"github.com/watch-docker/watch-docker/test/testbed"
)

// readings are projects that Watch Docker and `docker compose config` must
// understand the same way.
func readings() map[string]map[string]string {
	const plain = "services: {web: {image: 'nginx:1'}}\n"
	return map[string]map[string]string{
		"plain":     {"compose.yaml": plain},
		"override":  {"compose.yaml": "services: {web: {image: 'a:1', volumes: ['./a:/a', './b:/b'], ports: ['80:80']}, gone: {image: x}}\n", "compose.override.yaml": "services:\n  web:\n    image: a:2\n    volumes: ['./c:/a:ro']\n    ports: !override ['81:81']\n  gone: !reset null\n"},
		"variables": {"compose.yaml": "services:\n  web:\n    image: ${A}/${B:-b}:${C-c}${D:+d}$$x\n    volumes: ['${F:-./f}/g:/f', '${UNSET:-./${N}}:/n']\n", ".env": "A=a\nB=\nC=\nD=1\nN=n # comment\n"},
		"values": {"compose.yaml": "services:\n  web:\n    image: a\n    volumes: ['./${A}:/a', './${B}:/b', './${C}:/c', './${D}:/d', './${E}:/e', './${F}:/f', './${G}:/g', './${H}:/h']\n",
			".env": "A='x$y'\nB=\"x\\$y\"\nexport C=c c\nD=a${A}b\nE: e\nF=\"f\\tf\"\nG='it\\'s'\r\nH = \"h\" # h\n"},
		"named":           {"compose.yaml": "name: ${N}-shop\n" + plain + "volumes: {data: {}}\n", ".env": "N=my\n"},
		"named by env":    {"compose.yaml": "name: no\n" + plain, ".env": "COMPOSE_PROJECT_NAME=yes\n"},
		"profiles":        {"compose.yaml": "services:\n  web: {image: a}\n  debug: {image: b, profiles: [debug]}\n  other: {image: c, profiles: [other]}\n", ".env": "COMPOSE_PROFILES=debug,x\n"},
		"COMPOSE_FILE":    {"a.yml": plain, "sub/b.yml": "services: {web: {volumes: ['./x:/x']}}\n", ".env": "COMPOSE_FILE=a.yml:sub/b.yml\n"},
		"include":         {"compose.yaml": "include: [sub/a.yaml, {path: [sub/b.yaml, sub/c.yaml], project_directory: other, env_file: e}]\n" + plain, "sub/a.yaml": "include: [deep/d.yaml]\nservices: {a: {image: 'a:${V}', volumes: ['./x:/x']}}\n", "sub/.env": "V=sub\n", "sub/deep/d.yaml": "services: {d: {image: 'd:${V}', volumes: ['../y:/y']}}\n", "sub/b.yaml": "services: {b: {image: 'b:${V}', volumes: ['./z:/z']}}\n", "sub/c.yaml": "services: {b: {image: 'c:${V}'}}\nvolumes: {v: {}}\n", "e": "V=e\n", "other/x": ""},
		"include's env":   {"compose.yaml": "include: [sub/a.yaml]\n", "sub/a.yaml": "services: {a: {image: 'a:${V}${W}'}}\n", "sub/.env": "V=sub\nW=${V}w\n", ".env": "V=top\n"},
		"extends":         {"compose.yaml": "services:\n  web: {extends: {file: sub/base.yaml, service: mid}, volumes: ['./w:/w']}\n  local: {extends: web, image: 'l:1'}\n", "sub/base.yaml": "services:\n  mid: {extends: {file: deep/b.yaml, service: base}, volumes: ['./m:/m'], image: 'm:${T}'}\n", "sub/deep/b.yaml": "services:\n  base: {image: b, volumes: ['./d:/d'], env_file: e}\n", "sub/deep/e": "X=1\n", ".env": "T=9\n"},
		"extends include": {"compose.yaml": "include: [a.yaml]\nservices: {web: {extends: base}}\n", "a.yaml": "services: {base: {image: b}}\n"},
		"anchors":         {"compose.yaml": "x-base: &b {image: a, volumes: [&v './a:/a'], restart: always}\nx-more: &m {image: never, user: '1'}\nservices:\n  web: {<<: [*b, *m]}\n  two: {<<: *b, image: b, volumes: [*v, './c:/c']}\n"},
		"documents":       {"compose.yaml": "services: {web: {image: a}}\n---\nservices: {web: {image: b}, two: {image: c}}\n"},
		"types":           {"compose.yaml": "services:\n  web:\n    image: a\n    privileged: 'true'\n    ports: ['8080-8081:80-81', 90]\n    ulimits: {nofile: '${N}'}\n    mem_limit: 1g\n    cpus: '0.5'\n    environment: {A: yes, B: 010, C: 1e3, D: null, E: 2020-01-02, F: 1_000, G: off, H: 0x1F, I: 1.50}\n    configs: [{source: c, mode: 0440}]\nconfigs: {c: {file: ./c}}\n", ".env": "N=12\n"},
		"volumes":         {"compose.yaml": "services:\n  web:\n    image: a\n    volumes: [data:/data:ro, /anon, {type: bind, source: ./b, target: /b, read_only: true}, {type: volume, source: ext, target: /e}, {type: tmpfs, target: /t}]\n    secrets: [s]\n    configs: [c]\nvolumes: {data: {}, ext: {external: true}, named: {name: other}}\nsecrets: {s: {file: ./s}}\nconfigs: {c: {content: x}}\nnetworks: {default: {name: mine}, x: {external: true}}\n"},
		"env_file":        {"compose.yaml": "services: {web: {image: a, env_file: [a, {path: gone, required: false}, {path: r, format: raw}], label_file: l}}\n", "a": "X='a b'\nY=${X}\n", "r": "Z='\"\n", "l": "x=y\n"},
		"refused type":    {"compose.yaml": "services: {web: {image: a, user: 0123}}\n"},
		"order":           {"compose.yaml": "services:\n  web: {image: a, depends_on: [db], links: [cache], network_mode: 'service:vpn'}\n  db: {image: b}\n  cache: {image: c}\n  vpn: {image: v}\n"},
		"odd names":       {"compose.yaml": "services: {a.b: {image: a}, '-x': {image: b}, _y: {image: c, depends_on: [a.b]}, '0': {image: d}}\n"},
		"refused key":     {"compose.yaml": "services: {web: {image: a, imag: b}}\n"},
		"refused cycle":   {"compose.yaml": "services: {a: {image: a, depends_on: [b]}, b: {image: b, depends_on: [a]}}\n"},
		"refused value":   {"compose.yaml": "services: {a: {image: '${X:?no}'}}\n"},
		"refused network": {"compose.yaml": "services: {a: {image: a, networks: [x]}}\n"},
		"refused twice":   {"compose.yaml": "services: {a: {image: a}, a: {image: b}}\n"},
		"refused file":    {"compose.yaml": "services: {a: {image: a, env_file: gone}}\n"},
		"refused extends": {"compose.yaml": "services: {a: {extends: {file: gone, service: x}}}\n"},
		"refused env":     {"compose.yaml": plain, ".env": "A='x\n"},
	}
}

func TestFilesAreReadAsComposeReadsThem(t *testing.T) {
	bed := testbed.New(t, testbed.WithEngine(testbed.PrivateEngine))
	for name, files := range readings() {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "app")
			for file, content := range files {
				path := filepath.Join(dir, file)
				if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644)); err != nil {
					t.Fatal(err)
				}
			}
			stdout, _, err := bed.Engine().Compose(t.Context(), dir, nil, "config", "--format", "json")
			ours, failed := composefile.Check(t.Context(), composefile.Source{Root: dir, Dir: dir})
			if failed != nil {
				t.Fatal(failed)
			}
			if refused := len(ours.Problems) > 0; refused != (err != nil) || refused != strings.HasPrefix(name, "refused") {
				t.Fatalf("we: %v\nCompose: %v", ours.Problems, err)
			}
			if err == nil {
				want := theirs(t, stdout)
				if diff := cmp.Diff(want, said(ours, want)); diff != "" {
					t.Errorf("(-Compose +we)\n%s\n%s", diff, stdout)
				}
			}
		})
	}
}

// theirs is what a model of Compose's says, as lines.
func theirs(t *testing.T, stdout string) []string {
	t.Helper()
	var m struct {
		Name     string
		Services map[string]struct {
			Image     string
			Restart   string
			DependsOn map[string]struct{ Condition string } `json:"depends_on"`
			Volumes   []struct {
				Type, Source, Target string
				ReadOnly             bool `json:"read_only"`
			}
		}
		Volumes, Networks map[string]struct {
			Name     string
			External bool
		}
		Secrets, Configs map[string]struct{ File string }
	}
	// The command doubles each $, so that its answer is a file again.
	if err := json.Unmarshal([]byte(strings.ReplaceAll(stdout, "$$", "$")), &m); err != nil {
		t.Fatal(err)
	}
	lines := []string{"name " + m.Name}
	for name, s := range m.Services {
		lines = append(lines, fmt.Sprintf("service %s %s %s", name, s.Image, s.Restart))
		for _, v := range s.Volumes {
			if v.Type == "bind" {
				lines = append(lines, fmt.Sprintf("bind %s %s %s %t", name, v.Source, v.Target, v.ReadOnly))
			}
		}
		for on, d := range s.DependsOn {
			lines = append(lines, fmt.Sprintf("depends %s %s %s", name, on, d.Condition))
		}
	}
	for key, v := range m.Volumes {
		lines = append(lines, fmt.Sprintf("volume %s %s %t", key, v.Name, v.External))
	}
	for key, n := range m.Networks {
		lines = append(lines, fmt.Sprintf("network %s %s %t", key, n.Name, n.External))
	}
	for _, list := range []map[string]struct{ File string }{m.Secrets, m.Configs} {
		for _, o := range list {
			if o.File != "" {
				lines = append(lines, "file "+o.File)
			}
		}
	}
	slices.Sort(lines)
	return lines
}

// said is the same of a report. Compose's command leaves out volumes and
// networks that no active service uses.
func said(r composefile.Report, theirs []string) []string {
	lines := []string{"name " + r.Name}
	active := map[string]bool{}
	for _, s := range r.Services {
		if active[s.Name] = s.Active; !s.Active {
			continue
		}
		lines = append(lines, fmt.Sprintf("service %s %s %s", s.Name, s.Image, s.Restart))
		for _, d := range s.DependsOn {
			lines = append(lines, fmt.Sprintf("depends %s %s %s", s.Name, d.Service, d.Condition))
		}
	}
	for _, b := range r.Binds {
		switch b.Kind {
		case composefile.KindBind:
			if active[b.Service] {
				lines = append(lines, fmt.Sprintf("bind %s %s %s %t", b.Service, b.Source, b.Target, b.ReadOnly))
			}
		case composefile.KindSecret, composefile.KindConfig:
			lines = append(lines, "file "+b.Source)
		}
	}
	for _, v := range r.Volumes {
		if line := fmt.Sprintf("volume %s %s %t", v.Key, v.Name, v.External); slices.Contains(theirs, line) {
			lines = append(lines, line)
		}
	}
	for _, n := range r.Networks {
		if line := fmt.Sprintf("network %s %s %t", n.Key, n.Name, n.External); slices.Contains(theirs, line) {
			lines = append(lines, line)
		}
	}
	slices.Sort(lines)
	return lines
}
