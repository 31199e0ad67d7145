package updater

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/internal/logging"
	"github.com/watch-docker/watch-docker/internal/store"
)

// ErrFileChanged says that a file is neither as it was before an edit nor as
// it is after it: somebody else has changed or removed it.
var ErrFileChanged = errors.New("the file was changed by somebody else meanwhile")

// Files changes the image of a Compose service where its project says it.
type Files interface {
	// Plan finds out what has to be changed, and changes nothing. Its error is
	// a sentence for people: why it can't be done.
	Plan(ctx context.Context, c ImageChange) (FileEdit, error)
	// Apply changes the file, to the disk, and Undo changes it back; doing
	// either again is no error.
	//
	// Errors: ErrFileChanged.
	Apply(ctx context.Context, e FileEdit) error
	Undo(ctx context.Context, e FileEdit) error
}

// ImageChange is what is to be changed.
type ImageChange struct {
	Labels   map[string]string // of a container of the service; see dockercli.Blueprint.ComposeProject
	From, To string            // references, as they stand in the file
}

// FileEdit puts one text in the place of another. The zero value is for a file
// that says it already.
type FileEdit struct {
	File   string `json:"file"`   // absolute
	Before string `json:"before"` // SHA-256 of the file, in hexadecimal digits
	After  string `json:"after"`
	At     int    `json:"at"` // offset in bytes
	Was    string `json:"was"`
	Is     string `json:"is"`
}

// mayEdit refuses another reference for a container of Compose's, whose file
// couldn't be changed with it. The way back by hand is open all the same.
func (u *Updater) mayEdit(ctx context.Context, r Request, old dockercli.Blueprint, to string) error {
	labels := fileLabels(old)
	if labels == nil || r.To != nil {
		return nil
	}
	if u.Own(old.ID) {
		return problem(CodeComposeFile, "Watch Docker doesn't change the Compose file that it runs from itself: write %s there, and run docker compose up.", to)
	}
	_, err := u.planEdit(ctx, labels, old, to)
	return err
}

// fileLabels are the labels of a container whose file says its image, or nil.
func fileLabels(old dockercli.Blueprint) map[string]string {
	labels := old.ComposeProject()
	if strings.EqualFold(labels[composeOneOff], "true") { // `compose up` never looks at it
		return nil
	}
	return labels
}

func (u *Updater) planEdit(ctx context.Context, labels map[string]string, old dockercli.Blueprint, to string) (FileEdit, error) {
	var err error
	var e FileEdit
	switch {
	case u.files == nil:
		err = errors.New("there is no compose.path under which it could be")
	case u.compose == nil:
		err = errors.New("there is no docker compose here that could tell what it would make of the changed file")
	default:
		e, err = u.files.Plan(ctx, ImageChange{Labels: labels, From: old.ImageRef, To: to})
	}
	if err != nil && ctx.Err() == nil {
		return e, problem(CodeComposeFile, "%s can't go from %s to %s, since its Compose file has to say so and can't be changed: %v. Change it by hand, and run docker compose up.", old.Name, old.ImageRef, to, err)
	}
	return e, err
}

// changeFile is the step that writes another reference into the project's
// files; there is none without one.
func (u *Updater) changeFile(ctx context.Context, j *job) error {
	p := &j.plan
	labels := fileLabels(p.Old)
	if p.NewRef == "" || labels == nil {
		return nil
	}
	return j.step(ctx, stepFile, func(ctx context.Context) (string, error) {
		detail, err := u.editFile(ctx, j, labels)
		if err != nil && p.Back && p.Edit == nil && ctx.Err() == nil {
			return "not changed, so that docker compose up would undo this: " + err.Error(), nil
		}
		return detail, err
	})
}

func (u *Updater) editFile(ctx context.Context, j *job, labels map[string]string) (string, error) {
	p := &j.plan
	e, err := u.planEdit(ctx, labels, p.Old, p.NewRef)
	if err != nil {
		return "", err
	}
	before, err := u.compose.Model(ctx, labels)
	if err != nil {
		return "", problem(CodeComposeFile, "Compose doesn't tell what it makes of the files of %s: %v.", p.Old.Name, err)
	}
	p.model = before
	if e == (FileEdit{}) {
		return "they say it already", nil
	}
	if err := j.note(ctx, func(p *plan) { p.Edit = &e }); err != nil {
		return "", err
	}
	if err := u.files.Apply(ctx, e); err != nil {
		return "", problem(CodeComposeFile, "%s can't be changed: %v.", e.File, err)
	}
	after, err := u.compose.Model(ctx, labels)
	if err == nil {
		err = onlyImage(before, after, labels[composeService], p.NewRef)
	}
	if err != nil {
		return "", problem(CodeComposeFile, "With %q in the place of %q in %s, Compose doesn't make what was meant: %v.", e.Is, e.Was, e.File, err)
	}
	p.model = after
	return fmt.Sprintf("%s: %q in the place of %q", e.File, e.Is, e.Was), nil
}

// onlyImage checks that two models of a project differ in the image of one
// service alone.
func onlyImage(before, after []byte, service, image string) error {
	var was, is map[string]any
	if err := errors.Join(json.Unmarshal(before, &was), json.Unmarshal(after, &is)); err != nil {
		return err
	}
	old, _ := was["services"].(map[string]any)
	fresh, _ := is["services"].(map[string]any)
	one, ok := old[service].(map[string]any)
	if !ok {
		return fmt.Errorf("there is no service %s", service)
	}
	one["image"] = image
	if reflect.DeepEqual(was, is) {
		return nil
	}
	var others []string
	for _, name := range slices.Sorted(maps.Keys(old)) {
		if !reflect.DeepEqual(old[name], fresh[name]) {
			others = append(others, name)
		}
	}
	if len(others) == 0 {
		return errors.New("more than services would change")
	}
	return fmt.Errorf("it would change %s otherwise", strings.Join(others, ", "))
}

// takeBack undoes the edit of an update that is undone. A file that somebody
// else has changed since stays as it is.
func (u *Updater) takeBack(ctx context.Context, p *plan) error {
	if p.Edit == nil {
		return nil
	}
	if u.files == nil {
		p.left = p.Edit.File + " is not under compose.path any more, and still says " + p.NewRef
		return nil
	}
	err := u.files.Undo(ctx, *p.Edit)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrFileChanged):
		p.left = fmt.Sprintf("%s stays as it is: %v", p.Edit.File, err)
		u.log.Warn("a Compose file stays changed", logging.Container(p.Old.Name), logging.Err(err))
		return nil
	}
	return fmt.Errorf("put %s back: %w", p.Edit.File, err)
}

// editAgain makes sure of an edit after a crash, which may have lost it.
func (u *Updater) editAgain(ctx context.Context, p *plan) error {
	if p.Edit == nil || u.files == nil {
		return nil
	}
	if err := u.files.Apply(ctx, *p.Edit); err != nil && !errors.Is(err, ErrFileChanged) {
		return fmt.Errorf("change %s: %w", p.Edit.File, err)
	}
	return nil
}

// failed reports whether the operation has ended otherwise than well.
func (j *job) failed() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.operation.State.Finished() && j.operation.State != store.Succeeded
}

// barred is why a job isn't begun: what it needs wasn't updated.
func (u *Updater) barred(j *job) *store.OperationError {
	u.mu.Lock()
	defer u.mu.Unlock()
	if j.barred == "" {
		return nil
	}
	return asFailure(problem(CodeNeeded, "It was left as it is: %s, which comes before it, was not updated.", j.barred))
}
