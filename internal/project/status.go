package project

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/internal/image"
)

// Status is what a whole project is like.
type Status string

// The statuses.
const (
	StatusRunning   Status = "running"   // all that is meant to run does, and all else ended well
	StatusStarting  Status = "starting"  // … or is about to
	StatusUnhealthy Status = "unhealthy" // a health check fails
	StatusPartial   Status = "partial"   // some runs, some that should doesn't
	StatusStopped   Status = "stopped"   // nothing runs
	StatusFailed    Status = "failed"    // a container ended with an error, or is restarted again and again
	StatusCompleted Status = "completed" // nothing is meant to run on, and all ended well
	StatusDown      Status = "down"      // it has no containers
	StatusUnknown   Status = "unknown"   // the engine doesn't answer
)

// State is what one service is like: its worst container.
type State string

// The states, the better ones first.
const (
	Inactive   State = "inactive" // its profile isn't enabled, or it has no replicas
	Completed  State = "completed"
	Up         State = "running"
	Starting   State = "starting"
	Waiting    State = "waiting" // made, and started once what it depends on is ready
	Created    State = "created" // made, and never started
	Stopped    State = "stopped"
	Paused     State = "paused"
	Missing    State = "missing"
	Short      State = "replicasMissing"
	Unhealthy  State = "unhealthy"
	Restarting State = "restarting" // again and again
	Failed     State = "failed"
)

func severity(s State) int {
	return slices.Index([]State{Inactive, Completed, Up, Starting, Waiting, Created, Stopped, Paused, Missing, Short, Unhealthy, Restarting, Failed}, s)
}

// completes is the condition of depends_on that makes a service a one-shot.
const (
	completes = "service_completed_successfully"
	healthy   = "service_healthy"
)

// part is one service, while a project is judged.
type part struct {
	ProjectService

	containers []dockercli.Container
	fact       *ServiceFact // nil: no file says anything of it
	oneShot    bool         // others wait for its end
	orphan     bool         // the files, which are known, don't have it
	active     bool
	live       bool // a container of it runs, or is paused
	code       int  // that the worst container ended with
}

// parts sorts what is known by service. Facts are nil if the files aren't
// known; they are all that there are only if they are whole.
func parts(g *group, facts []ServiceFact, whole bool, profiles []string) []*part {
	byName := map[string]*part{}
	var all []*part
	get := func(name string) *part {
		if byName[name] == nil {
			byName[name] = &part{ProjectService: ProjectService{Name: name, Containers: []string{}}}
			all = append(all, byName[name])
		}
		return byName[name]
	}
	for i, f := range facts {
		p := get(f.Name)
		p.fact, p.Image, p.DependsOn, p.active = &facts[i], f.Image, f.DependsOn, f.enabled(profiles) && f.Replicas > 0
	}
	if g != nil {
		for _, c := range g.containers {
			p := get(c.Labels[labelService])
			p.containers, p.Containers, p.active = append(p.containers, c), append(p.Containers, c.ID), true
			if p.Image == "" || !image.IsID(c.Image, c.ImageID) { // an id is what is left of a tag that has moved
				p.Image = c.Image
			}
			p.orphan = p.fact == nil && facts != nil && whole
		}
		for name, depends := range g.depends() {
			if p := byName[name]; p != nil && p.fact == nil {
				p.DependsOn = depends
			}
		}
	}
	slices.SortFunc(all, func(a, b *part) int { return cmp.Compare(a.Name, b.Name) })
	settleStates(all, byName)
	return all
}

// settleStates judges each service, with regard to those that it depends on.
func settleStates(all []*part, byName map[string]*part) {
	for _, p := range all {
		for _, d := range p.DependsOn {
			if on := byName[d.Service]; on != nil && d.Condition == completes {
				on.oneShot = true
			}
		}
	}
	for _, p := range all {
		p.judge()
	}
	for _, p := range all {
		if p.State == Created && waits(p, byName, map[string]bool{}) {
			p.State = Waiting
		}
	}
}

// judge takes the worst of a service's containers.
func (p *part) judge() {
	p.State, p.Health = Inactive, "none"
	healths := []string{"none", "healthy", "starting", "unhealthy"}
	for _, c := range p.containers {
		if state := p.stateOf(c); severity(state) >= severity(p.State) {
			p.State, p.code = state, c.ExitCode
		}
		p.live = p.live || slices.Contains([]string{"running", "paused", "restarting"}, c.State)
		if c.State == "running" && slices.Index(healths, c.Health) > slices.Index(healths, p.Health) {
			p.Health = c.Health
		}
	}
	switch missing := p.fact != nil && p.active && len(p.containers) < p.fact.Replicas; {
	case missing && len(p.containers) == 0:
		p.State = Missing
	case missing && (p.State == Up || p.State == Starting):
		p.State = Short
	}
}

func (p *part) stateOf(c dockercli.Container) State {
	switch c.State {
	case "running":
		switch c.Health {
		case "unhealthy":
			return Unhealthy
		case "starting":
			return Starting
		}
		return Up
	case "restarting":
		return Restarting
	case "paused":
		return Paused
	case "created":
		return Created
	case "exited":
		return p.ended(c)
	case "dead":
		return Failed
	}
	return Stopped // it is being removed
}

// ended judges a container that has ended. One that the engine would start
// again by itself was stopped by somebody, whatever its code. Otherwise 0 is
// the end of a job, unless the service is one that serves; and what a signal
// ended, as a stop does, hasn't failed.
func (p *part) ended(c dockercli.Container) State {
	restarts := p.fact != nil && (p.fact.Restart == "always" || p.fact.Restart == "unless-stopped")
	serves := p.fact != nil && p.fact.Serves || p.fact == nil && len(c.Ports) > 0
	switch {
	case c.ExitCode == 0 && (p.oneShot || !restarts && !serves):
		return Completed
	case restarts, c.ExitCode == 0, slices.Contains(signalled(), c.ExitCode):
		return Stopped
	}
	return Failed
}

// signalled are the codes of those that SIGINT, SIGKILL and SIGTERM ended.
func signalled() []int { return []int{130, 137, 143} }

// waits says whether something that a service depends on isn't ready yet, but
// on its way.
func waits(p *part, all map[string]*part, seen map[string]bool) bool {
	seen[p.Name] = true
	for _, d := range p.DependsOn {
		on := all[d.Service]
		switch {
		case on == nil || seen[d.Service]:
		case on.State == Starting && (d.Condition == healthy || d.Condition == completes),
			on.State == Up && d.Condition == completes,
			(on.State == Created || on.State == Waiting) && waits(on, all, seen):
			return true
		}
	}
	return false
}

// judge makes one status of all services, and says why.
func judge(all []*part) (Status, string) {
	by := map[State][]*part{}
	live, containers := false, 0
	for _, p := range all {
		containers += len(p.containers)
		if p.orphan || !p.active {
			continue
		}
		by[p.State] = append(by[p.State], p)
		live = live || p.live
	}
	switch {
	case containers == 0:
		return StatusDown, "It has no containers."
	case len(by[Failed])+len(by[Restarting]) > 0:
		return StatusFailed, failures(append(by[Failed], by[Restarting]...))
	case !live:
		return idle(by, all)
	case len(by[Unhealthy]) > 0:
		return StatusUnhealthy, names(by[Unhealthy]) + ": the health check fails."
	}
	if lacks := lacking(by); lacks != "" {
		return StatusPartial, lacks
	}
	if waiting := append(by[Starting], by[Waiting]...); len(waiting) > 0 {
		return StatusStarting, names(waiting) + ": not ready yet."
	}
	if len(by[Completed]) > 0 {
		return StatusRunning, "All that is meant to run does; " + names(by[Completed]) + " ended with code 0."
	}
	return StatusRunning, "All services run."
}

// idle is a project of which nothing runs that should.
func idle(by map[State][]*part, all []*part) (Status, string) {
	for _, p := range all {
		if p.orphan && p.live {
			return StatusPartial, "Only services that its files don't have run: " + p.Name + "."
		}
	}
	lacks := lacking(by)
	switch {
	case len(by[Completed]) > 0 && lacks == "" && len(by[Waiting]) == 0:
		return StatusCompleted, "All has ended with code 0."
	case len(by[Completed]) > 0 && len(by[Missing]) > 0 && len(by[Stopped])+len(by[Created]) == 0:
		return StatusPartial, lacks
	case len(by[Created])+len(by[Waiting]) > 0 && len(by[Stopped])+len(by[Completed]) == 0:
		return StatusStopped, "Its containers have been made, and not started."
	}
	return StatusStopped, strings.TrimSpace("Nothing runs. " + lacks)
}

// lacking says what should run and doesn't; nothing if all does.
func lacking(by map[State][]*part) string {
	var said []string
	for _, lack := range []struct {
		state State
		words string
	}{
		{Missing, "no container"}, {Short, "fewer containers than the file asks for"}, {Stopped, "stopped"},
		{Created, "made, and not started"}, {Paused, "paused"},
	} {
		if len(by[lack.state]) > 0 {
			said = append(said, names(by[lack.state])+": "+lack.words+".")
		}
	}
	return strings.Join(said, " ")
}

func failures(list []*part) string {
	var said []string
	for i, p := range list {
		if i == mostNames {
			said = append(said, fmt.Sprintf("%d more failed.", len(list)-i))
			break
		}
		how := "%s ended with code %d."
		if p.State == Restarting {
			how = "%s is restarted again and again; it ended with code %d."
		}
		said = append(said, fmt.Sprintf(how, p.Name, p.code))
	}
	return strings.Join(said, " ")
}

// mostNames is how many services a sentence names.
const mostNames = 3

func names(list []*part) string {
	var all []string
	for i, p := range list {
		if i == mostNames {
			all = append(all, fmt.Sprintf("%d more", len(list)-i))
			break
		}
		all = append(all, p.Name)
	}
	slices.Sort(all[:min(len(all), mostNames)])
	return strings.Join(all, ", ")
}
