// Package composeenv is the environment that `docker compose` is run with. The
// command takes it before everything that a project's files say, also where an
// env file sets the same name; so whoever reads those files must fill them in
// from the same one.
package composeenv

import (
	"maps"
	"slices"
	"strings"
)

// inherited are ours that the command needs to find programs and accounts.
func inherited() []string { return []string{"PATH", "HOME", "DOCKER_CONFIG"} }

// Of is the environment of a command in a folder, of all that a program's own
// environment holds.
func Of(environ map[string]string, dir string) []string {
	var env []string
	for _, name := range inherited() {
		if value, ok := environ[name]; ok {
			env = append(env, name+"="+value)
		}
	}
	fixed := Fixed(dir)
	for _, name := range slices.Sorted(maps.Keys(fixed)) {
		env = append(env, name+"="+fixed[name])
	}
	return env
}

// Fixed are the variables of it that are the same wherever we run: ${PWD} as a
// shell in that folder has it, and that no file comes from Git or a registry.
func Fixed(dir string) map[string]string {
	return map[string]string{
		"PWD":                             dir,
		"COMPOSE_EXPERIMENTAL_GIT_REMOTE": "false",
		"COMPOSE_EXPERIMENTAL_OCI_REMOTE": "false",
	}
}

// IsOurs reports whether a variable would be our own, or the docker command's,
// which sets some for its plugins. No file may be filled in from one: nobody who
// wrote it meant ours, and it can't be known what it will be.
func IsOurs(name string) bool {
	return slices.Contains(inherited(), name) || strings.HasPrefix(name, "DOCKER_CLI_") || strings.HasPrefix(name, "OTEL_")
}
