package updater

import (
	"context"
	"errors"

	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/internal/image"
	"github.com/watch-docker/watch-docker/internal/puller"
	"github.com/watch-docker/watch-docker/internal/store"
)

// preflight takes down everything that is needed, and refuses what can't be
// updated; nothing is changed.
func (u *Updater) preflight(ctx context.Context, j *job) (string, error) {
	p, err := u.survey(ctx, j.request)
	if err != nil {
		return "", err
	}
	p.RemoveOld, p.KeepImages = j.settings.RemoveOld, j.settings.KeepImages
	for i := range p.Dependents {
		p.Dependents[i].model = u.model(ctx, p.Dependents[i].Old)
	}
	if err := j.note(ctx, func(to *plan) { *to = p }); err != nil {
		return "", err
	}
	if waited, err := u.claim(ctx, j); err != nil || waited {
		if err != nil {
			return "", err
		}
		return u.preflight(ctx, j) // whoever had them may have replaced them
	}
	return describe(p.Dependents), nil
}

// survey looks at everything that an update would reach. With an error the
// plan is as far as it came.
func (u *Updater) survey(ctx context.Context, r Request) (p plan, err error) {
	p.Back = r.To != nil
	if p.Old, err = u.blueprint(ctx, r.ContainerID, r.Name); err != nil {
		return p, err
	}
	if err := u.itself(ctx, p.Old); err != nil {
		return p, err
	}
	p.Running = runs(p.Old)
	ref, err := image.ParseReference(p.Old.ImageRef)
	if err != nil || ref.Digest != "" {
		return p, problem(CodeRefused, "%s was made from %s, which has no tag that could move.", p.Old.Name, p.Old.ImageRef)
	}
	if p.NewRef, err = u.elsewhere(ctx, r, p.Old); err != nil {
		return p, err
	}
	if p.Named, err = u.named(ctx, p.ref()); err != nil {
		return p, err
	}
	list, err := u.engine.Relations(ctx)
	if err != nil {
		return p, err
	}
	if p.Dependents, err = u.group(ctx, p.Old, list); err != nil {
		return p, err
	}
	if p.StartFirst, err = startFirst(&p, r.Labels); err != nil {
		return p, err
	}
	if p.Previous, err = u.freeNames(ctx, &p, list); err != nil {
		return p, err
	}
	networks := []string{}
	for _, m := range p.all() {
		networks = append(networks, m.Old.Networks...)
	}
	p.Networks, err = u.engine.NetworkPlans(ctx, unique(networks))
	return p, err
}

// elsewhere gives the reference that the new container is made from, if that
// is another than the old one's, and refuses what couldn't be done.
func (u *Updater) elsewhere(ctx context.Context, r Request, old dockercli.Blueprint) (string, error) {
	to := r.target()
	ref, err := image.ParseReference(to)
	if to == r.Image || to == old.ImageRef || r.To != nil && (err != nil || ref.Digest != "") {
		return "", nil //nolint:nilerr // a rollback to what can't be named goes there by its id
	}
	switch {
	case err != nil || ref.Digest != "":
		return "", problem(CodeRefused, "%s can't go on with %s, which is no reference with a tag.", old.Name, to)
	case r.To == nil && r.Image != old.ImageRef:
		return "", problem(CodeRefused, "%s was made anew from %s meanwhile; ask again.", old.Name, old.ImageRef)
	}
	return to, u.mayEdit(ctx, r, old, to)
}

// blueprint takes down one container, unless it is in a state in which it
// can't be replaced.
func (u *Updater) blueprint(ctx context.Context, id, name string) (dockercli.Blueprint, error) {
	b, err := u.engine.Blueprint(ctx, id)
	switch {
	case errors.Is(err, dockercli.ErrNotFound):
		return b, problem(CodeGone, "The container %s is not there any more.", name)
	case errors.Is(err, dockercli.ErrSwarmTask):
		return b, problem(CodeSwarm, "%s is a task of a Swarm service; update the service instead.", name)
	case err != nil:
		return b, err
	case b.State == "paused":
		return b, problem(CodePaused, "%s is paused; unpause it first.", name)
	case b.State == "removing" || b.State == "dead":
		return b, problem(CodeGone, "%s is being removed.", name)
	}
	return b, nil
}

func runs(b dockercli.Blueprint) bool { return b.State == "running" || b.State == "restarting" }

// named is ImageID, and empty if the reference names nothing here.
func (u *Updater) named(ctx context.Context, ref string) (string, error) {
	id, err := u.engine.ImageID(ctx, ref)
	if errors.Is(err, dockercli.ErrNotFound) {
		return "", nil
	}
	return id, err
}

// freeNames makes sure that the temporary names are free. A container that an
// earlier update was told to leave is in the way only as long as it is kept.
func (u *Updater) freeNames(ctx context.Context, p *plan, list []dockercli.Related) (previous string, err error) {
	kept, err := u.store.Kept(ctx, p.Old.Name)
	if err != nil {
		return "", &Error{Code: CodeStore, Message: err.Error()}
	}
	left := map[string]bool{}
	for _, k := range kept {
		left[k.OldContainer] = true
	}
	for _, m := range p.all() {
		if m.Only {
			continue
		}
		for _, c := range list {
			switch c.Name {
			case oldName(m.Old.Name):
				if m == &p.member && left[c.ID] && c.State != "running" {
					previous = c.ID
					continue
				}
			case newName(m.Old.Name), holdName(m.Old.Name):
			default:
				continue
			}
			return "", problem(CodeNameTaken, "There is a container %s: either another Watch Docker is updating %s, or it was left behind; remove it if nothing is.", c.Name, m.Old.Name)
		}
	}
	return previous, nil
}

// pull brings the image that the tag names now, or the one to roll back to,
// and makes sure of what came.
func (u *Updater) pull(ctx context.Context, j *job) (detail string, err error) {
	ref := j.plan.ref()
	switch to := j.request.To; {
	case to != nil:
		if ref, detail, err = u.bringKept(ctx, j, *to); err != nil {
			return "", err
		}
	case j.request.Pull:
		if detail, err = u.fetch(ctx, j, ref); err != nil {
			return "", err
		}
	}
	img, err := u.engine.Image(ctx, ref)
	if err != nil {
		return "", u.wrap(ctx, CodePull, err)
	}
	if err := j.note(ctx, func(p *plan) { p.NewImage = img.ID }); err != nil {
		return "", err
	}
	// With the containerd store an image is for many platforms, and Create finds out.
	// One whose image is gone doesn't tell its architecture.
	was, is := j.plan.Old.Platform, img.Platform
	if j.plan.Old.Manifest == "" && was.Architecture != "" && (was.OS != is.OS || was.Architecture != is.Architecture) {
		return "", problem(CodeWrongPlatform, "The new image of %s is for %s, the container's is for %s.", j.plan.ref(), is, was)
	}
	return detail, nil
}

// bringKept gives a reference by which the image to roll back to is known
// here, and pulls it again if somebody has removed it.
func (u *Updater) bringKept(ctx context.Context, j *job, to store.Kept) (ref, detail string, err error) {
	switch _, err := u.engine.Image(ctx, to.ImageID); {
	case err == nil:
		return to.ImageID, "", nil
	case !errors.Is(err, dockercli.ErrNotFound):
		return "", "", err
	}
	named, err := image.ParseReference(to.Reference)
	if err != nil || to.Digest == "" {
		return "", "", problem(CodeNothingKept, "The image that %s ran before was removed from this host, and no registry has it.", j.plan.Old.Name)
	}
	ref = named.FamiliarName() + "@" + to.Digest
	detail, err = u.fetch(ctx, j, ref)
	return ref, detail, err
}

func (u *Updater) fetch(ctx context.Context, j *job, ref string) (string, error) {
	named, err := image.ParseReference(j.plan.ref())
	if err != nil {
		return "", problem(CodePull, "%s can't be pulled: %v.", ref, err)
	}
	platform, err := u.platform(ctx, j.plan.Old.Platform)
	if err != nil {
		return "", err
	}
	res, err := puller.Pull(ctx, u.engine, puller.Request{
		Ref: ref, Host: named.Domain, Platform: platform, Credentials: j.credentials, Progress: j.progress,
	})
	switch {
	case errors.Is(err, puller.ErrCredentials):
		return "", problem(CodeUnauthorized, "The credentials for %s could not be read: %v.", ref, err)
	case errors.Is(err, dockercli.ErrUnauthorized):
		return "", problem(CodeUnauthorized, "The registry refused the pull of %s: %v.", ref, err)
	case errors.Is(err, dockercli.ErrNoPlatform):
		return "", problem(CodeWrongPlatform, "%s is not there for %s any more.", ref, j.plan.Old.Platform)
	case errors.Is(err, dockercli.ErrNoSpace):
		return "", problem(CodeNoSpace, "There is not enough disk space to pull %s: %v.", ref, err)
	case err != nil:
		return "", u.wrap(ctx, CodePull, err)
	}
	j.arrived(res.Digest)
	if res.Digest == "" || res.Digest == j.request.Digest || j.request.To != nil {
		return "", nil
	}
	// The tag has moved again since it was decided on. What came is newer
	// still; unless it is known to be broken, it is what was wanted.
	bad, err := u.store.Quarantined(ctx, j.request.Name, res.Digest)
	if err != nil {
		return "", &Error{Code: CodeStore, Message: err.Error()}
	}
	if bad {
		return "", problem(CodeQuarantined, "The tag has moved to %s meanwhile, which has failed here before.", res.Digest)
	}
	if j.request.Digest == "" {
		return res.Digest, nil
	}
	return "the tag has moved again, to " + res.Digest, nil
}

// platform is what to ask a pull for: nothing where the engine would choose
// the same by itself.
func (u *Updater) platform(ctx context.Context, of image.Platform) (image.Platform, error) {
	v, err := u.engine.Version(ctx)
	if err != nil || of.Architecture == "" || (v.OS == of.OS && v.Arch == of.Architecture) {
		return image.Platform{}, err
	}
	return of, nil
}
