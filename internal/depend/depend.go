// Package depend tells which containers can't do without which others: in
// what order they are updated, what has to be made anew or restarted with one
// of them, and where they stand in a circle. It has no I/O.
package depend

import (
	"slices"
	"strings"
)

// Kind is why one container needs another.
type Kind string

// The kinds, by what a new container in the place of the one that is needed
// means for the one that needs it.
const (
	Namespace Kind = "namespace" // lives in its network, ipc or pid namespace, which ends with it
	Volumes   Kind = "volumes"   // has its volumes (--volumes-from)
	Link      Kind = "link"      // has an address of it (--link)
	Together  Kind = "together"  // asked to be restarted with it
	After     Kind = "after"     // is only started, and updated, after it
)

// Action is what has to be done to a container when another one is replaced.
type Action int

// The actions, the stronger ones last.
const (
	Nothing Action = iota
	Restart
	Recreate
)

// Need is one container's need of another.
type Need struct {
	On   string // id, name, or for Compose's depends_on the service's key: see ServiceKey
	Kind Kind
}

// Node is a container with what it needs.
type Node struct {
	ID      string
	Name    string
	Service string // ServiceKey, empty if it isn't Compose's
	Needs   []Need
}

// ServiceKey names a Compose service among all containers.
func ServiceKey(project, service string) string { return project + "\x00" + service }

// Graph is a set of containers with their needs resolved.
type Graph struct {
	nodes []Node
	needs map[string][]edge // by the id of the one that needs
	users map[string][]edge // by the id of the one that is needed
}

type edge struct {
	id   string // the other end
	kind Kind
}

// New resolves the needs: by id, name or service. What isn't there is left out.
func New(nodes []Node) *Graph {
	g := &Graph{nodes: nodes, needs: map[string][]edge{}, users: map[string][]edge{}}
	for _, n := range nodes {
		for _, need := range n.Needs {
			for _, other := range nodes {
				if need.On != "" && (other.ID == need.On || other.Name == need.On || other.Service == need.On) {
					g.needs[n.ID] = append(g.needs[n.ID], edge{other.ID, need.Kind})
					g.users[other.ID] = append(g.users[other.ID], edge{n.ID, need.Kind})
				}
			}
		}
	}
	return g
}

// Needs gives the ids of all that a container needs, directly or not.
func (g *Graph) Needs(id string) []string {
	var all []string
	g.walk(id, func(found string) { all = append(all, found) })
	return all
}

// walk visits everything that id needs, once each, nearest first.
func (g *Graph) walk(id string, visit func(string)) {
	seen := map[string]bool{id: true}
	for queue := []string{id}; len(queue) > 0; queue = queue[1:] {
		for _, e := range g.needs[queue[0]] {
			if !seen[e.id] {
				seen[e.id] = true
				visit(e.id)
				queue = append(queue, e.id)
			}
		}
	}
}

// Cycle gives the names along a circle that the container stands in, itself
// first and last; nil if it stands in none.
func (g *Graph) Cycle(id string) []string {
	var path []string
	seen := map[string]bool{}
	var back func(at string) bool
	back = func(at string) bool {
		path = append(path, g.name(at))
		for _, e := range g.needs[at] {
			if e.id == id {
				path = append(path, g.name(id))
				return true
			}
			if !seen[e.id] {
				seen[e.id] = true
				if back(e.id) {
					return true
				}
			}
		}
		path = path[:len(path)-1]
		return false
	}
	if back(id) {
		return path
	}
	return nil
}

func (g *Graph) name(id string) string {
	for _, n := range g.nodes {
		if n.ID == id {
			return n.Name
		}
	}
	return id
}

// Dependent is a container that another one's replacement reaches.
type Dependent struct {
	ID     string
	Action Action
}

// Dependents gives what has to be done to others once a container is
// replaced: each comes after all that it needs itself.
func (g *Graph) Dependents(id string) []Dependent {
	actions := map[string]Action{}
	var spread func(of string, done Action)
	spread = func(of string, done Action) {
		for _, e := range g.users[of] {
			if then := follows(e.kind, done); e.id != id && then > actions[e.id] {
				actions[e.id] = then
				spread(e.id, then)
			}
		}
	}
	spread(id, Recreate)
	var ids []string
	for _, n := range g.nodes {
		if actions[n.ID] != Nothing {
			ids = append(ids, n.ID)
		}
	}
	var out []Dependent
	for _, found := range g.Order(ids) {
		out = append(out, Dependent{ID: found, Action: actions[found]})
	}
	return out
}

// follows is what becomes of a user when what it needs is restarted or recreated.
func follows(kind Kind, done Action) Action {
	switch {
	case kind == Namespace:
		return done // a restart ends the namespace, too
	case kind == Together:
		return Restart
	case done == Recreate && (kind == Volumes || kind == Link):
		return Recreate
	}
	return Nothing
}

// Order sorts ids so that each comes after all that it needs, directly or
// through others; those that don't need each other stay as they stood, and so
// does the rest of a circle.
func (g *Graph) Order(ids []string) []string {
	var out []string
	for pending := slices.Clone(ids); len(pending) > 0; {
		next := 0
		for i, id := range pending {
			if !slices.ContainsFunc(g.Needs(id), func(need string) bool { return need != id && slices.Contains(pending, need) }) {
				next = i
				break
			}
		}
		out = append(out, pending[next])
		pending = slices.Delete(pending, next, next+1)
	}
	return out
}

// ComposeNeeds reads Compose's label com.docker.compose.depends_on,
// "db:service_healthy:true,cache:service_started:false": services, on what
// condition, and whether to be restarted together with them.
func ComposeNeeds(project, label string) []Need {
	var needs []Need
	for _, part := range strings.Split(label, ",") {
		service, rest, _ := strings.Cut(strings.TrimSpace(part), ":")
		if service == "" {
			continue
		}
		kind := After
		if _, restart, _ := strings.Cut(rest, ":"); restart == "true" {
			kind = Together
		}
		needs = append(needs, Need{On: ServiceKey(project, service), Kind: kind})
	}
	return needs
}
