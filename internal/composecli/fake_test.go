package composecli_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/watch-docker/watch-docker/internal/composecli"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// scripts are commands of a test's own, for what the real ones don't do. They
// know the test's folder as $T.
func scripts(t *testing.T, dir string, byName map[string]string) (path string) {
	t.Helper()
	bin := filepath.Join(dir, "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, script := range byName {
		if !strings.HasPrefix(script, "#!") && !strings.HasPrefix(script, "\x7f") {
			script = "#!/bin/sh\nT=" + dir + "\nPATH=/bin:/usr/bin\n" + script
		}
		if err := os.WriteFile(filepath.Join(bin, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return bin
}

// asVersion answers for its version what it is given, and goes on otherwise.
func asVersion(version, otherwise string) string {
	return "case \"$*\" in *version*) printf '%s\\n' '" + version + "'; exit 0;; esac\n" + otherwise
}

// fake is a CLI whose docker is a script, and a project for it.
func fake(t *testing.T, script string, options ...composecli.Option) (*composecli.CLI, composecli.Project, string) {
	t.Helper()
	dir := t.TempDir()
	bin := scripts(t, dir, map[string]string{"docker": asVersion("5.5.1", script)})
	write(t, dir, "shop/compose.yaml", "services: {}\n")
	options = append([]composecli.Option{composecli.WithFolder(filepath.Join(dir, "work"))}, options...)
	cli, err := composecli.New([]string{"PATH=" + bin, "HOME=" + dir, "USER_PASSWORD=hush"}, options...)
	if err != nil {
		t.Fatal(err)
	}
	return cli, composecli.Project{Name: "shop", Files: []string{filepath.Join(dir, "shop/compose.yaml")}}, dir
}

func write(t *testing.T, dir, name, content string) {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(content), 0o644)); err != nil {
		t.Fatal(err)
	}
}

func content(t *testing.T, file string) string {
	t.Helper()
	c, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(c)
}

func TestWhatIsNoCompose(t *testing.T) {
	const old = "#shell\n"
	for name, c := range map[string]struct {
		scripts map[string]string
		want    composecli.Version
		is      error
		have    string // of TooOldError
	}{
		"nothing":           {is: composecli.ErrNoCompose},
		"no plugin":         {scripts: map[string]string{"docker": "echo 'unknown flag: --short' >&2; exit 125"}, is: composecli.ErrNoCompose},
		"no plugin, newer":  {scripts: map[string]string{"docker": "echo \"docker: unknown command: docker compose\" >&2; exit 1"}, is: composecli.ErrNoCompose},
		"rubbish":           {scripts: map[string]string{"docker": asVersion("Hello \x1b[1mworld", "")}, is: composecli.ErrNoCompose},
		"no number":         {scripts: map[string]string{"docker": asVersion("dev", "")}, is: composecli.ErrNoCompose},
		"says nothing":      {scripts: map[string]string{"docker": "exit 0"}, is: composecli.ErrNoCompose},
		"no interpreter":    {scripts: map[string]string{"docker-compose": "#!/none\n"}, is: composecli.ErrNoCompose},
		"another machine's": {scripts: map[string]string{"docker-compose": "\x7fELF\x00"}, is: composecli.ErrNoCompose},
		"version 1":         {scripts: map[string]string{"docker-compose": asVersion("1.29.2", "")}, have: "1.29.2"},
		"too old":           {scripts: map[string]string{"docker": asVersion("v2.29.0", old)}, have: "2.29.0"},
		"old enough to do":  {scripts: map[string]string{"docker": asVersion("2.29.1-desktop.1", "")}, want: composecli.Version{Version: "2.29.1-desktop.1", Command: "docker compose"}},
		"a packager's":      {scripts: map[string]string{"docker": asVersion("2.40.3+ds1-0ubuntu1", "")}, want: composecli.Version{Version: "2.40.3+ds1-0ubuntu1", Command: "docker compose"}},
		"by itself":         {scripts: map[string]string{"docker-compose": asVersion("v5.5.1", "")}, want: composecli.Version{Version: "5.5.1", Command: "docker-compose"}},
		"beside no plugin":  {scripts: map[string]string{"docker": "exit 1", "docker-compose": asVersion("5.5.1", "")}, want: composecli.Version{Version: "5.5.1", Command: "docker-compose"}},
		"beside an old one": {scripts: map[string]string{"docker": asVersion("2.3.3", ""), "docker-compose": asVersion("5.5.1", "")}, want: composecli.Version{Version: "5.5.1", Command: "docker-compose"}},
		"both too old":      {scripts: map[string]string{"docker": asVersion("2.3.3", ""), "docker-compose": asVersion("1.29.2", "")}, have: "2.3.3"},
		"the plugin first":  {scripts: map[string]string{"docker": asVersion("5.5.1", ""), "docker-compose": asVersion("5.6.0", "")}, want: composecli.Version{Version: "5.5.1", Command: "docker compose"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			bin := scripts(t, dir, c.scripts)
			cli, err := composecli.New([]string{"PATH=" + bin, "HOME=" + dir}, composecli.WithFolder(dir))
			var got composecli.Version
			if err == nil {
				got, err = cli.Version(t.Context())
			}
			var tooOld *composecli.TooOldError
			switch {
			case c.have != "" && (!errors.As(err, &tooOld) || tooOld.Have != c.have || tooOld.Need != "2.29.1"):
				t.Errorf("got %v, want %s to be too old", err, c.have)
			case c.have == "" && !errors.Is(err, c.is):
				t.Errorf("got %v, want %v", err, c.is)
			}
			if c.have != "" || c.is != nil {
				return
			}
			got.Path = ""
			if got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestOneThatIsInstalledLaterIsFound(t *testing.T) {
	dir := t.TempDir()
	bin := scripts(t, dir, map[string]string{"docker": asVersion("5.5.1", "exit 0")})
	write(t, dir, "compose.yaml", "")
	cli, err := composecli.New([]string{"PATH=" + bin, "HOME=" + dir}, composecli.WithFolder(dir))
	if err != nil {
		t.Fatal(err)
	}
	up := func() error {
		return cli.Do(t.Context(), composecli.Project{Name: "web", Files: []string{dir + "/compose.yaml"}}, composecli.Action{Kind: composecli.Up}, nil, nil)
	}
	if err := up(); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(bin+"/docker", bin+"/away"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := up(); !errors.Is(err, composecli.ErrNoCompose) {
			t.Errorf("with docker gone: %v", err)
		}
	}
	if err := os.Rename(bin+"/away", bin+"/docker"); err != nil {
		t.Fatal(err)
	}
	if err := up(); err != nil {
		t.Errorf("with docker back: %v", err)
	}
}

func TestThePluginGetsNoSecretAndNothingOfOurEnvironment(t *testing.T) {
	accounts := []composecli.Account{{Host: "registry.example:5000", Username: "me", Password: "s3cr3t"}, {Host: "docker.io", Username: "hub", Password: "s3cr3t2"}}
	cli, p, dir := fake(t, `echo "$@" >$T/args; env >$T/env; pwd >$T/pwd; cp "$2/config.json" $T/config.json
stat -c %a "$2" "$2/config.json" >$T/modes; ls "$2/cli-plugins" >$T/plugins; ls -A . >$T/around`,
		composecli.WithHost("tcp://engine.example:2376"), composecli.WithAccounts(func() []composecli.Account { return accounts }))
	write(t, dir, ".docker/cli-plugins/docker-compose", "")
	write(t, dir, ".docker/config.json", `{"currentContext":"elsewhere","credsStore":"desktop","proxies":{"default":{"httpProxy":"http://proxy"}},
		"auths":{"registry.example:5000":{"auth":"b2xk"},"other":{"auth":"a2VwdA=="}},"credHelpers":{"gcr.io":"gcloud"},"big":12345678901234567890}`)
	if err := cli.Do(t.Context(), p, composecli.Action{Kind: composecli.Up}, nil, nil); err != nil {
		t.Fatal(err)
	}
	all := content(t, dir+"/args") + content(t, dir+"/env")
	for _, secret := range []string{"s3cr3t", "hush", "bWU6"} {
		if strings.Contains(all, secret) {
			t.Errorf("%s is to be seen: %s", secret, all)
		}
	}
	for _, line := range strings.Split(strings.TrimSpace(content(t, dir+"/env")), "\n") {
		if name, _, _ := strings.Cut(line, "="); !slices.Contains([]string{"PATH", "HOME", "PWD", "OLDPWD", "_", "SHLVL", "T", "COMPOSE_EXPERIMENTAL_GIT_REMOTE", "COMPOSE_EXPERIMENTAL_OCI_REMOTE"}, name) {
			t.Errorf("the command's environment has %s", line)
		}
	}
	if modes := content(t, dir+"/modes"); modes != "700\n600\n" {
		t.Errorf("the folder and its config.json have the modes %s", modes)
	}
	if pwd := strings.TrimSpace(content(t, dir+"/pwd")); pwd != dir+"/shop" || !strings.Contains(content(t, dir+"/env"), "PWD="+dir+"/shop\n") {
		t.Errorf("it runs in %s", pwd)
	}
	if !strings.Contains(content(t, dir+"/plugins"), "docker-compose") {
		t.Error("the user's plugins are not in reach")
	}
	want := `{"auths":{"https://index.docker.io/v1/":{"auth":"aHViOnMzY3IzdDI="},"other":{"auth":"a2VwdA=="},"registry.example:5000":{"auth":"bWU6czNjcjN0"}},` +
		`"big":12345678901234567890,"credHelpers":{"gcr.io":"gcloud","https://index.docker.io/v1/":"","registry.example:5000":""},` +
		`"credsStore":"desktop","proxies":{"default":{"httpProxy":"http://proxy"}}}`
	if diff := cmp.Diff(want, content(t, dir+"/config.json")); diff != "" {
		t.Errorf("config.json: %s", diff)
	}
	if left, err := os.ReadDir(dir + "/work"); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if kept := content(t, dir+"/.docker/config.json"); !strings.Contains(kept, "b2xk") {
		t.Errorf("the user's own config.json has changed: %s", kept)
	}
}

func TestWithoutFilesNothingOfTheFolderIsRead(t *testing.T) {
	cli, p, dir := fake(t, `echo "$@" >$T/args; ls -A . >$T/around`)
	write(t, dir, "shop/.env", "COMPOSE_FILE=/etc/evil.yaml")
	p.Dir, p.Files = dir+"/shop", nil
	if err := cli.Do(t.Context(), p, composecli.Action{Kind: composecli.Stop}, nil, nil); err != nil {
		t.Fatal(err)
	}
	if args, around := content(t, dir+"/args"), content(t, dir+"/around"); strings.Contains(args, "shop/") || around != "" {
		t.Errorf("run as %s beside %s", args, around)
	}
}

func TestABrokenConfigurationOfDockerIsSaidAndNotUsed(t *testing.T) {
	cli, p, dir := fake(t, `cp "$2/config.json" $T/config.json`)
	for _, broken := range []string{"{", `"text"`, "[]", `{"auths":[]}`} {
		write(t, dir, ".docker/config.json", broken)
		var lines []string
		if err := cli.Do(t.Context(), p, composecli.Action{Kind: composecli.Up}, nil, func(line string) { lines = append(lines, line) }); err != nil {
			t.Fatal(err)
		}
		var config map[string]map[string]any
		if err := json.Unmarshal([]byte(content(t, dir+"/config.json")), &config); err != nil || len(config["auths"]) > 0 {
			t.Errorf("%s: became %v, %v", broken, config, err)
		}
		if said := strings.Join(lines, "\n"); broken[0] != '{' && !strings.Contains(said, dir+"/.docker/config.json can't be read") {
			t.Errorf("%s: said %q", broken, said)
		}
	}
}

func TestWhatAKilledProgramLeftIsSweptUp(t *testing.T) {
	cli, p, dir := fake(t, "exit 0")
	for _, name := range []string{"work/watch-docker-compose-old/config/config.json", "work/watch-docker-compose-new/config/config.json", "work/other/config/config.json"} {
		write(t, dir, name, "{}")
	}
	long := time.Now().Add(-48 * time.Hour)
	if err := errors.Join(os.Chtimes(dir+"/work/watch-docker-compose-old", long, long), os.Chtimes(dir+"/work/other", long, long)); err != nil {
		t.Fatal(err)
	}
	if err := cli.Do(t.Context(), p, composecli.Action{Kind: composecli.Up}, nil, nil); err != nil {
		t.Fatal(err)
	}
	var left []string
	entries, err := os.ReadDir(dir + "/work")
	for _, entry := range entries {
		left = append(left, entry.Name())
	}
	if !slices.Equal(left, []string{"other", "watch-docker-compose-new"}) || err != nil {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestTheCommandLineOfEachAction(t *testing.T) {
	cli, p, dir := fake(t, `shift 2; for a; do printf '%s|' "$a"; done >$T/args`, composecli.WithHost("unix:///engine.sock"))
	write(t, dir, "more.yaml", "")
	p = composecli.Project{Name: "shop", Dir: dir, Files: []string{p.Files[0], dir + "/more.yaml"}, EnvFiles: []string{dir + "/more.yaml"}, Profiles: []string{"a", "*"}}
	head := "--host|unix:///engine.sock|compose|--ansi|never|--progress|json|--project-name|shop|--project-directory|" + dir +
		"|--file|" + p.Files[0] + "|--file|" + p.Files[1] + "|--env-file|" + p.EnvFiles[0] + "|--profile|a|--profile|*|"
	seconds := 90 * time.Second
	for want, a := range map[string]composecli.Action{
		"up|--detach|--":                  {Kind: composecli.Up},
		"up|--detach|--|-a|--volumes|B.c": {Kind: composecli.Up, Services: []string{"-a", "--volumes", "B.c"}},
		"up|--detach|--build|--no-deps|--remove-orphans|--wait|--pull|always|--timeout|90|--|a": {Kind: composecli.Up, Services: []string{"a"}, Build: true, NoDeps: true, RemoveOrphans: true, Wait: true, PullPolicy: "always", StopTimeout: &seconds},
		"up|--no-start|--": {Kind: composecli.Create},
		"up|--detach|--force-recreate|--no-deps|--|a":                  {Kind: composecli.Recreate, NoDeps: true, Services: []string{"a"}},
		"up|--detach|--no-recreate|--scale=--a=0|--scale=b=3|--|--a|b": {Kind: composecli.Scale, Replicas: map[string]int{"b": 3, "--a": 0}},
		"down|--remove-orphans|--volumes|--timeout|90|--|a":            {Kind: composecli.Down, RemoveOrphans: true, RemoveVolumes: true, StopTimeout: &seconds, Services: []string{"a"}},
		"start|--":                     {Kind: composecli.Start},
		"stop|--timeout|90|--|a":       {Kind: composecli.Stop, StopTimeout: &seconds, Services: []string{"a"}},
		"restart|--no-deps|--|a":       {Kind: composecli.Restart, NoDeps: true, Services: []string{"a"}},
		"pull|--ignore-buildable|--|a": {Kind: composecli.Pull, IgnoreBuildable: true, Services: []string{"a"}},
	} {
		if err := cli.Do(t.Context(), p, a, nil, nil); err != nil {
			t.Errorf("%s: %v", want, err)
			continue
		}
		if diff := cmp.Diff(head+want+"|", content(t, dir+"/args")); diff != "" {
			t.Error(diff)
		}
	}
}

func TestTheEngineIsTheOneWeSpeakTo(t *testing.T) {
	for environ, want := range map[string]string{
		"":                             "--host tcp://e:2376 compose",
		"DOCKER_TLS_VERIFY=1":          "--host tcp://e:2376 compose", // as the engine's client has it: nothing without certificates
		"DOCKER_CERT_PATH=/c":          "--host tcp://e:2376 --tls --tlscacert /c/ca.pem --tlscert /c/cert.pem --tlskey /c/key.pem compose",
		"DOCKER_CERT_PATH=/c VERIFY=1": "--host tcp://e:2376 --tlsverify --tlscacert /c/ca.pem --tlscert /c/cert.pem --tlskey /c/key.pem compose",
	} {
		dir := t.TempDir()
		write(t, dir, "compose.yaml", "")
		env := strings.Fields(strings.ReplaceAll(environ, " VERIFY", " DOCKER_TLS_VERIFY"))
		env = append(env, "HOME="+dir, "DOCKER_HOST=unix:///elsewhere", "DOCKER_CONTEXT=elsewhere", "PATH="+scripts(t, dir, map[string]string{"docker": asVersion("5.5.1", `shift 2; echo "$@" >$T/args; env >$T/env`)}))
		cli, err := composecli.New(env, composecli.WithHost("tcp://e:2376"), composecli.WithFolder(dir))
		if err != nil {
			t.Fatal(err)
		}
		if err := cli.Do(t.Context(), composecli.Project{Name: "a", Files: []string{dir + "/compose.yaml"}}, composecli.Action{Kind: composecli.Up}, nil, nil); err != nil {
			t.Fatal(err)
		}
		if got := content(t, dir+"/args"); !strings.HasPrefix(got, want+" ") || strings.Contains(content(t, dir+"/env"), "elsewhere") {
			t.Errorf("%s: %s", environ, got)
		}
	}
}

func TestWhatCantBePassedOnIsRefused(t *testing.T) {
	cli, good, dir := fake(t, "echo run >>$T/ran")
	if err := syscall.Mkfifo(dir+"/fifo", 0o600); err != nil {
		t.Fatal(err)
	}
	negative := -time.Second
	up := composecli.Action{Kind: composecli.Up}
	with := func(change func(*composecli.Project)) composecli.Project {
		p := good
		change(&p)
		return p
	}
	for _, c := range []struct {
		p    composecli.Project
		a    composecli.Action
		want error
		says string
	}{
		{with(func(p *composecli.Project) { p.Name = "" }), up, composecli.ErrInvalid, "project name"},
		{with(func(p *composecli.Project) { p.Name = "-x" }), up, composecli.ErrInvalid, `"-x"`},
		{with(func(p *composecli.Project) { p.Name = "Shop" }), up, composecli.ErrInvalid, `"Shop"`},
		{with(func(p *composecli.Project) { p.Name = "a\nb" }), up, composecli.ErrInvalid, `a\nb`},
		{with(func(p *composecli.Project) { p.Name = "../up" }), up, composecli.ErrInvalid, "../up"},
		{with(func(p *composecli.Project) { p.Files = nil }), up, composecli.ErrNoFiles, "none are named"},
		{with(func(p *composecli.Project) { p.Files = []string{"-"} }), up, composecli.ErrNoFiles, "-"},
		{with(func(p *composecli.Project) { p.Files = []string{"https://example.com/compose.yaml"} }), up, composecli.ErrNoFiles, "https"},
		{with(func(p *composecli.Project) { p.Files = []string{dir + "/gone.yaml"} }), up, composecli.ErrNoFiles, "gone.yaml"},
		{with(func(p *composecli.Project) { p.Files = []string{dir} }), up, composecli.ErrNoFiles, "is no file"},
		{with(func(p *composecli.Project) { p.Files = []string{dir + "/fifo"} }), up, composecli.ErrNoFiles, "is no file"},
		{with(func(p *composecli.Project) { p.Files = []string{dir + "/a\x00b"} }), up, composecli.ErrNoFiles, ""},
		{with(func(p *composecli.Project) { p.EnvFiles = []string{dir + "/gone.env"} }), up, composecli.ErrNoFiles, "gone.env"},
		{with(func(p *composecli.Project) { p.Dir = dir + "/gone" }), up, composecli.ErrNoFiles, "gone"},
		{with(func(p *composecli.Project) { p.Dir = "." }), up, composecli.ErrNoFiles, "absolute"},
		{with(func(p *composecli.Project) { p.Profiles = []string{"-p"} }), up, composecli.ErrInvalid, `"-p"`},
		{good, composecli.Action{}, composecli.ErrInvalid, "no action"},
		{good, composecli.Action{Kind: "exec"}, composecli.ErrInvalid, "exec"},
		{good, composecli.Action{Kind: composecli.Up, Services: []string{""}}, composecli.ErrInvalid, "service name"},
		{good, composecli.Action{Kind: composecli.Up, Services: []string{"a b"}}, composecli.ErrInvalid, "a b"},
		{good, composecli.Action{Kind: composecli.Up, Services: []string{"a=1"}}, composecli.ErrInvalid, "a=1"},
		{good, composecli.Action{Kind: composecli.Up, Services: []string{"a\x00"}}, composecli.ErrInvalid, "service name"},
		{good, composecli.Action{Kind: composecli.Up, RemoveVolumes: true}, composecli.ErrInvalid, "--volumes"},
		{good, composecli.Action{Kind: composecli.Stop, Build: true}, composecli.ErrInvalid, "--build"},
		{good, composecli.Action{Kind: composecli.Start, StopTimeout: &negative}, composecli.ErrInvalid, "--timeout"},
		{good, composecli.Action{Kind: composecli.Stop, StopTimeout: &negative}, composecli.ErrInvalid, "-1s"},
		{good, composecli.Action{Kind: composecli.Up, PullPolicy: "build"}, composecli.ErrInvalid, "build"},
		{good, composecli.Action{Kind: composecli.Up, Replicas: map[string]int{"a": 1}}, composecli.ErrInvalid, "--scale"},
		{good, composecli.Action{Kind: composecli.Scale}, composecli.ErrInvalid, "number"},
		{good, composecli.Action{Kind: composecli.Scale, Replicas: map[string]int{"a": -1}}, composecli.ErrInvalid, "-1"},
		{good, composecli.Action{Kind: composecli.Scale, Replicas: map[string]int{"a": 1001}}, composecli.ErrInvalid, "1001"},
	} {
		for name, err := range map[string]error{
			"Do": cli.Do(t.Context(), c.p, c.a, nil, nil), "Preview": func() error { _, err := cli.Preview(t.Context(), c.p, c.a); return err }(),
		} {
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s %+v %+v: %v", name, c.p, c.a, err)
			}
		}
	}
	if _, err := cli.Hashes(t.Context(), composecli.Project{Name: "shop"}); !errors.Is(err, composecli.ErrNoFiles) {
		t.Errorf("hashes without files: %v", err)
	}
	if _, err := os.Stat(dir + "/ran"); err == nil {
		t.Error("the command was run")
	}
}

func TestATooOldComposeActsNoMore(t *testing.T) {
	dir := t.TempDir()
	bin := scripts(t, dir, map[string]string{"docker": asVersion("2.20.0", `echo "$@" >$T/args; echo '{"services":{}}'`)})
	write(t, dir, "compose.yaml", "")
	cli, err := composecli.New([]string{"PATH=" + bin, "HOME=" + dir}, composecli.WithFolder(dir))
	if err != nil {
		t.Fatal(err)
	}
	p := composecli.Project{Name: "shop", Files: []string{dir + "/compose.yaml"}}
	var tooOld *composecli.TooOldError
	if err := cli.Do(t.Context(), p, composecli.Action{Kind: composecli.Up}, nil, nil); !errors.As(err, &tooOld) {
		t.Errorf("up: %v", err)
	}
	if _, err := cli.Preview(t.Context(), p, composecli.Action{Kind: composecli.Up}); !errors.As(err, &tooOld) {
		t.Errorf("preview: %v", err)
	}
	if _, err := cli.Hashes(t.Context(), p); !errors.As(err, &tooOld) {
		t.Errorf("hashes: %v", err)
	}
	model, err := cli.Model(t.Context(), map[string]string{
		"com.docker.compose.project": "shop", "com.docker.compose.project.working_dir": dir, "com.docker.compose.project.config_files": dir + "/compose.yaml",
	})
	if err != nil || !strings.Contains(string(model), "services") || strings.Contains(content(t, dir+"/args"), "--progress") {
		t.Errorf("model: %s, %v", model, err)
	}
}

func TestAStubbornCommandIsKilledWithAllThatItStarted(t *testing.T) {
	cli, p, dir := fake(t, `trap 'echo INT >>$T/signals' INT
(trap '' INT TERM; echo $$ >/dev/null; exec sleep 10000) &
echo $! >$T/child
sleep 10000 >/dev/null 2>&1 & echo $! >>$T/child
echo $$ >$T/self
echo ready
while :; do wait; done`, composecli.WithGrace(300*time.Millisecond))
	cause := errors.New("somebody said so")
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	err := cli.Do(ctx, p, composecli.Action{Kind: composecli.Up}, nil, func(line string) {
		if line == "ready" {
			cancel(cause)
		}
	})
	if !errors.Is(err, composecli.ErrCancelled) || !errors.Is(err, cause) || errors.Is(err, composecli.ErrTimeout) {
		t.Errorf("cancelled: %v", err)
	}
	if got := content(t, dir+"/signals"); !strings.HasPrefix(got, "INT\n") {
		t.Errorf("signals: %q", got)
	}
	gone(t, dir+"/self", dir+"/child")
}

func TestWhatACommandLeavesBehindIsKilled(t *testing.T) {
	cli, p, dir := fake(t, `sleep 10000 & echo $! >$T/child; echo done`)
	began := time.Now()
	if err := cli.Do(t.Context(), p, composecli.Action{Kind: composecli.Up}, nil, nil); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("took %s", took)
	}
	gone(t, dir+"/child")
}

// gone waits until none of the processes whose ids the files hold is alive.
func gone(t *testing.T, files ...string) {
	t.Helper()
	for _, file := range files {
		for pid := range strings.FieldsSeq(content(t, file)) {
			wait(t, "process "+pid+" to be gone", func() bool {
				stat, err := os.ReadFile("/proc/" + pid + "/stat")
				return err != nil || strings.Contains(string(stat), ") Z ")
			})
		}
	}
}

func wait(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline, tick := time.After(30*time.Second), time.NewTicker(10*time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("waited in vain for %s", what)
		case <-tick.C:
		}
	}
}

func TestTimeEndsACommand(t *testing.T) {
	cli, p, _ := fake(t, "exec sleep 10000")
	err := cli.Do(t.Context(), p, composecli.Action{Kind: composecli.Up, Limit: 50 * time.Millisecond}, nil, nil)
	if !errors.Is(err, composecli.ErrTimeout) || !strings.Contains(err.Error(), "docker compose up of shop: not done in time: the limit is 50ms") {
		t.Errorf("the action's limit: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := cli.Do(ctx, p, composecli.Action{Kind: composecli.Up}, nil, nil); !errors.Is(err, composecli.ErrTimeout) {
		t.Errorf("the context's: %v", err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	cancel()
	if err := cli.Do(ctx, p, composecli.Action{Kind: composecli.Up}, nil, nil); !errors.Is(err, composecli.ErrCancelled) || !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled before: %v", err)
	}
}

func TestOneThatIsDoneAllTheSameHasSucceeded(t *testing.T) {
	cli, p, _ := fake(t, "trap 'exit 0' INT; echo ready; while :; do sleep 0.01; done")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if err := cli.Do(ctx, p, composecli.Action{Kind: composecli.Up}, nil, func(string) { cancel() }); err != nil {
		t.Error(err)
	}
}

func TestFailuresSayWhatComposeSays(t *testing.T) {
	for script, want := range map[string]composecli.FailedError{
		`echo '{"error":true,"message":"no such service: x"}' >&2; exit 1`:                                                  {ExitCode: 1, Message: "no such service: x"},
		`printf '%s\n' '{"error":true,"message":"one\n\u001b[31mtwo"}' >&2; exit 14`:                                        {ExitCode: 14, Message: "one\ntwo"},
		`echo '{"id":"Container a","status":"Error","text":"Error","details":"no"}' >&2; echo '{"error":true}' >&2; exit 1`: {ExitCode: 1, Message: "Container a: no", Output: []string{"Container a: no"}},
		`echo hi; echo 'panic: oh' >&2; exit 2`:                                                                             {ExitCode: 2, Message: "panic: oh", Output: []string{"hi", "panic: oh"}},
		`exit 3`:                                                                                                            {ExitCode: 3},
		`kill -9 $$`:                                                                                                        {ExitCode: -1},
	} {
		cli, p, _ := fake(t, script)
		err := cli.Do(t.Context(), p, composecli.Action{Kind: composecli.Up}, nil, nil)
		var failed *composecli.FailedError
		if !errors.As(err, &failed) {
			t.Errorf("%s: %v", script, err)
			continue
		}
		slices.Sort(failed.Output)
		if diff := cmp.Diff(want, *failed); diff != "" {
			t.Errorf("%s: %s", script, diff)
		}
		if !strings.HasPrefix(err.Error(), "docker compose up of shop: ") || want.Message == "" && !strings.Contains(err.Error(), fmt.Sprint("code ", want.ExitCode)) {
			t.Errorf("%s: %v", script, err)
		}
	}
}

func TestMuchOutputIsCut(t *testing.T) {
	cli, p, _ := fake(t, `i=0; while [ $i -lt 100 ]; do echo line $i; i=$((i+1)); done
head -c 200000 /dev/zero | tr '\0' x; echo; head -c 5000 /dev/zero | tr '\0' y >&2; exit 1`)
	longest, count := 0, 0
	err := cli.Do(t.Context(), p, composecli.Action{Kind: composecli.Up}, nil, func(line string) { longest, count = max(longest, len(line)), count+1 })
	var failed *composecli.FailedError
	if !errors.As(err, &failed) {
		t.Fatal(err)
	}
	if longest != 64<<10 || count != 102 {
		t.Errorf("%d lines, the longest of %d", count, longest)
	}
	for _, line := range failed.Output {
		if len(line) > 1100 {
			t.Errorf("a line of %d is kept", len(line))
		}
	}
	if len(failed.Output) != 40 || len(failed.Message) > 5000 {
		t.Errorf("%d lines are kept, and a message of %d", len(failed.Output), len(failed.Message))
	}
}
