package composefile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// node is a value of a file, with aliases and merge keys written out, so that
// each has its own place and nothing is shared.
type node struct {
	at     Place
	kind   yaml.Kind // MappingNode, SequenceNode, ScalarNode
	tag    string    // "!reset" or "!override", else ""
	text   string    // a scalar as written
	value  any       // a scalar's meaning, once interpolated with its variables
	filled bool      // it was
	keys   []string  // of a mapping, by the side of items
	keyAt  []Place
	items  []*node
	index  map[string]int // of keys
}

// put adds to a mapping.
func (n *node) put(key string, at Place, value *node) {
	if n.index == nil {
		n.index = map[string]int{}
	}
	n.index[key] = len(n.keys)
	n.keys, n.keyAt, n.items = append(n.keys, key), append(n.keyAt, at), append(n.items, value)
}

// get is a mapping's value; nil if there is none.
func (n *node) get(path ...string) *node {
	for _, key := range path {
		if n == nil {
			return nil
		}
		i, ok := n.index[key]
		if !ok {
			return nil
		}
		n = n.items[i]
	}
	return n
}

// each calls do for a mapping's entries.
func (n *node) each(do func(key string, at Place, value *node)) {
	if n == nil {
		return
	}
	for i, key := range n.keys {
		do(key, n.keyAt[i], n.items[i])
	}
}

// str is a scalar's value as text.
func (n *node) str() string {
	if n == nil || n.value == nil {
		return ""
	}
	if s, ok := n.value.(string); ok {
		return s
	}
	return n.text
}

// strs are the texts of a list, or of what may stand for a list of one.
func (n *node) strs() []*node {
	switch {
	case n == nil || n.kind == yaml.MappingNode:
		return nil
	case n.kind == yaml.ScalarNode:
		return []*node{n}
	}
	return n.items
}

// parser makes nodes of one file's content.
type parser struct {
	name   string
	budget int
	fail   func(code string, at Place, format string, args ...any)
	open   []*yaml.Node // aliases that are being written out
	gaveUp bool
}

// parse gives a file's documents; what is wrong goes to fail.
func parse(name string, content []byte, fail func(code string, at Place, format string, args ...any)) ([]*node, int) {
	p := &parser{name: name, budget: maxNodes, fail: fail}
	content = bytes.TrimPrefix(content, []byte("\xef\xbb\xbf"))
	if !p.isText(content) {
		return nil, 0
	}
	var docs []*node
	for decoder := yaml.NewDecoder(bytes.NewReader(content)); ; {
		var doc yaml.Node
		err := decoder.Decode(&doc)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			p.syntax(content, err)
			return nil, 0
		}
		if len(doc.Content) == 0 || doc.Content[0].ShortTag() == "!!null" && doc.Content[0].Kind == yaml.ScalarNode {
			continue
		}
		if len(docs) == maxDocs {
			p.fail("too_complex", Place{p.name, doc.Line, doc.Column}, "The file has more than %d documents. Make one of them.", maxDocs)
			return nil, 0
		}
		n := p.node(doc.Content[0], 0)
		if n != nil && n.kind != yaml.MappingNode {
			p.fail("not_a_mapping", n.at, "A Compose file is made of keys such as services: and what belongs to them; this is a %s.", kindName(n))
			return nil, 0
		}
		docs = append(docs, n)
	}
	if p.gaveUp {
		return nil, 0
	}
	if len(docs) == 0 {
		p.fail("empty_file", Place{File: name}, "The file is empty. A Compose file starts with services:.")
	}
	return docs, maxNodes - p.budget
}

// isText says whether a file is text that YAML may be made of.
func (p *parser) isText(content []byte) bool {
	if i := bytes.IndexByte(content, 0); i >= 0 {
		p.fail("binary", Place{File: p.name}, "The file isn't text. Write it as UTF-8.")
		return false
	}
	if utf8.Valid(content) {
		return true
	}
	for i, rest := 0, content; ; {
		r, size := utf8.DecodeRune(rest)
		if r == utf8.RuneError && size == 1 {
			line := bytes.Count(content[:i], []byte("\n")) + 1
			column := i - bytes.LastIndexByte(content[:i], '\n')
			p.fail("not_utf8", Place{p.name, line, column}, "There is a byte that isn't UTF-8 (0x%02x). Save the file as UTF-8.", rest[0])
			return false
		}
		i, rest = i+size, rest[size:]
	}
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`)

// syntax explains a parser's error: it tells a line at most.
func (p *parser) syntax(content []byte, err error) {
	m := yamlLine.FindStringSubmatch(strings.ReplaceAll(err.Error(), "\n", " "))
	at, said := Place{File: p.name}, err.Error()
	if m != nil {
		at.Line, _ = strconv.Atoi(m[1])
		said = m[2]
	}
	if strings.HasPrefix(said, "unknown anchor ") { // its name may be a password that begins with *
		said = "an alias is of something that has no anchor"
	}
	lines := strings.Split(string(content), "\n")
	for _, number := range []int{at.Line, at.Line + 1} { // it tells the line before, now and then
		if number < 1 || number > len(lines) {
			continue
		}
		line := lines[number-1]
		indent := line[:len(line)-len(strings.TrimLeft(line, " \t"))]
		if tab := strings.IndexByte(indent, '\t'); tab >= 0 {
			p.fail("tab", Place{p.name, number, tab + 1}, "The line is indented by a tab. YAML takes spaces only.")
			return
		}
	}
	if at.Line >= 1 && at.Line <= len(lines) {
		line := lines[at.Line-1]
		at.Column = len(line) - len(strings.TrimLeft(line, " ")) + 1
	}
	p.fail("yaml_syntax", at, "This isn't YAML: %s. Look at the indentation, quotes and colons here and in the line above.", said)
}

// node writes out one value. It gives nil for what it has complained about.
func (p *parser) node(y *yaml.Node, depth int) *node {
	at := Place{p.name, y.Line, y.Column}
	if p.gaveUp {
		return nil
	}
	if p.budget--; p.budget < 0 {
		p.gaveUp = true
		p.fail("too_complex", at, "The file has more than %d values once its aliases are written out. Use fewer of them.", maxNodes)
		return nil
	}
	if depth > maxDepth {
		p.gaveUp = true
		p.fail("too_complex", at, "This is nested more than %d levels deep.", maxDepth)
		return nil
	}
	switch y.Kind {
	case yaml.AliasNode:
		return p.alias(y, depth)
	case yaml.MappingNode:
		return p.mapping(y, depth)
	case yaml.SequenceNode:
		n := &node{at: at, kind: y.Kind, tag: ownTag(y)}
		for _, item := range y.Content {
			if v := p.node(item, depth+1); v != nil {
				n.items = append(n.items, v)
			}
		}
		return n
	}
	n := &node{at: at, kind: yaml.ScalarNode, tag: ownTag(y), text: y.Value, value: y.Value}
	if n.tag == "" {
		if err := y.Decode(&n.value); err != nil {
			p.fail("bad_value", at, "The value isn't what its tag %s says.", short(y.Tag))
		}
		switch n.value.(type) {
		case time.Time:
			n.value = y.Value
		}
	}
	return n
}

func ownTag(y *yaml.Node) string {
	if y.Tag == "!reset" || y.Tag == "!override" {
		return y.Tag
	}
	return ""
}

func (p *parser) alias(y *yaml.Node, depth int) *node {
	for _, open := range p.open {
		if open == y.Alias {
			p.gaveUp = true
			p.fail("cycle", Place{p.name, y.Line, y.Column}, "The alias stands within what it names.")
			return nil
		}
	}
	p.open = append(p.open, y.Alias)
	defer func() { p.open = p.open[:len(p.open)-1] }()
	return p.node(y.Alias, depth+1)
}

// mapping writes out a mapping: its own keys, then those that it merges in.
func (p *parser) mapping(y *yaml.Node, depth int) *node {
	n := &node{at: Place{p.name, y.Line, y.Column}, kind: yaml.MappingNode, tag: ownTag(y)}
	seen := map[string]int{}
	var merges []*yaml.Node
	for i := 0; i+1 < len(y.Content); i += 2 {
		key, value := y.Content[i], y.Content[i+1]
		at := Place{p.name, key.Line, key.Column}
		if key.Kind == yaml.AliasNode {
			key = key.Alias
		}
		if key.Kind != yaml.ScalarNode {
			p.fail("bad_key", at, "A key must be a word.")
			continue
		}
		if line, ok := seen[key.Value]; ok {
			p.fail("duplicate_key", at, "%s is here twice; it is in line %d already. Remove one of them.", key.Value, line)
			continue
		}
		seen[key.Value] = at.Line
		if key.ShortTag() == "!!merge" {
			merges = append(merges, value)
			continue
		}
		if key.ShortTag() != "!!str" {
			p.fail("bad_key", at, "The key %s isn't text to YAML. Put it in quotes.", key.Value)
			continue
		}
		if v := p.node(value, depth+1); v != nil {
			n.put(key.Value, at, v)
		}
	}
	for _, m := range merges {
		p.merge(n, m, depth)
	}
	return n
}

// merge adds what a << brings: one mapping or a list of them, the first wins.
func (p *parser) merge(into *node, y *yaml.Node, depth int) {
	from := p.node(y, depth+1)
	if from == nil {
		return
	}
	list := []*node{from}
	if from.kind == yaml.SequenceNode {
		list = from.items
	}
	for _, m := range list {
		if m.kind != yaml.MappingNode {
			p.fail("bad_value", m.at, "<< takes a mapping, or a list of mappings.")
			return
		}
		m.each(func(key string, at Place, value *node) {
			if into.get(key) == nil {
				into.put(key, at, value)
			}
		})
	}
}

func kindName(n *node) string {
	switch n.kind {
	case yaml.MappingNode:
		return "mapping"
	case yaml.SequenceNode:
		return "list"
	}
	return "single value"
}

// short keeps a message readable whatever the file says.
func short(s string) string {
	if len(s) > 80 {
		return strings.ToValidUTF8(s[:80], "") + "…"
	}
	return s
}

func (n *node) String() string { return fmt.Sprintf("%s:%d", n.at.File, n.at.Line) }
