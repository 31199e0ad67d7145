package testbed

import (
	"context"
	"io"
	"path/filepath"
)

// The last Watchtower of its first authors.
const (
	watchtowerModule  = "github.com/containrrr/watchtower"
	watchtowerVersion = "v1.7.1"
)

// Watchtower is the path of Watchtower 1.7.1, for comparisons. If it isn't
// there it is built first, from the Go module proxy: 1 to 4 minutes.
func Watchtower(ctx context.Context, log io.Writer) (path string, err error) {
	flags := []string{"-ldflags", "-s -w -X " + watchtowerModule + "/internal/meta.Version=" + watchtowerVersion}
	dir, err := binaries(ctx, log, "watchtower-"+watchtowerVersion, []program{
		{"watchtower", watchtowerModule, watchtowerVersion, watchtowerModule, flags, []string{"CGO_ENABLED=0"}, true},
	}, nil)
	return filepath.Join(dir, "watchtower"), err
}
