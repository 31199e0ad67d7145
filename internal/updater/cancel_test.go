package updater_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/watch-docker/watch-docker/internal/store"
	"github.com/watch-docker/watch-docker/internal/updater"
	"github.com/watch-docker/watch-docker/test/testbed"
)

// reaches waits until an operation has begun a step.
func (w *world) reaches(id, step string) {
	w.Helper()
	testbed.Eventually(w, time.Minute, func() error {
		op := must(w.up.Operation(w.Context(), id))(w)
		if !slices.ContainsFunc(op.Steps, func(s store.Step) bool { return s.Name == step }) {
			return errors.New("it hasn't come to " + step)
		}
		return nil
	})
}

func (w *world) ended(id string) store.Operation {
	w.Helper()
	select {
	case <-w.up.Done(id):
	case <-time.After(time.Minute):
		w.Fatal("it doesn't end")
	}
	return must(w.up.Operation(w.Context(), id))(w)
}

func TestAnOperationIsCancelledAsLongAsNothingIsChanged(t *testing.T) {
	w := newWorld(t)
	w.push("app:1", testbed.ImageOptions{Payload: "one"})
	first, second := w.start("app:1", testbed.ContainerSpec{Name: "first"}), w.start("app:1", testbed.ContainerSpec{Name: "second"})
	before := w.named(first.Name)
	two := w.push("app:1", testbed.ImageOptions{Payload: "two"})
	asked := make(chan struct{}, 100)
	unblock := w.reg.Inject(testbed.Fault{Path: "/v2/app/blobs/*", Latency: 5 * time.Minute, Hook: func(testbed.Request) { asked <- struct{}{} }})
	runs := must(w.up.Update(t.Context(), w.request(first, "app:1", two)))(t)
	waits := must(w.up.Update(t.Context(), w.request(second, "app:1", two)))(t)
	w.reaches(runs.ID, "pull")
	<-asked

	for _, op := range []store.Operation{waits, runs} {
		if err := w.up.Cancel(t.Context(), op.ID, "ann"); err != nil {
			t.Fatal(err)
		}
		op = w.ended(op.ID)
		w.expect(op, store.Cancelled, updater.CodeCancelled)
		if want := "Cancelled by ann; nothing had been changed yet."; op.Error.Message != want {
			t.Errorf("%q, want %q", op.Error.Message, want)
		}
		if err := w.up.Cancel(t.Context(), op.ID, "ann"); !errors.Is(err, updater.ErrTooLate) {
			t.Errorf("once more: %v", err)
		}
	}
	if now := w.named(first.Name); now.ID != first.ID || now.State.StartedAt != before.State.StartedAt {
		t.Errorf("it was touched: %+v", now.State)
	}
	if err := w.up.Cancel(t.Context(), "nothing", "ann"); !errors.Is(err, store.ErrNoOperation) {
		t.Errorf("one that there isn't: %v", err)
	}
	w.alone(first.Name)
	// An engine of 20.10 doesn't take back what it has asked a registry for,
	// and pulls the image again only when it has the answer.
	unblock()
	w.expect(w.update(w.request(second, "app:1", two)), store.Succeeded, "")
}

func TestAnOperationThatChangesContainersGoesOn(t *testing.T) {
	w := newWorld(t)
	w.push("app:1", testbed.ImageOptions{Payload: "one"})
	c := w.start("app:1", testbed.ContainerSpec{Name: "app"})
	two := w.push("app:1", testbed.ImageOptions{Payload: "two", Healthcheck: health("test -e /go")})
	op := must(w.up.Update(t.Context(), w.request(c, "app:1", two)))(t)
	w.reaches(op.ID, "gate")
	if err := w.up.Cancel(t.Context(), op.ID, "ann"); !errors.Is(err, updater.ErrTooLate) {
		t.Errorf("got %v", err)
	}
	w.expect(w.ended(op.ID), store.RolledBack, updater.CodeUnhealthy)
}
