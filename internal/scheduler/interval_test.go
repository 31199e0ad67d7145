package scheduler_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/watch-docker/watch-docker/internal/scheduler"
)

// runs records when a job ran, in minutes since the start; each run takes as
// long as took says (the last entry for all later ones).
func runs(t *testing.T, every, during time.Duration, now bool, took ...time.Duration) []float64 {
	t.Helper()
	var at []float64
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), during)
		defer cancel()
		begin, n, busy := time.Now(), 0, false
		i := scheduler.NewInterval(every, func(ctx context.Context) {
			if busy {
				t.Error("two runs at once")
			}
			busy = true
			defer func() { busy = false }()
			at = append(at, time.Since(begin).Minutes())
			time.Sleep(took[min(n, len(took)-1)]) // the bubble's clock: no real time passes
			n++
		})
		if err := i.Run(ctx, now); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Run: %v", err)
		}
		if s := i.Status(); !s.Next.IsZero() || s.Running {
			t.Errorf("after Run: %+v", s)
		}
	})
	return at
}

func TestAJobRunsAtItsInterval(t *testing.T) {
	got := runs(t, 10*time.Minute, 35*time.Minute, true, time.Second)
	if want := []float64{0, 10, 20, 30}; !cmp.Equal(got, want) {
		t.Errorf("ran at %v, want %v", got, want)
	}
	got = runs(t, 10*time.Minute, 25*time.Minute, false, time.Second)
	if want := []float64{10, 20}; !cmp.Equal(got, want) {
		t.Errorf("without a run at the start: ran at %v, want %v", got, want)
	}
}

func TestAMissedRunIsNotMadeUp(t *testing.T) {
	got := runs(t, 10*time.Minute, 65*time.Minute, true, time.Second, 25*time.Minute, time.Second)
	if want := []float64{0, 10, 40, 50, 60}; !cmp.Equal(got, want) {
		t.Errorf("ran at %v, want %v", got, want)
	}
}

func TestNextAndLastRunShow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		begin := time.Now().UTC()
		i := scheduler.NewInterval(10*time.Minute, func(context.Context) { time.Sleep(time.Minute) })
		ended := make(chan error)
		go func() { ended <- i.Run(ctx, false) }()
		synctest.Wait()
		if got, want := i.Status(), (scheduler.Status{Next: begin.Add(10 * time.Minute)}); got != want {
			t.Errorf("before the first run: %+v, want %+v", got, want)
		}
		time.Sleep(10*time.Minute + time.Second)
		if got := i.Status(); !got.Running || got.Last != begin.Add(10*time.Minute) {
			t.Errorf("during a run: %+v", got)
		}
		i.Set(time.Hour)
		time.Sleep(2 * time.Minute)
		if got, want := i.Status().Next, begin.Add(71*time.Minute); got != want {
			t.Errorf("after a new interval: next %v, want %v", got, want)
		}
		cancel()
		<-ended
	})
}

func TestATriggeredRunComesAtOnceAndOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
		defer cancel()
		var at []time.Duration
		begin := time.Now()
		i := scheduler.NewInterval(10*time.Minute, func(context.Context) { at = append(at, time.Since(begin)) })
		i.Trigger()
		i.Trigger()
		go func() {
			time.Sleep(3 * time.Minute)
			i.Trigger()
		}()
		_ = i.Run(ctx, false)
		if want := []time.Duration{0, 3 * time.Minute, 10 * time.Minute}; !cmp.Equal(at, want) {
			t.Errorf("ran at %v, want %v", at, want)
		}
	})
}
