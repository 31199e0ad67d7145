package containerlog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/watch-docker/watch-docker/internal/dockercli"
)

// Labels by which Compose knows its containers.
const (
	labelProject = "com.docker.compose.project"
	labelService = "com.docker.compose.service"
	labelNumber  = "com.docker.compose.container-number"
	labelOneOff  = "com.docker.compose.oneoff"
)

// Project is a Compose project whose log is read.
type Project struct {
	Name     string
	Services []string // none: all
}

// member is one container of a project.
type member struct {
	id, service, number, state string
}

// key is what a container has in common with the one that replaces it.
func (m member) key() string { return m.service + "/" + m.number }

func (m member) notice(kind string) Notice {
	return Notice{Type: kind, ID: m.id, Service: m.service, Number: m.number}
}

// members are a project's containers that have been started at least once,
// in the order of their services.
func (p Project) members(list []dockercli.Container) (members []member, exists bool) {
	for _, c := range list {
		if c.Labels[labelProject] != p.Name || c.Labels[labelOneOff] == "True" {
			continue
		}
		exists = true
		m := member{id: c.ID, service: c.Labels[labelService], number: c.Labels[labelNumber], state: c.State}
		if c.State != "created" && (len(p.Services) == 0 || slices.Contains(p.Services, m.service)) {
			members = append(members, m)
		}
	}
	slices.SortFunc(members, func(a, b member) int {
		return cmp.Or(cmp.Compare(a.service, b.service), cmp.Compare(len(a.number), len(b.number)), cmp.Compare(a.number, b.number), cmp.Compare(a.id, b.id))
	})
	return members, exists
}

// HasProject fails with ErrNoProject if the engine has no container of it, or
// if none of its containers is of a service that is named.
func (s *Service) HasProject(ctx context.Context, p Project) error {
	list, err := s.containers(ctx)
	if err != nil {
		return err
	}
	if _, exists := p.members(list); !exists {
		return fmt.Errorf("%w: %s", ErrNoProject, p.Name)
	}
	for _, name := range p.Services {
		if !slices.ContainsFunc(list, func(c dockercli.Container) bool {
			return c.Labels[labelProject] == p.Name && c.Labels[labelService] == name
		}) {
			return fmt.Errorf("%w with a service %s: %s", ErrNoProject, name, p.Name)
		}
	}
	return nil
}

// Project reads the logs of a project's containers, what has been written in
// the order of its times, and then follows them and those that are added,
// until ctx ends or none is left.
//
// Errors: as Container; a container whose log can't be read is an error only
// if there is no other.
func (s *Service) Project(ctx context.Context, p Project, r Request, to Sink) error {
	list, err := s.containers(ctx)
	if err != nil {
		return err
	}
	members, _ := p.members(list)
	g := &group{s: s, p: p, r: r, to: to, known: map[string]member{}, last: map[string]string{}, missing: map[string]time.Time{}}
	at, sum, err := g.histories(ctx, members)
	if err != nil {
		return err
	}
	if err := to.Note(sum.notice()); err != nil || !r.Follow {
		return err
	}
	to.Live()
	return g.run(ctx, members, at)
}

// group follows a project's containers.
type group struct {
	s  *Service
	p  Project
	r  Request
	to Sink

	known   map[string]member    // by id
	last    map[string]string    // the newest id by key
	missing map[string]time.Time // since when, by id
}

func (g *group) line(m member) func(dockercli.Line) error {
	return func(l dockercli.Line) error { return g.to.Line(Line{Line: l, Service: m.service, Number: m.number}) }
}

// run begins to follow each container, and those that come.
func (g *group) run(ctx context.Context, members []member, at map[string]dockercli.LogPosition) error {
	ctx, cancel := context.WithCancelCause(ctx)
	var following sync.WaitGroup
	defer following.Wait()
	defer cancel(nil)
	var once sync.Mutex
	away := false // told once for all of them
	note := func(m member) func(Notice) error {
		return func(n Notice) error {
			once.Lock()
			defer once.Unlock()
			switch n.Type {
			case Disconnected, Connected:
				if away == (n.Type == Disconnected) {
					return nil
				}
				away = !away
				return g.to.Note(n)
			}
			n.Service, n.Number = m.service, m.number
			return g.to.Note(n)
		}
	}
	follow := func(m member) {
		g.known[m.id], g.last[m.key()] = m, m.id
		f := follower{
			s: g.s, id: m.id, match: g.r.Match, at: map[string]dockercli.LogPosition{m.id: at[m.id]}, line: g.line(m), note: note(m),
		}
		following.Go(func() {
			err := f.run(ctx)
			if errors.Is(err, ErrUnavailable) {
				err = f.note(Notice{Type: Failed, ID: m.id, Code: "logs_unavailable", Message: err.Error()})
			}
			if err != nil && ctx.Err() == nil {
				cancel(err)
			}
		})
	}
	for _, m := range members {
		follow(m)
	}
	for {
		event := g.s.next()
		most, err := g.look(ctx, follow)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			return err
		case len(g.known) == 0:
			return g.to.Note(Notice{Type: Ended})
		}
		if err := wait(ctx, event, most); err != nil {
			return context.Cause(ctx)
		}
	}
}

// look finds containers that are new and those that are gone, and says when
// to look again.
func (g *group) look(ctx context.Context, follow func(member)) (time.Duration, error) {
	list, err := g.s.containers(ctx)
	if err != nil {
		return lookAgain / 10, nil //nolint:nilerr // those who follow tell of an engine that is away
	}
	members, _ := g.p.members(list)
	there := map[string]bool{}
	for _, m := range members {
		there[m.id] = true
		if _, known := g.known[m.id]; known {
			continue
		}
		n := m.notice(Added)
		if g.last[m.key()] != "" {
			n.Type = Replaced
		}
		if err := g.to.Note(n); err != nil {
			return 0, err
		}
		follow(m)
	}
	most := lookAgain
	for id, m := range maps.Clone(g.known) {
		switch since, missing := g.missing[id]; {
		case there[id]:
			delete(g.missing, id)
		case g.last[m.key()] != id: // it has been replaced
			delete(g.known, id)
			delete(g.missing, id)
		case !missing:
			g.missing[id] = time.Now()
			most = min(most, grace)
		case time.Since(since) < grace:
			most = min(most, grace-time.Since(since))
		default:
			delete(g.known, id)
			delete(g.missing, id)
			if slices.ContainsFunc(members, func(o member) bool { return o.key() == m.key() }) {
				continue // the one before it has come back
			}
			if err := g.to.Note(m.notice(Removed)); err != nil {
				return 0, err
			}
		}
	}
	return most, nil
}
