package composecli

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"
)

// Kind is what an action does.
type Kind string

// The kinds of actions, and the command each of them is.
const (
	Up       Kind = "up"       // up --detach
	Create   Kind = "create"   // up --no-start
	Recreate Kind = "recreate" // up --detach --force-recreate
	Scale    Kind = "scale"    // up --detach --no-recreate --scale: only how many there are changes
	Down     Kind = "down"
	Start    Kind = "start"
	Stop     Kind = "stop"
	Restart  Kind = "restart"
	Pull     Kind = "pull"
)

// Limits of time, where an action has none of its own.
const (
	longLimit  = 30 * time.Minute // what may pull, build or wait for health
	shortLimit = 5 * time.Minute
)

// Action is one command on a project.
type Action struct {
	Kind     Kind
	Services []string       // none: all; Up, Create and Recreate take their dependencies along
	Replicas map[string]int // for Scale: how many of each service; Services must be empty

	PullPolicy      string // Up, Create, Recreate: always, missing or never; empty is what the file says
	Build           bool   // Up, Create, Recreate: build images even if they are there
	NoDeps          bool   // Up, Create, Recreate, Scale, Restart: leave dependencies alone
	RemoveOrphans   bool   // Up, Create, Recreate, Down: containers of services that the files don't have (any more)
	Wait            bool   // Up, Recreate, Scale: until all run, or are healthy
	RemoveVolumes   bool   // Down: named and anonymous volumes too, with all data
	IgnoreBuildable bool   // Pull: leave out what can be built

	StopTimeout *time.Duration // not for Start and Pull: before a container is killed, in whole seconds; nil is each one's own
	Limit       time.Duration  // for the command as a whole; 0 is 30 min for what may pull, 5 min for the rest
}

func (a Action) makes() bool { return slices.Contains([]Kind{Up, Create, Recreate, Scale}, a.Kind) }

// byLabels says whether the command does without the project's files.
func (a Action) byLabels(p Project) bool {
	return len(p.Files) == 0 && slices.Contains([]Kind{Down, Start, Stop, Restart}, a.Kind)
}

// dir is where the command is to be: where no .env of somebody's is, if it does
// without files.
func (a Action) dir(p Project) string {
	if a.byLabels(p) {
		return ""
	}
	return p.folder()
}

func (a Action) limit() time.Duration {
	switch {
	case a.Limit > 0:
		return a.Limit
	case a.makes(), a.Kind == Pull:
		return longLimit
	}
	return shortLimit
}

// args are the command and what follows it.
func (a Action) args(p Project) ([]string, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	if len(p.Files) == 0 && !a.byLabels(p) {
		return nil, fmt.Errorf("%w: none are named", ErrNoFiles)
	}
	if err := a.check(); err != nil {
		return nil, err
	}
	args := a.command()
	for _, flag := range a.switches() {
		if flag.set {
			args = append(args, flag.name)
		}
	}
	if a.PullPolicy != "" {
		args = append(args, "--pull", a.PullPolicy)
	}
	if a.StopTimeout != nil {
		args = append(args, "--timeout", strconv.Itoa(int(a.StopTimeout.Seconds())))
	}
	services := a.Services
	if a.Kind == Scale {
		services = slices.Sorted(maps.Keys(a.Replicas))
		for _, name := range services {
			args = append(args, "--scale="+name+"="+strconv.Itoa(a.Replicas[name]))
		}
	}
	return append(append(args, "--"), services...), nil // a service may be called --volumes
}

func (a Action) command() []string {
	switch a.Kind {
	case Up:
		return []string{"up", "--detach"}
	case Create:
		return []string{"up", "--no-start"}
	case Recreate:
		return []string{"up", "--detach", "--force-recreate"}
	case Scale:
		return []string{"up", "--detach", "--no-recreate"}
	}
	return []string{string(a.Kind)}
}

// aSwitch is an option without a value, and which kinds take it.
type aSwitch struct {
	name  string
	set   bool
	kinds []Kind
}

func (a Action) switches() []aSwitch {
	return []aSwitch{
		{"--build", a.Build, []Kind{Up, Create, Recreate}},
		{"--no-deps", a.NoDeps, []Kind{Up, Create, Recreate, Scale, Restart}},
		{"--remove-orphans", a.RemoveOrphans, []Kind{Up, Create, Recreate, Down}},
		{"--wait", a.Wait, []Kind{Up, Recreate, Scale}},
		{"--volumes", a.RemoveVolumes, []Kind{Down}},
		{"--ignore-buildable", a.IgnoreBuildable, []Kind{Pull}},
	}
}

func (a Action) check() error {
	all := []Kind{Up, Create, Recreate, Scale, Down, Start, Stop, Restart, Pull}
	if !slices.Contains(all, a.Kind) {
		return fmt.Errorf("%w: there is no action %q", ErrInvalid, a.Kind)
	}
	rules := append(a.switches(),
		aSwitch{"--pull", a.PullPolicy != "", []Kind{Up, Create, Recreate}},
		aSwitch{"--timeout", a.StopTimeout != nil, []Kind{Up, Create, Recreate, Scale, Down, Stop, Restart}},
		aSwitch{"--scale", len(a.Replicas) > 0, []Kind{Scale}})
	for _, rule := range rules {
		if rule.set && !slices.Contains(rule.kinds, a.Kind) {
			return fmt.Errorf("%w: %s takes no %s", ErrInvalid, a.Kind, rule.name)
		}
	}
	if a.PullPolicy != "" && !slices.Contains([]string{"always", "missing", "never"}, a.PullPolicy) {
		return fmt.Errorf("%w: the pull policy %q: always, missing and never are allowed", ErrInvalid, a.PullPolicy)
	}
	if a.StopTimeout != nil && *a.StopTimeout < 0 {
		return fmt.Errorf("%w: a stop timeout of %s", ErrInvalid, *a.StopTimeout)
	}
	return a.checkServices()
}

func (a Action) checkServices() error {
	if a.Kind == Scale && (len(a.Replicas) == 0 || len(a.Services) > 0) {
		return fmt.Errorf("%w: scale wants a number for each service, and nothing else", ErrInvalid)
	}
	for _, name := range slices.Concat(a.Services, slices.Sorted(maps.Keys(a.Replicas))) {
		if !serviceName.MatchString(name) {
			return fmt.Errorf("%w: the service name %q: letters, digits, '.', - and _ are allowed", ErrInvalid, name)
		}
		if n, ok := a.Replicas[name]; ok && (n < 0 || n > maxReplicas) {
			return fmt.Errorf("%w: %d containers of service %s: 0 to %d are allowed", ErrInvalid, n, name, maxReplicas)
		}
	}
	return nil
}

// maxReplicas is more than an engine bears.
const maxReplicas = 1000
