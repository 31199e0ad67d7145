package app

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/watch-docker/watch-docker/internal/api"
	"github.com/watch-docker/watch-docker/internal/compose"
	"github.com/watch-docker/watch-docker/internal/composecli"
	"github.com/watch-docker/watch-docker/internal/composefile"
	"github.com/watch-docker/watch-docker/internal/config"
	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/internal/hostpath"
	"github.com/watch-docker/watch-docker/internal/logging"
	"github.com/watch-docker/watch-docker/internal/project"
	"github.com/watch-docker/watch-docker/internal/runspec"
	"github.com/watch-docker/watch-docker/internal/scanner"
)

// composing builds what acts on Compose projects.
func (s *Server) composing(cfg *config.Config, side ports) error {
	var err error
	s.projects, err = project.New(project.Dependencies{
		Roots: cfg.Compose.Path, StateFolder: cfg.StatePath, Engine: s.engine, Store: s.store, Reader: compose.Reader{},
		Updates: s.updatable, FromHost: s.hosts.ours, Logger: s.log,
	})
	if err != nil {
		return err
	}
	d := compose.Dependencies{
		Projects: s.projects, Engine: s.engine, Tasks: s.tasks, Doctor: s.hosts.doctor, StateFolder: cfg.StatePath, Home: homeOf(s.environ),
		Hold: side.holdAll, Own: s.updater.Own,
	}
	if s.command != nil {
		d.Commands = s.command
	}
	s.compose = compose.New(d)
	return nil
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
	if err := s.engine.ClearProbes(ctx, probePrefix); err != nil {
		s.log.Debug("what was left of looks at the host stays for now", logging.Err(err))
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
		for _, a := range p.config.Registry.Auth {
			all = append(all, composecli.Account{Host: a.Host, Username: a.Username, Password: a.Password.Reveal()})
		}
		return all
	}))
	if err != nil {
		return nil
	}
	return cli
}

// holdAll keeps updates off several containers.
func (p ports) holdAll(ids []string) (release func(), err error) {
	var held []func()
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
	ids    []string // ours, if we run in a container
	shown  []string // compose.path
	own    atomic.Pointer[dockercli.Own]
}

const probePrefix = "watch-docker.wd-probe-"

// doctor judges paths; one that asks makes containers that are never started.
func (h *hosts) doctor(ctx context.Context, asks bool) (hostpath.Doctor, error) {
	d := hostpath.Doctor{Shown: h.shown}
	d.Files, _ = os.DirFS("/").(fs.ReadLinkFS)
	local := !strings.HasPrefix(h.engine.Host(), "tcp:") && !strings.HasPrefix(h.engine.Host(), "http")
	if local && len(h.ids) == 0 {
		d.Local = true
		return d, nil
	}
	d.Remote = !local
	own, err := h.container(ctx)
	switch {
	case errors.Is(err, dockercli.ErrNotFound): // another engine's
		d.Remote = true
	case err != nil:
		return d, ported(err, err)
	default:
		for _, m := range own.Mounts {
			d.Mounts = append(d.Mounts, hostpath.Mount{Type: m.Type, Name: m.Name, Source: m.Source, Destination: m.Destination, RW: m.RW})
		}
	}
	if asks {
		d.Engine = probe{h}
	}
	return d, nil
}

// container is the one that we run in; its mounts never change.
func (h *hosts) container(ctx context.Context) (*dockercli.Own, error) {
	if own := h.own.Load(); own != nil {
		return own, nil
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil && len(h.ids) > 0 {
		return nil, err
	}
	own, err := h.engine.Own(ctx, h.ids, string(mounts))
	if err != nil {
		return nil, err
	}
	h.own.Store(&own)
	return &own, nil
}

// ours is how a path of the host is called here; false if it can't be seen.
func (h *hosts) ours(path string) (string, bool) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	d, err := h.doctor(ctx, false)
	if err != nil {
		return "", false
	}
	return d.Ours(path)
}

// probe looks at the engine's host.
type probe struct{ *hosts }

// Stat implements hostpath.Engine.
func (p probe) Stat(ctx context.Context, path string) (hostpath.Stat, error) {
	image, err := p.image(ctx)
	if err != nil {
		return hostpath.Stat{}, err
	}
	f, err := p.engine.ProbePath(ctx, path, dockercli.ProbeOptions{Name: probePrefix + strings.ToLower(rand.Text()[:10]), Image: image})
	switch {
	case errors.Is(err, dockercli.ErrNoFile), errors.Is(err, dockercli.ErrNotFolder):
		return hostpath.Stat{}, nil
	case err != nil:
		return hostpath.Stat{}, err
	}
	return hostpath.Stat{Exists: true, Info: fileInfo{f}}, nil
}

// image is one that the engine has: our own, or of any container.
func (p probe) image(ctx context.Context) (string, error) {
	if own, err := p.container(ctx); err == nil {
		return own.ImageID, nil
	}
	all, err := p.engine.Containers(ctx)
	if err != nil {
		return "", err
	}
	if len(all) == 0 {
		return "", errors.New("the engine has no container whose image could be used to look")
	}
	return all[0].ImageID, nil
}

// fileInfo makes an fs.FileInfo of what the engine says of a path.
type fileInfo struct{ dockercli.File }

func (f fileInfo) Name() string       { return f.File.Name }
func (f fileInfo) Size() int64        { return f.File.Size }
func (f fileInfo) Mode() fs.FileMode  { return f.File.Mode }
func (f fileInfo) ModTime() time.Time { return f.File.ModTime }
func (f fileInfo) IsDir() bool        { return f.File.Mode.IsDir() }
func (fileInfo) Sys() any             { return nil }
