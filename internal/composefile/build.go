package composefile

import (
	"bytes"
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// object builds a mapping in the order in which it is written.
type object struct{ n *yaml.Node }

func newObject() object { return object{&yaml.Node{Kind: yaml.MappingNode}} }

// set adds a key unless its value is zero: nothing that wasn't asked for is
// written.
func (o object) set(name string, value any) {
	n := encode(value)
	if n == nil {
		return
	}
	o.n.Content = append(o.n.Content, plainKey(name), n)
}

// note puts a comment above the key that was set last.
func (o object) note(comment string) {
	if len(o.n.Content) >= 2 {
		o.n.Content[len(o.n.Content)-2].HeadComment = comment
	}
}

func plainKey(name string) *yaml.Node {
	n := text(name)
	n.Value = name // keys aren't interpolated
	return n
}

// encode gives nil for what is empty. A $ is doubled; a variable stays one.
func encode(value any) *yaml.Node {
	switch v := value.(type) {
	case nil:
		return nil
	case string:
		if v == "" {
			return nil
		}
		return text(v)
	case variable:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Style: yaml.DoubleQuotedStyle, Value: string(v)}
	case none:
		return &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
	case *bool:
		if v == nil {
			return nil
		}
		return boolean(*v)
	case map[string]string:
		return encodeMap(v)
	case object:
		if len(v.n.Content) == 0 {
			return nil
		}
		return v.n
	case []string:
		return encodeList(v, func(s string) *yaml.Node { return text(s) })
	case []object:
		return encodeList(v, func(o object) *yaml.Node { return o.n })
	case []any:
		return encodeList(v, func(item any) *yaml.Node { return orEmpty(encode(item)) })
	}
	if value == false || value == int64(0) {
		return nil
	}
	var n yaml.Node
	if n.Encode(value) != nil {
		return nil
	}
	return &n
}

func boolean(b bool) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: strconv.FormatBool(b)}
}

func orEmpty(n *yaml.Node) *yaml.Node {
	if n == nil {
		return text("")
	}
	return n
}

func encodeList[T any](list []T, each func(T) *yaml.Node) *yaml.Node {
	if len(list) == 0 {
		return nil
	}
	n := &yaml.Node{Kind: yaml.SequenceNode}
	for _, item := range list {
		n.Content = append(n.Content, each(item))
	}
	return n
}

func encodeMap(m map[string]string) *yaml.Node {
	if len(m) == 0 {
		return nil
	}
	n := &yaml.Node{Kind: yaml.MappingNode}
	for _, name := range slices.Sorted(maps.Keys(m)) {
		n.Content = append(n.Content, plainKey(name), text(m[name]))
	}
	return n
}

// text is a string that means itself, whatever reads it: YAML 1.1 takes on,
// 1e3 or 08:30 for something else.
func text(s string) *yaml.Node {
	doubled := strings.ReplaceAll(s, "$", "$$")
	n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: doubled}
	if !plainWord(doubled) {
		n.Style = yaml.DoubleQuotedStyle
	}
	return n
}

// plainWord says whether text needs no quotes: it starts with a letter or a
// slash, isn't a word that YAML knows, and has nothing in it that ends it.
func plainWord(s string) bool {
	if s == "" || strings.ContainsFunc(s, func(r rune) bool {
		return !strings.ContainsRune("/._-@=+ ", r) && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && r != ':'
	}) {
		return false
	}
	first := s[0]
	letter := first >= 'a' && first <= 'z' || first >= 'A' && first <= 'Z'
	if !letter && first != '/' || strings.Contains(s, ": ") || strings.HasSuffix(s, ":") || strings.HasSuffix(s, " ") {
		return false
	}
	return !slices.Contains([]string{"y", "n", "yes", "no", "on", "off", "true", "false", "null"}, strings.ToLower(s))
}

// none is a list that is empty on purpose: it takes away what the image has.
type none struct{}

// variable is text in which ${…} is to be filled in.
type variable string

func render(n *yaml.Node) []byte {
	var out bytes.Buffer
	e := yaml.NewEncoder(&out)
	e.SetIndent(2)
	_ = e.Encode(n) // into memory, of nodes made here
	_ = e.Close()
	return out.Bytes()
}
