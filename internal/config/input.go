package config

import (
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// sourceDefault is where a value came from that nobody gave.
const sourceDefault = "default"

// input is what the strongest source says about one key: a node of the file,
// or the text of a variable or a default.
type input struct {
	key  string
	text string
	node *yaml.Node // nil unless it is from the file
	// source is the file's path, the variable's name, or sourceDefault.
	source string
	// made tells where nodes come from that are not the file's.
	made map[*yaml.Node]string
}

// isDefault reports whether nobody gave a value.
func (in input) isDefault() bool { return in.source == sourceDefault }

// scalar is the text of a single value. Whether it is quoted in the file
// makes no difference: 8, "8" and 8 from the environment mean the same.
func (in input) scalar() (string, bool) {
	if in.node == nil {
		return strings.TrimSpace(in.text), true
	}
	if in.node.Kind != yaml.ScalarNode {
		return "", false
	}
	return strings.TrimSpace(in.node.Value), true
}

// given is the value for a message: that of a scalar, else nothing.
func (in input) given() string {
	text, ok := in.scalar()
	if !ok {
		return ""
	}
	if text == "" {
		return `""`
	}
	return text
}

// at is the source of the part of the value that path leads to, as file:line
// or a variable's name.
func (in input) at(path []string) string {
	node, line, source := in.node, 0, in.source
	for i := 0; node != nil; i++ {
		if made := in.made[node]; made != "" {
			line, source = 0, made
		} else if node.Line > 0 {
			line = node.Line
		}
		if i == len(path) {
			break
		}
		node = child(node, path[i])
	}
	if line == 0 {
		return source
	}
	return source + ":" + strconv.Itoa(line)
}

// origin is where the value came from: the distinct sources of a list that was put together of several.
func (in input) origin() string {
	if in.made == nil || in.node == nil {
		return in.at(nil)
	}
	var sources []string
	for i := range in.node.Content {
		source := in.at([]string{strconv.Itoa(i)})
		if len(sources) == 0 || sources[len(sources)-1] != source {
			sources = append(sources, source)
		}
	}
	return strings.Join(sources, ", ")
}

// child is the entry of a mapping, or the item of a sequence, that step names.
func child(node *yaml.Node, step string) *yaml.Node {
	if node.Kind == yaml.SequenceNode {
		if i, err := strconv.Atoi(step); err == nil && i < len(node.Content) {
			return resolve(node.Content[i])
		}
		return nil
	}
	if node.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == step {
			return resolve(node.Content[i+1])
		}
	}
	return nil
}

// resolve follows an alias to what it stands for.
func resolve(node *yaml.Node) *yaml.Node {
	for node.Kind == yaml.AliasNode && node.Alias != nil {
		node = node.Alias
	}
	return node
}

func isNull(node *yaml.Node) bool {
	return node.Kind == yaml.ScalarNode && node.ShortTag() == "!!null"
}

// fault is what is wrong with a value, or with the part of it that path leads to.
type fault struct {
	path    []string // sequence indices and mapping keys
	value   string   // of that part; empty is the value as it was given
	hidden  bool     // show no value: it may be, or hold, a secret
	what    string
	allowed string
}

// wrong is a list of one fault, for the whole value.
func wrong(what, allowed string) []fault { return []fault{{what: what, allowed: allowed}} }

// under moves faults of a part to their place in the whole.
func under(step string, faults []fault) []fault {
	for i := range faults {
		faults[i].path = append([]string{step}, faults[i].path...)
	}
	return faults
}

// problem words a fault for people.
func (k Key) problem(in input, f fault) Problem {
	p := Problem{Key: k.Name + suffix(f.path), Source: in.at(f.path), Message: f.what}
	if f.allowed != "" {
		p.Message = fmt.Sprintf("%s; allowed: %s", f.what, f.allowed)
	}
	switch {
	case f.hidden:
	case k.Secret:
		p.Value = masked
	case f.value != "":
		p.Value = withoutUserInfo(f.value)
	case len(f.path) == 0:
		p.Value = withoutUserInfo(in.given())
	}
	return p
}

// suffix writes a path as it is read: "[1].host".
func suffix(path []string) string {
	var b strings.Builder
	for _, step := range path {
		if _, err := strconv.Atoi(step); err == nil {
			b.WriteString("[" + step + "]")
			continue
		}
		b.WriteString("." + step)
	}
	return b.String()
}
