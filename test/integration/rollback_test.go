package integration_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/watch-docker/watch-docker/internal/app"
	"github.com/watch-docker/watch-docker/internal/scanner"
	"github.com/watch-docker/watch-docker/internal/store"
	"github.com/watch-docker/watch-docker/test/testbed"
)

// A good release that its user doesn't like: back by command, by the server's
// socket and over HTTP; the schedule leaves it alone from then on.
func TestARollbackByCommandAndOverHTTP(t *testing.T) {
	w := newWorld(t, testbed.AnyEngine, testbed.TLSToken)
	w.env = append(w.env, "USER_NAME=ann", "USER_PASSWORD=correct horse", "WATCH_UPDATE_STABLE_FOR=1s")
	reg := w.bed.Registry(testbed.TLSToken)
	w.release("app:latest", testbed.ImageOptions{Payload: "one"})
	w.container("app", reg.Ref("app:latest"), nil)
	name, one := w.bed.Name("app"), w.inspect("app").Image

	if _, stderr, code := w.run(nil, "rollback", name); code != app.ExitFailed || !strings.Contains(stderr, "no earlier image is kept for "+name) {
		t.Errorf("with nothing to go back to: %d %s", code, stderr)
	}
	if _, stderr, code := w.run(nil, "rollback"); code != app.ExitUsage || !strings.Contains(stderr, "name of one container") {
		t.Errorf("without a name: %d %s", code, stderr)
	}
	w.release("app:latest", testbed.ImageOptions{Payload: "two"})
	forward := func() {
		t.Helper()
		if stdout, stderr, code := w.run(nil, "update", "-force", name); code != app.ExitOK || w.inspect("app").Image == one {
			t.Fatalf("update: %d %s%s", code, stdout, stderr)
		}
	}
	forward()
	if c := w.scan()["app"]; c.Previous == nil || c.Previous.ImageID != one || c.Previous.OperationID == "" {
		t.Errorf("what a rollback would go to: %+v", c.Previous)
	}
	stdout, stderr, code := w.run(nil, "rollback", name, "-json")
	op := w.decodeRun(stdout)["app"]
	if code != app.ExitOK || w.inspect("app").Image != one || op.Kind != "rollback" || !strings.Contains(stderr, "app: gate done") {
		t.Fatalf("rollback: %d %+v %s", code, op, stderr)
	}
	w.expect(w.scan(), "app", scanner.UpdateAvailable, "quarantined")

	forward()
	s, _ := w.serve("WATCH_SCAN_INTERVAL=1h")
	if stdout, stderr, code := w.run(nil, "rollback", name); code != app.ExitOK || !strings.Contains(stdout, "back") || w.inspect("app").Image != one {
		t.Fatalf("rollback through the server: %d %s%s", code, stdout, stderr)
	}
	forward()
	c := w.login(s)
	var done store.Operation
	if code := c.call("POST", "/api/containers/"+name+"/rollback?wait=30s", "", &done); code != http.StatusAccepted || done.State != store.Succeeded || done.Actor != "ann" {
		t.Fatalf("rollback over HTTP: %d %+v", code, done)
	}
	if w.inspect("app").Image != one {
		t.Error("it isn't back")
	}
	var problem struct{ Code, Reason string }
	if code := c.call("POST", "/api/containers/"+name+"/rollback", "", &problem); code != http.StatusConflict || problem.Code != "update_refused" || problem.Reason != "nothing_to_roll_back_to" {
		t.Errorf("once more: %d %+v", code, problem)
	}
}
