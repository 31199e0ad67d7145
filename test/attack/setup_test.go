package attack_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/watch-docker/watch-docker/test/testbed"
)

const setupPath = "/api/v1/auth/setup"

// setupToken reads it where its owner does: in the log.
func (w *world) setupToken() string {
	w.Helper()
	var token string
	testbed.Eventually(w, patience, func() error {
		for _, line := range w.lines() {
			var record struct{ SetupToken string }
			if json.Unmarshal([]byte(line), &record) == nil && record.SetupToken != "" {
				token = record.SetupToken
				return nil
			}
		}
		return errText("no set-up token in " + w.log.String())
	})
	return token
}

func setUp(token, user string) map[string]string {
	return map[string]string{"setupToken": token, "username": user, "password": password}
}

func TestOfTwentyWhoSetUpAtOnceOneBecomesTheAdministrator(t *testing.T) {
	t.Parallel()
	w := newEmptyWorld(t)
	token := w.setupToken()
	clients := make([]*client, 20)
	for i := range clients {
		clients[i] = w.client()
	}
	answers := atOnce(len(clients), func(i int) answer { return clients[i].do("POST", setupPath, setUp(token, fmt.Sprint("user", i))) })
	winner := -1
	for i, a := range answers {
		switch {
		case a.status >= 500 && a.status != http.StatusServiceUnavailable:
			t.Errorf("client %d: %s", i, a)
		case a.status >= 300:
		case winner >= 0:
			t.Errorf("clients %d and %d both became administrator", winner, i)
		default:
			winner = i
		}
	}
	if winner < 0 {
		t.Fatalf("nobody became administrator: %v", answers)
	}
	c := clients[winner]
	c.keep(answers[winner])
	users, _ := c.must("GET", "/api/users", nil).get("users").([]any)
	if len(users) != 1 {
		t.Errorf("there are %d users: %v", len(users), users)
	}
	// Once there is a user, the token is of no use any more; nor after a restart.
	late := w.client().do("POST", setupPath, setUp(token, "late"))
	if late.status < 400 || late.status >= 500 {
		t.Errorf("the set-up token a second time: %s", late)
	}
	w.restart()
	late = w.client().do("POST", setupPath, setUp(token, "late"))
	if late.status < 400 || late.status >= 500 {
		t.Errorf("the set-up token after a restart: %s", late)
	}
}

func TestTheSetUpTokenCantBeGuessed(t *testing.T) {
	t.Parallel()
	w := newEmptyWorld(t)
	token := w.setupToken()
	if len(token) < 20 {
		t.Errorf("the set-up token %q is short", token)
	}
	c := w.client()
	n := 0
	slowDown(t, 10, func() answer {
		n++
		return c.do("POST", setupPath, setUp(strings.Repeat(string(rune('a'+n)), len(token)), "eve"))
	})
	slowed(t, c.do("POST", setupPath, setUp(token, "eve")))
	for _, guess := range []string{"", token[:len(token)-1], token + "x", strings.ToUpper(token)} {
		if a := w.client().do("POST", setupPath, setUp(guess, "eve")); guess != token && (a.status < 400 || a.status >= 500) {
			t.Errorf("the set-up token %q instead of %q: %s", guess, token, a)
		}
	}
	w.client().must("POST", setupPath, setUp(token, owner)) // somebody else still can
}

func TestThereIsNoAccountThatNobodyMade(t *testing.T) {
	t.Parallel()
	w := newEmptyWorld(t)
	for _, name := range []string{"admin", "root", "administrator", "watch-docker", ""} {
		for _, guess := range []string{"admin", "password", "", name} {
			if a := w.client().login(name, guess); a.status < 400 || a.status >= 500 {
				t.Errorf("signing in as %q with %q: %s", name, guess, a)
			}
		}
	}
	w.everyRouteNeedsAToken(w.client())
}
