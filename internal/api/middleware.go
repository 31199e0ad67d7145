package api

import (
	"fmt"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/gin-gonic/gin"
	"go.uber.org/zap"

	"github.com/watch-docker/watch-docker/internal/logging"
)

// accessLog writes one line for each request: never its query, headers or body.
func accessLog(log *zap.Logger) gin.HandlerFunc {
	return func(c *gin.Context) {
		began := time.Now()
		c.Next()
		route := c.FullPath()
		write := log.Info
		if route == "/healthz" || route == "/readyz" {
			write = log.Debug // asked every few seconds by whoever watches us
		}
		write("request", zap.String("method", c.Request.Method), zap.String("route", route),
			zap.Int("status", c.Writer.Status()), logging.DurationMs(time.Since(began)), zap.String("client", c.ClientIP()))
	}
}

// recovery answers a panic with a problem and logs its stack; the program goes on.
func recovery(log *zap.Logger) gin.HandlerFunc {
	return func(c *gin.Context) {
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			if v == http.ErrAbortHandler { //nolint:errorlint // a sentinel that net/http compares so, too
				panic(v)
			}
			log.Error("a handler panicked", zap.String("route", c.FullPath()), zap.String("err", fmt.Sprint(v)), zap.ByteString("stack", debug.Stack()))
			problem(http.StatusInternalServerError, CodeInternal, "Something went wrong here; the log has the details.").write(c)
		}()
		c.Next()
	}
}

// headers are what every answer carries.
func headers(c *gin.Context) {
	h := c.Writer.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Cache-Control", "no-store")
	c.Next()
}
