// Package campaign_test kills Watch Docker, its engine, or both, at every
// place of an update, starts them again, and looks at what has become of the
// container. doc/reliability.md tells how.
package campaign_test

import (
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// choice is the environment variable that says which points are run: "whole"
// is all, a part of a point's name is those that have it; otherwise a few.
const choice = "WATCHDOCKER_CAMPAIGN"

// rigs is how many engines are at work side by side.
const rigs = 4

func TestKilledAnywhere(t *testing.T) {
	began := time.Now()
	chosen := os.Getenv(choice)
	all := chooseShapes(chosen)
	g := newGround(t, all)
	c := &campaign{T: t, tally: newTally()}
	for n := range rigs {
		c.rigs = append(c.rigs, g.newRig(t, n))
	}
	walks := c.walk(all)
	points := short(walks)
	if chosen != "" {
		points = append(whole(walks), c.relapses(walks, chosen)...)
		points = slices.DeleteFunc(points, func(p point) bool {
			return c.tally.played(p) || chosen != "whole" && !strings.Contains(p.String(), chosen)
		})
	}
	t.Logf("%d points to play after %s", len(points), time.Since(began).Round(time.Second))
	c.each(len(points), func(r *rig, i int) {
		c.Run(points[i].String(), func(t *testing.T) { c.play(t, r, points[i]) })
	})
	c.tally.covered(t, walks, chosen)
	if n := c.tally.stale; n > 0 {
		t.Errorf("%d records are over, but a step of theirs says running", n)
	}
	t.Logf("%d points in %s, on Docker %s\n%s", c.tally.all(), time.Since(began).Round(time.Second), c.rigs[0].engine.Version(), c.tally)
}

// chooseShapes are those that the chosen points can be of.
func chooseShapes(chosen string) []shape {
	name, _, _ := strings.Cut(chosen, "/")
	var one, few []shape
	for _, s := range shapes() {
		if s.name == name {
			one = append(one, s)
		}
		if oneOf(s, "everything rm group") { // the group comes last, see short
			few = append(few, s)
		}
	}
	switch {
	case len(one) > 0:
		return one
	case chosen != "":
		return shapes()
	}
	return few
}

// campaign hands points out to rigs.
type campaign struct {
	*testing.T
	rigs  []*rig
	tally *tally
}

// each calls do for every number below n, on whichever rig is free.
func (c *campaign) each(n int, do func(r *rig, i int)) {
	next := make(chan int)
	var workers sync.WaitGroup
	for _, r := range c.rigs {
		workers.Go(func() {
			for i := range next {
				do(r, i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	workers.Wait()
}

// walk goes through an update of each shape undisturbed.
func (c *campaign) walk(all []shape) []walk {
	walks := make([]walk, len(all))
	c.each(len(all), func(r *rig, i int) {
		p := point{shape: all[i], death: nobody}
		c.Run(p.String(), func(t *testing.T) {
			u := c.play(t, r, p)
			walks[i] = walk{shape: all[i], instants: r.proxy.requests()}
			if len(u.records) == 1 {
				walks[i].steps = u.records[0].Steps
			} else {
				t.Errorf("%d operations", len(u.records))
			}
		})
	})
	return walks
}

// relapses are points within recoveries, which are looked at first.
func (c *campaign) relapses(walks []walk, chosen string) []point {
	if chosen != "whole" && !strings.Contains(chosen, "then ") {
		return nil
	}
	var first []point
	for _, w := range walks {
		if oneOf(w.shape, "everything rm broken") {
			first = append(first, firsts(w)...)
		}
	}
	if one, _, ok := strings.Cut(chosen, ", then "); ok && one != "" {
		first = slices.DeleteFunc(first, func(p point) bool { return p.String() != one })
	}
	lists := make([][]point, len(first))
	c.each(len(first), func(r *rig, i int) {
		c.Run(first[i].String(), func(t *testing.T) { lists[i] = seconds(first[i], c.play(t, r, first[i]).recovery) })
	})
	return slices.Concat(lists...)
}

// tries is how often a point is played until the journal is caught at its
// moment: between the end of a step and the next there are a few hundred
// microseconds.
const tries = 6

func (c *campaign) play(t *testing.T, r *rig, p point) *run {
	for try := 1; ; try++ {
		u, err := r.play(t.Context(), p)
		c.tally.add(u, err)
		if err != nil {
			t.Errorf("the campaign itself: %v", err)
		}
		for _, wrong := range u.found.wrong {
			t.Error(wrong)
		}
		if t.Failed() {
			t.Logf("%s\nto repeat: %s=%q go test -tags nomsgpack ./test/campaign", u.report(), choice, p.String())
			return u
		}
		if p.moment == "" || p.moment == u.at.moment() || try == tries {
			return u
		}
		t.Logf("caught at %q", u.at.moment())
	}
}
