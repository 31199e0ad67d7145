package inspection

import (
	"fmt"
	"maps"
	"reflect"
	"strings"

	"github.com/moby/moby/api/types/container"

	"github.com/watch-docker/watch-docker/internal/preview"
)

// Difference is one, foretold by a preview or found between two inspects.
type Difference struct{ Field, Name, Kind string }

// Foretold are the changes that a preview says reach the container.
func Foretold(c preview.Changes) map[Difference]string {
	all := map[Difference]string{}
	for field, list := range map[string][]preview.Change{"env": c.Env, "labels": c.Labels, "ports": c.Ports, "volumes": c.Volumes} {
		for _, one := range list {
			if !one.Overridden && !strings.Contains(one.Name, "TOKEN") {
				all[Difference{field, one.Name, string(one.Kind)}] = one.From + " -> " + one.To
			}
		}
	}
	for field, t := range map[string]*preview.TextChange{"user": c.User, "workingDir": c.WorkingDir, "stopSignal": c.StopSignal} {
		if t != nil && !t.Overridden {
			all[Difference{field, "", ""}] = t.From + " -> " + t.To
		}
	}
	for field, l := range map[string]*preview.ListChange{"entrypoint": c.Entrypoint, "cmd": c.Cmd} {
		if l != nil && !l.Overridden {
			all[Difference{field, "", ""}] = fmt.Sprint(l.From, " -> ", l.To)
		}
	}
	if h := c.Healthcheck; h != nil && !h.Overridden {
		all[Difference{"healthcheck", "", ""}] = "changed"
	}
	return all
}

// Happened are those between two inspects, but for what a preview masks.
func Happened(a, b container.InspectResponse) map[Difference]string {
	all := map[Difference]string{}
	compare := func(field string, from, to map[string]string) {
		for name := range from {
			if _, has := to[name]; !has {
				all[Difference{field, name, "removed"}] = from[name] + " -> "
			}
		}
		for name, is := range to {
			switch was, had := from[name]; {
			case !had:
				all[Difference{field, name, "added"}] = " -> " + is
			case was != is:
				all[Difference{field, name, "changed"}] = was + " -> " + is
			}
		}
	}
	env := func(c container.InspectResponse) map[string]string {
		m := map[string]string{}
		for _, e := range c.Config.Env {
			name, value, _ := strings.Cut(e, "=")
			m[name] = value
		}
		maps.DeleteFunc(m, func(name, _ string) bool { return strings.Contains(name, "TOKEN") })
		return m
	}
	ports := func(c container.InspectResponse) map[string]string {
		m := map[string]string{}
		for p := range c.Config.ExposedPorts {
			m[p.String()] = ""
		}
		return m
	}
	mounts := func(c container.InspectResponse) map[string]string {
		m := map[string]string{}
		for _, p := range c.Mounts {
			m[p.Destination] = ""
		}
		return m
	}
	compare("env", env(a), env(b))
	compare("labels", a.Config.Labels, b.Config.Labels)
	compare("ports", ports(a), ports(b))
	compare("volumes", mounts(a), mounts(b))
	for field, t := range map[string][2]string{
		"user": {a.Config.User, b.Config.User}, "workingDir": {a.Config.WorkingDir, b.Config.WorkingDir}, "stopSignal": {a.Config.StopSignal, b.Config.StopSignal},
		"entrypoint": {fmt.Sprint(a.Config.Entrypoint), fmt.Sprint(b.Config.Entrypoint)},
		"cmd":        {fmt.Sprint(a.Config.Cmd), fmt.Sprint(b.Config.Cmd)},
	} {
		if t[0] != t[1] {
			all[Difference{field, "", ""}] = t[0] + " -> " + t[1]
		}
	}
	if !reflect.DeepEqual(a.Config.Healthcheck, b.Config.Healthcheck) {
		all[Difference{"healthcheck", "", ""}] = "changed"
	}
	return all
}
