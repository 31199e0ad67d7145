package api

import (
	"regexp"
	"slices"
	"strings"
)

const mask = "***"

// secretWords betray a secret anywhere in a name; secretParts only as a whole
// part of one: KEY does in SSH_KEY, but not in KEYBOARD_LAYOUT.
func secretWords() []string {
	return []string{"password", "passwd", "passphrase", "secret", "token", "credential", "apikey", "privatekey", "accesskey", "basicauth", "dockerconfig", "htpasswd"}
}

func secretParts() []string {
	return []string{"pass", "pw", "pwd", "key", "auth", "dsn", "salt", "pin", "otp", "cookie", "jwt", "webhook"}
}

// A value betrays itself: a URL with a password, a PEM block, a JWT, a
// crypt(3) hash.
var secretValue = regexp.MustCompile(`://[^/\s:@]*:[^/\s@]+@|-----BEGIN [A-Z ]*PRIVATE KEY|^eyJ[\w-]{8,}\.[\w-]+\.|\$(2[aby]|apr1|argon2id?|5|6)\$`)

// secretive guesses whether a value should not be seen. Hiding one too many
// does no harm.
func secretive(name, value string) bool {
	if value == "" {
		return false
	}
	return secretName(name) || secretValue.MatchString(value)
}

func secretName(name string) bool {
	name = strings.ToLower(name)
	if strings.HasSuffix(name, "_file") { // where a secret is, not what it is
		return false
	}
	joined := strings.NewReplacer("_", "", "-", "", ".", "").Replace(name)
	if slices.ContainsFunc(secretWords(), func(w string) bool { return strings.Contains(joined, w) }) {
		return true
	}
	parts := strings.FieldsFunc(name, func(r rune) bool { return strings.ContainsRune("_-.", r) })
	return slices.ContainsFunc(parts, func(p string) bool { return slices.Contains(secretParts(), p) })
}

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
		case secretValue.MatchString(a):
			a = mask
		}
		hide = isOption && !assigned && secretName(strings.TrimLeft(name, "-"))
		masked = append(masked, a)
	}
	return masked
}
