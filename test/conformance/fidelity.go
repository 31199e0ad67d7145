package main

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
)

// batch is how many containers of the fidelity groups are there at once.
const batch = 12

// fidelityGroups: whatever the user set stays, whatever the old image had said
// by itself becomes what the new one says.
func fidelityGroups() (all []group) {
	for _, part := range []struct {
		name   string
		shapes []shape
	}{
		{"fidelity-defaults", defaultShapes()}, {"fidelity-settings", overrideShapes()}, {"fidelity-network", networkShapes()},
		{"fidelity-storage", storageShapes()}, {"fidelity-process", processShapes()},
	} {
		all = append(all, group{name: part.name, trials: trials(part.shapes), judge: func(ctx context.Context, s *suite, chosen map[string]bool) (map[string]verdict, error) {
			return s.fidelity(ctx, part.name, s.only(part.shapes, chosen))
		}})
	}
	return all
}

func (s *suite) fidelity(ctx context.Context, name string, shapes []shape) (map[string]verdict, error) {
	verdicts := map[string]verdict{}
	for part := range slices.Chunk(shapes, batch) {
		subjects, late, err := s.updateAll(ctx, name, part, verdicts)
		if err != nil {
			return nil, err
		}
		if err := s.each(ctx, subjects, verdicts, late, s.renewed); err != nil {
			return nil, err
		}
		if err := s.clear(ctx); err != nil {
			return nil, err
		}
	}
	return verdicts, nil
}

// each judges subjects at once. A run that was too long counts against all of them.
func (s *suite) each(ctx context.Context, subjects []*subject, verdicts map[string]verdict, late error, judge func(context.Context, *subject) ([]string, error)) error {
	var mu sync.Mutex
	g, judging := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for _, sub := range subjects {
		g.Go(func() error {
			wrong, err := judge(judging, sub)
			if err != nil {
				return fmt.Errorf("judge %q: %w", sub.shape.name, err)
			}
			if late != nil {
				wrong = append([]string{late.Error()}, wrong...)
			}
			mu.Lock()
			defer mu.Unlock()
			verdicts[sub.shape.name] = of(wrong)
			return nil
		})
	}
	return g.Wait()
}

// renewed asks for a container of the new image that is as the user would make it.
func (s *suite) renewed(ctx context.Context, sub *subject) ([]string, error) {
	c, wrong, err := s.find(ctx, sub)
	if err != nil || c == nil {
		return wrong, err
	}
	bad := sub.runs(c, sub.new)
	wrong = append(wrong, bad...)
	if len(bad) > 0 {
		return wrong, nil // what it is like doesn't matter any more
	}
	wrong = append(wrong, s.kept(ctx, sub)...)
	if _, err := s.pull(ctx, sub.repo); err != nil {
		return nil, err
	}
	unlike, err := s.likeControl(ctx, sub, s.make)
	return append(wrong, unlike...), err
}
