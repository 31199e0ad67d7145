package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// accountParts are those of an entry of registry.auth, as in the file and in the
// environment.
func accountParts() []accountPart {
	return []accountPart{{"host", "HOST"}, {"username", "USERNAME"}, {"password", "PASSWORD"}, {"passwordFile", "PASSWORD_FILE"}}
}

type accountPart struct{ name, env string }

// authFields are the endings of the variables of one entry of registry.auth.
func authFields() []string {
	var names []string
	for _, part := range accountParts() {
		names = append(names, part.env)
	}
	return names
}

// accounts reads registry.auth: a sequence in the file, to which env.go has
// added what the environment says.
func accounts(in input) ([]RegistryAuthConfig, []fault) {
	if in.node == nil {
		return nil, nil
	}
	if in.node.Kind != yaml.SequenceNode {
		return nil, []fault{{hidden: true, what: "a list is wanted", allowed: "entries of host, username and password, each after '- '"}}
	}
	var list []RegistryAuthConfig
	var faults []fault
	for i, item := range in.node.Content {
		account, wrongs := accountOf(resolve(item))
		faults = append(faults, under(strconv.Itoa(i), wrongs)...)
		list = append(list, account)
	}
	return list, faults
}

func accountOf(node *yaml.Node) (RegistryAuthConfig, []fault) {
	var names []string
	for _, part := range accountParts() {
		names = append(names, part.name)
	}
	parts, faults := textParts(node, names)
	if len(faults) > 0 {
		return RegistryAuthConfig{}, faults
	}
	account := RegistryAuthConfig{
		Host: strings.TrimSpace(parts["host"]), Username: strings.TrimSpace(parts["username"]),
		Password: Secret(parts["password"]), PasswordFile: strings.TrimSpace(parts["passwordFile"]),
	}
	for _, name := range []string{"host", "username"} {
		if strings.TrimSpace(parts[name]) == "" {
			faults = append(faults, fault{hidden: true, what: name + " is missing", allowed: "host, username and one of password and passwordFile"})
		}
	}
	password, wrongs := oneSecret(account.Password, account.PasswordFile)
	if password == "" && len(wrongs) == 0 {
		wrongs = []fault{{hidden: true, what: "password is missing", allowed: "password or passwordFile"}}
	}
	account.Password = password
	return account, append(faults, wrongs...)
}

// textParts reads a section whose values are all texts and whose names are known.
func textParts(node *yaml.Node, known []string) (map[string]string, []fault) {
	entries, faults := mapping(node)
	parts := map[string]string{}
	for _, e := range entries {
		switch {
		case !slices.Contains(known, e.name):
			faults = append(faults, under(e.name, unknownPart(e.name, known))...)
		case e.value.Kind != yaml.ScalarNode:
			faults = append(faults, fault{path: []string{e.name}, hidden: true, what: "a text is wanted"})
		default:
			parts[e.name] = e.value.Value
		}
	}
	return parts, faults
}

func unknownPart(name string, known []string) []fault {
	return []fault{{hidden: true, what: "unknown key" + didYouMean(name, known), allowed: strings.Join(known, ", ")}}
}

// oneSecret is the secret that was given itself or as the name of a file.
// Its faults say which of the two they are about, relative to their section.
func oneSecret(given Secret, file string) (Secret, []fault) {
	if file == "" {
		return given, nil
	}
	path := []string{"passwordFile"}
	if given != "" {
		return "", []fault{{path: path, value: file, what: "password and passwordFile contradict each other", allowed: "one of them"}}
	}
	content, err := readSecret(file)
	if err != nil {
		return "", []fault{{path: path, value: file, what: err.Error(), allowed: "a file that can be read and holds the password"}}
	}
	return content, nil
}

// maxSecret is more than any password, in bytes: /dev/zero must end.
const maxSecret = 64 << 10

// readSecret is the content of a file without the line ends after it.
func readSecret(path string) (Secret, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", plainPathError(err)
	}
	defer f.Close() //nolint:errcheck // only read
	content, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	switch {
	case err != nil:
		return "", plainPathError(err)
	case len(content) > maxSecret:
		return "", fmt.Errorf("the file is larger than %d KiB", maxSecret>>10)
	}
	secret := strings.TrimRight(string(content), "\r\n")
	if secret == "" {
		return "", errors.New("the file is empty")
	}
	return Secret(secret), nil
}

// plainPathError leaves the path out: the problem names it already.
func plainPathError(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return fmt.Errorf("the file can't be read: %w", path.Err)
	}
	return err
}

// accountHosts checks the hosts: their form, and that each is there once.
func accountHosts(list []RegistryAuthConfig) []fault {
	var faults []fault
	for i, account := range list {
		what, allowed := registryHost(account.Host)
		if what == "" && slices.ContainsFunc(list[:i], func(a RegistryAuthConfig) bool { return strings.EqualFold(a.Host, account.Host) }) {
			what, allowed = "there is an entry for this host already", "one entry for a host"
		}
		if what != "" {
			f := fault{path: []string{strconv.Itoa(i), "host"}, value: account.Host, what: what, allowed: allowed}
			faults = append(faults, f)
		}
	}
	return faults
}
