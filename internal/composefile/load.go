package composefile

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/template"
	"github.com/compose-spec/compose-go/v2/types"

	"github.com/watch-docker/watch-docker/internal/suggest"
)

// load has compose-go merge the files into one model, and takes the report
// from that.
func (c *checker) load() {
	s, err := c.prepare()
	defer s.close()
	if err != nil {
		c.failed = err
		return
	}
	details := types.ConfigDetails{WorkingDir: s.on(c.src.Dir), ConfigFiles: s.configs(c.files), Environment: maps.Clone(c.env.values)}
	dict, err := loader.LoadModelWithContext(c.ctx, details, c.options)
	if err != nil {
		c.loadFault(s, err)
		return
	}
	options := loader.ToOptions(&details, []func(*loader.Options){c.options})
	project, err := loader.ModelToProject(clone(dict).(map[string]any), options, details)
	if err != nil {
		c.loadFault(s, err)
		return
	}
	c.describe(project)
	c.paths(project, s)
	c.unused()
	c.risks(project)
	if c.references(project) {
		c.consistency(dict, details, s)
	}
}

func (c *checker) options(o *loader.Options) {
	o.SetProjectName(c.report.Name, true)
	o.Profiles = c.profiles()
	o.SkipConsistencyCheck, o.SkipResolveEnvironment, o.SkipResolveLabels = true, true, true
	o.MaxNodeVisits = 2 * maxNodes
	o.Interpolate.Substitute = func(text string, lookup template.Mapping) (string, error) {
		return template.SubstituteWithOptions(text, lookup, template.WithoutLogging)
	}
}

// consistency has compose-go look at what references doesn't. It isn't shown
// who depends on whom: on that it looks at each way from one service to
// another, of which thirty services can have a thousand million.
func (c *checker) consistency(dict map[string]any, details types.ConfigDetails, s *stage) {
	services, _ := dict["services"].(map[string]any)
	for _, service := range services {
		if m, ok := service.(map[string]any); ok {
			delete(m, "depends_on")
		}
	}
	options := loader.ToOptions(&details, []func(*loader.Options){c.options})
	options.SkipConsistencyCheck = false
	if _, err := loader.ModelToProject(dict, options, details); err != nil {
		c.loadFault(s, err)
	}
}

func clone(v any) any {
	switch v := v.(type) {
	case map[string]any:
		m := make(map[string]any, len(v))
		for key, e := range v {
			m[key] = clone(e)
		}
		return m
	case []any:
		list := make([]any, len(v))
		for i, e := range v {
			list[i] = clone(e)
		}
		return list
	}
	return v
}

var (
	dottedPath   = regexp.MustCompile(`\b(services|networks|volumes|secrets|configs|models)\.([\w.-]+)`)
	decodedPath  = regexp.MustCompile(`'([a-z]+)\[([^\]]+)\]\.?([\w.]*)'\s*(.*)`)
	namedService = regexp.MustCompile(`service "?([\w.-]+)"?`)
)

// loadFault makes a problem of what compose-go says, with the place if its
// words tell one.
func (c *checker) loadFault(s *stage, err error) {
	said := err.Error()
	if s.root != "" {
		said = strings.ReplaceAll(said, s.root, s.real)
	}
	for _, f := range c.all { // the names of copies
		said = strings.ReplaceAll(said, fmt.Sprintf("/.%d.yaml", f.number), "")
	}
	said = strings.TrimPrefix(said, "validating ")
	var at Place
	if m := decodedPath.FindStringSubmatch(said); m != nil { // of mapstructure
		path := append([]string{m[1], m[2]}, strings.Split(m[3], ".")...)
		if c.quotes(m[4]) {
			m[4] = "with what its variables come to"
		}
		c.problem("bad_value", c.locate(path...), "%s isn't what Compose takes: %s.", strings.Join(path, "."), strings.TrimRight(m[4], "."))
		return
	}
	if m := dottedPath.FindStringSubmatch(said); m != nil {
		at = c.locate(append([]string{m[1]}, strings.Split(strings.Trim(m[2], "."), ".")...)...)
	} else if m := namedService.FindStringSubmatch(said); m != nil {
		at = c.locate("services", m[1])
	}
	said, _, _ = strings.Cut(said, ": invalid compose project")
	if c.quotes(said) {
		said = "with what the variables come to that it has"
	}
	c.problem("invalid", at, "Compose won't take this: %s.", strings.TrimRight(strings.ReplaceAll(said, "\n", " "), "."))
}

// locate is where the files say something, the last that do; or the nearest
// that they say.
func (c *checker) locate(path ...string) Place {
	var best Place
	depth := 0
	look := func(f *file) {
		for _, doc := range slices.Backward(f.docs) {
			for n := len(path); n > depth; n-- {
				if found := doc.get(path[:n]...); found != nil {
					_, best = doc.find(path[:n])
					depth = n
				}
			}
		}
	}
	for _, f := range slices.Backward(c.files) {
		look(f)
	}
	for _, f := range c.all {
		look(f)
	}
	return best
}

// references tells everything that a service names and that isn't there;
// compose-go would tell the first.
func (c *checker) references(p *types.Project) bool {
	before := len(c.report.Problems)
	all := p.AllServices()
	for _, name := range slices.Sorted(maps.Keys(p.Services)) {
		s := p.Services[name]
		if s.Build == nil && s.Image == "" && s.Provider == nil {
			c.problem("missing_key", c.locate("services", name), "%s has neither image: nor build:. Say what it runs.", name)
		}
		for key := range s.Networks {
			need(c, p.Networks, key, name, "network", "networks")
		}
		for _, v := range s.Volumes {
			if v.Type == types.VolumeTypeVolume && v.Source != "" {
				need(c, p.Volumes, v.Source, name, "volume", "volumes")
			}
		}
		for _, v := range s.Configs {
			need(c, p.Configs, v.Source, name, "config", "configs")
		}
		for _, v := range s.Secrets {
			need(c, p.Secrets, v.Source, name, "secret", "secrets")
		}
		for key, how := range s.DependsOn {
			if _, disabled := p.DisabledServices[key]; !disabled {
				need(c, all, key, name, "service", "depends_on")
			} else if how.Required {
				c.problem("undefined", c.locate("services", name, "depends_on", key), "%s depends on %s, which its profiles leave out. Give %s one of them, or set required: false.", name, key, name)
			}
		}
	}
	c.cycles(p)
	return len(c.report.Problems) == before
}

// need complains if a service names under a key what there isn't.
func need[T any](c *checker, known map[string]T, word, service, what, under string) {
	if _, ok := known[word]; ok || len(c.report.Problems) >= maxFaults {
		return
	}
	hint := fmt.Sprintf("Add it to %s: at the top level.", under)
	if what == "service" {
		hint = "Add it, or remove this."
	}
	if right := suggest.Nearest(word, slices.Sorted(maps.Keys(known))); right != "" {
		hint = "Did you mean " + right + "?"
	}
	at := c.locate("services", service, under, word)
	if item := c.item(word, "services", service, under); item != nil {
		at = item.at
		if item.isFilled() {
			word = item.text
		}
	}
	c.problem("undefined", at, "%s uses the %s %s, which isn't defined. %s", service, what, word, hint)
}

// locateItem is where a list has a word, by itself or before a colon.
func (c *checker) locateItem(word string, path ...string) Place {
	if item := c.item(word, path...); item != nil {
		return item.at
	}
	return Place{}
}

func (c *checker) item(word string, path ...string) *node {
	for _, f := range append(slices.Clone(c.files), c.all...) {
		for _, doc := range f.docs {
			for _, item := range doc.get(path...).strs() {
				text, source := item.str(), item.get("source").str()
				if text == word || strings.HasPrefix(text, word+":") || strings.HasPrefix(text, word+"=") || source == word {
					return item
				}
			}
		}
	}
	return nil
}

// cycles finds services that wait for one another, each circle once.
func (c *checker) cycles(p *types.Project) {
	const open, done = 1, 2
	state := map[string]int{}
	var path []string
	var walk func(name string)
	walk = func(name string) {
		switch state[name] {
		case done:
			return
		case open:
			circle := append(slices.Clone(path[slices.Index(path, name):]), name)
			c.problem("cycle", c.locate("services", name, "depends_on"), "Services wait for one another: %s. Remove one of these from depends_on, links, network_mode or volumes_from.", strings.Join(circle, " -> "))
			return
		}
		state[name] = open
		path = append(path, name)
		for _, next := range slices.Sorted(maps.Keys(p.Services[name].DependsOn)) {
			if _, ok := p.Services[next]; ok {
				walk(next)
			}
		}
		path = path[:len(path)-1]
		state[name] = done
	}
	for _, name := range slices.Sorted(maps.Keys(p.Services)) {
		walk(name)
	}
}
