package dockercli

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	"github.com/moby/moby/client"
)

// Masked stands where a secret was.
const Masked = "******"

// Detail is the engine's whole inspect of a container, with the values of
// variables that look like secrets masked unless reveal is set: one request.
func (c *Client) Detail(ctx context.Context, id string, reveal bool) (json.RawMessage, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	res, err := c.sdk().ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	if err != nil {
		return nil, c.wrap("inspect container "+short(id), err)
	}
	if reveal {
		return res.Raw, nil
	}
	masked, err := maskDetail(res.Raw)
	if err != nil {
		return nil, fmt.Errorf("inspect container %s: %w", short(id), err)
	}
	return masked, nil
}

func maskDetail(raw json.RawMessage) (json.RawMessage, error) {
	var whole fields
	if err := json.Unmarshal(raw, &whole); err != nil {
		return nil, err
	}
	config := read[fields](whole, "Config")
	if config == nil {
		return raw, nil
	}
	env := read[[]string](config, "Env")
	for i, e := range env {
		env[i] = maskVariable(e)
	}
	write(config, "Env", env)
	write(whole, "Config", config)
	return json.Marshal(whole)
}

// maskVariable hides the value of NAME=value if the name looks like a
// secret's, and a password within a URL whatever the name.
func maskVariable(entry string) string {
	name, value, ok := strings.Cut(entry, "=")
	if !ok || value == "" {
		return entry
	}
	if secretName(name) {
		return name + "=" + Masked
	}
	if u, err := url.Parse(value); err == nil && u.User != nil {
		if _, has := u.User.Password(); has {
			return name + "=" + Masked
		}
	}
	return entry
}

// secretName errs on the side of hiding. A file's path isn't secret:
// POSTGRES_PASSWORD_FILE.
func secretName(name string) bool {
	name = strings.ToUpper(name)
	if strings.HasSuffix(name, "_FILE") || strings.HasSuffix(name, "_PATH") {
		return false
	}
	for _, word := range []string{"PASS", "PWD", "SECRET", "TOKEN", "KEY", "CREDENTIAL", "AUTH", "PRIVATE", "SALT", "DSN", "COOKIE"} {
		if strings.Contains(name, word) && name != "PWD" {
			return true
		}
	}
	return false
}
