package api

import (
	"encoding/json"
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
	format := huma.Format{Marshal: marshal, Unmarshal: json.Unmarshal}
	return map[string]huma.Format{"application/json": format, "json": format}
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
