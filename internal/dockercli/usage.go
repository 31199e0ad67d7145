package dockercli

import (
	"context"
	"time"

	"github.com/moby/moby/client"
)

// sharedSizeAPI is the first version whose list of images can tell what they
// share; before, and for volumes, the engine has to add up everything.
const sharedSizeAPI = "1.42"

// ImageSizes says how much of each image's size others have too, by id. An
// engine before API 1.42 looks through all of its disk for it, which can take
// minutes: ctx is the limit. What it can't tell is missing.
func (c *Client) ImageSizes(ctx context.Context) (map[string]int64, error) {
	shared := map[string]int64{}
	if _, err := c.version(ctx); err != nil {
		return nil, err
	}
	if c.speaks(sharedSizeAPI) {
		list, err := c.sdk().ImageList(ctx, client.ImageListOptions{SharedSize: true})
		if err != nil {
			return nil, c.wrap("measure the images", err)
		}
		for _, s := range list.Items {
			if s.SharedSize >= 0 {
				shared[s.ID] = s.SharedSize
			}
		}
		return shared, nil
	}
	used, err := c.diskUsage(ctx, client.DiskUsageOptions{Images: true, Verbose: true})
	if err != nil {
		return nil, c.wrap("measure the images", err)
	}
	for _, s := range used.Images.Items {
		if s.SharedSize >= 0 {
			shared[s.ID] = s.SharedSize
		}
	}
	return shared, nil
}

// VolumeSizes says how large each volume is, by name: the engine looks through
// all of their files for it, which can take minutes, so ctx is the limit. What
// it can't tell, of other drivers than its own for instance, is missing.
func (c *Client) VolumeSizes(ctx context.Context) (map[string]int64, error) {
	used, err := c.diskUsage(ctx, client.DiskUsageOptions{Volumes: true, Verbose: true})
	if err != nil {
		return nil, c.wrap("measure the volumes", err)
	}
	sizes := map[string]int64{}
	for _, v := range used.Volumes.Items {
		if v.UsageData != nil && v.UsageData.Size >= 0 {
			sizes[v.Name] = v.UsageData.Size
		}
	}
	return sizes, nil
}

func (c *Client) diskUsage(ctx context.Context, o client.DiskUsageOptions) (client.DiskUsageResult, error) {
	select {
	case c.measuring <- struct{}{}:
		defer func() { <-c.measuring }()
		return c.sdk().DiskUsage(ctx, o)
	case <-ctx.Done():
		return client.DiskUsageResult{}, ctx.Err()
	}
}

// ImageParents gives the image that each image was made from by this engine's
// builder, by id, also of those that the list hides.
func (c *Client) ImageParents(ctx context.Context) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	list, err := c.sdk().ImageList(ctx, client.ImageListOptions{All: true})
	if err != nil {
		return nil, c.wrap("list images", err)
	}
	parents := map[string]string{}
	for _, s := range list.Items {
		if s.ParentID != "" {
			parents[s.ID] = s.ParentID
		}
	}
	return parents, nil
}

// ImageSince says when an image was made, or last given a name here, whichever
// is later; zero if the engine doesn't know. A pull is no naming for the graph drivers.
func (c *Client) ImageSince(ctx context.Context, id string) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	res, err := c.sdk().ImageInspect(ctx, id)
	if err != nil {
		return time.Time{}, c.wrap("inspect image "+id, err)
	}
	since := engineTime(res.Created)
	if tagged := res.Metadata.LastTagTime; tagged.After(since) {
		since = tagged.UTC()
	}
	return since, nil
}
