package api

import (
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"
)

// Page is the page for browsers, and what it loads.
type Page interface {
	// ServeFile answers with a file, "" for the page itself, and sets its own
	// Content-Security-Policy and Cache-Control; false: there is no such file,
	// and nothing was written.
	ServeFile(w http.ResponseWriter, r *http.Request, name string) bool
}

// page serves the page at "/" and its files below "/assets/".
func (s *server) page(c *gin.Context) {
	if s.Page == nil || !s.Page.ServeFile(c.Writer, c.Request, strings.TrimPrefix(c.Request.URL.Path, "/")) {
		nothing(c)
	}
}

func nothing(c *gin.Context) {
	problem(http.StatusNotFound, CodeNotFound, "There is nothing at "+c.Request.URL.Path+".").write(c)
}
