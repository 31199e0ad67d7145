package depend_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/watch-docker/watch-docker/internal/depend"
)

// graph reads "a: b/namespace c/after" lines.
func graph(lines ...string) *depend.Graph {
	var nodes []depend.Node
	for _, l := range lines {
		name, needs, _ := strings.Cut(l, ":")
		n := depend.Node{ID: "id-" + name, Name: name}
		for _, f := range strings.Fields(needs) {
			on, kind, _ := strings.Cut(f, "/")
			n.Needs = append(n.Needs, depend.Need{On: on, Kind: depend.Kind(kind)})
		}
		nodes = append(nodes, n)
	}
	return depend.New(nodes)
}

func TestWhatAReplacementReaches(t *testing.T) {
	for name, c := range map[string]struct {
		lines []string
		want  string
	}{
		"nobody":                     {[]string{"x", "y"}, ""},
		"a namespace by name":        {[]string{"y: x/namespace", "x"}, "y:2"},
		"a namespace by id":          {[]string{"y: id-x/namespace", "x"}, "y:2"},
		"volumes and links":          {[]string{"x", "y: x/volumes", "z: x/link"}, "y:2 z:2"},
		"together is a restart":      {[]string{"x", "y: x/together"}, "y:1"},
		"after is order alone":       {[]string{"x", "y: x/after"}, ""},
		"the stronger one counts":    {[]string{"x", "y: x/together x/link"}, "y:2"},
		"onward from a recreated":    {[]string{"z: y/link", "y: x/namespace", "x"}, "y:2 z:2"},
		"onward from a restarted":    {[]string{"w: y/link", "z: y/namespace", "y: x/together", "x"}, "y:1 z:1"},
		"in order by other needs":    {[]string{"a: x/namespace b/after", "b: x/namespace", "x"}, "b:2 a:2"},
		"order through an unchanged": {[]string{"a: x/namespace m/after", "m: b/after", "b: x/namespace", "x"}, "b:2 a:2"},
		"a circle ends":              {[]string{"x: y/together", "y: x/together"}, "y:1"},
		"one that isn't there":       {[]string{"x: nowhere/link"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, d := range graph(c.lines...).Dependents("id-x") {
				got = append(got, fmt.Sprintf("%s:%d", strings.TrimPrefix(d.ID, "id-"), d.Action))
			}
			if diff := cmp.Diff(c.want, strings.Join(got, " ")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestACircleIsNamed(t *testing.T) {
	g := graph("a: b/after", "b: c/link", "c: a/together", "d: a/after", "e: e/after")
	for id, want := range map[string]string{"id-a": "a b c a", "id-b": "b c a b", "id-d": "", "id-e": "e e"} {
		if got := strings.Join(g.Cycle(id), " "); got != want {
			t.Errorf("%s: %q, want %q", id, got, want)
		}
	}
}

func TestOrderPutsWhatIsNeededFirst(t *testing.T) {
	g := graph("web: app/after", "app: db/together", "db", "lone", "a: b/after", "b: a/after")
	got := g.Order([]string{"id-web", "id-lone", "id-db", "id-app"})
	if want := []string{"id-lone", "id-db", "id-app", "id-web"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got := g.Order([]string{"id-a", "id-b", "id-lone"}); len(got) != 3 {
		t.Errorf("with a circle: %v", got)
	}
	if got := g.Needs("id-web"); !slices.Equal(got, []string{"id-app", "id-db"}) {
		t.Errorf("web needs %v", got)
	}
}

func TestComposeNeeds(t *testing.T) {
	got := depend.ComposeNeeds("shop", "db:service_healthy:true, cache:service_started:false,old")
	want := []depend.Need{
		{On: depend.ServiceKey("shop", "db"), Kind: depend.Together},
		{On: depend.ServiceKey("shop", "cache"), Kind: depend.After},
		{On: depend.ServiceKey("shop", "old"), Kind: depend.After},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got := depend.ComposeNeeds("shop", ""); got != nil {
		t.Errorf("without: %v", got)
	}
}
