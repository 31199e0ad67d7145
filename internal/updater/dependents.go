package updater

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/watch-docker/watch-docker/internal/depend"
	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/internal/logging"
	"github.com/watch-docker/watch-docker/internal/policy"
)

// Compose's labels.
const (
	composeProject   = "com.docker.compose.project"
	composeService   = "com.docker.compose.service"
	composeDependsOn = "com.docker.compose.depends_on"
	composeOneOff    = "com.docker.compose.oneoff"
	dependsOnLabel   = policy.Prefix + "dependsOn"
)

// graph is what the containers need of each other.
func (u *Updater) graph(ctx context.Context, list []dockercli.Related) (*depend.Graph, error) {
	nodes := make([]depend.Node, len(list))
	for i, c := range list {
		n := depend.Node{ID: c.ID, Name: c.Name}
		if project := c.Labels[composeProject]; project != "" {
			if !strings.EqualFold(c.Labels[composeOneOff], "true") {
				n.Service = depend.ServiceKey(project, c.Labels[composeService])
			}
			n.Needs = depend.ComposeNeeds(project, c.Labels[composeDependsOn])
		}
		for _, use := range c.Uses {
			n.Needs = append(n.Needs, depend.Need{On: peer(list, use.Container), Kind: kindOf(use)})
		}
		asked, err := u.dependsOn(ctx, c.Container)
		if err != nil {
			return nil, err
		}
		for _, name := range asked {
			n.Needs = append(n.Needs, depend.Need{On: name, Kind: depend.Together})
		}
		nodes[i] = n
	}
	return depend.New(nodes), nil
}

func kindOf(use dockercli.Relation) depend.Kind {
	switch use.Kind {
	case "volumes":
		return depend.Volumes
	case "link":
		return depend.Link
	}
	return depend.Namespace
}

// peer gives the id of the container that another one names, by name, id, or
// the beginning of its id.
func peer(list []dockercli.Related, named string) string {
	for _, c := range list {
		if c.ID == named || c.Name == named {
			return c.ID
		}
	}
	for _, c := range list {
		if len(named) >= 12 && strings.HasPrefix(c.ID, named) {
			return c.ID
		}
	}
	return ""
}

// dependsOn reads the label of that name, which counts only if the image
// doesn't carry it itself.
func (u *Updater) dependsOn(ctx context.Context, c dockercli.Container) ([]string, error) {
	value, ok := c.Labels[dependsOnLabel]
	if !ok {
		return nil, nil
	}
	img, err := u.engine.Image(ctx, c.ImageID)
	if err != nil && !errors.Is(err, dockercli.ErrNotFound) {
		return nil, err
	}
	labels, _ := policy.ParseLabels(policy.Own(map[string]string{dependsOnLabel: value}, img.Labels))
	return labels.DependsOn, nil
}

// group gives the containers that the replacement of one reaches, and refuses
// it where they couldn't come along.
func (u *Updater) group(ctx context.Context, old dockercli.Blueprint, list []dockercli.Related) ([]member, error) {
	g, err := u.graph(ctx, list)
	if err != nil {
		return nil, err
	}
	if cycle := g.Cycle(old.ID); cycle != nil {
		return nil, problem(CodeCycle, "%s depends on itself: %s. Take one of these out, in %s or in the Compose file.", old.Name, strings.Join(cycle, " needs "), dependsOnLabel)
	}
	var group []member
	for _, d := range g.Dependents(old.ID) {
		name := list[slices.IndexFunc(list, func(c dockercli.Related) bool { return c.ID == d.ID })].Name
		b, err := u.blueprint(ctx, d.ID, name)
		if u.Own(d.ID) {
			err = problem(CodeOwn, "Watch Docker itself runs in it.")
		}
		var refused *Error
		if errors.As(err, &refused) {
			return nil, problem(CodeDependents, "%s depends on %s and can't come along: %s", name, old.Name, refused.Message)
		}
		if err != nil {
			return nil, err
		}
		m := member{Old: b, Running: runs(b), NewImage: b.ImageID, Only: d.Action == depend.Restart && !b.AutoRemove}
		m.Proven = b.State == "running" && !m.unhealthy(list)
		switch {
		case m.Only && !m.Running:
			continue
		case !m.Only && b.ImageGone:
			return nil, problem(CodeDependents, "%s depends on %s and would have to be made anew, but its image was removed from this host; pull it again.", name, old.Name)
		case m.Running && !runs(old) && !m.Only:
			return nil, problem(CodeDependents, "%s runs and depends on %s, which doesn't; start %s, or stop %s.", name, old.Name, old.Name, name)
		}
		if m.Named, err = u.named(ctx, b.ImageRef); err != nil {
			return nil, err
		}
		group = append(group, m)
	}
	return group, nil
}

// model is what Compose makes of the files of a container that shares
// something with another one. Without it a create warns.
func (u *Updater) model(ctx context.Context, b dockercli.Blueprint) []byte {
	project := b.ComposeProject()
	if u.compose == nil || len(b.Uses) == 0 || project == nil {
		return nil
	}
	model, err := u.compose.Model(ctx, project)
	if err != nil {
		u.log.Info("Compose doesn't tell about a project", logging.Container(b.Name), logging.Err(err))
	}
	return model
}

func (m *member) unhealthy(list []dockercli.Related) bool {
	return slices.ContainsFunc(list, func(c dockercli.Related) bool { return c.ID == m.Old.ID && c.Health == "unhealthy" })
}

// describe says what comes along, for the record.
func describe(group []member) string {
	var again, anew []string
	for _, m := range group {
		if m.Only {
			again = append(again, m.Old.Name)
		} else {
			anew = append(anew, m.Old.Name)
		}
	}
	var said []string
	if len(anew) > 0 {
		said = append(said, "made anew with it: "+strings.Join(anew, ", "))
	}
	if len(again) > 0 {
		said = append(said, "restarted with it: "+strings.Join(again, ", "))
	}
	return strings.Join(said, "; ")
}

// dependents makes anew, or starts again, what depends on the new container.
func (u *Updater) dependents(ctx context.Context, j *job) (string, error) {
	said := []string{describe(j.plan.Dependents)}
	for i := range j.plan.Dependents {
		m := &j.plan.Dependents[i]
		warned, err := u.follow(ctx, j, m)
		if err != nil {
			var e *Error
			if errors.As(err, &e) {
				e.Code = CodeDependent
			}
			return "", dependent(j, m, err)
		}
		if warned != "" {
			said = append(said, m.Old.Name+": "+warned)
		}
	}
	return strings.Join(said, "; "), nil
}

// dependent says whose error it is, if it isn't the container's own.
func dependent(j *job, m *member, err error) error {
	var e *Error
	if errors.As(err, &e) && m != &j.plan.member {
		return &Error{Code: e.Code, Message: fmt.Sprintf("%s, which depends on %s: %s", m.Old.Name, j.plan.Old.Name, e.Message), Logs: e.Logs}
	}
	return err
}

func (u *Updater) follow(ctx context.Context, j *job, m *member) (warned string, err error) {
	if m.Only {
		return "", u.wrap(ctx, CodeStart, u.engine.Start(ctx, m.Old.ID))
	}
	if warned, err = u.createMember(ctx, j, m); err != nil {
		return "", err
	}
	if err := u.swap(ctx, m); err != nil {
		return "", err
	}
	if m.Running {
		return warned, u.start(ctx, m)
	}
	return warned, u.settle(ctx, m)
}

// claim takes the dependents for this operation, waiting until nobody else
// has one of them.
func (u *Updater) claim(ctx context.Context, j *job) (waited bool, err error) {
	for {
		u.mu.Lock()
		free := u.unclaimed(j)
		if free {
			j.claimed = true
		}
		changed := u.changed
		u.mu.Unlock()
		if free {
			return waited, nil
		}
		waited = true
		select {
		case <-ctx.Done():
			return waited, ctx.Err()
		case <-changed:
		}
	}
}

// unclaimed reports whether nobody else has a container of this operation.
func (u *Updater) unclaimed(j *job) bool {
	for _, m := range j.plan.all() {
		if u.held[m.Old.ID] > 0 && m != &j.plan.member {
			return false
		}
		for _, other := range u.running {
			if other != j && (other.claimed && other.has(m.Old.ID) || other.request.ContainerID == m.Old.ID) {
				return false
			}
		}
	}
	return true
}

// Order sorts requests so that what others need comes before them, and has
// those wait for it.
func (u *Updater) Order(ctx context.Context, requests []Request) ([]Request, error) {
	if len(requests) < 2 {
		return requests, nil
	}
	list, err := u.engine.Relations(ctx)
	if err != nil {
		return nil, err
	}
	g, err := u.graph(ctx, list)
	if err != nil {
		return nil, err
	}
	ids, byID := make([]string, len(requests)), map[string]Request{}
	for i, r := range requests {
		ids[i], byID[r.ContainerID] = r.ContainerID, r
	}
	sorted := make([]Request, 0, len(requests))
	for _, id := range g.Order(ids) {
		r := byID[id]
		if g.Cycle(id) == nil { // those are refused anyway, and must not wait for each other
			for _, need := range g.Needs(id) {
				if first, ok := byID[need]; ok && g.Cycle(need) == nil {
					r.after = append(r.after, first.Name)
				}
			}
		}
		sorted = append(sorted, r)
	}
	chainReplicas(sorted, func(r Request) bool { return r.target() != r.Image }) // they share a file
	return sorted, nil
}

// chainReplicas has the replicas of a Compose service wait for each other, and
// need each other's success.
func chainReplicas(sorted []Request, which func(Request) bool) {
	last := map[[2]string]string{} // by project and service
	for i := range sorted {
		r := &sorted[i]
		key := [2]string{r.Project, r.Service}
		if r.Service == "" || !which(*r) {
			continue
		}
		if before := last[key]; before != "" && !slices.Contains(r.needs, before) {
			r.after, r.needs = append(r.after, before), append(r.needs, before)
		}
		last[key] = r.Name
	}
}

// OrderStrictly is Order for a Compose project: a container whose update is
// needed by another's, or that is a replica of the same service before it, has
// to be updated well, or the other one isn't begun.
func (u *Updater) OrderStrictly(ctx context.Context, requests []Request) ([]Request, error) {
	sorted, err := u.Order(ctx, requests)
	if err != nil {
		return nil, err
	}
	chainReplicas(sorted, func(Request) bool { return true })
	for i := range sorted {
		sorted[i].needs = sorted[i].after
	}
	return sorted, nil
}

func unique(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}
