package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/watch-docker/watch-docker/internal/config"
)

// FuzzLoad: whatever a file holds, Load gives a Config that is right by its
// own rules, or an *Error with one line for each problem.
func FuzzLoad(f *testing.F) {
	for _, seed := range []string{
		fullFile, withSecrets, "", "a: &a [*a]", "scan: &s\n  interval: *s", "registry: {auth: [[{}]], mirrors: {a: {b: c}}}",
		"twofa: {users: {'': {webauthnCredentials: [{? [a] : b}]}}}", "? {a: b}\n: c", "scan: !!binary aGk=", "<<: {scan: {interval: 1m}}",
		"registry: {auth: &x [*x]}", "policy: {skipLabels: [~, null, 1, 2.5, 2020-01-01]}", "\ufeffscan: {}", "server: {addr: \"\\0\"}",
		"twofa: {users: {a: {webauthnCredentials: &x [{a: *x}]}}}", "%YAML 9.9\n---\n", "scan: {interval: 9223372036854775807h}",
	} {
		f.Add(seed, "5m", "a=b,c")
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, yaml, interval, mirrors string) {
		file := filepath.Join(dir, "config.yaml")
		if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, err := config.Load(options(file, "WATCH_SCAN_INTERVAL="+interval, "WATCH_REGISTRY_MIRRORS="+mirrors))
		if err == nil {
			if err := cfg.Validate(); err != nil {
				t.Errorf("loaded, but: %v", err)
			}
			cfg.Masked()
			cfg.Effective()
			return
		}
		var typed *config.Error
		if !errors.As(err, &typed) || len(strings.Split(err.Error(), "\n")) != len(typed.Problems) {
			t.Errorf("not one line for each problem: %v", err)
		}
	})
}
