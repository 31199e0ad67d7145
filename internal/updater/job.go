package updater

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/internal/image"
	"github.com/watch-docker/watch-docker/internal/registry"
	"github.com/watch-docker/watch-docker/internal/store"
)

// plan is what finishing and undoing need to know; it is kept with the
// operation, in step with its journal.
type plan struct {
	member                             // the container itself
	Dependents []member                `json:"dependents,omitempty"` // those that its replacement reaches, each after all that it needs
	Networks   []dockercli.NetworkPlan `json:"networks,omitempty"`   // how theirs were made
	Previous   string                  `json:"previous,omitempty"`   // id of a container that an earlier update left under the old one's temporary name
	Back       bool                    `json:"back,omitempty"`       // a rollback: to an image that the reference doesn't name
	StartFirst bool                    `json:"startFirst,omitempty"` // the new container is started before the old one stops
	Passed     bool                    `json:"passed"`               // the gate: from here on forward only
	RemoveOld  bool                    `json:"removed"`              // the old container goes in the end
	KeepImages int                     `json:"keepImages"`
	HandedOver bool                    `json:"handedOver,omitempty"` // to a helper, as soon as that is told to go
	Edit       *FileEdit               `json:"edit,omitempty"`       // of the project's files, as soon as it is about to be made
	left       string                  // why, on the way back, that edit stays
}

// member is one container of an operation, and how far it is.
type member struct {
	Old      dockercli.Blueprint `json:"old"`
	NewRef   string              `json:"newRef,omitempty"`      // the reference that the new one is made from, if that is another
	Only     bool                `json:"onlyRestart,omitempty"` // it is restarted, not made anew
	Running  bool                `json:"wasRunning"`
	Proven   bool                `json:"proven,omitempty"`  // it was fine before, so it has to be again
	Named    string              `json:"named,omitempty"`   // id of the image that the new one's reference named before
	NewImage string              `json:"newImage"`          // id of the image that the new one is made of, once known
	NewID    string              `json:"newId"`             // the new one's, once created
	Stopped  bool                `json:"stopped"`           // the old one was about to be stopped
	Ended    bool                `json:"ended,omitempty"`   // the new one has done its work and isn't to be started again
	Rebuilt  bool                `json:"rebuilt,omitempty"` // on the way back, the old one had to be made anew: it was about to be removed
	model    []byte              // what Compose makes of its project's files, if it has to be told anew
	strange  bool                // the container that has its temporary name isn't ours
	back     string              // on the way back: id of the old one, or of the one made in its place
}

// ref is the reference that the new container is made from.
func (m *member) ref() string { return cmp.Or(m.NewRef, m.Old.ImageRef) }

// now is the id of the container that is to run in the end.
func (m *member) now() string {
	if m.Only {
		return m.Old.ID
	}
	return m.NewID
}

// all gives the members in the order in which they start.
func (p *plan) all() []*member {
	all := []*member{&p.member}
	for i := range p.Dependents {
		all = append(all, &p.Dependents[i])
	}
	return all
}

// touched reports whether any of the old containers was about to be stopped.
func (p *plan) touched() bool {
	return slices.ContainsFunc(p.all(), func(m *member) bool { return m.Stopped })
}

// backwards gives them in the order in which they stop.
func (p *plan) backwards() []*member {
	all := p.all()
	slices.Reverse(all)
	return all
}

// The names that containers have for the length of an update.
func newName(name string) string  { return name + ".wd-new" }
func oldName(name string) string  { return name + ".wd-old" }
func holdName(name string) string { return name + ".wd-hold" }

// job is an operation under way.
type job struct {
	request     Request
	settings    Settings
	credentials registry.CredentialSource
	store       *store.Store
	done        chan struct{}
	down        time.Time // when the old container was told to stop
	alone       bool      // nothing else runs beside it: it ends the program
	claimed     bool      // its dependents are its own; the updater's mu guards it
	barred      string    // the container that it needs, whose update didn't succeed; the updater's mu guards it
	changed     func(operationID string)

	mu        sync.Mutex // guards what follows
	operation store.Operation
	plan      plan
	calling   calling
}

// tell says that the operation has changed.
func (j *job) tell() {
	if j.changed != nil {
		j.changed(j.operation.ID)
	}
}

// reached reports whether a step has begun.
func (j *job) reached(name string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.ContainsFunc(j.operation.Steps, func(s store.Step) bool { return s.Name == name })
}

// did reports whether a step was done.
func (j *job) did(name string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.ContainsFunc(j.operation.Steps, func(s store.Step) bool { return s.Name == name && s.State == store.StepDone })
}

// snapshot is the operation as it is now.
func (j *job) snapshot() store.Operation {
	j.mu.Lock()
	defer j.mu.Unlock()
	o := j.operation
	o.Steps = slices.Clone(o.Steps)
	return o
}

// reserve adds what the operation is about to need.
func (j *job) reserve(images map[string]string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	name := j.operation.Target
	if ref, err := image.ParseReference(j.request.Image); err == nil {
		images[ref.Familiar()] = name
	}
	if to := j.request.To; to != nil {
		images[to.ImageID] = name
	}
	for _, m := range j.plan.all() {
		for _, id := range []string{m.Old.ImageID, m.NewImage, m.Named} {
			if id != "" {
				images[id] = name
			}
		}
	}
}

// owns reports whether a container is the operation's own.
func (j *job) owns(containerID string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.request.ContainerID == containerID || j.plan.NewID == containerID
}

// follow has a waiting job go on with the container that took its own's place.
func (j *job) follow(containerID string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.request.ContainerID = containerID
}

// has reports whether a container is in this operation, by its old or its new id.
func (j *job) has(containerID string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.request.ContainerID == containerID || slices.ContainsFunc(j.plan.all(), func(m *member) bool {
		return m.Old.ID == containerID || m.NewID == containerID
	})
}

// successor gives the id of the container that has taken another's place.
func (j *job) successor(containerID string) (id string, ok bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, m := range j.plan.all() {
		if m.Old.ID == containerID && m.NewID != "" && j.operation.State == store.Succeeded {
			return m.NewID, true
		}
	}
	return "", false
}

func (j *job) begin(ctx context.Context) error {
	now := time.Now().UTC()
	j.mu.Lock()
	j.operation.State, j.operation.StartedAt = store.Running, &now
	o := j.operation
	j.mu.Unlock()
	j.tell()
	return j.store.SaveOperation(ctx, o)
}

func (j *job) finish(state store.OperationState, failure *store.OperationError) store.Operation {
	now := time.Now().UTC()
	defer j.tell()
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
	if err == nil {
		err = j.store.SaveOperation(context.WithoutCancel(ctx), o)
	}
	if err != nil {
		return &Error{Code: CodeStore, Message: fmt.Sprintf("The journal can't be written: %v.", err)}
	}
	return nil
}

// mark is note for one member.
func (j *job) mark(ctx context.Context, m *member, change func(*member)) error {
	return j.note(ctx, func(*plan) { change(m) })
}

// step writes a step down, does it, and writes down how it went.
func (j *job) step(ctx context.Context, name string, do func(context.Context) (detail string, err error)) error {
	return j.journal(ctx, name, do, false)
}

// lastStep is a step that must be done even if it can't be written down: what
// has begun must come to an end.
func (j *job) lastStep(ctx context.Context, name string, do func(context.Context) (detail string, err error)) error {
	return j.journal(ctx, name, do, true)
}

func (j *job) journal(ctx context.Context, name string, do func(context.Context) (detail string, err error), anyway bool) error {
	keep := context.WithoutCancel(ctx)
	n, step := j.push(name)
	save := func(step store.Step) error {
		if err := j.store.SaveStep(keep, j.operation.ID, n, step); err != nil && !anyway {
			return &Error{Code: CodeStore, Message: fmt.Sprintf("The journal can't be written: %v.", err)}
		}
		return nil
	}
	if err := save(step); err != nil {
		return err
	}
	detail, err := do(ctx)
	if ctx.Err() != nil && err != nil {
		return err // what became of it, recovery will see
	}
	if saveErr := save(j.close(n, detail, err)); err == nil {
		err = saveErr
	}
	return err
}

// interrupt closes the step that an earlier process was in.
func (j *job) interrupt(ctx context.Context) {
	for n, s := range j.snapshot().Steps {
		if s.State == store.StepRunning {
			_ = j.store.SaveStep(ctx, j.operation.ID, n, j.close(n, "", errInterrupted)) // for the reader alone
		}
	}
}

var errInterrupted = errors.New("interrupted")

func (j *job) push(name string) (int, store.Step) {
	defer j.tell()
	j.mu.Lock()
	defer j.mu.Unlock()
	step := store.Step{Name: name, State: store.StepRunning, StartedAt: time.Now().UTC()}
	j.operation.Steps = append(j.operation.Steps, step)
	return len(j.operation.Steps) - 1, step
}

func (j *job) close(n int, detail string, err error) store.Step {
	now := time.Now().UTC()
	defer j.tell()
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
	defer j.tell()
	j.mu.Lock()
	defer j.mu.Unlock()
	j.operation.Progress = &p
}

// up notes that a container runs again: the new one, or the old one after all.
func (j *job) up() {
	defer j.tell()
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
	defer j.tell()
	j.mu.Lock()
	defer j.mu.Unlock()
	j.operation.ToDigest = digest
}
