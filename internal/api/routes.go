package api

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"
)

// routes is all there is over HTTP: who may call what. A route that is not
// here doesn't exist, and one without a role needs none.
func (s *server) routes(r *routes) {
	handle(r, anyone, "GET /healthz", "health", "Whether the process lives", s.health)
	handle(r, anyone, "GET /readyz", "ready", "Whether engine and store answer", s.ready)
	s.accountRoutes(r)
	s.factorRoutes(r)

	handle(r, viewer, "GET /api/containers", "listContainers", "All containers and what is known of their images", s.listContainers)
	handle(r, viewer, "GET /api/containers/{id}", "getContainer", "One container and how it is configured", s.getContainer)
	handle(r, viewer, "GET /api/containers/{id}/preview", "previewUpdate", "What an update of a container would do; nothing is changed", s.previewUpdate)
	handle(r, operator, "POST /api/containers/{id}/update", "updateContainer", "Update a container", s.updateContainer, accepted)
	handle(r, operator, "POST /api/containers/{id}/rollback", "rollbackContainer", "Give a container the image back that it ran before", s.rollbackContainer, accepted)
	handle(r, operator, "POST /api/containers/{id}/start", "startContainer", "Start a container", s.act(Start))
	handle(r, operator, "POST /api/containers/{id}/stop", "stopContainer", "Stop a container", s.act(Stop))
	handle(r, operator, "POST /api/containers/{id}/restart", "restartContainer", "Restart a container", s.act(Restart))
	handle(r, operator, "POST /api/containers/{id}/pause", "pauseContainer", "Freeze a container's processes", s.act(Pause))
	handle(r, operator, "POST /api/containers/{id}/unpause", "unpauseContainer", "Let a paused container go on", s.act(Unpause))
	handle(r, operator, "POST /api/containers/{id}/kill", "killContainer", "Send a container a signal", s.killContainer)
	handle(r, operator, "POST /api/containers/{id}/rename", "renameContainer", "Give a container another name", s.renameContainer)
	handle(r, operator, "DELETE /api/containers/{id}", "removeContainer", "Remove a container; with its volumes only as an administrator", s.removeContainer)
	s.fileRoutes(r)
	s.composeRoutes(r)

	handle(r, operator, "POST /api/updates/run", "runUpdates", "Update all that policy allows", s.runUpdates, accepted)
	handle(r, operator, "POST /api/compose/{project}/update", "updateProject", "Update the containers of a Compose project, each after those that it needs", s.updateProject, accepted)
	handle(r, operator, "POST /api/scan", "scan", "Ask the registries", s.startScan, accepted)
	handle(r, viewer, "GET /api/operations", "listOperations", "Operations, newest first", s.listOperations)
	handle(r, viewer, "GET /api/operations/{id}", "getOperation", "One operation, with its steps", s.getOperation)
	handle(r, operator, "POST /api/operations/{id}/cancel", "cancelOperation", "End an operation that hasn't changed anything yet", s.cancelOperation, accepted)

	s.resourceRoutes(r)

	handle(r, viewer, "GET /api/containers/{id}/logs", "downloadLog", "What a container wrote, as a file", s.downloadLog, asText)
	r.plain(viewer, "GET /api/containers/{id}/logs/ws", s.upgradeFor(s.containerLogs))
	r.plain(viewer, "GET /api/compose/logs/ws", s.upgradeFor(s.composeLogs))

	r.plain(viewer, "GET /api/events/ws", s.eventsSocket)
	r.plain(operatorFresh, "GET "+shellPath, s.openShell)
	r.plain(anyone, "GET /", s.page)
	r.plain(anyone, "GET /assets/{path...}", s.page)

	handle(r, viewer, "GET /api/system", "getSystem", "How the program, the engine and the registries are doing", s.getSystem)
	handle(r, administrator, "GET /api/config", "getConfig", "The configuration, secrets masked", s.getConfig)
	handle(r, administrator, "GET /api/audit", "listAudit", "Who did what, newest first", s.listAudit)
	handle(r, viewer, "GET /api/openapi.json", "getOpenAPI", "This document", s.getOpenAPI)
}

const (
	maxBody = 1 << 20 // bytes
	// bodyTimeout is for reading a body, not for the answer: see deadlines.
	bodyTimeout = 10 * time.Second
)

// accountRoutes are about who is asking, and about who may.
func (s *server) accountRoutes(r *routes) {
	handle(r, anyone, "POST /api/v1/auth/login", "login", "Sign in with a password", s.login)
	handle(r, anyone, "GET /api/v1/auth/setup", "needsSetup", "Whether nobody can sign in yet", s.needsSetup)
	handle(r, anyone, "POST /api/v1/auth/setup", "setup", "Make the first administrator with the token from the log", s.setup)
	handle(r, anyone, "POST /api/v1/auth/passkey/begin", "beginPasskeyLogin", "Begin to sign in with a passkey alone", s.beginPasskeyLogin)
	handle(r, anyone, "POST /api/v1/auth/passkey/finish", "finishPasskeyLogin", "Sign in with a passkey alone", s.finishPasskeyLogin)
	handle(r, viewer, "GET /api/v1/auth/me", "me", "Who the token stands for", s.me)
	handle(r, session, "POST /api/v1/auth/logout", "logout", "End this session", s.logout)
	handle(r, session, "POST /api/v1/auth/password", "changePassword", "Change the password, and end all sessions", s.changePassword)
	handle(r, session, "POST /api/v1/auth/step-up", "stepUp", "Prove to be there, for what needs it fresh", s.stepUp)
	handle(r, session, "GET /api/v1/auth/sessions", "listSessions", "Own sessions", s.listSessions)
	handle(r, session, "DELETE /api/v1/auth/sessions/{id}", "endSession", "End one of the own sessions", s.endSession)
	handle(r, session, "DELETE /api/v1/auth/sessions", "endOtherSessions", "End all own sessions but this one", s.endOtherSessions)
	handle(r, viewerFresh, "GET /api/v1/auth/tokens", "listTokens", "Own API tokens", s.listTokens)
	handle(r, viewerFresh, "POST /api/v1/auth/tokens", "makeToken", "Make an API token; it is shown once", s.makeToken, created)
	handle(r, viewerFresh, "DELETE /api/v1/auth/tokens/{id}", "removeToken", "End an API token", s.removeToken)

	handle(r, adminFresh, "GET /api/users", "listUsers", "All users", s.listUsers)
	handle(r, adminFresh, "POST /api/users", "addUser", "Add a user", s.addUser, created)
	handle(r, adminFresh, "PATCH /api/users/{name}", "changeUser", "Change a user's role or password, or remove their second factors", s.changeUser)
	handle(r, adminFresh, "DELETE /api/users/{name}", "removeUser", "Remove a user", s.removeUser)
}

// factorRoutes are about second factors.
func (s *server) factorRoutes(r *routes) {
	handle(r, temporary, "GET /api/v1/2fa/status", "factorStatus", "Own second factors", s.factorStatus)
	handle(r, enrolling, "POST /api/v1/2fa/setup/otp/init", "beginOTP", "Begin to set up one-time passwords", s.beginOTP)
	handle(r, enrolling, "POST /api/v1/2fa/setup/otp/verify", "finishOTP", "Set up one-time passwords with the first of them", s.finishOTP)
	handle(r, enrolling, "POST /api/v1/2fa/setup/webauthn/begin", "beginRegistration", "Begin to set up a passkey", s.beginRegistration)
	handle(r, enrolling, "POST /api/v1/2fa/setup/webauthn/finish", "finishRegistration", "Set up a passkey", s.finishRegistration)
	handle(r, temporary, "POST /api/v1/2fa/verify/otp", "verifyOTP", "Give a one-time password", s.verifyOTP)
	handle(r, temporary, "POST /api/v1/2fa/verify/recovery", "verifyRecovery", "Give a recovery code", s.verifyRecovery)
	handle(r, temporary, "POST /api/v1/2fa/verify/webauthn/begin", "beginVerification", "Begin to use a passkey", s.beginVerification)
	handle(r, temporary, "POST /api/v1/2fa/verify/webauthn/finish", "finishVerification", "Use a passkey", s.finishVerification)
	handle(r, viewerFresh, "POST /api/v1/2fa/disable", "disableFactor", "Remove a second factor, or all of them", s.disableFactor)
	handle(r, viewerFresh, "POST /api/v1/2fa/recovery-codes", "newRecoveryCodes", "New recovery codes in place of the old ones", s.newRecoveryCodes)
	handle(r, viewerFresh, "PATCH /api/v1/2fa/credentials/{id}", "renameCredential", "Rename a passkey", s.renameCredential)
	handle(r, viewerFresh, "DELETE /api/v1/2fa/credentials/{id}", "removeCredential", "Remove a passkey", s.removeCredential)
}

// routes registers routes and remembers who may call each.
type routes struct {
	api    huma.API
	router *gin.Engine
	needs  map[string]access // by method and path as gin writes it: "GET /api/containers/:id"
	fail   func(context.Context, error) error
	verify func(context.Context, access) error
}

// plain registers a route beside huma, and not in its document: a WebSocket or
// a file.
func (r *routes) plain(who access, route string, h gin.HandlerFunc) {
	method, path, _ := strings.Cut(route, " ")
	path = pathOf(path)
	r.needs[method+" "+path] = who
	r.router.Handle(method, path, h)
}

// pathOf is a path as gin writes it.
func pathOf(path string) string {
	return strings.NewReplacer("{path...}", "*path", "{", ":", "}", "").Replace(path)
}

// handle registers one route. Its success is 200, or 204 if O has no body.
func handle[I, O any](r *routes, who access, route, id, summary string, h func(context.Context, *I) (*O, error), options ...func(*huma.Operation)) {
	method, path, _ := strings.Cut(route, " ")
	op := huma.Operation{
		Method: method, Path: path, OperationID: id, Summary: summary, Tags: []string{tag(path)},
		MaxBodyBytes: maxBody, BodyReadTimeout: bodyTimeout,
		Extensions: map[string]any{"x-access": "anyone"}, Security: []map[string][]string{},
	}
	if who != anyone {
		op.Extensions["x-access"] = string(who)
		op.Security = []map[string][]string{{"bearer": {}}, {"cookie": {}}}
		op.RejectUnknownQueryParameters = true // "?forse=true" must not go unnoticed
	}
	for _, o := range options {
		o(&op)
	}
	op.Responses = map[string]*huma.Response{}
	r.needs[method+" "+pathOf(path)] = who
	huma.Register(r.api, op, func(ctx context.Context, in *I) (*O, error) {
		if who != anyone && method != http.MethodGet {
			// A body may take its time, and the session may have ended by now.
			if err := r.verify(ctx, who); err != nil {
				return nil, r.fail(ctx, err)
			}
		}
		out, err := h(ctx, in)
		if err != nil {
			return nil, r.fail(ctx, err)
		}
		return out, nil
	})
	if status, ok := op.Metadata[alsoKey].(int); ok {
		op.Responses[strconv.Itoa(status)] = op.Responses[strconv.Itoa(op.DefaultStatus)]
	}
}

const alsoKey = "also"

// also is for a route that has another success than its usual one: see either.
func also(status int) func(*huma.Operation) {
	return func(op *huma.Operation) { op.Metadata = map[string]any{alsoKey: status} }
}

func accepted(op *huma.Operation) { op.DefaultStatus = http.StatusAccepted }
func created(op *huma.Operation)  { op.DefaultStatus = http.StatusCreated }

// tag groups the routes of the document by what they are about.
func tag(path string) string {
	path = strings.TrimPrefix(strings.TrimPrefix(path, "/api/"), "v1/")
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	switch first {
	case "healthz", "readyz", "openapi.json", "config":
		return "system"
	case "updates", "scan":
		return "operations"
	}
	return first
}

// answerHead gives each GET route its HEAD, with the same role: net/http sends
// the headers and leaves the body out (RFC 9110, 9.3.2).
func answerHead(engine *gin.Engine, needs map[string]access) {
	for _, r := range engine.Routes() {
		if r.Method == http.MethodGet {
			engine.HEAD(r.Path, r.HandlerFunc)
			needs[http.MethodHead+" "+r.Path] = needs[http.MethodGet+" "+r.Path]
		}
	}
}
