package api

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"

	"github.com/watch-docker/watch-docker/internal/audit"
	"github.com/watch-docker/watch-docker/internal/auth"
	"github.com/watch-docker/watch-docker/internal/store"
)

// Audit is audit.Log.
type Audit interface {
	Record(ctx context.Context, e audit.Entry)
	Entries(ctx context.Context, f store.AuditFilter) ([]store.AuditEntry, error)
}

// unaudited stands in for an Audit that isn't there.
type unaudited struct{}

func (unaudited) Record(context.Context, audit.Entry) {}
func (unaudited) Entries(context.Context, store.AuditFilter) ([]store.AuditEntry, error) {
	return nil, nil
}

// trail is what a handler tells the audit log beyond what the request shows:
// names and choices, never what could be a secret.
type trail struct {
	user    string   // who tried to sign in, if there is such a user
	targets []string // what it was about; none: the path's parameters
	notes   []string
	code    string // the problem's
	always  bool   // recorded although it is a GET
	never   bool   // not recorded unless it is refused: it changes nothing, and anybody may do it
}

type trailKey struct{}

// trailOf is never nil.
func trailOf(ctx context.Context) *trail {
	if t, ok := ctx.Value(trailKey{}).(*trail); ok {
		return t
	}
	return &trail{}
}

// about names what a request is about, by the name that people know it by.
func (t *trail) about(target string) {
	if !slices.Contains(t.targets, target) {
		t.targets = append(t.targets, target)
	}
}

func (t *trail) note(when bool, what string) {
	if when {
		t.notes = append(t.notes, what)
	}
}

// triedBy notes who tried to sign in, but only a user that there is: people
// type passwords into the field above.
func (t *trail) triedBy(name string, err error) {
	var wrong *auth.CredentialsError
	if errors.As(err, &wrong) && wrong.KnownUser {
		t.user = name
	}
}

// audited records what changes something or was refused. names are the ids of
// operations by method and path as gin writes it.
func (s *server) audited(names map[string]string) gin.HandlerFunc {
	return func(c *gin.Context) {
		t, ended := &trail{}, false
		c.Request = c.Request.WithContext(context.WithValue(c.Request.Context(), trailKey{}, t))
		defer func() { // also if it panics
			name := names[c.Request.Method+" "+c.FullPath()]
			if c.FullPath() == "" || !t.counts(c) {
				return
			}
			e := t.entry(c, cmp.Or(name, c.Request.Method+" "+c.FullPath()))
			if !ended {
				e.Result, e.Detail = audit.Failed, CodeInternal
			}
			s.Audit.Record(c.Request.Context(), e)
		}()
		c.Next()
		ended = true
	}
}

// counts reports whether a request is one to record: not one that only reads,
// unless it was refused to somebody who tries to be somebody.
func (t *trail) counts(c *gin.Context) bool {
	switch c.Request.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
	default:
		return !t.never || c.Writer.Status() >= http.StatusBadRequest
	}
	if reveal, err := strconv.ParseBool(c.Query("reveal")); t.always || err == nil && reveal {
		return true
	}
	switch c.Writer.Status() {
	case http.StatusForbidden, http.StatusTooManyRequests:
		return true
	case http.StatusUnauthorized:
		return t.code != "" && carriesToken(c.Request)
	}
	return false
}

func carriesToken(r *http.Request) bool {
	if carriesBearer(r) {
		return true
	}
	for _, name := range []string{plainCookie, secureCookie} {
		if cookie, err := r.Cookie(name); err == nil && cookie.Value != "" {
			return true
		}
	}
	return false
}

func (t *trail) entry(c *gin.Context, action string) audit.Entry {
	who := callerOf(c.Request.Context())
	e := audit.Entry{User: cmp.Or(who.Username, t.user), Address: who.Address, Via: via(who), Action: action, Result: audit.OK}
	status := c.Writer.Status()
	if status >= http.StatusBadRequest {
		e.Result = audit.Refused
		// What huma refuses comes without a code of ours.
		e.Detail = cmp.Or(t.code, fromHuma(&huma.ErrorModel{Status: status}).Code)
	}
	if status >= http.StatusInternalServerError {
		e.Result = audit.Failed
	}
	e.Detail = strings.Join(slices.DeleteFunc(append([]string{e.Detail}, t.notes...), func(s string) bool { return s == "" }), "; ")
	targets := t.targets
	if len(targets) == 0 {
		for _, p := range c.Params {
			if auth.IsToken(p.Value) { // where its id belongs
				p.Value = "***"
			}
			targets = append(targets, p.Value)
		}
	}
	e.Target = strings.Join(targets, ", ")
	return e
}

// via is how the caller is known.
func via(who *caller) string {
	switch {
	case who.APIToken != "":
		return audit.ViaToken + " " + who.APIToken
	case who.Temporary:
		return audit.ViaTemp
	case who.SessionID != "":
		return audit.ViaSession
	}
	return ""
}

// operationIDs are by method and path as gin writes it.
func operationIDs(doc *huma.OpenAPI) map[string]string {
	ids := map[string]string{}
	for path, item := range doc.Paths {
		for method, op := range map[string]*huma.Operation{
			http.MethodGet: item.Get, http.MethodHead: item.Get, http.MethodPost: item.Post,
			http.MethodPut: item.Put, http.MethodPatch: item.Patch, http.MethodDelete: item.Delete,
		} {
			if op != nil {
				ids[method+" "+strings.NewReplacer("{", ":", "}", "").Replace(path)] = op.OperationID
			}
		}
	}
	return ids
}

// AuditEntry says who did what, and how it went.
type AuditEntry struct {
	ID      int64     `json:"id"`
	At      time.Time `json:"at"`
	User    string    `json:"user" doc:"Empty for nobody known"`
	Address string    `json:"address"`
	Via     string    `json:"via" example:"session" doc:"session, temporary session, token NAME, command line, schedule, server; empty for a stranger"`
	Action  string    `json:"action" example:"updateContainer" doc:"The operation's id here, or what the program did"`
	Target  string    `json:"target"`
	Result  string    `json:"result" enum:"ok,refused,failed"`
	Detail  string    `json:"detail" doc:"A problem's code, or what else there is to say"`
}

type listAuditIn struct {
	User   string    `query:"user" maxLength:"64"`
	Action string    `query:"action" maxLength:"64"`
	Result string    `query:"result" enum:"ok,refused,failed"`
	Since  time.Time `query:"since" doc:"Not before"`
	Until  time.Time `query:"until" doc:"Before"`
	Before int64     `query:"before" minimum:"1" doc:"Only those before the one with this id"`
	Limit  int       `query:"limit" minimum:"1" maximum:"500" default:"100"`
}

type listAuditOut struct {
	Body struct {
		Entries []AuditEntry `json:"entries"`
		Next    *int64       `json:"next" doc:"Give it as before for the next page; null on the last"`
	} `nameHint:"AuditPage"`
}

func (s *server) listAudit(ctx context.Context, in *listAuditIn) (*listAuditOut, error) {
	all, err := s.Audit.Entries(ctx, store.AuditFilter{
		User: in.User, Action: in.Action, Result: in.Result, Since: in.Since, Until: in.Until, Before: in.Before, Limit: in.Limit + 1,
	})
	if err != nil {
		return nil, err
	}
	out := &listAuditOut{}
	if len(all) > in.Limit {
		all = all[:in.Limit]
		out.Body.Next = &all[in.Limit-1].ID
	}
	out.Body.Entries = make([]AuditEntry, 0, len(all))
	for _, e := range all {
		out.Body.Entries = append(out.Body.Entries, AuditEntry(e))
	}
	return out, nil
}
