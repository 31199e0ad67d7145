package dockercli_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/test/testbed"
)

// simple is a workshop with one pulled image.
func simple(t *testing.T) (w *workshop, ref string) {
	w = newWorkshop(t)
	w.stock(map[string][2]testbed.ImageOptions{"plain": {{}, {}}})
	return w, w.bed.Registry(testbed.Plain).Ref("plain:1")
}

func (w *workshop) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *workshop) state(id string) dockercli.ContainerState {
	w.Helper()
	return testbed.Must(w.client.Inspect(w.Context(), id))(w)
}

func (w *workshop) wants(err, want error) {
	w.Helper()
	if !errors.Is(err, want) {
		w.Errorf("error %v; want %v", err, want)
	}
}

func TestLifeOfAContainer(t *testing.T) {
	w, ref := simple(t)
	ctx, name, soon := t.Context(), w.bed.Name("life"), time.Second
	id := w.docker("create", "--name", name, ref)
	if s := w.state(id); s.State != "created" || s.Running || s.Name != name || !s.StartedAt.IsZero() || s.Health != "none" {
		t.Errorf("created: %+v", s)
	}
	w.wants(w.client.Kill(ctx, id, ""), dockercli.ErrConflict)
	w.must(w.client.Start(ctx, id))
	w.must(w.client.Start(ctx, id)) // once more is no error
	if s := w.state(id); !s.Running || s.StartedAt.IsZero() {
		t.Errorf("started: %+v", s)
	}
	w.wants(w.client.Remove(ctx, id, dockercli.RemoveOptions{}), dockercli.ErrConflict)
	w.must(w.client.Pause(ctx, id))
	if s := w.state(id); s.State != "paused" {
		t.Errorf("paused: %+v", s)
	}
	w.must(w.client.Unpause(ctx, id))
	w.must(w.client.Restart(ctx, id, &soon))
	w.must(w.client.SetRestartPolicy(ctx, id, dockercli.RestartPolicy{Name: "on-failure", MaxRetries: 3}))
	if p := w.state(id).RestartPolicy; p != (dockercli.RestartPolicy{Name: "on-failure", MaxRetries: 3}) {
		t.Errorf("policy %+v", p)
	}
	w.must(w.client.SetRestartPolicy(ctx, id, dockercli.RestartPolicy{}))
	if p := w.state(id).RestartPolicy; p != dockercli.RestartNever() {
		t.Errorf("policy %+v", p)
	}
	w.must(w.client.Stop(ctx, id, &soon))
	w.must(w.client.Stop(ctx, id, nil))
	if s := w.state(id); s.State != "exited" || s.Running || s.FinishedAt.IsZero() {
		t.Errorf("stopped: %+v", s)
	}
	w.must(w.client.Rename(ctx, id, name+"-2"))
	if _, ok, err := w.client.FindByName(ctx, name); ok || err != nil {
		t.Errorf("found by its old name, %v", err)
	}
	if _, ok, err := w.client.FindByName(ctx, id[:12]); ok || err != nil {
		t.Errorf("an id's beginning passes for a name, %v", err)
	}
	if s, ok, err := w.client.FindByName(ctx, name+"-2"); !ok || s.ID != id || err != nil {
		t.Errorf("not found by its new name, %v", err)
	}
	w.must(w.client.Remove(ctx, id, dockercli.RemoveOptions{Volumes: true}))
	for _, err := range []error{
		w.client.Remove(ctx, id, dockercli.RemoveOptions{}), w.client.Start(ctx, id), w.client.Stop(ctx, id, nil),
		w.client.Rename(ctx, id, "x"), w.client.SetRestartPolicy(ctx, id, dockercli.RestartNever()),
	} {
		w.wants(err, dockercli.ErrNotFound)
	}
}

func TestTakenNamesAndPortsAreConflicts(t *testing.T) {
	w, ref := simple(t)
	ctx, name := t.Context(), w.bed.Name("taken")
	w.docker("run", "-d", "--name", name, "-p", "127.0.0.1:18080:80", ref)
	other := w.docker("create", "--name", name+"-2", "-p", "127.0.0.1:18080:80", ref)
	w.wants(w.client.Start(ctx, other), dockercli.ErrConflict)
	w.wants(w.client.Rename(ctx, other, name), dockercli.ErrConflict)
	_, _, err := w.client.Create(ctx, w.blueprint(other), dockercli.CreateOptions{Name: name})
	w.wants(err, dockercli.ErrConflict)
}

func TestLogsAreLines(t *testing.T) {
	w, ref := simple(t)
	const script = `printf 'one\n\033[31mred\033[0m\a\n'; printf '\377bad\n' >&2
		i=0; while [ $i -lt 600 ]; do printf 0123456789; i=$((i+1)); done; echo; echo last`
	for _, tty := range []bool{false, true} {
		t.Run(fmt.Sprintf("tty %v", tty), func(t *testing.T) {
			w := w.in(t)
			id := w.docker("create", fmt.Sprintf("--tty=%v", tty), ref, "sh", "-c", script)
			w.docker("start", "-a", id)
			lines := testbed.Must(w.client.Logs(t.Context(), id, 100))(t)
			if !slices.Contains(lines, "\uFFFDbad") {
				t.Errorf("no standard error in %.40q", lines)
			}
			lines = slices.DeleteFunc(lines, func(l string) bool { return l == "\uFFFDbad" }) // the streams race
			if len(lines) != 4 || lines[0] != "one" || !slices.Contains(lines, "red\uFFFD") || lines[3] != "last" {
				t.Errorf("lines %.40q", lines)
			}
			if n := len(lines[2]); n != 4096 {
				t.Errorf("the long line has %d bytes", n)
			}
			if tail := testbed.Must(w.client.Logs(t.Context(), id, 1))(t); len(tail) != 1 || tail[0] != "last" && tail[0] != "\uFFFDbad" {
				t.Errorf("tail of one: %.40q", tail)
			}
		})
	}
	_, err := w.client.Logs(t.Context(), "nobody", 1)
	w.wants(err, dockercli.ErrNotFound)
}

func TestImagesKnowTheirContainers(t *testing.T) {
	w, ref := simple(t)
	ctx, name := t.Context(), w.bed.Name("user")
	w.docker("create", "--name", name, ref)
	id := w.imageID(ref)
	w.must(w.client.TagImage(ctx, id, "again:1"))
	rows := testbed.Must(w.client.Images(ctx))(t)
	i := slices.IndexFunc(rows, func(r dockercli.ImageRow) bool { return r.ID == id })
	if i < 0 {
		t.Fatalf("%s isn't listed: %+v", id, rows)
	}
	row := rows[i]
	if !slices.Contains(row.Tags, "again:1") || !slices.Contains(row.Containers, name) || row.Dangling || row.SizeBytes == 0 || row.CreatedAt.IsZero() {
		t.Errorf("row %+v", row)
	}
	removed := testbed.Must(w.client.RemoveImage(ctx, "again:1", false))(t)
	if !slices.ContainsFunc(removed.Untagged, func(s string) bool { return strings.Contains(s, "again:1") }) || len(removed.Deleted) > 0 {
		t.Errorf("removed %+v", removed)
	}
	_, err := w.client.RemoveImage(ctx, id, false)
	w.wants(err, dockercli.ErrConflict)
	_, err = w.client.RemoveImage(ctx, "nobody:1", false)
	w.wants(err, dockercli.ErrNotFound)
}

func TestWatchContainerSeesItsContainerAlone(t *testing.T) {
	w, ref := simple(t)
	id, other := w.docker("create", ref), w.docker("create", ref)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var seen []string
	err := w.client.WatchContainer(ctx, id, func(e dockercli.Event) {
		switch {
		case e.Kind == dockercli.Connected:
			w.docker("start", other)
			w.docker("start", id)
			w.docker("kill", id)
		case e.ID != id:
			t.Errorf("event of another: %+v", e)
		default:
			seen = append(seen, e.Action)
			if e.Action == "die" {
				cancel()
			}
		}
	})
	w.wants(err, context.Canceled)
	if !slices.Equal(seen, []string{"start", "die"}) {
		t.Errorf("seen %q", seen)
	}
}

// TestAnErrorIsTheEnginesSentence and not the list of those that passed it on.
func TestAnErrorIsTheEnginesSentence(t *testing.T) {
	w, ref := simple(t)
	id := w.docker("create", "--name", w.bed.Name("nothing"), "--entrypoint", "/nothing", ref)
	defer w.clean(id)
	err := w.client.Start(t.Context(), id)
	if err == nil {
		t.Fatal("it starts")
	}
	want := "start container " + id[:12] + `: exec: "/nothing": stat /nothing: no such file or directory`
	if err.Error() != want {
		t.Errorf("%q, want %q", err, want)
	}
	if err := w.client.Rename(t.Context(), id, "not a name"); err == nil || strings.Contains(err.Error(), "daemon") {
		t.Errorf("%v", err)
	}
}
