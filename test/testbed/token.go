package testbed

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	tokenIssuer  = "watch-docker-testbed"
	tokenService = "testbed-registry"
	// PublicPrefix begins the repositories that anybody may pull from the
	// registries with token authentication. All else there is for [Username].
	PublicPrefix = "public/"
	// Username is the one user of the registries with token authentication.
	Username = "demo"
)

// TokenBehaviour says in what way a token server differs from a plain one.
// The zero value is a plain one, which grants what is asked and allowed.
type TokenBehaviour struct {
	// FirstScopeOnly grants the first of several scopes and leaves out the
	// others, as registries do that hold with one repository for a token.
	FirstScopeOnly bool
	// Lifetime of the tokens; 0 is five minutes.
	Lifetime time.Duration
	// OnlyField is "token" or "access_token" for a server that names its
	// token by one of them; empty answers both.
	OnlyField string
}

// A TokenServer gives out tokens for one registry, as the distribution
// project's token specification has it (GET with Basic, POST with an OAuth2
// password grant). It records requests and takes faults as a [Registry] does.
type TokenServer struct {
	*front
	password string
	cert     *x509.Certificate
	key      *ecdsa.PrivateKey

	behaviourMu sync.Mutex
	behaviour   TokenBehaviour
}

func (b *Bed) startTokenServer(ctx context.Context, cert *tls.Config) (*TokenServer, error) {
	s := &TokenServer{password: rand.Text()}
	var err error
	if s.cert, s.key, err = b.ca.signer(); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /token", s.get)
	mux.HandleFunc("POST /token", s.post)
	s.front = newFront(mux, cert)
	if err := s.listen(ctx); err != nil {
		return nil, err
	}
	return s, b.addFront(ctx, s.front)
}

// Realm is the URL that the registry's challenge names.
func (s *TokenServer) Realm() string { return s.scheme() + "://" + s.addr + "/token" }

// SetBehaviour changes how the server answers from now on.
func (s *TokenServer) SetBehaviour(b TokenBehaviour) {
	s.behaviourMu.Lock()
	defer s.behaviourMu.Unlock()
	s.behaviour = b
}

func (s *TokenServer) currentBehaviour() TokenBehaviour {
	s.behaviourMu.Lock()
	defer s.behaviourMu.Unlock()
	b := s.behaviour
	if b.Lifetime == 0 {
		b.Lifetime = 5 * time.Minute
	}
	return b
}

func (s *TokenServer) get(w http.ResponseWriter, r *http.Request) {
	user, password, given := r.BasicAuth()
	s.reply(w, user, password, given, r.URL.Query()["scope"])
}

func (s *TokenServer) post(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil || r.PostForm.Get("grant_type") != "password" {
		refuse(w, http.StatusBadRequest, "UNSUPPORTED", "only the password grant is supported")
		return
	}
	s.reply(w, r.PostForm.Get("username"), r.PostForm.Get("password"), true, r.PostForm["scope"])
}

func (s *TokenServer) reply(w http.ResponseWriter, user, password string, given bool, scopes []string) {
	if given && !s.known(user, password) {
		refuse(w, http.StatusUnauthorized, "UNAUTHORIZED", "incorrect username or password")
		return
	}
	behaviour := s.currentBehaviour()
	token, err := s.issue(user, grants(given, scopes, behaviour.FirstScopeOnly), behaviour.Lifetime)
	if err != nil {
		refuse(w, http.StatusInternalServerError, "UNKNOWN", err.Error())
		return
	}
	body := map[string]any{
		"token": token, "access_token": token,
		"expires_in": int(behaviour.Lifetime.Seconds()), "issued_at": time.Now().UTC().Format(time.RFC3339),
	}
	for _, field := range []string{"token", "access_token"} {
		if behaviour.OnlyField != "" && behaviour.OnlyField != field {
			delete(body, field)
		}
	}
	respond(w, http.StatusOK, body)
}

func (s *TokenServer) known(user, password string) bool {
	return user == Username && subtle.ConstantTimeCompare([]byte(password), []byte(s.password)) == 1
}

// access is one entry of a token's access claim.
type access struct {
	Type    string   `json:"type"`
	Name    string   `json:"name"`
	Actions []string `json:"actions"`
}

// grants is what of the scopes the user gets. Each parameter may hold several
// scopes, parted by spaces.
func grants(known bool, params []string, firstOnly bool) []access {
	granted := []access{}
	for _, scope := range strings.Fields(strings.Join(params, " ")) {
		a, ok := parseScope(scope)
		if !ok {
			continue
		}
		if !known {
			a.Actions = anonymousActions(a)
		}
		if len(a.Actions) > 0 {
			granted = append(granted, a)
		}
		if firstOnly {
			break
		}
	}
	return granted
}

// parseScope reads "repository:shop/web:pull,push". The name may have colons.
func parseScope(scope string) (access, bool) {
	kind, rest, ok := strings.Cut(scope, ":")
	i := strings.LastIndexByte(rest, ':')
	if !ok || i < 0 {
		return access{}, false
	}
	return access{Type: kind, Name: rest[:i], Actions: strings.Split(rest[i+1:], ",")}, true
}

func anonymousActions(a access) []string {
	if a.Type == "repository" && strings.HasPrefix(a.Name, PublicPrefix) && slices.Contains(a.Actions, "pull") {
		return []string{"pull"}
	}
	return nil
}

// issue signs a token that distribution 2.8 takes: it wants aud as a string,
// and the signing certificate in the x5c header.
func (s *TokenServer) issue(user string, granted []access, lifetime time.Duration) (string, error) {
	now := time.Now()
	token := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
		"iss": tokenIssuer, "aud": tokenService, "sub": user, "jti": rand.Text(), "access": granted,
		"iat": now.Unix(), "nbf": now.Add(-10 * time.Second).Unix(), "exp": now.Add(lifetime).Unix(),
	})
	token.Header["x5c"] = []string{base64.StdEncoding.EncodeToString(s.cert.Raw)}
	signed, err := token.SignedString(s.key)
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	return signed, nil
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	respond(w, status, map[string]any{"errors": []map[string]string{{"code": code, "message": message}}})
}

func respond(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client may have gone
}
