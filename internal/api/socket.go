package api

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
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

// statusTakenOver is the program's own: don't connect again by yourself.
const statusTakenOver websocket.StatusCode = 4001

// Why a socket is closed by us; the text is the reason that the peer is told.
var (
	errSessionEnded = errors.New("the session has ended")
	errTokenExpired = errors.New("the token has expired")
	errStopping     = errors.New("the program is stopping")
	errPeerGone     = errors.New("the peer is gone")
	errTakenOver    = errors.New("another connection has taken the shell over")
)

// errorFrame says what went wrong, in a socket that goes on or is closed next.
type errorFrame struct {
	Type    string `json:"type"` // error
	Code    string `json:"code"`
	Message string `json:"message"`
}

// stream is what a socket is for. It sends until ctx ends or it has nothing
// more to say; ctx's cause is why.
type stream func(ctx context.Context, out *socket) error

// hearing takes what the peer sends, one message after the other; an error
// ends the socket. While it takes its time, no pong is seen.
type hearing func(ctx context.Context, kind websocket.MessageType, message []byte) error

// socket is one WebSocket, for sending.
type socket struct {
	conn *websocket.Conn
	seq  uint64
	sent atomic.Int64 // how many messages have been
}

// send writes one message as JSON.
func (k *socket) send(ctx context.Context, message any) error {
	text, err := json.Marshal(message)
	if err != nil {
		return fmt.Errorf("a message for a socket: %w", err)
	}
	return k.sendText(ctx, text)
}

// sendText writes one message that is JSON already.
func (k *socket) sendText(ctx context.Context, text []byte) error {
	return k.write(ctx, websocket.MessageText, text)
}

// write has a limit of its own, not ctx's: an ended context would tear the
// connection down before the reason is told.
func (k *socket) write(ctx context.Context, kind websocket.MessageType, message []byte) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), socketPatience)
	defer cancel()
	if err := k.conn.Write(ctx, kind, message); err != nil {
		return errors.Join(errPeerGone, err)
	}
	k.sent.Add(1)
	return nil
}

// next is the number of the next message.
func (k *socket) next() uint64 {
	k.seq++
	return k.seq
}

// upgradeFor makes the handler of a socket that only sends, with a stream that
// depends on the request and the {id} of its path. What is wrong with these is
// a problem in place of the handshake's answer. What the peer sends is read and
// forgotten.
func (s *server) upgradeFor(choose func(r *http.Request, id string) (stream, error)) gin.HandlerFunc {
	return func(c *gin.Context) {
		if refused := s.mayUpgrade(c.Request); refused != nil {
			refused.write(c)
			return
		}
		serve, err := choose(c.Request, c.Param("id"))
		if err != nil {
			p, _ := s.fail(c.Request.Context(), err).(Problem) //nolint:errorlint // fail makes nothing else
			p.write(c)
			return
		}
		s.upgradeBoth(serve, func(context.Context, websocket.MessageType, []byte) error { return nil }, maxIncoming)(c)
	}
}

// upgradeBoth makes the handler of a socket: it checks where the request comes
// from, upgrades it, and closes the socket when the session ends, the token
// expires, the peer is gone or the program stops. No message of the peer may
// have more than limit bytes.
func (s *server) upgradeBoth(serve stream, hear hearing, limit int64) gin.HandlerFunc {
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
		conn.SetReadLimit(limit)
		s.converse(ctx, &socket{conn: conn}, serve, hear, ended, who.ExpiresAt)
	}
}

// converse runs the stream, and what ends it, until all of them have ended.
func (s *server) converse(ctx context.Context, k *socket, serve stream, hear hearing, ended <-chan struct{}, expires time.Time) {
	ctx, cancel := context.WithCancelCause(ctx)
	var beside sync.WaitGroup
	defer func() { // also after a panic
		cancel(errPeerGone)
		_ = k.conn.CloseNow()
		beside.Wait()
	}()
	beside.Go(func() { cancel(k.listen(ctx, hear)) })
	beside.Go(func() { cancel(s.watch(ctx, k, ended, expires)) })
	err := serve(ctx, k)
	cancel(err) // the first cause stays
	cause := context.Cause(ctx)
	if errors.Is(cause, errPeerGone) {
		return
	}
	code, reason := farewell(cause)
	if code == websocket.StatusInternalError {
		s.log.Warn("a socket failed", zap.String("user", callerOf(ctx).Username), logging.Err(cause))
	}
	_ = k.conn.Close(code, reason) // at most 5 seconds for the peer's answer
}

// listen reads what the peer sends: pongs and its own closing come that way,
// too. It reads on when ctx has ended, for the peer's answer to our closing.
func (k *socket) listen(ctx context.Context, hear hearing) error {
	for {
		kind, message, err := k.conn.Read(context.WithoutCancel(ctx))
		if err != nil {
			return errors.Join(errPeerGone, err)
		}
		if err := hear(ctx, kind, message); err != nil {
			return err
		}
	}
}

// watch pings the peer, and says why the socket is to end.
func (s *server) watch(ctx context.Context, k *socket, ended <-chan struct{}, expires time.Time) error {
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
			// A slow peer that is still being sent to hasn't come to the ping yet.
			before := k.sent.Load()
			if err := ping(ctx, k.conn, min(cmp.Or(s.PingEvery, pingEvery), socketPatience)); err != nil && (k.sent.Load() == before || ctx.Err() != nil) {
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
	case errors.Is(cause, errTakenOver):
		return statusTakenOver, cause.Error()
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
