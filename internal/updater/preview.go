package updater

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/internal/image"
	"github.com/watch-docker/watch-docker/internal/policy"
	"github.com/watch-docker/watch-docker/internal/preview"
	"github.com/watch-docker/watch-docker/internal/registry"
	"github.com/watch-docker/watch-docker/internal/store"
)

// PreviewRequest asks what an update would do.
type PreviewRequest struct {
	Request

	UpToDate bool // the image that runs is the one that an update would bring
	// Describe tells of an image that a registry has: of this digest, or, if
	// it is empty, of what the reference names now. It is needed with Pull.
	Describe func(ctx context.Context, ref image.Reference, digest string, p image.Platform) (image.Description, error)
	// Unasked is why no registry is to be asked; nil: it may be.
	Unasked *preview.Finding
}

// describeTimeout is how long registries may take; a client waits for the answer.
const describeTimeout = 25 * time.Second

// Preview tells what the update would do and what would keep it from
// beginning. Nothing is changed, pulled or recorded. What the registry
// doesn't tell is part of the answer (Error), not an error.
//
// Errors: dockercli.ErrNotFound, dockercli.ErrUnavailable, store errors.
func (u *Updater) Preview(ctx context.Context, r PreviewRequest) (preview.Preview, error) {
	u.mu.Lock()
	settings := u.settings
	u.mu.Unlock()
	p, err := u.survey(ctx, r.Request)
	var failed *Error
	switch known := errors.As(err, &failed); {
	case known && failed.Code == CodeGone && p.Old.ID == "":
		return preview.Preview{}, fmt.Errorf("preview the update of %s: %w", r.Name, dockercli.ErrNotFound)
	case ctx.Err() != nil:
		return preview.Preview{}, ctx.Err()
	case errors.Is(err, dockercli.ErrUnavailable), known && failed.Code == CodeStore:
		return preview.Preview{}, err
	}
	out := preview.Preview{
		ContainerID: r.ContainerID, Name: r.Name, Image: cmp.Or(p.Old.ImageRef, r.Image), ToImage: r.target(), Own: u.Own(r.ContainerID),
		Strategy: string(cmp.Or(r.Labels.Strategy, policy.StopFirst)),
		Hooks:    preview.Hooks{PreUpdate: r.Labels.PreUpdate, PostUpdate: r.Labels.PostUpdate},
	}
	if id, busy := u.Busy(r.ContainerID); busy {
		out.OperationID = &id
	}
	if err != nil {
		f := asFailure(err)
		out.Refused = &preview.Finding{Code: f.Code, Message: f.Message}
	}
	if p.Old.ID == "" { // such as a Swarm task, which nothing more is known of
		out.Error = out.Refused
		out.Interruption = preview.Interruption{Kind: preview.NotDown, Text: "Nothing happens."}
		return out, nil
	}
	images, err := u.images(ctx, r, p.Old, &out)
	if err != nil {
		return preview.Preview{}, err
	}
	u.retinue(&out, p)
	if out.Interruption, err = u.interruption(ctx, r, p); err != nil {
		return preview.Preview{}, err
	}
	out.Warnings, err = u.warnings(ctx, p, settings, out, images)
	return out, err
}

// images are the two, as far as they are known.
type images struct{ old, fresh *image.Description }

// images compares what runs with what would come.
func (u *Updater) images(ctx context.Context, r PreviewRequest, b dockercli.Blueprint, out *preview.Preview) (found images, err error) {
	switch old, err := u.engine.Describe(ctx, b.ImageID, b.Platform); {
	case err == nil:
		found.old = &old
		out.From = preview.ReleaseOf(old, r.FromDigest)
	case !errors.Is(err, dockercli.ErrNotFound):
		return found, err
	}
	if found.fresh, err = u.fresh(ctx, r, b, found.old); err != nil {
		if ctx.Err() != nil || errors.Is(err, dockercli.ErrUnavailable) {
			return found, err
		}
		found.fresh, out.Error = nil, findingOf(err)
		return found, nil
	}
	if found.fresh == nil {
		out.Error = r.Unasked
		return found, nil
	}
	out.To = preview.ReleaseOf(*found.fresh, cmp.Or(found.fresh.Digest, r.Digest))
	out.Link = preview.LinkTo(out.From, out.To)
	out.Download = &preview.Download{}
	var before *image.Config
	if found.old != nil {
		before = &found.old.Config
	}
	if r.Pull && !r.UpToDate {
		out.Download = preview.DownloadOf(cmp.Or(found.old, &image.Description{}).Layers, found.fresh.Layers)
	}
	out.Changes = preview.Compare(before, found.fresh.Config, settingsOf(b))
	return found, nil
}

func settingsOf(b dockercli.Blueprint) preview.Container {
	return preview.Container{Set: b.Set(), Mounted: b.MountedByUser()}
}

// fresh describes the image that an update would bring; nil if nobody may be asked.
func (u *Updater) fresh(ctx context.Context, r PreviewRequest, b dockercli.Blueprint, old *image.Description) (*image.Description, error) {
	switch {
	case r.UpToDate:
		if old != nil {
			same := *old
			same.Digest = cmp.Or(r.FromDigest, r.Digest)
			return &same, nil
		}
	case !r.Pull:
		d, err := u.engine.Describe(ctx, r.target(), b.Platform)
		return &d, err
	}
	if r.Unasked != nil || r.Describe == nil {
		return nil, nil //nolint:nilnil // nobody is asked
	}
	ref, err := image.ParseReference(r.target())
	if err != nil {
		return nil, err
	}
	platform := b.Platform
	if platform.Architecture == "" { // its image is gone: what the engine would choose
		v, err := u.engine.Version(ctx)
		if err != nil {
			return nil, err
		}
		platform = image.Platform{OS: v.OS, Architecture: v.Arch}
	}
	asking, cancel := context.WithTimeout(ctx, describeTimeout)
	defer cancel()
	d, err := r.Describe(asking, ref, r.Digest, platform)
	if err != nil && asking.Err() != nil && ctx.Err() == nil {
		err = &registry.Error{Code: registry.CodeUnreachable, Message: fmt.Sprintf("%s did not answer within %s.", ref.Domain, describeTimeout)}
	}
	return &d, err
}

func findingOf(err error) *preview.Finding {
	var e *registry.Error
	if errors.As(err, &e) {
		return &preview.Finding{Code: e.Code, Message: e.Message}
	}
	f := asFailure(err)
	return &preview.Finding{Code: f.Code, Message: f.Message}
}

// retinue says who comes along, and in what order all stop and start.
func (u *Updater) retinue(out *preview.Preview, p plan) {
	for _, m := range p.Dependents {
		action := preview.Recreated
		if m.Only {
			action = preview.Restarted
		}
		out.Dependents = append(out.Dependents, preview.Dependent{Name: m.Old.Name, Action: action})
	}
	for _, m := range p.all() {
		if m.Running {
			out.Order.Start = append(out.Order.Start, m.Old.Name)
		}
	}
	for _, m := range p.backwards() {
		if m.Running {
			out.Order.Stop = append(out.Order.Stop, m.Old.Name)
		}
	}
}

// recent is how many of a container's operations are looked through for its
// last down time.
const recent = 20

func (u *Updater) interruption(ctx context.Context, r PreviewRequest, p plan) (preview.Interruption, error) {
	i := preview.Interruption{Kind: preview.NotDown}
	past, err := u.store.Operations(ctx, store.OperationFilter{Target: p.Old.Name, Kind: KindUpdate, Limit: recent})
	if err != nil {
		return i, err
	}
	for _, o := range past {
		if o.State == store.Succeeded && o.DowntimeMs > 0 {
			i.LastMs = &o.DowntimeMs
			break
		}
	}
	stop := cmp.Or(r.Labels.StopTimeout, p.Old.StopTimeout)
	if stop >= 0 {
		ms := stop.Milliseconds()
		i.StopTimeoutMs = &ms
	}
	switch {
	case r.UpToDate:
		i.Text = "It is up to date: nothing happens."
	case !p.Running:
		i.Text = "It isn't running, so nothing is interrupted."
	case p.StartFirst:
		i.Text = "None: the new container runs before the old one stops."
	default:
		i.Kind, i.Text = preview.Restart, "It is down for one stop and one start"
		if i.LastMs != nil {
			i.Text += fmt.Sprintf("; the last time that was %s", seconds(time.Duration(*i.LastMs)*time.Millisecond))
		}
		if stop < 0 {
			i.Text += ". Its stop is waited for as long as it takes."
		} else {
			i.Text += fmt.Sprintf(". If it doesn't stop by itself, it is killed after %s.", stop)
		}
		if u.Own(p.Old.ID) {
			i.Text += " This is Watch Docker itself: a helper of the new image replaces it, and page and API are away for as long."
		}
	}
	return i, nil
}
