package image_test

import (
	"os"
	"slices"
	"testing"

	"go.yaml.in/yaml/v3"
)

// composeFile is what compose.yaml says of interest; any other key is there
// as well, but none twice.
type composeFile struct {
	Services map[string]struct {
		Image       string
		Restart     string
		Ports       []string
		Environment map[string]string
		Volumes     []string
		ReadOnly    bool     `yaml:"read_only"`
		CapDrop     []string `yaml:"cap_drop"`
		SecurityOpt []string `yaml:"security_opt"`
	}
}

func readCompose(t testing.TB) composeFile {
	t.Helper()
	content, err := os.ReadFile(root + "compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file composeFile
	if err := yaml.Unmarshal(content, &file); err != nil {
		t.Fatalf("compose.yaml: %v", err)
	}
	return file
}

func TestTheComposeFileGivesAwayAsLittleAsCanBe(t *testing.T) {
	services := readCompose(t).Services
	s, ok := services["watch-docker"]
	if !ok || len(services) != 1 {
		t.Fatalf("services %v, want watch-docker alone", services)
	}
	if !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) || !slices.Equal(s.SecurityOpt, []string{"no-new-privileges:true"}) {
		t.Errorf("read_only %v, cap_drop %v, security_opt %v", s.ReadOnly, s.CapDrop, s.SecurityOpt)
	}
	if !slices.Equal(s.Ports, []string{"127.0.0.1:8080:8080"}) {
		t.Errorf("ports %v: only this machine may get in", s.Ports)
	}
	for _, want := range []string{"/var/run/docker.sock:/var/run/docker.sock", "./config:/config"} {
		if !slices.Contains(s.Volumes, want) {
			t.Errorf("volumes %v lack %s", s.Volumes, want)
		}
	}
	if s.Image != "watch-docker" || s.Restart != "unless-stopped" || s.Environment["TZ"] == "" {
		t.Errorf("image %s, restart %s, TZ %q", s.Image, s.Restart, s.Environment["TZ"])
	}
}
