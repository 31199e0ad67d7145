package dockercli_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"

	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/test/testbed"
)

// logged is one line, kept.
type logged struct {
	T      time.Time
	Stream string
	Text   string
	Cut    bool
}

// logOf reads a log to its end.
func (w *workshop) logOf(id string, o dockercli.LogOptions) (lines []logged, pos dockercli.LogPosition) {
	w.Helper()
	s, err := w.client.LogStream(w.Context(), id, o)
	w.must(err)
	w.must(s.Read(w.Context(), func(l dockercli.Line) error {
		lines = append(lines, logged{l.T, l.Stream, string(l.Text), l.Cut})
		return nil
	}))
	return lines, s.Position()
}

// wrote runs a shell command in a container until it ends.
func (w *workshop) wrote(ref, command string, tty bool, host *container.HostConfig) (id string) {
	w.Helper()
	c := testbed.Must(w.bed.Run(w.Context(), testbed.ContainerSpec{
		Image: ref, Cmd: []string{"sh", "-c", command}, Config: &container.Config{Tty: tty}, HostConfig: host,
	}))(w)
	testbed.Eventually(w, time.Minute, func() error {
		if s := w.state(c.ID); s.State != "exited" {
			return errors.New("it is " + s.State)
		}
		return nil
	})
	return c.ID
}

func texts(lines []logged) string {
	var all strings.Builder
	for _, l := range lines {
		fmt.Fprintf(&all, "%s:%s|", l.Stream[3:], l.Text)
	}
	return all.String()
}

func TestALogsLinesStreamsAndBounds(t *testing.T) {
	w, ref := simple(t)
	id := w.wrote(ref, "for i in 1 2 3; do echo out $i; echo err $i >&2; sleep 0.1; done; printf unended", false, nil)
	all, pos := w.logOf(id, dockercli.LogOptions{Tail: -1})
	if got := texts(all); got != "out:out 1|err:err 1|out:out 2|err:err 2|out:out 3|err:err 3|out:unended|" {
		// Two pipes have an order only as far as the engine's own reading of them.
		if strings.Count(got, "out:out") != 3 || strings.Count(got, "err:err") != 3 || !strings.HasSuffix(got, "out:unended|") {
			t.Error(got)
		}
	}
	last := all[len(all)-1]
	if pos.At != last.T || pos.Seen < 1 {
		t.Errorf("position %+v, last %+v", pos, last)
	}

	id = w.wrote(ref, "busybox seq 5000", false, nil)
	all, _ = w.logOf(id, dockercli.LogOptions{Tail: -1})
	if len(all) != 5000 || all[0].Text != "1" || all[4999].Text != "5000" {
		t.Fatalf("%d lines", len(all))
	}
	if tail, _ := w.logOf(id, dockercli.LogOptions{Tail: 7}); len(tail) != 7 || tail[0].Text != "4994" {
		t.Errorf("tail: %v", texts(tail))
	}
	from, to := all[1234].T, all[4321].T
	between, _ := w.logOf(id, dockercli.LogOptions{Tail: -1, Since: from, Until: to})
	var want []logged
	for _, l := range all {
		if !l.T.Before(from) && !l.T.After(to) {
			want = append(want, l)
		}
	}
	if texts(between) != texts(want) {
		t.Errorf("between: %d lines, want %d", len(between), len(want))
	}

	// From every place the rest follows, also from within one moment.
	for _, at := range []int{0, 1, 777, 4998, 4999} {
		pos := dockercli.LogPosition{At: all[at].T, Seen: 1}
		for i := at; i > 0 && all[i-1].T.Equal(all[at].T); i-- {
			pos.Seen++
		}
		rest, end := w.logOf(id, dockercli.LogOptions{Tail: -1, Since: pos.At, After: pos})
		if texts(rest) != texts(all[at+1:]) {
			t.Errorf("after %d: %d lines, want %d", at, len(rest), 4999-at)
		}
		again, _ := w.logOf(id, dockercli.LogOptions{Tail: 100, After: end, Reach: true})
		if len(again) != 0 {
			t.Errorf("after the end: %v", texts(again))
		}
	}
	s, err := w.client.LogStream(t.Context(), id, dockercli.LogOptions{Tail: 10, After: dockercli.LogPosition{At: all[0].T, Seen: 1}, Reach: true})
	w.must(err)
	w.wants(s.Read(t.Context(), func(dockercli.Line) error { return nil }), dockercli.ErrLogGap)
	stop := errors.New("stop")
	s, err = w.client.LogStream(t.Context(), id, dockercli.LogOptions{Tail: 10})
	w.must(err)
	w.wants(s.Read(t.Context(), func(dockercli.Line) error { return stop }), stop)
}

func TestATerminalsLogIsOneStream(t *testing.T) {
	w, ref := simple(t)
	id := w.wrote(ref, `echo out; echo err >&2; printf '\033[31mred\033[0m 10%%\r20%%\n'; echo; busybox seq 5000`, true, nil)
	all, _ := w.logOf(id, dockercli.LogOptions{Tail: -1})
	if got := texts(all[:4]); got != "out:out|out:err|out:\x1b[31mred\x1b[0m 10%\u240d20%|out:|" {
		t.Errorf("%q", got)
	}
	if len(all) != 5004 || all[5003].Text != "5000" || all[0].T.IsZero() {
		t.Errorf("%d lines, %+v", len(all), all[len(all)-1])
	}
	pos := dockercli.LogPosition{At: all[100].T, Seen: 1}
	if rest, _ := w.logOf(id, dockercli.LogOptions{Tail: -1, Since: pos.At, After: pos}); texts(rest) != texts(all[101:]) {
		t.Errorf("after 100: %d lines", len(rest))
	}
}

func TestAHugeLineIsCutAndTheNextIsWhole(t *testing.T) {
	w, ref := simple(t)
	for _, tty := range []bool{false, true} {
		id := w.wrote(ref, `long() { busybox head -c "$1" /dev/zero | busybox tr '\0' x; echo; }; long 20000; long 65536; long 65537; long 3000000; echo next`, tty, nil)
		all, _ := w.logOf(id, dockercli.LogOptions{Tail: -1})
		var got []string
		for _, l := range all {
			got = append(got, fmt.Sprint(len(l.Text), " ", len(strings.Trim(l.Text, "x")), " ", l.Cut))
		}
		want := "20000 0 false, 65536 0 false, 65536 0 true, 65536 0 true, 4 4 false"
		if strings.Join(got, ", ") != want {
			t.Errorf("tty %v: %v, want %s", tty, got, want)
		}
	}
}

func TestBinaryBytesAreMadeSafe(t *testing.T) {
	w, ref := simple(t)
	id := w.wrote(ref, `printf 'a\000b\377\033[2J\033[1;31mc\033[0m\033]0;title\007d\033[?25he\177\303\251\302\205\342\200\256f\tg\033[38:5:1mh\n\033\n\033[\n\303\n'`, false, nil)
	all, _ := w.logOf(id, dockercli.LogOptions{Tail: -1})
	if len(all) != 4 || all[0].Text != "a\u2400b\ufffd\x1b[1;31mc\x1b[0mde\u2421é\ufffd\ufffdf\tg\x1b[38:5:1mh" || all[1].Text != "" || all[2].Text != "" || all[3].Text != "\ufffd" {
		t.Errorf("%q", texts(all))
	}
}

func TestALogThatCannotBeReadSaysWhatToDo(t *testing.T) {
	w, ref := simple(t)
	id := w.wrote(ref, "echo lost", false, &container.HostConfig{LogConfig: container.LogConfig{Type: "none"}})
	_, err := w.client.LogStream(t.Context(), id, dockercli.LogOptions{Tail: -1})
	w.wants(err, dockercli.ErrLogsUnavailable)
	if !strings.Contains(err.Error(), `"none"`) || !strings.Contains(err.Error(), "json-file") {
		t.Error(err)
	}
	_, err = w.client.LogStream(t.Context(), w.bed.Name("nobody"), dockercli.LogOptions{Tail: -1})
	w.wants(err, dockercli.ErrNotFound)
	id = w.wrote(ref, "busybox seq 300", false, &container.HostConfig{LogConfig: container.LogConfig{Type: "local"}})
	if all, _ := w.logOf(id, dockercli.LogOptions{Tail: 200}); len(all) != 200 || all[199].Text != "300" {
		t.Errorf("the local driver: %v", texts(all))
	}
}

func TestTheBeginningOfALineDoesNotWaitForever(t *testing.T) {
	w, ref := simple(t)
	for _, tty := range []bool{false, true} {
		// The engine passes on what has no end by 16 KiB.
		c := testbed.Must(w.bed.Run(t.Context(), testbed.ContainerSpec{Image: ref, Config: &container.Config{Tty: tty, OpenStdin: true},
			Cmd: []string{"sh", "-c", `busybox head -c 16384 /dev/zero | busybox tr '\0' x; read go; echo rest; sleep 1000`}}))(t)
		ctx, cancel := context.WithCancel(t.Context())
		s, err := w.client.LogStream(ctx, c.ID, dockercli.LogOptions{Tail: -1, Follow: true})
		w.must(err)
		var got []int
		err = s.Read(ctx, func(l dockercli.Line) error {
			got = append(got, len(l.Text))
			cancel()
			return nil
		})
		w.wants(err, context.Canceled)
		if len(got) != 1 || got[0] != 16384 {
			t.Errorf("tty %v: %v", tty, got)
		}
	}
}
