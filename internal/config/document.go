package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxFile bounds the file, in bytes; a configuration is a few kilobytes.
const maxFile = 1 << 20

// document is what a file says: a node for each key that has a value, with
// names as they are written. It is read without viper, which lower-cases the
// names of maps and loses the lines.
type document struct {
	path     string
	blank    bool     // the file has nothing in it, not even a comment
	names    []string // of all keys
	nodes    map[string]*yaml.Node
	problems []Problem
}

// readDocument reads and walks a file. Problems are in the document; one that
// can't be read at all has a single problem.
func readDocument(path string, keys []Key) *document {
	d := &document{path: path, nodes: map[string]*yaml.Node{}}
	for _, k := range keys {
		d.names = append(d.names, k.Name)
	}
	data, err := readCapped(path)
	if err != nil {
		d.report("configuration file", path, 0, err.Error())
		return d
	}
	d.blank = len(bytes.TrimSpace(data)) == 0
	d.parse(data)
	return d
}

func readCapped(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, plainPathError(err)
	}
	defer f.Close() //nolint:errcheck // only read
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return nil, errors.New("this is a folder; the engine makes one where the file of a bind mount is missing")
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, plainPathError(err)
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("the file is larger than %d MiB", maxFile>>20)
	}
	return data, nil
}

func (d *document) parse(data []byte) {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var root, second yaml.Node
	err := decoder.Decode(&root)
	if err == nil {
		if err = decoder.Decode(&second); err == nil {
			d.report("configuration file", "", second.Line, "there is a second document after ---; allowed: one")
			return
		}
	}
	if !errors.Is(err, io.EOF) {
		d.reportSyntax(err)
		return
	}
	if len(root.Content) == 0 || isNull(root.Content[0]) {
		return
	}
	top := resolve(root.Content[0])
	if top.Kind != yaml.MappingNode {
		d.report("configuration file", "", top.Line, "sections are wanted; allowed: "+strings.Join(d.below(""), ", "))
		return
	}
	d.walk(top, "")
}

// walk takes the values of one section. Sections are as deep as known names
// are, so that a document that contains itself ends as well.
func (d *document) walk(section *yaml.Node, prefix string) {
	seen := map[string]int{}
	for i := 0; i+1 < len(section.Content); i += 2 {
		key, value := section.Content[i], resolve(section.Content[i+1])
		name := prefix + key.Value
		if line, twice := seen[key.Value]; twice {
			d.report(name, "", key.Line, "is in line "+strconv.Itoa(line)+" already; allowed: once")
			continue
		}
		seen[key.Value] = key.Line
		d.take(name, key, value)
	}
}

func (d *document) take(name string, key, value *yaml.Node) {
	dotted := strings.Contains(key.Value, ".")
	switch {
	case key.Kind != yaml.ScalarNode || key.Value == "":
		d.report(name, "", key.Line, "a key must be a plain word")
	case !dotted && slices.Contains(d.names, name):
		if !isNull(value) {
			d.nodes[name] = value
		}
	case !dotted && len(d.below(name+".")) > 0:
		d.section(name, key, value)
	case dotted && slices.Contains(d.names, name):
		at := strings.LastIndexByte(name, '.')
		d.report(name, "", key.Line, "dots don't work here; allowed: "+name[at+1:]+" in the section "+name[:at])
	default:
		d.report(name, "", key.Line, "unknown key"+didYouMean(name, d.names))
	}
}

func (d *document) section(name string, key, value *yaml.Node) {
	switch {
	case value.Kind == yaml.MappingNode:
		d.walk(value, name+".")
	case !isNull(value):
		d.report(name, "", key.Line, "a section is wanted; allowed: "+strings.Join(d.below(name+"."), ", "))
	}
}

// below are the names of the keys and sections directly under a prefix.
func (d *document) below(prefix string) []string {
	var names []string
	for _, name := range d.names {
		if rest, ok := strings.CutPrefix(name, prefix); ok {
			first, _, _ := strings.Cut(rest, ".")
			if !slices.Contains(names, first) {
				names = append(names, first)
			}
		}
	}
	return names
}

func (d *document) report(key, value string, line int, message string) {
	source := d.path
	if line > 0 {
		source += ":" + strconv.Itoa(line)
	}
	d.problems = append(d.problems, Problem{Key: key, Value: value, Source: source, Message: message})
}

var (
	yamlLine   = regexp.MustCompile(`line (\d+): `)
	yamlAnchor = regexp.MustCompile(`unknown anchor '.*' referenced`)
)

// reportSyntax words the parser's error. What it quotes from the file may be
// a password that begins with an asterisk, so it isn't repeated.
func (d *document) reportSyntax(err error) {
	message := oneLine(strings.TrimPrefix(err.Error(), "yaml: "))
	line := 0
	if match := yamlLine.FindStringSubmatch(message); match != nil {
		line, _ = strconv.Atoi(match[1]) // digits only
		message = strings.Replace(message, match[0], "", 1)
	}
	message = yamlAnchor.ReplaceAllString(message, "a value that begins with * must be in quotes")
	d.report("configuration file", "", line, "not YAML: "+message)
}

// inputs are what the file says, by key.
func (d *document) inputs() map[string]input {
	found := map[string]input{}
	for name, node := range d.nodes {
		found[name] = input{key: name, node: node, source: d.path}
	}
	return found
}
