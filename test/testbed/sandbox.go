package testbed

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// sandboxScript is the first process of a sandbox. Mounts of the host show
// inside, not the other way round. Over /etc and /opt lies a layer that takes
// what dockerd and containerd would leave there (/etc/docker/key.json,
// /opt/containerd). An empty /run hides the host's containerd, which dockerd
// would otherwise share with the host's engine. Without the kernel's security
// folder dockerd loads no AppArmor profile.
//
// The script then reaps orphans and waits: its standard input ends when the
// testbed does, and with the first process of a PID namespace the kernel ends
// all others, with their mounts and their network.
const sandboxScript = `set -e
mount --make-rslave /
mount --make-rshared /
mount -t proc proc /proc
mount -t tmpfs -o mode=0700 tmpfs "$1"
for dir in /etc /opt; do
	if [ -d $dir ]; then
		mkdir -p "$1$dir/upper" "$1$dir/work"
		mount -t overlay -o "lowerdir=$dir,upperdir=$1$dir/upper,workdir=$1$dir/work" overlay $dir
	fi
done
mount -t tmpfs -o mode=0755 tmpfs /run
if [ -d /sys/kernel/security ]; then mount -t tmpfs tmpfs /sys/kernel/security; fi
ip link set lo up
echo ready
read -r _ || true
`

// A sandbox is a set of network, mount and PID namespaces. It needs root.
type sandbox struct {
	init  *process
	stdin io.Closer
	netns *os.File
}

func newSandbox(ctx context.Context, dir string) (*sandbox, error) {
	layer := filepath.Join(dir, "layer")
	if err := os.Mkdir(layer, 0o700); err != nil {
		return nil, fmt.Errorf("make sandbox: %w", err)
	}
	cmd := exec.Command("/bin/bash", "-c", sandboxScript, "sandbox", layer)
	cmd.Env = cleanEnv()
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWPID}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("make sandbox: %w", err)
	}
	ready, err := startSpeaking(cmd, filepath.Join(dir, "sandbox.log"))
	if err != nil {
		return nil, fmt.Errorf("make sandbox: %w", err)
	}
	s := &sandbox{init: ready.process, stdin: stdin}
	if err := s.await(ctx, ready); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *sandbox) await(ctx context.Context, ready *speaking) error {
	if err := ready.firstLine(ctx, "ready"); err != nil {
		return fmt.Errorf("make sandbox: %w", err)
	}
	var err error
	s.netns, err = os.Open("/proc/" + strconv.Itoa(s.init.pid()) + "/ns/net")
	if err != nil {
		return fmt.Errorf("open network namespace: %w", err)
	}
	return nil
}

// close ends every process in the sandbox; mounts and network go with them.
func (s *sandbox) close() error {
	err := s.init.kill()
	_ = s.stdin.Close()
	if s.netns != nil {
		_ = s.netns.Close()
	}
	return err
}

// command is a command that runs inside.
func (s *sandbox) command(name string, args ...string) *exec.Cmd {
	enter := []string{"--target", strconv.Itoa(s.init.pid()), "--net", "--mount", "--pid", "--", name}
	cmd := exec.Command("nsenter", append(enter, args...)...)
	cmd.Env = cleanEnv()
	return cmd
}

// listen opens a TCP listener inside, usable outside.
func (s *sandbox) listen(ctx context.Context, addr string) (net.Listener, error) {
	var l net.Listener
	err := s.inside(func() (err error) {
		l, err = new(net.ListenConfig).Listen(ctx, "tcp", addr)
		return err
	})
	return l, err
}

// dial connects to addr, an IP address and port, inside.
func (s *sandbox) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	// A literal address keeps the dialer on the one thread that is inside.
	if _, err := netip.ParseAddrPort(addr); err != nil {
		return nil, fmt.Errorf("dial into the engine's network: %w (an address in numbers is needed)", err)
	}
	var c net.Conn
	err := s.inside(func() (err error) {
		c, err = new(net.Dialer).DialContext(ctx, network, addr)
		return err
	})
	return c, err
}

// inside runs f on a thread that is in the sandbox's network. The thread
// stays locked and so ends with its goroutine.
func (s *sandbox) inside(f func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if err := unix.Setns(int(s.netns.Fd()), unix.CLONE_NEWNET); err != nil {
			result <- fmt.Errorf("enter the engine's network: %w", err)
			return
		}
		result <- f()
	}()
	return <-result
}

// cleanEnv keeps the user's proxies, engines and options out of what we start.
func cleanEnv() []string {
	return []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"}
}

// speaking is a process that says a first line when it's ready.
type speaking struct {
	*process
	lines chan string
}

func startSpeaking(cmd *exec.Cmd, logPath string) (*speaking, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make pipe: %w", err)
	}
	defer func() { _ = w.Close() }()
	cmd.Stdout = w
	p, err := startProcess(cmd, logPath)
	if err != nil {
		_ = r.Close()
		return nil, err
	}
	s := &speaking{process: p, lines: make(chan string, 1)}
	go func() {
		defer func() { _ = r.Close() }()
		scanner := bufio.NewScanner(r)
		if scanner.Scan() {
			s.lines <- scanner.Text()
		}
		close(s.lines)
	}()
	return s, nil
}

func (s *speaking) firstLine(ctx context.Context, want string) error {
	select {
	case line := <-s.lines:
		if line == want {
			return nil
		}
		<-s.done
		return fmt.Errorf("%s said %q instead of %q and ended (%s): %s", s.cmd.Path, line, want, s.cmd.ProcessState, tailOfFile(s.logPath))
	case <-ctx.Done():
		return fmt.Errorf("wait for %s: %w", s.cmd.Path, ctx.Err())
	}
}
