package app

import (
	"errors"

	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/internal/task"
	"github.com/watch-docker/watch-docker/internal/updater"
)

// explained gives an engine's error the code that updates have for it. Nobody
// knows which of the engine's sentences will come, so they are told as they are.
func explained(err error) *task.Error {
	for _, known := range []struct {
		err  error
		code string
	}{
		{dockercli.ErrUnavailable, updater.CodeEngine},
		{dockercli.ErrNoSpace, updater.CodeNoSpace},
	} {
		if errors.Is(err, known.err) {
			return &task.Error{Code: known.code, Message: err.Error()}
		}
	}
	return nil
}

// knows reports whether an operation is one of the runner's, and under way.
func (p *parts) knows(operationID string) bool {
	_, ok := p.tasks.Operation(operationID)
	return ok
}
