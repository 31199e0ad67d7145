package api_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/watch-docker/watch-docker/internal/api"
	"github.com/watch-docker/watch-docker/internal/auth"
)

// claims are those of a token that counts.
func (w *world) claims() auth.Claims {
	w.t.Helper()
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(w.token, ".")[1])
	if err != nil {
		w.t.Fatal(err)
	}
	var c auth.Claims
	if err := json.Unmarshal(payload, &c); err != nil {
		w.t.Fatal(err)
	}
	return c
}

func (w *world) key() []byte {
	w.t.Helper()
	key, err := os.ReadFile(filepath.Join(w.folder, auth.KeyFile))
	if err != nil {
		w.t.Fatal(err)
	}
	return key
}

func signed(t *testing.T, method jwt.SigningMethod, key any, c auth.Claims) string {
	t.Helper()
	token, err := jwt.NewWithClaims(method, c).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestATokenThatIsNotOursOrNotWholeDoesNotCount(t *testing.T) {
	w := newWorld(t).signIn()
	good := w.claims()
	changed := func(change func(*auth.Claims)) auth.Claims { c := good; change(&c); return c }
	parts := strings.Split(w.token, ".")
	hs256, key := jwt.SigningMethodHS256, w.key()
	if a := w.do("GET", "/api/v1/auth/me", bearer(signed(t, hs256, key, good))); a.status != http.StatusOK {
		t.Fatalf("a token made like ours: %s", a)
	}
	for name, token := range map[string]string{
		"another key":     signed(t, hs256, []byte(strings.Repeat("k", 32)), good),
		"an empty key":    signed(t, hs256, []byte{}, good),
		"alg none":        signed(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, good),
		"HS512":           signed(t, jwt.SigningMethodHS512, key, good),
		"HS384":           signed(t, jwt.SigningMethodHS384, key, good),
		"no expiry":       signed(t, hs256, key, changed(func(c *auth.Claims) { c.ExpiresAt = nil })),
		"expired":         signed(t, hs256, key, changed(func(c *auth.Claims) { c.ExpiresAt = jwt.NewNumericDate(time.Now().Add(-time.Second)) })),
		"no session":      signed(t, hs256, key, changed(func(c *auth.Claims) { c.ID = "" })),
		"another session": signed(t, hs256, key, changed(func(c *auth.Claims) { c.ID = "x" })),
		"another user":    signed(t, hs256, key, changed(func(c *auth.Claims) { c.Username = "bob" })),
		"another issuer":  signed(t, hs256, key, changed(func(c *auth.Claims) { c.Issuer = "x" })),
		"a temporary one": signed(t, hs256, key, changed(func(c *auth.Claims) { c.IsTempToken = true })),
		"no signature":    parts[0] + "." + parts[1] + ".",
		"two parts":       parts[0] + "." + parts[1],
		"other claims":    parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"username":"ann"}`)) + "." + parts[2],
		"far too long":    w.token + strings.Repeat("A", 4000),
		"garbage":         "a.b.c",
	} {
		a := w.do("GET", "/api/containers", bearer(token))
		a.is(http.StatusUnauthorized, "unauthorized")
		if !strings.Contains(a.header.Get("WWW-Authenticate"), `error="invalid_token"`) || t.Failed() {
			t.Errorf("%s: %s %v", name, a, a.header)
		}
	}
	w.do("GET", "/api/containers?token="+w.token).is(http.StatusUnauthorized, "unauthorized")
	w.do("GET", "/api/containers?access_token="+w.token).is(http.StatusUnauthorized, "unauthorized")
}

func TestATokenEndsWithItsTimeItsSessionAndItsLogout(t *testing.T) {
	w := newWorld(t).signIn()
	if a := w.as("GET", "/api/v1/auth/me"); a.get("username") != userName || a.get("role") != "admin" || a.get("twoFAVerified") != false {
		t.Errorf("me: %s", a)
	}
	w.pass(auth.TokenLife)
	w.as("GET", "/api/containers").is(http.StatusUnauthorized, "unauthorized")

	w.signIn()
	other := w.token
	w.signIn()
	if a := w.as("POST", "/api/v1/auth/logout"); a.status != http.StatusNoContent || !strings.Contains(a.header.Get("Set-Cookie"), "Max-Age=0") {
		t.Errorf("logout: %s %v", a, a.header)
	}
	w.as("GET", "/api/containers").is(http.StatusUnauthorized, "unauthorized")
	w.token = other
	if a := w.as("GET", "/api/containers"); a.status != http.StatusOK {
		t.Errorf("the other session: %s", a)
	}
	if err := w.store.RemoveSession(t.Context(), w.claims().ID); err != nil {
		t.Fatal(err)
	}
	w.as("GET", "/api/containers").is(http.StatusUnauthorized, "unauthorized")
}

func TestALoginSaysNothingOfWhatWasWrongAndIsSlowedAfterSome(t *testing.T) {
	w := newWorld(t).signIn()
	w.stand() // a busy machine takes longer for a password than the delay
	login := func(user, password string) answer {
		return w.do("POST", "/api/v1/auth/login", body(map[string]string{"username": user, "password": password}))
	}
	unknown, wrong := login("nobody", "x"), login(userName, "x")
	unknown.is(http.StatusUnauthorized, "bad_credentials")
	if unknown.text != wrong.text {
		t.Errorf("an unknown user: %s\na wrong password: %s", unknown, wrong)
	}
	for range 4 {
		login(userName, "x").is(http.StatusUnauthorized, "bad_credentials")
	}
	a := login(userName, password)
	a.is(http.StatusTooManyRequests, "too_many_attempts")
	if seconds, err := strconv.Atoi(a.header.Get("Retry-After")); err != nil || seconds < 1 {
		t.Errorf("Retry-After: %v", a.header)
	}
	w.pass(2 * time.Second)
	if a := login(userName, password); a.status != http.StatusOK {
		t.Errorf("after the delay: %s", a)
	}
	for _, e := range w.log.All() {
		for _, f := range e.Context {
			if strings.Contains(f.String, password) || strings.Contains(f.String, w.token) {
				t.Errorf("a secret is in the log: %v", e)
			}
		}
	}
}

func TestTheCookieIsForBrowsersAlone(t *testing.T) {
	w := newWorld(t).signIn()
	a := w.do("POST", "/api/v1/auth/login", body(map[string]string{"username": userName, "password": password}))
	set := a.header.Get("Set-Cookie")
	for _, part := range []string{"watch-docker=ey", "; Path=/;", "; Max-Age=86400", "; HttpOnly", "; SameSite=Strict"} {
		if !strings.Contains(set, part) {
			t.Errorf("%s isn't in %s", part, set)
		}
	}
	if strings.Contains(set, "Secure") {
		t.Errorf("Secure over plain HTTP: %s", set)
	}
	pair, _, _ := strings.Cut(set, ";")
	if a := w.do("GET", "/api/v1/auth/me", header("Cookie", pair)); a.status != http.StatusOK {
		t.Errorf("by cookie: %s", a)
	}
	// A bearer token counts alone, so that the cookie can't come in behind it.
	w.do("GET", "/api/v1/auth/me", header("Cookie", pair), bearer("x")).is(http.StatusUnauthorized, "unauthorized")
	// What a browser adds for a proxy doesn't sign anybody out, and excuses no change from elsewhere.
	basic := header("Authorization", "Basic YTpi")
	if a := w.do("GET", "/api/v1/auth/me", header("Cookie", pair), basic); a.status != http.StatusOK {
		t.Errorf("by cookie, behind a proxy with Basic: %s", a)
	}
	w.do("POST", "/api/v1/auth/logout", header("Cookie", pair), basic, header("Origin", "https://evil.example")).is(http.StatusForbidden, "cross_origin")
	w.do("GET", "/api/v1/auth/me", header("Cookie", "__Host-"+pair)).is(http.StatusUnauthorized, "unauthorized")
}

func TestOverTLSTheCookieIsBoundToTheHost(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*api.Dependencies)
		proto  string
		secure bool
	}{
		"behind a proxy that is trusted": {func(d *api.Dependencies) { d.TrustedProxies = prefixes("127.0.0.0/8") }, "https", true},
		"behind one that is not":         {func(d *api.Dependencies) { d.TrustedProxies = prefixes("192.0.2.0/24") }, "https", false},
		"trusted, plain":                 {func(d *api.Dependencies) { d.TrustedProxies = prefixes("127.0.0.0/8") }, "http", false},
		"by the public URL":              {func(d *api.Dependencies) { d.BaseURL = parse("https://watch.example") }, "", true},
		"by the public URL, plain":       {func(d *api.Dependencies) { d.BaseURL = parse("http://watch.example") }, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, c.change).signIn()
			a := w.do("POST", "/api/v1/auth/login", body(map[string]string{"username": userName, "password": password}), header("X-Forwarded-Proto", c.proto))
			set := a.header.Get("Set-Cookie")
			if strings.HasPrefix(set, "__Host-watch-docker=") != c.secure || strings.Contains(set, "; Secure") != c.secure {
				t.Error(set)
			}
			pair, _, _ := strings.Cut(set, ";")
			if a := w.do("GET", "/api/v1/auth/me", header("Cookie", pair), header("X-Forwarded-Proto", c.proto)); a.status != http.StatusOK {
				t.Error(a)
			}
		})
	}
}

func TestATokenOfTheYear10000KeepsNobodyFromRemovingItsUser(t *testing.T) {
	w := newWorld(t).signIn()
	if _, err := w.auth.AddUser(t.Context(), "vic", password, auth.Viewer); err != nil {
		t.Fatal(err)
	}
	vic := bearer(w.do("POST", "/api/v1/auth/login", body(map[string]string{"username": "vic", "password": password})).get("token").(string))
	for expires, want := range map[string]int{
		"9999-12-31T23:59:59-12:00": http.StatusUnprocessableEntity, "9999-12-31T23:59:59Z": http.StatusUnprocessableEntity,
		"2000-01-01T00:00:00Z": http.StatusUnprocessableEntity, "2100-01-01T00:00:00Z": http.StatusCreated,
	} {
		if a := w.do("POST", "/api/v1/auth/tokens", vic, body(map[string]string{"name": "x", "scope": "read", "expiresAt": expires})); a.status != want {
			t.Errorf("%s: %s", expires, a)
		}
	}
	if a := w.as("DELETE", "/api/users/vic"); a.status != http.StatusNoContent {
		t.Error(a)
	}
}
