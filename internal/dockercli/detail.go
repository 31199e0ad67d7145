package dockercli

import (
	"context"
	"encoding/json"

	"github.com/moby/moby/client"
)

// Detail is the engine's whole inspect of a container, with its secrets, which
// are for whoever shows it to hide: one request.
func (c *Client) Detail(ctx context.Context, id string) (json.RawMessage, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	res, err := c.sdk().ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	if err != nil {
		return nil, c.wrap("inspect container "+short(id), err)
	}
	return res.Raw, nil
}
