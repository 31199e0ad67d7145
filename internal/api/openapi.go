package api

import (
	"cmp"
	"context"
	"encoding/json"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

const schemas = "#/components/schemas/"

// describe is huma's configuration. Its own routes (documentation that loads
// scripts from elsewhere, schemas) are left out: no path, no route.
func (s *server) describe() huma.Config {
	registry := huma.NewMapRegistry(schemas, schemaName)
	registry.RegisterTypeAlias(reflect.TypeFor[huma.ErrorModel](), reflect.TypeFor[Problem]())
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title: "Watch Docker", Version: cmp.Or(s.Version, "devel"),
				Description: "Errors are problem details (RFC 9457) with a stable code. x-access names the role that a route needs.",
			},
			Servers: []*huma.Server{{URL: cmp.Or(basePath(s.BaseURL), "/")}},
			Components: &huma.Components{Schemas: registry, SecuritySchemes: map[string]*huma.SecurityScheme{
				"bearer": {Type: "http", Scheme: "bearer", BearerFormat: "JWT"},
				"cookie": {Type: "apiKey", In: "cookie", Name: secureCookie, Description: "Over plain HTTP it is named " + plainCookie + "."},
			}},
		},
		Formats: formats(), DefaultFormat: "application/json",
	}
}

// schemaName tells types of the same name apart: those about Compose projects
// are called so.
func schemaName(t reflect.Type, hint string) string {
	name := huma.DefaultSchemaNamer(t, hint)
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	for pkg, prefix := range map[string]string{"project": "Project", "compose": "Project", "composefile": "ComposeFile"} {
		if strings.HasSuffix(t.PkgPath(), "/internal/"+pkg) && !strings.HasPrefix(name, prefix) {
			return prefix + name
		}
	}
	return name
}

// correct mends what huma takes for granted: that every list may be null (ours
// never is), and that a struct behind a pointer never is (ours may be).
func correct(doc *huma.OpenAPI) {
	registry := doc.Components.Schemas
	for name, schema := range registry.Map() {
		for _, p := range schema.Properties {
			if p.Type == huma.TypeArray {
				p.Nullable = false
			}
		}
		markNullable(schema, registry.TypeFromRef(schemas+name))
	}
}

func markNullable(schema *huma.Schema, t reflect.Type) {
	if t == nil || t.Kind() != reflect.Struct {
		return
	}
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		p := schema.Properties[name]
		if p == nil || p.Ref == "" || f.Type.Kind() != reflect.Pointer {
			continue
		}
		schema.Properties[name] = &huma.Schema{
			Description: p.Description, AnyOf: []*huma.Schema{{Ref: p.Ref}, {Type: "null"}},
		}
	}
}

type openAPIOut struct {
	Body json.RawMessage
}

func (s *server) getOpenAPI(context.Context, *none) (*openAPIOut, error) {
	document, err := s.document()
	return &openAPIOut{Body: document}, err
}
