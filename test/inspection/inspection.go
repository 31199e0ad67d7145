// Package inspection compares what an engine says of two containers: of one
// that was made again, and of its control, which the user's own create makes
// from the same image.
package inspection

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
)

// This file is the whole list of what may differ between a recreated
// container and its control, each with its reason.

// differs are fields of the inspect that are never the same for two containers.
func differs() map[string]string {
	return map[string]string{
		"Id":                                    "each container has its own",
		"Created":                               "time",
		"ResolvConfPath":                        "holds the id",
		"HostnamePath":                          "holds the id",
		"HostsPath":                             "holds the id",
		"LogPath":                               "holds the id",
		"GraphDriver.Data":                      "paths of its own layers",
		"ExecIDs":                               "a health check that is just under way",
		"State.Pid":                             "process id",
		"State.StartedAt":                       "time",
		"State.FinishedAt":                      "time",
		"State.Health":                          "how far the checks have come",
		"NetworkSettings.SandboxID":             "each container has its own",
		"NetworkSettings.SandboxKey":            "holds the sandbox id",
		"NetworkSettings.EndpointID":            "each endpoint has its own",
		"NetworkSettings.Networks.*.EndpointID": "each endpoint has its own",
	}
}

// generated are addresses: made up by the engine unless the case names them.
func generated() []string {
	return []string{
		"NetworkSettings.MacAddress", "NetworkSettings.IPAddress", "NetworkSettings.GlobalIPv6Address",
		"NetworkSettings.Networks.*.MacAddress", "NetworkSettings.Networks.*.IPAddress", "NetworkSettings.Networks.*.GlobalIPv6Address",
		"NetworkSettings.Networks.*.IPAMConfig.IPv4Address", // Swarm's choice is shown there
	}
}

var anonymous = regexp.MustCompile(`[0-9a-f]{64}`)

// Normalise takes out of a raw inspect what may differ; known are the words
// of the create, so that an address that stands there is compared.
func Normalise(in map[string]any, known string) map[string]any {
	b, _ := json.Marshal(in)
	id, _ := in["Id"].(string)
	text := string(b)
	text = strings.ReplaceAll(text, id, "ID")
	text = strings.ReplaceAll(text, `"`+id[:12]+`"`, `"SHORTID"`) // host name, alias and DNS name made from the id
	var all map[string]any
	_ = json.Unmarshal([]byte(text), &all)
	for path := range differs() {
		each(all, strings.Split(path, "."), func(m map[string]any, key string) { delete(m, key) })
	}
	for _, path := range generated() {
		each(all, strings.Split(path, "."), func(m map[string]any, key string) {
			if s, ok := m[key].(string); ok && s != "" && !strings.Contains(known, s) {
				m[key] = "GENERATED"
			}
		})
	}
	chosenPorts(all)
	anonymousVolumes(all)
	return all
}

// chosenPorts takes out the host's ports that the engine chose, by itself or
// from a range: those that the bindings don't name.
func chosenPorts(all map[string]any) {
	var bound struct {
		HostConfig struct {
			PortBindings map[string][]struct{ HostPort string }
		}
	}
	b, _ := json.Marshal(all)
	_ = json.Unmarshal(b, &bound)
	settings, _ := all["NetworkSettings"].(map[string]any)
	ports, _ := settings["Ports"].(map[string]any)
	for port, list := range ports {
		named := map[string]bool{}
		for _, asked := range bound.HostConfig.PortBindings[port] {
			named[asked.HostPort] = true
		}
		list, _ := list.([]any)
		for _, v := range list {
			if m := v.(map[string]any); !named[m["HostPort"].(string)] {
				m["HostPort"] = "CHOSEN"
			}
		}
	}
}

// anonymousVolumes takes out the one difference that is meant: an anonymous
// volume is mounted by its name, and so has a mode.
func anonymousVolumes(all map[string]any) {
	mounts, _ := all["Mounts"].([]any)
	byPlace := map[string]any{}
	for _, v := range mounts {
		m := v.(map[string]any)
		if source, _ := m["Source"].(string); m["Type"] == "volume" && anonymous.MatchString(source) {
			m["Name"], m["Source"], m["Mode"] = "ANONYMOUS", "ANONYMOUS", ""
			// Whether content is copied into a fresh volume; that of the old one is there.
			delete(m, "Propagation")
		}
		if m["Type"] == "image" {
			m["Source"] = "" // the path of its own snapshot
		}
		byPlace[m["Destination"].(string)] = m
	}
	all["Mounts"] = byPlace // the engine's order is that of a Go map
	host, _ := all["HostConfig"].(map[string]any)
	config, _ := all["Config"].(map[string]any)
	if list, ok := config["Env"].([]any); ok {
		// Docker's command line (28) passes -e in the order of a Go map; the
		// order that came of it is kept, but isn't the control's.
		slices.SortFunc(list, func(a, b any) int { return strings.Compare(a.(string), b.(string)) })
	}
	if list, ok := host["Links"].([]any); ok {
		set := map[string]any{}
		for _, l := range list {
			set[l.(string)] = nil
		}
		host["Links"] = set // so is this one
	}
	if list, ok := host["Binds"].([]any); ok {
		set := map[string]any{}
		for _, s := range list {
			set[regexp.MustCompile(`^[0-9a-f]{64}:`).ReplaceAllString(s.(string), "")] = nil
		}
		host["Binds"] = set // Docker's command line shuffles them
	}
	list, _ := host["Mounts"].([]any)
	var kept []any
	for _, v := range list {
		m := v.(map[string]any)
		if source, _ := m["Source"].(string); anonymous.MatchString(source) || source == "" && m["Type"] == "volume" {
			continue // compared by what is mounted in the end
		}
		kept = append(kept, m)
	}
	delete(host, "Mounts")
	if len(kept) > 0 {
		host["Mounts"] = kept
	}
}

// each calls do for every place that a path with * means.
func each(in any, path []string, do func(m map[string]any, key string)) {
	m, ok := in.(map[string]any)
	if !ok {
		return
	}
	switch {
	case len(path) == 1:
		do(m, path[0])
	case path[0] == "*":
		for _, v := range m {
			each(v, path[1:], do)
		}
	default:
		each(m[path[0]], path[1:], do)
	}
}
