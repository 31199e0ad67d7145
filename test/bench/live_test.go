package bench_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/moby/moby/client"
	"golang.org/x/sync/errgroup"

	"github.com/watch-docker/watch-docker/test/testbed"
)

const (
	stopBar     = 300 * time.Millisecond // from `docker stop` to the frame
	stops       = 15
	subscribers = 500
	perSecond   = 100 // events of the engine
	stormFor    = 10 * time.Second
	idleShare   = 0.002 // of a core
	connects    = 10_000
	keepsBar    = 1.1 // memory after, of that before
	password    = "correct horse battery"
)

// BenchmarkLive measures the events' socket on a host of 100 containers, one
// of which runs.
func BenchmarkLive(b *testing.B) {
	w := newWorld(b)
	w.fill(b, 100, 20)
	b.Run("idle", w.idleLive)
	b.Run("connects", w.connects)
	b.Run("storm", w.storm)
	b.Run("stop", w.stopToFrame)
}

// live is a server with a user for each 60 sockets.
type live struct {
	*server
	tokens []string
}

func (w *world) live(b *testing.B, users int, environ ...string) *live {
	b.Helper()
	s := &live{server: w.serve(b, w.environment(filepath.Join(b.TempDir(), "state"),
		append(environ, "WATCH_SCAN_INTERVAL=1h", "USER_NAME=u0", "USER_PASSWORD="+password)...))}
	s.ready(b)
	s.scanned(b, w.running)
	base := "http://" + s.address(b)
	for i := range users {
		name := fmt.Sprint("u", i)
		if i > 0 {
			ask(b, http.MethodPost, base+"/api/users", s.tokens[0], `{"username":"`+name+`","password":"`+password+`","role":"viewer"}`)
		}
		var login struct{ Token string }
		if err := json.Unmarshal(ask(b, http.MethodPost, base+"/api/v1/auth/login", "", `{"username":"`+name+`","password":"`+password+`"}`), &login); err != nil {
			b.Fatal(err)
		}
		s.tokens = append(s.tokens, login.Token)
		if i == 0 {
			ask(b, http.MethodPost, base+"/api/v1/auth/step-up", login.Token, `{"password":"`+password+`"}`)
		}
	}
	return s
}

// socket is an open one that counts its frames.
type socket struct {
	conn *websocket.Conn
	seq  uint64
}

func (s *live) open(ctx context.Context, i int) (*socket, error) {
	conn, _, err := websocket.Dial(ctx, "http://"+s.addr+"/api/events/ws",
		&websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer " + s.tokens[i%len(s.tokens)]}}})
	if err != nil {
		return nil, err
	}
	conn.SetReadLimit(4 << 20)
	return &socket{conn: conn}, nil
}

// next reads a frame, whose number must be the next.
func (k *socket) next(ctx context.Context) ([]byte, error) {
	_, text, err := k.conn.Read(ctx)
	if err != nil {
		return nil, err
	}
	k.seq++
	if !bytes.HasPrefix(text, fmt.Appendf(nil, `{"seq":%d,`, k.seq)) {
		return nil, fmt.Errorf("frame %d: %.100s", k.seq, text)
	}
	return text, nil
}

// descriptors is how many files and sockets the process has open.
func (p *process) descriptors() int {
	open, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.Process.Pid))
	return len(open)
}

// idleLive is what the server costs once its viewer has gone: nothing is
// measured for nobody.
func (w *world) idleLive(b *testing.B) {
	own(b)
	proxy, err := w.bed.Engine().Proxy(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	c, err := w.runs(b, "idle")
	if err != nil {
		b.Fatal(err)
	}
	defer w.ends(b, c)
	s := w.live(b, 1, "DOCKER_HOST="+proxy.Host())
	streams := func() (n int) {
		for _, r := range proxy.Requests() {
			if strings.HasSuffix(r.Path, "/stats") {
				n++
			}
		}
		return n
	}
	before := s.descriptors()
	count(b, "streams-for-nobody", streams(), 0)
	k, err := s.open(b.Context(), 0)
	if err != nil {
		b.Fatal(err)
	}
	if err := k.conn.Write(b.Context(), websocket.MessageText, []byte(`{"type":"stats","containers":["*"]}`)); err != nil {
		b.Fatal(err)
	}
	for text := []byte{}; !bytes.Contains(text, []byte(`"type":"stats"`)); {
		if text, err = k.next(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	count(b, "streams-for-one", streams(), 1)
	_ = k.conn.Close(websocket.StatusNormalClosure, "")
	testbed.Eventually(b, 30*time.Second, func() error {
		if now := s.descriptors(); now > before {
			return fmt.Errorf("%d descriptors, %d before anybody looked", now, before)
		}
		return nil
	})
	cpu := s.cpu(b)
	time.Sleep(idleFor) // this is what is measured
	share := float64(s.cpu(b)-cpu) / float64(idleFor)
	b.ReportMetric(share*100, "cpu-%")
	b.ReportMetric(share/idleShare, "cpu/bar")
	size(b, "resident", s.memory().resident)
}

// runs starts a container that stops at once.
func (w *world) runs(b *testing.B, name string) (testbed.Container, error) {
	b.Helper()
	img, err := testbed.Image(testbed.ImageOptions{Payload: "live"})
	if err == nil {
		_, err = w.registry.Push(b.Context(), "live/app:latest", img)
	}
	if err == nil {
		err = w.bed.Pull(b.Context(), w.registry.Ref("live/app:latest"))
	}
	if err != nil {
		return testbed.Container{}, err
	}
	w.running++
	return w.bed.Run(b.Context(), testbed.ContainerSpec{Name: name, Image: w.registry.Ref("live/app:latest")})
}

func (w *world) ends(b *testing.B, c testbed.Container) {
	b.Helper()
	w.running--
	if _, err := w.bed.Engine().Client().ContainerRemove(b.Context(), c.ID, client.ContainerRemoveOptions{Force: true}); err != nil {
		b.Error(err)
	}
}

// connects is what 10,000 sockets leave behind.
func (w *world) connects(b *testing.B) {
	own(b)
	s := w.live(b, 1)
	round := func(n int) {
		group, ctx := errgroup.WithContext(b.Context())
		group.SetLimit(16)
		for range n {
			group.Go(func() error {
				k, err := s.open(ctx, 0)
				if err != nil {
					return err
				}
				defer k.conn.CloseNow()
				if _, err := k.next(ctx); err != nil {
					return err
				}
				return k.conn.Close(websocket.StatusNormalClosure, "")
			})
		}
		if err := group.Wait(); err != nil {
			b.Fatal(err)
		}
	}
	round(connects / 20) // what any server at work has
	before := s.memory()
	began, cpu := time.Now(), s.cpu(b)
	round(connects)
	b.ReportMetric(float64(connects)/time.Since(began).Seconds(), "connects/s")
	b.ReportMetric(float64((s.cpu(b)-cpu).Microseconds())/connects, "cpu-us-each")
	after := s.memory()
	size(b, "before", before.resident)
	size(b, "after", after.resident)
	b.ReportMetric(float64(after.resident)/float64(before.resident), "after/before")
	b.ReportMetric(keepsBar, "after/before-bar")
}

// storm is 500 sockets while the engine has 100 events a second: containers
// that are renamed, without end.
func (w *world) storm(b *testing.B) {
	own(b)
	s := w.live(b, 9)
	idle := s.memory()
	var frames, snapshots atomic.Int64
	ctx, stop := context.WithCancel(b.Context())
	defer stop()
	var reading sync.WaitGroup
	sockets := make([]*socket, subscribers)
	finals := make(chan struct{}, subscribers)
	for i := range sockets {
		k, err := s.open(ctx, i)
		if err != nil {
			b.Fatal(err)
		}
		sockets[i] = k
		reading.Go(func() {
			for {
				text, err := k.next(ctx)
				switch {
				case ctx.Err() != nil:
					return
				case err != nil:
					b.Error(err)
					return
				case bytes.Contains(text[:min(len(text), 60)], []byte(`"snapshot"`)):
					snapshots.Add(1)
				default:
					frames.Add(1)
				}
				if bytes.Contains(text, []byte(`"name":"the-last"`)) {
					finals <- struct{}{}
				}
			}
		})
	}
	testbed.Eventually(b, 30*time.Second, func() error {
		if n := snapshots.Load(); n < subscribers {
			return fmt.Errorf("%d snapshots", n)
		}
		return nil
	})
	open, first := s.memory(), snapshots.Load()
	cpu, began := s.cpu(b), time.Now()
	renamed := w.rename(b)
	for range subscribers {
		select {
		case <-finals:
		case <-time.After(time.Minute):
			b.Fatal("not every socket has come to the end")
		}
	}
	took := time.Since(began)
	cpu = s.cpu(b) - cpu
	b.ReportMetric(float64(renamed)/took.Seconds(), "events/s")
	b.ReportMetric(float64(frames.Load())/subscribers/took.Seconds(), "frames/s-each")
	b.ReportMetric(float64(frames.Load()%subscribers), "frames-lost") // a gap has failed already
	b.ReportMetric(float64(snapshots.Load()-first), "fell-behind")
	b.ReportMetric(cpu.Seconds()/took.Seconds()*100, "cpu-%")
	size(b, "idle", idle.resident)
	size(b, "open", open.resident)
	size(b, "after", s.memory().resident)
	stop()
	for _, k := range sockets {
		_ = k.conn.CloseNow()
	}
	reading.Wait()
}

// rename makes so many events a second, and gives how many there were.
func (w *world) rename(b *testing.B) (renamed int) {
	b.Helper()
	api := w.bed.Engine().Client()
	group, ctx := errgroup.WithContext(b.Context())
	group.SetLimit(populating)
	tick := time.NewTicker(time.Second / perSecond)
	defer tick.Stop()
	names := make([]string, 100)
	for i := range names {
		names[i] = w.bed.Name(fmt.Sprintf("c%03d", i))
	}
	busy := make([]sync.Mutex, len(names))
	for end := time.Now().Add(stormFor); time.Now().Before(end); renamed++ {
		<-tick.C
		i, to := renamed%len(names), fmt.Sprintf("storm-%d", renamed)
		group.Go(func() error {
			busy[i].Lock()
			defer busy[i].Unlock()
			_, err := api.ContainerRename(ctx, names[i], client.ContainerRenameOptions{NewName: to})
			names[i] = to
			return err
		})
	}
	if err := group.Wait(); err != nil {
		b.Fatal(err)
	}
	for i := len(names) - 1; i >= 0; i-- {
		to := w.bed.Name(fmt.Sprintf("c%03d", i))
		if i == 0 {
			to = "the-last" // also in the order of names
		}
		if _, err := api.ContainerRename(b.Context(), names[i], client.ContainerRenameOptions{NewName: to}); err != nil {
			b.Fatal(err)
		}
		renamed++
	}
	b.Cleanup(func() {
		_, _ = api.ContainerRename(context.WithoutCancel(b.Context()), "the-last", client.ContainerRenameOptions{NewName: w.bed.Name("c000")})
	})
	return renamed
}

// stopToFrame is from the start of `docker stop` until a client has the frame.
func (w *world) stopToFrame(b *testing.B) {
	own(b)
	c, err := w.runs(b, "stops")
	if err != nil {
		b.Fatal(err)
	}
	defer w.ends(b, c)
	s := w.live(b, 1)
	k, err := s.open(b.Context(), 0)
	if err != nil {
		b.Fatal(err)
	}
	defer k.conn.CloseNow()
	until := func(state string) time.Time {
		for {
			text, err := k.next(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			if bytes.Contains(text, []byte(`"type":"container"`)) && bytes.Contains(text, []byte(c.ID)) && bytes.Contains(text, []byte(`"state":"`+state+`"`)) {
				return time.Now()
			}
		}
	}
	var whole, command, after []time.Duration
	for range stops {
		cmd := exec.CommandContext(b.Context(), "docker", "stop", c.ID)
		cmd.Env = append(os.Environ(), "DOCKER_HOST="+w.bed.Engine().Host())
		ended := make(chan time.Time, 1)
		began := time.Now()
		go func() {
			_ = cmd.Run() // the frame tells
			ended <- time.Now()
		}()
		at, end := until("exited"), <-ended
		whole, command, after = append(whole, at.Sub(began)), append(command, end.Sub(began)), append(after, at.Sub(end))
		if _, err := w.bed.Engine().Client().ContainerStart(b.Context(), c.ID, client.ContainerStartOptions{}); err != nil {
			b.Fatal(err)
		}
		until("running")
	}
	against(b, "stop-to-frame", median(whole), stopBar)
	elapsed(b, "docker-stop", median(command))
	elapsed(b, "after-docker-stop", median(after))
}
