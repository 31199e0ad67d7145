package testbed

import "testing"

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
