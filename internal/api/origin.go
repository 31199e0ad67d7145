package api

import (
	"fmt"
	"net/http"
	"slices"

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
// browser adds cookies by itself, but an Authorization header only if a page
// of an allowed origin says so; so what carries one needs no protection.
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
		if c.GetHeader("Authorization") == "" && protection.Check(c.Request) != nil {
			problem(http.StatusForbidden, CodeCrossOrigin, "A page of another origin may not change anything here. "+
				"If it is this program's own, set server.baseURL to the address in the browser; if it is one of yours, add it to server.corsOrigins.").write(c)
			return
		}
		c.Next()
	}, nil
}
