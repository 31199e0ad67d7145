package bench_test

import (
	"bytes"
	"os"
	"os/exec"
	"testing"

	"github.com/watch-docker/watch-docker/test/testbed"
)

// watchtowerProgram is what WATCHTOWER names, or Watchtower built from its module.
func watchtowerProgram(b *testing.B) string {
	b.Helper()
	if path := os.Getenv("WATCHTOWER"); path != "" {
		return path
	}
	path, err := testbed.Watchtower(b.Context(), b.Output())
	if err != nil {
		b.Fatalf("build Watchtower (or name one by WATCHTOWER): %v", err)
	}
	return path
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
