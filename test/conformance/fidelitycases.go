package main

import (
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/watch-docker/watch-docker/test/testbed"
)

// differing is a shape whose image says something by itself, and whose next
// release says something else.
func differing(name, must string, old, next testbed.ImageOptions, args ...string) shape {
	sh := plain(name, must, args...)
	for to, from := range map[*testbed.ImageOptions]testbed.ImageOptions{&sh.old: old, &sh.new: next} {
		from.Payload = to.Payload
		if from.Healthcheck == nil {
			from.Healthcheck = to.Healthcheck
		}
		*to = from
	}
	return sh
}

// defaultShapes: nothing is set by the user.
func defaultShapes() []shape {
	return []shape{
		differing("variables", "the new image's variables, and none that it doesn't have any more",
			testbed.ImageOptions{Env: []string{"KEPT=1", "CHANGED=old", "GONE=1"}}, testbed.ImageOptions{Env: []string{"KEPT=1", "CHANGED=new", "ADDED=1"}}),
		differing("command", "the new image's command",
			testbed.ImageOptions{Cmd: testbed.Stoppable("sleep", "1000")}, testbed.ImageOptions{Cmd: testbed.Stoppable("sleep", "2000")}),
		differing("entrypoint", "the new image's entrypoint and command",
			testbed.ImageOptions{Entrypoint: testbed.Stoppable("sleep"), Cmd: []string{"1000"}}, testbed.ImageOptions{Entrypoint: testbed.Stoppable("sleep", "1"), Cmd: []string{"2000"}}),
		differing("entrypoint gone", "no entrypoint if the new image has none",
			testbed.ImageOptions{Entrypoint: testbed.Stoppable("sleep"), Cmd: []string{"1000"}}, testbed.ImageOptions{}),
		differing("labels", "the new image's labels, and none that it doesn't have any more",
			testbed.ImageOptions{Labels: map[string]string{"kept": "1", "changed": "old", "gone": "1"}}, testbed.ImageOptions{Labels: map[string]string{"kept": "1", "changed": "new", "added": "1"}}),
		differing("exposed ports", "the new image's exposed ports",
			testbed.ImageOptions{ExposedPorts: []string{"80/tcp", "81/tcp"}}, testbed.ImageOptions{ExposedPorts: []string{"80/tcp", "82/udp"}}),
		differing("working directory", "the new image's working directory", testbed.ImageOptions{WorkingDir: "/bin"}, testbed.ImageOptions{WorkingDir: "/etc"}),
		differing("user", "the new image's user", testbed.ImageOptions{User: "0:0"}, testbed.ImageOptions{User: "nobody"}),
		differing("stop signal", "the new image's stop signal", testbed.ImageOptions{StopSignal: "SIGINT"}, testbed.ImageOptions{StopSignal: "SIGTERM"}),
		differing("health check", "the new image's health check",
			testbed.ImageOptions{Healthcheck: &v1.HealthConfig{Test: []string{"CMD", "/bin/echo"}, Interval: 2 * time.Second}}, testbed.ImageOptions{}),
		differing("volume added", "a volume for each folder that the new image declares", testbed.ImageOptions{Volumes: []string{"/data"}}, testbed.ImageOptions{Volumes: []string{"/data", "/added"}}),
		differing("port published at random", "published ports are the new image's exposed ones, with -P",
			testbed.ImageOptions{ExposedPorts: []string{"80/tcp"}}, testbed.ImageOptions{ExposedPorts: []string{"81/tcp"}}, "-P"),
	}
}

// rich is an image that says something about everything.
func rich(release string) testbed.ImageOptions {
	o := testbed.ImageOptions{
		Env: []string{"KEPT=1", "CHANGED=" + release}, Labels: map[string]string{"changed": release}, ExposedPorts: []string{"80/tcp"}, Volumes: []string{"/data"},
		WorkingDir: "/etc", User: "0", StopSignal: "SIGTERM", Entrypoint: testbed.Stoppable("sleep"), Cmd: []string{"3000"},
	}
	if release == "old" {
		o.Env = append(o.Env, "GONE=1")
		o.Labels["gone"], o.WorkingDir, o.User, o.Cmd = "1", "/bin", "0:0", []string{"1000"}
		o.ExposedPorts = []string{"80/tcp", "81/tcp"}
	}
	return o
}

// overrideShapes: each default of a rich image is set by the user.
func overrideShapes() []shape {
	set := func(name, must string, args ...string) shape {
		return differing(name, must, rich("old"), rich("new"), args...)
	}
	command := set("command set", "the user's command after the new image's entrypoint")
	command.cmd = []string{"9000"}
	entry := set("entrypoint set", "the user's entrypoint and command", "--entrypoint", "/bin/sh")
	entry.cmd = []string{"-c", "trap 'exit 0' TERM INT; sleep 9000 & wait"}
	bare := set("entrypoint taken away", "no entrypoint, and the user's command", "--entrypoint", "")
	bare.cmd = testbed.Stoppable("sleep", "9000")
	return []shape{
		set("variables set", "the user's variables beside the new image's", "-e", "MINE=a=b", "-e", "CHANGED=mine", "-e", "EMPTY="),
		set("variable set to the old default", "a variable that the user set, although the old image had the same value", "-e", "CHANGED=old"),
		command, entry, bare,
		set("labels set", "the user's labels beside the new image's", "-l", "mine=1", "-l", "changed=mine", "-l", "empty="),
		set("ports exposed", "the user's exposed ports beside the new image's", "--expose", "90", "--expose", "91/udp"),
		set("working directory set", "the user's working directory", "-w", "/tmp"),
		set("user set", "the user's user", "-u", "0:7"),
		set("stop signal and timeout set", "the user's stop signal and timeout", "--stop-signal", "SIGINT", "--stop-timeout", "3"),
		set("health check set", "the user's health check", "--health-cmd", "echo ok", "--health-interval", "1s", "--health-start-period", "1s"),
		set("health check's interval set", "the user's interval, the image's check", "--health-interval", "1500ms"),
		set("health check disabled", "no health check if the user disabled it", "--no-healthcheck"),
		set("compose labels", "the labels that Compose made stay, so that Compose knows its container",
			"-l", "com.docker.compose.project=shop", "-l", "com.docker.compose.service=web", "-l", "com.docker.compose.container-number=1", "-l", "com.docker.compose.oneoff=False",
			"-l", "com.docker.compose.config-hash=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "-l", "com.docker.compose.version=2.40.0"),
	}
}

func networkShapes() []shape {
	with := func(sh shape, prep, then []string) shape {
		sh.prep, sh.then = prep, then
		return sh
	}
	request := func(name, must, since, until, body string, prep ...string) shape {
		sh := plain(name, must)
		sh.since, sh.until, sh.body, sh.prep = since, until, body, prep
		return sh
	}
	const mac, free = "MAC address set", "{name}-net"
	about := func(sh shape) shape {
		sh.ids = true
		return sh
	}
	return []shape{
		about(plain("host name of the id", "a host name made of the new container's id, not of the old one's")),
		about(with(plain("network without aliases", "no alias on a network but the new container's id, not the old one's", "--network", free, "-h", "mine"), []string{"network create " + free}, nil)),
		plain("host name set", "the user's host and domain name", "-h", "web", "--domainname", "example.org"),
		plain("extra hosts and DNS", "extra hosts, DNS servers, options and search domains", "--add-host", "a:10.1.2.3", "--dns", "9.9.9.9", "--dns-search", "example.org", "--dns-option", "ndots:2"),
		with(plain("network with aliases", "the user's network and aliases", "--network", free, "--network-alias", "web", "--network-alias", "www"),
			[]string{"network create " + free}, nil),
		with(plain("static addresses", "the user's IPv4 and IPv6 address", "--network", free, "--ip", "10.77.{n}.20", "--ip6", "fd00:77:{n}::20"),
			[]string{"network create --ipv6 --subnet 10.77.{n}.0/24 --subnet fd00:77:{n}::/64 " + free}, nil),
		with(plain("address from the engine", "an address that the engine chose doesn't become a fixed one", "--network", free),
			[]string{"network create --subnet 10.76.{n}.0/24 " + free}, nil),
		with(plain("three networks", "all networks, each with its aliases and fixed address", "--network", "{name}-b", "--network-alias", "web"),
			[]string{"network create --subnet 10.78.{n}.0/24 {name}-a", "network create {name}-b", "network create --subnet 10.79.{n}.0/24 {name}-c"},
			[]string{"network connect --ip 10.78.{n}.9 --alias inner --alias db {name}-a {name}", "network connect --ip 10.79.{n}.9 {name}-c {name}"}),
		with(plain("default network and another", "both networks"), []string{"network create " + free}, []string{"network connect --alias x " + free + " {name}"}),
		with(plain("default network taken off", "the other network alone"), []string{"network create " + free}, []string{"network connect " + free + " {name}", "network disconnect bridge {name}"}),
		with(plain("network driver options", "driver options of an endpoint"), []string{"network create " + free}, []string{"network connect --driver-opt com.example.key=value " + free + " {name}"}),
		request(mac, "the user's MAC address", "", "1.44", `{"Image":"{image}","MacAddress":"02:42:ac:aa:bb:cc"}`),
		request(mac, "", "1.44", "", `{"Image":"{image}","HostConfig":{"NetworkMode":"{name}-net"},"NetworkingConfig":{"EndpointsConfig":{"{name}-net":{"MacAddress":"02:42:ac:aa:bb:cc"}}}}`, "network create "+free),
		plain("MAC address not set", "a MAC address that the engine made up doesn't become a fixed one", "-l", "mac=no"),
		plain("network of the host", "the host's network", "--network", "host"),
		plain("no network", "no network", "--network", "none"),
		with(plain("network of another container", "the other container's network", "--network", "container:{name}-peer"), []string{"run -d --name {name}-peer {peer}"}, nil),
		with(plain("links", "all links under their names", "--link", "{name}-db:db", "--link", "{name}-db:database"), []string{"run -d --name {name}-db {peer}"}, nil),
		with(plain("links on a network", "links on the user's network", "--network", free, "--link", "{name}-db:db"),
			[]string{"network create " + free, "run -d --network " + free + " --name {name}-db {peer}"}, nil),
		plain("published ports", "published ports with and without host address, UDP, and one that the engine chooses",
			"-p", "190{n}:80", "-p", "127.0.0.1:191{n}:53/udp", "-p", "127.0.0.1::8080"),
	}
}

func storageShapes() []shape {
	holding := func(sh shape, folders ...string) shape {
		sh.data = folders
		return sh
	}
	declared := func(name, must string, args ...string) shape {
		return differing(name, must, testbed.ImageOptions{Volumes: []string{"/data"}}, testbed.ImageOptions{Volumes: []string{"/data"}}, args...)
	}
	from := plain("volumes from another", "the other container's volumes", "--volumes-from", "{name}-data:ro")
	from.prep = []string{"create --name {name}-data -v /shared -v {name}-v:/named {peer}"}
	return []shape{
		plain("folders of the host", "bind mounts with their modes and propagation", "-v", "/tmp:/host-tmp:ro", "-v", "/etc:/host-etc:rprivate", "-v", "/tmp:/z:z"),
		holding(plain("named volumes", "named volumes with their modes and data", "-v", "{name}-v:/v", "-v", "{name}-w:/w:nocopy"), "/v", "/w"),
		holding(plain("anonymous volume", "an anonymous volume's data", "-v", "/anonymous"), "/anonymous"),
		holding(plain("anonymous volume by --mount", "an anonymous volume's data", "--mount", "type=volume,destination=/anonymous"), "/anonymous"),
		holding(declared("image's volume", "the data in a volume that the image declares"), "/data"),
		holding(declared("image's volume named by the user", "the user's volume in the image's place, with its data", "-v", "{name}-v:/data"), "/data"),
		declared("image's volume as tmpfs", "a tmpfs in the place of the image's volume", "--tmpfs", "/data:size=1m,mode=700"),
		holding(plain("removed at its end", "a container with --rm, with its anonymous volume's data", "--rm", "-v", "/anonymous"), "/anonymous"),
		holding(plain("mounts", "--mount of all types with their options",
			"--mount", "type=bind,source=/usr,destination=/b,readonly,bind-propagation=rprivate", "--mount", "type=volume,source={name}-v,destination=/v,volume-nocopy,volume-label=a=b",
			"--mount", "type=tmpfs,destination=/t,tmpfs-size=1048576,tmpfs-mode=1770"), "/v"),
		plain("tmpfs", "tmpfs with its options", "--tmpfs", "/run", "--tmpfs", "/cache:rw,size=64k,uid=1000"),
		from,
		plain("read-only", "a read-only root file system", "--read-only", "--tmpfs", "/tmp"),
	}
}

func processShapes() []shape {
	perhaps := func(sh shape) shape {
		sh.may = true
		return sh
	}
	return []shape{
		plain("restart always", "the restart policy", "--restart", "always"),
		plain("restart unless stopped", "the restart policy", "--restart", "unless-stopped"),
		plain("restart on failure", "the restart policy with its count", "--restart", "on-failure:4"),
		plain("terminal and input", "an open terminal and input", "-t", "-i"),
		plain("init", "an init process", "--init"),
		plain("no init", "the user's word against an init process", "--init=false"),
		plain("capabilities", "capabilities added and dropped", "--cap-add", "NET_ADMIN", "--cap-drop", "MKNOD", "--cap-drop", "CHOWN"),
		plain("security options", "security options", "--security-opt", "no-new-privileges", "--security-opt", "seccomp=unconfined", "--security-opt", "label=disable"),
		plain("system paths unconfined", "paths of /proc that the user unmasked", "--security-opt", "systempaths=unconfined"),
		plain("groups", "further groups", "--group-add", "10", "--group-add", "20"),
		plain("devices", "devices and rules for them", "--device", "/dev/null:/dev/mine:rw", "--device-cgroup-rule", "c 42:* rmw"),
		plain("ulimits", "ulimits", "--ulimit", "nofile=1024:2048", "--ulimit", "core=0"),
		plain("sysctls", "sysctls", "--sysctl", "net.core.somaxconn=1024"),
		plain("shared memory", "the size of /dev/shm, and who shares it", "--ipc", "shareable", "--shm-size", "32m"),
		plain("cgroup settings", "cgroup namespace and parent", "--cgroupns", "private", "--cgroup-parent", "/conformance"),
		plain("UTS and IPC of the host", "the host's namespaces", "--uts", "host", "--ipc", "host"),
		plain("log options", "log driver and options", "--log-driver", "json-file", "--log-opt", "max-size=1m", "--log-opt", "max-file=3", "--log-opt", "labels=a"),
		plain("runtime", "the user's runtime", "--runtime", "runc"),
		perhaps(plain("process ids", "the host's process ids and the limit of their number", "--pid", "host", "--pids-limit", "100")),
		perhaps(plain("memory and processors", "limits of memory and processors", "-m", "64m", "--memory-reservation", "32m", "--cpus", "0.5", "--cpu-shares", "512")),
	}
}
