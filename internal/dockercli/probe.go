package dockercli

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/moby/moby/client"
)

const (
	// probeTimeout bounds a look at the host. One at a network file system
	// whose server is gone would last forever.
	probeTimeout = 30 * time.Second
	// probePlace is where a probe has the path that is looked at.
	probePlace = "/wd-probe"
)

// ProbeOptions say where a look at the engine's host comes from.
type ProbeOptions struct {
	// Owner begins the name of the container: NAME.wd-probe-1a2b3c4d.
	Owner string
	// Image is any that the engine has. Nothing of it runs.
	Image string
}

// probeMark is in the names of such containers, and of no others: Containers
// doesn't show them.
const probeMark = ".wd-probe-"

func probeName(owner string) string {
	var unique [4]byte
	_, _ = rand.Read(unique[:]) // it doesn't fail
	return owner + probeMark + hex.EncodeToString(unique[:])
}

// isProbe reports whether a container is a look at the host that is under way.
func (c Container) isProbe() bool { return c.State == "created" && strings.Contains(c.Name, probeMark) }

// ProbePath tells what the engine's host has at a path; a link there is
// followed. It does so by a container that is never started, with the path
// mounted read-only, and that is removed again.
//
// Errors: ErrNoFile, ErrNotFolder (a part of the path is a file), ErrNotFound
// (the image), ErrUnavailable.
func (c *Client) ProbePath(ctx context.Context, hostPath string, o ProbeOptions) (f File, err error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	doing := "look at " + hostPath + " on the engine's host"
	id, err := c.createProbe(ctx, hostPath, o)
	if err != nil {
		return File{}, wrapProbe(doing, c.wrap(doing, err))
	}
	defer func() {
		err = errors.Join(err, c.Remove(context.WithoutCancel(ctx), id, RemoveOptions{Force: true, Volumes: true}))
	}()
	res, err := c.sdk().ContainerStatPath(ctx, id, client.ContainerStatPathOptions{Path: probePlace})
	if err != nil {
		return File{}, wrapProbe(doing, c.wrap(doing, err))
	}
	f = fileOf(res.Stat)
	f.Name = hostPath
	return f, nil
}

// createProbe asks for a mount that isn't made if it isn't there. A volume
// that the image declares would be made, and filled: a tmpfs in its place isn't.
func (c *Client) createProbe(ctx context.Context, hostPath string, o ProbeOptions) (id string, err error) {
	version, err := c.version(ctx)
	if err != nil {
		return "", err
	}
	image, err := c.sdk().ImageInspect(ctx, o.Image)
	if err != nil {
		return "", err
	}
	tmpfs := map[string]string{}
	if image.Config != nil {
		for place := range image.Config.Volumes {
			tmpfs[place] = ""
		}
	}
	body := map[string]any{
		"Image": o.Image, "Cmd": []string{"never-started"}, "Entrypoint": []string{},
		"HostConfig": map[string]any{"NetworkMode": "none", "Tmpfs": tmpfs, "Mounts": []map[string]any{{
			"Type": "bind", "Source": hostPath, "Target": probePlace, "ReadOnly": true,
		}}},
	}
	var made struct {
		ID string `json:"Id"`
	}
	err = c.call(ctx, http.MethodPost, version, "/containers/create", url.Values{"name": {probeName(o.Owner)}}, body, &made)
	return made.ID, err
}

// wrapProbe tells a path that isn't there from an image that isn't: only the
// engine's words do.
func wrapProbe(doing string, err error) error {
	switch text := err.Error(); {
	case strings.Contains(text, "bind source path does not exist"):
		return fmt.Errorf("%s: %w", doing, ErrNoFile)
	case strings.Contains(text, "not a directory"):
		return fmt.Errorf("%s: %w", doing, ErrNotFolder)
	}
	return err
}

// ClearProbes removes the looks of an owner that an earlier process hasn't come
// to the end of: containers that were never started.
func (c *Client) ClearProbes(ctx context.Context, owner string) error {
	all, err := c.allContainers(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, ct := range all {
		if !ct.isProbe() || !strings.HasPrefix(ct.Name, owner+probeMark) {
			continue
		}
		if err := c.Remove(ctx, ct.ID, RemoveOptions{Volumes: true}); err != nil && !errors.Is(err, ErrNotFound) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
