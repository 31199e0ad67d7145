package compose_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/watch-docker/watch-docker/internal/api"
	"github.com/watch-docker/watch-docker/internal/app"
	"github.com/watch-docker/watch-docker/internal/store"
	"github.com/watch-docker/watch-docker/test/testbed"
)

// server runs the program, and gives a way to call its API as an administrator.
func (p *project) server() func(route, body string, into any) int {
	p.Helper()
	ctx, stop := context.WithCancel(contextOf(p.T))
	env := append(p.env(p.TempDir()), "WATCH_SERVER_ADDR=127.0.0.1:0", "WATCH_SCAN_INTERVAL=1h", "USER_NAME=ann", "USER_PASSWORD=correct horse")
	s, err := app.NewServer(ctx, app.Program{Environ: env, Stderr: io.Discard}, "")
	if err != nil {
		stop()
		p.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	p.Cleanup(func() {
		stop()
		if err := errors.Join(<-ended, s.Close()); err != nil {
			p.Error(err)
		}
	})
	token := ""
	call := func(route, body string, into any) int {
		p.Helper()
		method, path, _ := strings.Cut(route, " ")
		req, err := http.NewRequestWithContext(p.Context(), method, "http://"+s.Addr()+path, strings.NewReader(body))
		if err != nil {
			p.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			p.Fatal(err)
		}
		defer res.Body.Close()
		text := &bytes.Buffer{}
		if _, err := text.ReadFrom(res.Body); err != nil {
			p.Fatal(err)
		}
		if err := json.Unmarshal(text.Bytes(), into); err != nil {
			p.Fatalf("%s: %v in %s", route, err, text)
		}
		return res.StatusCode
	}
	var in struct{ Token string }
	if code := call("POST /api/v1/auth/login", `{"username":"ann","password":"correct horse"}`, &in); code != http.StatusOK {
		p.Fatalf("login: %d", code)
	}
	token = in.Token
	return call
}

const cluster = `services:
  web:
    image: OUR/web:1.4
    depends_on: [db]
    labels: {watchdocker.track: minor}
  db:
    image: OUR/db:1.4
    labels: {watchdocker.track: minor}
  cache: # two of it
    image: OUR/cache:1.4
    labels: {watchdocker.track: minor}
    deploy: {replicas: 2}
  other:
    image: OUR/cache:1.4
`

func TestAProjectIsUpdatedAsAGroup(t *testing.T) {
	p := newTagged(t, newBed(t), testCase{name: "cluster", file: cluster})
	for _, image := range []string{"web", "db", "cache"} {
		p.publish(image, "1.4", testbed.ImageOptions{})
	}
	p.up()
	before := p.text("compose.yaml")
	p.publish("web", "1.5", testbed.ImageOptions{})
	p.publish("cache", "1.5", testbed.ImageOptions{})
	p.publish("db", "1.5", broken())
	call := p.server()
	var scan store.Operation
	if code := call("POST /api/scan?wait=60s", `{}`, &scan); code != http.StatusAccepted || scan.State != store.Succeeded {
		t.Fatalf("scan: %d %+v", code, scan)
	}
	var run api.Run
	var problem api.Problem
	if code := call("POST /api/compose/nothing/update", `{}`, &problem); code != http.StatusNotFound || problem.Code != "project_not_found" {
		t.Errorf("a project that isn't there: %d %+v", code, problem)
	}
	if code := call("POST /api/compose/cluster/update", `{"services":["web","nothing"]}`, &problem); code != http.StatusNotFound || problem.Code != "project_not_found" {
		t.Errorf("a service that isn't there: %d %+v", code, problem)
	}
	if code := call("POST /api/compose/cluster/update", `{}`, &run); code != http.StatusAccepted {
		t.Fatalf("update: %d %+v", code, run)
	}
	if len(run.Skipped) != 1 || run.Skipped[0].Name != "cluster-other-1" || !strings.Contains(run.Skipped[0].Reason, "up to date") {
		t.Errorf("left out: %+v", run.Skipped)
	}
	ops := map[string]store.Operation{}
	for _, op := range run.Operations {
		for !op.State.Finished() {
			if code := call("GET /api/operations/"+op.ID+"?wait=60s", "", &op); code != http.StatusOK {
				t.Fatalf("operation: %d", code)
			}
		}
		ops[op.Target] = op
	}
	for name, want := range map[string]struct {
		state store.OperationState
		code  string
	}{
		"cluster-cache-1": {store.Succeeded, ""}, "cluster-cache-2": {store.Succeeded, ""},
		"cluster-db-1": {store.RolledBack, "container_exited"}, "cluster-web-1": {store.Cancelled, "needed_failed"},
	} {
		op := ops[name]
		if op.State != want.state || want.code != "" && (op.Error == nil || op.Error.Code != want.code) {
			t.Errorf("%s: %s %s, want %s %s", name, op.State, explain(op), want.state, want.code)
		}
	}
	p.says("afterwards", "compose.yaml", strings.Replace(before, "cache:1.4", "cache:1.5", 1))
	p.runs("afterwards", map[string]string{
		"cluster-cache-1": "cluster/cache:1.5", "cluster-cache-2": "cluster/cache:1.5", "cluster-other-1": "cluster/cache:1.4",
		"cluster-db-1": "cluster/db:1.4", "cluster-web-1": "cluster/web:1.4",
	})
	p.idle("afterwards")
}
