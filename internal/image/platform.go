package image

import (
	"fmt"
	"strings"

	"github.com/containerd/platforms"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Platform is what an image was built for: linux/arm64, linux/arm/v7.
type Platform struct {
	OS           string
	Architecture string
	Variant      string
}

// Normalize brings the spellings that occur in the wild to one: amd64 for
// x86_64, no variant for arm64/v8, v7 for an arm without variant.
func (p Platform) Normalize() Platform {
	n := platforms.Normalize(p.spec())
	return Platform{OS: n.OS, Architecture: n.Architecture, Variant: n.Variant}
}

// String is "os/architecture" or "os/architecture/variant", normalised.
func (p Platform) String() string { return platforms.Format(platforms.Normalize(p.spec())) }

// Best returns the index of the candidate that an engine for platform p would
// choose, or -1 if none can run there.
func (p Platform) Best(candidates []Platform) int {
	match := platforms.Only(p.spec())
	best := -1
	for i, c := range candidates {
		if !match.Match(c.spec()) {
			continue
		}
		if best < 0 || match.Less(c.spec(), candidates[best].spec()) {
			best = i
		}
	}
	return best
}

func (p Platform) spec() ocispec.Platform {
	return ocispec.Platform{OS: p.OS, Architecture: p.Architecture, Variant: p.Variant}
}

// ParsePlatform reads "os/architecture" or "os/architecture/variant".
func ParsePlatform(s string) (Platform, error) {
	p, err := platforms.Parse(s)
	if err != nil || !strings.Contains(s, "/") {
		return Platform{}, fmt.Errorf("%q is no platform: expected one such as linux/arm64 or linux/arm/v7", s)
	}
	return Platform{OS: p.OS, Architecture: p.Architecture, Variant: p.Variant}, nil
}
