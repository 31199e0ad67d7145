package containerlog_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/watch-docker/watch-docker/internal/containerlog"
	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/test/testbed"
)

// timed keeps the times of lines.
type timed struct {
	talk

	at []time.Time
}

func (k *timed) Line(l containerlog.Line) error {
	k.at = append(k.at, l.T)
	return k.talk.Line(l)
}

// read reads a log that isn't followed.
func (w *world) read(c testbed.Container, r containerlog.Request) *timed {
	w.Helper()
	k := &timed{}
	w.must(w.logs.Container(w.Context(), c.ID, c.Name, r, k))
	return k
}

// finished runs a command to its end.
func (w *world) finished(name, command string) testbed.Container {
	w.Helper()
	c := w.start(name, command)
	testbed.Eventually(w, time.Minute, func() error {
		s, err := w.engine.Inspect(w.Context(), c.ID)
		if err == nil && s.State != "exited" {
			err = errors.New("it is " + s.State)
		}
		return err
	})
	return c
}

func numbers(from, to int) (lines []string) {
	for i := from; i <= to; i++ {
		lines = append(lines, fmt.Sprint(i))
	}
	return lines
}

func TestTheLastLinesAndThoseBeforeThem(t *testing.T) {
	w := newWorld(t, testbed.AnyEngine)
	c := w.finished("long", "busybox seq 30000")
	k := w.read(c, containerlog.Request{Tail: 1000})
	w.same(k.lines(), numbers(29001, 30000))
	if k.notices() != "<history 1000/1000 true>" {
		t.Error(k.notices())
	}
	if k := w.read(c, containerlog.Request{Tail: 0}); len(k.lines()) != 0 {
		t.Errorf("tail 0: %v", k.lines())
	}
	w.same(w.read(c, containerlog.Request{Tail: 40_000}).lines(), numbers(1, 30000))

	// Page by page to the beginning. A page never begins within a moment.
	first, pages := k.at[0], 0
	seen := 1000
	for more := true; more; pages++ {
		page := w.read(c, containerlog.Request{Tail: 3000, Before: first})
		n := len(page.lines())
		w.same(page.lines(), numbers(30000-seen-n+1, 30000-seen))
		seen += n
		if n > 0 {
			first = page.at[0]
		}
		more = strings.HasSuffix(page.notices(), "true>")
	}
	if seen != 30000 || pages > 11 {
		t.Errorf("%d lines on %d pages", seen, pages)
	}

	all := w.read(c, containerlog.Request{Tail: containerlog.All})
	between := w.read(c, containerlog.Request{Tail: containerlog.All, Since: all.at[9999], Until: all.at[19999]})
	tail := w.read(c, containerlog.Request{Tail: 10, Since: all.at[9999], Until: all.at[19999]})
	lines := between.lines()
	w.same(tail.lines(), lines[len(lines)-len(tail.lines()):])
	if n := len(tail.lines()); n < 10 || n > 100 || lines[0] > "10000" || lines[len(lines)-1] < "20000" {
		t.Errorf("%d lines of %s to %s", n, lines[0], lines[len(lines)-1])
	}
}

func TestASearchGivesTheLastLinesThatMatch(t *testing.T) {
	w := newWorld(t, testbed.AnyEngine)
	c := w.finished("long", "busybox seq 20000")
	match := func(text []byte) bool { return strings.Contains(string(text), "77") }
	k := w.read(c, containerlog.Request{Tail: 5, Match: match})
	w.same(k.lines(), []string{"19677", "19770", "19771", "19772", "19773", "19774", "19775", "19776", "19777", "19778", "19779", "19877", "19977"}[13-len(k.lines()):])
	if len(k.lines()) < 5 || !strings.HasSuffix(k.notices(), "/20000 true>") {
		t.Errorf("%v %s", k.lines(), k.notices())
	}
	k = w.read(c, containerlog.Request{Tail: containerlog.All, Match: match})
	if n := len(k.lines()); n != 20000-without("77") || k.notices() != fmt.Sprintf("<history %d/20000 false>", n) {
		t.Errorf("%d found: %s", n, k.notices())
	}
}

// without counts the numbers up to 20000 that lack some digits.
func without(digits string) (n int) {
	for i := 1; i <= 20000; i++ {
		if !strings.Contains(fmt.Sprint(i), digits) {
			n++
		}
	}
	return n
}

func TestASearchGoesOnWithWhatComes(t *testing.T) {
	w := newWorld(t, testbed.AnyEngine)
	c := w.start("app", counting)
	k := w.follow(c, containerlog.Request{Tail: 10, Follow: true, Match: func(text []byte) bool { return strings.HasSuffix(string(text), "5") }})
	w.grows(k, 20)
	w.must(w.engine.Stop(t.Context(), c.ID, nil))
	w.hears(k, "<stopped>")
	lines := k.lines()
	for i, l := range lines[1:] {
		var a, b int
		_, _ = fmt.Sscanf(lines[i], "line %d", &a)
		_, _ = fmt.Sscanf(l, "line %d", &b)
		if b != a+10 {
			t.Errorf("%s after %s", l, lines[i])
		}
	}
}

func TestAFollowerOfNothingYetSeesTheFirstLine(t *testing.T) {
	w := newWorld(t, testbed.AnyEngine)
	c := testbed.Must(w.bed.Run(t.Context(), testbed.ContainerSpec{Name: "new", Image: w.image, CreateOnly: true, Cmd: []string{"echo", "hello"}}))(t)
	k := w.follow(c, containerlog.Request{Tail: 10, Follow: true, Since: time.Now().Add(-time.Hour)})
	w.hears(k, "<history 0/0 false>")
	w.must(w.engine.Start(t.Context(), c.ID))
	w.hears(k, "hello")

	// What was before since or tail stays out.
	old := w.finished("old", "echo one; echo two")
	late := w.follow(old, containerlog.Request{Tail: containerlog.All, Follow: true, Since: time.Now().Add(time.Second)})
	none := w.follow(old, containerlog.Request{Tail: 0, Follow: true})
	w.hears(late, "<stopped>")
	w.hears(none, "<stopped>")
	testbed.Eventually(t, time.Minute, func() error {
		if s := testbed.Must(w.engine.Inspect(t.Context(), old.ID))(t); time.Since(s.FinishedAt) < 1500*time.Millisecond {
			return errors.New("it is too early")
		}
		return nil
	})
	w.must(w.engine.Start(t.Context(), old.ID))
	w.grows(late, 2)
	w.grows(none, 2)
	w.same(late.lines(), []string{"one", "two"})
	w.same(none.lines(), []string{"one", "two"})
	w.must(w.engine.Remove(t.Context(), old.ID, dockercli.RemoveOptions{Force: true}))
}
