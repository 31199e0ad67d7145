package main

import (
	"context"
	"errors"

	"github.com/watch-docker/watch-docker/test/testbed"
)

// onceShapes are releases that fail, and one that is followed by a good one.
func onceShapes() []shape {
	const must = "a second run leaves the container alone that a first run has rolled back"
	var all []shape
	for _, r := range []release{
		broken("entrypoint missing", missing()), broken("crash loop", testbed.ImageOptions{Cmd: sh("exit 1")}, "--restart", "always"), broken("unhealthy", unhealthy()),
		broken(nextRelease, missing()),
	} {
		r.must = must
		if r.name == nextRelease {
			r.must = "a good release after one that was rolled back is taken"
		}
		all = append(all, r.shape)
	}
	return all
}

const nextRelease = "the release after it"

// onceGroup runs the updater again on releases that have failed.
func onceGroup() group {
	shapes := onceShapes()
	return group{name: "once", trials: trials(shapes), judge: func(ctx context.Context, s *suite, chosen map[string]bool) (map[string]verdict, error) {
		verdicts := map[string]verdict{}
		subjects, err := s.placeAll(ctx, s.only(shapes, chosen), verdicts)
		if err != nil {
			return nil, err
		}
		home, err := s.home() // the same for both runs
		if err != nil {
			return nil, err
		}
		late := s.update(ctx, home, "once-first")
		if late != nil && !errors.Is(late, errTooLong) {
			return nil, late
		}
		var back []*subject
		for _, sub := range subjects {
			wrong, err := s.givenUp(ctx, sub)
			if err != nil {
				return nil, err
			}
			if len(wrong) > 0 {
				verdicts[sub.shape.name] = verdict{na, "the first run didn't roll it back: " + wrong[0]}
				continue
			}
			if err := s.remember(ctx, sub); err != nil {
				return nil, err
			}
			if sub.shape.name == nextRelease {
				if err := s.mend(ctx, sub); err != nil {
					return nil, err
				}
			}
			back = append(back, sub)
		}
		if len(back) == 0 {
			return verdicts, nil
		}
		late = s.update(ctx, home, "once-second")
		if late != nil && !errors.Is(late, errTooLong) {
			return nil, late
		}
		return verdicts, s.each(ctx, back, verdicts, late, func(ctx context.Context, sub *subject) ([]string, error) {
			if sub.shape.name == nextRelease {
				return s.taken(ctx, sub)
			}
			return s.untouched(ctx, sub)
		})
	}}
}

// mend brings out a release that works.
func (s *suite) mend(ctx context.Context, sub *subject) error {
	sub.shape.new = testbed.ImageOptions{Payload: "mended", Healthcheck: checked()}
	var err error
	if sub.new, err = s.imageID(sub.shape.new); err != nil {
		return err
	}
	return s.renew(ctx, sub)
}
