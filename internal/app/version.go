package app

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
)

// version is set when a release is linked: -ldflags "-X …/internal/app.version=1.2.3".
var version string

// Version is the program's version, "devel" if it wasn't linked as a release.
func Version() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}

// userAgent is how the program introduces itself to engines and registries.
func userAgent() string { return "watch-docker/" + Version() }

func runVersion(_ context.Context, p Program, args []string) int {
	set, _ := p.flags("version")
	if code, ok := p.parse(set, args); !ok {
		return code
	}
	if _, err := fmt.Fprintf(p.Stdout, "watch-docker %s (%s, %s/%s)\n", Version(), runtime.Version(), runtime.GOOS, runtime.GOARCH); err != nil {
		return ExitFailed
	}
	return ExitOK
}
