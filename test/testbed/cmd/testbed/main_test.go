package main

import (
	"bytes"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// programEnv makes the test binary be the program, so that `up -d` can start
// itself again.
const programEnv = "TESTBED_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(programEnv) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// testbedCommand runs the program and returns what it said.
func testbedCommand(t *testing.T, args ...string) (string, error) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, args...)
	cmd.Env = append(os.Environ(), programEnv+"=1")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	return out.String(), err
}

func TestDetachedTestbedGoesUpAndDown(t *testing.T) {
	env := filepath.Join(t.TempDir(), "env")
	out, err := testbedCommand(t, "up", "-d", "-engine", "", "-registries", "plain", "-env", env)
	if err != nil {
		t.Fatalf("up: %v\n%s", err, out)
	}
	url := regexp.MustCompile(`http://127\.0\.0\.1:\d+`).FindString(out)
	resp, err := http.Get(url + "/v2/")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("registry answers %s", resp.Status)
	}
	text, err := os.ReadFile(env)
	if err != nil {
		t.Fatal(err)
	}
	if want := "TESTBED_PLAIN_HOST=" + strings.TrimPrefix(url, "http://"); !strings.Contains(string(text), want) {
		t.Errorf("environment file lacks %s:\n%s", want, text)
	}

	if out, err := testbedCommand(t, "down", "-env", env); err != nil {
		t.Fatalf("down: %v\n%s", err, out)
	}
	if _, err := os.Stat(env); !os.IsNotExist(err) {
		t.Errorf("environment file after down: %v", err)
	}
	if _, err := http.Get(url + "/v2/"); err == nil {
		t.Error("registry answers after down")
	}
}

func TestMistakesAreNamed(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"", "usage:"},
		{"upp", "unknown command"},
		{"up -engine podman", `no such engine: "podman"`},
		{"up -d -engine= -registries moon", `no such kind of registry: "moon"`},
		{"down 42", "no detached testbed 42"},
		{"down -env /nowhere", "/nowhere"},
	} {
		out, err := testbedCommand(t, strings.Fields(c.args)...)
		if err == nil || !strings.Contains(out, c.want) {
			t.Errorf("testbed %s: %v, %q, want %q", c.args, err, out, c.want)
		}
	}
}
