package compose

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/watch-docker/watch-docker/internal/composefile"
	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/internal/hostpath"
)

// engine has a list of containers.
type engine []dockercli.Container

func (e engine) Containers(context.Context, ...string) ([]dockercli.Container, error) { return e, nil }

// boxed is a Service of a program in a container, with its state in a volume.
func boxed() *Service {
	own := strings.Repeat("ab", 32)
	return New(Dependencies{
		StateFolder: "/config", Own: func(id string) bool { return id == own },
		Engine: engine{
			{ID: own, Name: "watch-docker"}, {ID: strings.Repeat("cd", 32), Name: "harmless", Mounts: []dockercli.Mount{{Type: "volume", Name: "data"}, {Type: "bind", Source: "/srv/x"}}},
			{ID: strings.Repeat("ef", 32), Name: "backup", Mounts: []dockercli.Mount{{Type: "volume", Name: "wd_state"}}}, {ID: strings.Repeat("0f", 32), Name: "exporter", Mounts: []dockercli.Mount{{Type: "bind", Source: "/"}}},
		},
		Doctor: func(context.Context, bool) (hostpath.Doctor, error) {
			return hostpath.Doctor{Files: fstest.MapFS{"config/db": {}}, Mounts: hostpath.Mounts{{Type: hostpath.Volume, Name: "wd_state", Source: "/var/lib/docker/volumes/wd_state/_data", Destination: "/config"}}}, nil
		},
	})
}

func TestAViewHasNoSecretsThatVariablesBring(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{
		"compose.yaml": "services:\n  a:\n    image: a\n    command: [$COLOUR, $DB_PASSWORD]\n    volumes: ['/${DB_PASSWORD}:/x', '/plain:/${COLOUR}']\n",
		".env":         "DB_PASSWORD=hunter2\nCOLOUR=a${DB_PASSWORD}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var v View
	if _, err := boxed().read(t.Context(), &v, composefile.Source{Root: dir, Dir: dir}, false); err != nil || len(v.Binds) != 2 {
		t.Fatal(err, v.Binds)
	}
	if all := fmt.Sprintf("%+v", v); strings.Contains(all, "hunter2") {
		t.Errorf("%+v", v)
	}
	if v.Binds[0].Source != "/${DB_PASSWORD}:/x" || v.Binds[1].Source != "/plain" {
		t.Errorf("%+v", v.Binds)
	}
}

func TestWhatLeadsToOurOwnStateIsRefused(t *testing.T) {
	const head = "services:\n  a:\n    image: a\n"
	for name, c := range map[string]struct {
		file string
		at   int // the line of the refusal; 0: there is none
	}{
		"an external volume":        {head + "volumes: {s: {name: wd_state, external: true}}\n", 4},
		"a volume of its name":      {head + "volumes: {s: {name: wd_state}}\n", 4},
		"the project's own":         {"name: wd\n" + head + "volumes: {state: {}}\n", 5},
		"another volume":            {head + "volumes: {s: {name: other}}\n", 0},
		"our container":             {head + "    volumes_from: ['container:watch-docker']\n", 4},
		"read-only":                 {head + "    volumes_from: ['container:watch-docker:ro']\n", 4},
		"with a slash":              {head + "    volumes_from: ['container:/watch-docker']\n", 4},
		"by the beginning of an id": {head + "    volumes_from: [b, 'container:abab']\n  b: {image: b}\n", 4},
		"by a link's name":          {head + "    volumes_from: ['container:web/wd']\n", 4},
		"of one with our volume":    {head + "    volumes_from: ['container:backup']\n", 4},
		"of one with the whole":     {head + "    volumes_from: ['container:exporter']\n", 4},
		"of another":                {head + "    volumes_from: ['container:harmless']\n", 0},
		"of one that isn't there":   {head + "    volumes_from: ['container:gone']\n", 0},
		"by a service":              {head + "    volumes_from: [b]\n  b: {image: b}\n", 0},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte(c.file), 0o600); err != nil {
				t.Fatal(err)
			}
			report, err := composefile.Check(t.Context(), composefile.Source{Root: dir, Dir: dir})
			if err != nil || len(report.Problems) > 0 {
				t.Fatal(err, report.Problems)
			}
			binds, err := boxed().judge(t.Context(), report, false)
			refused := 0
			for _, b := range binds {
				if b.Finding.Refuse && b.Finding.Code == hostpath.CodeState {
					refused = b.Line
				}
			}
			if err != nil || refused != c.at {
				t.Errorf("%v %+v", err, binds)
			}
		})
	}
}
