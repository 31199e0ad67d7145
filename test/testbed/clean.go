package testbed

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/image"
	"github.com/moby/moby/client"
)

func sweepExisting(ctx context.Context, s state) error {
	host := s.ExistingHost
	if host == existingHost() {
		host = "" // with the TLS settings of the environment
	}
	c, err := connect(host)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	return cleanEngine(ctx, c, s)
}

// cleanEngine removes what a bed made in an engine that stays.
func cleanEngine(ctx context.Context, c *client.Client, s state) error {
	mine := make(client.Filters).Add("label", Label+"="+s.ID)
	err := errors.Join(
		removeContainers(ctx, c, mine),
		removeNetworks(ctx, c, mine),
		removeVolumes(ctx, c, mine),
		removeImages(ctx, c, s),
	)
	if err != nil {
		return fmt.Errorf("clean the engine: %w", err)
	}
	return nil
}

func removeContainers(ctx context.Context, c *client.Client, mine client.Filters) error {
	list, err := c.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: mine})
	if err != nil {
		return err
	}
	var errs []error
	for _, item := range list.Items {
		_, err := c.ContainerRemove(ctx, item.ID, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
		errs = append(errs, unlessGone(err))
	}
	return errors.Join(errs...)
}

func removeNetworks(ctx context.Context, c *client.Client, mine client.Filters) error {
	list, err := c.NetworkList(ctx, client.NetworkListOptions{Filters: mine})
	if err != nil {
		return err
	}
	var errs []error
	for _, item := range list.Items {
		_, err := c.NetworkRemove(ctx, item.ID, client.NetworkRemoveOptions{})
		errs = append(errs, unlessGone(err))
	}
	return errors.Join(errs...)
}

func removeVolumes(ctx context.Context, c *client.Client, mine client.Filters) error {
	list, err := c.VolumeList(ctx, client.VolumeListOptions{Filters: mine})
	if err != nil {
		return err
	}
	var errs []error
	for _, item := range list.Items {
		_, err := c.VolumeRemove(ctx, item.Name, client.VolumeRemoveOptions{})
		errs = append(errs, unlessGone(err))
	}
	return errors.Join(errs...)
}

// removeImages removes the names that images have of the bed's registries, and
// from the repositories that the bed pulled them from. With its last name an
// image goes. An image that somebody else has named or uses stays.
func removeImages(ctx context.Context, c *client.Client, s state) error {
	list, err := c.ImageList(ctx, client.ImageListOptions{All: true})
	if err != nil {
		return err
	}
	var errs []error
	for _, item := range list.Items {
		for _, name := range namesToRemove(item, s) {
			_, err := c.ImageRemove(ctx, name, client.ImageRemoveOptions{PruneChildren: true})
			errs = append(errs, unlessGone(err))
		}
	}
	return errors.Join(errs...)
}

func namesToRemove(item image.Summary, s state) []string {
	pulled, repositories := false, []string{}
	for _, p := range s.Pulled {
		if p.ID == item.ID {
			pulled, repositories = true, append(repositories, p.Repository)
		}
	}
	var names []string
	foreign := false
	for _, name := range slices.Concat(item.RepoTags, item.RepoDigests) {
		host, _, _ := strings.Cut(name, "/")
		switch {
		case slices.Contains(s.RegistryHosts, host), slices.Contains(repositories, repositoryOf(name)):
			names = append(names, name)
		case !strings.HasPrefix(name, "<none>"):
			foreign = true
		}
	}
	if pulled && !foreign && len(names) == 0 {
		names = append(names, item.ID) // it has lost its names
	}
	return names
}

// repositoryOf is a reference without its tag and digest.
func repositoryOf(ref string) string {
	ref, _, _ = strings.Cut(ref, "@")
	if colon := strings.LastIndexByte(ref, ':'); colon > strings.LastIndexByte(ref, '/') {
		ref = ref[:colon]
	}
	return ref
}

// unlessGone is err, unless it says that there's nothing to remove, or that
// what isn't ours still needs it.
func unlessGone(err error) error {
	if err == nil || cerrdefs.IsNotFound(err) || cerrdefs.IsConflict(err) {
		return nil
	}
	return err
}
