package containerlog_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"go.uber.org/goleak"

	"github.com/watch-docker/watch-docker/internal/containerlog"
	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/test/testbed"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is an engine, and a service that is told of its events.
type world struct {
	*testing.T
	bed    *testbed.Bed
	reg    *testbed.Registry
	engine *dockercli.Client
	logs   *containerlog.Service
	image  string
}

func newWorld(t *testing.T, choice testbed.EngineChoice) *world {
	t.Helper()
	w := &world{T: t, bed: testbed.New(t, testbed.WithEngine(choice), testbed.WithRegistry(testbed.TLSToken))}
	w.reg = w.bed.Registry(testbed.TLSToken)
	w.engine = testbed.Must(dockercli.New(dockercli.Options{Host: w.bed.Engine().Host()}))(t)
	w.logs = containerlog.New(w.engine, nil)
	ctx, stop := context.WithCancel(t.Context())
	watched := make(chan error, 1)
	go func() { watched <- w.engine.Watch(ctx, w.logs.Note) }()
	t.Cleanup(func() {
		stop()
		<-watched
		if err := w.engine.Close(); err != nil {
			t.Error(err)
		}
	})
	w.image = w.release(testbed.ImageOptions{})
	return w
}

// release pushes an image and has the engine pull it.
func (w *world) release(o testbed.ImageOptions) (ref string) {
	w.Helper()
	const tag = "app:1"
	testbed.Must(w.reg.Push(w.Context(), tag, testbed.Must(testbed.Image(o))(w)))(w)
	if err := w.bed.Pull(w.Context(), w.reg.Ref(tag)); err != nil {
		w.Fatal(err)
	}
	return w.reg.Ref(tag)
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// start runs a shell command in a container that ends at once when it is told to.
func (w *world) start(name, command string, change ...func(*testbed.ContainerSpec)) testbed.Container {
	w.Helper()
	spec := testbed.ContainerSpec{Name: name, Image: w.image, Cmd: []string{"sh", "-c", "trap 'exit 0' TERM; " + command}}
	for _, c := range change {
		c(&spec)
	}
	return testbed.Must(w.bed.Run(w.Context(), spec))(w)
}

func always(s *testbed.ContainerSpec) {
	s.HostConfig = &container.HostConfig{RestartPolicy: container.RestartPolicy{Name: "always"}}
}

// counting writes a number after the other, 100 a second; START says which is the first.
const counting = `i=${START:-0}; while :; do i=$((i+1)); echo "line $i"; busybox usleep 10000; done`

// talk is what a sink got, in words: "line 1", "db/1 line 1", "<restarted>".
type talk struct {
	mu   sync.Mutex
	said []string
	ends chan error
	stop context.CancelFunc
}

func (k *talk) add(s string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.said = append(k.said, s)
}

func (k *talk) Line(l containerlog.Line) error {
	text := string(l.Text)
	if l.Service != "" {
		text = l.Service + "/" + l.Number + " " + text
	}
	k.add(text)
	return nil
}

func (k *talk) Note(n containerlog.Notice) error {
	text := "<" + n.Type
	if n.Service != "" {
		text += " " + n.Service + "/" + n.Number
	}
	if n.Type == containerlog.History {
		text += fmt.Sprintf(" %d/%d %v", *n.Lines, *n.Scanned, *n.More)
	}
	if n.Code != "" {
		text += " " + n.Code
	}
	k.add(text + ">")
	return nil
}

func (k *talk) Live() {}

func (k *talk) all() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.said)
}

func (k *talk) lines() (lines []string) {
	for _, s := range k.all() {
		if !strings.HasPrefix(s, "<") {
			lines = append(lines, s)
		}
	}
	return lines
}

func (k *talk) notices() string {
	return strings.Join(slices.DeleteFunc(k.all(), func(s string) bool { return !strings.HasPrefix(s, "<") }), " ")
}

// follow reads a container's log in the background.
func (w *world) follow(c testbed.Container, r containerlog.Request) *talk {
	w.Helper()
	return w.listen(func(ctx context.Context, to containerlog.Sink) error {
		return w.logs.Container(ctx, c.ID, c.Name, r, to)
	})
}

func (w *world) listen(read func(context.Context, containerlog.Sink) error) *talk {
	ctx, stop := context.WithCancel(w.Context())
	k := &talk{ends: make(chan error, 1), stop: stop}
	go func() { k.ends <- read(ctx, k); close(k.ends) }()
	w.Cleanup(func() {
		stop()
		<-k.ends
		if w.Failed() {
			all := k.all()
			w.Logf("heard %d, at last: %v", len(all), all[max(0, len(all)-30):])
		}
	})
	return k
}

// hears waits until something has been said.
func (w *world) hears(k *talk, want string) {
	w.Helper()
	testbed.Eventually(w, time.Minute, func() error {
		if !slices.ContainsFunc(k.all(), func(s string) bool { return strings.HasPrefix(s, want) }) {
			return errors.New("nobody says " + want)
		}
		return nil
	})
}

// grows waits until so many lines have come.
func (w *world) grows(k *talk, to int) {
	w.Helper()
	testbed.Eventually(w, time.Minute, func() error {
		if n := len(k.lines()); n < to {
			return fmt.Errorf("%d lines, want %d", n, to)
		}
		return nil
	})
}

// ended waits for the end of the reading.
func (w *world) ended(k *talk) error {
	w.Helper()
	select {
	case err := <-k.ends:
		return err
	case <-time.After(time.Minute):
		w.Fatal("it doesn't end")
		return nil
	}
}

// written is the whole log as the engine has it.
func (w *world) written(id string) (lines []string) {
	w.Helper()
	s := testbed.Must(w.engine.LogStream(w.Context(), id, dockercli.LogOptions{Tail: -1}))(w)
	w.must(s.Read(w.Context(), func(l dockercli.Line) error {
		lines = append(lines, string(l.Text))
		return nil
	}))
	return lines
}

// same compares what was heard with what was written.
func (w *world) same(heard, written []string) {
	w.Helper()
	for i := range max(len(heard), len(written)) {
		if i >= len(heard) || i >= len(written) || heard[i] != written[i] {
			w.Fatalf("heard %d lines, %d were written; they part at %d: %v and %v", len(heard), len(written), i,
				heard[min(i, len(heard)):min(i+3, len(heard))], written[min(i, len(written)):min(i+3, len(written))])
		}
	}
}
