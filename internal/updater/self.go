package updater

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/internal/logging"
	"github.com/watch-docker/watch-docker/internal/policy"
	"github.com/watch-docker/watch-docker/internal/store"
)

// Self is what an updater needs to have its own program's container replaced.
type Self struct {
	State string   // the state folder, as the program sees it
	Args  []string // for the helper: the command that calls TakeOver, and its flags
}

const (
	// readyTimeout is how long a helper may take to be ready: its image is
	// here already, and it only has to look around.
	readyTimeout = 90 * time.Second
	// nudgeEvery is how often a helper is looked after, and nudges how often
	// one that doesn't run is started again.
	nudgeEvery = 5 * time.Second
	nudges     = 5
)

var errHelperGone = errors.New("the helper is gone, or doesn't run")

func (u *Updater) handoverFolder() string { return filepath.Join(u.self.State, HandoverFolder) }

func (u *Updater) handoverFile(name string) string { return filepath.Join(u.handoverFolder(), name) }

// mayReplaceItself refuses what a helper couldn't do with the program's own container.
func (u *Updater) mayReplaceItself(ctx context.Context, old dockercli.Blueprint) error {
	if u.self.State == "" {
		return problem(CodeOwn, "%s", OwnReason)
	}
	mine, err := u.livesIn(ctx, old.ID)
	if err != nil {
		return err
	}
	if !mine {
		return problem(CodeOwn, "Watch Docker lives in the network of %s, and can't stop it without losing its own; update it with Watch Docker in a network of its own.", old.Name)
	}
	if !covered(old.Mounts, u.self.State) {
		return problem(CodeStateNotMounted, "The state folder %s is in the container itself and would be gone with it; mount a volume or a folder there.", u.self.State)
	}
	return nil
}

// livesIn reports whether the program runs in a container: whether a file that
// it makes in its state folder can be seen there.
func (u *Updater) livesIn(ctx context.Context, containerID string) (bool, error) {
	f, err := os.CreateTemp(u.self.State, "here-*")
	if err != nil {
		return false, &Error{Code: CodeStore, Message: fmt.Sprintf("The state folder can't be written: %v.", err)}
	}
	has, err := u.engine.HasFile(ctx, containerID, f.Name())
	return has, errors.Join(err, f.Close(), os.Remove(f.Name()))
}

// covered reports whether a place is on a volume or a folder of the host.
func covered(mounts []dockercli.Mount, place string) bool {
	var best dockercli.Mount
	for _, m := range mounts {
		at := path.Clean(m.Destination)
		if (place == at || strings.HasPrefix(place, strings.TrimSuffix(at, "/")+"/")) && len(at) > len(best.Destination) {
			best = m
			best.Destination = at
		}
	}
	return (best.Type == "volume" || best.Type == "bind") && !best.ReadOnly
}

// replaceItself has a helper of the new image replace the program's own
// container, and waits for it, or for being stopped by it.
func (u *Updater) replaceItself(soft, hard context.Context, j *job) (store.OperationState, error) {
	err := j.step(soft, StepHandover, func(ctx context.Context) (string, error) { return u.handOver(ctx, j) })
	if err != nil {
		keep := context.WithoutCancel(hard)
		if dropped := u.dropHelper(keep, j.plan.Old.Name); dropped != nil {
			u.log.Warn("a helper is left", logging.Container(helperName(j.plan.Old.Name)), logging.Err(dropped))
		}
		return u.undo(hard, j, failedOrCancelled(soft), err)
	}
	return u.await(soft, j)
}

// handOver makes a helper, and lets it begin once it has said that it can.
func (u *Updater) handOver(ctx context.Context, j *job) (string, error) {
	p := &j.plan
	if err := u.dropHelper(ctx, p.Old.Name); err != nil {
		return "", err
	}
	if err := u.writeHandover(ctx, j); err != nil {
		return "", err
	}
	id, err := u.engine.CreateBeside(ctx, p.Old, dockercli.BesideOptions{
		Name: helperName(p.Old.Name), ImageID: p.NewImage, Cmd: u.self.Args,
		Labels: map[string]string{helperLabel: j.operation.ID, policy.Prefix + "skip": "true"},
	})
	if err != nil {
		return "", u.wrap(ctx, CodeTakeover, err)
	}
	if err := u.engine.Start(ctx, id); err != nil {
		return "", u.refuseImage(ctx, j, problem(CodeTakeover, "The new image can't be started: %v.", err))
	}
	if err := u.untilReady(ctx, j, id); err != nil {
		return "", err
	}
	if err := j.note(ctx, func(p *plan) { p.HandedOver = true }); err != nil {
		return "", err
	}
	if err := u.store.CopyTo(ctx, u.handoverFile(fileDatabase)); err != nil {
		return "", &Error{Code: CodeStore, Message: err.Error()}
	}
	// From here on it is to come back until it is done, also with the engine.
	if err := u.engine.SetRestartPolicy(ctx, id, dockercli.RestartPolicy{Name: "on-failure"}); err != nil {
		return "", u.wrap(ctx, CodeTakeover, err)
	}
	if err := writeFile(u.handoverFile(fileGo), j.operation.ID); err != nil {
		return "", &Error{Code: CodeStore, Message: fmt.Sprintf("The handover can't be written: %v.", err)}
	}
	return "to " + helperName(p.Old.Name) + ", of the new image", nil
}

func (u *Updater) writeHandover(ctx context.Context, j *job) error {
	kept, err := u.store.Kept(ctx, j.request.Name)
	if err == nil {
		err = os.MkdirAll(u.handoverFolder(), 0o700)
	}
	if err == nil {
		h := Handover{Request: j.request, Settings: j.settings, Kept: kept}
		h.Request.Pull = false
		err = writeFile(u.handoverFile(fileRequest), h)
	}
	if err != nil {
		return &Error{Code: CodeStore, Message: fmt.Sprintf("The handover can't be written: %v.", err)}
	}
	return nil
}

// untilReady waits until a helper says that it can do what it is asked for.
func (u *Updater) untilReady(ctx context.Context, j *job, id string) error {
	deadline := time.Now().Add(readyTimeout)
	return u.until(ctx, func() (bool, error) {
		if exists(u.handoverFile(fileReady)) {
			return true, nil
		}
		s, err := u.engine.Inspect(ctx, id)
		switch {
		case err != nil:
			return false, u.wrap(ctx, CodeTakeover, err)
		case !s.Running:
			return false, u.refuseImage(ctx, j, problem(CodeTakeover,
				"The new image doesn't take over: it ended with exit code %d%s. It has to be a Watch Docker that knows the command %s.", s.ExitCode, because(s.Error), u.self.Args[0]))
		case time.Now().After(deadline):
			return false, u.refuseImage(ctx, j, problem(CodeTakeover,
				"The new image doesn't take over: it runs, but was not ready within %s. It has to be a Watch Docker.", seconds(readyTimeout)))
		}
		return false, nil
	})
}

// refuseImage adds what a helper has said, and has the release left alone.
func (u *Updater) refuseImage(ctx context.Context, j *job, e *Error) error {
	if lines, err := u.engine.Logs(ctx, helperName(j.plan.Old.Name), logLines); err == nil {
		e.Logs = lines
	}
	e.Message += " Nothing was stopped."
	u.quarantine(ctx, j, e)
	return e
}

// dropHelper removes a helper and what was handed to it, unless it has been
// told to go. One of the same name that isn't a helper is an error.
func (u *Updater) dropHelper(ctx context.Context, name string) error {
	s, found, err := u.engine.FindByName(ctx, helperName(name))
	if err == nil && found {
		var b dockercli.Blueprint
		if b, err = u.engine.Blueprint(ctx, s.ID); err == nil && b.Labels[helperLabel] == "" {
			return problem(CodeNameTaken, "There is a container %s, which isn't Watch Docker's; rename or remove it.", s.Name)
		}
		if err == nil || errors.Is(err, dockercli.ErrNotFound) {
			err = u.remove(ctx, s.ID, dockercli.RemoveOptions{Force: true, Volumes: true})
		}
	}
	if err != nil {
		return u.wrap(ctx, CodeTakeover, err)
	}
	return os.RemoveAll(u.handoverFolder())
}

// await waits for what comes of a handover, and takes it into the record.
func (u *Updater) await(ctx context.Context, j *job) (store.OperationState, error) {
	var out outcome
	lost, looked := 0, time.Now()
	err := u.until(ctx, func() (done bool, err error) {
		if done, err = readFile(u.handoverFile(fileOutcome), &out); done || err != nil {
			return done, err
		}
		if time.Since(looked) < nudgeEvery {
			return false, nil
		}
		looked = time.Now()
		running, err := u.nudge(ctx, j)
		if lost++; running {
			lost = 0
		}
		if lost == nudges {
			err = errHelperGone
		}
		return false, err
	})
	switch {
	case ctx.Err() != nil:
		return store.Running, errLeft // somebody stops us: the helper, very likely
	case err != nil:
		u.log.Warn("a handover has no outcome", logging.Container(j.plan.Old.Name), logging.Err(err))
		return u.settleItself(ctx, j)
	}
	return u.absorb(ctx, j, out)
}

// nudge sees that the helper runs. The engine restarts it, unless somebody has stopped it.
func (u *Updater) nudge(ctx context.Context, j *job) (running bool, err error) {
	s, found, err := u.engine.FindByName(ctx, helperName(j.plan.Old.Name))
	switch {
	case err != nil, found && s.Running, exists(u.handoverFile(fileOutcome)): // what the engine fails at says nothing
		return true, nil //nolint:nilerr // see above
	case !found:
		return false, errHelperGone
	}
	if err := u.engine.Start(ctx, s.ID); err != nil {
		u.log.Warn("a helper can't be started again", logging.Container(s.Name), logging.Err(err))
	}
	return false, nil
}

// absorb takes the helper's record into the program's own.
func (u *Updater) absorb(ctx context.Context, j *job, out outcome) (store.OperationState, error) {
	steps := slices.DeleteFunc(out.Operation.Steps, func(s store.Step) bool { return s.Name == stepPreflight || s.Name == stepPull })
	j.adopt(ctx, steps, out.Operation.DowntimeMs)
	s, found, err := u.engine.FindByName(ctx, helperName(j.plan.Old.Name))
	if err == nil && found {
		err = u.remove(ctx, s.ID, dockercli.RemoveOptions{Force: true, Volumes: true})
	}
	if err != nil {
		u.log.Warn("a helper is left", logging.Container(helperName(j.plan.Old.Name)), logging.Err(err))
	}
	failed := out.Operation.Error
	if out.Operation.State == store.Succeeded && failed == nil {
		err := j.note(ctx, func(p *plan) { p.NewID, p.Passed = out.NewID, true })
		if err == nil {
			_, err = u.keepImages(ctx, j)
		}
		if err != nil {
			u.log.Warn("the earlier image isn't kept", logging.Container(j.plan.Old.Name), logging.Err(err))
		}
		return store.Succeeded, nil
	}
	if err := u.retag(ctx, &j.plan.member); err != nil {
		u.log.Warn("a tag could not be given back", logging.Image(j.plan.ref()), logging.Err(err))
	}
	e := &Error{Code: CodeTakeover, Message: "The helper didn't say why it failed."}
	if failed != nil {
		e = &Error{Code: failed.Code, Message: failed.Message, Logs: failed.Logs}
	}
	u.quarantine(ctx, j, e)
	if e.Code != CodeSkipped {
		u.discard(ctx, j)
	}
	return out.Operation.State, e
}

// settleItself brings names and restart policies in order when nobody else
// does it any more: the program that runs, the old one or the new one, stays.
func (u *Updater) settleItself(ctx context.Context, j *job) (store.OperationState, error) {
	p := &j.plan
	gone := problem(CodeTakeover, "The helper that was to replace Watch Docker was removed or didn't run, and nothing came of it.")
	for _, name := range []string{p.Old.Name, newName(p.Old.Name)} {
		s, found, err := u.engine.FindByName(ctx, name)
		if err != nil || !found || s.ID == p.Old.ID || !slices.Contains(u.own, s.ID) {
			continue
		}
		if err := j.note(ctx, func(p *plan) { p.NewID, p.Passed = s.ID, true }); err != nil {
			return store.Failed, err
		}
		err = u.insist(ctx, true, func() error {
			return errors.Join(u.dropHelper(ctx, p.Old.Name), u.settle(ctx, &p.member), u.complete(ctx, j, false))
		})
		if err != nil {
			return store.Failed, &Error{Code: CodeTakeover, Message: gone.Message + " The new one runs, but: " + err.Error()}
		}
		return store.Succeeded, nil
	}
	err := u.insist(ctx, true, func() error {
		if err := u.dropHelper(ctx, p.Old.Name); err != nil {
			return err
		}
		if found, ok, err := u.engine.FindByName(ctx, newName(p.Old.Name)); err != nil || ok && found.ImageID == p.NewImage {
			if err = errors.Join(err, u.remove(ctx, found.ID, dockercli.RemoveOptions{Force: true, Volumes: true})); err != nil {
				return err
			}
		}
		if s, err := u.engine.Inspect(ctx, p.Old.ID); err == nil && s.RestartPolicy != p.Old.RestartPolicy && !p.Old.AutoRemove {
			if err := u.engine.SetRestartPolicy(ctx, p.Old.ID, p.Old.RestartPolicy); err != nil {
				return err
			}
		}
		return errors.Join(u.retag(ctx, &p.member), u.bringBack(ctx, j, &p.member))
	})
	if err != nil {
		return store.Failed, &Error{Code: CodeRollback, Message: gone.Message + " Bringing things in order failed, too: " + err.Error()}
	}
	return store.RolledBack, gone
}

// adopt puts a helper's steps behind the job's own.
func (j *job) adopt(ctx context.Context, steps []store.Step, downtimeMs int64) {
	j.mu.Lock()
	n := 1 + slices.IndexFunc(j.operation.Steps, func(s store.Step) bool { return s.Name == StepHandover })
	j.operation.Steps = append(slices.Clone(j.operation.Steps[:n]), steps...)
	j.operation.DowntimeMs = downtimeMs
	j.mu.Unlock()
	j.tell()
	for i, s := range steps {
		_ = j.store.SaveStep(context.WithoutCancel(ctx), j.operation.ID, n+i, s) // for the reader alone
	}
}

// resume goes on with a handover that an earlier process made, or takes back
// one that had not come to it. handed says which.
func (u *Updater) resume(ctx context.Context, j *job) (handed bool, err error) {
	if u.self.State == "" || !j.reached(StepHandover) {
		return false, nil
	}
	if !exists(u.handoverFile(fileGo)) {
		err := u.dropHelper(ctx, j.plan.Old.Name)
		if taken := (*Error)(nil); errors.As(err, &taken) && taken.Code == CodeNameTaken {
			err = nil // it had not come to be
		}
		return false, err
	}
	for n, s := range j.snapshot().Steps {
		if s.State == store.StepRunning { // the word was given in it
			_ = j.store.SaveStep(ctx, j.operation.ID, n, j.close(n, "", nil)) // for the reader alone
		}
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.jobs[j.operation.ID] != nil {
		return true, nil
	}
	j.alone, j.settings = true, u.settings
	j.request = Request{ContainerID: j.plan.Old.ID, Name: j.plan.Old.Name, Image: j.plan.Old.ImageRef, NewImage: j.plan.NewRef}
	u.jobs[j.operation.ID] = j
	u.running = append(u.running, j)
	u.resumed = append(u.resumed, j)
	return true, nil
}

// handed gives the handovers that Run has to go on with, once.
func (u *Updater) handed() []*job {
	u.mu.Lock()
	defer u.mu.Unlock()
	jobs := u.resumed
	u.resumed = nil
	return jobs
}

// tidy removes what a handover has left, once its outcome is in the record.
func (u *Updater) tidy(ctx context.Context, j *job) {
	if u.self.State == "" || !j.plan.HandedOver {
		return
	}
	u.mu.Lock()
	_, unsaved := u.unsaved[j.operation.ID]
	u.mu.Unlock()
	if unsaved {
		return
	}
	if err := u.dropHelper(ctx, j.plan.Old.Name); err != nil {
		u.log.Warn("what was handed over is left", logging.Err(err))
	}
}

// itself refuses a container that the program can't do without, unless it can
// have it replaced.
func (u *Updater) itself(ctx context.Context, old dockercli.Blueprint) error {
	if u.Own(old.ID) {
		return u.mayReplaceItself(ctx, old)
	}
	if u.self.State == "" {
		return nil
	}
	beside := slices.ContainsFunc(old.Uses, func(r dockercli.Relation) bool { return r.Kind == "network" && u.Own(r.Container) })
	if !beside {
		return nil
	}
	mine, err := u.livesIn(ctx, old.ID)
	if err == nil && mine {
		err = problem(CodeOwn, "Watch Docker itself runs in %s, in another container's network, and can't replace it from there; recreate it by hand.", old.Name)
	}
	return err
}
