package updater

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/internal/registry"
	"github.com/watch-docker/watch-docker/internal/store"
)

// plan is what finishing and undoing need to know; it is kept with the
// operation, in step with its journal.
type plan struct {
	Old        dockercli.Blueprint `json:"old"`
	WasRunning bool                `json:"wasRunning"`
	OldImage   string              `json:"oldImage"` // id
	NewImage   string              `json:"newImage"` // id, once pulled
	Retag      bool                `json:"retag"`    // the reference named the old image before the pull
	NewID      string              `json:"newId"`    // the new container's, once created
	Stopped    bool                `json:"stopped"`  // the old one was about to be stopped
	Passed     bool                `json:"passed"`   // the gate: from here on forward only
	Removed    bool                `json:"removed"`  // old is to be removed
}

// The names that containers have for the length of an update.
func newName(name string) string { return name + ".wd-new" }
func oldName(name string) string { return name + ".wd-old" }

// job is an operation under way.
type job struct {
	request     Request
	settings    Settings
	credentials registry.CredentialSource
	store       *store.Store
	done        chan struct{}
	down        time.Time // when the old container was told to stop

	mu        sync.Mutex // guards what follows
	operation store.Operation
	plan      plan
}

// snapshot is the operation as it is now.
func (j *job) snapshot() store.Operation {
	j.mu.Lock()
	defer j.mu.Unlock()
	o := j.operation
	o.Steps = slices.Clone(o.Steps)
	return o
}

func (j *job) newID() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.plan.NewID
}

func (j *job) begin(ctx context.Context) error {
	now := time.Now().UTC()
	j.mu.Lock()
	j.operation.State, j.operation.StartedAt = store.Running, &now
	o := j.operation
	j.mu.Unlock()
	return j.store.SaveOperation(ctx, o)
}

func (j *job) finish(state store.OperationState, failure *store.OperationError) store.Operation {
	now := time.Now().UTC()
	j.mu.Lock()
	defer j.mu.Unlock()
	j.operation.State, j.operation.FinishedAt, j.operation.Error, j.operation.Progress = state, &now, failure, nil
	j.operation.Plan = nil // nothing is left to do
	return j.operation
}

// note changes the plan and writes it down before what it announces is done.
func (j *job) note(ctx context.Context, change func(*plan)) error {
	j.mu.Lock()
	change(&j.plan)
	raw, err := json.Marshal(j.plan)
	if err == nil {
		j.operation.Plan = raw
	}
	o := j.operation
	j.mu.Unlock()
	if err != nil {
		return fmt.Errorf("write the plan: %w", err)
	}
	return j.store.SaveOperation(context.WithoutCancel(ctx), o)
}

// step writes a step down, does it, and writes down how it went.
func (j *job) step(ctx context.Context, name string, do func(context.Context) (detail string, err error)) error {
	keep := context.WithoutCancel(ctx)
	n, step := j.push(name)
	if err := j.store.SaveStep(keep, j.operation.ID, n, step); err != nil {
		return &Error{Code: CodeStore, Message: err.Error()}
	}
	detail, err := do(ctx)
	if ctx.Err() != nil && err != nil {
		return err // what became of it, recovery will see
	}
	step = j.close(n, detail, err)
	if saveErr := j.store.SaveStep(keep, j.operation.ID, n, step); err == nil && saveErr != nil {
		return &Error{Code: CodeStore, Message: saveErr.Error()}
	}
	return err
}

func (j *job) push(name string) (int, store.Step) {
	j.mu.Lock()
	defer j.mu.Unlock()
	step := store.Step{Name: name, State: store.StepRunning, StartedAt: time.Now().UTC()}
	j.operation.Steps = append(j.operation.Steps, step)
	return len(j.operation.Steps) - 1, step
}

func (j *job) close(n int, detail string, err error) store.Step {
	now := time.Now().UTC()
	j.mu.Lock()
	defer j.mu.Unlock()
	step := &j.operation.Steps[n]
	step.State, step.FinishedAt, step.Detail = store.StepDone, &now, detail
	if err != nil {
		step.State, step.Detail = store.StepFailed, err.Error()
	}
	j.operation.Progress = nil
	return *step
}

func (j *job) progress(p store.Progress) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.operation.Progress = &p
}

// up notes that a container runs again: the new one, or the old one after all.
func (j *job) up() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.down.IsZero() {
		j.operation.DowntimeMs = time.Since(j.down).Milliseconds()
	}
}

// arrived notes the digest that came, which need not be the one decided on.
func (j *job) arrived(digest string) {
	if digest == "" {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.operation.ToDigest = digest
}
