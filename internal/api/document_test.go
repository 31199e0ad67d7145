package api_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// document is the OpenAPI document, to hold answers against. It knows the few
// words of JSON Schema that the document uses.
type document struct {
	t    *testing.T
	root answer
}

func (d document) check(route string, a answer) {
	d.t.Helper()
	method, path, _ := strings.Cut(route, " ")
	response := d.root.get("paths", path, strings.ToLower(method), "responses", strconv.Itoa(a.status))
	if response == nil {
		d.t.Errorf("%s: the document has no answer %d", route, a.status)
		return
	}
	content, _ := response.(map[string]any)["content"].(map[string]any)
	if content == nil {
		if a.text != "" {
			d.t.Errorf("%s: a body that isn't in the document: %s", route, a)
		}
		return
	}
	for _, wrong := range d.match(content["application/json"].(map[string]any)["schema"], a.json, "body") {
		d.t.Errorf("%s: %s", route, wrong)
	}
}

func (d document) match(schema, v any, at string) []string {
	s, _ := schema.(map[string]any)
	if ref, ok := s["$ref"].(string); ok {
		return d.match(d.root.get("components", "schemas", strings.TrimPrefix(ref, "#/components/schemas/")), v, at)
	}
	if any, ok := s["anyOf"].([]any); ok {
		for _, one := range any {
			if len(d.match(one, v, at)) == 0 {
				return nil
			}
		}
		return []string{at + " matches nothing of anyOf"}
	}
	var types []any
	switch t := s["type"].(type) {
	case string:
		types = []any{t}
	case []any:
		types = t
	default:
		return nil
	}
	got := kind(v)
	if !slices.Contains(types, any(got)) && (got != "integer" || !slices.Contains(types, any("number"))) {
		return []string{fmt.Sprintf("%s is %s, want %v", at, got, types)}
	}
	return d.inside(s, v, at)
}

func (d document) inside(s map[string]any, v any, at string) (wrong []string) {
	if list, ok := v.([]any); ok {
		for i, item := range list {
			wrong = append(wrong, d.match(s["items"], item, fmt.Sprintf("%s[%d]", at, i))...)
		}
	}
	object, ok := v.(map[string]any)
	if !ok {
		return wrong
	}
	properties, _ := s["properties"].(map[string]any)
	required, _ := s["required"].([]any)
	for _, name := range required {
		if _, ok := object[name.(string)]; !ok {
			wrong = append(wrong, at+" has no "+name.(string))
		}
	}
	for name, value := range object {
		switch property := properties[name]; {
		case property != nil:
			wrong = append(wrong, d.match(property, value, at+"."+name)...)
		case s["additionalProperties"] == false:
			wrong = append(wrong, at+" has "+name+", which isn't in the document")
		}
	}
	return wrong
}

func kind(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case []any:
		return "array"
	case float64:
		if v == float64(int64(v)) {
			return "integer"
		}
		return "number"
	}
	return "object"
}
