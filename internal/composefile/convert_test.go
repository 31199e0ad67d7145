package composefile_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/watch-docker/watch-docker/internal/composefile"
	"github.com/watch-docker/watch-docker/internal/runspec"
)

// everything is a container with all that can be asked for. What is the same
// on a real engine is for test/compose to say.
func everything() runspec.Container {
	yes, ten, few := true, 10*time.Second, int64(10)
	return runspec.Container{
		Name: "all", Image: "shop:1", Platform: "linux/arm64", Labels: map[string]string{"a": "b$c", "com.docker.compose.project": "old", "com.docker.compose.service": "everything", "no": "off"},
		Command: []string{"run", "--token=abc", "--password", "hunter2", "$X"}, Entrypoint: []string{""},
		Env:  []string{"A=1", "DB_PASSWORD=hun$ter'2\n\"\\", "E=", "N=null", "T=true", "D=$HOME", "O=on"},
		User: "1:2", WorkingDir: "/w", Hostname: "h", Domain: "d", StopSignal: "SIGINT", StopTimeout: &ten, Terminal: true, Input: true, Init: &yes,
		Health: &runspec.Health{Test: []string{"CMD-SHELL", "x || exit 1"}, Interval: time.Second, Timeout: time.Second, StartPeriod: time.Minute, StartedInterval: time.Second, Retries: 2},
		Ports:  []runspec.Port{{Host: "80", Container: "80/tcp"}, {Address: "::1", Host: "81", Container: "81/udp"}, {Container: "82/tcp"}, {Address: "127.0.0.1", Container: "83/tcp"}},
		Expose: []string{"90/tcp"}, AllPorts: true,
		Networks: []runspec.Network{{Name: "front", IPv4: "10.0.0.2", IPv6: "fd00::2", MAC: "02:00:00:00:00:01", Aliases: []string{"x"}, DriverOptions: map[string]string{"a": "b"}}, {Name: "back net"}},
		Links:    []string{"other:o", "second:s"}, DNS: []string{"1.1.1.1"}, DNSSearch: []string{"x"}, DNSOptions: []string{"ndots:1"}, ExtraHosts: []string{"a:1.2.3.4"},
		Binds: []string{"/a:/b:ro", "data:/c"}, Tmpfs: map[string]string{"/t": "size=1m", "/u": ""}, VolumesFrom: []string{"other", "elsewhere:ro"},
		Mounts: []runspec.Mount{
			{Type: "volume", Source: strings.Repeat("ab", 32), Target: "/data", Anonymous: true}, {Type: "bind", Source: "/x", Target: "/y", Propagation: "rslave", CreateHostPath: true},
			{Type: "tmpfs", Target: "/z", Size: 1024, Mode: 0o700}, {Type: "volume", Source: "data", Target: "/n", NoCopy: true, ReadOnly: true},
		},
		Restart: "on-failure:3", AutoRemove: true, Privileged: true, ReadOnly: true, CapAdd: []string{"NET_ADMIN"}, CapDrop: []string{"ALL"}, Groups: []string{"10"},
		SecurityOptions: []string{"no-new-privileges"}, Devices: []string{"/dev/null:/dev/null:rwm"}, DeviceRules: []string{"c 1:3 mr"},
		DeviceRequests: []runspec.DeviceRequest{{Driver: "nvidia", Count: -1, Capabilities: []string{"gpu"}}, {IDs: []string{"0"}, Capabilities: []string{"gpu"}, Options: map[string]string{"a": "b"}}},
		Pid:            "container:other", Ipc: "shareable", Uts: "host", UserNS: "host", CgroupNS: "private", CgroupParent: "/p", Runtime: "runc",
		Sysctls: map[string]string{"net.core.somaxconn": "1024"}, Annotations: map[string]string{"a": "b"}, Ulimits: []runspec.Ulimit{{Name: "nofile", Soft: 1, Hard: 2}, {Name: "core"}},
		LogDriver: "json-file", LogOptions: map[string]string{"max-size": "1m"},
		Limits: runspec.Limits{Memory: 1 << 26, MemoryReservation: 1 << 25, MemorySwap: -1, Shm: 1 << 20, Swappiness: &few, CPUs: 0.5, CPUShares: 512, CPUSet: "0", Pids: 10, OOMScore: 5, NoOOMKill: true},
		Unsaid: []string{"something"},
	}
}

func TestWhatIsConvertedIsAProjectWithoutProblems(t *testing.T) {
	all := []runspec.Container{
		everything(), {Name: "other", Image: "db:1", NetworkMode: "bridge", Env: []string{"DB_PASSWORD=another", "API_KEY=same"}},
		{Name: "third-1", Image: "sha256:abc", NetworkMode: "container:gone", Env: []string{"API_KEY=same"}}, {Name: "X_", Image: "x:1", NetworkMode: "host", Limits: runspec.Limits{MemoryReservation: 1 << 25}, DeviceRequests: []runspec.DeviceRequest{{Driver: "cdi", IDs: []string{"x/y=z"}, Capabilities: []string{"other"}}}}, {Name: "on", Image: "x:1"},
	}
	for _, reveal := range []bool{false, true} {
		made := composefile.Convert(all, reveal)
		text := string(made.Compose)
		if strings.Contains(text, "hunter2") || strings.Contains(text, "abc\"") || strings.Contains(string(made.Env), "hunter2") != reveal {
			t.Errorf("secrets, reveal %t:\n%s\n%s", reveal, text, made.Env)
		}
		if again := composefile.Convert(all, reveal); string(again.Compose) != text {
			t.Error("made twice, it is another file")
		}
		r := check(t, map[string]string{"app/compose.yaml": text, "app/.env": string(made.Env)})
		if reveal && len(r.Problems) > 0 {
			t.Errorf("%v\n%s", r.Problems, text)
		}
		for _, p := range r.Problems {
			if p.Code != "missing_variable" {
				t.Errorf("%s\n%s", say(p), text)
			}
		}
		if !reveal && len(r.Problems) == 0 {
			t.Error("it would start without its secrets")
		}
		got := map[string]string{}
		for _, v := range r.Variables {
			got[v.Name] = v.Value
		}
		want := map[string]string{"TOKEN": "abc", "PASSWORD": "hunter2", "API_KEY": "same", "DB_PASSWORD": "hun$ter'2\n\"\\", "OTHER_DB_PASSWORD": "another"}
		if reveal && fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%q, want %q", got, want)
		}
		for _, w := range []string{"--rm", "elsewhere", "gone", "something", "image id", "/data has a volume without a name"} {
			if !strings.Contains(fmt.Sprint(made.Warnings), w) {
				t.Errorf("no warning of %s: %v", w, made.Warnings)
			}
		}
	}
}

func TestSecretsOfOptionsAreHidden(t *testing.T) {
	r := runspec.Container{
		Name: "web", Image: "web:1", Labels: map[string]string{"a.token": "t-label"}, LogDriver: "splunk",
		LogOptions:     map[string]string{"splunk-token": "t-log", "loki-url": "https://ann:t-url@loki/push", "max-size": "1m", "tag": ""},
		Annotations:    map[string]string{"io.secret": "t-annotation"},
		StorageOptions: map[string]string{"passphrase": "t-storage", "size": "1g"},
		Networks:       []runspec.Network{{Name: "n", DriverOptions: map[string]string{"vpn.key": "t-network"}}},
		DeviceRequests: []runspec.DeviceRequest{{Capabilities: []string{"gpu"}, Options: map[string]string{"licence-token": "t-gpu"}}, {Driver: "cdi", Capabilities: []string{"x"}, Options: map[string]string{"password": "t-device"}}},
	}
	made := composefile.Convert([]runspec.Container{r}, true)
	if text := string(made.Compose); strings.Contains(text, "t-") || strings.Count(text, "set it in .env") != 8 || !strings.Contains(text, "max-size: \"1m\"") {
		t.Errorf("%s", text)
	}
	report := check(t, map[string]string{"app/compose.yaml": string(made.Compose), "app/.env": string(made.Env)})
	if len(report.Problems) > 0 || strings.Count(string(made.Env), "t-") != 8 {
		t.Errorf("%v\n%s\n%s", report.Problems, made.Compose, made.Env)
	}
}
