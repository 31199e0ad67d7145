package testbed

import (
	"testing"
	"time"
)

// Must unpacks a result in a test, which fails if there is an error:
//
//	digest := testbed.Must(reg.Push(ctx, "shop/web:1.27", img))(t)
func Must[T any](value T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

// Eventually waits for a condition, for as long as within; a failure says what
// was wrong at the last try.
func Eventually(t testing.TB, within time.Duration, what func() error) {
	t.Helper()
	deadline := time.After(within)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := what()
		if err == nil {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("not within %s: %v", within, err)
		case <-tick.C:
		}
	}
}
