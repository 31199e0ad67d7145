package dockercli

import (
	"context"
	"errors"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// Related is a container with the others that it names.
type Related struct {
	Container
	Uses []Relation
}

// Relations lists all containers with what each of them names: one request,
// and one more for each container that hasn't been asked for before or has
// links, which follow the names of others.
func (c *Client) Relations(ctx context.Context) ([]Related, error) {
	list, err := c.Containers(ctx)
	if err != nil {
		return nil, err
	}
	known := c.relations.Load()
	next := make(map[string][]Relation, len(list))
	all := make([]Related, 0, len(list))
	for _, ct := range list {
		var uses []Relation
		cached := false
		if known != nil {
			uses, cached = (*known)[ct.ID]
		}
		if !cached {
			host, err := c.hostConfig(ctx, ct.ID)
			if errors.Is(err, ErrNotFound) {
				continue
			}
			if err != nil {
				return nil, err
			}
			uses = relations(host)
		}
		if !hasLinks(uses) {
			next[ct.ID] = uses
		}
		all = append(all, Related{Container: ct, Uses: uses})
	}
	c.relations.Store(&next)
	return all, nil
}

func hasLinks(uses []Relation) bool {
	for _, u := range uses {
		if u.Kind == "link" {
			return true
		}
	}
	return false
}

func (c *Client) hostConfig(ctx context.Context, id string) (*container.HostConfig, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	res, err := c.sdk().ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	if err != nil {
		return nil, c.wrap("inspect container "+short(id), err)
	}
	return res.Container.HostConfig, nil
}
