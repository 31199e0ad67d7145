package registry

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

func TestACacheIsBoundedAndSwept(t *testing.T) {
	now := time.Now()
	a := newAnswers[int](func() time.Time { return now }, func(error) time.Duration { return time.Minute })
	one := func(context.Context) (int, error) { return 1, nil }
	for i := range maxKept + 500 {
		if _, err := a.get(t.Context(), strconv.Itoa(i), one); err != nil {
			t.Fatal(err)
		}
	}
	if len(a.calls) > maxKept {
		t.Errorf("%d answers are kept", len(a.calls))
	}
	now = now.Add(time.Minute)
	a.sweep()
	if len(a.calls) != 0 {
		t.Errorf("%d answers are kept beyond their time", len(a.calls))
	}
}

func TestOneAskersCancellationIsNotTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAnswers[int](time.Now, func(error) time.Duration { return time.Minute })
		ctx, cancel := context.WithCancel(t.Context())
		asked := 0
		ask := func(ctx context.Context) (int, error) {
			asked++
			select {
			case <-ctx.Done():
				return 0, ctx.Err()
			case <-time.After(time.Second):
				return 1, nil
			}
		}
		go func() {
			if _, err := a.get(ctx, "x", ask); !errors.Is(err, context.Canceled) {
				t.Errorf("the cancelled one got %v", err)
			}
		}()
		synctest.Wait()
		for range 10 {
			go func() {
				if v, err := a.get(t.Context(), "x", ask); v != 1 || err != nil {
					t.Errorf("another one got %d, %v", v, err)
				}
			}()
		}
		synctest.Wait()
		cancel()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if asked != 2 {
			t.Errorf("asked %d times, want 2", asked)
		}
	})
}

func TestAPanicLeavesNobodyWaiting(t *testing.T) {
	a := newAnswers[int](time.Now, func(error) time.Duration { return time.Minute })
	func() {
		defer func() { _ = recover() }()
		_, _ = a.get(t.Context(), "x", func(context.Context) (int, error) { panic("no") })
	}()
	v, err := a.get(t.Context(), "x", func(context.Context) (int, error) { return 1, nil })
	if v != 1 || err != nil {
		t.Errorf("%d, %v", v, err)
	}
}
