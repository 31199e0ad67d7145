package dockercli_test

const noRights = "the test machine's own capabilities are cut"

// recreations is the fidelity list.
func recreations() []recreation {
	var all []recreation
	for _, group := range [][]recreation{
		imageDefaults(), bothWays(), namesAndNetworks(), severalNetworks(), storage(), process(), limits(),
	} {
		all = append(all, group...)
	}
	return all
}

func storage() []recreation {
	return []recreation{
		{name: "binds", args: []string{"-v", "/tmp:/host-tmp:ro", "-v", "/etc:/host-etc:rprivate", "-v", "/tmp:/z:z"}},
		{name: "binds relabelled", args: []string{"-v", "/tmp:/z:ro,Z", "-v", "{net}v:/v:z"}},
		{name: "bind with rshared", args: []string{"-v", "/:/host:rshared"}},
		{name: "binds not recursive", since: "1.44", args: []string{
			"--mount", "type=bind,source=/usr,destination=/b,bind-recursive=disabled",
			"--mount", "type=bind,source=/usr,destination=/c,readonly,bind-recursive=writable",
		}},
		{name: "bind whose source is made", body: `{"Image":"{image}","HostConfig":{"Mounts":[{"Type":"bind","Source":"{dir}/{net}made","Target":"/m","BindOptions":{"CreateMountpoint":true}}]}}`, since: "1.43"},
		{name: "mount with consistency", args: []string{"--mount", "type=bind,source=/usr,destination=/b,consistency=cached"}},
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
		{name: "volumes from two", prep: []string{"create --name {name}-data -v /shared -v {net}v:/named {image}", "create --name {name}-more --volumes-from {name}-data -v /more {image}"},
			args: []string{"--volumes-from", "{id {name}-data}:ro", "--volumes-from", "{name}-more", "-v", "/anon"}},
		{name: "volumes from, over the image's", from: "rich", prep: []string{"create --name {name}-data {image}"}, args: []string{"--volumes-from", "{name}-data", "-v", "{net}v:/gone"}},
		{name: "tmpfs mount with options", since: "1.46", body: `{"Image":"{image}","HostConfig":{"Mounts":[{"Type":"tmpfs","Target":"/t","TmpfsOptions":{"SizeBytes":65536,"Mode":448,"Options":[["exec"]]}}]}}`},
		{name: "storage options", since: "1.48", args: []string{"--storage-opt", "size=64M"}},
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
		{name: "security profiles", args: []string{"--security-opt", "seccomp={dir}/seccomp.json", "--security-opt", "label=type:container_t", "--security-opt", "label=level:s0:c100,c200"}},
		{name: "user namespace of the host", args: []string{"--userns", "host"}},
		{name: "pid of the host", createdOnly: noRights, args: []string{"--pid", "host"}},
		{name: "ipc of the host", args: []string{"--ipc", "host"}},
		{name: "ipc private", args: []string{"--ipc", "private"}},
		{name: "ipc none", args: []string{"--ipc", "none"}},
		{name: "cgroup namespace private", args: []string{"--cgroupns", "private"}},
		{name: "cgroup namespace of the host", createdOnly: noRights, args: []string{"--cgroupns", "host"}},
		{name: "privileged", createdOnly: noRights, args: []string{"--privileged"}},
		{name: "namespaces of the host", createdOnly: noRights, args: []string{"--pid", "host", "--ipc", "host", "--uts", "host", "--userns", "host", "--cgroupns", "host"}},
		{name: "uts of the host", args: []string{"--uts", "host"}},
		{name: "another's ipc and pid", prep: []string{"run -d --ipc shareable --name {name}-peer {image}"}, args: []string{"--ipc", "container:{name}-peer", "--pid", "container:{name}-peer"}},
		{name: "ipc shareable", args: []string{"--ipc", "shareable", "--shm-size", "32m"}},
		{name: "groups", args: []string{"--group-add", "10", "--group-add", "20", "-u", "5"}},
		{name: "log options", args: []string{"--log-driver", "json-file", "--log-opt", "max-size=1m", "--log-opt", "max-file=3", "--log-opt", "labels=a"}},
		{name: "log local", args: []string{"--log-driver", "local", "--log-opt", "mode=non-blocking", "--log-opt", "max-buffer-size=1m"}},
		{name: "log none", args: []string{"--log-driver", "none"}},
		{name: "restart no", args: []string{"--restart", "no"}},
		{name: "restart on failure without end", args: []string{"--restart", "on-failure"}},
		{name: "stop timeout of nothing", args: []string{"--stop-timeout", "0"}},
		{name: "stop timeout without end", args: []string{"--stop-timeout", "-1"}},
		{name: "file for its id", body: `{"Image":"{image}","HostConfig":{"ContainerIDFile":"/tmp/{name}.cid"}}`},
		{name: "input once", body: `{"Image":"{image}","OpenStdin":true,"StdinOnce":true,"AttachStdin":true,"AttachStdout":true}`},
		{name: "restart always", args: []string{"--restart", "always"}},
		{name: "restart unless stopped", args: []string{"--restart", "unless-stopped"}},
		{name: "restart on failure", args: []string{"--restart", "on-failure:4"}},
		{name: "auto remove", from: "rich", args: []string{"--rm", "-v", "/anon"}},
		{name: "runtime", args: []string{"--runtime", "runc"}},
		{name: "annotations", since: "1.43", args: []string{"--annotation", "a=b"}},
		{name: "platform", args: []string{"--platform", "linux/amd64"}},
		{name: "image for another platform", from: "foreign"},
		{name: "another platform", from: "foreign", args: []string{"--platform", "linux/arm64"}},
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
		{name: "device request in full", createdOnly: "no such device", body: `{"Image":"{image}","HostConfig":{"DeviceRequests":[{"Driver":"nvidia","Count":2,"Capabilities":[["gpu","nvidia"],["gpu","compute"]],"Options":{"a":"b"}}]}}`},
		{name: "device read only", args: []string{"--device", "/dev/null:/dev/mine:r", "--device", "/dev/zero"}},
		{name: "cpus", createdOnly: "cgroups differ from machine to machine", args: []string{"--cpus", "0.5", "--cpu-shares", "512"}},
		{name: "cpu period and quota", createdOnly: "cgroups differ from machine to machine", args: []string{"--cpu-period", "50000", "--cpu-quota", "25000", "--cpuset-cpus", "0", "--cpuset-mems", "0"}},
		{name: "memory", createdOnly: "cgroups differ from machine to machine", args: []string{"-m", "64m", "--memory-reservation", "32m", "--memory-swappiness", "10", "--oom-kill-disable"}},
		{name: "memory and swap", createdOnly: "cgroups differ from machine to machine", args: []string{"-m", "64m", "--memory-swap", "128m"}},
		{name: "swap without end", createdOnly: "cgroups differ from machine to machine", args: []string{"-m", "64m", "--memory-swap", "-1"}},
		{name: "kernel memory", until: "1.41", createdOnly: "cgroups differ from machine to machine", body: `{"Image":"{image}","HostConfig":{"Memory":67108864,"KernelMemory":33554432,"KernelMemoryTCP":33554432}}`},
		{name: "pids and oom score", createdOnly: "cgroups differ from machine to machine", args: []string{"--pids-limit", "100", "--oom-score-adj", "500"}},
		{name: "block io", createdOnly: "cgroups differ from machine to machine", args: []string{"--blkio-weight", "300", "--device-read-bps", "/dev/null:1mb", "--device-write-bps", "/dev/null:2mb", "--device-read-iops", "/dev/null:90", "--device-write-iops", "/dev/null:100", "--blkio-weight-device", "/dev/null:200"}},
		{name: "changed by docker update", createdOnly: "cgroups differ from machine to machine", then: []string{"update --restart unless-stopped --cpu-shares 100 {name}"}},
	}
}
