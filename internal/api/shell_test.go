package api_test

import (
	"context"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/watch-docker/watch-docker/internal/api"
	"github.com/watch-docker/watch-docker/internal/shell"
)

// terminals are programs of this machine; the container one is our own.
type terminals struct{ enabled bool }

func (terminals) InContainer(_ context.Context, _ string, o api.ShellOptions) (shell.Terminal, error) {
	return shell.Host(shell.HostOptions{Cmd: []string{"/bin/cat"}, Dir: "/", Cols: o.Cols, Rows: o.Rows, Environ: os.Environ()})
}

func (t terminals) OnHost(ctx context.Context, o api.ShellOptions) (shell.Terminal, error) {
	return t.InContainer(ctx, "", o)
}

func (t terminals) HostEnabled() bool { return t.enabled }
func (terminals) Own(id string) bool  { return id == oneID }

func newShells(t *testing.T, enabled bool) *world {
	t.Helper()
	manager := shell.New(shell.Options{})
	w := newWorld(t, func(d *api.Dependencies) { d.Shells, d.Terminals = manager, terminals{enabled} })
	t.Cleanup(manager.Close)
	return w.signIn()
}

// shell opens a shell's socket and gives its id.
func (w *world) shell(query string) (*websocket.Conn, string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, w.url+"/api/shell/ws?"+query, &websocket.DialOptions{HTTPClient: w.client, HTTPHeader: http.Header{"Authorization": {"Bearer " + w.token}}})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = conn.CloseNow() })
	first := w.read(conn)
	id, ok := first.get("id").(string)
	if !ok || first.get("type") != "shell" {
		w.t.Fatal(first)
	}
	return conn, id
}

func TestAShellNeedsAFreshProofOnce(t *testing.T) {
	w := newShells(t, false)
	conn, id := w.shell("container=web")
	w.pass(6 * time.Minute)
	w.as("GET", "/api/shell/ws?container=web").is(http.StatusForbidden, "step_up_required")
	w.as("GET", "/api/shell/ws?resume="+id+"x").is(http.StatusForbidden, "step_up_required")
	again, same := w.shell("resume=" + id)
	if same != id {
		t.Error(same)
	}
	closes(t, conn, 4001, "taken")
	first := w.token
	w.signIn()
	w.as("GET", "/api/shell/ws?resume="+id).is(http.StatusNotFound, "shell_not_found")
	w.token = first
	if a := w.as("POST", "/api/v1/auth/logout"); a.status != http.StatusNoContent {
		t.Fatal(a)
	}
	closes(t, again, websocket.StatusPolicyViolation, "session has ended")
}

func TestAShellWhereWatchDockerRunsIsForAdministratorsIfItIsOn(t *testing.T) {
	off, on := newShells(t, false), newShells(t, true)
	for _, query := range []string{"", "?container=one"} {
		off.as("GET", "/api/shell/ws"+query).is(http.StatusForbidden, "host_shell_disabled")
		on.as("GET", "/api/shell/ws"+query).is(http.StatusUpgradeRequired, "websocket_expected")
	}
	roled := newWorld(t, func(d *api.Dependencies) {
		d.Auth, d.Shells, d.Terminals, d.Files = roles{}, shell.New(shell.Options{}), terminals{true}, noFiles{}
	})
	for _, path := range []string{"/api/shell/ws", "/api/shell/ws?container=one", "/api/containers/one/files?path=/"} {
		a := roled.do("GET", path, bearer("operator"))
		a.is(http.StatusForbidden, "forbidden")
	}
	roled.do("GET", "/api/shell/ws?container=web", bearer("operator")).is(http.StatusUpgradeRequired, "websocket_expected")
	for query, field := range map[string]string{
		"container=web&cols=1001": "query.cols", "container=web&rows=-1": "query.rows", "user=root": "query.user", "container=web&user=a%3Bb": "query.user", "container=web&user=a;b": "query", "container=web&command=": "query.command",
		"container=web&cwd=" + strings.Repeat("/x", 3000): "query.cwd", "container=web&command=%22a": "query.command", "container=web&tty=1": "query.tty",
	} {
		a := roled.do("GET", "/api/shell/ws?"+query, bearer("admin"))
		a.is(http.StatusUnprocessableEntity, "validation_failed")
		if a.get("errors", field) == nil {
			t.Errorf("%s: %s", query, a)
		}
	}
}

type noFiles struct{ api.Files }
