package dockercli

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// ContainerState is what becomes of a container.
type ContainerState struct {
	ID      string
	Name    string // without the leading slash
	ImageID string // "sha256:…"

	State        string // as Container.State
	Running      bool   // also while paused; not while restarting
	ExitCode     int    // of the last run; 0 before the first
	Error        string // the engine's, if the last start failed
	OOMKilled    bool
	RestartCount int // restarts by the policy since it was last started by hand

	Health        string // "none", "starting", "healthy", "unhealthy"
	HealthStreak  int    // failed checks in a row
	HealthOutput  string // what the last check said, cut at 4 KiB and made safe
	RestartPolicy RestartPolicy
	AutoRemove    bool

	StartedAt  time.Time // zero if never
	FinishedAt time.Time // zero if never
}

// Inspect tells how a container is, by id or name: one request.
func (c *Client) Inspect(ctx context.Context, id string) (ContainerState, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	res, err := c.sdk().ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	if err != nil {
		return ContainerState{}, c.wrap("inspect container "+short(id), err)
	}
	return stateOf(res.Container), nil
}

// FindByName looks for a container of exactly this name, and says whether
// there is one.
func (c *Client) FindByName(ctx context.Context, name string) (ContainerState, bool, error) {
	s, err := c.Inspect(ctx, name)
	if errors.Is(err, ErrNotFound) {
		return ContainerState{}, false, nil
	}
	if err != nil {
		return ContainerState{}, false, err
	}
	// The engine takes the beginning of an id as well as a name.
	return s, s.Name == strings.TrimPrefix(name, "/"), nil
}

func stateOf(r container.InspectResponse) ContainerState {
	s := ContainerState{
		ID: r.ID, Name: strings.TrimPrefix(r.Name, "/"), ImageID: r.Image,
		RestartCount: r.RestartCount, Health: "none",
	}
	if h := r.HostConfig; h != nil {
		s.AutoRemove = h.AutoRemove
		s.RestartPolicy = RestartPolicy{Name: string(h.RestartPolicy.Name), MaxRetries: h.RestartPolicy.MaximumRetryCount}
	}
	if r.State == nil {
		return s
	}
	s.State, s.Running, s.ExitCode = string(r.State.Status), r.State.Running && !r.State.Restarting, r.State.ExitCode
	s.Error, s.OOMKilled = r.State.Error, r.State.OOMKilled
	s.StartedAt, s.FinishedAt = engineTime(r.State.StartedAt), engineTime(r.State.FinishedAt)
	if h := r.State.Health; h != nil && h.Status != "" {
		s.Health, s.HealthStreak = string(h.Status), h.FailingStreak
		if n := len(h.Log); n > 0 {
			s.HealthOutput = safeLine(h.Log[n-1].Output)
		}
	}
	return s
}

// engineTime reads the engine's times; its zero ("0001-01-01T00:00:00Z"), and
// what can't be read, are the zero time.
func engineTime(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || t.Year() <= 1 {
		return time.Time{}
	}
	return t.UTC()
}
