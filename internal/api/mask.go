package api

import (
	"strings"

	"github.com/watch-docker/watch-docker/internal/secrets"
)

const mask = "***"

// secretive guesses whether a value should not be seen. Hiding one too many
// does no harm.
func secretive(name, value string) bool { return secrets.Is(name, value) }

func maskLabels(labels map[string]string) map[string]string {
	masked := make(map[string]string, len(labels))
	for name, value := range labels {
		if secretive(name, value) {
			value = mask
		}
		masked[name] = value
	}
	return masked
}

// maskArguments hides the values of options: --token=x, and --token x.
func maskArguments(arguments []string) []string {
	masked := make([]string, 0, len(arguments))
	hide := false
	for _, a := range arguments {
		name, value, assigned := strings.Cut(a, "=")
		isOption := strings.HasPrefix(a, "-")
		switch {
		case hide && !isOption:
			a = mask
		case assigned && secretive(strings.TrimLeft(name, "-"), value):
			a = name + "=" + mask
		case secrets.Value(a):
			a = mask
		}
		hide = isOption && !assigned && secrets.Name(strings.TrimLeft(name, "-"))
		masked = append(masked, a)
	}
	return masked
}
