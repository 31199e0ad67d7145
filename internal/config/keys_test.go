package config_test

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/watch-docker/watch-docker/internal/config"
)

const example = "../../config.example.yaml"

// tags are the dotted names of the fields of a struct, nested ones included.
func tags(t reflect.Type, prefix string) []string {
	var names []string
	for f := range fields(t) {
		name := prefix + f.Tag.Get("mapstructure")
		if f.Type.Kind() == reflect.Struct {
			names = append(names, tags(f.Type, name+".")...)
			continue
		}
		names = append(names, name)
	}
	return names
}

func fields(t reflect.Type) func(func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for i := range t.NumField() {
			if f := t.Field(i); f.IsExported() && !yield(f) {
				return
			}
		}
	}
}

func keyNames() []string {
	var names []string
	for _, k := range config.Keys() {
		names = append(names, k.Name)
	}
	return names
}

func TestTheTableAndTheStructHaveTheSameKeys(t *testing.T) {
	want, got := tags(reflect.TypeFor[config.Config](), ""), keyNames()
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestNoVariableIsBoundTwice(t *testing.T) {
	names := config.EnvNames()
	slices.Sort(names)
	if got := len(slices.Compact(slices.Clone(names))); got != len(names) {
		t.Errorf("%d names, %d different ones: %q", len(names), got, names)
	}
}

func TestRestartKeysAreThoseOfTheTable(t *testing.T) {
	keys := config.RestartKeys()
	for _, name := range []string{"server.addr", "server.tls.cert", "docker.host", "user.name", "user.password", "statePath"} {
		if !slices.Contains(keys, name) {
			t.Errorf("%s isn't among them", name)
		}
	}
	if slices.Contains(keys, "logging.level") || slices.Contains(keys, "scan.interval") {
		t.Errorf("more than must be: %q", keys)
	}
}

func TestTheExampleLoadsAndChangesNothing(t *testing.T) {
	cfg, err := config.Load(options(example))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(defaults(), cfg, same()); diff != "" {
		t.Error(diff)
	}
}

// values are the keys of the example with their nodes, sections left out.
func values(node *yaml.Node, prefix string, sections []string) map[string]*yaml.Node {
	found := map[string]*yaml.Node{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		name := prefix + node.Content[i].Value
		if slices.ContainsFunc(sections, func(key string) bool { return strings.HasPrefix(key, name+".") }) {
			for key, value := range values(node.Content[i+1], name+".", sections) {
				found[key] = value
			}
			continue
		}
		found[name] = node.Content[i+1]
	}
	return found
}

func TestTheExampleHasEveryKeyWithItsDefault(t *testing.T) {
	data, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	var root yaml.Node
	if err := yaml.Unmarshal(data, &root); err != nil {
		t.Fatal(err)
	}
	shown := values(root.Content[0], "", keyNames())
	for _, k := range config.Keys() {
		node, there := shown[k.Name]
		delete(shown, k.Name)
		if !there {
			t.Errorf("%s is missing", k.Name)
			continue
		}
		if empty := node.Value == "" && len(node.Content) == 0; empty != (k.Default == "") {
			t.Errorf("%s: shown empty: %v; its default is %q", k.Name, empty, k.Default)
		}
		// TestTheExampleLoadsAndChangesNothing shows that the values are the defaults.
	}
	for name := range shown {
		t.Errorf("there is no key %s", name)
	}
}

func TestTheExampleNamesEveryVariableBesideItsKey(t *testing.T) {
	data, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile(`\b[A-Z][A-Z0-9]*(_[A-Z0-9]+)+\b|\bTZ\b`).FindAllString(string(data), -1)
	for _, name := range named {
		if !slices.Contains(config.EnvNames(), name) {
			t.Errorf("%s isn't bound", name)
		}
	}
	for _, name := range config.EnvNames() {
		if !slices.Contains(named, name) {
			t.Errorf("%s isn't named", name)
		}
	}
	for _, k := range config.Keys() {
		comment := commentAbove(string(data), k)
		for _, name := range k.Env {
			if !strings.Contains(comment, name) {
				t.Errorf("%s isn't named above %s, which has:\n%s", name, k.Name, comment)
			}
		}
		if k.Restart != strings.Contains(comment, "(restart)") {
			t.Errorf("%s: needs a restart: %v, but its comment is:\n%s", k.Name, k.Restart, comment)
		}
	}
}

// commentAbove is the comment above a key: that of the line whose node has it.
func commentAbove(data string, k config.Key) string {
	var root yaml.Node
	if err := yaml.Unmarshal([]byte(data), &root); err != nil {
		return err.Error()
	}
	lines, line := strings.Split(data, "\n"), 0
	node := root.Content[0]
	for part := range strings.SplitSeq(k.Name, ".") {
		for i := 0; i+1 < len(node.Content); i += 2 {
			if node.Content[i].Value == part {
				line, node = node.Content[i].Line, node.Content[i+1]
				break
			}
		}
	}
	first := line - 1
	for first > 0 && strings.HasPrefix(strings.TrimSpace(lines[first-1]), "#") {
		first--
	}
	return strings.Join(lines[first:line-1], "\n")
}
