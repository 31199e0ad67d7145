package task_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/watch-docker/watch-docker/internal/store"
	"github.com/watch-docker/watch-docker/internal/task"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a runner that runs until the test's end, or until stop.
type world struct {
	*testing.T
	*task.Runner

	db   *store.Store
	stop func()

	mu      sync.Mutex
	changed []string
}

var errKnown = errors.New("known")

func newWorld(t *testing.T) *world {
	db, err := store.OpenMemory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w := &world{T: t, db: db}
	w.Runner = task.New(task.Dependencies{
		Store: db, Keep: 1000,
		Changed: func(id string) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.changed = append(w.changed, id)
		},
		Explain: func(err error) *task.Error {
			if errors.Is(err, errKnown) {
				return &task.Error{Code: "known", Message: "It is known."}
			}
			return nil
		},
	})
	ctx, end := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = w.Runner.Run(ctx)
	}()
	w.stop = sync.OnceFunc(func() { end(); <-ended })
	t.Cleanup(func() {
		w.stop()
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

func (w *world) start(q task.Request, work task.Work) store.Operation {
	w.Helper()
	op, err := w.Start(w.Context(), q, work)
	if err != nil {
		w.Fatal(err)
	}
	return op
}

// record is what the store has of an operation once it has ended.
func (w *world) record(id string) store.Operation {
	w.Helper()
	if done, ok := w.Done(id); ok {
		<-done
	}
	op, err := w.db.Operation(context.Background(), id)
	if err != nil {
		w.Fatal(err)
	}
	return op
}

func pull() task.Request { return task.Request{Kind: "pull", Target: "web:1", Actor: "ann"} }

// waits is work that goes on until its ctx ends.
func waits(ctx context.Context, _ *task.Report) (any, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestAnOperationIsRecordedWithItsStepsOutputAndResult(t *testing.T) {
	w := newWorld(t)
	goOn := make(chan struct{})
	reached := make(chan struct{})
	op := w.start(pull(), func(_ context.Context, r *task.Report) (any, error) {
		r.Step("pull")
		r.Detail("from here")
		r.Progress(store.Progress{Current: 1, Total: 2, Unit: "bytes"})
		r.Line("one\n")
		close(reached)
		<-goOn
		r.Step("check")
		return map[string]int{"n": 3}, nil
	})
	<-reached
	live, ok := w.Operation(op.ID)
	if !ok || live.State != store.Running || live.Progress == nil || live.Progress.Total != 2 || len(live.Steps) != 1 || live.Output[0] != "one" {
		t.Errorf("under way: %+v", live)
	}
	close(goOn)
	got := w.record(op.ID)
	if got.State != store.Succeeded || got.FinishedAt == nil || got.Error != nil || string(got.Result) != `{"n":3}` || !slices.Equal(got.Output, []string{"one"}) {
		t.Errorf("record: %+v", got)
	}
	if len(got.Steps) != 2 || got.Steps[0].State != store.StepDone || got.Steps[0].Detail != "from here" || got.Steps[1].State != store.StepDone {
		t.Errorf("steps: %+v", got.Steps)
	}
	if _, ok := w.Operation(op.ID); ok {
		t.Error("the runner still has it")
	}
	w.stop()
	if last := w.changed[len(w.changed)-1]; last != op.ID || len(w.changed) < 6 {
		t.Errorf("told %v", w.changed)
	}
}

func TestOneAtATimeForAKey(t *testing.T) {
	w := newWorld(t)
	first := w.start(pull(), waits)
	_, err := w.Start(t.Context(), pull(), waits)
	var busy *task.BusyError
	if !errors.As(err, &busy) || busy.OperationID != first.ID || busy.Target != "web:1" {
		t.Errorf("a second one: %v", err)
	}
	if id, ok := w.Of("pull web:1"); !ok || id != first.ID {
		t.Errorf("of the key: %q, %v", id, ok)
	}
	if joined, err := w.Join(t.Context(), pull(), waits); err != nil || joined.ID != first.ID {
		t.Errorf("who joins gets %s, %v", joined.ID, err)
	}
	other := w.start(task.Request{Kind: "pull", Target: "web:1", Key: "another"}, waits)
	for _, id := range []string{first.ID, other.ID} {
		if known, err := w.Cancel(id, "ann"); !known || err != nil {
			t.Errorf("cancel: %v, %v", known, err)
		}
		w.record(id)
	}
	again := w.start(pull(), func(context.Context, *task.Report) (any, error) { return nil, nil })
	if got := w.record(again.ID); got.State != store.Succeeded {
		t.Errorf("afterwards: %+v", got)
	}
}

func TestManyAskAtOnceAndOneBegins(t *testing.T) {
	w := newWorld(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	ids := map[string]bool{}
	for range 20 {
		wg.Go(func() {
			op, err := w.Start(context.Background(), pull(), waits)
			id := op.ID
			var busy *task.BusyError
			if errors.As(err, &busy) {
				id = busy.OperationID
			} else if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			ids[id] = true
		})
	}
	wg.Wait()
	if len(ids) != 1 {
		t.Errorf("%d operations", len(ids))
	}
}

func TestACancelledOneSaysByWhom(t *testing.T) {
	w, goOn := newWorld(t), make(chan struct{})
	op := w.start(pull(), func(ctx context.Context, r *task.Report) (any, error) {
		r.Step("pull")
		<-ctx.Done()
		<-goOn
		return []string{"half"}, &task.Error{Code: "pull_failed", Message: "One of two had come."}
	})
	for range 2 {
		if known, err := w.Cancel(op.ID, "bob"); !known || err != nil {
			t.Errorf("cancel: %v, %v", known, err)
		}
	}
	close(goOn)
	got := w.record(op.ID)
	if got.State != store.Cancelled || got.Error.Code != task.CodeCancelled || got.Error.Message != "Cancelled by bob. One of two had come." {
		t.Errorf("%+v", got.Error)
	}
	if string(got.Result) != `["half"]` || got.Steps[0].State != store.StepFailed {
		t.Errorf("result %s, steps %+v", got.Result, got.Steps)
	}
	if known, err := w.Cancel(op.ID, "bob"); known || err != nil {
		t.Errorf("once more: %v, %v", known, err)
	}
}

func TestAfterItsCommitItIsTooLate(t *testing.T) {
	w := newWorld(t)
	committed, goOn := make(chan bool), make(chan struct{})
	op := w.start(pull(), func(_ context.Context, r *task.Report) (any, error) {
		committed <- r.Commit()
		<-goOn
		return nil, nil
	})
	if !<-committed {
		t.Error("it was called off by nobody")
	}
	if _, err := w.Cancel(op.ID, "bob"); !errors.Is(err, task.ErrTooLate) {
		t.Errorf("cancel: %v", err)
	}
	close(goOn)
	if got := w.record(op.ID); got.State != store.Succeeded {
		t.Errorf("%+v", got)
	}
	late := w.start(pull(), func(ctx context.Context, r *task.Report) (any, error) {
		<-ctx.Done()
		if r.Commit() {
			return nil, nil
		}
		return nil, ctx.Err()
	})
	if _, err := w.Cancel(late.ID, "bob"); err != nil {
		t.Error(err)
	}
	if got := w.record(late.ID); got.State != store.Cancelled || got.Error.Message != "Cancelled by bob." {
		t.Errorf("called off before: %+v", got)
	}
}

func TestWhatWasDoneInSpiteOfItsCancellingIsDone(t *testing.T) {
	w := newWorld(t)
	op := w.start(pull(), func(ctx context.Context, _ *task.Report) (any, error) { <-ctx.Done(); return nil, nil })
	if _, err := w.Cancel(op.ID, "bob"); err != nil {
		t.Error(err)
	}
	if got := w.record(op.ID); got.State != store.Succeeded || got.Error != nil {
		t.Errorf("%+v", got)
	}
}

func TestAFailureHasACode(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		err           error
		code, message string
	}{
		{&task.Error{Code: "no_disk_space", Message: "The disk is full."}, "no_disk_space", "The disk is full."},
		{fmt.Errorf("pull: %w", &task.Error{Code: "no_disk_space", Message: "The disk is full."}), "no_disk_space", "The disk is full."},
		{fmt.Errorf("ask: %w", errKnown), "known", "It is known."},
		{errors.New("odd"), task.CodeFailed, "odd"},
	} {
		op := w.start(pull(), func(_ context.Context, r *task.Report) (any, error) { r.Step("pull"); return nil, c.err })
		got := w.record(op.ID)
		if got.State != store.Failed || got.Error.Code != c.code || got.Error.Message != c.message || got.Error.Logs == nil || got.Steps[0].Detail != c.message {
			t.Errorf("%v: %+v", c.err, got)
		}
	}
	if got := w.record(w.start(pull(), func(context.Context, *task.Report) (any, error) { return func() {}, nil }).ID); got.State != store.Failed {
		t.Errorf("a result that is no JSON: %+v", got)
	}
}

func TestAPanicFailsItsOperationAlone(t *testing.T) {
	w := newWorld(t)
	op := w.start(pull(), func(context.Context, *task.Report) (any, error) { panic("oh") })
	got := w.record(op.ID)
	if got.State != store.Failed || got.Error.Code != task.CodeFailed || strings.Contains(got.Error.Message, "oh") {
		t.Errorf("%+v", got.Error)
	}
	if got := w.record(w.start(pull(), func(context.Context, *task.Report) (any, error) { return nil, nil }).ID); got.State != store.Succeeded {
		t.Errorf("the next: %+v", got)
	}
}

func TestTheProgramsEndEndsWhatRuns(t *testing.T) {
	w := newWorld(t)
	op := w.start(pull(), func(ctx context.Context, r *task.Report) (any, error) { r.Commit(); return waits(ctx, r) })
	w.stop()
	if got := w.record(op.ID); got.State != store.Cancelled || got.Error.Code != task.CodeInterrupted {
		t.Errorf("%+v", got.Error)
	}
	if _, err := w.Start(t.Context(), pull(), waits); !errors.Is(err, task.ErrStopping) {
		t.Errorf("afterwards: %v", err)
	}
}

func TestOnlySoManyAtOnce(t *testing.T) {
	w := newWorld(t)
	var err error
	n := 0
	for ; err == nil && n < 1000; n++ {
		_, err = w.Start(t.Context(), task.Request{Kind: "pull", Target: fmt.Sprint(n)}, waits)
	}
	if !errors.Is(err, task.ErrTooMany) || n != 65 {
		t.Errorf("after %d: %v", n, err)
	}
}

func TestOfTheOutputTheEndIsKept(t *testing.T) {
	w := newWorld(t)
	write := func(lines int, line string) []string {
		return w.record(w.start(pull(), func(_ context.Context, r *task.Report) (any, error) {
			for i := range lines {
				r.Line(fmt.Sprintf("%d %s", i, line))
			}
			return nil, nil
		}).ID).Output
	}
	if got := write(800, "x"); len(got) != 500 || got[0] != "300 x" || got[499] != "799 x" {
		t.Errorf("%d lines, from %q", len(got), got[0])
	}
	got := write(100, strings.Repeat("y", 2000))
	if size := len(strings.Join(got, "\n")); size > 64<<10 || size < 60<<10 || !strings.HasPrefix(got[len(got)-1], "99 ") {
		t.Errorf("%d bytes in %d lines", size, len(got))
	}
	if got := write(1, strings.Repeat("z", 9000)+"\xff"); len(got[0]) > 5000 {
		t.Errorf("a line of %d bytes", len(got[0]))
	}
	if got := write(1, "\xff"); got[0] != "0 \uFFFD" {
		t.Errorf("what isn't UTF-8: %q", got[0])
	}
}

func TestWhatCantBeStoredDoesntBegin(t *testing.T) {
	w := newWorld(t)
	ctx, end := context.WithCancel(t.Context())
	end()
	if _, err := w.Start(ctx, pull(), func(context.Context, *task.Report) (any, error) { t.Error("it began"); return nil, nil }); err == nil {
		t.Error("no error")
	}
	if got := w.record(w.start(pull(), func(context.Context, *task.Report) (any, error) { return nil, nil }).ID); got.State != store.Succeeded {
		t.Errorf("the next: %+v", got)
	}
}
