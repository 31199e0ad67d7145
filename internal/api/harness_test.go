package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/watch-docker/watch-docker/internal/api"
	"github.com/watch-docker/watch-docker/internal/auth"
	"github.com/watch-docker/watch-docker/internal/scanner"
	"github.com/watch-docker/watch-docker/internal/store"
	"github.com/watch-docker/watch-docker/internal/twofa"
	"github.com/watch-docker/watch-docker/internal/wsstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	userName = "ann"
	password = "correct horse battery"
	webID    = "aaaaaaaaaaaa0000000000000000000000000000000000000000000000000001"
	dbID     = "aaaaaaaaaaaa0000000000000000000000000000000000000000000000000002"
	oneID    = "bbbbbbbbbbbb0000000000000000000000000000000000000000000000000003"
)

// world is a server with a real store and real accounts, and with small fakes
// for what is beyond them.
type world struct {
	*fakes

	t      *testing.T
	server *httptest.Server
	url    string
	client *http.Client
	store  *store.Store
	auth   *auth.Service
	twofa  *twofa.Service
	folder string
	router gin.RoutesInfo // nil under a base path
	log    *observer.ObservedLogs
	hub    *wsstream.Hub
	token  string // of the administrator

	required atomic.Bool // a second factor is

	mu    sync.Mutex
	shift time.Duration // how far the accounts' clock is ahead
	stood time.Time     // when it stopped; zero while it goes
}

func newWorld(t *testing.T, change ...func(*api.Dependencies)) *world {
	t.Helper()
	w := &world{t: t, folder: filepath.Join(t.TempDir(), "state")}
	var err error
	if w.store, err = store.Open(t.Context(), w.folder); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.store.Close() })
	core, log := observer.New(zapcore.DebugLevel)
	w.log = log
	if w.auth, err = auth.New(t.Context(), auth.Dependencies{Store: w.store, StateFolder: w.folder, Logger: zap.New(core), Now: w.now, Required: w.required.Load}); err != nil {
		t.Fatal(err)
	}
	w.twofa = twofa.New(twofa.Dependencies{Store: w.store, Logger: zap.New(core), Now: w.now})
	w.fakes = newFakes(w.store)
	hub := wsstream.New(10 * time.Millisecond)
	w.hub = hub
	d := api.Dependencies{
		Logger: zap.New(core), Version: "1.2.3", Auth: w.auth, TwoFA: w.twofa, Scans: w.fakes, Updates: w.fakes, ProjectUpdates: w.fakes, Operations: w.fakes,
		Engine: w.fakes, Images: w.fakes, Volumes: w.fakes, Networks: w.fakes, System: w.fakes, Live: w.fakes, Hub: hub, Logs: fakeLogs{w.fakes}, Compose: fakeCompose{w.fakes},
		Config: func() map[string]any { return map[string]any{"user": map[string]any{"password": "***"}} },
		Checks: []api.Check{{Name: "engine", Ask: func(context.Context) error { return w.down() }}, {Name: "store", Ask: w.store.Ping}},
	}
	for _, c := range change {
		c(&d)
	}
	handler, err := api.New(d)
	if err != nil {
		t.Fatal(err)
	}
	if engine, ok := handler.(*gin.Engine); ok {
		w.router = engine.Routes()
	}
	w.server = httptest.NewServer(handler)
	w.url, w.client = w.server.URL, w.server.Client()
	t.Cleanup(func() {
		w.client.CloseIdleConnections()
		w.server.Close()
		hub.Close()
	})
	return w
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.stood.IsZero() {
		return w.stood.Add(w.shift)
	}
	return time.Now().UTC().Add(w.shift)
}

// stand stops the accounts' clock, which only pass moves then.
func (w *world) stand() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stood = time.Now().UTC()
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.shift += d
}

// signIn makes the administrator and keeps a token.
func (w *world) signIn() *world {
	w.t.Helper()
	if err := w.auth.FirstUser(w.t.Context(), userName, password); err != nil {
		w.t.Fatal(err)
	}
	a := w.do("POST", "/api/v1/auth/login", body(map[string]string{"username": userName, "password": password}))
	if a.status != http.StatusOK {
		w.t.Fatalf("login: %s", a)
	}
	w.token = a.get("token").(string)
	return w
}

// answer is what came back.
type answer struct {
	t      *testing.T
	status int
	header http.Header
	text   string
	json   any
}

func (a answer) String() string { return fmt.Sprintf("%d %s", a.status, a.text) }

// get finds a value: get("error", "code"); nil if it isn't there.
func (a answer) get(path ...any) any {
	v := a.json
	for _, p := range path {
		switch p := p.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[p]
		case int:
			l, _ := v.([]any)
			if p >= len(l) {
				return nil
			}
			v = l[p]
		}
	}
	return v
}

// is checks that the answer is a problem with this status and code.
func (a answer) is(status int, code string) {
	a.t.Helper()
	if a.status != status || a.get("code") != code || a.get("status") != float64(status) || a.header.Get("Content-Type") != "application/problem+json" ||
		a.get("title") == "" || a.get("detail") == "" || a.get("type") != "about:blank" {
		a.t.Errorf("got %s (%s), want the problem %d %s", a, a.header.Get("Content-Type"), status, code)
	}
}

type option func(*http.Request)

func header(name, value string) option { return func(r *http.Request) { r.Header.Set(name, value) } }

func bearer(token string) option { return header("Authorization", "Bearer "+token) }

func raw(text string) option {
	return func(r *http.Request) {
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(text)), int64(len(text))
		r.Header.Set("Content-Type", "application/json")
	}
}

func body(v any) option {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return raw(string(text))
}

// do asks without a token.
func (w *world) do(method, path string, options ...option) answer {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.url+path, http.NoBody)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, o := range options {
		o(req)
	}
	res, err := w.client.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	a := answer{t: w.t, status: res.StatusCode, header: res.Header, text: string(text)}
	if len(text) > 0 {
		if err := json.Unmarshal(text, &a.json); err != nil {
			w.t.Fatalf("%s %s: %s is no JSON", method, path, text)
		}
	}
	return a
}

// as asks with the administrator's token.
func (w *world) as(method, path string, options ...option) answer {
	w.t.Helper()
	return w.do(method, path, append([]option{bearer(w.token)}, options...)...)
}

// fakes are a host with three containers.
type fakes struct {
	store *store.Store

	mu     sync.Mutex
	all    []scanner.ContainerStatus
	hidden []scanner.ContainerStatus // shown after a Refresh
	fail   error                     // what the next question to the host gets
	done   map[string]chan struct{}
	asked  []string // what was asked of the parts, in words
	made   int      // operations

	live liveFakes
}

func newFakes(st *store.Store) *fakes {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return &fakes{store: st, done: map[string]chan struct{}{}, live: newLiveFakes(), all: []scanner.ContainerStatus{
		{ID: dbID, Name: "db", Image: "postgres:17", State: "exited", Health: "none", Status: scanner.Skipped, CreatedAt: at, Ports: []scanner.Port{}},
		{ID: oneID, Name: "one", Image: "nginx:1", State: "running", Running: true, Health: "healthy", Status: scanner.UpToDate, CreatedAt: at,
			Ports: []scanner.Port{{IP: "0.0.0.0", Private: 80, Public: 8080, Protocol: "tcp"}}, Error: &scanner.Error{Code: "c", Message: "m"}},
		{ID: webID, Name: "web", Image: "nginx:latest", State: "running", Running: true, Health: "none", Status: scanner.UpdateAvailable, CreatedAt: at,
			Compose: &scanner.Compose{Project: "Shop", Service: "web"}, Ports: []scanner.Port{}, StartedAt: &at},
	}}
}

func (f *fakes) note(format string, args ...any) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, fmt.Sprintf(format, args...))
	return f.fail
}

func (f *fakes) failWith(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail = err
}

func (f *fakes) down() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fail
}

// last is what was asked last.
func (f *fakes) last() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.asked) == 0 {
		return ""
	}
	return f.asked[len(f.asked)-1]
}

func (f *fakes) Latest() scanner.Result {
	f.mu.Lock()
	defer f.mu.Unlock()
	return scanner.Result{Containers: f.all, ScannedAt: time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)}
}

func (f *fakes) Refresh(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all, f.hidden = append(slices.Clone(f.all), f.hidden...), nil
	return f.fail
}

// operation puts one into the store; finish ends it.
func (f *fakes) operation(ctx context.Context, kind, target, actor string) (store.Operation, error) {
	f.mu.Lock()
	f.made++
	id := store.NewID(time.Now().Add(time.Duration(f.made) * time.Millisecond)) // ids sort by the millisecond
	f.mu.Unlock()
	op := store.Operation{ID: id, Kind: kind, Target: target, State: store.Running, CreatedAt: time.Now().UTC(), Actor: actor}
	f.mu.Lock()
	f.done[op.ID] = make(chan struct{})
	f.mu.Unlock()
	return op, f.store.SaveOperation(ctx, op)
}

func (f *fakes) finish(ctx context.Context, id string) error {
	op, err := f.store.Operation(ctx, id)
	if err != nil {
		return err
	}
	op.State, op.Error = store.RolledBack, &store.OperationError{Code: "unhealthy", Message: "it is"}
	if err := f.store.SaveOperation(ctx, op); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.done[id])
	return nil
}

func (f *fakes) running() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var ids []string
	for id := range f.done {
		ids = append(ids, id)
	}
	return ids
}

func (f *fakes) StartScan(ctx context.Context, r api.ScanRequest) (store.Operation, error) {
	if err := f.note("scan %v fresh=%v by %s", names(r.ContainerIDs), r.Fresh, r.Actor); err != nil {
		return store.Operation{}, err
	}
	return f.operation(ctx, "scan", "", r.Actor)
}

func (f *fakes) Update(ctx context.Context, r api.UpdateRequest) (store.Operation, error) {
	if err := f.note("update %s force=%v by %s", nameOf(r.ContainerID), r.Force, r.Actor); err != nil {
		return store.Operation{}, err
	}
	return f.operation(ctx, "update", nameOf(r.ContainerID), r.Actor)
}

func (f *fakes) Rollback(ctx context.Context, r api.UpdateRequest) (store.Operation, error) {
	if err := f.note("rollback %s by %s", nameOf(r.ContainerID), r.Actor); err != nil {
		return store.Operation{}, err
	}
	return f.operation(ctx, "rollback", nameOf(r.ContainerID), r.Actor)
}

func (f *fakes) UpdateProject(ctx context.Context, r api.ProjectUpdate) (api.Run, error) {
	if err := f.note("update project %s %v force=%v by %s", r.Project, r.Services, r.Force, r.Actor); err != nil {
		return api.Run{}, err
	}
	op, err := f.operation(ctx, "update", "web", r.Actor)
	return api.Run{Operations: []store.Operation{op}}, err
}

func (f *fakes) UpdateAll(ctx context.Context, r api.RunRequest) (api.Run, error) {
	if err := f.note("run %v dry=%v by %s", names(r.ContainerIDs), r.DryRun, r.Actor); err != nil {
		return api.Run{}, err
	}
	if r.DryRun {
		return api.Run{Operations: []store.Operation{{Kind: "update", Target: "web", State: store.Queued}}}, nil
	}
	op, err := f.operation(ctx, "update", "web", r.Actor)
	return api.Run{Operations: []store.Operation{op}, Skipped: []api.LeftOut{{ID: dbID, Name: "db", Reason: "It is skipped."}}}, err
}

func (f *fakes) Operation(ctx context.Context, id string) (store.Operation, error) {
	return f.store.Operation(ctx, id)
}

func (f *fakes) Operations(ctx context.Context, filter store.OperationFilter) ([]store.Operation, error) {
	return f.store.Operations(ctx, filter)
}

func (f *fakes) Done(id string) <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.done[id]
}

func (f *fakes) Container(_ context.Context, id string) (api.ContainerDetail, error) {
	if err := f.note("inspect %s", nameOf(id)); err != nil {
		return api.ContainerDetail{}, err
	}
	text, err := os.ReadFile(filepath.Join("testdata", "inspect.json"))
	if err != nil {
		return api.ContainerDetail{}, err
	}
	return api.DetailFromInspect(text)
}

func (f *fakes) Act(_ context.Context, id string, action api.Action) error {
	if err := f.note("%s %s", action, nameOf(id)); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all = slices.Clone(f.all)
	for i := range f.all {
		if f.all[i].ID == id {
			f.all[i].Running = action != api.Stop
			f.all[i].State = map[bool]string{true: "running", false: "exited"}[f.all[i].Running]
		}
	}
	if id == oneID && action == api.Stop { // made with --rm
		f.all = slices.DeleteFunc(f.all, func(c scanner.ContainerStatus) bool { return c.ID == id })
	}
	return nil
}

func (f *fakes) Remove(_ context.Context, id string, o api.RemoveOptions) error {
	return f.note("remove %s force=%v volumes=%v", nameOf(id), o.Force, o.Volumes)
}

func (f *fakes) System(context.Context) (api.SystemStatus, error) {
	return api.SystemStatus{Version: "1.2.3", Engine: api.EngineStatus{Reachable: true, Version: "29.0"}}, f.note("system")
}

// nameOf turns an id into what people read.
func nameOf(id string) string {
	return map[string]string{webID: "web", dbID: "db", oneID: "one"}[id]
}

func names(ids []string) []string {
	out := make([]string, 0, len(ids))
	for _, id := range ids {
		out = append(out, nameOf(id))
	}
	return out
}

var errBroken = errors.New("secret-path broke")
