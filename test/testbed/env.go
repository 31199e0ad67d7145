package testbed

import (
	"fmt"
	"os"
	"strings"
)

// Env says how to reach everything in the bed, as lines NAME=value: for a
// shell (`set -a; . FILE`), or for a program under test. The registries'
// credentials are there twice: TESTBED_… for people, WATCH_REGISTRY_AUTH_…
// for Watch Docker itself.
func (b *Bed) Env() []string {
	env := []string{"TESTBED_ID=" + b.id, "TESTBED_CA_FILE=" + b.CAFile()}
	if e, ok := b.HasEngine(); ok {
		env = append(env, "DOCKER_HOST="+e.Host())
	}
	logins := 0
	for _, r := range b.Registries() {
		name := "TESTBED_" + strings.ToUpper(strings.ReplaceAll(string(r.kind), "-", "_"))
		env = append(env, name+"_HOST="+r.Host())
		if r.tokens == nil {
			continue
		}
		auth := fmt.Sprintf("WATCH_REGISTRY_AUTH_%d", logins)
		logins++
		env = append(env,
			name+"_USERNAME="+r.Username(), name+"_PASSWORD="+r.Password(),
			auth+"_HOST="+r.Host(), auth+"_USERNAME="+r.Username(), auth+"_PASSWORD="+r.Password())
	}
	return env
}

// WriteEnv writes Env to a file that only this user can read.
func (b *Bed) WriteEnv(path string) error {
	if err := os.WriteFile(path, []byte(strings.Join(b.Env(), "\n")+"\n"), 0o600); err != nil {
		return fmt.Errorf("write environment file: %w", err)
	}
	return nil
}
