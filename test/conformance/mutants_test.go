package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// A mutant is an updater that somebody might write in an hour: it pulls what
// every running container's reference names, and puts a new container in the
// place of the old one. What it gets wrong, the suite must find.
type mutant struct {
	api    *client.Client
	bare   bool // of all settings it keeps the name alone
	leaves bool // it keeps the old container under another name
	meddle bool // it makes every container anew, and starts all that are down
}

// mutantVariable makes the test's binary an updater.
const mutantVariable = "CONFORMANCE_MUTANT"

// mutate is the updater's command.
func mutate(kind string) string {
	self, err := os.Executable()
	if err != nil {
		return "false"
	}
	return mutantVariable + "=" + kind + " " + self
}

func runMutant(ctx context.Context, kind string) error {
	api, err := client.New(client.FromEnv)
	if err != nil {
		return err
	}
	defer func() { _ = api.Close() }()
	m := mutant{api: api, bare: kind == "bare", leaves: kind == "leaves", meddle: kind == "meddles"}
	list, err := api.ContainerList(ctx, client.ContainerListOptions{All: m.meddle})
	if err != nil {
		return err
	}
	for _, c := range list.Items {
		if err := m.update(ctx, c.ID); err != nil {
			fmt.Fprintln(os.Stderr, c.Names, err) // and on to the next
		}
	}
	return nil
}

func (m mutant) update(ctx context.Context, id string) error {
	res, err := m.api.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	if err != nil {
		return err
	}
	old := res.Container
	ref := old.Config.Image
	pulling, err := m.api.ImagePull(ctx, ref, client.ImagePullOptions{})
	if err != nil {
		return err
	}
	if err := pulling.Wait(ctx); err != nil {
		return err
	}
	img, err := m.api.ImageInspect(ctx, ref)
	if err != nil {
		return err
	}
	if img.ID == old.Image && !m.meddle {
		return nil
	}
	return m.replace(ctx, old)
}

func (m mutant) replace(ctx context.Context, old container.InspectResponse) error {
	name := strings.TrimPrefix(old.Name, "/")
	if _, err := m.api.ContainerStop(ctx, old.ID, client.ContainerStopOptions{}); err != nil {
		return err
	}
	options := client.ContainerCreateOptions{Name: name, Config: old.Config, HostConfig: old.HostConfig}
	if m.bare {
		options.Config, options.HostConfig = &container.Config{Image: old.Config.Image}, nil
	}
	if m.leaves {
		if _, err := m.api.ContainerRename(ctx, old.ID, client.ContainerRenameOptions{NewName: name + "-before"}); err != nil {
			return err
		}
	} else if _, err := m.api.ContainerRemove(ctx, old.ID, client.ContainerRemoveOptions{Force: true}); err != nil {
		return err
	}
	made, err := m.api.ContainerCreate(ctx, options)
	if err != nil {
		return err
	}
	_, err = m.api.ContainerStart(ctx, made.ID, client.ContainerStartOptions{})
	return err
}
