// Package api is the HTTP face of the program: routes, problem details,
// access log. It is thin: what it answers is worked out elsewhere.
//
// A request passes the middlewares of New from the first to the last (log,
// panics, headers, origins, who is asking), then huma, which checks path,
// query and body against the handler's input type, and then its handler. The
// table in routes.go says who may call what.
package api

import (
	"context"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2/adapters/humagin"
	"github.com/gin-gonic/gin"
	"go.uber.org/zap"

	"github.com/watch-docker/watch-docker/internal/logging"
	"github.com/watch-docker/watch-docker/internal/shell"
	"github.com/watch-docker/watch-docker/internal/wsstream"
)

// Dependencies are what New needs. Without Auth nobody gets past a route that
// needs a token, so that the parts behind those may be left out too.
type Dependencies struct {
	Logger  *zap.Logger // nil: silent
	Version string      // the program's

	Auth    Auth
	TwoFA   TwoFA
	Audit   Audit // nil: none
	Scans   Scans
	Updates Updates
	// ProjectUpdates are of whole Compose projects.
	ProjectUpdates ProjectUpdates
	Operations     Operations
	Engine         Engine
	Images         Images
	Volumes        Volumes
	Networks       Networks
	System         System
	Live           Live
	Hub            *wsstream.Hub // nil: one of its own
	Logs           Logs
	Config         func() map[string]any // the configuration, secrets masked
	Checks         []Check               // of readiness
	Page           Page                  // nil: none
	Shells         *shell.Manager        // nil: none
	Terminals      Terminals             // what shells run in
	Files          Files                 // nil: none
	Compose        Compose

	// SpoolFolder is where uploads are kept, without a name, until they are
	// complete; empty: the system's.
	SpoolFolder string

	// BaseURL is the program's public URL, nil if not known. Its path is
	// accepted before every route; its origin is our own.
	BaseURL *url.URL
	// CORSOrigins may call from a browser: scheme://host[:port], exactly.
	CORSOrigins []string
	// TrustedProxies are the networks whose X-Forwarded-* count; none by default.
	TrustedProxies []netip.Prefix
	// AllowedDomains are the host names that passkeys may be made and used on;
	// nil or none: the base URL's, or the request's own.
	AllowedDomains func() []string
	// Closing, once closed, ends the waiting of ?wait and the sockets: the
	// program is about to stop.
	Closing <-chan struct{}
	// Sockets, if there is one, counts the open WebSockets: net/http doesn't
	// wait for them when it stops.
	Sockets *sync.WaitGroup
	// PingEvery is how often a socket's peer must show that it is there; 0: 25 s.
	PingEvery time.Duration
}

// Check is a part that must answer for the program to be of use.
type Check struct {
	Name string // "engine", "store"
	Ask  func(context.Context) error
}

// server has the handlers.
type server struct {
	Dependencies

	log      *zap.Logger
	advised  sync.Once              // of a proxy that isn't believed
	document func() ([]byte, error) // the OpenAPI document
	sockets  sockets
	frames   sync.Pool    // buffers of large frames of logs
	measured atomic.Int64 // containers whose figures are streamed
	editing  locks        // of files in containers
}

// New builds the handler of all routes.
func New(d Dependencies) (http.Handler, error) {
	if d.Logger == nil {
		d.Logger = zap.NewNop()
	}
	if d.Auth == nil {
		d.Auth = nobody{}
	}
	if d.Audit == nil {
		d.Audit = unaudited{}
	}
	if d.Hub == nil {
		d.Hub = wsstream.New(wsstream.Linger)
	}
	s := &server{Dependencies: d, log: d.Logger.With(logging.Component("api"))}
	engine, err := s.engine()
	if err != nil {
		return nil, err
	}
	needs, ids := map[string]access{}, map[string]string{}
	guarded, err := s.middlewares(ids)
	if err != nil {
		return nil, err
	}
	engine.Use(append(guarded, s.guard(needs))...)
	api := humagin.New(engine, s.describe())
	s.routes(&routes{api: api, router: engine, needs: needs, fail: s.fail, verify: s.verify})
	answerHead(engine, needs)
	maps.Copy(ids, operationIDs(api.OpenAPI()))
	correct(api.OpenAPI())
	s.document = sync.OnceValues(api.OpenAPI().MarshalJSON)
	return underPath(d.BaseURL, d.Page != nil, engine), nil
}

func (s *server) engine() (*gin.Engine, error) {
	gin.SetMode(gin.ReleaseMode)
	r := gin.New()
	r.HandleMethodNotAllowed = true
	r.RedirectTrailingSlash = false                 // a redirect would lose a body
	r.RemoteIPHeaders = []string{"X-Forwarded-For"} // gin would fall back on X-Real-IP, which not every proxy overwrites
	r.UseRawPath = true                             // a name may have a slash, written as %2F
	proxies := make([]string, 0, len(s.TrustedProxies))
	for _, p := range s.TrustedProxies {
		proxies = append(proxies, p.String())
	}
	if err := r.SetTrustedProxies(proxies); err != nil {
		return nil, err
	}
	r.NoRoute(nothing)
	r.NoMethod(func(c *gin.Context) {
		problem(http.StatusMethodNotAllowed, CodeMethod, c.Request.Method+" is not allowed at "+c.Request.URL.Path+".").write(c)
	})
	return r, nil
}

func (s *server) middlewares(ids map[string]string) ([]gin.HandlerFunc, error) {
	own, err := s.protectOrigin()
	if err != nil {
		return nil, err
	}
	return []gin.HandlerFunc{deadlines, s.identify, accessLog(s.log), s.audited(ids), recovery(s.log), s.headers, cors(s.CORSOrigins), own}, nil
}

// underPath accepts every route under the base URL's path as well as without
// it: some proxies strip it, and the health check of this machine never has
// it. The path itself leads to the page below it, whose addresses are relative.
func underPath(base *url.URL, page bool, h http.Handler) http.Handler {
	prefix := basePath(base)
	if prefix == "" {
		return h
	}
	stripped := http.StripPrefix(prefix, h)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.URL.Path, prefix+"/"):
			stripped.ServeHTTP(w, r)
		case page && r.URL.Path == prefix:
			http.Redirect(w, r, prefix+"/", http.StatusFound)
		default:
			h.ServeHTTP(w, r)
		}
	})
}

// fail makes an error of a handler the answer, and logs what is our fault.
func (s *server) fail(ctx context.Context, err error) error {
	p := problemOf(err)
	trailOf(ctx).code = p.Code
	if p.Status == http.StatusInternalServerError {
		s.log.Error("a request failed", zap.String("user", callerOf(ctx).Username), logging.Err(err))
	}
	return p
}
