package preview

import (
	"maps"
	"path"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/watch-docker/watch-docker/internal/image"
)

// Container is what a container's user decided.
type Container struct {
	Set     image.Config    // the user's own part of its configuration
	Mounted map[string]bool // places at which something is mounted whatever the image declares
}

// Compare says what the new image gives otherwise than the old one, and what
// of it reaches the container. old is nil if nobody knows it any more: then
// only what reaches the container is told.
func Compare(old *image.Config, fresh image.Config, c Container) Changes {
	known := old != nil
	if !known {
		old = &image.Config{}
	}
	from, to := normal(*old), normal(fresh)
	before, after := merge(c.Set, from), merge(c.Set, to)
	for place := range c.Mounted { // whatever the image says of it, it stays
		before.Volumes[place], after.Volumes[place] = struct{}{}, struct{}{}
	}
	changes := Changes{
		Env:        changed(variables(from.Env), variables(to.Env), variables(before.Env), variables(after.Env)),
		Labels:     changed(from.Labels, to.Labels, before.Labels, after.Labels),
		Ports:      changed(texts(from.ExposedPorts), texts(to.ExposedPorts), texts(before.ExposedPorts), texts(after.ExposedPorts)),
		Volumes:    changed(texts(from.Volumes), texts(to.Volumes), texts(before.Volumes), texts(after.Volumes)),
		Entrypoint: list(from.Entrypoint, to.Entrypoint, slices.Equal(before.Entrypoint, after.Entrypoint)),
		Cmd:        list(from.Cmd, to.Cmd, slices.Equal(before.Cmd, after.Cmd)),
		User:       text(from.User, to.User, before.User == after.User),
		WorkingDir: text(from.WorkingDir, to.WorkingDir, before.WorkingDir == after.WorkingDir),
		StopSignal: text(from.StopSignal, to.StopSignal, before.StopSignal == after.StopSignal),
	}
	if !reflect.DeepEqual(from.Healthcheck, to.Healthcheck) {
		changes.Healthcheck = &HealthChange{
			From: health(from.Healthcheck), To: health(to.Healthcheck),
			Overridden: reflect.DeepEqual(before.Healthcheck, after.Healthcheck),
		}
	}
	if !known {
		changes.dropOverridden()
	}
	return changes
}

// Checked reports whether a container of this image would have a health check.
func Checked(img image.Config, c Container) bool {
	h := merge(c.Set, normal(img)).Healthcheck
	return h != nil && len(h.Test) > 0 && h.Test[0] != "NONE"
}

// None reports whether nothing differs.
func (c Changes) None() bool {
	return len(c.Env)+len(c.Labels)+len(c.Ports)+len(c.Volumes) == 0 && c.Entrypoint == nil && c.Cmd == nil &&
		c.User == nil && c.WorkingDir == nil && c.StopSignal == nil && c.Healthcheck == nil
}

// dropOverridden leaves what reaches the container.
func (c *Changes) dropOverridden() {
	for _, l := range []*[]Change{&c.Env, &c.Labels, &c.Ports, &c.Volumes} {
		*l = slices.DeleteFunc(*l, func(ch Change) bool { return ch.Overridden })
	}
	for _, l := range []**ListChange{&c.Entrypoint, &c.Cmd} {
		if *l != nil && (*l).Overridden {
			*l = nil
		}
	}
	for _, t := range []**TextChange{&c.User, &c.WorkingDir, &c.StopSignal} {
		if *t != nil && (*t).Overridden {
			*t = nil
		}
	}
	if c.Healthcheck != nil && c.Healthcheck.Overridden {
		c.Healthcheck = nil
	}
}

// normal has one form for what is written in several.
func normal(c image.Config) image.Config {
	volumes := map[string]struct{}{}
	for place := range c.Volumes {
		volumes[path.Clean(place)] = struct{}{}
	}
	c.Volumes = volumes
	ports := map[string]struct{}{}
	for port := range c.ExposedPorts {
		if !strings.Contains(port, "/") {
			port += "/tcp"
		}
		ports[port] = struct{}{}
	}
	c.ExposedPorts = ports
	if c.WorkingDir != "" {
		c.WorkingDir = path.Clean(c.WorkingDir)
	}
	if h := c.Healthcheck; h != nil && reflect.DeepEqual(*h, image.Health{}) {
		c.Healthcheck = nil
	}
	return c
}

// merge is what the engine makes, at create, of the user's settings and the
// image's (daemon/commit.go, merge).
func merge(user, img image.Config) image.Config {
	user = normal(user)
	m := image.Config{
		Env: slices.Clone(user.Env), Labels: maps.Clone(img.Labels), ExposedPorts: maps.Clone(img.ExposedPorts), Volumes: maps.Clone(img.Volumes),
		Entrypoint: user.Entrypoint, Cmd: user.Cmd, User: or(user.User, img.User),
		WorkingDir: or(user.WorkingDir, img.WorkingDir), StopSignal: or(user.StopSignal, img.StopSignal), Healthcheck: img.Healthcheck,
	}
	set := variables(user.Env)
	for _, e := range img.Env {
		name, _, _ := strings.Cut(e, "=")
		if _, ok := set[name]; !ok {
			m.Env = append(m.Env, e)
		}
	}
	if m.Labels == nil {
		m.Labels = map[string]string{}
	}
	maps.Copy(m.Labels, user.Labels)
	maps.Copy(m.ExposedPorts, user.ExposedPorts)
	maps.Copy(m.Volumes, user.Volumes)
	if len(user.Entrypoint) == 0 {
		if len(user.Cmd) == 0 {
			m.Cmd = img.Cmd
		}
		if user.Entrypoint == nil {
			m.Entrypoint = img.Entrypoint
		}
	}
	if len(m.Entrypoint) == 1 && m.Entrypoint[0] == "" { // how none at all is asked for
		m.Entrypoint = nil
	}
	if h := user.Healthcheck; h != nil {
		m.Healthcheck = mergeHealth(*h, img.Healthcheck)
	}
	return m
}

func mergeHealth(user image.Health, img *image.Health) *image.Health {
	if img == nil {
		return &user
	}
	if len(user.Test) == 0 {
		user.Test = img.Test
	}
	user.Interval = or(user.Interval, img.Interval)
	user.Timeout = or(user.Timeout, img.Timeout)
	user.StartPeriod = or(user.StartPeriod, img.StartPeriod)
	user.StartInterval = or(user.StartInterval, img.StartInterval)
	user.Retries = or(user.Retries, img.Retries)
	return &user
}

func or[T comparable](a, b T) T {
	var zero T
	if a != zero {
		return a
	}
	return b
}

// changed compares the images part by part; what is the same in the container
// before and after is overridden.
func changed(from, to, before, after map[string]string) []Change {
	names := map[string]bool{}
	for name := range from {
		names[name] = true
	}
	for name := range to {
		names[name] = true
	}
	out := []Change{}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		was, had := from[name]
		is, has := to[name]
		if had == has && was == is {
			continue
		}
		kind := Changed
		switch {
		case !had:
			kind = Added
		case !has:
			kind = Removed
		}
		ran, runs := before[name]
		then, stays := after[name]
		out = append(out, Change{Name: name, Kind: kind, From: was, To: is, Overridden: runs == stays && ran == then})
	}
	return out
}

func text(from, to string, stays bool) *TextChange {
	if from == to {
		return nil
	}
	return &TextChange{From: from, To: to, Overridden: stays}
}

func list(from, to []string, stays bool) *ListChange {
	if slices.Equal(from, to) {
		return nil
	}
	return &ListChange{From: from, To: to, Overridden: stays}
}

func health(h *image.Health) *HealthCheck {
	if h == nil {
		return nil
	}
	told := func(d time.Duration) string {
		if d == 0 {
			return ""
		}
		return d.String()
	}
	return &HealthCheck{Test: h.Test, Interval: told(h.Interval), Timeout: told(h.Timeout), StartPeriod: told(h.StartPeriod), Retries: h.Retries}
}

// variables gives an environment by name; of several with one name the last
// counts, as for the program that gets them.
func variables(env []string) map[string]string {
	all := map[string]string{}
	for _, e := range env {
		name, value, _ := strings.Cut(e, "=")
		all[name] = value
	}
	return all
}

func texts(set map[string]struct{}) map[string]string {
	all := map[string]string{}
	for name := range set {
		all[name] = ""
	}
	return all
}
