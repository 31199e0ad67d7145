package config

import (
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Variables that aren't simply bound to a key, or need a word of their own.
const (
	envPrefix     = "WATCH_"
	envConfigPath = "CONFIG_PATH"
	envConfigFile = "CONFIG_FILE"
	envTZ         = "TZ"
	authEnv       = "WATCH_REGISTRY_AUTH_"
)

// environment are the variables that are set and not empty.
type environment map[string]string

// newEnvironment reads NAME=value lines as os.Environ gives them.
func newEnvironment(environ []string) environment {
	env := environment{}
	for _, line := range environ {
		if name, value, ok := strings.Cut(line, "="); ok && value != "" {
			env[name] = value
		}
	}
	if zone, ok := env[envTZ]; ok {
		env[envTZ] = zoneOf(zone)
	}
	return env
}

// zoneOf reads TZ as POSIX and Go do: a colon may come first, and the path of
// a zone file stands for the zone that Go has loaded from it as time.Local.
func zoneOf(tz string) string {
	tz = strings.TrimPrefix(tz, ":")
	if tz == "" || filepath.IsAbs(tz) {
		return "Local"
	}
	return tz
}

// inputs are what the environment says, by key. Indexed lists are left to accounts.
func (env environment) inputs(keys []Key) map[string]input {
	found := map[string]input{}
	for _, k := range keys {
		if k.indexed {
			continue
		}
		for _, name := range k.Env {
			if value, ok := env[name]; ok {
				found[k.Name] = input{key: k.Name, text: value, source: name}
				break
			}
		}
	}
	return found
}

var authVariable = regexp.MustCompile(`^` + authEnv + `(0|[1-9][0-9]{0,3})_(` + strings.Join(authFields(), "|") + `)$`)

// accounts adds the entries of WATCH_REGISTRY_AUTH_<n>_… to what the file
// says for registry.auth. An entry replaces those of the file for its host.
func (env environment) accounts(file input) (merged input, found bool, problems []Problem) {
	entries, made := env.accountNodes()
	if len(entries) == 0 || file.node != nil && file.node.Kind != yaml.SequenceNode {
		return file, file.node != nil, nil
	}
	list := &yaml.Node{Kind: yaml.SequenceNode}
	hosts := map[string]bool{}
	for _, entry := range entries {
		hosts[hostOf(entry)] = true
	}
	if file.node != nil {
		for _, item := range file.node.Content {
			if !hosts[hostOf(resolve(item))] {
				list.Content = append(list.Content, item)
			}
		}
	}
	indices := slices.Sorted(maps.Keys(entries))
	for want, index := range indices {
		if index != want {
			problems = append(problems, gap(index, want))
			break
		}
	}
	for _, index := range indices {
		list.Content = append(list.Content, entries[index])
	}
	return input{key: "registry.auth", node: list, source: file.source, made: made}, true, problems
}

func gap(index, missing int) Problem {
	prefix := authEnv + strconv.Itoa(index) + "_*"
	return Problem{Key: "registry.auth", Source: prefix, Message: prefix + " is set, but nothing of " + authEnv +
		strconv.Itoa(missing) + "_*; allowed: 0, 1, 2 and so on without a gap"}
}

// accountNodes are the indexed variables as nodes, so that they are read and
// checked by the same code as the file's entries; and where each came from.
func (env environment) accountNodes() (map[int]*yaml.Node, map[*yaml.Node]string) {
	entries, made := map[int]*yaml.Node{}, map[*yaml.Node]string{}
	for _, name := range slices.Sorted(maps.Keys(env)) {
		match := authVariable.FindStringSubmatch(name)
		if match == nil {
			continue
		}
		index, _ := strconv.Atoi(match[1]) // the expression lets nothing else through
		entry := entries[index]
		if entry == nil {
			entry = &yaml.Node{Kind: yaml.MappingNode}
			entries[index], made[entry] = entry, authEnv+match[1]+"_*"
		}
		value := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: env[name]}
		made[value] = name
		entry.Content = append(entry.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: partOf(match[2])}, value)
	}
	return entries, made
}

func partOf(env string) string {
	for _, part := range accountParts() {
		if part.env == env {
			return part.name
		}
	}
	return env
}

// hostOf is the host of an entry for comparing: host names have no case.
func hostOf(entry *yaml.Node) string {
	if host := child(entry, "host"); host != nil {
		return strings.ToLower(strings.TrimSpace(host.Value))
	}
	return ""
}

// unknown are the variables with our prefix that mean nothing. They are
// nearly always typing errors, and a setting that silently doesn't count is
// worse than a start that fails.
func (env environment) unknown() []Problem {
	known := EnvNames()
	var problems []Problem
	for _, name := range slices.Sorted(maps.Keys(env)) {
		if !strings.HasPrefix(name, envPrefix) || slices.Contains(known, name) ||
			authVariable.MatchString(name) || isServiceLink(name, env[name]) {
			continue
		}
		problems = append(problems, Problem{Key: name, Source: name,
			Message: "there is no such variable" + didYouMean(name, withIndexOf(name, known))})
	}
	return problems
}

var indexedVariable = regexp.MustCompile(`^` + authEnv + `(\d+)_`)

// withIndexOf puts the index that name has into the known names.
func withIndexOf(name string, known []string) []string {
	match := indexedVariable.FindStringSubmatch(name)
	if match == nil {
		return known
	}
	indexed := make([]string, len(known))
	for i, k := range known {
		indexed[i] = strings.Replace(k, authEnv+"0_", match[0], 1)
	}
	return indexed
}

var (
	serviceHost = regexp.MustCompile(`_SERVICE_(HOST|PORT(_\w+)?)$`)
	servicePort = regexp.MustCompile(`_PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?$`)
)

// isServiceLink reports whether Kubernetes made the variable: it tells every
// pod of each service, and one that is called watch-docker (or watch-…) gives
// WATCH_DOCKER_SERVICE_HOST, WATCH_DOCKER_PORT=tcp://… and so on.
func isServiceLink(name, value string) bool {
	if serviceHost.MatchString(name) {
		return true
	}
	match := servicePort.FindStringSubmatch(name)
	return match != nil && (match[1] != "" || strings.Contains(value, "://"))
}
