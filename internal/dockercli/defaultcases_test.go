package dockercli_test

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

// everything is each setting that an image has a default for, in other words
// than any image's.
const everything = `{"Image":"{image}","Env":["MINE=a","CHANGED=mine","KEPT=mine"],"Cmd":["7"],"Entrypoint":["/bin/sh","-c","exec sleep 1007"],
	"Labels":{"mine":"1","changed":"mine"},"ExposedPorts":{"98/tcp":{},"99/udp":{}},"Volumes":{"/mine":{},"/yours":{}},"WorkingDir":"/var",
	"User":"7:7","Healthcheck":{"Test":["CMD","true"],"Interval":7000000000,"Timeout":7000000000,"StartPeriod":7000000000,"Retries":7},
	"StopSignal":"SIGUSR1","StopTimeout":7,"Shell":["/bin/sh","-xc"]}`

// theNewDefaults is each setting as the new rich image has it by itself.
const theNewDefaults = `{"Image":"{image}","Env":["CHANGED=new","ADDED=1"],"Cmd":["2"],
	"Labels":{"changed":"new","added":"1"},"ExposedPorts":{"82/tcp":{}},"Volumes":{"/added":{}},"WorkingDir":"/etc",
	"User":"0","Healthcheck":{"Test":["CMD-SHELL","true"],"Interval":120000000000,"Timeout":60000000000},
	"StopSignal":"SIGTERM","Shell":["/bin/sh","-ec"],"HostConfig":{}}`

// bothWays: what the user set against what the image says, before and after.
func bothWays() []recreation {
	all := []recreation{
		{name: "everything set", from: "rich", body: everything},
		{name: "everything set, image's defaults gone", from: "poor", body: everything},
		{name: "everything set, image's defaults new", from: "grown", body: everything},
		{name: "everything set to the new defaults", from: "rich", body: theNewDefaults},
		{name: "everything set to the new defaults, image's defaults new", from: "grown", body: theNewDefaults, createdOnly: "the old image has no entrypoint for the command"},
		{name: "entrypoint set to the new default", from: "rich", body: `{"Image":"{image}","Entrypoint":["sh","-c","trap 'exit 0' TERM INT; \"$@\" & wait","sh","sleep","2000"]}`},
		{name: "entrypoint set to the old default, no command", from: "rich", body: `{"Image":"{image}","Entrypoint":["sh","-c","trap 'exit 0' TERM INT; \"$@\" & wait","sh","sleep","1000"]}`},
		{name: "variable set to the old default", from: "rich", args: []string{"-e", "CHANGED=old"}},
		{name: "variables set to the old defaults", from: "rich", args: []string{"-e", "CHANGED=old", "-e", "MINE=1", "-e", "GONE=1"}},
		{name: "variable set to the old default, image's defaults gone", from: "poor", args: []string{"-e", "GONE=1"}},
		{name: "variable set to what stays the default", from: "rich", args: []string{"-e", "KEPT=1", "-e", "MINE=1"}},
		{name: "image's port published, image's defaults gone", from: "poor", args: []string{"-p", "127.0.0.1::81"}},
		{name: "named volume over the image's, image's defaults gone", from: "poor", args: []string{"-v", "{net}v:/gone"}},
		{name: "anonymous mount over the image's volume, image's defaults gone", from: "poor", args: []string{"--mount", "type=volume,destination=/gone"}, check: warns("")},
		{name: "working directory the image's in other words", from: "grown", args: []string{"-w", "/etc/"}},
	}
	// What the engine's inspect shows the same whether it was set or not.
	for _, r := range []recreation{
		{name: "image's first variable", args: []string{"-e", "PATH=/bin"}},
		{name: "label", args: []string{"-l", "changed=old"}},
		{name: "exposed port", args: []string{"--expose", "81"}},
		{name: "volume", args: []string{"-v", "/gone"}, check: warns("/gone")},
		{name: "working directory", args: []string{"-w", "/bin/"}},
		{name: "user", args: []string{"-u", "0:0"}},
		{name: "stop signal", args: []string{"--stop-signal", "SIGINT"}},
		{name: "health check", body: `{"Image":"{image}","Healthcheck":{"Test":["CMD","/bin/true"],"Interval":60000000000,"Retries":5}}`},
		{name: "command", cmd: []string{"1"}},
		{name: "entrypoint and command", body: `{"Image":"{image}","Entrypoint":["sh","-c","trap 'exit 0' TERM INT; \"$@\" & wait","sh","sleep","1000"],"Cmd":["1"]}`},
	} {
		r.name, r.from, r.asUnset = r.name+" set to the old default", "rich", true
		all = append(all, r)
	}
	return all
}
