package composefile

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/compose-spec/compose-go/v2/schema"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"go.yaml.in/yaml/v3"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/watch-docker/watch-docker/internal/suggest"
)

// plain is a document as the schema and compose-go take it.
func (n *node) plain() any {
	switch n.kind {
	case yaml.MappingNode:
		m := make(map[string]any, len(n.keys))
		for i, item := range n.items {
			if item.tag != "!reset" {
				m[n.keys[i]] = item.plain()
			}
		}
		return m
	case yaml.SequenceNode:
		list := make([]any, 0, len(n.items))
		for _, item := range n.items {
			if item.tag != "!reset" {
				list = append(list, item.plain())
			}
		}
		return list
	}
	return n.value
}

// checkSchema holds a document against the Compose specification. compose-go
// tells the first fault only, and not where it is; so it is asked whether
// there is one, and the schema which they are.
func (c *checker) checkSchema(doc *node) {
	if c.ctx.Err() != nil || len(c.report.Problems) >= maxFaults { // who has enough to mend is told no more
		return
	}
	plain, _ := doc.plain().(map[string]any)
	err := schema.Validate(plain)
	if err == nil {
		return
	}
	before := len(c.report.Problems)
	if faults, ferr := validate(plain); ferr == nil {
		for _, f := range faults[:min(len(faults), maxFaults)] {
			c.schemaFault(doc, f)
		}
	}
	if len(c.report.Problems) == before {
		if doc.isFilled() {
			err = errors.New("of a value that variables are part of")
		}
		c.problem("bad_value", doc.at, "The file isn't what Compose takes: %s.", err)
	}
}

// validate gives all that is wrong with a document.
func validate(plain map[string]any) ([]*jsonschema.ValidationError, error) {
	marshalled, err := json.Marshal(plain)
	if err != nil {
		return nil, err
	}
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(string(marshalled)))
	if err != nil {
		return nil, err
	}
	spec, err := specification()
	if err != nil {
		return nil, err
	}
	var invalid *jsonschema.ValidationError
	if err := spec.compiled.Validate(doc); !errors.As(err, &invalid) {
		return nil, err
	}
	return leaves(invalid), nil
}

// compose is the Compose specification's schema.
type compose struct {
	raw      any
	compiled *jsonschema.Schema
}

// specification reads it at first use: that takes longer than most files.
//
//nolint:gochecknoglobals // it never changes, and is worth keeping
var specification = sync.OnceValues(func() (compose, error) {
	raw, err := jsonschema.UnmarshalJSON(strings.NewReader(schema.Schema))
	if err != nil {
		return compose{}, err
	}
	compiler := jsonschema.NewCompiler()
	compiler.RegisterFormat(&jsonschema.Format{Name: "duration", Validate: isDuration})
	if err := compiler.AddResource("compose-spec.json", raw); err != nil {
		return compose{}, err
	}
	compiled, err := compiler.Compile("compose-spec.json")
	return compose{raw, compiled}, err
})

func isDuration(v any) error {
	s, ok := v.(string)
	if !ok {
		return errors.New("not a text")
	}
	_, err := time.ParseDuration(s)
	return err
}

// leaves are the faults at the ends of a schema's alternatives: of those of
// which one must fit, the faults of the one that fits best.
func leaves(e *jsonschema.ValidationError) []*jsonschema.ValidationError {
	if len(e.Causes) == 0 {
		return []*jsonschema.ValidationError{e}
	}
	var all []*jsonschema.ValidationError
	switch e.ErrorKind.(type) {
	case *kind.OneOf, *kind.AnyOf:
		best := -1
		for _, cause := range e.Causes {
			found := leaves(cause)
			if depth := deepest(found); depth > best {
				best, all = depth, found
			} else if depth == best {
				all = joinTypes(all, found)
			}
		}
	default:
		for _, cause := range e.Causes {
			all = append(all, leaves(cause)...)
		}
	}
	return all
}

func deepest(list []*jsonschema.ValidationError) int {
	depth := 0
	for _, e := range list {
		at := 2 * len(e.InstanceLocation)
		if _, ok := e.ErrorKind.(*kind.Type); !ok {
			at++ // the right kind of value, with something wrong in it
		}
		depth = max(depth, at)
	}
	return depth
}

// joinTypes makes one fault of "must be a string" and "must be a mapping".
func joinTypes(a, b []*jsonschema.ValidationError) []*jsonschema.ValidationError {
	if len(a) != 1 || len(b) != 1 {
		return a
	}
	left, ok1 := a[0].ErrorKind.(*kind.Type)
	right, ok2 := b[0].ErrorKind.(*kind.Type)
	if ok1 && ok2 {
		for _, want := range right.Want {
			if !slices.Contains(left.Want, want) {
				left.Want = append(left.Want, want)
			}
		}
	}
	return a
}

// schemaFault says one of them in words.
func (c *checker) schemaFault(doc *node, e *jsonschema.ValidationError) {
	n, at := doc.find(e.InstanceLocation)
	where := strings.Join(e.InstanceLocation, ".")
	if where == "" {
		where = "the file"
	}
	if quotesValue(e) && n.isFilled() {
		c.problem("bad_value", at, "%s isn't what Compose takes, with what its variables come to.", where)
		return
	}
	switch k := e.ErrorKind.(type) {
	case *kind.AdditionalProperties:
		known := knownKeys(e.SchemaURL)
		for _, key := range k.Properties[:min(len(k.Properties), maxFaults)] {
			c.unknownKey(n, key, where, known)
		}
	case *kind.Type:
		c.problem("wrong_type", at, "%s must be %s; it is %s.", where, wanted(k.Want), typeName(k.Got))
	case *kind.Required:
		c.problem("missing_key", at, "%s lacks %s.", where, strings.Join(k.Missing, ", "))
	case *kind.Enum:
		c.problem("bad_value", at, "%s is %q; it may be %s.", where, short(fmt.Sprint(k.Got)), choices(k.Want))
	case *kind.Format:
		c.problem("bad_value", at, "%s is %q, which is no %s such as 30s or 1m30s.", where, short(fmt.Sprint(k.Got)), k.Want)
	default:
		c.problem("bad_value", at, "%s isn't what Compose takes: %s.", where, e.ErrorKind.LocalizedString(message.NewPrinter(language.English)))
	}
}

// quotesValue tells whether a fault's words have the value in them.
func quotesValue(e *jsonschema.ValidationError) bool {
	switch e.ErrorKind.(type) {
	case *kind.AdditionalProperties, *kind.Type, *kind.Required:
		return false
	}
	return true
}

func (c *checker) unknownKey(in *node, key, where string, known []string) {
	at := in.at
	if i, ok := in.index[key]; ok {
		at = in.keyAt[i]
	}
	hint := "Remove it, or start it with x- if it is your own."
	if right := suggest.Nearest(key, known); right != "" {
		hint = "Did you mean " + right + "?"
	}
	if parts := strings.Split(where, "."); len(parts) == 1 && parts[0] == "services" {
		hint = "A service's name is made of letters, digits, . - and _."
	}
	c.problem("unknown_key", at, "%s knows no %s. %s", where, short(key), hint)
}

// find is the value at a path, or the last that is there on the way to it.
func (n *node) find(path []string) (*node, Place) {
	at := n.at
	for _, key := range path {
		switch n.kind {
		case yaml.MappingNode:
			i, ok := n.index[key]
			if !ok {
				return n, at
			}
			n, at = n.items[i], n.keyAt[i]
		case yaml.SequenceNode:
			i, err := strconv.Atoi(key)
			if err != nil || i < 0 || i >= len(n.items) {
				return n, at
			}
			n, at = n.items[i], n.items[i].at
		default:
			return n, at
		}
	}
	if n.kind == yaml.ScalarNode && n.at.Line > 0 {
		at = n.at
	}
	return n, at
}

// knownKeys are the properties of a part of the schema.
func knownKeys(url string) []string {
	spec, err := specification()
	if err != nil {
		return nil
	}
	at := spec.raw
	_, pointer, _ := strings.Cut(url, "#")
	for part := range strings.SplitSeq(strings.Trim(pointer, "/"), "/") {
		switch v := at.(type) {
		case map[string]any:
			if part != "" {
				at = v[strings.NewReplacer("~1", "/", "~0", "~").Replace(part)]
			}
		case []any:
			if i, err := strconv.Atoi(part); err == nil && i < len(v) {
				at = v[i]
			}
		}
	}
	m, _ := at.(map[string]any)
	properties, _ := m["properties"].(map[string]any)
	return slices.Sorted(maps.Keys(properties))
}

func wanted(types []string) string {
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = typeName(t)
	}
	return orList(names)
}

func orList(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

func typeName(t string) string {
	switch t {
	case "object":
		return "a mapping"
	case "array":
		return "a list"
	case "string":
		return "text"
	case "boolean":
		return "true or false"
	case "integer":
		return "a whole number"
	case "number":
		return "a number"
	case "null":
		return "nothing"
	}
	return t
}

func choices(want []any) string {
	words := make([]string, len(want))
	for i, w := range want {
		words[i] = fmt.Sprint(w)
	}
	return orList(words)
}
