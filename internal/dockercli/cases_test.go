package dockercli_test

const noRights = "the test machine's own capabilities are cut"

// recreations is the fidelity list.
func recreations() []recreation {
	var all []recreation
	for _, group := range [][]recreation{
		imageDefaults(), namesAndNetworks(), storage(), process(), limits(),
	} {
		all = append(all, group...)
	}
	return all
}

// imageDefaults: what the user said stays, what the image said is the new image's.
func imageDefaults() []recreation {
	return []recreation{
		{name: "nothing set", args: nil},
		{name: "image's defaults", from: "rich", check: warns("/gone")},
		{name: "image's defaults gone", from: "poor"},
		{name: "image's defaults new", from: "grown"},
		{name: "env set", from: "rich", args: []string{"-e", "MINE=a=b", "-e", "CHANGED=mine", "-e", "EMPTY="}},
		{name: "env unset", from: "rich", args: []string{"-e", "GONE"}},
		{name: "cmd set", from: "rich", cmd: []string{"9"}},
		{name: "cmd set to the old default", from: "rich", args: []string{"--entrypoint", "/bin/sleep"}, cmd: []string{"1"}},
		{name: "entrypoint set", from: "rich", args: []string{"--entrypoint", "/bin/sleep"}, cmd: []string{"1000"}},
		{name: "entrypoint emptied", from: "rich", args: []string{"--entrypoint", ""}, cmd: []string{"/bin/sleep", "1000"}},
		{name: "entrypoint an empty list", from: "rich", body: `{"Image":"{image}","Entrypoint":[],"Cmd":["/bin/sleep","1000"]}`},
		{name: "labels set", from: "rich", args: []string{"-l", "mine=1", "-l", "changed=mine", "-l", "empty="}},
		{name: "ports exposed", from: "rich", args: []string{"--expose", "90", "--expose", "91/udp"}},
		{name: "image's port published", from: "rich", args: []string{"-p", "127.0.0.1:180{n}:81"}},
		{name: "volumes set", from: "rich", args: []string{"-v", "/mine", "-v", "{net}v:/data"}},
		{name: "working directory set", from: "rich", args: []string{"-w", "/tmp"}},
		{name: "user set", from: "rich", args: []string{"-u", "1000:1000"}},
		{name: "stop signal and timeout set", from: "rich", args: []string{"--stop-signal", "SIGQUIT", "--stop-timeout", "3"}},
		{name: "health check overridden", from: "rich", args: []string{"--health-cmd", "echo ok", "--health-interval", "5s", "--health-start-period", "1s"}},
		{name: "health check's interval alone", from: "rich", args: []string{"--health-interval", "7s"}},
		{name: "health check disabled", from: "rich", args: []string{"--no-healthcheck"}},
		{name: "health check in an image without", args: []string{"--health-cmd", "true", "--health-retries", "2"}},
		{name: "health start interval", since: "1.44", from: "rich", args: []string{"--health-start-interval", "2s", "--health-start-period", "9s"}},
		{name: "shell set", from: "rich", body: `{"Image":"{image}","Shell":["/bin/sh","-ec"],"Healthcheck":{"Test":["CMD-SHELL","true"]}}`},
	}
}

func namesAndNetworks() []recreation {
	return []recreation{
		{name: "host name", args: []string{"-h", "web", "--domainname", "example.org"}},
		{name: "extra hosts and dns", args: []string{"--add-host", "a:10.1.2.3", "--add-host", "b:host-gateway", "--dns", "9.9.9.9", "--dns-search", "example.org", "--dns-option", "ndots:2"}},
		{name: "network with alias", prep: []string{"network create {net}a"}, args: []string{"--network", "{net}a", "--network-alias", "web", "--network-alias", "www"}},
		{name: "network with host name and alias alike", prep: []string{"network create {net}a"}, args: []string{"--network", "{net}a", "-h", "web", "--network-alias", "other"}},
		{name: "static addresses", prep: []string{"network create --ipv6 --subnet 10.77.{n}.0/24 --subnet fd00:77:{n}::/64 {net}a"}, args: []string{"--network", "{net}a", "--ip", "10.77.{n}.20", "--ip6", "fd00:77:{n}::20"}},
		{name: "link local address", prep: []string{"network create {net}a"}, args: []string{"--network", "{net}a", "--link-local-ip", "169.254.33.{n}"}},
		{name: "mac on the default network", since: "1.44", args: []string{"--mac-address", "02:42:ac:aa:bb:cc"}},
		{name: "mac on a network", since: "1.44", prep: []string{"network create {net}a"}, args: []string{"--network", "{net}a", "--mac-address", "0a:42:ac:aa:bb:01"}},
		{name: "container's mac", until: "1.43", body: `{"Image":"{image}","MacAddress":"02:42:ac:aa:bb:cc"}`},
		{name: "container's mac on a network", until: "1.43", prep: []string{"network create {net}a"}, body: `{"Image":"{image}","MacAddress":"0a:42:ac:aa:bb:01","HostConfig":{"NetworkMode":"{net}a"}}`},
		{
			name: "three networks", prep: []string{"network create --subnet 10.78.{n}.0/24 {net}a", "network create {net}b", "network create --subnet 10.79.{n}.0/24 {net}c"},
			args: []string{"--network", "{net}b", "--network-alias", "web"},
			then: []string{"network connect --ip 10.78.{n}.9 --alias inner --alias db {net}a {name}", "network connect --ip 10.79.{n}.9 {net}c {name}"},
		},
		{name: "default network and another", prep: []string{"network create {net}a"}, then: []string{"network connect --alias x {net}a {name}"}},
		{name: "main network taken off", prep: []string{"network create {net}a"}, then: []string{"network connect {net}a {name}", "network disconnect bridge {name}"}},
		{name: "no network left", then: []string{"network disconnect bridge {name}"}},
		{
			name: "several networks at create", since: "1.44", prep: []string{"network create --subnet 10.80.{n}.0/24 {net}a", "network create {net}b"},
			body: `{"Image":"{image}","HostConfig":{"NetworkMode":"{net}a"},"NetworkingConfig":{"EndpointsConfig":{
				"{net}a":{"IPAMConfig":{"IPv4Address":"10.80.{n}.7"},"Aliases":["one"],"MacAddress":"0a:42:ac:aa:bb:02"},
				"{net}b":{"Aliases":["two"],"MacAddress":"00:42:ac:aa:bb:03","DriverOpts":{"com.docker.network.endpoint.sysctls":"net.ipv4.conf.IFNAME.log_martians=1"}}}}}`,
		},
		{
			name: "gateway priority", since: "1.48", prep: []string{"network create {net}a", "network create {net}b"},
			body: `{"Image":"{image}","HostConfig":{"NetworkMode":"{net}a"},"NetworkingConfig":{"EndpointsConfig":{
				"{net}a":{"GwPriority":-3},"{net}b":{"GwPriority":100}}}}`,
		},
		{name: "network by id", prep: []string{"network create {net}a"}, body: `{"Image":"{image}","HostConfig":{"NetworkMode":"{net}a"}}`},
		{name: "driver options", prep: []string{"network create {net}a"}, then: []string{"network connect --driver-opt com.example.key=value {net}a {name}"}},
		{name: "host network", args: []string{"--network", "host"}},
		{name: "host network and host name", args: []string{"--network", "host", "-h", "web"}},
		{name: "no network", args: []string{"--network", "none"}},
		{name: "another's network by name", prep: []string{"run -d --name {name}-peer -h peer {image}"}, args: []string{"--network", "container:{name}-peer"}, from: "rich"},
		{name: "links on the default network", prep: []string{"run -d --name {name}-db {image}"}, args: []string{"--link", "{name}-db:db", "--link", "{name}-db:database"}},
		{name: "links on a network", prep: []string{"network create {net}a", "run -d --network {net}a --name {name}-db {image}"}, args: []string{"--network", "{net}a", "--link", "{name}-db:db"}},
		{name: "ports", from: "rich", args: []string{"-p", "190{n}:80", "-p", "127.0.0.1:191{n}:53/udp", "-p", "127.0.0.1::8080", "-p", "9000-9002"}},
		{name: "all ports", from: "rich", args: []string{"-P"}},
	}
}

func storage() []recreation {
	return []recreation{
		{name: "binds", args: []string{"-v", "/tmp:/host-tmp:ro", "-v", "/etc:/host-etc:rprivate", "-v", "/tmp:/z:z"}},
		{name: "bind with rslave", createdOnly: "needs a shared mount", args: []string{"-v", "/tmp:/host-tmp:rslave"}},
		{name: "named volumes", args: []string{"-v", "{net}v:/v", "-v", "{net}w:/w:nocopy,ro"}},
		{name: "anonymous volumes", args: []string{"-v", "/anon", "--mount", "type=volume,destination=/anon2"}},
		{name: "anonymous volumes in binds", body: `{"Image":"{image}","HostConfig":{"Binds":["/anon"]}}`},
		{name: "image's volume as tmpfs", from: "rich", args: []string{"--tmpfs", "/data:size=1m,mode=700"}},
		{name: "image's volume as bind", from: "rich", args: []string{"-v", "/tmp:/data", "-v", "/tmp:/gone"}},
		{name: "mounts", args: []string{
			"--mount", "type=bind,source=/usr,destination=/b,readonly,bind-propagation=rprivate",
			"--mount", "type=volume,source={net}v,destination=/v,volume-nocopy,volume-label=a=b,volume-opt=type=tmpfs,volume-opt=device=tmpfs",
			"--mount", "type=tmpfs,destination=/t,tmpfs-size=1048576,tmpfs-mode=1770",
		}},
		{name: "tmpfs", args: []string{"--tmpfs", "/run", "--tmpfs", "/cache:rw,size=64k,uid=1000"}},
		{name: "volumes from", prep: []string{"create --name {name}-data -v /shared -v {net}v:/named {image}"}, args: []string{"--volumes-from", "{name}-data:ro"}},
		{name: "volumes from, over the image's", from: "rich", prep: []string{"create --name {name}-data {image}"}, args: []string{"--volumes-from", "{name}-data", "-v", "{net}v:/gone"}},
		{name: "read only", args: []string{"--read-only", "--tmpfs", "/tmp"}},
		{name: "volume driver", args: []string{"--volume-driver", "local", "-v", "{net}v:/v", "-v", "/anon"}},
		{name: "volume sub path", since: "1.45", createdOnly: "the folder isn't in the volume", body: `{"Image":"{image}","HostConfig":{"Mounts":[{"Type":"volume","Source":"{net}v","Target":"/v","VolumeOptions":{"Subpath":"a"}}]}}`},
		{name: "image mount", since: "1.48", createdOnly: "kept to what a create shows", body: `{"Image":"{image}","HostConfig":{"Mounts":[{"Type":"image","Source":"{image}","Target":"/i"}]}}`},
	}
}

func process() []recreation {
	return []recreation{
		{name: "terminal and input", args: []string{"-t", "-i"}},
		{name: "attached", args: []string{"-a", "stdout", "-a", "stderr", "-i"}},
		{name: "init", args: []string{"--init"}},
		{name: "no init", args: []string{"--init=false"}},
		{name: "capabilities", args: []string{"--cap-add", "NET_ADMIN", "--cap-drop", "MKNOD", "--cap-drop", "CHOWN"}},
		{name: "all capabilities dropped", args: []string{"--cap-drop", "ALL"}},
		{name: "security options", args: []string{"--security-opt", "no-new-privileges", "--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined", "--security-opt", "label=disable"}},
		{name: "system paths unconfined", args: []string{"--security-opt", "systempaths=unconfined"}},
		{name: "privileged", createdOnly: noRights, args: []string{"--privileged"}},
		{name: "namespaces of the host", createdOnly: noRights, args: []string{"--pid", "host", "--ipc", "host", "--uts", "host", "--userns", "host", "--cgroupns", "host"}},
		{name: "uts of the host", args: []string{"--uts", "host"}},
		{name: "another's ipc and pid", prep: []string{"run -d --ipc shareable --name {name}-peer {image}"}, args: []string{"--ipc", "container:{name}-peer", "--pid", "container:{name}-peer"}},
		{name: "ipc shareable", args: []string{"--ipc", "shareable", "--shm-size", "32m"}},
		{name: "groups", args: []string{"--group-add", "10", "--group-add", "20", "-u", "5"}},
		{name: "log options", args: []string{"--log-driver", "json-file", "--log-opt", "max-size=1m", "--log-opt", "max-file=3", "--log-opt", "labels=a"}},
		{name: "log none", args: []string{"--log-driver", "none"}},
		{name: "restart always", args: []string{"--restart", "always"}},
		{name: "restart unless stopped", args: []string{"--restart", "unless-stopped"}},
		{name: "restart on failure", args: []string{"--restart", "on-failure:4"}},
		{name: "auto remove", from: "rich", args: []string{"--rm", "-v", "/anon"}},
		{name: "runtime", args: []string{"--runtime", "runc"}},
		{name: "annotations", since: "1.43", args: []string{"--annotation", "a=b"}},
		{name: "platform", args: []string{"--platform", "linux/amd64"}},
		{name: "cgroup parent", args: []string{"--cgroup-parent", "/watch-docker-test"}},
	}
}

func limits() []recreation {
	return []recreation{
		{name: "ulimits", args: []string{"--ulimit", "nofile=1024:2048", "--ulimit", "core=0"}},
		{name: "sysctls", args: []string{"--sysctl", "net.ipv4.ip_unprivileged_port_start=0", "--sysctl", "net.core.somaxconn=1024"}},
		{name: "devices", args: []string{"--device", "/dev/null:/dev/mine:rw", "--device-cgroup-rule", "c 42:* rmw"}},
		{name: "device requests", createdOnly: "no such device", args: []string{"--gpus", `"device=0,1","capabilities=utility"`}},
		{name: "all gpus", createdOnly: "no such device", args: []string{"--gpus", "all"}},
		{name: "cpus", createdOnly: "cgroups differ from machine to machine", args: []string{"--cpus", "0.5", "--cpu-shares", "512"}},
		{name: "cpu period and quota", createdOnly: "cgroups differ from machine to machine", args: []string{"--cpu-period", "50000", "--cpu-quota", "25000", "--cpuset-cpus", "0", "--cpuset-mems", "0"}},
		{name: "memory", createdOnly: "cgroups differ from machine to machine", args: []string{"-m", "64m", "--memory-reservation", "32m", "--memory-swappiness", "10", "--oom-kill-disable"}},
		{name: "memory and swap", createdOnly: "cgroups differ from machine to machine", args: []string{"-m", "64m", "--memory-swap", "128m"}},
		{name: "swap without end", createdOnly: "cgroups differ from machine to machine", args: []string{"-m", "64m", "--memory-swap", "-1"}},
		{name: "kernel memory", until: "1.41", createdOnly: "cgroups differ from machine to machine", body: `{"Image":"{image}","HostConfig":{"Memory":67108864,"KernelMemory":33554432,"KernelMemoryTCP":33554432}}`},
		{name: "pids and oom score", createdOnly: "cgroups differ from machine to machine", args: []string{"--pids-limit", "100", "--oom-score-adj", "500"}},
		{name: "block io", createdOnly: "cgroups differ from machine to machine", args: []string{"--blkio-weight", "300", "--device-read-bps", "/dev/null:1mb", "--device-write-iops", "/dev/null:100", "--blkio-weight-device", "/dev/null:200"}},
		{name: "changed by docker update", createdOnly: "cgroups differ from machine to machine", then: []string{"update --restart unless-stopped --cpu-shares 100 {name}"}},
	}
}
