// Package rules_test holds the house's rules that a compiler doesn't check.
package rules_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/watch-docker/watch-docker/"

// may lists which of our packages each package may import: imports point one
// way, and siblings don't know each other (DESIGN section 2). A package that
// isn't here may import none. app wires, so it may import all.
func may() map[string][]string {
	leaf := []string{"image", "logging"}
	return map[string][]string{
		"config":       {"logging", "suggest"},
		"policy":       {"image"},
		"store":        {"logging"},
		"dockercli":    {"image", "logging", "runspec"},
		"registry":     leaf,
		"scheduler":    {"logging"},
		"preview":      {"image"},
		"scanner":      {"dockercli", "registry", "policy", "store", "image", "logging"},
		"audit":        {"store", "logging"},
		"auth":         {"store", "logging"},
		"twofa":        {"store", "logging"},
		"task":         {"store", "logging"},
		"puller":       {"dockercli", "registry", "store", "image"},
		"resource":     {"dockercli", "puller", "registry", "store", "task", "image", "logging"},
		"shell":        {"logging"},
		"updater":      {"depend", "dockercli", "puller", "registry", "policy", "preview", "store", "image", "logging"},
		"api":          {"audit", "auth", "twofa", "compose", "composecli", "composefile", "containerlog", "project", "resource", "task", "scanner", "policy", "preview", "secrets", "shell", "store", "image", "logging", "wsstream"},
		"wsstream":     {},
		"containerlog": {"dockercli", "logging"},
		"compose":      {"composecli", "composefile", "dockercli", "hostpath", "project", "store", "task"},
		"composecli":   {"composeenv"},
		"composeenv":   {},
		"composefile":  {"composeenv", "runspec", "secrets", "suggest"},
		"project":      {"dockercli", "store", "image", "logging"},
		"hostpath":     {},
		"imagefile":    {"composefile"},
	}
}

// only lists modules that one package alone may import.
func only() map[string]string {
	return map[string]string{
		"github.com/moby/moby/":         "dockercli",
		"modernc.org/sqlite":            "store",
		"github.com/gin-gonic/gin":      "api",
		"github.com/danielgtaylor/huma": "api",
		"github.com/go-resty/resty":     "registry",
		"github.com/spf13/viper":        "config",
		"github.com/go-webauthn/":       "twofa",
		"github.com/pquerna/otp":        "twofa",
		"github.com/creack/pty":         "shell",
		"github.com/compose-spec/":      "composefile", // but its dotenv: see shared
	}
}

// shared are parts of those modules that one package more may import.
func shared() map[string]string {
	return map[string]string{"github.com/compose-spec/compose-go/v2/dotenv": "project"} // reads the .env that says which files there are
}

type pkg struct {
	ImportPath string
	Imports    []string
	GoFiles    []string
	Dir        string
}

func packages(t *testing.T, pattern string) []pkg {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports,GoFiles,Dir", module+pattern).Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []pkg
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func TestImportsPointOneWay(t *testing.T) {
	for _, p := range packages(t, "internal/...") {
		name, _, _ := strings.Cut(strings.TrimPrefix(p.ImportPath, module+"internal/"), "/")
		for _, imported := range p.Imports {
			ours, isOurs := strings.CutPrefix(imported, module)
			ours, _, _ = strings.Cut(strings.TrimPrefix(ours, "internal/"), "/")
			if isOurs && name != "app" && ours != name && !slices.Contains(may()[name], ours) {
				t.Errorf("internal/%s imports %s; see may", name, imported)
			}
		}
	}
}

func TestEachTechnologyHasOnePackage(t *testing.T) {
	for _, p := range packages(t, "internal/...") {
		name := strings.TrimPrefix(p.ImportPath, module+"internal/")
		for _, imported := range p.Imports {
			for prefix, owner := range only() {
				if strings.HasPrefix(imported, prefix) && name != owner && shared()[imported] != name {
					t.Errorf("internal/%s imports %s, which is for internal/%s alone", name, imported, owner)
				}
			}
		}
	}
}

func TestPolicyIsPure(t *testing.T) {
	for _, imported := range packages(t, "internal/policy")[0].Imports {
		if slices.Contains([]string{"os", "net", "net/http", "io", "context", "database/sql"}, imported) {
			t.Errorf("internal/policy imports %s: it must decide from facts alone", imported)
		}
		if strings.Contains(imported, ".") && !strings.HasPrefix(imported, module) && !strings.Contains(imported, "semver") {
			t.Errorf("internal/policy imports %s: only the standard library and a semver library are allowed", imported)
		}
	}
}

func TestMainIsOneFile(t *testing.T) {
	if files := packages(t, "cmd/watch-docker")[0].GoFiles; len(files) != 1 || files[0] != "main.go" {
		t.Errorf("cmd/watch-docker has %v; go run cmd/watch-docker/main.go needs main.go to be all of it", files)
	}
}
