package compose_test

import (
	"errors"
	"testing"

	"github.com/watch-docker/watch-docker/internal/compose"
	"github.com/watch-docker/watch-docker/internal/composecli"
	"github.com/watch-docker/watch-docker/internal/project"
	"github.com/watch-docker/watch-docker/internal/store"
	"github.com/watch-docker/watch-docker/test/testbed"
)

// Compose runs programs that files name, and reads others, also for a stop.
func TestFilesThatWereNotFoundGoodAreNotGivenToTheCommandLine(t *testing.T) {
	w := newWorld(t)
	w.write(map[string]string{"shop/compose.yaml": "include: [/elsewhere/compose.yaml]\nservices: {x: {image: a}}\n"})
	act := func(kind composecli.Kind) (store.Operation, error) {
		return w.Act(t.Context(), compose.Request{Project: "shop", Action: composecli.Action{Kind: kind}, Actor: "ann"})
	}
	for _, kind := range []composecli.Kind{composecli.Stop, composecli.Start, composecli.Restart} {
		if _, err := act(kind); !errors.Is(err, project.ErrNotMade) {
			t.Errorf("%s with nothing there: %v", kind, err)
		}
	}
	w.ended(testbed.Must(act(composecli.Down))(t))
	w.host.runs("shop", "x")
	for _, kind := range []composecli.Kind{composecli.Stop, composecli.Start, composecli.Restart, composecli.Down} {
		w.ended(testbed.Must(act(kind))(t))
	}
	if len(w.host.ran) != 5 || len(w.host.files) != 0 {
		t.Errorf("%d commands were given the files %q", len(w.host.ran), w.host.files)
	}
}

func TestAnActionThatTakesUsAlongIsRefused(t *testing.T) {
	w := newWorld(t)
	w.write(map[string]string{"shop/compose.yaml": `services:
  web: {image: a, depends_on: [db]}
  db: {image: a}
  watch: {image: a, depends_on: {cache: {condition: service_started, restart: true}}}
  cache: {image: a}
  front: {image: a, depends_on: [watch]}
`})
	w.host.runs("shop", "web")
	w.host.runs("shop", "watch")
	w.own = "shopwatch"
	for _, c := range []struct {
		a       composecli.Action
		refused bool
	}{
		{composecli.Action{Kind: composecli.Up}, true},
		{composecli.Action{Kind: composecli.Up, Services: []string{"web"}}, false},
		{composecli.Action{Kind: composecli.Up, Services: []string{"web"}, RemoveOrphans: true}, true},
		{composecli.Action{Kind: composecli.Up, Services: []string{"front"}}, true},
		{composecli.Action{Kind: composecli.Up, Services: []string{"front"}, NoDeps: true}, false},
		{composecli.Action{Kind: composecli.Stop, Services: []string{"front"}}, false},
		{composecli.Action{Kind: composecli.Restart, Services: []string{"cache"}}, true},
		{composecli.Action{Kind: composecli.Restart, Services: []string{"front"}}, false},
		{composecli.Action{Kind: composecli.Scale, Replicas: map[string]int{"front": 2}}, true},
	} {
		op, err := w.Act(t.Context(), compose.Request{Project: "shop", Action: c.a, Actor: "ann"})
		var own *compose.OwnError
		if refused := errors.As(err, &own); refused != c.refused || err != nil && !refused {
			t.Errorf("%+v: %v", c.a, err)
		}
		if err == nil {
			w.ended(op)
		}
	}
}
