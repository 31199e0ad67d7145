package dockercli

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// The hash is of the service's configuration. Where that says `network_mode:
// service:x` (or ipc, pid, volumes_from), Compose puts the id of x's container
// in before it hashes, and so recreates a container whose x has another id by
// now. ADR 0007 tells more.

// hashed is what a hash depends on and that differs between the old container
// and the new one.
type hashed struct {
	host  fields // HostConfig
	image string // reference; empty if that is what the model has
}

// renewComposeHash is for a container that shares something with one that was
// replaced, or that is made from another reference. The hash is
// computed from the model of the project as Compose tells it; it counts only
// if the model gives the old hash as well.
func renewComposeHash(body fields, was, is hashed, model []byte) (warning string) {
	labels := read[map[string]string](body, "Labels")
	old, service := labels[composeHashLabel], labels[composeServiceLabel]
	if old == "" || was.image == is.image && sameSharing(was.host, is.host) {
		return ""
	}
	before, after, err := composeHashes(model, service, was, is)
	if err == nil && before != old {
		err = errors.New("the project's files, or what they are filled in with, aren't those that it was made from")
	}
	if err != nil {
		return fmt.Sprintf("the next `docker compose up` will recreate service %s, as its label %s can't be renewed: %v", service, composeHashLabel, err)
	}
	labels[composeHashLabel] = after
	write(body, "Labels", labels)
	return ""
}

// sharing are the fields of a HostConfig that name other containers, by the
// names of what Compose makes them from.
func sharing() map[string]string {
	return map[string]string{"network_mode": "NetworkMode", "ipc": "IpcMode", "pid": "PidMode", "volumes_from": "VolumesFrom"}
}

func sameSharing(a, b fields) bool {
	for _, name := range sharing() {
		if string(a[name]) != string(b[name]) && !sameJSON(a[name], b[name]) {
			return false
		}
	}
	return true
}

func composeHashes(model []byte, service string, was, is hashed) (before, after string, err error) {
	if len(model) == 0 {
		return "", "", errors.New("the project's files, or docker compose, aren't at hand")
	}
	// Compose shows a dollar sign as two, as in its files.
	model = bytes.ReplaceAll(model, []byte("$$"), []byte("$"))
	var project struct{ Services map[string]json.RawMessage }
	if err := json.Unmarshal(model, &project); err != nil {
		return "", "", fmt.Errorf("read Compose's model: %w", err)
	}
	config, ok := project.Services[service]
	if !ok {
		return "", "", errors.New("the project has no such service now")
	}
	if before, err = composeHash(config, was); err != nil {
		return "", "", err
	}
	after, err = composeHash(config, is)
	return before, after, err
}

// composeHash is ServiceHash of Compose (pkg/compose/hash.go), for a service
// as `docker compose config` shows it: the same encoding, with spaces.
func composeHash(service json.RawMessage, as hashed) (string, error) {
	config, err := membersOf(service)
	if err != nil {
		return "", err
	}
	config = config.without("build", "pull_policy", "scale", "depends_on", "profiles")
	for i, m := range config {
		if m.name == "deploy" {
			deploy, err := membersOf(m.value)
			if err != nil {
				return "", err
			}
			config[i].value = deploy.without("replicas").encode()
		}
		if field, ok := sharing()[m.name]; ok {
			config[i].value = resolveShared(m.value, as.host[field])
		}
		if m.name == "image" && as.image != "" {
			if config[i].value, err = json.Marshal(as.image); err != nil {
				return "", err
			}
		}
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, config.encode()); err != nil {
		return "", err
	}
	sum := sha256.Sum256(compact.Bytes())
	return hex.EncodeToString(sum[:]), nil
}

// resolveShared puts the containers of a HostConfig in the place of the
// services that the project names; containers that it names itself stay.
func resolveShared(shown, host json.RawMessage) json.RawMessage {
	var one string
	if json.Unmarshal(shown, &one) == nil {
		if strings.HasPrefix(one, "service:") {
			return host
		}
		return shown
	}
	var from, containers []string
	if json.Unmarshal(shown, &from) != nil || json.Unmarshal(host, &containers) != nil || len(from) != len(containers) {
		return shown
	}
	for i, v := range from {
		if name, ok := strings.CutPrefix(v, "container:"); ok {
			containers[i], _, _ = strings.Cut(name, ":")
		}
	}
	resolved, err := json.Marshal(containers)
	if err != nil {
		return shown
	}
	return resolved
}

// members is a JSON object in its own order and with its values as written,
// which a hash over it depends on.
type members []member

type member struct {
	name  string
	value json.RawMessage
}

func membersOf(object json.RawMessage) (members, error) {
	d := json.NewDecoder(bytes.NewReader(object))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("read Compose's model: an object is missing")
	}
	var all members
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, fmt.Errorf("read Compose's model: %w", err)
		}
		m := member{}
		m.name, _ = name.(string) // the decoder takes nothing else
		if err := d.Decode(&m.value); err != nil {
			return nil, fmt.Errorf("read Compose's model: %w", err)
		}
		all = append(all, m)
	}
	return all, nil
}

func (m members) without(names ...string) members {
	return slices.DeleteFunc(m, func(one member) bool { return slices.Contains(names, one.name) })
}

func (m members) encode() json.RawMessage {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, one := range m {
		if i > 0 {
			b.WriteByte(',')
		}
		name, _ := json.Marshal(one.name) // a string
		b.Write(name)
		b.WriteByte(':')
		b.Write(one.value)
	}
	b.WriteByte('}')
	return b.Bytes()
}
