package composefile

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/watch-docker/watch-docker/internal/runspec"
	"github.com/watch-docker/watch-docker/internal/secrets"
)

// Converted is a Compose file made of containers.
type Converted struct {
	Compose []byte
	// Env is the .env that belongs to it: the secrets, with their values only if
	// they were to be revealed.
	Env      []byte
	Warnings []Warning
	Secrets  []string // the variables in Env
}

// Warning is what the file can't say, or what has to be decided.
type Warning struct {
	Container string `json:"container"`
	Message   string `json:"message"`
}

// converter is one Convert under way.
type converter struct {
	names    map[string]string // container -> service
	services object
	volumes  object
	networks object
	declared map[string]bool // volumes and networks, by section and key
	secret   map[string]string
	out      Converted
}

// Convert makes a Compose file that runs the same containers. What exists
// already, volumes and networks, is external: nothing is made anew in its
// place. What looks like a secret becomes a variable without which the project
// doesn't start; reveal puts the values into Env.
func Convert(containers []runspec.Container, reveal bool) Converted {
	c := &converter{
		names: map[string]string{}, services: newObject(), volumes: newObject(), networks: newObject(),
		declared: map[string]bool{}, secret: map[string]string{},
	}
	containers = slices.Clone(containers)
	slices.SortFunc(containers, func(a, b runspec.Container) int { return compare(a.Name, b.Name) })
	for _, r := range containers {
		c.names[r.Name] = c.serviceName(r)
	}
	for _, r := range containers {
		c.services.set(c.names[r.Name], c.service(r))
	}
	top := newObject()
	top.set("services", c.services)
	top.set("volumes", c.volumes)
	top.set("networks", c.networks)
	c.out.Compose = render(top.n)
	c.env(reveal)
	return c.out
}

const composeLabels = "com.docker.compose."

var notName = regexp.MustCompile(`[^a-zA-Z0-9._-]+`)

// serviceName is Compose's own if it made the container, else the container's.
func (c *converter) serviceName(r runspec.Container) string {
	name := r.Labels[composeLabels+"service"]
	if name == "" {
		name = r.Name
	}
	name = strings.Trim(notName.ReplaceAllString(name, "-"), "-._")
	if name == "" {
		name = "service"
	}
	for i, base := 2, name; ; i++ {
		if !slices.Contains(slices.Collect(maps.Values(c.names)), name) {
			return name
		}
		name = fmt.Sprintf("%s-%d", base, i)
	}
}

func (c *converter) warn(r runspec.Container, format string, args ...any) {
	c.out.Warnings = append(c.out.Warnings, Warning{r.Name, fmt.Sprintf(format, args...)})
}

// service writes one container.
func (c *converter) service(r runspec.Container) object {
	s := newObject()
	s.set("image", r.Image)
	if strings.HasPrefix(r.Image, "sha256:") {
		s.note("This is an image of this engine alone: it can't be pulled anywhere. Name one.")
		c.warn(r, "it was made from an image id, which no registry knows")
	}
	s.set("container_name", r.Name)
	s.set("platform", r.Platform)
	s.set("entrypoint", c.words(r, r.Entrypoint))
	s.set("command", c.words(r, r.Command))
	s.set("user", r.User)
	s.set("working_dir", r.WorkingDir)
	s.set("hostname", r.Hostname)
	s.set("domainname", r.Domain)
	s.set("environment", c.environment(r))
	s.set("labels", c.labels(r))
	s.set("restart", r.Restart)
	c.reach(s, r)
	c.storage(s, r)
	c.life(s, r)
	c.rights(s, r)
	c.limits(s, r)
	if r.AutoRemove {
		c.warn(r, "it was run with --rm; Compose's containers stay until docker compose down")
	}
	if _, made := r.Labels[composeLabels+"project"]; made {
		c.warn(r, "Compose made it already, in the project %s: its own file says more than this one", r.Labels[composeLabels+"project"])
	}
	for _, u := range r.Unsaid {
		c.warn(r, "%s can't be written in a Compose file", u)
	}
	return s
}

func (c *converter) environment(r runspec.Container) object {
	values := map[string]string{}
	for _, e := range r.Env {
		name, value, _ := strings.Cut(e, "=")
		values[name] = value
	}
	return c.settings(r, values)
}

// settings are names with values, of which some may be secrets: a token of a
// log driver, a password in a URL.
func (c *converter) settings(r runspec.Container, values map[string]string) object {
	o := newObject()
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if value := values[name]; secrets.Is(name, value) {
			o.set(name, c.hide(r, name, value))
		} else {
			o.n.Content = append(o.n.Content, plainKey(name), text(value))
		}
	}
	return o
}

// labels are the user's: Compose sets its own anew.
func (c *converter) labels(r runspec.Container) object {
	own := maps.Clone(r.Labels)
	maps.DeleteFunc(own, func(name, _ string) bool { return strings.HasPrefix(name, composeLabels) })
	return c.settings(r, own)
}

// words are a command's, of which one may be a secret: --token=x, --token x,
// or a URL with a password.
func (c *converter) words(r runspec.Container, words []string) any {
	if words == nil {
		return nil // the image's
	}
	list, hide := []any{}, ""
	for _, w := range words {
		name, value, assigned := strings.Cut(w, "=")
		option := strings.TrimLeft(name, "-")
		isOption := strings.HasPrefix(w, "-")
		switch {
		case hide != "" && !isOption && w != "":
			list = append(list, c.hide(r, hide, w))
		case assigned && secrets.Is(option, value):
			list = append(list, variable(strings.ReplaceAll(name, "$", "$$")+"=")+c.hide(r, option, value))
		case secrets.Value(w):
			list = append(list, c.hide(r, "argument", w))
		default:
			list = append(list, w)
		}
		hide = ""
		if isOption && !assigned && secrets.Name(option) {
			hide = option
		}
	}
	if len(list) == 0 {
		return none{}
	}
	return list
}

var notVariable = regexp.MustCompile(`[^A-Za-z0-9_]+`)

// hide makes a variable of a secret: of its own name, or with the service's
// before it if another service has another value of that name.
func (c *converter) hide(r runspec.Container, name, value string) variable {
	service := strings.ToUpper(notVariable.ReplaceAllString(c.names[r.Name], "_"))
	own := strings.ToUpper(strings.Trim(notVariable.ReplaceAllString(name, "_"), "_"))
	if own == "" || own[0] >= '0' && own[0] <= '9' {
		own = "SECRET_" + own
	}
	if service == "" || service[0] >= '0' && service[0] <= '9' {
		service = "S_" + service
	}
	id := own
	for i := 1; ; i++ {
		have, taken := c.secret[id]
		if !taken || have == value {
			break
		}
		if id = service + "_" + own; i > 1 {
			id = fmt.Sprintf("%s_%s_%d", service, own, i)
		}
	}
	c.secret[id] = value
	return variable("${" + id + ":?set it in .env}")
}

// env writes the .env that the variables come from.
func (c *converter) env(reveal bool) {
	c.out.Secrets = slices.Sorted(maps.Keys(c.secret))
	for _, name := range c.out.Secrets {
		value := ""
		if reveal {
			value = c.secret[name]
		}
		if next, err := SetVariable(c.out.Env, name, value); err == nil {
			c.out.Env = next
		} else {
			c.out.Warnings = append(c.out.Warnings, Warning{Message: name + " must be set in .env by hand"})
		}
	}
}
