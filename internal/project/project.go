// Package project knows the Compose projects of a host: those that have
// containers, by their labels, and those in folders below compose.path; what
// state they are in; and their files, which it reads, saves and removes.
//
// Nothing here runs a command or understands a Compose file: Reader does the
// latter. Files are reached through os.Root of their folder of compose.path,
// and only the project's own: see Service.Files.
package project

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/internal/logging"
	"github.com/watch-docker/watch-docker/internal/store"
)

// Project is one Compose project, as a list shows it. Its JSON is part of the
// HTTP contract.
type Project struct {
	ID       string           `json:"id"` // its name, or name~xxxxxx where another folder has that name
	Name     string           `json:"name"`
	Status   Status           `json:"status"`
	Reason   string           `json:"reason"` // a sentence: why it has this status
	Origin   Origin           `json:"source"`
	Path     string           `json:"path"`  // the project's folder; of one that isn't on disk here, what its labels say
	Files    []string         `json:"files"` // its Compose files, relative to Path
	Services []ProjectService `json:"services"`
	Warnings []Warning        `json:"warnings"`
}

// Origin is where a project is known from.
type Origin string

// The origins.
const (
	Running Origin = "running" // it has containers, also stopped ones
	OnDisk  Origin = "disk"
	Both    Origin = "both"
)

// ProjectService is one of a project's services.
type ProjectService struct {
	Name            string   `json:"name"`
	Image           string   `json:"image"`
	State           State    `json:"state"`
	Health          string   `json:"health"`     // "none", "starting", "healthy", "unhealthy": the worst of its containers
	Containers      []string `json:"containers"` // ids
	UpdateAvailable bool     `json:"updateAvailable"`

	DependsOn []Dependency `json:"-"`
}

// Warning is something about a project that its user should know.
type Warning struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitempty"`
}

func warning(code, format string, args ...any) Warning {
	return Warning{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Detail is a project with what only one who looks at it wants to know.
type Detail struct {
	Project

	Profiles []string `json:"profiles"` // that COMPOSE_PROFILES enables
	// Blocked says why its files can't be run from here; nil if they can.
	Blocked *Warning `json:"blocked"`
}

// Engine is the part of dockercli.Client that is needed.
type Engine interface {
	Containers(ctx context.Context, ids ...string) ([]dockercli.Container, error)
}

// Store is the part of store.Store that is needed.
type Store interface {
	AddComposeVersion(ctx context.Context, v store.ComposeVersion) error
	ComposeVersions(ctx context.Context, folder string) ([]store.ComposeVersion, error)
	ComposeVersion(ctx context.Context, folder string, n int64) (store.ComposeVersion, bool, error)
	ForgetComposeVersions(ctx context.Context, folder string, names []string) error
}

// Dependencies are what a Service needs; those marked may be left out.
type Dependencies struct {
	Roots       []string // compose.path
	StateFolder string   // our own: nothing in it is read
	Engine      Engine
	Store       Store
	Reader      Reader
	Resources   Resources                        // may be left out: then Takes knows no networks and volumes
	Updates     func(containerID string) bool    // may be left out
	FromHost    func(path string) (string, bool) // may be left out; how a path of the labels is called here, if it can be seen
	Writing     sync.Locker                      // may be left out; held by whoever changes files below Roots, beside us
	Logger      *zap.Logger                      // may be left out
	Now         func() time.Time                 // may be left out
}

// Service knows the projects. Safe for concurrent use.
type Service struct {
	roots     []string
	state     string // our own folder, without links
	engine    Engine
	store     Store
	reader    Reader
	resources Resources
	updates   func(string) bool
	fromHost  func(string) (string, bool)
	log       *zap.Logger
	now       func() time.Time

	scanning sync.Mutex // one scan at a time
	last     atomic.Pointer[snapshot]
	dirty    atomic.Bool // something changed since the last scan began
	watching atomic.Bool // changes are told

	writing sync.Locker

	// retired are ids of folders whose files were removed while others had their
	// names. They go to no other folder: whoever asks for the removal again
	// means the one that is gone.
	retired sync.Map // paths by id
}

// New makes a service, which needs Run to hear of changes at once; without,
// it looks again when it is asked.
func New(d Dependencies) (*Service, error) {
	s := &Service{
		engine: d.Engine, store: d.Store, reader: d.Reader, resources: d.Resources, updates: d.Updates, fromHost: d.FromHost,
		writing: d.Writing, log: d.Logger, now: d.Now,
	}
	s.fillIn()
	for _, root := range d.Roots {
		if !filepath.IsAbs(root) {
			return nil, fmt.Errorf("compose.path: %q is no absolute path", root)
		}
		s.roots = append(s.roots, filepath.Clean(root))
	}
	if d.StateFolder != "" {
		state, err := filepath.Abs(d.StateFolder)
		if err != nil {
			return nil, fmt.Errorf("state folder: %w", err)
		}
		if real, err := filepath.EvalSymlinks(state); err == nil {
			state = real
		}
		s.state = state
	}
	return s, nil
}

// fillIn puts something harmless where a dependency was left out.
func (s *Service) fillIn() {
	if s.log == nil {
		s.log = zap.NewNop()
	}
	s.log = s.log.With(logging.Component("project"))
	if s.writing == nil {
		s.writing = &sync.Mutex{}
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.updates == nil {
		s.updates = func(string) bool { return false }
	}
	if s.fromHost == nil {
		s.fromHost = func(path string) (string, bool) { return path, true }
	}
}
