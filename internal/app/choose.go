package app

import (
	"cmp"
	"fmt"

	"github.com/watch-docker/watch-docker/internal/api"
	"github.com/watch-docker/watch-docker/internal/image"
	"github.com/watch-docker/watch-docker/internal/policy"
	"github.com/watch-docker/watch-docker/internal/scanner"
	"github.com/watch-docker/watch-docker/internal/updater"
)

// codeUpToDate is why a container is not updated when there is nothing to do.
const codeUpToDate = "up_to_date"

// mayByHand says whether somebody may update this one container now; nil is yes.
func mayByHand(c scanner.ContainerStatus, force bool) *api.RefusedError {
	switch {
	case c.Status == scanner.UpToDate:
		return &api.RefusedError{Code: codeUpToDate, Reason: c.Name + " is up to date."}
	case c.Status == scanner.Failed:
		return &api.RefusedError{Code: c.Error.Code, Reason: c.Error.Message}
	case c.Policy.ByHand == policy.No, c.Policy.ByHand == policy.WithForce && !force:
		return &api.RefusedError{Code: string(c.Policy.Code), Reason: c.Policy.Reason}
	}
	return nil
}

// maySweep says whether a run over everything may update a container: what the
// schedule may, also while the schedule is off.
func maySweep(c scanner.ContainerStatus) *api.RefusedError {
	switch {
	case c.Status == scanner.Failed:
		return &api.RefusedError{Code: c.Error.Code, Reason: c.Error.Message}
	case c.Status != scanner.UpdateAvailable:
		return &api.RefusedError{Code: string(c.Policy.Code), Reason: c.Summary}
	case !c.Policy.Scheduled && c.Policy.Code != policy.UpdatesDisabled:
		return &api.RefusedError{Code: string(c.Policy.Code), Reason: c.Policy.Reason}
	}
	return nil
}

// bySchedule says whether the schedule may update a container.
func bySchedule(c scanner.ContainerStatus) *api.RefusedError {
	if c.Status == scanner.UpdateAvailable && !c.Policy.Scheduled {
		return &api.RefusedError{Code: string(c.Policy.Code), Reason: c.Policy.Reason}
	}
	return maySweep(c)
}

// request makes a status into what the updater is asked.
func request(c scanner.ContainerStatus, actor string) updater.Request {
	r := updater.Request{
		ContainerID: c.ID, Name: c.Name, Image: c.Image, Actor: actor, Labels: c.Policy.Labels,
		Pull: c.PulledDigest == "", Digest: cmp.Or(c.PulledDigest, c.RemoteDigest), FromDigest: c.LocalDigest,
	}
	if c.Compose != nil {
		r.Project, r.Service = c.Compose.Project, c.Compose.Service
	}
	if c.NewerTag != "" {
		if to, err := image.WithTag(c.Image, c.NewerTag); err == nil {
			r.NewImage, r.Digest = to, c.NewerDigest
		}
	}
	return r
}

// find gives the one container that is meant.
func find(latest scanner.Result, key string) (scanner.ContainerStatus, error) {
	switch matches := latest.Find(key); len(matches) {
	case 1:
		return matches[0], nil
	case 0:
		return scanner.ContainerStatus{}, fmt.Errorf("%w: %s", api.ErrUnknownContainer, key)
	default:
		return scanner.ContainerStatus{}, fmt.Errorf("%s could be %s or %s; give more of the id", key, matches[0].Name, matches[1].Name)
	}
}
