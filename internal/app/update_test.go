package app

import (
	"testing"

	"github.com/watch-docker/watch-docker/internal/api"
	"github.com/watch-docker/watch-docker/internal/store"
	"github.com/watch-docker/watch-docker/internal/updater"
)

// What its own command asked to leave alone is no failure of the run.
func TestWhatWasLeftAloneIsNoFailure(t *testing.T) {
	op := func(state store.OperationState, code string) store.Operation {
		o := store.Operation{State: state, Steps: make([]store.Step, 4)}
		if code != "" {
			o.Error = &store.OperationError{Code: code}
		}
		return o
	}
	skipped, interrupted, good := op(store.Cancelled, updater.CodeSkipped), op(store.Cancelled, updater.CodeInterrupted), op(store.Succeeded, "")
	for _, c := range []struct {
		ops  []store.Operation
		code int
	}{
		{[]store.Operation{skipped}, ExitOK},
		{[]store.Operation{skipped, good}, ExitOK},
		{[]store.Operation{skipped, interrupted}, ExitSome},
		{[]store.Operation{interrupted}, ExitFailed},
	} {
		if got := exitCode(api.Run{Operations: c.ops}); got != c.code {
			t.Errorf("%+v: exit code %d, want %d", c.ops, got, c.code)
		}
	}
	if got := outcome(skipped, false); got != "left alone" {
		t.Errorf("it is shown as %q", got)
	}
	if got := outcome(interrupted, false); got != "cancelled" {
		t.Errorf("an interrupted one is shown as %q", got)
	}
}
