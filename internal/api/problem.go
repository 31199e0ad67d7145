package api

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/validation"
	"github.com/gin-gonic/gin"

	"github.com/watch-docker/watch-docker/internal/auth"
	"github.com/watch-docker/watch-docker/internal/containerlog"
	"github.com/watch-docker/watch-docker/internal/resource"
	"github.com/watch-docker/watch-docker/internal/shell"
	"github.com/watch-docker/watch-docker/internal/store"
	"github.com/watch-docker/watch-docker/internal/twofa"
)

// Problem is an error as RFC 9457 has it, with a code that never changes.
// Every code is listed in doc/errors.md. It is what handlers return and
// what huma's own errors are turned into.
type Problem struct {
	Type   string            `json:"type" example:"about:blank"`
	Title  string            `json:"title" example:"Conflict"`
	Status int               `json:"status" example:"409"`
	Detail string            `json:"detail" doc:"A sentence for people; may change"`
	Code   string            `json:"code" example:"container_busy" doc:"Stable; see doc/errors.md"`
	Errors map[string]string `json:"errors,omitempty" doc:"What is wrong, by the part or the field that it is wrong with"`

	OperationID string `json:"operationId,omitempty" doc:"With container_busy and operation_under_way: the operation that the container is in"`
	Reason      string `json:"reason,omitempty" doc:"With update_refused: the code of the decision"`

	header http.Header
}

// Codes of problems.
const (
	CodeNotReady         = "not_ready"
	CodeNotFound         = "not_found"
	CodeMethod           = "method_not_allowed"
	CodeInternal         = "internal_error"
	CodeUnauthorized     = "unauthorized"
	CodeForbidden        = "forbidden"
	CodeCredentials      = "bad_credentials"
	CodeSecondFactor     = "second_factor_required"
	CodeStepUp           = "step_up_required"
	CodeNeedsSession     = "session_required"
	CodeUseFactor        = "factor_required"
	CodeBadCode          = "bad_code"
	CodeBadPasskey       = "bad_passkey"
	CodeCloned           = "passkey_cloned"
	CodeCeremony         = "ceremony_expired"
	CodeNoPasskeyHere    = "no_passkey_here"
	CodeNoPasskeys       = "passkeys_unavailable"
	CodeNoFactor         = "factor_not_found"
	CodeNoCredential     = "credential_not_found" //nolint:gosec // a name
	CodeCredentialTaken  = "credential_taken"     //nolint:gosec // a name
	CodeTooMany          = "too_many"
	CodeSetupToken       = "bad_setup_token"
	CodeSetUp            = "already_set_up"
	CodeNoUser           = "user_not_found"
	CodeUserExists       = "user_exists"
	CodeLastAdmin        = "last_administrator"
	CodeNoSession        = "session_not_found"
	CodeNoToken          = "token_not_found"
	CodeTooManyAttempts  = "too_many_attempts"
	CodeOverloaded       = "overloaded"
	CodeCrossOrigin      = "cross_origin"
	CodeNoHandshake      = "websocket_expected"
	CodeTooManySockets   = "too_many_sockets"
	CodeHostShell        = shell.CodeHostDisabled
	CodeNoShellLeft      = "shell_not_found"
	CodeBadMessage       = "bad_message"
	CodeNoFile           = "file_not_found"
	CodeReadOnly         = "file_read_only"
	CodeIsFolder         = "file_is_folder"
	CodeIsLink           = "file_is_link"
	CodeNotFolder        = "file_is_no_folder"
	CodeNotAFile         = "file_is_special"
	CodeNotText          = "file_is_no_text"
	CodeFileTooLarge     = "file_too_large"
	CodeVirtual          = "file_is_virtual"
	CodeNoTool           = "no_rm"
	CodeChanged          = "changed_meanwhile"
	CodeValidation       = "validation_failed"
	CodeTooLarge         = "body_too_large"
	CodeMediaType        = "unsupported_media_type"
	CodeSlowBody         = "request_timeout"
	CodeNoContainer      = "container_not_found"
	CodeAmbiguous        = "container_ambiguous"
	CodeContainerBusy    = "container_busy"
	CodeUpdateRefused    = "update_refused"
	CodeNoImage          = "image_not_found"
	CodeNoVolume         = "volume_not_found"
	CodeNoNetwork        = "network_not_found"
	CodeUnderWay         = "operation_under_way"
	CodeNoOperation      = "operation_not_found"
	CodeTooManyAtOnce    = "too_many_operations"
	CodeStopping         = "stopping"
	CodeTooLate          = "too_late"
	CodeTooManyStats     = "too_many_stats" // of a frame
	CodeConflict         = "conflict"
	CodeEngine           = "engine_unavailable"
	CodeNoLogs           = "logs_unavailable"
	CodeNoProject        = "project_not_found"
	CodeGone             = "client_gone"
	statusClientGone     = 499 // nobody reads it; it stands in the log, as nginx writes it
	contentType          = "application/problem+json"
	challenge            = `Bearer realm="watch-docker"`
	challengeInvalid     = challenge + `, error="invalid_token"` // RFC 6750, 3.1
	headerAuthenticate   = "WWW-Authenticate"
	headerRetryAfter     = "Retry-After"
	internalErrorMessage = "Something went wrong here; the log has the details."
)

func problem(status int, code, detail string) Problem {
	title := http.StatusText(status)
	if status == statusClientGone {
		title = "Client Closed Request"
	}
	return Problem{Type: "about:blank", Title: title, Status: status, Code: code, Detail: detail}
}

// problemOf is the one place where errors get a status and a code. What it
// doesn't know is a fault of ours, whose text is for the log alone.
func problemOf(err error) Problem {
	var (
		known     Problem
		busy      *BusyError
		refused   *RefusedError
		conflict  *ConflictError
		needed    *resource.ConflictError
		late      *TooLateError
		file      *FileError
		throttled *auth.ThrottledError
		elsewhere *twofa.UnavailableError
	)
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &busy):
		p := problem(http.StatusConflict, cmp.Or(busy.Code, CodeContainerBusy), fmt.Sprintf("%s is in operation %s; wait for its end.", busy.Container, busy.OperationID))
		p.OperationID = busy.OperationID
		return p
	case errors.As(err, &refused):
		p := problem(http.StatusConflict, CodeUpdateRefused, refused.Reason)
		p.Reason = refused.Code
		return p
	case errors.As(err, &needed):
		return problem(http.StatusConflict, needed.Code, sentence(needed.Message))
	case errors.As(err, &conflict):
		return problem(http.StatusConflict, CodeConflict, conflict.Reason)
	case errors.As(err, &late):
		return problem(http.StatusConflict, CodeTooLate, late.Reason)
	case errors.As(err, &file):
		if file.Code == CodeNoFile {
			return problem(http.StatusNotFound, file.Code, file.Message)
		}
		return problem(http.StatusConflict, file.Code, file.Message)
	case errors.As(err, &throttled):
		return problem(http.StatusTooManyRequests, CodeTooManyAttempts, sentence(throttled.Error())).retryAfter(throttled.RetryAfter.Seconds())
	case errors.As(err, &elsewhere):
		return problem(http.StatusConflict, CodeNoPasskeys, elsewhere.Reason)
	}
	if p, ok := problemOfIdentity(err); ok {
		return p
	}
	if p, ok := problemOfCompose(err); ok {
		return p
	}
	return problemOfSentinel(err)
}

func problemOfSentinel(err error) Problem {
	switch {
	case errors.Is(err, auth.ErrToken):
		return unauthorized(err)
	case errors.Is(err, auth.ErrSecondFactor):
		return secondFactor()
	case errors.Is(err, auth.ErrBusy):
		return problem(http.StatusServiceUnavailable, CodeOverloaded, sentence(auth.ErrBusy.Error())).retryAfter(1)
	case errors.Is(err, ErrUnknownContainer):
		return problem(http.StatusNotFound, CodeNoContainer, "There is no such container, or no more.")
	case errors.Is(err, ErrUnknownVolume), errors.Is(err, resource.ErrNoVolume):
		return problem(http.StatusNotFound, CodeNoVolume, "There is no such volume, or no more.")
	case errors.Is(err, ErrUnknownNetwork), errors.Is(err, resource.ErrNoNetwork):
		return problem(http.StatusNotFound, CodeNoNetwork, "There is no such network, or no more.")
	case errors.Is(err, ErrUnknownImage), errors.Is(err, resource.ErrNoImage):
		return problem(http.StatusNotFound, CodeNoImage, "There is no such image, or no more.")
	case errors.Is(err, containerlog.ErrNoProject):
		return problem(http.StatusNotFound, CodeNoProject, "There is no such Compose project or service, or none with a container.")
	case errors.Is(err, containerlog.ErrUnavailable):
		return problem(http.StatusConflict, CodeNoLogs, sentence(err.Error()))
	case errors.Is(err, store.ErrNoOperation):
		return problem(http.StatusNotFound, CodeNoOperation, "There is no such operation, or no more.")
	case errors.Is(err, ErrEngineUnavailable):
		return problem(http.StatusServiceUnavailable, CodeEngine, "The Docker engine doesn't answer; GET /api/system and the log say more.").retryAfter(5)
	case errors.Is(err, ErrTooManyOperations):
		return problem(http.StatusTooManyRequests, CodeTooManyAtOnce, "Too many operations are under way; wait for the end of one.").retryAfter(5)
	case errors.Is(err, ErrStopping):
		return problem(http.StatusServiceUnavailable, CodeStopping, "The program is stopping; ask again when it is back.").retryAfter(10)
	case errors.Is(err, context.Canceled):
		return problem(statusClientGone, CodeGone, "The client went away before the answer.")
	}
	return problem(http.StatusInternalServerError, CodeInternal, internalErrorMessage)
}

// identityProblem is what an error about accounts and factors comes to.
type identityProblem struct {
	err    error
	status int
	code   string
}

func problemOfIdentity(err error) (Problem, bool) {
	for _, known := range []identityProblem{
		{auth.ErrCredentials, http.StatusUnauthorized, CodeCredentials},
		{auth.ErrUseFactor, http.StatusForbidden, CodeUseFactor},
		{auth.ErrSetupToken, http.StatusUnauthorized, CodeSetupToken},
		{auth.ErrSetUp, http.StatusConflict, CodeSetUp},
		{auth.ErrTooManyTokens, http.StatusConflict, CodeTooMany},
		{twofa.ErrCode, http.StatusUnauthorized, CodeBadCode},
		{twofa.ErrRecoveryCode, http.StatusUnauthorized, CodeBadCode},
		{twofa.ErrCloned, http.StatusForbidden, CodeCloned},
		{twofa.ErrPasskey, http.StatusUnauthorized, CodeBadPasskey},
		{twofa.ErrCeremony, http.StatusUnauthorized, CodeCeremony},
		{twofa.ErrNoPasskeyHere, http.StatusConflict, CodeNoPasskeyHere},
		{twofa.ErrNoFactor, http.StatusNotFound, CodeNoFactor},
		{twofa.ErrNoCredential, http.StatusNotFound, CodeNoCredential},
		{twofa.ErrCredentialTaken, http.StatusConflict, CodeCredentialTaken},
		{twofa.ErrTooManyCredentials, http.StatusConflict, CodeTooMany},
		{store.ErrUserExists, http.StatusConflict, CodeUserExists},
		{store.ErrLastAdmin, http.StatusConflict, CodeLastAdmin},
		{store.ErrNoSession, http.StatusNotFound, CodeNoSession},
		{store.ErrNoToken, http.StatusNotFound, CodeNoToken},
	} {
		if errors.Is(err, known.err) {
			p := problem(known.status, known.code, sentence(known.err.Error()))
			if known.status == http.StatusUnauthorized {
				p = p.with(headerAuthenticate, challenge)
			}
			return p, true
		}
	}
	for wrong, field := range map[error]string{
		auth.ErrName: "body.username", auth.ErrPassword: "body.password", auth.ErrRole: "body.role", auth.ErrScope: "body.scope", twofa.ErrName: "body.name",
	} {
		if errors.Is(err, wrong) {
			return invalid(field, wrong.Error()), true
		}
	}
	switch {
	case errors.Is(err, twofa.ErrHasFactor):
		return problem(http.StatusForbidden, CodeSecondFactor, "There is a second factor already: give that first."), true
	case errors.Is(err, store.ErrNoUser):
		return noUser(), true
	}
	return Problem{}, false
}

func noUser() Problem {
	return problem(http.StatusNotFound, CodeNoUser, "There is no such user, or no more.")
}

// unauthorized is the answer to a token that is missing or doesn't count. The
// kind is told: whoever has a token may know that it expired.
func unauthorized(err error) Problem {
	if err == nil {
		return problem(http.StatusUnauthorized, CodeUnauthorized,
			"This needs a token: sign in at /api/v1/auth/login and send it as Authorization: Bearer.").with(headerAuthenticate, challenge)
	}
	text := auth.ErrToken
	for _, kind := range []error{auth.ErrTokenMalformed, auth.ErrTokenForged, auth.ErrTokenExpired, auth.ErrTokenEnded} {
		if errors.Is(err, kind) {
			text = kind
		}
	}
	return problem(http.StatusUnauthorized, CodeUnauthorized, sentence(text.Error()+"; sign in again")).with(headerAuthenticate, challengeInvalid)
}

func invalid(field, message string) Problem {
	p := problem(http.StatusUnprocessableEntity, CodeValidation, field+": "+message+".")
	p.Errors = map[string]string{field: message}
	return p
}

// fromHuma makes a problem of what huma finds wrong with a request. Values are
// left out: huma would echo a password that is too long.
func fromHuma(e *huma.ErrorModel) Problem {
	switch e.Status {
	case http.StatusInternalServerError:
		if e.Detail == "cannot read request body" { // it broke off, or its chunks are none
			return invalid("body", "could not be read to its end")
		}
		return problem(http.StatusInternalServerError, CodeInternal, internalErrorMessage)
	case http.StatusRequestEntityTooLarge:
		return problem(e.Status, CodeTooLarge, "The body is larger than this route takes.")
	case http.StatusUnsupportedMediaType:
		return problem(e.Status, CodeMediaType, "The body must be JSON: send Content-Type: application/json.")
	case http.StatusRequestTimeout:
		return problem(e.Status, CodeSlowBody, "The body didn't arrive in time.")
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
	default:
		return problem(http.StatusInternalServerError, CodeInternal, internalErrorMessage)
	}
	found := map[string]string{}
	for _, d := range e.Errors {
		field, message := located(d)
		if was := found[field]; was != "" {
			message = was + "; " + message
		}
		found[field] = message
	}
	if len(found) == 0 { // such as "request body is required"
		found["body"] = e.Detail
	}
	first := slices.Sorted(maps.Keys(found))[0]
	p := invalid(first, found[first])
	p.Errors = found
	return p
}

// located gives the field and what is wrong with it. huma blames an object for
// a property that it lacks.
func located(d *huma.ErrorDetail) (field, message string) {
	before, after, _ := strings.Cut(validation.MsgExpectedRequiredProperty, "%s")
	if rest, ok := strings.CutPrefix(d.Message, before); ok {
		if name, ok := strings.CutSuffix(rest, after); ok {
			return d.Location + "." + name, "is required"
		}
	}
	return d.Location, d.Message
}

func (p Problem) with(header, value string) Problem {
	p.header = p.header.Clone()
	if p.header == nil {
		p.header = http.Header{}
	}
	p.header.Set(header, value)
	return p
}

func (p Problem) retryAfter(seconds float64) Problem {
	return p.with(headerRetryAfter, strconv.Itoa(int(math.Ceil(seconds))))
}

// What huma asks of an error that is to be an answer.

func (p Problem) Error() string             { return p.Code + ": " + p.Detail }
func (p Problem) GetStatus() int            { return p.Status }
func (p Problem) GetHeaders() http.Header   { return p.header }
func (p Problem) ContentType(string) string { return contentType }

// write ends the request with the problem.
func (p Problem) write(c *gin.Context) {
	trailOf(c.Request.Context()).code = p.Code
	body, err := json.Marshal(p)
	if err != nil {
		panic(err) // strings and numbers always marshal
	}
	for name, values := range p.header {
		c.Writer.Header()[name] = values
	}
	c.Abort()
	c.Data(p.Status, contentType, body)
}
