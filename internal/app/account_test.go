package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/watch-docker/watch-docker/internal/auth"
	"github.com/watch-docker/watch-docker/internal/store"
)

const oldPassword, newPassword = "correct horse battery", "staple of horses"

// state is a state folder with users, and no server.
type state struct {
	t      *testing.T
	folder string
}

func newState(t *testing.T, users ...string) *state {
	t.Helper()
	s := &state{t: t, folder: filepath.Join(t.TempDir(), "state")}
	s.with(func(st *store.Store, a *auth.Service) {
		for _, u := range users {
			if _, err := a.AddUser(t.Context(), u, oldPassword, auth.Administrator); err != nil {
				t.Fatal(err)
			}
		}
	})
	return s
}

func (s *state) with(do func(*store.Store, *auth.Service)) {
	s.t.Helper()
	st, err := store.Open(s.t.Context(), s.folder)
	if err != nil {
		s.t.Fatal(err)
	}
	a, err := auth.New(s.t.Context(), auth.Dependencies{Store: st, StateFolder: s.folder})
	if err != nil {
		s.t.Fatal(err)
	}
	do(st, a)
	if err := st.Close(); err != nil {
		s.t.Fatal(err)
	}
}

func (s *state) login(password string) (token string, err error) {
	s.t.Helper()
	s.with(func(_ *store.Store, a *auth.Service) {
		var l auth.Login
		l, err = a.Login(s.t.Context(), auth.LoginRequest{Username: "ann", Password: password})
		token = l.Token
	})
	return token, err
}

func (s *state) verify(token string) (err error) {
	s.t.Helper()
	s.with(func(_ *store.Store, a *auth.Service) { _, err = a.Verify(s.t.Context(), token) })
	return err
}

// run is the program without a server.
func (s *state) run(stdin io.Reader, args ...string) (stdout, stderr string, code int) {
	s.t.Helper()
	var out, errs bytes.Buffer
	p := Program{Args: args, Environ: []string{"STATE_PATH=" + s.folder, "CONFIG_PATH=" + s.t.TempDir()}, Stdin: stdin, Stdout: &out, Stderr: &errs}
	code = p.Run(s.t.Context())
	return out.String(), errs.String(), code
}

// recorded are the entries of the audit log, oldest first.
func (s *state) recorded() (lines []string) {
	s.t.Helper()
	s.with(func(st *store.Store, _ *auth.Service) {
		all, err := st.Audit(s.t.Context(), store.AuditFilter{})
		if err != nil {
			s.t.Fatal(err)
		}
		for _, e := range all {
			lines = append([]string{fmt.Sprintf("%s|%s|%s|%s|%s|%s", e.User, e.Via, e.Action, e.Target, e.Result, e.Detail)}, lines...)
		}
	})
	return lines
}

func TestSetPasswordEndsTheSessionsAndLeavesTheTokens(t *testing.T) {
	s := newState(t, "ann", "bob")
	token, err := s.login(oldPassword)
	if err != nil {
		t.Fatal(err)
	}
	s.with(func(_ *store.Store, a *auth.Service) {
		id, err := a.Verify(t.Context(), token)
		if err != nil {
			t.Fatal(err)
		}
		soon := time.Now().Add(time.Millisecond)
		for name, expires := range map[string]*time.Time{"backup": nil, "expired": &soon} {
			if _, _, err := a.MakeToken(t.Context(), id, name, "read", expires); err != nil {
				t.Fatal(err)
			}
		}
	})
	stdout, stderr, code := s.run(strings.NewReader(newPassword+"\r\nwhat follows\n"), "set-password", "ann")
	if want := "ann has a new password. 1 session was ended. 1 API token of ann still counts.\n"; code != ExitOK || stdout != want || stderr != "" {
		t.Errorf("exit %d, %q, %q", code, stdout, stderr)
	}
	if err := s.verify(token); !errors.Is(err, auth.ErrTokenEnded) {
		t.Errorf("the session: %v", err)
	}
	if _, err := s.login(oldPassword); !errors.Is(err, auth.ErrCredentials) {
		t.Errorf("the old password: %v", err)
	}
	if _, err := s.login(newPassword); err != nil {
		t.Errorf("the new password: %v", err)
	}
	if diff := cmp.Diff([]string{"|command line|setPassword|ann|ok|sessions ended: 1"}, s.recorded()); diff != "" {
		t.Error(diff)
	}
}

func TestResetTwoFARemovesAllFactors(t *testing.T) {
	s := newState(t, "ann")
	s.with(func(st *store.Store, _ *auth.Service) {
		at := time.Now().UTC()
		if _, err := st.AddTOTP(t.Context(), store.TOTP{User: "ann", Secret: []byte("secret"), CreatedAt: at}, store.Enrolment{}); err != nil {
			t.Fatal(err)
		}
	})
	for _, want := range []string{
		"ann has no second factor any more. 0 sessions were ended.\n",
		"ann had no second factor. 0 sessions were ended.\n",
	} {
		stdout, stderr, code := s.run(nil, "reset-2fa", "ann")
		if code != ExitOK || stdout != want || stderr != "" {
			t.Errorf("exit %d, %q, %q", code, stdout, stderr)
		}
	}
	s.with(func(st *store.Store, _ *auth.Service) {
		if u, err := st.User(t.Context(), "ann"); err != nil || u.HasFactor {
			t.Errorf("%+v, %v", u, err)
		}
	})
	if diff := cmp.Diff([]string{"|command line|resetTwoFA|ann|ok|sessions ended: 0", "|command line|resetTwoFA|ann|ok|sessions ended: 0"}, s.recorded()); diff != "" {
		t.Error(diff)
	}
}

func TestRotateKeyEndsAllSessions(t *testing.T) {
	s := newState(t, "ann")
	token, err := s.login(oldPassword)
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(filepath.Join(s.folder, auth.KeyFile))
	if err != nil {
		t.Fatal(err)
	}
	stdout, stderr, code := s.run(nil, "rotate-key")
	if want := "The signing key is a new one. 1 session was ended; everybody has to sign in again. API tokens still count.\n"; code != ExitOK || stdout != want || stderr != "" {
		t.Errorf("exit %d, %q, %q", code, stdout, stderr)
	}
	after, err := os.ReadFile(filepath.Join(s.folder, auth.KeyFile))
	if err != nil || len(after) != len(before) || bytes.Equal(before, after) {
		t.Errorf("the key is the same, or none: %v", err)
	}
	if err := s.verify(token); !errors.Is(err, auth.ErrToken) {
		t.Errorf("the session: %v", err)
	}
	if _, err := s.login(oldPassword); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"|command line|rotateKey||ok|sessions ended: 1"}, s.recorded()); diff != "" {
		t.Error(diff)
	}
}

func TestWhatAnAccountCommandRefuses(t *testing.T) {
	s := newState(t, "bob", "ann")
	for name, c := range map[string]struct {
		stdin string
		args  []string
		code  int
		says  string
	}{
		"no user":               {"", []string{"set-password"}, ExitUsage, "takes the name of one user"},
		"two users":             {"", []string{"reset-2fa", "ann", "bob"}, ExitUsage, "takes the name of one user"},
		"a user for the key":    {"", []string{"rotate-key", "ann"}, ExitUsage, "takes no user"},
		"an unknown flag":       {"", []string{"rotate-key", "-now"}, ExitUsage, "-now"},
		"an unknown user":       {newPassword, []string{"set-password", "sesame"}, ExitFailed, "no such user: sesame; there are: ann, bob"},
		"no such user to reset": {"", []string{"reset-2fa", "Ann"}, ExitFailed, "no such user: Ann; there are: ann, bob"},
		"a short password":      {"1234567", []string{"set-password", "ann"}, ExitFailed, "8 to 256 characters"},
		"a common password":     {"Password1", []string{"set-password", "ann"}, ExitFailed, "none of the commonest"},
		"an empty line":         {"\n" + newPassword, []string{"set-password", "ann"}, ExitFailed, "holds no password"},
		"an empty input":        {"", []string{"set-password", "ann"}, ExitFailed, "holds no password"},
	} {
		stdout, stderr, code := s.run(strings.NewReader(c.stdin), c.args...)
		if code != c.code || !strings.Contains(stderr, c.says) || stdout != "" {
			t.Errorf("%s: exit %d, %q, %q", name, code, stdout, stderr)
		}
	}
	if _, stderr, code := s.run(nil, "set-password", "ann"); code != ExitFailed || !strings.Contains(stderr, "no standard input") {
		t.Errorf("without any input: exit %d, %q", code, stderr)
	}
	if _, err := s.login(oldPassword); err != nil {
		t.Errorf("the password was changed: %v", err)
	}
	all := strings.Join(s.recorded(), "\n")
	if strings.Contains(all, "sesame") || !strings.Contains(all, "|setPassword||refused|no such user") || !strings.Contains(all, "|setPassword|ann|refused|not a good password") {
		t.Errorf("recorded: %s", all)
	}
	if _, stderr, code := newState(t).run(nil, "reset-2fa", "ann"); code != ExitFailed || !strings.Contains(stderr, "no such user: ann; there is none at all yet") {
		t.Errorf("without users: exit %d, %q", code, stderr)
	}
}

func TestAnAccountCommandDoesNotWorkBesideAnotherOwner(t *testing.T) {
	s := newState(t, "ann")
	owner, err := store.Own(s.folder)
	if err != nil {
		t.Fatal(err)
	}
	defer owner.Close()
	if _, stderr, code := s.run(nil, "rotate-key"); code != ExitFailed || !strings.Contains(stderr, store.ErrOwned.Error()) {
		t.Errorf("exit %d: %s", code, stderr)
	}
}

func TestAnInterruptEndsAnAccountCommand(t *testing.T) {
	s := newState(t, "ann")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var errs bytes.Buffer
	code := Program{Args: []string{"reset-2fa", "ann"}, Environ: []string{"STATE_PATH=" + s.folder}, Stderr: &errs, Stdout: io.Discard}.Run(ctx)
	if code != ExitFailed || errs.String() != "watch-docker: interrupted\n" {
		t.Errorf("exit %d: %s", code, &errs)
	}
}
