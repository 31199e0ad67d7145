package updater_test

import (
	"testing"
	"time"

	"github.com/watch-docker/watch-docker/internal/store"
	"github.com/watch-docker/watch-docker/internal/updater"
)

func TestWhatNobodyGoesOnWithIsInterruptedWithoutTheEngine(t *testing.T) {
	st, err := store.OpenMemory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	save := func(kind string) string {
		o := store.Operation{ID: store.NewID(time.Now()), Kind: kind, Target: "x", State: store.Running, CreatedAt: time.Now().UTC(), Steps: []store.Step{}}
		if err := st.SaveOperation(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		return o.ID
	}
	pull, prune := save("pull"), save("prune")
	u := updater.New(updater.Dependencies{Store: st, Elsewhere: func(id string) bool { return id == prune }})
	if err := u.Recover(t.Context()); err != nil {
		t.Fatal(err)
	}
	if o, err := st.Operation(t.Context(), pull); err != nil || o.State != store.Failed || o.Error == nil || o.Error.Code != updater.CodeInterrupted {
		t.Errorf("an earlier process's: %+v, %v", o, err)
	}
	if o, err := st.Operation(t.Context(), prune); err != nil || o.State != store.Running {
		t.Errorf("this process's own: %+v, %v", o, err)
	}
}
