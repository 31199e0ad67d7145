package store_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/watch-docker/watch-docker/internal/store"
)

func operation(at time.Time, target string, state store.OperationState) store.Operation {
	return store.Operation{ID: store.NewID(at), Kind: "update", Target: target, State: state, CreatedAt: at, Actor: "ann", Steps: []store.Step{}}
}

func TestAnOperationComesBackAsItWas(t *testing.T) {
	s, ctx := open(t, t.TempDir()), t.Context()
	at := time.Date(2026, 1, 2, 3, 4, 5, 678_000_000, time.UTC)
	later := at.Add(time.Minute)
	o := operation(at, "web", store.Running)
	o.Plan = json.RawMessage(`{"a":1}`)
	if err := s.SaveOperation(ctx, o); err != nil {
		t.Fatal(err)
	}
	step := store.Step{Name: "pull", State: store.StepRunning, StartedAt: at}
	if err := s.SaveStep(ctx, o.ID, 0, step); err != nil {
		t.Fatal(err)
	}
	if left, err := s.Unfinished(ctx); err != nil || len(left) != 1 || string(left[0].Plan) != `{"a":1}` {
		t.Errorf("unfinished: %+v, %v", left, err)
	}
	step.State, step.FinishedAt, step.Detail = store.StepFailed, &later, "unauthorized"
	o.State, o.StartedAt, o.FinishedAt, o.DowntimeMs, o.Plan = store.RolledBack, &at, &later, 42, nil
	o.FromDigest, o.ToDigest, o.FromImage, o.ToImage = "sha256:1", "sha256:2", "web:1", "web:1"
	o.Output, o.Result = []string{"one", "two"}, json.RawMessage(`{"deleted":[]}`)
	o.Error = &store.OperationError{Code: "container_exited", Message: "It ended.", Logs: []string{"out of luck"}}
	if err := errors.Join(s.SaveOperation(ctx, o), s.SaveStep(ctx, o.ID, 0, step)); err != nil {
		t.Fatal(err)
	}
	o.Steps = []store.Step{step}
	got, err := s.Operation(ctx, o.ID)
	if diff := cmp.Diff(o, got); err != nil || diff != "" {
		t.Errorf("%v, -want +got:\n%s", err, diff)
	}
	if left, err := s.Unfinished(ctx); err != nil || len(left) != 0 {
		t.Errorf("unfinished: %+v, %v", left, err)
	}
	if _, err := s.Operation(ctx, "nothing"); !errors.Is(err, store.ErrNoOperation) {
		t.Errorf("an unknown one: %v", err)
	}
}

func TestOldOperationsGoAndUnfinishedOnesStay(t *testing.T) {
	s, ctx := open(t, t.TempDir()), t.Context()
	at := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	unfinished := operation(at, "first", store.Running)
	ids := []string{}
	for i := range 10 {
		o := operation(at.Add(time.Duration(i+1)*time.Minute), []string{"a", "b"}[i%2], store.Succeeded)
		ids = append(ids, o.ID)
		if err := errors.Join(s.SaveOperation(ctx, o), s.SaveStep(ctx, o.ID, 0, store.Step{Name: "pull", StartedAt: at})); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(s.SaveOperation(ctx, unfinished), s.PruneOperations(ctx, 4)); err != nil {
		t.Fatal(err)
	}
	all, err := s.Operations(ctx, store.OperationFilter{})
	if err != nil || len(all) != 5 || all[0].ID != ids[9] || all[4].ID != unfinished.ID {
		t.Errorf("kept %+v, %v", all, err)
	}
	of, err := s.Operations(ctx, store.OperationFilter{Target: "a", Before: ids[9], Limit: 1})
	if err != nil || len(of) != 1 || of[0].ID != ids[8] {
		t.Errorf("of a before the newest: %+v, %v", of, err)
	}
}

func TestQuarantineIsByContainerAndDigest(t *testing.T) {
	s, ctx := open(t, t.TempDir()), t.Context()
	if err := errors.Join(s.Quarantine(ctx, "web", "sha256:1", "op1"), s.Quarantine(ctx, "web", "sha256:1", "op2")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		container, digest string
		want              bool
	}{{"web", "sha256:1", true}, {"web", "sha256:2", false}, {"db", "sha256:1", false}} {
		if bad, err := s.Quarantined(ctx, c.container, c.digest); err != nil || bad != c.want {
			t.Errorf("%s %s: %v, %v", c.container, c.digest, bad, err)
		}
	}
	if all, err := s.BadReleases(ctx); err != nil || len(all) != 1 || all[0].Operation != "op2" || all[0].Since.IsZero() {
		t.Errorf("%+v, %v", all, err)
	}
}
