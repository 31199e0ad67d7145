package composefile

import (
	"errors"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/format"
	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v3"
)

// Path is a place on a machine that a file names.
type Path struct {
	Kind    string `json:"kind"`              // one of the kinds below
	Reader  string `json:"reader"`            // who looks there: ReaderEngine or ReaderCLI
	Service string `json:"service,omitempty"` // empty: the project
	Written string `json:"written"`           // before variables were filled in
	Source  string `json:"source"`            // absolute; as written if it starts with ~, which each user's Compose reads differently
	Target  string `json:"target,omitempty"`  // in the container
	// ReadOnly and CreateHostPath are a bind's: the latter has the engine make
	// an empty folder of what isn't there.
	ReadOnly       bool `json:"readOnly,omitempty"`
	CreateHostPath bool `json:"createHostPath,omitempty"`
	Home           bool `json:"home,omitempty"` // it starts with ~
	Place
}

// The kinds of paths.
const (
	KindBind       = "bind"
	KindVolume     = "volume" // a named volume that is a folder of the host (driver_opts.device)
	KindConfig     = "config"
	KindSecret     = "secret"
	KindEnvFile    = "env_file"
	KindLabelFile  = "label_file"
	KindBuild      = "build"
	KindDockerfile = "dockerfile"
	KindSSH        = "ssh" // a key for the build
	KindInclude    = "include"
	KindExtends    = "extends"
	KindDevelop    = "develop"
	KindLender     = "volumes_from"    // of a Lender, which is no path
	KindCredential = "credential_spec" //nolint:gosec // a name
)

// Who reads a path.
const (
	ReaderEngine = "engine" // as a path of its own host
	ReaderCLI    = "cli"    // as a path that the command sees
)

// mention is a path as a file has it.
type mention struct {
	service, written string
	at               Place
}

// mention takes down a document's paths, by what they lead to.
func (c *checker) mention(f *file, doc *node) {
	add := func(kind, service string, n *node, source string) {
		if n == nil || n.kind != yaml.ScalarNode || source == "" {
			return
		}
		if !filepath.IsAbs(source) && !strings.HasPrefix(source, "~") {
			source = filepath.Join(f.dir, source)
		}
		id := kind + " " + filepath.Clean(source)
		c.places[id] = append(c.places[id], mention{service, n.text, n.at})
	}
	doc.get("services").each(func(name string, _ Place, s *node) {
		for _, v := range s.get("volumes").strs() {
			if v.kind == yaml.MappingNode {
				add(KindBind, name, v.get("source"), v.get("source").str())
			} else if spec, err := format.ParseVolume(v.str()); err == nil && spec.Type == types.VolumeTypeBind {
				add(KindBind, name, v, spec.Source)
			}
		}
		mentionFiles(s, func(kind string, n *node) { add(kind, name, n, n.str()) })
	})
	for section, kind := range map[string]string{"configs": KindConfig, "secrets": KindSecret} {
		doc.get(section).each(func(_ string, _ Place, n *node) { add(kind, "", n.get("file"), n.get("file").str()) })
	}
	doc.get("volumes").each(func(_ string, _ Place, n *node) {
		add(KindVolume, "", n.get("driver_opts", "device"), n.get("driver_opts", "device").str())
	})
}

// mentionFiles are a service's paths besides binds.
func mentionFiles(s *node, add func(kind string, n *node)) {
	for _, key := range []string{KindEnvFile, KindLabelFile} {
		for _, e := range s.get(key).strs() {
			if e.kind == yaml.MappingNode {
				e = e.get("path")
			}
			add(key, e)
		}
	}
	build := s.get("build")
	if build != nil && build.kind == yaml.ScalarNode {
		add(KindBuild, build)
	}
	add(KindBuild, build.get("context"))
	build.get("additional_contexts").each(func(_ string, _ Place, n *node) { add(KindBuild, n) })
	build.get("ssh").each(func(_ string, _ Place, n *node) { add(KindSSH, n) })
	for _, w := range s.get("develop", "watch").strs() {
		add(KindDevelop, w.get("path"))
	}
	add(KindCredential, s.get("credential_spec", "file"))
}

// paths lists what the merged model leads to, and refuses what the command or
// the project would read outside of the root.
func (c *checker) paths(p *types.Project, s *stage) {
	c.includedPaths()
	all := p.AllServices()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		c.servicePaths(all[name], s)
		c.objects(all[name], p, s)
	}
	for _, key := range slices.Sorted(maps.Keys(p.Volumes)) {
		if v := p.Volumes[key]; v.DriverOpts["device"] != "" && strings.Contains(v.DriverOpts["o"], "bind") {
			c.path(Path{Kind: KindVolume, Reader: ReaderEngine, Source: s.off(v.DriverOpts["device"])}, c.locate("volumes", key))
		}
	}
}

// includedPaths are those that visit came by.
func (c *checker) includedPaths() {
	for _, f := range c.all {
		for _, doc := range f.docs {
			for _, entry := range doc.get("include").strs() {
				list, paths := entry.strs(), []*file(nil)
				if entry.kind == yaml.MappingNode {
					list = entry.get("path").strs()
				}
				paths, _ = entry.value.([]*file)
				for i, inner := range paths {
					c.report.Binds = append(c.report.Binds, Path{Kind: KindInclude, Reader: ReaderCLI, Written: list[i].text, Source: inner.path, Place: list[i].at})
				}
			}
			doc.get("services").each(func(name string, _ Place, service *node) {
				n := service.get("extends", "file")
				if inner, ok := n.file(); ok {
					c.report.Binds = append(c.report.Binds, Path{Kind: KindExtends, Reader: ReaderCLI, Service: name, Written: n.text, Source: inner.path, Place: n.at})
				}
			})
		}
	}
}

func (n *node) file() (*file, bool) {
	if n == nil {
		return nil, false
	}
	f, ok := n.value.(*file)
	return f, ok
}

func (c *checker) servicePaths(service types.ServiceConfig, s *stage) {
	at := c.locate("services", service.Name)
	cli := func(kind, source string) {
		c.path(Path{Kind: kind, Reader: ReaderCLI, Service: service.Name, Source: s.off(source)}, at)
	}
	for _, v := range service.Volumes {
		if v.Type == types.VolumeTypeBind {
			c.path(Path{
				Kind: KindBind, Reader: ReaderEngine, Service: service.Name, Source: s.off(v.Source), Target: v.Target,
				ReadOnly: v.ReadOnly, CreateHostPath: v.Bind == nil || bool(v.Bind.CreateHostPath),
			}, c.locate("services", service.Name, "volumes"))
		}
	}
	for _, f := range service.EnvFiles {
		cli(KindEnvFile, f.Path)
		c.checkEnvFile(s.off(f.Path), f, service.Name)
	}
	for _, f := range service.LabelFiles {
		cli(KindLabelFile, f)
	}
	if service.Build != nil {
		buildPaths(service.Build, cli)
	}
	if service.Develop != nil {
		for _, w := range service.Develop.Watch {
			cli(KindDevelop, w.Path)
		}
	}
	if spec := service.CredentialSpec; spec != nil && spec.File != "" {
		cli(KindCredential, filepath.Join(s.on(c.src.Dir), spec.File))
	}
}

// buildPaths are those of a build that are on this machine.
func buildPaths(b *types.BuildConfig, add func(kind, source string)) {
	for _, context := range append(slices.Sorted(maps.Values(b.AdditionalContexts)), b.Context) {
		if filepath.IsAbs(context) {
			add(KindBuild, context)
		}
	}
	if b.Dockerfile != "" && b.DockerfileInline == "" && filepath.IsAbs(b.Context) {
		file := b.Dockerfile
		if !filepath.IsAbs(file) {
			file = filepath.Join(b.Context, file)
		}
		add(KindDockerfile, file)
	}
	for _, key := range b.SSH {
		if key.Path != "" {
			add(KindSSH, key.Path)
		}
	}
}

// objects are a service's configs and secrets that are files: the engine
// mounts them.
func (c *checker) objects(service types.ServiceConfig, p *types.Project, s *stage) {
	for _, use := range service.Configs {
		if o := p.Configs[use.Source]; o.File != "" {
			target := use.Target
			if target == "" {
				target = "/" + use.Source
			}
			c.path(Path{Kind: KindConfig, Reader: ReaderEngine, Service: service.Name, Source: s.off(o.File), Target: target, ReadOnly: true}, c.locate("configs", use.Source))
		}
	}
	for _, use := range service.Secrets {
		if o := p.Secrets[use.Source]; o.File != "" {
			target := use.Target
			if target == "" {
				target = use.Source
			}
			if !path.IsAbs(target) {
				target = path.Join("/run/secrets", target)
			}
			c.path(Path{Kind: KindSecret, Reader: ReaderEngine, Service: service.Name, Source: s.off(o.File), Target: target, ReadOnly: true}, c.locate("secrets", use.Source))
		}
	}
}

// path adds one, with the words and place that it has in a file, else at.
func (c *checker) path(p Path, at Place) {
	p.Place, p.Written = at, p.Source
	if m, ok := c.words(p); ok {
		p.Written, p.Place = m.written, m.at
	}
	c.report.Binds = append(c.report.Binds, p)
	i := len(c.report.Binds) - 1
	if p.Home = strings.HasPrefix(homeless(p.Written, p.Kind), "~"); p.Home {
		p.Source = homeless(p.Written, p.Kind)
		c.report.Binds[i] = p
	}
	if p.Kind == KindBind || p.Kind == KindVolume {
		return // anywhere on the host
	}
	if strings.Contains(p.Written, "$") {
		c.named[p.Source] = p.Written
	}
	what := strings.ToUpper(p.Kind[:1]) + p.Kind[1:]
	if p.Service != "" {
		what = "The " + p.Kind + " of " + p.Service
	}
	if p.Home {
		c.problem("home_path", p.Place, "%s, %s, is in a home folder, and ~ is another one for each user that runs Compose. Write the whole path.", what, c.name(p.Source))
		return
	}
	if _, err := c.reader.within(p.Source); err != nil && !errors.Is(err, fs.ErrNotExist) {
		c.refuse(err, what, p.Source, p.Place)
	}
}

// homeless is the part of a path's words that names the source.
func homeless(written, kind string) string {
	if kind == KindBind {
		written, _, _ = strings.Cut(written, ":")
	}
	return written
}

// words finds a path in the files: where its own service has it, or any.
func (c *checker) words(p Path) (mention, bool) {
	list := c.places[p.Kind+" "+filepath.Clean(p.Source)]
	if len(list) == 0 {
		list = c.homeWords(p)
	}
	for _, m := range slices.Backward(list) {
		if m.service == p.Service {
			return m, true
		}
	}
	if len(list) == 0 {
		return mention{}, false
	}
	return list[len(list)-1], true
}

// homeWords finds a path that was written with ~, which compose-go has
// replaced by the home folder of whom this process runs as.
func (c *checker) homeWords(p Path) []mention {
	for id, list := range c.places {
		if rest, ok := strings.CutPrefix(id, p.Kind+" ~"); ok && strings.HasSuffix(p.Source, rest) {
			return list
		}
	}
	return nil
}

// checkEnvFile reads one that the container's environment comes from.
func (c *checker) checkEnvFile(path string, f types.EnvFile, service string) {
	m, _ := c.words(Path{Kind: KindEnvFile, Service: service, Source: path})
	if strings.HasPrefix(m.written, "~") {
		return
	}
	content, err := c.reader.read(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !bool(f.Required), errors.Is(err, errOutside):
	case err != nil:
		c.refuse(err, "The env_file of "+service, path, m.at)
	case f.Format == "" || f.Format == "dotenv":
		vars := map[string]string{}
		if err := parseEnv(content, vars, func(name string) (string, bool) { v, ok := c.env.values[name]; return v, ok }); err != nil {
			c.badEnv(path, content, err)
		}
	}
}
