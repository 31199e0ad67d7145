package composecli

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	folderPrefix = "watch-docker-compose-"
	// folderAge is when a folder's owner has surely gone without removing it.
	folderAge  = 24 * time.Hour
	configFile = "config.json"
	dockerHub  = "https://index.docker.io/v1/" // Docker Hub's name in config.json
)

// userConfig is Docker's configuration folder, as Docker finds it; empty if
// there can't be any.
func userConfig(environ map[string]string) string {
	dir := environ["DOCKER_CONFIG"]
	if dir == "" && environ["HOME"] != "" {
		dir = filepath.Join(environ["HOME"], ".docker")
	}
	if dir == "" {
		return ""
	}
	if abs, err := filepath.Abs(dir); err == nil {
		return abs
	}
	return dir
}

// workFolder is what a running command has for itself.
type workFolder struct {
	config string // for docker's --config
	empty  string // to be in, where no .env is
	remove func() error
}

// makeFolder makes one: the user's Docker configuration with our accounts in
// it, in a folder that nobody else can look into. A file holds the passwords
// because command lines and environments can be seen, and the latter would find
// its way into Compose files.
//
// The warning is a config.json that can't be read; the command goes on without.
func (c *CLI) makeFolder() (w workFolder, warning, err error) {
	parent := cmp.Or(c.folder, os.TempDir())
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return w, nil, fmt.Errorf("make a folder for docker compose: %w", err)
	}
	sweep(parent)
	dir, err := os.MkdirTemp(parent, folderPrefix)
	if err != nil {
		return w, nil, fmt.Errorf("make a folder for docker compose: %w", err)
	}
	w = workFolder{config: filepath.Join(dir, "config"), empty: filepath.Join(dir, "empty"), remove: func() error { return os.RemoveAll(dir) }}
	config, warning := c.mergedConfig()
	err = errors.Join(os.Mkdir(w.config, 0o700), os.Mkdir(w.empty, 0o700))
	if err == nil {
		err = errors.Join(c.linkConfig(w.config), os.WriteFile(filepath.Join(w.config, configFile), config, 0o600))
	}
	if err != nil {
		return w, nil, fmt.Errorf("make a folder for docker compose: %w", errors.Join(err, w.remove()))
	}
	return w, warning, nil
}

// sweep removes what killed programs have left.
func sweep(parent string) {
	entries, _ := os.ReadDir(parent) // it is tried again next time
	for _, entry := range entries {
		info, err := entry.Info()
		if err == nil && info.IsDir() && strings.HasPrefix(entry.Name(), folderPrefix) && time.Since(info.ModTime()) > folderAge {
			_ = os.RemoveAll(filepath.Join(parent, entry.Name())) // somebody else's can't be removed
		}
	}
}

// linkConfig links all that the user's folder holds besides config.json:
// plugins, builders, trust.
func (c *CLI) linkConfig(into string) error {
	if c.userConfig == "" {
		return nil
	}
	entries, err := os.ReadDir(c.userConfig)
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) {
		return err
	}
	var errs []error
	for _, entry := range entries {
		if entry.Name() != configFile {
			errs = append(errs, os.Symlink(filepath.Join(c.userConfig, entry.Name()), filepath.Join(into, entry.Name())))
		}
	}
	return errors.Join(errs...)
}

// mergedConfig is the user's config.json with our accounts, and without the
// choice of an engine, which isn't the user's to make here.
func (c *CLI) mergedConfig() (content []byte, warning error) {
	config, warning := c.readConfig()
	delete(config, "currentContext")
	auths, helpers := section(config, "auths"), section(config, "credHelpers")
	for _, a := range c.accounts() {
		host := configHost(a.Host)
		auths[host] = map[string]string{"auth": base64.StdEncoding.EncodeToString([]byte(a.Username + ":" + a.Password))}
		helpers[host] = "" // what is written here counts, whatever credsStore says
	}
	merged := map[string]any{}
	for name, value := range config {
		merged[name] = value
	}
	merged["auths"], merged["credHelpers"] = auths, helpers
	content, err := json.Marshal(merged)
	return content, errors.Join(warning, err)
}

func (c *CLI) readConfig() (map[string]json.RawMessage, error) {
	if c.userConfig == "" {
		return nil, nil
	}
	file := filepath.Join(c.userConfig, configFile)
	content, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var config map[string]json.RawMessage
	if err == nil {
		err = json.Unmarshal(content, &config)
	}
	if err != nil {
		return nil, fmt.Errorf("%s can't be read, so its accounts are not used: %w", file, err)
	}
	return config, nil
}

func section(config map[string]json.RawMessage, name string) map[string]any {
	var s map[string]any
	if json.Unmarshal(config[name], &s) != nil || s == nil {
		return map[string]any{}
	}
	return s
}

// configHost is a registry's name in config.json.
func configHost(host string) string {
	host = strings.TrimPrefix(strings.TrimPrefix(strings.ToLower(strings.TrimSpace(host)), "https://"), "http://")
	host, _, _ = strings.Cut(host, "/")
	switch host {
	case "docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com":
		return dockerHub
	}
	return host
}
