package project

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"path/filepath"
	"slices"
	"strings"

	"github.com/watch-docker/watch-docker/internal/dockercli"
)

// Labels by which Compose knows its containers, of version 1 also.
const (
	labelProject = "com.docker.compose.project"
	labelService = "com.docker.compose.service"
	labelDir     = "com.docker.compose.project.working_dir"
	labelFiles   = "com.docker.compose.project.config_files"
	labelDepends = "com.docker.compose.depends_on"
	labelOneOff  = "com.docker.compose.oneoff"
	labelHook    = "com.docker.compose.hook"
)

// group is what the engine has of one project. The labels are claims: an
// image may bring them. They are shown, and choose no file that is read.
type group struct {
	name       string
	containers []dockercli.Container // without those of single commands
	others     []dockercli.Container // those
	dir        string                // where the newest container says its files are
	files      []string              // as that one says, relative to dir where they are below it
}

func (g *group) id() string {
	if validName(g.name) {
		return g.name
	}
	sum := sha256.Sum256([]byte(g.name))
	return "~" + hex.EncodeToString(sum[:3])
}

// groups sorts the engine's containers by their projects.
func groups(list []dockercli.Container) map[string]*group {
	all := map[string]*group{}
	for _, c := range list {
		name := c.Labels[labelProject]
		if name == "" {
			continue
		}
		g := all[name]
		if g == nil {
			g = &group{name: name}
			all[name] = g
		}
		if c.Labels[labelOneOff] == "True" || c.Labels[labelHook] != "" {
			g.others = append(g.others, c)
		} else {
			g.containers = append(g.containers, c)
		}
	}
	for name, g := range all {
		if len(g.containers) == 0 {
			delete(all, name) // a `run` alone is no project
			continue
		}
		slices.SortFunc(g.containers, func(a, b dockercli.Container) int {
			return cmp.Or(cmp.Compare(a.Labels[labelService], b.Labels[labelService]), cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
		})
		g.locate()
	}
	return all
}

// locate reads where the project's files are from its newest container: those
// that an older file made may still say where that was.
func (g *group) locate() {
	newest := slices.MaxFunc(g.containers, func(a, b dockercli.Container) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	if g.dir = newest.Labels[labelDir]; !filepath.IsAbs(g.dir) {
		g.dir = ""
	}
	for file := range strings.SplitSeq(newest.Labels[labelFiles], ",") {
		if file == "" {
			continue
		}
		if rel, err := filepath.Rel(g.dir, file); err == nil && filepath.IsAbs(file) && g.dir != "" {
			file = filepath.ToSlash(rel)
		}
		g.files = append(g.files, file)
	}
}

// depends are the conditions of depends_on, by service, as the labels say:
// "db:service_healthy:false,migrate:service_completed_successfully:false",
// where the last says whether it is restarted with the other.
func (g *group) depends() map[string][]Dependency {
	all := map[string][]Dependency{}
	for _, c := range g.containers {
		service := c.Labels[labelService]
		for entry := range strings.SplitSeq(c.Labels[labelDepends], ",") {
			on, rest, _ := strings.Cut(entry, ":")
			condition, restart, _ := strings.Cut(rest, ":")
			if d := (Dependency{on, condition, restart == "true"}); on != "" && !slices.Contains(all[service], d) {
				all[service] = append(all[service], d)
			}
		}
	}
	return all
}

// containers lists the engine's projects; none, and why, if it doesn't answer.
func (s *Service) containers(ctx context.Context) (map[string]*group, error) {
	list, err := s.engine.Containers(ctx)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, because(ErrUnreachable, err, "The engine doesn't answer: %s.", err)
	}
	return groups(list), nil
}
