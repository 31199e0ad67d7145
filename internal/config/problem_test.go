package config_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/watch-docker/watch-docker/internal/config"
)

func TestEveryProblemIsReportedAtOnceWithKeyValueReasonAndPlace(t *testing.T) {
	got := problems(t, `server:
  addr: 8080
  tls:
    cert: /c.pem
scan:
  interval: soon
  concurrency: 99
  cachettl: 5m
user:
  name: bob
  password: short
`, "WATCH_UPDATE_AUTO_UPDATE_CRON=every night", "WATCH_SCAN_INTERVALL=5m")
	want := []string{
		"scan.cachettl: unknown key; did you mean scan.cacheTTL? (config.yaml:8)",
		"WATCH_SCAN_INTERVALL: there is no such variable; did you mean WATCH_SCAN_INTERVAL?",
		"scan.interval = soon: not a duration; allowed: a number with its unit, such as 30s, 10m or 1h30m (config.yaml:6)",
		"server.addr = 8080: a port needs a colon before it, as in :8080; allowed: host:port or :port, the port from 0 to 65535 (config.yaml:2)",
		"scan.concurrency = 99: out of range; allowed: 1 to 64 (config.yaml:7)",
		"update.autoUpdateCron = every night: not a cron expression: expected exactly 5 fields, found 2: [every night];" +
			" allowed: minute hour day-of-month month day-of-week, such as 0 4 * * *, or @daily (WATCH_UPDATE_AUTO_UPDATE_CRON)",
		"user.password = ***: too short; allowed: 8 characters or more (config.yaml:11)",
		"server.tls.cert = /c.pem: server.tls.key is missing; allowed: server.tls.cert and server.tls.key, or neither (config.yaml:4)",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestBadValues(t *testing.T) {
	tests := []struct {
		name, yaml string
		want       string // how the only line must begin, and after … what it must contain
	}{
		{"address without a port", "server: {addr: localhost}", "server.addr = localhost: not an address…:port"},
		{"port out of range", "server: {addr: ':65536'}", "server.addr = :65536: not an address"},
		{"empty address", "server: {addr: ''}", `server.addr = "": not an address`},
		{"relative base URL", "server: {baseURL: example.org}", "server.baseURL = example.org: not a URL…http or https"},
		{"base URL of another scheme", "server: {baseURL: 'ftp://example.org'}", "server.baseURL = ftp://example.org: not a URL"},
		{"base URL with a query", "server: {baseURL: 'http://example.org/?a=b'}", "server.baseURL = http://example.org/?a=b: not a URL"},
		{"base URL with an account", "server: {baseURL: 'http://bob:hunter2@example.org'}", "server.baseURL = http://***@example.org: a user name"},
		{"key without certificate", "server: {tls: {key: /k}}", "server.tls.key = /k: server.tls.cert is missing"},
		{"origin with a path", "server: {corsOrigins: [https://a.b, 'https://a.b/']}", "server.corsOrigins[1] = https://a.b/: not an origin…scheme://host[:port]"},
		{"origin star", "server: {corsOrigins: ['*']}", "server.corsOrigins[0] = *: not an origin"},
		{"origin without scheme", "server: {corsOrigins: [a.b]}", "server.corsOrigins[0] = a.b: not an origin"},
		{"proxy that is a name", "server: {trustedProxies: [nginx]}", "server.trustedProxies[0] = nginx: neither an address nor a network"},
		{"proxies everywhere", "server: {trustedProxies: [0.0.0.0/0]}", "server.trustedProxies[0] = 0.0.0.0/0: this would trust everybody"},
		{"engine over ssh", "docker: {host: 'ssh://me@nas'}", "docker.host = ssh://***@nas: ssh is not supported"},
		{"engine by path", "docker: {host: /var/run/docker.sock}", "docker.host = /var/run/docker.sock: not an engine…unix://"},
		{"bool that is none", "docker: {includeStopped: maybe}", "docker.includeStopped = maybe: neither true nor false"},
		{"duration without a unit", "scan: {interval: 10}", "scan.interval = 10: the unit is missing: add s, m or h, as in 10m"},
		{"duration in days", "scan: {interval: 2d}", "scan.interval = 2d: there is no unit d: a day is 24h, so write 48h"},
		{"negative duration", "scan: {cacheTTL: -5m}", "scan.cacheTTL = -5m: a duration can't be negative…0s to 744h"},
		{"audit retention of less than a day", "audit: {retention: 23h}", "audit.retention = 23h: too short; allowed: 24h to 876000h"},
		{"interval below the minimum", "scan: {interval: 9s}", "scan.interval = 9s: too short; allowed: 10s to 744h"},
		{"endless interval", "scan: {interval: 10000h}", "scan.interval = 10000h: too long"},
		{"list for a single value", "scan: {interval: [1m]}", "scan.interval: a single value is wanted"},
		{"number that is none", "scan: {concurrency: 1.5}", "scan.concurrency = 1.5: not a whole number"},
		{"no registry request at all", "scan: {concurrency: 0}", "scan.concurrency = 0: out of range; allowed: 1 to 64"},
		{"cron with seconds", "update: {autoUpdateCron: '0 0 4 * * *'}", "update.autoUpdateCron = 0 0 4 * * *: not a cron expression"},
		{"cron with a zone", "update: {autoUpdateCron: 'TZ=UTC 0 4 * * *'}", "update.autoUpdateCron = TZ=UTC 0 4 * * *: the time zone doesn't belong here"},
		{"cron by interval", "update: {autoUpdateCron: '@every -1h'}", "update.autoUpdateCron = @every -1h: @every"},
		{"cron that never comes", "update: {autoUpdateCron: '0 0 31 2 *'}", "update.autoUpdateCron = 0 0 31 2 *: "},
		{"time zone", "update: {timezone: Europe/Bärlin}", "update.timezone = Europe/Bärlin: not a time zone…Europe/Berlin"},
		{"time zone with a way out", "update: {timezone: ../../etc/passwd}", "update.timezone = ../../etc/passwd: not a time zone"},
		{"label with a blank", "policy: {onlyLabels: ['my label']}", "policy.onlyLabels[0] = my label: not a label"},
		{"label without a key", "policy: {onlyLabels: ['=x']}", "policy.onlyLabels[0] = =x: not a label"},
		{"label as a section", "policy: {skipLabels: [{a: b}]}", "policy.skipLabels[0]: a text is wanted"},
		{"labels as a section", "policy: {skipLabels: {a: b}}", "policy.skipLabels: a list is wanted"},
		{"labels as a text", "policy: {skipLabels: a=b}", "policy.skipLabels = a=b: a list is wanted"},
		{"same label in skip and force", "policy: {forceLabels: [a, watchdocker.skip=true]}", "policy.forceLabels[1] = watchdocker.skip=true: this label is in policy.skipLabels too…config.yaml:1"},
		{"the default in force now in skip", "policy: {skipLabels: [watchdocker.force=true]}", "policy.skipLabels[0] = watchdocker.force=true: this label is in policy.forceLabels too…config.yaml:1"},
		{"same label in skip and only", "policy: {onlyLabels: [watchdocker.skip=true]}", "policy.onlyLabels[0] = watchdocker.skip=true: this label is in policy.skipLabels"},
		{"tag", "policy: {floatingTags: ['a:b']}", "policy.floatingTags[0] = a:b: not a tag"},
		{"insecure host with scheme", "registry: {insecure: ['http://nas:5000/v2']}", "registry.insecure[0] = http://nas:5000/v2: only the host is wanted: nas:5000"},
		{"mirror with a path", "registry: {mirrors: {docker.io: 'https://m.example/path'}}", "registry.mirrors.docker.io = https://m.example/path: not a mirror"},
		{"mirror with an account", "registry: {mirrors: {docker.io: 'https://me:hunter2@m.example'}}", "registry.mirrors.docker.io = https://***@m.example: not a mirror"},
		{"mirror of itself", "registry: {mirrors: {docker.io: docker.io}}", "registry.mirrors.docker.io = docker.io: a registry can't be its own mirror"},
		{"mirrors as a list", "registry: {mirrors: [a]}", "registry.mirrors: a section is wanted"},
		{"account without a password", "registry: {auth: [{host: a.b, username: c}]}", "registry.auth[0]: password is missing"},
		{"account without a name", "registry: {auth: [{host: a.b, password: hunter2}]}", "registry.auth[0]: username is missing"},
		{"account with an unknown key", "registry: {auth: [{host: a.b, username: c, pasword: hunter2}]}", "registry.auth[0].pasword: unknown key; did you mean password?"},
		{"account with both", "registry: {auth: [{host: a.b, username: c, password: hunter2, passwordFile: /x}]}", "registry.auth[0].passwordFile = /x: password and passwordFile contradict"},
		{"account for a URL", "registry: {auth: [{host: 'https://index.docker.io/v1/', username: c, password: hunter2}]}", "registry.auth[0].host = https://index.docker.io/v1/: only the host is wanted: index.docker.io"},
		{"two accounts for a host", "registry: {auth: [{host: a.b, username: c, password: hunter2}, {host: A.b, username: c, password: hunter2}]}", "registry.auth[1].host = A.b: there is an entry for this host already"},
		{"accounts as a text", "registry: {auth: hunter2}", "registry.auth: a list is wanted"},
		{"level", "logging: {level: loud}", "logging.level = loud: there is no such choice; allowed: debug, info, warn, error"},
		{"format", "logging: {format: xml}", "logging.format = xml: there is no such choice; allowed: json, console"},
		{"name without a password", "user: {name: bob}", "user.name = bob: user.password is missing…USER_PASSWORD_FILE"},
		{"password without a name", "user: {password: hunter2hunter2}", "user.password = ***: user.name is missing"},
		{"password twice", "user: {name: bob, password: hunter2hunter2, passwordFile: /x}", "user.passwordFile = /x: password and passwordFile contradict"},
		{"password file that isn't there", "user: {name: bob, passwordFile: /nowhere/pw}", "user.passwordFile = /nowhere/pw: the file can't be read: no such file…config.yaml:1"},
		{"password file that is a folder", "user: {name: bob, passwordFile: /}", "user.passwordFile = /: the file can't be read: is a directory"},
		{"endless password file", "user: {name: bob, passwordFile: /dev/zero}", "user.passwordFile = /dev/zero: the file is larger"},
		{"password that is a list", "user: {name: bob, password: [hunter2]}", "user.password = ***: a single value is wanted"},
		{"domain with a scheme", "twofa: {allowedDomains: ['https://dash.example.org']}", "twofa.allowedDomains[0] = https://dash.example.org: only the host name is wanted: dash.example.org"},
		{"domain with a port", "twofa: {allowedDomains: ['dash.example.org:8443']}", "twofa.allowedDomains[0] = dash.example.org:8443: not a host name"},
		{"factor's method", "twofa: {users: {Bob.Smith: {method: sms}}}", "twofa.users.Bob.Smith.method: there is no such choice; allowed: otp, webauthn"},
		{"factor's unknown key", "twofa: {users: {bob: {otpSecrets: hunter2}}}", "twofa.users.bob.otpSecrets: unknown key; did you mean otpSecret?"},
		{"credentials of another shape", "twofa: {users: {bob: {webauthnCredentials: hunter2}}}", "twofa.users.bob.webauthnCredentials: not a list of credentials"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			lines := problems(t, tt.yaml)
			begin, rest, _ := strings.Cut(tt.want, "…")
			if len(lines) != 1 || !strings.HasPrefix(lines[0], begin) || !strings.Contains(lines[0], rest) {
				t.Errorf("got\n%s\nwant one line like\n%s", strings.Join(lines, "\n"), tt.want)
			}
			if strings.Contains(strings.Join(lines, ""), "hunter2") {
				t.Errorf("the message has the secret: %s", lines)
			}
		})
	}
}

func TestKeysAreTakenStrictly(t *testing.T) {
	tests := []struct {
		name, yaml string
		want       []string
	}{
		{"unknown section", "notify:\n  url: x\n", []string{"notify: unknown key (config.yaml:1)"}},
		{"unknown key deep down", "server:\n  tls:\n    certt: x\n", []string{"server.tls.certt: unknown key; did you mean server.tls.cert? (config.yaml:3)"}},
		{"wrong capitals", "scan:\n  cachettl: 5m\n", []string{"scan.cachettl: unknown key; did you mean scan.cacheTTL? (config.yaml:2)"}},
		{"in the wrong place", "interval: 5m\n", []string{"interval: unknown key; did you mean scan.interval? (config.yaml:1)"}},
		{"with dots", "scan.interval: 5m\n", []string{"scan.interval: dots don't work here; allowed: interval in the section scan (config.yaml:1)"}},
		{"a typing error in a secret's key doesn't show the secret", "user:\n  pasword: hunter2\n", []string{"user.pasword: unknown key; did you mean user.password? (config.yaml:2)"}},
		{"twice", "scan:\n  interval: 1m\n  interval: 2m\n", []string{"scan.interval: is in line 2 already; allowed: once (config.yaml:3)"}},
		{"a section that is a value", "logging: debug\n", []string{"logging: a section is wanted; allowed: level, format (config.yaml:1)"}},
		{"no sections at all", "- a\n", []string{"configuration file: sections are wanted; allowed: server, metrics, docker, scan, update, policy, registry, logging, audit, user, twofa, shell, compose, statePath (config.yaml:1)"}},
		// The line is the parser's, which counts from 0 for some errors and from 1 for others.
		{"not YAML", "scan:\n  interval: [1m\n", []string{"configuration file: not YAML: did not find expected ',' or ']' (config.yaml:1)"}},
		{"a password that looks like an alias isn't repeated", "user: {name: bob, password: *hunter2 }\n", []string{"configuration file: not YAML: a value that begins with * must be in quotes (config.yaml)"}},
		{"two documents", "scan: {}\n---\nscan: {}\n", []string{"configuration file: there is a second document after ---; allowed: one (config.yaml:2)"}},
		{"a key that is a list", "[a]: b\n", []string{": a key must be a plain word (config.yaml:1)"}},
		{"an empty file is fine", "", nil},
		{"a file of comments is fine", "# nothing\n", nil},
		{"empty sections are fine", "scan:\nserver:\n  tls:\n", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, problems(t, tt.yaml)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestVariablesAreTakenStrictly(t *testing.T) {
	tests := []struct {
		name    string
		environ []string
		want    []string
	}{
		{"typing error", []string{"WATCH_SCAN_CACHETTL=5m"}, []string{"WATCH_SCAN_CACHETTL: there is no such variable; did you mean WATCH_SCAN_CACHE_TTL?"}},
		{"nothing near", []string{"WATCH_XYZZY=secret"}, []string{"WATCH_XYZZY: there is no such variable"}},
		{"typing error behind an index", []string{"WATCH_REGISTRY_AUTH_3_PASWORD=hunter2"}, []string{"WATCH_REGISTRY_AUTH_3_PASWORD: there is no such variable; did you mean WATCH_REGISTRY_AUTH_3_PASSWORD?"}},
		{"index forgotten", []string{"WATCH_REGISTRY_AUTH_HOST=a.b"}, []string{"WATCH_REGISTRY_AUTH_HOST: there is no such variable; did you mean WATCH_REGISTRY_AUTH_0_HOST?"}},
		{"a port of one's own invention", []string{"WATCH_SERVER_PORT=80"}, []string{"WATCH_SERVER_PORT: there is no such variable; did you mean WATCH_SERVER_ADDR?"}},
		{"WATCHDOCKER_ is not ours", []string{"WATCHDOCKER_X=1", "OTHER=1"}, nil},
		{"Kubernetes' service variables aren't ours", []string{"WATCH_DOCKER_SERVICE_HOST=10.0.0.1", "WATCH_DOCKER_SERVICE_PORT=80", "WATCH_DOCKER_SERVICE_PORT_HTTP=80",
			"WATCH_DOCKER_PORT=tcp://10.0.0.1:80", "WATCH_DOCKER_PORT_80_TCP=tcp://10.0.0.1:80", "WATCH_DOCKER_PORT_80_TCP_ADDR=10.0.0.1"}, nil},
		{"gap in the index", []string{"WATCH_REGISTRY_AUTH_0_HOST=a.b", "WATCH_REGISTRY_AUTH_0_USERNAME=u", "WATCH_REGISTRY_AUTH_0_PASSWORD=p",
			"WATCH_REGISTRY_AUTH_2_HOST=c.d", "WATCH_REGISTRY_AUTH_2_USERNAME=u", "WATCH_REGISTRY_AUTH_2_PASSWORD=p"},
			[]string{"registry.auth: WATCH_REGISTRY_AUTH_2_* is set, but nothing of WATCH_REGISTRY_AUTH_1_*; allowed: 0, 1, 2 and so on without a gap (WATCH_REGISTRY_AUTH_2_*)"}},
		{"entry without a host", []string{"WATCH_REGISTRY_AUTH_0_USERNAME=u", "WATCH_REGISTRY_AUTH_0_PASSWORD=hunter2"},
			[]string{"registry.auth[0]: host is missing; allowed: host, username and one of password and passwordFile (WATCH_REGISTRY_AUTH_0_*)"}},
		{"a bad part is blamed on its variable", []string{"WATCH_REGISTRY_AUTH_0_HOST=https://a.b", "WATCH_REGISTRY_AUTH_0_USERNAME=u", "WATCH_REGISTRY_AUTH_0_PASSWORD=p"},
			[]string{"registry.auth[0].host = https://a.b: only the host is wanted: a.b; allowed: host or host:port, such as ghcr.io or 127.0.0.1:5000 (WATCH_REGISTRY_AUTH_0_HOST)"}},
		{"password and its file", []string{"USER_NAME=bob", "USER_PASSWORD=hunter2hunter2", "USER_PASSWORD_FILE=/x"},
			[]string{"user.passwordFile = /x: password and passwordFile contradict each other; allowed: one of them (USER_PASSWORD_FILE)"}},
		{"mirrors that aren't pairs", []string{"WATCH_REGISTRY_MIRRORS=docker.io,ghcr.io=m.example,ghcr.io=n.example"},
			[]string{"registry.mirrors = docker.io: not a pair; allowed: host=mirror, several separated by commas (WATCH_REGISTRY_MIRRORS)",
				"registry.mirrors = ghcr.io=n.example: ghcr.io is there twice; allowed: one mirror for a host (WATCH_REGISTRY_MIRRORS)"}},
		{"a zone in TZ that isn't known", []string{"TZ=CET-1CEST"},
			[]string{"update.timezone = CET-1CEST: not a time zone that is known; allowed: a name such as Europe/Berlin, UTC, or Local (TZ)"}},
		{"CONFIG_FILE and CONFIG_PATH are known", []string{"CONFIG_PATH=/c"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, problems(t, "", tt.environ...)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAFileThatWasNamedMustBeThere(t *testing.T) {
	tests := []struct {
		name string
		opts config.Options
		want string
	}{
		{"by -config", config.Options{File: "/nowhere/c.yaml", Environ: []string{}}, "configuration file = /nowhere/c.yaml: there is no such file"},
		{"by CONFIG_FILE", config.Options{Environ: []string{"CONFIG_PATH=/nowhere", "CONFIG_FILE=c.yaml"}}, "configuration file = /nowhere/c.yaml: there is no such file"},
		{"and be no folder", config.Options{File: t.TempDir(), Environ: []string{}}, "configuration file = "},
		{"nor may a folder be where one is looked for", config.Options{Search: []string{t.TempDir()}, Environ: []string{}}, "this is a folder"},
		{"nor be endless", config.Options{File: "/dev/zero", Environ: []string{}}, "configuration file = /dev/zero: the file is larger than 1 MiB"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := config.Load(tt.opts); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestAnEmptyPasswordFileIsRefused(t *testing.T) {
	empty := write(t, "pw", "\n")
	lines := problems(t, "", "USER_NAME=bob", "USER_PASSWORD_FILE="+empty)
	if len(lines) != 1 || !strings.Contains(lines[0], "user.passwordFile = "+empty+": the file is empty") {
		t.Errorf("got %q", lines)
	}
}

func TestAPasswordFromAFileMustBeLongEnoughToo(t *testing.T) {
	lines := problems(t, "", "USER_NAME=bob", "USER_PASSWORD_FILE="+write(t, "pw", "hunter2\n"))
	want := []string{"user.password = ***: too short; allowed: 8 characters or more (USER_PASSWORD_FILE)"}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Error(diff)
	}
}

func TestAProblemStaysOnItsLine(t *testing.T) {
	lines := problems(t, "scan:\n  interval: \"a\\nb\\e[31m\"\n  \"x\\ny\": 1\n")
	lines = append(lines, problems(t, "registry: {mirrors: {\"a\\nb\": \"c\\nd\"}}")...)
	if len(lines) != 4 || strings.ContainsRune(strings.Join(lines, ""), '\x1b') {
		t.Errorf("got %q", lines)
	}
}

func TestAConfigMadeByHandIsCheckedByValidate(t *testing.T) {
	cfg := defaults()
	if err := cfg.Validate(); err != nil {
		t.Errorf("defaults: %v", err)
	}
	cfg.Scan.Concurrency = 0
	cfg.User.Password = "hunter2hunter2"
	want := "scan.concurrency = 0: out of range; allowed: 1 to 64\n" +
		"user.password = ***: user.name is missing; allowed: a user name (USER_NAME) and a password (USER_PASSWORD or USER_PASSWORD_FILE), or neither"
	if err := cfg.Validate(); err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
}

// A folder in the file's place is a failure to read that root has, too.
func TestAFileThatCantBeReadIsNamed(t *testing.T) {
	folder := t.TempDir()
	_, err := config.Load(config.Options{File: folder, Environ: []string{}})
	if err == nil || !strings.Contains(err.Error(), folder) {
		t.Errorf("error: %v", err)
	} else {
		t.Log(err)
	}
}
