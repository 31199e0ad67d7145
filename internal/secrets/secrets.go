// Package secrets guesses which names and values are secrets. Hiding one too
// many does no harm.
package secrets

import (
	"regexp"
	"slices"
	"strings"
)

// words betray a secret anywhere in a name; parts only as a whole part of one:
// KEY does in SSH_KEY, but not in KEYBOARD_LAYOUT.
func words() []string {
	return []string{"password", "passwd", "passphrase", "secret", "token", "credential", "apikey", "privatekey", "accesskey", "basicauth", "dockerconfig", "htpasswd"}
}

func parts() []string {
	return []string{"pass", "pw", "pwd", "key", "auth", "dsn", "salt", "pin", "otp", "cookie", "jwt", "webhook"}
}

// A value betrays itself: a URL with a password, a PEM block, a JWT, a
// crypt(3) hash.
var secretValue = regexp.MustCompile(`://[^/\s:@]*:[^/\s@]+@|-----BEGIN [A-Z ]*PRIVATE KEY|^eyJ[\w-]{8,}\.[\w-]+\.|\$(2[aby]|apr1|argon2id?|5|6)\$`)

// Is guesses whether a value should not be seen.
func Is(name, value string) bool {
	return value != "" && (Name(name) || Value(value))
}

// Value guesses it from the value alone.
func Value(value string) bool { return secretValue.MatchString(value) }

// Find is where in a text such a value begins, or -1.
func Find(text string) int {
	at := secretValue.FindStringIndex(text)
	if at == nil {
		return -1
	}
	return at[0]
}

// Replace puts something in place of each such value in a text.
func Replace(text, with string) string { return secretValue.ReplaceAllString(text, with) }

// Name guesses it from the name alone.
func Name(name string) bool {
	name = strings.ToLower(name)
	if strings.HasSuffix(name, "_file") { // where a secret is, not what it is
		return false
	}
	joined := strings.NewReplacer("_", "", "-", "", ".", "").Replace(name)
	if slices.ContainsFunc(words(), func(w string) bool { return strings.Contains(joined, w) }) {
		return true
	}
	split := strings.FieldsFunc(name, func(r rune) bool { return strings.ContainsRune("_-.", r) })
	return slices.ContainsFunc(split, func(p string) bool { return slices.Contains(parts(), p) })
}
