package composecli_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/watch-docker/watch-docker/internal/composecli"
)

func TestModelSaysWhatIsMissing(t *testing.T) {
	if _, err := composecli.New([]string{"PATH=" + t.TempDir()}); !errors.Is(err, composecli.ErrNoCompose) {
		t.Errorf("without docker: %v", err)
	}
	dir := t.TempDir()
	bin := filepath.Join(dir, "bin")
	script := "#!/bin/sh\nenv >" + dir + "/env\necho \"docker: 'compose' is not a docker command.\" >&2\nexit 1\n"
	if err := errors.Join(os.Mkdir(bin, 0o755), os.WriteFile(bin+"/docker", []byte(script), 0o755), os.WriteFile(dir+"/compose.yaml", nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	cli, err := composecli.New([]string{"PATH=" + bin + ":/bin:/usr/bin", "SECRET=hush", "HOME=" + dir})
	if err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]error{
		"": composecli.ErrNoFiles, "-": composecli.ErrNoFiles, "compose.yaml": composecli.ErrNoFiles,
		dir + "/gone.yaml": composecli.ErrNoFiles, "https://127.0.0.1/compose.yaml": composecli.ErrNoFiles,
		dir + "/compose.yaml": composecli.ErrNoCompose,
	} {
		_, err := cli.Model(t.Context(), map[string]string{
			"com.docker.compose.project": "web", "com.docker.compose.project.working_dir": dir, "com.docker.compose.project.config_files": file,
		})
		if !errors.Is(err, want) {
			t.Errorf("file %q: %v, want %v", file, err, want)
		}
	}
	env, err := os.ReadFile(dir + "/env")
	if err != nil || strings.Contains(string(env), "hush") || !strings.Contains(string(env), "HOME="+dir) {
		t.Errorf("the command's environment: %s, %v", env, err)
	}
}
