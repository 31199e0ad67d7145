package api

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"
)

const (
	corsMethods = "GET, POST, PUT, PATCH, DELETE"
	corsHeaders = "Authorization, Content-Type, If-Match"
	corsExposed = "Location, Retry-After, WWW-Authenticate"
	corsMaxAge  = "600" // seconds
)

// cors lets browsers hand answers to pages of these origins, and to no others.
// A preflight is answered here: it carries no token (Fetch, 4.8).
func cors(origins []string) gin.HandlerFunc {
	return func(c *gin.Context) {
		if len(origins) == 0 {
			c.Next()
			return
		}
		h := c.Writer.Header()
		h.Add("Vary", "Origin")
		origin := c.GetHeader("Origin")
		if !slices.Contains(origins, origin) {
			c.Next()
			return
		}
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Allow-Credentials", "true")
		h.Set("Access-Control-Expose-Headers", corsExposed)
		h.Set("Cross-Origin-Resource-Policy", "cross-origin")
		if c.Request.Method != http.MethodOptions || c.GetHeader("Access-Control-Request-Method") == "" {
			c.Next()
			return
		}
		h.Set("Access-Control-Allow-Methods", corsMethods)
		h.Set("Access-Control-Allow-Headers", corsHeaders)
		h.Set("Access-Control-Max-Age", corsMaxAge)
		c.AbortWithStatus(http.StatusNoContent)
	}
}

// protectOrigin refuses what another site's page has a browser change here. A
// browser adds cookies by itself, and may add a proxy's Basic credentials, but
// a bearer token only if a page of an allowed origin says so; so what carries
// one needs no protection.
func (s *server) protectOrigin() (gin.HandlerFunc, error) {
	protection := http.NewCrossOriginProtection()
	trusted := slices.Clone(s.CORSOrigins)
	if s.BaseURL != nil {
		trusted = append(trusted, originOf(s.BaseURL.Scheme, s.BaseURL.Host))
	}
	for _, origin := range trusted {
		if err := protection.AddTrustedOrigin(origin); err != nil {
			return nil, fmt.Errorf("trust origin %s: %w", origin, err)
		}
	}
	return func(c *gin.Context) {
		if !carriesBearer(c.Request) && !s.mayChange(protection, c.Request) {
			s.crossOrigin(c.Request).write(c)
			return
		}
		c.Next()
	}, nil
}

// mayChange goes by Sec-Fetch-Site, which no page can forge. Without it (old
// browsers, plain HTTP) Go's check compares the origin's host with the Host
// header: it would let another scheme pass, and refuse our own page behind a
// proxy that rewrites Host.
func (s *server) mayChange(protection *http.CrossOriginProtection, r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return true
	}
	origin := r.Header.Get("Origin")
	switch {
	case origin == "null": // a sandboxed page, a file, a redirect from elsewhere
		return false
	case origin != "" && r.Header.Get("Sec-Fetch-Site") == "":
		return s.ownOrigin(r, origin)
	}
	return protection.Check(r) == nil
}

func carriesBearer(r *http.Request) bool {
	scheme, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.EqualFold(scheme, "Bearer")
}

// crossOrigin is the refusal, with what to do if the page is our own after all.
func (s *server) crossOrigin(r *http.Request) Problem {
	ours := "not known"
	if at, ok := s.requested(r); ok {
		ours = at.origin()
	}
	return problem(http.StatusForbidden, CodeCrossOrigin, "A page of another origin may not do anything here; ours is "+ours+", as far as is known. "+
		"If the page is this program's own, set server.baseURL to the address in the browser, or name the proxy in server.trustedProxies; "+
		"if it is one of yours, add its origin to server.corsOrigins.")
}
