package attack_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/watch-docker/watch-docker/internal/auth"
)

// claimsOf reads a token as anybody can.
func claimsOf(t testing.TB, token string) jwt.MapClaims {
	t.Helper()
	claims := jwt.MapClaims{}
	if _, _, err := jwt.NewParser().ParseUnverified(token, claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

// changed are the claims with some of them otherwise; nil takes one out.
func changed(claims jwt.MapClaims, with map[string]any) jwt.MapClaims {
	claims = maps.Clone(claims)
	for name, value := range with {
		claims[name] = value
		if value == nil {
			delete(claims, name)
		}
	}
	return claims
}

// byHand makes a token with any header and signature.
func byHand(t testing.TB, header, claims any, signature string) string {
	t.Helper()
	part := func(v any) string {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(text)
	}
	return part(header) + "." + part(claims) + "." + signature
}

func signed(t testing.TB, method jwt.SigningMethod, claims jwt.Claims, key any) string {
	t.Helper()
	token, err := jwt.NewWithClaims(method, claims).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// rejected checks that a token opens nothing.
func (w *world) rejected(what, token string) {
	w.Helper()
	for _, path := range []string{"/api/v1/auth/me", "/api/config", "/api/v1/2fa/status"} {
		if a := w.client().with(token).do("GET", path, nil); a.status != http.StatusUnauthorized {
			w.Errorf("%s, at %s: %s", what, path, a)
		}
	}
}

func TestATokenWithoutASignatureIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token := w.signIn().token
	claims := claimsOf(t, token)
	parts := strings.Split(token, ".")
	for _, alg := range []string{"none", "None", "NONE", "nOnE", "none ", "", "null", "HS256 ", "hs256"} {
		w.rejected("alg "+alg, byHand(t, map[string]string{"alg": alg, "typ": "JWT"}, claims, ""))
		w.rejected("alg "+alg+", signed", byHand(t, map[string]string{"alg": alg, "typ": "JWT"}, claims, parts[2]))
	}
	w.rejected("no alg", byHand(t, map[string]string{"typ": "JWT"}, claims, parts[2]))
	w.rejected("HS256 without a signature", parts[0]+"."+parts[1]+".")
	w.rejected("two parts", parts[0]+"."+parts[1])
	w.rejected("library's none", signed(t, jwt.SigningMethodNone, claims, jwt.UnsafeAllowNoneSignatureType))
}

func TestATokenByAnotherAlgorithmIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	claims := claimsOf(t, w.signIn().token)
	ours, err := os.ReadFile(filepath.Join(w.state, auth.KeyFile))
	if err != nil {
		t.Fatal(err)
	}
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	w.rejected("RS256", signed(t, jwt.SigningMethodRS256, claims, private))
	w.rejected("PS256", signed(t, jwt.SigningMethodPS256, claims, private))
	w.rejected("ES256", signed(t, jwt.SigningMethodES256, claims, curve))
	w.rejected("HS256 by a public key", signed(t, jwt.SigningMethodHS256, claims, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})))
	// Our own key doesn't make another algorithm good.
	w.rejected("HS384", signed(t, jwt.SigningMethodHS384, claims, ours))
	w.rejected("HS512", signed(t, jwt.SigningMethodHS512, claims, ours))
	// What a header says of keys is never followed.
	header := map[string]any{
		"alg": "HS256", "typ": "JWT", "kid": "../../../../dev/null", "jku": "http://127.0.0.1:1/keys",
		"jwk": map[string]string{"kty": "oct", "k": ""}, "x5u": "http://127.0.0.1:1/cert",
	}
	unsigned := strings.TrimSuffix(byHand(t, header, claims, ""), ".")
	mac := hmac.New(sha256.New, nil)
	mac.Write([]byte(unsigned))
	w.rejected("a key named by the header", unsigned+"."+base64.RawURLEncoding.EncodeToString(mac.Sum(nil)))
}

func TestATokenSignedByAnotherKeyIsRefused(t *testing.T) {
	t.Parallel()
	w, other := newWorld(t), newWorld(t)
	claims := claimsOf(t, w.signIn().token)
	for name, key := range map[string][]byte{"zeros": make([]byte, 32), "empty": {}, "a guess": []byte("secret")} {
		w.rejected(name, signed(t, jwt.SigningMethodHS256, claims, key))
	}
	w.rejected("another installation's", other.signIn().token)
}

// Whatever a token says, what the store says of its session counts. Not even
// our key makes more of it.
func TestATokenIsNoMoreThanItsSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.signIn()
	w.addUser(ann, "bob", "viewer")
	bob := w.signInAs("bob", password)
	ann.enrolTOTP()
	temporary := w.temporary(owner)
	key, err := os.ReadFile(filepath.Join(w.state, auth.KeyFile))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	full, temp := claimsOf(t, bob.token), claimsOf(t, temporary.token)
	for name, claims := range map[string]jwt.MapClaims{
		"expired":              changed(full, map[string]any{"exp": now.Add(-time.Hour).Unix()}),
		"without an end":       changed(full, map[string]any{"exp": nil}),
		"issued in the future": changed(full, map[string]any{"iat": now.Add(time.Hour).Unix()}),
		"not yet valid":        changed(full, map[string]any{"nbf": now.Add(time.Hour).Unix()}),
		"another issuer":       changed(full, map[string]any{"iss": "somebody"}),
		"no issuer":            changed(full, map[string]any{"iss": nil}),
		"another user":         changed(full, map[string]any{"username": owner, "sub": owner}),
		"no user":              changed(full, map[string]any{"username": "", "sub": ""}),
		"no session":           changed(full, map[string]any{"jti": nil}),
		"a made-up session":    changed(full, map[string]any{"jti": "AAAAAAAAAAAAAAAAAAAAAA"}),
		"temporary as full":    changed(temp, map[string]any{"isTempToken": false}),
		"and as verified":      changed(temp, map[string]any{"isTempToken": false, "twoFAVerified": true}),
	} {
		w.rejected(name, signed(t, jwt.SigningMethodHS256, claims, key))
	}
	// Without the key, claims can't be changed at all.
	parts := strings.Split(temporary.token, ".")
	flipped := byHand(t, map[string]string{"alg": "HS256", "typ": "JWT"}, changed(temp, map[string]any{"isTempToken": false}), parts[2])
	w.rejected("flipped claims under the old signature", flipped)
	if a := temporary.do("GET", "/api/v1/auth/me", nil); a.status != http.StatusUnauthorized {
		t.Errorf("the temporary token itself: %s", a)
	}
}

func TestATokenEndsWithLogout(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, other := w.signIn(), w.signIn()
	stolen := c.token
	c.must("POST", "/api/v1/auth/logout", nil)
	w.rejected("after logout", stolen)
	if !other.alive() {
		t.Error("a logout ended another session")
	}
	// From elsewhere, by the list of sessions.
	list := w.signIn()
	id := claimsOf(t, other.token)["jti"].(string)
	list.must("DELETE", "/api/v1/auth/sessions/"+id, nil)
	w.rejected("after its session was ended", other.token)
	w.restart()
	w.rejected("after a restart", stolen)
}

func TestEveryTokenEndsWithAChangedPassword(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, other := w.signIn(), w.signIn()
	a := c.must("POST", "/api/v1/auth/password", map[string]string{"current": password, "new": "a quite different one"})
	w.rejected("another session", other.token)
	w.rejected("the asking session's old token", c.token)
	refused(t, w.client().login(owner, password), http.StatusUnauthorized, "bad_credentials")
	if w.client().login(owner, "a quite different one").text("token") == "" {
		t.Errorf("the new password doesn't work (the change was answered with %s)", a)
	}
}

func TestEveryTokenEndsWithAChangedFactor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stolen := w.signIn()
	ann := w.signIn()
	before := ann.token
	ann.enrolTOTP()
	w.rejected("another session, after a factor was added", stolen.token)
	w.rejected("the asking session's old token", before)
	before = ann.token
	ann.must("POST", "/api/v1/2fa/disable", map[string]string{})
	w.rejected("after the factor was disabled", before)
}

func TestATokenOfAUserWhoIsGoneOrDemotedCountsForNoMore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.signIn()
	w.addUser(ann, "bob", "admin")
	w.addUser(ann, "eve", "admin")
	bob, eve := w.signInAs("bob", password), w.signInAs("eve", password)
	forEve := eve.with(eve.must("POST", "/api/v1/auth/tokens", map[string]string{"name": "x", "scope": "admin"}).text("token"))
	if a := forEve.do("GET", "/api/config", nil); a.status != http.StatusOK {
		t.Fatalf("an administrator's token: %s", a)
	}
	ann.must("DELETE", "/api/users/bob", nil)
	w.rejected("a user who is gone", bob.token)
	ann.must("PATCH", "/api/users/eve", map[string]string{"role": "viewer"})
	if a := eve.do("GET", "/api/config", nil); a.status != http.StatusForbidden && a.status != http.StatusUnauthorized {
		t.Errorf("an administrator who is one no more: %s", a)
	}
	if a := forEve.do("GET", "/api/config", nil); a.status != http.StatusForbidden && a.status != http.StatusUnauthorized {
		t.Errorf("the API token of an administrator who is one no more: %s", a)
	}
	// One of the same name, made again, isn't the old one.
	w.addUser(ann, "bob", "admin")
	w.rejected("the token of an earlier user of that name", bob.token)
	ann.must("DELETE", "/api/users/eve", nil)
	w.rejected("the API token of a user who is gone", forEve.token)
}

// A body may be held back for ten seconds. What was let in before a session
// ended isn't done after it.
func TestARequestThatIsHeldBackEndsWithItsSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.signIn()
	w.addUser(ann, "eve", "admin")
	w.addUser(ann, "bob", "viewer")
	eve, thief := w.signInAs("eve", password), w.signIn()
	promoted := eve.hold("/api/users", map[string]string{"username": "mallory", "password": password, "role": "admin"})
	token := thief.hold("/api/v1/auth/tokens", map[string]string{"name": "x", "scope": "admin"})
	ann.must("PATCH", "/api/users/eve", map[string]string{"role": "viewer"})
	ann.must("DELETE", "/api/v1/auth/sessions/"+claimsOf(t, thief.token)["jti"].(string), nil)
	for what, release := range map[string]func() answer{"a user made by somebody demoted": promoted, "an API token of a session that was ended": token} {
		if a := release(); a.status != http.StatusUnauthorized && a.status != http.StatusForbidden {
			t.Errorf("%s: %s", what, a)
		}
	}
	if users := ann.must("GET", "/api/users", nil); strings.Contains(users.body, "mallory") {
		t.Errorf("somebody who was demoted has made a user: %s", users)
	}
}

func TestATokenCountsOnlyInTheHeaderOrTheCookie(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token := w.signIn().token
	c := w.client()
	for _, path := range []string{
		"/api/v1/auth/me?token=" + token, "/api/v1/auth/me?access_token=" + token, "/api/v1/auth/me?auth=Bearer%20" + token, "/api/v1/auth/me?jwt=" + token,
		"/api/containers?token=" + token, "/api/v1/auth/me;token=" + token, "/api/v1/auth/me/" + token, "/api/v1/auth/me%23" + token,
		"/api/events/ws?token=" + token, "/api/events/ws?access_token=" + token,
	} {
		if a := c.do("GET", path, nil); a.status != http.StatusUnauthorized && a.status != http.StatusNotFound && a.status != http.StatusUnprocessableEntity {
			t.Errorf("%s: %s", strings.ReplaceAll(path, token, "TOKEN"), a)
		}
	}
	for name, value := range map[string]string{
		"X-Auth-Token": token, "X-Access-Token": token, "Token": token, "Proxy-Authorization": "Bearer " + token, "X-Forwarded-User": owner,
		"Remote-User": owner, "Authorization": "Basic " + base64.StdEncoding.EncodeToString([]byte(owner+":"+password)), "Sec-WebSocket-Protocol": token,
		"Cookie": "token=" + token + "; jwt=" + token,
	} {
		if a := c.do("GET", "/api/v1/auth/me", nil, header(name, value)); a.status != http.StatusUnauthorized {
			t.Errorf("a token in %s: %s", name, a)
		}
	}
	if a := c.ask("GET "+events, strings.NewReplacer(), header("Sec-WebSocket-Protocol", "bearer, "+token)); a.status != http.StatusUnauthorized {
		t.Errorf("a token as the socket's protocol: %s", a)
	}
	if strings.Contains(w.log.String(), token) {
		t.Error("the log has a token that stood in a URL")
	}
}
