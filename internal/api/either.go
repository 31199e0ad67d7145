package api

import (
	"encoding/json"
	"reflect"

	"github.com/danielgtaylor/huma/v2"
)

// either is a body that is one thing or another, by the status.
type either[A, B any] struct {
	a *A
	b *B
}

// MarshalJSON gives the one that it is.
func (e either[A, B]) MarshalJSON() ([]byte, error) {
	if e.a != nil {
		return json.Marshal(e.a)
	}
	return json.Marshal(e.b)
}

// Schema is called by huma.
func (either[A, B]) Schema(r huma.Registry) *huma.Schema {
	return &huma.Schema{OneOf: []*huma.Schema{r.Schema(reflect.TypeFor[A](), true, ""), r.Schema(reflect.TypeFor[B](), true, "")}}
}
