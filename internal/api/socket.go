package api

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/gin-gonic/gin"
	"go.uber.org/zap"

	"github.com/watch-docker/watch-docker/internal/auth"
	"github.com/watch-docker/watch-docker/internal/logging"
)

const (
	socketsEach    = 64   // of one user
	socketsAtOnce  = 1024 // of all
	pingEvery      = 25 * time.Second
	socketPatience = 10 * time.Second // for a pong, and for a write
	maxIncoming    = 4 << 10          // bytes of a message that nobody reads
)

// Why a socket is closed by us; the text is the reason that the peer is told.
var (
	errSessionEnded = errors.New("the session has ended")
	errTokenExpired = errors.New("the token has expired")
	errStopping     = errors.New("the program is stopping")
	errPeerGone     = errors.New("the peer is gone")
)

// stream is what a socket is for. It sends until ctx ends or it has nothing
// more to say; ctx's cause is why.
type stream func(ctx context.Context, out *socket) error

// socket is one WebSocket, for sending.
type socket struct {
	conn *websocket.Conn
	seq  uint64
}

// send writes one message as JSON. The limit is its own, not ctx's: an ended
// context would tear the connection down before the reason is told.
func (k *socket) send(ctx context.Context, message any) error {
	text, err := json.Marshal(message)
	if err != nil {
		return fmt.Errorf("a message for a socket: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), socketPatience)
	defer cancel()
	if err := k.conn.Write(ctx, websocket.MessageText, text); err != nil {
		return errors.Join(errPeerGone, err)
	}
	return nil
}

// next is the number of the next message.
func (k *socket) next() uint64 {
	k.seq++
	return k.seq
}

// upgrade makes the handler of a socket: it checks where the request comes
// from, upgrades it, and closes the socket when the session ends, the token
// expires, the peer is gone or the program stops.
func (s *server) upgrade(serve stream) gin.HandlerFunc {
	return func(c *gin.Context) {
		who := callerOf(c.Request.Context())
		refused := s.mayUpgrade(c.Request)
		if refused != nil {
			refused.write(c)
			return
		}
		free := s.sockets.take(who.Username)
		if free == nil {
			problem(http.StatusServiceUnavailable, CodeTooManySockets, fmt.Sprintf(
				"There are too many WebSockets: %d for each user, %d in all. Close some.", socketsEach, socketsAtOnce)).retryAfter(5).write(c)
			return
		}
		defer free()
		if s.Sockets != nil {
			s.Sockets.Add(1)
			defer s.Sockets.Done()
		}
		ctx := context.WithoutCancel(c.Request.Context())
		ended, release := s.Auth.Ended(ctx, who.SessionID)
		defer release()
		// Whether the origin is ours has been checked, more strictly than Accept would.
		conn, err := websocket.Accept(handshakeWriter{c.Writer}, c.Request, &websocket.AcceptOptions{InsecureSkipVerify: true})
		if err != nil {
			c.Abort()
			return
		}
		conn.SetReadLimit(maxIncoming)
		s.converse(ctx, conn, serve, ended, who.ExpiresAt)
	}
}

// converse runs the stream, and what ends it, until all of them have ended.
func (s *server) converse(ctx context.Context, conn *websocket.Conn, serve stream, ended <-chan struct{}, expires time.Time) {
	ctx, cancel := context.WithCancelCause(ctx)
	var beside sync.WaitGroup
	defer func() { // also after a panic
		cancel(errPeerGone)
		_ = conn.CloseNow()
		beside.Wait()
	}()
	beside.Go(func() { cancel(discard(conn)) }) //nolint:contextcheck // see discard
	beside.Go(func() { cancel(s.watch(ctx, conn, ended, expires)) })
	err := serve(ctx, &socket{conn: conn})
	cancel(err) // the first cause stays
	cause := context.Cause(ctx)
	if errors.Is(cause, errPeerGone) {
		return
	}
	code, reason := farewell(cause)
	if code == websocket.StatusInternalError {
		s.log.Warn("a socket failed", zap.String("user", callerOf(ctx).Username), logging.Err(cause))
	}
	_ = conn.Close(code, reason) // at most 5 seconds for the peer's answer
}

// discard reads and forgets what the peer sends: pongs and its own closing
// come that way, too.
func discard(conn *websocket.Conn) error {
	for {
		if _, _, err := conn.Read(context.Background()); err != nil {
			return errors.Join(errPeerGone, err)
		}
	}
}

// watch pings the peer, and says why the socket is to end.
func (s *server) watch(ctx context.Context, conn *websocket.Conn, ended <-chan struct{}, expires time.Time) error {
	var expired <-chan time.Time // never, for a token that doesn't
	if !expires.IsZero() {
		timer := time.NewTimer(time.Until(expires))
		defer timer.Stop()
		expired = timer.C
	}
	ticker := time.NewTicker(cmp.Or(s.PingEvery, pingEvery))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ended:
			return errSessionEnded
		case <-expired:
			return errTokenExpired
		case <-s.Closing:
			return errStopping
		case <-ticker.C:
			if !s.stillCounts(ctx) {
				return errSessionEnded
			}
			if err := ping(ctx, conn, min(cmp.Or(s.PingEvery, pingEvery), socketPatience)); err != nil {
				return errors.Join(errPeerGone, err)
			}
		}
	}
}

// stillCounts is for what nobody tells: a second factor that is required from
// now on, and a role that changed while the socket was being opened.
func (s *server) stillCounts(ctx context.Context) bool {
	who := callerOf(ctx)
	now, err := s.Auth.Verify(ctx, who.token)
	if err != nil {
		return !errors.Is(err, auth.ErrToken) && !errors.Is(err, auth.ErrSecondFactor)
	}
	return now.Role == who.Role
}

func ping(ctx context.Context, conn *websocket.Conn, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	return conn.Ping(ctx)
}

// farewell is what the peer is told at the end.
func farewell(cause error) (code websocket.StatusCode, reason string) {
	switch {
	case errors.Is(cause, errSessionEnded), errors.Is(cause, errTokenExpired):
		return websocket.StatusPolicyViolation, cause.Error()
	case errors.Is(cause, errStopping):
		return websocket.StatusGoingAway, cause.Error()
	case errors.Is(cause, context.Canceled): // there is nothing more to say
		return websocket.StatusNormalClosure, ""
	}
	return websocket.StatusInternalError, "something went wrong here"
}

// mayUpgrade checks what a handshake needs. Browsers send cookies with the
// handshake of any page's socket, and no answer is kept from that page: so a
// cookie counts with our own origin alone. What carries a token in a header
// was not sent by a page.
func (s *server) mayUpgrade(r *http.Request) *Problem {
	if !carriesBearer(r) && !s.ownOrigin(r, r.Header.Get("Origin")) {
		p := s.crossOrigin(r)
		return &p
	}
	select {
	case <-s.Closing:
		p := problem(http.StatusServiceUnavailable, CodeOverloaded, "The program is stopping.").retryAfter(5)
		return &p
	default:
		return nil
	}
}

// handshakeWriter makes a problem of what websocket.Accept says about a
// request that is no handshake.
type handshakeWriter struct{ gin.ResponseWriter }

func (w handshakeWriter) WriteHeader(status int) {
	if status == http.StatusSwitchingProtocols {
		w.ResponseWriter.WriteHeader(status)
		return
	}
	p := problem(status, CodeNoHandshake, "This is a WebSocket, and the request is no handshake of one (RFC 6455, 4.2.1).")
	body, _ := json.Marshal(p) // strings and numbers always marshal
	w.Header().Set("Content-Type", contentType)
	w.ResponseWriter.WriteHeader(status)
	_, _ = w.ResponseWriter.Write(body)
}

// Write drops the plain text that follows WriteHeader.
func (w handshakeWriter) Write(p []byte) (int, error) { return len(p), nil }

// sockets counts them.
type sockets struct {
	mu   sync.Mutex
	all  int
	each map[string]int
}

// take gives what frees the place again; nil if there is none.
func (k *sockets) take(user string) (free func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.all >= socketsAtOnce || k.each[user] >= socketsEach {
		return nil
	}
	if k.each == nil {
		k.each = map[string]int{}
	}
	k.all++
	k.each[user]++
	return func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.all--
		if k.each[user]--; k.each[user] == 0 {
			delete(k.each, user)
		}
	}
}
