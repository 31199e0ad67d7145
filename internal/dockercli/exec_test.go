package dockercli_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/moby/moby/client"

	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/test/testbed"
)

// shell is a command for the container's shell.
func shell(line string) dockercli.ExecOptions {
	return dockercli.ExecOptions{Cmd: []string{"/bin/sh", "-c", line}, Limit: time.Minute}
}

// processes are those of a container that live, by what they were started as.
func (w *workshop) processes(id string) []string {
	w.Helper()
	var list []string
	for _, line := range strings.Split(w.docker("top", id, "-o", "pid,stat,args"), "\n")[1:] {
		if words := strings.Fields(line); !strings.HasPrefix(words[1], "Z") {
			list = append(list, strings.Join(words[2:], " "))
		}
	}
	slices.Sort(list)
	return list
}

func TestACommandRunsInAContainer(t *testing.T) {
	w, ref := simple(t)
	id := w.docker("run", "-d", "-e", "OWN=1", "-u", "0:7", ref)
	o := shell("echo out; echo err >&2; echo $OWN $MINE $(id -u) $(id -g); exit 3")
	o.Env = []string{"MINE=two words"}
	res, err := w.client.Exec(t.Context(), id, o)
	slices.Sort(res.Output)
	if err != nil || res.ExitCode != 3 || !slices.Equal(res.Output, []string{"1 two words 0 7", "err", "out"}) || res.Cut || res.Left || res.Took <= 0 {
		t.Errorf("%+v, %v", res, err)
	}
	o = dockercli.ExecOptions{Cmd: []string{"id", "-u"}, User: "nobody"}
	if res, err := w.client.Exec(t.Context(), id, o); err != nil || res.ExitCode != 0 || !slices.Equal(res.Output, []string{"65534"}) {
		t.Errorf("as nobody: %+v, %v", res, err)
	}
	// What ends its output goes on, and is waited for.
	if res, err := w.client.Exec(t.Context(), id, shell("exec >&- 2>&-; sleep 1; exit 4")); err != nil || res.ExitCode != 4 || res.Took < time.Second {
		t.Errorf("without output: %+v, %v", res, err)
	}
	// What it leaves behind on purpose may stay.
	if res, err := w.client.Exec(t.Context(), id, shell("sleep 300 & exit 0")); err != nil || res.ExitCode != 0 {
		t.Errorf("with something left: %+v, %v", res, err)
	}
	if got := w.processes(id); !slices.Contains(got, "sleep 300") {
		t.Errorf("left are %q", got)
	}
}

func TestACommandThatIsNotThereIsSaid(t *testing.T) {
	w, ref := simple(t)
	id := w.docker("run", "-d", ref)
	for _, o := range []dockercli.ExecOptions{
		{Cmd: []string{"nowhere"}}, {Cmd: []string{"/nowhere"}}, {Cmd: []string{"/etc/passwd"}}, {Cmd: []string{"/etc"}}, shell("nowhere"), shell("/etc/passwd"),
	} {
		res, err := w.client.Exec(t.Context(), id, o)
		w.wants(err, dockercli.ErrNoCommand)
		if (res.ExitCode != 126 && res.ExitCode != 127) || len(res.Output) == 0 {
			t.Errorf("%q: %+v", o.Cmd, res)
		}
		t.Log(err)
	}
	w.docker("exec", id, "rm", "/bin/sh")
	_, err := w.client.Exec(t.Context(), id, shell("true"))
	w.wants(err, dockercli.ErrNoCommand)
}

// What hangs is ended with all that it has started; nothing else is.
func TestACommandThatHangsIsEnded(t *testing.T) {
	w, ref := simple(t)
	id := w.docker("run", "-d", ref)
	own := w.processes(id)
	deaf := "trap '' TERM; "
	for name, o := range map[string]dockercli.ExecOptions{
		"one":                     shell("sleep 1001"),
		"itself":                  shell("exec sleep 1002"),
		"deaf":                    shell(deaf + "while :; do sleep 0.2; done"),
		"children":                shell("sleep 1003 & sleep 1004 & (sleep 1005; true) & wait"),
		"deaf children":           shell("sh -c \"" + deaf + "while :; do sleep 0.3; done\" & wait"),
		"sessions of their own":   shell("busybox setsid sleep 1006 & busybox setsid sh -c 'sleep 1007; true' & wait"),
		"without an environment":  shell("env -i /bin/sleep 1008; true"),
		"without, and by itself":  shell("env -i /bin/busybox setsid sleep 1009 & wait"),
		"only children known":     shell("(sleep 1017; true) & exec env -i /bin/sleep 1018"),
		"without output":          shell("exec >&- 2>&-; sleep 1010"),
		"with more words":         {Cmd: []string{"sleep", "1011"}},
		"by somebody else":        {Cmd: []string{"/bin/sh", "-c", deaf + "sleep 1012; sleep 1013"}, User: "nobody"},
		"that writes and writes":  shell("yes"),
		"that stopped by itself":  shell("kill -STOP $$"),
		"with an odd environment": {Cmd: []string{"/bin/sh", "-c", "sleep 1014; true"}, Env: []string{"A=b\nc) 1 \xff", "B= 1 2 3 "}},
	} {
		t.Run(name, func(t *testing.T) {
			w := *w
			w.T = t
			o.Limit = time.Second
			res, err := w.client.Exec(t.Context(), id, o)
			w.wants(err, dockercli.ErrTooLong)
			if got := w.processes(id); !slices.Equal(got, own) {
				t.Errorf("left are %q, %+v", got, res)
			}
			if res.Left || res.Took < o.Limit || res.Took > 8*time.Second {
				t.Errorf("%+v", res)
			}
		})
	}
	t.Run("its caller leaves", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		res, err := w.client.Exec(ctx, id, shell("echo begun; sleep 1015"))
		w.wants(err, context.DeadlineExceeded)
		if got := w.processes(id); !slices.Equal(got, own) || res.Left || !slices.Equal(res.Output, []string{"begun"}) {
			t.Errorf("left are %q, %+v", got, res)
		}
	})
	t.Run("nothing to know it by", func(t *testing.T) {
		o := shell("exec env -i /bin/sleep 1008")
		o.Limit = time.Second
		res, err := w.client.Exec(t.Context(), id, o)
		w.wants(err, dockercli.ErrTooLong)
		if got := w.processes(id); !res.Left || !slices.Contains(got, "/bin/sleep 1008") {
			t.Errorf("left are %q, %+v", got, res)
		}
	})
	t.Run("no shell to end it", func(t *testing.T) {
		w.docker("exec", id, "rm", "/bin/sh")
		res, err := w.client.Exec(t.Context(), id, dockercli.ExecOptions{Cmd: []string{"sleep", "1016"}, Limit: time.Second})
		w.wants(err, dockercli.ErrTooLong)
		if got := w.processes(id); !res.Left || !slices.Contains(got, "sleep 1016") {
			t.Errorf("left are %q, %+v", got, res)
		}
	})
}

// However much a command writes, little of it is kept, and never more held.
func TestAFloodOfOutputIsCut(t *testing.T) {
	w, ref := simple(t)
	id := w.docker("run", "-d", ref)
	for name, c := range map[string]struct {
		line  string
		last  string
		lines int
	}{
		"short lines":  {"yes | head -c 200000000; echo; echo last", "last", 200},
		"long lines":   {"yes " + strings.Repeat("word ", 2000) + "| head -c 20000000; echo; echo last", "last", 16},
		"one line":     {"head -c 20000000 /dev/zero; echo; echo last", "last", 2},
		"no line ever": {"head -c 200000000 /dev/zero", "", 1},
	} {
		t.Run(name, func(t *testing.T) {
			var most atomic.Uint64
			ctx, cancel := context.WithCancel(t.Context())
			watched := make(chan struct{})
			runtime.GC()
			go func() {
				defer close(watched)
				tick := time.NewTicker(20 * time.Millisecond)
				defer tick.Stop()
				for ctx.Err() == nil {
					var m runtime.MemStats
					runtime.ReadMemStats(&m)
					most.Store(max(most.Load(), m.HeapAlloc))
					<-tick.C
				}
			}()
			res, err := w.client.Exec(t.Context(), id, shell(c.line))
			cancel()
			<-watched
			size := 0
			for _, line := range res.Output {
				size += len(line)
			}
			if err != nil || res.ExitCode != 0 || len(res.Output) < c.lines-4 || len(res.Output) > c.lines+4 || size > 64<<10 {
				t.Errorf("%d lines, %d bytes, code %d, %v", len(res.Output), size, res.ExitCode, err)
			}
			if last := res.Output[len(res.Output)-1]; c.last != "" && last != c.last {
				t.Errorf("the last line is %q", last)
			}
			if most.Load() > 50<<20 {
				t.Errorf("%d MiB on the heap", most.Load()>>20)
			}
			t.Logf("%s, at most %d KiB on the heap", res.Took, most.Load()>>10)
		})
	}
}

func TestOutputIsMadeSafe(t *testing.T) {
	w, ref := simple(t)
	id := w.docker("run", "-d", ref)
	res, err := w.client.Exec(t.Context(), id, shell(`echo -e 'a\xff\xfeb\x1b[31mred\x1b[0m\x00\xe2\x80\xaec'`))
	if text := strings.Join(res.Output, "\n"); err != nil || !utf8.ValidString(text) || text != "a\ufffdbred\ufffd\ufffdc" {
		t.Errorf("%q, %v", text, err)
	}
}

// The container may end under a command.
func TestACommandWhoseContainerEnds(t *testing.T) {
	w, ref := simple(t)
	api := w.bed.Engine().Client()
	for name, act := range map[string]func(id string) error{
		"killed": func(id string) error {
			_, err := api.ContainerKill(t.Context(), id, client.ContainerKillOptions{})
			return err
		},
		"restarted": func(id string) error {
			_, err := api.ContainerRestart(t.Context(), id, client.ContainerRestartOptions{})
			return err
		},
		"removed": func(id string) error {
			_, err := api.ContainerRemove(t.Context(), id, client.ContainerRemoveOptions{Force: true})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			id := w.docker("run", "-d", ref)
			acted := make(chan error, 1)
			go func() {
				acted <- w.when(id, "sleep 1020", func() error { return act(id) })
			}()
			res, err := w.client.Exec(t.Context(), id, shell("sleep 1020"))
			if e := <-acted; e != nil {
				t.Fatal(e)
			}
			if err == nil && res.ExitCode == 0 {
				t.Errorf("%+v, %v", res, err)
			}
			t.Logf("%+v, %v", res, err)
		})
	}
	id := w.docker("run", "-d", ref)
	w.docker("pause", id)
	_, err := w.client.Exec(t.Context(), id, shell("true"))
	w.wants(err, dockercli.ErrConflict)
	w.docker("unpause", id)
	w.docker("kill", id)
	_, err = w.client.Exec(t.Context(), id, shell("true"))
	w.wants(err, dockercli.ErrConflict)
	w.docker("rm", id)
	_, err = w.client.Exec(t.Context(), id, shell("true"))
	w.wants(err, dockercli.ErrNotFound)
}

// when acts as soon as a container has a process of that name.
func (w *workshop) when(id, process string, act func() error) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); <-tick.C {
		top, err := w.bed.Engine().Client().ContainerTop(context.WithoutCancel(w.Context()), id, client.ContainerTopOptions{})
		if err != nil {
			return err
		}
		for _, p := range top.Processes {
			if strings.HasSuffix(strings.Join(p, " "), process) {
				return act()
			}
		}
	}
	return errors.New("it never ran")
}

func TestACommandWhoseEngineGoesAway(t *testing.T) {
	w, ref := simple(t)
	engine := testbed.Must(w.bed.StartEngine(t.Context(), testbed.PrivateEngine))(t)
	c := testbed.Must(dockercli.New(dockercli.Options{Host: engine.Host()}))(t)
	defer c.Close()
	if err := engine.Pull(t.Context(), ref); err != nil {
		t.Fatal(err)
	}
	box := testbed.Must(engine.Run(t.Context(), testbed.ContainerSpec{Name: "box", Image: ref}))(t)
	ended := make(chan error, 1)
	go func() {
		_, err := c.Exec(t.Context(), box.ID, dockercli.ExecOptions{Cmd: []string{"sleep", "1030"}})
		ended <- err
	}()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for running := false; !running; <-tick.C {
		top := testbed.Must(engine.Client().ContainerTop(t.Context(), box.ID, client.ContainerTopOptions{}))(t)
		running = strings.Contains(fmt.Sprint(top.Processes), "sleep 1030")
	}
	if err := engine.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.wants(<-ended, dockercli.ErrUnavailable)
}
