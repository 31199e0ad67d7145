package compose

import (
	"context"

	"github.com/watch-docker/watch-docker/internal/composefile"
	"github.com/watch-docker/watch-docker/internal/project"
)

// Reader tells project.Service what files say, by composefile.
type Reader struct{}

// Read implements project.Reader.
func (Reader) Read(ctx context.Context, s project.Source) (project.Facts, error) {
	report, err := composefile.Check(ctx, composefile.Source{
		Root: s.Root, Dir: s.Dir, Name: s.Name, Files: s.Files, EnvFiles: s.EnvFiles, Profiles: s.Profiles,
	})
	if err != nil {
		return project.Facts{}, err
	}
	f := project.Facts{Name: report.Name, EnvFiles: report.EnvFiles}
	for _, service := range report.Services {
		fact := project.ServiceFact{
			Name: service.Name, Image: service.Image, Restart: service.Restart, Replicas: service.Replicas, Profiles: service.Profiles,
			Serves: service.Healthcheck,
		}
		for _, d := range service.DependsOn {
			fact.DependsOn = append(fact.DependsOn, project.Dependency{Service: d.Service, Condition: d.Condition})
		}
		f.Services = append(f.Services, fact)
	}
	for _, p := range report.Problems {
		f.Problems = append(f.Problems, project.Warning{Code: p.Code, Message: p.Message, File: p.File, Line: p.Line})
	}
	return f, nil
}
