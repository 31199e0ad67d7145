package dockercli

import (
	"context"
	"strconv"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// changeTimeout bounds a call that changes something at once. A create copies
// what the image holds at its volumes' places, so it isn't as quick as it seems.
const changeTimeout = 2 * time.Minute

// RestartPolicy says when the engine starts a container again by itself.
type RestartPolicy struct {
	Name       string `json:"name"`                 // "no", "always", "unless-stopped", "on-failure"; empty is "no"
	MaxRetries int    `json:"maxRetries,omitempty"` // with "on-failure"; 0 is without end
}

// RestartNever is the policy of a container that the engine leaves alone.
func RestartNever() RestartPolicy { return RestartPolicy{Name: "no"} }

// Restarts says whether the engine would start a container again that ended
// with this exit code.
func (p RestartPolicy) Restarts(exitCode int) bool {
	switch p.Name {
	case "always", "unless-stopped":
		return true
	case "on-failure":
		return exitCode != 0
	}
	return false
}

// Start starts a container; one that runs already is left as it is. A port
// that something else holds is ErrConflict.
func (c *Client) Start(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	_, err := c.sdk().ContainerStart(ctx, id, client.ContainerStartOptions{})
	return c.wrap("start container "+short(id), err)
}

// Stop sends the container's stop signal, waits, and kills it when the time
// (whole seconds, rounded up; negative: never; nil: the container's own, or 10 s) is over. One
// that doesn't run is left as it is. It returns when the container has
// stopped; one with --rm may be gone by then, or a moment later.
func (c *Client) Stop(ctx context.Context, id string, timeout *time.Duration) error {
	_, err := c.sdk().ContainerStop(ctx, id, client.ContainerStopOptions{Timeout: seconds(timeout)})
	return c.wrap("stop container "+short(id), err)
}

// Restart is Stop and Start in one.
func (c *Client) Restart(ctx context.Context, id string, timeout *time.Duration) error {
	_, err := c.sdk().ContainerRestart(ctx, id, client.ContainerRestartOptions{Timeout: seconds(timeout)})
	return c.wrap("restart container "+short(id), err)
}

// Kill sends a signal ("SIGHUP"); empty is SIGKILL. A container that doesn't
// run is ErrConflict.
func (c *Client) Kill(ctx context.Context, id, signal string) error {
	ctx, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	_, err := c.sdk().ContainerKill(ctx, id, client.ContainerKillOptions{Signal: signal})
	return c.wrap("kill container "+short(id), err)
}

// Pause freezes a running container's processes.
func (c *Client) Pause(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	_, err := c.sdk().ContainerPause(ctx, id, client.ContainerPauseOptions{})
	return c.wrap("pause container "+short(id), err)
}

// Unpause lets them go on.
func (c *Client) Unpause(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	_, err := c.sdk().ContainerUnpause(ctx, id, client.ContainerUnpauseOptions{})
	return c.wrap("unpause container "+short(id), err)
}

// Rename gives a container another name; one that is taken is ErrConflict.
func (c *Client) Rename(ctx context.Context, id, name string) error {
	ctx, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	_, err := c.sdk().ContainerRename(ctx, id, client.ContainerRenameOptions{NewName: name})
	return c.wrap("rename container "+short(id)+" to "+strconv.Quote(name), err)
}

// RemoveOptions say what goes with a container.
type RemoveOptions struct {
	Force   bool // kill it first if it runs; otherwise that is ErrConflict
	Volumes bool // its anonymous volumes too, unless another container has them
}

// Remove removes a container. One that is gone already is ErrNotFound, one
// whose removal is under way ErrConflict.
func (c *Client) Remove(ctx context.Context, id string, o RemoveOptions) error {
	ctx, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	_, err := c.sdk().ContainerRemove(ctx, id, client.ContainerRemoveOptions{Force: o.Force, RemoveVolumes: o.Volumes})
	return c.wrap("remove container "+short(id), err)
}

// SetRestartPolicy changes the policy of a container, running or not. The
// engine refuses one other than "no" for a container with --rm. An empty one
// is what a create without any leaves; a container that has it keeps it.
func (c *Client) SetRestartPolicy(ctx context.Context, id string, p RestartPolicy) error {
	ctx, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	if p.Name == "" {
		if s, err := c.Inspect(ctx, id); err != nil || s.RestartPolicy.Name == "" {
			return err
		}
		p.Name = "no" // the engine takes an empty name for "leave it as it is"
	}
	policy := &container.RestartPolicy{Name: container.RestartPolicyMode(p.Name), MaximumRetryCount: p.MaxRetries}
	_, err := c.sdk().ContainerUpdate(ctx, id, client.ContainerUpdateOptions{RestartPolicy: policy})
	return c.wrap("set restart policy "+p.Name+" on container "+short(id), err)
}

// seconds rounds up, so that half a second isn't "kill at once".
func seconds(d *time.Duration) *int {
	if d == nil {
		return nil
	}
	s := int((*d + time.Second - 1) / time.Second)
	if *d < 0 {
		s = -1
	}
	return &s
}

// short is how people know an id: its first twelve digits. A name stays.
func short(id string) string {
	if len(id) == 64 {
		return id[:12]
	}
	return id
}
