package api

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"unicode"

	"github.com/gin-gonic/gin"
	"go.uber.org/zap"

	"github.com/watch-docker/watch-docker/internal/auth"
	"github.com/watch-docker/watch-docker/internal/twofa"
)

// Cookies that carry a token. A browser takes the first only over TLS and
// only for exactly this host (RFC 6265bis, 4.1.3.2).
const (
	secureCookie = "__Host-watch-docker"
	plainCookie  = "watch-docker"
	// deviceSuffix is for the cookie by which a device is known again.
	deviceSuffix = "-device"
)

// caller is who makes a request, and from where.
type caller struct {
	auth.Identity // zero until the guard has seen a token

	Address  string // as far as it can be trusted
	Agent    string
	Secure   bool       // the client speaks TLS, to us or to a trusted proxy
	Site     twofa.Site // where its browser has us
	Device   string     // what an earlier sign-in gave it to keep
	ByCookie bool       // the token came with a cookie

	token string
}

// client is where a caller comes from, for auth.
func (who *caller) client() auth.Client {
	return auth.Client{Address: who.Address, Device: who.Agent, DeviceKey: who.Device}
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
	at := s.siteOf(c.Request)
	who := &caller{
		Address: c.ClientIP(), Agent: printable(c.Request.UserAgent()), Secure: s.secure(c),
		Site: twofa.Site{RPID: at.domain(), Origin: at.origin(), Unavailable: s.noPasskeys(at)},
	}
	if cookie, err := c.Request.Cookie(cookieName(who.Secure) + deviceSuffix); err == nil {
		who.Device = cookie.Value
	}
	c.Request = c.Request.WithContext(context.WithValue(c.Request.Context(), callerKey{}, who))
	s.adviseProxy(c)
	c.Next()
}

// adviseProxy says once that a proxy isn't believed: everybody behind it has
// one address then, and shares its guesses.
func (s *server) adviseProxy(c *gin.Context) {
	if c.GetHeader("X-Forwarded-For") == "" || s.trusted(c.RemoteIP()) {
		return
	}
	s.advised.Do(func() {
		s.log.Warn("X-Forwarded-For is not believed; if it comes from a proxy of yours, name it in server.trustedProxies", zap.String("proxy", c.RemoteIP()))
	})
}

func (s *server) secure(c *gin.Context) bool {
	if c.Request.TLS != nil || s.BaseURL != nil && s.BaseURL.Scheme == "https" {
		return true
	}
	return strings.EqualFold(first(c.GetHeader("X-Forwarded-Proto")), "https") && s.trusted(c.RemoteIP())
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
		if err := s.admit(c.Request, need); err != nil {
			p, _ := s.fail(c.Request.Context(), err).(Problem) //nolint:errorlint // fail makes nothing else
			p.write(c)
			return
		}
		c.Next()
	}
}

func (s *server) admit(r *http.Request, need access) error {
	who := callerOf(r.Context())
	who.token, who.ByCookie = tokenOf(r, who.Secure)
	if who.token == "" {
		return unauthorized(nil)
	}
	err := s.verify(r.Context(), need)
	if p := (Problem{}); errors.As(err, &p) && p.Code == CodeStepUp && s.comesBack(r) {
		return nil // the proof was fresh when the shell was opened
	}
	return err
}

// verify asks what the caller's token is worth now.
func (s *server) verify(ctx context.Context, need access) error {
	who := callerOf(ctx)
	identity, err := s.Auth.Verify(ctx, who.token)
	if err != nil {
		return err
	}
	who.Identity = identity
	return s.allows(need, who)
}

// must fails if the caller's role doesn't cover the other.
func (who *caller) must(need auth.Role) error {
	if who.Role.Covers(need) {
		return nil
	}
	return problem(http.StatusForbidden, CodeForbidden, "This needs the role "+string(need)+".")
}

// tokenOf finds the token: never in the URL, which ends up in logs.
func tokenOf(r *http.Request, secure bool) (token string, byCookie bool) {
	// Another scheme is for a proxy before us, which passes it on.
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(token), false
	}
	cookie, err := r.Cookie(cookieName(secure))
	if err != nil {
		return "", false
	}
	return cookie.Value, true
}

func cookieName(secure bool) string {
	if secure {
		return secureCookie
	}
	return plainCookie
}

// cookies carry the token, and by what the device is known again, for
// browsers. Without a token, they take it away.
func (s *server) cookies(who *caller, token, device string) []string {
	name := cookieName(who.Secure)
	life := int(auth.TokenLife.Seconds())
	if token == "" {
		life = -1
	}
	set := []string{s.cookie(who, name, token, life)}
	if device != "" {
		set = append(set, s.cookie(who, name+deviceSuffix, device, int(auth.DeviceLife.Seconds())))
	}
	return set
}

func (s *server) cookie(who *caller, name, value string, life int) string {
	c := http.Cookie{ //nolint:gosec // Secure where there is TLS: many run this at home without
		Name: name, Value: value, Path: "/",
		HttpOnly: true, Secure: who.Secure, SameSite: http.SameSiteStrictMode, MaxAge: life,
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

// printable leaves out what has no place in a list or a log.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s)
}

// nobody stands in for an Auth that isn't there.
type nobody struct{ Auth }

func (nobody) Login(context.Context, auth.LoginRequest) (auth.Login, error) {
	return auth.Login{}, auth.ErrCredentials
}

func (nobody) Verify(context.Context, string) (auth.Identity, error) {
	return auth.Identity{}, auth.ErrTokenForged
}

func (nobody) Ended(context.Context, string) (<-chan struct{}, func()) {
	return nil, func() {}
}
