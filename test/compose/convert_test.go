package compose_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/watch-docker/watch-docker/internal/composefile"
	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/internal/runspec"
	"github.com/watch-docker/watch-docker/test/inspection"
	"github.com/watch-docker/watch-docker/test/testbed"
)

// A run is a container that somebody made by hand. In its words, {net} is a
// network, {vol} a volume, {dir} a folder.
type run struct {
	name string
	args []string
	cmd  []string
	peer []string // another container, made before and converted along
	// createdOnly: it can't be started on every machine that tests run on.
	createdOnly bool
}

func runs() []run {
	return []run{
		{name: "plain"},
		{name: "command", args: []string{"--entrypoint", "sh"}, cmd: []string{"-c", "exec sleep 1000 # $HOME and 'quotes' \"here\""}},
		{name: "no entrypoint", args: []string{"--entrypoint", ""}, cmd: []string{"sleep", "1000"}},
		{name: "environment", args: []string{"-e", "PLAIN=a b", "-e", "DOLLAR=a$b${c}$$", "-e", "QUOTES=\"it's\"", "-e", "EMPTY=", "-e", "LINES=one\ntwo", "-e", "YES=yes", "-e", "NUMBER=0123", "-e", "API_TOKEN=s3cr$t'\"\\x", "-l", "a.b=c: d", "-l", "empty="}},
		{name: "ports", args: []string{"-p", "127.0.0.1:18080:80", "-p", "18081:81/udp", "--expose", "9000"}},
		{name: "storage", args: []string{"-v", "{vol}:/data", "-v", "{dir}:/host:ro", "-v", "/anon", "--tmpfs", "/run:size=64k", "--mount", "type=tmpfs,destination=/t,tmpfs-size=65536", "--mount", "type=volume,source={vol},destination=/again,readonly", "--mount", "type=bind,source={dir},destination=/bound"}},
		{name: "network", args: []string{"--network", "{net}", "--network-alias", "other", "--ip", "10.213.0.9", "--hostname", "me", "--add-host", "there:10.0.0.1", "--dns", "10.0.0.2", "--dns-search", "example.org"}},
		{name: "host network", args: []string{"--network", "host"}},
		{name: "no network", args: []string{"--network", "none"}},
		{name: "peer's network", args: []string{"--network", "container:{peer}"}, peer: []string{}},
		{name: "user", args: []string{"-u", "1000:10", "-w", "/tmp", "--group-add", "20", "--init", "-t", "-i", "--read-only", "--restart", "on-failure:3", "--stop-signal", "SIGUSR1", "--stop-timeout", "3"}},
		{name: "health", args: []string{"--health-cmd", "test -d /$HOME", "--health-interval", "7s", "--health-retries", "2", "--restart", "unless-stopped"}},
		{name: "no health", args: []string{"--no-healthcheck"}},
		{name: "rights", args: []string{"--cap-add", "NET_ADMIN", "--cap-drop", "MKNOD", "--security-opt", "no-new-privileges", "--device", "/dev/null:/dev/mine:r", "--pid", "host", "--ipc", "shareable", "--uts", "host", "--shm-size", "32m", "--ulimit", "nofile=1024:2048", "--ulimit", "core=0", "--sysctl", "net.core.somaxconn=1024"}, createdOnly: true},
		{name: "limits", args: []string{"-m", "64m", "--memory-reservation", "32m", "--cpus", "0.5", "--cpu-shares", "512", "--pids-limit", "100", "--oom-score-adj", "500"}, createdOnly: true},
		{name: "log", args: []string{"--log-driver", "json-file", "--log-opt", "max-size=1m", "--log-opt", "max-file=3"}},
		{name: "gpu", args: []string{"--gpus", `"device=0,1","capabilities=utility"`}, createdOnly: true},
	}
}

// field is a part of an inspect, in words, with the reason why it may differ.
func mayDiffer() map[string]string {
	return map[string]string{
		"Config.AttachStdout":    "docker run's own, not the container's",
		"Config.AttachStderr":    "the same",
		"Config.AttachStdin":     "the same",
		"Config.StdinOnce":       "the same",
		"State.Status":           "Compose started it before or not",
		"HostConfig.Binds":       "compared by what is mounted in the end",
		"HostConfig.Mounts":      "the same",
		"HostConfig.ConsoleSize": "of the terminal that it was made from",
	}
}

func TestAContainerThatWasConvertedIsTheSameUnderCompose(t *testing.T) {
	bed := testbed.New(t, testbed.WithEngine(testbed.PrivateEngine), testbed.WithRegistry(testbed.Plain))
	ref := bed.Registry(testbed.Plain).Ref("site/app:1")
	img := testbed.Must(testbed.Image(testbed.ImageOptions{
		Cmd: []string{"sleep", "1000"}, Env: []string{"FROM_IMAGE=1"}, Volumes: []string{"/image-data"}, ExposedPorts: []string{"7000/tcp"},
		Healthcheck: &v1.HealthConfig{Test: []string{"CMD", "true"}}, Labels: map[string]string{"of": "image"}, Payload: "convert",
	}))(t)
	if _, err := bed.Registry(testbed.Plain).Push(t.Context(), "site/app:1", img); err != nil {
		t.Fatal(err)
	}
	if err := bed.Pull(t.Context(), ref); err != nil {
		t.Fatal(err)
	}
	sdk, err := dockercli.New(dockercli.Options{Host: bed.Engine().Host(), UserAgent: "watch-docker-test"})
	if err != nil {
		t.Fatal(err)
	}
	defer sdk.Close()
	docker(t, bed, "network", "create", "--subnet", "10.213.0.0/24", "shared")
	docker(t, bed, "volume", "create", "precious")
	for i, r := range runs() {
		t.Run(r.name, func(t *testing.T) {
			convertOne(t, bed, sdk, ref, r, "run"+string(rune('a'+i)))
		})
	}
}

func docker(t *testing.T, bed *testbed.Bed, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(contextOf(t), "docker", args...)
	cmd.Env = append(os.Environ(), "DOCKER_HOST="+bed.Engine().Host())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("docker %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func convertOne(t *testing.T, bed *testbed.Bed, sdk *dockercli.Client, ref string, r run, name string) {
	dir := t.TempDir()
	fill := strings.NewReplacer("{net}", "shared", "{vol}", "precious", "{dir}", dir, "{peer}", name+"-peer")
	names := []string{name}
	create := func(name string, args, cmd []string) {
		all := append([]string{"create", "--pull", "never", "--name", name}, args...)
		for i := range all {
			all[i] = fill.Replace(all[i])
		}
		docker(t, bed, append(append(all, ref), cmd...)...)
		if !r.createdOnly {
			docker(t, bed, "start", name)
		}
	}
	if r.peer != nil {
		create(name+"-peer", r.peer, nil)
		names = append(names, name+"-peer")
	}
	create(name, r.args, r.cmd)
	before := facts(t, sdk, name)
	var specs []runspec.Container
	for _, n := range names {
		specs = append(specs, testbed.Must(sdk.RunSpec(t.Context(), n))(t))
	}
	made := composefile.Convert(specs, true)
	if err := os.WriteFile(filepath.Join(dir, "compose.yaml"), made.Compose, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, ".env"), made.Env, 0o600); err != nil {
		t.Fatal(err)
	}
	report, err := composefile.Check(t.Context(), composefile.Source{Root: dir, Dir: dir, Name: name})
	if err != nil || len(report.Problems) > 0 {
		t.Fatalf("%v %v\n%s", err, report.Problems, made.Compose)
	}
	slices.Reverse(names)
	docker(t, bed, append([]string{"rm", "-f"}, names...)...)
	up := []string{"--project-name", name, "up", "--detach", "--pull", "never"}
	if r.createdOnly {
		up = []string{"--project-name", name, "create", "--pull", "never"}
	}
	if _, said, err := bed.Engine().Compose(contextOf(t), dir, nil, up...); err != nil {
		t.Fatalf("%v\n%s\n%s", err, said, made.Compose)
	}
	defer bed.Engine().Compose(contextOf(t), dir, nil, "--project-name", name, "down", "--timeout", "0")
	if diff := cmp.Diff(before, facts(t, sdk, name)); diff != "" {
		t.Errorf("inspect (-by hand +by Compose):\n%s\n%s", diff, made.Compose)
	}
}

// facts are what of an inspect must stay.
func facts(t *testing.T, sdk *dockercli.Client, name string) map[string]any {
	t.Helper()
	var all map[string]any
	if err := json.Unmarshal(testbed.Must(sdk.Detail(t.Context(), name))(t), &all); err != nil {
		t.Fatal(err)
	}
	all = inspection.Normalise(all, "10.213.0.9")
	for path := range mayDiffer() {
		part, key, _ := strings.Cut(path, ".")
		delete(all[part].(map[string]any), key)
	}
	labels := all["Config"].(map[string]any)["Labels"].(map[string]any)
	for label := range labels {
		if strings.HasPrefix(label, "com.docker.compose.") {
			delete(labels, label)
		}
	}
	host := all["HostConfig"].(map[string]any)
	if host["RestartPolicy"].(map[string]any)["Name"] == "no" { // docker run says it, Compose says nothing
		host["RestartPolicy"].(map[string]any)["Name"] = ""
	}
	for _, m := range all["Mounts"].(map[string]any) {
		delete(m.(map[string]any), "Mode") // as it was written: "", "z" or "rw"
	}
	switch mode := host["NetworkMode"].(string); {
	case mode == "default":
		host["NetworkMode"] = "bridge"
	case strings.HasPrefix(mode, "container:"): // the peer is made again, too
		host["NetworkMode"] = "container:PEER"
		delete(all["Config"].(map[string]any), "Hostname")
	}
	if list, ok := host["Ulimits"].([]any); ok { // docker run shuffles them
		slices.SortFunc(list, func(a, b any) int {
			return strings.Compare(a.(map[string]any)["Name"].(string), b.(map[string]any)["Name"].(string))
		})
	}
	for _, n := range all["NetworkSettings"].(map[string]any)["Networks"].(map[string]any) {
		n := n.(map[string]any)
		aliases, _ := n["Aliases"].([]any)
		n["Aliases"] = slices.DeleteFunc(aliases, func(a any) bool { return a == name || a == "SHORTID" })
	}
	return solid(all).(map[string]any)
}

// solid leaves out what is empty: null, [] and "" are the same wish.
func solid(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for key, e := range v {
			if e = solid(e); e != nil {
				out[key] = e
			}
		}
		if len(out) > 0 {
			return out
		}
		return nil
	case []any:
		var out []any
		for _, e := range v {
			out = append(out, solid(e))
		}
		if len(out) > 0 {
			return out
		}
		return nil
	case string, float64, bool:
		if v == "" || v == 0.0 || v == false {
			return nil
		}
	}
	return v
}
