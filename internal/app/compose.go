package app

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/sirupsen/logrus"

	"github.com/watch-docker/watch-docker/internal/api"
	"github.com/watch-docker/watch-docker/internal/compose"
	"github.com/watch-docker/watch-docker/internal/composecli"
	"github.com/watch-docker/watch-docker/internal/composefile"
	"github.com/watch-docker/watch-docker/internal/config"
	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/internal/hostpath"
	"github.com/watch-docker/watch-docker/internal/logging"
	"github.com/watch-docker/watch-docker/internal/project"
	"github.com/watch-docker/watch-docker/internal/resource"
	"github.com/watch-docker/watch-docker/internal/runspec"
	"github.com/watch-docker/watch-docker/internal/scanner"
)

// composing builds what acts on Compose projects.
func (s *Server) composing(cfg *config.Config, side ports) error {
	temp, err := tempFolder(cfg.StatePath)
	if err != nil {
		return err
	}
	logrus.SetOutput(io.Discard) // compose-go's; what it warns of is in our own words
	s.projects, err = project.New(project.Dependencies{
		Roots: cfg.Compose.Path, StateFolder: cfg.StatePath, Engine: s.engine, Store: s.store, Reader: compose.Reader{Temp: temp}, Resources: projectResources{s.resources},
		Updates: s.updatable, FromHost: s.hosts.ours, Writing: &s.writing, Logger: s.log,
	})
	if err != nil {
		return err
	}
	d := compose.Dependencies{
		Projects: s.projects, Engine: s.engine, Tasks: s.tasks, Doctor: s.hosts.doctor, StateFolder: cfg.StatePath, Home: homeOf(s.environ), Temp: temp,
		Hold: side.holdAll, Own: s.updater.Own,
	}
	if s.command != nil {
		d.Commands = s.command
	}
	s.compose = compose.New(d)
	return nil
}

// tempFolder is for what a command needs for a moment: files with secrets in
// them, of which a process that was killed may have left some.
func tempFolder(state string) (string, error) {
	folder := filepath.Join(state, "compose")
	return folder, errors.Join(os.RemoveAll(folder), os.MkdirAll(folder, 0o700))
}

// projectResources is project's side of what Compose makes beside containers.
type projectResources struct{ *resource.Service }

// RemoveVolume implements project.Resources.
func (m projectResources) RemoveVolume(ctx context.Context, name string) error {
	return m.Engine.RemoveVolume(ctx, name)
}

// ProjectResources implements project.Resources.
func (m projectResources) ProjectResources(ctx context.Context, q project.ResourceQuery) ([]project.Network, []project.Volume, error) {
	networks, err := m.Networks(ctx)
	if err != nil {
		return nil, nil, err
	}
	volumes, err := m.Volumes(ctx, q.Measure)
	if err != nil {
		return nil, nil, err
	}
	var nets []project.Network
	for _, n := range networks {
		if n.Project == q.Project {
			nets = append(nets, project.Network{Name: n.Name})
		}
	}
	var vols []project.Volume
	for _, v := range volumes {
		of := v.Project == q.Project || slices.Contains(q.Volumes, v.Name)
		users := []string{}
		for _, u := range v.Users {
			users = append(users, u.Name)
			of = of || v.Anonymous && u.Project == q.Project
		}
		if of {
			vols = append(vols, project.Volume{Name: v.Name, SizeBytes: v.SizeBytes, Users: users, Owner: v.Project, Anonymous: v.Anonymous})
		}
	}
	return nets, vols, nil
}

func homeOf(environ []string) string {
	for _, entry := range environ {
		if home, ok := strings.CutPrefix(entry, "HOME="); ok {
			return home
		}
	}
	return "/"
}

// projects is the api's side of Compose projects.
type projects struct {
	*compose.Service
	*parts
}

// Convert implements api.Compose.
func (p projects) Convert(ctx context.Context, ids []string, reveal bool) (composefile.Converted, error) {
	all := make([]runspec.Container, len(ids))
	for i, id := range ids {
		var err error
		if all[i], err = p.engine.RunSpec(ctx, id); errors.Is(err, dockercli.ErrSwarmTask) {
			return composefile.Converted{}, &api.ConflictError{Reason: "A task of a Swarm service is made by the service, not by docker run."}
		} else if err != nil {
			return composefile.Converted{}, ported(err, api.ErrUnknownContainer)
		}
	}
	return composefile.Convert(all, reveal), nil
}

// updatable tells whether a container has an update.
func (s *Server) updatable(id string) bool {
	c, err := find(s.scanner.Latest(), id)
	return err == nil && c.Status == scanner.UpdateAvailable
}

// prepareCompose says once whether projects can be acted on, and removes what
// an earlier process left of its looks at the host.
func (s *Server) prepareCompose(ctx context.Context) error {
	if err := ClearProbes(ctx, s.engine, name); err != nil {
		s.log.Debug("what was left of looks at the host stays for now", logging.Err(err))
	}
	if _, err := s.hosts.doctor(ctx, false); err != nil {
		s.log.Debug("it isn't known yet where our folders lie on the host", logging.Err(err))
	}
	a := s.compose.Available(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	log := s.log.With(logging.Component("compose"))
	if !a.Available {
		log.Warn(a.Problem)
		return nil
	}
	log.Info("Compose projects can be acted on with " + a.Command + " " + a.Version)
	return nil
}

// newCommand finds the Compose command line; nil without one.
func newCommand(p *parts, environ []string) *composecli.CLI {
	cli, err := composecli.New(environ, composecli.WithHost(p.engine.Host()), composecli.WithAccounts(func() []composecli.Account {
		var all []composecli.Account
		for _, a := range p.configured.Load().Registry.Auth {
			all = append(all, composecli.Account{Host: a.Host, Username: a.Username, Password: a.Password.Reveal()})
		}
		return all
	}), composecli.WithFolder(filepath.Join(p.config.StatePath, "compose")))
	if err != nil {
		return nil
	}
	return cli
}

// holdAll keeps updates off a Compose project, and off these of its containers.
func (p ports) holdAll(project string, ids []string) (release func(), err error) {
	held := []func(){p.updater.HoldProject(project)}
	release = func() {
		for _, f := range held {
			f()
		}
	}
	for _, id := range ids {
		one, err := p.hold(id)
		if err != nil {
			release()
			return nil, err
		}
		held = append(held, one)
	}
	return release, nil
}

// hosts knows where what we see lies on the engine's host.
type hosts struct {
	engine *dockercli.Client
	shown  []string // compose.path
	known  atomic.Pointer[hostpath.Doctor]
}

// name is of the looks at the host of a program that runs in no container.
const name = "watch-docker"

// doctor judges paths; one that asks makes containers that are never started.
func (h *hosts) doctor(ctx context.Context, asks bool) (hostpath.Doctor, error) {
	d, err := PathDoctor(ctx, h.engine, h.shown, name)
	if err != nil {
		return d, ported(err, err)
	}
	h.known.Store(&d)
	if !asks {
		d.Engine = nil
	}
	return d, nil
}

// ours is how a path of the host is called here; false if it can't be seen, or
// isn't known yet.
func (h *hosts) ours(path string) (string, bool) {
	d := h.known.Load()
	if d == nil {
		return "", false
	}
	return d.Ours(path)
}
