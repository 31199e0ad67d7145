package app

import (
	"context"
	"fmt"
	"slices"

	"github.com/watch-docker/watch-docker/internal/api"
	"github.com/watch-docker/watch-docker/internal/containerlog"
	"github.com/watch-docker/watch-docker/internal/scanner"
	"github.com/watch-docker/watch-docker/internal/store"
	"github.com/watch-docker/watch-docker/internal/updater"
)

// UpdateProject implements api.ProjectUpdates.
func (p ports) UpdateProject(ctx context.Context, r api.ProjectUpdate) (api.Run, error) {
	return p.operator.updateProject(ctx, r.Project, r.Services, r.Force, r.Actor)
}

// updateProject queues the updates of a Compose project's containers, or of
// some of its services', in the order in which they need each other. One whose
// need isn't updated well is left as it is. Every container is in the answer.
func (o operator) updateProject(ctx context.Context, project string, services []string, force bool, actor string) (api.Run, error) {
	chosen, err := ofProject(o.scanner.Latest(), project, services)
	if err != nil {
		return api.Run{}, err
	}
	run := api.Run{Operations: []store.Operation{}, Skipped: []api.LeftOut{}}
	var requests []updater.Request
	for _, c := range chosen {
		_, under := o.updater.Of(c.ID)
		refused := mayByHand(c, force)
		if refused == nil && o.updater.OwnRefused(c.ID) {
			refused = &api.RefusedError{Code: updater.CodeOwn, Reason: updater.OwnReason}
		}
		if refused != nil && !under { // what is under way is given whatever is known of it
			run.Skipped = append(run.Skipped, api.LeftOut{ID: c.ID, Name: c.Name, Reason: refused.Reason})
			continue
		}
		requests = append(requests, request(c, actor))
	}
	if requests, err = o.updater.OrderStrictly(ctx, requests); err != nil {
		return api.Run{}, ported(err, api.ErrUnknownContainer)
	}
	run.Operations, err = o.updater.UpdateAll(ctx, requests)
	return run, err
}

// ofProject gives the containers of a project's services.
func ofProject(latest scanner.Result, project string, services []string) ([]scanner.ContainerStatus, error) {
	var chosen []scanner.ContainerStatus
	known := map[string]bool{}
	for _, c := range latest.Containers {
		if c.Compose == nil || c.Compose.Project != project {
			continue
		}
		known[c.Compose.Service] = true
		if len(services) == 0 || slices.Contains(services, c.Compose.Service) {
			chosen = append(chosen, c)
		}
	}
	for _, s := range services {
		if !known[s] {
			return nil, fmt.Errorf("%w: %s in project %s", containerlog.ErrNoProject, s, project)
		}
	}
	if len(known) == 0 {
		return nil, fmt.Errorf("%w: %s", containerlog.ErrNoProject, project)
	}
	return chosen, nil
}
