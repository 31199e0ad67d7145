package config

import (
	"errors"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
)

const (
	fileName     = "config.yaml"
	keyStatePath = "statePath"
)

// findFile is the file to read, "" for none. One that was named must be there.
func findFile(opts Options, env environment) (string, *Problem) {
	if opts.File != "" {
		return named(opts.File, "-config")
	}
	if file := env[envConfigFile]; file != "" {
		if !filepath.IsAbs(file) {
			file = filepath.Join(env[envConfigPath], file)
		}
		return named(file, envConfigFile)
	}
	for _, path := range candidates(opts, env) {
		// Anything but its absence is for the reader to report.
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			return path, nil
		}
	}
	return "", nil
}

func candidates(opts Options, env environment) []string {
	paths := opts.Search
	if paths == nil {
		paths = []string{fileName, "/config/" + fileName, "/etc/watch-docker/" + fileName}
	}
	if folder := env[envConfigPath]; folder != "" {
		paths = append([]string{filepath.Join(folder, fileName)}, paths...)
	}
	return paths
}

func named(path, source string) (string, *Problem) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return "", &Problem{Key: "configuration file", Value: path, Source: source,
			Message: "there is no such file; allowed: a file that exists, or leave it out to use the defaults and the environment"}
	}
	return path, nil
}

// defaultStatePath is CONFIG_PATH, else the user's own folder for state, and
// where it came from. A file's statePath goes before both.
func defaultStatePath(env environment) (path, source string) {
	if path := env[envConfigPath]; path != "" {
		return path, envConfigPath
	}
	return filepath.Join(stateHome(env), "watch-docker"), sourceDefault
}

func stateHome(env environment) string {
	switch runtime.GOOS {
	case "windows":
		if folder := env["LOCALAPPDATA"]; folder != "" {
			return folder
		}
		return env["PROGRAMDATA"]
	case "darwin":
		if home := homeFolder(env); home != "" {
			return filepath.Join(home, "Library", "Application Support")
		}
	default:
		// A relative one is to be ignored (XDG base directory specification).
		if folder := env["XDG_STATE_HOME"]; filepath.IsAbs(folder) {
			return folder
		}
		if home := homeFolder(env); home != "" {
			return filepath.Join(home, ".local", "state")
		}
	}
	return "/var/lib" // a service without a home
}

// homeFolder doesn't count / as a home: that is what accounts without one have.
func homeFolder(env environment) string {
	home := env["HOME"]
	if home == "" {
		if u, err := user.Current(); err == nil {
			home = u.HomeDir
		}
	}
	if home == "/" || !filepath.IsAbs(home) {
		return ""
	}
	return home
}
