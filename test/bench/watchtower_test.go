package bench_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

const (
	watchtowerModule  = "github.com/containrrr/watchtower"
	watchtowerVersion = "v1.7.1"
)

// watchtowerProgram is what WATCHTOWER names, or Watchtower built from its module.
func watchtowerProgram(b *testing.B) string {
	b.Helper()
	if path := os.Getenv("WATCHTOWER"); path != "" {
		return path
	}
	dir := b.TempDir()
	// `go install` looks for the module's newest version, too, and proxies may lack it.
	mod := "module bench.invalid/watchtower\n\ngo 1.24\n\nrequire " + watchtowerModule + " " + watchtowerVersion + "\n"
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte(mod), 0o600); err != nil {
		b.Fatal(err)
	}
	cmd := exec.CommandContext(b.Context(), "go", "build", "-mod=mod", "-o", "watchtower", watchtowerModule)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("build Watchtower (or name one by WATCHTOWER): %v\n%s", err, out)
	}
	return filepath.Join(dir, "watchtower")
}

// watchtower lets Watchtower update the site's containers, once, from the
// images that are there.
func (s *site) watchtower(b *testing.B) {
	b.Helper()
	if s.tower == "" {
		s.tower = watchtowerProgram(b)
	}
	cmd := exec.CommandContext(b.Context(), s.tower, append([]string{"--run-once", "--no-pull", "--no-startup-message"}, s.names...)...)
	cmd.Env = append(os.Environ(), "DOCKER_HOST="+s.w.bed.Engine().Host(), "DOCKER_API_VERSION="+s.w.bed.Engine().APIVersion(), "HOME="+b.TempDir())
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil {
		b.Fatalf("watchtower: %v\n%s", err, said.String())
	}
}
