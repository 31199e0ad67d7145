package api

import (
	"context"
	"fmt"
	"net/http"

	"github.com/watch-docker/watch-docker/internal/scanner"
)

// find gives the container that a path or a body names: by id, by name, or by
// an unambiguous beginning of its id. One that isn't known may be new, so the
// engine is asked before it is called unknown.
//
// Errors: ErrUnknownContainer, a Problem for an ambiguous one, ErrEngineUnavailable.
func (s *server) find(ctx context.Context, named string) (c scanner.ContainerStatus, err error) {
	defer func() {
		if err == nil {
			trailOf(ctx).about(c.Name)
		}
	}()
	c, ok, err := pick(s.Scans.Latest(), named)
	if err != nil || ok {
		return c, err
	}
	if err := s.Scans.Refresh(ctx); err != nil {
		return c, err
	}
	c, ok, err = pick(s.Scans.Latest(), named)
	if err == nil && !ok {
		err = fmt.Errorf("%w: %s", ErrUnknownContainer, named)
	}
	return c, err
}

// findAll gives the ids of all that are named, each once.
func (s *server) findAll(ctx context.Context, named []string) ([]string, error) {
	var ids []string
	seen := map[string]bool{}
	for _, n := range named {
		c, err := s.find(ctx, n)
		if err != nil {
			return nil, err
		}
		if !seen[c.ID] {
			ids, seen[c.ID] = append(ids, c.ID), true
		}
	}
	return ids, nil
}

// pick is false if there is none. Several that begin alike are a Problem.
func pick(latest scanner.Result, named string) (c scanner.ContainerStatus, ok bool, err error) {
	switch matches := latest.Find(named); len(matches) {
	case 0:
		return c, false, nil
	case 1:
		return matches[0], true, nil
	default:
		return c, false, problem(http.StatusConflict, CodeAmbiguous,
			fmt.Sprintf("%s is the beginning of %d ids, among them those of %s and %s; give more of it.", named, len(matches), matches[0].Name, matches[1].Name))
	}
}
