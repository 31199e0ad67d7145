package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/moby/moby/api/types/container"

	"github.com/watch-docker/watch-docker/test/testbed"
)

// stateShapes are containers that don't run, and one that does.
func stateShapes() []shape {
	stopped := plain("stopped by hand", "it stays stopped, as it was or of the new image, with its data", "--restart", "unless-stopped", "-v", "/anonymous")
	stopped.data, stopped.after = []string{"/anonymous"}, []string{"stop {name}"}
	created := plain("never started", "it is not started", "--restart", "always")
	created.created = true
	ended := plain("ended by itself", "a job that has ended is not run again")
	ended.old, ended.new = testbed.ImageOptions{Payload: "old", Cmd: []string{"true"}}, testbed.ImageOptions{Payload: "new", Cmd: []string{"true"}}
	ended.after = []string{"wait {name}"}
	paused := plain("paused", "it stays paused, and is not touched")
	paused.after = []string{"pause {name}"}
	return []shape{plain("running beside them", "it is updated"), stopped, created, ended, paused}
}

func stateGroup() group {
	shapes := stateShapes()
	return group{name: "state", trials: trials(shapes), judge: func(ctx context.Context, s *suite, chosen map[string]bool) (map[string]verdict, error) {
		verdicts := map[string]verdict{}
		subjects, late, err := s.updateAll(ctx, "state", s.only(shapes, chosen), verdicts)
		if err != nil {
			return nil, err
		}
		return verdicts, s.each(ctx, subjects, verdicts, late, func(ctx context.Context, sub *subject) ([]string, error) {
			switch {
			case len(sub.after) == 0 && !sub.created:
				return s.renewed(ctx, sub)
			case sub.before["State"].(map[string]any)["Paused"] == true:
				return s.stillPaused(ctx, sub)
			}
			return s.stillDown(ctx, sub)
		})
	}}
}

// updateAll makes containers, brings out their new releases, and runs the
// updater once. Late is that it took too long.
func (s *suite) updateAll(ctx context.Context, what string, shapes []shape, verdicts map[string]verdict) (subjects []*subject, late, err error) {
	if subjects, err = s.placeAll(ctx, shapes, verdicts); err != nil {
		return nil, nil, err
	}
	home, err := s.home()
	if err != nil {
		return nil, nil, err
	}
	late = s.update(ctx, home, what)
	if late != nil && !errors.Is(late, errTooLong) {
		return nil, nil, late
	}
	return subjects, late, nil
}

func (s *suite) stillPaused(ctx context.Context, sub *subject) ([]string, error) {
	c, wrong, err := s.find(ctx, sub)
	if err != nil || c == nil {
		return wrong, err
	}
	if c.ID != sub.id {
		wrong = append(wrong, "it was made anew, with "+sub.which(c))
	}
	if !c.State.Paused {
		wrong = append(wrong, state(c))
	}
	return wrong, nil
}

// stillDown asks for a container that doesn't run: the very one of before, or
// one of the new image that is as the user would make it.
func (s *suite) stillDown(ctx context.Context, sub *subject) ([]string, error) {
	c, wrong, err := s.find(ctx, sub)
	if err != nil || c == nil {
		return wrong, err
	}
	if c.State.Status != container.StateExited && c.State.Status != container.StateCreated {
		wrong = append(wrong, state(c))
	}
	if c.ID == sub.id {
		if c.State.StartedAt != sub.started {
			wrong = append(wrong, "it was started")
		}
		return wrong, nil
	}
	if c.State.Status == container.StateExited {
		wrong = append(wrong, "it was started") // one that wasn't is only created
	}
	if c.Image != sub.new {
		return append(wrong, "it was made anew, with "+sub.which(c)), nil
	}
	for _, folder := range sub.data {
		to := filepath.Join(s.bed.Dir(), "copy-"+sub.name)
		_, err := s.docker(ctx, "cp", sub.name+":"+folder+"/marker", to)
		if text, unread := os.ReadFile(to); err != nil || unread != nil || string(text) != markerText+"\n" {
			wrong = append(wrong, "the data in "+folder+" is gone")
		}
	}
	if _, err := s.pull(ctx, sub.repo); err != nil {
		return nil, err
	}
	unlike, err := s.likeControl(ctx, sub, s.create)
	return append(wrong, unlike...), err
}
