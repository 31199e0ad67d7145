package api_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/watch-docker/watch-docker/internal/api"
	"github.com/watch-docker/watch-docker/internal/auth"
	"github.com/watch-docker/watch-docker/internal/store"
)

// underway is a request that was let in, and whose body the handler waits for.
type underway struct {
	t    *testing.T
	conn net.Conn
	from *bufio.Reader
	body string
}

// begin sends a request but for its body, and returns once that is asked for
// (RFC 9110, 10.1.1): the token was looked at before.
func (w *world) begin(path, token, body string) underway {
	w.t.Helper()
	conn, err := new(net.Dialer).DialContext(w.t.Context(), "tcp", strings.TrimPrefix(w.url, "http://"))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		w.t.Fatal(err)
	}
	_, err = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\n"+
		"Content-Length: %d\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n", path, token, len(body))
	if err != nil {
		w.t.Fatal(err)
	}
	u := underway{w.t, conn, bufio.NewReader(conn), body}
	line, err := u.from.ReadString('\n')
	if err == nil && strings.Contains(line, " 100 ") {
		_, err = u.from.ReadString('\n')
	}
	if err != nil || !strings.Contains(line, " 100 ") {
		w.t.Fatalf("%q, %v", line, err)
	}
	return u
}

// end sends the body and gives the answer.
func (u underway) end() answer {
	u.t.Helper()
	if _, err := u.conn.Write([]byte(u.body)); err != nil {
		u.t.Fatal(err)
	}
	res, err := http.ReadResponse(u.from, nil)
	if err != nil {
		u.t.Fatal(err)
	}
	defer res.Body.Close()
	a := answer{t: u.t, status: res.StatusCode, header: res.Header}
	if err := json.NewDecoder(res.Body).Decode(&a.json); err != nil {
		u.t.Fatal(err)
	}
	text, _ := json.Marshal(a.json)
	a.text = string(text)
	return a
}

func (w *world) code(secret string) string {
	w.t.Helper()
	code, err := totp.GenerateCode(secret, w.now())
	if err != nil {
		w.t.Fatal(err)
	}
	return code
}

func TestARequestCountsForNothingIfItsSessionEndsBeforeItsBody(t *testing.T) {
	w := newWorld(t).signIn()
	secret := w.as("POST", "/api/v1/2fa/setup/otp/init").get("secret").(string)
	stolen := w.token
	all := map[string]underway{
		"a factor":     w.begin("/api/v1/2fa/setup/otp/verify", stolen, `{"code":"`+w.code(secret)+`"}`),
		"an API token": w.begin("/api/v1/auth/tokens", stolen, `{"name":"x","scope":"admin"}`),
		"a user":       w.begin("/api/users", stolen, `{"username":"eve","password":"`+password+`","role":"admin"}`),
		"a password":   w.begin("/api/v1/auth/password", stolen, `{"current":"another one","new":"and yet another"}`),
	}
	if _, err := w.auth.SetPassword(t.Context(), userName, "another one"); err != nil {
		t.Fatal(err)
	}
	for what, u := range all {
		if a := u.end(); a.status != http.StatusUnauthorized || a.get("code") != "unauthorized" {
			t.Errorf("%s: %s", what, a)
		}
	}
	users, err := w.auth.Users(t.Context())
	if err != nil || len(users) != 1 || users[0].HasFactor {
		t.Errorf("%+v, %v", users, err)
	}
	if tokens, err := w.auth.Tokens(t.Context(), userName); err != nil || len(tokens) != 0 {
		t.Errorf("%v, %v", tokens, err)
	}
	if _, err := w.auth.Login(t.Context(), auth.LoginRequest{Username: userName, Password: "another one"}); err != nil {
		t.Error(err)
	}
}

func TestARequestCountsForNoMoreThanTheRoleThatIsLeft(t *testing.T) {
	w := newWorld(t).signIn()
	if _, err := w.auth.AddUser(t.Context(), "vic", password, auth.Operator); err != nil {
		t.Fatal(err)
	}
	id, err := w.auth.Login(t.Context(), auth.LoginRequest{Username: "vic", Password: password})
	if err != nil {
		t.Fatal(err)
	}
	_, token, err := w.auth.MakeToken(t.Context(), id.Identity, "x", auth.Operate, nil)
	if err != nil {
		t.Fatal(err)
	}
	u := w.begin("/api/containers/web/update", token, `{"force":true}`)
	if err := w.auth.SetRole(t.Context(), "vic", auth.Viewer); err != nil {
		t.Fatal(err)
	}
	u.end().is(http.StatusForbidden, "forbidden")
}

// meanwhile is a TwoFA in which something happens before a code is looked at.
type meanwhile struct {
	api.TwoFA

	happens func()
}

func (m meanwhile) FinishOTP(ctx context.Context, user, session, code string, first bool) ([]string, error) {
	m.happens()
	return m.TwoFA.FinishOTP(ctx, user, session, code, first)
}

func (m meanwhile) Disable(ctx context.Context, user, method string) error {
	err := m.TwoFA.Disable(ctx, user, method)
	m.happens()
	<-ctx.Done()
	return err
}

func TestAFactorThatIsRemovedEndsSessionsAlsoIfWhoeverAskedIsGone(t *testing.T) {
	ctx, leave := context.WithCancel(t.Context())
	w := newWorld(t, withAudit, func(d *api.Dependencies) { d.TwoFA = meanwhile{d.TwoFA, leave} }).signIn()
	if _, err := w.store.AddTOTP(t.Context(), store.TOTP{User: userName, Secret: []byte("s"), CreatedAt: w.now()}, store.Enrolment{}); err != nil {
		t.Fatal(err)
	}
	login, err := w.auth.LoginVerified(t.Context(), userName, auth.Client{})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url+"/api/v1/2fa/disable", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	bearer(login.Token)(req)
	if res, err := w.client.Do(req); err == nil {
		_ = res.Body.Close()
		t.Error(res.Status)
	}
	w.server.Close() // once the handler has ended
	if _, err := w.auth.Verify(t.Context(), login.Token); !errors.Is(err, auth.ErrTokenEnded) {
		t.Error(err)
	}
}

func TestASessionWithoutAFactorDoesNotReplaceOneThatHasComeMeanwhile(t *testing.T) {
	own := []byte("the owner's own")
	var w *world
	w = newWorld(t, func(d *api.Dependencies) {
		d.TwoFA = meanwhile{d.TwoFA, func() {
			if _, err := w.store.AddTOTP(t.Context(), store.TOTP{User: userName, Secret: own, CreatedAt: w.now()}, store.Enrolment{}); err != nil {
				t.Error(err)
			}
		}}
	}).signIn()
	secret := w.as("POST", "/api/v1/2fa/setup/otp/init").get("secret").(string)
	w.as("POST", "/api/v1/2fa/setup/otp/verify", body(map[string]string{"code": w.code(secret)})).is(http.StatusForbidden, "second_factor_required")
	if f, err := w.store.Factors(t.Context(), userName); err != nil || f.TOTP == nil || !bytes.Equal(f.TOTP.Secret, own) {
		t.Errorf("%+v, %v", f, err)
	}
}
