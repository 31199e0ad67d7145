package auth_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/watch-docker/watch-docker/internal/auth"
	"github.com/watch-docker/watch-docker/internal/store"
)

func here() auth.Client { return auth.Client{Address: "192.0.2.1", Device: "test"} }

func (w *world) signIn() auth.Login {
	w.t.Helper()
	login, err := w.login("ann", password)
	if err != nil {
		w.t.Fatal(err)
	}
	return login
}

// factor gives ann a second factor.
func (w *world) factor() {
	w.t.Helper()
	if _, err := w.store.AddTOTP(w.t.Context(), store.TOTP{User: "ann", Secret: []byte("s"), CreatedAt: w.now()}, store.Enrolment{}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) is(token string, want error) auth.Identity {
	w.t.Helper()
	id, err := w.Verify(w.t.Context(), token)
	if !errors.Is(err, want) {
		w.t.Errorf("got %v, want %v", err, want)
	}
	return id
}

func TestAPasswordAloneIsATemporarySessionForWhoHasASecondFactor(t *testing.T) {
	w := newWorld(t).ann()
	before := w.signIn()
	if before.Temporary || before.DeviceKey == "" || !w.IsFresh(before.Identity) {
		t.Errorf("without a factor: %+v", before)
	}
	w.factor()
	w.is(before.Token, auth.ErrSecondFactor)
	login := w.signIn()
	id := w.is(login.Token, nil)
	if !id.Temporary || id.TwoFAVerified || w.IsFresh(id) || login.DeviceKey != "" || !login.ExpiresAt.Equal(w.now().Add(15*time.Minute)) {
		t.Errorf("%+v", login)
	}
	w.pass(15 * time.Minute)
	w.is(login.Token, auth.ErrTokenExpired)
}

func TestATemporarySessionIsSpentOnce(t *testing.T) {
	w := newWorld(t).ann()
	w.factor()
	temp := w.signIn()
	var upgraded atomic.Int64
	var full atomic.Pointer[auth.Login]
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			login, err := w.Upgrade(t.Context(), temp.Identity, here())
			switch {
			case err == nil:
				upgraded.Add(1)
				full.Store(&login)
			case !errors.Is(err, auth.ErrTokenEnded):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if upgraded.Load() != 1 {
		t.Fatalf("%d upgrades", upgraded.Load())
	}
	w.is(temp.Token, auth.ErrTokenEnded)
	id := w.is(full.Load().Token, nil)
	if id.Temporary || !id.TwoFAVerified || !w.IsFresh(id) || full.Load().DeviceKey == "" {
		t.Errorf("%+v", id)
	}
}

func TestAProofIsFreshForFiveMinutes(t *testing.T) {
	w := newWorld(t).ann()
	login := w.signIn()
	w.pass(5 * time.Minute)
	if w.IsFresh(w.is(login.Token, nil)) {
		t.Error("still fresh")
	}
	if _, err := w.StepUpPassword(t.Context(), login.Identity, "wrong password", here()); !errors.Is(err, auth.ErrCredentials) {
		t.Error(err)
	}
	until, err := w.StepUpPassword(t.Context(), login.Identity, password, here())
	if err != nil || !until.Equal(w.now().Add(5*time.Minute)) || !w.IsFresh(w.is(login.Token, nil)) {
		t.Errorf("%s, %v", until, err)
	}
	w.factor()
	if _, err := w.StepUpPassword(t.Context(), login.Identity, password, here()); !errors.Is(err, auth.ErrUseFactor) {
		t.Errorf("with a second factor, as the session doesn't know yet: %v", err)
	}
}

func TestAChangedPasswordEndsAllSessionsAndIsNoProofForWhoHasAFactor(t *testing.T) {
	w := newWorld(t).ann()
	w.factor()
	login := func() auth.Login {
		full, err := w.Upgrade(t.Context(), w.signIn().Identity, here())
		if err != nil {
			t.Fatal(err)
		}
		return full
	}
	mine, other := login(), login()
	ended, release := w.Ended(t.Context(), other.SessionID)
	defer release()
	w.pass(6 * time.Minute)
	if _, err := w.ChangePassword(t.Context(), mine.Identity, "wrong password", "another battery", here()); !errors.Is(err, auth.ErrCredentials) {
		t.Error(err)
	}
	for _, bad := range []string{"1234567", "password1", "ann", "PassWord"} {
		if _, err := w.ChangePassword(t.Context(), mine.Identity, password, bad, here()); !errors.Is(err, auth.ErrPassword) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	next, err := w.ChangePassword(t.Context(), mine.Identity, password, "another battery", here())
	if err != nil {
		t.Fatal(err)
	}
	w.is(mine.Token, auth.ErrTokenEnded)
	w.is(other.Token, auth.ErrTokenEnded)
	<-ended
	if id := w.is(next.Token, nil); w.IsFresh(id) || !id.TwoFAVerified {
		t.Errorf("%+v", id)
	}
	if _, err := w.login("ann", password); !errors.Is(err, auth.ErrCredentials) {
		t.Errorf("the old password: %v", err)
	}
	if _, err := w.login("ann", "another battery"); err != nil {
		t.Error(err)
	}
}

func TestAChangedFactorLeavesOneNewSession(t *testing.T) {
	w := newWorld(t).ann()
	first, second := w.signIn(), w.signIn()
	w.factor()
	next, err := w.FactorChanged(t.Context(), first.Identity, true, here())
	if err != nil {
		t.Fatal(err)
	}
	w.is(first.Token, auth.ErrTokenEnded)
	w.is(second.Token, auth.ErrTokenEnded)
	w.is(next.Token, nil)
	if _, err := w.FactorChanged(t.Context(), first.Identity, true, here()); !errors.Is(err, auth.ErrTokenEnded) {
		t.Errorf("by a session that has ended: %v", err)
	}
}

func TestWhereASecondFactorIsRequiredASessionWithoutOneEnds(t *testing.T) {
	w := newWorld(t).ann()
	login := w.signIn()
	w.required.Store(true)
	w.is(login.Token, auth.ErrSecondFactor)
	if temp := w.signIn(); !temp.Temporary || temp.HasFactor {
		t.Errorf("%+v", temp)
	}
	w.required.Store(false)
	w.is(login.Token, nil)
}

func TestAnEndReachesThoseWhoWait(t *testing.T) {
	w := newWorld(t).ann()
	for name, end := range map[string]func(auth.Login) error{
		"logout":        func(l auth.Login) error { return w.Logout(t.Context(), l.SessionID) },
		"revoked":       func(l auth.Login) error { return w.EndSession(t.Context(), "ann", l.SessionID) },
		"all of a user": func(auth.Login) error { _, err := w.EndSessions(t.Context(), "ann"); return err },
		"the key":       func(auth.Login) error { _, err := w.RotateKey(t.Context()); return err },
		"the role":      func(auth.Login) error { return w.SetRole(t.Context(), "ann", auth.Administrator) },
		"the password":  func(auth.Login) error { _, err := w.SetPassword(t.Context(), "ann", password); return err },
		"the own factor": func(l auth.Login) error {
			_, err := w.FactorChanged(t.Context(), l.Identity, false, here())
			return err
		},
	} {
		login := w.signIn()
		ended, release := w.Ended(t.Context(), login.SessionID)
		select {
		case <-ended:
			t.Fatalf("%s: before", name)
		default:
		}
		if err := end(login); err != nil {
			t.Fatal(name, err)
		}
		<-ended
		release()
		again, release := w.Ended(t.Context(), login.SessionID)
		<-again // also for who asks too late
		release()
	}
	if err := w.EndSession(t.Context(), "bob", w.signIn().SessionID); !errors.Is(err, store.ErrNoSession) {
		t.Errorf("somebody else's session: %v", err)
	}
}

func TestARotatedKeyEndsEveryTokenAndOutlivesARestart(t *testing.T) {
	w := newWorld(t).ann()
	old := w.signIn()
	if n, err := w.RotateKey(t.Context()); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	w.is(old.Token, auth.ErrTokenForged)
	next := w.signIn()
	w.restart()
	w.is(next.Token, nil)
	w.is(old.Token, auth.ErrTokenForged)
}

func TestAnAPITokenDoesWhatBothItsScopeAndItsUserMay(t *testing.T) {
	w := newWorld(t).ann()
	if _, err := w.AddUser(t.Context(), "bob", "bob's own password", auth.Operator); err != nil {
		t.Fatal(err)
	}
	bob := auth.Identity{Username: "bob", Role: auth.Operator}
	if _, _, err := w.MakeToken(t.Context(), bob, "x", auth.Admin, nil); !errors.Is(err, auth.ErrScope) {
		t.Errorf("beyond the role: %v", err)
	}
	if _, _, err := w.MakeToken(t.Context(), bob, "x", "root", nil); !errors.Is(err, auth.ErrScope) {
		t.Errorf("no scope: %v", err)
	}
	until := w.now().Add(time.Hour)
	made, token, err := w.MakeToken(t.Context(), bob, "backup", auth.Operate, &until)
	if err != nil {
		t.Fatal(err)
	}
	if id := w.is(token, nil); id.Role != auth.Operator || id.APIToken != "backup" || w.IsFresh(id) {
		t.Errorf("%+v", id)
	}
	ended, release := w.Ended(t.Context(), made.ID)
	defer release()
	if err := w.SetRole(t.Context(), "bob", auth.Viewer); err != nil {
		t.Fatal(err)
	}
	<-ended // what it has open ends with the role
	if id := w.is(token, nil); id.Role != auth.Viewer {
		t.Errorf("after a demotion: %+v", id)
	}
	w.is(token+"x", auth.ErrTokenEnded)
	w.pass(time.Hour)
	w.is(token, auth.ErrTokenExpired)

	_, forever, err := w.MakeToken(t.Context(), bob, "other", auth.Read, nil)
	if err != nil {
		t.Fatal(err)
	}
	all, err := w.Tokens(t.Context(), "bob")
	if err != nil || len(all) != 2 || all[0].Name != "other" || all[1].LastUsedAt == nil {
		t.Errorf("%+v, %v", all, err)
	}
	if err := w.RemoveToken(t.Context(), "ann", all[0].ID); !errors.Is(err, store.ErrNoToken) {
		t.Errorf("by another: %v", err)
	}
	w.is(forever, nil)
	if err := w.RemoveUser(t.Context(), "bob"); err != nil {
		t.Fatal(err)
	}
	w.is(forever, auth.ErrTokenEnded)
}

func TestTheLastAdministratorStays(t *testing.T) {
	w := newWorld(t).ann()
	if _, err := w.AddUser(t.Context(), "ann", password, auth.Viewer); !errors.Is(err, store.ErrUserExists) {
		t.Error(err)
	}
	if err := errors.Join(w.SetRole(t.Context(), "ann", auth.Viewer)); !errors.Is(err, store.ErrLastAdmin) {
		t.Error(err)
	}
	if err := w.RemoveUser(t.Context(), "ann"); !errors.Is(err, store.ErrLastAdmin) {
		t.Error(err)
	}
	if err := w.RemoveUser(t.Context(), "bob"); !errors.Is(err, store.ErrNoUser) {
		t.Error(err)
	}
	if _, err := w.AddUser(t.Context(), "bob", password, auth.Administrator); err != nil {
		t.Fatal(err)
	}
	token := w.signIn().Token
	if err := w.RemoveUser(t.Context(), "ann"); err != nil {
		t.Fatal(err)
	}
	w.is(token, auth.ErrTokenEnded)
}

func TestOfManyWithTheSetupTokenOneIsMade(t *testing.T) {
	w := newWorld(t)
	if err := w.FirstUser(t.Context(), "", ""); err != nil {
		t.Fatal(err)
	}
	token := fmt.Sprint(w.log.All()[0].ContextMap()["setupToken"])
	try := func(token, name string) error {
		_, err := w.Setup(t.Context(), token, auth.LoginRequest{Username: name, Password: password, Client: auth.Client{Address: name}})
		return err
	}
	for _, wrong := range []string{"", "x", token + "x"} {
		if err := try(wrong, "eve"); !errors.Is(err, auth.ErrSetupToken) {
			t.Errorf("%q: %v", wrong, err)
		}
	}
	var wg sync.WaitGroup
	var made atomic.Int64
	for i := range 20 {
		wg.Go(func() {
			switch err := try(token, fmt.Sprint("user", i)); {
			case err == nil:
				made.Add(1)
			case !errors.Is(err, auth.ErrSetUp) && !errors.Is(err, auth.ErrBusy) && !errors.Is(err, auth.ErrSetupToken):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if all, err := w.Users(t.Context()); made.Load() != 1 || len(all) != 1 || err != nil {
		t.Errorf("%d made, %d there, %v", made.Load(), len(all), err)
	}
	if err := try(token, "late"); !errors.Is(err, auth.ErrSetUp) {
		t.Error(err)
	}
}

func TestADeviceThatIsKnownHasGuessesOfItsOwn(t *testing.T) {
	w := newWorld(t).ann()
	key := w.signIn().DeviceKey
	for i := range 40 { // strangers, from everywhere and from the owner's own network
		_ = w.Attempt("ann", fmt.Sprintf("198.51.100.%d", i))
		_ = w.Attempt("ann", here().Address)
	}
	if _, err := w.login("ann", password); err == nil {
		t.Fatal("the account isn't slowed")
	}
	mine := auth.LoginRequest{Username: "ann", Password: password, Client: auth.Client{Address: here().Address, DeviceKey: key}}
	login, err := w.Login(t.Context(), mine)
	if err != nil || login.DeviceKey != key {
		t.Errorf("%q, %v", login.DeviceKey, err)
	}
	wrong := mine
	wrong.Password = "wrong password"
	var throttled *auth.ThrottledError
	for range 10 {
		if _, err := w.Login(t.Context(), wrong); !errors.Is(err, auth.ErrCredentials) {
			t.Fatal(err)
		}
	}
	if _, err := w.Login(t.Context(), mine); !errors.As(err, &throttled) {
		t.Errorf("the device isn't slowed: %v", err)
	}
	if _, err := w.SetPassword(t.Context(), "ann", password); err != nil {
		t.Fatal(err)
	}
	w.pass(time.Second)
	_ = w.Attempt("ann", "198.51.100.99")
	if _, err := w.Login(t.Context(), mine); !errors.As(err, &throttled) {
		t.Errorf("the device is known after a reset: %v", err)
	}
}

func TestARightPasswordBuysNoGuessesAtTheFactor(t *testing.T) {
	w := newWorld(t).ann()
	guess := func() error {
		_, err := w.Guess(t.Context(), auth.GuessFactor, "ann", auth.Client{})
		return err
	}
	var longest time.Duration
	for range 30 {
		w.signIn()
		d := wait(t, guess())
		longest = max(longest, d)
		w.pass(d)
	}
	if longest != time.Hour {
		t.Errorf("the longest delay is %s", longest)
	}
}

func TestARestartForgivesNothing(t *testing.T) {
	w := newWorld(t).ann()
	for range 8 {
		_ = w.Attempt("ann", "")
		w.pass(time.Minute)
	}
	before := wait(t, errors.Join(w.Attempt("ann", ""), w.Attempt("ann", "")))
	w.Save(t.Context())
	w.restart()
	if after := wait(t, w.Attempt("ann", "")); after == 0 || after != before {
		t.Errorf("%s before, %s after", before, after)
	}
	w.pass(time.Minute)
	w.signIn()
	w.Save(t.Context())
	w.restart()
	if d := wait(t, w.Attempt("ann", "")); d > 0 {
		t.Errorf("after a right one: %s", d)
	}
}

func TestRunSavesGuessesAtItsEnd(t *testing.T) {
	w := newWorld(t).ann()
	for range 5 {
		_ = w.Attempt("ann", "")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	w.restart()
	if d := wait(t, w.Attempt("ann", "")); d == 0 {
		t.Error("forgotten")
	}
}
