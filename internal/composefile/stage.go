package composefile

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v3"
)

// What is read is handed to compose-go with its variables filled in and its
// paths to other files set to copies: a stage, on which only what was looked
// at exists. Without includes and extends of other files no copy is needed.
// The stage's folders are the root's, so that relative paths stay what they
// are.

// stage is where compose-go finds files.
type stage struct {
	root string // of the root's files; empty: there are no copies
	real string // the root
}

// prepare writes the copies.
func (c *checker) prepare() (*stage, error) {
	s := &stage{real: c.src.Root}
	if c.nested == 0 {
		return s, nil
	}
	dir, err := os.MkdirTemp(c.src.Temp, "composefile-")
	if err != nil {
		return nil, fmt.Errorf("copy what %s includes: %w", c.src.Dir, err)
	}
	s.root = dir
	main := map[*file]bool{}
	for _, f := range c.files {
		main[f] = true
	}
	for _, f := range c.all {
		if main[f] {
			continue
		}
		path := s.copyOf(f)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return s, fmt.Errorf("copy what %s includes: %w", c.src.Dir, err)
		}
		if err := os.WriteFile(path, s.text(f), 0o600); err != nil {
			return s, fmt.Errorf("copy what %s includes: %w", c.src.Dir, err)
		}
	}
	return s, nil
}

func (s *stage) close() {
	if s != nil && s.root != "" {
		_ = os.RemoveAll(s.root) // what is left goes with the next start
	}
}

// on is a folder of the root as it is on the stage, and off the other way.
func (s *stage) on(path string) string {
	if rel, err := filepath.Rel(s.real, path); s.root != "" && err == nil {
		return filepath.Join(s.root, rel)
	}
	return path
}

func (s *stage) off(path string) string {
	if s.root == "" || !under(s.root, path) {
		return path
	}
	rel, _ := filepath.Rel(s.root, path)
	return filepath.Join(s.real, rel)
}

func (s *stage) copyOf(f *file) string {
	return filepath.Join(s.on(filepath.Dir(f.path)), "."+strconv.Itoa(f.number)+".yaml")
}

// configs are the command line's files.
func (s *stage) configs(files []*file) []types.ConfigFile {
	var list []types.ConfigFile
	for _, f := range files {
		list = append(list, types.ConfigFile{Filename: s.on(f.path), Content: s.text(f)})
	}
	return list
}

// text writes a file anew, with nothing in it to be filled in.
func (s *stage) text(f *file) []byte {
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	for _, doc := range f.docs {
		top := s.yaml(doc)
		for i := 0; i < len(top.Content); i += 2 {
			switch top.Content[i].Value {
			case "version": // it says nothing, and compose-go would complain on the process's error output
				top.Content[i].Value = "x-version"
			case "include":
				top.Content[i+1] = s.includes(doc.items[i/2])
			}
		}
		_ = encoder.Encode(top)
	}
	_ = encoder.Close()
	return out.Bytes()
}

// includes are the entries as they were resolved.
func (s *stage) includes(list *node) *yaml.Node {
	out := &yaml.Node{Kind: yaml.SequenceNode}
	for _, entry := range list.items {
		files, _ := entry.value.([]*file)
		if len(files) == 0 {
			continue
		}
		paths := &yaml.Node{Kind: yaml.SequenceNode}
		for _, f := range files {
			paths.Content = append(paths.Content, quoted(s.copyOf(f)))
		}
		out.Content = append(out.Content, &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{
			quoted("path"), paths,
			quoted("project_directory"), quoted(s.on(files[0].dir)),
			quoted("env_file"), quoted("/dev/null"), // variables are filled in already
		}})
	}
	return out
}

// yaml is a value as it is written.
func (s *stage) yaml(n *node) *yaml.Node {
	out := &yaml.Node{Kind: n.kind, Tag: n.tag}
	switch n.kind {
	case yaml.MappingNode:
		for i, item := range n.items {
			out.Content = append(out.Content, key(n.keys[i]), s.yaml(item))
		}
	case yaml.SequenceNode:
		for _, item := range n.items {
			out.Content = append(out.Content, s.yaml(item))
		}
	default:
		switch v := n.value.(type) {
		case string:
			out = quoted(v)
		case *file: // an extends.file
			out = quoted(s.copyOf(v))
		case nil:
			out.Value = "null"
		case bool:
			out.Value = strconv.FormatBool(v)
		case float32:
			out.Value = strconv.FormatFloat(float64(v), 'f', -1, 32)
		case float64:
			out.Value = strconv.FormatFloat(v, 'f', -1, 64)
		default:
			out.Value = fmt.Sprint(v)
		}
		if n.tag != "" {
			out.Tag = n.tag
		}
	}
	return out
}

// quoted is text that compose-go takes as it is; keys aren't interpolated.
func quoted(s string) *yaml.Node {
	n := key(s)
	n.Value = strings.ReplaceAll(s, "$", "$$")
	return n
}

func key(s string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Style: yaml.DoubleQuotedStyle, Value: s}
}
