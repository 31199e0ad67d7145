package dockercli

import (
	"strings"

	"github.com/moby/moby/api/types/jsonstream"
)

// PullProgress is how far a pull is, all layers together.
type PullProgress struct {
	Phase      string // "resolving", "downloading", "extracting", "done"
	Current    int64  // bytes that have arrived of the layers whose size is known
	Total      int64  // bytes of those; grows while layers are found
	Layers     int    // layers, those that were here before included
	LayersDone int
	Each       []LayerProgress // in the order in which they were first spoken of
}

// LayerProgress is how far one layer is.
type LayerProgress struct {
	ID      string // the beginning of its digest
	State   string // "waiting", "downloading", "downloaded", "extracting", "done", "exists"
	Current int64  // bytes; while it is extracted, of that
	Total   int64  // 0: not known
}

// progress adds up what the engine says of each layer.
type progress struct {
	on     func(PullProgress)
	layers map[string]*layer
	order  []string
	told   bool
}

type layer struct {
	current, total     int64
	arrived, done      bool
	state              string
	extracted, unpacks int64 // bytes extracted, of so many
}

func newProgress(on func(PullProgress)) *progress {
	return &progress{on: on, layers: map[string]*layer{}}
}

// add takes in one message and passes the sum on if it changed.
func (p *progress) add(m jsonstream.Message) {
	changed := !p.told
	// "Pulling from library/nginx" bears the tag as its id, a layer its digest's beginning.
	if m.ID != "" && !strings.HasPrefix(m.Status, "Pulling from") {
		l := p.layers[m.ID]
		if l == nil {
			l = &layer{state: "waiting"}
			p.layers[m.ID], p.order, changed = l, append(p.order, m.ID), true
		}
		before := *l
		l.take(m)
		changed = changed || before != *l
	}
	if changed {
		p.tell(p.sum())
	}
}

func (l *layer) take(m jsonstream.Message) {
	switch m.Status {
	case "Downloading":
		l.state = "downloading"
		if m.Progress != nil && m.Progress.Units == "" {
			l.current, l.total = m.Progress.Current, max(l.total, m.Progress.Total)
		}
	case "Verifying Checksum", "Download complete":
		l.arrived, l.current, l.state = true, l.total, "downloaded"
	case "Extracting":
		l.arrived, l.current, l.state = true, l.total, "extracting"
		if m.Progress != nil && m.Progress.Units == "" {
			l.extracted, l.unpacks = m.Progress.Current, m.Progress.Total
		}
	case "Pull complete":
		l.arrived, l.done, l.current, l.state = true, true, l.total, "done"
	case "Already exists":
		l.arrived, l.done, l.current, l.state = true, true, l.total, "exists"
	}
}

func (l *layer) told(id string) LayerProgress {
	if l.state == "extracting" && l.unpacks > 0 {
		return LayerProgress{ID: id, State: l.state, Current: l.extracted, Total: l.unpacks}
	}
	return LayerProgress{ID: id, State: l.state, Current: l.current, Total: l.total}
}

func (p *progress) sum() PullProgress {
	s := PullProgress{Phase: "resolving", Layers: len(p.layers), Each: make([]LayerProgress, 0, len(p.layers))}
	arrived := 0
	for _, id := range p.order {
		l := p.layers[id]
		s.Each = append(s.Each, l.told(id))
		s.Current, s.Total = s.Current+l.current, s.Total+l.total
		if l.arrived {
			arrived++
		}
		if l.done {
			s.LayersDone++
		}
	}
	switch {
	case s.Layers == 0:
	case arrived < s.Layers:
		s.Phase = "downloading"
	default:
		s.Phase = "extracting"
	}
	return s
}

func (p *progress) done() {
	s := p.sum()
	s.Phase, s.Current, s.LayersDone = "done", s.Total, s.Layers
	p.tell(s)
}

func (p *progress) tell(s PullProgress) {
	p.told = true
	if p.on != nil {
		p.on(s)
	}
}
