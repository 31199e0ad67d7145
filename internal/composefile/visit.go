package composefile

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	interp "github.com/compose-spec/compose-go/v2/interpolation"
	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/tree"
	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v3"
)

// file is one file as it is read at one place: an include's or extends's file
// may mean something else each time, by its variables and its folder.
type file struct {
	path   string // absolute
	dir    string // absolute: what its relative paths start from
	env    env
	docs   []*node
	number int // of the visit
	cost   int // nodes
}

// chain is how a file was come to.
type chain []string

// visit reads a file and what it leads to. It is nil for what isn't there.
func (c *checker) visit(path, dir string, e env, from chain, at Place) *file {
	f := c.enter(path, dir, e, "The Compose file", at)
	if f == nil {
		return nil
	}
	for _, doc := range f.docs {
		c.checkSchema(doc)
		c.includes(f, doc, append(from, path))
		doc.get("services").each(func(name string, _ Place, service *node) {
			c.extends(f, service, name, nil)
		})
	}
	return f
}

// enter reads and interpolates one file.
func (c *checker) enter(path, dir string, e env, what string, at Place) *file {
	if c.ctx.Err() != nil {
		return nil
	}
	if len(c.all) >= maxVisits {
		c.problem("too_many_files", Place{}, "Files are included and extended more than %d times.", maxVisits)
		return nil
	}
	content, err := c.reader.read(path)
	if err != nil {
		if at == (Place{}) {
			at.File = c.relative(path)
		}
		c.refuse(err, what, path, at)
		return nil
	}
	docs, cost := parse(c.relative(path), content, c.problem)
	if c.work += cost; c.work > maxWork {
		c.problem("too_complex", at, "What the files include and extend comes to more than %d values.", maxWork)
		return nil
	}
	for _, doc := range docs {
		if list := doc.get("services"); list != nil {
			c.services += len(list.keys)
		}
	}
	if c.services > maxServices {
		c.problem("too_complex", Place{}, "The files come to more than %d services. Make several projects of them.", maxServices)
		return nil
	}
	f := &file{path: path, dir: dir, env: e, docs: docs, cost: cost, number: len(c.all)}
	c.all = append(c.all, f)
	for _, doc := range docs {
		c.interpolate(doc, "", e)
		c.mention(f, doc)
		c.countPorts(doc)
	}
	return f
}

// casts are how compose-go reads text where it wants a number or a truth
// value, by the last word of the path, or * for any.
type casts map[string][]cast

type cast struct {
	pattern tree.Path
	to      interp.Cast
}

func newCasts() casts {
	all := casts{}
	for pattern, to := range loader.ToOptions(&types.ConfigDetails{}, nil).Interpolate.TypeCastMapping {
		all[pattern.Last()] = append(all[pattern.Last()], cast{pattern, to})
	}
	return all
}

func (all casts) at(path tree.Path) interp.Cast {
	for _, last := range []string{path.Last(), tree.PathMatchAll} {
		for _, c := range all[last] {
			if path.Matches(c.pattern) {
				return c.to
			}
		}
	}
	return nil
}

// interpolate fills variables in, and gives text the type that its key wants.
func (c *checker) interpolate(n *node, path tree.Path, e env) {
	switch n.kind {
	case yaml.MappingNode:
		for i, key := range n.keys {
			c.interpolate(n.items[i], path.Next(key), e)
		}
		return
	case yaml.SequenceNode:
		for _, item := range n.items {
			c.interpolate(item, path.Next(tree.PathMatchList), e)
		}
		return
	}
	text, ok := n.value.(string)
	if !ok {
		return
	}
	if strings.Contains(text, "$") {
		c.use(text, n.at, e)
		filled, err := c.substitute(text, e)
		if err != nil {
			c.wrongVariable(err, text, n.at)
			return
		}
		text, n.value, n.filled = filled, filled, true
	}
	if to := c.cast.at(path); to != nil {
		v, err := to(text)
		if err != nil {
			is := fmt.Sprintf("it is %q", short(text))
			if n.filled {
				is = "what its variables come to isn't"
			}
			c.problem("wrong_type", n.at, "%s must be a number or true or false; %s.", path.Last(), is)
			return
		}
		n.value = v
	}
}

// includes follows a document's include entries and replaces them with what is
// read, see stage.
func (c *checker) includes(f *file, doc *node, from chain) {
	list := doc.get("include")
	if list == nil || list.kind != yaml.SequenceNode {
		return
	}
	for _, entry := range list.items {
		paths, explicit := entry.strs(), entry.kind == yaml.MappingNode
		if explicit {
			paths = entry.get("path").strs()
		}
		if len(paths) == 0 || !c.local(paths, "include") || len(from) > maxNested {
			if len(from) > maxNested {
				c.problem("too_deep", entry.at, "Files include one another more than %d levels deep.", maxNested)
			}
			continue
		}
		c.include(f, entry, paths, from)
	}
}

// local refuses what isn't a path of this machine.
func (c *checker) local(paths []*node, what string) bool {
	for _, p := range paths {
		s := p.str()
		remote := strings.Contains(s, "://") || strings.HasPrefix(s, "git@") || strings.HasPrefix(s, "github.com/") || strings.Contains(s, ".git#") || strings.HasSuffix(s, ".git") || strings.HasPrefix(s, "oci:")
		switch {
		case s == "" || strings.ContainsRune(s, 0):
			c.problem("bad_value", p.at, "%s names no file.", what)
			return false
		case remote:
			c.problem("remote_include", p.at, "%s of %s would have Compose download a file. Save it in the project's folder and name it there.", what, short(p.text))
			return false
		}
	}
	return true
}

func (c *checker) include(f *file, entry *node, paths []*node, from chain) {
	first := c.absolute(f.dir, paths[0])
	if slices.Contains(from, first) {
		c.problem("cycle", paths[0].at, "%s includes itself, by way of %s.", c.name(first), c.relativeAll(from[slices.Index(from, first):]))
		return
	}
	dir := filepath.Dir(first)
	if own := entry.get("project_directory"); own.str() != "" {
		dir = c.absolute(f.dir, own)
		if _, err := c.reader.within(dir); err != nil {
			c.refuse(err, "The project_directory of an include", dir, own.at)
			return
		}
	}
	e, ok := c.includeEnv(f, entry, dir)
	if !ok {
		return
	}
	var staged []*file
	for _, p := range paths {
		c.nested++
		inner := c.visit(c.absolute(f.dir, p), dir, e, from, p.at)
		if inner == nil {
			return
		}
		staged = append(staged, inner)
	}
	entry.value = staged // for stage
}

// includeEnv is what an included file's variables are filled in from: the
// includer's, then its own env files.
func (c *checker) includeEnv(f *file, entry *node, dir string) (env, bool) {
	vars := map[string]string{}
	outer := func(name string) (string, bool) { v, ok := f.env.values[name]; return v, ok }
	named := entry.get("env_file").strs()
	if len(named) == 0 {
		path := filepath.Join(dir, ".env")
		if !c.reader.isFile(path) {
			return f.env, true
		}
		ok := c.envFile(path, "The env file of an included file", entry.at, vars, outer)
		return c.own(f.env.with(vars, c.relative(path))), ok
	}
	last := ""
	for _, n := range named {
		if n.str() == "/dev/null" {
			continue
		}
		last = c.absolute(f.dir, n)
		if !c.envFile(last, "The env_file of an include", n.at, vars, outer) {
			return env{}, false
		}
	}
	return c.own(f.env.with(vars, c.relative(last))), true
}

func (c *checker) own(e env) env {
	c.envs = append(c.envs, e)
	return e
}

// extends follows a service's extends to its end.
func (c *checker) extends(f *file, service *node, name string, seen []string) {
	how := service.get("extends")
	if how == nil {
		return
	}
	base, where := how.str(), (*node)(nil)
	if how.kind == yaml.MappingNode {
		base, where = how.get("service").str(), how.get("file")
	}
	step := fmt.Sprintf("%s in %s", name, c.relative(f.path))
	if slices.Contains(seen, step) {
		if slices.ContainsFunc(c.report.Problems, func(p Problem) bool { return p.Code == "cycle" && p.File == how.at.File }) {
			return // of one circle, each member would tell
		}
		c.problem("cycle", how.at, "%s extends itself, by way of %s.", name, strings.Join(seen, ", "))
		return
	}
	if len(seen) >= maxNested {
		c.problem("too_deep", how.at, "Services extend one another more than %d levels deep.", maxNested)
		return
	}
	seen = append(slices.Clone(seen), step)
	if where.str() == "" {
		c.extendsHere(f, how, base, name, seen)
		return
	}
	if !c.local([]*node{where}, "extends") {
		return
	}
	c.nested++
	if inner, ok := where.file(); ok { // been there, for another service that extends this one
		c.extendsHere(inner, how, base, name, seen)
		return
	}
	path := c.absolute(f.dir, where)
	inner := c.enter(path, filepath.Dir(path), f.env, "The file that "+name+" extends", where.at)
	if inner == nil {
		return
	}
	where.value = inner // for stage
	c.extendsHere(inner, how, base, name, seen)
}

func (c *checker) extendsHere(f *file, how *node, base, name string, seen []string) {
	included := false
	for _, doc := range f.docs {
		if service := doc.get("services", base); service != nil {
			c.extends(f, service, base, seen)
			return
		}
		included = included || doc.get("include") != nil // it may come from there
	}
	if len(f.docs) > 0 && !included {
		if n := how.get("service"); n.isFilled() {
			base = n.text
		} else if how.isFilled() && how.kind == yaml.ScalarNode {
			base = how.text
		}
		c.problem("undefined", how.at, "%s extends %s, which isn't in %s.", name, base, c.name(f.path))
	}
}

// absolute is where a path of a file leads.
func (c *checker) absolute(dir string, n *node) string {
	path := filepath.Clean(n.str())
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, n.str())
	}
	if n.isFilled() {
		c.named[path] = n.text
	}
	return path
}

func (c *checker) relativeAll(paths []string) string {
	names := make([]string, len(paths))
	for i, p := range paths {
		names[i] = c.name(p)
	}
	return strings.Join(names, ", ")
}

// countPorts bounds what ranges of ports stand for: each of a range is an
// entry in memory, and a line can name all there are.
func (c *checker) countPorts(doc *node) {
	doc.get("services").each(func(_ string, _ Place, service *node) {
		for _, p := range service.get("ports").strs() {
			text := p.str()
			if p.kind == yaml.MappingNode {
				text = p.get("published").str()
			}
			c.ports += portCount(text)
			if c.ports > maxPorts {
				c.problem("too_complex", p.at, "The ranges of ports come to more than %d ports. Publish fewer.", maxPorts)
				return
			}
		}
	})
}

// portCount is how many ports a "8000-9000:80" may stand for, at most.
func portCount(text string) int {
	most := 1
	text, _, _ = strings.Cut(text, "/")
	for part := range strings.SplitSeq(text, ":") {
		from, to, _ := strings.Cut(part, "-")
		a, err := strconv.Atoi(from)
		b, err2 := strconv.Atoi(to)
		if err == nil && err2 == nil && b > a {
			most = max(most, b-a+1)
		}
	}
	return most
}
