package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/watch-docker/watch-docker/internal/scanner"
	"github.com/watch-docker/watch-docker/internal/store"
	"github.com/watch-docker/watch-docker/internal/wsstream"
)

// progressEvery is how often a frame of one operation, or of the scan, may
// only tell how far it is. What else changes is told at once.
const progressEvery = 250 * time.Millisecond

// snapshot is the first frame of the events, and replaces all that was before.
type snapshot struct {
	Type string `json:"type"` // snapshot

	scanner.Result

	Operations []store.Operation `json:"operations"` // that wait or run
	Scan       scanFrame         `json:"scan"`
	Engine     engineFrame       `json:"engine"`
}

type scanFrame struct {
	Type string `json:"type,omitempty"` // scan
	scanner.Scanning

	ScannedAt time.Time `json:"scannedAt"`
}

type engineFrame struct {
	Type      string `json:"type,omitempty"` // engine
	Reachable bool   `json:"reachable"`
}

type containerFrame struct {
	Type      string                   `json:"type"` // container
	Container *scanner.ContainerStatus `json:"container"`
}

type removedFrame struct {
	Type string `json:"type"` // removed
	ID   string `json:"id"`
	Name string `json:"name"`
}

type operationFrame struct {
	Type      string          `json:"type"` // operation
	Operation store.Operation `json:"operation"`
}

// eventsKey is the hub's key of the board.
const eventsKey = "events"

// boardFrame is what the board publishes: an object in JSON, without a number.
type boardFrame struct {
	json   []byte
	counts bool // containers may run now that didn't, or the other way round
}

// board is the source of the events: it compares what is with what it has
// said, and publishes the difference.
type board struct {
	live       Live
	operations Operations

	poked chan struct{} // dirty isn't empty

	dirtyMu sync.Mutex
	dirty   map[string]bool // operations that have changed

	mu    sync.Mutex // guards what follows, which Snapshot tells
	now   scanner.Live
	known map[string]json.RawMessage // containers as they have been told, by id
	under map[string]store.Operation // unfinished operations
	whole []byte                     // the snapshot; nil: it has changed
	ready bool

	told     map[string]time.Time // when an operation's last frame was
	waiting  map[string]bool      // operations whose progress waits for its time
	toldScan time.Time
	scanWait bool
}

func newBoard(live Live, operations Operations) *board {
	return &board{
		live: live, operations: operations, poked: make(chan struct{}, 1), dirty: map[string]bool{},
		known: map[string]json.RawMessage{}, under: map[string]store.Operation{}, told: map[string]time.Time{}, waiting: map[string]bool{},
	}
}

// Run implements wsstream.Source.
func (b *board) Run(ctx context.Context, publish func(wsstream.Message)) error {
	say := func(f boardFrame) { publish(wsstream.Message{Body: f}) }
	stop := b.live.Follow(b.note)
	defer stop()
	unfinished, err := b.live.Unfinished(ctx)
	if err != nil {
		return err
	}
	now, changed := b.live.Live()
	b.begin(now, unfinished)
	publish(wsstream.Message{Begun: true})
	tick, ticks := time.NewTimer(progressEvery), true
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
			now, changed = b.live.Live()
			b.compare(now, say)
		case <-b.poked:
			if err := b.follow(ctx, b.taken(), say); err != nil {
				return err
			}
		case <-tick.C:
			ticks = false
			due := b.waiting
			b.waiting = map[string]bool{}
			if err := b.follow(ctx, due, say); err != nil {
				return err
			}
			b.compareScan(now, say)
		}
		if !ticks && (len(b.waiting) > 0 || b.scanWait) {
			ticks = true
			tick.Reset(progressEvery / 4)
		}
	}
}

// Snapshot implements wsstream.Snapshotter.
func (b *board) Snapshot() (wsstream.Message, bool) {
	b.mu.Lock()
	ready := b.ready
	b.mu.Unlock()
	if !ready {
		return wsstream.Message{}, false
	}
	return wsstream.Message{Body: b.snapshot()}, true
}

func (b *board) snapshot() boardFrame {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.whole == nil {
		s := snapshot{
			Type: "snapshot", Result: b.now.Result, Operations: make([]store.Operation, 0, len(b.under)),
			Scan: scanFrame{Scanning: b.now.Scan, ScannedAt: b.now.ScannedAt}, Engine: engineFrame{Reachable: b.now.Reachable},
		}
		s.Containers = orEmpty(s.Containers)
		for _, op := range b.under {
			s.Operations = append(s.Operations, brief(op))
		}
		slices.SortFunc(s.Operations, func(a, b store.Operation) int { return bytes.Compare([]byte(a.ID), []byte(b.ID)) })
		b.whole = frameOf(s)
	}
	return boardFrame{b.whole, true}
}

// frameOf is a frame in JSON.
func frameOf(frame any) []byte {
	text, _ := json.Marshal(frame) // of strings, numbers and times of this age: always marshals
	return text
}

func (b *board) begin(now scanner.Live, unfinished []store.Operation) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now, b.ready, b.toldScan = now, true, time.Now()
	for i := range now.Containers {
		b.known[now.Containers[i].ID] = frameOf(&now.Containers[i])
	}
	for _, op := range unfinished {
		b.under[op.ID] = op
	}
}

// note is told which operation has changed.
func (b *board) note(operationID string) {
	b.dirtyMu.Lock()
	b.dirty[operationID] = true
	b.dirtyMu.Unlock()
	select {
	case b.poked <- struct{}{}:
	default:
	}
}

func (b *board) taken() map[string]bool {
	b.dirtyMu.Lock()
	defer b.dirtyMu.Unlock()
	taken := b.dirty
	b.dirty = map[string]bool{}
	return taken
}

// compare publishes what the engine, the containers and the scan have become.
func (b *board) compare(now scanner.Live, say func(boardFrame)) {
	b.mu.Lock()
	was := b.now
	b.now.Result, b.now.Reachable, b.now.Returns, b.now.Listings = now.Result, now.Reachable, now.Returns, now.Listings
	b.whole = nil
	var frames []boardFrame
	if now.Listings != was.Listings {
		frames = b.difference(now.Containers)
	}
	b.mu.Unlock()
	if now.Reachable != was.Reachable {
		say(boardFrame{frameOf(engineFrame{"engine", now.Reachable}), false})
	}
	if now.Returns != was.Returns { // what happened meanwhile, nobody knows
		say(b.snapshot())
	} else {
		for _, f := range frames {
			say(f)
		}
	}
	if !now.ScannedAt.Equal(was.ScannedAt) {
		b.toldScan = time.Time{}
	}
	b.compareScan(now, say)
}

// difference takes a new list over and gives a frame for each change. b.mu is held.
func (b *board) difference(containers []scanner.ContainerStatus) []boardFrame {
	var frames []boardFrame
	gone := make(map[string]json.RawMessage, len(b.known))
	for id, text := range b.known {
		gone[id] = text
	}
	for i := range containers {
		c := &containers[i]
		delete(gone, c.ID)
		text := frameOf(c)
		if !bytes.Equal(text, b.known[c.ID]) {
			b.known[c.ID] = text
			frames = append(frames, boardFrame{frameOf(containerFrame{"container", c}), true})
		}
	}
	removed := make([]boardFrame, 0, len(gone))
	for id, text := range gone {
		var c struct{ Name string }
		_ = json.Unmarshal(text, &c) // it is our own
		delete(b.known, id)
		removed = append(removed, boardFrame{frameOf(removedFrame{"removed", id, c.Name}), true})
	}
	return append(removed, frames...) // a name may have gone from one to another
}

// compareScan publishes how far the scan is, now and then.
func (b *board) compareScan(now scanner.Live, say func(boardFrame)) {
	b.mu.Lock()
	was, at := b.now.Scan, time.Now()
	b.scanWait = false
	switch same := was == now.Scan; {
	case same && !b.toldScan.IsZero():
		b.mu.Unlock()
		return
	case was.Running == now.Scan.Running && at.Sub(b.toldScan) < progressEvery:
		b.scanWait = true
		b.mu.Unlock()
		return
	}
	b.now.Scan, b.toldScan, b.whole = now.Scan, at, nil
	b.mu.Unlock()
	say(boardFrame{frameOf(scanFrame{"scan", now.Scan, now.ScannedAt}), false})
}

// follow publishes how operations are.
func (b *board) follow(ctx context.Context, ids map[string]bool, say func(boardFrame)) error {
	for id := range ids {
		op, err := b.operations.Operation(ctx, id)
		switch {
		case errors.Is(err, store.ErrNoOperation): // its record has been pruned
			continue
		case err != nil:
			return err
		}
		b.mu.Lock()
		was, known := b.under[id]
		at := time.Now()
		if known && alike(was, op) && at.Sub(b.told[id]) < progressEvery {
			b.waiting[id] = true
			b.mu.Unlock()
			continue
		}
		b.under[id], b.told[id], b.whole = op, at, nil
		delete(b.waiting, id)
		if op.State.Finished() {
			delete(b.under, id)
			delete(b.told, id)
		}
		b.mu.Unlock()
		say(boardFrame{frameOf(operationFrame{"operation", brief(op)}), false})
	}
	return nil
}

// alike reports whether nothing has changed but how far the work is.
func alike(a, b store.Operation) bool {
	return a.State == b.State && slices.Equal(a.Steps, b.Steps) && a.ToDigest == b.ToDigest && a.DowntimeMs == b.DowntimeMs
}
