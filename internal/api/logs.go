package api

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"go.uber.org/zap"

	"github.com/watch-docker/watch-docker/internal/containerlog"
	"github.com/watch-docker/watch-docker/internal/logging"
)

// Logs is containerlog.Service, with the errors of Engine.
type Logs interface {
	// Container reads a log into a sink; see containerlog.
	//
	// Errors: also containerlog.ErrUnavailable.
	Container(ctx context.Context, id, name string, r containerlog.Request, to containerlog.Sink) error
	// Errors: containerlog.ErrNoProject.
	HasProject(ctx context.Context, p containerlog.Project) error
	Project(ctx context.Context, p containerlog.Project, r containerlog.Request, to containerlog.Sink) error
}

// containerLogs is GET /api/containers/{id}/logs/ws.
func (s *server) containerLogs(r *http.Request, id string) (stream, error) {
	if err := onlyQueries(r, logQueries()...); err != nil {
		return nil, err
	}
	q, err := readLogQuery(r.URL.Query(), "1000")
	if err != nil {
		return nil, err
	}
	c, err := s.find(r.Context(), id)
	if err != nil {
		return nil, err
	}
	return s.showLogs(q, func(ctx context.Context, to containerlog.Sink) error {
		return s.Logs.Container(ctx, c.ID, c.Name, q.Request, to)
	}), nil
}

// composeLogs is GET /api/compose/logs/ws.
func (s *server) composeLogs(r *http.Request, _ string) (stream, error) {
	if err := onlyQueries(r, append(logQueries(), "project", "services")...); err != nil {
		return nil, err
	}
	q, err := readLogQuery(r.URL.Query(), "100")
	if err != nil {
		return nil, err
	}
	p := containerlog.Project{Name: r.URL.Query().Get("project")}
	if p.Name == "" {
		return nil, invalid("query.project", "is required")
	}
	for _, given := range r.URL.Query()["services"] {
		p.Services = append(p.Services, slices.DeleteFunc(strings.Split(given, ","), func(name string) bool { return name == "" })...)
	}
	if err := s.Logs.HasProject(r.Context(), p); err != nil {
		return nil, err
	}
	return s.showLogs(q, func(ctx context.Context, to containerlog.Sink) error {
		return s.Logs.Project(ctx, p, q.Request, to)
	}), nil
}

func onlyQueries(r *http.Request, known ...string) error {
	for name := range r.URL.Query() {
		if !slices.Contains(known, name) {
			return invalid("query."+name, "is not known here")
		}
	}
	return nil
}

// showLogs is the stream of a socket: one goroutine reads the log into a
// queue, this one sends it.
func (s *server) showLogs(query logQuery, read func(context.Context, containerlog.Sink) error) stream {
	return func(ctx context.Context, out *socket) error {
		reading, stop := context.WithCancel(ctx)
		queue := newLogQueue(reading, query.timestamps, &s.frames)
		var beside sync.WaitGroup
		defer beside.Wait()
		defer stop()
		beside.Go(func() {
			err := read(reading, queue)
			if err != nil && ctx.Err() == nil {
				p := problemOf(err)
				if p.Status == http.StatusInternalServerError {
					s.log.Warn("a log could not be read", zap.String("user", callerOf(ctx).Username), logging.Err(err))
				}
				_ = queue.Note(containerlog.Notice{Type: containerlog.Failed, Code: p.Code, Message: p.Detail})
			}
			queue.end()
		})
		for {
			frame, err := queue.next(ctx)
			if err != nil {
				return err
			}
			if frame == nil {
				return nil
			}
			if err := out.sendText(ctx, frame); err != nil {
				return err
			}
			queue.recycle(frame)
		}
	}
}

type downloadLogIn struct {
	ContainerPath

	Tail       string `query:"tail" doc:"How many of the last lines; all, if it isn't given"`
	Since      string `query:"since" example:"10m" doc:"This moment and later: RFC 3339, seconds since 1970, or how long ago (10m)"`
	Until      string `query:"until" doc:"This moment and earlier"`
	Before     string `query:"before" doc:"Earlier than this moment"`
	Timestamps bool   `query:"timestamps" doc:"Begin each line with its time"`
	Follow     bool   `query:"follow" doc:"Go on with what comes"`
	Q          string `query:"q" maxLength:"200" doc:"Only lines with this text, in upper or lower case"`
	Regex      bool   `query:"regex" doc:"q is a regular expression (RE2)"`
}

func (in *downloadLogIn) values() map[string][]string {
	all := map[string][]string{}
	for name, value := range map[string]string{
		"tail": in.Tail, "since": in.Since, "until": in.Until, "before": in.Before, "q": in.Q,
		"timestamps": fmt.Sprint(in.Timestamps), "follow": fmt.Sprint(in.Follow), "regex": fmt.Sprint(in.Regex),
	} {
		if value != "" {
			all[name] = []string{value}
		}
	}
	return all
}

// downloadLog is GET /api/containers/{id}/logs.
func (s *server) downloadLog(ctx context.Context, in *downloadLogIn) (*huma.StreamResponse, error) {
	q, err := readLogQuery(in.values(), "all")
	if err != nil {
		return nil, err
	}
	c, err := s.find(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	// What is wrong has to be known before the first byte.
	if err := s.Logs.Container(ctx, c.ID, c.Name, containerlog.Request{}, nowhere{}); err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) { //nolint:contextcheck // it has its own
		hc.SetHeader("Content-Type", "text/plain; charset=utf-8")
		hc.SetHeader("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": fileName(c.Name) + ".log"}))
		hc.SetStatus(http.StatusOK)
		if hc.Method() == http.MethodHead {
			return
		}
		ctx, stop := s.whileAllowed(hc.Context())
		defer stop()
		to := &textSink{out: bufio.NewWriterSize(hc.BodyWriter(), 32<<10), timestamps: q.timestamps}
		if flusher, ok := hc.BodyWriter().(http.Flusher); ok && q.Follow {
			to.flusher = flusher
			flusher.Flush()
		}
		err := s.Logs.Container(ctx, c.ID, c.Name, q.Request, to)
		if err = errors.Join(err, to.out.Flush()); err != nil {
			s.log.Debug("a log's download has ended early", logging.Container(c.Name), logging.Err(err))
			panic(http.ErrAbortHandler) // half an answer must not look like a whole one
		}
	}}, nil
}

// asText says in the document that the answer is text.
func asText(op *huma.Operation) {
	op.Responses = map[string]*huma.Response{"200": {
		Description: "The log", Content: map[string]*huma.MediaType{"text/plain": {Schema: &huma.Schema{Type: huma.TypeString}}},
	}}
}

// whileAllowed ends a context with the caller's session or token, and with the program.
func (s *server) whileAllowed(ctx context.Context) (context.Context, func()) {
	who := callerOf(ctx)
	ended, release := s.Auth.Ended(ctx, who.SessionID)
	ctx, cancel := context.WithCancel(ctx)
	var expired <-chan time.Time // never, for a token that doesn't
	if !who.ExpiresAt.IsZero() {
		expired = time.After(time.Until(who.ExpiresAt))
	}
	var watching sync.WaitGroup
	watching.Go(func() {
		select {
		case <-ended:
		case <-expired:
		case <-s.Closing:
		case <-ctx.Done():
		}
		cancel()
	})
	return ctx, func() {
		cancel()
		watching.Wait()
		release()
	}
}

// fileName makes a name that every system takes.
func fileName(name string) string {
	name = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.' {
			return r
		}
		return '_'
	}, name)
	return strings.TrimLeft(name, ".-")
}

// nowhere takes lines and forgets them.
type nowhere struct{}

func (nowhere) Line(containerlog.Line) error   { return nil }
func (nowhere) Note(containerlog.Notice) error { return nil }
func (nowhere) Live()                          {}

// textSink writes lines as text. Notices have no place in it.
type textSink struct {
	nowhere

	out        *bufio.Writer
	flusher    http.Flusher // nil: whenever the buffer is full
	timestamps bool
	stamp      []byte
}

// cutMark is what the file says after a line that was too long.
const cutMark = " [cut: the line is longer than 64 KiB]"

func (t *textSink) Line(l containerlog.Line) error {
	if t.timestamps {
		t.stamp = append(appendTime(t.stamp[:0], l.T), ' ')
		_, _ = t.out.Write(t.stamp)
	}
	_, _ = t.out.Write(l.Text)
	if l.Cut {
		_, _ = io.WriteString(t.out, cutMark)
	}
	err := t.out.WriteByte('\n') // a writer's error stays
	if err == nil && t.flusher != nil {
		err = t.out.Flush()
		t.flusher.Flush()
	}
	return err
}

// appendTime writes a time with all nine digits, so that times sort as text.
func appendTime(to []byte, t time.Time) []byte {
	return t.AppendFormat(to, "2006-01-02T15:04:05.000000000Z")
}
