package updater

import (
	"context"
	"fmt"
	"path"
	"strings"

	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/internal/preview"
)

// Codes of the warnings of a preview.
const (
	WarnNotRunning       = "not_running"
	WarnRandomPorts      = "random_ports"
	WarnAnonymousVolumes = "anonymous_volumes"
	WarnVolumeDropped    = "volume_not_mounted"
	WarnAutoRemove       = "auto_remove"
	WarnNoHealthCheck    = "no_health_check"
	WarnImageGone        = "image_gone"
	WarnUser             = "user_changes"
	WarnPlatform         = "platform"
	WarnQuarantined      = "quarantined"
)

// warnings are what a user should know before the update.
func (u *Updater) warnings(ctx context.Context, p plan, s Settings, out preview.Preview, img images) ([]preview.Finding, error) {
	var all []preview.Finding
	warn := func(code, format string, args ...any) {
		all = append(all, preview.Finding{Code: code, Message: fmt.Sprintf(format, args...)})
	}
	if out.To != nil && out.To.Digest != "" {
		bad, err := u.store.Quarantined(ctx, p.Old.Name, out.To.Digest)
		if err != nil {
			return nil, err
		}
		if bad {
			warn(WarnQuarantined, "This release has failed here before; wait for the next one, or see in the record why.")
		}
	}
	if img.fresh != nil && p.Old.Manifest == "" {
		if was, is := p.Old.Platform, img.fresh.Platform; was.Architecture != "" && (was.OS != is.OS || was.Architecture != is.Architecture) {
			warn(WarnPlatform, "The new image is for %s, the container's is for %s: the update will be refused.", is, was)
		}
	}
	if !p.Running {
		warn(WarnNotRunning, "It isn't running and stays stopped, so the new release is not tried before you start it.")
	}
	if p.Old.ImageGone {
		warn(WarnImageGone, "The image that it was made from was removed from this host, so everything that it set is kept as if you had set it: pull that image again, or recreate the container by hand.")
	}
	if p.Old.AutoRemove && p.Running {
		warn(WarnAutoRemove, "It was made with --rm: the old container is removed when it stops, with what was written outside of its volumes; on the way back it is made anew.")
	}
	if c := out.Changes.User; c != nil && !c.Overridden && who(c.From) != who(c.To) && len(p.Old.Mounts) > 0 {
		warn(WarnUser, "The new image runs as %s instead of %s: see that it may read and write what is mounted.", who(c.To), who(c.From))
	}
	warnOfPorts(p.Old, warn)
	warnOfVolumes(p.Old, img, warn)
	if p.Running && img.fresh != nil && !preview.Checked(img.fresh.Config, settingsOf(p.Old)) {
		warn(WarnNoHealthCheck, "It has no health check: the update only sees that it stays up for %s (update.stableFor).", s.StableFor)
	}
	return all, nil
}

// who is a user without its group.
func who(user string) string {
	name, _, _ := strings.Cut(user, ":")
	if name == "" || name == "0" {
		return "root"
	}
	return preview.Line(name, 60)
}

func warnOfPorts(b dockercli.Blueprint, warn func(code, format string, args ...any)) {
	ports, all := b.RandomPorts()
	switch {
	case all && len(ports) == 0:
		warn(WarnRandomPorts, "Whatever the new image exposes is published on a port of the host that the engine chooses (-P).")
	case len(ports) > 0:
		warn(WarnRandomPorts, "The engine chooses the host's port for %s, and will choose another one: publish a fixed port if somebody relies on it.", strings.Join(ports, ", "))
	}
}

// warnOfVolumes tells the same of anonymous volumes as the create does.
func warnOfVolumes(b dockercli.Blueprint, img images, warn func(code, format string, args ...any)) {
	declared := map[string]bool{}
	if img.fresh != nil {
		for place := range img.fresh.Config.Volumes {
			declared[path.Clean(place)] = true
		}
	}
	var stay []string
	for _, m := range b.AnonymousVolumes() {
		if img.fresh != nil && m.FromImage && !declared[path.Clean(m.Destination)] {
			warn(WarnVolumeDropped, "The data of %s stays in volume %s but isn't mounted: the new image declares no volume there any more.", m.Destination, m.Name)
			continue
		}
		stay = append(stay, m.Destination)
	}
	if len(stay) > 0 {
		warn(WarnAnonymousVolumes, "Its anonymous volumes stay, mounted by their names: %s.", strings.Join(stay, ", "))
	}
}
