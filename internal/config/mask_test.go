package config_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.yaml.in/yaml/v3"

	"github.com/watch-docker/watch-docker/internal/config"
)

const withSecrets = `
user: {name: bob, password: hunter2-user}
registry:
  auth: [{host: ghcr.io, username: me, password: hunter2-registry}]
twofa:
  users:
    Bob.Smith: {method: otp, otpSecret: HUNTER2TOTP, webauthnCredentials: [{id: hunter2-id}]}
`

func TestASecretShowsInNoWayOfPrinting(t *testing.T) {
	cfg := load(t, withSecrets)
	printed := map[string]string{}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%10v", "%T"} {
		printed[verb] = fmt.Sprintf(verb, cfg.User) + fmt.Sprintf(verb, cfg.Registry) + fmt.Sprintf(verb, cfg.TwoFA.Users["Bob.Smith"].OTPSecret)
		printed["pointer "+verb] = fmt.Sprintf(verb, &cfg.User)
	}
	printed["config"] = fmt.Sprintf("%v %+v", *cfg, cfg)
	for name, encode := range map[string]func(any) ([]byte, error){"JSON": json.Marshal, "YAML": yaml.Marshal} {
		text, err := encode(map[string]any{"user": cfg.User, "registry": cfg.Registry})
		if err != nil {
			t.Fatal(err)
		}
		if name == "JSON" && !strings.Contains(string(text), `"***"`) {
			t.Errorf("no mask in %s", text)
		}
		printed[name] = string(text)
	}
	enc := zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig())
	line, err := enc.EncodeEntry(zapcore.Entry{}, []zapcore.Field{zap.Any("user", cfg.User), zap.Any("password", cfg.User.Password)})
	if err != nil {
		t.Fatal(err)
	}
	printed["zap"] = line.String()
	for how, text := range printed {
		lower := strings.ToLower(text)
		for _, leak := range []string{"hunter2-user", "hunter2-registry", "hunter2totp", fmt.Sprintf("%x", "hunter2"), `"hunter2"`} {
			if strings.Contains(lower, leak) {
				t.Errorf("%s shows a secret: %s", how, text)
			}
		}
	}
	if cfg.User.Password.Reveal() != "hunter2-user" {
		t.Error("Reveal doesn't")
	}
}

func TestAnEmptySecretShowsAsEmpty(t *testing.T) {
	if got := fmt.Sprintf("%v%s", config.Secret(""), config.Secret("").GoString()); got != `""` {
		t.Errorf("got %s", got)
	}
}

func TestMaskedIsTheWholeConfigurationWithoutSecrets(t *testing.T) {
	masked := load(t, withSecrets, "WATCH_SERVER_TRUSTED_PROXIES=10.0.0.1").Masked()
	text, err := json.Marshal(masked)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(strings.ToLower(string(text)), "hunter2") {
		t.Errorf("a secret shows: %s", text)
	}
	want := map[string]any{"name": "bob", "password": "***", "passwordFile": ""}
	if diff := cmp.Diff(want, masked["user"]); diff != "" {
		t.Error(diff)
	}
	for _, part := range []string{
		`"registry":{"auth":[{"host":"ghcr.io","password":"***","username":"me"}],"insecure":[],"mirrors":{}}`,
		`"Bob.Smith":{"isSetup":false,"method":"otp","otpSecret":"***","webauthnCredentials":1}`,
		`"interval":"10m"`, `"trustedProxies":["10.0.0.1/32"]`, `"baseURL":""`, `"concurrency":8`,
	} {
		if !strings.Contains(string(text), part) {
			t.Errorf("%s isn't in %s", part, text)
		}
	}
}

func TestEffectiveSaysWhereEachValueCameFrom(t *testing.T) {
	cfg := load(t, `
scan:
  interval: 90m
policy:
  skipLabels:
    - a=b
    - c
registry:
  auth:
    - {host: ghcr.io, username: me, password: hunter2}
`, "WATCH_LOGGING_LEVEL=warn", "CONFIG_PATH=/c", "WATCH_REGISTRY_AUTH_0_HOST=a.b", "WATCH_REGISTRY_AUTH_0_USERNAME=u", "WATCH_REGISTRY_AUTH_0_PASSWORD=p")
	file := filepath.Base(cfg.File())
	rows := map[string]config.Effective{}
	for _, row := range cfg.Effective() {
		row.Source = strings.ReplaceAll(row.Source, cfg.File(), file)
		rows[row.Key] = row
	}
	for _, want := range []config.Effective{
		{Key: "scan.interval", Value: "1h30m", Source: "config.yaml:3"},
		{Key: "policy.skipLabels", Value: "a=b, c", Source: "config.yaml:6"},
		{Key: "logging.level", Value: "warn", Source: "WATCH_LOGGING_LEVEL"},
		{Key: "statePath", Value: "/c", Source: "CONFIG_PATH", Restart: true},
		{Key: "server.addr", Value: ":8080", Source: "default", Restart: true},
		{Key: "server.baseURL", Value: "", Source: "default", Restart: true},
		{Key: "registry.auth", Source: "config.yaml:10, WATCH_REGISTRY_AUTH_0_*",
			Value: `[{"host":"ghcr.io","password":"***","username":"me"},{"host":"a.b","password":"***","username":"u"}]`},
	} {
		if diff := cmp.Diff(want, rows[want.Key]); diff != "" {
			t.Error(diff)
		}
	}
	if len(rows) != len(config.Keys()) {
		t.Errorf("%d rows for %d keys", len(rows), len(config.Keys()))
	}
}

func TestDurationsShowAsPeopleWriteThem(t *testing.T) {
	for given, want := range map[string]string{"600s": "10m", "3600s": "1h", "90m": "1h30m", "3610s": "1h0m10s", "30s": "30s", "0s": "0s", "1500ms": "1.5s", "72h": "72h"} {
		for _, row := range load(t, "", "WATCH_SCAN_CACHE_TTL="+given).Effective() {
			if row.Key == "scan.cacheTTL" && row.Value != want {
				t.Errorf("%s shows as %s, want %s", given, row.Value, want)
			}
		}
	}
}
