package dockercli

import (
	"context"
	"slices"
	"time"
)

// ImageDetail is how an image is made, with whatever secrets are in it, which
// are for whoever shows it to hide.
type ImageDetail struct {
	Image

	SizeBytes  int64
	LastTagged time.Time // zero: not known
	Layers     []string  // digests of their contents, the lowest first
	History    []HistoryItem

	Author       string
	Comment      string
	Env          []string
	Entrypoint   []string
	Command      []string
	WorkingDir   string
	User         string
	StopSignal   string
	ExposedPorts []string
	Volumes      []string
}

// HistoryItem is one step of an image's making.
type HistoryItem struct {
	At        time.Time // zero if it isn't said
	CreatedBy string
	Comment   string
	SizeBytes int64
	Tags      []string // that name the image as it was then
}

// ImageDetail inspects an image by id or reference, with its history, the
// newest step first: three requests.
func (c *Client) ImageDetail(ctx context.Context, id string) (ImageDetail, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	img, err := c.Image(ctx, id)
	if err != nil {
		return ImageDetail{}, err
	}
	res, err := c.sdk().ImageInspect(ctx, img.ID)
	if err != nil {
		return ImageDetail{}, c.wrap("inspect image "+id, err)
	}
	history, err := c.sdk().ImageHistory(ctx, img.ID)
	if err != nil {
		return ImageDetail{}, c.wrap("read the history of image "+id, err)
	}
	d := ImageDetail{
		Image: img, SizeBytes: res.Size, LastTagged: res.Metadata.LastTagTime.UTC(), Layers: res.RootFS.Layers,
		Author: res.Author, Comment: res.Comment,
	}
	d.Tags = named(d.Tags)
	if cfg := res.Config; cfg != nil {
		d.Env, d.Entrypoint, d.Command = cfg.Env, cfg.Entrypoint, cfg.Cmd
		d.WorkingDir, d.User, d.StopSignal = cfg.WorkingDir, cfg.User, cfg.StopSignal
		d.ExposedPorts, d.Volumes = sortedKeys(cfg.ExposedPorts), sortedKeys(cfg.Volumes)
	}
	for _, h := range history.Items {
		item := HistoryItem{CreatedBy: h.CreatedBy, Comment: h.Comment, SizeBytes: h.Size, Tags: named(h.Tags)}
		if h.Created > 0 {
			item.At = time.Unix(h.Created, 0).UTC()
		}
		d.History = append(d.History, item)
	}
	return d, nil
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
