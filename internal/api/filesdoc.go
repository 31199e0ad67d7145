package api

import (
	"maps"
	"net/http"
	"reflect"
	"slices"
	"sync"

	"github.com/danielgtaylor/huma/v2"
)

// fileRoutes are registered beside huma, which would hold a whole file in
// memory, and written into its document by hand.
func (s *server) fileRoutes(r *routes) {
	const at = "/api/containers/{id}/files"
	r.plain(operatorFresh, "GET "+at, s.filesOf(s.readFiles))
	r.plain(operatorFresh, "PUT "+at, s.filesOf(s.writeFile))
	r.plain(operatorFresh, "DELETE "+at, s.filesOf(s.removeFile))

	registry := r.api.OpenAPI().Components.Schemas
	schema := func(of any) *huma.Schema { return registry.Schema(reflect.TypeOf(of), true, "") }
	text, yes := &huma.Schema{Type: huma.TypeString}, &huma.Schema{Type: huma.TypeBoolean}
	binary := &huma.Schema{Type: huma.TypeString, Format: "binary"}
	id := &huma.Param{Name: "id", In: "path", Required: true, Schema: text, Description: "Id, name, or an unambiguous beginning of the id, 12 digits or more"}
	name := &huma.Param{Name: "path", In: "query", Required: true, Schema: text, Description: "Absolute; links on the way lead on within the container"}
	header := func(name, description string) *huma.Param {
		return &huma.Param{Name: name, In: "header", Schema: text, Description: description}
	}
	for _, op := range []*huma.Operation{
		{
			Method: http.MethodGet, OperationID: "readFiles", Summary: "List a folder, or read a file",
			Parameters: []*huma.Param{
				{Name: "download", In: "query", Schema: yes, Description: "The file, or the folder as tar"},
				{Name: "text", In: "query", Schema: yes, Description: "A text of at most 1 MiB, with an ETag"},
			},
			Responses: map[string]*huma.Response{"200": {Description: "OK", Content: map[string]*huma.MediaType{
				"application/json": {Schema: schema(fileList{})}, "text/plain": {Schema: text},
				"application/octet-stream": {Schema: binary}, "application/x-tar": {Schema: binary},
			}}},
		},
		{
			Method: http.MethodPut, OperationID: "writeFile", Summary: "Write a file",
			Parameters: []*huma.Param{
				header("If-Match", "The ETag of what is overwritten"), header("If-None-Match", "*: only if nothing is there"),
			},
			RequestBody: &huma.RequestBody{Required: true, Description: "At most 100 MiB", Content: map[string]*huma.MediaType{"application/octet-stream": {Schema: binary}}},
			Responses: map[string]*huma.Response{"200": {Description: "OK", Content: map[string]*huma.MediaType{
				"application/json": {Schema: schema(fileWritten{})},
			}}},
		},
		{
			Method: http.MethodDelete, OperationID: "removeFile", Summary: "Remove a file, or a folder with all that is in it",
			Parameters: []*huma.Param{{Name: "recursive", In: "query", Schema: yes, Description: "Needed for a folder"}},
			Responses:  map[string]*huma.Response{"204": {Description: "No Content"}},
		},
	} {
		op.Path, op.Tags = at, []string{tag(at)}
		op.Parameters = slices.Concat([]*huma.Param{id, name}, op.Parameters)
		op.Extensions = map[string]any{"x-access": string(operatorFresh)}
		op.Security = []map[string][]string{{"bearer": {}}, {"cookie": {}}}
		maps.Copy(op.Responses, map[string]*huma.Response{"default": {Description: "Error", Content: map[string]*huma.MediaType{
			contentType: {Schema: schema(Problem{})},
		}}})
		r.api.OpenAPI().AddOperation(op)
	}
}

// locks are one for each name that is in use.
type locks struct {
	mu  sync.Mutex
	all map[string]*namedLock
}

type namedLock struct {
	sync.Mutex

	users int
}

func (l *locks) lock(name string) (unlock func()) {
	l.mu.Lock()
	if l.all == nil {
		l.all = map[string]*namedLock{}
	}
	n := l.all[name]
	if n == nil {
		n = &namedLock{}
		l.all[name] = n
	}
	n.users++
	l.mu.Unlock()
	n.Lock()
	return func() {
		n.Unlock()
		l.mu.Lock()
		defer l.mu.Unlock()
		if n.users--; n.users == 0 {
			delete(l.all, name)
		}
	}
}
