package composefile_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/watch-docker/watch-docker/internal/composefile"
)

// folder writes files below a new root and gives that; "-> PATH" is a link.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		path := filepath.Join(root, name)
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		if to, ok := strings.CutPrefix(content, "-> "); ok {
			err = errors.Join(err, os.Symlink(to, path))
		} else {
			err = errors.Join(err, os.WriteFile(path, []byte(content), 0o644))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// check reads the project in the folder app of a root.
func check(t *testing.T, files map[string]string, change ...func(*composefile.Source)) composefile.Report {
	t.Helper()
	root := folder(t, files)
	s := composefile.Source{Root: root, Dir: filepath.Join(root, "app"), Name: "app"}
	for _, c := range change {
		c(&s)
	}
	r, err := composefile.Check(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// say is a problem as one line.
func say(p composefile.Problem) string {
	return fmt.Sprintf("%s:%d:%d %s %s", p.File, p.Line, p.Column, p.Code, p.Message)
}

const web = "services:\n  web:\n    image: nginx:1\n"

func TestProblemsHaveAPlaceAndSayWhatToDo(t *testing.T) {
	for name, c := range map[string]struct {
		file string
		want []string // "line:column code part of the message"
	}{
		"tab":            {"services:\n\tweb:\n\t\timage: a\n", []string{"2:1 tab spaces"}},
		"syntax":         {"services:\n  web: [1, 2\n", []string{"yaml_syntax"}},
		"duplicate key":  {web + "    image: b\n", []string{"4:5 duplicate_key line 3"}},
		"unknown keys":   {"services:\n  web:\n    imagee: a\n    image: b\n    portss: []\nservces: {}\n", []string{"3:5 unknown_key image?", "5:5 unknown_key ports?", "6:1 unknown_key services?"}},
		"unknown in map": {web + "    healthcheck: {tests: [CMD, a]}\n", []string{"4:19 unknown_key test?"}},
		"wrong types":    {web + "    ports: 80\n    privileged: maybe\n    build: 3\n", []string{"4:12 wrong_type list", "5:17 wrong_type true or false", "6:12 wrong_type text or a mapping"}},
		"odd name":       {"services:\n  we b:\n    image: a\n", []string{"2:3 unknown_key letters, digits"}},
		"duration":       {web + "    healthcheck: {interval: fast}\n", []string{"4:29 bad_value fast"}},
		"number as key":  {"services:\n  1:\n    image: a\n", []string{"2:3 bad_key quotes"}},
		"missing":        {web + "    environment:\n      A: ${A:?say it}\n      B: ${B?}\n", []string{"5:10 missing_variable say it", "6:10 missing_variable .env"}},
		"lone dollar":    {web + "    command: a ${ b\n", []string{"4:14 bad_interpolation $$"}},
		"undefined": {web + "    networks: [frnt]\n    volumes: ['data:/data']\n    depends_on: [db]\n    secrets: [key]\n    configs: [conf]\nnetworks: {front: {}}\n", []string{
			"4:16 undefined front?", "5:15 undefined volumes:", "6:18 undefined service db", "7:15 undefined secret key", "8:15 undefined config conf"}},
		"nothing to run":   {"services:\n  web:\n    ports: []\n", []string{"2:3 missing_key build"}},
		"cycle":            {"services:\n  a: {image: a, depends_on: [b]}\n  b: {image: b, depends_on: [c]}\n  c: {image: c, depends_on: [a]}\n", []string{"cycle a -> b -> c -> a"}},
		"extends a circle": {"services:\n  a: {image: a, extends: b}\n  b: {image: b, extends: a}\n", []string{"cycle extends itself"}},
		"extends nothing":  {"services:\n  a: {image: a, extends: b}\n", []string{"2:26 undefined b"}},
		"empty":            {"", []string{"empty_file services:"}},
		"comments only":    {"# nothing\n", []string{"empty_file"}},
		"a list":           {"- a\n", []string{"1:1 not_a_mapping list"}},
		"a word":           {"hello\n", []string{"1:1 not_a_mapping"}},
		"binary":           {"\x7fELF\x00\x00\x01", []string{"binary"}},
		"invalid UTF-8":    {"services:\n  web: {image: \"\xff\"}\n", []string{"2:17 not_utf8 0xff"}},
		"alias of itself":  {"services: &a\n  web: *a\n", []string{"cycle"}},
		"merged word":      {"services:\n  web:\n    <<: hello\n    image: a\n", []string{"bad_value <<"}},
		"too many ports":   {web + "    ports: ['1-65535:1-65535', '1-65535:1-65535/udp']\n", []string{"4:32 too_complex ports"}},
		"deep":             {"services: " + strings.Repeat("[", 300) + strings.Repeat("]", 300) + "\n", []string{"too_complex levels"}},
		"name":             {"name: a\nservices: {web: {image: 5}}\n", []string{"2:25 wrong_type"}},
		"unknown tag":      {"services: {web: {image: !!int x}}\n", []string{"bad_value"}},
		"not a number":     {web + "    mem_limit: .nan\n", []string{"bad_value"}},
		"container names":  {web + "    container_name: one\n    deploy: {replicas: 2}\n", []string{"container_name"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := check(t, map[string]string{"app/compose.yaml": c.file})
			if len(r.Problems) != len(c.want) {
				t.Errorf("%d problems, want %d", len(r.Problems), len(c.want))
			}
			for i, p := range r.Problems {
				for part := range strings.FieldsSeq(strings.Join(c.want[min(i, len(c.want)-1):min(i+1, len(c.want))], "")) {
					if !strings.Contains(say(p), part) {
						t.Errorf("%q lacks %q", say(p), part)
					}
				}
				if p.File != "compose.yaml" || !strings.HasSuffix(p.Message, ".") && !strings.HasSuffix(p.Message, "?") {
					t.Errorf("%q", say(p))
				}
			}
		})
	}
}

func TestNothingOutsideOfTheRootIsRead(t *testing.T) {
	outside := folder(t, map[string]string{"secret.yaml": "services: {stolen: {image: hunter2}}\n", "env": "STOLEN=hunter2\n"})
	for name, files := range map[string]map[string]string{
		"include above":        {"compose.yaml": "include: [../../other.yaml]\n"},
		"include absolute":     {"compose.yaml": "include: [" + outside + "/secret.yaml]\n"},
		"include by variable":  {"compose.yaml": "include: ['${F}']\n", ".env": "F=" + outside + "/secret.yaml\n"},
		"include by link":      {"compose.yaml": "include: [link.yaml]\n", "link.yaml": "-> " + outside + "/secret.yaml"},
		"include by folder":    {"compose.yaml": "include: [sub/secret.yaml]\n", "sub": "-> " + outside},
		"include's folder":     {"compose.yaml": "include: [{path: in.yaml, project_directory: " + outside + "}]\n", "in.yaml": web},
		"include's env":        {"compose.yaml": "include: [{path: in.yaml, env_file: " + outside + "/env}]\n", "in.yaml": web},
		"include's .env":       {"compose.yaml": "include: [in/in.yaml]\n", "in/in.yaml": web, "in/.env": "-> " + outside + "/env"},
		"extends":              {"compose.yaml": "services: {a: {extends: {file: " + outside + "/secret.yaml, service: stolen}}}\n"},
		"extends by alias":     {"compose.yaml": "x-f: &f {file: " + outside + "/secret.yaml, service: stolen}\nservices: {a: {extends: *f}}\n"},
		"extends by merge":     {"compose.yaml": "x-f: &f\n  extends: {file: " + outside + "/secret.yaml, service: stolen}\nservices: {a: {<<: *f}}\n"},
		"extends of extends":   {"compose.yaml": "services: {a: {extends: {file: b.yaml, service: b}}}\n", "b.yaml": "services: {b: {extends: {file: " + outside + "/secret.yaml, service: stolen}}}\n"},
		"env_file":             {"compose.yaml": web + "    env_file: [" + outside + "/env]\n"},
		"env_file by link":     {"compose.yaml": web + "    env_file: link\n", "link": "-> " + outside + "/env"},
		"env_file of home":     {"compose.yaml": web + "    env_file: ~/env\n"},
		"label_file":           {"compose.yaml": web + "    label_file: " + outside + "/env\n"},
		".env":                 {"compose.yaml": web, ".env": "-> " + outside + "/env"},
		"COMPOSE_FILE":         {"compose.yaml": web, ".env": "COMPOSE_FILE=" + outside + "/secret.yaml\n"},
		"compose file by link": {"compose.yaml": "-> " + outside + "/secret.yaml"},
		"link to nowhere":      {"compose.yaml": "include: [link.yaml]\n", "link.yaml": "-> " + outside + "/later.yaml"},
		"build":                {"compose.yaml": "services: {a: {build: ../..}}\n"},
		"build context":        {"compose.yaml": "services: {a: {build: {context: " + outside + "}}}\n"},
		"dockerfile":           {"compose.yaml": "services: {a: {build: {context: ., dockerfile: ../../Dockerfile}}}\n"},
		"additional context":   {"compose.yaml": "services: {a: {build: {context: ., additional_contexts: {b: /etc}}}}\n"},
		"ssh key":              {"compose.yaml": "services: {a: {build: {context: ., ssh: [default=/root/.ssh/id_rsa]}}}\n"},
		"watch":                {"compose.yaml": web + "    develop: {watch: [{path: /etc, action: rebuild}]}\n"},
		"config":               {"compose.yaml": web + "    configs: [c]\nconfigs: {c: {file: /etc/passwd}}\n"},
		"secret":               {"compose.yaml": web + "    secrets: [c]\nsecrets: {c: {file: ../../c}}\n"},
	} {
		t.Run(name, func(t *testing.T) {
			in := map[string]string{}
			for file, content := range files {
				in["app/"+file] = content
			}
			r := check(t, in)
			codes := []string{}
			for _, p := range r.Problems {
				codes = append(codes, p.Code)
				if p.File == "" || p.Line == 0 && !strings.HasSuffix(p.File, ".env") && !strings.Contains(name, "COMPOSE_FILE") && !strings.Contains(name, "compose file") {
					t.Errorf("no place: %s", say(p))
				}
			}
			if !slices.Contains(codes, "outside_root") && !slices.Contains(codes, "home_path") {
				t.Errorf("problems: %v", r.Problems)
			}
			if all := fmt.Sprintf("%+v", r); strings.Contains(all, "hunter2") {
				t.Errorf("the report has what is outside: %s", all)
			}
		})
	}
}

func TestRemoteIncludesAreRefused(t *testing.T) {
	for _, path := range []string{
		"https://example.org/compose.yaml", "git@github.com:a/b.git", "https://github.com/a/b.git#main:x", "oci://example.org/a:1", "github.com/a/b", "ssh://a/b", "git://a/b",
	} {
		for _, file := range []string{"include: ['" + path + "']\n", "include: [{path: ['" + path + "']}]\n", "services: {a: {image: a, extends: {service: a, file: '" + path + "'}}}\n"} {
			r := check(t, map[string]string{"app/compose.yaml": file})
			if len(r.Problems) != 1 || r.Problems[0].Code != "remote_include" || r.Problems[0].Line != 1 {
				t.Errorf("%s: %v", file, r.Problems)
			}
		}
	}
}

func numbered(n int, format string) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf(format, i)
	}
	return list
}

// processorTime is what this process has used: whoever else is on the machine
// doesn't count.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		t.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

func TestHostileFilesCostLittle(t *testing.T) {
	var bomb, layers, laughs strings.Builder
	bomb.WriteString("x-0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n")
	for i := 1; i < 12; i++ {
		fmt.Fprintf(&bomb, "x-%d: &a%d [%s]\n", i, i, strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 10))
	}
	layers.WriteString("services:\n")
	for i := range 60 {
		for _, side := range []string{"a", "b"} {
			fmt.Fprintf(&layers, "  %s%d: {image: x, depends_on: [a%d, b%d]}\n", side, i, i+1, i+1)
		}
	}
	layers.WriteString("  a60: {image: x}\n  b60: {image: x}\n")
	laughs.WriteString("A0=lol\n")
	for i := 1; i < 64; i++ {
		fmt.Fprintf(&laughs, "A%d=${A%d}${A%d}\n", i, i-1, i-1)
	}
	includes := map[string]string{"app/compose.yaml": "include: [i0.yaml]\n"}
	for i := range 30 {
		includes[fmt.Sprintf("app/i%d.yaml", i)] = fmt.Sprintf("include: [i%d.yaml, {path: i%d.yaml}]\n", i+1, i+1)
	}
	nested := map[string]string{"app/compose.yaml": "include: [i0.yaml]\n"}
	for i := range 30 {
		nested[fmt.Sprintf("app/i%d.yaml", i)] = fmt.Sprintf("include: [i%d.yaml]\n", i+1)
	}
	for name, c := range map[string]struct {
		files map[string]string
		code  string
	}{
		"nested":         {nested, "too_deep"},
		"aliases":        {map[string]string{"app/compose.yaml": bomb.String() + web}, "too_complex"},
		"5 MiB":          {map[string]string{"app/compose.yaml": web + "#" + strings.Repeat("x", 5<<20)}, "too_big"},
		"env file":       {map[string]string{"app/compose.yaml": web, "app/.env": laughs.String()}, "too_big"},
		"env_file":       {map[string]string{"app/compose.yaml": web + "    env_file: e\n", "app/e": laughs.String()}, "too_big"},
		"values":         {map[string]string{"app/compose.yaml": web + "    command: ['" + strings.Repeat("${A}", 2000) + "']\n", "app/.env": "A=" + strings.Repeat("x", 10000)}, "too_big"},
		"dependencies":   {map[string]string{"app/compose.yaml": layers.String()}, ""},
		"includes":       {includes, "too_many_files"},
		"include itself": {map[string]string{"app/compose.yaml": "include: [a.yaml]\n", "app/a.yaml": "include: [compose.yaml]\n"}, "cycle"},
		"a pipe":         {map[string]string{"app/compose.yaml": "include: [pipe]\n"}, "not_a_file"},
		"a folder":       {map[string]string{"app/compose.yaml": "include: [sub]\n", "app/sub/x": ""}, "not_a_file"},
		"many services":  {map[string]string{"app/compose.yaml": "services:\n" + strings.Join(numbered(30000, "  a%d: {image: x}\n"), "")}, "too_complex"},
		"many variables": {map[string]string{"app/compose.yaml": web + "    command: ['" + strings.Join(numbered(30000, "${V%d}"), "', '") + "']\n", "app/.env": strings.Join(numbered(60000, "W%d=1\n"), "")}, ""},
		"many secrets":   {map[string]string{"app/compose.yaml": web + "    environment:\n" + strings.Join(numbered(30000, "      - PASSWORD%d=x\n"), "") + "    volumes:\n" + strings.Join(numbered(10000, "      - v%d:/v%[1]d\n"), "")}, "undefined"},
		"unknown keys":   {map[string]string{"app/compose.yaml": strings.Join(numbered(49000, "k%d: 1\n"), "")}, "unknown_key"},
		"unknown in all": {map[string]string{"app/compose.yaml": "services:\n" + strings.Join(numbered(900, "  a%d: {image: x, "+strings.Join(numbered(50, "k%d: 1"), ", ")+"}\n"), "")}, "unknown_key"},
		"documents":      {map[string]string{"app/compose.yaml": strings.Repeat("---\na: 1\n", 50000)}, "too_complex"},
		"empty ones":     {map[string]string{"app/compose.yaml": strings.Repeat("---\n", 500000)}, "empty_file"},
		"wrong ones":     {map[string]string{"app/compose.yaml": strings.Repeat("---\nservices: 1\n", 100)}, "wrong_type"},
		"many files":     {map[string]string{"app/compose.yaml": web}, "too_many_files"},
	} {
		t.Run(name, func(t *testing.T) {
			start := processorTime(t)
			r := check(t, c.files, func(s *composefile.Source) {
				if name == "a pipe" {
					if err := syscall.Mkfifo(filepath.Join(s.Dir, "pipe"), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				if name == "many files" {
					s.Files = slices.Repeat([]string{"compose.yaml"}, 101)
				}
			})
			if took := processorTime(t) - start; took > 10*time.Second {
				t.Errorf("it took %s", took)
			}
			switch {
			case c.code == "" && len(r.Problems) > 0, c.code != "" && (len(r.Problems) == 0 || r.Problems[0].Code != c.code):
				t.Errorf("%v", r.Problems)
			}
		})
	}
}

func TestByteOrderMarksAndLineEndsAreAccepted(t *testing.T) {
	r := check(t, map[string]string{
		"app/compose.yaml": "\ufeff" + strings.ReplaceAll("services:\n  web:\n    image: nginx:${TAG}\n    imag: x\n", "\n", "\r\n"),
		"app/.env":         "\ufeffTAG=1\r\n",
	})
	if len(r.Problems) != 1 || r.Problems[0].Line != 4 || r.Problems[0].Column != 5 || r.Services[0].Image != "nginx:1" {
		t.Errorf("%v %v", r.Problems, r.Services)
	}
}

func TestVariablesComeFromTheProjectAlone(t *testing.T) {
	t.Setenv("USER_PASSWORD", "ours")
	t.Setenv("COMPOSE_FILE", "/etc/passwd")
	t.Setenv("COMPOSE_PROJECT_NAME", "ours")
	t.Setenv("COMPOSE_PROFILES", "ours")
	r := check(t, map[string]string{
		"app/compose.yaml": web + "    command: ['${USER_PASSWORD}', '${A}', '${B:-b}', '${COMPOSE_PROJECT_NAME}', \"${C}\"]\n    env_file: e\n",
		"app/.env":         "A='x$y'\nC=\"1\n2\"\nUNUSED=1\n", "app/e": "P=${USER_PASSWORD}\nUSER_PASSWORD\n",
	})
	if len(r.Problems) > 0 || r.Name != "app" {
		t.Fatalf("%s %v", r.Name, r.Problems)
	}
	got := map[string]string{}
	for _, v := range r.Variables {
		got[v.Name] = v.From + "=" + v.Value
	}
	want := map[string]string{"USER_PASSWORD": "unset=", "A": ".env=x$y", "B": "default=b", "COMPOSE_PROJECT_NAME": "project=app", "C": ".env=1\n2", "UNUSED": ".env=1"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestWhatTheCommandsEnvironmentGivesIsReadAsComposeReadsIt(t *testing.T) {
	root := folder(t, map[string]string{
		"app/compose.yaml": "include: ['${PWD}/sub/in.yaml']\nservices:\n  web:\n    image: 'a:${COMPOSE_EXPERIMENTAL_GIT_REMOTE}'\n    env_file: ${PWD}/e\n    volumes: ['${PWD}/data:/data', '${DATA}:/x', '${PWD:+/other}/y:/y']\n",
		"app/.env":         "PWD=/tmp\nDATA=${PWD}/d\nCOMPOSE_EXPERIMENTAL_GIT_REMOTE=true\n", "app/e": "A=1\n",
		"app/sub/in.yaml": "services: {in: {image: b, volumes: ['${PWD}/z:/z']}}\n", "app/sub/.env": "PWD=/tmp\n",
	})
	r, err := composefile.Check(t.Context(), composefile.Source{Root: root, Dir: root + "/app", Name: "app"})
	if err != nil || len(r.Problems) > 0 {
		t.Fatal(err, r.Problems)
	}
	var binds []string
	for _, b := range r.Binds {
		if b.Kind == composefile.KindBind {
			binds = append(binds, b.Source)
		}
	}
	if want := []string{root + "/app/z", root + "/app/data", root + "/app/d", "/other/y"}; !slices.Equal(binds, want) || r.Services[1].Image != "a:false" {
		t.Errorf("%q, want %q; %v", binds, want, r.Services)
	}
	for _, v := range r.Variables {
		if v.Name == "PWD" && (v.From != composefile.FromCommand || v.Value != root+"/app") || v.Name == "DATA" && v.From != ".env" {
			t.Errorf("%+v", v)
		}
	}
}

func TestAVariableThatWouldBeOursKeepsAProjectFromStarting(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		at    string // of the problem; empty: there is none
	}{
		"in a Compose file":          {map[string]string{"compose.yaml": web + "    volumes: ['${HOME}/data:/x']\n"}, "compose.yaml:4:15"},
		"also if .env sets it":       {map[string]string{"compose.yaml": web + "    volumes: ['$HOME/data:/x']\n", ".env": "HOME=/home/me\n"}, "compose.yaml:4:15"},
		"also with a default":        {map[string]string{"compose.yaml": web + "    volumes: ['${HOME:-/srv/x}:/x']\n"}, "compose.yaml:4:15"},
		"as a condition":             {map[string]string{"compose.yaml": web + "    volumes: ['${PATH:+/var/lib}/watch-docker:/x']\n"}, "compose.yaml:4:15"},
		"in a default":               {map[string]string{"compose.yaml": web + "    volumes: ['${A:-${DOCKER_CONFIG}}:/x']\n"}, "compose.yaml:4:15"},
		"in .env":                    {map[string]string{"compose.yaml": web, ".env": "A=1\nDATA=${HOME}/data\n"}, ".env:2:0"},
		"in .env of an include":      {map[string]string{"compose.yaml": "include: [sub/in.yaml]\n", "sub/in.yaml": web, "sub/.env": "DATA=$HOME\n"}, "sub/.env:1:0"},
		"in an env_file":             {map[string]string{"compose.yaml": web + "    env_file: e\n", "e": "A=${PATH}\n"}, "e:1:0"},
		"by its name in an env_file": {map[string]string{"compose.yaml": web + "    env_file: e\n", "e": "A=1\nPATH\n"}, "e:2:0"},
		"of the docker command":      {map[string]string{"compose.yaml": web + "    command: $DOCKER_CLI_PLUGIN_SOCKET\n"}, "compose.yaml:4:14"},
		"in a default of no use":     {map[string]string{"compose.yaml": web + "    volumes: ['${A:-${HOME}}:/x']\n", ".env": "A=/a\n"}, ""},
		"set for the container":      {map[string]string{"compose.yaml": web + "    environment: {HOME: /root}\n    env_file: e\n", "e": "PATH=/bin\n", ".env": "HOME=/x\n"}, ""},
		"the container's own":        {map[string]string{"compose.yaml": web + "    command: echo $$HOME\n"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			in := map[string]string{}
			for file, content := range c.files {
				in["app/"+file] = content
			}
			r := check(t, in)
			if c.at == "" && len(r.Problems) > 0 || c.at != "" && (len(r.Problems) != 1 || !strings.HasPrefix(say(r.Problems[0]), c.at+" own_variable ")) {
				t.Errorf("%v", r.Problems)
			}
		})
	}
}

func TestContentIsCheckedBeforeItIsSaved(t *testing.T) {
	r := check(t, map[string]string{"app/compose.yaml": web}, func(s *composefile.Source) {
		s.Replace = map[string][]byte{"compose.yaml": []byte("services: {web: {image: 'new:${T}'}}"), ".env": []byte("T=2")}
	})
	if len(r.Problems) > 0 || r.Services[0].Image != "new:2" {
		t.Errorf("%v %v", r.Problems, r.Services)
	}
}

func TestBadFileNamesAreRefused(t *testing.T) {
	for name, code := range map[string]string{
		"../../etc/passwd": "outside_root", "-": "bad_file_name", "-f": "bad_file_name", "sub/-x": "bad_file_name", "": "bad_file_name",
		"a\x00b": "bad_file_name", "gone.yaml": "not_found", "/etc/passwd": "outside_root", "compose.yaml/x": "not_readable", ".": "not_a_file",
	} {
		r := check(t, map[string]string{"app/compose.yaml": web}, func(s *composefile.Source) { s.Files = []string{name} })
		if len(r.Problems) != 1 || r.Problems[0].Code != code {
			t.Errorf("%q: %v", name, r.Problems)
		}
	}
}

func TestNames(t *testing.T) {
	for name, good := range map[string]bool{"a": true, "0-_a": true, "": false, "-a": false, "_a": false, "A": false, "a.b": false, "a/b": false, "ä": false, "a b": false, "..": false, "a\n": false, strings.Repeat("a", 64): false} {
		if composefile.IsName(name) != good {
			t.Errorf("IsName(%q) is %t", name, !good)
		}
	}
	r := check(t, map[string]string{"app/compose.yaml": web}, func(s *composefile.Source) { s.Name = "../x" })
	if len(r.Problems) != 1 || r.Problems[0].Code != "bad_name" {
		t.Errorf("%v", r.Problems)
	}
}

func TestWhatAFolderConsistsOf(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"first of several": {map[string]string{"app/compose.yaml": web, "app/docker-compose.yml": web, "app/compose.override.yml": web}, "app [compose.yaml compose.override.yml]"},
		"old name":         {map[string]string{"app/docker-compose.yml": "name: Shop\n"}, "shop [docker-compose.yml]"},
		"by variable":      {map[string]string{"app/a.yml": web, "app/.env": "COMPOSE_FILE=a.yml:b.yml\nCOMPOSE_PROJECT_NAME=x\n"}, "x [a.yml b.yml]"},
		"nothing":          {map[string]string{"app/readme": ""}, " []"},
		"a folder":         {map[string]string{"app/compose.yaml/x": ""}, " []"},
	} {
		root := folder(t, c.files)
		d, err := composefile.DefaultFiles(root, filepath.Join(root, "app"))
		if got := fmt.Sprint(d.Name, " ", d.Files); err != nil || got != c.want {
			t.Errorf("%s: %s, %v, want %s", name, got, err, c.want)
		}
	}
}

func TestAFolderThatIsNotThereIsTheCallersFault(t *testing.T) {
	root := t.TempDir()
	for _, s := range []composefile.Source{
		{Root: "relative", Dir: root}, {Root: root + "/gone", Dir: root + "/gone"}, {Root: root, Dir: filepath.Dir(root)}, {Root: root, Dir: root + "/../x"},
	} {
		if _, err := composefile.Check(t.Context(), s); !errors.Is(err, composefile.ErrSource) {
			t.Errorf("%v: %v", s, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	app := folder(t, map[string]string{"compose.yaml": web})
	if _, err := composefile.Check(ctx, composefile.Source{Root: app, Dir: app}); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: %v", err)
	}
}

func TestAFileThatComesAndGoesIsReadOrMissing(t *testing.T) {
	root := folder(t, map[string]string{"compose.yaml": "include: [a.yaml]\n"})
	done, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-done:
				return
			default:
			}
			os.WriteFile(root+"/a.yaml", []byte(web), 0o600)
			os.Remove(root + "/a.yaml")
		}
	}()
	for range 50 {
		r, err := composefile.Check(t.Context(), composefile.Source{Root: root, Dir: root, Name: "app"})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range r.Problems {
			if p.Code != "not_found" && p.Code != "empty_file" {
				t.Error(say(p))
			}
		}
	}
	close(done)
	<-stopped
}

func TestNoCopyStays(t *testing.T) {
	temp := t.TempDir()
	check(t, map[string]string{"app/compose.yaml": "include: [a.yaml]\n", "app/a.yaml": web}, func(s *composefile.Source) { s.Temp = temp })
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("%v %v", left, err)
	}
}

func TestEachPathHasItsWordsAndItsPlace(t *testing.T) {
	root := folder(t, map[string]string{
		"app/compose.yaml": `include: [sub/more.yaml]
services:
  web:
    build: {context: ., dockerfile: D}
    env_file: e
    secrets: [s]
    volumes:
      - ${F}/x:/x:ro
      - {type: bind, source: /y, target: /y, bind: {create_host_path: false}}
      - ~/z:/z
secrets: {s: {file: ./s.txt}}
volumes: {v: {driver: local, driver_opts: {type: none, o: bind, device: ./v}}}
`, "app/e": "", "app/.env": "F=./f\n", "app/sub/more.yaml": "services: {more: {extends: {file: b.yaml, service: b}}}\n",
		"app/sub/b.yaml": "services:\n  b: {image: b, volumes: ['./b:/b']}\n",
	})
	r, err := composefile.Check(t.Context(), composefile.Source{Root: root, Dir: root + "/app", Name: "app"})
	if err != nil || len(r.Problems) > 0 {
		t.Fatal(err, r.Problems)
	}
	var got []string
	for _, p := range r.Binds {
		got = append(got, fmt.Sprintf("%s %s %s %s %s %s:%d", p.Reader, p.Kind, p.Service, p.Written, strings.TrimPrefix(p.Source, root), p.File, p.Line))
	}
	want := []string{
		"cli include  sub/more.yaml /app/sub/more.yaml compose.yaml:1", "cli extends more b.yaml /app/sub/b.yaml sub/more.yaml:1",
		"engine bind more ./b:/b /app/sub/b sub/b.yaml:2", "engine bind web ${F}/x:/x:ro /app/f/x compose.yaml:8", "engine bind web /y /y compose.yaml:9",
		"engine bind web ~/z:/z ~/z compose.yaml:10", "cli env_file web e /app/e compose.yaml:5", "cli build web . /app compose.yaml:4",
		"cli dockerfile web /app/D", "engine secret web ./s.txt /app/s.txt compose.yaml:11", "engine volume  ./v /app/v compose.yaml:12",
	}
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || !strings.HasPrefix(strings.ReplaceAll(got[i], root, ""), want[i]) {
			t.Errorf("%d: %q", i, got[min(i, len(got)-1)])
		}
	}
}

func TestRisksAreNotedWithTheirPlace(t *testing.T) {
	r := check(t, map[string]string{"app/compose.yaml": `version: "3"
services:
  bad:
    image: nginx
    privileged: true
    cap_add: [ALL]
    network_mode: host
    pid: host
    ipc: host
    userns_mode: host
    security_opt: [seccomp:unconfined]
    devices: [/dev/kvm]
    links: [good]
    environment: {DB_PASSWORD: hunter2, PLAIN: x}
    volumes: ['/var/run/docker.sock:/s:ro', '/:/host', '/etc:/e', '~/x:/x']
  good:
    image: nginx:latest
    ports: ['80:80', '127.0.0.1:81:81']
    restart: always
    mem_limit: 1g
`})
	got := []string{}
	for _, n := range r.Notes {
		got = append(got, fmt.Sprintf("%s:%d", n.Code, n.Line))
		if strings.Contains(n.Message, "hunter2") {
			t.Errorf("a note has the secret: %s", n.Message)
		}
	}
	slices.Sort(got)
	want := []string{
		"deprecated:1", "no_restart_policy:3", "no_memory_limit:3", "no_tag:4", "privileged:5", "capability:6", "host_network:7", "host_pid:8", "host_ipc:9",
		"host_users:10", "unconfined:11", "devices:12", "deprecated:13", "plain_secret:14", "engine_socket:15", "root_mount:15", "system_mount:15", "home_path:15",
		"latest_tag:17", "published_everywhere:18",
	}
	slices.Sort(want)
	if !slices.Equal(got, want) || len(r.Problems) > 0 {
		t.Errorf("%v\nwant %v\n%v", got, want, r.Problems)
	}
}
