package api_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/watch-docker/watch-docker/internal/api"
	"github.com/watch-docker/watch-docker/internal/compose"
	"github.com/watch-docker/watch-docker/internal/composecli"
	"github.com/watch-docker/watch-docker/internal/composefile"
	"github.com/watch-docker/watch-docker/internal/project"
	"github.com/watch-docker/watch-docker/internal/store"
	"github.com/watch-docker/watch-docker/internal/task"
)

// fakeCompose is a host with one project, called web; its methods are those of
// api.Compose, under names that others of the fakes have not.
type fakeCompose struct{ *fakes }

func (f fakeCompose) known(id, format string, args ...any) error {
	if id != "web" {
		return &project.Error{Code: project.ErrNotFound, Message: "There is no project " + id + "."}
	}
	return f.note(format, args...)
}

func (f fakeCompose) Available(context.Context) compose.Availability {
	return compose.Availability{Available: true, Version: "5.5.1", Command: "docker compose"}
}

func (f fakeCompose) List(context.Context) ([]project.Project, error) {
	return []project.Project{{ID: "web", Name: "web", Files: []string{"compose.yaml"}, Services: []project.ProjectService{}, Warnings: []project.Warning{}}}, f.note("projects")
}

func (f fakeCompose) Look(_ context.Context, id string, _ bool) (compose.View, error) {
	return compose.View{
		Detail:    project.Detail{Project: project.Project{ID: id, Name: id, Files: []string{}, Services: []project.ProjectService{}, Warnings: []project.Warning{}}, Profiles: []string{}},
		Variables: []composefile.Variable{{Name: "DB_PASSWORD", Value: "hush", From: ".env", Uses: []composefile.Place{}}, {Name: "COLOUR", Value: "red", Uses: []composefile.Place{}}},
	}, f.known(id, "look at %s", id)
}

func (f fakeCompose) Validate(ctx context.Context, id string, replace map[string][]byte) (compose.View, error) {
	v, err := f.Look(ctx, id, true)
	if err == nil {
		err = f.note("validate %s with %d", id, len(replace))
	}
	return v, err
}

func (f fakeCompose) Act(ctx context.Context, r compose.Request) (store.Operation, error) {
	if err := f.known(r.Project, "%s %s %v by %s", r.Action.Kind, r.Project, r.Action.Services, r.Actor); err != nil {
		return store.Operation{}, err
	}
	return f.operation(ctx, "compose."+string(r.Action.Kind), r.Project, r.Actor)
}

func (f fakeCompose) Preview(_ context.Context, r compose.Request) (compose.Plan, error) {
	return compose.Plan{Changes: []compose.Change{{Kind: "container", Name: "web-1", Effect: composecli.WouldCreate}}}, f.known(r.Project, "preview %s", r.Project)
}

func (f fakeCompose) Takes(_ context.Context, r compose.Removal) (project.Deletion, error) {
	return project.Deletion{
		Containers: []project.Doomed{}, Networks: []project.Network{}, Volumes: []project.Volume{}, VolumesKept: []project.Volume{}, Files: []string{}, FilesKept: []string{},
	}, f.known(r.Project, "takes %s volumes=%v files=%v", r.Project, r.Volumes, r.Files)
}

func (f fakeCompose) Remove(ctx context.Context, r compose.Removal, actor string) (takes project.Deletion, op store.Operation, err error) {
	if takes, err = f.Takes(ctx, r); err == nil {
		err = f.note("delete %s volumes=%v files=%v by %s", r.Project, r.Volumes, r.Files, actor)
	}
	if err == nil {
		op, err = f.operation(ctx, "compose.delete", r.Project, actor)
	}
	return takes, op, err
}

func (f fakeCompose) Convert(_ context.Context, ids []string, reveal bool) (composefile.Converted, error) {
	return composefile.Converted{Compose: []byte("services: {}\n")}, f.note("convert %d reveal=%v", len(ids), reveal)
}

func (f fakeCompose) Create(ctx context.Context, d compose.Draft, actor string) (project.Project, *store.Operation, error) {
	p := project.Project{ID: d.Name, Name: d.Name, Files: []string{}, Services: []project.ProjectService{}, Warnings: []project.Warning{}}
	if err := f.note("create %s start=%v by %s", d.Name, d.Start, actor); err != nil || !d.Start {
		return p, nil, err
	}
	op, err := f.operation(ctx, "compose.up", d.Name, actor)
	return p, &op, err
}

func (f fakeCompose) Files(_ context.Context, id string) ([]project.File, error) {
	return []project.File{{Name: ".env", ETag: `"1"`}}, f.known(id, "files of %s", id)
}

func (f fakeCompose) Read(_ context.Context, id, name string) ([]byte, string, error) {
	return []byte("DB_PASSWORD=hush\nCOLOUR=red\n"), `"1"`, f.known(id, "read %s of %s", name, id)
}

func (f fakeCompose) Save(_ context.Context, id, name string, content []byte, ifMatch, actor string) (compose.Saved, error) {
	return compose.Saved{ETag: `"2"`}, f.known(id, "save %s of %s, %d bytes, %s, by %s", name, id, len(content), ifMatch, actor)
}

func (f fakeCompose) Versions(_ context.Context, id, name string) ([]project.Version, error) {
	return nil, f.known(id, "versions of %s of %s", name, id)
}

func (f fakeCompose) Version(_ context.Context, id string, n int64) (project.Version, []byte, error) {
	return project.Version{N: n, Name: ".env"}, []byte("COLOUR=blue\n"), f.known(id, "version %d of %s", n, id)
}

func (f fakeCompose) Restore(_ context.Context, id string, n int64, ifMatch, actor string) (compose.Saved, error) {
	return compose.Saved{ETag: `"3"`}, f.known(id, "restore %d of %s, %s, by %s", n, id, ifMatch, actor)
}

func TestWhatFilesHideIsShownToAnAdministratorWithAFreshProofAlone(t *testing.T) {
	w := newWorld(t, func(d *api.Dependencies) { d.Auth = roles{} })
	const env = "/api/compose/web/files?name=.env"
	a := w.do("GET", env, bearer("stale:admin"))
	if a.status != http.StatusOK || a.get("masked") != true || a.get("content") != "DB_PASSWORD=***\nCOLOUR=red\n" || a.get("etag") != nil || a.header.Get("ETag") != "" {
		t.Errorf("%s %v", a, a.header)
	}
	w.do("GET", env+"&reveal=true", bearer("stale:admin")).is(http.StatusForbidden, "step_up_required")
	w.do("GET", env+"&reveal=true", bearer("api:admin")).is(http.StatusForbidden, "session_required")
	w.do("GET", env, bearer("operator")).is(http.StatusForbidden, "forbidden")
	a = w.do("GET", env+"&reveal=true", bearer("admin"))
	if a.status != http.StatusOK || a.get("content") != "DB_PASSWORD=hush\nCOLOUR=red\n" || a.get("etag") != `"1"` || a.header.Get("ETag") != `"1"` {
		t.Errorf("%s %v", a, a.header)
	}
	for who, want := range map[string]bool{"stale:admin": false, "api:admin": false, "admin": true} {
		if a := w.do("GET", "/api/compose/web/files", bearer(who)); a.status != http.StatusOK || strings.Contains(a.text, `"etag":"\"1\""`) != want {
			t.Errorf("the files' ETags for %s: %s", who, a)
		}
	}
	if a := w.do("GET", "/api/compose/web", bearer("viewer")); !strings.Contains(a.text, `"DB_PASSWORD","value":"***"`) {
		t.Errorf("variables: %s", a)
	}
	w.do("POST", "/api/compose/web/validate", bearer("operator"), raw(`{"files":{"compose.yaml":"x"}}`)).is(http.StatusForbidden, "forbidden")
	w.do("POST", "/api/compose/convert?reveal=true", bearer("operator"), raw(`{"containers":["web"]}`)).is(http.StatusForbidden, "forbidden")
}

func TestWhatGoesWrongWithProjectsHasItsCode(t *testing.T) {
	w := newWorld(t).signIn()
	for _, c := range []struct {
		err    error
		status int
		code   string
	}{
		{&project.Error{Code: project.ErrChanged, Message: "It has changed."}, http.StatusPreconditionFailed, "compose_file_changed"},
		{&project.Error{Code: project.ErrNoMatch, Message: "Say what."}, http.StatusPreconditionRequired, "precondition_required"},
		{&project.Error{Code: project.ErrNoSpace, Message: "It is full."}, http.StatusInsufficientStorage, "compose_disk_full"},
		{&project.Error{Code: project.ErrReadOnly, Message: "It can't be written."}, http.StatusConflict, "compose_file_read_only"},
		{&compose.InvalidError{Problems: []composefile.Problem{{Message: "It is none."}}}, http.StatusUnprocessableEntity, "compose_invalid"},
		{&compose.PathsError{Binds: []compose.Bind{{Finding: compose.Finding{Message: "It is elsewhere."}}}}, http.StatusConflict, "compose_paths"},
		{&compose.OwnError{Project: "web", Service: "watch"}, http.StatusConflict, "own_project"},
		{fmt.Errorf("%w: none", compose.ErrNoCommand), http.StatusServiceUnavailable, "compose_unavailable"},
		{&task.BusyError{Target: "web", OperationID: "1"}, http.StatusConflict, "project_busy"},
		{fmt.Errorf("%w: --all", composecli.ErrInvalid), http.StatusUnprocessableEntity, "validation_failed"},
		{fmt.Errorf("dry run: %w", &composecli.FailedError{ExitCode: 1, Message: "web: no such image"}), http.StatusConflict, "compose_failed"},
		{fmt.Errorf("dry run: %w", composecli.ErrTimeout), http.StatusGatewayTimeout, "compose_timeout"},
		{fmt.Errorf("%w: gone", composecli.ErrNoCompose), http.StatusServiceUnavailable, "compose_unavailable"},
		{&composecli.TooOldError{Have: "2.10.0", Need: "2.29.1"}, http.StatusServiceUnavailable, "compose_unavailable"},
		{fmt.Errorf("%w: compose.yaml", composecli.ErrNoFiles), http.StatusNotFound, "compose_file_not_found"},
		{task.ErrTooMany, http.StatusTooManyRequests, "too_many_operations"},
		{errors.New("secret"), http.StatusInternalServerError, "internal_error"},
	} {
		w.failWith(c.err)
		w.as("POST", "/api/compose/web/up").is(c.status, c.code)
	}
}
