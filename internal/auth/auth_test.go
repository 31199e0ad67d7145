package auth_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/watch-docker/watch-docker/internal/auth"
	"github.com/watch-docker/watch-docker/internal/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const password = "correct horse battery"

type world struct {
	*auth.Service

	t      *testing.T
	store  *store.Store
	folder string
	log    *observer.ObservedLogs

	required atomic.Bool // a second factor is

	mu sync.Mutex
	at time.Time
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, folder: t.TempDir(), at: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	var err error
	if w.store, err = store.Open(t.Context(), w.folder); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.store.Close() })
	w.restart()
	return w
}

func (w *world) restart() {
	w.t.Helper()
	core, log := observer.New(zap.DebugLevel)
	w.log = log
	var err error
	w.Service, err = auth.New(w.t.Context(), auth.Dependencies{Store: w.store, StateFolder: w.folder, Logger: zap.New(core), Now: w.now, Required: w.required.Load})
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.at
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.at = w.at.Add(d)
}

func (w *world) ann() *world {
	w.t.Helper()
	if err := w.FirstUser(w.t.Context(), "ann", password); err != nil {
		w.t.Fatal(err)
	}
	return w
}

func (w *world) login(name, password string) (auth.Login, error) {
	return w.Login(w.t.Context(), auth.LoginRequest{Username: name, Password: password, Client: auth.Client{Address: "192.0.2.1", Device: "test"}})
}

func TestTheFirstUserIsMadeOnce(t *testing.T) {
	w := newWorld(t).ann()
	u, err := w.store.User(t.Context(), "ann")
	if err != nil || u.Role != "admin" || !regexp.MustCompile(`^\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$`).MatchString(u.PasswordHash) {
		t.Errorf("%+v, %v", u, err)
	}
	for name, c := range map[string]struct{ user, password, warning string }{
		"the same":         {"ann", password, ""},
		"another password": {"ann", "another password", "USER_PASSWORD is ignored: the user has been made already, with another password"},
		"another name":     {"bob", password, "USER_NAME is ignored: there are users already, and it is none of them"},
		"none":             {"", "", ""},
	} {
		w.restart()
		if err := w.FirstUser(t.Context(), c.user, c.password); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if all := w.log.FilterLevelExact(zap.WarnLevel).All(); (len(all) == 1) != (c.warning != "") || len(all) == 1 && all[0].Message != c.warning {
			t.Errorf("%s: %v", name, all)
		}
		if again, err := w.store.User(t.Context(), "ann"); err != nil || again != u {
			t.Errorf("%s changed the user: %+v, %v", name, again, err)
		}
	}
	if _, err := w.store.User(t.Context(), "bob"); !errors.Is(err, store.ErrNoUser) {
		t.Errorf("bob: %v", err)
	}
}

func TestWithoutAnyUserItSaysHowToMakeOne(t *testing.T) {
	w := newWorld(t)
	if err := w.FirstUser(t.Context(), "", ""); err != nil {
		t.Fatal(err)
	}
	all := w.log.All()
	if len(all) != 1 || !strings.Contains(all[0].Message, "USER_NAME") || len(fmt.Sprint(all[0].ContextMap()["setupToken"])) < 40 {
		t.Error(all)
	}
}

func TestAUserThatCanNotBeIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		user, password string
		want           error
	}{
		"short password":     {"ann", "1234567", auth.ErrPassword},
		"long password":      {"ann", strings.Repeat("é", 257), auth.ErrPassword},
		"broken password":    {"ann", "12345678\xff", auth.ErrPassword},
		"long name":          {strings.Repeat("a", 65), password, auth.ErrName},
		"space at the end":   {"ann ", password, auth.ErrName},
		"control characters": {"an\nn", password, auth.ErrName},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			if err := w.FirstUser(t.Context(), c.user, c.password); !errors.Is(err, c.want) {
				t.Errorf("got %v", err)
			}
			if has, err := w.store.HasUsers(t.Context()); has || err != nil {
				t.Errorf("HasUsers: %v, %v", has, err)
			}
		})
	}
	w := newWorld(t)
	if err := w.FirstUser(t.Context(), "Änn Smith", strings.Repeat("é", 256)); err != nil {
		t.Error(err)
	}
	if _, err := w.login("Änn Smith", strings.Repeat("é", 256)); err != nil {
		t.Error(err)
	}
}

func TestOnlyTheRightPasswordOfTheRightUserSignsIn(t *testing.T) {
	w := newWorld(t).ann()
	login, err := w.login("ann", password)
	if err != nil || login.Username != "ann" || login.Role != auth.Administrator || !login.ExpiresAt.Equal(w.now().Add(24*time.Hour)) {
		t.Fatalf("%+v, %v", login, err)
	}
	id, err := w.Verify(t.Context(), login.Token)
	if err != nil || id != login.Identity {
		t.Errorf("%+v, %v", id, err)
	}
	session, err := w.store.Session(t.Context(), login.SessionID)
	if err != nil || session.Address != "192.0.2.1" || session.Device != "test" {
		t.Errorf("%+v, %v", session, err)
	}
	for _, c := range [][2]string{{"ann", "wrong"}, {"ann", ""}, {"Ann", password}, {"ann ", password}, {"", ""}, {"bob", password}, {"ann", strings.Repeat("x", 5000)}} {
		if _, err := w.login(c[0], c[1]); !errors.Is(err, auth.ErrCredentials) {
			t.Errorf("%.20q: %v", c, err)
		}
	}
}

func TestAnUnknownUserCostsTheSameHash(t *testing.T) {
	w := newWorld(t).ann()
	var n atomic.Int64
	w.CountHashes(&n)
	for i, c := range [][2]string{{"ann", "wrong password"}, {"nobody", "wrong password"}, {"ann", password}, {"nobody", ""}, {"ann", strings.Repeat("x", 5000)}} {
		_, _ = w.login(c[0], c[1])
		if n.Load() != int64(i+1) {
			t.Errorf("%.30q: %d hashes after %d logins", c, n.Load(), i+1)
		}
	}
}

func TestFewPasswordsAreHashedAtOnceAndNobodyWaitsForEver(t *testing.T) {
	folder := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s, err := auth.New(t.Context(), auth.Dependencies{Store: empty{}, StateFolder: folder})
		if err != nil {
			t.Fatal(err)
		}
		until := make(chan struct{})
		var running, most, busy, wrong atomic.Int64
		s.BlockHashes(until, &running, &most)
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				_, err := s.Login(t.Context(), auth.LoginRequest{Username: fmt.Sprint("user", i), Password: "x"})
				switch {
				case errors.Is(err, auth.ErrBusy):
					busy.Add(1)
				case errors.Is(err, auth.ErrCredentials):
					wrong.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		time.Sleep(time.Minute)
		close(until)
		wg.Wait()
		if most.Load() != auth.HashesAtOnce || wrong.Load() != auth.HashesAtOnce || busy.Load() != 8-auth.HashesAtOnce {
			t.Errorf("%d at once, %d ended, %d were sent away", most.Load(), wrong.Load(), busy.Load())
		}
	})
}

// empty is a store without users; a real one doesn't keep to a bubble's time.
type empty struct{ auth.Store }

func (empty) User(context.Context, string) (store.User, error) { return store.User{}, store.ErrNoUser }
func (empty) Guesses(context.Context) ([]store.Guesses, error) { return nil, nil }

func TestALoginThatIsGivenUpDoesNotCount(t *testing.T) {
	w := newWorld(t).ann()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 20 {
		if _, err := w.Login(ctx, auth.LoginRequest{Username: "ann", Password: "x", Client: auth.Client{Address: "192.0.2.1"}}); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	if _, err := w.login("ann", password); err != nil {
		t.Error(err)
	}
}

func TestATokenCountsAsLongAsItsSession(t *testing.T) {
	w := newWorld(t).ann()
	login, err := w.login("ann", password)
	if err != nil {
		t.Fatal(err)
	}
	w.restart() // the key is the same
	w.pass(24*time.Hour - time.Second)
	if _, err := w.Verify(t.Context(), login.Token); err != nil {
		t.Errorf("a second before its end: %v", err)
	}
	if s, err := w.store.Session(t.Context(), login.SessionID); err != nil || !s.LastUsedAt.Equal(w.now()) {
		t.Errorf("its last use: %+v, %v", s, err)
	}
	w.pass(time.Second)
	if _, err := w.Verify(t.Context(), login.Token); !errors.Is(err, auth.ErrTokenExpired) || !errors.Is(err, auth.ErrToken) {
		t.Errorf("at its end: %v", err)
	}
	second, err := w.login("ann", password)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.store.Session(t.Context(), login.SessionID); !errors.Is(err, store.ErrNoSession) {
		t.Errorf("the expired session is still there: %v", err)
	}
	if err := w.Logout(t.Context(), second.SessionID); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Verify(t.Context(), second.Token); !errors.Is(err, auth.ErrTokenEnded) {
		t.Errorf("after the logout: %v", err)
	}
	for token, want := range map[string]error{"": auth.ErrTokenMalformed, "a.b.c": auth.ErrTokenMalformed, second.Token[:len(second.Token)-4] + "AAAA": auth.ErrTokenForged} {
		if _, err := w.Verify(t.Context(), token); !errors.Is(err, want) {
			t.Errorf("%.10q: %v", token, err)
		}
	}
}

func TestWithAnotherKeyEveryTokenEnds(t *testing.T) {
	w := newWorld(t).ann()
	login, err := w.login("ann", password)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(w.folder, auth.KeyFile)); err != nil {
		t.Fatal(err)
	}
	w.restart()
	if _, err := w.Verify(t.Context(), login.Token); !errors.Is(err, auth.ErrTokenForged) {
		t.Error(err)
	}
}

func TestTheKeyIsMadeOnceAndForItsOwnerAlone(t *testing.T) {
	w := newWorld(t)
	file := filepath.Join(w.folder, auth.KeyFile)
	info, err := os.Stat(file)
	if err != nil || info.Size() != 32 || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info, err)
	}
	left, err := filepath.Glob(filepath.Join(w.folder, ".signing*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	try := func() error {
		_, err := auth.New(t.Context(), auth.Dependencies{Store: w.store, StateFolder: w.folder})
		return err
	}
	for name, c := range map[string]struct {
		change func() error
		says   string
	}{
		"others may read it": {func() error { return os.Chmod(file, 0o644) }, "chmod 600"},
		"too short":          {func() error { return os.WriteFile(file, make([]byte, 31), 0o600) }, "must have 32 bytes and has 31"},
		"too long":           {func() error { return os.WriteFile(file, make([]byte, 33), 0o600) }, "must have 32 bytes and has 33"},
		"a folder":           {func() error { return errors.Join(os.Remove(file), os.Mkdir(file, 0o700)) }, "is a directory"},
	} {
		if err := errors.Join(os.RemoveAll(file), try(), c.change()); err != nil {
			t.Fatal(name, err)
		}
		if err := try(); !errors.Is(err, auth.ErrKey) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := auth.New(t.Context(), auth.Dependencies{Store: w.store, StateFolder: filepath.Join(w.folder, "none")}); !errors.Is(err, fs.ErrNotExist) || !errors.Is(err, auth.ErrKey) {
		t.Errorf("no folder: %v", err)
	}
}

func TestSeveralThatMakeTheKeyAtOnceAgreeOnIt(t *testing.T) {
	w := newWorld(t).ann()
	folder := t.TempDir()
	services := make([]*auth.Service, 8)
	var wg sync.WaitGroup
	for i := range services {
		wg.Go(func() {
			var err error
			if services[i], err = auth.New(t.Context(), auth.Dependencies{Store: w.store, StateFolder: folder, Now: w.now}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	login, err := services[0].Login(t.Context(), auth.LoginRequest{Username: "ann", Password: password})
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range services {
		if _, err := s.Verify(t.Context(), login.Token); err != nil {
			t.Errorf("%d: %v", i, err)
		}
	}
}

func TestRolesIncludeTheOnesBefore(t *testing.T) {
	order := []auth.Role{auth.Viewer, auth.Operator, auth.Administrator}
	for i, r := range order {
		for j, other := range order {
			if r.Covers(other) != (i >= j) {
				t.Errorf("%s covers %s: %v", r, other, r.Covers(other))
			}
		}
		if r.Covers("") || r.Covers("emperor") || auth.Role("").Covers(r) || auth.Role("emperor").Covers(r) {
			t.Errorf("%s and a role that there isn't", r)
		}
	}
}
