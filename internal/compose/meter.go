package compose

import (
	"github.com/watch-docker/watch-docker/internal/composecli"
	"github.com/watch-docker/watch-docker/internal/store"
	"github.com/watch-docker/watch-docker/internal/task"
)

// meter adds up what a command says of each thing it is at: bytes of layers
// while there are any, else how many things are done.
type meter struct {
	report *task.Report
	order  []string
	things map[string]composecli.Event
}

func newMeter(r *task.Report) *meter {
	return &meter{report: r, things: map[string]composecli.Event{}}
}

// event takes one in; they come one at a time.
func (m *meter) event(e composecli.Event) {
	was, known := m.things[e.ID]
	if !known {
		m.order = append(m.order, e.ID)
	}
	if e.Total == 0 { // the end of a download says no bytes
		e.Total = was.Total
		if e.Status == composecli.Done {
			e.Current = e.Total
		}
	}
	m.things[e.ID] = e
	text := e.ID + ": " + e.Text
	if e.Parent == "" && (!known || was.Text != e.Text || was.Status != e.Status) {
		line := text
		if e.Details != "" {
			line += " " + e.Details
		}
		m.report.Line(line)
		m.report.Detail(text)
	}
	m.report.Progress(m.progress(text))
}

func (m *meter) progress(text string) store.Progress {
	bytes, things := store.Progress{Unit: "bytes", Text: text}, store.Progress{Unit: "things", Text: text}
	for _, id := range m.order {
		e := m.things[id]
		bytes.Current += e.Current
		bytes.Total += e.Total
		if e.Parent != "" {
			continue
		}
		things.Total++
		if e.Status != composecli.Working {
			things.Current++
		}
	}
	if bytes.Total > 0 {
		return bytes
	}
	return things
}
