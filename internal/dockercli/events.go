package dockercli

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"time"

	"github.com/moby/moby/client"
	"go.uber.org/zap"
)

// EventKind sorts what Watch tells.
type EventKind int

// The kinds of events.
const (
	// Connected: the stream has begun, the first time or again. What happened before is unknown, so list anew.
	Connected EventKind = iota
	// Disconnected: the engine went away; Err says how. Watch goes on trying.
	Disconnected
	// ContainerChanged: the container ID was made, started, stopped, renamed, removed, or its health changed.
	ContainerChanged
	// ImageChanged: the image ID was pulled, tagged, untagged, loaded or removed.
	ImageChanged
)

// Event is one thing that happened on the engine.
type Event struct {
	Kind   EventKind
	ID     string // of the container or image
	Action string // the engine's word: "start", "die", "pull"
	At     time.Time
	Err    error // with Disconnected
}

const (
	firstBackoff = 250 * time.Millisecond
	lastBackoff  = 10 * time.Second
)

// Watch calls on for what happens, one event at a time, until ctx ends, which
// is the only error it returns. When the engine goes away it keeps trying,
// with growing pauses, and says Connected when it is back.
func (c *Client) Watch(ctx context.Context, on func(Event)) error {
	// "stop" comes after "die", when the engine's list knows it as well.
	filters := containerFilters().Add("type", "image").Add("event", "stop", "pull", "tag", "untag", "delete", "load", "import")
	return c.watch(ctx, filters, on)
}

// containerFilters let the events through that change how a container is seen.
func containerFilters() client.Filters {
	return client.Filters{}.Add("type", "container").Add("event",
		"create", "start", "die", "destroy", "rename", "pause", "unpause", "update", "health_status", "oom")
}

func (c *Client) watch(ctx context.Context, filters client.Filters, on func(Event)) error {
	pause := firstBackoff
	for {
		began := time.Now()
		err := c.stream(ctx, filters, on)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if time.Since(began) > lastBackoff {
			pause = firstBackoff
		}
		on(Event{Kind: Disconnected, At: time.Now().UTC(), Err: err})
		c.log.Warn("engine events ended", zap.String("err", err.Error()), zap.Duration("tryAgainIn", pause))
		if err := sleep(ctx, pause+rand.N(pause/4+1)); err != nil { //nolint:gosec // jitter needs no secrecy
			return err
		}
		pause = min(pause*2, lastBackoff)
	}
}

// WatchContainer is Watch for one container, by its full id: what happens to
// it, and Connected and Disconnected.
func (c *Client) WatchContainer(ctx context.Context, id string, on func(Event)) error {
	return c.watch(ctx, containerFilters().Add("container", id), on)
}

// stream passes events on until the connection ends.
func (c *Client) stream(ctx context.Context, filters client.Filters, on func(Event)) error {
	if err := c.renew(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	res := c.sdk().Events(ctx, client.EventsListOptions{Filters: filters})
	on(Event{Kind: Connected, At: time.Now().UTC()})
	for {
		select {
		case m := <-res.Messages:
			e := Event{Kind: ContainerChanged, ID: m.Actor.ID, Action: string(m.Action), At: time.Unix(0, m.TimeNano).UTC()}
			if m.Type == "image" {
				e.Kind = ImageChanged
			}
			on(e)
		case err := <-res.Err:
			if err == nil || errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return c.wrap("follow the engine's events", err)
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
