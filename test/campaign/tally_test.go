package campaign_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"

	"github.com/watch-docker/watch-docker/internal/store"
)

// tally counts points and what became of them.
type tally struct {
	mu      sync.Mutex
	rows    map[string]*row
	names   map[string]bool // of the points that were played
	moments map[string]bool // of the journal, at which somebody was killed
	stale   int             // records that are over, with a step that says running
}

type row struct{ points, old, fresh, none, failed int }

func newTally() *tally {
	return &tally{rows: map[string]*row{}, names: map[string]bool{}, moments: map[string]bool{}}
}

func (y *tally) add(u *run, err error) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.names[u.point.String()] = true
	if u.found.stale {
		y.stale++
	}
	for _, key := range []string{u.point.shape.name + "\t" + string(u.point.death), "all\t"} {
		if y.rows[key] == nil {
			y.rows[key] = &row{}
		}
		w := y.rows[key]
		w.points++
		switch u.found.release {
		case oldRelease:
			w.old++
		case newRelease:
			w.fresh++
		default:
			w.none++
		}
		if err != nil || len(u.found.wrong) > 0 {
			w.failed++
		}
	}
	if u.point.death != nobody {
		y.moments[u.at.moment()] = true
	}
}

func (y *tally) played(p point) bool {
	y.mu.Lock()
	defer y.mu.Unlock()
	return y.names[p.String()]
}

// all is how many points have been played, walks left out. A point that was
// tried again counts once.
func (y *tally) all() int {
	y.mu.Lock()
	defer y.mu.Unlock()
	n := 0
	for name := range y.names {
		if !strings.HasSuffix(name, "/walk") {
			n++
		}
	}
	return n
}

// covered fails if nobody was killed within some step of the journal. In the
// whole campaign somebody also must have been right after it.
func (y *tally) covered(t *testing.T, walks []walk, chosen string) {
	t.Helper()
	if chosen != "" && chosen != "whole" {
		return
	}
	missed := map[string]bool{}
	for _, w := range walks {
		for _, s := range w.steps {
			missed[s.Name+" running"] = !y.moments[s.Name+" running"]
			if done := s.Name + " done"; chosen == "whole" && s.State == store.StepDone {
				missed[done] = !y.moments[done]
			}
		}
	}
	for _, m := range slices.Sorted(maps.Keys(missed)) {
		if missed[m] {
			t.Errorf("nobody was killed at %q", m)
		}
	}
}

// String is the table.
func (y *tally) String() string {
	y.mu.Lock()
	defer y.mu.Unlock()
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SHAPE\tKILLED\tPOINTS\tOLD\tNEW\tNONE\tFAILED")
	for _, key := range slices.Sorted(maps.Keys(y.rows)) {
		r := y.rows[key]
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\n", key, r.points, r.old, r.fresh, r.none, r.failed)
	}
	_ = w.Flush()
	fmt.Fprintf(&b, "records that are over, with a step that says running: %d\n", y.stale)
	fmt.Fprintf(&b, "journal at the deaths: %s\n", strings.Join(slices.Sorted(maps.Keys(y.moments)), ", "))
	return b.String()
}
