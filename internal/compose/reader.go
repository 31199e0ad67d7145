package compose

import (
	"context"
	"path/filepath"

	"github.com/watch-docker/watch-docker/internal/composefile"
	"github.com/watch-docker/watch-docker/internal/project"
)

// Reader tells project.Service what files say, by composefile.
type Reader struct {
	Temp string // as composefile.Source has it
}

// Read implements project.Reader.
func (r Reader) Read(ctx context.Context, s project.Source) (project.Facts, error) {
	report, err := composefile.Check(ctx, composefile.Source{
		Root: s.Root, Dir: s.Dir, Name: s.Name, Files: s.Files, EnvFiles: s.EnvFiles, Profiles: s.Profiles, Temp: r.Temp,
	})
	if err != nil {
		return project.Facts{}, err
	}
	f := project.Facts{Name: report.Name}
	f.EnvFiles, f.Others = named(s.Dir, report.Binds)
	for _, service := range report.Services {
		fact := project.ServiceFact{
			Name: service.Name, Image: service.Image, Restart: service.Restart, Replicas: service.Replicas, Profiles: service.Profiles,
			Serves: service.Healthcheck || service.Published,
		}
		for _, d := range service.DependsOn {
			fact.DependsOn = append(fact.DependsOn, project.Dependency{Service: d.Service, Condition: d.Condition, Restart: d.Restart})
		}
		f.Services = append(f.Services, fact)
	}
	for _, v := range report.Volumes {
		f.Volumes = append(f.Volumes, project.VolumeFact{Name: v.Name, External: v.External})
	}
	for _, p := range report.Problems {
		f.Problems = append(f.Problems, project.Warning{Code: p.Code, Message: p.Message, File: p.File, Line: p.Line})
	}
	return f, nil
}

// named are the files that a project's files name, relative to its folder: the
// env files of services, and what is read along. Those that lead out are left
// out, and so are secrets.
func named(dir string, paths []composefile.Path) (envs, others []string) {
	for _, p := range paths {
		name, err := filepath.Rel(dir, p.Source)
		if err != nil || !filepath.IsLocal(name) {
			continue
		}
		switch p.Kind {
		case composefile.KindEnvFile:
			envs = append(envs, filepath.ToSlash(name))
		case composefile.KindInclude, composefile.KindExtends, composefile.KindConfig:
			others = append(others, filepath.ToSlash(name))
		}
	}
	return envs, others
}
