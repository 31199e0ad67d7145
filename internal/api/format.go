package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"unicode"

	"github.com/danielgtaylor/huma/v2"
)

// formats is JSON alone. huma's own errors are turned into problems here, on
// their way out: the other way, replacing huma.NewError, would be one for the
// whole process.
func formats() map[string]huma.Format {
	format := huma.Format{Marshal: marshal, Unmarshal: unmarshal}
	return map[string]huma.Format{"application/json": format, "json": format}
}

// deepest is how deep a body may be nested; ours need four.
const deepest = 64

// unmarshal takes a field once. Of two, encoding/json takes the last, whatever
// their case, and something in front of us that looks at bodies may have seen
// the first.
func unmarshal(body []byte, v any) error {
	if err := eachOnce(json.NewDecoder(bytes.NewReader(body))); err != nil {
		return err
	}
	return json.Unmarshal(body, v)
}

// eachOnce fails if an object has a name twice. What isn't JSON is left to
// whoever reads it.
func eachOnce(d *json.Decoder) error {
	type level struct {
		names map[string]bool // of an object; nil in a list
		value bool            // a name has come, and its value is next
	}
	around := []level{{}}
	for {
		token, err := d.Token()
		if err != nil {
			return nil //nolint:nilerr // the end, or no JSON
		}
		if delim, ok := token.(json.Delim); ok && (delim == '}' || delim == ']') {
			around = around[:len(around)-1]
			continue
		}
		here := &around[len(around)-1]
		if here.names != nil && !here.value {
			name, _ := token.(string)
			folded := strings.ToLower(name)
			if here.names[folded] {
				return fmt.Errorf("the field %q is there twice", name)
			}
			here.names[folded], here.value = true, true
			continue
		}
		here.value = false
		switch token {
		case json.Delim('{'):
			around = append(around, level{names: map[string]bool{}})
		case json.Delim('['):
			around = append(around, level{})
		}
		if len(around) > deepest {
			return errors.New("it is nested too deep")
		}
	}
}

func marshal(w io.Writer, v any) error {
	if e, ok := v.(*huma.ErrorModel); ok {
		p := fromHuma(e)
		if rw, ok := w.(http.ResponseWriter); ok {
			rw.WriteHeader(p.Status) // gin sends it with the first byte
		}
		v = p
	}
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, _ = w.Write(body) // a client that has gone is no fault; huma would panic
	return nil
}

// sentence begins with a capital letter and ends with a full stop.
func sentence(s string) string {
	first := true
	s = strings.Map(func(r rune) rune {
		if first {
			first = false
			return unicode.ToUpper(r)
		}
		return r
	}, s)
	return strings.TrimSuffix(s, ".") + "."
}
