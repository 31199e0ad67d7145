package dockercli

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/client"
)

// Bounds of a list: entries, bytes of a script's answer, and bytes of an
// archive that are read for it.
const (
	listEntries = 5000
	listAnswer  = 8 << 20
	listArchive = 64 << 20
	listTimeout = 20 * time.Second
)

// lister lists the folder $1 for any POSIX shell with stat: of each entry its
// raw mode, owner, group, size and time, then its name and a link's target,
// each ended by NUL. A way out of the container's own files is refused.
const lister = `
cd -P "$1" 2>/dev/null || exit 3
case $(pwd -P) in /proc|/proc/*|/sys|/sys/*|/dev|/dev/*|[!/]*|"") exit 4 ;; esac
command -v stat >/dev/null || exit 5
one() {
	target=
	[ -L "$6" ] && target=$(readlink "$6" 2>/dev/null; echo .) && target=${target%??}
	printf '%s %s %s %s %s\0%s\0%s\0' "$1" "$2" "$3" "$4" "$5" "${6#./}" "$target"
}
flush() {
	[ $# -gt 0 ] || return 0
	all=$(stat -c '%f %u %g %s %Y' "$@" 2>/dev/null)
	if [ "$(set -- $all; echo $#)" -eq $(($#*5)) ]; then
		for name; do
			rest=${all#*"
"}
			one ${all%%"
"*} "$name"
			all=$rest
		done
	else
		for name; do
			all=$(stat -c '%f %u %g %s %Y' "$name" 2>/dev/null) && one $all "$name"
		done
	fi
}
n=0 most=$2
set --
for name in ./* ./.*; do
	case $name in ./.|./..) continue ;; esac
	[ -e "$name" ] || [ -L "$name" ] || continue
	set -- "$@" "$name"
	n=$((n+1))
	[ $# -lt 40 ] && [ "$n" -lt "$most" ] && continue
	flush "$@"
	set --
	[ "$n" -lt "$most" ] || break
done
flush "$@"
`

// toolPath keeps a container's own folders out of the way of its system's: the
// script runs as root.
const toolPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/busybox"

// ListFiles lists a folder by name; a link to a folder is followed, within the
// container. It is cut where there is more than can be read at once. A
// container that doesn't run, or has no shell, is listed from an archive.
//
// Errors: as FileStat; ErrNotFolder.
func (c *Client) ListFiles(ctx context.Context, id, folder string) (list []File, cut bool, err error) {
	doing := "list " + folder + " in container " + short(id)
	if isVirtual(folder) {
		return nil, false, fmt.Errorf("%s: %w", doing, ErrVirtual)
	}
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	at, err := c.FileStat(ctx, id, folder)
	if err != nil {
		return nil, false, err
	}
	if !at.Mode.IsDir() && at.Mode&fs.ModeSymlink == 0 {
		return nil, false, fmt.Errorf("%s: %w", doing, ErrNotFolder)
	}
	out, code, err := c.capture(ctx, id, []string{"/bin/sh", "-c", lister, "sh", folder, strconv.Itoa(listEntries)})
	switch {
	case err == nil && code == 0:
		list, cut = listed(out), len(out) >= listAnswer
	case err == nil && code == 3:
		return nil, false, fmt.Errorf("%s: %w", doing, ErrNotFolder)
	case err == nil && code == 4:
		return nil, false, fmt.Errorf("%s: %w", doing, ErrVirtual)
	case ctx.Err() != nil:
		return nil, false, fmt.Errorf("%s: %w", doing, ctx.Err())
	default: // no shell, no stat, or it doesn't run
		if list, cut, err = c.listArchive(ctx, id, folder); err != nil {
			return nil, false, err
		}
	}
	slices.SortFunc(list, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	if len(list) > listEntries {
		list, cut = list[:listEntries], true
	}
	return list, cut || len(list) >= listEntries, nil
}

// listed reads what the lister says.
func listed(out []byte) (list []File) {
	parts := bytes.Split(out, []byte{0})
	for ; len(parts) > 3; parts = parts[3:] {
		var raw uint32
		var seconds int64
		f := File{Name: string(parts[1]), Target: string(parts[2])}
		if n, _ := fmt.Sscanf(string(parts[0]), "%x %d %d %d %d", &raw, &f.UID, &f.GID, &f.Size, &seconds); n != 5 || strings.Contains(f.Name, "/") {
			continue
		}
		f.Mode, f.ModTime = goMode(raw), time.Unix(seconds, 0).UTC()
		list = append(list, f)
	}
	return list
}

// goMode reads a mode as the kernel has it.
func goMode(raw uint32) fs.FileMode {
	mode := fs.FileMode(raw & 0o777)
	mode |= map[uint32]fs.FileMode{
		0o040000: fs.ModeDir, 0o120000: fs.ModeSymlink, 0o010000: fs.ModeNamedPipe, 0o140000: fs.ModeSocket,
		0o060000: fs.ModeDevice, 0o020000: fs.ModeDevice | fs.ModeCharDevice,
	}[raw&0o170000]
	for bit, is := range map[uint32]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky} {
		if raw&bit != 0 {
			mode |= is
		}
	}
	return mode
}

// listArchive lists a folder from its archive, as far as that is read.
func (c *Client) listArchive(ctx context.Context, id, folder string) (list []File, cut bool, err error) {
	a, err := c.FileArchive(ctx, id, strings.TrimSuffix(folder, "/")+"/.")
	if err != nil {
		return nil, false, err
	}
	defer a.Close()
	if !a.Mode.IsDir() {
		return nil, false, fmt.Errorf("list %s in container %s: %w", folder, short(id), ErrNotFolder)
	}
	bounded := &io.LimitedReader{R: a, N: listArchive}
	r, top := tar.NewReader(bounded), ""
	for len(list) <= listEntries {
		head, err := r.Next()
		if errors.Is(err, io.EOF) && bounded.N > 0 {
			return list, false, nil
		}
		if err != nil {
			return list, true, ctx.Err() // as far as it went
		}
		name := path.Clean("/" + head.Name)
		if top == "" { // the folder itself comes first
			top = name
			continue
		}
		if rest := strings.Trim(strings.TrimPrefix(name, top), "/"); rest != "" && !strings.Contains(rest, "/") {
			list = append(list, headed(head))
		}
	}
	return list, true, nil
}

// capture runs one of a container's own tools as root, and gives what it says.
// Code is its exit code.
//
// Errors: ErrNoCommand, ErrConflict, ErrNotFound, ErrUnavailable.
func (c *Client) capture(ctx context.Context, id string, cmd []string) (out []byte, code int, err error) {
	made, err := c.sdk().ExecCreate(ctx, id, client.ExecCreateOptions{
		Cmd: cmd, Env: []string{toolPath, "LC_ALL=C"}, User: "0", AttachStdout: true, AttachStderr: true,
	})
	if err != nil {
		return nil, 0, c.wrap("run a tool in container "+short(id), err)
	}
	p := &process{id: made.ID, lines: &tailLines{most: outputLines, room: outputBytes}, ended: make(chan struct{})}
	close(p.ended)
	attached, err := c.sdk().ExecAttach(ctx, made.ID, client.ExecAttachOptions{})
	if err == nil {
		stop := context.AfterFunc(ctx, func() { attached.Close() })
		var said bytes.Buffer
		errs := &lineWriter{to: p.lines}
		_, _ = stdcopy.StdCopy(&said, errs, io.LimitReader(attached.Reader, listAnswer)) // how it ended is asked for
		errs.flush()
		stop()
		attached.Close()
		out = said.Bytes()
	} else if !strings.Contains(err.Error(), "unable to upgrade") {
		return nil, 0, c.wrap("run a tool in container "+short(id), err)
	}
	code, err = c.outcome(ctx, p)
	if len(out) == 0 && err == nil && code != 0 {
		out = []byte(strings.Join(p.lines.list, "\n"))
	}
	return out, code, c.wrap("run a tool in container "+short(id), err)
}

// remover removes $2 in the folder $1; see lister.
const remover = `
cd -P "$1" || exit 3
case $(pwd -P) in /proc|/proc/*|/sys|/sys/*|/dev|/dev/*|[!/]*|"") exit 4 ;; esac
command -v rm >/dev/null || exit 5
exec rm "$3" -- "./$2"
`

// RemoveFile removes a file or a link, or a folder with all that is in it. The
// engine has no call for it: the container's own rm does it, as root.
//
// Errors: as FileStat; ErrReadOnly, ErrIsFolder, ErrNoTool; ErrConflict (it
// doesn't run, or rm says no).
func (c *Client) RemoveFile(ctx context.Context, id, name string, recursive bool) error {
	doing := "remove " + name + " in container " + short(id)
	f, err := c.FileStat(ctx, id, name)
	switch {
	case err != nil:
		return err
	case f.Mode.IsDir() && !recursive:
		return fmt.Errorf("%s: %w", doing, ErrIsFolder)
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	flag := "-f"
	if recursive {
		flag = "-rf"
	}
	out, code, err := c.capture(ctx, id, []string{"/bin/sh", "-c", remover, "sh", path.Dir(name), path.Base(name), flag})
	if errors.Is(err, ErrNoCommand) {
		out, code, err = c.capture(ctx, id, []string{"rm", flag, "--", name})
	}
	said := safeLine(string(out))
	switch {
	case errors.Is(err, ErrNoCommand), err == nil && code == 5:
		return fmt.Errorf("%s: %w", doing, ErrNoTool)
	case err != nil:
		return err
	case code == 4:
		return fmt.Errorf("%s: %w", doing, ErrVirtual)
	case strings.Contains(said, "Read-only file system"):
		return fmt.Errorf("%s: %w", doing, ErrReadOnly)
	case code != 0:
		return fmt.Errorf("%s: %w: %s", doing, ErrConflict, said)
	}
	return nil
}
