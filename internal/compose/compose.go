// Package compose acts on Compose projects. It joins what project knows of
// them, what composefile reads in their files, where hostpath says that their
// folders are, and what composecli does; and it makes operations of what takes
// longer than a moment.
//
// A Compose file is root on the host. So nothing is started of which it isn't
// known that it is what was shown: its files are whole and lie where they may,
// each folder that the engine mounts is the one that we see, and none of them
// is our own state.
package compose

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/watch-docker/watch-docker/internal/composecli"
	"github.com/watch-docker/watch-docker/internal/composefile"
	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/internal/hostpath"
	"github.com/watch-docker/watch-docker/internal/project"
	"github.com/watch-docker/watch-docker/internal/task"
)

// Commands is composecli.CLI.
type Commands interface {
	Do(ctx context.Context, p composecli.Project, a composecli.Action, on func(composecli.Event), line func(string)) error
	Preview(ctx context.Context, p composecli.Project, a composecli.Action) (composecli.Plan, error)
	Hashes(ctx context.Context, p composecli.Project) (map[string]string, error)
	Version(ctx context.Context) (composecli.Version, error)
}

// Engine is the part of dockercli.Client that is needed.
type Engine interface {
	Containers(ctx context.Context, ids ...string) ([]dockercli.Container, error)
}

// Dependencies are what a Service needs.
type Dependencies struct {
	Projects *project.Service
	Commands Commands // nil: there are none here
	Engine   Engine
	Tasks    *task.Runner
	// Doctor judges paths; one that asks makes containers that are never
	// started, for a moment.
	Doctor      func(ctx context.Context, asks bool) (hostpath.Doctor, error)
	StateFolder string // our own, which no project may mount
	Home        string // what ~ is to the command line
	Temp        string // a folder for copies of files; empty: the system's
	// Hold keeps updates off a project, by the name that Compose knows it by,
	// and off those of its containers, and is an error while one is in an
	// operation.
	Hold func(project string, containers []string) (release func(), err error)
	Own  func(container string) bool // the one that this program runs in
}

// Service acts on projects. Safe for concurrent use.
type Service struct {
	Dependencies

	mu    sync.Mutex
	asked time.Time // when the command line last said what it is
	said  composecli.Version
	wrong error
}

// New makes a Service.
func New(d Dependencies) *Service { return &Service{Dependencies: d} }

// versionFor is how long it is believed what the command line says it is.
const versionFor = 30 * time.Second

// ErrNoCommand says that there is no docker compose here, or one that is too
// old; the error that wraps it says which.
var ErrNoCommand = errors.New("docker compose can't be used")

// InvalidError says that a project's files can't be run.
type InvalidError struct {
	Project  string
	Problems []composefile.Problem
}

func (e *InvalidError) Error() string {
	first := e.Problems[0]
	at := ""
	if first.File != "" {
		at = fmt.Sprintf(" (%s:%d:%d)", first.File, first.Line, first.Column)
	}
	return first.Message + at
}

// PathsError says that the engine would mount other folders than those shown.
type PathsError struct {
	Project string
	Binds   []Bind // those that are refused
}

func (e *PathsError) Error() string {
	first := e.Binds[0].Finding
	if first.Suggestion == "" {
		return first.Message
	}
	return first.Message + " " + first.Suggestion
}

// OwnError says that an action would end this program in its middle.
type OwnError struct{ Project, Service string }

func (e *OwnError) Error() string {
	return fmt.Sprintf("Watch Docker itself is the service %s of %s, and would be ended in the middle of this. Name the other services, or do it on the host.", e.Service, e.Project)
}

// ServiceError says that a project has no such service.
type ServiceError struct{ Project, Service string }

func (e *ServiceError) Error() string {
	return fmt.Sprintf("%s has no service %s", e.Project, e.Service)
}

// Availability is whether projects can be acted on.
type Availability struct {
	Available bool   `json:"available"`
	Version   string `json:"version"`
	Command   string `json:"command"` // "docker compose" or "docker-compose"
	Problem   string `json:"problem"` // why not; what to do
}

// Available asks the command line what it is.
func (s *Service) Available(ctx context.Context) Availability {
	v, err := s.version(ctx)
	if err != nil {
		return Availability{Version: v.Version, Command: v.Command, Problem: err.Error()}
	}
	return Availability{Available: true, Version: v.Version, Command: v.Command}
}

func (s *Service) version(ctx context.Context) (composecli.Version, error) {
	if s.Commands == nil {
		return composecli.Version{}, fmt.Errorf("%w: there is no docker with a compose plugin and no docker-compose on PATH; install Docker Compose 2.29.1 or newer", ErrNoCommand)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.asked) < versionFor {
		return s.said, s.wrong
	}
	v, err := s.Commands.Version(ctx)
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrNoCommand, err)
	}
	if ctx.Err() == nil {
		s.asked, s.said, s.wrong = time.Now(), v, err
	}
	return v, err
}
