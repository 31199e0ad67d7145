package campaign_test

import (
	"maps"
	"slices"
	"strings"
)

// walk is an update that nobody disturbed: where points can be.
type walk struct {
	shape    shape
	instants []instant
	steps    []step
}

// within are the instants of the operation itself.
func (w walk) within(keep func(instant) bool) []instant {
	var list []instant
	for _, at := range w.instants {
		if !slices.Contains([]string{"scan", "queued", "end"}, at.Step) && keep(at) {
			list = append(list, at)
		}
	}
	return list
}

// changes are all sides of every request that changes something.
func (w walk) changes() []instant { return w.within(func(at instant) bool { return at.changes() }) }

// done are those that the engine has carried out.
func (w walk) done() []instant {
	return w.within(func(at instant) bool { return at.changes() && at.Side == after })
}

// reads are requests that only look, one of a kind in each step: how often
// something is looked at while it is waited for differs from run to run.
func (w walk) reads() []instant {
	return w.within(func(at instant) bool { return !at.changes() && at.Side == before && at.N == 1 })
}

// moments are the states of the journal.
func (w walk) moments() []string {
	list := []string{"queued"}
	for _, s := range w.steps {
		list = append(list, s.Name+" running", s.Name+" "+string(s.State))
	}
	return append(list, "end")
}

// whole is every point of the campaign but those within recoveries. Shapes
// take turns, so that a campaign that is ended early has seen all of them.
func whole(walks []walk) []point {
	var lists [][]point
	longest := 0
	for n, w := range walks {
		list := append(programPoints(w), enginePoints(w, n)...)
		lists, longest = append(lists, list), max(longest, len(list))
	}
	var all []point
	for i := range longest {
		for _, list := range lists {
			if i < len(list) {
				all = append(all, list[i])
			}
		}
	}
	return all
}

// oneOf says whether a shape is among these. What needs many points is done
// with the shapes that have the most in them.
func oneOf(s shape, names string) bool { return slices.Contains(strings.Fields(names), s.name) }

func programPoints(w walk) []point {
	all := []point{}
	add := func(p point) { p.shape = w.shape; all = append(all, p) }
	for _, at := range w.changes() {
		if at.Side != amid || !quick(at) || oneOf(w.shape, "everything rm-everything") {
			add(point{death: command, at: at})
		}
	}
	if oneOf(w.shape, "everything") {
		for _, at := range w.reads() {
			add(point{death: command, at: at})
		}
		for _, at := range w.done() {
			add(point{death: server, at: at})
		}
	}
	if oneOf(w.shape, "rm broken group start-first hooks compose-tag compose-tag-broken") {
		for _, m := range w.moments() {
			add(point{death: command, moment: m})
		}
	}
	if oneOf(w.shape, "rm broken") {
		for _, at := range w.done() {
			add(point{death: command, at: at, again: true})
		}
	}
	if oneOf(w.shape, "plain") {
		for _, at := range w.done() {
			add(point{death: asker, at: at})
		}
	}
	return all
}

// quick says that the engine is done with a request at once.
func quick(at instant) bool {
	for _, word := range []string{"/update", "/rename", "/connect", "/tag"} {
		if strings.Contains(at.What, word) {
			return true
		}
	}
	return false
}

// enginePoints ends the engine at every request that changes something: on
// all sides of it with some shapes, and with the others on one. Sides and ways
// to end it take turns, so that each shape meets all of them.
func enginePoints(w walk, turn int) []point {
	ways := []death{engineKilled, bothEnded, engineEnded, bothKilled}
	all := []point{}
	for n, at := range w.changes() {
		p := point{shape: w.shape, at: at, death: ways[(turn+n)%len(ways)]}
		if !oneOf(w.shape, "unless-stopped everything rm-everything start-first") {
			if n%3 != (n/3+turn)%3 {
				continue
			}
			p.death = ways[(turn+n/3)%len(ways)]
		}
		all = append(all, p)
	}
	return all
}

// firsts are the points after which recovery has something to do: one in
// each step, where there is the most to undo or to finish.
func firsts(w walk) []point {
	last := map[string]instant{}
	for _, at := range w.changes() {
		if at.Step != "pull" && (at.Step == "finish") == (at.Side == before) {
			last[at.Step] = at
		}
	}
	var all []point
	for _, step := range slices.Sorted(maps.Keys(last)) {
		all = append(all, point{shape: w.shape, death: command, at: last[step]})
	}
	return all
}

// seconds are deaths within the recovery that followed a first.
func seconds(first point, recovery []instant) []point {
	ways := []death{command, engineKilled, command, bothKilled}
	var all []point
	for _, at := range (walk{instants: recovery}).changes() {
		p := first
		p.second, p.then = at, ways[len(all)%len(ways)]
		all = append(all, p)
	}
	return all
}

// short is a spread that touches every step and every kind of death: within
// each step one request that changes something, before it, amid it or after
// it, and steps that change nothing by the journal. What the group has in
// common with the others is left to the others.
func short(walks []walk) []point {
	ways := []death{command, server, engineKilled, command, bothKilled, asker, command, engineEnded, command, bothEnded}
	sides := []string{before, amid, after}
	var all []point
	touched := map[string]bool{}
	for _, w := range walks {
		steps := map[string]bool{}
		if w.shape.beside {
			steps = touched
		}
		for _, at := range w.changes() {
			n := len(all)
			if steps[at.Step] || at.Side != sides[n%len(sides)] {
				continue
			}
			steps[at.Step], touched[at.Step] = true, true
			all = append(all, point{shape: w.shape, death: ways[n%len(ways)], at: at, again: n%len(ways) == 3})
		}
		for _, s := range w.steps {
			if !touched[s.Name] {
				touched[s.Name] = true
				all = append(all, point{shape: w.shape, death: command, moment: s.Name + " running"})
			}
		}
	}
	return all
}
