package dockercli

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
)

// AnonymousVolumes are the volumes that the engine named, and that go with
// the container when it is removed by --rm.
func (b Blueprint) AnonymousVolumes() []string {
	var names []string
	for _, m := range b.Mounts {
		if m.Anonymous && m.Name != "" {
			names = append(names, m.Name)
		}
	}
	return names
}

// CreateHolder makes a container that does nothing but have volumes, so that
// the engine removes none of them. It is never started.
//
// Errors: ErrConflict (the name is taken), ErrNotFound (the image), ErrUnavailable.
func (c *Client) CreateHolder(ctx context.Context, name, imageID string, volumes []string) error {
	ctx, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	version, err := c.version(ctx)
	if err != nil {
		return err
	}
	mounts := make([]map[string]any, len(volumes))
	for i, v := range volumes {
		mounts[i] = map[string]any{
			"Type": "volume", "Source": v, "Target": fmt.Sprintf("/held/%d", i), "VolumeOptions": map[string]any{"NoCopy": true},
		}
	}
	body := map[string]any{
		"Image": imageID, "Cmd": []string{"never-started"}, "Entrypoint": []string{},
		"HostConfig": map[string]any{"NetworkMode": "none", "Mounts": mounts},
	}
	err = c.call(ctx, http.MethodPost, version, "/containers/create", url.Values{"name": {name}}, body, nil)
	return c.wrap("create container "+name+", which holds volumes", err)
}
