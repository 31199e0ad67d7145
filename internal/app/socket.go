package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"

	"github.com/watch-docker/watch-docker/internal/api"
	"github.com/watch-docker/watch-docker/internal/logging"
	"github.com/watch-docker/watch-docker/internal/store"
)

// socketName is the command socket in the state folder. Whoever may open it
// (0600, in a folder of 0700) is the owner of the installation.
const socketName = "watch-docker.sock"

// message is one line that the server writes to a command: how an operation
// is, or, last, the outcome.
type message struct {
	Operation *store.Operation `json:"operation,omitempty"`
	Asked     *asked           `json:"asked,omitempty"`
	Run       *api.Run         `json:"run,omitempty"`
	Error     string           `json:"error,omitempty"`
}

// asked is how far a scan is.
type asked struct{ Done, Total int }

// listenSocket opens the command socket; one that a killed server has left is
// replaced, which the ownership of the folder makes safe.
func listenSocket(ctx context.Context, folder string) (net.Listener, error) {
	path := filepath.Join(folder, socketName)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("command socket: %w", err)
	}
	l, err := new(net.ListenConfig).Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("command socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("command socket: %w", err), l.Close())
	}
	return l, nil
}

// socketHandler serves commands: POST /update answers with one message a line.
func (s *Server) socketHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /update", func(w http.ResponseWriter, r *http.Request) {
		var args updateArgs
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&args); err != nil {
			http.Error(w, err.Error(), http.StatusUnprocessableEntity)
			return
		}
		lines := json.NewEncoder(w)
		send := func(m message) {
			if err := lines.Encode(m); err == nil {
				_ = http.NewResponseController(w).Flush() // whoever asked may be gone; the work goes on
			}
		}
		run, err := s.operator.command(r.Context(), args,
			func(done, total int) { send(message{Asked: &asked{done, total}}) },
			func(op store.Operation) { send(message{Operation: &op}) })
		last := message{Run: &run}
		if err != nil {
			last.Error = err.Error()
			s.log.Warn("a command failed", logging.Action("update"), logging.Err(err))
		}
		send(last)
	})
	return mux
}

// askServer sends an update to the server that owns the folder. ok is false
// if none answers.
func askServer(ctx context.Context, folder string, args updateArgs, on func(message)) (run api.Run, ok bool, err error) {
	path := filepath.Join(folder, socketName)
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}}
	defer client.CloseIdleConnections()
	body, writer := io.Pipe()
	go func() { _ = writer.CloseWithError(json.NewEncoder(writer).Encode(args)) }()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://watch-docker/update", body)
	if err != nil {
		return run, false, err
	}
	res, err := client.Do(req)
	if err != nil {
		_ = body.Close()
		return run, false, nil // nobody listens: the caller does it itself
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return run, true, fmt.Errorf("the server answers %s", res.Status)
	}
	for lines := json.NewDecoder(res.Body); ; {
		var m message
		if err := lines.Decode(&m); err != nil {
			return run, true, fmt.Errorf("the server ended in the middle; its record says what became of it: %w", err)
		}
		on(m)
		if m.Run == nil {
			continue
		}
		if m.Error != "" {
			err = errors.New(m.Error)
		}
		return *m.Run, true, err
	}
}
