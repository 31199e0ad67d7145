package config_test

import (
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/watch-docker/watch-docker/internal/config"
)

func defaults() *config.Config {
	return &config.Config{
		Server: config.ServerConfig{Addr: ":8080"},
		Scan: config.ScanConfig{Interval: 10 * time.Minute, InitialScanOnStart: true, Concurrency: 8,
			CacheTTL: 5 * time.Minute, ErrorTTL: 30 * time.Second},
		Update: config.UpdateConfig{Enabled: true, Timezone: "Local", Concurrency: 2, AllowComposeUpdate: true,
			RemoveOldContainer: true, KeepImages: 1, HealthTimeout: 2 * time.Minute, StableFor: 10 * time.Second},
		Policy: config.PolicyConfig{SkipLabels: []string{"watchdocker.skip=true"}, ForceLabels: []string{"watchdocker.force=true"},
			SkipLocalBuild: true, SkipPinnedDigest: true, SkipSemverPinned: true},
		Logging:   config.LoggingConfig{Level: "info"},
		Audit:     config.AuditConfig{Retention: 8760 * time.Hour},
		StatePath: "/home/me/.local/state/watch-docker",
	}
}

func TestWithoutFileAndEnvironmentEverythingIsTheDefault(t *testing.T) {
	cfg, err := config.Load(options(""))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(defaults(), cfg, same()); diff != "" {
		t.Error(diff)
	}
	if cfg.File() != "" {
		t.Errorf("File() = %q", cfg.File())
	}
}

const fullFile = `
server:
  addr: 127.0.0.1:9000
  baseURL: https://dash.example.org:8443/watch/
  tls: {cert: /tls/c.pem, key: /tls/k.pem}
  corsOrigins: [https://Home.Example.org:443, "http://127.0.0.1:3000"]
  trustedProxies: [172.18.5.6/16, 10.0.0.5, "fd00::/8"]
metrics: {public: true}
docker: {host: "tcp://10.0.0.1:2376", includeStopped: true}
scan: {interval: 1h, initialScanOnStart: false, concurrency: 64, cacheTTL: 0s, errorTTL: 1m}
update:
  enabled: no
  autoUpdateCron: 0 4 * * 1-5
  timezone: Europe/Berlin
  concurrency: 3
  allowComposeUpdate: false
  removeOldContainer: false
  keepImages: 0
  healthTimeout: 5m
  stableFor: 1m
policy:
  skipLabels: []
  onlyLabels: [com.example.watch]
  forceLabels: [a=b]
  skipLocalBuild: false
  skipPinnedDigest: false
  skipSemverPinned: false
  floatingTags: [latest, "8.0"]
registry:
  auth:
    - {host: ghcr.io, username: Me, password: 0123}
  insecure: [NAS.local:5000]
  mirrors: {docker.io: mirror.example:5000, Quay.IO: "https://q.example"}
logging: {level: debug, format: console}
audit: {retention: 48h}
user: {name: Bob.Smith, password: "correct horse"}
twofa:
  required: true
  allowedDomains: [dash.example.org]
  users:
    Bob.Smith: {method: otp, otpSecret: ABCDEF, isSetup: true}
    eve@EXAMPLE.org:
      method: webauthn
      webauthnCredentials: [{id: AQID, signCount: 7}]
shell: {hostEnabled: true}
compose: {path: [/srv/a, /srv/b]}
statePath: /var/lib/wd
`

func fullConfig() *config.Config {
	return &config.Config{
		Server: config.ServerConfig{Addr: "127.0.0.1:9000",
			BaseURL:        &url.URL{Scheme: "https", Host: "dash.example.org:8443", Path: "/watch"},
			TLS:            config.TLSConfig{Cert: "/tls/c.pem", Key: "/tls/k.pem"},
			CORSOrigins:    []string{"https://home.example.org", "http://127.0.0.1:3000"},
			TrustedProxies: []netip.Prefix{netip.MustParsePrefix("172.18.0.0/16"), netip.MustParsePrefix("10.0.0.5/32"), netip.MustParsePrefix("fd00::/8")}},
		Metrics: config.MetricsConfig{Public: true},
		Docker:  config.DockerConfig{Host: "tcp://10.0.0.1:2376", IncludeStopped: true},
		Scan:    config.ScanConfig{Interval: time.Hour, Concurrency: 64, ErrorTTL: time.Minute},
		Update: config.UpdateConfig{AutoUpdateCron: "0 4 * * 1-5", Timezone: "Europe/Berlin", Concurrency: 3,
			HealthTimeout: 5 * time.Minute, StableFor: time.Minute},
		Policy: config.PolicyConfig{OnlyLabels: []string{"com.example.watch"}, ForceLabels: []string{"a=b"}, FloatingTags: []string{"latest", "8.0"}},
		Registry: config.RegistryConfig{
			Auth:     []config.RegistryAuthConfig{{Host: "ghcr.io", Username: "Me", Password: "0123"}},
			Insecure: []string{"NAS.local:5000"},
			Mirrors:  map[string]string{"docker.io": "mirror.example:5000", "Quay.IO": "https://q.example"}},
		Logging: config.LoggingConfig{Level: "debug", Format: "console"},
		Audit:   config.AuditConfig{Retention: 48 * time.Hour},
		TwoFA: config.TwoFAConfig{Required: true, AllowedDomains: []string{"dash.example.org"}, Users: map[string]config.TwoFAUserConfig{
			"Bob.Smith":       {Method: "otp", OTPSecret: "ABCDEF", IsSetup: true},
			"eve@EXAMPLE.org": {Method: "webauthn", WebAuthnCredentials: []map[string]any{{"id": "AQID", "signCount": 7}}}}},
		Shell:     config.ShellConfig{HostEnabled: true},
		User:      config.UserConfig{Name: "Bob.Smith", Password: "correct horse"},
		Compose:   config.ComposeConfig{Path: []string{"/srv/a", "/srv/b"}},
		StatePath: "/var/lib/wd",
	}
}

func TestTheFileSetsEveryKeyAndKeepsDotsAndCapitals(t *testing.T) {
	cfg := load(t, fullFile)
	if diff := cmp.Diff(fullConfig(), cfg, same()); diff != "" {
		t.Error(diff)
	}
	for _, row := range cfg.Effective() {
		if row.Source == "default" && row.Key != "user.passwordFile" {
			t.Errorf("%s isn't set by the file", row.Key)
		}
	}
}

func TestTheEnvironmentSetsEveryKey(t *testing.T) {
	cfg, err := config.Load(options("",
		"WATCH_SERVER_ADDR=127.0.0.1:9000", "WATCH_SERVER_BASE_URL=https://dash.example.org:8443/watch",
		"WATCH_SERVER_TLS_CERT=/tls/c.pem", "WATCH_SERVER_TLS_KEY=/tls/k.pem",
		"WATCH_SERVER_CORS_ORIGINS=https://home.example.org, http://127.0.0.1:3000",
		"WATCH_SERVER_TRUSTED_PROXIES=172.18.0.0/16,10.0.0.5,fd00::/8", "WATCH_METRICS_PUBLIC=true",
		"WATCH_DOCKER_HOST=tcp://10.0.0.1:2376", "WATCH_DOCKER_INCLUDE_STOPPED=1",
		"WATCH_SCAN_INTERVAL=1h", "WATCH_SCAN_INITIAL_SCAN_ON_START=false", "WATCH_SCAN_CONCURRENCY=64",
		"WATCH_SCAN_CACHE_TTL=0s", "WATCH_SCAN_ERROR_TTL=1m",
		"WATCH_UPDATE_ENABLED=false", "WATCH_UPDATE_AUTO_UPDATE_CRON=0 4 * * 1-5", "WATCH_UPDATE_TIMEZONE=Europe/Berlin",
		"WATCH_UPDATE_CONCURRENCY=3", "WATCH_UPDATE_ALLOW_COMPOSE_UPDATE=off", "WATCH_UPDATE_REMOVE_OLD_CONTAINER=False",
		"WATCH_UPDATE_KEEP_IMAGES=0", "WATCH_UPDATE_HEALTH_TIMEOUT=5m", "WATCH_UPDATE_STABLE_FOR=1m",
		"WATCH_POLICY_SKIP_LABELS=,", "WATCH_POLICY_ONLY_LABELS=com.example.watch", "WATCH_POLICY_FORCE_LABELS=a=b",
		"WATCH_POLICY_SKIP_LOCAL_BUILD=false", "WATCH_POLICY_SKIP_PINNED_DIGEST=false", "WATCH_POLICY_SKIP_SEMVER_PINNED=false",
		"WATCH_POLICY_FLOATING_TAGS=latest,8.0",
		"WATCH_REGISTRY_AUTH_0_HOST=ghcr.io", "WATCH_REGISTRY_AUTH_0_USERNAME=Me", "WATCH_REGISTRY_AUTH_0_PASSWORD=0123",
		"WATCH_REGISTRY_INSECURE=NAS.local:5000", "WATCH_REGISTRY_MIRRORS=docker.io=mirror.example:5000, Quay.IO=https://q.example",
		"WATCH_LOGGING_LEVEL=debug", "WATCH_LOGGING_FORMAT=console", "WATCH_AUDIT_RETENTION=48h",
		"USER_NAME=Bob.Smith", "USER_PASSWORD=correct horse",
		"IS_SECONDARY_VERIFICATION=true", "TWOFA_ALLOWED_DOMAINS=dash.example.org", "IS_OPEN_DOCKER_SHELL=true",
		"APP_PATH=/srv/a,/srv/b", "STATE_PATH=/var/lib/wd"))
	if err != nil {
		t.Fatal(err)
	}
	want := fullConfig()
	want.TwoFA.Users = nil // no variable for that
	if diff := cmp.Diff(want, cfg, same()); diff != "" {
		t.Error(diff)
	}
}

func TestWhichSourceWins(t *testing.T) {
	tests := []struct {
		name, yaml string
		environ    []string
		get        func(*config.Config) string
		want       string
	}{
		{"the environment goes before the file", "server: {addr: ':1'}", []string{"WATCH_SERVER_ADDR=:2"},
			func(c *config.Config) string { return c.Server.Addr }, ":2"},
		{"even if the file's value is wrong", "server: {addr: 1}", []string{"WATCH_SERVER_ADDR=:2"},
			func(c *config.Config) string { return c.Server.Addr }, ":2"},
		{"an empty variable is none", "server: {addr: ':1'}", []string{"WATCH_SERVER_ADDR="},
			func(c *config.Config) string { return c.Server.Addr }, ":1"},
		{"a key without a value is none", "server: {addr: }", nil,
			func(c *config.Config) string { return c.Server.Addr }, ":8080"},
		{"WATCH_DOCKER_HOST goes before DOCKER_HOST", "", []string{"DOCKER_HOST=unix:///a", "WATCH_DOCKER_HOST=unix:///b"},
			func(c *config.Config) string { return c.Docker.Host }, "unix:///b"},
		{"DOCKER_HOST counts", "docker: {host: 'unix:///c'}", []string{"DOCKER_HOST=unix:///a"},
			func(c *config.Config) string { return c.Docker.Host }, "unix:///a"},
		{"WATCH_UPDATE_TIMEZONE goes before TZ", "", []string{"TZ=UTC", "WATCH_UPDATE_TIMEZONE=Asia/Tokyo"},
			func(c *config.Config) string { return c.Update.Timezone }, "Asia/Tokyo"},
		{"TZ counts", "", []string{"TZ=:Asia/Tokyo"},
			func(c *config.Config) string { return c.Update.Location().String() }, "Asia/Tokyo"},
		{"a path in TZ is local time", "", []string{"TZ=:/etc/localtime"},
			func(c *config.Config) string { return c.Update.Timezone }, "Local"},
		{"STATE_PATH goes before all", "statePath: /b", []string{"STATE_PATH=/a", "CONFIG_PATH=/c"},
			func(c *config.Config) string { return c.StatePath }, "/a"},
		{"the file's statePath goes before CONFIG_PATH", "statePath: /b", []string{"CONFIG_PATH=/c"},
			func(c *config.Config) string { return c.StatePath }, "/b"},
		{"CONFIG_PATH is the state folder else", "", []string{"CONFIG_PATH=/c", "XDG_STATE_HOME=/x"},
			func(c *config.Config) string { return c.StatePath }, "/c"},
		{"then the user's", "", []string{"XDG_STATE_HOME=/x"},
			func(c *config.Config) string { return c.StatePath }, "/x/watch-docker"},
		{"one compose folder needs no list", "compose: {path: /srv}", nil,
			func(c *config.Config) string { return c.Compose.Path[0] }, "/srv"},
		{"anchors work", "scan: {interval: &t 7m, cacheTTL: *t}", nil,
			func(c *config.Config) string { return c.Scan.CacheTTL.String() }, "7m0s"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.get(load(t, tt.yaml, tt.environ...)); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestWhereTheFileIsLookedFor(t *testing.T) {
	dir := t.TempDir()
	for name, addr := range map[string]string{"explicit.yaml": ":1", "named.yaml": ":2", "config.yaml": ":3", "searched.yaml": ":4"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("server: {addr: '"+addr+"'}"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	search := []string{filepath.Join(dir, "missing.yaml"), filepath.Join(dir, "searched.yaml")}
	tests := []struct {
		name string
		opts config.Options
		want string
	}{
		{"the one that is named", config.Options{File: filepath.Join(dir, "explicit.yaml"), Environ: []string{"CONFIG_PATH=" + dir}}, ":1"},
		{"CONFIG_FILE in CONFIG_PATH", config.Options{Environ: []string{"CONFIG_PATH=" + dir, "CONFIG_FILE=named.yaml"}}, ":2"},
		{"CONFIG_FILE with a whole path", config.Options{Environ: []string{"CONFIG_PATH=/nowhere", "CONFIG_FILE=" + dir + "/named.yaml"}}, ":2"},
		{"config.yaml in CONFIG_PATH", config.Options{Environ: []string{"CONFIG_PATH=" + dir}, Search: search}, ":3"},
		{"the usual places if CONFIG_PATH has none", config.Options{Environ: []string{"CONFIG_PATH=" + t.TempDir()}, Search: search}, ":4"},
		{"the usual places", config.Options{Environ: []string{}, Search: search}, ":4"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg, err := config.Load(tt.opts)
			if err != nil {
				t.Fatal(err)
			}
			if cfg.Server.Addr != tt.want {
				t.Errorf("read %s", cfg.File())
			}
		})
	}
}

func TestTheCurrentFolderIsTheFirstOfTheUsualPlaces(t *testing.T) {
	t.Chdir(filepath.Dir(write(t, "config.yaml", "server: {addr: ':9'}")))
	cfg, err := config.Load(config.Options{Environ: []string{}})
	if err != nil {
		t.Fatal(err)
	}
	if cfg.File() != "config.yaml" || cfg.Server.Addr != ":9" {
		t.Errorf("file %q, addr %q", cfg.File(), cfg.Server.Addr)
	}
}

func TestTheProcessEnvironmentCountsIfNoneIsGiven(t *testing.T) {
	t.Setenv("WATCH_SERVER_ADDR", ":4711")
	cfg, err := config.Load(config.Options{Search: []string{}})
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Server.Addr != ":4711" {
		t.Errorf("addr %q", cfg.Server.Addr)
	}
}

func TestBaseURLGivesOriginAndPath(t *testing.T) {
	cfg := load(t, "server: {baseURL: 'https://Dash.Example.org:443/watch/'}")
	if got := cfg.Server.Origin() + " " + cfg.Server.BasePath(); got != "https://dash.example.org /watch" {
		t.Errorf("got %q", got)
	}
	none := load(t, "")
	if got := none.Server.Origin() + none.Server.BasePath(); got != "" {
		t.Errorf("without a URL: %q", got)
	}
}

func TestAccountsOfTheEnvironmentReplaceThoseOfTheFileForTheirHost(t *testing.T) {
	cfg := load(t, `
registry:
  auth:
    - {host: ghcr.io, username: file, password: old}
    - {host: Reg.Example:5000, username: file, password: kept}
`,
		"WATCH_REGISTRY_AUTH_0_HOST=GHCR.io", "WATCH_REGISTRY_AUTH_0_USERNAME=env", "WATCH_REGISTRY_AUTH_0_PASSWORD=new",
		"WATCH_REGISTRY_AUTH_1_HOST=docker.io", "WATCH_REGISTRY_AUTH_1_USERNAME=hub",
		"WATCH_REGISTRY_AUTH_1_PASSWORD_FILE="+write(t, "pw", "from a file\n"))
	want := []config.RegistryAuthConfig{
		{Host: "Reg.Example:5000", Username: "file", Password: "kept"},
		{Host: "GHCR.io", Username: "env", Password: "new"},
		{Host: "docker.io", Username: "hub", Password: "from a file", PasswordFile: cfg.Registry.Auth[2].PasswordFile},
	}
	if diff := cmp.Diff(want, cfg.Registry.Auth); diff != "" {
		t.Error(diff)
	}
}

func TestPasswordsFromFiles(t *testing.T) {
	pw := write(t, "pw", " sp aced pass \r\n\n")
	t.Run("environment", func(t *testing.T) {
		cfg := load(t, "", "USER_NAME=bob", "USER_PASSWORD_FILE="+pw)
		if cfg.User.Password.Reveal() != " sp aced pass " {
			t.Errorf("password %q", cfg.User.Password.Reveal())
		}
	})
	t.Run("file", func(t *testing.T) {
		cfg := load(t, "user: {name: bob, passwordFile: '"+pw+"'}\nregistry: {auth: [{host: a.b, username: c, passwordFile: '"+pw+"'}]}")
		if cfg.User.Password.Reveal() != " sp aced pass " || cfg.Registry.Auth[0].Password.Reveal() != " sp aced pass " {
			t.Errorf("passwords %q, %q", cfg.User.Password.Reveal(), cfg.Registry.Auth[0].Password.Reveal())
		}
	})
	t.Run("a password in the environment goes before a passwordFile in the file", func(t *testing.T) {
		cfg := load(t, "user: {name: bob, passwordFile: /nowhere}", "USER_PASSWORD=hunter2hunter2")
		if cfg.User.Password.Reveal() != "hunter2hunter2" || cfg.User.PasswordFile != "" {
			t.Errorf("password %q, file %q", cfg.User.Password.Reveal(), cfg.User.PasswordFile)
		}
	})
	t.Run("a file in the environment goes before a password in the file", func(t *testing.T) {
		cfg := load(t, "user: {name: bob, password: hunter2hunter2}", "USER_PASSWORD_FILE="+pw)
		if cfg.User.Password.Reveal() != " sp aced pass " {
			t.Errorf("password %q", cfg.User.Password.Reveal())
		}
	})
}
