package campaign_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/moby/moby/api/types/container"

	"github.com/watch-docker/watch-docker/test/testbed"
)

// tags are those that a release is pushed with: its name, and what containers
// are made from.
func (s shape) tags(release string) []string {
	switch {
	case !s.tagged:
		return []string{release, "latest"}
	case release == oldRelease:
		return []string{release, "1.4"}
	}
	return []string{release, "1.5"}
}

// file is where the project of a tagged shape says its image.
func (r *rig) file() string { return filepath.Join(r.dir, "project", "compose.yaml") }

// said is what stands there.
func (r *rig) said(s shape, release string) string {
	return fmt.Sprintf("services:\n  app:\n    image: %q # the tag\n    restart: %s\n", r.reg.Ref(s.name+":"+s.tags(release)[1]), s.host.RestartPolicy.Name)
}

// project writes the file, and has the container be of it.
func (r *rig) project(ctx context.Context, s shape, spec *testbed.ContainerSpec) error {
	if err := os.MkdirAll(filepath.Dir(r.file()), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(r.file(), []byte(r.said(s, oldRelease)), 0o600); err != nil {
		return err
	}
	config := container.Config{}
	if spec.Config != nil {
		config = *spec.Config
	}
	config.Labels = map[string]string{
		"watchdocker.track": "minor", "com.docker.compose.project": "project", "com.docker.compose.service": "app",
		"com.docker.compose.config-hash": strings.Repeat("0", 64), "com.docker.compose.version": "5.5.1", "com.docker.compose.oneoff": "False",
		"com.docker.compose.project.working_dir": filepath.Dir(r.file()), "com.docker.compose.project.config_files": r.file(),
	}
	spec.Config = &config
	env, err := r.engine.ComposeEnv(ctx)
	for _, entry := range env {
		if name, _, _ := strings.Cut(entry, "="); name == "PATH" || name == "HOME" || name == "DOCKER_CONFIG" {
			r.more = append(r.more, entry)
		}
	}
	r.more = append(r.more, "APP_PATH="+filepath.Dir(r.file()))
	return err
}

// agrees compares the file with the container.
func (r *rig) agrees(s shape, c container.InspectResponse, f *found) {
	text, err := os.ReadFile(r.file())
	if err != nil || string(text) != r.said(s, f.release) {
		f.say("the container is %s, but its Compose file says %s (%v)", f.release, text, err)
	}
	if want := r.reg.Ref(s.name + ":" + s.tags(f.release)[1]); c.Config.Image != want {
		f.say("the container was made from %s, want %s", c.Config.Image, want)
	}
	if left, err := os.ReadDir(filepath.Dir(r.file())); err != nil || len(left) != 1 {
		f.say("beside the Compose file there are %v (%v)", left, err)
	}
}
