package api

import (
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"strings"
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
		who := callerOf(c.Request.Context())
		write("request", zap.String("method", c.Request.Method), zap.String("route", route), zap.Int("status", c.Writer.Status()),
			zap.String("user", who.Username), logging.DurationMs(time.Since(began)), zap.String("client", who.Address))
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
			if c.Writer.Written() {
				panic(http.ErrAbortHandler) // half an answer must not look like a whole one
			}
			problem(http.StatusInternalServerError, CodeInternal, internalErrorMessage).write(c)
		}()
		c.Next()
	}
}

// headers are what every answer carries.
func (s *server) headers(c *gin.Context) {
	h := c.Writer.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Origin-Agent-Cluster", "?1")
	h.Set("Permissions-Policy", permissions)
	h.Set("Cache-Control", "no-store")
	if s.ownsHost(c.Request) {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
	c.Next()
}

// permissions are for what our page does: passkeys and copying. It asks for
// nothing else, and no frame or script in it is to.
const permissions = "publickey-credentials-create=(self), publickey-credentials-get=(self), clipboard-write=(self), " +
	"camera=(), microphone=(), geolocation=(), display-capture=(), payment=(), usb=(), serial=(), hid=(), bluetooth=()"

// ownsHost reports whether the whole host name is ours: over TLS, on the usual
// port. A promise of TLS counts for all ports of a host (RFC 6797, 8.3), so
// one made on port 8443 would break the plain services beside us.
func (s *server) ownsHost(r *http.Request) bool {
	at, ok := s.requested(r)
	_, port, _ := strings.Cut(at.host, ":")
	return ok && at.scheme == "https" && port == "" && !isIP(at.domain())
}

// deadlines gives a body so long to arrive, whoever reads it: its handler, or
// net/http, which reads on for a while after an answer so that the connection
// may be used again. What comes slower ends the connection.
//
// Once a body is read the limit is lifted. It is one of the whole connection,
// and net/http, which goes on reading in order to notice a client that leaves,
// would take its passing for one: a request that waits longer would lose its
// context.
func deadlines(c *gin.Context) {
	connection := http.NewResponseController(c.Writer)
	none := c.Request.ContentLength == 0
	if !none {
		_ = connection.SetReadDeadline(time.Now().Add(bodyTimeout)) // a recorder in a test has none
	}
	// A copy: net/http looks at the body of its own request to know whether
	// the connection may be used again.
	c.Request = c.Request.WithContext(c.Request.Context())
	c.Request.Body = &liftedAtEnd{ReadCloser: c.Request.Body, end: none, lift: func() { _ = connection.SetReadDeadline(time.Time{}) }}
	c.Next()
}

type liftedAtEnd struct {
	io.ReadCloser

	lift func()
	end  bool
}

func (b *liftedAtEnd) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.end = b.end || err == io.EOF
	return n, err
}

// Close is called by huma, which sets a limit of its own before it reads.
func (b *liftedAtEnd) Close() error {
	err := b.ReadCloser.Close()
	if b.end {
		b.lift()
	}
	return err
}
