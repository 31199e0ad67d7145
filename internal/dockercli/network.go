package dockercli

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"

	"github.com/containerd/errdefs"
)

// NetworkPlan is how a network was made, in the engine's own words.
type NetworkPlan struct {
	Name string                     `json:"name"`
	Body map[string]json.RawMessage `json:"body"`
}

// networkFields are what a create takes of what an inspect shows.
func networkFields() []string {
	return []string{
		"Name", "Driver", "Scope", "EnableIPv4", "EnableIPv6", "IPAM", "Internal", "Attachable", "ConfigFrom", "ConfigOnly", "Options", "Labels",
	}
}

// NetworkPlans takes down how networks were made: one request for each. The
// engine's own (bridge, host, none) and a swarm's are left out: nobody can
// take those away.
func (c *Client) NetworkPlans(ctx context.Context, names []string) ([]NetworkPlan, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	version, err := c.version(ctx)
	if err != nil {
		return nil, err
	}
	var plans []NetworkPlan
	for _, name := range names {
		if name == "bridge" || name == "host" || name == "none" {
			continue
		}
		var shown fields
		if err := c.call(ctx, http.MethodGet, version, "/networks/"+url.PathEscape(name), nil, nil, &shown); err != nil {
			return nil, c.wrap("inspect network "+name, err)
		}
		if read[string](shown, "Scope") == "swarm" {
			continue
		}
		p := NetworkPlan{Name: name, Body: fields{}}
		for _, field := range networkFields() {
			if value, ok := shown[field]; ok {
				p.Body[field] = value
			}
		}
		if read[struct{ Network string }](shown, "ConfigFrom").Network == "" {
			delete(p.Body, "ConfigFrom")
		}
		write(p.Body, "CheckDuplicate", true)
		plans = append(plans, p)
	}
	return plans, nil
}

// RestoreNetwork makes a network as it was, if there is none of its name, and
// says whether it did.
func (c *Client) RestoreNetwork(ctx context.Context, p NetworkPlan) (made bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	version, err := c.version(ctx)
	if err != nil {
		return false, err
	}
	err = c.call(ctx, http.MethodGet, version, "/networks/"+url.PathEscape(p.Name), nil, nil, nil)
	if err == nil || !errdefs.IsNotFound(err) {
		return false, c.wrap("inspect network "+p.Name, err)
	}
	err = c.wrap("create network "+p.Name, c.call(ctx, http.MethodPost, version, "/networks/create", nil, p.Body, nil))
	if errors.Is(err, ErrConflict) {
		return false, nil // somebody else was quicker
	}
	return err == nil, err
}
