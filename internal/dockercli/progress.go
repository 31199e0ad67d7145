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
}

// progress adds up what the engine says of each layer.
type progress struct {
	on     func(PullProgress)
	layers map[string]*layer
	last   PullProgress
}

type layer struct {
	current, total int64
	arrived, done  bool
}

func newProgress(on func(PullProgress)) *progress {
	return &progress{on: on, layers: map[string]*layer{}}
}

// add takes in one message and passes the sum on if it changed.
func (p *progress) add(m jsonstream.Message) {
	// "Pulling from library/nginx" bears the tag as its id, a layer its digest's beginning.
	if m.ID != "" && !strings.HasPrefix(m.Status, "Pulling from") {
		l := p.layers[m.ID]
		if l == nil {
			l = &layer{}
			p.layers[m.ID] = l
		}
		l.take(m)
	}
	p.tell(p.sum())
}

func (l *layer) take(m jsonstream.Message) {
	switch m.Status {
	case "Downloading":
		if m.Progress != nil && m.Progress.Units == "" {
			l.current, l.total = m.Progress.Current, max(l.total, m.Progress.Total)
		}
	case "Verifying Checksum", "Download complete", "Extracting":
		l.arrived, l.current = true, l.total
	case "Pull complete", "Already exists":
		l.arrived, l.done, l.current = true, true, l.total
	}
}

func (p *progress) sum() PullProgress {
	s := PullProgress{Phase: "resolving", Layers: len(p.layers)}
	arrived := 0
	for _, l := range p.layers {
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
	if p.on != nil && s != p.last {
		p.last = s
		p.on(s)
	}
}
