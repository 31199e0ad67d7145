package api_test

import (
	"context"
	"sync"
	"time"

	"github.com/watch-docker/watch-docker/internal/api"
	"github.com/watch-docker/watch-docker/internal/scanner"
	"github.com/watch-docker/watch-docker/internal/store"
)

// liveFakes are the parts as they change.
type liveFakes struct {
	mu       sync.Mutex
	now      scanner.Live // all but the result
	changed  chan struct{}
	follows  map[*func(string)]bool
	measures map[string]func(api.Stats) // streams, by container
	streams  int                        // begun so far
	late     bool                       // it is too late to cancel
}

func newLiveFakes() liveFakes {
	return liveFakes{changed: make(chan struct{}), follows: map[*func(string)]bool{}, measures: map[string]func(api.Stats){},
		now: scanner.Live{Reachable: true, Returns: 1}}
}

func (f *fakes) Live() (scanner.Live, <-chan struct{}) {
	result := f.Latest()
	f.live.mu.Lock()
	defer f.live.mu.Unlock()
	now := f.live.now
	now.Result = result
	return now, f.live.changed
}

// become changes what Live gives.
func (f *fakes) become(change func(all []scanner.ContainerStatus, now *scanner.Live) []scanner.ContainerStatus) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.live.mu.Lock()
	defer f.live.mu.Unlock()
	f.all = change(append([]scanner.ContainerStatus{}, f.all...), &f.live.now)
	f.live.now.Listings++
	close(f.live.changed)
	f.live.changed = make(chan struct{})
}

func (f *fakes) Unfinished(ctx context.Context) ([]store.Operation, error) {
	return f.store.Unfinished(ctx)
}

func (f *fakes) Follow(on func(string)) func() {
	f.live.mu.Lock()
	defer f.live.mu.Unlock()
	f.live.follows[&on] = true
	return func() {
		f.live.mu.Lock()
		defer f.live.mu.Unlock()
		delete(f.live.follows, &on)
	}
}

// tell says that an operation has changed.
func (f *fakes) tell(id string) {
	f.live.mu.Lock()
	defer f.live.mu.Unlock()
	for on := range f.live.follows {
		(*on)(id)
	}
}

func (f *fakes) Stats(ctx context.Context, id string, on func(api.Stats)) error {
	f.live.mu.Lock()
	f.live.streams++
	f.live.measures[id] = on
	f.live.mu.Unlock()
	percent := 12.5
	for n := uint64(1); ; n++ {
		on(api.Stats{ID: id, CPUPercent: &percent, PIDs: n})
		select {
		case <-ctx.Done():
			f.live.mu.Lock()
			delete(f.live.measures, id)
			f.live.mu.Unlock()
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// measured are the containers with a stream, and how many there have been.
func (f *fakes) measured() (ids map[string]bool, begun int) {
	f.live.mu.Lock()
	defer f.live.mu.Unlock()
	ids = map[string]bool{}
	for id := range f.live.measures {
		ids[nameOf(id)] = true
	}
	return ids, f.live.streams
}

func (f *fakes) Kill(_ context.Context, id, signal string) error {
	return f.note("kill %s %s", nameOf(id), signal)
}

func (f *fakes) Rename(_ context.Context, id, name string) error {
	return f.note("rename %s %s", nameOf(id), name)
}

func (f *fakes) Cancel(_ context.Context, id, actor string) error {
	f.live.mu.Lock()
	late := f.live.late
	f.live.mu.Unlock()
	if late {
		return &api.TooLateError{Reason: "It is too late."}
	}
	return f.note("cancel %s by %s", id, actor)
}
