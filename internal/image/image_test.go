package image_test

import (
	"errors"
	"testing"

	"github.com/watch-docker/watch-docker/internal/image"
)

func TestReferencesAreNormalised(t *testing.T) {
	const dgst = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	for in, want := range map[string]string{
		"nginx":                        "docker.io/library/nginx:latest",
		"nginx:1.27":                   "docker.io/library/nginx:1.27",
		"index.docker.io/library/a:b":  "docker.io/library/a:b",
		"user/app":                     "docker.io/user/app:latest",
		"127.0.0.1:5000/a/b/c:v1":      "127.0.0.1:5000/a/b/c:v1",
		"localhost/app":                "localhost/app:latest",
		"ghcr.io/o/app@" + dgst:        "ghcr.io/o/app@" + dgst,
		"ghcr.io/o/app:v1@" + dgst:     "ghcr.io/o/app:v1@" + dgst,
		"Registry.Example.org/o/app:A": "Registry.Example.org/o/app:A",
	} {
		ref, err := image.ParseReference(in)
		if err != nil || ref.String() != want {
			t.Errorf("ParseReference(%q) = %q, %v; want %q", in, ref, err, want)
		}
	}
}

func TestBadReferencesAreNamed(t *testing.T) {
	for _, in := range []string{"", "Upper", "a b", "nginx:", "nginx@sha256:123", "-x", "https://ghcr.io/a"} {
		if _, err := image.ParseReference(in); !errors.Is(err, image.ErrBadReference) {
			t.Errorf("ParseReference(%q): %v; want ErrBadReference", in, err)
		}
	}
}

func TestAnImageIDIsNotTakenForAName(t *testing.T) {
	const id = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	for in, want := range map[string]bool{
		id: true, "e3b0c44298fc": true, "e3b0": true, id[7:]: true,
		"nginx": false, "e3b0c44298fd": false, "e3b": false, "beef": false,
	} {
		if got := image.IsID(in, id); got != want {
			t.Errorf("IsID(%q) = %v, want %v", in, got, want)
		}
	}
}

func TestTheEnginesChoiceOfPlatform(t *testing.T) {
	p := func(os, arch, variant string) image.Platform {
		return image.Platform{OS: os, Architecture: arch, Variant: variant}
	}
	index := []image.Platform{p("linux", "arm", "v6"), p("linux", "amd64", ""), p("linux", "arm", "v7"), p("linux", "arm64", "v8"), p("windows", "amd64", "")}
	for name, c := range map[string]struct {
		on   image.Platform
		want int
	}{
		"amd64":               {p("linux", "amd64", ""), 1},
		"arm64 with v8":       {p("linux", "arm64", ""), 3},
		"arm without variant": {p("linux", "arm", ""), 2},
		"arm v6":              {p("linux", "arm", "v6"), 0},
		"none":                {p("linux", "s390x", ""), -1},
	} {
		if got := c.on.Best(index); got != c.want {
			t.Errorf("%s: Best = %d, want %d", name, got, c.want)
		}
	}
}

func TestATagIsChangedInTheReferenceAsItWasWritten(t *testing.T) {
	const dgst = "@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	for in, want := range map[string]string{
		"nginx:1.27":                   "nginx:1.28",
		"docker.io/library/nginx:1.27": "docker.io/library/nginx:1.28",
		"127.0.0.1:5000/a:1":           "127.0.0.1:5000/a:1.28",
		"nginx":                        "",
		"127.0.0.1:5000/a":             "",
		"nginx:1.27" + dgst:            "",
		"a b:1":                        "",
	} {
		got, err := image.WithTag(in, "1.28")
		if got != want || (err == nil) != (want != "") {
			t.Errorf("WithTag(%q) = %q, %v; want %q", in, got, err, want)
		}
	}
	if got, err := image.WithTag("nginx:1.27", "no tag"); !errors.Is(err, image.ErrBadReference) {
		t.Errorf("%q, %v", got, err)
	}
}
