package api

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/watch-docker/watch-docker/internal/compose"
	"github.com/watch-docker/watch-docker/internal/composecli"
	"github.com/watch-docker/watch-docker/internal/project"
	"github.com/watch-docker/watch-docker/internal/task"
)

// Codes of Compose projects, besides those of project.Code.
const (
	CodeNoCompose      = "compose_unavailable"
	CodeComposeInvalid = "compose_invalid"
	CodePaths          = "compose_paths"
	CodeOwnProject     = "own_project"
	CodeProjectBusy    = "project_busy"
)

// problemOfCompose is what an error about projects and tasks comes to.
func problemOfCompose(err error) (Problem, bool) {
	var (
		broken  *compose.InvalidError
		paths   *compose.PathsError
		own     *compose.OwnError
		service *compose.ServiceError
		busy    *task.BusyError
		refused *project.Error
	)
	switch {
	case errors.As(err, &broken):
		p := problem(http.StatusUnprocessableEntity, CodeComposeInvalid, broken.Error())
		p.Errors = map[string]string{}
		for _, x := range broken.Problems {
			p.Errors[fmt.Sprintf("%s:%d:%d", x.File, x.Line, x.Column)] = x.Message
		}
		return p, true
	case errors.As(err, &paths):
		p := problem(http.StatusConflict, CodePaths, paths.Error())
		p.Errors = map[string]string{}
		for _, b := range paths.Binds {
			p.Errors[b.Source] = b.Finding.Message + " " + b.Finding.Suggestion
		}
		return p, true
	case errors.As(err, &service):
		return invalid("body.services", service.Error()), true
	case errors.As(err, &own):
		return problem(http.StatusConflict, CodeOwnProject, own.Error()), true
	case errors.As(err, &busy):
		p := problem(http.StatusConflict, CodeProjectBusy, sentence(busy.Error()))
		p.OperationID = busy.OperationID
		return p, true
	case errors.As(err, &refused):
		return problem(statusOfProject(refused.Code), string(refused.Code), refused.Message), true
	case errors.Is(err, compose.ErrNoCommand):
		return problem(http.StatusServiceUnavailable, CodeNoCompose, sentence(err.Error())), true
	case errors.Is(err, composecli.ErrInvalid):
		return problem(http.StatusUnprocessableEntity, CodeValidation, sentence(err.Error())), true
	case errors.Is(err, task.ErrStopping):
		return problemOfSentinel(ErrStopping), true
	case errors.Is(err, task.ErrTooMany):
		return problemOfSentinel(ErrTooManyOperations), true
	}
	return problemOfCommand(err)
}

// problemOfCommand is what a command comes to that a request waits for.
func problemOfCommand(err error) (Problem, bool) {
	var (
		failed *composecli.FailedError
		old    *composecli.TooOldError
	)
	switch {
	case errors.As(err, &failed):
		return problem(http.StatusConflict, compose.CodeFailed, failed.Error()), true
	case errors.Is(err, composecli.ErrTimeout):
		return problem(http.StatusGatewayTimeout, compose.CodeTimeout, "Docker Compose took too long and was ended. Try again."), true
	case errors.As(err, &old), errors.Is(err, composecli.ErrNoCompose):
		return problem(http.StatusServiceUnavailable, CodeNoCompose, sentence(err.Error())), true
	case errors.Is(err, composecli.ErrNoFiles):
		return problem(http.StatusNotFound, string(project.ErrNoFile), sentence(err.Error())), true
	}
	return Problem{}, false
}

func statusOfProject(code project.Code) int {
	switch code {
	case project.ErrNotFound, project.ErrNoFile, project.ErrNoVersion:
		return http.StatusNotFound
	case project.ErrName, project.ErrFileName:
		return http.StatusUnprocessableEntity
	case project.ErrForbidden:
		return http.StatusForbidden
	case project.ErrTooBig:
		return http.StatusRequestEntityTooLarge
	case project.ErrChanged:
		return http.StatusPreconditionFailed
	case project.ErrNoMatch:
		return http.StatusPreconditionRequired
	case project.ErrNoSpace:
		return http.StatusInsufficientStorage
	case project.ErrUnreachable:
		return http.StatusServiceUnavailable
	}
	return http.StatusConflict
}

func notUTF8(name string) Problem {
	return problem(http.StatusConflict, CodeNotText, printable(name)+" is no text in UTF-8.")
}
