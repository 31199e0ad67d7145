package shell

import (
	"os"
	"os/user"
	"slices"
	"strings"
)

// HostOptions say what is run where this program runs.
type HostOptions struct {
	Cmd        []string // none: the shell of the user that runs us
	Dir        string   // empty: the user's home
	Cols, Rows int
	Environ    []string // this program's
}

// allowed are the variables that a host shell gets of our own; what else there
// is holds passwords and tokens.
func allowed(name string) bool {
	return slices.Contains([]string{
		"PATH", "HOME", "LANG", "LANGUAGE", "TZ", "SHELL", "USER", "LOGNAME", "DOCKER_HOST",
	}, name) || strings.HasPrefix(name, "LC_")
}

// hostEnviron is the environment of a host shell.
func hostEnviron(environ []string, mark string) []string {
	env := []string{mark, "TERM=xterm-256color"}
	has := map[string]bool{}
	for _, e := range environ {
		if name, value, _ := strings.Cut(e, "="); allowed(name) && value != "" {
			env, has[name] = append(env, e), true
		}
	}
	if u, err := user.Current(); err == nil {
		for name, value := range map[string]string{"HOME": u.HomeDir, "USER": u.Username, "LOGNAME": u.Username} {
			if !has[name] && value != "" {
				env = append(env, name+"="+value)
			}
		}
	}
	if !has["PATH"] {
		env = append(env, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	}
	return env
}

// hostShell is the shell of the user that runs us, or /bin/sh.
func hostShell(environ []string) (string, error) {
	var candidates []string
	if u, err := user.Current(); err == nil {
		candidates = append(candidates, loginShell(u.Uid))
	}
	for _, e := range environ {
		if shell, ok := strings.CutPrefix(e, "SHELL="); ok {
			candidates = append(candidates, shell)
		}
	}
	for _, path := range append(candidates, "/bin/sh") {
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 && !strings.HasSuffix(path, "nologin") && !strings.HasSuffix(path, "/false") {
			return path, nil
		}
	}
	return "", &Error{Code: CodeNoShell, Message: "There is no shell where Watch Docker runs: its image has none."}
}

// loginShell is what /etc/passwd has; empty if it has none.
func loginShell(uid string) string {
	text, err := os.ReadFile("/etc/passwd")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if parts := strings.Split(strings.TrimSpace(line), ":"); len(parts) == 7 && parts[2] == uid {
			return parts[6]
		}
	}
	return ""
}
