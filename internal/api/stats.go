package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/watch-docker/watch-docker/internal/wsstream"
)

const (
	// statsAtOnce is how many containers are measured at once, for all viewers.
	statsAtOnce = 200
	// statsEvery is how often a socket gets a frame with all new figures, and
	// statsGather how long one waits for the first of them to be more.
	statsEvery  = time.Second
	statsGather = 200 * time.Millisecond
	// statsAgain is how soon containers are tried again that could not be measured.
	statsAgain = 5 * time.Second

	statsKey = "stats/"
)

var errTooManyStats = errors.New("too many containers are measured already")

// meter is the source of one container's figures.
type meter struct {
	live   Live
	places *atomic.Int64
	id     string
	last   atomic.Pointer[Stats]
}

// Run implements wsstream.Source.
func (m *meter) Run(ctx context.Context, publish func(wsstream.Message)) error {
	defer m.places.Add(-1)
	if m.places.Add(1) > statsAtOnce {
		return errTooManyStats
	}
	return m.live.Stats(ctx, m.id, func(s Stats) {
		m.last.Store(&s)
		publish(wsstream.Message{Body: &s})
	})
}

// Snapshot implements wsstream.Snapshotter.
func (m *meter) Snapshot() (wsstream.Message, bool) {
	last := m.last.Load()
	return wsstream.Message{Body: last}, last != nil
}

// gauges are what one socket wants to see of figures.
type gauges struct {
	s     *server
	ctx   context.Context //nolint:containedctx // the socket's
	queue *wsstream.Queue
	due   <-chan time.Time // when the next frame is; nil: there is nothing to send
	again <-chan time.Time // when to try again; nil: nothing is missing

	wanted  []string                          // "*", or what names containers; none: nothing
	subs    map[string]*wsstream.Subscription // by the hub's key
	sent    time.Time
	fresh   map[string]*Stats // not sent yet, by the hub's key
	refused bool              // there were too many, which is to be said
	said    bool              // … and has been
}

func (s *server) watchStats(ctx context.Context) *gauges {
	return &gauges{
		s: s, ctx: ctx, queue: wsstream.NewQueue(wsstream.Options{Policy: wsstream.Latest, Size: 4 * statsAtOnce}),
		subs: map[string]*wsstream.Subscription{}, fresh: map[string]*Stats{},
	}
}

func (v *gauges) close() {
	for _, sub := range v.subs {
		sub.Close()
	}
}

// ask takes what the client says; what it can't mean is ignored.
func (v *gauges) ask(text []byte) {
	var m struct {
		Type       string   `json:"type"`
		Containers []string `json:"containers"`
	}
	if err := json.Unmarshal(text, &m); err != nil || m.Type != "stats" {
		return
	}
	v.wanted, v.said = m.Containers, false
	v.choose()
}

// choose begins and ends what is measured for this socket, as its wishes and
// the containers have it.
func (v *gauges) choose() {
	v.again = nil
	if len(v.wanted) == 0 && len(v.subs) == 0 {
		return
	}
	now, _ := v.s.Live.Live()
	keys := map[string]string{}
	add := func(id string, running bool) {
		if running {
			keys[statsKey+id] = id
		}
	}
	for _, name := range v.wanted {
		found := now.Find(name)
		if name == "*" {
			found = now.Containers
		}
		for i := range found {
			add(found[i].ID, found[i].Running)
		}
	}
	for key, sub := range v.subs {
		if keys[key] == "" {
			sub.Close()
			delete(v.subs, key)
			delete(v.fresh, key)
		}
	}
	missing := make([]string, 0, len(keys))
	for key := range keys {
		if v.subs[key] == nil {
			missing = append(missing, key)
		}
	}
	slices.Sort(missing) // the same for every socket
	for _, key := range missing {
		source := &meter{live: v.s.Live, places: &v.s.measured, id: keys[key]}
		v.subs[key] = v.s.Hub.Subscribe(v.ctx, key, source, wsstream.Options{Into: v.queue})
	}
}

// gather takes in what has been measured, and has it sent when it is time.
func (v *gauges) gather() {
	for _, m := range v.queue.Take() {
		if m.Err != nil {
			v.lost(m)
			continue
		}
		if s, ok := m.Body.(*Stats); ok && v.subs[m.Key] != nil {
			v.fresh[m.Key] = s
		}
	}
	if v.due == nil && (len(v.fresh) > 0 || v.refused) {
		v.due = time.After(max(statsGather, statsEvery-time.Since(v.sent)))
	}
}

// lost notes that a container isn't measured any more.
func (v *gauges) lost(m wsstream.Message) {
	if sub := v.subs[m.Key]; sub != nil {
		sub.Close()
		delete(v.subs, m.Key)
	}
	v.refused = v.refused || errors.Is(m.Err, errTooManyStats) && !v.said
	if v.again == nil {
		v.again = time.After(statsAgain)
	}
}

type statsFrame struct {
	Type  string   `json:"type"` // stats
	Stats []*Stats `json:"stats"`
}

// send sends a frame with all that is new.
func (v *gauges) send(out *numbered) error {
	v.due, v.sent = nil, time.Now()
	if v.refused {
		v.refused, v.said = false, true
		message := fmt.Sprintf("At most %d containers are measured at once; some that were asked for are not.", statsAtOnce)
		if err := out.frame(v.ctx, frameOf(errorFrame{Type: "error", Code: CodeTooManyStats, Message: message})); err != nil {
			return err
		}
	}
	if len(v.fresh) == 0 {
		return nil
	}
	frame := statsFrame{Type: "stats"}
	for _, s := range v.fresh {
		frame.Stats = append(frame.Stats, s)
	}
	clear(v.fresh)
	slices.SortFunc(frame.Stats, func(a, b *Stats) int { return strings.Compare(a.ID, b.ID) })
	return out.frame(v.ctx, frameOf(frame))
}
