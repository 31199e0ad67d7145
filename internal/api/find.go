package api

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/watch-docker/watch-docker/internal/scanner"
)

const shortestPrefix = 12 // hexadecimal digits, as docker ps shows them

// find gives the container that a path or a body names: by id, by name, or by
// an unambiguous beginning of its id. One that isn't known may be new, so the
// engine is asked before it is called unknown.
//
// Errors: ErrUnknownContainer, a Problem for an ambiguous one, ErrEngineUnavailable.
func (s *server) find(ctx context.Context, named string) (scanner.ContainerStatus, error) {
	found, err := pick(s.Scans.Latest().Containers, named)
	if err != nil || found != nil {
		return deref(found), err
	}
	if err := s.Scans.Refresh(ctx); err != nil {
		return scanner.ContainerStatus{}, err
	}
	found, err = pick(s.Scans.Latest().Containers, named)
	if err == nil && found == nil {
		err = fmt.Errorf("%w: %s", ErrUnknownContainer, named)
	}
	return deref(found), err
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

// pick gives nil if there is none. A name wins over an id that begins like it.
func pick(all []scanner.ContainerStatus, named string) (*scanner.ContainerStatus, error) {
	var matches []*scanner.ContainerStatus
	prefix := len(named) >= shortestPrefix && strings.Trim(named, "0123456789abcdef") == ""
	for i := range all {
		switch c := &all[i]; {
		case c.ID == named || c.Name == named:
			return c, nil
		case prefix && strings.HasPrefix(c.ID, named):
			matches = append(matches, c)
		}
	}
	if len(matches) > 1 {
		return nil, problem(http.StatusConflict, CodeAmbiguous,
			fmt.Sprintf("%s is the beginning of %d ids, among them those of %s and %s; give more of it.", named, len(matches), matches[0].Name, matches[1].Name))
	}
	if len(matches) == 1 {
		return matches[0], nil
	}
	return nil, nil //nolint:nilnil // none is no error yet: see find
}

func deref(c *scanner.ContainerStatus) scanner.ContainerStatus {
	if c == nil {
		return scanner.ContainerStatus{}
	}
	return *c
}
