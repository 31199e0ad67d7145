package bench_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// compose is `docker compose up -d` of the site's project.
func (s *site) compose(b *testing.B) {
	b.Helper()
	if _, _, err := s.w.bed.Engine().Compose(b.Context(), s.project, nil, "up", "-d"); err != nil {
		b.Fatal(err)
	}
}

// found makes the site's containers by a Compose file.
func (s *site) found(b *testing.B) {
	b.Helper()
	var file strings.Builder
	fmt.Fprintf(&file, "name: site\nservices:\n")
	for i, name := range s.names {
		fmt.Fprintf(&file, "  web-%d:\n    image: %s\n    container_name: %s\n    network_mode: bridge\n", i, s.reference(i), name)
	}
	s.project = b.TempDir()
	if err := os.WriteFile(filepath.Join(s.project, "compose.yaml"), []byte(file.String()), 0o600); err != nil {
		b.Fatal(err)
	}
	s.compose(b)
}
