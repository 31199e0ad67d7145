package integration_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/watch-docker/watch-docker/internal/api"
	"github.com/watch-docker/watch-docker/internal/app"
	"github.com/watch-docker/watch-docker/internal/scanner"
	"github.com/watch-docker/watch-docker/internal/store"
	"github.com/watch-docker/watch-docker/test/testbed"
)

// release pushes an image of one platform.
func (w *world) release(tag string, o testbed.ImageOptions) string {
	w.Helper()
	reg := w.bed.Registry(testbed.TLSToken)
	digest, err := reg.Push(w.Context(), tag, w.image(o))
	if err != nil {
		w.Fatal(err)
	}
	return digest
}

func checked(command string) *v1.HealthConfig {
	return &v1.HealthConfig{Test: []string{"CMD-SHELL", command}, Interval: 300 * time.Millisecond, Timeout: 20 * time.Second, Retries: 2}
}

// outdated runs two containers with a health check and pushes a good release
// for "good" and one for "bad" that is never healthy.
func (w *world) outdated() {
	w.Helper()
	reg := w.bed.Registry(testbed.TLSToken)
	for _, name := range []string{"good", "bad"} {
		w.release(name+":latest", testbed.ImageOptions{Payload: "one", Healthcheck: checked("true")})
		w.pull(reg.Ref(name + ":latest"))
		w.start(testbed.ContainerSpec{Name: name, Image: reg.Ref(name + ":latest"),
			HostConfig: &container.HostConfig{RestartPolicy: container.RestartPolicy{Name: "unless-stopped"}}})
	}
	w.release("good:latest", testbed.ImageOptions{Payload: "two", Healthcheck: checked("true")})
	w.release("bad:latest", testbed.ImageOptions{Payload: "two", Healthcheck: checked("false"),
		Cmd: testbed.Stoppable("sh", "-c", "echo nothing works here; sleep 1000")})
}

func (w *world) inspect(short string) container.InspectResponse {
	w.Helper()
	res, err := w.bed.Engine().Client().ContainerInspect(w.Context(), w.bed.Name(short), client.ContainerInspectOptions{})
	if err != nil {
		w.Fatal(err)
	}
	return res.Container
}

func (w *world) decodeRun(stdout string) map[string]store.Operation {
	w.Helper()
	var run api.Run
	if err := json.Unmarshal([]byte(stdout), &run); err != nil {
		w.Fatalf("%v in %s", err, stdout)
	}
	all := map[string]store.Operation{}
	for _, op := range run.Operations {
		all[strings.TrimPrefix(op.Target, w.bed.Prefix())] = op
	}
	return all
}

func (w *world) expectOutcome(ops map[string]store.Operation) {
	w.Helper()
	if op := ops["good"]; op.State != store.Succeeded || op.DowntimeMs <= 0 || op.FromDigest == op.ToDigest {
		w.Errorf("good: %+v", op)
	}
	op := ops["bad"]
	if op.State != store.RolledBack || op.Error == nil || op.Error.Code != "container_unhealthy" || !strings.Contains(strings.Join(op.Error.Logs, "\n"), "nothing works here") {
		w.Errorf("bad: %+v, %+v", op, op.Error)
	}
	for _, name := range []string{"good", "bad"} {
		if c := w.inspect(name); !c.State.Running || c.HostConfig.RestartPolicy.Name != "unless-stopped" {
			w.Errorf("%s: %+v", name, c.State)
		}
	}
}

func TestTheCommandLineUpdatesByItself(t *testing.T) {
	w := newWorld(t, testbed.AnyEngine, testbed.TLSToken)
	w.outdated()
	before := w.inspect("good").ID

	stdout, stderr, code := w.run(nil, "update", "-all", "-dry-run")
	if code != app.ExitOK || strings.Count(stdout, "would update") != 2 || w.inspect("good").ID != before {
		t.Errorf("dry run: %d\n%s%s", code, stdout, stderr)
	}
	stdout, stderr, code = w.run(nil, "update", "-all", "-json")
	if code != app.ExitSome {
		t.Errorf("exit %d: %s", code, stderr)
	}
	w.expectOutcome(w.decodeRun(stdout))
	for _, line := range []string{"good: pull done", "good: gate done", "bad: gate failed", "bad: rollback done"} {
		if !strings.Contains(stderr, line) {
			t.Errorf("stderr doesn't say %q: %s", line, stderr)
		}
	}

	// The broken release is tried once: it is left alone, and said so.
	all := w.scan()
	w.expect(all, "good", scanner.UpToDate, "allowed")
	w.expect(all, "bad", scanner.UpdateAvailable, "quarantined")
	stdout, _, code = w.run(nil, "update", "-all")
	if code != app.ExitOK || !strings.Contains(stdout, "has failed here before") || !strings.Contains(stdout, "Nothing to update") {
		t.Errorf("after a rollback: %d\n%s", code, stdout)
	}
	stdout, _, code = w.run(nil, "update", "-force", w.bed.Name("bad"))
	if code != app.ExitFailed || !strings.Contains(stdout, "rolled back") || !strings.Contains(stdout, "nothing works here") {
		t.Errorf("by force: %d\n%s", code, stdout)
	}
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"update"}, app.ExitUsage, "-all"},
		{[]string{"update", "-all", "web"}, app.ExitUsage, "-all"},
		{[]string{"update", "nobody"}, app.ExitFailed, "nobody"},
	} {
		if _, stderr, code := w.run(nil, c.args...); code != c.code || !strings.Contains(stderr, c.says) {
			t.Errorf("%v: %d %s", c.args, code, stderr)
		}
	}
}

// caller speaks to a server's API.
type caller struct {
	t     *testing.T
	base  string
	token string
}

func (w *world) login(s *app.Server) caller {
	w.Helper()
	c := caller{t: w.T, base: "http://" + s.Addr()}
	var in struct{ Token string }
	if code := c.call("POST", "/api/v1/auth/login", `{"username":"ann","password":"correct horse"}`, &in); code != http.StatusOK || in.Token == "" {
		w.Fatalf("login: %d", code)
	}
	c.token = in.Token
	return c
}

func (c caller) call(method, path, body string, into any) int {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.base+path, bytes.NewBufferString(body))
	if err != nil {
		c.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	if res.StatusCode == http.StatusUnprocessableEntity {
		c.t.Logf("%s %s: %s", method, path, text)
	}
	if into != nil && len(text) > 0 {
		if err := json.Unmarshal(text, into); err != nil {
			c.t.Fatalf("%s %s: %v in %s", method, path, err, text)
		}
	}
	return res.StatusCode
}

func TestTheServerUpdatesOverHTTPAndForTheCommandLine(t *testing.T) {
	w := newWorld(t, testbed.AnyEngine, testbed.TLSToken)
	w.outdated()
	w.env = append(w.env, "USER_NAME=ann", "USER_PASSWORD=correct horse")
	s, _ := w.serve("WATCH_SCAN_INTERVAL=1h")
	c := w.login(s)
	var op store.Operation
	if code := c.call("POST", "/api/scan?wait=30s", `{}`, &op); code != http.StatusAccepted || op.State != store.Succeeded {
		t.Fatalf("scan: %d %+v", code, op)
	}
	var listed struct{ Containers []scanner.ContainerStatus }
	if code := c.call("GET", "/api/containers?status=updateAvailable", "", &listed); code != http.StatusOK || len(listed.Containers) < 2 {
		t.Fatalf("containers: %d %+v", code, listed)
	}
	var dry api.Run
	if code := c.call("POST", "/api/updates/run", `{"dryRun":true}`, &dry); code != http.StatusAccepted && code != http.StatusOK || len(dry.Operations) != 2 {
		t.Errorf("dry run: %d %+v", code, dry)
	}

	// One over HTTP, with everything else kept off it meanwhile.
	ops := map[string]store.Operation{}
	bad := w.bed.Name("bad")
	if code := c.call("POST", "/api/containers/"+bad+"/update", `{}`, &op); code != http.StatusAccepted {
		t.Fatalf("update: %d", code)
	}
	var again store.Operation
	if c.call("POST", "/api/containers/"+bad+"/update", `{}`, &again); again.ID != op.ID {
		t.Errorf("a second request gave %s beside %s", again.ID, op.ID)
	}
	for _, r := range [][2]string{{"POST", "/stop"}, {"POST", "/start"}, {"DELETE", "?force=true"}} {
		var problem struct{ Code, OperationID string }
		if code := c.call(r[0], "/api/containers/"+bad+r[1], "", &problem); code != http.StatusConflict || problem.Code != "container_busy" || problem.OperationID != op.ID {
			t.Errorf("%v during an operation: %d %+v", r, code, problem)
		}
	}
	if code := c.call("GET", "/api/operations/"+op.ID+"?wait=60s", "", &op); code != http.StatusOK || !op.State.Finished() {
		t.Errorf("operation: %d %+v", code, op)
	}
	ops["bad"] = op

	// The other through the server's socket.
	stdout, stderr, code := w.run(nil, "update", "-json", w.bed.Name("good"))
	if code != app.ExitOK || !strings.Contains(stderr, "good: swap done") {
		t.Errorf("update by socket: %d %s", code, stderr)
	}
	ops["good"] = w.decodeRun(stdout)["good"]
	w.expectOutcome(ops)
	var record struct{ Operations []store.Operation }
	if code := c.call("GET", "/api/operations?kind=update", "", &record); code != http.StatusOK || len(record.Operations) != 2 || record.Operations[0].Actor != "command line" || record.Operations[1].Actor != "ann" {
		t.Errorf("record: %d %+v", code, record)
	}

	// Lifecycle.
	good := w.bed.Name("good")
	var status scanner.ContainerStatus
	if code := c.call("POST", "/api/containers/"+good+"/stop", "", &status); code != http.StatusOK || status.Running {
		t.Errorf("stop: %d %+v", code, status)
	}
	if code := c.call("POST", "/api/containers/"+good+"/start", "", &status); code != http.StatusOK || !status.Running {
		t.Errorf("start: %d %+v", code, status)
	}
	if code := c.call("DELETE", "/api/containers/"+good+"?force=true", "", nil); code != http.StatusNoContent {
		t.Errorf("delete: %d", code)
	}
	if code := c.call("GET", "/api/containers/"+good, "", nil); code != http.StatusNotFound {
		t.Errorf("after delete: %d", code)
	}
}

func TestTheScheduleUpdatesWhatPolicyAllows(t *testing.T) {
	w := newWorld(t, testbed.AnyEngine, testbed.TLSToken)
	w.outdated()
	reg := w.bed.Registry(testbed.TLSToken)
	w.release("mine:latest", testbed.ImageOptions{Payload: "one"})
	w.container("mine", reg.Ref("mine:latest"), map[string]string{"watchdocker.skipUpdate": "true"})
	w.release("mine:latest", testbed.ImageOptions{Payload: "two"})
	mine := w.inspect("mine").ID
	s, _ := w.serve("WATCH_SCAN_INTERVAL=1h", "WATCH_UPDATE_AUTO_UPDATE_CRON=* * * * *", "TZ=Asia/Shanghai")
	testbed.Eventually(t, 100*time.Second, func() error {
		all := w.byName(s.Latest())
		if all["good"].Status != scanner.UpToDate || all["bad"].Quarantined == nil {
			return fmt.Errorf("good %s, bad %+v", all["good"].Status, all["bad"].Quarantined)
		}
		return nil
	})
	if w.inspect("mine").ID != mine {
		t.Error("a container that is left to people was updated")
	}
	w.expect(w.byName(s.Latest()), "mine", scanner.UpdateAvailable, "skip_update_label")
}
