package api

import (
	"context"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/watch-docker/watch-docker/internal/auth"
)

// Cookies that carry a token. A browser takes the first only over TLS and
// only for exactly this host (RFC 6265bis, 4.1.3.2).
const (
	secureCookie = "__Host-watch-docker"
	plainCookie  = "watch-docker"
)

// caller is who makes a request, and from where.
type caller struct {
	auth.Identity // zero until the guard has seen a token

	Address string // as far as it can be trusted
	Agent   string
	Secure  bool // the client speaks TLS, to us or to a trusted proxy
}

type callerKey struct{}

// callerOf is never nil: what nobody identified was made by nobody.
func callerOf(ctx context.Context) *caller {
	if who, ok := ctx.Value(callerKey{}).(*caller); ok {
		return who
	}
	return &caller{}
}

// identify notes where a request comes from; the guard adds who makes it.
func (s *server) identify(c *gin.Context) {
	who := &caller{Address: c.ClientIP(), Agent: c.Request.UserAgent(), Secure: s.secure(c)}
	c.Request = c.Request.WithContext(context.WithValue(c.Request.Context(), callerKey{}, who))
	c.Next()
}

func (s *server) secure(c *gin.Context) bool {
	if c.Request.TLS != nil || s.BaseURL != nil && s.BaseURL.Scheme == "https" {
		return true
	}
	return strings.EqualFold(c.GetHeader("X-Forwarded-Proto"), "https") && s.trusted(c.RemoteIP())
}

func (s *server) trusted(address string) bool {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return false
	}
	for _, p := range s.TrustedProxies {
		if p.Contains(ip.Unmap()) {
			return true
		}
	}
	return false
}

// guard lets a request through if its route may be called by whoever makes it.
// It goes by the table: a route that isn't in it is for administrators, so
// that forgetting one locks it.
func (s *server) guard(needs map[string]access) gin.HandlerFunc {
	return func(c *gin.Context) {
		if c.FullPath() == "" { // there is nothing; 404 or 405 follows
			c.Next()
			return
		}
		need, listed := needs[c.Request.Method+" "+c.FullPath()]
		if !listed {
			need = administrator
		}
		if need == anyone {
			c.Next()
			return
		}
		if err := s.admit(c.Request, auth.Role(need)); err != nil {
			p, _ := s.fail(c.Request.Context(), err).(Problem) //nolint:errorlint // fail makes nothing else
			p.write(c)
			return
		}
		c.Next()
	}
}

func (s *server) admit(r *http.Request, need auth.Role) error {
	who := callerOf(r.Context())
	token := tokenOf(r, who.Secure)
	if token == "" {
		return unauthorized(nil)
	}
	identity, err := s.Auth.Verify(r.Context(), token)
	if err != nil {
		return err
	}
	who.Identity = identity
	return who.must(need)
}

// must fails if the caller's role doesn't cover the other.
func (who *caller) must(need auth.Role) error {
	if who.Role.Covers(need) {
		return nil
	}
	return problem(http.StatusForbidden, CodeForbidden, "This needs the role "+string(need)+".")
}

// tokenOf finds the token: never in the URL, which ends up in logs.
func tokenOf(r *http.Request, secure bool) string {
	if header := r.Header.Get("Authorization"); header != "" {
		scheme, token, _ := strings.Cut(header, " ")
		if strings.EqualFold(scheme, "Bearer") {
			return strings.TrimSpace(token)
		}
		return ""
	}
	cookie, err := r.Cookie(cookieName(secure))
	if err != nil {
		return ""
	}
	return cookie.Value
}

func cookieName(secure bool) string {
	if secure {
		return secureCookie
	}
	return plainCookie
}

// cookie carries the token for browsers; an empty one takes it away.
func (s *server) cookie(who *caller, token string) string {
	c := http.Cookie{ //nolint:gosec // Secure where there is TLS: many run this at home without
		Name: cookieName(who.Secure), Value: token, Path: "/",
		HttpOnly: true, Secure: who.Secure, SameSite: http.SameSiteStrictMode,
		MaxAge: int(auth.TokenLife.Seconds()),
	}
	if token == "" {
		c.MaxAge = -1
	}
	if path := basePath(s.BaseURL); path != "" && !who.Secure { // __Host- wants "/"
		c.Path = path
	}
	return c.String()
}

// basePath is the path that the program is served under: "" or "/watch".
func basePath(base *url.URL) string {
	if base == nil {
		return ""
	}
	if path := strings.Trim(base.Path, "/"); path != "" {
		return "/" + path
	}
	return ""
}

// originOf is an origin as browsers write it (RFC 6454, 6.2).
func originOf(scheme, host string) string {
	scheme, host = strings.ToLower(scheme), strings.ToLower(host)
	defaultPort := map[string]string{"http": ":80", "https": ":443"}[scheme]
	return scheme + "://" + strings.TrimSuffix(host, defaultPort)
}

// nobody stands in for an Auth that isn't there.
type nobody struct{}

func (nobody) Login(context.Context, auth.LoginRequest) (auth.Login, error) {
	return auth.Login{}, auth.ErrCredentials
}
func (nobody) Verify(context.Context, string) (auth.Identity, error) {
	return auth.Identity{}, auth.ErrTokenForged
}
func (nobody) Logout(context.Context, string) error { return nil }
func (nobody) Ended(context.Context, string) (<-chan struct{}, func()) {
	return nil, func() {}
}
