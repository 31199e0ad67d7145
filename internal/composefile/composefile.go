// Package composefile tells what a Compose project's files say, without doing
// anything about it: what is wrong with them and where, which services, host
// paths, variables, volumes and networks they name, and what in them is risky.
// It changes the image of a service or a variable in place, and makes a
// Compose file of containers.
//
// The reading is compose-go's, the same that `docker compose` does; but no
// file is opened by it. Each is read here, within the project's root alone,
// its variables filled in from the project's own files and what the command's
// environment is known to hold (composeenv), and handed over as plain values: a path that compose-go would open is one that was looked at
// before.
package composefile

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Source says which files to look at.
type Source struct {
	Root string // absolute: nothing outside of it is read
	Dir  string // absolute, within Root: the project's folder, which relative paths start from
	Name string // the project's name; empty: as Compose would choose it
	// Files and EnvFiles are relative to Dir. None: COMPOSE_FILE of the folder's .env
	// or Compose's own defaults; and .env if there is one.
	Files, EnvFiles []string
	Profiles        []string // none: COMPOSE_PROFILES of the .env
	// Replace is content in place of what is on disk, by path relative to Dir,
	// to check it before it is saved.
	Replace map[string][]byte
	// Temp is a folder for copies of what is included, removed at once; empty: the system's.
	Temp string
}

// Place is where in a file something is. Line and Column start at 1; 0 is unknown.
type Place struct {
	File   string `json:"file,omitempty"` // relative to the project's folder
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
}

// Problem is something because of which the project can't be started. The
// codes are in doc/compose.md.
type Problem struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Place
}

// Note is a risk, and never more than that.
type Note struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Service string `json:"service,omitempty"`
	Place
}

// Report is what the files say. With problems, the rest is as far as it could
// be read. Problems and notes have no values of variables in them that look like
// secrets; all else has them: see Conceal.
type Report struct {
	Name      string     `json:"name"`
	Problems  []Problem  `json:"problems"`
	Notes     []Note     `json:"notes"`
	Services  []Service  `json:"services"`
	Binds     []Path     `json:"binds"`
	Variables []Variable `json:"variables"`
	Volumes   []Resource `json:"volumes"`
	Networks  []Resource `json:"networks"`
	Lenders   []Lender   `json:"lenders"`
	Files     []string   `json:"files"`    // all that were read, relative to the project's folder
	EnvFiles  []string   `json:"envFiles"` // those of them that variables come from

	hidden hidden
}

// Service is one of the project's.
type Service struct {
	Name          string       `json:"name"`
	Image         string       `json:"image,omitempty"`
	ImageWritten  string       `json:"imageWritten,omitempty"` // before variables were filled in
	ImageAt       Place        `json:"imageAt"`
	Build         bool         `json:"build,omitempty"`
	Profiles      []string     `json:"profiles,omitempty"`
	Active        bool         `json:"active"` // by the profiles
	DependsOn     []Dependency `json:"dependsOn,omitempty"`
	Restart       string       `json:"restart,omitempty"` // as written, or of deploy.restart_policy
	Replicas      int          `json:"replicas"`
	Healthcheck   bool         `json:"healthcheck,omitempty"`
	Published     bool         `json:"published,omitempty"` // it publishes ports
	ContainerName string       `json:"containerName,omitempty"`
	NetworkMode   string       `json:"networkMode,omitempty"`
	At            Place        `json:"at"`
}

// Dependency is a service that another one waits for.
type Dependency struct {
	Service   string `json:"service"`
	Condition string `json:"condition"` // "service_started", "service_healthy", "service_completed_successfully"
	Restart   bool   `json:"restart,omitempty"`
	Required  bool   `json:"required"`
}

// Resource is a volume or network.
type Resource struct {
	Key      string `json:"key"`  // in the file
	Name     string `json:"name"` // on the engine
	Driver   string `json:"driver,omitempty"`
	External bool   `json:"external,omitempty"`
	Place
}

// Lender is a container besides the project whose mounts a service gets, all of
// them (volumes_from).
type Lender struct {
	Service   string `json:"service"`
	Container string `json:"container"` // its name or id, or the beginning of that
	Written   string `json:"written"`   // before variables were filled in
	Place
}

// ErrSource is a Source that can't be checked, for errors.Is: a fault of the
// caller's, or of the folder.
var ErrSource = errors.New("the project's folder can't be read")

// Limits of what is read. Compose's own are far above what people write, and
// so are these.
const (
	maxFile     = 2 << 20 // bytes of one file
	maxTotal    = 16 << 20
	maxFiles    = 100
	maxVisits   = 1000      // of files, each as often as it is included or extended
	maxDepth    = 64        // of nesting in a file
	maxDocs     = 100       // in a file
	maxNodes    = 100_000   // of one file once its aliases are written out
	maxWork     = 1_000_000 // nodes that includes and extends make of all files together
	maxValue    = 8 << 20   // bytes that variables may grow to
	maxPorts    = 70_000    // that ranges of ports may come to
	maxNested   = 16        // includes within includes, extends of extends
	maxServices = 1000
	maxFaults   = 50 // problems that are worth telling
	maxNotes    = 500
	maxMessage  = 1000 // bytes
)

var validName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]*$`)

// IsName says whether a project may be called so.
func IsName(name string) bool { return len(name) <= 63 && validName.MatchString(name) }

// Check reads a project's files. What is wrong with them is in the report; an
// error is what isn't their fault.
//
// Errors: ErrSource, the context's.
func Check(ctx context.Context, s Source) (report Report, err error) {
	if !filepath.IsAbs(s.Root) || !filepath.IsAbs(s.Dir) {
		return Report{}, fmt.Errorf("%w: %q and %q must be absolute", ErrSource, s.Root, s.Dir)
	}
	r, err := openReader(s)
	if err != nil {
		return Report{}, err
	}
	defer r.close()
	c := &checker{ctx: ctx, src: s, reader: r, places: map[string][]mention{}, known: map[string]int{}, cast: newCasts(), looked: map[string]bool{}, named: map[string]string{}}
	defer func() {
		if caught := recover(); caught != nil { // compose-go on words nobody foresaw
			c.problem("invalid", Place{}, "The files can't be understood: %v.", caught)
			report, err = c.finish(), nil
		}
	}()
	c.run()
	if err := ctx.Err(); err != nil {
		return Report{}, fmt.Errorf("check %s: %w", s.Dir, err)
	}
	if c.failed != nil {
		return Report{}, c.failed
	}
	return c.finish(), nil
}

// checker is one Check under way.
type checker struct {
	ctx    context.Context
	src    Source
	reader *reader
	env    env
	envs   []env             // of includes that have their own
	looked map[string]bool   // values that were filled in
	named  map[string]string // paths that variables lead to, as they are written

	files    []*file // those of the command line, in order
	all      []*file // and what they include or extend, one for each visit
	nested   int     // how many of them are so
	work     int     // nodes so far
	grown    int     // bytes that variables have grown to
	ports    int     // that ranges stand for
	services int     // entries, of all visits

	variables []Variable
	known     map[string]int // of variables, by name
	cast      casts
	places    map[string][]mention
	report    Report
	failed    error // what isn't the files' fault
}

func (c *checker) run() {
	if !c.choose() {
		return
	}
	for _, name := range c.report.Files {
		if f := c.visit(filepath.Join(c.src.Dir, name), c.src.Dir, c.env, nil, Place{}); f != nil {
			c.files = append(c.files, f)
		}
	}
	if len(c.report.Problems) == 0 && c.ctx.Err() == nil {
		c.load()
	}
	if len(c.report.Services) == 0 {
		c.sketch()
	}
}

// problem adds one, once.
func (c *checker) problem(code string, at Place, format string, args ...any) {
	p := Problem{Code: code, Message: sentence(fmt.Sprintf(format, args...)), Place: at}
	if len(c.report.Problems) < maxFaults && !slices.Contains(c.report.Problems, p) {
		c.report.Problems = append(c.report.Problems, p)
	}
}

// sentence bounds a message: the words of a file may be as long as it.
func sentence(s string) string {
	if len(s) <= maxMessage {
		return s
	}
	return strings.ToValidUTF8(s[:maxMessage-200], "") + " … " + strings.ToValidUTF8(s[len(s)-190:], "")
}

// relative is a path as the report has it.
func (c *checker) relative(path string) string {
	if rel, err := filepath.Rel(c.src.Dir, path); err == nil {
		return rel
	}
	return path
}

// name is a path for people: as it is written, if variables lead to it.
func (c *checker) name(path string) string {
	if written, ok := c.named[path]; ok {
		return written
	}
	return c.relative(path)
}

// finish makes the report's lists non-nil and orders them.
func (c *checker) finish() Report {
	r := c.report
	r.Files, r.EnvFiles = nil, c.env.files
	for _, path := range c.reader.opened {
		r.Files = append(r.Files, c.relative(path))
	}
	r.Variables = c.variables
	slices.SortStableFunc(r.Variables, func(a, b Variable) int { return compare(a.Name, b.Name) })
	slices.SortStableFunc(r.Problems, func(a, b Problem) int { return byPlace(a.Place, b.Place) })
	slices.SortStableFunc(r.Notes, func(a, b Note) int { return byPlace(a.Place, b.Place) })
	r.hidden = c.secretsOf()
	r.conceal()
	fill(&r.Problems)
	fill(&r.Notes)
	fill(&r.Services)
	fill(&r.Binds)
	fill(&r.Variables)
	fill(&r.Volumes)
	fill(&r.Networks)
	fill(&r.Lenders)
	fill(&r.Files)
	fill(&r.EnvFiles)
	return r
}

func fill[T any](list *[]T) {
	if *list == nil {
		*list = []T{}
	}
}
