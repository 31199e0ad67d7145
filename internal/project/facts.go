package project

import (
	"context"
	"path/filepath"
)

// Source names a project's files for whoever reads or runs them. All are
// under Root, links included, when the Source was made.
type Source struct {
	Root     string   // the folder of compose.path, absolute
	Dir      string   // the project directory, absolute, as Compose takes it: relative paths in the files start here
	Name     string   // the project's name; empty until it is known
	Files    []string // Compose files in their order, relative to Dir
	EnvFiles []string // for interpolation; relative to Dir
	Profiles []string
}

// Absolute are some of its files by their whole paths.
func (s Source) Absolute(names []string) []string {
	var all []string
	for _, name := range names {
		all = append(all, filepath.Join(s.Dir, filepath.FromSlash(name)))
	}
	return all
}

// Facts are what a project's files say, as far as they can be understood.
type Facts struct {
	Name     string // `name:` at the top, interpolated; empty if it isn't there
	Services []ServiceFact
	// What else the files name that is under Root, relative to Dir: env_file of
	// services, and what is read along or may be shown (include, extends, configs).
	EnvFiles, Others []string
	Volumes          []VolumeFact
	Problems         []Warning // the file, then, says less than it should
}

// ServiceFact is one service, of any profile.
type ServiceFact struct {
	Name, Image string
	Restart     string // "no", "always", "unless-stopped", "on-failure[:n]"; empty is no
	Replicas    int
	Profiles    []string
	DependsOn   []Dependency
	Serves      bool // it has a health check or publishes ports: it isn't meant to end
}

// VolumeFact is one volume of the files, by the name that the engine has it by.
type VolumeFact struct {
	Name     string
	External bool
}

// Dependency is one entry of depends_on.
type Dependency struct {
	Service, Condition string
	Restart            bool // whoever has it is restarted with the other
}

// Reader understands Compose files. It must not read outside Root.
type Reader interface {
	Read(ctx context.Context, s Source) (Facts, error)
}

// enabled says whether a service is started with these profiles.
func (f ServiceFact) enabled(profiles []string) bool {
	if len(f.Profiles) == 0 {
		return true
	}
	for _, p := range profiles {
		if p == "*" {
			return true
		}
		for _, own := range f.Profiles {
			if own == p {
				return true
			}
		}
	}
	return false
}
