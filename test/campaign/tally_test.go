package campaign_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
)

// tally counts points and what became of them.
type tally struct {
	mu      sync.Mutex
	rows    map[string]*row
	moments map[string]bool // of the journal, at which somebody was killed
}

type row struct{ points, old, fresh, none, failed int }

func newTally() *tally { return &tally{rows: map[string]*row{}, moments: map[string]bool{}} }

func (y *tally) add(u *run, err error) {
	y.mu.Lock()
	defer y.mu.Unlock()
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

// covered fails if no point was within some step of the journal, or after it.
func (y *tally) covered(t *testing.T, walks []walk, points []point) {
	t.Helper()
	if len(points) < 10 {
		return // somebody repeats a point
	}
	for _, w := range walks {
		for _, s := range w.steps {
			if !y.moments[s.Name+" running"] {
				t.Errorf("nobody was killed within the step %s", s.Name)
			}
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
	fmt.Fprintf(&b, "journal at the deaths: %s\n", strings.Join(slices.Sorted(maps.Keys(y.moments)), ", "))
	return b.String()
}
