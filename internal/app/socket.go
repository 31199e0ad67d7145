package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/watch-docker/watch-docker/internal/api"
	"github.com/watch-docker/watch-docker/internal/audit"
	"github.com/watch-docker/watch-docker/internal/logging"
	"github.com/watch-docker/watch-docker/internal/store"
	"github.com/watch-docker/watch-docker/internal/updater"
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

// socketHandler serves commands: POST /update answers with one message a line,
// POST /account with one accountResult.
func (s *Server) socketHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ready", func(w http.ResponseWriter, r *http.Request) {
		if err := errors.Join(s.engine.Ping(r.Context()), s.store.Ping(r.Context())); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("GET /operations/{id}", func(w http.ResponseWriter, r *http.Request) {
		op, err := s.updater.Operation(r.Context(), r.PathValue("id"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusNotFound)
			return
		}
		_ = json.NewEncoder(w).Encode(op) // whoever asked may be gone
	})
	mux.HandleFunc("POST /account", s.serveAccount)
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
		recordRun(r.Context(), s.audit, audit.ViaCommand, args, run, err)
		if errors.Is(err, errLeft) {
			return // whoever asked asks the next server
		}
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
	client := socketClient(folder)
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
	under := map[string]store.Operation{}
	for lines := json.NewDecoder(res.Body); ; {
		var m message
		if err := lines.Decode(&m); err != nil {
			run, err := reconnect(ctx, folder, under, on, err)
			return run, true, err
		}
		if m.Operation != nil {
			under[m.Operation.ID] = *m.Operation
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

func socketClient(folder string) *http.Client {
	path := filepath.Join(folder, socketName)
	return &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}}
}

// ask reads one answer of the server that owns a folder; into may be nil.
func ask(ctx context.Context, folder, path string, into any) error {
	client := socketClient(folder)
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://watch-docker"+path, http.NoBody)
	if err != nil {
		return err
	}
	res, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("the server doesn't answer: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 1<<10)) // as much of it as there is
		return fmt.Errorf("the server answers %s: %s", res.Status, bytes.TrimSpace(text))
	}
	if into == nil {
		return nil
	}
	return json.NewDecoder(res.Body).Decode(into)
}

// reconnectTimeout is how long a server that ended in the middle is waited
// for: the new one's gate, and the old one's way back.
const reconnectTimeout = 10 * time.Minute

// reconnect follows what was under way at a server that is replacing itself.
// Any other server that ends has ended.
func reconnect(ctx context.Context, folder string, under map[string]store.Operation, on func(message), cause error) (api.Run, error) {
	run := api.Run{Operations: []store.Operation{}, Skipped: []api.LeftOut{}}
	replacing := false
	for _, op := range under {
		run.Operations = append(run.Operations, op)
		replacing = replacing || !op.State.Finished() && slices.ContainsFunc(op.Steps, func(s store.Step) bool { return s.Name == updater.StepHandover })
	}
	if !replacing || ctx.Err() != nil {
		return run, fmt.Errorf("the server ended in the middle; its record says what became of it: %w", cause)
	}
	ctx, cancel := context.WithTimeout(ctx, reconnectTimeout)
	defer cancel()
	for i := 0; i < len(run.Operations); {
		if run.Operations[i].State.Finished() {
			i++
			continue
		}
		var op store.Operation
		if err := ask(ctx, folder, "/operations/"+run.Operations[i].ID, &op); err == nil {
			run.Operations[i] = op
			on(message{Operation: &op})
			if op.State.Finished() {
				continue
			}
		}
		select {
		case <-ctx.Done():
			return run, fmt.Errorf("no server came back: %w", ctx.Err())
		case <-time.After(follow):
		}
	}
	return run, nil
}
