package config_test

import (
	"errors"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"

	"github.com/watch-docker/watch-docker/internal/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// write makes a file in a folder of its own.
func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// options are those for a file and nothing but these variables.
func options(file string, environ ...string) config.Options {
	return config.Options{File: file, Environ: append([]string{"HOME=/home/me"}, environ...), Search: []string{}}
}

func load(t *testing.T, yaml string, environ ...string) *config.Config {
	t.Helper()
	cfg, err := config.Load(options(write(t, "config.yaml", yaml), environ...))
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	return cfg
}

// problems loads what must be wrong, and gives the lines with the file's
// folder taken out.
func problems(t *testing.T, yaml string, environ ...string) []string {
	t.Helper()
	file := write(t, "config.yaml", yaml)
	_, err := config.Load(options(file, environ...))
	if err == nil {
		return nil
	}
	var typed *config.Error
	if !errors.As(err, &typed) {
		t.Fatalf("not a *config.Error: %v", err)
	}
	lines := strings.Split(strings.ReplaceAll(err.Error(), filepath.Dir(file)+"/", ""), "\n")
	if len(lines) != len(typed.Problems) {
		t.Errorf("%d lines for %d problems", len(lines), len(typed.Problems))
	}
	return lines
}

// same compares configurations by what they say, not by where it came from.
func same() cmp.Option {
	return cmp.Options{cmpopts.IgnoreUnexported(config.Config{}),
		cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
		cmp.Comparer(func(a, b *url.URL) bool { return a == b || a != nil && b != nil && a.String() == b.String() })}
}
