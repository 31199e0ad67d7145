package auth_test

import (
	"context"
	"errors"
	"testing"

	"github.com/watch-docker/watch-docker/internal/auth"
	"github.com/watch-docker/watch-docker/internal/store"
)

const newPassword = "another battery"

func TestAPasswordThatIsChangedWhileItIsCheckedSignsNobodyIn(t *testing.T) {
	w := newWorld(t).ann()
	w.AfterNextHash(func() {
		if _, err := w.SetPassword(t.Context(), "ann", newPassword); err != nil {
			t.Error(err)
		}
	})
	if login, err := w.login("ann", password); !errors.Is(err, auth.ErrCredentials) {
		t.Errorf("%+v, %v", login, err)
	}
	if all, err := w.Sessions(t.Context(), "ann"); err != nil || len(all) != 0 {
		t.Errorf("%v, %v", all, err)
	}
}

func TestOfTwoWhoChangeAPasswordAtOnceTheSecondDoesNotUndoTheFirst(t *testing.T) {
	w := newWorld(t).ann()
	id := w.signIn().Identity
	w.AfterNextHash(func() {
		if _, err := w.SetPassword(t.Context(), "ann", newPassword); err != nil {
			t.Error(err)
		}
	})
	if _, err := w.ChangePassword(t.Context(), id, password, "of who knew the old one", here()); !errors.Is(err, auth.ErrCredentials) {
		t.Error(err)
	}
	if _, err := w.login("ann", newPassword); err != nil {
		t.Error(err)
	}
}

// leaving is a store whose client goes away when something has been written.
type leaving struct {
	*store.Store

	leave context.CancelFunc
}

func (l leaving) SetPassword(ctx context.Context, name, hash string) error {
	defer l.leave()
	return l.Store.SetPassword(ctx, name, hash)
}

func (l leaving) ReplacePassword(ctx context.Context, name, old, hash string) (bool, error) {
	defer l.leave()
	return l.Store.ReplacePassword(ctx, name, old, hash)
}

func (l leaving) SetRole(ctx context.Context, name, role string) error {
	defer l.leave()
	return l.Store.SetRole(ctx, name, role)
}

func TestSessionsEndAlsoIfWhoeverChangesSomethingIsGone(t *testing.T) {
	for name, change := range map[string]func(context.Context, *auth.Service, auth.Identity) error{
		"an administrator": func(ctx context.Context, s *auth.Service, _ auth.Identity) error {
			_, err := s.SetPassword(ctx, "ann", newPassword)
			return err
		},
		"the user": func(ctx context.Context, s *auth.Service, id auth.Identity) error {
			_, err := s.ChangePassword(ctx, id, password, newPassword, here())
			return err
		},
		"the role": func(ctx context.Context, s *auth.Service, _ auth.Identity) error {
			return s.SetRole(ctx, "ann", auth.Administrator)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t).ann()
			mine, stolen := w.signIn(), w.signIn()
			ctx, leave := context.WithCancel(t.Context())
			s, err := auth.New(ctx, auth.Dependencies{Store: leaving{w.store, leave}, StateFolder: w.folder, Now: w.now})
			if err != nil {
				t.Fatal(err)
			}
			if err := change(ctx, s, mine.Identity); err != nil {
				t.Error(err)
			}
			w.is(stolen.Token, auth.ErrTokenEnded)
		})
	}
}
