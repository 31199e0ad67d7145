package dockercli_test

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"testing"

	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/test/testbed"
)

// listing is a folder's list in words.
func (w *workshop) listing(id, folder string) map[string]string {
	w.Helper()
	list, cut, err := w.client.ListFiles(w.Context(), id, folder)
	if err != nil || cut {
		w.Fatalf("%s: %v, cut=%v", folder, err, cut)
	}
	all := map[string]string{}
	for _, f := range list {
		all[f.Name] = fmt.Sprintf("%s %d:%d %d %s", f.Mode, f.UID, f.GID, f.Size, f.Target)
		if !f.Mode.IsRegular() {
			all[f.Name] = fmt.Sprintf("%s %d:%d %s", f.Mode, f.UID, f.GID, f.Target)
		}
		if folder == "/w" && f.ModTime.Year() < 2020 {
			w.Errorf("%s is of %s", f.Name, f.ModTime)
		}
	}
	return all
}

func (w *workshop) content(id, name string) string {
	w.Helper()
	f, r, err := w.client.OpenFile(w.Context(), id, name)
	if err != nil || r == nil {
		w.Fatalf("%s: %+v, %v", name, f, err)
	}
	defer r.Close()
	return string(testbed.Must(io.ReadAll(r))(w))
}

const oddName = "a b\nc'\"$x*"

func TestFilesOfAContainerAreListed(t *testing.T) {
	w, ref := simple(t)
	id := w.docker("run", "-d", ref)
	w.docker("exec", id, "sh", "-c", `umask 022; mkdir -p /w/sub /w/.hid && cd /w && echo hello >file && touch -- -n "$1" && /bin/busybox chown 7:8 file && /bin/busybox chmod 4750 file &&
		/bin/busybox ln -s ../../../../etc/passwd up && /bin/busybox ln -s /nowhere dead && /bin/busybox ln -s /etc folder && /bin/busybox ln -s /proc/1/root out && /bin/busybox mkfifo pipe && echo x >sub/deep`, "sh", oddName)
	want := map[string]string{
		"sub": "drwxr-xr-x 0:0 ", ".hid": "drwxr-xr-x 0:0 ", "file": "urwxr-x--- 7:8 6 ", "-n": "-rw-r--r-- 0:0 0 ", oddName: "-rw-r--r-- 0:0 0 ",
		"up": "Lrwxrwxrwx 0:0 ../../../../etc/passwd", "dead": "Lrwxrwxrwx 0:0 /nowhere", "folder": "Lrwxrwxrwx 0:0 /etc", "out": "Lrwxrwxrwx 0:0 /proc/1/root", "pipe": "prw-r--r-- 0:0 ",
	}
	check := func(how string) {
		t.Helper()
		got := w.listing(id, "/w")
		for name, what := range want {
			if got[name] != what {
				t.Errorf("%s: %q is %q, want %q", how, name, got[name], what)
			}
		}
		if len(got) != len(want) {
			t.Errorf("%s: %q", how, got)
		}
		if got := w.listing(id, "/w/folder"); got["passwd"] == "" {
			t.Errorf("%s: a link to a folder: %q", how, got)
		}
		if got := w.listing(id, "/"); got["w"] != "drwxr-xr-x 0:0 " || got["bin"] == "" {
			t.Errorf("%s: the root: %q", how, got)
		}
		for path, want := range map[string]error{
			"/nowhere": dockercli.ErrNoFile, "/w/file": dockercli.ErrNotFolder, "/proc/1/root": dockercli.ErrVirtual, "/proc": dockercli.ErrVirtual, "/proc/self/root/etc": dockercli.ErrVirtual,
		} {
			_, _, err := w.client.ListFiles(t.Context(), id, path)
			if w.wants(err, want); err != nil {
				t.Log(err)
			}
		}
	}
	check("by the shell")
	many := w.docker("exec", id, "sh", "-c", "mkdir /many; cd /many; i=0; while [ $i -lt 300 ]; do : >f$i; i=$((i+1)); done; echo $i")
	if got := w.listing(id, "/many"); len(got) != 300 {
		t.Errorf("%s files: %d", many, len(got))
	}
	// /proc/1/root is the container's own root, and what is behind it no way out.
	if list, _, err := w.client.ListFiles(t.Context(), id, "/w/out"); err == nil {
		for _, f := range list {
			if f.Name == "home" || f.Name == "usr" {
				t.Errorf("the host's %s shows", f.Name)
			}
		}
	}
	w.docker("exec", id, "rm", "/bin/sh")
	check("by the archive")
	w.docker("stop", id)
	check("stopped")
}

func TestFilesOfAContainerAreReadAndWritten(t *testing.T) {
	w, ref := simple(t)
	id := w.docker("run", "-d", "-v", "/usr/share:/ro:ro", "-v", "/vol", "--tmpfs", "/memory", ref)
	write := func(name, text string) error {
		return w.client.WriteFile(t.Context(), id, name, strings.NewReader(text), int64(len(text)))
	}
	w.docker("exec", id, "sh", "-c", "mkdir /w /w/sub; echo old >/w/file; cd /w; /bin/busybox chown 7:8 file; /bin/busybox chmod 4750 file; /bin/busybox chown 9:9 sub; /bin/busybox ln -s ../../../../../../w/file up; /bin/busybox ln -s ../../../../../../w/sub rel; /bin/busybox ln -s /proc/1/root out")
	w.must(write("/w/file", "new ü\n"))
	if got := w.content(id, "/w/file"); got != "new ü\n" {
		t.Errorf("%q", got)
	}
	w.must(write("/w/sub/"+oddName, "odd"))
	w.must(write("/w/rel/by-link", "linked"))
	w.must(write("/vol/kept", "volume"))
	if got := w.docker("exec", id, "sh", "-c", "cd /w; stat -c '%a %u:%g %s' file sub/*; cat /vol/kept"); got != "4750 7:8 7\n644 9:9 3\n644 9:9 6\nvolume" {
		t.Errorf("%s", got)
	}
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<18)
	w.must(w.client.WriteFile(t.Context(), id, "/w/big", bytes.NewReader(big), int64(len(big))))
	if got := w.content(id, "/w/big"); got != string(big) {
		t.Errorf("%d bytes", len(got))
	}
	for name, want := range map[string]error{
		"/w/up": dockercli.ErrNotAFile, "/w/sub": dockercli.ErrIsFolder, "/ro/x": dockercli.ErrReadOnly, "/nowhere/x": dockercli.ErrNoFile,
		"/proc/self/x": dockercli.ErrVirtual, "/proc/1/root/x": dockercli.ErrVirtual, "/etc/hosts": dockercli.ErrConflict,
	} {
		err := write(name, "x")
		w.wants(err, want)
		t.Log(name, err)
	}
	if err := write("/w/file/x", "x"); err == nil {
		t.Error("a file is no folder")
	} else {
		t.Log(err)
	}
	if err := write("/w/out/tmp/escaped", "x"); err == nil { // /proc is empty in what the engine resolves
		t.Error("written through /proc/1/root")
	} else {
		t.Log(err)
	}
	f, err := w.client.FileStat(t.Context(), id, "/w/up")
	if err != nil || f.Mode&fs.ModeSymlink == 0 || f.Target == "" {
		t.Errorf("%+v, %v", f, err)
	}
	if _, r, err := w.client.OpenFile(t.Context(), id, "/w/up"); r != nil || err != nil {
		t.Errorf("a link opens: %v", err)
	}
	remove := func(name string, recursive bool) error { return w.client.RemoveFile(t.Context(), id, name, recursive) }
	w.must(remove("/w/up", false))
	w.must(remove("/w/sub/"+oddName, false))
	w.wants(remove("/w/sub", false), dockercli.ErrIsFolder)
	w.must(remove("/w/rel", true)) // the link, not what it leads to
	w.must(remove("/w/sub", true))
	w.wants(remove("/w/sub", true), dockercli.ErrNoFile)
	w.wants(remove("/ro/man", true), dockercli.ErrReadOnly)
	w.wants(remove("/etc/hosts", false), dockercli.ErrConflict)
	w.wants(remove("/proc/1", true), dockercli.ErrVirtual)
	if got := w.listing(id, "/w"); len(got) != 3 {
		t.Errorf("left are %q", got)
	}
	w.docker("exec", id, "rm", "/bin/rm", "/bin/sh") // this busybox's sh has an rm of its own
	w.wants(remove("/w/big", false), dockercli.ErrNoTool)
	w.docker("stop", id)
	w.wants(remove("/w/big", false), dockercli.ErrConflict)
	w.must(write("/w/stopped", "x"))

	locked := w.docker("run", "-d", "--read-only", ref)
	w.wants(w.client.WriteFile(t.Context(), locked, "/tmp/x", strings.NewReader("x"), 1), dockercli.ErrReadOnly)
	w.wants(w.client.RemoveFile(t.Context(), locked, "/payload", false), dockercli.ErrReadOnly)
}
