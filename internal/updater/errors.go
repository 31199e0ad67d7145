package updater

import (
	"errors"
	"fmt"

	"go.uber.org/zap"

	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/internal/logging"
	"github.com/watch-docker/watch-docker/internal/store"
)

// Error is why an operation didn't succeed.
type Error struct {
	Code    string
	Message string
	Logs    []string // the failing container's last lines
}

func (e *Error) Error() string { return e.Message }

// Codes of errors.
const (
	CodePaused          = "container_paused"
	CodeGone            = "container_gone"
	CodeNewGone         = "new_container_gone"
	CodeNameTaken       = "temporary_name_taken"
	CodeSwarm           = "swarm_task"
	CodeOwn             = "own_container"
	CodeStateNotMounted = "state_not_mounted"
	CodeTakeover        = "takeover_failed"
	CodeNotReady        = "not_ready"
	CodeRefused         = "cannot_update"
	CodeDependents      = "dependent_in_the_way"
	CodeCycle           = "dependency_cycle"
	CodeNothingKept     = "nothing_to_roll_back_to"
	CodeStartFirst      = "start_first_refused"
	CodeComposeFile     = "compose_file_refused"
	CodeNeeded          = "needed_failed"
	CodeSkipped         = "skipped_by_hook"
	CodePreUpdate       = "pre_update_failed"
	CodePostUpdate      = "post_update_failed"
	CodePull            = "pull_failed"
	CodeUnauthorized    = "pull_unauthorized"
	CodeNoSpace         = "no_disk_space"
	CodeWrongPlatform   = "wrong_platform"
	CodeQuarantined     = "quarantined"
	CodeCreate          = "create_failed"
	CodeStop            = "stop_failed"
	CodeSwap            = "swap_failed"
	CodeStart           = "start_failed"
	CodePortTaken       = "port_taken"
	CodeNetworkGone     = "network_gone"
	CodeDependent       = "dependent_failed"
	CodeExited          = "container_exited"
	CodeRestarted       = "container_restarted"
	CodeUnhealthy       = "container_unhealthy"
	CodeHealthTimeout   = "health_timeout"
	CodeInterrupted     = "interrupted"
	CodeCancelled       = "cancelled"
	CodeEngine          = "engine_unavailable"
	CodeStore           = "store_failed"
	CodeRollback        = "rollback_failed"
)

// OwnReason is why a command leaves the container alone that it runs in.
const OwnReason = "This command runs in that container, and would end with it. A Watch Docker server replaces its own container; start one, or recreate the container by hand."

// ErrNothingKept says that a container has no earlier image to go back to.
var ErrNothingKept = errors.New("no earlier image is kept")

func failure(code string, err error) *store.OperationError {
	return &store.OperationError{Code: code, Message: err.Error(), Logs: []string{}}
}

// asFailure makes an error into what is kept and shown.
func asFailure(err error) *store.OperationError {
	var e *Error
	if errors.As(err, &e) {
		logs := e.Logs
		if logs == nil {
			logs = []string{}
		}
		return &store.OperationError{Code: e.Code, Message: err.Error(), Logs: logs}
	}
	if errors.Is(err, dockercli.ErrUnavailable) {
		return failure(CodeEngine, err)
	}
	return failure(CodeRefused, err)
}

// tell logs an outcome.
func (u *Updater) tell(failure *store.OperationError, fields []zap.Field) {
	switch {
	case failure == nil:
		u.log.Info("done", fields...)
	case failure.Code == CodeSkipped:
		u.log.Info("left alone", append(fields, zap.String("code", failure.Code))...)
	default:
		u.log.Error("did not succeed", append(fields, zap.String("code", failure.Code), zap.String(logging.KeyErr, failure.Message))...)
	}
}

func problem(code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}
