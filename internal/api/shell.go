package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/coder/websocket"
	"github.com/gin-gonic/gin"

	"github.com/watch-docker/watch-docker/internal/audit"
	"github.com/watch-docker/watch-docker/internal/shell"
)

const (
	shellPath     = "/api/shell/ws"
	maxTyped      = 1 << 20 // bytes of one message
	maxCells      = 1000    // columns, rows
	maxPath       = 4096
	maxShellWords = 64
)

// Terminals opens what shells run in.
type Terminals interface {
	// InContainer starts a command, or a shell, in a container.
	//
	// Errors: *shell.Error, ErrUnknownContainer, *ConflictError, ErrEngineUnavailable.
	InContainer(ctx context.Context, id string, o ShellOptions) (shell.Terminal, error)
	// OnHost does so where this program runs. Errors: *shell.Error.
	OnHost(ctx context.Context, o ShellOptions) (shell.Terminal, error)
	// HostEnabled is shell.hostEnabled.
	HostEnabled() bool
	// Own reports whether this program runs in that container.
	Own(id string) bool
}

// ShellOptions say what runs in a terminal.
type ShellOptions struct {
	Command    []string // none: a shell
	User       string   // empty: the container's
	Dir        string   // empty: the container's
	Cols, Rows int
	Debug      bool // bring a shell along if there is none
}

// dialogue is one connection with a shell.
type dialogue struct {
	*server

	options   ShellOptions
	container string // its name; empty: the host
	id        string
	resumed   bool
	shell     *shell.Shell
	out       *socket
	opened    chan struct{} // closed once shell is set, or never will be
}

// openShell is GET /api/shell/ws.
func (s *server) openShell(c *gin.Context) {
	d := &dialogue{server: s, opened: make(chan struct{})}
	if err := d.prepare(c); err != nil {
		p, _ := s.fail(c.Request.Context(), err).(Problem) //nolint:errorlint // fail makes nothing else
		p.write(c)
		return
	}
	s.upgradeBoth(d.talk, d.hear, maxTyped)(c)
}

// prepare reads and checks what is asked for.
func (d *dialogue) prepare(c *gin.Context) error {
	ctx, query := c.Request.Context(), c.Request.URL.Query()
	wrong := map[string]string{}
	for name := range query {
		if !slices.Contains([]string{"container", "cols", "rows", "command", "user", "cwd", "resume", "debug"}, name) {
			wrong["query."+name] = "there is no such parameter"
		}
	}
	cols, rows := 80, 24
	if query.Has("resume") { // it has a size already
		cols, rows = 0, 0
	}
	d.options = ShellOptions{Cols: cells(query, "cols", cols, wrong), Rows: cells(query, "rows", rows, wrong)}
	d.options.read(query, wrong)
	if len(wrong) > 0 {
		return wrongQuery(wrong)
	}
	if d.Shells == nil || d.Terminals == nil {
		return problem(http.StatusNotFound, CodeNotFound, "There are no shells here.")
	}
	if id := query.Get("resume"); id != "" {
		return d.resume(ctx, id)
	}
	if named := query.Get("container"); named != "" {
		found, err := d.find(ctx, named)
		if err != nil {
			return err
		}
		d.container, d.id = found.Name, found.ID
	}
	return d.mayOpen(ctx)
}

// mayOpen fails unless the caller may have a shell there: where this program
// itself runs, its keys can be read.
func (d *dialogue) mayOpen(ctx context.Context) error {
	if d.container != "" && !d.Terminals.Own(d.id) {
		return nil
	}
	if err := d.allows(adminFresh, callerOf(ctx)); err != nil {
		return err
	}
	if !d.Terminals.HostEnabled() {
		return hostDisabled()
	}
	if d.container == "" && d.options.User != "" {
		return wrongQuery(map[string]string{"query.user": "is for containers alone"})
	}
	return nil
}

func hostDisabled() Problem {
	return problem(http.StatusForbidden, CodeHostShell,
		"A shell where Watch Docker itself runs is off. Whoever runs it turns it on with shell.hostEnabled: true (IS_OPEN_DOCKER_SHELL=true).")
}

func (d *dialogue) resume(ctx context.Context, id string) error {
	found, ok := d.resumable(ctx, id)
	if !ok {
		return problem(http.StatusNotFound, CodeNoShellLeft, "There is no such shell of this session, or no more.")
	}
	d.shell, d.container, d.resumed = found, found.Label(), true
	if d.container == "" && !d.Terminals.HostEnabled() {
		return hostDisabled()
	}
	return nil
}

func (s *server) resumable(ctx context.Context, id string) (*shell.Shell, bool) {
	if s.Shells == nil || id == "" {
		return nil, false
	}
	who := callerOf(ctx)
	return s.Shells.Find(id, who.Username, who.SessionID)
}

// comesBack reports whether a request asks for a shell that its session has
// already: whoever knows its id was there when it was opened, with a fresh proof.
func (s *server) comesBack(r *http.Request) bool {
	if r.URL.Path != shellPath {
		return false
	}
	_, ok := s.resumable(r.Context(), r.URL.Query().Get("resume"))
	return ok
}

// Frames of a shell's socket, besides the bytes.
type (
	shellFrame struct {
		Type    string `json:"type"` // shell
		ID      string `json:"id"`
		Resumed bool   `json:"resumed"`
	}
	exitFrame struct {
		Type string `json:"type"` // exit
		Code int    `json:"code"`
	}
)

// talk opens the shell, or finds it, and shows it.
func (d *dialogue) talk(ctx context.Context, out *socket) error {
	d.out = out
	if d.shell == nil {
		opened, err := d.start(ctx)
		if err != nil {
			close(d.opened)
			return out.send(ctx, d.refusal(ctx, err))
		}
		d.shell = opened
	} else if min(d.options.Cols, d.options.Rows) > 0 {
		d.shell.Resize(d.options.Cols, d.options.Rows)
	}
	close(d.opened)
	if err := out.send(ctx, shellFrame{Type: "shell", ID: d.shell.ID(), Resumed: d.resumed}); err != nil {
		return err
	}
	code, err := d.shell.Show(ctx, func(p []byte) error { return out.write(ctx, websocket.MessageBinary, p) })
	switch {
	case err == nil:
		return out.send(ctx, exitFrame{Type: "exit", Code: code})
	case errors.Is(err, shell.ErrTakenOver):
		return errTakenOver
	case errors.Is(err, shell.ErrEnded):
		return nil
	}
	return err
}

// refusal says why there is no shell.
func (d *dialogue) refusal(ctx context.Context, err error) errorFrame {
	var known *shell.Error
	if errors.As(err, &known) {
		return errorFrame{Type: "error", Code: known.Code, Message: known.Message}
	}
	p, _ := d.fail(ctx, err).(Problem) //nolint:errorlint // fail makes nothing else
	return errorFrame{Type: "error", Code: p.Code, Message: p.Detail}
}

// start opens the shell and records it; its end is recorded when it comes.
func (d *dialogue) start(ctx context.Context) (*shell.Shell, error) {
	who := callerOf(ctx)
	entry := audit.Entry{User: who.Username, Address: who.Address, Via: via(who), Target: d.container, Result: audit.OK}
	if entry.Target == "" {
		entry.Target = "host"
	}
	what := d.options.describe()
	record := context.WithoutCancel(ctx)
	ended, release := d.Auth.Ended(record, who.SessionID)
	note := func(action, result, detail string) {
		e := entry
		e.Action, e.Result, e.Detail = action, result, strings.TrimSuffix(what+"; "+detail, "; ")
		d.Audit.Record(record, e)
	}
	opened, err := d.Shells.Start(ctx, shell.Request{
		User: who.Username, Session: who.SessionID, Label: d.container, Ended: ended, Until: who.ExpiresAt,
		Open: func(ctx context.Context) (shell.Terminal, error) {
			terminal, err := d.terminal(ctx)
			if err == nil {
				note("openShell", audit.OK, "")
			}
			return terminal, err
		},
		Closed: func(o shell.Outcome) {
			release()
			result, detail := closing(o)
			note("closeShell", result, detail)
		},
	})
	if err != nil {
		release()
		note("openShell", audit.Refused, d.refusal(ctx, err).Code)
		return nil, err
	}
	return opened, nil
}

func (d *dialogue) terminal(ctx context.Context) (shell.Terminal, error) {
	if d.container == "" {
		return d.Terminals.OnHost(ctx, d.options)
	}
	return d.Terminals.InContainer(ctx, d.id, d.options)
}

// closing says in words how a shell ended.
func closing(o shell.Outcome) (result, detail string) {
	result, detail = audit.OK, fmt.Sprintf("%s, after %s", o.Why, o.Took.Round(time.Second))
	switch {
	case o.Err != nil && o.Why != shell.WhyExit:
		return audit.Failed, detail + "; processes of it may be left"
	case o.Err != nil:
		return audit.Failed, detail + "; how it ended isn't known"
	case o.Why == shell.WhyExit:
		detail += fmt.Sprintf(", with code %d", o.Code)
	}
	return result, detail
}

// describe is what runs, for the record.
func (o *ShellOptions) describe() string {
	what := "shell"
	if len(o.Command) > 0 {
		what = strings.Join(o.Command, " ")
	}
	if o.User != "" {
		what += ", as " + o.User
	}
	if o.Debug {
		what += ", with a shell brought along"
	}
	return what
}

// hear takes a message: bytes are typed, text steers.
func (d *dialogue) hear(ctx context.Context, kind websocket.MessageType, message []byte) error {
	select {
	case <-d.opened:
	case <-ctx.Done():
		return nil
	}
	if d.shell == nil {
		return nil
	}
	if kind == websocket.MessageBinary {
		if err := d.shell.Type(message); err != nil {
			return d.out.send(ctx, d.refusal(ctx, err))
		}
		return nil
	}
	var m struct {
		Type       string `json:"type"`
		Cols, Rows int
	}
	switch err := json.Unmarshal(message, &m); {
	case err == nil && m.Type == "close":
		d.shell.Close()
	case err == nil && m.Type == "resize" && min(m.Cols, m.Rows) > 0 && max(m.Cols, m.Rows) <= maxCells:
		d.shell.Resize(m.Cols, m.Rows)
	default:
		return d.out.send(ctx, errorFrame{Type: "error", Code: CodeBadMessage, Message: fmt.Sprintf("Text is {\"type\":\"resize\",\"cols\",\"rows\"}, each from 1 to %d, or {\"type\":\"close\"}.", maxCells)})
	}
	return nil
}
