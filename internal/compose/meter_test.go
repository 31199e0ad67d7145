package compose

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/watch-docker/watch-docker/internal/composecli"
	"github.com/watch-docker/watch-docker/internal/store"
	"github.com/watch-docker/watch-docker/internal/task"
)

func TestWhatACommandSaysAddsUp(t *testing.T) {
	st, err := store.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	runner := task.New(task.Dependencies{Store: st})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- runner.Run(ctx) }()
	var seen []store.Progress
	op, err := runner.Start(t.Context(), task.Request{Kind: "compose.up", Target: "shop"}, func(_ context.Context, r *task.Report) (any, error) {
		m := newMeter(r)
		for _, e := range []composecli.Event{
			{ID: "Image app", Status: composecli.Working, Text: "Pulling"},
			{ID: "a", Parent: "Image app", Status: composecli.Working, Text: "Downloading", Current: 3, Total: 10},
			{ID: "b", Parent: "Image app", Status: composecli.Working, Text: "Downloading", Current: 1, Total: 5},
			{ID: "a", Parent: "Image app", Status: composecli.Done, Text: "Pull complete"},
			{ID: "Image app", Status: composecli.Done, Text: "Pulled"},
		} {
			m.event(e)
			seen = append(seen, m.progress(""))
		}
		return nil, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if done, ok := runner.Done(op.ID); ok {
		<-done
	}
	stop()
	<-ended
	want := []store.Progress{
		{Unit: "things", Total: 1}, {Unit: "bytes", Current: 3, Total: 10}, {Unit: "bytes", Current: 4, Total: 15},
		{Unit: "bytes", Current: 11, Total: 15}, {Unit: "bytes", Current: 11, Total: 15},
	}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Error(diff)
	}
	if op, err = st.Operation(t.Context(), op.ID); err != nil || cmp.Diff([]string{"Image app: Pulling", "Image app: Pulled"}, op.Output) != "" {
		t.Errorf("%q, %v", op.Output, err)
	}
}

func TestACommandsErrorHasACodeAndSaysWhatToDo(t *testing.T) {
	for _, c := range []struct {
		err  error
		code string
	}{
		{&composecli.FailedError{ExitCode: 1, Message: "no such image", Output: []string{"no such image"}}, CodeFailed},
		{composecli.ErrTimeout, CodeTimeout}, {composecli.ErrCancelled, task.CodeCancelled},
	} {
		var known *task.Error
		if !errors.As(explained(c.err), &known) || known.Code != c.code || known.Message == "" {
			t.Errorf("%v: %+v", c.err, known)
		}
	}
	if explained(nil) != nil {
		t.Error("nothing is an error")
	}
}
