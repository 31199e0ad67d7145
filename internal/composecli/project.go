package composecli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Project is a Compose project and where its files are. Paths are absolute.
type Project struct {
	Name string
	// Dir is what relative paths in its files start from; empty is the first
	// file's folder.
	Dir string
	// Files are those of --file, in order. Without any, Down, Start, Stop and
	// Restart act on what the engine has of the project; nothing of Dir is read.
	Files    []string
	EnvFiles []string // in place of .env
	Profiles []string // "*" is all of them
}

// What names may be, as the Compose specification has it.
var (
	projectName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]*$`)
	serviceName = regexp.MustCompile(`^[a-zA-Z0-9._-]+$`)
	profileName = regexp.MustCompile(`^([a-zA-Z0-9][a-zA-Z0-9_.-]*|\*)$`)
)

// check looks at everything that the command line will hold, and that the files
// are there.
func (p Project) check() error {
	if !projectName.MatchString(p.Name) {
		return fmt.Errorf("%w: the project name %q: lower-case letters, digits, - and _ are allowed, beginning with a letter or digit", ErrInvalid, p.Name)
	}
	for _, profile := range p.Profiles {
		if !profileName.MatchString(profile) {
			return fmt.Errorf("%w: the profile %q: letters, digits, '.', - and _ are allowed", ErrInvalid, profile)
		}
	}
	if len(p.Files) == 0 {
		return nil
	}
	for _, file := range slices.Concat(p.Files, p.EnvFiles) {
		if info, err := statAbsolute(file); err != nil || !info.Mode().IsRegular() {
			return fmt.Errorf("%w: %s: %w", ErrNoFiles, file, orNot(err, "is no file"))
		}
	}
	if info, err := statAbsolute(p.folder()); err != nil || !info.IsDir() {
		return fmt.Errorf("%w: the folder %s: %w", ErrNoFiles, p.folder(), orNot(err, "is none"))
	}
	return nil
}

func statAbsolute(path string) (os.FileInfo, error) {
	if !filepath.IsAbs(path) {
		return nil, fmt.Errorf("%q is no absolute path", path)
	}
	return os.Stat(path)
}

func orNot(err error, otherwise string) error {
	if err != nil {
		return err
	}
	return errors.New(otherwise)
}

func (p Project) folder() string {
	if p.Dir == "" && len(p.Files) > 0 {
		return filepath.Dir(p.Files[0])
	}
	return p.Dir
}

// flags are compose's, before its command.
func (p Project) flags(byLabels bool) []string {
	flags := []string{"--project-name", p.Name}
	if byLabels {
		return flags
	}
	flags = append(flags, "--project-directory", p.folder())
	for _, file := range p.Files {
		flags = append(flags, "--file", file)
	}
	for _, file := range p.EnvFiles {
		flags = append(flags, "--env-file", file)
	}
	for _, profile := range p.Profiles {
		flags = append(flags, "--profile", profile)
	}
	return flags
}

// Labels of a project's containers that tell where its files are.
const (
	labelProject = "com.docker.compose.project"
	labelDir     = "com.docker.compose.project.working_dir"
	labelFiles   = "com.docker.compose.project.config_files"
	labelEnv     = "com.docker.compose.project.environment_file"
)

// labelled is the project as it was when the container with these labels was
// made.
func labelled(labels map[string]string) (Project, error) {
	p := Project{Name: labels[labelProject], Dir: labels[labelDir], Profiles: []string{"*"}}
	if p.Name == "" || p.Dir == "" || labels[labelFiles] == "" {
		return Project{}, fmt.Errorf("%w: the labels don't name them", ErrNoFiles)
	}
	p.Files = strings.Split(labels[labelFiles], ",")
	if labels[labelEnv] != "" {
		p.EnvFiles = strings.Split(labels[labelEnv], ",")
	}
	return p, p.check()
}
