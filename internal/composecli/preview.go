package composecli

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// previewLimit is for a command that asks engine and registries, and changes
// nothing.
const previewLimit = 2 * time.Minute

// Effect is what would become of something.
type Effect string

// What an action would do to a container, network, volume or image. A container
// that is made or made anew is started as well, unless the action is Create.
const (
	WouldCreate   Effect = "create"
	WouldRecreate Effect = "recreate"
	WouldRemove   Effect = "remove"
	WouldStop     Effect = "stop"
	WouldStart    Effect = "start"
	WouldRestart  Effect = "restart"
	WouldPull     Effect = "pull"
	WouldBuild    Effect = "build"
)

// Change is what would become of one thing.
type Change struct {
	Kind   string // "container", "network", "volume", "image"
	Name   string
	Effect Effect
}

// Plan is what an action would do.
type Plan struct {
	Changes []Change // in the order in which they would begin; what stays as it is isn't there
	// Notes are what Compose says besides: variables that aren't set, a volume
	// that would have to be made anew and isn't, because its data would be lost.
	Notes []string
}

// Preview says what an action would do, by Compose's dry run. Nothing is
// changed or pulled; the registry of an image that isn't here is asked for it.
//
// What would only be started again isn't told of Up and its like: whatever isn't
// running is. Compose's own dry run of that part waits for containers that it
// hasn't made, without end.
//
// Errors: those of Do.
func (c *CLI) Preview(ctx context.Context, p Project, a Action) (Plan, error) {
	dry := a
	dry.Wait = false
	args, err := dry.args(p)
	if err != nil {
		return Plan{}, err
	}
	if i := slices.Index(args, "--detach"); i >= 0 {
		args[i] = "--no-start"
	}
	t, err := c.modern(ctx)
	if err != nil {
		return Plan{}, err
	}
	plan := &planner{}
	limit := previewLimit
	if a.Limit > 0 {
		limit = a.Limit
	}
	err = c.run(ctx, t, command{
		what: fmt.Sprintf("preview docker compose %s of %s", a.Kind, p.Name), dir: a.dir(p), limit: limit,
		args: slices.Concat(output(), []string{"--dry-run"}, p.flags(a.byLabels(p)), args),
	}, &report{on: plan.hear, line: plan.note})
	return plan.Plan, err
}

// planner makes a plan of the events of a dry run.
type planner struct{ Plan }

func (p *planner) note(line string) {
	if !slices.Contains(p.Notes, line) {
		p.Notes = append(p.Notes, line)
	}
}

func (p *planner) hear(e Event) {
	kind, name, ok := strings.Cut(e.ID, " ")
	kind = strings.ToLower(kind)
	effect := effectOf(e.Text)
	if !ok || effect == "" || !slices.Contains([]string{"container", "network", "volume", "image"}, kind) {
		return
	}
	if kind == "container" {
		name = original(name)
	}
	for i, c := range p.Changes {
		if c.Kind == kind && c.Name == name {
			p.Changes[i].Effect = both(c.Effect, effect)
			return
		}
	}
	p.Changes = append(p.Changes, Change{Kind: kind, Name: name, Effect: effect})
}

// original is a container's name without the id that it has before it while it
// is made anew.
func original(name string) string {
	return idBefore.ReplaceAllString(name, "")
}

var idBefore = regexp.MustCompile(`^[0-9a-f]{12}_`)

func effectOf(text string) Effect {
	switch text {
	case "Creating":
		return WouldCreate
	case "Recreate":
		return WouldRecreate
	case "Removing":
		return WouldRemove
	case "Stopping":
		return WouldStop
	case "Starting":
		return WouldStart
	case "Restarting":
		return WouldRestart
	case "Pulling":
		return WouldPull
	case "Building":
		return WouldBuild
	}
	return ""
}

// both is what two effects on one thing come to.
func both(first, then Effect) Effect {
	switch {
	case first == then:
		return first
	case first == WouldRecreate, then == WouldRecreate, first == WouldRemove && then == WouldCreate:
		return WouldRecreate
	case first == WouldCreate, then == WouldStart && first != WouldStop:
		return first
	case first == WouldStop && then == WouldStart:
		return WouldRestart
	}
	return then
}
