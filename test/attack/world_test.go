// Package attack_test attacks the running program over HTTP. Each test is
// named after the promise that it tries to break; doc/security.md lists them.
//
// A client dials from an address of 127.0.0.0/8 of its own, so that one
// attacker's guesses aren't another's. What a test can't wait for (a proof
// that grows old) is written into the database of a stopped program.
package attack_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"
	_ "modernc.org/sqlite" // to age what a stopped program has stored

	"github.com/watch-docker/watch-docker/internal/app"
	"github.com/watch-docker/watch-docker/internal/store"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == strconv.Itoa(runtime.GOMAXPROCS(0)) {
		_ = f.Value.Set("8") // most of them wait most of the time
	}
	folder, err := os.MkdirTemp("", "watch-docker-attack-")
	if err == nil {
		err = os.Setenv("DOCKER_CONFIG", folder) // nobody's real credentials
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if err := errors.Join(goleak.Find(), os.RemoveAll(folder)); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

const (
	owner    = "ann"
	password = "correct horse battery"
)

// log is a buffer that the program writes and the test reads.
type log struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// world is one program with a state folder, which it may be restarted on. The
// engine that it names isn't there, unless a test says otherwise.
type world struct {
	testing.TB

	state string
	env   []string
	log   *log
	addr  string // host:port that it listens on
	host  string // what clients call it: localhost:port
	tls   *tls.Config
	stop  func()
}

// newWorld starts a program with one administrator, the owner. Making one costs
// a hash and a new database: the first world does, the others begin with a copy.
func newWorld(t testing.TB, env ...string) *world {
	t.Helper()
	database, err := furnished()
	if err != nil {
		t.Fatal(err)
	}
	w := unstarted(t, env...)
	err = errors.Join(os.Mkdir(w.state, 0o700), os.WriteFile(filepath.Join(w.state, store.FileName), database, 0o600))
	if err != nil {
		t.Fatal(err)
	}
	w.begin()
	return w
}

// furnished is the database of a program that has been started once.
var furnished = sync.OnceValues(func() (database []byte, err error) { //nolint:gochecknoglobals // made once in the process
	state, err := os.MkdirTemp("", "watch-docker-attack-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(state)
	s, err := app.NewServer(context.Background(), app.Program{Stderr: &log{}, Environ: []string{
		"DOCKER_HOST=unix://" + filepath.Join(state, "no.sock"), "STATE_PATH=" + state, "CONFIG_PATH=" + state, "WATCH_SERVER_ADDR=127.0.0.1:0",
		"USER_NAME=" + owner, "USER_PASSWORD=" + password,
	}}, "")
	if err != nil {
		return nil, err
	}
	if err := s.Close(); err != nil {
		return nil, err
	}
	return os.ReadFile(filepath.Join(state, store.FileName))
})

// newEmptyWorld starts a program without users.
func newEmptyWorld(t testing.TB) *world {
	t.Helper()
	w := unstarted(t)
	w.begin()
	return w
}

func unstarted(t testing.TB, env ...string) *world {
	t.Helper()
	folder := t.TempDir()
	w := &world{TB: t, state: filepath.Join(folder, "state"), log: &log{}}
	w.env = append([]string{
		"DOCKER_HOST=unix://" + filepath.Join(folder, "no.sock"), "STATE_PATH=" + w.state, "CONFIG_PATH=" + folder,
		"WATCH_SERVER_ADDR=127.0.0.1:0", "WATCH_LOGGING_LEVEL=debug", "WATCH_LOGGING_FORMAT=json", "WATCH_SCAN_INTERVAL=24h",
	}, env...)
	return w
}

// begin starts the program until the test ends.
func (w *world) begin() {
	w.Helper()
	w.start()
	w.Cleanup(func() {
		w.stop()
		if w.Failed() && testing.Verbose() {
			w.Log(w.log)
		}
	})
}

func (w *world) start() {
	w.Helper()
	ctx, cancel := context.WithCancel(context.Background()) // it ends in a cleanup, when the test's is over
	s, err := app.NewServer(ctx, app.Program{Environ: w.env, Stderr: w.log}, "")
	if err != nil {
		cancel()
		w.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	w.addr = s.Addr()
	_, port, _ := net.SplitHostPort(w.addr)
	w.host = "localhost:" + port
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := errors.Join(<-ended, s.Close()); err != nil {
			w.Error(err)
		}
	})
}

// restart starts the program again on the same state folder. Its port may change.
func (w *world) restart() {
	w.Helper()
	w.stop()
	w.start()
}

// whileStopped changes the database between two runs.
func (w *world) whileStopped(statement string, args ...any) {
	w.Helper()
	w.stop()
	w.exec(statement, args...)
	w.start()
}

// exec changes the database beside the program.
func (w *world) exec(statement string, args ...any) {
	w.Helper()
	w.query(func(db *sql.DB) error {
		_, err := db.ExecContext(w.Context(), statement, args...)
		return err
	})
}

// query opens the program's database beside it.
func (w *world) query(with func(*sql.DB) error) {
	w.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(w.state, store.FileName)+"?_pragma=busy_timeout(5000)&_pragma=foreign_keys(ON)")
	if err != nil {
		w.Fatal(err)
	}
	if err := errors.Join(with(db), db.Close()); err != nil {
		w.Fatal(err)
	}
}

// signIn is somebody signed in as the owner, who has no factor.
func (w *world) signIn() *client {
	w.Helper()
	return w.signInAs(owner, password)
}

func (w *world) signInAs(user, password string) *client {
	w.Helper()
	c := w.client()
	a := c.login(user, password)
	if a.status != http.StatusOK || a.text("token") == "" {
		w.Fatalf("%s can't sign in: %s", user, a)
	}
	return c
}

// addUser has the owner's fresh session make a user.
func (w *world) addUser(admin *client, name, role string) {
	w.Helper()
	admin.must("POST", "/api/users", map[string]string{"username": name, "password": password, "role": role})
}

// nextAddress is a source address that no client has had: of 127.0.0.0/8, all
// of which is this machine.
var lastAddress atomic.Uint32 //nolint:gochecknoglobals // a counter of the process

func nextAddress() string {
	n := lastAddress.Add(1)
	return fmt.Sprintf("127.%d.%d.%d", 1+n/60_000%250, n/240%250, 1+n%240)
}

// lines are the program's log, a record each.
func (w *world) lines() []string { return strings.Split(strings.TrimSpace(w.log.String()), "\n") }
