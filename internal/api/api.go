// Package api is the HTTP face of the program: routes, problem details,
// access log. It is thin: what it answers is worked out elsewhere.
package api

import (
	"context"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"go.uber.org/zap"

	"github.com/watch-docker/watch-docker/internal/logging"
)

// readyTimeout bounds the look at engine and store that a readiness check takes.
const readyTimeout = 3 * time.Second

// Check is a part that must answer for the program to be of use.
type Check struct {
	Name string // "engine", "store"
	Ask  func(context.Context) error
}

// Dependencies are what New needs.
type Dependencies struct {
	Logger *zap.Logger
	Checks []Check // of readiness
	// TrustedProxies are the CIDRs whose X-Forwarded-For counts; none by default.
	TrustedProxies []string
}

// New builds the handler of all routes.
func New(d Dependencies) (http.Handler, error) {
	gin.SetMode(gin.ReleaseMode)
	r := gin.New()
	r.HandleMethodNotAllowed = true
	if err := r.SetTrustedProxies(d.TrustedProxies); err != nil {
		return nil, err
	}
	log := d.Logger.With(logging.Component("api"))
	r.Use(accessLog(log), recovery(log), headers)
	r.NoRoute(func(c *gin.Context) {
		problem(http.StatusNotFound, CodeNotFound, "There is nothing at "+c.Request.URL.Path+".").write(c)
	})
	r.NoMethod(func(c *gin.Context) {
		problem(http.StatusMethodNotAllowed, CodeMethod, c.Request.Method+" is not allowed at "+c.Request.URL.Path+".").write(c)
	})

	// Anyone may call these two: they tell nothing but whether the program works.
	r.GET("/healthz", health)
	r.GET("/readyz", ready(log, d.Checks))
	return r, nil
}

func health(c *gin.Context) { c.JSON(http.StatusOK, gin.H{"status": "ok"}) }

// ready asks all parts at once and names those that don't answer. Why they
// don't is for the log: strangers may ask here.
func ready(log *zap.Logger, checks []Check) gin.HandlerFunc {
	return func(c *gin.Context) {
		ctx, cancel := context.WithTimeout(c.Request.Context(), readyTimeout)
		defer cancel()
		failures := ask(ctx, checks)
		if len(failures) == 0 {
			c.JSON(http.StatusOK, gin.H{"status": "ready"})
			return
		}
		p := problem(http.StatusServiceUnavailable, CodeNotReady, "Not every part that is needed answers; see errors, and the log.")
		p.Errors = map[string]string{}
		for name, err := range failures {
			p.Errors[name] = "does not answer"
			log.Debug("not ready", zap.String("part", name), logging.Err(err))
		}
		p.write(c)
	}
}

func ask(ctx context.Context, checks []Check) map[string]error {
	type outcome struct {
		name string
		err  error
	}
	outcomes := make(chan outcome, len(checks))
	for _, check := range checks {
		go func() { outcomes <- outcome{check.Name, check.Ask(ctx)} }()
	}
	failures := map[string]error{}
	for range checks {
		if o := <-outcomes; o.err != nil {
			failures[o.name] = o.err
		}
	}
	return failures
}
