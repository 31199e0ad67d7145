package dockercli

import (
	"context"
	"net/http"
	"net/url"
	"path"
	"slices"
)

// AnonymousVolumes are the volumes that the engine named, and that go with
// the container when it is removed by --rm.
func (b Blueprint) AnonymousVolumes() []Mount {
	return slices.DeleteFunc(slices.Clone(b.Mounts), func(m Mount) bool { return !m.Anonymous || m.Name == "" })
}

// CreateHolder makes a container of the same image that does nothing but have
// the anonymous volumes, so that the engine removes none of them; or, without
// them, that does nothing but have a name. It is never started, and has no
// volumes of its own.
//
// Errors: ErrConflict (the name is taken), ErrNotFound (the image), ErrUnavailable.
func (c *Client) CreateHolder(ctx context.Context, name string, b Blueprint, volumes bool) error {
	ctx, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	version, err := c.version(ctx)
	if err != nil {
		return err
	}
	mounts, tmpfs := []fields{}, map[string]string{}
	for place := range cleanPaths(read[fields](b.Inspect.ImageConfig, "Volumes")) {
		tmpfs[place] = ""
	}
	if volumes {
		for _, m := range b.AnonymousVolumes() {
			mounts = append(mounts, volumeMount(m, ""))
			delete(tmpfs, path.Clean(m.Destination))
		}
	}
	body := map[string]any{
		"Image": b.ImageID, "Cmd": []string{"never-started"}, "Entrypoint": []string{},
		"HostConfig": map[string]any{"NetworkMode": "none", "Mounts": mounts, "Tmpfs": tmpfs},
	}
	err = c.call(ctx, http.MethodPost, version, "/containers/create", url.Values{"name": {name}}, body, nil)
	return c.wrap("create container "+name+", which holds volumes", err)
}
