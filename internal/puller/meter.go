package puller

import (
	"time"

	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/internal/store"
)

// rateOver is the time whose bytes make a pull's rate.
const rateOver = 5 * time.Second

// meter makes an operation's progress of a pull's.
type meter struct{ marks []mark }

// mark is how much had arrived when.
type mark struct {
	at    time.Time
	bytes int64
}

func (m *meter) progress(p dockercli.PullProgress, now time.Time) store.Progress {
	out := store.Progress{Current: p.Current, Total: p.Total, Unit: "bytes", Text: p.Phase}
	for _, l := range p.Each {
		out.Layers = append(out.Layers, store.Layer(l))
	}
	if p.Phase != "downloading" {
		return out
	}
	out.Rate = m.rate(p.Current, now)
	if out.Rate > 0 && p.Total >= p.Current {
		left := (p.Total - p.Current + out.Rate - 1) / out.Rate
		out.SecondsLeft = &left
	}
	return out
}

// rate is in bytes a second; 0 as long as it can't be told.
func (m *meter) rate(bytes int64, now time.Time) int64 {
	const step = 100 * time.Millisecond // between marks, so that they are few
	if n := len(m.marks); n == 0 || now.Sub(m.marks[n-1].at) >= step {
		m.marks = append(m.marks, mark{now, bytes})
	}
	for len(m.marks) > 2 && now.Sub(m.marks[1].at) >= rateOver {
		m.marks = m.marks[1:]
	}
	first := m.marks[0]
	since := now.Sub(first.at)
	if since < step || bytes <= first.bytes {
		return 0
	}
	return int64(float64(bytes-first.bytes) / since.Seconds())
}
